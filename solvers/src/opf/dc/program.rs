//! The linear model as a program: min ½ xᵀ diag(p) x + qᵀx subject to l ≤ A x ≤ u.
//!
//! Unknowns are the angles, the powers of the generators, and for each piecewise linear cost its value. The cost is scaled
//! so that slopes are near 1: solvers compare it with the constraints.

use super::Point;
use super::interior::Found;
use crate::grid::{Grid, Line};
use domain::network::{Cost, Network};

/// A sparse matrix by columns.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    pub rows: usize,
    pub begins: Vec<usize>,
    pub row: Vec<usize>,
    pub value: Vec<f64>,
}

impl Columns {
    /// From entries `(row, column, value)`; those of the same place add up.
    pub fn new(rows: usize, columns: usize, entries: &[(usize, usize, f64)]) -> Self {
        let mut sorted: Vec<_> = entries.to_vec();
        sorted.sort_by_key(|e| (e.1, e.0));
        let mut matrix = Self { rows, begins: vec![0; columns + 1], row: Vec::new(), value: Vec::new() };
        let mut last = None;
        for (row, column, value) in sorted {
            if last == Some((row, column)) {
                if let Some(sum) = matrix.value.last_mut() {
                    *sum += value;
                }
                continue;
            }
            last = Some((row, column));
            matrix.row.push(row);
            matrix.value.push(value);
            matrix.begins[column + 1] = matrix.row.len();
        }
        for column in 0..columns {
            matrix.begins[column + 1] = matrix.begins[column + 1].max(matrix.begins[column]);
        }
        matrix
    }
}

/// The program.
#[derive(Clone, Debug)]
pub struct Program {
    /// Diagonal of the quadratic part.
    pub p: Vec<f64>,
    /// Linear part.
    pub q: Vec<f64>,
    /// Constraints.
    pub entries: Vec<(usize, usize, f64)>,
    pub low: Vec<f64>,
    pub high: Vec<f64>,
    /// The cost was divided by it.
    pub scale: f64,
    buses: usize,
    /// By line: its rows for the rating and for the angles.
    pub limits: Vec<(Option<usize>, Option<usize>)>,
}

/// Flow of a line per radian: its susceptance in the linear model.
pub fn susceptance(line: &Line) -> f64 {
    let reactance = if line.z.im == 0.0 { line.z.re } else { line.z.im };
    1.0 / (reactance * line.tap)
}

impl Program {
    /// Unknowns: angles of buses, powers of units, costs of units with pieces.
    pub fn new(network: &Network, grid: &Grid) -> Self {
        let (buses, units) = (grid.buses.len(), grid.units.len());
        let costs: Vec<&Cost> = grid.units.iter().map(|u| &network.generators[u.place].cost).collect();
        let pieces = costs.iter().filter(|c| matches!(c, Cost::Piecewise(_))).count();
        let unknowns = buses + units + pieces;
        let mut program = Self {
            p: vec![0.0; unknowns],
            q: vec![0.0; unknowns],
            entries: Vec::new(),
            low: Vec::new(),
            high: Vec::new(),
            scale: scale(grid, &costs),
            buses,
            limits: Vec::with_capacity(grid.lines.len()),
        };
        program.low.resize(buses, 0.0);
        program.high.resize(buses, 0.0);
        for (k, unit) in grid.units.iter().enumerate() {
            program.entries.push((unit.bus, buses + k, 1.0));
        }
        for line in &grid.lines {
            let b = susceptance(line);
            for (row, sign) in [(line.from, -1.0), (line.to, 1.0)] {
                program.entries.push((row, line.from, sign * b));
                program.entries.push((row, line.to, -sign * b));
            }
        }
        program.set_balance(grid);
        for line in &grid.lines {
            let b = susceptance(line);
            let rating = line.rate.is_finite().then(|| {
                let at = line.shift * b;
                program.row(&[(line.from, b), (line.to, -b)], at - line.rate, at + line.rate)
            });
            let (low, high) = line.angles;
            let angle = (low.is_finite() || high.is_finite())
                .then(|| program.row(&[(line.from, 1.0), (line.to, -1.0)], low, high));
            program.limits.push((rating, angle));
        }
        for (bus, _) in &grid.references {
            let angle = grid.buses[*bus].start.1;
            program.row(&[(*bus, 1.0)], angle, angle);
        }
        for (k, unit) in grid.units.iter().enumerate() {
            if unit.p.0.is_finite() || unit.p.1.is_finite() {
                program.row(&[(buses + k, 1.0)], unit.p.0, unit.p.1);
            }
        }
        program.add_costs(grid, &costs);
        program
    }

    fn add_costs(&mut self, grid: &Grid, costs: &[&Cost]) {
        let mut next = self.buses + grid.units.len();
        for (k, cost) in costs.iter().enumerate() {
            let power = self.buses + k;
            match cost {
                Cost::Polynomial(c) => {
                    self.q[power] = c.get(1).unwrap_or(&0.0) * grid.base / self.scale;
                    self.p[power] = 2.0 * c.get(2).unwrap_or(&0.0) * grid.base * grid.base / self.scale;
                }
                Cost::Piecewise(points) => {
                    self.q[next] = 1.0;
                    for w in points.windows(2) {
                        let ((x0, y0), (x1, y1)) = (w[0], w[1]);
                        let slope = (y1 - y0) / (x1 - x0);
                        let at_zero = (y0 - slope * x0) / self.scale;
                        self.row(&[(next, 1.0), (power, -slope * grid.base / self.scale)], at_zero, f64::INFINITY);
                    }
                    next += 1;
                }
            }
        }
    }

    /// Adds a constraint and says where.
    pub fn row(&mut self, entries: &[(usize, f64)], low: f64, high: f64) -> usize {
        let row = self.low.len();
        self.entries.extend(entries.iter().map(|(column, value)| (row, *column, *value)));
        self.low.push(low);
        self.high.push(high);
        row
    }

    /// Writes what the buses take into their balances.
    pub fn set_balance(&mut self, grid: &Grid) {
        for (k, node) in grid.buses.iter().enumerate() {
            self.low[k] = node.load.re + node.shunt.re;
        }
        for line in &grid.lines {
            let shifted = susceptance(line) * line.shift;
            self.low[line.from] -= shifted;
            self.low[line.to] += shifted;
        }
        self.high[..self.buses].copy_from_slice(&self.low[..self.buses]);
    }

    /// What the interior point found, as a point of the program.
    pub fn point(&self, network: &Network, grid: &Grid, found: &Found) -> Point {
        let (mut x, mut y) = (vec![0.0; self.q.len()], vec![0.0; self.low.len()]);
        x[..self.buses].copy_from_slice(&found.angle);
        x[self.buses..][..found.power.len()].copy_from_slice(&found.power);
        let mut next = self.buses + grid.units.len();
        for (unit, power) in grid.units.iter().zip(&found.power) {
            let cost = &network.generators[unit.place].cost;
            if matches!(cost, Cost::Piecewise(_)) {
                x[next] = cost.at(power * grid.base) / self.scale;
                next += 1;
            }
        }
        y.iter_mut().zip(&found.price).for_each(|(y, price)| *y = -price);
        for (rows, (rating, angle)) in self.limits.iter().zip(&found.lines) {
            for (row, multiplier) in [(rows.0, rating), (rows.1, angle)] {
                if let Some(row) = row {
                    y[row] = *multiplier;
                }
            }
        }
        Point { x, y, iterations: found.iterations }
    }

    pub fn matrix(&self) -> Columns {
        Columns::new(self.low.len(), self.q.len(), &self.entries)
    }

    /// The unknown that is the angle of a bus.
    pub fn angle(&self, bus: usize) -> usize {
        bus
    }

    /// The unknown that is the power of a unit.
    pub fn power(&self, unit: usize) -> usize {
        self.buses + unit
    }

    /// The price at a bus, an hour for one per unit.
    pub fn price(&self, point: &Point, bus: usize) -> f64 {
        -point.y[bus] * self.scale
    }

    /// The multipliers of a line's rating and of its angles: an hour for one per unit, and for one radian.
    pub fn line_prices(&self, point: &Point, line: usize) -> (f64, f64) {
        let at = |row: Option<usize>| row.map_or(0.0, |row| point.y[row] * self.scale);
        (at(self.limits[line].0), at(self.limits[line].1))
    }

    /// The flow into the `from` end.
    pub fn flow(&self, grid: &Grid, point: &Point, line: usize) -> f64 {
        let line = &grid.lines[line];
        susceptance(line) * (point.x[line.from] - point.x[line.to] - line.shift)
    }

    /// Whether a line is as good as at one of its limits.
    pub fn is_at_limit(&self, grid: &Grid, point: &Point, line: usize) -> bool {
        let flow = self.flow(grid, point, line).abs();
        let line = &grid.lines[line];
        let angle = point.x[line.from] - point.x[line.to];
        let near = 1e-4;
        flow >= line.rate * (1.0 - near) || angle >= line.angles.1 - near || angle <= line.angles.0 + near
    }
}

/// The steepest slope of any cost within limits, in cost for one per unit; 1 when nothing costs anything.
fn scale(grid: &Grid, costs: &[&Cost]) -> f64 {
    let mut steepest = 0.0_f64;
    for (unit, cost) in grid.units.iter().zip(costs) {
        let slope = match cost {
            Cost::Polynomial(c) => {
                let most =
                    [unit.p.0, unit.p.1].into_iter().filter(|p| p.is_finite()).fold(0.0_f64, |m, p| m.max(p.abs()));
                let bend = c.get(2).unwrap_or(&0.0) * grid.base * grid.base;
                c.get(1).unwrap_or(&0.0).abs() * grid.base + 2.0 * bend * most.min(10.0)
            }
            Cost::Piecewise(points) => {
                points.windows(2).map(|w| ((w[1].1 - w[0].1) / (w[1].0 - w[0].0)).abs() * grid.base).fold(0.0, f64::max)
            }
        };
        steepest = steepest.max(slope);
    }
    if steepest > 0.0 { steepest } else { 1.0 }
}
