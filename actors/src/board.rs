//! What is of the moment only: live values and health. Nothing here is a record; losing it loses nothing.

use crate::{BalanceLive, LocationLive, PlanLive, PricesLive, SwitchState, WitnessLive};
use domain::{
    AccountId, Credit, Emergency, InverterId, MeterId, Permille, Position, Reading, Reason, Supply, Suspicion,
    SwitchId, Timestamp, Watts,
};
use drivers::Measured;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A meter's newest recorded reading.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MeterLive {
    /// The reading.
    pub reading: Reading,
    /// How many were recorded since the start.
    pub count: u64,
}

/// How a device answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceHealth {
    /// The bus it is on.
    pub bus: String,
    /// Whether it answers.
    pub ok: bool,
    /// What went wrong last, while it does not.
    pub problem: Option<String>,
    /// When that changed.
    pub since: Timestamp,
    /// Failures in a row.
    pub failures: u32,
    /// Real milliseconds from one answer to the next, as achieved of late and not as configured.
    pub period_ms: Option<u64>,
    /// Real milliseconds that a reading takes, of late.
    pub latency_ms: Option<u64>,
}

/// A switch as the Enforcer sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SwitchLive {
    /// The contact, as last read.
    pub position: Option<Position>,
    /// Where it should be.
    pub wanted: Option<Position>,
    /// Why.
    pub reason: Option<Reason>,
    /// Until when that holds without news.
    pub lease_until: Option<Timestamp>,
    /// What went wrong, while something does.
    pub problem: Option<String>,
    /// Its state in the words of the field.
    pub state: Option<SwitchState>,
    /// What it looks like, if not like what it says.
    pub suspicion: Option<Suspicion>,
    /// What a person ordered, while that is in force.
    pub ordered: Option<ledger::OverrideRow>,
}

/// An inverter as the Enforcer sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InverterLive {
    /// The limit that it confirmed, of its rated power.
    pub limit: Option<Permille>,
    /// The same as power; its rated power while it is free.
    pub most: Option<Watts>,
    /// Until when that holds without another plan.
    pub until: Option<Timestamp>,
    /// What went wrong, while something does.
    pub problem: Option<String>,
}

/// An account as the Pricer judges it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountLive {
    /// What the customer may have.
    pub supply: Supply,
    /// Why.
    pub reason: Reason,
    /// The stage of its credit.
    pub credit: Credit,
    /// How far it has come with its emergency credit.
    pub emergency: Emergency,
    /// When friendly hours end, while they alone keep it connected.
    pub friendly_until: Option<Timestamp>,
    /// How long the credit lasts if energy is used as of late, in hours; `None` without a basis.
    pub hours_left: Option<u64>,
}

impl AccountLive {
    /// How many days the credit lasts, rounded down to a tenth, for people.
    #[must_use]
    pub fn days_left(&self) -> Option<f64> {
        #[allow(clippy::cast_precision_loss, reason = "at most ten years of hours")]
        let tenths = |hours: u64| (hours * 10 / 24) as f64;
        self.hours_left.map(|hours| tenths(hours) / 10.0)
    }
}

/// The chain as the Settler sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChainHealth {
    /// `embedded`, or the URL of a node.
    pub kind: String,
    /// Chain id.
    pub chain_id: u64,
    /// The provider contract, once it is known.
    pub provider: Option<String>,
    /// Who signs.
    pub settler: String,
    /// Height.
    pub block: u64,
    /// What is waiting in the outbox.
    pub waiting: Option<String>,
    /// What is wrong, while something is.
    pub problem: Option<String>,
}

/// Everything of the moment.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Live {
    /// By meter.
    pub meters: BTreeMap<MeterId, MeterLive>,
    /// By name of meter or switch.
    pub devices: BTreeMap<String, DeviceHealth>,
    /// By switch.
    pub switches: BTreeMap<SwitchId, SwitchLive>,
    /// By inverter.
    pub inverters: BTreeMap<InverterId, InverterLive>,
    /// The newest plan; `None` before the first, and where nothing is planned.
    pub plan: Option<PlanLive>,
    /// By account, once it was judged.
    pub accounts: BTreeMap<AccountId, AccountLive>,
    /// Why the clock is not trusted, while it is not.
    pub clock_problem: Option<String>,
    /// What keeps the web hook from being heard, while something does.
    pub webhook_problem: Option<String>,
    /// The chain.
    pub chain: ChainHealth,
    /// The neighbourhood's witnesses; `None` where none are asked.
    pub witness: Option<WitnessLive>,
    /// The feeder against its homes; `None` before the first look, and without a feeder meter.
    pub balance: Option<BalanceLive>,
    /// Where meters are; `None` without radios.
    pub location: Option<LocationLive>,
    /// Prices and their ranges, today and tomorrow.
    pub prices: PricesLive,
    /// Whether the broker takes our messages; `None` without a broker.
    pub broker: Option<bool>,
    /// What keeps the ledger from being written, while something does.
    pub ledger_problem: Option<String>,
    #[serde(skip)]
    pulses: BTreeMap<String, Instant>,
}

/// The shared board. Cheap to clone.
#[derive(Clone)]
pub struct Board {
    live: Arc<RwLock<Live>>,
    changed: watch::Sender<u64>,
}

impl Default for Board {
    fn default() -> Self {
        Self { live: Arc::default(), changed: watch::Sender::new(0) }
    }
}

impl Board {
    /// Looks at it.
    pub fn look(&self) -> RwLockReadGuard<'_, Live> {
        self.live.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts changes, and lets a reader wait for the next.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut Live) -> T) -> T {
        let result = change(&mut self.write());
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
        result
    }

    /// A change that wakes nobody: whoever looks next sees it.
    pub(crate) fn quietly(&self, change: impl FnOnce(&mut Live)) {
        change(&mut self.write());
    }

    /// How a device keeps up. Too frequent to wake anybody: whoever looks next sees it.
    pub(crate) fn measured(&self, device: &str, measured: Measured) {
        let millis = |time: Option<Duration>| time.map(|t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX));
        if let Some(health) = self.write().devices.get_mut(device) {
            (health.period_ms, health.latency_ms) = (millis(measured.period), millis(measured.latency));
        }
    }

    /// An agent's loop came round.
    pub(crate) fn pulse(&self, agent: &str) {
        let mut live = self.write();
        match live.pulses.get_mut(agent) {
            Some(at) => *at = Instant::now(),
            None => drop(live.pulses.insert(agent.to_owned(), Instant::now())),
        }
    }

    /// How long ago each agent's loop last came round.
    #[must_use]
    pub fn pulses(&self) -> BTreeMap<String, Duration> {
        self.look().pulses.iter().map(|(agent, at)| (agent.clone(), at.elapsed())).collect()
    }

    fn write(&self) -> RwLockWriteGuard<'_, Live> {
        self.live.write().unwrap_or_else(PoisonError::into_inner)
    }
}
