//! What gateways say to each other on the broker. Everything that arrives is somebody else's word: it is short, signed by
//! a member, in one spelling, or nothing.
//!
//! A message is its signature as 0x and 130 hex digits, a line feed, and a JSON object, at most [`LARGEST`] bytes in
//! all. Signed is [`contracts::witness::message`] of the kind and the bytes of the object, by the member in the topic.

use contracts::key::{KeyError, Signer};
use contracts::provider::Item;
use contracts::{Address, B256, witness};
use domain::{MeterId, Timestamp, WattHours};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Bytes of a message.
pub const LARGEST: usize = 128 * 1024;
/// Meters of one gateway.
pub const MOST_METERS: usize = 512;
/// Accounts of a batch.
pub const MOST_ITEMS: usize = 512;
/// Stretches of registers in a batch: meters that are exchanged have more than one.
pub const MOST_SPANS: usize = 1024;
/// Draws that one message votes on.
pub const MOST_VOTES: usize = 64;
/// Bytes of a reason, and reasons of a vote.
pub const MOST_REASONS: usize = 8;
const REASON: usize = 200;
/// Bytes of a signature as text, with its line feed.
const SEAL: usize = 2 + 130 + 1;

/// The kinds of messages: the last level of their topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// What a gateway's meters said.
    Readings,
    /// What a gateway wants to settle.
    Batch,
    /// What a gateway found of the batches of others.
    Votes,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Readings, Self::Batch, Self::Votes];

    /// Its name in topics and signatures.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Readings => "readings",
            Self::Batch => "batch",
            Self::Votes => "votes",
        }
    }
}

/// Why something is no message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unheard {
    /// Longer than [`LARGEST`].
    #[error("{0} bytes, of which at most {LARGEST} are read")]
    TooLong(usize),
    /// No signature before the first line feed, or one in another spelling.
    #[error("it does not begin with a signature: 0x, 130 hex digits and a line feed")]
    NoSeal,
    /// Signed by somebody else than the topic says.
    #[error("it is not signed by {0}, whose topic it is on")]
    NotBy(Address),
    /// No such object.
    #[error("{0}")]
    Body(String),
}

/// What a meter said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Which.
    pub meter: MeterId,
    /// When, in milliseconds since 1970.
    pub at: Timestamp,
    /// Its import register, in Wh.
    pub import: WattHours,
    /// Its export register, in Wh.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub export: Option<WattHours>,
}

/// What all meters of a gateway said last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Readings {
    /// One for each, at most [`MOST_METERS`].
    pub meters: Vec<Sample>,
}

/// A stretch of a meter's registers that a batch bills, without a gap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// The account that pays.
    pub account: u32,
    /// The meter.
    pub meter: MeterId,
    /// When it begins and ends, in milliseconds since 1970.
    pub at: (Timestamp, Timestamp),
    /// The import register then, in Wh.
    pub import: (WattHours, WattHours),
    /// The export register then, in Wh.
    pub export: (WattHours, WattHours),
}

/// What a gateway wants to settle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// The account book.
    #[serde(with = "text")]
    pub provider: Address,
    /// The batch's number among this gateway's.
    pub sequence: u64,
    /// The version of the tariff that prices it.
    pub tariff_version: u32,
    /// The root over the lines of bills behind it.
    #[serde(with = "text")]
    pub lines_root: B256,
    /// The packed items, as hex with 0x: 27 bytes each, as `settle` takes them.
    pub items: String,
    /// Where the items' energy was metered.
    pub spans: Vec<Span>,
}

/// What a gateway found of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vote {
    /// The draw.
    pub draw: u64,
    /// Whose batch.
    #[serde(with = "text")]
    pub opener: Address,
    /// The digest of the batch.
    #[serde(with = "text")]
    pub digest: B256,
    /// Whether it is as it should be.
    pub yes: bool,
    /// Signature of the finding (the digest, or its refusal), 0x and 130 hex digits: what the contract takes.
    pub finding: String,
    /// What is wrong, if something is; for people.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub reasons: Vec<String>,
}

/// The votes of a gateway on all draws that are open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Votes {
    /// One for each draw, at most [`MOST_VOTES`].
    pub votes: Vec<Vote>,
}

/// A message of any kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// [`Kind::Readings`].
    Readings(Readings),
    /// [`Kind::Batch`].
    Batch(Proposal),
    /// [`Kind::Votes`].
    Votes(Votes),
}

impl Said {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Readings(_) => Kind::Readings,
            Self::Batch(_) => Kind::Batch,
            Self::Votes(_) => Kind::Votes,
        }
    }

    /// Reads the object of a message.
    ///
    /// # Errors
    /// [`Unheard::Body`].
    pub fn read(kind: Kind, body: &[u8]) -> Result<Self, Unheard> {
        let wrong = |e: serde_json::Error| Unheard::Body(short(&e.to_string()));
        let said = match kind {
            Kind::Readings => Self::Readings(serde_json::from_slice(body).map_err(wrong)?),
            Kind::Batch => Self::Batch(serde_json::from_slice(body).map_err(wrong)?),
            Kind::Votes => Self::Votes(serde_json::from_slice(body).map_err(wrong)?),
        };
        said.check().map_err(|what| Unheard::Body(what.to_owned()))?;
        Ok(said)
    }

    fn body(&self) -> Result<Vec<u8>, serde_json::Error> {
        match self {
            Self::Readings(said) => serde_json::to_vec(said),
            Self::Batch(said) => serde_json::to_vec(said),
            Self::Votes(said) => serde_json::to_vec(said),
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Readings(Readings { meters }) => {
                if meters.len() > MOST_METERS {
                    return Err("more meters than one gateway has");
                }
                let sound = |s: &Sample| register(s.import) && s.export.is_none_or(register) && instant(s.at);
                if !meters.iter().all(sound) {
                    return Err("a register or an instant that no meter says");
                }
            }
            Self::Batch(proposal) => {
                proposal.items().ok_or("items that are none, or too many")?;
                if proposal.spans.len() > MOST_SPANS {
                    return Err("more stretches of registers than a batch has");
                }
                let rises = |(from, to): (WattHours, WattHours)| register(from) && register(to) && from <= to;
                let sound = |s: &Span| {
                    rises(s.import) && rises(s.export) && instant(s.at.0) && instant(s.at.1) && s.at.0 <= s.at.1
                };
                if !proposal.spans.iter().all(sound) {
                    return Err("registers that fall or that no meter says, or a stretch that ends before it begins");
                }
            }
            Self::Votes(Votes { votes }) => {
                if votes.len() > MOST_VOTES {
                    return Err("more votes than draws are open");
                }
                let sound = |v: &Vote| {
                    v.reasons.len() <= MOST_REASONS
                        && v.reasons.iter().all(|r| r.len() <= REASON && !r.contains(char::is_control))
                        && v.signature().is_some()
                };
                if !votes.iter().all(sound) {
                    return Err("a vote without a signature, or with too many words");
                }
            }
        }
        Ok(())
    }
}

impl Proposal {
    /// The items; `None` if they are none, or too many.
    #[must_use]
    pub fn items(&self) -> Option<Vec<Item>> {
        let bytes = unhex(&self.items)?;
        if bytes.is_empty() || bytes.len() % Item::LEN != 0 || bytes.len() / Item::LEN > MOST_ITEMS {
            return None;
        }
        bytes.chunks_exact(Item::LEN).map(|item| item.try_into().ok().map(Item::unpack)).collect()
    }

    /// The digest that a draw was opened for, if this is it.
    #[must_use]
    pub fn digest(&self, settler: Address) -> Option<B256> {
        let items = contracts::keccak256(unhex(&self.items)?);
        let (sequence, version) = (self.sequence, self.tariff_version);
        Some(witness::batch_digest(self.provider, settler, sequence, version, self.lines_root, items))
    }
}

impl Vote {
    /// The signature of the finding.
    #[must_use]
    pub fn signature(&self) -> Option<[u8; 65]> {
        signature(&self.finding)
    }
}

/// Signs and spells a message.
///
/// # Errors
/// [`KeyError::Signing`], also for what cannot be said in so few bytes.
pub fn seal(said: &Said, chain_id: u64, contract: Address, signer: &dyn Signer) -> Result<Vec<u8>, KeyError> {
    let body = said.body().map_err(|e| KeyError::Signing(e.to_string()))?;
    if body.len() + SEAL > LARGEST {
        return Err(KeyError::Signing(format!("{} bytes are more than a message has", body.len())));
    }
    let hash = witness::message(chain_id, contract, said.kind().as_str(), &body);
    let signature = witness::sign(hash, signer)?;
    Ok([hex(&signature).as_bytes(), b"\n", &body].concat())
}

/// Reads a message on the topic of a member.
///
/// # Errors
/// [`Unheard`].
pub fn open(kind: Kind, payload: &[u8], chain_id: u64, contract: Address, by: Address) -> Result<Said, Unheard> {
    if payload.len() > LARGEST {
        return Err(Unheard::TooLong(payload.len()));
    }
    let (seal, body) = payload.split_at_checked(SEAL).ok_or(Unheard::NoSeal)?;
    let seal = seal.strip_suffix(b"\n").and_then(|seal| std::str::from_utf8(seal).ok()).ok_or(Unheard::NoSeal)?;
    let seal = signature(seal).ok_or(Unheard::NoSeal)?;
    let hash = witness::message(chain_id, contract, kind.as_str(), body);
    if witness::signer(hash, &seal) != Some(by) {
        return Err(Unheard::NotBy(by));
    }
    Said::read(kind, body)
}

/// Words and addresses, as they are printed.
mod text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<T: std::fmt::Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

/// Bytes as hex with 0x.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// Bytes from hex with 0x.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    hex::decode(text.strip_prefix("0x")?).ok()
}

fn signature(text: &str) -> Option<[u8; 65]> {
    if text.len() != 132 {
        return None;
    }
    unhex(text)?.try_into().ok()
}

fn register(value: WattHours) -> bool {
    value.as_register().is_some()
}

/// Between 1970 and the year 3000.
fn instant(at: Timestamp) -> bool {
    (0..32_503_680_000_000).contains(&at.0)
}

/// In few characters, and on one line.
pub(super) fn short(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(REASON / 4).collect()
}
