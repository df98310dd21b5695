//! The program by osqp's operator splitting, from a point near its answer.

use super::Point;
use super::program::Program;
use osqp::{CscMatrix, Problem, Settings, Status};
use std::time::Duration;

/// Steps at most: what takes longer, the interior point does sooner.
pub const MOST: u32 = 200;

/// A factorised program.
pub struct Splitting {
    problem: Problem,
}

impl Splitting {
    /// Sets a program up; nothing when osqp will not have it.
    pub fn new(program: &Program) -> Option<Self> {
        let n = program.q.len();
        let a = program.matrix();
        let a =
            CscMatrix { nrows: a.rows, ncols: n, indptr: a.begins.into(), indices: a.row.into(), data: a.value.into() };
        let p = CscMatrix {
            nrows: n,
            ncols: n,
            indptr: (0..=n).collect::<Vec<_>>().into(),
            indices: (0..n).collect::<Vec<_>>().into(),
            data: program.p.clone().into(),
        };
        // Adapting the step to the time that setting up took would make answers depend on the machine.
        let settings = Settings::default()
            .verbose(false)
            .max_iter(MOST)
            .eps_abs(1e-9)
            .eps_rel(1e-9)
            .check_termination(Some(5))
            .adaptive_rho(true)
            .adaptive_rho_interval(Some(50));
        Problem::new(p, &program.q, a, &program.low, &program.high, &settings).ok().map(|problem| Self { problem })
    }

    /// Takes over changed limits.
    pub fn update(&mut self, program: &Program) {
        self.problem.update_bounds(&program.low, &program.high);
    }

    /// Goes on from a point, for so long; nothing when that leads nowhere.
    pub fn solve(&mut self, from: &Point, left: Duration) -> Option<Point> {
        if left.is_zero() {
            return None;
        }
        self.problem.update_time_limit(Some(left));
        self.problem.warm_start(&from.x, &from.y);
        let ended = self.problem.solve();
        let iterations = ended.iter();
        match ended {
            Status::Solved(found) | Status::SolvedInaccurate(found) | Status::MaxIterationsReached(found) => {
                Some(Point { x: found.x().to_vec(), y: found.y().to_vec(), iterations })
            }
            _ => None,
        }
    }
}
