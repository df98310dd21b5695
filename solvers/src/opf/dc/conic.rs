//! The program by clarabel's conic interior point.

use super::program::Program;
use super::{Ended, Point};
use clarabel::algebra::CscMatrix;
use clarabel::solver::{DefaultSettings, DefaultSolver, IPSolver, NonnegativeConeT, SolverStatus, ZeroConeT};
use std::time::Duration;

/// How clarabel is asked.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// The cost is multiplied by it: it decides what of cost and constraints is looked at more closely.
    weight: f64,
    /// Whether rows and columns are scaled before.
    equilibrate: bool,
}

/// In this order, until an answer passes the check.
pub const MANNERS: [Manner; 4] = [
    Manner { weight: 1.0, equilibrate: true },
    Manner { weight: 1.0, equilibrate: false },
    Manner { weight: 0.01, equilibrate: true },
    Manner { weight: 100.0, equilibrate: true },
];
/// What converges does so in half of these.
const MOST_ITERATIONS: u32 = 80;

pub fn solve(program: &Program, manner: Manner, left: Duration) -> Ended {
    if left.is_zero() {
        return Ended::OutOfTime;
    }
    // Equalities first, then one row for each finite limit: clarabel wants A x + s = b with s in a cone.
    let count = program.low.len();
    let mut upper = vec![None; count];
    let mut lower = vec![None; count];
    let mut b = Vec::new();
    let equal = |row: usize| program.low[row] == program.high[row];
    for row in (0..count).filter(|row| equal(*row)) {
        upper[row] = Some(b.len());
        b.push(program.high[row]);
    }
    let equalities = b.len();
    for row in (0..count).filter(|row| !equal(*row)) {
        if program.high[row].is_finite() {
            upper[row] = Some(b.len());
            b.push(program.high[row]);
        }
        if program.low[row].is_finite() {
            lower[row] = Some(b.len());
            b.push(-program.low[row]);
        }
    }
    let mut entries = Vec::with_capacity(2 * program.entries.len());
    for (row, column, value) in &program.entries {
        entries.extend(upper[*row].map(|at| (at, *column, *value)));
        entries.extend(lower[*row].map(|at| (at, *column, -*value)));
    }
    let a = super::program::Columns::new(b.len(), program.q.len(), &entries);
    let n = program.q.len();
    let a = CscMatrix::new(a.rows, n, a.begins, a.row, a.value);
    let weighted = |cost: &[f64]| cost.iter().map(|c| c * manner.weight).collect::<Vec<_>>();
    let p = CscMatrix::new(n, n, (0..=n).collect(), (0..n).collect(), weighted(&program.p));
    let cones = [ZeroConeT(equalities), NonnegativeConeT(b.len() - equalities)];
    let settings = DefaultSettings {
        verbose: false,
        time_limit: left.as_secs_f64(),
        max_iter: MOST_ITERATIONS,
        equilibrate_enable: manner.equilibrate,
        ..DefaultSettings::default()
    };
    let Ok(mut solver) = DefaultSolver::new(&p, &weighted(&program.q), &a, &b, &cones, settings) else {
        return Ended::Stuck(None);
    };
    solver.solve();
    let found = &solver.solution;
    let z = |at: Option<usize>| at.map_or(0.0, |at| found.z[at] / manner.weight);
    let y = (0..count).map(|row| z(upper[row]) - z(lower[row])).collect();
    let point = Point { x: found.x.clone(), y, iterations: found.iterations };
    match found.status {
        SolverStatus::Solved | SolverStatus::AlmostSolved => Ended::Solved(point),
        SolverStatus::PrimalInfeasible | SolverStatus::AlmostPrimalInfeasible => Ended::Infeasible,
        SolverStatus::MaxTime => Ended::OutOfTime,
        _ => Ended::Stuck(point.x.iter().chain(&point.y).all(|v| v.is_finite()).then_some(point)),
    }
}
