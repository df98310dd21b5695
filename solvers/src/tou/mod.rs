//! Time-of-use ranges of a day that everybody can work out again: the values of a forecast in integers, the exact
//! one-dimensional k-means over them, and the rails between that and what a customer is asked to remember.
//!
//! [`kmeans`] is what `TimeOfUse.sol` computes on the chain, bit for bit. [`Rails`] turns its answer into ranges that
//! hold for hours, and [`prices`] says what a watt-hour would have to cost in each.

mod kmeans;
mod prices;
mod rails;
mod wide;

pub use kmeans::{BadValues, Clusters, MAX_CLUSTERS, MAX_VALUES, kmeans};
pub use prices::{NoPrice, prices};
pub use rails::{BadRails, Rails, switches};

/// Which range a slot of the day lies in, from 0, the one with the lowest load.
pub type Label = u8;
