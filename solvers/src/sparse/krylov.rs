//! What is done when refinement does not converge: the factor, poor as it is, preconditions a Krylov method.

use super::{B, Factor, Matrix, Part, Pattern};

/// Dimensions of the space before it is given up.
const DEPTH: usize = 30;

/// What the residual is measured with: rows by their scales.
fn dot(a: &[Part], b: &[Part], scale: &Part) -> f64 {
    let over = scale.map(|s| 1.0 / (s * s));
    a.iter().zip(b).map(|(a, b)| (0..B).map(|k| a[k] * b[k] * over[k]).sum::<f64>()).sum()
}

/// GMRES, preconditioned from the right (Saad and Schultz 1986), until the residual, its rows over their scales, is `wanted`.
/// Overwrites `x` if that gets closer than `x` was; returns the largest entry of the residual of `x`.
pub(super) fn gmres(
    factor: &mut Factor,
    pattern: &Pattern,
    a: &Matrix,
    b: &[Part],
    scale: &Part,
    x: &mut [Part],
    wanted: f64,
) -> f64 {
    let nodes = b.len();
    let mut residual = vec![[0.0; B]; nodes];
    let mut before = a.residual(b, x, scale, &mut residual);
    if !before.is_finite() {
        x.fill([0.0; B]);
        residual.copy_from_slice(b);
        before = f64::INFINITY;
    }
    let goal = wanted;
    let beta = dot(&residual, &residual, scale).sqrt();
    let mut basis: Vec<Vec<Part>> = vec![residual.iter().map(|part| part.map(|v| v / beta)).collect()];
    let mut directions: Vec<Vec<Part>> = Vec::new();
    let mut h: Vec<Vec<f64>> = Vec::new();
    let (mut turns, mut g): (Vec<(f64, f64)>, Vec<f64>) = (Vec::new(), vec![beta]);
    for k in 0..DEPTH {
        let mut z = vec![[0.0; B]; nodes];
        factor.apply(pattern, &basis[k], &mut z);
        let mut w = vec![[0.0; B]; nodes];
        a.times(&z, &mut w);
        let mut column = Vec::with_capacity(k + 2);
        for v in &basis {
            let c = dot(&w, v, scale);
            w.iter_mut().flatten().zip(v.iter().flatten()).for_each(|(w, v)| *w -= c * v);
            column.push(c);
        }
        let norm = dot(&w, &w, scale).sqrt();
        if !norm.is_finite() {
            break;
        }
        for (i, &(c, s)) in turns.iter().enumerate() {
            let (p, q) = (column[i], column[i + 1]);
            (column[i], column[i + 1]) = (c * p + s * q, c * q - s * p);
        }
        let r = libm::hypot(column[k], norm);
        if r == 0.0 {
            break;
        }
        let (c, s) = (column[k] / r, norm / r);
        column[k] = r;
        let last = g[k];
        g[k] = c * last;
        g.push(-s * last);
        turns.push((c, s));
        h.push(column);
        directions.push(z);
        if g[k + 1].abs() <= goal || norm <= f64::EPSILON * r {
            break;
        }
        basis.push(w.iter().map(|part| part.map(|v| v / norm)).collect());
    }
    let steps = h.len();
    let mut y = vec![0.0; steps];
    for i in (0..steps).rev() {
        let known: f64 = (i + 1..steps).map(|j| h[j][i] * y[j]).sum();
        y[i] = (g[i] - known) / h[i][i];
    }
    let mut better = x.to_vec();
    for (factor, z) in y.iter().zip(&directions) {
        better.iter_mut().flatten().zip(z.iter().flatten()).for_each(|(x, z)| *x += factor * z);
    }
    let after = a.residual(b, &better, scale, &mut residual);
    if after < before {
        x.copy_from_slice(&better);
        return after;
    }
    before
}
