//! Bytes are one transaction of one sender, or none.

use contracts::tx::decode;

/// What is taken as a transaction has exactly these bytes: one byte more or one less is refused, and any bit turned makes
/// it a refusal or another sender's. What is refused is refused with words.
pub fn check(bytes: &[u8]) {
    let (_, sender) = match decode(bytes) {
        Ok(found) => found,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    assert!(decode(&[bytes, &[0]].concat()).is_err() && decode(&bytes[..bytes.len() - 1]).is_err());
    for (at, bit) in [(0, 0), (bytes.len() / 2, 3), (bytes.len() - 1, 0)] {
        let mut turned = bytes.to_vec();
        turned[at] ^= 1 << bit;
        let other = decode(&turned).map(|(_, other)| other);
        assert!(other != Ok(sender), "bit {bit} of byte {at} does not count");
    }
}
