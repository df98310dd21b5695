//! Arithmetic on one 4 × 4 block.
#![expect(clippy::neg_cmp_op_on_partial_ord, reason = "a NaN must count as a failure")]

use super::{B, Block, Part};

/// The inverse of a symmetric block, and what was learned on the way.
pub(super) struct Inverse {
    pub block: Block,
    pub negative: usize,
    /// Rows that were left out, as if they were those of the unit matrix.
    pub left_out: [bool; B],
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

/// Gauss–Jordan with complete symmetric pivoting on pivots of one or two rows. Rows whose pivot would be below `least`,
/// each its own, are left out.
pub(super) fn invert(a: &Block, least: &Part) -> Inverse {
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
            if diagonal < least[p] {
                break;
            }
            negative += usize::from(m[p][p] < 0.0);
            sweep(&mut m, p);
            left[p] = false;
            remaining -= 1;
        } else {
            // |determinant| ≥ (1 − α²) off²: one of the eigenvalues is negative, the other positive.
            if off < least[q].max(least[r]) {
                break;
            }
            negative += 1;
            sweep_pair(&mut m, q, r);
            (left[q], left[r]) = (false, false);
            remaining -= 2;
        }
    }
    if remaining > 0 {
        for i in (0..B).filter(|i| left[*i]) {
            m[i] = [0.0; B];
            m.iter_mut().for_each(|row| row[i] = 0.0);
            m[i][i] = -1.0;
        }
    }
    let block = std::array::from_fn(|k| -0.5 * (m[k / B][k % B] + m[k % B][k / B]));
    Inverse { block, negative, left_out: left }
}

/// The same for a matrix of any size, which becomes its inverse; returns how many of its eigenvalues are negative.
pub(super) fn invert_dense(m: &mut [Vec<f64>]) -> usize {
    let size = m.len();
    let mut left: Vec<usize> = (0..size).collect();
    let mut negative = 0;
    while !left.is_empty() {
        let (mut diagonal, mut p) = (-1.0, 0);
        let (mut off, mut q, mut r) = (-1.0, 0, 0);
        for (a, &i) in left.iter().enumerate() {
            if !(m[i][i].abs() <= diagonal) {
                (diagonal, p) = (m[i][i].abs(), i);
            }
            for &j in &left[..a] {
                if m[i][j].abs() > off {
                    (off, q, r) = (m[i][j].abs(), i, j);
                }
            }
        }
        if !(diagonal < ALPHA * off) {
            if m[p][p] == 0.0 {
                m[p][p] = f64::MIN_POSITIVE;
            }
            negative += usize::from(m[p][p] < 0.0);
            let inverse = 1.0 / m[p][p];
            let row = m[p].clone();
            for (_, line) in m.iter_mut().enumerate().filter(|(i, line)| *i != p && line[p] != 0.0) {
                let factor = line[p] * inverse;
                line.iter_mut().zip(&row).for_each(|(v, r)| *v -= factor * r);
                line[p] = factor;
            }
            m[p].iter_mut().zip(&row).for_each(|(v, r)| *v = r * inverse);
            m[p][p] = -inverse;
            left.retain(|i| *i != p);
        } else {
            negative += 1;
            let (a, b, d) = (m[q][q], m[q][r], m[r][r]);
            let inverse = 1.0 / (a * d - b * b);
            let (ia, ib, id) = (d * inverse, -b * inverse, a * inverse);
            let (first, second) = (m[q].clone(), m[r].clone());
            for (_, line) in m.iter_mut().enumerate().filter(|(i, _)| *i != q && *i != r) {
                let (x, y) = (line[q] * ia + line[r] * ib, line[q] * ib + line[r] * id);
                for ((v, f), s) in line.iter_mut().zip(&first).zip(&second) {
                    *v -= x * f + y * s;
                }
                (line[q], line[r]) = (x, y);
            }
            for j in 0..size {
                (m[q][j], m[r][j]) = (ia * first[j] + ib * second[j], ib * first[j] + id * second[j]);
            }
            (m[q][q], m[q][r], m[r][q], m[r][r]) = (-ia, -ib, -ib, -id);
            left.retain(|i| *i != q && *i != r);
        }
    }
    m.iter_mut().flatten().for_each(|v| *v = -*v);
    negative
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
