//! One inverter and the limit that it is to keep: when to order, when to repeat, and what to write down about it.

use domain::Timestamp;
use domain::dispatch::{Cap, Release};
use domain::{Fact, InverterId, MeterId, Permille, WattHours, Watts};
use drivers::{DeviceError, Limited};
use std::collections::BTreeMap;
use std::time::Duration;

/// So many failures in a row, and nobody can say what the inverter does.
const LOST_AFTER: u32 = 3;
/// A limit that does not lapse is still repeated so often: somebody else may have lifted it. In real time, like the
/// timers of devices.
const LONGEST_REPEAT: Duration = Duration::from_secs(60);
const FIRST_RETRY: Duration = Duration::from_secs(2);
/// The inverter is asked again before its timer has run by this part: two orders may be lost.
const PARTS: u32 = 3;

/// What there is to know of an inverter.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its name.
    pub id: InverterId,
    /// The meter that its feed-in is paid by.
    pub meter: MeterId,
    /// What it can make.
    pub rated: Watts,
    /// How far an interval's energy may be above the dispatch and count as following it.
    pub tolerance: Permille,
    /// The least that such a difference may be.
    pub slack: WattHours,
}

/// A limit for a stretch of time, on the gateway's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitOrder {
    /// Which inverter.
    pub inverter: InverterId,
    /// Of its rated power; none lifts the limit.
    pub to: Option<Permille>,
    /// The same as power.
    pub most: Watts,
    /// From when.
    pub from: Timestamp,
    /// Until when without another order.
    pub until: Timestamp,
}

/// What became of an order.
pub(super) type Answer = Result<Limited, DeviceError>;

/// How far the inverter has come with the order in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It was not heard of yet.
    Told,
    /// It heard, and that is written down.
    Heard,
    /// It cannot be reached, and that is written down.
    Lost,
}

/// The machine.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    known: Known,
    /// How many times faster than ours the street lives.
    speed: u32,
    order: Option<LimitOrder>,
    stage: Stage,
    next: Option<LimitOrder>,
    /// A cap that is written down and may hold still.
    cap: Option<Cap>,
    failures: u32,
    busy: bool,
    /// When the order is to be given, or given again.
    due: Timestamp,
}

impl Machine {
    /// An inverter that nobody has told anything.
    pub fn new(known: Known, speed: u32) -> Self {
        let due = Timestamp(0);
        Self { known, speed, order: None, stage: Stage::Told, next: None, cap: None, failures: 0, busy: false, due }
    }

    pub fn id(&self) -> &InverterId {
        &self.known.id
    }

    /// The limit in force, if it is confirmed.
    pub fn holds(&self) -> Option<&LimitOrder> {
        self.order.as_ref().filter(|_| self.stage == Stage::Heard)
    }

    /// An order, which begins in its own time.
    pub fn take(&mut self, order: LimitOrder) {
        self.next = Some(order);
    }

    /// What was in force when the gateway stopped is in force no more: nobody repeated it.
    pub fn recall(&self, caps: &BTreeMap<MeterId, Cap>) -> Option<Fact> {
        let cap = caps.get(&self.known.meter).filter(|cap| cap.most.is_some())?;
        Some(self.released(cap, cap.since, Release::Restarted))
    }

    /// What is to be written down because time has passed.
    pub fn pass(&mut self, now: Timestamp) -> Option<Fact> {
        if let Some(next) = self.next.take_if(|next| next.from <= now) {
            (self.order, self.stage, self.failures, self.due) = (Some(next), Stage::Told, 0, now);
        }
        let ended = self.order.take_if(|order| order.until <= now)?;
        ended.to?;
        let cap = self.cap.take()?;
        Some(self.released(&cap, ended.until, Release::RanOut))
    }

    /// The limit to be ordered now.
    pub fn next(&mut self, now: Timestamp) -> Option<LimitOrder> {
        let order = self.order.as_ref().filter(|_| !self.busy && self.due <= now)?;
        self.busy = true;
        Some(order.clone())
    }

    /// When it wants to be asked again.
    pub fn wakes(&self) -> Option<Timestamp> {
        let begins = self.next.as_ref().map(|next| next.from);
        let order = self.order.as_ref().map(|order| if self.busy { order.until } else { order.until.min(self.due) });
        begins.into_iter().chain(order).min()
    }

    /// What the inverter said to an order, and what is to be written down about it.
    pub fn said(&mut self, order: &LimitOrder, answer: &Answer, now: Timestamp) -> Option<Fact> {
        self.busy = false;
        if self.order.as_ref() != Some(order) {
            // Another order is in force by now; it has its own turn.
            return None;
        }
        let again = |time: Duration| now + time * self.speed;
        match answer {
            Ok(limited) => {
                self.failures = 0;
                let lapses = limited.lapses.map_or(LONGEST_REPEAT, |lapses| lapses / PARTS).min(LONGEST_REPEAT);
                self.due = if order.to.is_some() { again(lapses) } else { order.until };
                self.heard(order, true, now)
            }
            // It was told and does otherwise: nobody else is to blame.
            Err(DeviceError::Ignored { .. }) => {
                self.failures = 0;
                self.due = again(LONGEST_REPEAT);
                self.heard(order, false, now)
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                self.due = again((FIRST_RETRY * 2_u32.pow(self.failures.min(6) - 1)).min(LONGEST_REPEAT));
                if self.failures < LOST_AFTER || self.stage == Stage::Lost || order.to.is_none() {
                    return None;
                }
                self.stage = Stage::Lost;
                let free = self.cap_of(order, now, None);
                let cap = self.cap.take().unwrap_or(free);
                Some(self.released(&cap, now, Release::Unreachable { problem: error.to_string() }))
            }
        }
    }

    fn heard(&mut self, order: &LimitOrder, follows: bool, now: Timestamp) -> Option<Fact> {
        if self.stage == Stage::Heard {
            return None;
        }
        self.stage = Stage::Heard;
        match order.to {
            Some(to) => {
                let cap = self.cap_of(order, now, Some(order.most));
                self.cap = Some(cap.clone());
                Some(Fact::InverterLimited { inverter: self.known.id.clone(), to, follows, cap })
            }
            None => {
                let cap = self.cap.take()?;
                Some(self.released(&cap, now, Release::Planned))
            }
        }
    }

    fn cap_of(&self, order: &LimitOrder, since: Timestamp, most: Option<Watts>) -> Cap {
        let Known { meter, rated, tolerance, slack, .. } = self.known.clone();
        Cap { meter, since, until: order.until, most, rated, tolerance, slack }
    }

    fn released(&self, cap: &Cap, since: Timestamp, why: Release) -> Fact {
        // It must not end before the cap whose place it takes.
        let until = cap.until.max(since);
        let cap = Cap { since, until, most: None, ..cap.clone() };
        Fact::InverterReleased { inverter: self.known.id.clone(), why, cap }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1000;

    fn machine() -> Machine {
        let known = Known {
            id: "roof".parse().unwrap(),
            meter: "home".parse().unwrap(),
            rated: Watts(5000),
            tolerance: Permille::new(50).unwrap(),
            slack: WattHours(1),
        };
        Machine::new(known, 1)
    }

    fn order(share: Option<u16>, from: i64, until: i64) -> LimitOrder {
        let to = share.map(|s| Permille::new(s).unwrap());
        let most = Watts(share.map_or(5000, |s| i64::from(s) * 5));
        LimitOrder { inverter: "roof".parse().unwrap(), to, most, from: at(from), until: at(until) }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * SECOND)
    }

    fn well(to: Option<u16>) -> Answer {
        Ok(Limited { to: to.map(|s| Permille::new(s).unwrap()), lapses: Some(Duration::from_secs(60)) })
    }

    fn silent() -> Answer {
        Err(DeviceError::Silent { waited: Duration::from_secs(1) })
    }

    /// Gives the order that is due and hands over the answer.
    fn give(m: &mut Machine, answer: &Answer, now: i64) -> Option<Fact> {
        let order = m.next(at(now)).expect("nothing is due");
        m.said(&order, answer, at(now))
    }

    fn why(fact: &Option<Fact>) -> Option<&Release> {
        match fact {
            Some(Fact::InverterReleased { why, .. }) => Some(why),
            _ => None,
        }
    }

    #[test]
    fn a_limit_begins_in_its_time_is_repeated_and_ends_with_its_plan() {
        let mut m = machine();
        m.take(order(Some(400), 10, 900));
        assert_eq!((m.pass(at(9)), m.next(at(9)), m.wakes()), (None, None, Some(at(10))));
        assert_eq!(m.pass(at(10)), None);
        let Some(Fact::InverterLimited { follows: true, cap, .. }) = give(&mut m, &well(Some(400)), 11) else {
            panic!()
        };
        assert_eq!((cap.since, cap.until, cap.most), (at(11), at(900), Some(Watts(2000))));
        assert_eq!((m.next(at(30)), m.wakes()), (None, Some(at(31))));
        assert_eq!(give(&mut m, &well(Some(400)), 31), None, "a repetition is no news");
        let ended = m.pass(at(900));
        assert_eq!(why(&ended), Some(&Release::RanOut));
        assert_eq!((m.next(at(2000)), m.wakes()), (None, None), "then its own timer ends it");
    }

    #[test]
    fn the_next_plan_takes_the_place_of_the_last_without_a_gap() {
        let mut m = machine();
        m.take(order(Some(400), 0, 900));
        drop(m.pass(at(0)));
        drop(give(&mut m, &well(Some(400)), 0));
        m.take(order(None, 900, 1800));
        assert_eq!(m.pass(at(900)), None);
        let freed = give(&mut m, &well(None), 900);
        assert_eq!(why(&freed), Some(&Release::Planned));
        assert_eq!(m.pass(at(1800)), None, "what is free does not run out");
    }

    #[test]
    fn one_that_cannot_be_reached_is_excused_once_and_bound_again_when_it_answers() {
        let mut m = machine();
        m.take(order(Some(400), 0, 900));
        drop(m.pass(at(0)));
        drop(give(&mut m, &well(Some(400)), 0));
        assert_eq!(give(&mut m, &silent(), 20), None);
        assert_eq!(give(&mut m, &silent(), 22), None);
        let lost = give(&mut m, &silent(), 26);
        assert!(matches!(why(&lost), Some(Release::Unreachable { .. })), "{lost:?}");
        assert_eq!(give(&mut m, &silent(), 34), None);
        assert!(matches!(give(&mut m, &well(Some(400)), 50), Some(Fact::InverterLimited { .. })));
    }

    #[test]
    fn one_that_says_no_is_bound_all_the_same() {
        let mut m = machine();
        m.take(order(Some(400), 0, 900));
        drop(m.pass(at(0)));
        let ignored = Err(DeviceError::Ignored { what: "40 % was ordered, it says no limit".into() });
        assert!(matches!(give(&mut m, &ignored, 0), Some(Fact::InverterLimited { follows: false, .. })));
        assert_eq!(give(&mut m, &ignored, 60), None);
    }

    #[test]
    fn an_answer_to_an_older_order_confirms_nothing() {
        let mut m = machine();
        m.take(order(Some(400), 0, 900));
        drop(m.pass(at(0)));
        let old = m.next(at(899)).unwrap();
        m.take(order(Some(200), 900, 1800));
        drop(m.pass(at(900)));
        assert_eq!(m.next(at(900)), None, "one question at a time");
        assert_eq!(m.said(&old, &well(Some(400)), at(901)), None);
        assert_eq!(m.next(at(901)).unwrap().to, Permille::new(200));
    }

    #[test]
    fn what_was_in_force_before_a_restart_is_held_against_nobody() {
        let m = machine();
        let cap = m.cap_of(&order(Some(400), 0, 900), at(3), Some(Watts(2000)));
        let caps = BTreeMap::from([(cap.meter.clone(), cap)]);
        let Some(Fact::InverterReleased { why: Release::Restarted, cap, .. }) = m.recall(&caps) else { panic!() };
        assert_eq!((cap.since, cap.until, cap.most), (at(3), at(900), None));
        assert_eq!(m.recall(&BTreeMap::from([(cap.meter.clone(), cap)])), None, "a release is over already");
    }
}
