//! Rows that were set aside: `[A B; Bᵀ C]` with few columns in `B`. Their Schur complement `C − Bᵀ A⁻¹ B` is dense, small,
//! and pivoted as a whole.

use super::block::invert_dense;
use super::{B, Factor, Matrix, Part, Pattern};

#[derive(Clone, Debug, Default)]
pub(super) struct Border {
    /// Step and row in its block.
    pub rows: Vec<(usize, usize)>,
    /// `L⁻¹ B`, by row, from the step where it begins.
    forward: Vec<(usize, Vec<Part>)>,
    /// `D⁻¹ L⁻¹ B`.
    across: Vec<Vec<Part>>,
    /// The inverse of the Schur complement.
    inverse: Vec<Vec<f64>>,
    /// Right sides and solutions of the rows.
    right: Vec<f64>,
    left: Vec<f64>,
}

impl Border {
    /// Factors what was set aside from `a`; returns the negative eigenvalues of its Schur complement.
    pub fn factor(&mut self, factor: &Factor, pattern: &Pattern, a: &Matrix) -> usize {
        self.forward.clear();
        self.across.clear();
        let size = self.rows.len();
        self.inverse = vec![vec![0.0; size]; size];
        self.right.resize(size, 0.0);
        self.left.resize(size, 0.0);
        if size == 0 {
            return 0;
        }
        let steps = pattern.order.len();
        let mut beside: Vec<Vec<usize>> = vec![Vec::new(); steps];
        for &(step, _) in &self.rows {
            beside[step].push(usize::MAX);
        }
        for (edge, &(i, j)) in a.edges.iter().enumerate() {
            for step in [pattern.position[i], pattern.position[j]] {
                if !beside[step].is_empty() {
                    beside[step].push(edge);
                }
            }
        }
        for (index, &(step, k)) in self.rows.iter().enumerate() {
            let mut column = vec![[0.0; B]; steps];
            let node = pattern.order[step];
            column[step] = std::array::from_fn(|r| a.diagonal[node][r * B + k]);
            for &edge in beside[step].iter().filter(|edge| **edge != usize::MAX) {
                let ((i, j), block) = (a.edges[edge], &a.off[edge]);
                if i == node {
                    column[pattern.position[j]] = std::array::from_fn(|r| block[k * B + r]);
                } else {
                    column[pattern.position[i]] = std::array::from_fn(|r| block[r * B + k]);
                }
            }
            for (other, &(step, k)) in self.rows.iter().enumerate() {
                self.inverse[index][other] = column[step][k];
                column[step][k] = 0.0;
            }
            factor.forward(pattern, &mut column);
            let first = column.iter().position(|part| *part != [0.0; B]).unwrap_or(steps);
            column.drain(..first);
            self.across.push((first..steps).map(|step| factor.across(step, &column[step - first])).collect());
            self.forward.push((first, column));
        }
        for i in 0..size {
            for j in 0..=i {
                let (first, v) = &self.forward[i];
                let second = self.forward[j].0;
                let from = (*first).max(second);
                let dot: f64 = v[from - first..]
                    .iter()
                    .zip(&self.across[j][from - second..])
                    .map(|(v, u)| v[0] * u[0] + v[1] * u[1] + v[2] * u[2] + v[3] * u[3])
                    .sum();
                let value = self.inverse[i][j] - dot;
                (self.inverse[i][j], self.inverse[j][i]) = (value, value);
            }
        }
        invert_dense(&mut self.inverse)
    }

    /// Takes the right sides of its rows out of `y`.
    pub fn take(&mut self, y: &mut [Part]) {
        for (right, &(step, k)) in self.right.iter_mut().zip(&self.rows) {
            *right = std::mem::take(&mut y[step][k]);
        }
    }

    /// Solves for its rows, `y` being `L⁻¹ b`, and takes what they cause from that.
    pub fn solve(&mut self, y: &mut [Part]) {
        for ((right, (first, _)), across) in self.right.iter_mut().zip(&self.forward).zip(&self.across) {
            for (u, y) in across.iter().zip(&y[*first..]) {
                *right -= u[0] * y[0] + u[1] * y[1] + u[2] * y[2] + u[3] * y[3];
            }
        }
        for (left, row) in self.left.iter_mut().zip(&self.inverse) {
            *left = row.iter().zip(&self.right).map(|(a, b)| a * b).sum();
        }
        for (left, (first, column)) in self.left.iter().zip(&self.forward) {
            for (y, v) in y[*first..].iter_mut().zip(column) {
                y.iter_mut().zip(v).for_each(|(y, v)| *y -= left * v);
            }
        }
    }

    /// Puts the solutions of its rows into `y`.
    pub fn give(&self, y: &mut [Part]) {
        for (left, &(step, k)) in self.left.iter().zip(&self.rows) {
            y[step][k] = *left;
        }
    }
}
