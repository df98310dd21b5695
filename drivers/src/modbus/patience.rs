//! How long a unit is waited for, learned from how long it takes to answer.
//!
//! Smoothed mean and deviation as TCP keeps them for its retransmissions (RFC 6298), with wider margins: to ask a
//! slow device twice costs more than to wait for it a little longer.

use std::time::Duration;

/// So many answers must be known before less than the configured timeout is waited.
const ENOUGH: u32 = 8;
/// A computer that is busy, a converter that gathers bytes, a device that does something else for a moment: below
/// this a silence says nothing.
const FLOOR: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Patience {
    mean: Duration,
    deviation: Duration,
    answers: u32,
    /// Silences since the last answer.
    silences: u32,
}

impl Patience {
    /// How long to wait for the next answer, at most `ceiling`.
    pub fn with(&self, ceiling: Duration) -> Duration {
        if self.answers < ENOUGH {
            return ceiling;
        }
        let learned = (self.mean + self.deviation * 6).max(self.mean * 2).max(FLOOR);
        let wait = match self.silences {
            0 => learned,
            // The device may have become slow for good.
            n if n % 4 == 3 => ceiling,
            _ => learned * 4,
        };
        wait.min(ceiling)
    }

    /// How long an answer takes, as far as that is known.
    pub fn mean(&self) -> Duration {
        self.mean
    }

    pub fn answered(&mut self, took: Duration) {
        if self.answers == 0 {
            (self.mean, self.deviation) = (took, took / 2);
        } else {
            self.deviation = (self.deviation * 3 + took.abs_diff(self.mean)) / 4;
            self.mean = (self.mean * 7 + took) / 8;
        }
        self.answers = self.answers.saturating_add(1);
        self.silences = 0;
    }

    pub fn silent(&mut self) {
        self.silences = self.silences.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CEILING: Duration = Duration::from_secs(1);

    fn learned(took: Duration) -> Patience {
        let mut patience = Patience::default();
        for _ in 0..30 {
            patience.answered(took);
        }
        patience
    }

    #[test]
    fn the_configured_timeout_holds_until_a_device_is_known() {
        let mut patience = Patience::default();
        for _ in 0..ENOUGH {
            assert_eq!(patience.with(CEILING), CEILING);
            patience.answered(Duration::from_millis(3));
        }
        assert!(patience.with(CEILING) < CEILING);
    }

    #[test]
    fn a_quick_device_is_waited_for_briefly_and_a_slow_one_twice_its_time() {
        assert_eq!(learned(Duration::from_millis(2)).with(CEILING), FLOOR);
        assert_eq!(learned(Duration::from_millis(300)).with(CEILING), Duration::from_millis(600));
        assert_eq!(learned(Duration::from_millis(900)).with(CEILING), CEILING);
        assert_eq!(learned(Duration::from_millis(2)).with(Duration::from_millis(40)), Duration::from_millis(40));
    }

    #[test]
    fn silence_widens_the_wait_up_to_the_whole_timeout_and_an_answer_narrows_it_again() {
        let mut patience = learned(Duration::from_millis(2));
        let mut waits = Vec::new();
        for _ in 0..4 {
            patience.silent();
            waits.push(patience.with(CEILING));
        }
        assert_eq!(waits, [FLOOR * 4, FLOOR * 4, CEILING, FLOOR * 4]);
        patience.answered(Duration::from_millis(2));
        assert_eq!(patience.with(CEILING), FLOOR);
    }

    #[test]
    fn a_device_that_wavers_is_given_room() {
        let mut patience = Patience::default();
        for n in 0..40_u64 {
            patience.answered(Duration::from_millis(if n % 5 == 0 { 500 } else { 300 }));
        }
        assert!(patience.with(CEILING) > Duration::from_millis(600));
    }
}
