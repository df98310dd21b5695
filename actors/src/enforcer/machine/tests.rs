use super::*;
use domain::{Volts, Watts};
use proptest::prelude::*;

const LEASE: Duration = Duration::from_secs(300);

impl Machine {
    fn credit(&mut self, granted: bool, fresh: bool, until: Timestamp) {
        match granted {
            true => self.lease(Supply::Full, Reason::CreditGood, fresh, until),
            false => self.lease(Supply::Off, Reason::CreditExhausted, fresh, until),
        }
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1000)
}

fn machine(on_silence: OnSilence, protected: bool) -> Machine {
    machine_with(Rule::new(on_silence, protected))
}

fn machine_with(rule: Rule) -> Machine {
    let mut m = Machine::new(rule, at(0), LEASE);
    assert_eq!(m.next(at(0)), Some(Act::Look));
    m.found(Position::Closed, at(0));
    m
}

#[test]
fn an_exhausted_customer_is_disconnected_and_after_a_top_up_connected_again() {
    let mut m = machine(OnSilence::Hold, false);
    m.credit(false, true, at(300));
    assert_eq!(m.next(at(1)), Some(Act::Move(Position::Open, Reason::CreditExhausted)));
    m.obeyed(Position::Open, at(2));
    assert_eq!(m.next(at(3)), None);
    m.credit(true, true, at(303));
    assert_eq!(m.next(at(4)), Some(Act::Move(Position::Closed, Reason::CreditRestored)));
}

#[test]
fn a_restart_of_the_gateway_moves_nobodys_switch() {
    for on_silence in [OnSilence::Open, OnSilence::Closed, OnSilence::Hold] {
        let mut m = Machine::new(Rule::new(on_silence, false), at(0), LEASE);
        assert_eq!(m.next(at(0)), Some(Act::Look));
        m.found(Position::Closed, at(0));
        assert_eq!(m.next(at(50)), None, "{on_silence:?}");
    }
}

#[test]
fn when_the_lease_runs_out_the_switch_follows_its_on_silence_rule() {
    for (rule, expected) in [
        (OnSilence::Open, Some(Act::Move(Position::Open, Reason::Silence))),
        (OnSilence::Closed, Some(Act::Look)),
        (OnSilence::Hold, Some(Act::Look)),
    ] {
        let mut m = machine(rule, false);
        m.credit(true, true, at(300));
        m.next(at(299));
        m.found(Position::Closed, at(230));
        assert_eq!(m.next(at(300)), expected, "{rule:?}");
    }
}

#[test]
fn a_contact_that_was_moved_by_hand_is_put_back() {
    let mut m = machine(OnSilence::Hold, false);
    m.credit(false, true, at(1000));
    m.next(at(1));
    m.obeyed(Position::Open, at(1));
    assert_eq!(m.next(at(61)), Some(Act::Look));
    m.found(Position::Closed, at(61));
    assert_eq!(m.next(at(62)), Some(Act::Move(Position::Open, Reason::CreditExhausted)));
}

#[test]
fn a_switch_that_does_not_obey_is_tried_ever_more_rarely_and_never_given_up() {
    let mut m = machine(OnSilence::Hold, false);
    m.credit(false, true, at(1_000_000));
    let (mut now, mut gaps) = (1, Vec::new());
    for _ in 0..12 {
        let started = now;
        while m.next(at(now)).is_none() {
            now += 1;
        }
        m.failed(at(now));
        gaps.push(now - started);
    }
    assert_eq!(gaps[1..5], [2, 4, 8, 16]);
    assert_eq!(gaps[11], 120);
}

#[test]
fn a_customer_who_paid_is_connected_although_the_meter_behind_the_open_switch_is_silent() {
    let mut m = machine(OnSilence::Hold, false);
    m.credit(false, true, at(300));
    m.next(at(1));
    m.obeyed(Position::Open, at(1));
    m.credit(false, false, at(600));
    assert_eq!(m.wanted(at(400)), None, "stale news renewed the lease");
    m.credit(true, false, at(700));
    assert_eq!(m.next(at(401)), Some(Act::Move(Position::Closed, Reason::CreditRestored)));
}

#[test]
fn a_silent_meter_with_credit_left_does_not_hold_off_silence() {
    let mut m = machine(OnSilence::Open, false);
    m.credit(true, true, at(300));
    m.credit(true, false, at(600));
    assert_eq!(m.wanted(at(301)), Some((Position::Open, Reason::Silence)));
}

fn ready() -> Rule {
    Rule { reconnect: Reconnect::Ready, ..Rule::new(OnSilence::Hold, false) }
}

#[test]
fn a_switch_that_is_ready_waits_for_the_customers_own_act() {
    let mut m = machine_with(ready());
    m.credit(false, true, at(300));
    assert_eq!(m.next(at(1)), Some(Act::Move(Position::Open, Reason::CreditExhausted)));
    m.obeyed(Position::Open, at(1));
    assert_eq!(m.state(at(1)), Some(State::Disconnected));
    m.asked(at(2));
    m.credit(true, false, at(400));
    assert_eq!(m.next(at(3)), None, "an act before there was credit closed it");
    assert_eq!(
        (m.state(at(3)), m.wanted(at(3))),
        (Some(State::ReadyForReconnection), Some((Position::Open, Reason::Ready)))
    );
    // The meter behind it is silent, and the credit is known all the same.
    m.credit(true, false, at(700));
    assert_eq!(m.state(at(500)), Some(State::ReadyForReconnection));
    m.asked(at(500));
    m.next(at(500));
    m.found(Position::Open, at(500));
    assert_eq!(m.next(at(501)), Some(Act::Move(Position::Closed, Reason::Customer)));
    m.obeyed(Position::Closed, at(501));
    assert_eq!(m.state(at(501)), Some(State::Connected));
}

#[test]
fn a_switch_that_waited_before_a_restart_waits_after_it_and_one_that_was_released_closes() {
    for (released, expected) in [(false, None), (true, Some(Act::Move(Position::Closed, Reason::Customer)))] {
        let mut m = Machine::new(ready(), at(0), LEASE);
        m.was_disconnected(Reason::CreditExhausted, released);
        m.next(at(0));
        m.found(Position::Open, at(0));
        m.credit(true, true, at(300));
        assert_eq!(m.next(at(1)), expected);
    }
}

#[test]
fn who_paid_while_the_gateway_was_down_is_connected_although_the_meter_behind_the_switch_is_silent() {
    let mut m = Machine::new(Rule::new(OnSilence::Hold, false), at(0), LEASE);
    m.was_disconnected(Reason::CreditExhausted, false);
    m.next(at(0));
    m.found(Position::Open, at(0));
    m.credit(true, false, at(300));
    assert_eq!(m.next(at(1)), Some(Act::Move(Position::Closed, Reason::CreditRestored)));
    // It did not follow, and the meter is silent still: that is no reason to give up.
    m.failed(at(1));
    m.credit(true, false, at(900));
    assert!(matches!(m.wanted(at(600)), Some((Position::Closed, _))));
}

#[test]
fn a_contactor_rests_and_a_compressor_waits() {
    let seconds = Duration::from_secs;
    let rule = Rule { min_on: seconds(30), min_off: seconds(180), ..Rule::new(OnSilence::Hold, false) };
    let mut m = machine_with(rule);
    m.credit(false, true, at(1000));
    assert_eq!((m.next(at(29)), m.due(at(1))), (None, Some(at(30))));
    assert!(matches!(m.next(at(30)), Some(Act::Move(Position::Open, _))));
    m.obeyed(Position::Open, at(31));
    m.credit(true, true, at(1000));
    assert_eq!(m.due(at(32)), Some(at(91)), "it is looked at meanwhile");
    m.next(at(100));
    m.found(Position::Open, at(100));
    m.next(at(165));
    m.found(Position::Open, at(165));
    assert_eq!((m.next(at(210)), m.due(at(210))), (None, Some(at(211))));
    assert!(matches!(m.next(at(211)), Some(Act::Move(Position::Closed, _))));
}

#[test]
fn what_a_person_ordered_holds_until_it_runs_out_and_never_opens_a_protected_switch() {
    let order = |position, until| Some(Override { position, until: Some(at(until)), safety: false });
    let mut m = machine(OnSilence::Hold, false);
    m.credit(false, true, at(10_000));
    m.override_with(order(Position::Closed, 50));
    assert_eq!(m.next(at(1)), None);
    assert_eq!(m.due(at(1)), Some(at(50)));
    assert_eq!(m.next(at(50)), Some(Act::Move(Position::Open, Reason::CreditExhausted)));
    assert!(m.override_is_over(at(50)));

    let mut m = machine(OnSilence::Hold, true);
    m.override_with(order(Position::Open, 50));
    assert_eq!(m.wanted(at(1)), Some((Position::Closed, Reason::Protected)));
    // A fire brigade is another matter: at once, and until somebody takes it back.
    m.override_with(Some(Override { position: Position::Open, until: None, safety: true }));
    assert_eq!(m.next(at(1)), Some(Act::Move(Position::Open, Reason::Safety)));
    m.obeyed(Position::Open, at(1));
    assert_eq!(m.wanted(at(1_000_000)), Some((Position::Open, Reason::Safety)));
    m.override_with(None);
    assert_eq!(m.wanted(at(2)), Some((Position::Closed, Reason::Protected)));
}

#[test]
fn who_draws_too_much_is_switched_off_for_a_moment_and_after_five_tries_until_they_act() {
    let mut m = machine(OnSilence::Hold, false);
    let much = Sample { power: Some(Watts(900)), voltage: Volts::finite(230.0) };
    let mut now = 1;
    for round in 1..=5 {
        m.lease(Supply::Limited(Watts(500)), Reason::CreditLow, true, at(now + 10_000));
        m.power(much, at(now));
        m.power(much, at(now + 5));
        assert_eq!(m.next(at(now + 5)), Some(Act::Move(Position::Open, Reason::Overload)), "{round}");
        m.obeyed(Position::Open, at(now + 5));
        assert_eq!(m.next(at(now + 14)), None);
        if round < 5 {
            assert_eq!(m.next(at(now + 15)), Some(Act::Move(Position::Closed, Reason::OverloadOver)));
            m.obeyed(Position::Closed, at(now + 15));
        }
        now += 20;
    }
    assert_eq!(m.state(at(now)), Some(State::ReadyForReconnection));
    assert_eq!(m.due(at(now)).map(|d| d < at(now + 61)), Some(true));
    m.asked(at(now));
    assert_eq!(m.next(at(now)), Some(Act::Move(Position::Closed, Reason::Customer)));
}

#[test]
fn one_of_many_waits_its_turn_and_who_stands_before_the_switch_does_not() {
    let mut m = machine_with(ready());
    m.credit(false, true, at(300));
    m.next(at(1));
    m.obeyed(Position::Open, at(1));
    m.credit(true, true, at(400));
    m.asked(at(2));
    assert!(!m.is_about_to_close(at(2)), "it would have to wait for others");
    let mut m = machine(OnSilence::Hold, false);
    m.credit(false, true, at(300));
    m.next(at(1));
    m.obeyed(Position::Open, at(1));
    m.credit(true, true, at(400));
    assert!(m.is_about_to_close(at(2)));
    m.stagger(at(20));
    assert_eq!((m.next(at(19)), m.due(at(3))), (None, Some(at(20))));
    assert!(matches!(m.next(at(20)), Some(Act::Move(Position::Closed, Reason::CreditRestored))));
}

#[derive(Clone, Debug)]
enum Event {
    Lease(bool, bool),
    Pass(i64),
    Found(bool),
    Fail,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        any::<(bool, bool)>().prop_map(|(granted, fresh)| Event::Lease(granted, fresh)),
        (0_i64..400).prop_map(Event::Pass),
        any::<bool>().prop_map(Event::Found),
        Just(Event::Fail),
    ]
}

proptest! {
    #[test]
    fn a_protected_switch_is_never_opened_and_nobody_is_opened_for_silence_unless_told_so(
        events in prop::collection::vec(event(), 0..80),
        protected in any::<bool>(),
        silence in prop::sample::select(vec![OnSilence::Open, OnSilence::Closed, OnSilence::Hold]),
    ) {
        let mut m = Machine::new(Rule::new(silence, protected), at(0), LEASE);
        let (mut now, mut lease, mut revoked, mut contact) = (0_i64, None, false, None);
        for event in events {
            match event {
                Event::Lease(granted, fresh) => {
                    let dark = revoked && contact != Some(Position::Closed);
                    if fresh || (granted && (matches!(lease, Some((false, _))) || dark)) {
                        lease = Some((granted, now + 300));
                        revoked |= !granted;
                    }
                    m.credit(granted, fresh, at(now + 300));
                }
                Event::Pass(seconds) => now += seconds,
                Event::Found(open) => {
                    let found = if open { Position::Open } else { Position::Closed };
                    contact = Some(found);
                    m.found(found, at(now));
                }
                Event::Fail => m.failed(at(now)),
            }
            if let Some(Act::Move(to, reason)) = m.next(at(now)) {
                prop_assert!(m.next(at(now)).is_none(), "two orders at once");
                let valid = lease.is_some_and(|(_, until)| now < until);
                match (to, reason) {
                    (Position::Open, Reason::CreditExhausted) => {
                        prop_assert!(!protected && valid && lease.is_some_and(|(granted, _)| !granted));
                    }
                    (Position::Open, why) => {
                        prop_assert!(!protected && why == Reason::Silence && silence == OnSilence::Open && !valid);
                    }
                    (Position::Closed, _) => {}
                }
            }
        }
    }
}
