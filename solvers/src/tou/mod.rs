//! Time-of-use ranges of a day that everybody can work out again: the values of a forecast in integers, the exact
//! one-dimensional k-means over them, and the rails between that and what a customer is asked to remember.
//!
//! [`kmeans`] is what `TimeOfUse.sol` computes on the chain, bit for bit. [`rails`] turns its answer into ranges that
//! hold for hours, [`prices`] into what a watt-hour costs in each, and [`Calendar`] into a day that was announced.

mod announce;
mod kmeans;
mod prices;
mod rails;
mod wide;

pub use announce::{Announced, Calendar, NotAnnounced};
pub use kmeans::{BadValues, Clusters, MAX_CLUSTERS, MAX_VALUES, kmeans};
pub use prices::{NoPrice, prices};
pub use rails::{BadRails, Rails, switches};

/// Which range a slot of the day lies in, from 0, the one with the lowest load.
pub type Label = u8;
