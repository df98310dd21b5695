//! The settler on an embedded chain that misbehaves on demand: each fault by itself, and each batch once.

use crate::books::{Life, Terms, agree};
use crate::day::keys;
use crate::refused::in_virtual_time;
use crate::street::MIDNIGHT;
use contracts::U256;
use contracts::embedded::{EmbeddedChain, Genesis};
use contracts::key::Signer;
use domain::Clock;
use ledger::Ledger;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

struct Trial {
    life: Life,
    chain: Arc<EmbeddedChain>,
    paid: i64,
}

impl Trial {
    fn rpc(&self, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let answer: Value = serde_json::from_slice(&self.chain.handle(body.as_bytes())).unwrap();
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Two blocks more, as if time passed on the chain.
    fn mine(&self) {
        self.rpc("evm_mine", json!([]));
        self.rpc("evm_mine", json!([]));
    }

    async fn settle(&mut self) {
        self.paid += 1;
        self.life.pay(1, self.paid, 1_000).await;
        self.life.settle_all("faults", || drop(self.rpc("evm_mine", json!([])))).await;
    }

    async fn wait(&self, seconds: u64) {
        for _ in 0..seconds.div_ceil(10) {
            tokio::time::sleep(Duration::from_secs(10)).await;
            self.rpc("evm_mine", json!([]));
        }
    }

    fn waiting(&self) -> String {
        let chain = self.life.board.look().chain.clone();
        format!("{} {}", chain.waiting.unwrap_or_default(), chain.problem.unwrap_or_default())
    }
}

/// Runs a trial on a chain with a settled batch; afterwards everything is settled, and all batches stand there once.
/// Answers how many batches there were and how many were settled again.
fn try_out(trial: impl AsyncFnOnce(&mut Trial)) -> (u64, u64) {
    let dir = tempfile::tempdir().unwrap();
    let (owner, _) = keys();
    let coins = U256::from(10).pow(U256::from(21));
    let genesis = Genesis { chain_id: 31337, alloc: vec![(owner.address(), coins)] };
    let clock = Clock::new(1, || MIDNIGHT);
    let chain = EmbeddedChain::open(&dir.path().join("chain"), genesis, clock).unwrap();
    let chain = Arc::new(chain.with_faults());
    let terms = Terms::new(Arc::clone(&chain) as Arc<dyn contracts::chain::Chain>, Arc::clone(&owner));
    in_virtual_time(async {
        let life = Life::begin(dir.path(), MIDNIGHT, &terms);
        let mut street = Trial { life, chain: Arc::clone(&chain), paid: 0 };
        street.settle().await;
        trial(&mut street).await;
        street.settle().await;
    });
    let ledger = Ledger::open(&dir.path().join("ledger.db")).unwrap();
    agree(&ledger, &*chain, owner.address(), 0, "faults")
}

#[test]
fn a_transaction_that_a_node_forgot_is_sent_again() {
    try_out(async |t| {
        t.rpc("microgrid_drop", json!([3]));
        t.life.pay(2, 100, 5).await;
        t.wait(60).await;
    });
}

#[test]
fn an_answer_that_was_lost_changes_nothing() {
    try_out(async |t| {
        t.rpc("microgrid_loseAnswers", json!([2]));
        t.settle().await;
    });
}

#[test]
fn a_node_that_says_already_known_and_knows_nothing_is_told_again() {
    try_out(async |t| {
        t.rpc("microgrid_alreadyKnown", json!([2]));
        t.life.pay(2, 100, 5).await;
        t.wait(10).await;
        assert!(t.waiting().contains("known to the node"), "{}", t.waiting());
    });
}

#[test]
fn a_receipt_that_is_late_is_waited_for_and_nothing_is_signed_anew_meanwhile() {
    let (batches, again) = try_out(async |t| {
        t.rpc("microgrid_hideReceipts", json!([6]));
        t.settle().await;
    });
    assert_eq!((batches, again), (3, 0));
}

#[test]
fn a_head_that_lags_delays_and_does_no_harm() {
    let (batches, again) = try_out(async |t| {
        t.rpc("microgrid_staleHead", json!([4]));
        t.life.pay(2, 100, 5).await;
        t.wait(30).await;
        t.rpc("microgrid_staleHead", json!([0]));
    });
    assert_eq!((batches, again), (3, 0));
}

#[test]
fn while_gas_costs_more_than_the_ceiling_settlement_waits_and_says_so() {
    try_out(async |t| {
        t.rpc("anvil_setNextBlockBaseFeePerGas", json!([400_000_000_000_u64]));
        t.rpc("evm_mine", json!([]));
        t.life.pay(2, 100, 5).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert!(t.waiting().contains("waiting for gas to cost less the chain wants 401 gwei"), "{}", t.waiting());
    });
}

#[test]
fn a_base_fee_that_leaps_after_signing_is_met_by_a_better_offer() {
    let (batches, _) = try_out(async |t| {
        // More than twice the head's base fee, which is what was offered.
        t.rpc("anvil_setNextBlockBaseFeePerGas", json!([5_000_000_000_u64]));
        t.life.pay(2, 100, 5).await;
        tokio::time::sleep(Duration::from_secs(12)).await;
        assert!(t.waiting().contains("batch 2"), "{}", t.waiting());
        t.rpc("evm_mine", json!([]));
        t.wait(60).await;
    });
    assert_eq!(batches, 3);
}

#[test]
fn a_final_batch_that_is_taken_back_is_sent_again_with_the_same_bytes() {
    for returned in [false, true] {
        let (batches, again) = try_out(async |t| {
            t.settle().await;
            t.mine();
            let head = t.rpc("eth_blockNumber", json!([]));
            let depth = u64::from_str_radix(&head.as_str().unwrap()[2..], 16).unwrap() - 5;
            // Both batches, and all that came after them; the contract and the accounts stay.
            t.rpc("microgrid_reorg", json!([depth, returned]));
            t.wait(60).await;
        });
        assert_eq!(batches, 3);
        assert!(again >= 1, "nothing was settled again, {returned}");
    }
}
