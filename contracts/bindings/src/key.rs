//! Who signs. A [`Signer`] may be a key in a file, or anything else that can sign a digest.

use crate::{Address, B256, U256};
use k256::ecdsa::{RecoveryId, SigningKey, VerifyingKey};
use revm::primitives::keccak256;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use thiserror::Error;
use zeroize::Zeroizing;

mod keystore;

pub use keystore::{Cost, Password};

/// Why there is no key, or no signature. Never holds key material.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("key file {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others than the owner may read the file.
    #[error("key file {0} can be read by others (mode {1:04o}): run `chmod 600 {0}`", path.display(), mode)]
    Exposed {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is there and holds no key.
    #[error("key file {}: {problem}", path.display())]
    BadFile {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A text that is no key.
    #[error("{0}")]
    BadKey(&'static str),
    /// The system gave no random bytes.
    #[error("no random bytes from the system: {0}")]
    NoRandomness(String),
    /// A keystore that does not open.
    #[error("the password is not that of the keystore, or the keystore is damaged")]
    WrongPassword,
    /// A keystore, and nobody said where its password is.
    #[error(
        "this is a keystore, which needs a password: put it into a file with mode 0600 and name that with --password-file or [chain] password_file, or hand it over with systemd's LoadCredential=settler.password:FILE"
    )]
    NoPassword,
    /// A keystore that cannot be read here.
    #[error("the keystore cannot be read: {0}")]
    Keystore(String),
    /// The signer could not sign.
    #[error("signing failed: {0}")]
    Signing(String),
}

/// A recoverable secp256k1 signature, always with the low `s` that chains demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// First half.
    pub r: U256,
    /// Second half, at most half the group order.
    pub s: U256,
    /// Whether the y coordinate of the nonce point is odd.
    pub y_odd: bool,
}

/// Signs 32-byte digests for one address.
///
/// It blocks, as everything here does: a secure element on a slow bus takes its fraction of a second on the blocking
/// thread that the settler decides on, and holds up nobody else.
pub trait Signer: Send + Sync {
    /// Whose signatures these are.
    fn address(&self) -> Address;
    /// Signs a digest.
    ///
    /// # Errors
    /// [`KeyError::Signing`] if the signer is out of reach or refuses.
    fn sign(&self, digest: B256) -> Result<Signature, KeyError>;
}

/// A private key in memory: wiped when dropped, and shown as nothing but its address.
#[derive(Clone)]
pub struct LocalKey {
    key: SigningKey,
    address: Address,
}

const NOT_HEX: &str = "a key is 64 hex digits, with or without 0x";
const ZERO: &str = "this number is no key: zero, or beyond the order of secp256k1";
const IS_KEYSTORE: &str = "this is a keystore, which needs a password";
/// More than any keystore needs; of a larger file, which is something else, no more is read into memory.
const MAX_FILE_SIZE: usize = 4096;
const MAX_FILE: u64 = MAX_FILE_SIZE as u64;

impl LocalKey {
    /// A new key from the system's randomness.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`].
    pub fn generate() -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        loop {
            getrandom::fill(bytes.as_mut()).map_err(|e| KeyError::NoRandomness(e.to_string()))?;
            // One in 2^128 draws is no key.
            if let Ok(key) = SigningKey::from_slice(bytes.as_ref()) {
                return Ok(Self::new(key));
            }
        }
    }

    /// Reads 64 hex digits, with or without `0x`; white space around them does not count.
    ///
    /// # Errors
    /// [`KeyError::BadKey`], which does not repeat the text.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let mut bytes = Zeroizing::new([0_u8; 32]);
        hex::decode_to_slice(digits, bytes.as_mut()).map_err(|_| KeyError::BadKey(NOT_HEX))?;
        SigningKey::from_slice(bytes.as_ref()).map(Self::new).map_err(|_| KeyError::BadKey(ZERO))
    }

    /// Reads a key file: hex, readable by its owner only.
    ///
    /// # Errors
    /// Each names the file: it cannot be read, is exposed to others, or holds no key.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        Self::read(path, true)
    }

    /// Reads a key that the service manager handed over (systemd's `LoadCredential=`). It keeps the file from others by
    /// its own means, an access list whose mask the mode shows as a readable group.
    ///
    /// # Errors
    /// As [`LocalKey::load`], but for the mode.
    pub fn load_credential(path: &Path) -> Result<Self, KeyError> {
        Self::read(path, false)
    }

    fn read(path: &Path, check_mode: bool) -> Result<Self, KeyError> {
        Self::from_file_text(path, &file_text(path, check_mode)?)
    }

    fn from_file_text(path: &Path, text: &str) -> Result<Self, KeyError> {
        if keystore::is_keystore(text) {
            return Err(KeyError::BadFile { path: path.to_owned(), problem: IS_KEYSTORE });
        }
        Self::from_hex(text).map_err(|e| match e {
            KeyError::BadKey(problem) => KeyError::BadFile { path: path.to_owned(), problem },
            other => other,
        })
    }

    /// Writes the key to a new file that only its owner can read, and makes sure that it is on the disk.
    ///
    /// # Errors
    /// [`KeyError::File`]; a file that exists is never overwritten.
    pub fn save_new(&self, path: &Path) -> Result<(), KeyError> {
        let scalar = Zeroizing::new(<[u8; 32]>::from(self.key.to_bytes()));
        let mut text = Zeroizing::new([0_u8; 65]);
        text[64] = b'\n';
        hex::encode_to_slice(scalar.as_ref(), &mut text[..64]).map_err(|_| KeyError::BadKey(NOT_HEX))?;
        write_new(path, text.as_ref())
    }

    fn new(key: SigningKey) -> Self {
        let address = address_of(key.verifying_key());
        Self { key, address }
    }
}

/// The text of a file that holds a secret.
fn file_text(path: &Path, check_mode: bool) -> Result<Zeroizing<String>, KeyError> {
    let io = |source| KeyError::File { path: path.to_owned(), source };
    let bad = |problem| KeyError::BadFile { path: path.to_owned(), problem };
    let file = File::open(path).map_err(io)?;
    let meta = file.metadata().map_err(io)?;
    if !meta.is_file() {
        return Err(bad("this is no regular file"));
    }
    let mode = meta.permissions().mode() & 0o7777;
    if check_mode && mode & 0o077 != 0 {
        return Err(KeyError::Exposed { path: path.to_owned(), mode });
    }
    // Reserved once: a buffer that grows would leave copies of the key behind.
    let mut text = Zeroizing::new(String::with_capacity(2 * MAX_FILE_SIZE));
    match file.take(MAX_FILE).read_to_string(&mut text) {
        Err(e) if e.kind() == std::io::ErrorKind::InvalidData => return Err(bad("this is no text")),
        other => other.map_err(io)?,
    };
    if text.trim().is_empty() {
        return Err(bad("the file is empty"));
    }
    Ok(text)
}

/// Writes a secret to a new file. Written beside and linked into place: whatever happens, there is a whole key there or
/// none. Linking fails where a file stands already, so no key is ever overwritten.
fn write_new(path: &Path, text: &[u8]) -> Result<(), KeyError> {
    let io = |source| KeyError::File { path: path.to_owned(), source };
    let beside = path.with_extension(format!("new-{}", std::process::id()));
    let _ = std::fs::remove_file(&beside);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .and_then(|mut file| file.write_all(text).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::hard_link(&beside, path));
    let _ = std::fs::remove_file(&beside);
    written.map_err(io)?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|f| f.sync_all()).map_err(io)
}

impl Signer for LocalKey {
    fn address(&self) -> Address {
        self.address
    }

    fn sign(&self, digest: B256) -> Result<Signature, KeyError> {
        let (signature, id) = self.key.sign_prehash_recoverable(digest.as_slice());
        let low = signature.normalize_s();
        // Negating s mirrors the nonce point, so the parity turns with it.
        let y_odd = id.is_y_odd() ^ (low != signature);
        if id.is_x_reduced() {
            return Err(KeyError::Signing("the nonce point cannot be stated in a transaction".into()));
        }
        let (r, s) = low.split_bytes();
        Ok(Signature { r: U256::from_be_slice(&r), s: U256::from_be_slice(&s), y_odd })
    }
}

impl fmt::Debug for LocalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The address that signed, or `None` if the signature is malformed, has a high `s`, or is nobody's.
pub(crate) fn recover(digest: B256, signature: &Signature) -> Option<Address> {
    let parts = k256::ecdsa::Signature::from_scalars(signature.r.to_be_bytes::<32>(), signature.s.to_be_bytes::<32>());
    let parts = parts.ok()?;
    if parts.normalize_s() != parts {
        return None;
    }
    let id = RecoveryId::new(signature.y_odd, false);
    VerifyingKey::recover_from_prehash(digest.as_slice(), &parts, id).ok().map(|k| address_of(&k))
}

fn address_of(key: &VerifyingKey) -> Address {
    let point = key.to_sec1_point(false);
    // The first byte says "uncompressed" and is no part of the address.
    let hash = keccak256(point.as_bytes().get(1..).unwrap_or_default());
    Address::from_slice(&hash[12..])
}

#[cfg(test)]
mod tests;
