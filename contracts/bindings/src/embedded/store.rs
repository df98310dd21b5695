//! Head, index and state in memory over blocks on the disk.

use super::EmbeddedError;
use super::block::{Block, Header, branch_mark};
use super::execute::{Env, TX_GAS_CAP, execute};
use super::journal::{Journal, Place};
use super::state::{Diff, State, View};
use super::thin::{Thin, thinned};
use crate::chain::{ChainError, Log, Receipt, Refusal};
use crate::tx::Transaction;
use crate::{Address, B256, U256, keccak256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::path::Path;

/// So many of the newest blocks are kept whole, and up to as many more until it is worth writing the file anew: six weeks
/// of batches every quarter of an hour.
const WHOLE: u64 = 4_096;
/// The largest transaction in bytes, as other clients have it.
const MAX_TRANSACTION: usize = 128 * 1024;

/// Which logs are wanted. Empty lists stand for anything.
pub(super) struct LogQuery {
    pub addresses: Vec<Address>,
    /// For each topic in turn the values that will do.
    pub topics: Vec<Vec<B256>>,
    pub blocks: RangeInclusive<u64>,
}

impl LogQuery {
    fn wants(&self, address: &Address, topics: &[B256]) -> bool {
        let any = |list: &[B256], topic: Option<&B256>| list.is_empty() || topic.is_some_and(|t| list.contains(t));
        (self.addresses.is_empty() || self.addresses.contains(address))
            && self.topics.len() <= topics.len()
            && self.topics.iter().enumerate().all(|(i, list)| any(list, topics.get(i)))
    }
}

#[derive(Debug)]
pub(super) struct Store {
    journal: Journal,
    memory: Memory,
    alloc: Vec<(Address, U256)>,
    /// The base fee of the next block, if somebody has set it.
    base_fee: Option<u64>,
    /// So many of the newest blocks are kept whole.
    whole: u64,
    /// The newest block that is not whole; zero while all are.
    thinned: u64,
    /// How often blocks were taken back: what is mined afterwards says so, and is never the same block again.
    branch: u64,
}

/// What is known without reading the disk: all of it follows from the genesis and the records.
#[derive(Debug)]
struct Memory {
    state: State,
    head: Header,
    genesis: Header,
    /// Hash of every block, and where its record lies; the first block has none.
    blocks: Vec<(B256, Option<Place>)>,
    by_hash: HashMap<B256, u64>,
    by_transaction: HashMap<B256, u64>,
    /// Blocks with logs of an address under a first topic (zero for logs without any).
    by_event: BTreeMap<(Address, B256), Vec<u64>>,
}

impl Memory {
    fn new(genesis: Header, alloc: &[(Address, U256)]) -> Self {
        let hash = genesis.hash();
        Self {
            state: State::new(alloc),
            head: genesis.clone(),
            genesis,
            blocks: vec![(hash, None)],
            by_hash: HashMap::from([(hash, 0)]),
            by_transaction: HashMap::new(),
            by_event: BTreeMap::new(),
        }
    }

    fn head_hash(&self) -> B256 {
        self.blocks.last().map(|(hash, _)| *hash).unwrap_or_default()
    }

    fn add(&mut self, block: &Block, place: Place) {
        let (number, hash) = (block.header.number, block.header.hash());
        self.state.apply(&block.diff);
        self.blocks.push((hash, Some(place)));
        self.by_hash.insert(hash, number);
        if let Some(transaction) = block.transaction_hash() {
            self.by_transaction.insert(transaction, number);
        }
        for log in &block.outcome.logs {
            let event = (log.address, log.topics.first().copied().unwrap_or_default());
            let list = self.by_event.entry(event).or_default();
            if list.last() != Some(&number) {
                list.push(number);
            }
        }
        self.head = block.header.clone();
    }
}

impl Store {
    pub(super) fn open(dir: &Path, chain_id: u64, alloc: &[(Address, U256)]) -> Result<Self, EmbeddedError> {
        let mut memory = Memory::new(Header::genesis(chain_id, alloc), alloc);
        let mut thinned = 0;
        let journal = Journal::open(dir, chain_id, memory.head_hash(), |payload, place| {
            let block = Block::decode(payload).map_err(|e| format!("a record that is no block ({e})"))?;
            let (number, head) = (block.header.number, memory.head.number);
            if block.header.parent != memory.head_hash() || number != head.saturating_add(1) {
                return Err(format!("block {number} does not follow block {head}"));
            }
            // A thinned block that carried nothing bears no mark; the last of the thinned has the whole state in its place.
            if Thin::of(&block).is_some() || (block.raw.is_empty() && block.diff != Diff::default()) {
                thinned = number;
            }
            memory.add(&block, place);
            Ok(())
        })?;
        Ok(Self { journal, memory, alloc: alloc.to_vec(), base_fee: None, whole: WHOLE, thinned, branch: 0 })
    }

    pub(super) fn next_base_fee(&self) -> u64 {
        self.base_fee.unwrap_or_else(|| self.memory.head.next_base_fee())
    }

    pub(super) fn set_base_fee(&mut self, wei: u64) {
        self.base_fee = Some(wei);
    }

    /// Cuts the newest blocks off, and answers the transactions that were in them, oldest first; an empty block's is
    /// empty.
    pub(super) fn take_back(&mut self, depth: u64) -> Result<Vec<Vec<u8>>, ChainError> {
        let keep = self.memory.head.number.saturating_sub(depth);
        if keep < self.thinned {
            let message = format!("blocks up to {} cannot be taken back: their state is not kept", self.thinned);
            return Err(ChainError::refused(Refusal::Other, message));
        }
        let mut gone = Vec::new();
        for number in keep.saturating_add(1)..=self.memory.head.number {
            gone.extend(self.block(number)?.map(|(block, _)| block.raw));
        }
        let mut memory = Memory::new(self.memory.genesis.clone(), &self.alloc);
        let mut last = None;
        for number in 1..=keep {
            let place = usize::try_from(number).ok().and_then(|n| self.memory.blocks.get(n)).and_then(|(_, p)| *p);
            if let (Some((block, _)), Some(place)) = (self.block(number)?, place) {
                memory.add(&block, place);
                last = Some(place);
            }
        }
        self.journal.cut_after(last).map_err(|e| self.failed(&e))?;
        (self.memory, self.branch) = (memory, self.branch + 1);
        Ok(gone)
    }

    /// Mines a block without a transaction.
    pub(super) fn mine_empty(&mut self, env: Env) -> Result<B256, ChainError> {
        let block = Block::empty(&self.memory.head, env.timestamp, env.base_fee, self.branch);
        self.append(&block)?;
        Ok(self.memory.head_hash())
    }

    fn append(&mut self, block: &Block) -> Result<(), ChainError> {
        let place = self.journal.append(&block.encode()).map_err(|e| {
            tracing::error!(file = %self.journal.path().display(), error = %e, "the chain takes no more transactions");
            self.failed(&e)
        })?;
        self.memory.add(block, place);
        self.base_fee = None;
        if self.memory.head.number.saturating_sub(self.thinned) >= self.whole.saturating_mul(2) {
            // Nobody is to wait for it: what was mined is on the disk, and next time it is tried again.
            if let Err(e) = self.thin_out() {
                tracing::error!(file = %self.journal.path().display(), error = %e, "the chain's old blocks stay as they are");
            }
        }
        Ok(())
    }

    pub(super) fn keep_whole(&mut self, newest: u64) {
        self.whole = newest.max(1);
    }

    /// Lets go of what old blocks carried and changed. The file is written anew beside the old one, and takes its place
    /// when all of it is on the disk.
    fn thin_out(&mut self) -> Result<(), ChainError> {
        let upto = self.memory.head.number.saturating_sub(self.whole);
        let begun = State::new(&self.alloc);
        let mut state = begun.clone();
        let mut draft = self.journal.draft().map_err(|e| self.failed(&e))?;
        let mut places = Vec::with_capacity(self.memory.blocks.len());
        for number in 1..=self.memory.head.number {
            let missing = || self.failed(&std::io::Error::other(format!("block {number} is missing")));
            let (mut block, _) = self.block(number)?.ok_or_else(missing)?;
            if number <= upto {
                state.apply(&block.diff);
                block = thinned(&block, (number == upto).then_some((&begun, &state)));
            }
            places.push(draft.append(&block.encode()).map_err(|e| self.failed(&e))?);
        }
        self.journal.replace(draft).map_err(|e| self.failed(&e))?;
        for (known, place) in self.memory.blocks.iter_mut().skip(1).zip(places) {
            known.1 = Some(place);
        }
        self.thinned = upto;
        Ok(())
    }

    pub(super) fn head(&self) -> &Header {
        &self.memory.head
    }

    pub(super) fn state(&self) -> &State {
        &self.memory.state
    }

    pub(super) fn hash_at(&self, number: u64) -> Option<B256> {
        self.memory.blocks.get(usize::try_from(number).ok()?).map(|(hash, _)| *hash)
    }

    pub(super) fn number_of(&self, hash: B256) -> Option<u64> {
        self.memory.by_hash.get(&hash).copied()
    }

    pub(super) fn block_of(&self, transaction: B256) -> Option<u64> {
        self.memory.by_transaction.get(&transaction).copied()
    }

    pub(super) fn view(&self) -> View<'_> {
        View { state: &self.memory.state, blocks: &self.memory.blocks }
    }

    /// Reads a block from the disk; `None` above the head.
    pub(super) fn block(&self, number: u64) -> Result<Option<(Block, B256)>, ChainError> {
        let found = usize::try_from(number).ok().and_then(|n| self.memory.blocks.get(n));
        let Some((hash, place)) = found else { return Ok(None) };
        let Some(place) = place else { return Ok(Some((Block::genesis(self.memory.genesis.clone()), *hash))) };
        let payload = self.journal.read(*place).map_err(|e| self.failed(&e))?;
        let block = Block::decode(&payload).map_err(|e| self.failed(&e))?;
        Ok(Some((block, *hash)))
    }

    /// Validates and runs a transaction and makes its block durable. Memory changes only after that.
    pub(super) fn mine(
        &mut self,
        env: Env,
        raw: &[u8],
        (tx, sender): (Transaction, Address),
    ) -> Result<B256, ChainError> {
        let hash = keccak256(raw);
        if self.memory.by_transaction.contains_key(&hash) {
            return Err(ChainError::refused(Refusal::AlreadyKnown, "already known"));
        }
        self.validate(env, raw, &tx, sender)?;
        let ran = execute(env, self.view(), &tx, sender)?;
        let mut block = Block::mine(&self.memory.head, env.timestamp, raw, sender, ran);
        block.header.base_fee = env.base_fee;
        block.header.extra = branch_mark(self.branch);
        self.append(&block)?;
        Ok(hash)
    }

    /// The rules of a transaction pool, in the words of the clients that senders are used to.
    fn validate(&self, env: Env, raw: &[u8], tx: &Transaction, sender: Address) -> Result<(), ChainError> {
        let no = |kind, message: String| Err(ChainError::refused(kind, message));
        if raw.len() > MAX_TRANSACTION {
            return no(Refusal::Other, format!("oversized data: {} bytes, limit {MAX_TRANSACTION}", raw.len()));
        }
        if tx.chain_id != env.chain_id {
            return no(Refusal::Other, format!("invalid chain id: have {}, want {}", tx.chain_id, env.chain_id));
        }
        if tx.gas_limit > TX_GAS_CAP {
            return no(Refusal::Other, format!("transaction gas limit too high: {}, cap {TX_GAS_CAP}", tx.gas_limit));
        }
        if tx.fees.max_priority > tx.fees.max_fee {
            return no(Refusal::Other, "max priority fee per gas higher than max fee per gas".into());
        }
        let next = self.memory.state.nonce(sender);
        if tx.nonce < next {
            return no(Refusal::NonceTooLow, format!("nonce too low: next nonce {next}, tx nonce {}", tx.nonce));
        }
        if tx.nonce > next {
            return no(Refusal::NonceTooHigh, format!("nonce too high: next nonce {next}, tx nonce {}", tx.nonce));
        }
        if tx.fees.max_fee < u128::from(env.base_fee) {
            let message =
                format!("max fee per gas less than block base fee: {}, base fee {}", tx.fees.max_fee, env.base_fee);
            return no(Refusal::Underpriced, message);
        }
        let gas = U256::from(tx.fees.max_fee).checked_mul(U256::from(tx.gas_limit));
        let cost = gas.and_then(|g| g.checked_add(tx.call.value)).unwrap_or(U256::MAX);
        let balance = self.memory.state.balance(sender);
        if balance < cost {
            let message = format!("insufficient funds for gas * price + value: balance {balance}, needed {cost}");
            return no(Refusal::InsufficientFunds, message);
        }
        Ok(())
    }

    /// Logs in chain order, each with its block's hash; an error beyond `limit` of them.
    pub(super) fn logs(&self, query: &LogQuery, limit: usize) -> Result<Vec<(Log, B256)>, ChainError> {
        let mut found = Vec::new();
        for number in self.blocks_with(query) {
            let Some((block, hash)) = self.block(number)? else { continue };
            for log in logs_of(&block) {
                if query.wants(&log.address, &log.topics) {
                    if found.len() == limit {
                        let message = format!("query returned more than {limit} results: ask for fewer blocks");
                        return Err(ChainError::refused(Refusal::Other, message));
                    }
                    found.push((log, hash));
                }
            }
        }
        Ok(found)
    }

    fn blocks_with(&self, query: &LogQuery) -> BTreeSet<u64> {
        if query.blocks.is_empty() {
            return BTreeSet::new();
        }
        let first = query.topics.first().filter(|list| !list.is_empty());
        let wanted = self.memory.by_event.iter().filter(|((address, topic), _)| {
            (query.addresses.is_empty() || query.addresses.contains(address))
                && first.is_none_or(|list| list.contains(topic))
        });
        let in_range = |list: &'_ Vec<u64>| {
            let from = list.partition_point(|n| n < query.blocks.start());
            let to = list.partition_point(|n| n <= query.blocks.end());
            list.get(from..to).unwrap_or_default().to_vec()
        };
        wanted.flat_map(|(_, list)| in_range(list)).collect()
    }

    fn failed(&self, e: &dyn std::fmt::Display) -> ChainError {
        ChainError::Unreachable { url: self.journal.path().display().to_string(), what: e.to_string() }
    }

    #[cfg(test)]
    pub(super) fn sabotage(&mut self) {
        self.journal.sabotage();
    }
}

/// The logs of a block in their places.
pub(super) fn logs_of(block: &Block) -> impl Iterator<Item = Log> {
    let transaction = block.transaction_hash().unwrap_or_default();
    block.outcome.logs.iter().zip(0..).map(move |(log, log_index)| Log {
        address: log.address,
        topics: log.topics.clone(),
        data: log.data.clone(),
        block: block.header.number,
        transaction,
        log_index,
    })
}

/// The receipt of the block's transaction.
pub(super) fn receipt(block: &Block, block_hash: B256) -> Receipt {
    Receipt {
        transaction: block.transaction_hash().unwrap_or_default(),
        block: block.header.number,
        block_hash,
        ok: block.outcome.ok,
        gas_used: block.outcome.gas_used,
        contract: deployed(block).filter(|_| block.outcome.ok),
        logs: logs_of(block).collect(),
    }
}

/// The address that a deployment goes to, whether or not it succeeded.
pub(super) fn deployed(block: &Block) -> Option<Address> {
    if let Some(thin) = Thin::of(block) {
        return thin.contract;
    }
    block.transaction().filter(|tx| tx.call.to.is_none()).map(|tx| block.sender.create(tx.nonce))
}
