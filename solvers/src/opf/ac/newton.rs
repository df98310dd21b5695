//! One Newton step: the generators are eliminated by hand, what remains has four unknowns per bus.

use super::evaluate::{Corner, Point, Values};
use super::model::{Curve, Model};
use crate::sparse::{B, Factor, Matrix, Part, Quality};

/// The linear system of an iteration and the memory it takes.
#[derive(Clone, Debug)]
pub(super) struct System {
    matrix: Matrix,
    factor: Factor,
    corners: Vec<Corner>,
    /// The inverses of the corners.
    solved: Vec<Corner>,
    right: Vec<Part>,
    left: Vec<Part>,
    /// Barrier weights of the inequalities, `z / s`.
    pub weights: Vec<f64>,
    /// What was added to the Hessian last time it had to be.
    last_shift: f64,
}

/// Added to the Hessian of a generator, whose curvature may vanish between its limits.
const GENERATOR: f64 = 1e-9;
/// Taken from the diagonal of the balances, for those that depend on each other (Friedlander and Orban 2012).
const BALANCE: f64 = 1e-8;
/// The first thing added to a Hessian of wrong inertia, what it grows by, and where it ends.
const FIRST_SHIFT: f64 = 1e-4;
const LARGEST_SHIFT: f64 = 1e10;

/// Residuals over their right sides, these no smaller than that: a Newton step need not be better than its model.
const ACCURATE: f64 = 1e-7;
const LEAST_SCALE: f64 = 1e-9;
/// Above this the matrix is factored again, with more care.
const USABLE: f64 = 1e-4;

/// How a factorisation went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Factored {
    /// Added to the Hessian.
    pub shift: f64,
    pub good: bool,
}

impl System {
    pub fn new(model: &Model) -> Self {
        Self {
            matrix: Matrix::new(model.n, model.edges.clone()),
            factor: Factor::new(&model.pattern),
            corners: vec![Corner::default(); 2 * model.gens.len()],
            solved: vec![Corner::default(); 2 * model.gens.len()],
            right: vec![[0.0; B]; model.n],
            left: vec![[0.0; B]; model.n],
            weights: vec![0.0; model.inequalities()],
            last_shift: 0.0,
        }
    }

    /// Forgets what earlier points needed.
    pub fn begin(&mut self) {
        self.factor.begin();
        self.last_shift = 0.0;
    }

    /// Factors the system at a point. The Hessian is shifted until the inertia is that of a descent direction.
    pub fn factor(&mut self, model: &Model, values: &Values, point: &Point) -> Factored {
        for ((w, z), s) in self.weights.iter_mut().zip(&point.z).zip(&point.s) {
            *w = z / s;
        }
        values.assemble(model, point, &self.weights, &mut self.matrix, &mut self.corners);
        let wanted = 2 * model.n;
        let mut shift = 0.0;
        let mut added = 0.0;
        loop {
            let corners_fit = self.eliminate(model, shift);
            for block in &mut self.matrix.diagonal {
                block[0] += shift - added;
                block[5] += shift - added;
            }
            added = shift;
            let mut reduced = self.matrix.clone();
            self.reduce(model, &mut reduced);
            self.factor.factor(&model.pattern, &reduced);
            let good = corners_fit && self.factor.negative == wanted;
            if good || shift >= LARGEST_SHIFT {
                self.matrix = reduced;
                if shift > 0.0 {
                    self.last_shift = shift;
                }
                return Factored { shift, good };
            }
            shift = if shift > 0.0 {
                shift * if self.last_shift == 0.0 { 100.0 } else { 8.0 }
            } else if self.last_shift == 0.0 {
                FIRST_SHIFT
            } else {
                (self.last_shift / 3.0).max(1e-12)
            };
        }
    }

    /// Inverts the corners; false if one has the wrong inertia.
    fn eliminate(&mut self, model: &Model, shift: f64) -> bool {
        let mut fit = true;
        for (k, (solved, corner)) in self.solved.iter_mut().zip(&self.corners).enumerate() {
            let generator = &model.gens[k / 2];
            let (fixed, curve) = if k % 2 == 0 {
                (generator.fixed_p.is_some(), &generator.cost_p)
            } else {
                (generator.fixed_q.is_some(), &generator.cost_q)
            };
            let power = corner.power + shift + GENERATOR;
            let cost = corner.cost + GENERATOR;
            *solved = match curve {
                _ if fixed && matches!(curve, Curve::Polynomial(_)) => Corner::default(),
                Curve::Polynomial(_) => Corner { power: 1.0 / power, ..Corner::default() },
                Curve::Unknown(_) if fixed => Corner { cost: 1.0 / cost, ..Corner::default() },
                Curve::Unknown(_) => {
                    let determinant = power * cost - corner.both * corner.both;
                    Corner { power: cost / determinant, both: -corner.both / determinant, cost: power / determinant }
                }
            };
            fit &= solved.power >= 0.0 && solved.cost >= 0.0;
        }
        fit
    }

    /// Brings what was eliminated to the buses, and fixes what is given.
    fn reduce(&self, model: &Model, matrix: &mut Matrix) {
        for (k, generator) in model.gens.iter().enumerate() {
            let block = &mut matrix.diagonal[generator.bus];
            block[10] -= self.solved[2 * k].power;
            block[15] -= self.solved[2 * k + 1].power;
        }
        for block in &mut matrix.diagonal {
            block[10] -= BALANCE;
            block[15] -= BALANCE;
        }
        for &(bus, component, _) in &model.pinned {
            let block = &mut matrix.diagonal[bus];
            for k in 0..B {
                block[component * B + k] = 0.0;
                block[k * B + component] = 0.0;
            }
            block[component * B + component] = 1.0;
        }
        for &(edge, row, component) in &model.pinned_off {
            let block = &mut matrix.off[edge];
            for k in 0..B {
                block[if row { component * B + k } else { k * B + component }] = 0.0;
            }
        }
    }

    /// Solves for the step of the unknowns and of the prices. Right sides are overwritten with it.
    pub fn solve(&mut self, model: &Model, x: &mut [f64], y: &mut [[f64; 2]]) -> Quality {
        let n = model.n;
        let most = |v: f64, w: &f64| v.max(w.abs());
        let dual = x.iter().fold(0.0, most).max(LEAST_SCALE);
        let primal = y.iter().flatten().fold(0.0, most).max(LEAST_SCALE);
        for bus in 0..n {
            self.right[bus] = [x[bus], x[n + bus], y[bus][0], y[bus][1]];
        }
        for (k, generator) in model.gens.iter().enumerate() {
            for (side, (power, curve)) in
                [(model.p(k), &generator.cost_p), (model.q(k), &generator.cost_q)].into_iter().enumerate()
            {
                let corner = &self.solved[2 * k + side];
                let cost = if let Curve::Unknown(at) = curve { x[*at] } else { 0.0 };
                self.right[generator.bus][2 + side] += corner.power * x[power] + corner.both * cost;
            }
        }
        for &(bus, component, _) in &model.pinned {
            self.right[bus][component] = 0.0;
        }
        let scale = [dual, dual, primal, primal];
        let quality = loop {
            let (right, left) = (&self.right, &mut self.left);
            let quality = self.factor.solve(&model.pattern, &self.matrix, right, &scale, left, ACCURATE);
            if quality.residual <= USABLE || !self.factor.again(&model.pattern, &self.matrix) {
                break quality;
            }
        };
        for bus in 0..n {
            let [a, b, c, d] = self.left[bus];
            (x[bus], x[n + bus]) = (a, b);
            y[bus] = [c, d];
        }
        for (k, generator) in model.gens.iter().enumerate() {
            for (side, (power, curve)) in
                [(model.p(k), &generator.cost_p), (model.q(k), &generator.cost_q)].into_iter().enumerate()
            {
                let corner = self.solved[2 * k + side];
                let right = x[power] + y[generator.bus][side];
                if let Curve::Unknown(at) = curve {
                    let cost = x[*at];
                    x[*at] = corner.both * right + corner.cost * cost;
                    x[power] = corner.power * right + corner.both * cost;
                } else {
                    x[power] = corner.power * right;
                }
            }
        }
        quality
    }
}
