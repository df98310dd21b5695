//! Vouchers: codes that an operator signs and anybody can pay in, once. What a code says is in the open; what it is
//! bound to (site, chain, contract, perhaps an account) is only in what was signed, so that a code stays short and means
//! nothing anywhere else.

mod text;

use crate::{AccountId, Money, Timestamp};
use std::time::Duration;
use thiserror::Error;

const DAY: Duration = Duration::from_secs(86_400);
/// What a code begins with, in its first three bits; another layout would have another.
const VERSION: u8 = 1;
/// Bits of the first byte.
const BOUND: u8 = 1 << 4;
const EXPIRES: u8 = 1 << 3;
const CONTRACT: u8 = 1 << 2;
const ODD: u8 = 1 << 1;

/// What makes two vouchers of the same worth different: 48 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nonce(pub [u8; 6]);

/// What a voucher says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voucher {
    /// What it is worth.
    pub amount: Money,
    /// Which of many.
    pub nonce: Nonce,
    /// The end of its last day, in UTC; none if it is good for ever.
    pub expires: Option<Timestamp>,
    /// Whether only one account may redeem it.
    pub bound: bool,
    /// Whether the contract's address was signed with it.
    pub contract: bool,
}

/// A signature over a voucher, as 64 bytes and a parity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Both halves of the signature.
    pub halves: [u8; 64],
    /// Whether the y coordinate of its point is odd.
    pub odd: bool,
}

/// A whole code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// What it says.
    pub voucher: Voucher,
    /// Who says so.
    pub seal: Seal,
}

/// Where a voucher is good.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The site's name.
    pub site: &'a str,
    /// Its chain.
    pub chain_id: u64,
    /// Its contract, where it is known.
    pub contract: Option<[u8; 20]>,
}

/// A text that is no code. It is a slip of the pen, not an attempt to guess one: whoever guesses gets the checksum right.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadCode {
    /// A character that no code has.
    #[error("{0:?} is in no voucher code: it has digits and letters, without U")]
    Character(char),
    /// Too short, too long, or a character is wrong.
    #[error("this is no voucher code, or a character of it is missing or wrong: its checksum does not fit")]
    Checksum,
    /// The checksum fits, but what it says cannot be.
    #[error("this voucher code is of a kind that this version does not know")]
    Unknown,
}

/// Why a voucher that is genuine is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotTaken {
    /// Its time is over.
    #[error("this voucher expired at {0}")]
    Expired(Timestamp),
    /// It is worth more than its operator may sign for.
    #[error("this voucher is worth more than its operator may sign for")]
    TooMuch,
}

impl Voucher {
    /// The end of the day on which `at` lies: codes know days only.
    #[must_use]
    pub fn end_of_day(at: Timestamp) -> Timestamp {
        at.floor_to(DAY) + DAY
    }

    /// Whether it may be paid in.
    ///
    /// # Errors
    /// Says why not.
    pub fn check(&self, now: Timestamp, limit: Money) -> Result<(), NotTaken> {
        match self.expires {
            Some(end) if now >= end => Err(NotTaken::Expired(end)),
            _ if self.amount > limit => Err(NotTaken::TooMuch),
            _ => Ok(()),
        }
    }

    /// The bytes that are signed: all it says, and where and for whom. `None` if it is signed with a contract and the
    /// place has none.
    #[must_use]
    pub fn statement(&self, place: &Place<'_>, account: &AccountId) -> Option<Vec<u8>> {
        let mut bytes = b"microgrid-gateway voucher\0".to_vec();
        for text in [place.site, if self.bound { account.as_str() } else { "" }] {
            bytes.extend(u64::try_from(text.len()).ok()?.to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        bytes.extend(place.chain_id.to_be_bytes());
        bytes.extend(if self.contract { place.contract? } else { [0; 20] });
        bytes.extend([u8::from(self.contract), u8::from(self.bound)]);
        bytes.extend(self.amount.0.to_be_bytes());
        bytes.extend(self.expires.map_or(0, |t| t.0).to_be_bytes());
        bytes.extend(self.nonce.0);
        Some(bytes)
    }

    fn write(&self, odd: bool) -> Option<Vec<u8>> {
        let flag = |on: bool, bit: u8| if on { bit } else { 0 };
        let head = (VERSION << 5)
            | flag(self.bound, BOUND)
            | flag(self.expires.is_some(), EXPIRES)
            | flag(self.contract, CONTRACT)
            | flag(odd, ODD);
        let (mut digits, mut zeros) = (u64::try_from(self.amount.0).ok().filter(|a| *a > 0)?, 0_u8);
        while digits % 10 == 0 {
            (digits, zeros) = (digits / 10, zeros + 1);
        }
        let mut bytes = vec![head, zeros];
        while digits >= 0x80 {
            bytes.push(u8::try_from(digits & 0x7F).ok()? | 0x80);
            digits >>= 7;
        }
        bytes.push(u8::try_from(digits).ok()?);
        bytes.extend(self.nonce.0);
        if let Some(end) = self.expires {
            let days = end.0.div_euclid(i64::try_from(DAY.as_millis()).ok()?);
            bytes.extend(u16::try_from(days).ok().filter(|d| Timestamp(0) + DAY * u32::from(*d) == end)?.to_be_bytes());
        }
        Some(bytes)
    }

    fn read(mut bytes: &[u8]) -> Option<(Self, bool)> {
        let mut take = |n: usize| {
            let (taken, rest) = bytes.split_at_checked(n)?;
            bytes = rest;
            Some(taken)
        };
        let &[head, zeros] = take(2)? else { return None };
        if head >> 5 != VERSION || head & 1 != 0 {
            return None;
        }
        let (mut amount, mut shift) = (0_i64, 0_u32);
        loop {
            let &[byte] = take(1)? else { return None };
            amount |= i64::from(byte & 0x7F).checked_mul(1_i64.checked_shl(shift)?)?;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        amount = amount.checked_mul(10_i64.checked_pow(u32::from(zeros))?)?;
        let nonce = Nonce(take(6)?.try_into().ok()?);
        let expires = match head & EXPIRES {
            0 => None,
            _ => Some(Timestamp(0) + DAY * u32::from(u16::from_be_bytes(take(2)?.try_into().ok()?))),
        };
        let voucher =
            Self { amount: Money(amount), nonce, expires, bound: head & BOUND != 0, contract: head & CONTRACT != 0 };
        // One voucher has one spelling, so that its number is one.
        let odd = head & ODD != 0;
        (bytes.is_empty() && amount > 0 && voucher.write(odd).is_some()).then_some((voucher, odd))
    }
}

impl Code {
    /// The code; `None` if the voucher cannot be put into one: an amount of nothing, an expiry that is no end of a day.
    #[must_use]
    pub fn new(voucher: Voucher, seal: Seal) -> Option<Self> {
        voucher.write(seal.odd).map(|_| Self { voucher, seal })
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.voucher.write(self.seal.odd).unwrap_or_default();
        bytes.extend(self.seal.halves);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (said, halves) = bytes.split_at_checked(bytes.len().checked_sub(64)?)?;
        let (voucher, odd) = Voucher::read(said)?;
        let code = Self { voucher, seal: Seal { halves: halves.try_into().ok()?, odd } };
        (code.bytes() == bytes).then_some(code)
    }
}

#[cfg(test)]
mod tests;
