//! What the contract says happened.

use crate::abi::{Reader, as_address};
use crate::chain::Log;
use crate::{Address, B256};

/// The signatures of the events: their hashes are the logs' first topics.
pub mod topic {
    use crate::{B256, keccak256};
    macro_rules! topics {
        ($($(#[$m:meta])* $name:ident $signature:literal),* $(,)?) => {$(
            $(#[$m])*
            #[must_use]
            pub fn $name() -> B256 { keccak256($signature) }
        )*};
    }
    topics! {
        /// A solution was revealed.
        revealed "Revealed(uint32,address,int256,int256)",
        /// A round ended.
        dispatched "Dispatched(uint32,address,int256,int256,bool)",
        /// Three buses were solved.
        solved "Solved(uint32,int256[3],int256[3],int256)",
        /// What was fed in was compared with what was dispatched.
        complied "Complied(uint32,uint16,int256,int256,int256,bool)",
    }
}

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

fn data(log: &Log, topic: B256) -> Option<Reader<'_>> {
    (log.topics.first() == Some(&topic)).then_some(Reader(&log.data))
}

fn number<T: TryFrom<u64>>(log: &Log, topic: usize) -> Option<T> {
    Reader(log.topics.get(topic)?.as_slice()).number(0)
}

/// Reads such a log; `None` for any other.
#[must_use]
pub fn revealed(log: &Log) -> Option<Revealed> {
    let words = data(log, topic::revealed())?;
    let who = as_address(*log.topics.get(2)?)?;
    Some(Revealed { round: number(log, 1)?, who, cost: words.int(0)?, bound: words.int(1)? })
}

/// Reads such a log; `None` for any other.
#[must_use]
pub fn dispatched(log: &Log) -> Option<Dispatched> {
    let words = data(log, topic::dispatched())?;
    let winner = as_address(*log.topics.get(2)?)?;
    let (cost, bound, proven) = (words.int(0)?, words.int(1)?, words.bool(2)?);
    Some(Dispatched { round: number(log, 1)?, winner, cost, bound, proven })
}

/// Reads such a log; `None` for any other.
#[must_use]
pub fn solved(log: &Log) -> Option<Solved> {
    let words = data(log, topic::solved())?;
    let three = |at: usize| Some([words.int(at)?, words.int(at + 1)?, words.int(at + 2)?]);
    Some(Solved { round: number(log, 1)?, power: three(0)?, price: three(3)?, cost: words.int(6)? })
}

/// Reads such a log; `None` for any other.
#[must_use]
pub fn complied(log: &Log) -> Option<Complied> {
    let words = data(log, topic::complied())?;
    Some(Complied {
        round: number(log, 1)?,
        generator: number(log, 2)?,
        dispatched: words.int(0)?,
        fed: words.int(1)?,
        payable: words.int(2)?,
        complied: words.bool(3)?,
    })
}
