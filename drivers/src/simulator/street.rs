//! What every meter of the street shows at every instant.
//!
//! Each minute has one net power per home, from [`super::curve`]. Energy is the exact sum of power times milliseconds,
//! so it does not depend on when or how often anybody looks. A home whose switch is open neither uses nor yields
//! anything. The feeder sees what all homes together draw or deliver, plus the losses on the way to them, plus what a
//! [`Fault`] takes from the line; a home's meter counts of what flows what its fault lets it.

use super::curve::{self, mix, pick};
use super::fault::Fault;
use super::inverter::{InProcessInverter, InverterSpec, RoofDevice};
use super::process::{Feeder, HomeDevice, InProcess};
use super::store::{self, State};
use super::{Appliance, impossible};
use crate::capability::{Inverter, Meter, Switch};
use domain::{Amps, Clock, Hertz, MeterId, Position, Reading, Timestamp, Volts, WattHours, Watts};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A street to be simulated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreetSpec {
    /// The same seed gives the same street.
    pub seed: u64,
    /// When every register was zero. Counts only when the state file does not exist yet.
    pub anchor: Timestamp,
    /// Where registers and positions survive a restart.
    pub state: PathBuf,
    /// The homes.
    pub homes: Vec<HomeSpec>,
    /// The meter at the head of the street.
    pub feeder: Option<MeterId>,
    /// Thousandths of what flows to or from each home that are lost on the way.
    pub loss_permille: u32,
}

/// A home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomeSpec {
    /// Its meter, whose name also makes its habits its own.
    pub meter: MeterId,
    /// Peak power of its roof; 0 without one.
    pub pv_peak: Watts,
    /// Size of its load in thousandths of a typical home of 3,000 kWh a year.
    pub scale_permille: u32,
}

/// Millijoules in a watt-hour.
const WATT_HOUR: u64 = 3_600_000;
const MINUTE: i64 = 60_000;
/// How much time may have to be computed again after a restart.
const CHECKPOINT: i64 = 1440 * MINUTE;

/// A street that does not exist.
pub struct Street {
    homes: Vec<(MeterId, curve::Home)>,
    faults: BTreeMap<MeterId, Fault>,
    feeder: Option<MeterId>,
    loss_permille: u32,
    seed: u64,
    path: PathBuf,
    clock: Clock,
    live: Mutex<Live>,
}

struct Live {
    state: State,
    saved_at: i64,
    /// Net power of each home, were it connected, and what its roof makes of that, in the minute named.
    minute: i64,
    net: Vec<i64>,
    made: Vec<i64>,
    /// The most that the roof of a home makes, and until when. A street that starts again has forgotten it, like inverters
    /// after a power cut.
    held_back: BTreeMap<usize, (i64, Option<i64>)>,
}

impl fmt::Debug for Street {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Street").field("homes", &self.homes.len()).field("state", &self.path).finish_non_exhaustive()
    }
}

impl Street {
    /// The street as its state file left it, or as it was at the anchor. Registers go on from there; they never step
    /// back, whatever the process died of.
    pub fn open(spec: StreetSpec, clock: Clock) -> io::Result<Arc<Self>> {
        Self::open_with(spec, BTreeMap::new(), clock)
    }

    /// The same with something wrong at some meters, the feeder's or homes'.
    pub fn open_with(spec: StreetSpec, faults: BTreeMap<MeterId, Fault>, clock: Clock) -> io::Result<Arc<Self>> {
        let mut homes = Vec::new();
        for home in &spec.homes {
            if homes.iter().any(|(meter, _)| *meter == home.meter) || spec.feeder.as_ref() == Some(&home.meter) {
                return Err(impossible(format!("meter {} is named twice", home.meter)));
            }
            let pv_peak = u32::try_from(home.pv_peak.0)
                .map_err(|_| impossible(format!("a roof of {} on home {}", home.pv_peak, home.meter)))?;
            let seed = home.meter.as_str().bytes().fold(spec.seed, |seed, byte| mix(seed, i64::from(byte), 0));
            let scale = home.scale_permille;
            homes.push((home.meter.clone(), curve::Home { seed, street: spec.seed, pv_peak, scale }));
        }
        let fresh = || State { at: spec.anchor.0, homes: Default::default(), feeder: Default::default() };
        let stored = store::load(&spec.state)?;
        let is_new = stored.is_none();
        let mut state = stored.unwrap_or_else(fresh);
        for (meter, _) in &homes {
            state.homes.entry(meter.as_str().to_owned()).or_default();
        }
        if is_new {
            store::save(&spec.state, &state)?;
        }
        let (net, made, held_back) = (Vec::new(), Vec::new(), BTreeMap::new());
        let live = Live { saved_at: state.at, state, minute: i64::MIN, net, made, held_back };
        Ok(Arc::new(Self {
            homes,
            faults,
            feeder: spec.feeder,
            loss_permille: spec.loss_permille.min(1000),
            seed: spec.seed,
            path: spec.state,
            clock,
            live: Mutex::new(live),
        }))
    }

    /// The homes' meters.
    pub fn meters(&self) -> impl Iterator<Item = &MeterId> {
        self.homes.iter().map(|(meter, _)| meter)
    }

    /// What stands behind a home's or the feeder's meter, for a server.
    #[must_use]
    pub fn appliance(self: &Arc<Self>, meter: &MeterId) -> Option<Arc<dyn Appliance>> {
        if self.feeder.as_ref() == Some(meter) {
            return Some(Arc::new(Feeder { street: Arc::clone(self), meter: meter.clone() }));
        }
        let home = self.homes.iter().position(|(known, _)| known == meter)?;
        Some(Arc::new(HomeDevice { street: Arc::clone(self), meter: meter.clone(), home }))
    }

    /// A meter without a bus in between, for tests that own their time.
    #[must_use]
    pub fn meter(self: &Arc<Self>, meter: &MeterId) -> Option<Arc<dyn Meter>> {
        Some(Arc::new(InProcess(self.appliance(meter)?)))
    }

    /// The switch of a home, likewise.
    #[must_use]
    pub fn switch(self: &Arc<Self>, meter: &MeterId) -> Option<Arc<dyn Switch>> {
        let appliance = self.appliance(meter).filter(|a| a.position().is_some())?;
        Some(Arc::new(InProcess(appliance)))
    }

    /// What stands behind the inverter of a home, for a server.
    #[must_use]
    pub fn roof(self: &Arc<Self>, meter: &MeterId, spec: InverterSpec) -> Option<Arc<dyn Appliance>> {
        Some(Arc::new(self.roof_device(meter, spec)?))
    }

    /// The inverter of a home, and its own meter, without a bus in between.
    #[must_use]
    pub fn inverter(
        self: &Arc<Self>,
        meter: &MeterId,
        spec: InverterSpec,
    ) -> Option<(Arc<dyn Inverter>, Arc<dyn Meter>)> {
        let own = InProcess(self.roof(meter, spec.clone())?);
        let device = self.roof_device(meter, spec)?;
        Some((Arc::new(InProcessInverter { device, said: Mutex::new(None) }), Arc::new(own)))
    }

    fn roof_device(self: &Arc<Self>, meter: &MeterId, spec: InverterSpec) -> Option<RoofDevice> {
        let home = self.homes.iter().position(|(known, _)| known == meter)?;
        Some(RoofDevice { street: Arc::clone(self), home, spec })
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The roof of a home makes no more than this from now on, until then or until told otherwise.
    pub(super) fn hold_back(&self, home: usize, most: Option<Watts>, until: Option<Timestamp>) {
        let mut live = self.now();
        match most {
            Some(most) => drop(live.held_back.insert(home, (most.0, until.map(|until| until.0)))),
            None => drop(live.held_back.remove(&home)),
        }
        live.minute = i64::MIN;
    }

    /// Energy lost between the feeder and the homes so far.
    #[must_use]
    pub fn losses(&self) -> WattHours {
        watt_hours(self.now().state.feeder.loss)
    }

    /// The street at this instant. A clock that stepped back finds it where it was.
    fn now(&self) -> MutexGuard<'_, Live> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        self.advance(&mut live, self.clock.now().0);
        // Not needed for truth, only so that a restart need not compute a whole year.
        if live.state.at - live.saved_at >= CHECKPOINT {
            live.saved_at = live.state.at;
            if let Err(error) = store::save(&self.path, &live.state) {
                tracing::warn!(%error, "the simulated street cannot be saved");
            }
        }
        live
    }

    fn advance(&self, live: &mut Live, to: i64) {
        while live.state.at < to {
            let minute = live.state.at.div_euclid(MINUTE);
            let mut end = minute.saturating_add(1).saturating_mul(MINUTE).min(to);
            let at = live.state.at;
            if live.held_back.values().any(|(_, until)| until.is_some_and(|until| until <= at)) {
                live.held_back.retain(|_, (_, until)| until.is_none_or(|until| until > at));
                live.minute = i64::MIN;
            }
            end = live.held_back.values().filter_map(|(_, until)| *until).fold(end, i64::min);
            let span = u64::try_from(end - live.state.at).unwrap_or(0);
            self.look_up(live, minute);
            let taken = self.taken(live.state.at);
            let (mut net, mut through) = (taken, taken.unsigned_abs());
            for (((meter, _), watts), made) in self.homes.iter().zip(&live.net).zip(&live.made) {
                let Some(home) = live.state.homes.get_mut(meter.as_str()).filter(|home| home.closed) else { continue };
                let counted = self.fault(meter).count(live.state.at, watts.saturating_mul(span.cast_signed()));
                let register = if counted < 0 { &mut home.export } else { &mut home.import };
                *register = register.saturating_add(counted.unsigned_abs());
                home.made = home.made.saturating_add(made.unsigned_abs().saturating_mul(span));
                net = net.saturating_add(*watts);
                through = through.saturating_add(watts.unsigned_abs());
            }
            let loss = through.saturating_mul(u64::from(self.loss_permille)) / 1000;
            let net = net.saturating_add_unsigned(loss);
            let feeder = &mut live.state.feeder;
            feeder.loss = feeder.loss.saturating_add(loss.saturating_mul(span));
            let register = if net < 0 { &mut feeder.export } else { &mut feeder.import };
            *register = register.saturating_add(net.unsigned_abs().saturating_mul(span));
            live.state.at = end;
        }
    }

    fn fault(&self, meter: &MeterId) -> Fault {
        self.faults.get(meter).copied().unwrap_or_default()
    }

    /// What is taken all along the line at an instant.
    fn taken(&self, at: i64) -> i64 {
        self.faults.values().map(|fault| fault.taken(at)).fold(0, i64::saturating_add)
    }

    fn look_up(&self, live: &mut Live, minute: i64) {
        if live.minute != minute || live.net.is_empty() {
            live.net.clear();
            live.made.clear();
            for (place, (_, home)) in self.homes.iter().enumerate() {
                let (load, sun) = curve::parts(home, minute);
                let made = live.held_back.get(&place).map_or(sun, |(most, _)| sun.min(*most));
                live.net.push(load - made);
                live.made.push(made);
            }
            live.minute = minute;
        }
    }

    pub(super) fn show_home(&self, home: usize) -> Option<Reading> {
        let mut live = self.now();
        let (meter, at) = (&self.homes.get(home)?.0, live.state.at);
        self.look_up(&mut live, at.div_euclid(MINUTE));
        let state = *live.state.homes.get(meter.as_str())?;
        let watts = if state.closed { self.fault(meter).count(at, *live.net.get(home)?) } else { 0 };
        Some(self.reading(meter, at, state.import, state.export, watts))
    }

    pub(super) fn show_roof(&self, home: usize, name: &MeterId) -> Reading {
        let mut live = self.now();
        let at = live.state.at;
        self.look_up(&mut live, at.div_euclid(MINUTE));
        let state = self.homes.get(home).and_then(|(meter, _)| live.state.homes.get(meter.as_str()).copied());
        let made = live.made.get(home).copied().filter(|_| state.is_some_and(|s| s.closed)).unwrap_or(0);
        self.reading(name, at, 0, state.map_or(0, |s| s.made), -made)
    }

    pub(super) fn show_feeder(&self, meter: &MeterId) -> Reading {
        let mut live = self.now();
        let at = live.state.at;
        self.look_up(&mut live, at.div_euclid(MINUTE));
        let closed = |meter: &MeterId| live.state.homes.get(meter.as_str()).is_some_and(|home| home.closed);
        let flows = self.homes.iter().zip(&live.net).filter(|((meter, _), _)| closed(meter)).map(|(_, watts)| *watts);
        let taken = self.taken(at);
        let (net, through) = flows.fold((taken, taken.unsigned_abs()), |(net, through), watts| {
            (net.saturating_add(watts), through.saturating_add(watts.unsigned_abs()))
        });
        let watts = net.saturating_add_unsigned(through.saturating_mul(u64::from(self.loss_permille)) / 1000);
        self.reading(meter, at, live.state.feeder.import, live.state.feeder.export, watts)
    }

    fn reading(&self, meter: &MeterId, at: i64, import: u64, export: u64, watts: i64) -> Reading {
        let random = mix(self.seed, at.div_euclid(MINUTE), 7);
        // 228 to 233 V in tenths, 49.97 to 50.03 Hz in thousandths: what the registers of real meters resolve.
        let (decivolts, millihertz) = (pick(random, 2280, 51), pick(random >> 32, 49_970, 61));
        let milliamps = u32::try_from(watts.unsigned_abs().saturating_mul(10_000) / u64::from(decivolts));
        Reading {
            import: Some(watt_hours(import)),
            export: Some(watt_hours(export)),
            power: Some(Watts(watts)),
            voltage: Volts::finite(f64::from(decivolts) / 10.0),
            current: milliamps.ok().and_then(|ma| Amps::finite(f64::from(ma) / 1000.0)),
            frequency: Hertz::finite(f64::from(millihertz) / 1000.0),
            ..Reading::empty(meter.clone(), Timestamp(at))
        }
    }

    pub(super) fn position(&self, home: usize) -> Option<Position> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = live.state.homes.get(self.homes.get(home)?.0.as_str())?.closed;
        Some(if closed { Position::Closed } else { Position::Open })
    }

    /// Moves a home's switch as of this instant. The disk has it before anybody is told.
    pub(super) fn operate(&self, home: usize, position: Position) -> io::Result<()> {
        let mut live = self.now();
        let meter = self.homes.get(home).map(|(meter, _)| meter.as_str()).unwrap_or_default();
        let mut next = live.state.clone();
        let state = next.homes.get_mut(meter).ok_or_else(|| impossible(format!("no home {meter}")))?;
        let closed = position == Position::Closed;
        if state.closed == closed {
            return Ok(());
        }
        state.closed = closed;
        store::save(&self.path, &next)?;
        live.saved_at = next.at;
        live.state = next;
        Ok(())
    }
}

/// Registers count whole watt-hours that have passed.
fn watt_hours(millijoules: u64) -> WattHours {
    WattHours(i64::try_from(millijoules / WATT_HOUR).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
