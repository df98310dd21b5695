//! What the chain refuses is said, tried again at a decent pace, and loses nothing.

use crate::books::{Life, Terms, account};
use crate::day::{embedded, keys};
use crate::street::*;
use contracts::U256;
use contracts::key::Signer;
use contracts::provider::{self, Prices};
use domain::*;
use ledger::{Enrolled, Enrolment, Ledger, Write};
use std::sync::Arc;
use std::time::Duration;

pub fn in_virtual_time<T>(work: impl Future<Output = T>) -> T {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    actix::System::with_tokio_rt(runtime).block_on(work)
}

pub async fn hours(n: u64) {
    tokio::time::sleep(Duration::from_secs(n * 3600)).await;
}

fn refusals(facts: &[(Seq, Timestamp, Fact)]) -> usize {
    facts.iter().filter(|(_, _, f)| matches!(f, Fact::SettlementRefused { .. })).count()
}

#[test]
fn a_gateway_that_may_not_settle_for_a_while_settles_everything_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    in_virtual_time(async {
        let (clock, (owner, _)) = (paused_clock(), keys());
        let house = House::build(dir.path(), clock.clone(), embedded(dir.path(), &clock), Arc::clone(&owner));
        hours(2).await;
        let at = house.provider().await;
        house.send(&owner, provider::set_settler(at, owner.address(), false)).await;
        hours(4).await;
        let problem = house.board.look().chain.problem.clone();
        assert!(problem.as_deref().is_some_and(|p| p.contains("NotSettler")), "{problem:?}");
        let facts = house.scribe.read(|l| l.facts_after(Seq(0), 10_000)).await.unwrap();
        assert!((2..=6).contains(&refusals(&facts)), "{} refusals in four hours", refusals(&facts));

        house.send(&owner, provider::set_settler(at, owner.address(), true)).await;
        hours(2).await;
        assert_eq!(house.board.look().chain.problem, None);
        for poller in &house.pollers {
            poller.send(actors::StopReading).await.unwrap();
        }
        hours(2).await;
        let totals = house.scribe.read(Ledger::totals).await.unwrap();
        assert!(totals.settled > WattHours::ZERO);
        assert_eq!(totals.settled, totals.billed);
        assert_eq!(house.scribe.read(|l| l.verify(|_| Guard::new(Watts(i64::MAX)))).await.unwrap().findings, []);
    });
}

#[test]
fn a_contract_that_does_not_know_us_is_asked_again_now_and_then_and_not_in_a_loop() {
    let dir = tempfile::tempdir().unwrap();
    in_virtual_time(async {
        let (clock, (stranger, owner)) = (paused_clock(), keys());
        let chain = embedded(dir.path(), &clock);
        let t = tariff();
        let prices = Prices { off_peak: t.rates.off_peak, peak: t.rates.peak, feed_in: t.rates.feed_in };
        let deploy = provider::deploy_call(U256::from(WEI_PER_UNIT), prices, Money(0)).unwrap();
        let first = tempfile::tempdir().unwrap();
        let elsewhere = House::build(first.path(), clock.clone(), Arc::clone(&chain), Arc::clone(&owner));
        let at = elsewhere.send(&owner, deploy).await.contract.unwrap();

        let house = House::build_on(dir.path(), clock, chain, stranger, Some(at));
        hours(5).await;
        let problem = house.board.look().chain.problem.clone();
        assert!(problem.as_deref().is_some_and(|p| p.contains("NotSettler")), "{problem:?}");
        let refused = house.scribe.read(Ledger::intents_refused).await.unwrap();
        assert!((1..=7).contains(&refused), "{refused} tries in five hours");
    });
}

#[test]
fn a_block_that_a_node_tells_of_is_looked_at_before_the_next_poll() {
    let dir = tempfile::tempdir().unwrap();
    in_virtual_time(async {
        let (clock, (owner, customer)) = (paused_clock(), keys());
        let house = House::build(dir.path(), clock.clone(), embedded(dir.path(), &clock), owner);
        // Between two polls.
        tokio::time::sleep(Duration::from_secs(1_000)).await;
        house.pay(&customer, 1, Money(5_000_000_000)).await;
        let topped_up = async || {
            let rows = house.scribe.read(Ledger::accounts).await.unwrap();
            rows.into_iter().find(|row| row.name == account(1)).unwrap().topped_up
        };
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(topped_up().await, Money::ZERO, "it was polled");
        house.settler.send(actors::HeadCame).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(topped_up().await, Money(5_000_000_000));
    });
}

/// What a settler believes that found an account open in a block which the chain then takes back.
#[test]
fn an_account_that_is_not_open_on_the_chain_after_all_is_opened_when_its_batch_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    in_virtual_time(async {
        let (clock, (owner, _)) = (paused_clock(), keys());
        let mut terms = Terms::new(embedded(dir.path(), &clock), owner);
        terms.confirmations = 1;
        let life = Life::begin(dir.path(), clock.now(), &terms);
        life.settle_all("three homes", || ()).await;
        drop(life);

        terms.homes = 1..=4;
        let ledger = Ledger::open(&dir.path().join("ledger.db")).unwrap();
        let enrolled = |home| Enrolled { id: account(home), debt_share: Permille::FULL };
        ledger.enrol(&Enrolment { accounts: (1..=4).map(enrolled).collect(), meters: Vec::new() }).unwrap();
        let believed = Fact::AccountOpened { account: account(4), number: 4 };
        ledger.commit(clock.now(), &[Write::Fact(believed)]).unwrap().remove(0).unwrap();
        drop(ledger);

        let life = Life::begin(dir.path(), clock.now(), &terms);
        life.pay(1, 1, 500).await;
        life.pay(4, 2, 700).await;
        life.settle_all("four homes", || ()).await;
        let facts = life.scribe.read(|l| l.facts_after(Seq(0), 10_000)).await.unwrap();
        assert_eq!(refusals(&facts), 1, "the batch was refused once");
        let at = life.scribe.read(|l| l.meta("provider")).await.unwrap().unwrap().parse().unwrap();
        let there = provider::accounts(&*terms.chain, at, &[1, 4]).unwrap();
        assert_eq!(there.iter().map(|a| (a.is_open(), a.balance.0)).collect::<Vec<_>>(), [(true, 500), (true, 700)]);
    });
}
