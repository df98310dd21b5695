//! What the network does at a point: flows, balances, limits, and the first and second derivatives of them all.

use super::model::{Curve, Model};
use crate::sparse::Matrix;

/// Where the method stands.
#[derive(Clone, Debug)]
pub(super) struct Point {
    /// Angles, logarithms of voltages, active and reactive powers, costs.
    pub x: Vec<f64>,
    /// Slacks of the inequalities.
    pub s: Vec<f64>,
    /// Their multipliers.
    pub z: Vec<f64>,
    /// Multipliers of the balances: prices of active and reactive power.
    pub y: Vec<[f64; 2]>,
}

/// One line at a point. `a`: what each end's own voltage causes; `f`, `t`: what both cause together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flow {
    pub a_p: f64,
    pub a_q: f64,
    pub f_p: f64,
    pub f_q: f64,
    pub b_p: f64,
    pub b_q: f64,
    pub t_p: f64,
    pub t_q: f64,
}

impl Flow {
    pub fn from(&self) -> (f64, f64) {
        (self.a_p + self.f_p, self.a_q + self.f_q)
    }
    pub fn to(&self) -> (f64, f64) {
        (self.b_p + self.t_p, self.b_q + self.t_q)
    }
    /// Gradients of active and reactive power at an end, by θ_i, ν_i, θ_j, ν_j.
    pub fn gradients(&self, at_from: bool) -> ([f64; 4], [f64; 4]) {
        if at_from {
            (
                [-self.f_q, 2.0 * self.a_p + self.f_p, self.f_q, self.f_p],
                [self.f_p, 2.0 * self.a_q + self.f_q, -self.f_p, self.f_q],
            )
        } else {
            (
                [self.t_q, self.t_p, -self.t_q, 2.0 * self.b_p + self.t_p],
                [-self.t_p, self.t_q, self.t_p, 2.0 * self.b_q + self.t_q],
            )
        }
    }
    pub fn at(&self, at_from: bool) -> (f64, f64) {
        if at_from { self.from() } else { self.to() }
    }
}

/// Values at a point.
#[derive(Clone, Debug)]
pub(super) struct Values {
    /// Scaled cost.
    pub cost: f64,
    /// What leaves each bus less what is fed in.
    pub balance: Vec<[f64; 2]>,
    /// Inequalities, at most 0 where they hold.
    pub limits: Vec<f64>,
    pub flows: Vec<Flow>,
    /// Squares of voltages.
    pub squares: Vec<f64>,
    volts: Vec<f64>,
}

impl Values {
    pub fn new(model: &Model) -> Self {
        Self {
            cost: 0.0,
            balance: vec![[0.0; 2]; model.n],
            limits: vec![0.0; model.inequalities()],
            flows: vec![Flow::default(); model.lines.len()],
            squares: vec![0.0; model.n],
            volts: vec![0.0; model.n],
        }
    }

    /// Fills in the values at `x`.
    pub fn evaluate(&mut self, model: &Model, x: &[f64]) {
        let n = model.n;
        for bus in 0..n {
            let v = libm::exp(x[n + bus]);
            let square = v * v;
            (self.volts[bus], self.squares[bus]) = (v, square);
            let ((pd, qd), (gs, bs)) = (model.demand[bus], model.shunt[bus]);
            self.balance[bus] = [pd + gs * square, qd - bs * square];
        }
        for (flow, line) in self.flows.iter_mut().zip(&model.lines) {
            let (sin, cos) = libm::sincos(x[line.i] - x[line.j]);
            let both = self.volts[line.i] * self.volts[line.j];
            let (c, s) = (both * cos, both * sin);
            let (vi, vj) = (self.squares[line.i], self.squares[line.j]);
            *flow = Flow {
                a_p: line.ff.0 * vi,
                a_q: -line.ff.1 * vi,
                f_p: line.ft.0 * c + line.ft.1 * s,
                f_q: line.ft.0 * s - line.ft.1 * c,
                b_p: line.tt.0 * vj,
                b_q: -line.tt.1 * vj,
                t_p: line.tf.0 * c - line.tf.1 * s,
                t_q: -line.tf.0 * s - line.tf.1 * c,
            };
            let (from, to) = (flow.from(), flow.to());
            self.balance[line.i][0] += from.0;
            self.balance[line.i][1] += from.1;
            self.balance[line.j][0] += to.0;
            self.balance[line.j][1] += to.1;
        }
        self.cost = 0.0;
        for (k, generator) in model.gens.iter().enumerate() {
            let (p, q) = (x[model.p(k)], x[model.q(k)]);
            self.balance[generator.bus][0] -= p;
            self.balance[generator.bus][1] -= q;
            self.cost += generator.cost_p.value(x, p) + generator.cost_q.value(x, q);
        }
        self.evaluate_limits(model, x);
    }

    fn evaluate_limits(&mut self, model: &Model, x: &[f64]) {
        let mut at = 0;
        for bound in &model.bounds {
            self.limits[at] = bound.sign * (x[bound.at] - bound.limit);
            at += 1;
        }
        for cut in &model.cuts {
            self.limits[at] = cut.slope * x[cut.power] + cut.constant - x[cut.cost];
            at += 1;
        }
        for angle in &model.angles {
            let line = &model.lines[angle.line];
            self.limits[at] = angle.sign * (x[line.i] - x[line.j] - angle.limit);
            at += 1;
        }
        for rating in &model.ratings {
            let (p, q) = self.flows[rating.line].at(rating.at_from);
            self.limits[at] = (p * p + q * q - rating.rate * rating.rate) / (2.0 * rating.rate);
            at += 1;
        }
    }

    /// `r = ∇f + Jgᵀ y + Jhᵀ z`, zero where a value is given.
    pub fn gradient(&self, model: &Model, x: &[f64], y: &[[f64; 2]], z: &[f64], r: &mut [f64]) {
        r.fill(0.0);
        let n = model.n;
        for bus in 0..n {
            let (gs, bs) = model.shunt[bus];
            r[n + bus] = 2.0 * self.squares[bus] * (gs * y[bus][0] - bs * y[bus][1]);
        }
        for (flow, line) in self.flows.iter().zip(&model.lines) {
            let (i, j) = (y[line.i], y[line.j]);
            let cross = i[0] * flow.f_p + i[1] * flow.f_q + j[0] * flow.t_p + j[1] * flow.t_q;
            let turn = i[1] * flow.f_p - i[0] * flow.f_q + j[0] * flow.t_q - j[1] * flow.t_p;
            r[line.i] += turn;
            r[line.j] -= turn;
            r[n + line.i] += 2.0 * (i[0] * flow.a_p + i[1] * flow.a_q) + cross;
            r[n + line.j] += 2.0 * (j[0] * flow.b_p + j[1] * flow.b_q) + cross;
        }
        for (k, generator) in model.gens.iter().enumerate() {
            let (p, q) = (model.p(k), model.q(k));
            generator.cost_p.add_slope(x[p], p, r);
            generator.cost_q.add_slope(x[q], q, r);
            r[p] -= y[generator.bus][0];
            r[q] -= y[generator.bus][1];
        }
        self.add_limits(model, z, r);
        self.pin(model, r);
    }

    /// Zeroes what belongs to given values.
    pub fn pin(&self, model: &Model, r: &mut [f64]) {
        for &(bus, component, _) in &model.pinned {
            r[component * model.n + bus] = 0.0;
        }
        for (k, generator) in model.gens.iter().enumerate() {
            if generator.fixed_p.is_some() {
                r[model.p(k)] = 0.0;
            }
            if generator.fixed_q.is_some() {
                r[model.q(k)] = 0.0;
            }
        }
    }

    /// `r += Jhᵀ z`.
    pub fn add_limits(&self, model: &Model, z: &[f64], r: &mut [f64]) {
        let mut z = z.iter();
        for (bound, z) in model.bounds.iter().zip(z.by_ref()) {
            r[bound.at] += bound.sign * z;
        }
        for (cut, z) in model.cuts.iter().zip(z.by_ref()) {
            r[cut.power] += cut.slope * z;
            r[cut.cost] -= z;
        }
        for (angle, z) in model.angles.iter().zip(z.by_ref()) {
            let line = &model.lines[angle.line];
            r[line.i] += angle.sign * z;
            r[line.j] -= angle.sign * z;
        }
        for (rating, z) in model.ratings.iter().zip(z) {
            let (line, h) = (&model.lines[rating.line], self.rating_gradient(rating));
            r[line.i] += h[0] * z;
            r[model.n + line.i] += h[1] * z;
            r[line.j] += h[2] * z;
            r[model.n + line.j] += h[3] * z;
        }
    }

    fn rating_gradient(&self, rating: &super::model::Rating) -> [f64; 4] {
        let flow = &self.flows[rating.line];
        let (p, q) = flow.at(rating.at_from);
        let (dp, dq) = flow.gradients(rating.at_from);
        let (p, q) = (p / rating.rate, q / rating.rate);
        std::array::from_fn(|k| p * dp[k] + q * dq[k])
    }

    /// `out = Jh dx`.
    pub fn limits_along(&self, model: &Model, dx: &[f64], out: &mut [f64]) {
        let mut out = out.iter_mut();
        for (bound, out) in model.bounds.iter().zip(out.by_ref()) {
            *out = bound.sign * dx[bound.at];
        }
        for (cut, out) in model.cuts.iter().zip(out.by_ref()) {
            *out = cut.slope * dx[cut.power] - dx[cut.cost];
        }
        for (angle, out) in model.angles.iter().zip(out.by_ref()) {
            let line = &model.lines[angle.line];
            *out = angle.sign * (dx[line.i] - dx[line.j]);
        }
        for (rating, out) in model.ratings.iter().zip(out) {
            let (line, h) = (&model.lines[rating.line], self.rating_gradient(rating));
            *out = h[0] * dx[line.i] + h[1] * dx[model.n + line.i] + h[2] * dx[line.j] + h[3] * dx[model.n + line.j];
        }
    }

    /// The Hessian of the Lagrangian with the barrier's weights `w` on the limits, and the Jacobian of the balances:
    /// the system of the buses in `a`, that of the generators (two by two: power and its cost) in `gens`.
    pub fn assemble(&self, model: &Model, point: &Point, w: &[f64], a: &mut Matrix, gens: &mut [Corner]) {
        a.clear();
        self.assemble_lines(model, &point.y, &point.z, w, a);
        for (k, generator) in model.gens.iter().enumerate() {
            let (p, q) = (model.p(k), model.q(k));
            gens[2 * k] = Corner { power: generator.cost_p.bend(point.x[p]), ..Corner::default() };
            gens[2 * k + 1] = Corner { power: generator.cost_q.bend(point.x[q]), ..Corner::default() };
        }
        let mut w = w.iter();
        let (n, ng) = (model.n, model.gens.len());
        let corner = |power: usize| if power < 2 * n + ng { 2 * (power - 2 * n) } else { 2 * (power - 2 * n - ng) + 1 };
        for (bound, w) in model.bounds.iter().zip(w.by_ref()) {
            match bound.at.checked_sub(2 * n) {
                Some(_) => gens[corner(bound.at)].power += w,
                None => a.diagonal[bound.at - n][5] += w,
            }
        }
        for (cut, w) in model.cuts.iter().zip(w.by_ref()) {
            let corner = &mut gens[corner(cut.power)];
            corner.power += w * cut.slope * cut.slope;
            corner.both -= w * cut.slope;
            corner.cost += w;
        }
        for (angle, w) in model.angles.iter().zip(w) {
            let line = &model.lines[angle.line];
            a.diagonal[line.i][0] += w;
            a.diagonal[line.j][0] += w;
            a.off[line.edge][0] -= w;
        }
        for bus in 0..n {
            let ((gs, bs), y, square) = (model.shunt[bus], point.y[bus], self.squares[bus]);
            let d = &mut a.diagonal[bus];
            d[5] += 4.0 * square * (gs * y[0] - bs * y[1]);
            d[9] += 2.0 * gs * square;
            d[13] -= 2.0 * bs * square;
            (d[2], d[3], d[6], d[7]) = (d[8], d[12], d[9], d[13]);
            d[1] = d[4];
        }
    }

    fn assemble_lines(&self, model: &Model, y: &[[f64; 2]], z: &[f64], w: &[f64], a: &mut Matrix) {
        let first = model.inequalities() - model.ratings.len();
        let mut rating = 0;
        for (index, (flow, line)) in self.flows.iter().zip(&model.lines).enumerate() {
            let (mut m, mut own) = ([y[line.i][0], y[line.i][1], y[line.j][0], y[line.j][1]], [[0.0; 4]; 4]);
            while model.ratings.get(rating).is_some_and(|r| r.line == index) {
                let r = &model.ratings[rating];
                let (z, w) = (z[first + rating] / r.rate, w[first + rating]);
                let (p, q) = flow.at(r.at_from);
                let (dp, dq) = flow.gradients(r.at_from);
                let at = if r.at_from { 0 } else { 2 };
                m[at] += z * p;
                m[at + 1] += z * q;
                let (up, uq) = (p / r.rate, q / r.rate);
                let h: [f64; 4] = std::array::from_fn(|k| up * dp[k] + uq * dq[k]);
                for row in 0..4 {
                    for column in 0..=row {
                        own[row][column] += z * (dp[row] * dp[column] + dq[row] * dq[column]) + w * h[row] * h[column];
                    }
                }
                rating += 1;
            }
            let cross = m[0] * flow.f_p + m[1] * flow.f_q + m[2] * flow.t_p + m[3] * flow.t_q;
            let turn = m[1] * flow.f_p - m[0] * flow.f_q + m[2] * flow.t_q - m[3] * flow.t_p;
            let (pi, qi) = flow.gradients(true);
            let (pj, qj) = flow.gradients(false);
            // Lower triangles; the upper ones are filled in at the end.
            let d = &mut a.diagonal[line.i];
            d[0] += own[0][0] - cross;
            d[4] += own[1][0] + turn;
            d[5] += own[1][1] + 4.0 * (m[0] * flow.a_p + m[1] * flow.a_q) + cross;
            d[8] += pi[0];
            d[9] += pi[1];
            d[12] += qi[0];
            d[13] += qi[1];
            let d = &mut a.diagonal[line.j];
            d[0] += own[2][2] - cross;
            d[4] += own[3][2] - turn;
            d[5] += own[3][3] + 4.0 * (m[2] * flow.b_p + m[3] * flow.b_q) + cross;
            d[8] += pj[2];
            d[9] += pj[3];
            d[12] += qj[2];
            d[13] += qj[3];
            // Rows of i, columns of j.
            let (tt, tn, nt, nn) = (own[2][0] + cross, own[3][0] + turn, own[2][1] - turn, own[3][1] + cross);
            let o = &mut a.off[line.edge];
            let cells = if line.turned {
                [tt, nt, pi[2], qi[2], tn, nn, pi[3], qi[3], pj[0], pj[1], qj[0], qj[1]]
            } else {
                [tt, tn, pj[0], qj[0], nt, nn, pj[1], qj[1], pi[2], pi[3], qi[2], qi[3]]
            };
            for (at, cell) in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13].into_iter().zip(cells) {
                o[at] += cell;
            }
        }
    }
}

/// A generator's part of the system: `[power, both; both, cost]`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Corner {
    pub power: f64,
    pub both: f64,
    pub cost: f64,
}

impl Curve {
    pub fn value(&self, x: &[f64], power: f64) -> f64 {
        match self {
            Self::Polynomial(c) => c.iter().rev().fold(0.0, |sum, c| sum * power + c),
            Self::Unknown(at) => x[*at],
        }
    }

    fn add_slope(&self, power: f64, at: usize, r: &mut [f64]) {
        match self {
            Self::Polynomial(c) => r[at] += slope(c, power),
            Self::Unknown(cost) => r[*cost] += 1.0,
        }
    }

    fn bend(&self, power: f64) -> f64 {
        match self {
            Self::Polynomial(c) => {
                let mut sum = 0.0;
                let mut k = c.len();
                while k > 2 {
                    k -= 1;
                    sum = sum * power + (k * (k - 1)) as f64 * c[k];
                }
                sum
            }
            Self::Unknown(_) => 0.0,
        }
    }
}

fn slope(c: &[f64], power: f64) -> f64 {
    (1..c.len()).rev().fold(0.0, |sum, k| sum * power + k as f64 * c[k])
}
