//! Whether the wall clock can be trusted with the question who has light at this hour.

use crate::{Stamp, Timestamp};
use std::fmt;
use std::time::Duration;

/// 2026-01-01T00:00:00Z: no gateway ran these rules before that. A clock that says less was never set.
const EARLIEST: Timestamp = Timestamp(1_767_225_600_000);
/// A clock that was set is not trusted for as long as it leapt, but at least for this: if the leap was a mistake, the
/// hours that it skipped have then truly passed.
const LEAST: Duration = Duration::from_secs(3600);
/// And at most for this: it covers every mistake with time zones.
const MOST: Duration = Duration::from_secs(24 * 3600);
/// Steps below this are no leaps: time servers correct a clock a little.
const STEP: Duration = Duration::from_secs(60);

/// Why the clock is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distrust {
    /// It says a time before this program was written.
    NeverSet,
    /// The machine was started so recently that nobody may have set it yet.
    Young,
    /// It leapt by so much, forward or back.
    Leapt(Duration),
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverSet => f.write_str("the clock was never set"),
            Self::Young => {
                f.write_str("the machine was started less than an hour ago, so its clock may not be set yet")
            }
            Self::Leapt(by) => write!(f, "the clock leapt by {} minutes", by.as_secs() / 60),
        }
    }
}

/// Watches the wall clock beside one that nobody sets.
///
/// Trust is judged thus: a time before 2026 is never trusted; nor is any in the first hour after the machine was started
/// (a Pi has no battery for its clock); nor, for as long as the leap was wide (an hour to a day), one that
/// leapt against the clock that nobody sets, or that is behind the newest record of the ledger.
#[derive(Clone, Debug)]
pub struct ClockTrust {
    last: (Stamp, Duration),
    doubt: Option<(Distrust, Duration)>,
    step: Duration,
}

impl ClockTrust {
    /// Begins to watch at `now`. `newest` is the stamp of the newest record; `jitter` is what the two clocks may
    /// differ between two looks for no fault of theirs, which is nothing but on a clock that is hurried.
    #[must_use]
    pub fn new(now: Stamp, newest: Option<Stamp>, jitter: Duration) -> Self {
        let mut trust = Self { last: (now, Duration::ZERO), doubt: None, step: STEP + jitter };
        if let Some(up) = now.up {
            let up = Duration::from_millis(u64::try_from(up.ms).unwrap_or(0));
            trust.doubt = LEAST.checked_sub(up).map(|rest| (Distrust::Young, rest));
        }
        if let Some(newest) = newest {
            let same_boot = now.up.zip(newest.up).and_then(|(now, then)| now.since(then));
            // Over a restart of the machine nobody knows how long it was off, only that time did not run back.
            let leap = same_boot.map_or(newest.at.since(now.at), |truly| leap(newest.at, now.at, truly));
            trust.leapt(leap, Duration::ZERO);
        }
        trust
    }

    /// The time, if it is trusted now. `passed` is how long this process has run, by a clock that nobody sets; it is used
    /// where stamps have none.
    pub fn look(&mut self, now: Stamp, passed: Duration) -> Result<Timestamp, Distrust> {
        let (last, last_passed) = self.last;
        let truly = now.up.zip(last.up).and_then(|(now, then)| now.since(then));
        let truly = truly.unwrap_or(passed.saturating_sub(last_passed));
        self.leapt(leap(last.at, now.at, truly), passed);
        self.last = (now, passed);
        if self.doubt.is_some_and(|(_, until)| passed >= until) {
            self.doubt = None;
        }
        match self.doubt {
            _ if now.at < EARLIEST => Err(Distrust::NeverSet),
            Some((why, _)) => Err(why),
            None => Ok(now.at),
        }
    }

    fn leapt(&mut self, by: Duration, passed: Duration) {
        if by > self.step {
            let until = passed + by.clamp(LEAST, MOST);
            if self.doubt.is_none_or(|(_, old)| old < until) {
                self.doubt = Some((Distrust::Leapt(by), until));
            }
        }
    }
}

/// By how much a clock leapt that went from one time to another while `truly` passed.
fn leap(from: Timestamp, to: Timestamp, truly: Duration) -> Duration {
    if to >= from { to.since(from).abs_diff(truly) } else { from.since(to) + truly }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Uptime;

    const NOON: Timestamp = Timestamp(1_780_000_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    /// A machine that started ten hours before `NOON`, and its clock set `wrong` milliseconds ahead.
    fn stamp(passed: Duration, wrong: i64) -> Stamp {
        let at = Timestamp((NOON + passed).0 + wrong);
        Stamp { at, up: Some(Uptime { boot: 1, ms: 36_000_000 + i64::try_from(passed.as_millis()).unwrap() }) }
    }

    #[test]
    fn a_clock_that_leaps_an_hour_either_way_is_not_trusted_until_that_hour_has_truly_passed() {
        for wrong in [3_600_000, -3_600_000] {
            let mut trust = ClockTrust::new(stamp(Duration::ZERO, 0), None, Duration::ZERO);
            assert_eq!(trust.look(stamp(HOUR, 0), HOUR), Ok(NOON + HOUR));
            let leapt = HOUR + Duration::from_secs(1);
            assert_eq!(trust.look(stamp(leapt, wrong), leapt), Err(Distrust::Leapt(HOUR)));
            assert!(trust.look(stamp(HOUR * 2, wrong), HOUR * 2).is_err());
            let over = leapt + HOUR;
            assert_eq!(trust.look(stamp(over, wrong), over), Ok(stamp(over, wrong).at));
        }
    }

    #[test]
    fn a_clock_that_begins_in_1970_is_not_trusted_however_long_it_runs() {
        let begins = |passed: Duration| Stamp { at: Timestamp(0) + passed, up: None };
        let mut trust = ClockTrust::new(begins(Duration::ZERO), Some(NOON.into()), Duration::ZERO);
        for hours in 1..100 {
            assert_eq!(trust.look(begins(HOUR * hours), HOUR * hours), Err(Distrust::NeverSet));
        }
        // The network comes, and with it the time.
        let set = HOUR * 100;
        assert!(matches!(trust.look(Stamp { at: NOON + set, up: None }, set), Err(Distrust::Leapt(_))));
        let later = set + HOUR * 24;
        assert_eq!(trust.look(Stamp { at: NOON + later, up: None }, later), Ok(NOON + later));
    }

    #[test]
    fn a_clock_behind_the_newest_record_is_not_trusted() {
        let yesterday = Stamp { at: NOON - HOUR * 5, up: None };
        let mut trust = ClockTrust::new(yesterday, Some(NOON.into()), Duration::ZERO);
        assert_eq!(trust.look(yesterday, Duration::ZERO), Err(Distrust::Leapt(HOUR * 5)));
    }

    #[test]
    fn a_leap_while_the_gateway_was_down_is_seen_by_the_clock_that_nobody_sets() {
        let mut trust = ClockTrust::new(stamp(HOUR, 7_200_000), Some(stamp(Duration::ZERO, 0)), Duration::ZERO);
        assert_eq!(trust.look(stamp(HOUR, 7_200_000), Duration::ZERO), Err(Distrust::Leapt(HOUR * 2)));
        let mut trust = ClockTrust::new(stamp(HOUR, 0), Some(stamp(Duration::ZERO, 0)), Duration::ZERO);
        assert!(trust.look(stamp(HOUR, 0), Duration::ZERO).is_ok());
    }

    #[test]
    fn in_the_first_hour_after_the_machine_was_started_nobody_trusts_its_clock() {
        let young = |passed: Duration| Stamp {
            at: NOON + passed,
            up: Some(Uptime { boot: 2, ms: 60_000 + i64::try_from(passed.as_millis()).unwrap() }),
        };
        let mut trust = ClockTrust::new(young(Duration::ZERO), None, Duration::ZERO);
        assert_eq!(trust.look(young(Duration::ZERO), Duration::ZERO), Err(Distrust::Young));
        assert_eq!(trust.look(young(HOUR), HOUR), Ok(NOON + HOUR));
    }
}
