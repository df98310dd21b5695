//! Where to begin.

use super::evaluate::{Point, Values};
use super::model::Model;

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
    around(model, values, model.completed(x), manner)
}

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
