//! What a customer lives through when the credit runs out: one simulated home, a clock of the test's own, and the real
//! Recorder, Pricer and Enforcer around it.

use crate::street::{MIDNIGHT, paused_clock, tariff};
use actix::Actor;
use actors::*;
use async_trait::async_trait;
use domain::terms::{Allowance, EmergencyCredit, Friendly, LoadLimit};
use domain::*;
use drivers::simulator::{HomeSpec, Street, StreetSpec};
use drivers::{DeviceError, Meter, Pace, Switch};
use ledger::{Deposit, Enrolled, Enrolment, Ledger, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const PERIOD: Duration = Duration::from_secs(300);
const EURO: i64 = 1_000_000_000;

struct Home {
    clock: Clock,
    scribe: Scribe,
    board: Board,
    payments: std::cell::Cell<u32>,
}

fn name<T: std::str::FromStr<Err = BadId>>() -> T {
    "home".parse().unwrap()
}

/// A meter whose readings bear the gateway's time, as all do that are polled.
struct Stamped(Arc<dyn Meter>, Clock);

#[async_trait]
impl Meter for Stamped {
    async fn read(&self) -> Result<Reading, DeviceError> {
        let Stamp { at, up } = self.1.stamp();
        self.0.read().await.map(|reading| Reading { at, up, ..reading })
    }

    fn pace(&self) -> Pace {
        self.0.pace()
    }
}

/// A contact that says what it was told, while the current goes on as it was: welded, or bypassed.
struct Welded(std::sync::Mutex<Position>);

#[async_trait]
impl Switch for Welded {
    async fn set(&self, position: Position) -> Result<(), DeviceError> {
        *self.0.lock().unwrap() = position;
        Ok(())
    }

    async fn position(&self) -> Result<Position, DeviceError> {
        Ok(*self.0.lock().unwrap())
    }
}

impl Home {
    fn build(dir: &Path, terms: Terms, reconnect: Reconnect) -> Self {
        Self::build_with(dir, terms, reconnect, paused_clock(), None)
    }

    fn build_with(
        dir: &Path,
        terms: Terms,
        reconnect: Reconnect,
        clock: Clock,
        welded: Option<Arc<dyn Switch>>,
    ) -> Self {
        let ledger = Arc::new(Ledger::open(&dir.join("ledger.db")).unwrap());
        let account = Enrolled { id: name(), debt_share: Permille::NONE };
        let enrolment = Enrolment { accounts: vec![account], meters: vec![(name(), Some(name()))] };
        ledger.enrol(&enrolment).unwrap();
        ledger.adopt_tariff(clock.now(), &tariff(), None, "test").unwrap();
        let home = HomeSpec { meter: name(), pv_peak: Watts(0), scale_permille: 2000 };
        let street = StreetSpec {
            seed: 7,
            anchor: MIDNIGHT,
            state: dir.join("street.json"),
            homes: vec![home],
            feeder: None,
            loss_permille: 0,
        };
        // The sun, and what it makes people use, follow no clock that is set.
        let street = Street::open(street, paused_clock()).unwrap();
        let scribe = Recorder::launch(ledger, clock.clone()).unwrap();
        let board = Board::default();
        let lease = PERIOD * 3;
        let rule = Rule {
            reconnect,
            min_on: Duration::from_secs(5),
            min_off: Duration::from_secs(10),
            ..Rule::new(OnSilence::Hold, terms.protected)
        };
        let switch = welded.unwrap_or_else(|| street.switch(&name()).unwrap());
        let plan = SwitchPlan { id: name(), account: name(), meters: vec![name()], switch, rule };
        let enforcer = Enforcer::new(vec![plan], lease, clock.clone(), scribe.clone(), board.clone()).start();
        let plan = PricerPlan {
            zone: tariff().zone,
            accounts: vec![AccountPlan { id: name(), meters: vec![name()], terms }],
            guards: Default::default(),
            lease,
            stale_after: PERIOD * 2,
            pause: Duration::from_millis(200),
        };
        Pricer::new(plan, clock.clone(), scribe.clone(), board.clone(), Some(enforcer)).start();
        let meter = Arc::new(Stamped(street.meter(&name()).unwrap(), clock.clone()));
        let plan = MeterPlan { id: name(), meter, period: PERIOD, patience: PERIOD, billed: true };
        let bus = "street".parse().unwrap();
        Poller::new(bus, vec![plan], clock.clone(), scribe.clone(), board.clone()).start();
        Self { clock, scribe, board, payments: Default::default() }
    }

    async fn pay(&self, amount: i64) {
        let ordinal = self.payments.replace(self.payments.get() + 1);
        let deposit = Deposit { account: name(), amount: Money(amount), transaction: "0x01".into(), ordinal };
        self.scribe.write(Write::Deposits { upto_block: 1, deposits: vec![deposit] }).await.unwrap();
    }

    fn state(&self) -> Option<SwitchState> {
        self.board.look().switches.get(&name::<SwitchId>())?.state
    }

    fn credit(&self) -> Option<Credit> {
        Some(self.board.look().accounts.get(&name::<AccountId>())?.credit)
    }

    /// Waits until it is so, and answers how long that took.
    async fn until(&self, what: &str, most: Duration, is: impl Fn(&Self) -> bool) -> Duration {
        let begun = self.clock.now();
        while !is(self) {
            let passed = self.clock.now().since(begun);
            assert!(passed < most, "{what}: not within {most:?}; {:?} {:?}", self.state(), self.credit());
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        self.clock.now().since(begun)
    }

    async fn sleep_until(&self, hours: u32) {
        tokio::time::sleep((MIDNIGHT + HOUR * hours).since(self.clock.now())).await;
    }

    async fn record(&self, fact: Fact) {
        self.scribe.fact(fact).await.unwrap();
    }

    async fn facts(&self) -> Vec<(Timestamp, Fact)> {
        let facts = self.scribe.read(|l| l.facts_after(Seq(0), 10_000)).await.unwrap();
        facts.into_iter().map(|(_, at, fact)| (at, fact)).collect()
    }
}

fn terms() -> Terms {
    Terms::prepaid(CreditRule { low_at: Money(EURO / 50), restore_at: Money(EURO / 10) })
}

fn virtually<F: Future<Output = ()>>(live: impl FnOnce() -> F) {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    actix::System::with_tokio_rt(runtime).block_on(live());
}

#[test]
fn who_runs_out_at_night_has_light_until_eleven_and_after_a_top_up_closes_the_switch_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    virtually(async || {
        let friendly = Friendly { hours: vec!["18:00-11:00".parse().unwrap()], ..Friendly::default() };
        let home = Home::build(dir.path(), Terms { friendly, ..terms() }, Reconnect::Ready);
        home.pay(EURO / 25).await;
        home.until("the credit is used up", HOUR * 10, |h| h.credit() == Some(Credit::Friendly)).await;
        assert_eq!(home.state(), Some(SwitchState::Connected));
        let ends = home.board.look().accounts[&name::<AccountId>()].friendly_until;
        assert_eq!(ends, Some(MIDNIGHT + HOUR * 11));

        home.sleep_until(11).await;
        assert_eq!(home.state(), Some(SwitchState::Connected), "disconnected in friendly hours");
        let late = home.until("dark", PERIOD * 3, |h| h.state() == Some(SwitchState::Disconnected)).await;
        assert!(late < PERIOD * 2, "{late:?} after the end of friendly hours");

        // An act before there is credit is nobody's consent to power at some later hour.
        home.record(Fact::ReconnectAsked { account: name(), by: "Ana".into() }).await;
        tokio::time::sleep(MINUTE).await;
        home.pay(EURO * 10).await;
        home.until("ready", MINUTE * 10, |h| h.state() == Some(SwitchState::ReadyForReconnection)).await;
        tokio::time::sleep(HOUR * 3).await;
        assert_eq!(home.state(), Some(SwitchState::ReadyForReconnection), "it closed by itself");
        home.record(Fact::ReconnectAsked { account: name(), by: "Ana".into() }).await;
        home.until("light", MINUTE, |h| h.state() == Some(SwitchState::Connected)).await;

        let facts = home.facts().await;
        let orders: Vec<(Position, Reason)> = facts
            .iter()
            .filter_map(|(_, f)| match f {
                Fact::SwitchOrdered { position, reason, .. } => Some((*position, *reason)),
                _ => None,
            })
            .collect();
        assert_eq!(orders, [(Position::Open, Reason::CreditExhausted), (Position::Closed, Reason::Customer)]);
        let granted = facts.iter().filter(|(_, f)| matches!(f, Fact::ReconnectGranted { by, .. } if by == "Ana"));
        assert_eq!(granted.count(), 1);
    });
}

#[test]
fn a_switch_that_is_ready_is_ready_after_a_power_cut_and_an_act_that_was_written_down_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    virtually(async || {
        let home = Home::build(dir.path(), terms(), Reconnect::Ready);
        home.pay(EURO / 25).await;
        home.until("dark", HOUR * 10, |h| h.state() == Some(SwitchState::Disconnected)).await;
        home.pay(EURO * 10).await;
        home.until("ready", MINUTE * 10, |h| h.state() == Some(SwitchState::ReadyForReconnection)).await;
    });
    virtually(async || {
        let home = Home::build(dir.path(), terms(), Reconnect::Ready);
        home.until("ready", MINUTE * 10, |h| h.state() == Some(SwitchState::ReadyForReconnection)).await;
        tokio::time::sleep(HOUR).await;
        assert_eq!(home.state(), Some(SwitchState::ReadyForReconnection), "a power cut closed it");
    });
    // The power went out after the act was written down and before the contact moved.
    let granted = Fact::ReconnectGranted { switch: name(), by: "Ana".into() };
    let ledger = Ledger::open(&dir.path().join("ledger.db")).unwrap();
    ledger.commit(MIDNIGHT, &[Write::Fact(granted)]).unwrap().remove(0).unwrap();
    drop(ledger);
    virtually(async || {
        let home = Home::build(dir.path(), terms(), Reconnect::Ready);
        home.until("light", MINUTE * 10, |h| h.state() == Some(SwitchState::Connected)).await;
    });
}

#[test]
fn what_a_person_ordered_outlasts_a_restart_and_runs_out_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let order = |at: Timestamp, position, lasts: Option<Duration>| Fact::SwitchOverridden {
        switch: name(),
        order: Some(position),
        until: lasts.map(|l| at + l),
        safety: lasts.is_none(),
        by: "Ana".into(),
        why: "works on the line".into(),
    };
    virtually(async || {
        let home = Home::build(dir.path(), terms(), Reconnect::Automatic);
        home.pay(EURO * 10).await;
        home.until("light", MINUTE * 10, |h| h.state() == Some(SwitchState::Connected)).await;
        home.record(order(home.clock.now(), Position::Open, Some(HOUR * 2))).await;
        home.until("dark", MINUTE, |h| h.state() == Some(SwitchState::Disconnected)).await;
    });
    // A restart: everything is built anew on the same ledger, and the test's clock begins at midnight again.
    virtually(async || {
        let home = Home::build(dir.path(), terms(), Reconnect::Automatic);
        tokio::time::sleep(HOUR).await;
        assert_eq!(home.state(), Some(SwitchState::Disconnected), "the order was forgotten");
        home.until("light", HOUR * 2, |h| h.state() == Some(SwitchState::Connected)).await;
        let ended = |f: &Fact| matches!(f, Fact::SwitchOverridden { order: None, why, .. } if why == "it ran out");
        assert_eq!(home.facts().await.iter().filter(|(_, f)| ended(f)).count(), 1);
        assert!(home.scribe.read(Ledger::overrides).await.unwrap().is_empty());

        // For safety: until it is given back, however long that is.
        home.record(order(home.clock.now(), Position::Open, None)).await;
        home.until("dark", MINUTE, |h| h.state() == Some(SwitchState::Disconnected)).await;
        tokio::time::sleep(HOUR * 30).await;
        assert_eq!(home.state(), Some(SwitchState::Disconnected));
    });
}

#[test]
fn a_customer_in_the_dark_takes_the_emergency_credit_and_pays_it_back_first() {
    let dir = tempfile::tempdir().unwrap();
    virtually(async || {
        let emergency =
            EmergencyCredit { amount: Money(EURO / 20), at: Money(EURO / 100), automatic: false, power: None };
        let home = Home::build(dir.path(), Terms { emergency: Some(emergency), ..terms() }, Reconnect::Automatic);
        home.pay(EURO / 25).await;
        home.until("dark", HOUR * 10, |h| h.state() == Some(SwitchState::Disconnected)).await;
        let taken = Fact::EmergencyChanged { account: name(), emergency: Emergency::Accepted, by: "Ana".into() };
        home.record(taken.clone()).await;
        home.until("light on emergency credit", MINUTE * 10, |h| h.state() == Some(SwitchState::Connected)).await;
        assert_eq!(home.credit(), Some(Credit::Emergency));
        assert!(home.scribe.fact(taken).await.is_err(), "it was taken twice");
        home.until("dark again", HOUR * 20, |h| h.state() == Some(SwitchState::Disconnected)).await;
        // As much as was borrowed and less than restores: it is paid back, and that is all.
        home.pay(EURO / 10).await;
        tokio::time::sleep(HOUR).await;
        assert_eq!((home.state(), home.credit()), (Some(SwitchState::Disconnected), Some(Credit::Exhausted)));
        home.pay(EURO).await;
        home.until("light", MINUTE * 10, |h| h.state() == Some(SwitchState::Connected)).await;
        assert_eq!(home.credit(), Some(Credit::Good));
    });
}

/// A clock like the paused one, beside the uptime that nobody sets; `wrong` are the milliseconds it was set ahead.
fn clock_that_is_set(wrong: &Arc<AtomicI64>) -> Clock {
    let (start, wrong) = (tokio::time::Instant::now(), Arc::clone(wrong));
    Clock::new(1, move || {
        let passed = i64::try_from(start.elapsed().as_millis()).unwrap();
        // The machine was on for a day already.
        let up = Some(Uptime { boot: 1, ms: 86_400_000 + passed });
        Stamp { at: Timestamp(MIDNIGHT.0 + passed + wrong.load(Ordering::SeqCst)), up }
    })
}

#[test]
fn a_clock_that_leaps_an_hour_disconnects_nobody_before_their_friendly_hours_are_truly_over() {
    let dir = tempfile::tempdir().unwrap();
    virtually(async || {
        let wrong = Arc::new(AtomicI64::new(0));
        let friendly = Friendly { hours: vec!["18:00-11:00".parse().unwrap()], ..Friendly::default() };
        let clock = clock_that_is_set(&wrong);
        let home = Home::build_with(dir.path(), Terms { friendly, ..terms() }, Reconnect::Automatic, clock, None);
        home.pay(EURO / 25).await;
        home.until("the credit is used up", HOUR * 10, |h| h.credit() == Some(Credit::Friendly)).await;
        tokio::time::sleep((MIDNIGHT + HOUR * 10 + MINUTE * 30).since(home.clock.now())).await;
        // The wall clock says 11:30 now, and it is 10:30.
        wrong.store(3_600_000, Ordering::SeqCst);
        tokio::time::sleep(MINUTE * 29).await;
        assert_eq!(home.state(), Some(SwitchState::Connected), "disconnected at 10:59 by the sun");
        assert!(home.board.look().clock_problem.clone().is_some_and(|p| p.contains("leapt by 60 minutes")));
        let late = home.until("dark", HOUR * 2, |h| h.state() == Some(SwitchState::Disconnected)).await;
        assert!(late < MINUTE * 50, "{late:?} after 10:59");

        // And one that begins in 1970 disconnects nobody at all: nothing is billed until it is set.
        home.pay(EURO * 2).await;
        home.until("light", MINUTE * 20, |h| h.state() == Some(SwitchState::Connected)).await;
        wrong.store(-MIDNIGHT.0, Ordering::SeqCst);
        tokio::time::sleep(HOUR * 100).await;
        assert_eq!(home.state(), Some(SwitchState::Connected));
        assert_eq!(home.credit(), Some(Credit::Good));
        wrong.store(0, Ordering::SeqCst);
        home.until("all of it is billed", HOUR, |h| h.credit() == Some(Credit::Friendly)).await;
    });
}

#[test]
fn who_draws_more_than_little_credit_allows_is_switched_off_and_on_again() {
    let dir = tempfile::tempdir().unwrap();
    virtually(async || {
        let limit = Some(LoadLimit { below: Money(EURO * 100), power: Watts(1) });
        let home = Home::build(dir.path(), Terms { limit, ..terms() }, Reconnect::Automatic);
        home.pay(EURO * 10).await;
        home.until("too much", HOUR * 2, |h| h.state() == Some(SwitchState::ReadyForReconnection)).await;
        home.until("another try", HOUR, |h| h.state() == Some(SwitchState::Connected)).await;
        let orders = home.facts().await.into_iter().filter_map(|(_, f)| match f {
            Fact::SwitchOrdered { reason, .. } => Some(reason),
            _ => None,
        });
        assert_eq!(orders.take(2).collect::<Vec<_>>(), [Reason::Overload, Reason::OverloadOver]);
    });
}

#[test]
fn power_through_a_switch_that_says_open_is_an_alarm() {
    let dir = tempfile::tempdir().unwrap();
    virtually(async || {
        let welded = Arc::new(Welded(std::sync::Mutex::new(Position::Closed)));
        let home = Home::build_with(dir.path(), terms(), Reconnect::Automatic, paused_clock(), Some(welded));
        home.pay(EURO / 100).await;
        let suspicion = |h: &Home| h.board.look().switches.get(&name::<SwitchId>()).and_then(|s| s.suspicion);
        home.until("a suspicion", HOUR * 12, |h| suspicion(h) == Some(Suspicion::Bypassed)).await;
        let told = |f: &Fact| matches!(f, Fact::SwitchSuspected { suspicion: Some(Suspicion::Bypassed), .. });
        assert_eq!(home.facts().await.iter().filter(|(_, f)| told(f)).count(), 1);
    });
}

#[test]
fn a_daily_allowance_that_is_used_up_ends_the_supply_until_it_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    virtually(async || {
        let allowance = Some(Allowance { energy: WattHours(3000), reset: 6 * 60 });
        let home = Home::build(dir.path(), Terms { allowance, ..terms() }, Reconnect::Automatic);
        home.pay(EURO * 100).await;
        home.sleep_until(6).await;
        home.until("used up", HOUR * 23, |h| h.state() == Some(SwitchState::Disconnected)).await;
        let used = home.scribe.read(|l| l.used_since(&name(), MIDNIGHT + HOUR * 6)).await.unwrap().import;
        assert!((3000..3500).contains(&used.0), "{used}");
        let reason = home.board.look().accounts[&name::<AccountId>()].reason;
        assert_eq!((reason, home.credit()), (Reason::AllowanceUsed, Some(Credit::Good)));
        home.sleep_until(30).await;
        assert_eq!(home.state(), Some(SwitchState::Disconnected), "before the day was over");
        home.until("a new day", PERIOD * 2, |h| h.state() == Some(SwitchState::Connected)).await;
        let live = home.board.look().accounts[&name::<AccountId>()].clone();
        assert!(live.days_left().is_some_and(|days| (20.0..2000.0).contains(&days)), "{live:?}");
    });
}
