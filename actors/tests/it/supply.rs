//! What a customer lives through when the credit runs out: one simulated home, a clock of the test's own, and the real
//! Recorder, Pricer and Enforcer around it.

use crate::street::{MIDNIGHT, paused_clock, tariff};
use actix::Actor;
use actors::*;
use domain::terms::{EmergencyCredit, Friendly};
use domain::*;
use drivers::simulator::{HomeSpec, Street, StreetSpec};
use ledger::{Deposit, Enrolment, Ledger, Write};
use std::path::Path;
use std::sync::Arc;
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

impl Home {
    fn build(dir: &Path, terms: Terms, reconnect: Reconnect) -> Self {
        let clock = paused_clock();
        let ledger = Arc::new(Ledger::open(&dir.join("ledger.db")).unwrap());
        let enrolment = Enrolment { accounts: vec![name()], meters: vec![(name(), Some(name()))] };
        ledger.enrol(&enrolment).unwrap();
        let home = HomeSpec { meter: name(), pv_peak: Watts(0), scale_permille: 2000 };
        let street = StreetSpec {
            seed: 7,
            anchor: MIDNIGHT,
            state: dir.join("street.json"),
            homes: vec![home],
            feeder: None,
            loss_permille: 0,
        };
        let street = Street::open(street, clock.clone()).unwrap();
        let scribe = Recorder::launch(ledger, clock.clone()).unwrap();
        let board = Board::default();
        let lease = PERIOD * 3;
        let rule = Rule {
            reconnect,
            min_on: Duration::from_secs(5),
            min_off: Duration::from_secs(10),
            ..Rule::new(OnSilence::Hold, terms.protected)
        };
        let switch = street.switch(&name()).unwrap();
        let plan = SwitchPlan { id: name(), account: name(), meters: vec![name()], switch, rule };
        let enforcer = Enforcer::new(vec![plan], lease, clock.clone(), scribe.clone(), board.clone()).start();
        let plan = PricerPlan {
            tariff: tariff(),
            accounts: vec![AccountPlan { id: name(), meters: vec![name()], terms }],
            guards: Default::default(),
            interval: PERIOD * 3,
            lease,
            stale_after: PERIOD * 2,
            pause: Duration::from_millis(200),
        };
        Pricer::new(plan, clock.clone(), scribe.clone(), board.clone(), Some(enforcer)).start();
        let meter = street.meter(&name()).unwrap();
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
