use crate::anvil::{Anvil, RICH};
use crate::street::*;
use contracts::U256;
use contracts::chain::Chain;
use contracts::embedded::{EmbeddedChain, Genesis};
use contracts::key::{LocalKey, Signer};
use contracts::provider::{self, AccountOnChain};
use domain::*;
use ledger::{AccountRow, Ledger};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Another of anvil's development keys: the customers'.
const CUSTOMERS: &str = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";

pub fn keys() -> (Arc<LocalKey>, Arc<LocalKey>) {
    (Arc::new(LocalKey::from_hex(RICH).unwrap()), Arc::new(LocalKey::from_hex(CUSTOMERS).unwrap()))
}

pub fn embedded(dir: &Path, clock: &Clock) -> Arc<dyn Chain> {
    let (settler, customers) = keys();
    let coins = U256::from(10_000) * U256::from(10).pow(U256::from(18));
    let alloc = vec![(settler.address(), coins), (customers.address(), coins)];
    Arc::new(EmbeddedChain::open(&dir.join("chain"), Genesis { chain_id: 31337, alloc }, clock.clone()).unwrap())
}

/// What a day came to.
#[derive(Debug, PartialEq)]
struct Day {
    accounts: Vec<AccountRow>,
    on_chain: Vec<AccountOnChain>,
    facts: Vec<Fact>,
}

/// One virtual day: everybody pays in, home 5 too little; its credit runs out, it is disconnected, pays at noon of the
/// next light, and is connected again.
fn live_a_day(dir: &Path, chain: impl FnOnce(&Path, &Clock) -> Arc<dyn Chain>) -> Day {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    actix::System::with_tokio_rt(runtime).block_on(async {
        let clock = paused_clock();
        let (settler, customers) = keys();
        let house = House::build(dir, clock.clone(), chain(dir, &clock), settler);
        // Accounts are opened within the first minutes.
        tokio::time::sleep(Duration::from_secs(600)).await;
        for home in 1..=HOMES {
            let euros = if home == 5 { 1 } else { 30 };
            house.pay(&customers, home, Money(euros * 1_000_000_000)).await;
        }
        let dark = until(&house, "home 5 is disconnected", 24, |a| a.credit == Credit::Exhausted).await;
        tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
        let after = house.scribe.read(Ledger::accounts).await.unwrap();
        assert!(dark.balance.0 - after[4].balance.0 < 60_000_000, "a disconnected home went on using energy");
        assert_eq!(house.board.look().switches[&"home-5".parse().unwrap()].position, Some(Position::Open));
        house.pay(&customers, 5, Money(20_000_000_000)).await;
        until(&house, "home 5 has credit again", 1, |a| a.credit == Credit::Good).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(house.board.look().switches[&"home-5".parse().unwrap()].position, Some(Position::Closed));
        // The rest of the day, and half an hour for the last settlement.
        let passed = house.clock.now().since(MIDNIGHT);
        tokio::time::sleep(Duration::from_secs(24 * 3600).saturating_sub(passed)).await;
        for poller in &house.pollers {
            poller.send(actors::StopReading).await.unwrap();
        }
        house.settler.send(actors::SettleNow).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1800)).await;

        let provider = house.provider().await;
        let accounts = house.scribe.read(Ledger::accounts).await.unwrap();
        let numbers: Vec<u32> = accounts.iter().map(|a| a.number).collect();
        let chain = Arc::clone(&house.chain);
        let asked = tokio::task::spawn_blocking(move || {
            let on_chain = provider::accounts(&*chain, provider, &numbers).unwrap();
            (on_chain, provider::totals(&*chain, provider).unwrap())
        });
        let (on_chain, totals) = asked.await.unwrap();
        let balances: i64 = on_chain.iter().map(|a| a.balance.0).sum();
        assert_eq!(totals.paid_in.0, balances + totals.earned.0 + totals.withdrawn.0, "money appeared or vanished");
        for (there, here) in on_chain.iter().zip(&accounts) {
            assert_eq!(there.balance, here.balance, "{}", here.name);
            assert_eq!(there.off_peak + there.peak + there.feed_in, here.registers.total(), "{}", here.name);
        }
        let sums = house.scribe.read(Ledger::totals).await.unwrap();
        assert_eq!((sums.metered, sums.settled), (sums.billed, sums.billed));
        assert!(sums.readings >= 96 * 13, "{sums:?}");
        let audit = house.scribe.read(|l| l.verify(|_| Guard::new(Watts(i64::MAX)))).await.unwrap();
        assert_eq!(audit.findings, []);
        let facts = house.scribe.read(|l| l.facts_after(Seq(0), 100_000)).await.unwrap();
        // Hashes and gas name the chain, everything else must not depend on it.
        let facts = facts.into_iter().map(|(_, _, f)| f);
        let facts = facts.filter(|f| matches!(f, Fact::CreditChanged { .. } | Fact::SwitchConfirmed { .. })).collect();
        Day { accounts, on_chain, facts }
    })
}

async fn until(house: &House, what: &str, hours: u64, done: impl Fn(&AccountRow) -> bool) -> AccountRow {
    for _ in 0..hours * 60 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let accounts = house.scribe.read(Ledger::accounts).await.unwrap();
        if done(&accounts[4]) {
            return accounts[4].clone();
        }
    }
    panic!("not within {hours} hours: {what}");
}

#[test]
fn a_day_of_twelve_homes_settles_to_the_watt_hour() {
    let dir = tempfile::tempdir().unwrap();
    let started = std::time::Instant::now();
    let day = live_a_day(dir.path(), embedded);
    println!("a virtual day of {HOMES} homes took {:?}", started.elapsed());
    let confirmed =
        |p| day.facts.iter().filter(|f| matches!(f, Fact::SwitchConfirmed { position, .. } if *position == p)).count();
    assert_eq!((confirmed(Position::Open), confirmed(Position::Closed)), (1, 1), "{:?}", day.facts);
    assert!(day.accounts[1].registers.feed_in > WattHours::ZERO, "the roof of home 2 fed nothing in");
}

/// Feeds the readings of a day that was lived to a new gateway, and pays what was paid.
fn replay(dir: &Path, chain: Arc<dyn Chain>, readings: Vec<Reading>) -> Vec<AccountOnChain> {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    actix::System::with_tokio_rt(runtime).block_on(async {
        let (settler, customers) = keys();
        let house = House::build(dir, paused_clock(), chain, settler);
        for poller in &house.pollers {
            poller.send(actors::StopReading).await.unwrap();
        }
        // Virtual minutes pass in no time while anvil lives in ours, and may be busy.
        for _ in 0..600 {
            tokio::time::sleep(Duration::from_secs(60)).await;
            if house.scribe.read(Ledger::accounts).await.unwrap().iter().all(|a| a.opened) {
                break;
            }
        }
        for home in 1..=HOMES {
            let euros = if home == 5 { 21 } else { 30 };
            house.pay(&customers, home, Money(euros * 1_000_000_000)).await;
        }
        for hour in readings.chunks(52) {
            house.scribe.readings(hour.to_vec()).await.unwrap();
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
        house.settler.send(actors::SettleNow).await.unwrap();
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let (provider, chain) = (house.provider().await, Arc::clone(&house.chain));
        let numbers: Vec<u32> = (1..).take(HOMES).collect();
        tokio::task::spawn_blocking(move || provider::accounts(&*chain, provider, &numbers).unwrap()).await.unwrap()
    })
}

#[test]
fn the_same_street_settles_to_the_same_balances_on_the_embedded_chain_and_on_anvil() {
    let Some(anvil) = Anvil::start() else { return };
    let lived = tempfile::tempdir().unwrap();
    let day = live_a_day(lived.path(), embedded);
    let recorded = Ledger::open(&lived.path().join("ledger.db")).unwrap().readings_after(Seq(0), 100_000).unwrap();
    let replayed = tempfile::tempdir().unwrap();
    let chain: Arc<dyn Chain> = Arc::new(anvil.chain());
    let on_anvil = replay(replayed.path(), chain, recorded.into_iter().map(|(_, r)| r).collect());
    assert!(day.on_chain.iter().all(|a| a.balance > Money::ZERO));
    assert_eq!(day.on_chain, on_anvil);
}
