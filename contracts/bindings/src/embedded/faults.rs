//! What goes wrong on purpose, so that what talks to a chain can be tried: off unless switched on, and asked for by
//! JSON-RPC methods of their own.
//!
//! | method | what it does |
//! |---|---|
//! | `evm_mine` | mines an empty block |
//! | `anvil_setNextBlockBaseFeePerGas [wei]` | the base fee of the next block; from there it moves as EIP-1559 has it |
//! | `microgrid_reorg [depth, return]` | takes back so many blocks and mines as many others, with their transactions if `return` is true |
//! | `microgrid_drop [n]` | the next n transactions are said to be taken, and forgotten |
//! | `microgrid_loseAnswers [n]` | the next n transactions are mined, and the sender hears of a timeout |
//! | `microgrid_alreadyKnown [n]` | the next n transactions are called known already, and forgotten |
//! | `microgrid_hideReceipts [n]` | the next n questions for a receipt are answered with null |
//! | `microgrid_staleHead [n]` | the head is said to be n blocks lower, until told otherwise; what is above has no receipt |

use super::EmbeddedChain;
use super::methods::Params;
use super::server::Failure;
use crate::chain::{ChainError, Refusal};
use crate::json::{data, read_u64};
use crate::tx::decode;
use crate::{B256, keccak256};
use serde_json::Value;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many of the next questions meet a fault.
#[derive(Debug, Default)]
pub(super) struct Faults {
    drop: AtomicU64,
    lose: AtomicU64,
    known: AtomicU64,
    hide: AtomicU64,
    stale: AtomicU64,
}

/// Counts one down; whether there was one.
fn take(left: &AtomicU64) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
}

impl EmbeddedChain {
    /// Switches the methods on by which it can be made to misbehave: for tests only.
    #[must_use]
    pub fn with_faults(self) -> Self {
        Self { faults: Some(Faults::default()), ..self }
    }

    /// What is to become of a transaction that arrives now, if a fault is due; and what its sender hears.
    pub(super) fn mishandled(&self, raw: &[u8]) -> Option<Result<B256, ChainError>> {
        let faults = self.faults.as_ref()?;
        if take(&faults.drop) {
            return Some(decode(raw).map(|_| keccak256(raw)).map_err(|e| ChainError::refused(Refusal::Other, e)));
        }
        if take(&faults.known) {
            return Some(Err(ChainError::refused(Refusal::AlreadyKnown, "already known")));
        }
        if take(&faults.lose) {
            let _ = self.accept(raw);
            let (url, what) = ("embedded".to_owned(), "timed out".to_owned());
            return Some(Err(ChainError::Unreachable { url, what }));
        }
        None
    }

    /// Whether a receipt in this block is not to be seen now.
    pub(super) fn hides(&self, block: u64, head: u64) -> bool {
        self.faults
            .as_ref()
            .is_some_and(|f| block > head.saturating_sub(f.stale.load(Ordering::SeqCst)) || take(&f.hide))
    }

    /// The height that is said to be the head.
    pub(super) fn shown_head(&self, head: u64) -> u64 {
        head.saturating_sub(self.faults.as_ref().map_or(0, |f| f.stale.load(Ordering::SeqCst)))
    }

    fn mine_empty(&self) -> Result<B256, ChainError> {
        let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
        let env = self.next_env(&store);
        store.mine_empty(env)
    }

    /// Takes back `depth` blocks and mines as many others: with the transactions that were in them, or empty.
    fn reorg(&self, depth: u64, with_transactions: bool) -> Result<(), ChainError> {
        let gone = self.store.write().unwrap_or_else(PoisonError::into_inner).take_back(depth)?;
        for raw in gone {
            // One that cannot be mined again, since it followed something that is gone, leaves an empty block.
            if raw.is_empty() || !with_transactions || self.accept(&raw).is_err() {
                self.mine_empty()?;
            }
        }
        Ok(())
    }
}

/// Answers a method that makes the chain misbehave; `None` if it is none of them.
pub(super) fn call(chain: &EmbeddedChain, method: &str, p: &Params<'_>) -> Option<Result<Value, Failure>> {
    let faults = chain.faults.as_ref()?;
    let number = || p.read(0, "a number", |v| read_u64(v).or_else(|| v.as_u64()));
    let set = |counter: &AtomicU64| {
        counter.store(number()?, Ordering::SeqCst);
        Ok(Value::Bool(true))
    };
    Some(match method {
        "evm_mine" => chain.mine_empty().map(|hash| data(hash.as_slice())).map_err(Failure::from),
        "anvil_setNextBlockBaseFeePerGas" => number().map(|wei| {
            chain.store.write().unwrap_or_else(PoisonError::into_inner).set_base_fee(wei);
            Value::Null
        }),
        "microgrid_reorg" => number().and_then(|depth| {
            chain.reorg(depth, p.flag(1)?)?;
            Ok(Value::Null)
        }),
        "microgrid_drop" => set(&faults.drop),
        "microgrid_loseAnswers" => set(&faults.lose),
        "microgrid_alreadyKnown" => set(&faults.known),
        "microgrid_hideReceipts" => set(&faults.hide),
        "microgrid_staleHead" => set(&faults.stale),
        _ => return None,
    })
}
