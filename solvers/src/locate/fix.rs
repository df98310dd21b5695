//! A place from distances: weighted nonlinear least squares by Levenberg and Marquardt (Marquardt 1963), with its
//! covariance, or the reason why there is none.

use crate::balance::robust::{count, median};
use nalgebra::{Matrix2, SymmetricEigen, Vector2};
use std::fmt;

/// What one anchor says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sight {
    /// Where the anchor stands, in metres.
    pub x: f64,
    /// Where the anchor stands, in metres.
    pub y: f64,
    /// How far away the device is, in metres.
    pub metres: f64,
    /// Standard deviation of that, in metres.
    pub sigma: f64,
}

/// A place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fix {
    /// Metres.
    pub x: f64,
    /// Metres.
    pub y: f64,
    /// Of x and y, in square metres: `(JᵀWJ)⁻¹`.
    pub covariance: [[f64; 2]; 2],
    /// Sum of the squares of what is left, in standard deviations.
    pub left: f64,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NoFix {
    /// Fewer than three anchors.
    TooFew(usize),
    /// An anchor with a number that is none, or with a distance or deviation that is not above zero; counted from 0.
    Nonsense(usize),
    /// The anchors stand in one line: the place may be on either side of it.
    Collinear,
    /// Two places explain the distances nearly as well.
    Ambiguous {
        /// The better one, in metres.
        best: (f64, f64),
        /// The other one.
        other: (f64, f64),
    },
}

impl fmt::Display for NoFix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFew(have) => write!(f, "{have} anchors are too few: three that do not stand in line are needed"),
            Self::Nonsense(anchor) => {
                write!(f, "anchor {anchor}: its place, distance and deviation must be numbers, the last two above zero")
            }
            Self::Collinear => f.write_str("all anchors stand in one line: add one beside it"),
            Self::Ambiguous { best: (x, y), other: (u, v) } => {
                write!(
                    f,
                    "({x:.1}, {y:.1}) and ({u:.1}, {v:.1}) explain the distances nearly as well: add an anchor off the line between the others"
                )
            }
        }
    }
}

impl std::error::Error for NoFix {}

/// Anchors whose scatter across their line is below this share of that along it stand in line.
const IN_LINE: f64 = 1e-3;
/// The 95 % quantile of chi-squared with two degrees of freedom: a second place that is worse by less is no worse.
const NEARLY: f64 = 5.991;

/// The place that explains the distances best.
///
/// # Errors
///
/// Why there is none, or none that is alone.
pub fn trilaterate(sights: &[Sight]) -> Result<Fix, NoFix> {
    let sound =
        |s: &Sight| [s.x, s.y, s.metres, s.sigma].iter().all(|v| v.is_finite()) && s.metres > 0.0 && s.sigma > 0.0;
    if let Some(anchor) = sights.iter().position(|s| !sound(s)) {
        return Err(NoFix::Nonsense(anchor));
    }
    if sights.len() < 3 {
        return Err(NoFix::TooFew(sights.len()));
    }
    let centre = sights.iter().map(at).sum::<Vector2<f64>>() / count(sights.len());
    let scatter: Matrix2<f64> = sights.iter().map(|s| (at(s) - centre) * (at(s) - centre).transpose()).sum();
    let axes = SymmetricEigen::new(scatter);
    let (along, across) = if axes.eigenvalues[0] > axes.eigenvalues[1] { (0, 1) } else { (1, 0) };
    if axes.eigenvalues[across] <= IN_LINE * IN_LINE * axes.eigenvalues[along] {
        return Err(NoFix::Collinear);
    }
    let normal = axes.eigenvectors.column(across).into_owned();
    let mirrored = |p: Vector2<f64>| p - normal * (2.0 * normal.dot(&(p - centre)));
    let first = descend(sights, linear(sights).unwrap_or(centre));
    let far = median(sights.iter().map(|s| s.metres));
    // Where the sum of squares has other valleys, one is across the line of the anchors, or around the farthest of them.
    let starts = [mirrored(first.place), centre + normal * far, centre - normal * far, centre];
    let mut valleys: Vec<Valley> = starts.iter().map(|start| descend(sights, *start)).collect();
    valleys.push(first);
    valleys.sort_by(|a, b| a.left.total_cmp(&b.left));
    let mut valleys = valleys.into_iter();
    // There are five.
    let Some(best) = valleys.next() else { return Err(NoFix::TooFew(sights.len())) };
    let Some(covariance) = best.normal.try_inverse() else { return Err(NoFix::Collinear) };
    let apart = |other: &Valley| {
        let step = other.place - best.place;
        // Steps within the uncertainty are the same valley, reached from elsewhere.
        (best.normal * step).dot(&step) > 9.0
    };
    if let Some(other) = valleys.find(|v| apart(v) && v.left < best.left + NEARLY) {
        let pair = |p: Vector2<f64>| (p.x, p.y);
        return Err(NoFix::Ambiguous { best: pair(best.place), other: pair(other.place) });
    }
    let covariance = [[covariance.m11, covariance.m12], [covariance.m21, covariance.m22]];
    Ok(Fix { x: best.place.x, y: best.place.y, covariance, left: best.left })
}

fn at(sight: &Sight) -> Vector2<f64> {
    Vector2::new(sight.x, sight.y)
}

/// The circles less the first one are straight lines; their least squares begin well.
fn linear(sights: &[Sight]) -> Option<Vector2<f64>> {
    let (first, others) = sights.split_first()?;
    let (mut normal, mut right) = (Matrix2::zeros(), Vector2::zeros());
    for s in others {
        let row = 2.0 * (at(s) - at(first));
        let value = first.metres.powi(2) - s.metres.powi(2) + at(s).norm_squared() - at(first).norm_squared();
        normal += row * row.transpose();
        right += row * value;
    }
    normal.try_inverse().map(|inverse| inverse * right).filter(|p| p.iter().all(|v| v.is_finite()))
}

#[derive(Debug)]
struct Valley {
    place: Vector2<f64>,
    left: f64,
    normal: Matrix2<f64>,
}

fn sum_of_squares(sights: &[Sight], place: Vector2<f64>) -> f64 {
    sights.iter().map(|s| (((place - at(s)).norm() - s.metres) / s.sigma).powi(2)).sum()
}

/// `JᵀWJ` and `−JᵀWr`.
fn slope(sights: &[Sight], place: Vector2<f64>) -> (Matrix2<f64>, Vector2<f64>) {
    let (mut normal, mut right) = (Matrix2::zeros(), Vector2::zeros());
    for s in sights {
        let step = place - at(s);
        let far = step.norm();
        if far > 0.0 {
            let row = step / (far * s.sigma);
            normal += row * row.transpose();
            right += row * ((s.metres - far) / s.sigma);
        }
    }
    (normal, right)
}

fn descend(sights: &[Sight], start: Vector2<f64>) -> Valley {
    let (mut place, mut left) = (start, sum_of_squares(sights, start));
    let mut damping = 1e-3;
    for _ in 0..200 {
        let (normal, right) = slope(sights, place);
        let damped = normal + Matrix2::identity() * (damping * normal.trace().max(1e-12));
        let Some(step) = damped.try_inverse().map(|inverse| inverse * right) else { break };
        let next = sum_of_squares(sights, place + step);
        if next <= left {
            place += step;
            left = next;
            damping = (damping / 10.0).max(1e-12);
            if step.norm() < 1e-10 * (1.0 + place.norm()) {
                break;
            }
        } else {
            damping *= 10.0;
            if damping > 1e12 {
                break;
            }
        }
    }
    Valley { place, left, normal: slope(sights, place).0 }
}
