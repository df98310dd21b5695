//! How often a code may be guessed: every wrong one closes the door for twice as long as the one before.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// After the first wrong code.
const FIRST: Duration = Duration::from_secs(10);
/// Doubled this often at most: 1280 s.
const DOUBLINGS: u32 = 7;

/// The wrong codes that were entered for one account since the last right one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    failed: u32,
    since: Timestamp,
}

impl Attempts {
    /// The record of an account that was read back.
    #[must_use]
    pub fn new(failed: u32, since: Timestamp) -> Self {
        Self { failed, since }
    }

    /// One more wrong code.
    #[must_use]
    pub fn wrong(self, now: Timestamp) -> Self {
        Self { failed: self.failed.saturating_add(1), since: now }
    }

    /// How many there were.
    #[must_use]
    pub fn failed(self) -> u32 {
        self.failed
    }

    /// Until when the door stays closed.
    #[must_use]
    pub fn until(self) -> Timestamp {
        match self.failed {
            0 => self.since,
            n => self.since + FIRST * 2_u32.pow((n - 1).min(DOUBLINGS)),
        }
    }

    /// Until when no code is looked at; `None` if one may be tried. A clock that was set back to before the last attempt
    /// locks nobody out: nobody could say for how long.
    #[must_use]
    pub fn locked(self, now: Timestamp) -> Option<Timestamp> {
        (self.since <= now && now < self.until()).then(|| self.until())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_code_closes_the_door_for_twice_as_long_up_to_1280_seconds() {
        let (mut attempts, mut now) = (Attempts::default(), Timestamp(1_000));
        assert_eq!(attempts.locked(now), None);
        for seconds in [10, 20, 40, 80, 160, 320, 640, 1280, 1280, 1280] {
            attempts = attempts.wrong(now);
            let until = now + Duration::from_secs(seconds);
            assert_eq!(attempts.locked(now), Some(until));
            assert_eq!(attempts.locked(until - Duration::from_millis(1)), Some(until));
            assert_eq!(attempts.locked(until), None);
            now = until;
        }
        assert_eq!(attempts.locked(Timestamp(0)), None, "a clock that was set back");
        assert_eq!(Attempts::new(u32::MAX, now).wrong(now).until(), now + Duration::from_secs(1280));
    }
}
