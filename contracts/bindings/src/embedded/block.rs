//! Blocks of the embedded chain: real RLP headers and hashes, one transaction in each.

use super::state::Diff;
use super::thin::Thin;
use crate::tx::{Transaction, append_u256, decode, type_of, u256};
use crate::{Address, B256, U256, keccak256};
use rlp::{DecoderError, Rlp, RlpStream};
use std::sync::LazyLock;

/// Gas that one block may hold. Half of it is the target that the base fee steers towards.
pub(super) const GAS_LIMIT: u64 = 30_000_000;
/// The base fee of the first block, in wei.
const FIRST_BASE_FEE: u64 = 1_000_000_000;

/// A header with the fields up to EIP-1559. The state root is zero: this chain keeps no state trie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub parent: B256,
    pub number: u64,
    pub timestamp: u64,
    pub gas_used: u64,
    pub base_fee: u64,
    pub transactions_root: B256,
    pub receipts_root: B256,
    pub bloom: Vec<u8>,
    /// In the first block the hash of chain id and allocation, so that its own hash stands for both; elsewhere empty, or
    /// how often blocks before this one were taken back on purpose.
    pub extra: Vec<u8>,
}

/// The root of a trie with nothing in it.
static EMPTY_ROOT: LazyLock<B256> = LazyLock::new(|| keccak256([0x80]));
/// The hash of an empty list of uncles.
pub(super) static NO_OMMERS: LazyLock<B256> = LazyLock::new(|| keccak256([0xc0]));

impl Header {
    pub(super) fn genesis(chain_id: u64, alloc: &[(Address, U256)]) -> Self {
        let mut s = RlpStream::new_list(2);
        s.append(&chain_id).begin_list(alloc.len());
        for (who, wei) in alloc {
            s.begin_list(2).append(&who.as_slice());
            append_u256(&mut s, *wei);
        }
        Self {
            parent: B256::ZERO,
            number: 0,
            // Not the clock: the same genesis has to have the same hash on every start.
            timestamp: 0,
            gas_used: 0,
            base_fee: FIRST_BASE_FEE,
            transactions_root: *EMPTY_ROOT,
            receipts_root: *EMPTY_ROOT,
            bloom: vec![0; 256],
            extra: keccak256(s.as_raw()).to_vec(),
        }
    }

    /// The base fee of the block after this one: EIP-1559.
    pub(super) fn next_base_fee(&self) -> u64 {
        let (fee, target) = (u128::from(self.base_fee), u128::from(GAS_LIMIT / 2));
        let used = u128::from(self.gas_used);
        let next = if used > target {
            fee + (fee * (used - target) / target / 8).max(1)
        } else {
            fee - fee * (target - used) / target / 8
        };
        u64::try_from(next).unwrap_or(u64::MAX)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut s = RlpStream::new_list(16);
        s.append(&self.parent.as_slice()).append(&NO_OMMERS.as_slice());
        s.append(&Address::ZERO.as_slice()).append(&B256::ZERO.as_slice());
        s.append(&self.transactions_root.as_slice()).append(&self.receipts_root.as_slice());
        s.append(&self.bloom.as_slice()).append(&0_u8).append(&self.number).append(&GAS_LIMIT);
        s.append(&self.gas_used).append(&self.timestamp).append(&self.extra.as_slice());
        s.append(&B256::ZERO.as_slice()).append(&[0_u8; 8].as_slice()).append(&self.base_fee);
        s.out().to_vec()
    }

    fn decode(r: &Rlp<'_>) -> Result<Self, DecoderError> {
        Ok(Self {
            parent: hash(&r.at(0)?)?,
            transactions_root: hash(&r.at(4)?)?,
            receipts_root: hash(&r.at(5)?)?,
            bloom: r.at(6)?.data()?.to_vec(),
            number: r.val_at(8)?,
            gas_used: r.val_at(10)?,
            timestamp: r.val_at(11)?,
            extra: r.at(12)?.data()?.to_vec(),
            base_fee: r.val_at(15)?,
        })
    }

    pub(super) fn hash(&self) -> B256 {
        keccak256(self.encode())
    }
}

/// A log before it has a place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RawLog {
    pub address: Address,
    pub topics: Vec<B256>,
    pub data: Vec<u8>,
}

/// What became of the block's transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub ok: bool,
    pub gas_used: u64,
    pub logs: Vec<RawLog>,
}

/// A block: everything that one record of the log file holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Block {
    pub header: Header,
    /// The transaction; empty in the first block, and in one that was mined on purpose with nothing in it. In old blocks
    /// what is [left](Thin) of it.
    pub raw: Vec<u8>,
    pub sender: Address,
    pub outcome: Outcome,
    pub diff: Diff,
}

/// What blocks say of themselves after others were taken back.
pub(super) fn branch_mark(branch: u64) -> Vec<u8> {
    if branch == 0 { Vec::new() } else { branch.to_be_bytes().to_vec() }
}

impl Block {
    pub(super) fn genesis(header: Header) -> Self {
        let outcome = Outcome { ok: true, gas_used: 0, logs: Vec::new() };
        Self { header, raw: Vec::new(), sender: Address::ZERO, outcome, diff: Diff::default() }
    }

    /// A block on top of `parent` in which nothing happens.
    pub(super) fn empty(parent: &Header, timestamp: u64, base_fee: u64, branch: u64) -> Self {
        Self::genesis(Header {
            parent: parent.hash(),
            number: parent.number.saturating_add(1),
            timestamp,
            gas_used: 0,
            base_fee,
            transactions_root: *EMPTY_ROOT,
            receipts_root: *EMPTY_ROOT,
            bloom: vec![0; 256],
            extra: branch_mark(branch),
        })
    }

    /// The block that this transaction makes on top of `parent`.
    pub(super) fn mine(parent: &Header, timestamp: u64, raw: &[u8], sender: Address, ran: (Outcome, Diff)) -> Self {
        let (outcome, diff) = ran;
        let header = Header {
            parent: parent.hash(),
            number: parent.number.saturating_add(1),
            timestamp,
            gas_used: outcome.gas_used,
            base_fee: parent.next_base_fee(),
            transactions_root: root_of_one(raw),
            receipts_root: root_of_one(&consensus_receipt(type_of(raw), &outcome)),
            bloom: bloom(&outcome.logs).to_vec(),
            extra: Vec::new(),
        };
        Self { header, raw: raw.to_vec(), sender, outcome, diff }
    }

    pub(super) fn transaction_hash(&self) -> Option<B256> {
        let hash = || Thin::of(self).map_or_else(|| keccak256(&self.raw), |thin| thin.hash);
        (!self.raw.is_empty()).then(hash)
    }

    /// The transaction, decoded again; `None` in the first block, and where it was let go.
    pub(super) fn transaction(&self) -> Option<Transaction> {
        decode(&self.raw).ok().map(|(tx, _)| tx)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut s = RlpStream::new_list(5);
        s.append_raw(&self.header.encode(), 1);
        s.append(&self.raw.as_slice()).append(&self.sender.as_slice());
        s.begin_list(3).append(&self.outcome.ok).append(&self.outcome.gas_used);
        append_logs(&mut s, &self.outcome.logs);
        self.diff.encode(&mut s);
        s.out().to_vec()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecoderError> {
        let r = Rlp::new(bytes);
        let outcome = r.at(3)?;
        let logs = outcome.at(2)?.iter().map(|l| read_log(&l)).collect::<Result<_, _>>()?;
        let block = Self {
            header: Header::decode(&r.at(0)?)?,
            raw: r.at(1)?.data()?.to_vec(),
            sender: address(&r.at(2)?)?,
            outcome: Outcome { ok: outcome.val_at(0)?, gas_used: outcome.val_at(1)?, logs },
            diff: Diff::decode(&r.at(4)?)?,
        };
        // A list that is broken in its middle reads as a shorter one, and half a change of the state is none: what would
        // be written otherwise is refused, with the constants of the header.
        if block.encode() != bytes {
            return Err(DecoderError::Custom("not as this program writes it"));
        }
        Ok(block)
    }
}

pub(super) fn hash(r: &Rlp<'_>) -> Result<B256, DecoderError> {
    B256::try_from(r.data()?).map_err(|_| DecoderError::RlpInvalidLength)
}

pub(super) fn address(r: &Rlp<'_>) -> Result<Address, DecoderError> {
    Address::try_from(r.data()?).map_err(|_| DecoderError::RlpInvalidLength)
}

pub(super) fn number(r: &Rlp<'_>) -> Result<U256, DecoderError> {
    u256(r)
}

fn append_logs(s: &mut RlpStream, logs: &[RawLog]) {
    s.begin_list(logs.len());
    for log in logs {
        s.begin_list(3).append(&log.address.as_slice()).begin_list(log.topics.len());
        for topic in &log.topics {
            s.append(&topic.as_slice());
        }
        s.append(&log.data.as_slice());
    }
}

fn read_log(r: &Rlp<'_>) -> Result<RawLog, DecoderError> {
    let topics = r.at(1)?.iter().map(|t| hash(&t)).collect::<Result<_, _>>()?;
    Ok(RawLog { address: address(&r.at(0)?)?, topics, data: r.at(2)?.data()?.to_vec() })
}

/// The receipt as the receipts trie holds it (EIP-2718).
fn consensus_receipt(kind: u8, outcome: &Outcome) -> Vec<u8> {
    let mut s = RlpStream::new_list(4);
    s.append(&outcome.ok).append(&outcome.gas_used).append(&bloom(&outcome.logs).as_slice());
    append_logs(&mut s, &outcome.logs);
    let mut out = if kind == 0 { Vec::new() } else { vec![kind] };
    out.extend_from_slice(s.as_raw());
    out
}

/// The root of a Merkle-Patricia trie that holds one value under index 0. Such a trie is one leaf, whose path is the
/// two nibbles of the index's RLP, 0x80, behind the mark 0x20 of an even leaf.
fn root_of_one(value: &[u8]) -> B256 {
    let mut s = RlpStream::new_list(2);
    s.append(&[0x20_u8, 0x80].as_slice()).append(&value);
    keccak256(s.as_raw())
}

/// The logs bloom of the yellow paper: three bits of 2048 for every address and topic.
pub(super) fn bloom(logs: &[RawLog]) -> [u8; 256] {
    let mut bits = [0_u8; 256];
    let mut add = |bytes: &[u8]| {
        let h = keccak256(bytes);
        for pair in [[h[0], h[1]], [h[2], h[3]], [h[4], h[5]]] {
            let bit = usize::from(u16::from_be_bytes(pair) & 2047);
            bits[255 - bit / 8] |= 1 << (bit % 8);
        }
    };
    for log in logs {
        add(log.address.as_slice());
        log.topics.iter().for_each(|t| add(t.as_slice()));
    }
    bits
}
