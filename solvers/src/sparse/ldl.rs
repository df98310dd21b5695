//! The numbers of a factorisation, and solving with them.
#![expect(clippy::neg_cmp_op_on_partial_ord, reason = "a NaN must count as a failure")]

use super::block::{Inverse, invert, product, subtract, subtract_times, subtract_transposed_times, transposed};
use super::border::Border;
use super::{B, Block, Matrix, Part, Pattern, krylov};

/// `L D Lᵀ` of the last matrix given, and room to work in.
#[derive(Clone, Debug)]
pub(crate) struct Factor {
    /// Inverses of the blocks of `D`, by step.
    inverse: Vec<Block>,
    lower: Vec<Block>,
    /// `W = L D` of the column at work, turned over.
    column: Vec<Block>,
    border: Border,
    permuted: Vec<Part>,
    correction: Vec<Part>,
    residual: Vec<Part>,
    /// Negative eigenvalues of the matrix.
    pub negative: usize,
}

/// How well a system was solved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quality {
    /// The largest entry of `b − A x`, each over the scale of its row.
    pub residual: f64,
    pub refinements: usize,
}

/// A pivot is set aside when it is below this much of what stands below it: the factor may then grow by its inverse,
/// which refinement makes good.
const SMALL: f64 = 1e-7;
/// More rows than this set aside mean a matrix that is worth no factor: it counts as one of impossible inertia.
const MOST_ASIDE: usize = 400;
/// Refinement that works needs fewer.
const MOST_REFINEMENTS: usize = 10;
/// This many times what was wanted is too much after plain refinement: the factor then serves as a preconditioner.
const POOR: f64 = 1e3;

impl Factor {
    pub fn new(pattern: &Pattern) -> Self {
        let nodes = pattern.order.len();
        let widest = pattern.begins.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0);
        Self {
            inverse: vec![[0.0; B * B]; nodes],
            lower: vec![[0.0; B * B]; pattern.rows.len()],
            column: vec![[0.0; B * B]; widest],
            border: Border::default(),
            permuted: vec![[0.0; B]; nodes],
            correction: vec![[0.0; B]; nodes],
            residual: vec![[0.0; B]; nodes],
            negative: 0,
        }
    }

    /// Rows that could not be eliminated in their place.
    #[cfg(test)]
    pub fn set_aside(&self) -> usize {
        self.border.rows.len()
    }

    /// Factors a matrix. A row whose pivot is far smaller than what stands below it is set aside, and decided about with
    /// its like when all others are eliminated.
    pub fn factor(&mut self, pattern: &Pattern, a: &Matrix) {
        for (step, &node) in pattern.order.iter().enumerate() {
            self.inverse[step] = a.diagonal[node];
        }
        self.lower.fill([0.0; B * B]);
        for (block, &(slot, turned)) in a.off.iter().zip(&pattern.slots) {
            self.lower[slot as usize] = if turned { transposed(block) } else { *block };
        }
        self.negative = 0;
        self.border.rows.clear();
        let mut targets = pattern.targets.iter();
        for step in 0..pattern.order.len() {
            let (from, to) = (pattern.begins[step], pattern.begins[step + 1]);
            let mut below = [0.0_f64; B];
            for block in &self.lower[from..to] {
                for (k, v) in block.iter().enumerate() {
                    below[k % B] = below[k % B].max(v.abs());
                }
            }
            let Inverse { block, negative, left_out } = invert(&self.inverse[step], &below.map(|v| SMALL * v));
            self.inverse[step] = block;
            self.negative += negative;
            for k in (0..B).filter(|k| left_out[*k]) {
                if self.border.rows.len() == MOST_ASIDE {
                    self.negative = usize::MAX;
                    self.border.rows.clear();
                    return;
                }
                self.border.rows.push((step, k));
                self.leave_out(pattern, step, k);
            }
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
        let mut border = std::mem::take(&mut self.border);
        self.negative += border.factor(self, pattern, a);
        self.border = border;
    }

    /// What the factor is when row `k` of a step had been one of the unit matrix from the beginning.
    fn leave_out(&mut self, pattern: &Pattern, step: usize, k: usize) {
        for block in &mut self.lower[pattern.begins[step]..pattern.begins[step + 1]] {
            (0..B).for_each(|r| block[r * B + k] = 0.0);
        }
        for &at in &pattern.across[pattern.across_begins[step]..pattern.across_begins[step + 1]] {
            self.lower[at as usize][k * B..k * B + B].fill(0.0);
        }
    }

    /// `y = L⁻¹ y`, in the order of steps.
    pub(super) fn forward(&self, pattern: &Pattern, y: &mut [Part]) {
        for step in 0..y.len() {
            let part = y[step];
            if part == [0.0; B] {
                continue;
            }
            for at in pattern.begins[step]..pattern.begins[step + 1] {
                subtract_times(&mut y[pattern.rows[at]], &self.lower[at], &part);
            }
        }
    }

    /// `D⁻¹ y` at a step.
    pub(super) fn across(&self, step: usize, y: &Part) -> Part {
        let mut part = [0.0; B];
        super::block::add_times(&mut part, &self.inverse[step], y);
        part
    }

    /// `x = A⁻¹ b`, as it comes.
    pub fn apply(&mut self, pattern: &Pattern, b: &[Part], x: &mut [Part]) {
        let mut y = std::mem::take(&mut self.permuted);
        for (part, &node) in y.iter_mut().zip(&pattern.order) {
            *part = b[node];
        }
        let mut border = std::mem::take(&mut self.border);
        border.take(&mut y);
        self.forward(pattern, &mut y);
        border.solve(&mut y);
        for step in (0..y.len()).rev() {
            let mut part = self.across(step, &y[step]);
            for at in pattern.begins[step]..pattern.begins[step + 1] {
                subtract_transposed_times(&mut part, &self.lower[at], &y[pattern.rows[at]]);
            }
            y[step] = part;
        }
        border.give(&mut y);
        for (part, &node) in y.iter().zip(&pattern.order) {
            x[node] = *part;
        }
        self.border = border;
        self.permuted = y;
    }

    /// Solves `a x = b`, refining against `a`, whatever was added to it when it was factored, until no entry of the
    /// residual is more than `wanted` of the `scale` of its row in a node, or it falls no more.
    pub fn solve(
        &mut self,
        pattern: &Pattern,
        a: &Matrix,
        b: &[Part],
        scale: &Part,
        x: &mut [Part],
        wanted: f64,
    ) -> Quality {
        self.apply(pattern, b, x);
        let mut residual = std::mem::take(&mut self.residual);
        let mut correction = std::mem::take(&mut self.correction);
        let mut reached = a.residual(b, x, scale, &mut residual);
        let mut refinements = 0;
        while reached > wanted && refinements < MOST_REFINEMENTS {
            self.apply(pattern, &residual, &mut correction);
            x.iter_mut().flatten().zip(correction.iter().flatten()).for_each(|(x, c)| *x += c);
            let next = a.residual(b, x, scale, &mut residual);
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
        if !(reached <= wanted * POOR) {
            reached = krylov::gmres(self, pattern, a, b, scale, x, wanted * POOR * 0.1);
        }
        self.residual = residual;
        self.correction = correction;
        Quality { residual: reached, refinements }
    }
}
