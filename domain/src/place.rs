//! Where meters are, and what was made of it: claims, proofs of an epoch, and how many of the last ones failed.
//!
//! Lengths are whole millimetres east and north of the site's origin, so that what is written down is what was judged.

use crate::MeterId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A place, in millimetres east and north of the site's origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// East.
    pub x: i64,
    /// North.
    pub y: i64,
}

impl Place {
    /// How far apart two places are, in millimetres, rounded down.
    #[must_use]
    pub fn apart(self, other: Self) -> u64 {
        let square = |a: i64, b: i64| u128::from(a.abs_diff(b)).pow(2);
        u64::try_from((square(self.x, other.x).saturating_add(square(self.y, other.y))).isqrt()).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Place {
    /// Metres, to the decimetre.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metres = |mm: i64| {
            let tenths = mm.unsigned_abs().saturating_add(50) / 100;
            format!("{}{}.{}", if mm < 0 && tenths > 0 { "-" } else { "" }, tenths / 10, tenths % 10)
        };
        write!(f, "({}, {})", metres(self.x), metres(self.y))
    }
}

/// What the anchors say of a meter's claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is where it says.
    Here,
    /// It is somewhere else.
    Elsewhere,
    /// The distances fit no place.
    Unclear,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Here => "at its place",
            Self::Elsewhere => "elsewhere",
            Self::Unclear => "at no place that fits",
        })
    }
}

/// What one epoch's beacons came to for one meter. Only anchors that could have told one place from another make a proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Whole epochs since 1970.
    pub epoch: i64,
    /// What came of it.
    pub verdict: Verdict,
    /// Where it should be.
    pub claim: Place,
    /// Where the distances put it, if they put it anywhere.
    pub found: Option<Place>,
    /// Of the east and the north of that place, in square millimetres: xx, xy, yy. None where two places fit as well.
    pub covariance: Option<[i64; 3]>,
    /// How far the ellipse of honest places may reach, in millimetres: what was tolerated.
    pub reach: u32,
    /// Who heard it, the loudest first, and how often.
    pub anchors: Vec<(String, u32)>,
    /// The anchors that the others outvoted.
    pub dropped: Vec<String>,
    /// Whether it counts for or against the meter: not where most meters of the street failed at once, which says more of
    /// those who listened.
    pub counts: bool,
}

impl Proof {
    /// Whether it counts against the meter.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.verdict != Verdict::Here
    }
}

/// The proofs that counted of late, as far back as 64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Track {
    /// The newest is the lowest bit; set where it failed.
    pub failed: u64,
    /// How many there are.
    pub judged: u32,
}

impl Track {
    /// The most that are remembered.
    pub const MOST: u32 = u64::BITS;

    /// With one more.
    #[must_use]
    pub fn and(self, failed: bool) -> Self {
        Self { failed: self.failed << 1 | u64::from(failed), judged: (self.judged + 1).min(Self::MOST) }
    }

    /// How many of the last `window` failed.
    #[must_use]
    pub fn failures(self, window: u32) -> u32 {
        let seen = window.min(self.judged).min(Self::MOST);
        let mask = u64::MAX.checked_shr(Self::MOST - seen).unwrap_or(0);
        (self.failed & mask).count_ones()
    }
}

/// When a meter is held for its proofs: so many failures among so many of the last proofs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HoldRule {
    /// From so many on.
    pub failures: u32,
    /// Of so many.
    pub window: u32,
}

/// What is to be done about a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Hold it.
    Hold,
    /// It is at its place again.
    Free,
}

impl HoldRule {
    /// What follows from a meter's proofs. The same count that holds a meter frees it, so that one lucky proof of a meter
    /// that is elsewhere does not.
    #[must_use]
    pub fn step(self, track: Track, held: bool) -> Option<Step> {
        let condemned = track.failures(self.window) >= self.failures;
        match (held, condemned) {
            (false, true) => Some(Step::Hold),
            (true, false) if track.judged > 0 => Some(Step::Free),
            _ => None,
        }
    }
}

/// The path loss of one device as it was calibrated: what a fact says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RadioModel {
    /// What is heard at one metre, in hundredths of a dBm.
    pub at_one_metre: i32,
    /// Exponent γ, in thousandths.
    pub exponent: i32,
    /// Spread δ, in hundredths of a dB.
    pub spread: i32,
}

impl fmt::Display for RadioModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = |n: i32, unit: f64| f64::from(n) / unit;
        let (one, exponent, spread) = (by(self.at_one_metre, 100.0), by(self.exponent, 1000.0), by(self.spread, 100.0));
        write!(f, "{one:.1} dBm at 1 m, γ {exponent:.2}, δ {spread:.1} dB")
    }
}

/// A meter's place as the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Which.
    pub meter: MeterId,
    /// The newest proof, if there is one.
    pub proof: Option<Proof>,
    /// Those that counted since it was last released by a person.
    pub track: Track,
    /// How its beacon was calibrated.
    pub model: Option<RadioModel>,
    /// Whether it is held for its place.
    pub held: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(text: &str) -> Track {
        text.chars().fold(Track::default(), |track, c| track.and(c == 'x'))
    }

    #[test]
    fn only_the_last_proofs_count() {
        let rule = HoldRule { failures: 3, window: 5 };
        assert_eq!(rule.step(Track::default(), false), None);
        for (proofs, held, step) in [
            ("xx", false, None),
            ("xxx", false, Some(Step::Hold)),
            ("xxx", true, None),
            ("xxx..", true, None),
            ("xxx...", true, Some(Step::Free)),
            ("xx.....x", false, None),
            // Released by a person: nothing is known of it any more, and nothing frees or holds it.
            ("", true, None),
        ] {
            assert_eq!(rule.step(track(proofs), held), step, "{proofs} {held}");
        }
    }

    #[test]
    fn a_long_life_does_not_overflow() {
        let always = track(&"x".repeat(1000));
        assert_eq!((always.judged, always.failures(8), always.failures(64), always.failures(99)), (64, 8, 64, 64));
        assert_eq!(Track::default().failures(8), 0);
    }

    #[test]
    fn places_are_told_in_metres() {
        let (home, away) = (Place { x: 0, y: -3_049 }, Place { x: 60_000, y: -3_049 });
        assert_eq!((home.apart(away), home.to_string().as_str()), (60_000, "(0.0, -3.0)"));
        assert_eq!(Place { x: i64::MIN, y: 0 }.apart(Place { x: i64::MAX, y: 0 }), u64::MAX);
    }
}
