//! Passwords, as argon2id hashes (RFC 9106).

use super::secret;
use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Memory in KiB, passes and lanes: OWASP's first choice for argon2id, bearable on a Raspberry Pi.
const COST: (u32, u32, u32) = (19_456, 2, 1);
/// Letters of a password at least, and bytes at most.
const LEAST: usize = 10;
const MOST: usize = 256;

/// A password as typed. It is wiped when dropped, and never shown.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(hidden)")
    }
}

impl Password {
    /// As typed, for comparison.
    #[must_use]
    pub fn typed(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// One that is good enough for a user of this name.
    pub fn new(text: String, name: &str) -> Result<Self, String> {
        let typed = Self::typed(text);
        let text = typed.0.as_str();
        if text.chars().count() < LEAST {
            return Err(format!("the password is shorter than {LEAST} letters"));
        }
        if text.len() > MOST {
            return Err(format!("the password is longer than {MOST} bytes"));
        }
        if text.to_lowercase().contains(name) && text.len() < name.len() + LEAST {
            return Err("the password is little more than the user's name".into());
        }
        let first = text.chars().next();
        if text.chars().all(|c| Some(c) == first) {
            return Err("the password is one letter again and again".into());
        }
        Ok(typed)
    }
}

/// What is kept of a password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hash {
    m_kib: u32,
    t: u32,
    p: u32,
    #[serde(with = "hex")]
    salt: [u8; 16],
    #[serde(with = "hex")]
    argon2id: [u8; 32],
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hash(hidden)")
    }
}

impl Hash {
    /// Of a new password.
    pub fn of(password: &Password) -> Result<Self, String> {
        let (m_kib, t, p) = COST;
        let salt = secret::random()?;
        Ok(Self { m_kib, t, p, salt, argon2id: stretched(password, COST, &salt)? })
    }

    /// Of nothing: comparing with it takes as long as with a user's, and never fits.
    #[must_use]
    pub fn nobody() -> Self {
        let (m_kib, t, p) = COST;
        Self { m_kib, t, p, salt: [0; 16], argon2id: [0; 32] }
    }

    /// Whether this is the password.
    #[must_use]
    pub fn is(&self, password: &Password) -> bool {
        // A longer one cannot be right, and is not worth the time.
        password.0.len() <= MOST
            && stretched(password, (self.m_kib, self.t, self.p), &self.salt)
                .is_ok_and(|hash| secret::same(&hash, &self.argon2id))
    }

    /// Tells this password from the one before it, to end what was signed in by that.
    #[must_use]
    pub fn mark(&self) -> secret::Digest {
        secret::digest(&hex::encode(self.argon2id))
    }
}

fn stretched(password: &Password, (m, t, p): (u32, u32, u32), salt: &[u8]) -> Result<[u8; 32], String> {
    let params = Params::new(m, t, p, Some(32)).map_err(|e| format!("argon2id: {e}"))?;
    let mut out = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.0.as_bytes(), salt, &mut out)
        .map_err(|e| format!("argon2id: {e}"))?;
    Ok(out)
}
