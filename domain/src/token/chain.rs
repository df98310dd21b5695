//! The chain of codes behind tokens: each follows from the one before by a keyed hash, so that only who holds the key
//! knows the next, and the last digits carry a value in the open.

use siphasher::sip::SipHasher24;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// A secret of sixteen bytes; shown as nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenKey([u8; 16]);

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey")
    }
}

/// A text that is no key; it is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a token key is 32 hex digits")]
pub struct BadKey;

impl FromStr for TokenKey {
    type Err = BadKey;
    fn from_str(text: &str) -> Result<Self, BadKey> {
        if text.len() != 32 || !text.is_ascii() {
            return Err(BadKey);
        }
        let mut key = [0; 16];
        for (byte, digits) in key.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| BadKey)?;
            // from_str_radix would take a sign.
            if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(BadKey);
            }
            *byte = u8::from_str_radix(digits, 16).map_err(|_| BadKey)?;
        }
        Ok(Self(key))
    }
}

impl TokenKey {
    fn hash(&self, bytes: &[u8]) -> u64 {
        SipHasher24::new_with_key(&self.0).hash(bytes)
    }
}

/// Where a chain begins: at most nine digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartingCode(u32);

impl StartingCode {
    /// A code of at most nine digits.
    #[must_use]
    pub fn new(code: u32) -> Option<Self> {
        (code <= 999_999_999).then_some(Self(code))
    }

    /// The code that goes with a key where nobody has chosen another.
    #[must_use]
    pub fn of(key: &TokenKey) -> Self {
        Self(nine_digits(key.hash(&key.0)))
    }
}

/// How long tokens are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Nine digits, of which three carry the value.
    Standard,
    /// Twelve digits, of which six carry the value.
    Extended,
}

impl Form {
    /// How many values its last digits can carry.
    fn values(self) -> u64 {
        match self {
            Self::Standard => 1_000,
            Self::Extended => 1_000_000,
        }
    }

    fn next(self, code: u64, key: &TokenKey) -> u64 {
        match self {
            Self::Standard => {
                // A code has at most nine digits, so it fits; the hash wants eight bytes, so it is said twice.
                let half = ((code & 0xFFFF_FFFF) << 32) | (code & 0xFFFF_FFFF);
                u64::from(nine_digits(key.hash(&half.to_be_bytes())))
            }
            Self::Extended => twelve_digits(key.hash(&code.to_be_bytes())),
        }
    }

    /// The code with other last digits.
    fn with(self, code: u64, last: u64) -> u64 {
        code - code % self.values() + last
    }
}

/// Thirty bits of both halves, folded to at most nine digits.
fn nine_digits(hash: u64) -> u32 {
    const TOO_MANY: u64 = 1_000_000_000;
    let thirty = ((hash >> 32) ^ (hash & 0xFFFF_FFFF)) >> 2;
    let code = if thirty >= TOO_MANY { thirty - ((1 << 30) - TOO_MANY + 1) } else { thirty };
    u32::try_from(code).unwrap_or(0)
}

/// Forty bits, folded to at most twelve digits.
fn twelve_digits(hash: u64) -> u64 {
    const TOO_MANY: u64 = 1_000_000_000_000;
    let forty = hash >> 24;
    if forty >= TOO_MANY { forty - ((1 << 40) - TOO_MANY + 1) } else { forty }
}

/// The token of this count and value.
pub(super) fn encode(key: &TokenKey, start: StartingCode, form: Form, count: u32, value: u32) -> String {
    let start = u64::from(start.0);
    let last = (start % form.values() + u64::from(value)) % form.values();
    let mut code = form.with(start, last);
    for _ in 0..count {
        code = form.next(code, key);
    }
    match form {
        Form::Standard => format!("{:09}", form.with(code, last)),
        Form::Extended => format!("{:012}", form.with(code, last)),
    }
}

/// The value that a token says it has.
pub(super) fn value(start: StartingCode, form: Form, token: u64) -> u32 {
    let (last, first) = (token % form.values(), u64::from(start.0) % form.values());
    u32::try_from((last + form.values() - first) % form.values()).unwrap_or(0)
}

/// Every count up to `most` at which the chain has this token, smallest first; mostly none or one.
pub(super) fn counts(key: &TokenKey, start: StartingCode, form: Form, token: u64, most: u32) -> Vec<u32> {
    let last = token % form.values();
    let mut code = form.with(u64::from(start.0), last);
    let mut found = Vec::new();
    for count in 0..=most {
        if form.with(code, last) == token {
            found.push(count);
        }
        code = form.next(code, key);
    }
    found
}
