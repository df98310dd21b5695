//! The nouns of a neighbourhood microgrid and the rules that need no world to hold: units, ids, readings, tariffs,
//! billing, credit and leases. No I/O, no clock of its own, no async.
//!
//! Sign rule, everywhere: **+ is import** (energy from the grid to the home), **− is export**. Registers are cumulative
//! and counted in whole watt-hours; money is counted in whole minor units of a currency with stated decimals.

pub mod billing;
mod clock;
pub mod credit;
mod fact;
mod id;
mod money;
mod reading;
pub mod register;
pub mod switch;
mod tariff;
pub mod terms;
mod trust;
mod units;

pub use billing::{Billed, MeterBook, Piece, TariffRegisters};
pub use clock::{Clock, Stamp, Timestamp, Uptime};
pub use credit::{Credit, CreditRule};
pub use fact::{Fact, Seq};
pub use id::{AccountId, BadId, BusId, MeterId, SwitchId};
pub use money::{Currency, Money, Price};
pub use reading::Reading;
pub use register::Guard;
pub use switch::{OnSilence, Position, Reason, Reconnect, Suspicion};
pub use tariff::{DayRange, Range, Span, Tariff, TariffProblem, TimeZone};
pub use terms::{Calendar, Emergency, Standing, Supply, Terms};
pub use trust::{ClockTrust, Distrust};
pub use units::{Amps, Hertz, Permille, Volts, WattHours, Watts};
