//! What the contract says happened.

use super::{Ranges, centroids_of, labels_of};
use crate::abi::{Reader, as_address};
use crate::chain::Log;
use crate::{Address, B256, U256, keccak256};

/// A day was posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// Its number.
    pub round: u32,
    /// Who posted it.
    pub by: Address,
    /// When its first slot begins, in minutes since 1970.
    pub starts_at: u32,
    /// Labels of up to 96 slots, and three centroids; the day says how many of them count.
    pub ranges: Ranges,
    /// The readings that the model learned from, in minutes since 1970.
    pub data: (u32, u32),
    /// Hash of the packed forecast.
    pub forecast: B256,
    /// Hash of the model.
    pub model: B256,
}

/// A gateway forecast the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The day.
    pub round: u32,
    /// Who.
    pub by: Address,
}

/// A gateway forecast something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disputed {
    /// The day.
    pub round: u32,
    /// Who.
    pub by: Address,
    /// Hash of its own packed forecast.
    pub forecast: B256,
    /// Hash of its own model.
    pub model: B256,
}

/// The round and the gateway, if the log is this event and its data has so many words.
fn head(log: &Log, signature: &str, words: usize) -> Option<(u32, Address)> {
    let [event, round, by] = log.topics[..] else { return None };
    let own = event == keccak256(signature) && log.data.len() == words * 32;
    let round = u32::try_from(U256::from_be_bytes(round.0)).ok()?;
    own.then_some((round, as_address(by)?))
}

/// Reads a log as [`Posted`].
#[must_use]
pub fn posted(log: &Log) -> Option<Posted> {
    let signature = "Posted(uint32,address,uint32,uint192,uint96,uint32,uint32,bytes32,bytes32)";
    let (round, by) = head(log, signature, 7)?;
    let words = Reader(&log.data);
    Some(Posted {
        round,
        by,
        starts_at: words.number(0)?,
        ranges: Ranges { labels: labels_of(words.uint(1)?, 96), centroids: centroids_of(words.uint(2)?, 3) },
        data: (words.number(3)?, words.number(4)?),
        forecast: words.word(5)?,
        model: words.word(6)?,
    })
}

/// Reads a log as [`Agreed`].
#[must_use]
pub fn agreed(log: &Log) -> Option<Agreed> {
    let (round, by) = head(log, "Agreed(uint32,address)", 0)?;
    Some(Agreed { round, by })
}

/// Reads a log as [`Disputed`].
#[must_use]
pub fn disputed(log: &Log) -> Option<Disputed> {
    let (round, by) = head(log, "Disputed(uint32,address,bytes32,bytes32)", 2)?;
    let words = Reader(&log.data);
    Some(Disputed { round, by, forecast: words.word(0)?, model: words.word(1)? })
}
