//! `P A Pᵀ = L D Lᵀ` of a symmetric matrix of 2 × 2 blocks over a graph: an angle and a price at each bus. Pivoting stays
//! inside a block.

use super::{Pair, Pattern};

/// The factor of the last matrix given.
#[derive(Clone, Debug)]
pub(crate) struct Twin {
    /// Inverses of the blocks of `D`, by step.
    inverse: Vec<Pair>,
    lower: Vec<Pair>,
    /// `L D` of the column at work.
    column: Vec<Pair>,
    work: Vec<[f64; 2]>,
}

impl Twin {
    pub fn new(pattern: &Pattern) -> Self {
        let nodes = pattern.order.len();
        let widest = pattern.begins.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0);
        Self {
            inverse: vec![[0.0; 4]; nodes],
            lower: vec![[0.0; 4]; pattern.rows.len()],
            column: vec![[0.0; 4]; widest],
            work: vec![[0.0; 2]; nodes],
        }
    }

    /// Factors the matrix with these blocks on the diagonal and, for each edge `(i, j)` of the pattern, this block in row
    /// `i`. False when a block of the diagonal becomes singular.
    pub fn factor(&mut self, pattern: &Pattern, diagonal: &[Pair], off: &[Pair]) -> bool {
        for (block, &node) in self.inverse.iter_mut().zip(&pattern.order) {
            *block = diagonal[node];
        }
        self.lower.fill([0.0; 4]);
        for (&block, &(slot, turned)) in off.iter().zip(&pattern.slots) {
            self.lower[slot as usize] = if turned { [block[0], block[2], block[1], block[3]] } else { block };
        }
        let mut targets = pattern.targets.iter();
        for step in 0..self.inverse.len() {
            let Some(inverse) = inverted(&self.inverse[step]) else { return false };
            self.inverse[step] = inverse;
            let (from, to) = (pattern.begins[step], pattern.begins[step + 1]);
            for (k, at) in (from..to).enumerate() {
                let w = self.lower[at];
                let l = product(&w, &inverse);
                self.column[k] = w;
                self.lower[at] = l;
                for (w, &target) in self.column[..k].iter().zip(targets.by_ref()) {
                    subtract(&mut self.lower[target as usize], &l, w);
                }
                subtract(&mut self.inverse[pattern.rows[at]], &l, &w);
            }
        }
        true
    }

    /// Replaces `b` by `A⁻¹ b`.
    pub fn solve(&mut self, pattern: &Pattern, b: &mut [[f64; 2]]) {
        let y = &mut self.work;
        for (part, &node) in y.iter_mut().zip(&pattern.order) {
            *part = b[node];
        }
        for step in 0..y.len() {
            let x = y[step];
            let range = pattern.begins[step]..pattern.begins[step + 1];
            for (m, &row) in self.lower[range.clone()].iter().zip(&pattern.rows[range]) {
                y[row][0] -= m[0] * x[0] + m[1] * x[1];
                y[row][1] -= m[2] * x[0] + m[3] * x[1];
            }
        }
        for step in (0..y.len()).rev() {
            let (m, x) = (&self.inverse[step], y[step]);
            let mut part = [m[0] * x[0] + m[1] * x[1], m[2] * x[0] + m[3] * x[1]];
            let range = pattern.begins[step]..pattern.begins[step + 1];
            for (m, &row) in self.lower[range.clone()].iter().zip(&pattern.rows[range]) {
                let x = y[row];
                part[0] -= m[0] * x[0] + m[2] * x[1];
                part[1] -= m[1] * x[0] + m[3] * x[1];
            }
            y[step] = part;
        }
        for (part, &node) in y.iter().zip(&pattern.order) {
            b[node] = *part;
        }
    }
}

/// The inverse of a symmetric block.
#[inline]
fn inverted(m: &Pair) -> Option<Pair> {
    let inverse = 1.0 / (m[0] * m[3] - m[1] * m[1]);
    inverse.is_finite().then(|| [m[3] * inverse, -m[1] * inverse, -m[1] * inverse, m[0] * inverse])
}

#[inline]
fn product(a: &Pair, b: &Pair) -> Pair {
    [a[0] * b[0] + a[1] * b[2], a[0] * b[1] + a[1] * b[3], a[2] * b[0] + a[3] * b[2], a[2] * b[1] + a[3] * b[3]]
}

/// `c -= l · wᵀ`.
#[inline]
fn subtract(c: &mut Pair, l: &Pair, w: &Pair) {
    c[0] -= l[0] * w[0] + l[1] * w[1];
    c[1] -= l[0] * w[2] + l[1] * w[3];
    c[2] -= l[2] * w[0] + l[3] * w[1];
    c[3] -= l[2] * w[2] + l[3] * w[3];
}
