//! A ledger from a backup meets a chain that has gone further: nothing is billed twice, and settlement goes on.

use crate::day::{embedded, keys};
use crate::refused::{hours, in_virtual_time};
use crate::street::*;
use contracts::provider;
use domain::*;
use ledger::{Ledger, Restoration, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The clock of a second life, so many hours after midnight.
pub fn clock_at(hours: u64) -> Clock {
    let start = tokio::time::Instant::now();
    Clock::new(1, move || MIDNIGHT + Duration::from_secs(hours * 3600) + start.elapsed())
}

async fn cash(house: &House, home: usize, reference: &str) {
    let source = Source::Cash { reference: reference.into(), who: "kiosk".into() };
    house.scribe.write(Write::TopUp { account: account(home), amount: Money(3_000_000_000), source }).await.unwrap();
}

/// Six hours with cash, deposits and hourly batches; the backup is of the third.
fn live_and_back_up(dir: &Path) {
    in_virtual_time(async {
        let (clock, (owner, customers)) = (paused_clock(), keys());
        let house = House::build(dir, clock.clone(), embedded(dir, &clock), owner);
        tokio::time::sleep(Duration::from_secs(600)).await;
        for home in 1..=HOMES {
            house.pay(&customers, home, Money(30_000_000_000)).await;
        }
        cash(&house, 2, "before").await;
        hours(3).await;
        let copy = dir.join("copy");
        house.scribe.read(move |ledger| ledger.back_up(&copy)).await.unwrap();
        cash(&house, 2, "after").await;
        house.pay(&customers, 7, Money(5_000_000_000)).await;
        hours(3).await;
        let settled = house.scribe.read(Ledger::newest_settled).await.unwrap();
        assert!(settled >= 5, "{settled} batches in six hours");
    });
}

#[test]
fn what_the_chain_settled_after_the_backup_is_taken_over_and_not_billed_again() {
    let dir = tempfile::tempdir().unwrap();
    live_and_back_up(dir.path());
    let place = dir.path().join("ledger.db");
    let known = Ledger::open_copy(&dir.path().join("copy")).unwrap().newest_settled().unwrap();
    let restoration = Restoration::prepare(&dir.path().join("copy"), &place, MIDNIGHT, "ada").unwrap();
    restoration.put_in_place(true, MIDNIGHT).unwrap();

    in_virtual_time(async {
        let (clock, (owner, _)) = (clock_at(7), keys());
        let house = House::build(dir.path(), clock.clone(), embedded(dir.path(), &clock), owner);
        // What the operator has on paper.
        cash(&house, 2, "after").await;
        hours(4).await;
        assert_eq!(house.board.look().chain.problem, None);
        for poller in &house.pollers {
            poller.send(actors::StopReading).await.unwrap();
        }
        house.settler.send(actors::SettleNow).await.unwrap();
        hours(2).await;
        let (at, chain) = (house.provider().await, Arc::clone(&house.chain));
        let here = house.scribe.read(Ledger::accounts).await.unwrap();
        let numbers: Vec<u32> = here.iter().map(|a| a.number).collect();
        let there =
            tokio::task::spawn_blocking(move || provider::accounts(&*chain, at, &numbers).unwrap()).await.unwrap();
        for (there, here) in there.iter().zip(&here) {
            let registers = TariffRegisters { off_peak: there.off_peak, peak: there.peak, feed_in: there.feed_in };
            assert_eq!((there.balance, registers), (here.balance, here.registers), "{}", here.name);
        }
        // The second deposit of home 7 was read from the chain once more, and each euro of cash is there once.
        assert_eq!(here[6].topped_up, Money(35_000_000_000));
        assert_eq!(here[1].topped_up, Money(36_000_000_000));
        let settled = house.scribe.read(Ledger::newest_settled).await.unwrap();
        assert!(settled > known + 3, "batch {settled} is the newest");
        let totals = house.scribe.read(Ledger::totals).await.unwrap();
        assert_eq!((totals.metered, totals.settled), (totals.billed, totals.billed));
        assert_eq!(house.scribe.read(|l| l.verify(|_| Guard::new(Watts(i64::MAX)))).await.unwrap().findings, []);
    });
}

#[test]
fn an_old_copy_that_nobody_restored_settles_nothing_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    live_and_back_up(dir.path());
    std::fs::copy(dir.path().join("copy"), dir.path().join("ledger.db")).unwrap();

    in_virtual_time(async {
        let (clock, (owner, _)) = (clock_at(7), keys());
        let house = House::build(dir.path(), clock.clone(), embedded(dir.path(), &clock), owner);
        let before = house.scribe.read(Ledger::newest_settled).await.unwrap();
        hours(3).await;
        let problem = house.board.look().chain.problem.clone().unwrap_or_default();
        assert!(problem.contains("journal restore") && problem.contains("nothing is settled"), "{problem}");
        assert_eq!(house.scribe.read(Ledger::newest_settled).await.unwrap(), before);
    });
}
