//! A node that keeps a transaction back and wants more for it, while the contract stops taking batches from us.

use crate::day::{embedded, keys};
use crate::prices::deployed_for;
use crate::refused::{hours, in_virtual_time};
use crate::street::*;
use contracts::chain::{Chain, ChainError, Head, Log, LogFilter, Receipt, Refusal};
use contracts::key::Signer;
use contracts::provider;
use contracts::tx::{Call, Fees, decode};
use contracts::{Address, B256, U256, keccak256};
use domain::*;
use ledger::Ledger;
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
