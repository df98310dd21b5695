//! The nouns of a neighbourhood microgrid and the rules that need no world to hold: units, ids, readings, tariffs,
//! billing, credit and leases. No I/O, no clock of its own, no async.
//!
//! Sign rule, everywhere: **+ is import** (energy from the grid to the home), **− is export**. Registers are cumulative
//! and counted in whole watt-hours; money is counted in whole minor units of a currency with stated decimals.

mod access;
mod attempts;
mod biller;
pub mod billing;
mod books;
mod calendar;
mod charge;
mod clock;
pub mod credit;
pub mod dispatch;
mod fact;
pub mod feeder;
mod id;
mod load;
mod money;
pub mod network;
mod on_chain;
pub mod place;
mod pool;
mod reading;
pub mod register;
mod schedule;
pub mod switch;
mod tariff;
pub mod terms;
pub mod token;
mod trust;
mod units;
pub mod voucher;

pub use access::Access;
pub use attempts::Attempts;
pub use biller::{Biller, Customer, Metered, NotReplaced, Replaced, Step};
pub use billing::{Billed, MeterBook};
pub use books::{BOOKS, Book, Books, Entry, Source};
pub use calendar::{DayRange, Local, TimeZone};
pub use charge::{Debit, Flow, Kind, Line, RegisterPrices, TariffRegisters, Usage};
pub use clock::{Clock, Stamp, Timestamp, Uptime};
pub use credit::{Credit, CreditRule};
pub use fact::{Fact, Seq};
pub use id::{AccountId, BadId, BusId, ClassId, InverterId, MeterId, SwitchId};
pub use load::{Column, LoadProblem, LoadRow, LoadTable, Unit};
pub use money::{Currency, Money, PowerPrice, Price};
pub use on_chain::OnChain;
pub use pool::{Part, Pool, share};
pub use reading::{Reading, Registers, Replacement};
pub use register::Guard;
pub use schedule::{Classes, Schedule, Span, apportion};
pub use switch::{OnSilence, Position, Reason, Reconnect, Suspicion};
pub use tariff::{Block, Period, Range, Rates, Tariff, TariffProblem};
pub use terms::{Calendar, Emergency, Standing, Supply, Terms};
pub use trust::{ClockTrust, Distrust};
pub use units::{Amps, Dbm, Hertz, Ohms, Permille, Volts, WattHours, Watts};
