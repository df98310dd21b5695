//! A street of homes, the agents that read it and the one that compares, through days that last a moment.

use crate::street::{HOMES, MIDNIGHT, paused_clock};
use actix::Actor;
use actors::*;
use domain::feeder::{Cause, Counted};
use domain::*;
use drivers::simulator::{Fault, HomeSpec, Street, StreetSpec};
use ledger::{Enrolment, Grid, Ledger};
use solvers::balance::{Settings, Verdict};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const PERIOD: Duration = Duration::from_secs(300);
const HOUR: Duration = Duration::from_secs(3600);

fn meter(home: usize) -> MeterId {
    format!("home-{home}").parse().unwrap()
}

fn feeder() -> MeterId {
    "feeder".parse().unwrap()
}

fn plan() -> AuditPlan {
    let homes: Vec<MeterId> = (1..=HOMES).map(meter).collect();
    let rule = (Guard::new(Watts(50_000)), PERIOD * 3);
    AuditPlan {
        feeders: vec![feeder()],
        grid: Grid {
            interval: Duration::from_secs(900),
            meters: homes.iter().cloned().chain([feeder()]).map(|m| (m, rule)).collect(),
        },
        homes,
        window: 14 * 24 * HOUR,
        settings: Settings {
            resistance: None,
            voltage: Volts::finite(230.0).unwrap(),
            loss: None,
            meter_error: Permille::new(10).unwrap(),
            own_use: Watts(1),
            confidence: Permille::new(997).unwrap(),
            step: WattHours(1),
        },
    }
}

/// What the street was after so many days: facts of the journal, and the board.
struct Lived {
    facts: Vec<(Timestamp, Fact)>,
    balance: BalanceLive,
}

fn live(dir: &Path, faults: &BTreeMap<MeterId, Fault>, hours: u32) -> Lived {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    actix::System::with_tokio_rt(runtime).block_on(async {
        let clock = paused_clock();
        let ledger = Arc::new(Ledger::open(&dir.join("ledger.db")).unwrap());
        let mut meters: Vec<_> = (1..=HOMES).map(|i| (meter(i), Some(crate::street::account(i)))).collect();
        meters.push((feeder(), None));
        let enrolled = |i| ledger::Enrolled { id: crate::street::account(i), debt_share: Permille::NONE };
        let accounts = (1..=HOMES).map(enrolled).collect();
        ledger.enrol(&Enrolment { accounts, meters }).unwrap();
        let spec = StreetSpec {
            seed: 7,
            anchor: MIDNIGHT,
            state: dir.join("street.json"),
            homes: (1..=HOMES)
                .map(|i| HomeSpec {
                    meter: meter(i),
                    pv_peak: Watts(if i % 6 == 2 { 6000 } else { 0 }),
                    scale_permille: 1000,
                })
                .collect(),
            feeder: Some(feeder()),
            loss_permille: 25,
        };
        let street = Street::open_with(spec, faults.clone(), clock.clone()).unwrap();
        let scribe = Recorder::launch(ledger, clock.clone()).unwrap();
        let board = Board::default();
        let all = (1..=HOMES).map(meter).chain([feeder()]);
        let plans = all.map(|id| MeterPlan {
            meter: street.meter(&id).unwrap(),
            billed: id != feeder(),
            id,
            period: PERIOD,
            patience: PERIOD * 3,
        });
        Poller::new("street".parse().unwrap(), plans.collect(), clock.clone(), scribe.clone(), board.clone()).start();
        Auditor::new(plan(), clock.clone(), scribe.clone(), board.clone()).start();
        tokio::time::sleep(HOUR * hours).await;
        let facts = scribe.read(|l| l.facts_after(Seq(0), 1000)).await.unwrap();
        let balance = board.look().balance.clone().unwrap();
        Lived { facts: facts.into_iter().map(|(_, at, fact)| (at, fact)).collect(), balance }
    })
}

#[test]
fn an_honest_street_is_left_in_peace() {
    let dir = tempfile::tempdir().unwrap();
    let lived = live(dir.path(), &BTreeMap::new(), 60);
    assert_eq!(lived.facts, []);
    let Verdict::Judged(judged) = &lived.balance.verdict else { panic!("{:?}", lived.balance) };
    assert_eq!((judged.found.as_slice(), lived.balance.told.as_slice()), (&[][..], &[][..]));
    assert!(judged.intervals > 200, "{judged:?}");
    // What is known to be lost: 2.5 %.
    assert!((15..=35).contains(&judged.loss.get()), "{}", judged.loss);
    assert!(judged.last.unexplained.0.abs() <= 10, "{:?}", judged.last);
}

#[test]
fn before_a_day_is_over_nothing_is_judged() {
    let dir = tempfile::tempdir().unwrap();
    let lived = live(dir.path(), &BTreeMap::new(), 20);
    let Verdict::NotEnough { have, need: 96, absent } = &lived.balance.verdict else { panic!("{:?}", lived.balance) };
    assert!((70..80).contains(have) && absent.is_empty(), "{:?}", lived.balance);
}

#[test]
fn theft_is_told_once_with_its_watts_and_its_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let since = MIDNIGHT + HOUR * 34;
    let theft = Fault { takes: Watts(300), since, ..Fault::default() };
    let faults = BTreeMap::from([(feeder(), theft)]);
    let lived = live(dir.path(), &faults, 60);
    let found: Vec<_> = lived
        .facts
        .iter()
        .map(|(at, fact)| match fact {
            Fact::ImbalanceFound { found } => (*at, found),
            _ => panic!("{}", told(&lived)),
        })
        .collect();
    let (at, first) = found[0];
    assert_eq!((first.cause, &first.meter), (Cause::TakeOffAtTimes, &None), "{first}");
    assert!((since..since + HOUR * 3).contains(&at), "told at {at}");
    assert!((250..=350).contains(&first.power.best.0), "{first}");
    assert!((since - HOUR..=since + HOUR).contains(&first.since), "{first}");
    // Two days on it counts as steady, and that is all there is to tell.
    let causes: Vec<Cause> = found.iter().map(|(_, f)| f.cause).collect();
    assert_eq!(causes, [Cause::TakeOffAtTimes], "{}", told(&lived));
}

fn told(lived: &Lived) -> String {
    let lines = lived.facts.iter().map(|(at, fact)| match fact {
        Fact::ImbalanceFound { found } => format!("{at}: {found}, since {}\n", found.since),
        other => format!("{at}: {other:?}\n"),
    });
    lines.collect()
}

#[test]
fn a_meter_with_a_reversed_current_transformer_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let reversed = Fault { counts: Counted(333), ..Fault::default() };
    let lived = live(dir.path(), &BTreeMap::from([(meter(5), reversed)]), 48);
    let [(_, Fact::ImbalanceFound { found })] = lived.facts.as_slice() else { panic!("{:#?}", lived.facts) };
    assert_eq!((found.cause, &found.meter), (Cause::OneThird, &Some(meter(5))), "{found}");
    assert!((320..=346).contains(&found.counts.unwrap().best.0), "{found}");
    assert_eq!(lived.balance.told.len(), 1);
}
