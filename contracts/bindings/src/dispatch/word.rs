//! Fields of 256-bit words, from the highest bit down, as `Packed.sol` reads them.

use super::Unpackable;
use crate::U256;

/// A word under construction.
#[derive(Default)]
pub(super) struct Word {
    value: U256,
    used: usize,
}

impl Word {
    pub(super) fn unsigned(mut self, what: &'static str, value: u64, bits: usize) -> Result<Self, Unpackable> {
        if bits < 64 && value >> bits != 0 {
            return Err(Unpackable { what, value: i128::from(value), bits });
        }
        self.used += bits;
        self.value |= U256::from(value) << (256 - self.used);
        Ok(self)
    }

    pub(super) fn signed(self, what: &'static str, value: i64, bits: usize) -> Result<Self, Unpackable> {
        let field = value.cast_unsigned() & (u64::MAX >> (64 - bits));
        if extend(field, bits) != value {
            return Err(Unpackable { what, value: i128::from(value), bits });
        }
        self.unsigned(what, field, bits)
    }

    /// The first `bytes` of it.
    pub(super) fn bytes(&self, bytes: usize) -> Vec<u8> {
        self.value.to_be_bytes::<32>()[..bytes].to_vec()
    }
}

/// Fields of bytes, one after the other.
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next field; what is behind the end is zero.
    pub(super) fn unsigned(&mut self, bits: usize) -> u64 {
        let mut value = 0;
        for byte in self.bytes.get(self.at..).unwrap_or_default().iter().take(bits / 8) {
            value = value << 8 | u64::from(*byte);
        }
        self.at += bits / 8;
        value
    }

    pub(super) fn signed(&mut self, bits: usize) -> i64 {
        extend(self.unsigned(bits), bits)
    }

    pub(super) fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// Bytes read so far.
    pub(super) fn at(&self) -> usize {
        self.at
    }
}

/// Two's complement of `bits` bits as a number.
fn extend(field: u64, bits: usize) -> i64 {
    (field << (64 - bits)).cast_signed() >> (64 - bits)
}
