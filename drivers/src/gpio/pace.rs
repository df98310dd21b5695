//! Power out of the time between pulses: a derived value, which is absent as soon as it would be a guess.
//!
//! Between two pulses the meter has counted one pulse's energy, so the average power of that time is known exactly. After
//! the last pulse only a bound is known: had the load been greater, the next pulse would be here. So the value is the
//! average of the time that the newest pulses took, or what the silence since allows if that is less; after a silence
//! of twice the interval, or of a quarter of an hour, there is none.

use super::spec::PulsesPerKwh;
use domain::Watts;

/// A value that averages more than this is no power of the moment.
const LONGEST: u64 = 15 * 60 * 1_000_000_000;

/// Times of the newest pulses.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// The newest pulse.
    last: Option<u64>,
    /// The one that was newest at the last reading.
    from: Option<u64>,
    /// Pulses since that one.
    since: u64,
    /// What the last reading with new pulses found: so many pulses in so many nanoseconds.
    found: Option<(u64, u64)>,
}

impl Pace {
    /// Pulses that came since the last call, the newest of them at `at`.
    pub fn pulses(&mut self, pulses: u64, at: u64) {
        if pulses == 0 {
            return;
        }
        match self.from {
            // Nobody knows how long the first ones took.
            None => self.from = Some(at),
            Some(_) => self.since += pulses,
        }
        self.last = Some(at);
    }

    /// Something is not known about the time before `at`.
    pub fn interrupted(&mut self) {
        *self = Self::default();
    }

    /// The power as of `now`, for a reading; `None` if the pulses do not tell.
    pub fn power(&mut self, now: u64, constant: PulsesPerKwh) -> Option<Watts> {
        let (from, last) = (self.from?, self.last?);
        if self.since > 0 {
            self.found = Some((self.since, last.saturating_sub(from)));
            (self.from, self.since) = (Some(last), 0);
        }
        let (pulses, span) = self.found?;
        let silence = now.saturating_sub(last);
        let interval = span / pulses.max(1);
        if span == 0 || interval > LONGEST || silence > LONGEST || silence > interval.saturating_mul(2) {
            return None;
        }
        // A watt-hour is 3.6e12 nanowatt-seconds times a thousand: 3600 J, and a second 1e9 ns.
        let energy = 3_600_000_u128 * 1_000_000_000 * u128::from(pulses);
        let time = u128::from(constant.get()) * u128::from(span.max(silence.saturating_mul(pulses)));
        i64::try_from((energy + time / 2) / time).ok().map(Watts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    fn constant(pulses: u32) -> PulsesPerKwh {
        PulsesPerKwh::new(pulses).unwrap()
    }

    #[test]
    fn one_pulse_tells_no_power_and_two_tell_that_of_the_time_between() {
        let mut pace = Pace::default();
        assert_eq!(pace.power(0, constant(1000)), None);
        pace.pulses(1, 10 * SECOND);
        assert_eq!(pace.power(11 * SECOND, constant(1000)), None);
        pace.pulses(1, 46 * SECOND);
        // 1 Wh in 36 s.
        assert_eq!(pace.power(47 * SECOND, constant(1000)), Some(Watts(100)));
        assert_eq!(pace.power(47 * SECOND, constant(100)), Some(Watts(1000)));
    }

    #[test]
    fn a_pulse_that_does_not_come_lowers_the_power_and_then_takes_it_away() {
        let mut pace = Pace::default();
        pace.pulses(1, 0);
        pace.pulses(1, 36 * SECOND);
        assert_eq!(pace.power(72 * SECOND, constant(1000)), Some(Watts(100)));
        assert_eq!(pace.power(96 * SECOND, constant(1000)), Some(Watts(60)), "a greater load would have shown by now");
        assert_eq!(pace.power(109 * SECOND, constant(1000)), None);
    }

    #[test]
    fn a_load_so_small_that_pulses_are_a_quarter_of_an_hour_apart_has_no_power_of_the_moment() {
        let mut pace = Pace::default();
        pace.pulses(1, 0);
        pace.pulses(1, LONGEST + 1);
        assert_eq!(pace.power(LONGEST + 2, constant(1000)), None);
    }

    #[test]
    fn after_something_unknown_the_time_before_does_not_count() {
        let mut pace = Pace::default();
        pace.pulses(1, 0);
        pace.interrupted();
        pace.pulses(3, 36 * SECOND);
        assert_eq!(pace.power(37 * SECOND, constant(1000)), None);
    }

    proptest! {
        #[test]
        fn a_steady_load_reads_the_same_however_often_it_is_read(
            watts in 50_u64..20_000, imp in 100_u32..10_001, period in 1_u64..120,
        ) {
            let interval = 3_600_000 * SECOND / (watts * u64::from(imp));
            let (mut pace, mut at) = (Pace::default(), interval);
            let mut read = 0;
            for now in (1..40).map(|n| n * period * SECOND) {
                let mut pulses = 0;
                while at <= now {
                    (pulses, at) = (pulses + 1, at + interval);
                }
                pace.pulses(pulses, at - interval);
                if let Some(found) = pace.power(now, constant(imp)) {
                    // A watt, and what the rounding of the interval to nanoseconds does.
                    prop_assert!(found.0.abs_diff(i64::try_from(watts).unwrap()) <= 1, "{found} of {watts} W");
                    read += 1;
                }
            }
            let seconds = 39 * period;
            prop_assert!(read > 0 || seconds * SECOND < 3 * interval);
        }
    }
}
