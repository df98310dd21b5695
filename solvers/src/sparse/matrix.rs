//! The matrix itself, as the caller fills it.

use super::block::{add_times, add_transposed_times};
use super::{B, Block, Part};

/// A symmetric matrix of blocks: one on the diagonal per node, and for each edge `(i, j)` the block in row `i` and
/// column `j`; its mirror image is understood.
#[derive(Clone, Debug)]
pub(crate) struct Matrix {
    pub edges: Vec<(usize, usize)>,
    pub diagonal: Vec<Block>,
    pub off: Vec<Block>,
}

impl Matrix {
    pub fn new(nodes: usize, edges: Vec<(usize, usize)>) -> Self {
        let off = vec![[0.0; B * B]; edges.len()];
        Self { edges, diagonal: vec![[0.0; B * B]; nodes], off }
    }

    pub fn clear(&mut self) {
        self.diagonal.fill([0.0; B * B]);
        self.off.fill([0.0; B * B]);
    }

    /// `r = b − A x`; returns its largest entry, each over the scale of its row in a node.
    pub fn residual(&self, b: &[Part], x: &[Part], scale: &Part, r: &mut [Part]) -> f64 {
        self.times(x, r);
        let mut most = 0.0_f64;
        for (cell, wanted) in r.iter_mut().zip(b) {
            for ((c, w), scale) in cell.iter_mut().zip(wanted).zip(scale) {
                *c = w - *c;
                let share = c.abs() / scale;
                // Not `f64::max`, which would swallow a NaN.
                most = if share <= most { most } else { share };
            }
        }
        most
    }

    /// `y = A x`.
    pub fn times(&self, x: &[Part], y: &mut [Part]) {
        for ((cell, block), part) in y.iter_mut().zip(&self.diagonal).zip(x) {
            *cell = [0.0; B];
            add_times(cell, block, part);
        }
        for (block, &(i, j)) in self.off.iter().zip(&self.edges) {
            add_times(&mut y[i], block, &x[j]);
            add_transposed_times(&mut y[j], block, &x[i]);
        }
    }
}
