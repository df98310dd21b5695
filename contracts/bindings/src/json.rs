//! Ethereum's JSON spelling: quantities without leading zeros, data with all of them.

use crate::{Address, B256, U256};
use serde_json::Value;

/// `0x` and as few hex digits as the number needs.
pub(crate) fn quantity(value: impl Into<u128>) -> Value {
    format!("{:#x}", value.into()).into()
}

pub(crate) fn big_quantity(value: U256) -> Value {
    format!("{value:#x}").into()
}

pub(crate) fn data(bytes: &[u8]) -> Value {
    format!("0x{}", hex::encode(bytes)).into()
}

/// A quantity of at most 256 bits. Takes leading zeros, which some clients send, but no other spelling.
pub(crate) fn read_u256(value: &Value) -> Option<U256> {
    let digits = value.as_str()?.strip_prefix("0x")?;
    let valid = (1..=64).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    valid.then(|| U256::from_str_radix(digits, 16).ok()).flatten()
}

pub(crate) fn read_u64(value: &Value) -> Option<u64> {
    u64::try_from(read_u256(value)?).ok()
}

pub(crate) fn read_u128(value: &Value) -> Option<u128> {
    u128::try_from(read_u256(value)?).ok()
}

pub(crate) fn read_data(value: &Value) -> Option<Vec<u8>> {
    hex::decode(value.as_str()?.strip_prefix("0x")?).ok()
}

pub(crate) fn read_hash(value: &Value) -> Option<B256> {
    B256::try_from(read_data(value)?.as_slice()).ok()
}

pub(crate) fn read_address(value: &Value) -> Option<Address> {
    Address::try_from(read_data(value)?.as_slice()).ok()
}
