//! What the contract answers when it is asked.

use super::of;
use crate::abi::{ask, function};
use crate::chain::{Chain, ChainError};
use crate::{Address, B256, U256};

/// How far a round has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Solutions are committed to, or revealed.
    Open,
    /// It is over.
    Closed,
}

/// A round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// How far it has come.
    pub state: State,
    /// On which network.
    pub network: u32,
    /// Keccak-256 of its conditions.
    pub conditions: B256,
    /// The cheapest solution so far, 1e-9 quanta an hour; none before somebody revealed one.
    pub cost: Option<i128>,
    /// The highest bound so far.
    pub bound: Option<i128>,
    /// Whose the cheapest solution is; zero for nobody's.
    pub winner: Address,
    /// Solutions are committed until then, in seconds since 1970.
    pub commit_until: u64,
    /// And revealed until then.
    pub reveal_until: u64,
    /// How many committed.
    pub commits: u32,
    /// How many of them revealed.
    pub reveals: u32,
    /// What goes with a commitment, in wei.
    pub stake: U256,
}

/// Who opens rounds.
///
/// # Errors
/// If the chain does not answer, or nothing like this contract is there.
pub fn owner(chain: &dyn Chain, at: Address) -> Result<Address, ChainError> {
    ask(chain, at, function("owner()", 0), |w| w.address(0))
}

/// How many networks were published.
///
/// # Errors
/// As [`owner`].
pub fn networks(chain: &dyn Chain, at: Address) -> Result<u32, ChainError> {
    ask(chain, at, function("networks()", 0), |w| w.number(0))
}

/// The bytes of a network.
///
/// # Errors
/// As [`owner`], and if there is no such network.
pub fn network_of(chain: &dyn Chain, at: Address, network: u32) -> Result<Vec<u8>, ChainError> {
    ask(chain, at, function("networkOf(uint32)", 1).uint(of(network)), |w| w.bytes(0).map(<[u8]>::to_vec))
}

/// A round; `None` if it was never opened.
///
/// # Errors
/// As [`owner`].
pub fn round_of(chain: &dyn Chain, at: Address, round: u32) -> Result<Option<Round>, ChainError> {
    // In the order of the struct: conditions, cost, bound, winner, network, duration, the two times, commits, reveals, the
    // winner's place, state, stake, and what is of nobody's concern here.
    ask(chain, at, function("roundOf(uint32)", 1).uint(of(round)), |w| {
        let state = match w.number::<u8>(11)? {
            0 => return Some(None),
            1 => State::Open,
            _ => State::Closed,
        };
        let reveals = w.number(9)?;
        let revealed = |value| (reveals > 0).then_some(value);
        Some(Some(Round {
            state,
            network: w.number(4)?,
            conditions: w.word(0)?,
            cost: revealed(w.int(1)?),
            bound: revealed(w.int(2)?),
            winner: w.address(3)?,
            commit_until: w.number(6)?,
            reveal_until: w.number(7)?,
            commits: w.number(8)?,
            reveals,
            stake: w.uint(12)?,
        }))
    })
}

/// What an address may collect, in wei.
///
/// # Errors
/// As [`owner`].
pub fn owing(chain: &dyn Chain, at: Address, who: Address) -> Result<U256, ChainError> {
    ask(chain, at, function("owing(address)", 1).address(who), |w| w.uint(0))
}

/// Whether a call was refused only because its time has not come.
#[must_use]
pub fn is_too_early(error: &ChainError) -> bool {
    matches!(error, ChainError::Reverted { data, .. } if data.get(..4) == Some(&crate::abi::selector("TooEarly()")))
}
