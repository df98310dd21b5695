//! Arithmetic on one 4 × 4 block.
#![expect(clippy::neg_cmp_op_on_partial_ord, reason = "a NaN must count as a failure")]

use super::{B, Block, Part};

/// The inverse of a symmetric block, and how many of its eigenvalues are negative.
pub(super) struct Inverse {
    pub block: Block,
    pub negative: usize,
}

/// `c -= l · w`.
#[inline]
pub(super) fn subtract(c: &mut Block, l: &Block, w: &Block) {
    for r in 0..B {
        let mut row = [c[r * B], c[r * B + 1], c[r * B + 2], c[r * B + 3]];
        for t in 0..B {
            let factor = l[r * B + t];
            for (k, cell) in row.iter_mut().enumerate() {
                *cell -= factor * w[t * B + k];
            }
        }
        c[r * B..r * B + B].copy_from_slice(&row);
    }
}

/// `a · b`.
#[inline]
pub(super) fn product(a: &Block, b: &Block) -> Block {
    let mut c = [0.0; B * B];
    for r in 0..B {
        for t in 0..B {
            let factor = a[r * B + t];
            for k in 0..B {
                c[r * B + k] += factor * b[t * B + k];
            }
        }
    }
    c
}

#[inline]
pub(super) fn transposed(a: &Block) -> Block {
    std::array::from_fn(|k| a[(k % B) * B + k / B])
}

/// `y += a · x`.
#[inline]
pub(super) fn add_times(y: &mut Part, a: &Block, x: &Part) {
    for r in 0..B {
        y[r] += a[r * B] * x[0] + a[r * B + 1] * x[1] + a[r * B + 2] * x[2] + a[r * B + 3] * x[3];
    }
}

/// `y += aᵀ · x`.
#[inline]
pub(super) fn add_transposed_times(y: &mut Part, a: &Block, x: &Part) {
    for t in 0..B {
        for (k, cell) in y.iter_mut().enumerate() {
            *cell += a[t * B + k] * x[t];
        }
    }
}

/// `y -= a · x`.
#[inline]
pub(super) fn subtract_times(y: &mut Part, a: &Block, x: &Part) {
    add_times(y, a, &x.map(|v| -v));
}

/// `y -= aᵀ · x`.
#[inline]
pub(super) fn subtract_transposed_times(y: &mut Part, a: &Block, x: &Part) {
    add_transposed_times(y, a, &x.map(|v| -v));
}

/// (1 + √17)/8, which balances the growth of one and two by two pivots (Bunch and Parlett 1971).
const ALPHA: f64 = 0.640_388_203_202_208;

/// Gauss–Jordan with complete symmetric pivoting on pivots of one or two rows; none where one would be below `least`, each
/// row its own.
pub(super) fn invert(a: &Block, least: &Part) -> Option<Inverse> {
    let mut m: [[f64; B]; B] = std::array::from_fn(|r| std::array::from_fn(|c| a[r * B + c]));
    let mut left = [true; B];
    let mut remaining = B;
    let mut negative = 0;
    while remaining > 0 {
        let (mut diagonal, mut p) = (-1.0, B);
        let (mut off, mut q, mut r) = (-1.0, 0, 0);
        for i in 0..B {
            if !left[i] {
                continue;
            }
            // A NaN is taken too, and shows in the solution.
            if !(m[i][i].abs() <= diagonal) {
                (diagonal, p) = (m[i][i].abs(), i);
            }
            for j in 0..i {
                if left[j] && m[i][j].abs() > off {
                    (off, q, r) = (m[i][j].abs(), i, j);
                }
            }
        }
        if !(diagonal < ALPHA * off) {
            if !(diagonal >= least[p] && diagonal > 0.0) {
                return None;
            }
            negative += usize::from(m[p][p] < 0.0);
            sweep(&mut m, p);
            left[p] = false;
            remaining -= 1;
        } else {
            // |determinant| ≥ (1 − α²) off²: one of the eigenvalues is negative, the other positive.
            if off < least[q].max(least[r]) {
                return None;
            }
            negative += 1;
            sweep_pair(&mut m, q, r);
            (left[q], left[r]) = (false, false);
            remaining -= 2;
        }
    }
    let block = std::array::from_fn(|k| -0.5 * (m[k / B][k % B] + m[k % B][k / B]));
    Some(Inverse { block, negative })
}

/// The sweep operator (Beaton 1964): after it was applied to every index the matrix is minus its inverse.
#[inline]
fn sweep(m: &mut [[f64; B]; B], p: usize) {
    let inverse = 1.0 / m[p][p];
    let row = m[p];
    for (i, line) in m.iter_mut().enumerate() {
        if i == p {
            continue;
        }
        let factor = line[p] * inverse;
        for j in 0..B {
            line[j] -= factor * row[j];
        }
        line[p] = factor;
    }
    for j in 0..B {
        m[p][j] = row[j] * inverse;
    }
    m[p][p] = -inverse;
}

/// The same over the two rows `p` and `q` at once.
#[inline]
fn sweep_pair(m: &mut [[f64; B]; B], p: usize, q: usize) {
    let (a, b, d) = (m[p][p], m[p][q], m[q][q]);
    let inverse = 1.0 / (a * d - b * b);
    let (ia, ib, id) = (d * inverse, -b * inverse, a * inverse);
    let (first, second) = (m[p], m[q]);
    for (i, line) in m.iter_mut().enumerate() {
        if i == p || i == q {
            continue;
        }
        let (x, y) = (line[p] * ia + line[q] * ib, line[p] * ib + line[q] * id);
        for j in 0..B {
            line[j] -= x * first[j] + y * second[j];
        }
        (line[p], line[q]) = (x, y);
    }
    for j in 0..B {
        (m[p][j], m[q][j]) = (ia * first[j] + ib * second[j], ib * first[j] + id * second[j]);
    }
    (m[p][p], m[p][q], m[q][p], m[q][q]) = (-ia, -ib, -ib, -id);
}
