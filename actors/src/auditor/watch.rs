//! What of the findings is told: once when it is there, once more when it looks otherwise, once when it is gone.

use domain::feeder::{Cause, Irregularity};
use domain::{Fact, MeterId};
use std::collections::BTreeMap;

/// So many looks in a row must agree before anything is told: what one look finds, the next may lose again.
const RAISE: u32 = 2;
/// So many must not see it any more before it is over.
const CLEAR: u32 = 8;

/// One thing that can be wrong: a meter, the steady balance of the feeder, or what comes and goes there.
type Key = (Option<MeterId>, bool);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    told: Option<Cause>,
    /// What the last looks saw, and how many of them in a row.
    seen: Option<Cause>,
    times: u32,
}

/// What was told, and what is about to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Watch(BTreeMap<Key, State>);

fn key(cause: Cause, meter: Option<&MeterId>) -> Key {
    (meter.cloned(), cause == Cause::TakeOffAtTimes)
}

impl Watch {
    /// Takes up what the journal says was told before a restart.
    pub fn recall(&mut self, fact: &Fact) {
        match fact {
            Fact::ImbalanceFound { found } => {
                let state = self.0.entry(key(found.cause, found.meter.as_ref())).or_default();
                (state.told, state.seen, state.times) = (Some(found.cause), Some(found.cause), 0);
            }
            Fact::ImbalanceCleared { cause, meter } => drop(self.0.remove(&key(*cause, meter.as_ref()))),
            _ => {}
        }
    }

    /// One look; the answer is what is to be told.
    pub fn look(&mut self, found: &[Irregularity]) -> Vec<Fact> {
        let mut facts = Vec::new();
        for f in found {
            let state = self.0.entry(key(f.cause, f.meter.as_ref())).or_default();
            state.times = if state.seen == Some(f.cause) { state.times.saturating_add(1) } else { 1 };
            state.seen = Some(f.cause);
            if state.times >= RAISE && state.told != Some(f.cause) {
                state.told = Some(f.cause);
                facts.push(Fact::ImbalanceFound { found: f.clone() });
            }
        }
        self.0.retain(|key, state| {
            if found.iter().any(|f| self::key(f.cause, f.meter.as_ref()) == *key) {
                return true;
            }
            state.times = if state.seen.is_none() { state.times.saturating_add(1) } else { 1 };
            state.seen = None;
            match state.told {
                None => false,
                Some(_) if state.times < CLEAR => true,
                Some(cause) => {
                    facts.push(Fact::ImbalanceCleared { cause, meter: key.0.clone() });
                    false
                }
            }
        });
        facts
    }

    /// Everything that was told and is not over, also while a look does not see it.
    pub fn standing(&self) -> Vec<(Cause, Option<MeterId>)> {
        self.0.iter().filter_map(|((meter, _), state)| Some((state.told?, meter.clone()))).collect()
    }

    /// Whether this was told and is not over.
    pub fn is_told(&self, found: &Irregularity) -> bool {
        self.0.get(&key(found.cause, found.meter.as_ref())).is_some_and(|s| s.told.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::feeder::Estimate;
    use domain::{Permille, Timestamp, WattHours, Watts};
    use proptest::prelude::*;

    fn seen(cause: Cause, meter: Option<&str>) -> Irregularity {
        Irregularity {
            cause,
            meter: meter.map(|m| m.parse().unwrap()),
            power: Estimate { best: Watts(1), low: Watts(0), high: Watts(2) },
            per_day: WattHours(24),
            counts: None,
            confidence: Permille::FULL,
            since: Timestamp(0),
        }
    }

    #[test]
    fn a_finding_is_told_once_and_its_end_once() {
        let mut watch = Watch::default();
        let theft = [seen(Cause::TakeOff, None)];
        assert_eq!(watch.look(&theft), []);
        assert_eq!(watch.look(&theft), [Fact::ImbalanceFound { found: theft[0].clone() }]);
        assert!((0..100).all(|_| watch.look(&theft).is_empty()));
        assert!((1..CLEAR).all(|_| watch.look(&[]).is_empty()));
        assert_eq!(watch.standing(), [(Cause::TakeOff, None)], "it stands until its end is told");
        assert_eq!(watch.look(&[]), [Fact::ImbalanceCleared { cause: Cause::TakeOff, meter: None }]);
        assert_eq!(watch, Watch::default());
    }

    #[test]
    fn one_look_that_differs_tells_nothing_and_another_class_is_told() {
        let mut watch = Watch::default();
        let (drift, third) = (seen(Cause::Scale, Some("a")), seen(Cause::OneThird, Some("a")));
        (0..2).for_each(|_| drop(watch.look(std::slice::from_ref(&drift))));
        assert_eq!(watch.look(&[]), []);
        assert_eq!(watch.look(std::slice::from_ref(&third)), []);
        assert_eq!(watch.look(std::slice::from_ref(&drift)), []);
        assert_eq!(watch.look(std::slice::from_ref(&third)), []);
        assert_eq!(watch.look(std::slice::from_ref(&third)), [Fact::ImbalanceFound { found: third.clone() }]);
    }

    fn anything() -> impl Strategy<Value = Vec<Irregularity>> {
        let one = (0..4_usize, 0..3_usize).prop_map(|(cause, meter)| match meter {
            0 => seen([Cause::TakeOff, Cause::Surplus, Cause::TakeOffAtTimes, Cause::TakeOff][cause], None),
            m => seen([Cause::Scale, Cause::OneThird, Cause::Reversed, Cause::Scale][cause], Some(["", "a", "b"][m])),
        });
        proptest::collection::vec(one, 0..3).prop_map(|mut found| {
            found.sort_by_key(|f| key(f.cause, f.meter.as_ref()));
            found.dedup_by_key(|f| key(f.cause, f.meter.as_ref()));
            found
        })
    }

    proptest! {
        #[test]
        fn whatever_is_seen_a_restart_tells_nothing_twice(looks in proptest::collection::vec(anything(), 0..60), cut in 0..60_usize) {
            let mut watch = Watch::default();
            let mut told: BTreeMap<Key, Cause> = BTreeMap::new();
            let mut journal = Vec::new();
            for (i, found) in looks.iter().enumerate() {
                if i == cut {
                    watch = Watch::default();
                    journal.iter().for_each(|fact| watch.recall(fact));
                }
                for fact in watch.look(found) {
                    match &fact {
                        Fact::ImbalanceFound { found } => {
                            let before = told.insert(key(found.cause, found.meter.as_ref()), found.cause);
                            prop_assert_ne!(before, Some(found.cause));
                        }
                        Fact::ImbalanceCleared { cause, meter } => {
                            prop_assert_eq!(told.remove(&key(*cause, meter.as_ref())), Some(*cause));
                        }
                        other => prop_assert!(false, "{:?}", other),
                    }
                    journal.push(fact);
                }
            }
            // At most one fact for every two looks at one thing.
            prop_assert!(journal.len() <= 4 * looks.len().div_ceil(2));
        }
    }
}
