//! What the gateway asks of a chain, whoever answers.

use crate::tx::{Call, Fees};
use crate::{Address, B256, U256};
use thiserror::Error;

/// A chain. Calls block until there is an answer or an error; none of them retries.
pub trait Chain: Send + Sync {
    /// The chain id that transactions are signed for.
    fn chain_id(&self) -> Result<u64, ChainError>;
    /// The newest block.
    fn head(&self) -> Result<Head, ChainError>;
    /// How many transactions of this sender are in the chain at its head: the next nonce to use.
    fn nonce(&self, of: Address) -> Result<u64, ChainError>;
    /// Balance in wei at the head.
    fn balance(&self, of: Address) -> Result<U256, ChainError>;
    /// Fees that should carry a transaction into the next blocks: twice the base fee plus the tip. On a chain without
    /// EIP-1559 both are the gas price.
    fn fees(&self) -> Result<Fees, ChainError>;
    /// Runs a call at the head without a transaction, and returns what it returns.
    ///
    /// # Errors
    /// [`ChainError::Reverted`] among others.
    fn call(&self, from: Address, call: &Call) -> Result<Vec<u8>, ChainError>;
    /// The gas limit that the call needs at the head.
    ///
    /// # Errors
    /// [`ChainError::Reverted`] among others.
    fn estimate_gas(&self, from: Address, call: &Call) -> Result<u64, ChainError>;
    /// Hands over a signed transaction and returns its hash. That it was taken does not mean that it is in a block.
    ///
    /// # Errors
    /// [`ChainError::Refused`] says why it was not taken.
    fn send(&self, raw: &[u8]) -> Result<B256, ChainError>;
    /// The receipt of a transaction; `None` while it is in no block.
    fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, ChainError>;
    /// The hash of the block at this height; `None` above the head.
    fn block_hash(&self, number: u64) -> Result<Option<B256>, ChainError>;
    /// The code at an address at the head; empty if it is no contract.
    fn code(&self, at: Address) -> Result<Vec<u8>, ChainError>;
    /// Logs in chain order.
    fn logs(&self, filter: &LogFilter) -> Result<Vec<Log>, ChainError>;
    /// The caller takes this block for final. Of several nodes, one that has another in its place is asked no more.
    fn rely_on(&self, _block: u64, _hash: B256) {}
    /// What is wrong with some of several nodes while others answer: for people.
    fn problems(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The newest block of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Height.
    pub number: u64,
    /// Hash.
    pub hash: B256,
    /// Seconds since 1970.
    pub timestamp: u64,
    /// Wei per gas that every transaction of this block paid at least; `None` on a chain without EIP-1559, which takes
    /// legacy transactions only.
    pub base_fee: Option<u128>,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its hash.
    pub transaction: B256,
    /// The height of its block.
    pub block: u64,
    /// The hash of its block.
    pub block_hash: B256,
    /// Whether it did what it was to do; if not, it only cost gas.
    pub ok: bool,
    /// Gas used.
    pub gas_used: u64,
    /// The contract that it deployed.
    pub contract: Option<Address>,
    /// The logs that it wrote.
    pub logs: Vec<Log>,
}

/// One log of one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The contract that wrote it.
    pub address: Address,
    /// Up to four indexed words; the first names the event.
    pub topics: Vec<B256>,
    /// The rest, ABI-encoded.
    pub data: Vec<u8>,
    /// The height of its block.
    pub block: u64,
    /// The transaction that wrote it.
    pub transaction: B256,
    /// Its place among the logs of its block.
    pub log_index: u32,
}

/// Which logs are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogFilter {
    /// Those of this contract.
    pub address: Address,
    /// If given, those of this event.
    pub topic0: Option<B256>,
    /// From this height on.
    pub from_block: u64,
    /// Up to this height, included.
    pub to_block: u64,
}

/// Why a chain did not take a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It has it already: as good as taken.
    AlreadyKnown,
    /// Another transaction of the sender used this nonce, or this one is in a block already.
    NonceTooLow,
    /// Transactions of the sender before this one are missing.
    NonceTooHigh,
    /// It offers less than the base fee, or too little more than the one it should replace.
    Underpriced,
    /// The sender cannot pay value plus gas limit times fee.
    InsufficientFunds,
    /// It does not know the method: a question that it never answers.
    Unsupported,
    /// Something else, stated in the message.
    Other,
}

/// Why a chain gave no answer, or another than hoped for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChainError {
    /// Nobody answered, or the answer says to come back later.
    #[error("the chain at {url} cannot be reached: {what}")]
    Unreachable {
        /// Where it was sought, without credentials.
        url: String,
        /// What happened.
        what: String,
    },
    /// The chain said no.
    #[error("the chain refused: {message}")]
    Refused {
        /// What kind of no.
        kind: Refusal,
        /// Its words.
        message: String,
    },
    /// The contract said no: the same call would meet the same end.
    #[error("the contract reverted: {reason}")]
    Reverted {
        /// The decoded reason, as well as it can be decoded.
        reason: String,
        /// The bytes that it reverted with.
        data: Vec<u8>,
    },
    /// The answer makes no sense.
    #[error("the chain answered nonsense to {method}: {what}")]
    Nonsense {
        /// What was asked.
        method: String,
        /// What is wrong with the answer.
        what: String,
    },
}

impl ChainError {
    /// Whether the same request may well succeed later, with nothing changed by the caller.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    pub(crate) fn nonsense(method: &str, what: impl ToString) -> Self {
        Self::Nonsense { method: method.to_owned(), what: what.to_string() }
    }

    pub(crate) fn refused(kind: Refusal, message: impl ToString) -> Self {
        Self::Refused { kind, message: message.to_string() }
    }

    pub(crate) fn reverted(data: &[u8]) -> Self {
        Self::Reverted { reason: crate::provider::reason(data), data: data.to_vec() }
    }
}

/// Foreign words as they may stand in a log and on a terminal: on one line, and at most `most` characters of them.
pub(crate) fn quoted(words: &str, most: usize) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    match words.char_indices().nth(most) {
        Some((end, _)) => words.get(..end).unwrap_or_default().chars().map(plain).chain(['…']).collect(),
        None => words.chars().map(plain).collect(),
    }
}
