//! The numbers of a factorisation, and solving with them.
#![expect(clippy::neg_cmp_op_on_partial_ord, reason = "a NaN must count as a failure")]

use super::block::{
    Inverse, add_times, invert, product, subtract, subtract_times, subtract_transposed_times, transposed,
};
use super::fronts::Fronts;
use super::{B, Block, Matrix, Part, Pattern, krylov};

/// `L D Lᵀ` of the last matrix given, and room to work in.
#[derive(Clone, Debug)]
pub(crate) struct Factor {
    /// Inverses of the blocks of `D`, by step.
    inverse: Vec<Block>,
    lower: Vec<Block>,
    /// `W = L D` of the column at work, turned over.
    column: Vec<Block>,
    fronts: Option<Fronts>,
    /// The last matrix was factored with care.
    careful: bool,
    /// So many more are, without trying the other way.
    patience: u32,
    threshold: f64,
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

/// A pivot smaller than this much of what stands below it needs care: the factor could grow by its inverse.
const SMALL: f64 = 1e-7;
/// A matrix that needs care is followed by others that do: so many are not tried without.
const PATIENCE: u32 = 8;
/// With care, no pivot is smaller than this much of its column, and what that grows to where solutions are poor.
const FIRST_THRESHOLD: f64 = 1e-6;
const MORE: f64 = 100.0;
const LAST_THRESHOLD: f64 = 1e-2;
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
            fronts: None,
            careful: false,
            patience: 0,
            threshold: FIRST_THRESHOLD,
            permuted: vec![[0.0; B]; nodes],
            correction: vec![[0.0; B]; nodes],
            residual: vec![[0.0; B]; nodes],
            negative: 0,
        }
    }

    /// Whether the last matrix needed care.
    #[cfg(test)]
    pub fn is_careful(&self) -> bool {
        self.careful
    }

    /// Factors a matrix: in the order of the graph, or with care where a block is none to be eliminated by itself.
    pub fn factor(&mut self, pattern: &Pattern, a: &Matrix) {
        self.patience = self.patience.saturating_sub(1);
        self.careful = self.patience > 0 || !self.quick(pattern, a);
        if self.careful {
            if self.patience == 0 {
                self.patience = PATIENCE;
            }
            self.with_care(pattern, a);
        }
    }

    /// Factors the last matrix, which was solved poorly, once more; false where no more care can be taken.
    pub fn again(&mut self, pattern: &Pattern, a: &Matrix) -> bool {
        if self.careful {
            if self.threshold >= LAST_THRESHOLD {
                return false;
            }
            self.threshold *= MORE;
        }
        self.careful = true;
        self.patience = PATIENCE;
        self.with_care(pattern, a);
        true
    }

    /// Forgets what earlier matrices needed.
    pub fn begin(&mut self) {
        (self.patience, self.threshold) = (0, FIRST_THRESHOLD);
    }

    fn with_care(&mut self, pattern: &Pattern, a: &Matrix) {
        let fronts = self.fronts.get_or_insert_with(|| Fronts::new(pattern, &a.edges));
        fronts.factor(a, self.threshold);
        self.negative = fronts.negative;
    }

    /// In the order of the graph; false when a pivot is far smaller than what stands below it.
    fn quick(&mut self, pattern: &Pattern, a: &Matrix) -> bool {
        for (step, &node) in pattern.order.iter().enumerate() {
            self.inverse[step] = a.diagonal[node];
        }
        self.lower.fill([0.0; B * B]);
        for (block, &(slot, turned)) in a.off.iter().zip(&pattern.slots) {
            self.lower[slot as usize] = if turned { transposed(block) } else { *block };
        }
        self.negative = 0;
        let mut targets = pattern.targets.iter();
        for step in 0..pattern.order.len() {
            let (from, to) = (pattern.begins[step], pattern.begins[step + 1]);
            let mut below = [0.0_f64; B];
            for block in &self.lower[from..to] {
                for (k, v) in block.iter().enumerate() {
                    below[k % B] = below[k % B].max(v.abs());
                }
            }
            let Some(Inverse { block, negative }) = invert(&self.inverse[step], &below.map(|v| SMALL * v)) else {
                return false;
            };
            self.inverse[step] = block;
            self.negative += negative;
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
        true
    }

    /// `x = A⁻¹ b`, as it comes.
    pub fn apply(&mut self, pattern: &Pattern, b: &[Part], x: &mut [Part]) {
        if let (true, Some(fronts)) = (self.careful, &mut self.fronts) {
            fronts.apply(b, x);
            return;
        }
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
            add_times(&mut part, &self.inverse[step], &y[step]);
            for at in pattern.begins[step]..pattern.begins[step + 1] {
                subtract_transposed_times(&mut part, &self.lower[at], &y[pattern.rows[at]]);
            }
            y[step] = part;
        }
        for (part, &node) in y.iter().zip(&pattern.order) {
            x[node] = *part;
        }
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
