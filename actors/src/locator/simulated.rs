//! Radios that are simulated, and say so: a street's air, in which every meter's beacon sends under the challenge of the
//! epoch, as real ones do that hear of it.
//!
//! It is here and not with the drivers because it needs the air of [`solvers::locate::air`], which drivers do not see.

use super::Beacon;
use crate::Board;
use async_trait::async_trait;
use contracts::B256;
use domain::place::Place;
use domain::{Clock, Dbm, MeterId};
use drivers::{DeviceError, Heard, Radio};
use fastrand::Rng;
use solvers::locate::air::{self, Air, Link};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What is made wrong about a simulated beacon.
#[derive(Clone, Debug, PartialEq)]
pub enum Trick {
    /// It was carried to another place.
    Moved(Place),
    /// It sends the code that it had when this began, for ever.
    Replayed,
    /// It sends nothing.
    Silent,
}

/// One sender.
#[derive(Clone, Debug)]
struct Sender {
    place: Place,
    beacon: Beacon,
    /// Its power less the loss over the first metre that its model has, so that it is heard as it was calibrated.
    sent: f64,
    trick: Option<Trick>,
    replays: Option<B256>,
}

struct State {
    senders: BTreeMap<MeterId, Sender>,
    /// Shadowing stays as long as nobody moves.
    links: BTreeMap<(MeterId, usize), (Place, Link)>,
    rng: Rng,
}

/// The air of a street. Clones share it.
#[derive(Clone)]
pub struct SimulatedAir {
    air: Arc<Air>,
    board: Board,
    clock: Clock,
    /// How often a beacon sends, on the gateway's clock.
    every: Duration,
    state: Arc<Mutex<State>>,
}

fn metres(place: Place) -> air::Place {
    #[allow(clippy::cast_precision_loss, reason = "a place")]
    let metres = |mm: i64| mm as f64 / 1000.0;
    (metres(place.x), metres(place.y))
}

impl SimulatedAir {
    /// An air by a seed, in which a beacon sends so often. Beacons follow the challenge on the board.
    #[must_use]
    pub fn new(air: Air, seed: u64, every: Duration, clock: Clock, board: Board) -> Self {
        let state = State { senders: BTreeMap::new(), links: BTreeMap::new(), rng: Rng::with_seed(seed) };
        Self { air: Arc::new(air), board, clock, every, state: Arc::new(Mutex::new(state)) }
    }

    /// A meter at its place, which is heard at one metre with so many dBm.
    pub fn put(&self, meter: &MeterId, place: Place, beacon: Beacon, at_one_metre: f64) {
        let sent = at_one_metre + self.air.first_metre;
        let sender = Sender { place, beacon, sent, trick: None, replays: None };
        self.with(|state| state.senders.insert(meter.clone(), sender));
    }

    /// Makes something wrong about a meter's beacon, or nothing any more.
    pub fn trick(&self, meter: &MeterId, trick: Option<Trick>) {
        let challenge = self.challenge();
        self.with(|state| {
            if let Some(sender) = state.senders.get_mut(meter) {
                sender.replays = challenge.filter(|_| trick == Some(Trick::Replayed));
                sender.trick = trick;
            }
        });
    }

    /// The radio of an anchor that stands here. Each has its own number.
    #[must_use]
    pub fn anchor(&self, number: usize, place: Place) -> Arc<dyn Radio> {
        let turn = tokio::sync::Mutex::new(0);
        Arc::new(SimulatedRadio { air: self.clone(), number, place, turn })
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn challenge(&self) -> Option<B256> {
        self.board.look().location.as_ref().and_then(|l| l.challenge.parse().ok())
    }

    fn size(&self) -> usize {
        self.with(|state| state.senders.len())
    }

    /// What an anchor hears of the beacon whose turn it is.
    fn sample(&self, turn: usize, number: usize, stands: Place) -> Option<Heard> {
        let challenge = self.challenge()?;
        self.with(|state| {
            let State { senders, links, rng } = state;
            let (id, sender) = senders.iter().nth(turn % senders.len().max(1))?;
            let (place, code) = match &sender.trick {
                Some(Trick::Silent) => return None,
                Some(Trick::Moved(place)) => (*place, sender.beacon.code(challenge)),
                Some(Trick::Replayed) => (sender.place, sender.beacon.code(sender.replays.unwrap_or(challenge))),
                None => (sender.place, sender.beacon.code(challenge)),
            };
            let (from, to) = (metres(place), metres(stands));
            let link = match links.get(&(id.clone(), number)) {
                Some((known, link)) if *known == place => *link,
                _ => self.air.link(sender.sent, from, to, rng),
            };
            links.insert((id.clone(), number), (place, link));
            // Quieter than that nothing is heard.
            let dbm = link.sample(rng);
            let rssi = Dbm::finite(dbm).filter(|_| dbm >= SENSITIVITY)?;
            Some(Heard { sender: code, rssi })
        })
    }
}

/// What a Bluetooth receiver still hears, in dBm.
const SENSITIVITY: f64 = -100.0;

struct SimulatedRadio {
    air: SimulatedAir,
    number: usize,
    place: Place,
    /// Whose turn it is, and when it comes.
    turn: tokio::sync::Mutex<usize>,
}

#[async_trait]
impl Radio for SimulatedRadio {
    async fn heard(&self) -> Result<Heard, DeviceError> {
        let mut turn = self.turn.lock().await;
        loop {
            let senders = u32::try_from(self.air.size().max(1)).unwrap_or(u32::MAX);
            let pause = self.air.clock.real(self.air.every / senders);
            tokio::time::sleep(pause.max(Duration::from_millis(1))).await;
            *turn = turn.wrapping_add(1);
            if let Some(heard) = self.air.sample(*turn, self.number, self.place) {
                return Ok(heard);
            }
        }
    }
}
