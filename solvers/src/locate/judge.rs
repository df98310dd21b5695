//! A claimed place against measured distances, in whole numbers below 128 bits: whoever repeats the steps gets the same
//! verdict, on another machine or in a contract: `contracts/src/location/Judge.sol` repeats them.
//!
//! What is weighed are logarithms, because that is where errors of RSSI are normal and alike at any distance. With `ρ*` the
//! distance from the claim, each prover says `ln(d/ρ*)`. Everything is linear at the claim, as in Rao's score test: one
//! Gauss–Newton step says how far the distances pull away from it, `bᵀN⁻¹b`, and what they leave that no step explains.
//! If the claim is true both are chi-squared, whatever the geometry. The claim holds if both are small. If too much is
//! left, the prover that leaves most is dropped: one, from five on. How far an accepted device can be from its claim is
//! the ellipse of the limit; it depends on where the provers stand only, so [`sharp`] can be asked before anybody measures.
//!
//! If the claim does not hold, the place is sought: from where the circles of the distances cross, and if too much is left
//! there, also from where the claim's own step leads, by more such steps, each taken only if it leaves less. Provers are
//! dropped there by the same limits. If the others agree on it, the device is elsewhere; if they do not, nothing is known.
//!
//! Lengths are millimetres relative to the claim, below 2^20. Unit vectors and logarithms count in 2^-20, weights
//! `2^48/ρ²` with `ρ` at least two metres: at most 2^26.1. Up to 15 provers: the normal matrix is below 2^50.1. A
//! logarithm is below 2^24 (it is that of a ratio below 2^21), and `weight * ρ` below 2^37.1, so the right side is below
//! 2^65.1 before it is divided by 2^20. The largest product, two products of matrix and right side times 2^20, is below
//! 2^117. Where circles cross, lengths and weights have 16 bits: a circle's square is within 2^34 of the mean, the right side
//! is below 2^71, the matrix below 2^54, and what is divided at last below 2^126.

use super::limits::Limits;
use std::fmt;

/// The most provers.
pub const MOST: usize = 15;
/// The largest coordinate relative to the claim, and the largest distance, in millimetres: a kilometre and a little.
pub const LARGEST: i64 = 1 << 20;
/// A prover nearer to the claim than this weighs as much as one so near, in millimetres.
const NEAREST: i128 = 2_000;
/// Steps of a descent, those that led nowhere included.
const STEPS: u32 = 8;
/// A step that left more is taken so many times shorter.
const SHORTER: i128 = 4;
/// A step not longer than this is none, in millimetres east and north together.
const ARRIVED: i128 = 4;
/// Bits of a length and of a weight where circles cross.
const COARSE: u32 = 16;
const UNIT: u32 = 20;
const WEIGHT: u32 = 48;
/// Bits after the point of a ratio.
const RATIO: i128 = 60;
/// ln 2, in 2^-20.
const LN_2: i128 = 726_817;

/// What one prover measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Where the prover stands, in millimetres.
    pub x: i64,
    /// Where the prover stands, in millimetres.
    pub y: i64,
    /// How far away it found the device, in millimetres.
    pub distance: i64,
}

/// What provers say of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The device is where it says.
    Here,
    /// All but the dropped agree that it is somewhere else.
    Elsewhere,
    /// They do not agree, or stand so that they cannot tell.
    Unclear,
}

/// What came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What it says.
    pub verdict: Verdict,
    /// The place that the distances speak for, in millimetres.
    pub x: i64,
    /// The place that the distances speak for, in millimetres.
    pub y: i64,
    /// The provers that were dropped, bit by bit.
    pub dropped: u16,
    /// How far the distances pull away from the claim: the square of logarithms, times 2^20.
    pub off: u64,
    /// What they leave that no other place explains, likewise: at the claim, or at the place if it is elsewhere.
    pub left: u64,
}

/// Why nothing can be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Not from three to [`MOST`] provers.
    Number(usize),
    /// A prover or its distance is out of range; counted from 0.
    OutOfRange(usize),
    /// The provers stand in one line with the place, or nearly.
    InLine,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(have) => write!(f, "{have} provers: from 3 to {MOST} are needed"),
            Self::OutOfRange(prover) => {
                write!(
                    f,
                    "prover {prover}: place and distance must be within {LARGEST} mm of the claim, the distance above zero"
                )
            }
            Self::InLine => f.write_str("the provers stand in one line"),
        }
    }
}

impl std::error::Error for Unfit {}

#[derive(Clone, Copy, Debug)]
struct Seen {
    x: i128,
    y: i128,
    distance: i128,
}

#[derive(Clone, Copy, Debug, Default)]
struct Normal {
    xx: i128,
    xy: i128,
    yy: i128,
    bx: i128,
    by: i128,
}

fn far(x: i128, y: i128) -> i128 {
    (x * x + y * y).isqrt()
}

/// `ln(a/b)`, in 2^-20, of two numbers from 1 to 2^22: the ratio's square, halved and squared bit by bit.
fn log_ratio(a: i128, b: i128) -> i128 {
    let mut ratio = ((a * a) << RATIO) / (b * b);
    // At least one: the smallest ratio is 2^-44.
    let whole = i128::from(ratio.max(1).ilog2());
    ratio = if whole >= RATIO { ratio >> (whole - RATIO) } else { ratio << (RATIO - whole) };
    let mut log = (whole - RATIO) << UNIT;
    for bit in (0..UNIT).rev() {
        ratio = (ratio * ratio) >> RATIO;
        if ratio >> (RATIO + 1) != 0 {
            log += 1 << bit;
            ratio >>= 1;
        }
    }
    (log * LN_2) >> (UNIT + 1)
}

impl Normal {
    fn at(seen: &[Seen], dropped: u16, x: i128, y: i128) -> Self {
        let mut n = Self::default();
        for (_, s) in kept(seen, dropped) {
            let (dx, dy) = (x - s.x, y - s.y);
            let range = far(dx, dy).max(1);
            let (ux, uy) = ((dx << UNIT) / range, (dy << UNIT) / range);
            let weight = (1 << WEIGHT) / range.max(NEAREST).pow(2);
            n.xx += (weight * (ux * ux)) >> UNIT;
            n.xy += (weight * (ux * uy)) >> UNIT;
            n.yy += (weight * (uy * uy)) >> UNIT;
            let pull = (weight * range * log_ratio(s.distance, range)) >> UNIT;
            n.bx += (pull * ux) >> UNIT;
            n.by += (pull * uy) >> UNIT;
        }
        n
    }

    fn det(&self) -> i128 {
        self.xx * self.yy - self.xy * self.xy
    }

    /// The step that explains the distances best, if they all were linear here. None where the smaller eigenvalue is less
    /// than a millionth of the larger: the step would be longer than the products above allow for.
    fn step(&self) -> Option<(i128, i128)> {
        let det = self.det();
        let least = (self.xx + self.yy).pow(2) >> UNIT;
        let of = |across: i128| (across << UNIT) / det;
        (det > least).then(|| (of(self.yy * self.bx - self.xy * self.by), of(self.xx * self.by - self.xy * self.bx)))
    }

    /// Whether no ellipse of the limit reaches farther than allowed: no eigenvalue is below the one that would.
    fn is_sharp(&self, limits: &Limits) -> bool {
        let least = (i128::from(limits.off) << WEIGHT) / i128::from(limits.reach).pow(2).max(1);
        let over = Self { xx: self.xx - least, yy: self.yy - least, ..*self };
        over.xx >= 0 && over.yy >= 0 && over.det() >= 0
    }
}

fn kept(seen: &[Seen], dropped: u16) -> impl Iterator<Item = (u32, &Seen)> {
    (0_u32..).zip(seen).filter(move |(i, _)| dropped >> i & 1 == 0)
}

/// What the provers saw, relative to the claim.
fn seen(x: i64, y: i64, sightings: &[Sighting]) -> Result<Vec<Seen>, Unfit> {
    if !(3..=MOST).contains(&sightings.len()) {
        return Err(Unfit::Number(sightings.len()));
    }
    let near = |a: i64, b: i64| a.checked_sub(b).filter(|d| (-LARGEST..=LARGEST).contains(d)).map(i128::from);
    let one = |(i, s): (usize, &Sighting)| match (near(s.x, x), near(s.y, y), s.distance) {
        (Some(x), Some(y), 1..=LARGEST) => Ok(Seen { x, y, distance: s.distance.into() }),
        _ => Err(Unfit::OutOfRange(i)),
    };
    sightings.iter().enumerate().map(one).collect()
}

/// Whether provers at these places could tell, whatever they measure: the ellipse in which a device may be that claims
/// to be here reaches no farther than `limits.reach`. Distances are not looked at.
///
/// # Errors
///
/// Why these are no provers for this place.
pub fn sharp(x: i64, y: i64, provers: &[(i64, i64)], limits: &Limits) -> Result<bool, Unfit> {
    let sightings: Vec<Sighting> = provers.iter().map(|(x, y)| Sighting { x: *x, y: *y, distance: 1 }).collect();
    Ok(Normal::at(&seen(x, y, &sightings)?, 0, 0, 0).is_sharp(limits))
}

/// Judges a claim. Millimetres.
///
/// # Errors
///
/// Why it cannot be judged.
pub fn judge(x: i64, y: i64, sightings: &[Sighting], limits: &Limits) -> Result<Judged, Unfit> {
    let seen = seen(x, y, sightings)?;
    let whole = |v: i128| u64::try_from(v.max(0)).unwrap_or(u64::MAX);
    let place = |p: i128, from: i64| i64::try_from(p).unwrap_or(0).saturating_add(from);
    let (mut dropped, mut all) = (0, None);
    let (off, left) = loop {
        let n = Normal::at(&seen, dropped, 0, 0);
        let Some((sx, sy)) = n.step() else { return Err(Unfit::InLine) };
        let off = (n.bx * sx + n.by * sy) >> (WEIGHT - UNIT);
        let (left, worst) = at_the_claim(&seen, dropped, sx, sy);
        all = all.or(Some((sx, sy)));
        if left <= limits.left(&seen, dropped) {
            if off <= limits.off.into() && n.is_sharp(limits) {
                let (x, y) = (place(sx, x), place(sy, y));
                return Ok(Judged { verdict: Verdict::Here, x, y, dropped, off: whole(off), left: whole(left) });
            }
            break (off, left);
        }
        if !may_drop(&seen, dropped) {
            break (off, left);
        }
        dropped |= 1 << worst;
    };
    let mut judged = Judged { verdict: Verdict::Unclear, x, y, dropped: 0, off: whole(off), left: whole(left) };
    // From the claim all of them pull to there, without a drop.
    let claim = all.unwrap_or_default();
    let mut dropped = 0;
    loop {
        let Some(found) = sought(&seen, dropped, claim, limits.left(&seen, dropped)) else { return Ok(judged) };
        (judged.x, judged.y, judged.left) = (place(found.x, x), place(found.y, y), whole(found.left));
        if found.left <= limits.left(&seen, dropped) {
            // Who stands so that a true claim would be blunt cannot say that one is false either.
            if Normal::at(&seen, dropped, 0, 0).is_sharp(limits) {
                (judged.verdict, judged.dropped) = (Verdict::Elsewhere, dropped);
            }
            return Ok(judged);
        }
        if !may_drop(&seen, dropped) {
            return Ok(judged);
        }
        dropped |= 1 << found.worst;
    }
}

fn may_drop(seen: &[Seen], dropped: u16) -> bool {
    usize::try_from(dropped.count_ones()).is_ok_and(|n| n < spare(seen.len()))
}

/// How many of so many provers may be dropped: one, from five on. Two who lie alike bend the least squares of nine so far
/// that a truthful one seems the worst.
#[must_use]
pub const fn spare(provers: usize) -> usize {
    if provers < 5 { 0 } else { 1 }
}

impl Limits {
    fn left(&self, seen: &[Seen], dropped: u16) -> i128 {
        self.left.get(kept(seen, dropped).count() - 3).copied().unwrap_or(0).into()
    }
}

/// A place, what the distances leave there, and who leaves most.
#[derive(Clone, Copy, Debug)]
struct Found {
    x: i128,
    y: i128,
    left: i128,
    worst: u32,
}

impl Found {
    fn at(seen: &[Seen], dropped: u16, x: i128, y: i128) -> Self {
        let (left, worst) = at_the_place(seen, dropped, x, y);
        Self { x, y, left, worst }
    }
}

/// The best place that descents lead to: from where the circles cross, and, if more than allowed is left there, from
/// where the claim's own step leads.
fn sought(seen: &[Seen], dropped: u16, claim: (i128, i128), allowed: i128) -> Option<Found> {
    let mut best: Option<Found> = None;
    for start in crossing(seen, dropped).into_iter().chain([claim]) {
        if let Some(found) = descend(seen, dropped, start.0, start.1)
            && best.is_none_or(|best| found.left < best.left)
        {
            best = Some(found);
        }
        if best.is_some_and(|best| best.left <= allowed) {
            break;
        }
    }
    best
}

fn within(v: i128) -> i128 {
    v.clamp(-i128::from(LARGEST), i128::from(LARGEST))
}

/// Steps from a place, none farther than [`LARGEST`] from the claim, each taken if it leaves less, and shortened if not.
fn descend(seen: &[Seen], dropped: u16, x: i128, y: i128) -> Option<Found> {
    let mut best = Found::at(seen, dropped, within(x), within(y));
    let mut step = Normal::at(seen, dropped, best.x, best.y).step()?;
    for _ in 0..STEPS {
        if step.0.abs() + step.1.abs() <= ARRIVED {
            break;
        }
        let next = Found::at(seen, dropped, within(best.x + step.0), within(best.y + step.1));
        if next.left < best.left {
            best = next;
            let Some(further) = Normal::at(seen, dropped, best.x, best.y).step() else { break };
            step = further;
        } else {
            step = (step.0 / SHORTER, step.1 / SHORTER);
        }
    }
    Some(best)
}

/// Where the circles cross: less their mean they are straight lines, whose least squares follow at once (Caffery, "A new
/// approach to the geometry of TOA location", 2000). A circle counts by the inverse square of its radius. None if the
/// provers stand in one line.
fn crossing(seen: &[Seen], dropped: u16) -> Option<(i128, i128)> {
    let all = || kept(seen, dropped).map(|(_, s)| s);
    let longest = all().map(|s| s.x.abs().max(s.y.abs()).max(s.distance)).max()?;
    let nearest = all().map(|s| s.distance.max(NEAREST)).min()?;
    let shift = (longest.ilog2() + 1).saturating_sub(COARSE);
    // A circle: its weight, its centre, and the square of that less the square of the radius.
    let circle = |s: &Seen| {
        let (x, y, d) = (s.x >> shift, s.y >> shift, s.distance >> shift);
        let nearness = (nearest << COARSE) / s.distance.max(NEAREST);
        (((nearness * nearness) >> COARSE).max(1), x, y, x * x + y * y - d * d)
    };
    let circles: Vec<_> = all().map(circle).collect();
    let (w, x, y, z) =
        circles.iter().fold((0, 0, 0, 0), |sum, (w, x, y, z)| (sum.0 + w, sum.1 + w * x, sum.2 + w * y, sum.3 + w * z));
    let mean = (x / w, y / w, z / w);
    let mut n = Normal::default();
    for (w, x, y, z) in circles {
        let (x, y, z) = (x - mean.0, y - mean.1, z - mean.2);
        n.xx += w * x * x;
        n.xy += w * x * y;
        n.yy += w * y * y;
        n.bx += w * x * z;
        n.by += w * y * z;
    }
    let det = n.det();
    // Each line is twice its centre from the mean, so the place is half of the solution.
    let of = |across: i128| ((across / det) << shift) >> 1;
    let in_line = det <= (n.xx + n.yy).pow(2) >> UNIT;
    (!in_line).then(|| (of(n.yy * n.bx - n.xy * n.by), of(n.xx * n.by - n.xy * n.bx)))
}

/// What the distances leave after this step from the claim, as if all were linear there; and who leaves most.
fn at_the_claim(seen: &[Seen], dropped: u16, x: i128, y: i128) -> (i128, u32) {
    sum(kept(seen, dropped).map(|(i, s)| {
        let range = far(s.x, s.y).max(1);
        // A unit vector points from the prover to the claim.
        let (ux, uy) = ((-s.x << UNIT) / range, (-s.y << UNIT) / range);
        (i, log_ratio(s.distance, range) - (ux * x + uy * y) / range.max(NEAREST))
    }))
}

/// What the distances leave at this place, and who leaves most.
fn at_the_place(seen: &[Seen], dropped: u16, x: i128, y: i128) -> (i128, u32) {
    sum(kept(seen, dropped).map(|(i, s)| (i, log_ratio(s.distance, far(x - s.x, y - s.y).max(1)))))
}

fn sum(offs: impl Iterator<Item = (u32, i128)>) -> (i128, u32) {
    let (mut sum, mut most, mut worst) = (0, -1, 0);
    for (i, off) in offs {
        let square = (off * off) >> UNIT;
        sum += square;
        if square > most {
            (most, worst) = (square, i);
        }
    }
    (sum, worst)
}
