//! What the contract says happened.

use super::Verdict;
use crate::abi::{as_address, parts, small};
use crate::chain::Log;
use crate::{Address, B256};

/// A proof of location is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requested {
    /// Number of the request.
    pub id: u64,
    /// Whose place is to be proven.
    pub meter: Address,
    /// Who pays.
    pub requester: Address,
    /// Until when provers apply, in seconds since 1970.
    pub apply_until: u64,
}

/// A prover applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Of the request.
    pub id: u64,
    /// Who.
    pub prover: Address,
    /// Among the applicants.
    pub place: u8,
}

/// Provers are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// Of the request.
    pub id: u64,
    /// What beacons follow from.
    pub seed: B256,
    /// By place, bit by bit.
    pub chosen: u64,
    /// Until when distances are committed, in seconds since 1970.
    pub measure_until: u64,
}

/// A distance was revealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Of the request.
    pub id: u64,
    /// Whose.
    pub prover: Address,
    /// Millimetres; zero if nothing was heard.
    pub distance: u32,
}

/// There is a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located {
    /// Of the request.
    pub id: u64,
    /// On whom.
    pub meter: Address,
    /// What.
    pub verdict: Verdict,
    /// Where the distances put it, in millimetres from the site's origin.
    pub east: i32,
    /// Likewise.
    pub north: i32,
    /// Provers whose distance was dropped, by place, bit by bit.
    pub dropped: u64,
    /// How far the distances pull away from the claim.
    pub off: u64,
    /// What they leave.
    pub left: u64,
}

/// Reads such a log; `None` for any other.
#[must_use]
pub fn requested(log: &Log) -> Option<Requested> {
    let (indexed, words) = parts(log, "Requested(uint64,address,address,uint40)", 3, 1)?;
    let (meter, requester) = (as_address(indexed[1])?, as_address(indexed[2])?);
    Some(Requested { id: small(indexed[0])?, meter, requester, apply_until: words.number(0)? })
}

/// Reads such a log; `None` for any other.
#[must_use]
pub fn applied(log: &Log) -> Option<Applied> {
    let (indexed, words) = parts(log, "Applied(uint64,address,uint8)", 2, 1)?;
    Some(Applied { id: small(indexed[0])?, prover: as_address(indexed[1])?, place: words.number(0)? })
}

/// Reads such a log; `None` for any other.
#[must_use]
pub fn drawn(log: &Log) -> Option<Drawn> {
    let (indexed, words) = parts(log, "Drawn(uint64,bytes32,uint64,uint40)", 1, 3)?;
    let (seed, chosen) = (words.word(0)?, words.number(1)?);
    Some(Drawn { id: small(indexed[0])?, seed, chosen, measure_until: words.number(2)? })
}

/// Reads such a log; `None` for any other.
#[must_use]
pub fn opened(log: &Log) -> Option<Opened> {
    let (indexed, words) = parts(log, "Opened(uint64,address,uint24)", 2, 1)?;
    Some(Opened { id: small(indexed[0])?, prover: as_address(indexed[1])?, distance: words.number(0)? })
}

/// Reads such a log; `None` for any other.
#[must_use]
pub fn located(log: &Log) -> Option<Located> {
    let (indexed, words) = parts(log, "Located(uint64,address,uint8,int32,int32,uint64,uint64,uint64)", 2, 6)?;
    let place = |i| words.int(i).and_then(|v| i32::try_from(v).ok());
    Some(Located {
        id: small(indexed[0])?,
        meter: as_address(indexed[1])?,
        verdict: Verdict::of(words.number(0)?)?,
        east: place(1)?,
        north: place(2)?,
        dropped: words.number(3)?,
        off: words.number(4)?,
        left: words.number(5)?,
    })
}
