//! What the balance of a feeder can point to: the nouns that solver, journal, page and command line share.

use crate::{MeterId, Permille, Timestamp, WattHours, Watts};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A value with the interval in which it lies with a probability of 95 %, if the noise is what the solver takes it for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate<T> {
    /// The value.
    pub best: T,
    /// Its lower bound.
    pub low: T,
    /// Its upper bound.
    pub high: T,
}

impl<T: fmt::Display> fmt::Display for Estimate<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} to {})", self.best, self.low, self.high)
    }
}

/// What a meter counts of what flows through it, in whole thousandths: 1000 is right, 333 a third, negative the wrong
/// way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Counted(pub i32);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{} %", self.0.unsigned_abs() / 10, self.0.unsigned_abs() % 10)
    }
}

/// What does not add up, and in which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A steady power leaves the feeder that no home's meter counts.
    TakeOff,
    /// The same, but only at times.
    TakeOffAtTimes,
    /// A steady power reaches the homes that the feeder meter does not count.
    Surplus,
    /// A meter counts a little too much or too little: drift, a wrong ratio, or a load that passes it by.
    Scale,
    /// A meter counts two thirds: one phase of a balanced three-phase load is missing.
    OnePhaseMissing,
    /// A meter counts a third: two phases are missing, or one current transformer is reversed.
    OneThird,
    /// A meter counts backwards.
    Reversed,
}

impl Cause {
    /// What a person should do about it, beginning with a verb.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::TakeOff => {
                "walk the line and look for a connection that passes no meter; compare the feeder meter's ratio"
            }
            Self::TakeOffAtTimes => "look along the line at the hours named for a connection that passes no meter",
            Self::Surplus => {
                "look for a generator without a meter, or a home that is fed from another line; compare the feeder \
                 meter's ratio"
            }
            Self::Scale => {
                "compare the meter with a reference, look at its ratio setting, and for a load connected before it"
            }
            Self::OnePhaseMissing => "measure the meter's three voltages and three currents: one of them is missing",
            Self::OneThird => "look at the direction of each current transformer, then for two phases that are missing",
            Self::Reversed => "look at the direction of the current transformers, or exchange line and load terminals",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TakeOff => "energy is taken that no meter counts",
            Self::TakeOffAtTimes => "energy is taken at times that no meter counts",
            Self::Surplus => "the homes count more than the feeder brings",
            Self::Scale => "the meter's scale is wrong",
            Self::OnePhaseMissing => "the meter counts two thirds: a phase is missing",
            Self::OneThird => "the meter counts a third: a current transformer is reversed, or two phases are missing",
            Self::Reversed => "the meter counts backwards",
        })
    }
}

/// One thing that does not add up on a feeder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Irregularity {
    /// What it looks like.
    pub cause: Cause,
    /// The meter it is about; `None` if it can be anywhere along the feeder.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub meter: Option<MeterId>,
    /// Power that is not counted, negative where too much is: on the mean of all hours, or of those when it happens.
    pub power: Estimate<Watts>,
    /// What that comes to on a mean day.
    pub per_day: WattHours,
    /// What the meter counts of what flows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub counts: Option<Estimate<Counted>>,
    /// How sure it is that this is no chance, all meters and looks of a day considered.
    pub confidence: Permille,
    /// The earliest interval that it was seen in.
    pub since: Timestamp,
}

impl fmt::Display for Irregularity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(meter) = &self.meter {
            write!(f, "{meter}: ")?;
        }
        write!(f, "{}, {}, {} a day", self.cause, self.power, self.per_day)?;
        if let Some(counts) = &self.counts {
            write!(f, ", it counts {counts}")?;
        }
        write!(f, ", {} sure", self.confidence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_irregularity_reads_as_a_sentence() {
        let found = Irregularity {
            cause: Cause::OneThird,
            meter: "home-3".parse().ok(),
            power: Estimate { best: Watts(600), low: Watts(580), high: Watts(620) },
            per_day: WattHours(14_400),
            counts: Some(Estimate { best: Counted(333), low: Counted(328), high: Counted(-4) }),
            confidence: Permille::FULL,
            since: Timestamp(0),
        };
        let text = found.to_string();
        assert!(text.starts_with("home-3: the meter counts a third"), "{text}");
        assert!(
            text.ends_with("600 W (580 W to 620 W), 14400 Wh a day, it counts 33.3 % (32.8 % to -0.4 %), 100.0 % sure")
        );
    }
}
