//! How far honest errors reach, from how often an honest device may be turned away.

use super::chi;
use super::judge::{MOST, Sighting, judge};
use crate::witness::binomial;
use fastrand::Rng;

/// What [`judge`](super::judge()) holds a claim against. Squares of logarithms, times 2^20.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How far the place may be from the claim.
    pub off: u32,
    /// What the distances may leave, by their number less two, from one on.
    pub left: [u32; MOST - 2],
    /// How far the ellipse of honest places may reach, in millimetres.
    pub reach: u32,
}

const ONE: f64 = 1_048_576.0;

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
fn fixed(square: f64) -> u32 {
    (square * ONE).clamp(0.0, f64::from(u32::MAX)).ceil() as u32
}

impl Limits {
    /// By the covariance: half of `rejected` to either limit, chi-squared with two degrees of freedom for the place and
    /// with the number of provers less two for what is left. `relative` is the standard deviation of the logarithm of a
    /// distance ([`PathLoss::relative`](super::PathLoss::relative)), `reach` in metres.
    #[must_use]
    pub fn by_covariance(relative: f64, rejected: f64, reach: f64) -> Self {
        let of = |freedom| fixed(relative * relative * chi::quantile(freedom, rejected / 2.0));
        let mut left = [0; MOST - 2];
        (1..).zip(&mut left).for_each(|(freedom, limit)| *limit = of(freedom));
        Self { off: of(2), left, reach: millimetres(reach) }
    }

    /// By `runs` seeded draws for each number of provers, which stand anywhere from 5 to 50 m from the device. A check on
    /// the other: roundings and the worst prover's dropping are in it.
    #[must_use]
    pub fn by_simulation(relative: f64, rejected: f64, reach: f64, seed: u64, runs: usize) -> Self {
        let open = Self { off: u32::MAX, left: [u32::MAX; MOST - 2], reach: u32::MAX };
        let mut left = [0; MOST - 2];
        let mut off = 0;
        for (provers, limit) in (3..).zip(&mut left) {
            let mut rng = Rng::with_seed(seed ^ (provers << 32));
            let (mut offs, mut lefts) = (Vec::with_capacity(runs), Vec::with_capacity(runs));
            while offs.len() < runs {
                let sightings: Vec<Sighting> = (0..provers).map(|_| honest(relative, &mut rng)).collect();
                let Ok(judged) = judge(0, 0, &sightings, &open) else { continue };
                offs.push(judged.off);
                lefts.push(judged.left);
            }
            *limit = exceeded_by(lefts, rejected / 2.0);
            off = off.max(exceeded_by(offs, rejected / 2.0));
        }
        Self { off, left, reach: millimetres(reach) }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
pub(super) fn millimetres(metres: f64) -> u32 {
    (metres * 1000.0).clamp(1.0, f64::from(u32::MAX)) as u32
}

/// A prover somewhere, and what it measures of a device at the origin.
fn honest(relative: f64, rng: &mut Rng) -> Sighting {
    let (range, angle) = (5.0 + 45.0 * rng.f64(), std::f64::consts::TAU * rng.f64());
    let measured = range * (relative * super::air::normal(rng)).exp();
    let whole = |metres: f64| i64::from(millimetres(metres.abs())) * if metres < 0.0 { -1 } else { 1 };
    Sighting { x: whole(range * angle.cos()), y: whole(range * angle.sin()), distance: whole(measured) }
}

/// The value that this share of the values exceeds.
fn exceeded_by(mut values: Vec<u64>, share: f64) -> u32 {
    values.sort_unstable_by(|a, b| b.cmp(a));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place")]
    let place = (values.len() as f64 * share) as usize;
    values.get(place).map_or(u32::MAX, |v| u32::try_from(*v).unwrap_or(u32::MAX))
}

/// From how many failures among the last `window` proofs on a device is held, so that an honest one is held in at most
/// `held` of its years: each proof fails with `rejected` by chance, and after each of `proofs` a year the last ones are
/// counted. None if even a window full of failures is that likely.
///
/// Proofs count as independent. What does not change, such as a wall that calibration did not see, fails them all alike.
#[must_use]
pub fn failures(window: u32, rejected: f64, proofs: f64, held: f64) -> Option<u32> {
    (1..=window).find(|least| proofs * binomial(window, rejected, *least) <= held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_honest_device_is_held_as_rarely_as_was_asked_for() {
        let hourly = 24.0 * 365.25;
        assert_eq!(failures(8, 0.01, hourly, 0.01), Some(4));
        assert_eq!(failures(1, 0.01, hourly, 0.01), None);
        let mut rng = Rng::with_seed(3);
        // A rate that can be watched: of a thousand years of a hundred proofs each, one in ten may see a hold.
        let least = failures(6, 0.05, 100.0, 0.1).unwrap();
        let mut held = 0;
        for _ in 0..1000 {
            let proofs: Vec<bool> = (0..100).map(|_| rng.f64() < 0.05).collect();
            let condemned = |last: &[bool]| last.iter().filter(|failed| **failed).count() >= least as usize;
            held += u32::from(proofs.windows(6).any(condemned));
        }
        println!("{least} of 6: {held} of 1000 years");
        assert!((1..=100).contains(&held), "{held}");
    }
}
