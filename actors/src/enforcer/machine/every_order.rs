//! Every order of events, and long random ones: whatever happens when, some things never do.

use super::*;
use domain::Watts;
use proptest::prelude::*;
use std::collections::HashMap;

const LEASE: Duration = Duration::from_secs(300);
const MIN_ON: Duration = Duration::from_secs(5);
const MIN_OFF: Duration = Duration::from_secs(20);
const LIMIT: Watts = Watts(500);
/// Events in a row that are tried in every order.
const DEPTH: u32 = 7;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// Credit, and the meter was heard of.
    Granted,
    /// Credit, but little.
    Limited,
    /// No credit, and the meter was heard of.
    Exhausted,
    /// Credit, and the meter is silent: a top-up in the dark.
    StaleGranted,
    StaleExhausted,
    OrderOpen,
    OrderClosed,
    OrderSafety,
    TakenBack,
    CustomerAsks,
    /// The register says that another provider feeds the customer.
    Denied,
    /// It does not any more.
    Permitted,
    /// More than the limit flows, and some seconds later still.
    Overload,
    /// Somebody moves the contact by hand.
    MovedByHand,
    Obeyed,
    Failed,
    Seconds,
    /// Longer than a lease.
    Silence,
}

const EVENTS: [Event; 18] = [
    Event::Granted,
    Event::Limited,
    Event::Exhausted,
    Event::StaleGranted,
    Event::StaleExhausted,
    Event::OrderOpen,
    Event::OrderClosed,
    Event::OrderSafety,
    Event::TakenBack,
    Event::CustomerAsks,
    Event::Denied,
    Event::Permitted,
    Event::Overload,
    Event::MovedByHand,
    Event::Obeyed,
    Event::Failed,
    Event::Seconds,
    Event::Silence,
];

/// A machine, its world, and what the test knows without asking it.
#[derive(Clone, PartialEq, Eq, Hash)]
struct World {
    m: Machine,
    now: Timestamp,
    rule: Rule,
    contact: Position,
    in_flight: Option<Act>,
    /// Whether the account has credit, whether its power is limited, and until when that is known.
    known: Option<(bool, bool, Timestamp)>,
    order: Option<(Position, bool, Timestamp)>,
    /// When the machine last heard that the contact moved.
    moved: Option<Timestamp>,
    seen: Option<Position>,
    over: bool,
    waited: bool,
    /// The account took supply away, and no order has closed the contact since.
    revoked: bool,
    /// The customer is another provider's.
    denied: bool,
}

impl World {
    fn begin(rule: Rule, contact: Position) -> Self {
        let now = Timestamp(0);
        let m = Machine::new(rule, now, LEASE);
        let mut world = Self {
            m,
            now,
            rule,
            contact,
            in_flight: None,
            known: None,
            order: None,
            moved: None,
            seen: None,
            over: false,
            waited: false,
            revoked: false,
            denied: false,
        };
        world.step();
        world
    }

    fn known_now(&self) -> Option<(bool, bool)> {
        self.known.filter(|(_, _, until)| self.now < *until).map(|(on, limited, _)| (on, limited))
    }

    fn hear(&mut self, on: bool, limited: bool, fresh: bool) {
        let until = self.now + LEASE;
        let supply = match (on, limited) {
            (false, _) => Supply::Off,
            (true, true) => Supply::Limited(LIMIT),
            (true, false) => Supply::Full,
        };
        // A customer who was disconnected and paid is believed without a meter, until there is power again.
        let dark = self.revoked && self.seen != Some(Position::Closed);
        let given = on || self.denied;
        let paid = given && (self.known.is_some_and(|(was_on, _, _)| !was_on && !self.denied) || dark);
        if fresh || paid {
            self.revoked |= !given;
            self.known = Some((on, limited, until));
            self.over &= limited && !self.denied;
            if !given && self.seen == Some(Position::Open) {
                self.waited = self.rule.reconnect == Reconnect::Ready;
            }
        }
        self.m.lease(supply, if on { Reason::CreditGood } else { Reason::CreditExhausted }, fresh, until);
    }

    fn read_back(&mut self, position: Position) {
        if self.seen.replace(position) != Some(position) {
            self.moved = Some(self.now);
        }
        match position {
            Position::Closed => self.waited = false,
            Position::Open => {
                let want = self.known.is_some_and(|(on, _, _)| !on) && !self.denied;
                self.waited |= want && self.rule.reconnect == Reconnect::Ready;
            }
        }
    }

    /// Whether the event can happen now.
    fn apply(&mut self, event: Event) -> bool {
        match event {
            Event::Granted => self.hear(true, false, true),
            Event::Limited => self.hear(true, true, true),
            Event::Exhausted => self.hear(false, false, true),
            Event::StaleGranted => self.hear(true, false, false),
            Event::StaleExhausted => self.hear(false, false, false),
            Event::OrderOpen => self.order(Position::Open, false),
            Event::OrderClosed => self.order(Position::Closed, false),
            Event::OrderSafety => self.order(Position::Open, true),
            Event::TakenBack => {
                self.order = None;
                self.m.override_with(None);
            }
            Event::CustomerAsks => {
                if self.m.waits_for_customer(self.now) {
                    self.waited = false;
                }
                self.m.asked(self.now);
            }
            Event::Denied => {
                (self.denied, self.over) = (true, false);
                self.m.deny(true);
            }
            Event::Permitted => {
                self.denied = false;
                self.m.deny(false);
                if self.known.is_some_and(|(on, _, _)| !on) {
                    self.revoked = true;
                    self.waited |= self.seen == Some(Position::Open) && self.rule.reconnect == Reconnect::Ready;
                }
            }
            Event::Overload => {
                let much = Sample { power: Some(Watts(900)), voltage: None };
                self.m.power(much, self.now);
                self.now = self.now + Duration::from_secs(6);
                self.m.power(much, self.now);
                self.over |= !self.denied && self.known_now().is_some_and(|(on, limited)| on && limited);
            }
            Event::MovedByHand => {
                self.contact = if self.contact == Position::Open { Position::Closed } else { Position::Open };
            }
            Event::Obeyed => match self.in_flight.take() {
                Some(Act::Look) => {
                    self.read_back(self.contact);
                    self.m.found(self.contact, self.now);
                }
                Some(Act::Move(to, _)) => {
                    self.contact = to;
                    self.revoked &= to == Position::Open;
                    self.read_back(to);
                    self.m.obeyed(to, self.now);
                }
                None => return false,
            },
            Event::Failed => match self.in_flight.take() {
                Some(_) => self.m.failed(self.now),
                None => return false,
            },
            Event::Seconds => self.now = self.now + Duration::from_secs(7),
            Event::Silence => self.now = self.now + LEASE + Duration::from_secs(1),
        }
        true
    }

    fn order(&mut self, position: Position, safety: bool) {
        let until = self.now + Duration::from_secs(60);
        self.order = Some((position, safety, until));
        self.m.override_with(Some(Override { position, until: (!safety).then_some(until), safety }));
    }

    /// Lets the machine act, and checks what it does.
    fn step(&mut self) {
        if self.in_flight.is_some() {
            assert_eq!(self.m.next(self.now), None, "two orders at once");
            return;
        }
        self.in_flight = self.m.next(self.now);
        let Some(Act::Move(to, reason)) = self.in_flight else { return };
        let known = self.known_now();
        let ordered = self.order.filter(|(_, safety, until)| *safety || self.now < *until);
        let rested = self.moved.map_or(Duration::ZERO, |at| self.now.since(at));
        match (to, reason) {
            (Position::Open, Reason::Safety) => assert!(ordered.is_some_and(|(_, safety, _)| safety)),
            (Position::Open, why) => {
                assert!(!self.rule.protected, "a protected switch was opened: {why}");
                assert!(rested >= MIN_ON, "opened after {rested:?}");
                match why {
                    Reason::CreditExhausted => {
                        assert!(known.is_some_and(|(on, _)| !on), "opened on stale data");
                        assert!(!self.denied, "opened for a credit that is not ours to keep");
                    }
                    Reason::Overload => assert!(self.over && !self.denied && known == Some((true, true))),
                    Reason::Silence => assert!(known.is_none() && self.rule.on_silence == OnSilence::Open),
                    Reason::Operator => assert!(ordered.is_some_and(|(p, _, _)| p == Position::Open)),
                    other => panic!("opened because {other}"),
                }
            }
            (Position::Closed, why) => {
                assert!(rested >= MIN_OFF, "closed after {rested:?}");
                match why {
                    Reason::Protected => assert!(self.rule.protected),
                    Reason::Operator => assert!(ordered.is_some_and(|(p, _, _)| p == Position::Closed)),
                    Reason::Silence => assert!(known.is_none() && self.rule.on_silence == OnSilence::Closed),
                    _ => assert!(
                        known.is_some_and(|(on, _)| on || self.denied) && !self.waited,
                        "closed without credit or consent: {why}"
                    ),
                }
            }
        }
    }

    /// From here on nothing goes wrong and nothing new happens: it comes to rest where it should be.
    fn settles(mut self) {
        for _ in 0..100 {
            if self.in_flight.is_some() {
                self.apply(Event::Obeyed);
            } else if self.m.contact().is_some() && self.m.wanted(self.now).is_none_or(|(to, _)| to == self.contact) {
                return;
            } else {
                self.now = self.m.due(self.now).expect("it waits for nothing").max(self.now);
            }
            self.step();
        }
        panic!("it never came to rest");
    }
}

/// Credit and people.
const ORDERS: [Event; 12] = [
    Event::Granted,
    Event::Exhausted,
    Event::StaleGranted,
    Event::StaleExhausted,
    Event::OrderOpen,
    Event::OrderClosed,
    Event::TakenBack,
    Event::CustomerAsks,
    Event::Obeyed,
    Event::Failed,
    Event::Seconds,
    Event::Silence,
];
/// The register, against credit, power and safety.
const RIGHTS: [Event; 11] = [
    Event::Granted,
    Event::Limited,
    Event::Exhausted,
    Event::StaleExhausted,
    Event::Denied,
    Event::Permitted,
    Event::OrderSafety,
    Event::CustomerAsks,
    Event::Overload,
    Event::Obeyed,
    Event::Silence,
];
/// Power, safety and hands.
const POWER: [Event; 10] = [
    Event::Limited,
    Event::Exhausted,
    Event::OrderSafety,
    Event::TakenBack,
    Event::CustomerAsks,
    Event::Overload,
    Event::MovedByHand,
    Event::Obeyed,
    Event::Seconds,
    Event::Silence,
];

fn rule(on_silence: OnSilence, reconnect: Reconnect, protected: bool) -> Rule {
    Rule { min_on: MIN_ON, min_off: MIN_OFF, reconnect, ..Rule::new(on_silence, protected) }
}

fn any_rule() -> impl Strategy<Value = (Rule, Position)> {
    let silence = prop::sample::select(vec![OnSilence::Open, OnSilence::Closed, OnSilence::Hold]);
    let reconnect = prop::sample::select(vec![Reconnect::Automatic, Reconnect::Ready]);
    let contact = prop::sample::select(vec![Position::Open, Position::Closed]);
    (silence, reconnect, any::<bool>(), contact).prop_map(|(s, r, p, contact)| (rule(s, r, p), contact))
}

/// Walks all orders at once: worlds that are the same in every respect go on as one, with the number of ways to them.
fn walk(events: &[Event], rule: Rule, contact: Position) -> (u64, usize) {
    let mut level = HashMap::from([(World::begin(rule, contact), 1_u64)]);
    let mut worlds = 0;
    for _ in 0..DEPTH {
        let mut next: HashMap<World, u64> = HashMap::new();
        for (world, ways) in level {
            for event in events {
                let mut after = world.clone();
                if after.apply(*event) {
                    after.step();
                    *next.entry(after).or_default() += ways;
                }
            }
        }
        worlds += next.len();
        level = next;
    }
    let orders = level.values().sum();
    level.into_keys().for_each(World::settles);
    (orders, worlds)
}

#[test]
fn in_every_order_of_seven_events_no_rule_of_supply_is_broken() {
    let closed = Position::Closed;
    let (mut orders, mut worlds) = (0, 0);
    for (events, rule, contact) in [
        (ORDERS.as_slice(), rule(OnSilence::Open, Reconnect::Ready, false), closed),
        (&ORDERS, rule(OnSilence::Hold, Reconnect::Automatic, true), closed),
        (&ORDERS, rule(OnSilence::Closed, Reconnect::Automatic, false), Position::Open),
        (&POWER, rule(OnSilence::Hold, Reconnect::Ready, false), closed),
        (&POWER, rule(OnSilence::Open, Reconnect::Automatic, true), Position::Open),
        (&RIGHTS, rule(OnSilence::Hold, Reconnect::Ready, false), closed),
        (&RIGHTS, rule(OnSilence::Closed, Reconnect::Automatic, true), Position::Open),
    ] {
        let (o, w) = walk(events, rule, contact);
        println!("{o} orders of {DEPTH} events under {rule:?}, through {w} different worlds");
        (orders, worlds) = (orders + o, worlds + w);
    }
    println!("{orders} orders of {DEPTH} events in all, through {worlds} different worlds");
    assert!(orders > 10_000_000);
}

proptest! {
    #[test]
    fn in_a_long_life_no_rule_of_supply_is_broken(
        (rule, contact) in any_rule(),
        events in prop::collection::vec(prop::sample::select(EVENTS.to_vec()), 200),
    ) {
        let mut world = World::begin(rule, contact);
        for event in events {
            if world.apply(event) {
                world.step();
            }
        }
        world.settles();
    }
}
