//! What a customer does with the contract: leaving with a refund, and contesting what was billed.

use super::events::{ACCOUNT_CLOSING, CONTESTED, HOLDER_SET, OVERTURNED, REFUNDED, REOPENED};
use super::{Address, B256, Call, ChainError, Money, U256, WattHours};
use crate::abi::{as_address, ask, function, parts, small, to};
use crate::chain::{Chain, Log};
use crate::operator::Reading;
use domain::{OnChain, Timestamp};

/// What was left of a closed account was paid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refunded {
    /// The account.
    pub number: u32,
    /// Its holder.
    pub to: Address,
    /// How much.
    pub units: Money,
}

/// What an account was billed was contested, and not yet overturned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contest {
    /// Imported energy billed then.
    pub imported: WattHours,
    /// When, in seconds since 1970.
    pub since: u64,
}

/// A reading has shown that more was billed than was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overturned {
    /// The account.
    pub number: u32,
    /// By how much at least.
    pub excess: WattHours,
    /// What was paid back for it.
    pub units: Money,
}

fn of(provider: Address, signature: &str, number: u32) -> Call {
    to(provider, function(signature, 1).uint(U256::from(number)))
}

/// Names who gets the refund of an account: the staff once, after that only the holder.
#[must_use]
pub fn set_holder(provider: Address, number: u32, holder: Address) -> Call {
    to(provider, function("setHolder(uint32,address)", 2).uint(U256::from(number)).address(holder))
}

/// The same for many accounts, or for none if one of them is refused.
#[must_use]
pub fn set_holders(provider: Address, holders: &[(u32, Address)]) -> Call {
    let data = function("setHolders(uint32[],address[])", 2)
        .words(holders.iter().map(|(number, _)| B256::from(U256::from(*number))))
        .words(holders.iter().map(|(_, holder)| holder.into_word()));
    to(provider, data)
}

/// Closes an account: the holder, who then waits, or the staff, who say that all is billed.
#[must_use]
pub fn close(provider: Address, number: u32) -> Call {
    of(provider, "close(uint32)", number)
}

/// Lets a closed account go on.
#[must_use]
pub fn reopen(provider: Address, number: u32) -> Call {
    of(provider, "reopen(uint32)", number)
}

/// Pays what is left of a closed account to its holder; anybody may send this.
#[must_use]
pub fn refund(provider: Address, number: u32) -> Call {
    of(provider, "refund(uint32)", number)
}

/// Contests, as the holder, what the account was billed so far.
#[must_use]
pub fn contest(provider: Address, number: u32) -> Call {
    of(provider, "contest(uint32)", number)
}

/// Shows a signed reading that is less than what was billed before it.
#[must_use]
pub fn overturn(provider: Address, number: u32, reading: &Reading, signature: &[u8; 65]) -> Call {
    let data = function("overturn(uint32,(uint64,uint64,uint64),bytes)", 5).uint(U256::from(number));
    to(provider, reading.words(data).bytes(signature))
}

/// Who gets the refund of an account, if somebody was named, and from when (seconds since 1970; zero if not closed).
///
/// # Errors
/// Those of the chain.
pub fn holder_of(chain: &dyn Chain, provider: Address, number: u32) -> Result<Option<(Address, u64)>, ChainError> {
    let question = function("holderOf(uint32)", 1).uint(U256::from(number));
    let (holder, due) = ask(chain, provider, question, |w| Some((w.address(0)?, w.number(1)?)))?;
    Ok((holder != Address::ZERO).then_some((holder, due)))
}

/// The contest of an account, if there is one.
///
/// # Errors
/// Those of the chain.
pub fn contest_of(chain: &dyn Chain, provider: Address, number: u32) -> Result<Option<Contest>, ChainError> {
    let question = function("contestOf(uint32)", 1).uint(U256::from(number));
    let read = ask(chain, provider, question, |w| {
        Some(Contest { imported: w.number(0).map(WattHours)?, since: w.number(1)? })
    })?;
    Ok((read.since != 0).then_some(read))
}

/// Reads a `HolderSet` event: the account and its holder; `None` if the log is another.
#[must_use]
pub fn holder_set(log: &Log) -> Option<(u32, Address)> {
    let (topics, _) = parts(log, HOLDER_SET, 2, 0)?;
    Some((small(topics[0])?, as_address(topics[1])?))
}

/// Reads an `AccountClosing` event: the account, and from when it is paid out, in seconds since 1970; `None` if the log
/// is another.
#[must_use]
pub fn account_closing(log: &Log) -> Option<(u32, u64)> {
    let (topics, data) = parts(log, ACCOUNT_CLOSING, 1, 1)?;
    Some((small(topics[0])?, data.number(0)?))
}

/// Reads a `Reopened` event: the account; `None` if the log is another.
#[must_use]
pub fn reopened(log: &Log) -> Option<u32> {
    let (topics, _) = parts(log, REOPENED, 1, 0)?;
    small(topics[0])
}

/// Whatever somebody other than a settler did to an account, deposits apart: the account and the event; `None` if the
/// log is another.
#[must_use]
pub fn happened(log: &Log) -> Option<(u32, OnChain)> {
    if let Some((number, holder)) = holder_set(log) {
        return Some((number, OnChain::HolderNamed { holder: holder.to_string() }));
    }
    if let Some((number, due)) = account_closing(log) {
        let due = i64::try_from(due).ok()?.checked_mul(1_000).map(Timestamp)?;
        return Some((number, OnChain::Closing { due }));
    }
    if let Some(number) = reopened(log) {
        return Some((number, OnChain::Reopened));
    }
    if let Some((number, imported)) = contested(log) {
        return Some((number, OnChain::Contested { imported }));
    }
    if let Some(Overturned { number, excess, units }) = overturned(log) {
        return Some((number, OnChain::Overturned { excess, from_peak: WattHours::ZERO, amount: units }));
    }
    let Refunded { number, to, units } = refunded(log)?;
    Some((number, OnChain::PaidOut { to: to.to_string(), amount: units }))
}

/// Reads a `Refunded` event; `None` if the log is another.
#[must_use]
pub fn refunded(log: &Log) -> Option<Refunded> {
    let (topics, data) = parts(log, REFUNDED, 2, 1)?;
    Some(Refunded { number: small(topics[0])?, to: as_address(topics[1])?, units: data.amount(0)? })
}

/// Reads a `Contested` event: the account, and what it was billed then; `None` if the log is another.
#[must_use]
pub fn contested(log: &Log) -> Option<(u32, WattHours)> {
    let (topics, data) = parts(log, CONTESTED, 1, 1)?;
    Some((small(topics[0])?, data.number(0).map(WattHours)?))
}

/// Reads an `Overturned` event; `None` if the log is another.
#[must_use]
pub fn overturned(log: &Log) -> Option<Overturned> {
    let (topics, data) = parts(log, OVERTURNED, 1, 2)?;
    let excess = data.number(0).map(WattHours)?;
    Some(Overturned { number: small(topics[0])?, excess, units: data.amount(1)? })
}
