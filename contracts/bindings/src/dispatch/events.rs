//! What the contract says happened.

use crate::abi::{as_address, parts, small};
use crate::chain::Log;
use crate::{Address, keccak256};

/// A solution was revealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revealed {
    /// For which round.
    pub round: u32,
    /// By whom.
    pub who: Address,
    /// What it costs, 1e-9 quanta an hour.
    pub cost: i128,
    /// The bound that it proves.
    pub bound: i128,
}

/// A round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dispatched {
    /// Which.
    pub round: u32,
    /// Whose solution it is; zero for nobody's, the contract's address for its own.
    pub winner: Address,
    /// Its cost, 1e-9 quanta an hour.
    pub cost: i128,
    /// The highest bound.
    pub bound: i128,
    /// Whether the two are within the tolerance.
    pub proven: bool,
}

/// Three buses were solved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Solved {
    /// For which round.
    pub round: u32,
    /// Of each generator, 1e-9 p.u.
    pub power: [i128; 3],
    /// At each bus, 1e-9 quanta.
    pub price: [i128; 3],
    /// 1e-9 quanta an hour.
    pub cost: i128,
}

/// What a generator fed in beside what was dispatched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Complied {
    /// In which round.
    pub round: u32,
    /// Which generator.
    pub generator: u16,
    /// Wh.
    pub dispatched: i128,
    /// Wh.
    pub fed: i128,
    /// Wh that are paid for.
    pub payable: i128,
    /// Whether it did as it was told.
    pub complied: bool,
}

/// The round that such a log says was opened; `None` for any other log.
#[must_use]
pub fn opened(log: &Log) -> Option<u32> {
    let [name, round, _] = log.topics.as_slice() else { return None };
    (*name == keccak256("Opened(uint32,uint32,bytes)")).then(|| small(*round)).flatten()
}

/// Reads such a log; `None` for any other.
#[must_use]
pub fn revealed(log: &Log) -> Option<Revealed> {
    let (indexed, words) = parts(log, "Revealed(uint32,address,int256,int256)", 2, 2)?;
    let who = as_address(indexed[1])?;
    Some(Revealed { round: small(indexed[0])?, who, cost: words.int(0)?, bound: words.int(1)? })
}

/// Reads such a log; `None` for any other.
#[must_use]
pub fn dispatched(log: &Log) -> Option<Dispatched> {
    let (indexed, words) = parts(log, "Dispatched(uint32,address,int256,int256,bool)", 2, 3)?;
    let winner = as_address(indexed[1])?;
    let (cost, bound, proven) = (words.int(0)?, words.int(1)?, words.bool(2)?);
    Some(Dispatched { round: small(indexed[0])?, winner, cost, bound, proven })
}

/// Reads such a log; `None` for any other.
#[must_use]
pub fn solved(log: &Log) -> Option<Solved> {
    let (indexed, words) = parts(log, "Solved(uint32,int256[3],int256[3],int256)", 1, 7)?;
    let three = |at: usize| Some([words.int(at)?, words.int(at + 1)?, words.int(at + 2)?]);
    Some(Solved { round: small(indexed[0])?, power: three(0)?, price: three(3)?, cost: words.int(6)? })
}

/// Reads such a log; `None` for any other.
#[must_use]
pub fn complied(log: &Log) -> Option<Complied> {
    let (indexed, words) = parts(log, "Complied(uint32,uint16,int256,int256,int256,bool)", 2, 4)?;
    Some(Complied {
        round: small(indexed[0])?,
        generator: small(indexed[1])?,
        dispatched: words.int(0)?,
        fed: words.int(1)?,
        payable: words.int(2)?,
        complied: words.bool(3)?,
    })
}
