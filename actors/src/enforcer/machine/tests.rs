use super::*;
use proptest::prelude::*;

const LEASE: Duration = Duration::from_secs(300);

fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1000)
}

fn machine(on_silence: OnSilence, protected: bool) -> Machine {
    let mut m = Machine::new(Rule { on_silence, protected }, at(0), LEASE);
    assert_eq!(m.next(at(0)), Some(Act::Look));
    m.found(Position::Closed, at(0));
    m
}

#[test]
fn an_exhausted_customer_is_disconnected_and_after_a_top_up_connected_again() {
    let mut m = machine(OnSilence::Hold, false);
    m.lease(false, true, at(300));
    assert_eq!(m.next(at(1)), Some(Act::Move(Position::Open, Reason::CreditExhausted)));
    m.obeyed(Position::Open, at(2));
    assert_eq!(m.next(at(3)), None);
    m.lease(true, true, at(303));
    assert_eq!(m.next(at(4)), Some(Act::Move(Position::Closed, Reason::CreditRestored)));
}

#[test]
fn a_restart_of_the_gateway_moves_nobodys_switch() {
    for on_silence in [OnSilence::Open, OnSilence::Closed, OnSilence::Hold] {
        let mut m = Machine::new(Rule { on_silence, protected: false }, at(0), LEASE);
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
        m.lease(true, true, at(300));
        m.next(at(299));
        m.found(Position::Closed, at(230));
        assert_eq!(m.next(at(300)), expected, "{rule:?}");
    }
}

#[test]
fn a_contact_that_was_moved_by_hand_is_put_back() {
    let mut m = machine(OnSilence::Hold, false);
    m.lease(false, true, at(1000));
    m.next(at(1));
    m.obeyed(Position::Open, at(1));
    assert_eq!(m.next(at(61)), Some(Act::Look));
    m.found(Position::Closed, at(61));
    assert_eq!(m.next(at(62)), Some(Act::Move(Position::Open, Reason::CreditExhausted)));
}

#[test]
fn a_switch_that_does_not_obey_is_tried_ever_more_rarely_and_never_given_up() {
    let mut m = machine(OnSilence::Hold, false);
    m.lease(false, true, at(1_000_000));
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
    m.lease(false, true, at(300));
    m.next(at(1));
    m.obeyed(Position::Open, at(1));
    m.lease(false, false, at(600));
    assert_eq!(m.wanted(at(400)), None, "stale news renewed the lease");
    m.lease(true, false, at(700));
    assert_eq!(m.next(at(401)), Some(Act::Move(Position::Closed, Reason::CreditRestored)));
}

#[test]
fn a_silent_meter_with_credit_left_does_not_hold_off_silence() {
    let mut m = machine(OnSilence::Open, false);
    m.lease(true, true, at(300));
    m.lease(true, false, at(600));
    assert_eq!(m.wanted(at(301)), Some((Position::Open, Reason::Silence)));
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
        let mut m = Machine::new(Rule { on_silence: silence, protected }, at(0), LEASE);
        let (mut now, mut lease) = (0_i64, None);
        for event in events {
            match event {
                Event::Lease(granted, fresh) => {
                    if fresh || (granted && matches!(lease, Some((false, _)))) {
                        lease = Some((granted, now + 300));
                    }
                    m.lease(granted, fresh, at(now + 300));
                }
                Event::Pass(seconds) => now += seconds,
                Event::Found(open) => m.found(if open { Position::Open } else { Position::Closed }, at(now)),
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
