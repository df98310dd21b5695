//! Keys under a password: Web3 Secret Storage version 3, as geth, cast and ethers write and read it.
//!
//! The password is stretched by scrypt to 32 bytes: the first half is the key of AES-128-CTR, the second goes with the
//! ciphertext into a Keccak-256 by which a wrong password is noticed.
//! <https://ethereum.org/en/developers/docs/data-structures-and-encoding/web3-secret-storage/>

use super::{KeyError, LocalKey, file_text, write_new};
use crate::B256;
use aes::Aes128;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use k256::ecdsa::SigningKey;
use revm::primitives::alloy_primitives::Keccak256;
use serde::Deserialize;
use serde_json::json;
use std::fmt;
use std::path::Path;
use zeroize::Zeroizing;

/// What opens a keystore: bytes that are wiped when dropped and never shown. Nothing is normalised: of two spellings of
/// one letter only the one in the keystore opens it.
#[derive(Clone)]
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// Reads a file that holds the password and nothing else but perhaps a line break at its end. Readable by its owner
    /// only.
    ///
    /// # Errors
    /// As [`LocalKey::load`].
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        Self::read(path, true)
    }

    /// The same from the service manager; see [`LocalKey::load_credential`].
    ///
    /// # Errors
    /// As [`Password::load`], but for the mode.
    pub fn load_credential(path: &Path) -> Result<Self, KeyError> {
        Self::read(path, false)
    }

    fn read(path: &Path, check_mode: bool) -> Result<Self, KeyError> {
        let text = file_text(path, check_mode)?;
        let word = text.strip_suffix('\n').map_or(text.as_str(), |t| t.strip_suffix('\r').unwrap_or(t));
        if word.is_empty() {
            return Err(KeyError::BadFile { path: path.to_owned(), problem: "the password is empty" });
        }
        Ok(Self::from(word))
    }
}

impl From<&str> for Password {
    fn from(word: &str) -> Self {
        Self(Zeroizing::new(word.as_bytes().to_vec()))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// What stretching a password costs. It is written into the keystore, so every reader pays the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// The logarithm of scrypt's N. Memory is N KiB.
    pub log_n: u8,
}

impl Default for Cost {
    /// 64 MiB and about a third of a second on a Raspberry Pi's core: geth's standard of 256 MiB is more than the
    /// smallest boards have to spare.
    fn default() -> Self {
        Self { log_n: 16 }
    }
}

/// Memory that a keystore may demand of us, in bytes. Geth's standard needs 256 MiB.
const MOST_MEMORY: u64 = 512 << 20;
/// Rounds that a keystore may demand, as N·r·p. Geth's standard is 2^21.
const MOST_WORK: u64 = 1 << 24;

#[derive(Deserialize)]
struct Stored {
    version: u32,
    #[serde(alias = "Crypto")]
    crypto: Crypto,
}

#[derive(Deserialize)]
struct Crypto {
    cipher: String,
    cipherparams: CipherParams,
    ciphertext: String,
    kdf: String,
    kdfparams: serde_json::Value,
    mac: String,
}

#[derive(Deserialize)]
struct CipherParams {
    iv: String,
}

#[derive(Deserialize)]
struct Scrypt {
    dklen: usize,
    n: u64,
    r: u32,
    p: u32,
    salt: String,
}

/// Whether a text is a keystore rather than a bare key.
pub(super) fn is_keystore(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

impl LocalKey {
    /// Opens a keystore.
    ///
    /// # Errors
    /// [`KeyError::WrongPassword`], or [`KeyError::Keystore`] if it is none that can be read here.
    pub fn from_keystore(text: &str, password: &Password) -> Result<Self, KeyError> {
        let bad = |what: &str| KeyError::Keystore(what.to_owned());
        let stored: Stored = serde_json::from_str(text).map_err(|e| KeyError::Keystore(e.to_string()))?;
        if stored.version != 3 {
            return Err(KeyError::Keystore(format!("its version is {}, and only 3 is read", stored.version)));
        }
        let c = stored.crypto;
        if c.cipher != "aes-128-ctr" {
            return Err(bad("its cipher is not aes-128-ctr"));
        }
        if c.kdf != "scrypt" {
            return Err(bad("its kdf is not scrypt; let the program that made it write it with scrypt"));
        }
        let kdf: Scrypt = serde_json::from_value(c.kdfparams).map_err(|e| KeyError::Keystore(e.to_string()))?;
        let bytes = |name: &str, text: &str| {
            let digits = text.strip_prefix("0x").unwrap_or(text);
            hex::decode(digits).map_err(|_| KeyError::Keystore(format!("its {name} is not hex")))
        };
        let (salt, mac) = (bytes("salt", &kdf.salt)?, bytes("mac", &c.mac)?);
        let mut secret = Zeroizing::new(bytes("ciphertext", &c.ciphertext)?);
        let iv = <[u8; 16]>::try_from(bytes("iv", &c.cipherparams.iv)?).map_err(|_| bad("its iv has not 16 bytes"))?;
        if kdf.dklen != 32 || secret.len() != 32 {
            return Err(bad("it holds no key of 32 bytes"));
        }
        let (r, p) = (u64::from(kdf.r), u64::from(kdf.p));
        let memory = kdf.n.checked_mul(r).and_then(|nr| nr.checked_mul(128));
        let work = kdf.n.checked_mul(r).and_then(|nr| nr.checked_mul(p));
        if !kdf.n.is_power_of_two() || memory.is_none_or(|m| m > MOST_MEMORY) || work.is_none_or(|w| w > MOST_WORK) {
            return Err(bad("its scrypt demands more than 512 MiB, more than eight times the usual work, or nonsense"));
        }
        let log_n = u8::try_from(kdf.n.trailing_zeros()).map_err(|_| bad("its scrypt demands nonsense"))?;
        let stretched = stretch(password, &salt, log_n, kdf.r, kdf.p)?;
        if mac_of(&stretched, &secret)[..] != mac[..] {
            return Err(KeyError::WrongPassword);
        }
        cipher(&stretched, iv).apply_keystream(&mut secret);
        SigningKey::from_slice(&secret).map(Self::new).map_err(|_| bad("what it holds is no key"))
    }

    /// The key as a keystore, under this password.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`].
    pub fn to_keystore(&self, password: &Password, cost: Cost) -> Result<String, KeyError> {
        let (mut salt, mut iv, mut id) = ([0_u8; 32], [0_u8; 16], [0_u8; 16]);
        for random in [&mut salt[..], &mut iv[..], &mut id[..]] {
            getrandom::fill(random).map_err(|e| KeyError::NoRandomness(e.to_string()))?;
        }
        // RFC 9562: version 4, variant 10.
        (id[6], id[8]) = (id[6] & 0x0f | 0x40, id[8] & 0x3f | 0x80);
        let stretched = stretch(password, &salt, cost.log_n, 8, 1)?;
        let mut secret = Zeroizing::new(<[u8; 32]>::from(self.key.to_bytes()));
        cipher(&stretched, iv).apply_keystream(secret.as_mut());
        let id = hex::encode(id);
        let uuid: Vec<&str> = [0..8, 8..12, 12..16, 16..20, 20..32].into_iter().filter_map(|r| id.get(r)).collect();
        let text = json!({
            "version": 3,
            "id": uuid.join("-"),
            "address": hex::encode(self.address),
            "crypto": {
                "cipher": "aes-128-ctr",
                "cipherparams": { "iv": hex::encode(iv) },
                "ciphertext": hex::encode(secret.as_ref()),
                "kdf": "scrypt",
                "kdfparams": { "dklen": 32, "n": 1_u64 << cost.log_n, "r": 8, "p": 1, "salt": hex::encode(salt) },
                "mac": hex::encode(mac_of(&stretched, secret.as_ref())),
            },
        });
        Ok(format!("{text}\n"))
    }

    /// Writes the key as a keystore to a new file.
    ///
    /// # Errors
    /// As [`LocalKey::save_new`].
    pub fn save_keystore(&self, path: &Path, password: &Password, cost: Cost) -> Result<(), KeyError> {
        write_new(path, self.to_keystore(password, cost)?.as_bytes())
    }

    /// Reads a key file of either kind; `password` is asked for only if it is a keystore. `credential`: the service
    /// manager keeps it from others, see [`LocalKey::load_credential`].
    ///
    /// # Errors
    /// Those of [`LocalKey::load`], of [`LocalKey::from_keystore`] and of `password`.
    pub fn open(
        path: &Path,
        credential: bool,
        password: impl FnOnce() -> Result<Password, KeyError>,
    ) -> Result<Self, KeyError> {
        let text = file_text(path, !credential)?;
        match is_keystore(&text) {
            true => Self::from_keystore(&text, &password()?),
            false => Self::from_file_text(path, &text),
        }
    }
}

fn stretch(password: &Password, salt: &[u8], log_n: u8, r: u32, p: u32) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let params = scrypt::Params::new(log_n, r, p).map_err(|e| KeyError::Keystore(format!("its scrypt: {e}")))?;
    let mut out = Zeroizing::new([0_u8; 32]);
    scrypt::scrypt(&password.0, salt, &params, out.as_mut())
        .map_err(|e| KeyError::Keystore(format!("its scrypt: {e}")))?;
    Ok(out)
}

fn mac_of(stretched: &[u8; 32], ciphertext: &[u8]) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(&stretched[16..]);
    hasher.update(ciphertext);
    hasher.finalize()
}

fn cipher(stretched: &[u8; 32], iv: [u8; 16]) -> Ctr128BE<Aes128> {
    let mut key = Zeroizing::new([0_u8; 16]);
    key.copy_from_slice(&stretched[..16]);
    Ctr128BE::<Aes128>::new((&*key).into(), (&iv).into())
}
