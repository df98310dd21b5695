//! A program whose limits may be exceeded: which of them stand in the way when nothing satisfies all.

use super::Point;
use super::program::Program;
use crate::grid::Grid;
use crate::opf::{Limit, Violation};

/// The least that all limits together are exceeded by, per unit and radians.
pub struct Elastic {
    pub program: Program,
    /// What each added unknown exceeds.
    limits: Vec<(usize, Limit)>,
}

/// Below this, a limit is kept.
const KEPT: f64 = 1e-5;

impl Elastic {
    pub fn new(grid: &Grid, program: &Program) -> Self {
        let mut elastic = Self { program: program.clone(), limits: Vec::new() };
        elastic.program.p.fill(0.0);
        elastic.program.q.fill(0.0);
        for (k, node) in grid.buses.iter().enumerate() {
            elastic.slack(&[(k, 1.0)], Limit::Demand(node.place));
            elastic.slack(&[(k, -1.0)], Limit::Surplus(node.place));
        }
        for (line, (rating, angle)) in grid.lines.iter().zip(program.limits.clone()) {
            for (row, limit) in [(rating, Limit::Rating(line.place)), (angle, Limit::Angle(line.place))] {
                if let Some(row) = row {
                    elastic.slack(&[(row, 1.0)], limit);
                    elastic.slack(&[(row, -1.0)], limit);
                }
            }
        }
        elastic
    }

    /// An unknown that is at least 0 and loosens these rows.
    fn slack(&mut self, rows: &[(usize, f64)], limit: Limit) {
        let column = self.program.q.len();
        self.program.q.push(1.0);
        self.program.p.push(0.0);
        self.program.entries.extend(rows.iter().map(|(row, value)| (*row, column, *value)));
        self.program.row(&[(column, 1.0)], 0.0, f64::INFINITY);
        self.limits.push((column, limit));
    }

    /// What is exceeded, the most first.
    pub fn violations(&self, grid: &Grid, point: &Point) -> Vec<Violation> {
        let exceeded = self.limits.iter().filter(|(column, _)| point.x[*column] > KEPT);
        let mut found: Vec<(f64, Violation)> = exceeded
            .map(|(column, limit)| {
                let by = point.x[*column];
                let shown = if matches!(limit, Limit::Angle(_)) { by.to_degrees() } else { by * grid.base };
                (by, Violation { limit: *limit, by: shown })
            })
            .collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        found.into_iter().map(|(_, violation)| violation).collect()
    }
}
