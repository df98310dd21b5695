//! The log-distance path loss of one device: `Pl(d) = Pl_0 + 10 γ log10(d / 1 m) + X`, `X` normal with spread δ, and
//! `RSSI = Pl_T − Pl(d)` (Rappaport, *Wireless Communications*, 2002, section 4.9).
//!
//! An itinerary tells `Pl_T − Pl_0` only; the sender's power `Pl_T` has to be known to tell the two apart.

use crate::balance::robust::{count, median};
use std::fmt;

/// The model of one device, in the symbols of the field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PathLoss {
    /// `Pl_T`: transmit power, in dBm.
    pub sent: f64,
    /// `Pl_0`: loss over the first metre, in dB.
    pub first_metre: f64,
    /// γ: the exponent.
    pub exponent: f64,
    /// δ: standard deviation of what is left, in dB.
    pub spread: f64,
}

/// A distance from a loudness.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// Metres: the true distance is as likely more as less.
    pub metres: f64,
    /// Standard deviation, in metres.
    pub sigma: f64,
}

/// How loud a device was at a known distance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heard {
    /// Metres.
    pub metres: f64,
    /// Filtered RSSI, in dBm.
    pub dbm: f64,
}

/// Why an itinerary gives no model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NoModel {
    /// Fewer places than [`FEWEST`].
    TooFew(usize),
    /// A place whose distance is below ten centimetres, or one of whose numbers is none; counted from 0.
    Nonsense(usize),
    /// The farthest place is less than three times as far as the nearest, so that the slope is anybody's guess.
    TooNarrow {
        /// Metres.
        nearest: f64,
        /// Metres.
        farthest: f64,
    },
    /// No space that we know weakens a signal so.
    Exponent(f64),
}

/// Places that a calibration needs.
pub const FEWEST: usize = 12;

impl fmt::Display for NoModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFew(have) => write!(f, "{have} places are too few: walk past at least {FEWEST}"),
            Self::Nonsense(place) => write!(f, "place {place}: no distance of 0.1 m or more, or no RSSI"),
            Self::TooNarrow { nearest, farthest } => {
                write!(f, "from {nearest:.1} to {farthest:.1} m is too narrow: go three times as far as you were near")
            }
            Self::Exponent(got) => {
                write!(f, "an exponent of {got:.2} is not between 1 and 8: are the distances those of this device?")
            }
        }
    }
}

impl std::error::Error for NoModel {}

impl PathLoss {
    /// What is heard at this distance, in dBm, but for `X`.
    #[must_use]
    pub fn rssi(&self, metres: f64) -> f64 {
        self.sent - self.first_metre - 10.0 * self.exponent * metres.log10()
    }

    /// The standard deviation of the logarithm of a distance, `ln 10 / (10 γ) · δ`: for small ones, of the distance as a
    /// share of it.
    #[must_use]
    pub fn relative(&self) -> f64 {
        std::f64::consts::LN_10 / (10.0 * self.exponent) * self.spread
    }

    /// The distance at which a device is so loud.
    #[must_use]
    pub fn range(&self, dbm: f64) -> Range {
        let metres = 10_f64.powf((self.sent - self.first_metre - dbm) / (10.0 * self.exponent));
        Range { metres, sigma: metres * self.relative() }
    }
}

/// One loudness for many samples: their median, which neither a burst nor a deep fade moves. `None` for no samples, or
/// one that is no number.
#[must_use]
pub fn filter(dbm: &[f64]) -> Option<f64> {
    (!dbm.is_empty() && dbm.iter().all(|v| v.is_finite())).then(|| median(dbm.iter().copied()))
}

/// Learns a device's model from an itinerary. Up to a quarter of the places may be wrong.
///
/// The line begins with the median of all slopes between two places (Theil 1950, Sen 1968) and is refined by Tukey's
/// bisquare at 4.685 deviations; the spread is that of the places within three deviations, made up for the cut.
///
/// # Errors
///
/// What is wrong with the itinerary.
pub fn calibrate(heard: &[Heard], sent: f64) -> Result<PathLoss, NoModel> {
    if let Some(place) = heard.iter().position(|h| !(h.metres >= 0.1 && h.metres.is_finite() && h.dbm.is_finite())) {
        return Err(NoModel::Nonsense(place));
    }
    if heard.len() < FEWEST {
        return Err(NoModel::TooFew(heard.len()));
    }
    let nearest = heard.iter().map(|h| h.metres).fold(f64::INFINITY, f64::min);
    let farthest = heard.iter().map(|h| h.metres).fold(0.0, f64::max);
    if farthest < 3.0 * nearest {
        return Err(NoModel::TooNarrow { nearest, farthest });
    }
    let points: Vec<(f64, f64)> = heard.iter().map(|h| (10.0 * h.metres.log10(), h.dbm)).collect();
    let (mut at_one, mut slope) = begin(&points);
    for _ in 0..50 {
        let scale = deviation(&points, at_one, slope);
        let weight = |r: f64| {
            let u = r / (4.685 * scale);
            if u.abs() < 1.0 { (1.0 - u * u).powi(2) } else { 0.0 }
        };
        let before = (at_one, slope);
        (at_one, slope) = line(points.iter().map(|(x, y)| (*x, *y, weight(y - at_one - slope * x))), before);
        if (at_one - before.0).abs() + (slope - before.1).abs() < 1e-9 {
            break;
        }
    }
    let exponent = -slope;
    if !(1.0..=8.0).contains(&exponent) {
        return Err(NoModel::Exponent(exponent));
    }
    let spread = spread(&points, at_one, slope);
    Ok(PathLoss { sent, first_metre: sent - at_one, exponent, spread })
}

/// The median slope, and the median of what it leaves.
fn begin(points: &[(f64, f64)]) -> (f64, f64) {
    // A long itinerary has more pairs than are needed: some of its places will do.
    let some: Vec<(f64, f64)> = points.iter().step_by(points.len().div_ceil(400)).copied().collect();
    let slopes = some.iter().enumerate().flat_map(|(i, (x, y))| {
        let others = some.iter().skip(i + 1);
        others.filter(move |(u, _)| (u - x).abs() > 1e-9).map(move |(u, v)| (v - y) / (u - x))
    });
    let slope = median(slopes);
    (median(points.iter().map(|(x, y)| y - slope * x)), slope)
}

/// The standard deviation of normal noise that has this median of sizes.
fn deviation(points: &[(f64, f64)], at_one: f64, slope: f64) -> f64 {
    (1.4826 * median(points.iter().map(|(x, y)| (y - at_one - slope * x).abs()))).max(1e-9)
}

/// Weighted least squares; `other` if nothing has weight or nothing differs.
fn line(points: impl Iterator<Item = (f64, f64, f64)>, other: (f64, f64)) -> (f64, f64) {
    let (mut w, mut x, mut y, mut xx, mut xy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (u, v, weight) in points {
        w += weight;
        x += weight * u;
        y += weight * v;
        xx += weight * u * u;
        xy += weight * u * v;
    }
    let det = w * xx - x * x;
    if det <= 1e-12 * w * xx { other } else { ((xx * y - x * xy) / det, (w * xy - x * y) / det) }
}

fn spread(points: &[(f64, f64)], at_one: f64, slope: f64) -> f64 {
    let most = 3.0 * deviation(points, at_one, slope);
    let rest: Vec<f64> = points.iter().map(|(x, y)| y - at_one - slope * x).filter(|r| r.abs() <= most).collect();
    let square: f64 = rest.iter().map(|r| r * r).sum();
    // Two parameters are fitted; a normal variable within three deviations has a variance of 0.9733.
    (square / (count(rest.len()) - 2.0).max(1.0) / 0.9733).sqrt()
}
