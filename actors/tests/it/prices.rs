//! A contract with other prices: its owner sets them right, anybody else says so and settles nothing.

use crate::anvil::Anvil;
use crate::day::{embedded, keys};
use crate::refused::{hours, in_virtual_time};
use crate::street::*;
use contracts::chain::Chain;
use contracts::key::{LocalKey, Signer};
use contracts::provider::{self, Prices, TariffOnChain};
use contracts::tx::Transaction;
use contracts::{Address, U256};
use domain::*;
use ledger::{Ledger, Purpose};
use std::path::Path;
use std::sync::Arc;

const OTHERS: Prices = Prices { off_peak: Price(1), peak: Price(2), feed_in: Price(3) };

fn ours() -> Prices {
    Prices { off_peak: tariff().rates.off_peak, peak: tariff().rates.peak, feed_in: tariff().rates.feed_in }
}

/// A contract that is there before the gateway, with prices and a unit of money of its own. Its deployer is its owner.
fn deployed(chain: &dyn Chain, owner: &LocalKey, wei_per_unit: u64, settler: Address) -> Address {
    deploy(chain, owner, wei_per_unit, OTHERS, settler)
}

/// A contract with our prices, owned by one key, on which another may settle.
pub fn deployed_for(chain: &dyn Chain, owner: &LocalKey, settler: Address) -> Address {
    deploy(chain, owner, WEI_PER_UNIT, ours(), settler)
}

fn deploy(chain: &dyn Chain, owner: &LocalKey, wei_per_unit: u64, prices: Prices, settler: Address) -> Address {
    let send = |call| {
        let transaction = Transaction {
            chain_id: chain.chain_id().unwrap(),
            nonce: chain.nonce(owner.address()).unwrap(),
            fees: chain.fees().unwrap(),
            gas_limit: 5_000_000,
            call,
        };
        let hash = chain.send(&transaction.sign(owner).unwrap().raw).unwrap();
        (0..10_000).find_map(|_| chain.receipt(hash).unwrap()).expect("never mined")
    };
    let deploy = provider::deploy_call(U256::from(wei_per_unit), prices, Money(2_000_000_000)).unwrap();
    let at = send(deploy).contract.unwrap();
    assert!(send(provider::set_settler(at, settler, true)).ok);
    at
}

async fn tariff_there(house: &House) -> TariffOnChain {
    let (at, chain) = (house.provider().await, Arc::clone(&house.chain));
    tokio::task::spawn_blocking(move || provider::tariff(&*chain, at).unwrap()).await.unwrap()
}

/// Everything that was billed is settled, and the chain has every balance that the ledger has: at our prices, then.
async fn all_is_settled_at_our_prices(house: &House) {
    for poller in &house.pollers {
        poller.send(actors::StopReading).await.unwrap();
    }
    house.settler.send(actors::SettleNow).await.unwrap();
    hours(2).await;
    assert_eq!(house.board.look().chain.problem, None);
    let totals = house.scribe.read(Ledger::totals).await.unwrap();
    assert!(totals.settled > WattHours::ZERO);
    assert_eq!(totals.settled, totals.billed);
    let (at, chain) = (house.provider().await, Arc::clone(&house.chain));
    let here = house.scribe.read(Ledger::accounts).await.unwrap();
    let numbers: Vec<u32> = here.iter().map(|a| a.number).collect();
    let there = tokio::task::spawn_blocking(move || provider::accounts(&*chain, at, &numbers).unwrap()).await.unwrap();
    for (there, here) in there.iter().zip(&here) {
        assert_eq!((there.balance, there.off_peak), (here.balance, here.registers.off_peak), "{}", here.name);
    }
}

fn the_owner_settles(dir: &Path, chain: impl FnOnce(&Path, &Clock) -> Arc<dyn Chain>) {
    in_virtual_time(async {
        let (clock, (owner, _)) = (paused_clock(), keys());
        let chain = chain(dir, &clock);
        let at = deployed(&*chain, &owner, WEI_PER_UNIT, owner.address());
        let house = House::build_on(dir, clock, chain, Arc::clone(&owner), Some(at));
        hours(3).await;
        assert_eq!(tariff_there(&house).await, TariffOnChain { prices: ours(), version: 2 });
        // Somebody with the owner's key changes them behind the gateway's back.
        house.send(&owner, provider::set_tariff(at, OTHERS)).await;
        hours(3).await;
        assert_eq!(tariff_there(&house).await, TariffOnChain { prices: ours(), version: 4 });
        all_is_settled_at_our_prices(&house).await;
        let batch = |sequence| house.scribe.read(move |l| l.batch(sequence));
        assert_eq!(batch(1).await.unwrap().unwrap().tariff_version, 2, "settled before the prices were right");
        assert_eq!(house.scribe.read(Ledger::intents_refused).await.unwrap(), 0);
    });
}

#[test]
fn the_owner_of_a_contract_with_other_prices_sets_them_before_the_next_batch() {
    let dir = tempfile::tempdir().unwrap();
    the_owner_settles(dir.path(), embedded);
}

#[test]
fn the_owner_sets_its_prices_on_anvil_too() {
    let Some(anvil) = Anvil::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    the_owner_settles(dir.path(), |_, _| Arc::new(anvil.chain()));
}

#[test]
fn new_prices_that_were_queued_before_a_power_cut_are_set_once_and_the_batch_follows() {
    let dir = tempfile::tempdir().unwrap();
    in_virtual_time(async {
        let (clock, (owner, _)) = (paused_clock(), keys());
        let chain = embedded(dir.path(), &clock);
        let at = deployed(&*chain, &owner, WEI_PER_UNIT, owner.address());
        // What a gateway wrote down before the power went.
        let Prices { off_peak, peak, feed_in } = ours();
        let ledger = Ledger::open(&dir.path().join("ledger.db")).unwrap();
        let queue = ledger::Write::Queue(Purpose::SetTariff { off_peak, peak, feed_in });
        ledger.commit(clock.now(), &[queue]).unwrap().remove(0).unwrap();
        drop(ledger);
        let house = House::build_on(dir.path(), clock, chain, owner, Some(at));
        hours(3).await;
        assert_eq!(tariff_there(&house).await, TariffOnChain { prices: ours(), version: 2 });
        all_is_settled_at_our_prices(&house).await;
    });
}

/// What the gateway says of a contract that it must not settle on, and that it left the contract as it was.
fn refusal(wei_per_unit: u64) -> String {
    let dir = tempfile::tempdir().unwrap();
    in_virtual_time(async {
        let (clock, (owner, _)) = (paused_clock(), keys());
        let chain = embedded(dir.path(), &clock);
        let at = deployed(&*chain, &owner, wei_per_unit, owner.address());
        let house = House::build_on(dir.path(), clock, chain, owner, Some(at));
        hours(5).await;
        assert_eq!(tariff_there(&house).await, TariffOnChain { prices: OTHERS, version: 1 });
        assert_eq!(house.scribe.read(|l| l.batch(1)).await.unwrap(), None);
        assert_eq!(house.scribe.read(Ledger::totals).await.unwrap().settled, WattHours::ZERO);
        house.board.look().chain.problem.clone().expect("nothing is said")
    })
}

#[test]
fn who_does_not_own_a_contract_settles_at_its_prices_and_charges_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    in_virtual_time(async {
        let (clock, (owner, other)) = (paused_clock(), keys());
        let chain = embedded(dir.path(), &clock);
        let at = deployed(&*chain, &owner, WEI_PER_UNIT, other.address());
        let house = House::build_on(dir.path(), clock, chain, other, Some(at));
        hours(5).await;
        all_is_settled_at_our_prices(&house).await;
        assert_eq!(tariff_there(&house).await, TariffOnChain { prices: OTHERS, version: 1 });
    });
}

#[test]
fn not_even_the_owner_settles_in_another_unit_of_money() {
    let said = refusal(WEI_PER_UNIT + 1);
    assert!(said.contains("another unit of money") && said.contains("1000000001 wei a unit"), "{said}");
}
