//! Keeping a customer to a power limit with a contact that can only be open or closed: open for a moment, try again, and
//! after some tries wait for somebody.

use domain::{Timestamp, Watts};
use std::time::Duration;

/// How a power limit is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Overload {
    /// Power may be above the limit for so long: motors start.
    pub on: Duration,
    /// How long the contact stays open then.
    pub off: Duration,
    /// After so many times it stays open until the customer acts.
    pub tries: u32,
    /// Or until this has passed.
    pub lock: Duration,
}

impl Default for Overload {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { on: seconds(5), off: seconds(10), tries: 5, lock: seconds(3600) }
    }
}

/// Below the limit for so long, and earlier tries are forgotten.
const FORGIVEN: Duration = Duration::from_secs(300);
/// Two samples further apart say nothing about the time between them.
const GAP: Duration = Duration::from_secs(600);

/// What is remembered about one contact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Limiter {
    sampled: Option<Timestamp>,
    over_since: Option<Timestamp>,
    calm_since: Option<Timestamp>,
    tries: u32,
    open_until: Option<Timestamp>,
}

impl Limiter {
    /// What flows through a closed contact now, and the limit that holds for it.
    pub fn sample(&mut self, power: Watts, limit: Watts, rule: &Overload, now: Timestamp) {
        if self.sampled.replace(now).is_some_and(|before| now.since(before) > GAP) {
            (self.over_since, self.calm_since) = (None, None);
        }
        if power <= limit {
            self.over_since = None;
            let calm = *self.calm_since.get_or_insert(now);
            if now.since(calm) >= FORGIVEN {
                self.tries = 0;
            }
            return;
        }
        self.calm_since = None;
        if !self.holds_open(now) {
            // The pause passed while the contact could not be opened.
            self.open_until = None;
        }
        let over = *self.over_since.get_or_insert(now);
        if now.since(over) >= rule.on && self.open_until.is_none() {
            self.over_since = None;
            self.tries = self.tries.saturating_add(1);
            let locked = self.tries >= rule.tries;
            if locked {
                self.tries = 0;
            }
            self.open_until = Some(now + if locked { rule.lock } else { rule.off });
        }
    }

    /// Whether the contact must be open now.
    pub fn holds_open(&self, now: Timestamp) -> bool {
        self.open_until.is_some_and(|until| now < until)
    }

    /// Whether it was opened for an overload, and not closed since.
    pub fn tripped(&self) -> bool {
        self.open_until.is_some()
    }

    /// When it may close again.
    pub fn open_until(&self) -> Option<Timestamp> {
        self.open_until
    }

    /// The contact has closed.
    pub fn closed(&mut self) {
        (self.open_until, self.over_since, self.calm_since) = (None, None, None);
    }

    /// The customer acted, or no limit holds any more.
    pub fn release(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1000)
    }

    #[test]
    fn a_motor_may_start_and_an_oven_may_not_stay() {
        let (mut limiter, rule) = (Limiter::default(), Overload::default());
        limiter.sample(Watts(900), Watts(500), &rule, at(0));
        limiter.sample(Watts(400), Watts(500), &rule, at(4));
        limiter.sample(Watts(900), Watts(500), &rule, at(6));
        assert!(!limiter.holds_open(at(10)));
        limiter.sample(Watts(900), Watts(500), &rule, at(11));
        assert!(limiter.holds_open(at(11)) && limiter.holds_open(at(20)) && !limiter.holds_open(at(21)));
    }

    #[test]
    fn the_fifth_time_it_stays_open_for_an_hour_or_until_the_customer_acts() {
        let (mut limiter, rule) = (Limiter::default(), Overload::default());
        let mut now = 0;
        for _ in 0..5 {
            limiter.sample(Watts(900), Watts(500), &rule, at(now));
            limiter.sample(Watts(900), Watts(500), &rule, at(now + 5));
            assert!(limiter.holds_open(at(now + 5)));
            now += 15;
            if limiter.holds_open(at(now)) {
                break;
            }
            limiter.closed();
        }
        assert!(limiter.holds_open(at(now + 3500)) && !limiter.holds_open(at(now + 3600)));
        limiter.release();
        assert!(!limiter.holds_open(at(now)));
    }

    #[test]
    fn what_happened_between_two_samples_that_are_far_apart_is_unknown() {
        let (mut limiter, rule) = (Limiter::default(), Overload::default());
        limiter.sample(Watts(900), Watts(500), &rule, at(0));
        limiter.sample(Watts(900), Watts(500), &rule, at(900));
        assert!(!limiter.holds_open(at(900)));
    }

    #[test]
    fn five_minutes_below_the_limit_forgive_the_tries() {
        let (mut limiter, rule) = (Limiter::default(), Overload { tries: 2, ..Overload::default() });
        for start in [0, 1000] {
            limiter.sample(Watts(900), Watts(500), &rule, at(start));
            limiter.sample(Watts(900), Watts(500), &rule, at(start + 5));
            assert!(limiter.holds_open(at(start + 14)) && !limiter.holds_open(at(start + 15)), "{start}");
            limiter.closed();
            for calm in (start + 20..start + 400).step_by(60) {
                limiter.sample(Watts(100), Watts(500), &rule, at(calm));
            }
        }
    }
}
