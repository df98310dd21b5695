//! Two gateways that settle for one provider at the same time.

use crate::anvil::Anvil;
use crate::books::{Life, Terms, agree};
use crate::day::keys;
use crate::prices::deployed_for;
use crate::proxy::rpc;
use crate::refused::in_virtual_time;
use crate::street::MIDNIGHT;
use contracts::chain::Chain;
use contracts::key::Signer;
use contracts::provider;
use ledger::Ledger;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;

#[test]
fn two_gateways_settle_for_one_provider_each_with_accounts_and_numbers_of_its_own() {
    let Some(anvil) = Anvil::start() else { return };
    let node: SocketAddr = anvil.url.trim_start_matches("http://").parse().unwrap();
    let chain: Arc<dyn Chain> = Arc::new(anvil.chain());
    let (first, second) = keys();
    let at = deployed_for(&*chain, &first, second.address());
    let (east, west) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let of = |key: &Arc<_>| Terms { provider: Some(at), ..Terms::new(Arc::clone(&chain), Arc::clone(key)) };
    let eastern = of(&first);
    let western = Terms { homes: 11..=14, first_account: 1_001, ..of(&second) };
    in_virtual_time(async {
        let (a, b) = (Life::begin(east.path(), MIDNIGHT, &eastern), Life::begin(west.path(), MIDNIGHT, &western));
        let mut dice = fastrand::Rng::with_seed(11);
        for round in 0..12 {
            a.pay(dice.usize(1..=3), round, dice.i64(1..1_000_000)).await;
            b.pay(dice.usize(11..=14), round, dice.i64(1..1_000_000)).await;
            tokio::time::sleep(std::time::Duration::from_secs(dice.u64(1..30))).await;
            rpc(node, "anvil_mine", json!(["0x1"]));
        }
        a.settle_all("east", || drop(rpc(node, "anvil_mine", json!(["0x1"])))).await;
        b.settle_all("west", || drop(rpc(node, "anvil_mine", json!(["0x1"])))).await;
    });
    let ledger = |dir: &tempfile::TempDir| Ledger::open(&dir.path().join("ledger.db")).unwrap();
    let (eastern, western) = (ledger(&east), ledger(&west));
    let numbers = |ledger: &Ledger| ledger.accounts().unwrap().iter().map(|a| a.number).collect::<Vec<_>>();
    assert_eq!((numbers(&eastern), numbers(&western)), (vec![1, 2, 3], vec![1_001, 1_002, 1_003, 1_004]));
    let (a, _) = agree(&eastern, &*chain, first.address(), 0, "east");
    let (b, _) = agree(&western, &*chain, second.address(), 0, "west");
    assert!(a > 3 && b > 3, "{a} and {b} batches");
    let totals = provider::totals(&*chain, at).unwrap();
    let balances = |ledger: &Ledger| ledger.accounts().unwrap().iter().map(|a| a.balance.0).sum::<i64>();
    assert_eq!(totals.paid_in.0, balances(&eastern) + balances(&western) + totals.earned.0 + totals.withdrawn.0);
}
