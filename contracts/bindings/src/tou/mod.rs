//! `TimeOfUse.sol` from the outside: forecasts in, ranges out; and its bytecode run here, without a chain, so that
//! anybody can see beforehand what the chain will say.

mod events;
mod here;

pub use events::{Agreed, Disputed, Posted, agreed, disputed, posted};
pub use here::{Ran, kmeans_here};

use crate::abi::{Reader, Writer, init_code, selector};
use crate::chain::{Chain, ChainError};
use crate::tx::Call;
use crate::{Address, B256, U256, keccak256};
use std::sync::LazyLock;

/// The committed artefact: ABI, bytecode, compiler and settings, as `contracts/build.mjs` wrote it.
pub const ARTIFACT: &str = include_str!("../../../artifacts/TimeOfUse.json");

/// The code that deploys the contract, without the constructor's argument.
pub static INIT_CODE: LazyLock<Vec<u8>> = LazyLock::new(|| init_code(ARTIFACT));

/// The ranges of a day as the contract has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    /// The range of every slot.
    pub labels: Vec<u8>,
    /// The rounded mean of every range.
    pub centroids: Vec<i32>,
}

/// The values of a forecast as the contract takes them.
#[must_use]
pub fn pack(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_be_bytes()).collect()
}

/// What is said of a forecast: the hash of its packed values.
#[must_use]
pub fn forecast_hash(values: &[i32]) -> B256 {
    keccak256(pack(values))
}

/// Labels as the contract keeps them: two bits each, the first lowest. Labels are below 4 and at most 96.
#[must_use]
pub fn label_word(labels: &[u8]) -> U256 {
    labels.iter().take(96).rev().fold(U256::ZERO, |word, l| (word << 2) | U256::from(l & 3))
}

/// Two bits a slot.
fn labels_of(word: U256, slots: usize) -> Vec<u8> {
    (0..slots).map(|i| (word >> (2 * i)).byte(0) & 3).collect()
}

/// 32 bits a range.
fn centroids_of(word: U256, clusters: usize) -> Vec<i32> {
    let bits = |i: usize| (word >> (32 * i)).as_limbs()[0].to_le_bytes();
    (0..clusters).map(bits).map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

fn to(at: Address, data: Writer) -> Call {
    Call { to: Some(at), value: U256::ZERO, data: data.done() }
}

fn function(signature: &str, words: usize) -> Writer {
    Writer::new(&selector(signature), words)
}

/// Deploys the contract. The sender becomes owner and no gateway; ranges are posted so many minutes before they begin.
#[must_use]
pub fn deploy_call(notice: u32) -> Call {
    Call { to: None, value: U256::ZERO, data: Writer::new(&INIT_CODE, 1).uint(U256::from(notice)).done() }
}

/// Names a gateway, or takes its seat away.
#[must_use]
pub fn set_gateway(at: Address, gateway: Address, seated: bool) -> Call {
    to(at, function("setGateway(address,bool)", 2).address(gateway).uint(U256::from(u8::from(seated))))
}

/// A day's forecast to post. Times are minutes since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// One more than the day in force.
    pub round: u32,
    /// When the first slot begins.
    pub starts_at: u32,
    /// How long a slot is.
    pub slot_minutes: u16,
    /// The readings that the model learned from: the first minute, and the first after.
    pub data: (u32, u32),
    /// How many ranges were asked for.
    pub clusters: u8,
    /// Hash of the model.
    pub model: B256,
    /// The ranges as they were found here: the contract refuses others than its own.
    pub labels: Vec<u8>,
    /// The forecast.
    pub values: Vec<i32>,
}

/// Posts a day.
#[must_use]
pub fn post(at: Address, day: &Post) -> Call {
    let data = function("post(uint32,uint32,uint16,uint32,uint32,uint8,bytes32,uint192,bytes)", 9)
        .uint(U256::from(day.round))
        .uint(U256::from(day.starts_at))
        .uint(U256::from(day.slot_minutes))
        .uint(U256::from(day.data.0))
        .uint(U256::from(day.data.1))
        .uint(U256::from(day.clusters))
        .word(day.model)
        .uint(label_word(&day.labels))
        .bytes(&pack(&day.values));
    to(at, data)
}

/// Says what this gateway forecast for a day that another posted.
#[must_use]
pub fn attest(at: Address, round: u32, forecast: B256, model: B256) -> Call {
    to(at, function("attest(uint32,bytes32,bytes32)", 3).uint(U256::from(round)).word(forecast).word(model))
}

fn kmeans_call(at: Address, values: &[i32], clusters: u8) -> Call {
    to(at, function("kmeans(uint8,bytes)", 2).uint(U256::from(clusters)).bytes(&pack(values)))
}

fn ranges(output: &[u8], slots: usize) -> Option<Ranges> {
    let words = Reader(output);
    let clusters = words.number::<usize>(2).filter(|c| (1..=3).contains(c))?;
    Some(Ranges { labels: labels_of(words.uint(0)?, slots), centroids: centroids_of(words.uint(1)?, clusters) })
}

fn ask(chain: &dyn Chain, call: &Call) -> Result<Vec<u8>, ChainError> {
    chain.call(Address::ZERO, call)
}

fn nonsense<T>(read: Option<T>) -> Result<T, ChainError> {
    read.ok_or_else(|| ChainError::nonsense("eth_call", "an answer of another length or range"))
}

/// The best ranges of some values, as the contract finds them.
///
/// # Errors
/// See [`ChainError`].
pub fn kmeans(chain: &dyn Chain, at: Address, values: &[i32], clusters: u8) -> Result<Ranges, ChainError> {
    nonsense(ranges(&ask(chain, &kmeans_call(at, values, clusters))?, values.len()))
}

/// The range of a minute since 1970, and the day that it belongs to.
///
/// # Errors
/// `NothingInForce` where nothing was agreed on; see [`ChainError`].
pub fn range_at(chain: &dyn Chain, at: Address, minute: u32) -> Result<(u8, u32), ChainError> {
    let output = ask(chain, &to(at, function("rangeAt(uint32)", 1).uint(U256::from(minute))))?;
    let words = Reader(&output);
    nonsense(words.number(0).zip(words.number(1)))
}

/// A day as it was posted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Day {
    /// When its first slot begins, in minutes since 1970.
    pub starts_at: u32,
    /// Its ranges.
    pub ranges: Ranges,
    /// The readings that the model learned from.
    pub data: (u32, u32),
    /// How long a slot is, in minutes.
    pub slot_minutes: u16,
    /// Hash of the packed forecast.
    pub forecast: B256,
    /// Hash of the model.
    pub model: B256,
    /// More than half of the gateways forecast the same.
    pub agreed: bool,
    /// That cannot come about any more.
    pub failed: bool,
}

/// A day as it was posted, if it is one of the last two.
///
/// # Errors
/// `WrongRound`; see [`ChainError`].
pub fn day(chain: &dyn Chain, at: Address, round: u32) -> Result<Day, ChainError> {
    let output = ask(chain, &to(at, function("day(uint32)", 1).uint(U256::from(round))))?;
    nonsense(read_day(&Reader(&output)))
}

/// The newest day that was posted, with its number; `None` before the first.
///
/// # Errors
/// See [`ChainError`].
pub fn newest(chain: &dyn Chain, at: Address) -> Result<Option<(u32, Day)>, ChainError> {
    let mut found: Option<(u32, Day)> = None;
    // Odd and even numbers have a place each; asked for another number, the contract says which one is there.
    for place in [1, 2] {
        let (number, day) = match day(chain, at, place) {
            Ok(day) => (place, day),
            Err(error) => match there(&error) {
                Some(0) => continue,
                Some(number) => (number, self::day(chain, at, number)?),
                None => return Err(error),
            },
        };
        if found.as_ref().is_none_or(|(newest, _)| *newest < number) {
            found = Some((number, day));
        }
    }
    Ok(found)
}

/// The number that `WrongRound` expected.
fn there(error: &ChainError) -> Option<u32> {
    let ChainError::Reverted { data, .. } = error else { return None };
    let (head, words) = data.split_at_checked(4)?;
    (*head == selector("WrongRound(uint32,uint32)")).then(|| Reader(words).number(0)).flatten()
}

fn read_day(words: &Reader<'_>) -> Option<Day> {
    // In the order of the struct: labels, number, start, centroids, data, agree, disagree, slots, clusters, minutes, hashes.
    let (slots, clusters) = (words.number::<u8>(8)?, words.number::<u8>(9)?);
    let ranges = Ranges {
        labels: labels_of(words.uint(0)?, slots.into()),
        centroids: centroids_of(words.uint(3)?, clusters.min(3).into()),
    };
    Some(Day {
        starts_at: words.number(2)?,
        ranges,
        data: (words.number(4)?, words.number(5)?),
        slot_minutes: words.number(10)?,
        forecast: words.word(11)?,
        model: words.word(12)?,
        agreed: words.bool(13)?,
        failed: words.bool(14)?,
    })
}
