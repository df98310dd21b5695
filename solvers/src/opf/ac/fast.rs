//! The quick way: a primal–dual interior point with full steps to the boundary and no line search, as in MIPS (Wang,
//! Murillo-Sánchez, Zimmerman and Thomas 2007), with the centring of Mehrotra (1992). It converges from a flat start on
//! most networks; where it does not, it is noticed and the careful way is taken.
#![expect(clippy::neg_cmp_op_on_partial_ord, reason = "a NaN must count as a failure")]

use super::evaluate::{Point, Values};
use super::model::Model;
use super::newton::System;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ended {
    Converged,
    /// Steps no longer lead anywhere, or numbers are no longer numbers.
    Stuck,
    OutOfTime,
}

/// How far a point is from satisfying the conditions of Karush, Kuhn and Tucker.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Errors {
    /// Largest violation of a balance or limit, p.u.
    pub primal: f64,
    /// Largest entry of the gradient of the Lagrangian over one plus the largest price.
    pub dual: f64,
    /// Slacks times multipliers, over one plus the cost.
    pub gap: f64,
}

pub(super) const PRIMAL: f64 = 1e-8;
pub(super) const DUAL: f64 = 1e-6;
pub(super) const GAP: f64 = 1e-7;

impl Errors {
    pub fn of(point: &Point, values: &Values, gradient: &[f64]) -> Self {
        let largest = |v: f64, w: &f64| if w.abs() <= v { v } else { w.abs() };
        let balance = values.balance.iter().flatten().fold(0.0, largest);
        let limits = values.limits.iter().zip(&point.s).fold(0.0, |v, (h, s)| largest(v, &(h + s)));
        let prices = point.y.iter().flatten().chain(&point.z).fold(0.0, largest);
        let gap: f64 = point.s.iter().zip(&point.z).map(|(s, z)| s * z).sum();
        Self {
            primal: largest(balance, &limits),
            dual: gradient.iter().fold(0.0, largest) / (1.0 + prices),
            gap: gap / (1.0 + values.cost.abs()),
        }
    }

    pub fn small(&self) -> bool {
        self.primal <= PRIMAL && self.dual <= DUAL && self.gap <= GAP
    }
}

const MOST_ITERATIONS: u32 = 80;
/// Of the way to the boundary.
const STEP: f64 = 0.9995;

pub(super) struct Attempt {
    pub ended: Ended,
    pub iterations: u32,
    pub errors: Errors,
}

/// Iterates from `point` until it is optimal or there is no hope in this way.
pub(super) fn solve(
    model: &Model,
    system: &mut System,
    values: &mut Values,
    point: &mut Point,
    stop: &dyn Fn() -> bool,
) -> Attempt {
    let m = model.inequalities();
    let mut gradient = vec![0.0; model.unknowns()];
    let (mut dx, mut dy) = (vec![0.0; model.unknowns()], vec![[0.0; 2]; model.n]);
    let (mut ds, mut dz, mut target) = (vec![0.0; m], vec![0.0; m], vec![0.0; m]);
    values.evaluate(model, &point.x);
    system.begin();
    let mut attempt = Attempt { ended: Ended::Stuck, iterations: 0, errors: Errors::default() };
    let mut small_steps = 0;
    loop {
        values.gradient(model, &point.x, &point.y, &point.z, &mut gradient);
        let errors = Errors::of(point, values, &gradient);
        attempt.errors = errors;
        if errors.small() {
            attempt.ended = Ended::Converged;
            return attempt;
        }
        if !(errors.primal < 1e6 && errors.dual < 1e12) || attempt.iterations >= MOST_ITERATIONS || small_steps > 4 {
            return attempt;
        }
        if stop() {
            attempt.ended = Ended::OutOfTime;
            return attempt;
        }
        attempt.iterations += 1;
        let factored = system.factor(model, values, point);
        if !factored.good {
            return attempt;
        }
        let mu = point.s.iter().zip(&point.z).map(|(s, z)| s * z).sum::<f64>() / (m.max(1) as f64);
        // Where it leads to aim at the boundary itself tells how much centring is needed.
        for ((t, s), z) in target.iter_mut().zip(&point.s).zip(&point.z) {
            *t = -s * z;
        }
        let poor = step(model, system, values, point, &gradient, &target, (&mut dx, &mut dy, &mut ds, &mut dz));
        let (ap, ad) = (reach(&point.s, &ds, 1.0), reach(&point.z, &dz, 1.0));
        let after: f64 = point
            .s
            .iter()
            .zip(&ds)
            .zip(point.z.iter().zip(&dz))
            .map(|((s, ds), (z, dz))| (s + ap * ds) * (z + ad * dz))
            .sum::<f64>()
            / (m.max(1) as f64);
        let ratio = (after / mu).clamp(0.0, 1.0);
        let sigma = (ratio * ratio * ratio).clamp(1e-3, 0.8);
        let least = 0.05 * GAP * (1.0 + values.cost.abs()) / m.max(1) as f64;
        let aim = (sigma * mu).max(least);
        for (k, t) in target.iter_mut().enumerate() {
            let second = (ds[k] * dz[k]).clamp(-mu, mu) * ap.min(ad);
            *t = aim - point.s[k] * point.z[k] - second;
        }
        let poor = poor | step(model, system, values, point, &gradient, &target, (&mut dx, &mut dy, &mut ds, &mut dz));
        if poor {
            return attempt;
        }
        let (ap, ad) = (reach(&point.s, &ds, STEP), reach(&point.z, &dz, STEP));
        if ap.max(ad) < 1e-3 {
            small_steps += 1
        } else {
            small_steps = 0
        }
        advance(point, &dx, &dy, &ds, &dz, ap, ad);
        values.evaluate(model, &point.x);
    }
}

pub(super) fn advance(point: &mut Point, dx: &[f64], dy: &[[f64; 2]], ds: &[f64], dz: &[f64], ap: f64, ad: f64) {
    let add = |to: &mut [f64], d: &[f64], a: f64| to.iter_mut().zip(d).for_each(|(v, d)| *v += a * d);
    add(&mut point.x, dx, ap);
    add(&mut point.s, ds, ap);
    add(&mut point.z, dz, ad);
    for (y, d) in point.y.iter_mut().zip(dy) {
        y[0] += ad * d[0];
        y[1] += ad * d[1];
    }
}

/// The longest step up to 1 that leaves of each positive value at least `1 − share`.
pub(super) fn reach(v: &[f64], d: &[f64], share: f64) -> f64 {
    v.iter().zip(d).fold(1.0, |a: f64, (v, d)| if *d < 0.0 { a.min(-share * v / d) } else { a })
}

type Step<'a> = (&'a mut [f64], &'a mut [[f64; 2]], &'a mut [f64], &'a mut [f64]);

/// The Newton step for `s z` to change by `target`; true if the linear system could not be solved.
fn step(
    model: &Model,
    system: &mut System,
    values: &Values,
    point: &Point,
    gradient: &[f64],
    target: &[f64],
    (dx, dy, ds, dz): Step<'_>,
) -> bool {
    for k in 0..target.len() {
        // ds = −(h + s) − Jh dx, dz = (target − z ds) / s
        let slack = values.limits[k] + point.s[k];
        ds[k] = -(target[k] + point.z[k] * slack) / point.s[k];
    }
    dx.fill(0.0);
    values.add_limits(model, ds, dx);
    dx.iter_mut().zip(gradient).for_each(|(d, g)| *d -= g);
    values.pin(model, dx);
    for (d, g) in dy.iter_mut().zip(&values.balance) {
        *d = [-g[0], -g[1]];
    }
    let quality = system.solve(model, dx, dy);
    values.limits_along(model, dx, ds);
    for k in 0..target.len() {
        ds[k] = -(values.limits[k] + point.s[k]) - ds[k];
        dz[k] = (target[k] - point.z[k] * ds[k]) / point.s[k];
    }
    !(quality.residual < 1e-2)
}
