//! Regression toward least absolute deviations, with a ridge: every sum in the order in which it is written.
//!
//! Least absolute deviations by reweighted least squares (Schlossmacher, 1973), the weights bounded; the ridge is that of
//! Hoerl and Kennard (1970) on standardised columns, and pulls toward coefficients that are given.

use super::series::count_f64;

/// Rows of equal width, one after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    pub width: usize,
    pub x: Vec<f64>,
    pub y: Vec<f64>,
}

impl Rows {
    pub fn row(&self, i: usize) -> &[f64] {
        &self.x[i * self.width..(i + 1) * self.width]
    }
}

/// `Σ xᵢ·bᵢ`, in order.
pub(super) fn product(x: &[f64], b: &[f64]) -> f64 {
    x.iter().zip(b).map(|(x, b)| x * b).sum()
}

/// The coefficients that meet the rows best, near `toward`. `ridge` is in units of a row's weight.
pub(super) fn fit(rows: &Rows, toward: &[f64], ridge: f64, rounds: usize) -> Vec<f64> {
    let (k, n) = (rows.width, rows.y.len());
    let mut found = toward.to_vec();
    if n == 0 {
        return found;
    }
    let misses = |b: &[f64]| -> Vec<f64> { (0..n).map(|i| rows.y[i] - product(rows.row(i), b)).collect() };
    let mut weights = vec![1.0; n];
    for round in 0..=rounds {
        if round > 0 {
            let off = misses(&found);
            let mut sizes: Vec<f64> = off.iter().map(|m| m.abs()).collect();
            sizes.sort_unstable_by(f64::total_cmp);
            // A miss far below the usual one must not decide everything.
            let floor = sizes[n / 2] * 0.3;
            let mean = sizes.iter().sum::<f64>() / count_f64(n);
            if mean <= 0.0 || floor <= 0.0 {
                break;
            }
            weights = off.iter().map(|m| mean / m.abs().max(floor)).collect();
        }
        let mut gram = vec![0.0; k * k];
        let mut right = vec![0.0; k];
        let base = misses(toward);
        for i in 0..n {
            let row = rows.row(i);
            for a in 0..k {
                let wa = weights[i] * row[a];
                if wa != 0.0 {
                    for (g, x) in gram[a * k..=a * k + a].iter_mut().zip(row) {
                        *g += wa * x;
                    }
                    right[a] += wa * base[i];
                }
            }
        }
        for a in 0..k {
            gram[a * k + a] += ridge;
        }
        let Some(moved) = solve(&mut gram, right, k) else { break };
        found = toward.iter().zip(&moved).map(|(t, m)| t + m).collect();
    }
    found
}

/// Solves a symmetric positive definite system of which the lower half is given, by Cholesky's method.
fn solve(a: &mut [f64], mut b: Vec<f64>, k: usize) -> Option<Vec<f64>> {
    for i in 0..k {
        for j in 0..=i {
            let sum = a[i * k + j] - product(&a[i * k..i * k + j], &a[j * k..j * k + j]);
            if i == j {
                if !sum.is_finite() || sum <= 0.0 {
                    return None;
                }
                a[i * k + i] = sum.sqrt();
            } else {
                a[i * k + j] = sum / a[j * k + j];
            }
        }
        b[i] = (b[i] - product(&a[i * k..i * k + i], &b[..i])) / a[i * k + i];
    }
    for i in (0..k).rev() {
        let sum: f64 = (i + 1..k).map(|j| a[j * k + i] * b[j]).sum();
        b[i] = (b[i] - sum) / a[i * k + i];
    }
    b.iter().all(|v| v.is_finite()).then_some(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(rows: &[([f64; 2], f64)]) -> Rows {
        let mut all = Rows { width: 2, ..Rows::default() };
        for (x, y) in rows {
            all.x.extend_from_slice(x);
            all.y.push(*y);
        }
        all
    }

    #[test]
    fn a_line_is_found_and_one_wild_row_does_not_bend_it() {
        let mut rows: Vec<_> =
            (0..40).map(|i| ([1.0, f64::from(i)], 3.0 + 2.0 * f64::from(i) + f64::from(i % 3) * 0.01)).collect();
        let clean = fit(&line(&rows), &[0.0, 0.0], 1e-9, 0);
        assert!((clean[0] - 3.01).abs() < 0.02 && (clean[1] - 2.0).abs() < 1e-3, "{clean:?}");
        rows[39].1 = 10_000.0;
        let squares = fit(&line(&rows), &[0.0, 0.0], 1e-9, 0);
        let robust = fit(&line(&rows), &[0.0, 0.0], 1e-9, 30);
        assert!((squares[1] - 2.0).abs() > 10.0 && (robust[1] - 2.0).abs() < 0.5, "{squares:?} {robust:?}");
    }

    #[test]
    fn without_rows_or_with_a_strong_ridge_what_was_given_stays() {
        assert_eq!(fit(&line(&[]), &[5.0, 6.0], 1.0, 3), [5.0, 6.0]);
        let held = fit(&line(&[([1.0, 0.0], 0.0)]), &[5.0, 6.0], 1e12, 0);
        assert!((held[0] - 5.0).abs() < 1e-6 && (held[1] - 6.0).abs() < 1e-6, "{held:?}");
    }
}
