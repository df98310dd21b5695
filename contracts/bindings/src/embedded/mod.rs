//! A chain in this process, for development and for single sites: one authority, no finality, never a consensus
//! network.
//!
//! Every transaction is mined at once into a block of its own, under the rules of Osaka, and is on the disk before
//! the sender hears of it. A record holds the block and what it changed, so that opening a chain runs no contract and
//! never depends on how a contract would run today. In memory are the state at the head and an index; blocks are read
//! from the disk when somebody asks. Old blocks lose what their transactions carried and changed; headers, logs and
//! receipts stay.

mod block;
mod copy;
mod execute;
mod faults;
mod journal;
mod methods;
mod render;
mod server;
mod state;
mod store;
mod thin;

pub use copy::{Copied, PutBack, back_up, put_back};

use crate::chain::{Chain, ChainError, Head, Log, LogFilter, Receipt};
use crate::tx::{Call, Fees, decode};
use crate::{Address, B256, U256};
use domain::Clock;
use execute::{Env, TX_GAS_CAP};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use store::{LogQuery, Store};
use thiserror::Error;

/// What a new chain begins with. The same genesis has to be given when it is opened again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// The chain id that transactions are signed for.
    pub chain_id: u64,
    /// Who has how much wei at the start. The order does not count; nobody may be named twice.
    pub alloc: Vec<(Address, U256)>,
}

/// Why a chain cannot be opened. Each message names the file and says what to do.
#[derive(Debug, Error)]
pub enum EmbeddedError {
    /// The system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process has this chain open.
    #[error("{}: another process has this chain open; stop it first", path.display())]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// The file is no chain, or not whole.
    #[error("{}: damaged at byte {at}: {what}; put a backup of the file in its place", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        at: u64,
        /// What is wrong there.
        what: String,
    },
    /// Written by another version of this program.
    #[error("{}: format version {found}, but this program reads version {known}; use the program that wrote it", path.display())]
    UnknownVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version that this program writes.
        known: u32,
    },
    /// A chain with another chain id.
    #[error("{}: this chain has id {found}, the configuration says {wanted}; correct the configuration, or move the file away to start a new chain", path.display())]
    OtherChainId {
        /// The file.
        path: PathBuf,
        /// The id in the file.
        found: u64,
        /// The id asked for.
        wanted: u64,
    },
    /// A chain that began with other allocations.
    #[error("{}: this chain began with other balances; give the same as at its start, or move the file away to start a new chain", path.display())]
    OtherGenesis {
        /// The file.
        path: PathBuf,
    },
    /// A chain and a copy that went different ways.
    #[error("{}: this is another chain than the copy's; move the file away to put the copy in its place", path.display())]
    OtherChain {
        /// The file that is there.
        path: PathBuf,
    },
    /// A genesis that names somebody twice.
    #[error("the genesis gives coin to {0} twice")]
    AllocatedTwice(Address),
}

/// Two processes with one chain would each write their own next block.
fn lock(dir: &Path) -> Result<File, EmbeddedError> {
    let path = dir.join("chain.lock");
    let io = |source| EmbeddedError::Io { path: path.clone(), source };
    let lock = File::options().create(true).truncate(false).write(true).open(&path).map_err(io)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(EmbeddedError::InUse { path }),
        Err(std::fs::TryLockError::Error(e)) => Err(io(e)),
    }
}

/// The chain. Shared by reference; readers run side by side, transactions one after the other.
#[derive(Debug)]
pub struct EmbeddedChain {
    store: RwLock<Store>,
    chain_id: u64,
    clock: Clock,
    /// What goes wrong on purpose, if that is switched on.
    faults: Option<faults::Faults>,
    /// Held for as long as the chain is open.
    _lock: File,
}

impl EmbeddedChain {
    /// Opens the chain in this directory, or starts one there. A last block that was not written to its end is cut
    /// off: nobody was told of it.
    ///
    /// # Errors
    /// See [`EmbeddedError`].
    pub fn open(dir: &Path, genesis: Genesis, clock: Clock) -> Result<Self, EmbeddedError> {
        let mut alloc = BTreeMap::new();
        for (who, wei) in genesis.alloc {
            if alloc.insert(who, wei).is_some() {
                return Err(EmbeddedError::AllocatedTwice(who));
            }
        }
        std::fs::create_dir_all(dir).map_err(|source| EmbeddedError::Io { path: dir.to_owned(), source })?;
        let lock = lock(dir)?;
        let alloc: Vec<_> = alloc.into_iter().collect();
        let store = Store::open(dir, genesis.chain_id, &alloc)?;
        Ok(Self { store: RwLock::new(store), chain_id: genesis.chain_id, clock, faults: None, _lock: lock })
    }

    /// Keeps so many of the newest blocks whole; what is left of older ones are headers, logs and receipts. Usually that
    /// is 4,096.
    #[must_use]
    pub fn with_whole_blocks(mut self, newest: u64) -> Self {
        self.store.get_mut().unwrap_or_else(PoisonError::into_inner).keep_whole(newest);
        self
    }

    /// Answers one JSON-RPC 2.0 body, a request or a batch. The answer is empty, and HTTP status 204 is in place, if
    /// the body holds notifications only. Never panics and never fails: what is wrong is said in the answer.
    #[must_use]
    pub fn handle(&self, body: &[u8]) -> Vec<u8> {
        server::handle(self, body)
    }

    fn read(&self) -> RwLockReadGuard<'_, Store> {
        // A panic under the write lock leaves the store as it was: it changes only after the append, all at once.
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The circumstances of the next block, were it mined now.
    fn next_env(&self, store: &Store) -> Env {
        let head = store.head();
        Env {
            chain_id: self.chain_id,
            number: head.number.saturating_add(1),
            // A clock that steps back must not make time run backwards on the chain.
            timestamp: self.clock.now().unix_seconds().max(head.timestamp),
            base_fee: store.next_base_fee(),
        }
    }

    /// Takes a transaction into a block of its own.
    fn accept(&self, raw: &[u8]) -> Result<B256, ChainError> {
        let checked = decode(raw).map_err(|e| ChainError::refused(crate::chain::Refusal::Other, e))?;
        let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
        let env = self.next_env(&store);
        store.mine(env, raw, checked)
    }

    fn run(&self, from: Address, call: &Call, gas: u64) -> Result<execute::Called, ChainError> {
        let store = self.read();
        execute::call(self.next_env(&store), store.view(), from, call, gas)
    }

    /// The least that does, and where code runs a fifth more: many wallets send just what they are told, and a batch
    /// that is settled meanwhile changes what a call goes through.
    fn estimate(&self, from: Address, call: &Call, cap: u64) -> Result<u64, ChainError> {
        let store = self.read();
        let env = self.next_env(&store);
        let least = execute::estimate(|gas| execute::call(env, store.view(), from, call, gas), cap)?;
        let runs_code = call.to.is_none_or(|to| !store.state().code(to).is_empty());
        Ok(if runs_code { least.saturating_add(least / 5).min(cap) } else { least })
    }
}

/// A record's payload, read as a block and written again.
pub(crate) fn respelled(payload: &[u8]) -> Option<Vec<u8>> {
    block::Block::decode(payload).ok().map(|block| block.encode())
}

/// What a block's author may get per gas. The author is nobody, so the least that is not nothing: a fee of zero could
/// not be raised by percents.
const TIP: u128 = 1;

impl Chain for EmbeddedChain {
    fn chain_id(&self) -> Result<u64, ChainError> {
        Ok(self.chain_id)
    }

    fn head(&self) -> Result<Head, ChainError> {
        let store = self.read();
        let head = store.head();
        let (number, base_fee) = (self.shown_head(head.number), Some(u128::from(head.base_fee)));
        let hash = store.hash_at(number).unwrap_or_default();
        Ok(Head { number, hash, timestamp: head.timestamp, base_fee })
    }

    fn nonce(&self, of: Address) -> Result<u64, ChainError> {
        Ok(self.read().state().nonce(of))
    }

    fn balance(&self, of: Address) -> Result<U256, ChainError> {
        Ok(self.read().state().balance(of))
    }

    fn fees(&self) -> Result<Fees, ChainError> {
        let base_fee = u128::from(self.read().head().base_fee);
        Ok(Fees { max_fee: base_fee * 2 + TIP, max_priority: TIP })
    }

    fn call(&self, from: Address, call: &Call) -> Result<Vec<u8>, ChainError> {
        self.run(from, call, TX_GAS_CAP).map(|c| c.output)
    }

    fn estimate_gas(&self, from: Address, call: &Call) -> Result<u64, ChainError> {
        self.estimate(from, call, TX_GAS_CAP)
    }

    fn send(&self, raw: &[u8]) -> Result<B256, ChainError> {
        self.mishandled(raw).unwrap_or_else(|| self.accept(raw))
    }

    fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, ChainError> {
        let store = self.read();
        let Some(number) = store.block_of(transaction) else { return Ok(None) };
        if self.hides(number, store.head().number) {
            return Ok(None);
        }
        let Some((block, hash)) = store.block(number)? else { return Ok(None) };
        Ok(Some(store::receipt(&block, hash)))
    }

    fn block_hash(&self, number: u64) -> Result<Option<B256>, ChainError> {
        let store = self.read();
        let shown = number <= self.shown_head(store.head().number);
        Ok(store.hash_at(number).filter(|_| shown))
    }

    fn code(&self, at: Address) -> Result<Vec<u8>, ChainError> {
        Ok(self.read().state().code(at))
    }

    fn logs(&self, filter: &LogFilter) -> Result<Vec<Log>, ChainError> {
        let query = LogQuery {
            addresses: vec![filter.address],
            topics: filter.topic0.map(|t| vec![vec![t]]).unwrap_or_default(),
            blocks: filter.from_block..=filter.to_block,
        };
        Ok(self.read().logs(&query, usize::MAX)?.into_iter().map(|(log, _)| log).collect())
    }
}

#[cfg(test)]
mod tests;
