//! Pay that is withheld beyond the dispatch: the same whenever it is billed, whatever is gone, and for the auditor too.

use super::*;
use domain::dispatch::{Cap, Release};
use domain::{AccountId, Kind, Money};
use ledger::{AccountRow, Keep};
use proptest::prelude::*;
use std::time::Duration;

const MINUTE: i64 = 60_000;

fn told(home: usize, at: i64, minutes: i64, most: Option<i64>) -> Write {
    let cap = Cap {
        meter: format!("home-{home}").parse().unwrap(),
        since: Timestamp(at),
        until: Timestamp(at + minutes * MINUTE),
        most: most.map(Watts),
        rated: Watts(6000),
        tolerance: Permille::new(50).unwrap(),
        slack: WattHours(1),
    };
    let inverter = format!("roof-{home}").parse().unwrap();
    Write::Fact(match most {
        Some(_) => Fact::InverterLimited { inverter, to: Permille::new(300).unwrap(), follows: true, cap },
        None => Fact::InverterReleased { inverter, why: Release::Planned, cap },
    })
}

/// Minutes of a street: what is told before them, by whom read, how much is fed in, and whether the Pricer comes.
type Minute = (Option<(usize, i64, Option<i64>)>, [Option<i64>; 3], bool);

fn live(dir: &std::path::Path, minutes: &[Minute], as_it_comes: bool, tidy: Option<usize>) -> Vec<AccountRow> {
    let ledger = open(dir);
    for number in 1..=3_u32 {
        let account = format!("home-{}", number - 1).parse().unwrap();
        write(&ledger, Write::Fact(Fact::AccountOpened { account, number }));
    }
    let (mut fed, mut batches) = ([0; 3], 0);
    for (at, (cap, homes, bill)) in (0..).map(|m| m * MINUTE).zip(minutes) {
        if let Some((home, lasts, most)) = cap {
            write(&ledger, told(*home, at, *lasts, *most));
        }
        for (home, more) in homes.iter().enumerate() {
            let Some(more) = more else { continue };
            fed[home] += more;
            write(&ledger, Write::Readings(vec![exporting(home, at, 0, fed[home])]));
        }
        if *bill && as_it_comes {
            write(&ledger, price(&ledger));
        }
        if tidy == Some(usize::try_from(at / MINUTE).unwrap()) {
            write(&ledger, price(&ledger));
            batches += 1;
            if let Outcome::Batch(Some(_)) = write(&ledger, batch(batches)) {
                let intent = ledger.open_intents().unwrap().remove(0).id;
                let facts = vec![Fact::Settled { batch: batches, accounts: 3, transaction: "0x1".into(), gas: 1 }];
                write(&ledger, Write::Conclude { intent, mined: Some(("0x1".into(), 3)), problem: None, facts });
            }
            let keep = Keep { readings: Some(Duration::ZERO), lines: None };
            ledger.tidy(Timestamp(at), &keep, |_| LIMIT).unwrap();
        }
    }
    write(&ledger, price(&ledger));
    assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);
    // What is said to the customer is what is in the bill.
    let facts = ledger.facts_after(Seq(0), 100_000).unwrap();
    for home in 0..3 {
        let account: AccountId = format!("home-{home}").parse().unwrap();
        let lines = ledger.lines(&account, Timestamp(0), Timestamp(i64::MAX)).unwrap();
        let held: i64 = lines.iter().filter(|l| l.line.kind == Kind::Withheld).map(|l| l.line.credit.0).sum();
        let said = facts.iter().map(|(_, _, fact)| match fact {
            Fact::PayWithheld { account: whose, amount, .. } if *whose == account => amount.0,
            _ => 0,
        });
        assert_eq!(held, -said.sum::<i64>());
    }
    ledger.accounts().unwrap()
}

fn money(accounts: &[AccountRow]) -> Vec<(Money, WattHours)> {
    accounts.iter().map(|a| (a.balance, a.registers.feed_in)).collect()
}

fn minute() -> impl Strategy<Value = Minute> {
    let cap = proptest::option::weighted(0.15, (0..3_usize, 1..40_i64, proptest::option::weighted(0.8, 0..3000_i64)));
    let read = || proptest::option::weighted(0.8, 0..90_i64);
    (cap, [read(), read(), read()], proptest::bool::weighted(0.4))
}

#[test]
fn a_deviation_is_billed_as_a_line_that_names_both_energies() {
    let dir = tempfile::tempdir().unwrap();
    let mut minutes: Vec<Minute> = (0..40).map(|_| (None, [Some(50), Some(20), None], true)).collect();
    minutes[0].0 = Some((0, 30, Some(1200)));
    let accounts = live(dir.path(), &minutes, true, None);
    // 1200 W for half an hour are 600 Wh; 50 Wh a minute were counted out.
    let ledger = Ledger::open(&dir.path().join("ledger.db")).unwrap();
    let lines = ledger.lines(&"home-0".parse().unwrap(), Timestamp(0), Timestamp(i64::MAX)).unwrap();
    let held = lines.iter().map(|l| &l.line).filter(|l| l.kind == Kind::Withheld);
    let held: Vec<_> = held.map(|l| (l.import_from.0, l.export_from.0, l.credit.0)).collect();
    assert_eq!(held, [(300, 750, -450 * 80_000), (300, 750, -450 * 80_000)]);
    assert_eq!(accounts[0].balance, Money((39 * 50 - 900) * 80_000));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn it_does_not_matter_when_the_pricer_comes_nor_what_is_gone(
        minutes in proptest::collection::vec(minute(), 20..90), tidied in 5..80_usize,
    ) {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let at_once = live(dirs[0].path(), &minutes, false, None);
        prop_assert_eq!(money(&live(dirs[1].path(), &minutes, true, None)), money(&at_once));
        prop_assert_eq!(money(&live(dirs[2].path(), &minutes, true, Some(tidied))), money(&at_once));
    }
}
