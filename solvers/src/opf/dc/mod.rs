//! Optimal power flow in the linear model: voltages of 1 p.u., no losses, no reactive power, flows
//! `(θf − θt − shift)/(x·tap)` (MATPOWER manual, 3.7 and 6.1; a branch without reactance takes its resistance instead).
//!
//! It is a convex quadratic program. Our own interior point ([`interior`]) solves it, always from nothing: that takes less time
//! than any warm start that was tried. Where it gets stuck clarabel does ([`conic`]), and later solves of that network begin
//! where the last ended, with an operator splitting (osqp) that has its factor ready. None is believed: an answer counts
//! when [`check`] finds its limits kept and its cost within [`TOLERANCE`] of a dual bound. What the splitting cannot bring
//! there in [`splitting::MOST`] steps, the others solve again.

mod check;
mod conic;
mod interior;
mod program;
mod relax;
mod splitting;

use super::{Answer, Binding, BranchAnswer, BusAnswer, GeneratorAnswer, Status};
use crate::grid::Grid;
use domain::network::{Cost, Network};
use interior::Interior;
use program::Program;
use std::time::Duration;

/// How far the cost may lie above its bound, relative to it, and a limit be exceeded, in per unit.
pub const TOLERANCE: f64 = 1e-6;

/// A primal and dual point of a program: multipliers are positive at upper, negative at lower limits.
#[derive(Clone, Debug, Default)]
struct Point {
    x: Vec<f64>,
    y: Vec<f64>,
    iterations: u32,
}

/// How a solver ended.
enum Ended {
    Solved(Point),
    Infeasible,
    OutOfTime,
    /// With its last point, if it has one.
    Stuck(Option<Point>),
}

/// A network ready to be solved again and again while its demand changes.
pub struct Solver<'a> {
    network: &'a Network,
    grid: Grid,
    program: Program,
    /// Why it is not solved.
    refused: Option<String>,
    last: Option<Point>,
    interior: Interior,
    splitting: Option<splitting::Splitting>,
    /// How often in a row the splitting led nowhere. It is of no use to a network where it did so [`PATIENCE`] times.
    misses: u32,
}

const PATIENCE: u32 = 2;

/// Solves a network once. `left` says how much time there is.
pub fn solve(network: &Network, left: &dyn Fn() -> Duration) -> Answer {
    Solver::new(network).solve(left)
}

impl<'a> Solver<'a> {
    /// Lays out the program.
    #[must_use]
    pub fn new(network: &'a Network) -> Self {
        let grid = Grid::new(network);
        let refused = refusal(network);
        let program = Program::new(network, &grid);
        let interior = Interior::new(network, &grid, program.scale);
        Self { network, grid, program, refused, last: None, interior, splitting: None, misses: 0 }
    }

    /// Gives every bus of the network's list another active demand, in MW.
    pub fn set_demand(&mut self, mw: &[f64]) {
        for node in &mut self.grid.buses {
            node.load.re = mw[node.place] / self.grid.base;
        }
        self.program.set_balance(&self.grid);
        if let Some(splitting) = &mut self.splitting {
            splitting.update(&self.program);
        }
    }

    /// The cheapest dispatch. `left` says how much time there is.
    pub fn solve(&mut self, left: &dyn Fn() -> Duration) -> Answer {
        if let Some(reason) = &self.refused {
            return Answer { reason: Some(reason.clone()), ..Answer::empty(Status::Refused) };
        }
        if let (Some(last), Some(splitting)) = (&self.last, &mut self.splitting)
            && self.misses < PATIENCE
        {
            if let Some(point) = splitting.solve(last, left()) {
                let found = check::check(self.network, &self.grid, &self.program, &point);
                if found.passes() {
                    let answer = self.answer(Status::Optimal, &point, &found);
                    self.last = Some(point);
                    self.misses = 0;
                    return answer;
                }
            }
            self.misses += 1;
        }
        match self.interior.solve(&self.grid, left) {
            interior::Ended::Solved(found) => {
                let point = self.program.point(self.network, &self.grid, &found);
                let found = check::check(self.network, &self.grid, &self.program, &point);
                if found.passes() {
                    return self.answer(Status::Optimal, &point, &found);
                }
            }
            interior::Ended::OutOfTime => return Answer::empty(Status::OutOfTime),
            interior::Ended::Stuck => {}
        }
        let mut best: Option<(Point, check::Found)> = None;
        for manner in conic::MANNERS {
            let (point, solved) = match conic::solve(&self.program, manner, left()) {
                Ended::Solved(point) => (Some(point), true),
                Ended::Infeasible => return self.relaxed(left),
                Ended::OutOfTime => return Answer::empty(Status::OutOfTime),
                Ended::Stuck(point) => (point, false),
            };
            let found = point.map(|point| {
                let found = check::check(self.network, &self.grid, &self.program, &point);
                (point, found)
            });
            if let Some((point, found)) = found {
                if found.passes() {
                    let answer = self.answer(Status::Optimal, &point, &found);
                    if self.splitting.is_none() {
                        self.splitting = splitting::Splitting::new(&self.program);
                    }
                    self.last = Some(point);
                    return answer;
                }
                if best.as_ref().is_none_or(|(_, before)| found.misses() < before.misses()) {
                    best = Some((point, found));
                }
            }
            // What looks stuck may be a program without an answer.
            if !solved {
                let relaxed = self.relaxed(left);
                if relaxed.status == Status::Infeasible {
                    return relaxed;
                }
            }
        }
        match best {
            Some((point, found)) => self.answer(Status::Inaccurate, &point, &found),
            None => Answer::empty(Status::Inaccurate),
        }
    }

    /// What stands in the way.
    fn relaxed(&self, left: &dyn Fn() -> Duration) -> Answer {
        let elastic = relax::Elastic::new(&self.grid, &self.program);
        for manner in conic::MANNERS {
            match conic::solve(&elastic.program, manner, left()) {
                Ended::Solved(point) => {
                    let violations = elastic.violations(&self.grid, &point);
                    let status = if violations.is_empty() { Status::Inaccurate } else { Status::Infeasible };
                    let proved =
                        status == Status::Infeasible && check::proves_infeasible(&self.grid, &elastic.program, &point);
                    return Answer { violations, proved, iterations: point.iterations, ..Answer::empty(status) };
                }
                Ended::OutOfTime => return Answer::empty(Status::OutOfTime),
                Ended::Infeasible | Ended::Stuck(_) => {}
            }
        }
        Answer::empty(Status::Inaccurate)
    }

    fn answer(&self, status: Status, point: &Point, found: &check::Found) -> Answer {
        let (grid, program) = (&self.grid, &self.program);
        let mut answer = Answer {
            objective: Some(found.cost),
            lower_bound: found.bound.is_finite().then_some(found.bound),
            iterations: point.iterations,
            buses: vec![BusAnswer::default(); self.network.buses.len()],
            generators: vec![GeneratorAnswer::default(); self.network.generators.len()],
            branches: vec![BranchAnswer::default(); self.network.branches.len()],
            ..Answer::empty(status)
        };
        for (k, node) in grid.buses.iter().enumerate() {
            answer.buses[node.place] = BusAnswer {
                vm_pu: 1.0,
                va_deg: point.x[program.angle(k)].to_degrees(),
                price_p: Some(program.price(point, k) / grid.base),
                price_q: None,
            };
        }
        for (k, unit) in grid.units.iter().enumerate() {
            answer.generators[unit.place].p_mw = point.x[program.power(k)].clamp(unit.p.0, unit.p.1) * grid.base;
        }
        for (k, line) in grid.lines.iter().enumerate() {
            let flow = program.flow(grid, point, k);
            let (rating, angle) = program.line_prices(point, k);
            let kind =
                if rating.abs() / grid.base >= angle.abs().to_radians() { Binding::Rating } else { Binding::Angle };
            let price = match kind {
                Binding::Rating => rating.abs() / grid.base,
                Binding::Angle => angle.abs().to_radians(),
            };
            // An interior point leaves a trace of a multiplier on every limit.
            let binds = price > 1e-5 * found.steepest / grid.base && program.is_at_limit(grid, point, k);
            answer.branches[line.place] = BranchAnswer {
                p_from_mw: flow * grid.base,
                p_to_mw: -flow * grid.base,
                binding: binds.then_some(kind),
                price: if binds { price } else { 0.0 },
                ..BranchAnswer::default()
            };
        }
        answer
    }
}

/// Why a network is none for this method.
fn refusal(network: &Network) -> Option<String> {
    let bad: Vec<String> = (0..network.generators.len())
        .filter(|g| network.runs(*g))
        .filter(|g| {
            let g = &network.generators[*g];
            let degree = matches!(&g.cost, Cost::Polynomial(c) if c.len() > 3);
            degree || !g.cost.is_convex(g.p_min_mw, g.p_max_mw)
        })
        .map(|g| format!("{} at bus {}", g + 1, network.buses[network.generators[g].bus].number))
        .collect();
    let more = bad.len().saturating_sub(5);
    let names = bad.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!bad.is_empty()).then(|| {
        format!(
            "the cost of generator {names}{rest} is not convex, or of a degree above 2: the linear model cannot have it"
        )
    })
}
