//! What was overheard: the registers of the meters of other gateways, as they were said at the time.

use super::wire::{Readings, Sample};
use domain::{MeterId, Timestamp, WattHours};
use std::collections::BTreeMap;

/// Samples of one meter. Where there are more, of the older ones every second goes: a coarser picture, no shorter one.
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
                let mut index = 0;
                known.retain(|_| {
                    index += 1;
                    index > SAMPLES / 2 || index % 2 == 1
                });
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

    /// Meters, with what each said last.
    pub fn newest(&self) -> impl Iterator<Item = &Sample> {
        self.meters.values().filter_map(|samples| samples.last())
    }
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
    fn what_was_said_is_not_unsaid() {
        let heard = heard(&[(10, 100), (20, 130), (20, 999), (15, 999)]);
        assert_eq!(heard.at(&meter(), Timestamp(20)).0.low, Some(WattHours(130)));
        assert_eq!(heard.at(&meter(), Timestamp(15)).0.high, Some(WattHours(130)));
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
