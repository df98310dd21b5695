//! A node that keeps a transaction back and wants more for it, while the contract stops taking batches from us.

use crate::day::{embedded, keys};
use crate::prices::deployed_for;
use crate::refused::{hours, in_virtual_time};
use crate::street::*;
use contracts::chain::{Chain, ChainError, Head, Log, LogFilter, Receipt, Refusal};
use contracts::embedded::{EmbeddedChain, Genesis};
use contracts::key::Signer;
use contracts::provider;
use contracts::tx::{Call, Fees, decode};
use contracts::{Address, B256, U256, keccak256};
use domain::*;
use ledger::{Ledger, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The first call of `settle` by `of` is kept, and not put into a block until somebody asks for it.
struct Pool {
    chain: Arc<dyn Chain>,
    of: Address,
    kept: Mutex<Option<Vec<u8>>>,
}

fn is_settle(call: &Call) -> bool {
    call.data.starts_with(&keccak256("settle(uint64,uint32,bytes32,bytes)")[..4])
}

#[rustfmt::skip]
impl Chain for Pool {
    fn send(&self, raw: &[u8]) -> Result<B256, ChainError> {
        let mut kept = self.kept.lock().unwrap();
        let (transaction, sender) = decode(raw).unwrap();
        match &*kept {
            None if sender == self.of && is_settle(&transaction.call) => {
                *kept = Some(raw.to_vec());
                Ok(keccak256(raw))
            }
            Some(kept) if kept == raw => {
                Err(ChainError::Refused { kind: Refusal::Underpriced, message: "replacement underpriced".into() })
            }
            _ => self.chain.send(raw),
        }
    }
    fn chain_id(&self) -> Result<u64, ChainError> { self.chain.chain_id() }
    fn head(&self) -> Result<Head, ChainError> { self.chain.head() }
    fn nonce(&self, of: Address) -> Result<u64, ChainError> { self.chain.nonce(of) }
    fn balance(&self, of: Address) -> Result<U256, ChainError> { self.chain.balance(of) }
    fn fees(&self) -> Result<Fees, ChainError> { self.chain.fees() }
    fn call(&self, from: Address, call: &Call) -> Result<Vec<u8>, ChainError> { self.chain.call(from, call) }
    fn estimate_gas(&self, from: Address, call: &Call) -> Result<u64, ChainError> { self.chain.estimate_gas(from, call) }
    fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, ChainError> { self.chain.receipt(transaction) }
    fn block_hash(&self, number: u64) -> Result<Option<B256>, ChainError> { self.chain.block_hash(number) }
    fn code(&self, at: Address) -> Result<Vec<u8>, ChainError> { self.chain.code(at) }
    fn logs(&self, filter: &LogFilter) -> Result<Vec<Log>, ChainError> { self.chain.logs(filter) }
}

#[test]
fn a_batch_that_a_node_may_still_hold_is_given_up_only_when_a_block_says_that_it_failed() {
    let dir = tempfile::tempdir().unwrap();
    in_virtual_time(async {
        let (clock, (owner, settler)) = (paused_clock(), keys());
        let chain = embedded(dir.path(), &clock);
        let at = deployed_for(&*chain, &owner, settler.address());
        let pool = Arc::new(Pool { chain: Arc::clone(&chain), of: settler.address(), kept: Mutex::default() });
        let shared = Arc::clone(&pool) as Arc<dyn Chain>;
        let house = House::build_on(dir.path(), clock, shared, Arc::clone(&settler), Some(at));
        let kept = loop {
            tokio::time::sleep(Duration::from_secs(60)).await;
            assert!(house.clock.now().since(MIDNIGHT) < Duration::from_secs(3 * 3600), "no batch within three hours");
            if let Some(raw) = pool.kept.lock().unwrap().clone() {
                break raw;
            }
        };
        house.send(&owner, provider::set_settler(at, settler.address(), false)).await;
        tokio::time::sleep(Duration::from_secs(900)).await;
        let refused = house.scribe.read(Ledger::last_refusal).await.unwrap();
        let why = refused.expect("the batch cannot have passed").1;
        assert_eq!(why, "the transaction was mined and reverted");

        // When the contract takes our batches again, the node has nothing of the old one to offer.
        house.send(&owner, provider::set_settler(at, settler.address(), true)).await;
        let late = tokio::task::spawn_blocking(move || chain.send(&kept)).await.unwrap();
        assert!(matches!(late, Err(ChainError::Refused { kind: Refusal::NonceTooLow, .. })), "{late:?}");
        hours(2).await;
        assert_eq!(house.board.look().chain.problem, None);
        assert!(house.scribe.read(Ledger::totals).await.unwrap().settled > WattHours::ZERO);
    });
}

#[test]
fn a_batch_that_failed_and_comes_true_after_its_block_was_taken_back_is_taken_over_and_charged_once() {
    let dir = tempfile::tempdir().unwrap();
    in_virtual_time(async {
        let (clock, (owner, settler)) = (paused_clock(), keys());
        let coins = U256::from(10_000) * U256::from(10).pow(U256::from(18));
        let alloc = vec![(owner.address(), coins), (settler.address(), coins)];
        let genesis = Genesis { chain_id: 31337, alloc };
        let faulty = EmbeddedChain::open(&dir.path().join("chain"), genesis, clock.clone()).unwrap();
        let faulty = Arc::new(faulty.with_faults());
        let chain = Arc::clone(&faulty) as Arc<dyn Chain>;
        let at = deployed_for(&*chain, &owner, settler.address());
        let pool = Arc::new(Pool { chain: Arc::clone(&chain), of: settler.address(), kept: Mutex::default() });
        let shared = Arc::clone(&pool) as Arc<dyn Chain>;
        let house = House::build_on(dir.path(), clock, shared, Arc::clone(&settler), Some(at));
        let kept = loop {
            tokio::time::sleep(Duration::from_secs(60)).await;
            assert!(house.clock.now().since(MIDNIGHT) < Duration::from_secs(3 * 3600), "no batch within three hours");
            if let Some(raw) = pool.kept.lock().unwrap().clone() {
                break raw;
            }
        };
        let before = chain.head().unwrap().number;
        house.send(&owner, provider::set_settler(at, settler.address(), false)).await;
        tokio::time::sleep(Duration::from_secs(900)).await;
        assert!(house.scribe.read(Ledger::last_refusal).await.unwrap().is_some(), "the batch cannot have passed");
        // Cash that this batch does not know: what the next one charges is more than the registers say.
        let source = Source::Cash { reference: "1".into(), who: "kiosk".into() };
        let cash = Write::TopUp { account: account(3), amount: Money(1_000_000), source };
        house.scribe.write(cash).await.unwrap();

        let depth = chain.head().unwrap().number - before;
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"microgrid_reorg","params":[{depth},false]}}"#);
        let answer = String::from_utf8(faulty.handle(body.as_bytes())).unwrap();
        assert!(!answer.contains("error"), "{answer}");
        let late = Arc::clone(&chain);
        tokio::task::spawn_blocking(move || late.send(&kept).unwrap()).await.unwrap();
        hours(3).await;
        assert_eq!(house.board.look().chain.problem, None);
        for poller in &house.pollers {
            poller.send(actors::StopReading).await.unwrap();
        }
        house.settler.send(actors::SettleNow).await.unwrap();
        hours(2).await;
        for row in house.scribe.read(Ledger::accounts).await.unwrap() {
            let there = provider::account(&*chain, at, row.number).unwrap();
            assert_eq!((there.balance, row.unsettled()), (row.balance, false), "{}", row.name);
        }
    });
}
