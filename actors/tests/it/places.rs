//! A street whose meters' beacons are listened to, in virtual time: who is at home is believed, who was carried off is
//! held and freed again, and a street that nobody hears is left in peace.
#![allow(clippy::cast_possible_truncation, reason = "a dozen homes, and places of a short street")]

use crate::street::{HOMES, MIDNIGHT, account, paused_clock, tariff};
use actix::Actor;
use actors::*;
use contracts::location::Secret;
use domain::place::{HoldRule, Place, Proof, RadioModel};
use domain::register::Doubt;
use domain::*;
use drivers::simulator::{HomeSpec, Street, StreetSpec};
use ledger::{Enrolled, Enrolment, Ledger};
use solvers::locate::air::Air;
use solvers::locate::failures;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const EPOCH: Duration = HOUR;
/// Shadowing stays, and fails all proofs of a house alike: it is to be as rare as a house that may be held for it.
const REJECTED: f64 = 0.001;
const PERIOD: Duration = Duration::from_secs(900);
/// What an itinerary through this air gives (`cargo run -p solvers --example locate`).
const MODEL: RadioModel = RadioModel { at_one_metre: -4_005, exponent: 2_800, spread: 268 };

fn meter(home: usize) -> MeterId {
    format!("home-{home}").parse().unwrap()
}

fn rule() -> HoldRule {
    let hourly = 24.0 * 365.25;
    HoldRule { failures: failures(8, REJECTED, hourly, 0.01).unwrap(), window: 8 }
}

struct Site {
    clock: Clock,
    scribe: Scribe,
    board: Board,
    air: SimulatedAir,
}

fn mm((x, y): (f64, f64)) -> Place {
    Place { x: (x * 1000.0) as i64, y: (y * 1000.0) as i64 }
}

fn home(at: usize) -> Place {
    mm(Air::street(HOMES as u32).1[at - 1])
}

/// A street of twelve homes, in each of which an anchor listens as well.
fn build(dir: &Path, seed: u64, clock: Clock, hold: bool) -> Site {
    let ledger = Arc::new(Ledger::open(&dir.join("ledger.db")).unwrap());
    let enrolled = |i| Enrolled { id: account(i), debt_share: Permille::NONE };
    let meters = (1..=HOMES).map(|i| (meter(i), Some(account(i)))).collect();
    ledger.enrol(&Enrolment { accounts: (1..=HOMES).map(enrolled).collect(), meters }).unwrap();
    if ledger.schedule().unwrap().is_none() {
        ledger.adopt_tariff(clock.now(), &tariff(), None, "test").unwrap();
    }
    let spec = StreetSpec {
        seed: 7,
        anchor: MIDNIGHT,
        state: dir.join("street.json"),
        homes: (1..=HOMES)
            .map(|i| HomeSpec {
                meter: meter(i),
                pv_peak: Watts(if i % 2 == 1 { 6000 } else { 0 }),
                scale_permille: 1000,
            })
            .collect(),
        feeder: None,
        loss_permille: 25,
    };
    let street = Street::open(spec, clock.clone()).unwrap();
    let scribe = Recorder::launch(ledger, clock.clone()).unwrap();
    let board = Board::default();
    let plans = (1..=HOMES).map(|i| MeterPlan {
        meter: street.meter(&meter(i)).unwrap(),
        billed: true,
        id: meter(i),
        period: PERIOD,
        patience: PERIOD * 3,
    });
    Poller::new("street".parse().unwrap(), plans.collect(), clock.clone(), scribe.clone(), board.clone()).start();
    let terms = Terms::prepaid(CreditRule { low_at: Money(2_000_000_000), restore_at: Money(500_000_000) });
    let plan = PricerPlan {
        zone: tariff().zone,
        accounts: (1..=HOMES)
            .map(|i| AccountPlan { id: account(i), meters: vec![meter(i)], terms: terms.clone() })
            .collect(),
        guards: Default::default(),
        lease: HOUR,
        stale_after: HOUR,
        pause: Duration::from_millis(200),
    };
    Pricer::new(plan, clock.clone(), scribe.clone(), board.clone(), None).start();
    let (air, places) = Air::street(HOMES as u32);
    let air = SimulatedAir::new(air, seed, EPOCH / 12, clock.clone(), board.clone());
    let beacon = |i: usize| Beacon::Secret(Secret::new([i as u8; 32]));
    for i in 1..=HOMES {
        air.put(&meter(i), home(i), beacon(i), f64::from(MODEL.at_one_metre) / 100.0);
    }
    // An anchor hangs in each home, a few metres from its meter.
    let anchors = places.iter().enumerate().map(|(i, (x, y))| {
        let place = mm((x + 3.0, y - 2.0));
        AnchorPlan { id: format!("house-{}", i + 1), place, radio: air.anchor(i, place) }
    });
    let plan = LocatorPlan {
        epoch: EPOCH,
        samples: 5,
        false_rejections: REJECTED,
        reach: 22.0,
        rule: rule(),
        hold,
        anchors: anchors.collect(),
        meters: (1..=HOMES)
            .map(|i| MeterPlace { id: meter(i), place: home(i), beacon: beacon(i), model: MODEL })
            .collect(),
        guards: BTreeMap::new(),
        chain: None,
    };
    Locator::new(plan, clock.clone(), scribe.clone(), board.clone()).start();
    Site { clock, scribe, board, air }
}

fn in_virtual_time<T>(work: impl Future<Output = T>) -> T {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    actix::System::with_tokio_rt(runtime).block_on(work)
}

impl Site {
    async fn facts(&self) -> Vec<(Timestamp, Fact)> {
        let (mut all, mut cursor) = (Vec::new(), Seq(0));
        loop {
            let more = self.scribe.read(move |l| l.facts_after(cursor, 1000)).await.unwrap();
            let Some((last, _, _)) = more.last() else { return all };
            cursor = *last;
            all.extend(more.into_iter().map(|(_, at, fact)| (at, fact)));
        }
    }

    async fn proofs(&self) -> Vec<(MeterId, Proof)> {
        let facts = self.facts().await.into_iter();
        facts
            .filter_map(|(_, f)| if let Fact::Located { meter, proof } = f { Some((meter, proof)) } else { None })
            .collect()
    }

    async fn held(&self) -> Vec<MeterId> {
        let meters = self.scribe.read(Ledger::meters).await.unwrap();
        meters.into_iter().filter(|m| m.book.as_ref().is_some_and(|b| b.held.is_some())).map(|m| m.name).collect()
    }

    async fn adds_up(&self) {
        let report = self.scribe.read(|l| l.verify(|_| Guard::new(Watts(i64::MAX)))).await.unwrap();
        assert_eq!(report.findings, []);
    }
}

#[test]
fn who_is_at_home_is_believed() {
    let (mut all, mut accepted, mut held) = (0, 0, 0);
    for seed in 1..=6 {
        let dir = tempfile::tempdir().unwrap();
        in_virtual_time(async {
            let site = build(dir.path(), seed, paused_clock(), true);
            tokio::time::sleep(HOUR * 4 + Duration::from_secs(60)).await;
            let proofs = site.proofs().await;
            all += proofs.len();
            accepted += proofs.iter().filter(|(_, p)| !p.failed()).count();
            held += site.held().await.len();
            assert_eq!(site.board.look().location.as_ref().unwrap().problem, None);
            site.adds_up().await;
        });
    }
    println!("{accepted} of {all} proofs of the honest, {held} of 72 held; {:?}", rule());
    assert_eq!(all, 6 * 4 * 12);
    assert!(accepted * 100 >= all * 99 && held == 0, "{accepted} of {all}, {held} held");
}

#[test]
fn a_meter_that_was_carried_off_is_held_and_freed_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    in_virtual_time(async {
        let site = build(dir.path(), 1, paused_clock(), true);
        tokio::time::sleep(HOUR * 3).await;
        let away = Place { x: home(5).x + 60_000, y: home(5).y };
        site.air.trick(&meter(5), Some(Trick::Moved(away)));
        tokio::time::sleep(HOUR * 5).await;
        assert_eq!(site.held().await, [meter(5)]);
        let live = site.board.look().location.clone().unwrap();
        assert_eq!((live.meters[&meter(5)].state(), live.meters[&meter(4)].state()), ("held", "proved"));
        let billed = |rows: &[ledger::AccountRow]| rows[4].registers;
        let before = billed(&site.scribe.read(Ledger::accounts).await.unwrap());
        tokio::time::sleep(HOUR * 2).await;
        assert_eq!(billed(&site.scribe.read(Ledger::accounts).await.unwrap()), before, "held, and billed all the same");
        site.adds_up().await;

        site.air.trick(&meter(5), None);
        tokio::time::sleep(HOUR * 8).await;
        assert_eq!(site.held().await, []);
        let after = billed(&site.scribe.read(Ledger::accounts).await.unwrap());
        assert!(after.off_peak + after.peak > before.off_peak + before.peak, "{before:?} {after:?}");
        site.adds_up().await;
        let facts = site.facts().await;
        let of_five: Vec<&Fact> = facts
            .iter()
            .map(|(_, f)| f)
            .filter(|f| matches!(f, Fact::MeterHeld { .. } | Fact::MeterFound { .. } | Fact::MeterReleased { .. }))
            .collect();
        let [Fact::MeterHeld { doubt: Doubt::Elsewhere { failed, .. }, .. }, Fact::MeterFound { .. }] = of_five[..]
        else {
            panic!("{of_five:?}")
        };
        assert_eq!(*failed, rule().failures);
    });
}

#[test]
fn who_is_held_is_freed_where_nobody_is_to_be_held_any_more() {
    for hold in [Some(false), None] {
        let dir = tempfile::tempdir().unwrap();
        in_virtual_time(async {
            let site = build(dir.path(), 1, paused_clock(), true);
            let away = Place { x: home(5).x + 60_000, y: home(5).y };
            site.air.trick(&meter(5), Some(Trick::Moved(away)));
            tokio::time::sleep(HOUR * 8).await;
            assert_eq!(site.held().await, [meter(5)]);
        });
        in_virtual_time(async {
            let start = tokio::time::Instant::now();
            let clock = Clock::new(1, move || MIDNIGHT + HOUR * 9 + start.elapsed());
            if let Some(hold) = hold {
                let site = build(dir.path(), 1, clock, hold);
                tokio::time::sleep(HOUR).await;
                assert_eq!(site.held().await, []);
                return site.adds_up().await;
            }
            let ledger = Arc::new(Ledger::open(&dir.path().join("ledger.db")).unwrap());
            let scribe = Recorder::launch(Arc::clone(&ledger), clock.clone()).unwrap();
            free_places(BTreeMap::new(), clock, scribe).await;
            assert!(ledger.places().unwrap().values().all(|p| !p.held));
        });
    }
}

#[test]
fn yesterdays_beacon_proves_nothing_and_what_is_not_held_stays_free() {
    let dir = tempfile::tempdir().unwrap();
    in_virtual_time(async {
        // Nobody is held where it is not wanted, whatever is found.
        let site = build(dir.path(), 2, paused_clock(), false);
        tokio::time::sleep(HOUR * 2 + Duration::from_secs(60)).await;
        let away = Place { x: home(9).x - 60_000, y: home(9).y };
        site.air.trick(&meter(9), Some(Trick::Moved(away)));
        site.air.trick(&meter(4), Some(Trick::Replayed));
        tokio::time::sleep(HOUR * 5).await;
        let proofs = site.proofs().await;
        let of = |m: usize| proofs.iter().filter(|(id, _)| *id == meter(m)).count();
        // The epoch of the replay was proved by its own code; the ones after it by none.
        assert_eq!((of(4), of(1)), (3, 7));
        assert_eq!(site.held().await, Vec::<MeterId>::new());
        let live = site.board.look().location.clone().unwrap();
        let replayed = &live.meters[&meter(4)];
        assert_eq!((replayed.state(), replayed.problem()), ("unproved", None));
        assert_eq!(live.meters[&meter(9)].state(), "failed");
        site.adds_up().await;
    });
}

#[test]
fn a_street_that_nobody_hears_is_left_in_peace_and_it_is_said() {
    let dir = tempfile::tempdir().unwrap();
    in_virtual_time(async {
        let site = build(dir.path(), 3, paused_clock(), true);
        tokio::time::sleep(HOUR * 2).await;
        // Somebody else's beacon is heard all the while, and is no sign that ours would be.
        site.air.put(&"stranger".parse().unwrap(), home(6), Beacon::Fixed("stranger".into()), -40.0);
        for i in 1..=HOMES {
            site.air.trick(&meter(i), Some(Trick::Silent));
        }
        tokio::time::sleep(HOUR * 6).await;
        assert_eq!(site.held().await, Vec::<MeterId>::new());
        let live = site.board.look().location.clone().unwrap();
        assert!(live.problem.as_ref().is_some_and(|p| p.contains("nobody is held")), "{live:?}");
        assert!(live.meters.values().all(|m| m.state() == "unproved"), "{live:?}");
        let degraded = |facts: &[(Timestamp, Fact)]| {
            facts
                .iter()
                .filter(|(_, f)| matches!(f, Fact::DeviceDegraded { device, .. } if device.starts_with("anchor ")))
                .count()
        };
        assert_eq!(degraded(&site.facts().await), HOMES, "each is told once");
        for i in 1..=HOMES {
            site.air.trick(&meter(i), None);
        }
        tokio::time::sleep(HOUR * 3).await;
        let live = site.board.look().location.clone().unwrap();
        assert_eq!(live.problem, None);
        assert!(live.meters.values().all(|m| m.state() == "proved"), "{live:?}");
        site.adds_up().await;
    });
}

#[test]
fn whoever_was_killed_goes_on_in_the_same_epoch_and_judges_none_twice() {
    let dir = tempfile::tempdir().unwrap();
    // Each life ends without a word, in the middle of an epoch or just after its end; the next goes on where time stands.
    let mut from = MIDNIGHT;
    for (life, minutes) in [95, 26, 61, 129, 2, 70, 7, 63].into_iter().enumerate() {
        let at = from;
        in_virtual_time(async {
            let start = tokio::time::Instant::now();
            let clock = Clock::new(1, move || at + start.elapsed());
            let site = build(dir.path(), 5, clock, true);
            let away = Place { x: home(5).x + 60_000, y: home(5).y };
            site.air.trick(&meter(5), Some(Trick::Moved(away)));
            tokio::time::sleep(Duration::from_secs(60 * minutes)).await;
            from = site.clock.now();
            site.adds_up().await;
        });
        println!("life {life} ended at {from}");
    }
    in_virtual_time(async {
        let at = from;
        let start = tokio::time::Instant::now();
        let clock = Clock::new(1, move || at + start.elapsed());
        let site = build(dir.path(), 5, clock, true);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let (facts, proofs) = (site.facts().await, site.proofs().await);
        let mut seen = std::collections::BTreeSet::new();
        assert!(proofs.iter().all(|(meter, p)| seen.insert((meter.clone(), p.epoch))), "an epoch was judged twice");
        let challenges: Vec<i64> = facts
            .iter()
            .filter_map(|(_, f)| if let Fact::Challenged { epoch, .. } = f { Some(*epoch) } else { None })
            .collect();
        assert!(challenges.windows(2).all(|w| w[0] < w[1]), "{challenges:?}");
        let calibrated = facts.iter().filter(|(_, f)| matches!(f, Fact::BeaconCalibrated { .. })).count();
        assert_eq!(calibrated, HOMES, "a model is told once");
        assert_eq!(site.held().await, [meter(5)]);
        site.adds_up().await;
    });
}
