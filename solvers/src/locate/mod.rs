//! Where a device is, from how loud it is heard.
//!
//! A [`PathLoss`] per device turns a filtered RSSI into a distance with its error; [`calibrate`] learns it from an
//! itinerary. [`trilaterate`] finds the place that distances to known anchors speak for, or says why there is none.
//! [`judge`] holds a claimed place against distances in whole numbers, with limits from a rate of false rejections
//! ([`Limits`]). [`air`] simulates what is heard, and [`payoff`] what is
//! gained by lying about it.
//!
//! What RSSI cannot tell: an accomplice at the claimed place, who sends what the device would have sent. Loudness says
//! where the sender is, not whose words it sends.

pub mod air;
mod chi;
mod fix;
mod judge;
mod limits;
mod path_loss;
pub mod payoff;

pub use fix::{Fix, NoFix, Sight, trilaterate};
pub use judge::{Judged, LARGEST, MOST, Sighting, Unfit, Verdict, judge, sharp, spare};
pub use limits::{Limits, failures};
pub use path_loss::{Heard, NoModel, PathLoss, Range, calibrate, filter};
