//! The numbers of a factorisation, and solving with them.

use super::block::{Inverse, invert, product, subtract, subtract_times, subtract_transposed_times, transposed};
use super::{B, Block, Matrix, Part, Pattern, krylov};

/// `L D Lᵀ` of the last matrix given, and room to work in.
#[derive(Clone, Debug)]
pub(crate) struct Factor {
    /// Inverses of the blocks of `D`, by step.
    inverse: Vec<Block>,
    lower: Vec<Block>,
    /// `W = L D` of the column at work, turned over.
    column: Vec<Block>,
    permuted: Vec<Part>,
    correction: Vec<Part>,
    residual: Vec<Part>,
    /// Negative eigenvalues of the matrix.
    pub negative: usize,
    /// The smallest pivot of any block over that block's largest entry.
    pub weakest: f64,
}

/// How well a system was solved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quality {
    /// The largest entry of `b − A x` over that of `b`.
    pub residual: f64,
    pub refinements: usize,
}

/// Refinement stops here: rounding in `A x` is of this size.
const ENOUGH: f64 = 1e-13;
/// Above this after plain refinement, the factor serves as a preconditioner.
const POOR: f64 = 1e-9;

impl Factor {
    pub fn new(pattern: &Pattern) -> Self {
        let nodes = pattern.order.len();
        let widest = pattern.begins.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0);
        Self {
            inverse: vec![[0.0; B * B]; nodes],
            lower: vec![[0.0; B * B]; pattern.rows.len()],
            column: vec![[0.0; B * B]; widest],
            permuted: vec![[0.0; B]; nodes],
            correction: vec![[0.0; B]; nodes],
            residual: vec![[0.0; B]; nodes],
            negative: 0,
            weakest: 0.0,
        }
    }

    /// Factors `a + diag(shift)`, the same four shifts for each node. `floor` is what a vanishing pivot is raised to.
    pub fn factor(&mut self, pattern: &Pattern, a: &Matrix, shift: &Part, floor: f64) {
        for (step, &node) in pattern.order.iter().enumerate() {
            self.inverse[step] = a.diagonal[node];
            for (k, s) in shift.iter().enumerate() {
                self.inverse[step][k * B + k] += s;
            }
        }
        self.lower.fill([0.0; B * B]);
        for (block, &(slot, turned)) in a.off.iter().zip(&pattern.slots) {
            self.lower[slot as usize] = if turned { transposed(block) } else { *block };
        }
        self.negative = 0;
        self.weakest = f64::INFINITY;
        let mut targets = pattern.targets.iter();
        for step in 0..pattern.order.len() {
            let Inverse { block, negative, weakest } = invert(&self.inverse[step], floor);
            self.inverse[step] = block;
            self.negative += negative;
            self.weakest = self.weakest.min(weakest);
            let (from, to) = (pattern.begins[step], pattern.begins[step + 1]);
            for (at, w) in (from..to).zip(&mut self.column) {
                *w = transposed(&self.lower[at]);
                self.lower[at] = product(&self.lower[at], &block);
            }
            for a in from..to {
                let l = self.lower[a];
                for (w, &target) in self.column[..a - from].iter().zip(targets.by_ref()) {
                    subtract(&mut self.lower[target as usize], &l, w);
                }
                subtract(&mut self.inverse[pattern.rows[a]], &l, &self.column[a - from]);
            }
        }
    }

    /// `x = (L D Lᵀ)⁻¹ b`, as it comes.
    pub fn apply(&mut self, pattern: &Pattern, b: &[Part], x: &mut [Part]) {
        let y = &mut self.permuted;
        for (part, &node) in y.iter_mut().zip(&pattern.order) {
            *part = b[node];
        }
        for step in 0..y.len() {
            let part = y[step];
            for at in pattern.begins[step]..pattern.begins[step + 1] {
                subtract_times(&mut y[pattern.rows[at]], &self.lower[at], &part);
            }
        }
        for step in (0..y.len()).rev() {
            let mut part = [0.0; B];
            super::block::add_times(&mut part, &self.inverse[step], &y[step]);
            for at in pattern.begins[step]..pattern.begins[step + 1] {
                subtract_transposed_times(&mut part, &self.lower[at], &y[pattern.rows[at]]);
            }
            y[step] = part;
        }
        for (part, &node) in y.iter().zip(&pattern.order) {
            x[node] = *part;
        }
    }

    /// Solves `a x = b`, refining against `a`, whatever was added to it when it was factored, until the residual is
    /// `wanted` times the right side or falls no more.
    pub fn solve(&mut self, pattern: &Pattern, a: &Matrix, b: &[Part], x: &mut [Part], wanted: f64) -> Quality {
        let scale = b.iter().flatten().fold(0.0_f64, |most, v| most.max(v.abs()));
        if scale == 0.0 {
            x.fill([0.0; B]);
            return Quality { residual: 0.0, refinements: 0 };
        }
        self.apply(pattern, b, x);
        let mut residual = std::mem::take(&mut self.residual);
        let mut correction = std::mem::take(&mut self.correction);
        let mut reached = a.residual(b, x, &mut residual) / scale;
        let mut refinements = 0;
        while reached > wanted.max(ENOUGH) && refinements < 10 {
            self.apply(pattern, &residual, &mut correction);
            x.iter_mut().flatten().zip(correction.iter().flatten()).for_each(|(x, c)| *x += c);
            let next = a.residual(b, x, &mut residual) / scale;
            refinements += 1;
            if !(next < reached) {
                x.iter_mut().flatten().zip(correction.iter().flatten()).for_each(|(x, c)| *x -= c);
                break;
            }
            let slow = next > 0.5 * reached;
            reached = next;
            if slow {
                break;
            }
        }
        if !(reached <= wanted.max(POOR)) {
            reached = krylov::gmres(self, pattern, a, b, x, wanted.max(POOR) * 0.1) / scale;
        }
        self.residual = residual;
        self.correction = correction;
        Quality { residual: reached, refinements }
    }
}
