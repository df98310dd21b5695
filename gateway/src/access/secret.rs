//! Random secrets, and what is kept of them.

use contracts::keccak256;

/// What is kept of a random secret. It needs no slow hash: nobody guesses 100 bits.
pub type Digest = [u8; 32];

/// How a token begins, so that whoever finds one in a file knows what it is.
pub const TOKEN: &str = "mgw_";
/// Letters of a code that a person may have to type: none that looks like another.
const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";

/// The digest of a secret.
#[must_use]
pub fn digest(secret: &str) -> Digest {
    keccak256(secret.as_bytes()).0
}

/// Compares in the same time wherever they differ.
#[must_use]
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (x, y)| differ | (x ^ y)) == 0
}

/// Random bytes.
pub fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| format!("no random numbers: {e}"))?;
    Ok(bytes)
}

/// 256 random bits as text.
pub fn text() -> Result<String, String> {
    Ok(hex::encode(random::<32>()?))
}

/// A code of 100 random bits for a person, such as `k3v9e-…`.
pub fn code() -> Result<String, String> {
    let bytes = random::<20>()?;
    let letter = |b: &u8| char::from(LETTERS[usize::from(b & 31)]);
    Ok(bytes.chunks(5).map(|group| group.iter().map(letter).collect::<String>()).collect::<Vec<_>>().join("-"))
}

/// A message under a key: Keccak, a sponge, needs no nesting as HMAC does for older hashes. The key has a fixed length.
#[must_use]
pub fn mac(key: &Digest, message: &str) -> Digest {
    keccak256([&key[..], message.as_bytes()].concat()).0
}
