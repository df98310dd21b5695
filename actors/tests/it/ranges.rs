//! Gateways that forecast the same street, and one that tampers: what the ledger announces, and what the chain says of it.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "hours and homes of a test are small"
)]

use crate::refused::{hours, in_virtual_time};
use crate::street::{MIDNIGHT, WEI_PER_UNIT, tariff};
use actix::Actor;
use actors::*;
use contracts::chain::{Chain, Receipt};
use contracts::embedded::{EmbeddedChain, Genesis};
use contracts::key::{LocalKey, Signer};
use contracts::tou;
use contracts::tx::{Call, Transaction};
use contracts::{Address, U256};
use domain::*;
use ledger::{Enrolled, Enrolment, Grid, Group, Ledger, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const HOMES: usize = 3;
/// Sixteen days, up to the hour at which ranges are due.
const HOURS: std::ops::RangeInclusive<i64> = -24 * 16..=18;
/// When the street is looked at: half an hour before ranges are due.
const START: Timestamp = Timestamp(MIDNIGHT.0 + 17 * 3_600_000 + 1_800_000);
const TOMORROW: Timestamp = Timestamp(MIDNIGHT.0 + 24 * 3_600_000);

fn home(i: usize) -> MeterId {
    format!("home-{i}").parse().unwrap()
}

/// A ledger with these hours, before and after midnight, of a street that draws most in the evening; a tampered one says: in the morning.
fn ledger(dir: &Path, hours: std::ops::RangeInclusive<i64>, tampered: bool) -> Arc<Ledger> {
    let ledger = Ledger::open(&dir.join("ledger.db")).unwrap();
    let account = |i: usize| -> AccountId { format!("home-{i}").parse().unwrap() };
    let accounts = (0..HOMES).map(|i| Enrolled { id: account(i), debt_share: Permille::NONE }).collect();
    ledger.enrol(&Enrolment { accounts, meters: (0..HOMES).map(|i| (home(i), Some(account(i)))).collect() }).unwrap();
    ledger
        .adopt_tariff(START, &Tariff { peak_hours: vec!["12:00-13:00".parse().unwrap()], ..tariff() }, None, "test")
        .unwrap();
    let peak = if tampered { 7..10 } else { 18..21 };
    let mut registers = [1000_i64; HOMES];
    let mut readings = Vec::new();
    for hour in hours {
        for (i, register) in registers.iter_mut().enumerate() {
            let mut reading = Reading::empty(home(i), Timestamp(MIDNIGHT.0 + hour * 3_600_000));
            reading.import = Some(WattHours(*register));
            readings.push(reading);
            let wiggle = (hour * 7 + 3 * i as i64).rem_euclid(40);
            *register += wiggle + if peak.contains(&hour.rem_euclid(24)) { 2000 } else { 300 };
        }
    }
    ledger.commit(START, &[Write::Readings(readings)]).unwrap().remove(0).unwrap();
    Arc::new(ledger)
}

fn forecast() -> ForecastPlan {
    let rule = (Guard::new(Watts(50_000)), HOUR);
    ForecastPlan {
        homes: Group { name: "load".into(), meters: (0..HOMES).map(home).collect() },
        grid: Grid { interval: HOUR, meters: (0..HOMES).map(|i| (home(i), rule)).collect() },
        at_minute: 18 * 60,
        least_days: 14,
        notice: HOUR,
        min_run: HOUR * 2,
        max_switches: 4,
        hysteresis: 100,
        seed: 1,
    }
}

/// One gateway, as far as it deals with ranges.
struct Gateway {
    scribe: Scribe,
    board: Board,
    clock: Clock,
}

impl Gateway {
    fn start(ledger: Arc<Ledger>, clock: &Clock, on_chain: Option<(&Arc<dyn Chain>, Address, &LocalKey)>) -> Self {
        let scribe = Recorder::launch(ledger, clock.clone()).unwrap();
        let (board, clock) = (Board::default(), clock.clone());
        let gateway = Self { scribe, board, clock };
        gateway.ranger();
        if let Some((chain, at, key)) = on_chain {
            let plan = SettlerPlan {
                kind: "test".into(),
                chain: Arc::clone(chain),
                chain_id: 31337,
                signer: Arc::new(key.clone()) as Arc<dyn Signer>,
                provider: None,
                time_of_use: Some(at),
                dispatch: None,
                witness: None,
                wei_per_unit: U256::from(WEI_PER_UNIT),
                low_at: Money(0),
                agreed: Agreed::default(),
                holders: Default::default(),
                points: Default::default(),
                confirmations: 1,
                every: HOUR,
                poll: Duration::from_secs(300),
                most: 100,
                fees: FeePolicy { ceiling: 500_000_000_000, patience: Duration::from_secs(60) },
            };
            Settler::new(plan, gateway.clock.clone(), gateway.scribe.clone(), gateway.board.clone()).start();
        }
        gateway
    }

    /// Another Ranger on the same ledger, as after a restart.
    fn ranger(&self) {
        let plan = RangerPlan { zone: TimeZone::utc(), forecast: Some(forecast()) };
        Ranger::new(plan, self.clock.clone(), self.scribe.clone(), self.board.clone()).start();
    }

    async fn facts(&self) -> Vec<Fact> {
        let facts = self.scribe.read(|l| l.facts_after(Seq(0), 1000)).await.unwrap();
        facts.into_iter().map(|(_, _, fact)| fact).collect()
    }

    /// What it said of days on the chain: the round, and whether it agreed; `None` for one that it posted itself.
    async fn said(&self) -> Vec<(u32, Option<bool>)> {
        let of = |fact: &Fact| match fact {
            Fact::RangesPosted { round, .. } => Some((*round, None)),
            Fact::RangesAttested { round, agreed, .. } => Some((*round, Some(*agreed))),
            _ => None,
        };
        self.facts().await.iter().filter_map(of).collect()
    }

    async fn peak_hours(&self, at: Timestamp) -> Vec<String> {
        let schedule = self.scribe.read(Ledger::schedule).await.unwrap().unwrap();
        schedule.at(at).peak_hours.iter().map(DayRange::to_string).collect()
    }
}

/// A chain with a contract on it in which each of these keys has a seat.
fn contract(dir: &Path, clock: &Clock, keys: &[LocalKey]) -> (Arc<dyn Chain>, Address) {
    let owner = LocalKey::from_hex(&hex_of(9)).unwrap();
    let coins = U256::from(10_000) * U256::from(10).pow(U256::from(18));
    let alloc = keys.iter().chain([&owner]).map(|k| (k.address(), coins)).collect();
    let chain = EmbeddedChain::open(&dir.join("chain"), Genesis { chain_id: 31337, alloc }, clock.clone()).unwrap();
    let send = |call: Call| -> Receipt {
        let nonce = chain.nonce(owner.address()).unwrap();
        let transaction =
            Transaction { chain_id: 31337, nonce, fees: chain.fees().unwrap(), gas_limit: 16_000_000, call };
        let hash = chain.send(&transaction.sign(&owner).unwrap().raw).unwrap();
        (0..10_000).find_map(|_| chain.receipt(hash).unwrap()).expect("never mined")
    };
    let at = send(tou::deploy_call(60)).contract.unwrap();
    assert!(keys.iter().all(|key| send(tou::set_gateway(at, key.address(), true)).ok));
    (Arc::new(chain), at)
}

fn hex_of(byte: u8) -> String {
    format!("{byte:02x}").repeat(32)
}

fn clock() -> Clock {
    let start = tokio::time::Instant::now();
    Clock::new(1, move || START + start.elapsed())
}

async fn day(chain: &Arc<dyn Chain>, at: Address) -> tou::Day {
    let chain = Arc::clone(chain);
    tokio::task::spawn_blocking(move || tou::newest(&*chain, at).unwrap().unwrap().1).await.unwrap()
}

async fn range(chain: &Arc<dyn Chain>, at: Address, hour: u32) -> Option<u8> {
    let (chain, minute) = (Arc::clone(chain), (TOMORROW.0 / 60_000) as u32 + hour * 60);
    tokio::task::spawn_blocking(move || tou::range_at(&*chain, at, minute).ok().map(|(label, _)| label)).await.unwrap()
}

#[test]
fn two_gateways_with_the_same_readings_announce_the_same_day_once_and_agree_on_the_chain() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let keys: Vec<LocalKey> = (1..=2).map(|i| LocalKey::from_hex(&hex_of(i)).unwrap()).collect();
    in_virtual_time(async {
        let clock = clock();
        let (chain, at) = contract(dirs[0].path(), &clock, &keys);
        let on = |i: usize| Gateway::start(ledger(dirs[i].path(), HOURS, false), &clock, Some((&chain, at, &keys[i])));
        let both = [on(0), on(1)];
        hours(2).await;
        for gateway in &both {
            assert_eq!(gateway.peak_hours(clock.now()).await, ["12:00-13:00"], "today stays as it is");
            assert_eq!(gateway.peak_hours(TOMORROW).await, ["18:00-21:00"]);
            let prices = gateway.board.look().prices.clone();
            assert_eq!((prices.problem, prices.waiting), (None, None));
            assert_eq!(prices.tomorrow[1].hours, "18:00-21:00");
            // A restart announces nothing again.
            gateway.ranger();
        }
        hours(1).await;
        for gateway in &both {
            let announced = gateway.facts().await.into_iter().filter(|f| matches!(f, Fact::RangesAnnounced { .. }));
            assert_eq!(announced.count(), 1);
        }
        let mut said = [both[0].said().await, both[1].said().await].concat();
        said.sort();
        assert_eq!(said, [(1, None), (1, Some(true))]);
        let day = day(&chain, at).await;
        assert!(day.agreed && day.starts_at == (TOMORROW.0 / 60_000) as u32, "{day:?}");
        assert_eq!((range(&chain, at, 19).await, range(&chain, at, 9).await), (Some(1), Some(0)));
    });
}

#[test]
fn a_tampered_forecast_is_refused_by_the_others_and_theirs_takes_its_place() {
    let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let keys: Vec<LocalKey> = (1..=3).map(|i| LocalKey::from_hex(&hex_of(i)).unwrap()).collect();
    in_virtual_time(async {
        let clock = clock();
        let (chain, at) = contract(dirs[0].path(), &clock, &keys);
        let on = |i: usize, tampered| {
            Gateway::start(ledger(dirs[i].path(), HOURS, tampered), &clock, Some((&chain, at, &keys[i])))
        };
        let liar = on(0, true);
        hours(2).await;
        let lie = day(&chain, at).await;
        assert!(!lie.agreed && !lie.failed && lie.ranges.labels[8] == 1, "{lie:?}");
        let honest = [on(1, false), on(2, false)];
        hours(2).await;
        let truth = day(&chain, at).await;
        assert!(truth.agreed && truth.forecast != lie.forecast && truth.ranges.labels[19] == 1, "{truth:?}");
        // Both said no to the lie; then one posted, and the other agreed. The liar stands alone.
        let mut said = [honest[0].said().await, honest[1].said().await].concat();
        said.sort();
        assert_eq!(said, [(1, None), (1, Some(false)), (1, Some(false)), (1, Some(true))]);
        assert_eq!(liar.said().await, [(1, None), (1, Some(false))]);
        let problem = liar.board.look().chain.problem.clone().unwrap_or_default();
        assert!(problem.contains("round 1"), "{problem:?}");
        // The honest ones' customers never saw anything of it.
        for gateway in &honest {
            assert_eq!(gateway.peak_hours(TOMORROW).await, ["18:00-21:00"]);
        }
        assert_eq!((range(&chain, at, 19).await, range(&chain, at, 8).await), (Some(1), Some(0)));
    });
}

#[test]
fn a_young_history_waits_and_silent_meters_are_told_while_todays_ranges_stay() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    in_virtual_time(async {
        let clock = clock();
        let young = Gateway::start(ledger(dirs[0].path(), -24 * 5..=18, false), &clock, None);
        hours(1).await;
        let waiting = young.board.look().prices.waiting.clone().unwrap();
        assert!(waiting.contains("5 of 14 days"), "{waiting}");
        let silent = Gateway::start(ledger(dirs[1].path(), -24 * 20..=-2, false), &clock, None);
        hours(2).await;
        let problem = silent.board.look().prices.problem.clone().unwrap();
        assert!(problem.contains("of the last 24 intervals are known"), "{problem}");
        for gateway in [&young, &silent] {
            assert_eq!(gateway.peak_hours(TOMORROW).await, ["12:00-13:00"]);
        }
    });
}
