//! A day of sun on a street whose feeder does not take it all: the surplus is shared out, one roof ignores its part and is
//! not paid for it.

use crate::street::{MIDNIGHT, account, paused_clock, tariff};
use actix::{Actor, Addr};
use actors::*;
use domain::dispatch::{Basis, Bound, Release};
use domain::network::{Branch, Bus, BusKind, Cost, Generator, Network};
use domain::*;
use drivers::Inverter;
use drivers::simulator::{HomeSpec, InverterSpec, Street, StreetSpec};
use ledger::{Enrolled, Enrolment, Ledger};
use solvers::flow::{Newton, Outcome};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Three roofs of 6 kW at the end of a kilometre of cable, a feeder that takes 4 kW.
const ROOFS: usize = 3;
const RATED: Watts = Watts(6000);
const EXPORT: Watts = Watts(4000);
const PERIOD: Duration = Duration::from_secs(300);
pub const QUARTER: Duration = Duration::from_secs(900);
const HIGHEST: f64 = 1.018;
/// The one that ignores its limits.
const DEAF: usize = 2;

pub struct Sunny {
    clock: Clock,
    pub scribe: Scribe,
    pub board: Board,
    poller: Addr<Poller>,
    inverters: Vec<Arc<dyn Inverter>>,
}

fn home(n: usize) -> MeterId {
    format!("home-{n}").parse().unwrap()
}

fn roof(n: usize) -> InverterId {
    format!("roof-{n}").parse().unwrap()
}

fn own(n: usize) -> MeterId {
    format!("roof-{n}").parse().unwrap()
}

/// Station, and homes along the line.
fn network() -> Network {
    let bus = |number: u32| Bus {
        number,
        name: Some(if number == 1 { "station".to_owned() } else { format!("pole-{}", number - 1) }),
        kind: if number == 1 { BusKind::Reference } else { BusKind::Load },
        demand_mw: 0.0,
        demand_mvar: 0.0,
        shunt_mw: 0.0,
        shunt_mvar: 0.0,
        vm_pu: 1.0,
        va_deg: 0.0,
        base_kv: 0.4,
        vmin_pu: 0.95,
        vmax_pu: HIGHEST,
        area: 1.0,
    };
    // 0.206 + 0.08j ohms a kilometre, on 400 V and 0.1 MVA.
    let line = |from: usize, km: f64| Branch {
        from,
        to: from + 1,
        r_pu: 0.206 * km / 1.6,
        x_pu: 0.080 * km / 1.6,
        b_pu: 0.0,
        rate_mva: Some(0.1),
        tap: 1.0,
        shift_deg: 0.0,
        in_service: true,
        angle_min_deg: None,
        angle_max_deg: None,
    };
    let source = Generator {
        bus: 0,
        p_mw: 0.0,
        q_mvar: 0.0,
        p_min_mw: -0.1,
        p_max_mw: 0.1,
        q_min_mvar: -0.1,
        q_max_mvar: 0.1,
        v_pu: 1.0,
        in_service: true,
        cost: Cost::Piecewise(vec![(-0.1, 0.0), (0.0, 0.0), (0.1, 30.0)]),
        reactive_cost: None,
    };
    Network {
        name: "sunny street".into(),
        base_mva: 0.1,
        buses: (1..=4).map(bus).collect(),
        branches: vec![line(0, 0.9), line(1, 0.05), line(2, 0.05)],
        generators: vec![source],
    }
}

impl Sunny {
    fn build(dir: &Path, clock: Clock, planned: bool) -> Self {
        Self::build_with(dir, clock, planned, None)
    }

    /// The same, with plans that a contract judges for this stake.
    pub fn build_with(dir: &Path, clock: Clock, planned: bool, stake_gwei: Option<u64>) -> Self {
        let feeder: MeterId = "feeder".parse().unwrap();
        let ledger = Arc::new(Ledger::open(&dir.join("ledger.db")).unwrap());
        let mut meters: Vec<_> = (1..=ROOFS).map(|n| (home(n), Some(account(n)))).collect();
        meters.extend((1..=ROOFS).map(|n| (own(n), None)));
        meters.push((feeder.clone(), None));
        let accounts = (1..=ROOFS).map(|n| Enrolled { id: account(n), debt_share: Permille::NONE }).collect();
        ledger.enrol(&Enrolment { accounts, meters }).unwrap();
        ledger.adopt_tariff(clock.now(), &tariff(), None, "test").unwrap();
        let spec = StreetSpec {
            seed: 7,
            anchor: MIDNIGHT,
            state: dir.join("street.json"),
            homes: (1..=ROOFS).map(|n| HomeSpec { meter: home(n), pv_peak: RATED, scale_permille: 1000 }).collect(),
            feeder: Some(feeder.clone()),
            loss_permille: 0,
        };
        let street = Street::open(spec, clock.clone()).unwrap();
        let scribe = Recorder::launch(ledger, clock.clone()).unwrap();
        let board = Board::default();
        let mut read = Vec::new();
        let mut add = |id: MeterId, meter, billed| {
            read.push(MeterPlan { id, meter, period: PERIOD, patience: PERIOD, billed });
        };
        let (mut inverters, mut limited) = (Vec::new(), Vec::new());
        for n in 1..=ROOFS {
            add(home(n), street.meter(&home(n)).unwrap(), true);
            let spec = InverterSpec { name: own(n), rated: RATED, obeys: n != DEAF };
            let (device, meter) = street.inverter(&home(n), spec).unwrap();
            add(own(n), meter, false);
            let (tolerance, slack) = (Permille::new(20).unwrap(), WattHours(2));
            let known = KnownInverter { id: roof(n), meter: home(n), rated: RATED, tolerance, slack };
            limited.push(InverterPlan { known, device: Arc::clone(&device) });
            inverters.push(device);
        }
        add(feeder.clone(), street.meter(&feeder).unwrap(), false);
        let enforcer = Enforcer::new(Vec::new(), QUARTER, clock.clone(), scribe.clone(), board.clone());
        let enforcer = enforcer.limiting(limited).start();
        let pricer = PricerPlan {
            zone: tariff().zone,
            accounts: Vec::new(),
            guards: Default::default(),
            lease: QUARTER,
            stale_after: QUARTER,
            pause: Duration::from_secs(30),
        };
        Pricer::new(pricer, clock.clone(), scribe.clone(), board.clone(), None).start();
        let plan = PlannerPlan {
            site: Site {
                network: network(),
                homes: (1..=ROOFS).map(|n| Home { meter: home(n), bus: n }).collect(),
                roofs: (1..=ROOFS)
                    .map(|n| Roof { id: roof(n), bus: n, meter: home(n), own: own(n), rated: RATED })
                    .collect(),
                export_limit: Some(EXPORT),
                import_limit: None,
                headroom: Permille::new(20).unwrap(),
                scale: 1_000_000_000,
            },
            interval: QUARTER,
            lead: Duration::from_secs(30),
            deadline: Duration::from_secs(60),
            stale_after: PERIOD * 2,
            stake_gwei,
            judge: None,
        };
        if planned {
            Planner::new(plan, clock.clone(), scribe.clone(), board.clone(), enforcer).start();
        }
        let bus = "street".parse().unwrap();
        let poller = Poller::new(bus, read, clock.clone(), scribe.clone(), board.clone()).start();
        Self { clock, scribe, board, poller, inverters }
    }

    async fn facts(&self) -> Vec<(Timestamp, Fact)> {
        let facts = self.scribe.read(|l| l.facts_after(Seq(0), 100_000)).await.unwrap();
        facts.into_iter().map(|(_, at, fact)| (at, fact)).collect()
    }

    async fn lines(&self, n: usize) -> Vec<Line> {
        let lines = self.scribe.read(move |l| l.lines(&account(n), Timestamp(0), Timestamp(i64::MAX))).await.unwrap();
        lines.into_iter().map(|l| l.line).collect()
    }

    /// The highest voltage and the greatest export of a day, by a power flow of what the homes' registers counted between
    /// one reading and the next.
    async fn metered(&self) -> (f64, f64) {
        let readings = self.scribe.read(|l| l.readings_after(Seq(0), 1_000_000)).await.unwrap();
        let of = |meter: MeterId| -> Vec<(Timestamp, i64)> {
            let mine = readings.iter().map(|(_, r)| r).filter(|r| r.meter == meter);
            mine.map(|r| (r.at, r.import.unwrap().0 - r.export.unwrap().0)).collect()
        };
        let homes: Vec<_> = (1..=ROOFS).map(|n| of(home(n))).collect();
        let (mut volts, mut export) = (0.0_f64, 0.0_f64);
        for step in 1..homes.iter().map(Vec::len).min().unwrap() {
            let mut network = network();
            for (n, seen) in homes.iter().enumerate() {
                let hours = (seen[step].0.0 - seen[step - 1].0.0) as f64 / 3.6e6;
                network.buses[n + 1].demand_mw = (seen[step].1 - seen[step - 1].1) as f64 / hours / 1e6;
            }
            let mut newton = Newton::new(&network);
            let Outcome::Converged(state) = newton.solve(false) else { panic!("no power flow at step {step}") };
            let report = state.report(&network, &newton.grid);
            volts = report.buses.iter().fold(volts, |most, (v, _)| most.max(*v));
            export = export.max(-report.generators[0].0 * 1e6);
        }
        (volts, export)
    }
}

fn virtual_time<T>(test: impl AsyncFnOnce(Clock) -> T) -> T {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    actix::System::with_tokio_rt(runtime).block_on(async { test(paused_clock()).await })
}

#[test]
fn a_day_of_surplus_is_shared_out_and_the_roof_that_ignores_it_is_not_paid_for_it() {
    let (planned, left_alone) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let wild = virtual_time(async |clock| {
        let street = Sunny::build(left_alone.path(), clock, false);
        tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
        street.metered().await
    });
    assert!(wild.0 > HIGHEST && wild.1 > 3.0 * 4000.0, "without a plan nothing would be wrong: {wild:?}");

    virtual_time(async |clock| {
        let street = Sunny::build(planned.path(), clock, true);
        tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
        street.poller.send(StopReading).await.unwrap();
        tokio::time::sleep(Duration::from_secs(300)).await;

        let (volts, export) = street.metered().await;
        assert!(volts <= HIGHEST, "{volts} p.u.");
        assert!(export < wild.1 / 1.5, "{export} W of {wild:?}");

        let facts = street.facts().await;
        let plans = facts.iter().filter_map(|(at, f)| match f {
            Fact::Planned { plan } => Some((*at, plan)),
            _ => None,
        });
        let plans: Vec<_> = plans.collect();
        let cents = |p: &domain::dispatch::Plan| p.basis.gap().is_some_and(|gap| (0..50_000_000).contains(&gap.0));
        let optimal = plans.iter().filter(|(_, p)| matches!(p.basis, Basis::Optimal { .. }) && cents(p));
        // At noon the one that ignores its limit makes all that the feeder takes, and more: nobody else may make anything.
        let alone = plans.iter().filter(|(_, p)| {
            let others = p.setpoints.iter().filter(|s| s.inverter != roof(DEAF));
            matches!(p.basis, Basis::Safe { .. }) && others.map(|s| s.most.0).sum::<i64>() == 0
        });
        let (optimal, alone) = (optimal.count(), alone.count());
        let all = plans.iter().map(|p| &p.1.basis).collect::<Vec<_>>();
        assert!(optimal + alone >= plans.len() - 1 && (1..=24).contains(&alone), "{optimal} {alone} {all:?}");
        assert!(plans.iter().any(|(_, p)| p.binding == [Bound::Source]), "nothing ever bound");
        assert!(plans.iter().skip(1).all(|(at, p)| *at < p.from), "a plan was recorded after its beginning");

        for n in 1..=ROOFS {
            let lines = street.lines(n).await;
            let held: Vec<&Line> = lines.iter().filter(|l| l.kind == Kind::Withheld).collect();
            if n != DEAF {
                assert_eq!(held, Vec::<&Line>::new(), "home-{n} did as it was told");
                continue;
            }
            assert!(held.len() >= 8, "{held:?}");
            let told = facts.iter().filter(|(_, f)| matches!(f, Fact::PayWithheld { .. })).count();
            assert_eq!(told, held.len(), "the customer is told of every interval");
            for line in held {
                let beyond = line.export_from - line.import_from;
                assert_eq!(line.credit, Money(-80_000 * beyond.0), "{line:?}");
                let mine = lines.iter().filter(|l| l.interval == line.interval && l.meter.is_some());
                let fed: i64 = mine.map(|l| l.export.0).sum();
                assert_eq!(fed, line.export_from.0, "the line names what was counted");
                let said = plans.iter().rev().find(|(_, p)| p.from <= line.interval).unwrap();
                let most = said.1.setpoints.iter().find(|s| s.inverter == roof(n)).unwrap().most;
                assert!((line.import_from.0 - (most.0 + 3) / 4).abs() <= 2, "{most} for {line:?}");
            }
        }
        let audit = street.scribe.read(|l| l.verify(|_| Guard::new(Watts(i64::MAX)))).await.unwrap();
        assert_eq!(audit.findings, []);
        let totals = street.scribe.read(Ledger::totals).await.unwrap();
        assert_eq!(totals.metered, totals.billed);
    });
}

#[test]
fn without_news_the_last_limit_runs_out_and_the_inverter_goes_back_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    virtual_time(async |clock| {
        let street = Sunny::build(dir.path(), clock, true);
        tokio::time::sleep(Duration::from_secs(12 * 3600 + 60)).await;
        let limit = street.inverters[0].limited().await.unwrap();
        assert!(limit.to.is_some(), "at noon it is held back");
        street.poller.send(StopReading).await.unwrap();
        tokio::time::sleep(QUARTER * 2 + Duration::from_secs(90)).await;
        assert_eq!(street.inverters[0].limited().await.unwrap().to, None);
        let problem = street.board.look().plan.as_ref().and_then(|p| p.problem.clone());
        assert_eq!(problem.as_deref(), Some("nothing new is heard of home-1, home-2, home-3, roof-1, roof-2, roof-3"));
        let ran_out = street
            .facts()
            .await
            .into_iter()
            .filter(|(_, f)| matches!(f, Fact::InverterReleased { why: Release::RanOut, .. }));
        assert_eq!(ran_out.count(), ROOFS);
    });
}

#[test]
fn what_was_dispatched_before_a_restart_is_held_against_nobody() {
    let dir = tempfile::tempdir().unwrap();
    virtual_time(async |clock| {
        let street = Sunny::build(dir.path(), clock, true);
        tokio::time::sleep(Duration::from_secs(12 * 3600 + 60)).await;
        let caps = street.scribe.read(|l| l.newest_caps()).await.unwrap();
        assert!(caps.values().all(|cap| cap.most.is_some()), "{caps:?}");
        // The same ledger under another house, which knows nothing of the first one.
        let begun = street.clock.now();
        let ledger = street.scribe.ledger();
        let again = Recorder::launch(ledger, street.clock.clone()).unwrap();
        let known = |n| KnownInverter {
            id: roof(n),
            meter: home(n),
            rated: RATED,
            tolerance: Permille::NONE,
            slack: WattHours(1),
        };
        let plans = (1..=ROOFS).map(|n| InverterPlan { known: known(n), device: Arc::clone(&street.inverters[n - 1]) });
        let enforcer = Enforcer::new(Vec::new(), QUARTER, street.clock.clone(), again.clone(), Board::default());
        enforcer.limiting(plans.collect()).start();
        tokio::time::sleep(Duration::from_secs(5)).await;
        let caps = again.read(|l| l.newest_caps()).await.unwrap();
        assert!(caps.values().all(|cap| cap.most.is_none() && cap.since < begun), "{caps:?}");
    });
}
