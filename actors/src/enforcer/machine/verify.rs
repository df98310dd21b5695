//! Whether what flows agrees with where the contact says it is.

use domain::{Position, Suspicion, Timestamp, Volts, Watts};
use std::time::Duration;

/// When a contact is suspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Verify {
    /// What may flow through an open contact: the meter's own use, and noise.
    pub power: Watts,
    /// How long more must flow.
    pub bypassed_after: Duration,
    /// How long there must be neither power nor voltage behind a closed contact.
    pub tripped_after: Duration,
}

impl Default for Verify {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        Self { power: Watts(50), bypassed_after: minutes(2), tripped_after: minutes(10) }
    }
}

/// Below this there is no mains voltage, only what is induced in a loose wire.
const NO_VOLTAGE: f64 = 50.0;

/// What meters say of a contact at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Power, + import; `None` if a meter does not tell.
    pub power: Option<Watts>,
    /// Voltage behind the contact or before it.
    pub voltage: Option<Volts>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Verifier {
    suspected: Option<Suspicion>,
    other: Option<(Option<Suspicion>, Timestamp)>,
}

impl Verifier {
    /// Compares one sample; answers when that changes what is suspected. A suspicion comes, and goes, when every sample
    /// of some time says so.
    pub fn sample(
        &mut self,
        contact: Position,
        sample: Sample,
        rule: &Verify,
        now: Timestamp,
    ) -> Option<Option<Suspicion>> {
        let flows = sample.power?.0.abs() > rule.power.0;
        let looks = match contact {
            Position::Open if flows => Some(Suspicion::Bypassed),
            Position::Closed if !flows && sample.voltage.is_some_and(|v| v.get() < NO_VOLTAGE) => {
                Some(Suspicion::Tripped)
            }
            _ => None,
        };
        if looks == self.suspected {
            self.other = None;
            return None;
        }
        let since = match self.other {
            Some((same, since)) if same == looks => since,
            _ => {
                self.other = Some((looks, now));
                now
            }
        };
        let after = match looks.or(self.suspected) {
            Some(Suspicion::Tripped) => rule.tripped_after,
            _ => rule.bypassed_after,
        };
        if now.since(since) < after {
            return None;
        }
        (self.suspected, self.other) = (looks, None);
        Some(looks)
    }

    /// The contact moved: what flowed before says nothing about it.
    pub fn moved(&mut self) {
        self.other = None;
    }

    pub fn suspected(&self) -> Option<Suspicion> {
        self.suspected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1000)
    }

    fn flowing(watts: i64, volts: f64) -> Sample {
        Sample { power: Some(Watts(watts)), voltage: Volts::finite(volts) }
    }

    #[test]
    fn power_through_an_open_contact_is_a_weld_or_a_bypass_when_it_lasts() {
        let (mut v, rule) = (Verifier::default(), Verify::default());
        assert_eq!(v.sample(Position::Open, flowing(40, 230.0), &rule, at(0)), None);
        assert_eq!(v.sample(Position::Open, flowing(900, 230.0), &rule, at(10)), None);
        assert_eq!(v.sample(Position::Open, flowing(900, 230.0), &rule, at(129)), None);
        assert_eq!(v.sample(Position::Open, flowing(-900, 230.0), &rule, at(130)), Some(Some(Suspicion::Bypassed)));
        assert_eq!(v.sample(Position::Open, flowing(900, 230.0), &rule, at(140)), None, "said once");
        assert_eq!(v.sample(Position::Open, flowing(0, 0.0), &rule, at(150)), None);
        assert_eq!(v.sample(Position::Open, flowing(0, 0.0), &rule, at(270)), Some(None));
    }

    #[test]
    fn a_home_whose_people_are_away_is_not_taken_for_a_tripped_breaker() {
        let (mut v, rule) = (Verifier::default(), Verify::default());
        for seconds in (0..3600).step_by(60) {
            assert_eq!(v.sample(Position::Closed, flowing(0, 230.0), &rule, at(seconds)), None);
            // A meter that does not tell its voltage accuses nobody either.
            let silent = Sample { power: Some(Watts(0)), voltage: None };
            assert_eq!(v.sample(Position::Closed, silent, &rule, at(seconds)), None);
        }
        assert_eq!(v.sample(Position::Closed, flowing(0, 3.0), &rule, at(3600)), None);
        assert_eq!(v.sample(Position::Closed, flowing(0, 3.0), &rule, at(4200)), Some(Some(Suspicion::Tripped)));
    }
}
