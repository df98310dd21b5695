//! Codes as people read and type them: Crockford's base 32 in groups of five, with a checksum at the end.

use super::{BadCode, Code};
use std::fmt;
use std::str::FromStr;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const GROUP: usize = 5;
/// Far more than any code has; longer texts are not looked at.
const LONGEST: usize = 400;

/// The checksum of OpenPGP's armour (RFC 4880, 6.1).
fn crc24(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0xB7_04CE, |crc, byte| {
        (0..8).fold(crc ^ (u32::from(*byte) << 16), |crc: u32, _| {
            let shifted = crc << 1;
            if shifted & 0x100_0000 == 0 { shifted } else { (shifted ^ 0x186_4CFB) & 0xFF_FFFF }
        })
    })
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.bytes();
        let [_, checksum @ ..] = crc24(&bytes).to_be_bytes();
        bytes.extend(checksum);
        for index in 0..(bytes.len() * 8).div_ceil(5) {
            let five = (0..5).fold(0_usize, |value, bit| {
                let at = index * 5 + bit;
                let set = bytes.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1);
                value << 1 | usize::from(set)
            });
            if index > 0 && index % GROUP == 0 {
                f.write_str("-")?;
            }
            write!(f, "{}", char::from(*ALPHABET.get(five).unwrap_or(&b'0')))?;
        }
        Ok(())
    }
}

impl FromStr for Code {
    type Err = BadCode;
    /// Letters of either case; O is read as 0, I and L as 1; spaces and dashes do not count.
    fn from_str(text: &str) -> Result<Self, BadCode> {
        let (mut bytes, mut pending, mut bits) = (Vec::new(), 0_u32, 0);
        if text.len() > LONGEST {
            return Err(BadCode::Checksum);
        }
        for c in text.chars().filter(|c| !c.is_whitespace() && *c != '-') {
            let letter = match c.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            let five = ALPHABET.iter().position(|a| char::from(*a) == letter).ok_or(BadCode::Character(c))?;
            pending = (pending << 5) | u32::try_from(five).unwrap_or(0);
            bits += 5;
            if bits >= 8 {
                bits -= 8;
                bytes.push(u8::try_from(pending >> bits & 0xFF).unwrap_or(0));
                pending &= (1 << bits) - 1;
            }
        }
        let at = bytes.len().checked_sub(3).ok_or(BadCode::Checksum)?;
        let (said, checksum) = bytes.split_at(at);
        let [_, wanted @ ..] = crc24(said).to_be_bytes();
        // What is left over of the last character says nothing, and must say nothing.
        if checksum != wanted || bits >= 5 || pending != 0 {
            return Err(BadCode::Checksum);
        }
        Self::from_bytes(said).ok_or(BadCode::Unknown)
    }
}
