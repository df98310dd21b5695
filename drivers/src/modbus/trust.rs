//! Whether the far end bears several questions at a time. Many a small device reads the first question of a segment and
//! drops the others, or hangs up; what it left unanswered is asked again by itself, and if that is answered it counts
//! against the device. Found wanting, it is asked one question after the other for an hour.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What one failure weighs in answers to questions that were asked behind others, and how much is too much: a device
/// that drops one of eight does not bear it, one that lost a frame does.
const STRIKE: u32 = 8;
const TOO_MUCH: u32 = 2 * STRIKE;
/// A device may be replaced, or only have been busy.
const FOR: Duration = Duration::from_secs(3600);

pub(super) struct Trust {
    places: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    strikes: u32,
    /// The connection that broke last: however many questions it took along, it broke once.
    broke_on: u32,
    alone_until: Option<Instant>,
}

impl Trust {
    /// In a far end that is said to bear so many questions.
    pub fn new(places: u32) -> Self {
        Self { places, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many questions it is asked at a time.
    pub fn places(&self, now: Instant) -> u32 {
        if self.places > 1 && self.state().alone_until.is_some_and(|until| now < until) { 1 } else { self.places }
    }

    /// It answered a question that it got while it had another.
    pub fn proved(&self) {
        let mut state = self.state();
        state.strikes = state.strikes.saturating_sub(1);
    }

    /// It answered by itself what it had not answered beside others. Says whether that was once too often.
    pub fn struck(&self, now: Instant) -> bool {
        self.weigh(&mut self.state(), now)
    }

    /// A connection broke on which several questions were under way. Says whether that was once too often.
    pub fn broke(&self, on: u32, now: Instant) -> bool {
        let mut state = self.state();
        std::mem::replace(&mut state.broke_on, on) != on && self.weigh(&mut state, now)
    }

    fn weigh(&self, state: &mut State, now: Instant) -> bool {
        if state.alone_until.is_some_and(|until| now < until) {
            return false;
        }
        state.strikes += STRIKE;
        if state.strikes < TOO_MUCH {
            return false;
        }
        // The next time, once is enough.
        (state.strikes, state.alone_until) = (STRIKE, Some(now + FOR));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_answers_only_the_first_is_asked_one_by_one_for_an_hour_and_then_given_one_more_chance() {
        let (trust, now) = (Trust::new(4), Instant::now());
        assert!(!trust.struck(now) && trust.places(now) == 4);
        assert!(trust.struck(now) && trust.places(now) == 1);
        assert!(!trust.struck(now), "it is known already");
        assert_eq!(trust.places(now + FOR), 4);
        assert!(trust.struck(now + FOR) && trust.places(now + FOR) == 1);
    }

    #[test]
    fn a_frame_that_is_lost_now_and_then_is_forgiven() {
        let (trust, now) = (Trust::new(4), Instant::now());
        for _ in 0..100 {
            assert!(!trust.struck(now));
            (0..STRIKE).for_each(|_| trust.proved());
        }
    }

    #[test]
    fn a_connection_breaks_once_however_many_questions_it_takes_along() {
        let (trust, now) = (Trust::new(4), Instant::now());
        for _ in 0..4 {
            assert!(!trust.broke(1, now));
        }
        assert!(trust.broke(2, now));
    }
}
