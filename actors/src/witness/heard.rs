//! What was overheard: the registers of the meters of other gateways, as they were said at the time.

use super::wire::{Readings, Sample};
use domain::{MeterId, Timestamp, WattHours};
use std::collections::BTreeMap;
use std::time::Duration;

/// Samples of one meter. Where there are more, those go that lie nearest to their neighbours for their age: a picture that
/// is the coarser the older it is, and no shorter.
const SAMPLES: usize = 128;
/// Meters of one gateway that are kept in mind.
const METERS: usize = super::wire::MOST_METERS;

/// Between which values a register was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The newest that was said before, or then; `None` if nothing was heard as early.
    pub low: Option<WattHours>,
    /// The oldest that was said after, or then; `None` if nothing was heard since.
    pub high: Option<WattHours>,
}

/// What one gateway said of its meters.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    meters: BTreeMap<MeterId, Vec<Sample>>,
}

impl Heard {
    /// Keeps in mind what was said. What a meter said is said once: another value for the same instant, and what is older
    /// than the newest, is not heard.
    pub fn listen(&mut self, said: &Readings) {
        for sample in &said.meters {
            if !self.meters.contains_key(&sample.meter) && self.meters.len() >= METERS {
                continue;
            }
            let known = self.meters.entry(sample.meter.clone()).or_default();
            if known.last().is_some_and(|last| last.at >= sample.at) {
                continue;
            }
            known.push(sample.clone());
            if known.len() > SAMPLES {
                let spared = spared(known, sample.at);
                known.remove(spared);
            }
        }
    }

    /// Between which values a meter's registers were at an instant, import and export. If the meter was exchanged, or its
    /// register began again, only what was said of the same run counts.
    #[must_use]
    pub fn at(&self, meter: &MeterId, at: Timestamp) -> (Bounds, Bounds) {
        let known = self.meters.get(meter).map(Vec::as_slice).unwrap_or_default();
        let after = known.partition_point(|s| s.at < at);
        let before = known.partition_point(|s| s.at <= at);
        let (before, after) = (before.checked_sub(1).and_then(|i| known.get(i)), known.get(after));
        let bounds = |register: fn(&Sample) -> Option<WattHours>| Bounds {
            low: before.and_then(register),
            high: after.and_then(register),
        };
        (bounds(|s| Some(s.import)), bounds(|s| s.export))
    }

    /// Energy between two instants, import and export; between readings that are at most `gap` apart it is taken to have
    /// flowed evenly. `None` where that is not known, or a register fell.
    #[must_use]
    pub fn between(
        &self,
        meter: &MeterId,
        from: Timestamp,
        to: Timestamp,
        gap: Duration,
    ) -> Option<(WattHours, WattHours)> {
        let known = self.meters.get(meter)?;
        let at = |instant: Timestamp| {
            let after = known.partition_point(|s| s.at < instant);
            let after = known.get(after)?;
            let before = known.get(known.partition_point(|s| s.at <= instant).checked_sub(1)?)?;
            let span = i128::from(after.at.0 - before.at.0);
            if after.at.since(before.at) > gap {
                return None;
            }
            let part = |from: WattHours, to: WattHours| {
                let rise = i128::from(to.0 - from.0);
                let rest = i128::from(instant.0 - before.at.0);
                let more = if span == 0 { 0 } else { (rise * rest).div_euclid(span) };
                Some(WattHours(from.0 + i64::try_from(more).ok()?))
            };
            let export = |s: &Sample| s.export.unwrap_or_default();
            Some((part(before.import, after.import)?, part(export(before), export(after))?))
        };
        let ((import, export), (until, out)) = (at(from)?, at(to)?);
        (until >= import && out >= export).then(|| (until - import, out - export))
    }

    /// Meters, with what each said last.
    pub fn newest(&self) -> impl Iterator<Item = &Sample> {
        self.meters.values().filter_map(|samples| samples.last())
    }
}

/// Which sample can be spared: the first and the last never.
fn spared(known: &[Sample], now: Timestamp) -> usize {
    let cost = |i: usize| {
        let [before, this, after] = known.get(i - 1..i + 2)? else { return None };
        // Time that would lie between its neighbours, in parts of its age.
        Some((i128::from(after.at.0 - before.at.0) << 32) / i128::from((now.0 - this.at.0).max(1)))
    };
    (1..known.len().saturating_sub(1)).min_by_key(|i| cost(*i)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn meter() -> MeterId {
        "home".parse().unwrap()
    }

    fn sample(at: i64, import: i64) -> Sample {
        Sample { meter: meter(), at: Timestamp(at), import: WattHours(import), export: None }
    }

    fn heard(samples: &[(i64, i64)]) -> Heard {
        let mut heard = Heard::default();
        for (at, import) in samples {
            heard.listen(&Readings { meters: vec![sample(*at, *import)] });
        }
        heard
    }

    #[test]
    fn a_register_was_between_what_was_said_before_and_after() {
        let heard = heard(&[(10, 100), (20, 130)]);
        let of = |at| heard.at(&meter(), Timestamp(at)).0;
        let bounds =
            |low: Option<i64>, high: Option<i64>| Bounds { low: low.map(WattHours), high: high.map(WattHours) };
        assert_eq!(of(5), bounds(None, Some(100)));
        assert_eq!(of(10), bounds(Some(100), Some(100)));
        assert_eq!(of(15), bounds(Some(100), Some(130)));
        assert_eq!(of(20), bounds(Some(130), Some(130)));
        assert_eq!(of(25), bounds(Some(130), None));
        assert_eq!(heard.at(&meter(), Timestamp(15)).1, bounds(None, None));
    }

    #[test]
    fn energy_between_readings_flowed_evenly_if_they_are_near() {
        let heard = heard(&[(0, 100), (10, 200), (30, 500)]);
        let energy = |from, to, gap| {
            let gap = Duration::from_millis(gap);
            heard.between(&meter(), Timestamp(from), Timestamp(to), gap).map(|(import, _)| import.0)
        };
        assert_eq!(energy(0, 10, 20), Some(100));
        assert_eq!(energy(5, 20, 20), Some(200));
        assert_eq!(energy(5, 20, 15), None, "too far apart");
        assert_eq!(energy(5, 31, 20), None, "nothing was heard since");
    }

    #[test]
    fn what_was_said_is_not_unsaid() {
        let heard = heard(&[(10, 100), (20, 130), (20, 999), (15, 999)]);
        assert_eq!(heard.at(&meter(), Timestamp(20)).0.low, Some(WattHours(130)));
        assert_eq!(heard.at(&meter(), Timestamp(15)).0.high, Some(WattHours(130)));
    }

    #[test]
    fn a_reading_every_second_still_shows_the_last_hour() {
        let samples: Vec<_> = (0..20_000).map(|i| (i * 1_000, i)).collect();
        let heard = heard(&samples);
        let now = 19_999;
        for age in [0, 10, 60, 900, 3_600] {
            let bounds = heard.at(&meter(), Timestamp((now - age) * 1_000)).0;
            let width = bounds.high.unwrap().0 - bounds.low.unwrap().0;
            assert!(width <= 2 + age / 5, "{width} s apart {age} s ago");
        }
    }

    proptest! {
        #[test]
        fn however_much_is_said_memory_is_bounded_and_the_picture_true(steps in proptest::collection::vec((1_i64..50, 0_i64..90), 1..600)) {
            let (mut at, mut import, mut all) = (0, 0, Vec::new());
            for (later, more) in steps {
                (at, import) = (at + later, import + more);
                all.push((at, import));
            }
            let heard = heard(&all);
            prop_assert!(heard.meters[&meter()].len() <= SAMPLES);
            prop_assert_eq!(heard.newest().next().map(|s| (s.at.0, s.import.0)), all.last().copied());
            for (at, import) in all {
                let bounds = heard.at(&meter(), Timestamp(at)).0;
                prop_assert!(bounds.low.is_none_or(|low| low.0 <= import) && bounds.high.is_none_or(|high| high.0 >= import));
            }
        }
    }
}
