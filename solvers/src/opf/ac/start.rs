//! Where to begin.

use super::evaluate::{Point, Values};
use super::model::{Line, Model};
use crate::sparse::{B, Factor, Matrix};

/// How an attempt begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// Voltages near 1 p.u. instead of halfway between their limits.
    pub near_one: bool,
    /// Slacks begin no smaller than this.
    pub slack: f64,
    /// Multipliers begin such that their products with the slacks are this.
    pub mu: f64,
}

/// Tried in this order. Wide slacks forgive a start that breaks many limits; narrow ones keep close to it.
pub(super) const MANNERS: [Manner; 4] = [
    Manner { near_one: false, slack: 0.1, mu: 1.0 },
    Manner { near_one: true, slack: 0.1, mu: 1.0 },
    Manner { near_one: false, slack: 0.01, mu: 0.1 },
    Manner { near_one: true, slack: 1.0, mu: 1.0 },
];

/// Voltages and powers halfway between their limits, all angles those of the reference.
pub(super) fn flat(model: &Model, values: &mut Values, manner: Manner) -> Point {
    let mut x = vec![0.0; model.unknowns()];
    for bus in 0..model.n {
        let (low, high) = model.voltage[bus];
        let high = high.min(low.max(1.0) + 1.0);
        let edge = 0.1 * (high - low);
        let middle = if manner.near_one { 1.0_f64.clamp(low + edge, high - edge) } else { 0.5 * (low + high) };
        x[model.nu(bus)] = libm::log(middle);
    }
    let (mut low, mut high) = (vec![f64::NEG_INFINITY; x.len()], vec![f64::INFINITY; x.len()]);
    for bound in &model.bounds {
        if bound.sign < 0.0 { low[bound.at] = bound.limit } else { high[bound.at] = bound.limit }
    }
    for at in 2 * model.n..x.len() {
        x[at] = match (low[at].is_finite(), high[at].is_finite()) {
            (true, true) => 0.5 * (low[at] + high[at]),
            (true, false) => low[at].max(-1.0) + 1.0,
            (false, true) => high[at].min(1.0) - 1.0,
            (false, false) => 0.0,
        };
    }
    for (k, generator) in model.gens.iter().enumerate() {
        if let Some(p) = generator.fixed_p {
            x[model.p(k)] = p;
        }
        if let Some(q) = generator.fixed_q {
            x[model.q(k)] = q;
        }
    }
    for &(bus, component, value) in &model.pinned {
        x[component * model.n + bus] = value;
    }
    x.truncate(model.unknowns() - model.costs);
    if model.lines.iter().any(|line| strain(line, model, &x) > STRAINED) {
        settle(model, &mut x);
    }
    around(model, values, model.completed(x), manner)
}

/// Flow (p.u.) through a line from which on a start is far from anything that could be.
const STRAINED: f64 = 10.0;
/// What a line must be stiffer than (p.u.) to move the voltages at its ends off the start.
const SOFT: f64 = 10.0;

/// About what flows through a line.
fn strain(line: &Line, model: &Model, x: &[f64]) -> f64 {
    let (turn, ratio) = (x[line.i] - x[line.j], x[model.nu(line.i)] - x[model.nu(line.j)]);
    line.stiffness * ((turn - line.rest.0).abs() + (ratio - line.rest.1).abs())
}

/// Lets stiff lines pull the voltages at their ends to where little flows, and soft springs hold all others.
fn settle(model: &Model, x: &mut [f64]) {
    let mut a = Matrix::new(model.n, model.edges.clone());
    let mut right = vec![[0.0; B]; model.n];
    for bus in 0..model.n {
        a.diagonal[bus] = std::array::from_fn(|k| if k % (B + 1) == 0 { 1.0 } else { 0.0 });
        (a.diagonal[bus][0], a.diagonal[bus][B + 1]) = (SOFT, SOFT);
        (right[bus][0], right[bus][1]) = (SOFT * x[Model::theta(bus)], SOFT * x[model.nu(bus)]);
    }
    for &(bus, component, value) in &model.pinned {
        a.diagonal[bus][component * (B + 1)] = PINNED;
        right[bus][component] = PINNED * value;
    }
    for line in &model.lines {
        let k = line.stiffness;
        for (component, rest) in [(0, line.rest.0), (1, line.rest.1)] {
            let cell = component * (B + 1);
            a.diagonal[line.i][cell] += k;
            a.diagonal[line.j][cell] += k;
            a.off[line.edge][cell] -= k;
            right[line.i][component] += k * rest;
            right[line.j][component] -= k * rest;
        }
    }
    let mut factor = Factor::new(&model.pattern);
    factor.factor(&model.pattern, &a);
    let mut settled = vec![[0.0; B]; model.n];
    factor.solve(&model.pattern, &a, &right, &[1.0; B], &mut settled, 1e-6);
    for (bus, part) in settled.iter().enumerate() {
        if part[0].is_finite() && part[1].is_finite() {
            (x[Model::theta(bus)], x[model.nu(bus)]) = (part[0], part[1]);
        }
    }
    for &(bus, component, value) in &model.pinned {
        x[component * model.n + bus] = value;
    }
}

/// A spring that holds what is given.
const PINNED: f64 = 1e9;

/// Slacks and multipliers around given unknowns.
pub(super) fn around(model: &Model, values: &mut Values, x: Vec<f64>, manner: Manner) -> Point {
    values.evaluate(model, &x);
    let s: Vec<f64> = values.limits.iter().map(|h| (-h).max(manner.slack)).collect();
    let z = s.iter().map(|s| manner.mu / s).collect();
    Point { x, s, z, y: vec![[0.0; 2]; model.n] }
}

/// Begins again where an earlier solve ended, as far inside as a change of demand may need.
pub(super) fn warm(model: &Model, values: &mut Values, last: &Point) -> Point {
    values.evaluate(model, &last.x);
    let s: Vec<f64> = values.limits.iter().zip(&last.s).map(|(h, s)| (-h).max(*s).max(WARM)).collect();
    let z = last.z.iter().zip(&s).map(|(z, s)| z.max(WARM * WARM / s)).collect();
    Point { x: last.x.clone(), s, z, y: last.y.clone() }
}

/// Slacks of a warm start are no smaller, its products no smaller than the square.
const WARM: f64 = 1e-3;
