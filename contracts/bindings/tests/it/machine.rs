//! A bare machine: the contracts, some people with coin, and a time that is set by hand. Osaka rules.

use contracts::chain::{Chain, ChainError, Head, Log, LogFilter, Receipt};
use contracts::provider;
use contracts::tx::{Call, Fees};
use contracts::{Address, B256, U256};
use revm::context::result::{ExecutionResult, Output};
use revm::context::{BlockEnv, CfgEnv, TxEnv};
use revm::database::{CacheDB, EmptyDB};
use revm::primitives::hardfork::SpecId;
use revm::primitives::{Bytes, TxKind};
use revm::state::AccountInfo;
use revm::{Context, Database, ExecuteCommitEvm, ExecuteEvm, MainBuilder, MainContext};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

pub const CHAIN_ID: u64 = 31_337;

/// What a transaction left.
#[derive(Debug)]
pub struct Ran {
    pub gas: u64,
    pub contract: Option<Address>,
    pub logs: Vec<Log>,
}

pub struct Machine {
    db: Mutex<CacheDB<EmptyDB>>,
    now: AtomicU64,
    height: AtomicU64,
}

impl Machine {
    pub fn new(people: &[Address]) -> Self {
        let mut db = CacheDB::new(EmptyDB::default());
        for who in people {
            db.insert_account_info(*who, AccountInfo { balance: U256::MAX >> 8, ..AccountInfo::default() });
        }
        Self { db: Mutex::new(db), now: AtomicU64::new(1_800_000_000), height: AtomicU64::default() }
    }

    pub fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// Lets seconds pass.
    pub fn wait(&self, seconds: u64) {
        self.now.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Goes on with another block.
    pub fn mine(&self) {
        self.height.fetch_add(1, Ordering::Relaxed);
    }

    /// Runs a transaction to its end. What it reverts with is put into words.
    pub fn send(&self, from: Address, call: Call) -> Result<Ran, String> {
        let mut db = self.db.lock().unwrap();
        let evm = Context::mainnet().with_db(&mut *db).with_cfg(rules()).with_block(self.block());
        match evm.build_mainnet().transact_commit(transaction(from, &call)).unwrap() {
            result @ ExecutionResult::Success { .. } => Ok(Ran {
                gas: result.tx_gas_used(),
                contract: result.created_address(),
                logs: result.logs().iter().map(log).collect(),
            }),
            ExecutionResult::Revert { output, .. } => Err(provider::reason(&output)),
            halted @ ExecutionResult::Halt { .. } => panic!("{halted:?}"),
        }
    }

    fn block(&self) -> BlockEnv {
        let number = U256::from(self.height.load(Ordering::Relaxed));
        BlockEnv { number, timestamp: U256::from(self.now()), ..BlockEnv::default() }
    }

    pub fn deploy(&self, from: Address, call: Call) -> Address {
        self.send(from, call).unwrap().contract.expect("a contract")
    }
}

fn rules() -> CfgEnv {
    let mut cfg = CfgEnv::new_with_spec(SpecId::OSAKA);
    cfg.chain_id = CHAIN_ID;
    cfg.disable_nonce_check = true;
    cfg
}

fn transaction(from: Address, call: &Call) -> TxEnv {
    let kind = call.to.map_or(TxKind::Create, TxKind::Call);
    let data = Bytes::copy_from_slice(&call.data);
    let tx = TxEnv::builder().caller(from).chain_id(Some(CHAIN_ID)).gas_limit(1 << 24).gas_price(0).kind(kind);
    tx.value(call.value).data(data).build().unwrap()
}

fn log(log: &revm::primitives::Log) -> Log {
    let (topics, data) = (log.data.topics().to_vec(), log.data.data.to_vec());
    Log { address: log.address, topics, data, block: 1, transaction: B256::ZERO, log_index: 0 }
}

#[rustfmt::skip]
impl Chain for Machine {
    fn call(&self, from: Address, call: &Call) -> Result<Vec<u8>, ChainError> {
        let mut db = self.db.lock().unwrap();
        let evm = Context::mainnet().with_db(&mut *db).with_cfg(rules()).with_block(self.block());
        match evm.build_mainnet().transact(transaction(from, call)).unwrap().result {
            ExecutionResult::Success { output: Output::Call(said), .. } => Ok(said.to_vec()),
            ExecutionResult::Revert { output, .. } =>
                Err(ChainError::Reverted { reason: provider::reason(&output), data: output.to_vec() }),
            other => panic!("{other:?}"),
        }
    }
    fn chain_id(&self) -> Result<u64, ChainError> { Ok(CHAIN_ID) }
    fn balance(&self, who: Address) -> Result<U256, ChainError> {
        Ok(self.db.lock().unwrap().basic(who).unwrap().unwrap_or_default().balance)
    }
    fn head(&self) -> Result<Head, ChainError> { unreachable!() }
    fn nonce(&self, _: Address) -> Result<u64, ChainError> { unreachable!() }
    fn fees(&self) -> Result<Fees, ChainError> { unreachable!() }
    fn estimate_gas(&self, _: Address, _: &Call) -> Result<u64, ChainError> { unreachable!() }
    fn send(&self, _: &[u8]) -> Result<B256, ChainError> { unreachable!() }
    fn receipt(&self, _: B256) -> Result<Option<Receipt>, ChainError> { unreachable!() }
    fn block_hash(&self, _: u64) -> Result<Option<B256>, ChainError> { unreachable!() }
    fn code(&self, _: Address) -> Result<Vec<u8>, ChainError> { unreachable!() }
    fn logs(&self, _: &LogFilter) -> Result<Vec<Log>, ChainError> { unreachable!() }
}
