//! Old readings go beside everything else, and nobody misses them.

use crate::day::{embedded, keys};
use crate::refused::{hours, in_virtual_time};
use crate::street::*;
use actix::Actor;
use actors::{Keeper, KeeperPlan};
use domain::*;
use ledger::{Keep, Ledger};
use std::collections::BTreeMap;
use std::time::Duration;

#[test]
fn readings_that_are_old_and_settled_go_while_the_street_lives_on() {
    let dir = tempfile::tempdir().unwrap();
    in_virtual_time(async {
        let (clock, (owner, customers)) = (paused_clock(), keys());
        let house = House::build(dir.path(), clock.clone(), embedded(dir.path(), &clock), owner);
        let keep = Keep { readings: Some(Duration::from_secs(2 * 3600)), lines: Some(Duration::from_secs(5 * 3600)) };
        Keeper::new(KeeperPlan { keep, guards: BTreeMap::new() }, clock.clone(), house.scribe.clone()).start();
        tokio::time::sleep(Duration::from_secs(600)).await;
        house.pay(&customers, 4, Money(30_000_000_000)).await;
        hours(10).await;
        let (gone, _) = house.scribe.read(Ledger::let_go_of).await.unwrap();
        let left = house.scribe.read(|l| l.readings_after(Seq(0), 10_000)).await.unwrap();
        // Thirteen meters, four readings an hour each; what is younger than two hours, or not settled, stays.
        assert!((300..=450).contains(&gone), "{gone} went, {} are left", left.len());
        let old = clock.now() - Duration::from_secs(4 * 3600);
        assert!(left.iter().all(|(_, r)| r.at > old), "{:?} is left", left[0].1.at);
        let oldest = house.scribe.read(|l| l.lines(&account(4), Timestamp(0), MIDNIGHT + PERIOD * 8)).await.unwrap();
        assert!(oldest.is_empty(), "{} old lines are left", oldest.len());
        assert_eq!(house.board.look().chain.problem, None);
        let report = house.scribe.read(|l| l.verify(|_| Guard::new(Watts(i64::MAX)))).await.unwrap();
        assert_eq!(report.findings, []);
        assert_eq!(report.gone, u64::try_from(gone).unwrap());
    });
}
