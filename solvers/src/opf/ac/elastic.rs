//! The least violation: every bus may take or leave power at a price, and nothing else costs anything.

use super::evaluate::Values;
use super::fast::{self, Ended};
use super::model::Model;
use super::newton::System;
use super::start::{self, MANNERS, Manner};
use crate::opf::{Limit, Violation};
use domain::network::{Cost, Generator, Network};

pub(super) enum Least {
    /// Some limit cannot be kept, the worst first.
    Violates(Vec<Violation>),
    /// Everything can be kept: angles, voltages and powers that do, in per unit.
    Keeps(Vec<f64>),
    OutOfTime,
    Stuck,
}

/// After a start that keeps all limits: close to it, then less so.
pub(super) const AFTERWARDS: [Manner; 3] = [
    Manner { near_one: false, slack: 1e-3, mu: 1e-2 },
    Manner { near_one: false, slack: 1e-2, mu: 1e-1 },
    Manner { near_one: false, slack: 1e-1, mu: 1.0 },
];

/// In per unit, together: less is rounding.
const NOTHING: f64 = 1e-5;
/// So many times what balances are off by is a violation beyond doubt.
const CLEAR: f64 = 1e3;
/// Of a single limit, in per unit.
const WORTH_NAMING: f64 = 1e-6;

/// The network in which every bus may take or leave power at a price of one for one per unit, and nothing else costs
/// anything; and the buses that take part.
pub(in crate::opf) fn relaxed(network: &Network) -> (Network, Vec<usize>) {
    let mut relaxed = network.clone();
    let base = network.base_mva;
    for generator in &mut relaxed.generators {
        generator.cost = Cost::Polynomial(Vec::new());
        generator.reactive_cost = None;
    }
    let islands = network.islands();
    let alive: Vec<usize> = (0..network.buses.len()).filter(|bus| islands.of[*bus] != domain::network::DARK).collect();
    for &bus in &alive {
        for sign in [1.0, -1.0] {
            let (low, high) = if sign > 0.0 { (0.0, f64::INFINITY) } else { (f64::NEG_INFINITY, 0.0) };
            let cost = Cost::Polynomial(vec![0.0, sign / base]);
            relaxed.generators.push(Generator {
                bus,
                p_mw: 0.0,
                q_mvar: 0.0,
                p_min_mw: low,
                p_max_mw: high,
                q_min_mvar: low,
                q_max_mvar: high,
                v_pu: 1.0,
                in_service: true,
                cost: cost.clone(),
                reactive_cost: Some(cost),
            });
        }
    }
    (relaxed, alive)
}

pub(super) fn least_violation(network: &Network, stop: &dyn Fn() -> bool) -> Least {
    let (relaxed, alive) = relaxed(network);
    let (own, base) = (network.generators.len(), network.base_mva);
    let Some(model) = Model::new(&relaxed) else { return Least::Stuck };
    let (mut system, mut values) = (System::new(&model), Values::new(&model));
    for manner in [MANNERS[1], MANNERS[0], MANNERS[3]] {
        let mut point = start::flat(&model, &mut values, manner);
        let attempt = fast::solve(&model, &mut system, &mut values, &mut point, stop);
        match attempt.ended {
            Ended::OutOfTime => return Least::OutOfTime,
            // A violation that is far larger than what is left open need not be known to the last digit.
            Ended::Stuck
                if attempt.errors.is_stationary()
                    && values.cost / model.scale > NOTHING.max(CLEAR * attempt.errors.primal) => {}
            Ended::Stuck => continue,
            Ended::Converged => {}
        }
        let mut violations = Vec::new();
        for (k, unit) in model.gens.iter().enumerate().filter(|(_, unit)| unit.generator >= own) {
            let bus = alive[(unit.generator - own) / 2];
            let (p, q) = (point.x[model.p(k)], point.x[model.q(k)]);
            if p.abs() > WORTH_NAMING {
                let limit = if p > 0.0 { Limit::Demand(bus) } else { Limit::Surplus(bus) };
                violations.push(Violation { limit, by: p.abs() * base });
            }
            if q.abs() > WORTH_NAMING {
                violations.push(Violation { limit: Limit::Reactive(bus), by: q.abs() * base });
            }
        }
        if values.cost / model.scale > NOTHING && !violations.is_empty() {
            violations.sort_by(|a, b| b.by.total_cmp(&a.by));
            return Least::Violates(violations);
        }
        let mine: Vec<usize> = (0..model.gens.len()).filter(|k| model.gens[*k].generator < own).collect();
        let mut x = point.x[..2 * model.n].to_vec();
        x.extend(mine.iter().map(|k| point.x[model.p(*k)]));
        x.extend(mine.iter().map(|k| point.x[model.q(*k)]));
        return Least::Keeps(x);
    }
    Least::Stuck
}
