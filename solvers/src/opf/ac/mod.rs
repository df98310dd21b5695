//! Optimal power flow with alternating current: the π model with taps and shifts, apparent power limits, exact Hessians,
//! polar voltages (MATPOWER manual, 3 and 6).
//!
//! [`model`] lays the network out, [`evaluate`] knows its derivatives, [`newton`] eliminates the generators and solves
//! what is left per bus, [`fast`] is the interior point. A start that leads nowhere is followed by others; when none leads
//! anywhere, the least violation is sought ([`elastic`]): it says what stands in the way, or gives a start that keeps the
//! limits. The problem is not convex: "optimal" is a local optimum until a bound says more, "infeasible" is a least
//! violation nearby.

pub(super) mod elastic;
mod evaluate;
mod fast;
mod model;
mod newton;
mod start;

use super::{Answer, Binding, BranchAnswer, BusAnswer, GeneratorAnswer, Status};
use crate::opf::certificate;
use domain::network::{Cost, Network};
use evaluate::{Point, Values};
use fast::Ended;
use model::Model;
use newton::System;
use std::time::Duration;

/// How far a balance or a limit may be missed, in per unit, by the independent check.
pub const FEASIBLE: f64 = 1e-6;

/// A network ready to be solved again and again while its demand changes.
pub struct Solver<'a> {
    network: &'a Network,
    refused: Option<String>,
    work: Option<Work>,
    last: Option<Point>,
}

struct Work {
    model: Model,
    system: System,
    values: Values,
}

/// Solves a network once. `left` says how much time there is.
pub fn solve(network: &Network, left: &dyn Fn() -> Duration) -> Answer {
    Solver::new(network).solve(left)
}

impl<'a> Solver<'a> {
    /// Lays out the problem and its factorisation.
    #[must_use]
    pub fn new(network: &'a Network) -> Self {
        let work = Model::new(network).map(|model| {
            let (system, values) = (System::new(&model), Values::new(&model));
            Work { model, system, values }
        });
        Self { network, refused: refusal(network), work, last: None }
    }

    /// The cheapest dispatch near a usual start, or near the last one. `left` says how much time there is.
    pub fn solve(&mut self, left: &dyn Fn() -> Duration) -> Answer {
        if let Some(reason) = &self.refused {
            return Answer { reason: Some(reason.clone()), ..Answer::empty(Status::Refused) };
        }
        let Some(work) = &mut self.work else {
            return self.nothing();
        };
        let stop = || left().is_zero();
        let mut iterations = 0;
        let warm = self.last.take().map(|last| start::warm(&work.model, &mut work.values, &last));
        for attempt in 0..=start::MANNERS.len() {
            let mut point = match (attempt, &warm) {
                (0, Some(warm)) => warm.clone(),
                (0, None) => continue,
                (k, _) => start::flat(&work.model, &mut work.values, start::MANNERS[k - 1]),
            };
            let ended = work.attempt(&mut point, &mut iterations, &stop);
            if ended == Ended::OutOfTime {
                return Answer { iterations, ..Answer::empty(Status::OutOfTime) };
            }
            if ended == Ended::Converged
                && let Some(answer) = checked(self.network, work, &point, iterations)
            {
                self.last = Some(point);
                return answer;
            }
        }
        match elastic::least_violation(self.network, &stop) {
            elastic::Least::Violates(violations) => {
                Answer { violations, iterations, ..Answer::empty(Status::Infeasible) }
            }
            elastic::Least::OutOfTime => Answer { iterations, ..Answer::empty(Status::OutOfTime) },
            elastic::Least::Stuck => Answer { iterations, ..Answer::empty(Status::Inaccurate) },
            elastic::Least::Keeps(x) => {
                for manner in elastic::AFTERWARDS {
                    let full = work.model.completed(x.clone());
                    let mut point = start::around(&work.model, &mut work.values, full, manner);
                    let ended = work.attempt(&mut point, &mut iterations, &stop);
                    if ended == Ended::OutOfTime {
                        return Answer { iterations, ..Answer::empty(Status::OutOfTime) };
                    }
                    if ended == Ended::Converged
                        && let Some(answer) = checked(self.network, work, &point, iterations)
                    {
                        self.last = Some(point);
                        return answer;
                    }
                }
                Answer { iterations, ..Answer::empty(Status::Inaccurate) }
            }
        }
    }

    /// The answer for a network of which nothing takes part.
    fn nothing(&self) -> Answer {
        Answer {
            objective: Some(0.0),
            lower_bound: Some(0.0),
            buses: vec![BusAnswer::default(); self.network.buses.len()],
            generators: vec![GeneratorAnswer::default(); self.network.generators.len()],
            branches: vec![BranchAnswer::default(); self.network.branches.len()],
            ..Answer::empty(Status::Optimal)
        }
    }
}

impl Work {
    fn attempt(&mut self, point: &mut Point, iterations: &mut u32, stop: &dyn Fn() -> bool) -> Ended {
        let attempt = fast::solve(&self.model, &mut self.system, &mut self.values, point, stop);
        *iterations += attempt.iterations;
        attempt.ended
    }
}

/// Costs that this method cannot follow.
fn refusal(network: &Network) -> Option<String> {
    (0..network.generators.len()).filter(|g| network.runs(*g)).find_map(|g| {
        let unit = &network.generators[g];
        let number = network.buses[unit.bus].number;
        let bent = |cost: &Cost, low, high| matches!(cost, Cost::Piecewise(_)) && !cost.is_convex(low, high);
        let bad = bent(&unit.cost, unit.p_min_mw, unit.p_max_mw)
            || unit.reactive_cost.as_ref().is_some_and(|cost| bent(cost, unit.q_min_mvar, unit.q_max_mvar));
        bad.then(|| {
            format!(
                "the generator at bus {number} has a piecewise cost whose slope falls: order its pieces by rising slope"
            )
        })
    })
}

/// The answer, if the independent check finds it to keep balances and limits.
fn checked(network: &Network, work: &Work, point: &Point, iterations: u32) -> Option<Answer> {
    let answer = answer(network, &work.model, &work.values, point, iterations);
    let worst = certificate::residual(network, &answer);
    (worst <= FEASIBLE).then_some(answer)
}

fn answer(network: &Network, model: &Model, values: &Values, point: &Point, iterations: u32) -> Answer {
    let (base, per_unit) = (model.base, model.base * model.scale);
    let mut buses = vec![BusAnswer::default(); network.buses.len()];
    for (bus, &place) in model.places.iter().enumerate() {
        let price = point.y[bus].map(|y| Some(y / per_unit));
        buses[place] = BusAnswer {
            vm_pu: libm::exp(point.x[model.nu(bus)]),
            va_deg: point.x[Model::theta(bus)].to_degrees(),
            price_p: price[0],
            price_q: price[1],
        };
    }
    let mut generators = vec![GeneratorAnswer::default(); network.generators.len()];
    let mut objective = 0.0;
    for (k, unit) in model.gens.iter().enumerate() {
        let (p, q) = (point.x[model.p(k)] * base, point.x[model.q(k)] * base);
        let described = &network.generators[unit.generator];
        objective += described.cost.at(p) + described.reactive_cost.as_ref().map_or(0.0, |cost| cost.at(q));
        generators[unit.generator] = GeneratorAnswer { p_mw: p, q_mvar: Some(q) };
    }
    let mut branches = vec![BranchAnswer::default(); network.branches.len()];
    for (flow, line) in values.flows.iter().zip(&model.lines) {
        let ((p_from, q_from), (p_to, q_to)) = (flow.from(), flow.to());
        branches[line.branch] = BranchAnswer {
            p_from_mw: p_from * base,
            q_from_mvar: Some(q_from * base),
            p_to_mw: p_to * base,
            q_to_mvar: Some(q_to * base),
            binding: None,
            price: 0.0,
        };
    }
    let first = model.bounds.len() + model.cuts.len();
    let angles = model.angles.iter().map(|a| (a.line, Binding::Angle, 180.0 / std::f64::consts::PI * model.scale));
    let ratings = model.ratings.iter().map(|r| (r.line, Binding::Rating, per_unit));
    for ((line, binding, unit), (s, z)) in angles.chain(ratings).zip(point.s[first..].iter().zip(&point.z[first..])) {
        let branch = &mut branches[model.lines[line].branch];
        let price = z / unit;
        if z > s && *s < NEAR && price > branch.price {
            (branch.binding, branch.price) = (Some(binding), price);
        }
    }
    Answer { objective: Some(objective), iterations, buses, generators, branches, ..Answer::empty(Status::Optimal) }
}

/// A limit this near (p.u., or radians) is one that binds.
const NEAR: f64 = 1e-4;
