//! `P A Pᵀ = L U` of a matrix of 2 × 2 blocks whose pattern is symmetric though its values are not: the Jacobian of a
//! power flow. Pivoting stays inside a block; the diagonal blocks of a power flow outweigh the others.

use super::Pattern;

/// A dense block, row by row.
pub(crate) type Pair = [f64; 4];

/// The factors of the last matrix given.
#[derive(Clone, Debug)]
pub(crate) struct Lu {
    inverse: Vec<Pair>,
    lower: Vec<Pair>,
    upper: Vec<Pair>,
    work: Vec<[f64; 2]>,
}

impl Lu {
    pub fn new(pattern: &Pattern) -> Self {
        let (nodes, blocks) = (pattern.order.len(), pattern.rows.len());
        Self {
            inverse: vec![[0.0; 4]; nodes],
            lower: vec![[0.0; 4]; blocks],
            upper: vec![[0.0; 4]; blocks],
            work: vec![[0.0; 2]; nodes],
        }
    }

    /// Factors the matrix with these blocks on the diagonal and, for each edge `(i, j)` of the pattern, the blocks in row
    /// `i` and in row `j`. False when a block of the diagonal becomes singular.
    pub fn factor(&mut self, pattern: &Pattern, diagonal: &[Pair], off: &[(Pair, Pair)]) -> bool {
        for (inverse, &node) in self.inverse.iter_mut().zip(&pattern.order) {
            *inverse = diagonal[node];
        }
        self.lower.fill([0.0; 4]);
        self.upper.fill([0.0; 4]);
        for (&(row_i, row_j), &(slot, turned)) in off.iter().zip(&pattern.slots) {
            let (lower, upper) = if turned { (row_j, row_i) } else { (row_i, row_j) };
            (self.lower[slot as usize], self.upper[slot as usize]) = (lower, upper);
        }
        let mut targets = pattern.targets.iter();
        for step in 0..pattern.order.len() {
            let Some(inverse) = inverted(&self.inverse[step]) else { return false };
            self.inverse[step] = inverse;
            let (from, to) = (pattern.begins[step], pattern.begins[step + 1]);
            for a in from..to {
                self.lower[a] = product(&self.lower[a], &inverse);
            }
            for a in from..to {
                let (l, u) = (self.lower[a], self.upper[a]);
                for (b, &target) in (from..a).zip(targets.by_ref()) {
                    let (lb, ub) = (self.lower[b], self.upper[b]);
                    subtract(&mut self.lower[target as usize], &l, &ub);
                    subtract(&mut self.upper[target as usize], &lb, &u);
                }
                subtract(&mut self.inverse[pattern.rows[a]], &l, &u);
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
            let part = y[step];
            for at in pattern.begins[step]..pattern.begins[step + 1] {
                subtract_times(&mut y[pattern.rows[at]], &self.lower[at], &part);
            }
        }
        for step in (0..y.len()).rev() {
            let mut part = y[step];
            for at in pattern.begins[step]..pattern.begins[step + 1] {
                let other = y[pattern.rows[at]];
                subtract_times(&mut part, &self.upper[at], &other);
            }
            let m = &self.inverse[step];
            y[step] = [m[0] * part[0] + m[1] * part[1], m[2] * part[0] + m[3] * part[1]];
        }
        for (part, &node) in y.iter().zip(&pattern.order) {
            b[node] = *part;
        }
    }
}

fn inverted(m: &Pair) -> Option<Pair> {
    let determinant = m[0] * m[3] - m[1] * m[2];
    let size = m.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
    let inverse = 1.0 / determinant;
    (determinant.abs() > 1e-14 * size * size && inverse.is_finite())
        .then(|| [m[3] * inverse, -m[1] * inverse, -m[2] * inverse, m[0] * inverse])
}

#[inline]
fn product(a: &Pair, b: &Pair) -> Pair {
    [a[0] * b[0] + a[1] * b[2], a[0] * b[1] + a[1] * b[3], a[2] * b[0] + a[3] * b[2], a[2] * b[1] + a[3] * b[3]]
}

#[inline]
fn subtract(c: &mut Pair, a: &Pair, b: &Pair) {
    let p = product(a, b);
    for (c, p) in c.iter_mut().zip(p) {
        *c -= p;
    }
}

#[inline]
fn subtract_times(y: &mut [f64; 2], a: &Pair, x: &[f64; 2]) {
    y[0] -= a[0] * x[0] + a[1] * x[1];
    y[1] -= a[2] * x[0] + a[3] * x[1];
}
