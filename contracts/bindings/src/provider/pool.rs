//! The pool: rounds, members, and the earnings they claim.

use super::{Address, Call, ChainError, Money, U256, WattHours};
use crate::abi::{as_address, ask, function, parts, to};
use crate::chain::{Chain, Log};

/// What may be done in a round, by the time of the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No rounds: everything may be done.
    Continuous,
    /// Prices and shares may change, supply is offered, nothing is billed.
    Offer,
    /// Prices and shares stand, energy is billed.
    Supply,
    /// The rest is billed, earnings are shared.
    Settlement,
}

/// Where a contract is in its rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhaseNow {
    /// The round, from 1; zero without rounds.
    pub round: u32,
    /// The phase.
    pub phase: Phase,
    /// When it ends, in seconds since 1970; zero without rounds.
    pub ends_at: u64,
}

/// A member of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Parts of the whole, or parts for each Wh that `account` feeds in.
    pub share: u64,
    /// The account whose feed-in counts; `None` for a fixed share.
    pub account: Option<u32>,
    /// Its feed-in register when earnings were last shared.
    pub seen: WattHours,
}

/// Somebody claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Whose it was.
    pub who: Address,
    /// Who was paid.
    pub to: Address,
    /// How much.
    pub units: Money,
}

/// Gives somebody a share: a fixed one, or one for each Wh that `account` feeds in from now on. Zero ends membership.
#[must_use]
pub fn set_member(provider: Address, who: Address, share: u64, account: Option<u32>) -> Call {
    let data = function("setMember(address,uint64,uint32)", 3).address(who).uint(U256::from(share));
    to(provider, data.uint(U256::from(account.unwrap_or(0))))
}

/// Says how much the sender, a member, will supply in this round.
#[must_use]
pub fn offer_supply(provider: Address, energy: u64) -> Call {
    to(provider, function("offerSupply(uint64)", 1).uint(U256::from(energy)))
}

/// Shares what is available among the members.
#[must_use]
pub fn share_out(provider: Address) -> Call {
    to(provider, function("shareOut()", 0))
}

/// Pays out what the sender may claim.
#[must_use]
pub fn claim(provider: Address, payee: Address) -> Call {
    to(provider, function("claim(address)", 1).address(payee))
}

/// Where the contract is in its rounds, at the head of the chain.
///
/// # Errors
/// Those of the chain.
pub fn phase_now(chain: &dyn Chain, provider: Address) -> Result<PhaseNow, ChainError> {
    ask(chain, provider, function("phaseNow()", 0), |w| {
        let phases = [Phase::Continuous, Phase::Offer, Phase::Supply, Phase::Settlement];
        let phase = *phases.get(w.number::<usize>(1)?)?;
        Some(PhaseNow { round: w.number(0)?, phase, ends_at: w.number(2)? })
    })
}

/// The members of the pool.
///
/// # Errors
/// Those of the chain.
pub fn members(chain: &dyn Chain, provider: Address) -> Result<Vec<Address>, ChainError> {
    ask(chain, provider, function("members()", 0), |w| {
        let count = w.number::<u8>(1)?;
        (0..usize::from(count)).map(|i| w.address(2 + i)).collect()
    })
}

/// A member; `None` for somebody who is none.
///
/// # Errors
/// Those of the chain.
pub fn member_of(chain: &dyn Chain, provider: Address, who: Address) -> Result<Option<Member>, ChainError> {
    ask(chain, provider, function("memberOf(address)", 1).address(who), |w| {
        let account = Some(w.number(1)?).filter(|n| *n != 0);
        let member = Member { share: w.number(0)?, account, seen: w.energy(2)? };
        Some((w.number::<u8>(3)? != 0).then_some(member))
    })
}

/// What somebody may claim.
///
/// # Errors
/// Those of the chain.
pub fn claimable(chain: &dyn Chain, provider: Address, who: Address) -> Result<Money, ChainError> {
    ask(chain, provider, function("claimable(address)", 1).address(who), |w| w.amount(0))
}

/// Reads a `Claimed` event; `None` if the log is another.
#[must_use]
pub fn claimed(log: &Log) -> Option<Claimed> {
    let (topics, data) = parts(log, "Claimed(address,address,uint256)", 2, 1)?;
    Some(Claimed { who: as_address(topics[0])?, to: as_address(topics[1])?, units: data.amount(0)? })
}
