//! Who talks to whom. Each agent is a thin actix shell around plain decisions:
//!
//! ```text
//! Poller ─▶ Recorder ══ ledger ─▶ Pricer ─▶ Enforcer ─▶ Switch
//!                         │   └──▶ Settler ─▶ Chain
//!                         ├──────▶ Herald ─▶ broker
//!                         ├──────▶ Auditor: the feeder against its homes
//!               Radio ─▶ Locator: where meters are; it holds who is elsewhere
//!                         ├──────▶ Ranger: which price range holds when; tomorrow's, by a forecast
//!                         ├──────▶ Witness ◀─▶ broker: batches of the neighbourhood are checked before they count
//!                         └──────▶ Planner ─▶ Enforcer ─▶ Inverter
//! ```
//!
//! [`Keeper`] lets go of what is older than it has to be kept.
//!
//! Every fact passes the [`Recorder`] before anyone acts on it; [`Scribe`] is how one asks it. Readers keep cursors in
//! the ledger and wait for [`Scribe::recorded`] to move, so no announcement can be lost. [`Board`] holds what is only
//! of the moment: live values and health, for the page and the broker.

mod auditor;
mod board;
mod enforcer;
mod herald;
mod keeper;
mod locator;
mod notifier;
mod planner;
mod poller;
mod pricer;
mod ranger;
mod recorder;
mod rights;
mod settler;
mod warden;
pub mod witness;

pub use auditor::{AuditPlan, Auditor, BalanceLive};
pub use board::{AccountLive, Board, ChainHealth, DeviceHealth, InverterLive, MeterLive, SwitchLive};
pub use enforcer::{
    Enforcer, InverterPlan, KnownInverter, Lease, Leases, LimitOrder, Limits, Overload, Rule, Stagger,
    State as SwitchState, SwitchPlan, Verify,
};
pub use herald::{Herald, HeraldPlan};
pub use keeper::{Keeper, KeeperPlan};
pub use locator::{
    AnchorLive, AnchorPlan, Beacon, LocationLive, Locator, LocatorPlan, MeterPlace, PlaceLive, SimulatedAir, Trick,
    free_places,
};
pub use notifier::{Notifier, NotifierPlan};
pub use planner::{
    BusPicture, Frame, Home, LinePicture, Model, Picture, PlanLive, Planner, PlannerPlan, Roof, Site, Unfit,
};
pub use poller::{MeterPlan, Poller, StopReading};
pub use pricer::{AccountPlan, Pricer, PricerPlan};
pub use ranger::{ForecastPlan, NoRanges, PricesLive, Ranger, RangerPlan, Stretch};
pub use recorder::{RecordFailed, Recorder, Scribe};
pub use settler::{Agreed, CHAIN_ID, FeePolicy, HeadCame, LINE_SALT, SettleNow, Settler, SettlerPlan};
pub use warden::Warden;
pub use witness::{MemberLive, Witness, WitnessLive, WitnessPlan};
