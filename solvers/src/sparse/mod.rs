//! Sparse symmetric indefinite systems whose pattern is a graph of small dense blocks: one block of four unknowns per
//! bus of a network, one per line between two.
//!
//! [`Pattern`] orders the graph and lays out the factor once per topology. [`Factor`] then computes `P A Pᵀ = L D Lᵀ`
//! with unit block-triangular `L` and 4 × 4 blocks in `D`, in the same memory every time. Pivoting stays inside a block
//! (Bunch and Parlett's complete pivoting), so the number of negative eigenvalues is known (Haynsworth: the inertia of
//! `A` is the sum of the inertias of the blocks of `D`). A bus whose voltage stands at its limit has one unknown for two
//! balances, and takes the other from buses far away: no pivot of its own block carries that row. From there on [`fronts`]
//! factors with pivots that may wait for others. What rounding is left is refined away against the matrix itself;
//! [`Factor::solve`] says what residual it reached.

mod block;
mod fronts;
mod krylov;
mod ldl;
mod lu;
mod matrix;
mod order;
mod twin;

pub(crate) use ldl::{Factor, Quality};
pub(crate) use lu::{Lu, Pair};
pub(crate) use matrix::Matrix;
pub(crate) use order::Pattern;
pub(crate) use twin::Twin;

/// Unknowns per bus.
pub(crate) const B: usize = 4;

/// A dense block, row by row.
pub(crate) type Block = [f64; B * B];

/// What a bus has of a vector.
pub(crate) type Part = [f64; B];

#[cfg(test)]
mod tests;
