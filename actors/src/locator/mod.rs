//! Where meters are. Radios at known places hear their beacons, whose codes follow from the epoch's challenge; at its end
//! what was heard is held against what is claimed, each proof is recorded, and a meter whose proofs fail too often is held:
//! read, and not billed. A meter that nobody hears is left alone.
//!
//! What is to be done follows from what is recorded: whoever is killed in between does it at the next start.

mod ear;
mod live;
mod simulated;

pub use live::{AnchorLive, LocationLive, PlaceLive};
pub use simulated::{SimulatedAir, Trick};

use crate::{Board, DeviceHealth, RecordFailed, Scribe};
use actix::prelude::*;
use contracts::B256;
use contracts::chain::Chain;
use contracts::location::{self, Secret};
use domain::place::{HoldRule, Place, Placed, RadioModel, Step};
use domain::{Clock, Fact, Guard, MeterId, Timestamp};
use drivers::{Heard, Radio, radio};
use ear::Ear;
use ledger::{Challenge, Ledger, Write};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Beacons that may wait to be looked at; more are passed over and counted.
const IN_HAND: usize = 4096;
/// The page sees what is heard so often, in real time.
const TICK: Duration = Duration::from_secs(5);
/// What persons did to a meter shows after so long, in real time.
const LOOK: Duration = Duration::from_secs(60);
/// After something went wrong it is tried again after so long, in real time.
const AGAIN: Duration = Duration::from_secs(5);
/// A chain that has not answered by then is not reached, in real time.
const CHAIN_WITHIN: Duration = Duration::from_secs(20);
/// A radio that fails is asked again after so long, and then twice that, in real time.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// An epoch that was begun after more than this part of it says nothing about who is silent.
const WHOLE: i64 = 10;

/// What a meter's beacon is known by.
#[derive(Clone, Debug)]
pub enum Beacon {
    /// A code that follows from a secret and the epoch's challenge.
    Secret(Secret),
    /// A code that never changes: who heard it once can send it.
    Fixed(String),
}

impl Beacon {
    /// The code under this challenge.
    #[must_use]
    pub fn code(&self, challenge: B256) -> String {
        match self {
            Self::Secret(secret) => secret.beacon(challenge).iter().map(|byte| format!("{byte:02x}")).collect(),
            Self::Fixed(code) => radio::code(code),
        }
    }
}

/// A radio at a known place.
#[derive(Clone)]
pub struct AnchorPlan {
    /// Its name.
    pub id: String,
    /// Where it stands.
    pub place: Place,
    /// The radio.
    pub radio: Arc<dyn Radio>,
}

impl std::fmt::Debug for AnchorPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AnchorPlan").field("id", &self.id).field("place", &self.place).finish_non_exhaustive()
    }
}

/// A meter that says where it is.
#[derive(Clone, Debug)]
pub struct MeterPlace {
    /// Which.
    pub id: MeterId,
    /// Where it should be.
    pub place: Place,
    /// What its beacon is known by.
    pub beacon: Beacon,
    /// How loud that is.
    pub model: RadioModel,
}

/// What the Locator needs to know.
#[derive(Clone)]
pub struct LocatorPlan {
    /// How long one challenge holds, on the gateway's clock.
    pub epoch: Duration,
    /// How often an anchor must have heard a meter in an epoch to have a say.
    pub samples: usize,
    /// How often an honest meter's proof may fail.
    pub false_rejections: f64,
    /// How far from its place a meter may be that is believed, in metres.
    pub reach: f64,
    /// When a meter is held.
    pub rule: HoldRule,
    /// Whether meters are held at all.
    pub hold: bool,
    /// Who listens.
    pub anchors: Vec<AnchorPlan>,
    /// Whose place is looked at.
    pub meters: Vec<MeterPlace>,
    /// What each meter's registers are judged by: what is recorded is billed before a meter is held.
    pub guards: BTreeMap<MeterId, Guard>,
    /// Where challenges come from; without it they are the gateway's own.
    pub chain: Option<Arc<dyn Chain>>,
}

impl std::fmt::Debug for LocatorPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocatorPlan")
            .field("epoch", &self.epoch)
            .field("rule", &self.rule)
            .field("anchors", &self.anchors)
            .field("meters", &self.meters)
            .finish_non_exhaustive()
    }
}

impl LocatorPlan {
    fn epoch_ms(&self) -> i64 {
        i64::try_from(self.epoch.as_millis()).unwrap_or(i64::MAX).max(1)
    }

    fn epoch_at(&self, now: Timestamp) -> i64 {
        now.0.div_euclid(self.epoch_ms())
    }

    fn end_of(&self, epoch: i64) -> Timestamp {
        Timestamp(epoch.saturating_add(1).saturating_mul(self.epoch_ms()))
    }
}

/// Locates.
pub struct Locator {
    plan: Arc<LocatorPlan>,
    clock: Clock,
    scribe: Scribe,
    board: Board,
}

impl Locator {
    /// A locator.
    #[must_use]
    pub fn new(plan: LocatorPlan, clock: Clock, scribe: Scribe, board: Board) -> Self {
        Self { plan: Arc::new(plan), clock, scribe, board }
    }
}

impl Actor for Locator {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let (hand, air) = mpsc::channel(IN_HAND);
        for (anchor, plan) in self.plan.anchors.iter().enumerate() {
            ctx.spawn(listen(anchor, Arc::clone(&plan.radio), hand.clone(), self.board.clone()).into_actor(self));
        }
        let desk = Desk {
            plan: Arc::clone(&self.plan),
            clock: self.clock.clone(),
            scribe: self.scribe.clone(),
            board: self.board.clone(),
            air,
            ear: None,
            whole: false,
            failed: vec![None; self.plan.anchors.len()],
            silent: vec![false; self.plan.anchors.len()],
            told: BTreeMap::new(),
            unproved: BTreeMap::new(),
            unwritten: Vec::new(),
            calibrated: false,
            places: BTreeMap::new(),
            looked: None,
            news: true,
        };
        ctx.spawn(desk.work().into_actor(self));
    }
}

/// Frees every meter that is held for its place, where nobody looks at places any more.
pub async fn free_places(guards: BTreeMap<MeterId, Guard>, clock: Clock, scribe: Scribe) {
    loop {
        let held = match scribe.read(Ledger::places).await {
            Ok(places) => places.into_values().filter(|p| p.held).map(|p| p.meter).collect::<Vec<_>>(),
            Err(error) => {
                tracing::debug!(%error, "places are looked at later");
                tokio::time::sleep(AGAIN).await;
                continue;
            }
        };
        if held.is_empty() {
            return;
        }
        for meter in held {
            let (guards, id, now) = (guards.clone(), meter.clone(), clock.now());
            if let Err(error) = scribe.work(move |ledger| ledger.found_at_its_place(now, &guards, &id)).await {
                tracing::debug!(%meter, %error, "not freed");
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What comes from an anchor.
enum News {
    Heard(Heard),
    /// It cannot be asked.
    Failed(String),
}

/// Asks one radio for ever.
async fn listen(anchor: usize, radio: Arc<dyn Radio>, hand: mpsc::Sender<(usize, News)>, board: Board) {
    let mut backoff = BACKOFF.0;
    loop {
        let (news, pause) = match radio.heard().await {
            Ok(heard) => {
                backoff = BACKOFF.0;
                (News::Heard(heard), None)
            }
            // One message is spoilt: the next may be well.
            Err(error) if !error.is_transient() => {
                tracing::debug!(anchor, %error, "a message that is none");
                tokio::task::yield_now().await;
                continue;
            }
            Err(error) => {
                let pause = backoff;
                backoff = (backoff * 2).min(BACKOFF.1);
                (News::Failed(error.to_string()), Some(pause))
            }
        };
        // A full hand is a flood: nobody waits for it, and nobody else's beacons are lost to it for long.
        if let Err(mpsc::error::TrySendError::Full(_)) = hand.try_send((anchor, news)) {
            board.quietly(|live| {
                if let Some(location) = &mut live.location {
                    location.passed_over = location.passed_over.saturating_add(1);
                }
            });
        }
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
    }
}

struct Desk {
    plan: Arc<LocatorPlan>,
    clock: Clock,
    scribe: Scribe,
    board: Board,
    air: mpsc::Receiver<(usize, News)>,
    ear: Option<Ear>,
    /// Whether the present epoch is listened to from its beginning.
    whole: bool,
    /// Why each anchor cannot be asked.
    failed: Vec<Option<String>>,
    /// Whether each heard no beacon of ours, in the last whole epoch and since.
    silent: Vec<bool>,
    /// What the journal was told of that.
    told: BTreeMap<String, String>,
    /// Why the last epoch gave no proof of a meter.
    unproved: BTreeMap<MeterId, String>,
    /// Proofs that are not recorded yet.
    unwritten: Vec<Write>,
    calibrated: bool,
    /// Places as they were last read, and when.
    places: BTreeMap<MeterId, Placed>,
    looked: Option<Instant>,
    /// Whether there is anything that was not shown yet.
    news: bool,
}

impl Desk {
    async fn work(mut self) {
        loop {
            self.board.pulse("locator");
            let pause = match self.round().await {
                Ok(()) => TICK,
                Err(error) => {
                    tracing::debug!(%error, "places are looked at later");
                    AGAIN
                }
            };
            self.listen(pause).await;
        }
    }

    /// Takes what is heard until the epoch is over, at most for so long.
    async fn listen(&mut self, pause: Duration) {
        let end = self.ear.as_ref().map(|ear| self.plan.end_of(ear.epoch()));
        let left = end.map_or(pause, |end| self.clock.real(end.since(self.clock.now())));
        let until = Instant::now() + pause.min(left.max(Duration::from_millis(1)));
        loop {
            match tokio::time::timeout_at(until, self.air.recv()).await {
                Ok(Some((anchor, News::Heard(heard)))) => {
                    self.news = true;
                    let now = self.clock.now();
                    match &mut self.ear {
                        Some(ear) if self.plan.epoch_at(now) == ear.epoch() => {
                            ear.hear(anchor, &heard, now);
                            // Strangers' beacons say that it is there, and not that it hears ours.
                            if let (Some(silent), 1..) = (self.silent.get_mut(anchor), ear.at(anchor)) {
                                *silent = false;
                            }
                        }
                        Some(_) => return,
                        // Before the first challenge nobody can know a code.
                        None => {}
                    }
                    if let Some(problem) = self.failed.get_mut(anchor) {
                        *problem = None;
                    }
                }
                Ok(Some((anchor, News::Failed(what)))) => {
                    self.news = true;
                    if let Some(problem) = self.failed.get_mut(anchor) {
                        *problem = Some(what);
                    }
                }
                Ok(None) => {
                    tokio::time::sleep_until(until).await;
                    return;
                }
                Err(_) => return,
            }
        }
    }

    async fn round(&mut self) -> Result<(), RecordFailed> {
        let now = self.clock.now();
        if !self.calibrated {
            self.calibrate().await?;
            self.calibrated = true;
        }
        // A clock that was never set names no epoch.
        let epoch = (now >= Timestamp::TRUSTED).then(|| self.plan.epoch_at(now));
        if self.ear.as_ref().map(Ear::epoch) != epoch {
            if let Some(ear) = self.ear.take() {
                self.close(&ear, now);
            }
            self.news = true;
            if let Some(epoch) = epoch {
                self.begin(epoch, now).await?;
            }
        }
        if !self.unwritten.is_empty() {
            self.record().await?;
            self.looked = None;
        }
        if self.looked.is_none_or(|at| at.elapsed() >= LOOK) {
            // The first time for whoever was killed between a proof and what follows from it.
            self.act(now).await?;
            self.places = self.scribe.read(Ledger::places).await?;
            self.looked = Some(Instant::now());
            self.news = true;
        }
        self.tell_of_anchors(now).await?;
        if std::mem::take(&mut self.news) {
            self.show();
        }
        Ok(())
    }

    /// Records the models that hold from now on.
    async fn calibrate(&self) -> Result<(), RecordFailed> {
        let known = self.scribe.read(Ledger::places).await?;
        let new = self.plan.meters.iter().filter(|m| known.get(&m.id).and_then(|p| p.model) != Some(m.model));
        let facts = new.map(|m| Write::Fact(Fact::BeaconCalibrated { meter: m.id.clone(), model: m.model }));
        self.written(facts.collect()).await
    }

    /// Records all of these; what is refused is said, and is no reason to try again.
    async fn written(&self, writes: Vec<Write>) -> Result<(), RecordFailed> {
        if writes.is_empty() {
            return Ok(());
        }
        for outcome in self.scribe.write_all(writes).await? {
            if let Err(error) = outcome {
                tracing::debug!(%error, "not recorded");
            }
        }
        Ok(())
    }

    /// The challenge of an epoch is recorded before anybody hears of it, and lives through a restart.
    async fn begin(&mut self, epoch: i64, now: Timestamp) -> Result<(), RecordFailed> {
        let known = self.scribe.read(Ledger::challenge).await?;
        let before = known.as_ref().and_then(|c| c.challenge.parse().ok());
        let challenge = match known {
            Some(known) if known.epoch == epoch => known,
            _ => {
                let made = self.challenge(epoch).await?;
                let Challenge { epoch, challenge, block } = made.clone();
                self.scribe.fact(Fact::Challenged { epoch, challenge, block }).await?;
                made
            }
        };
        let Ok(seed) = challenge.challenge.parse::<B256>() else {
            return Err(RecordFailed::Refused("the recorded challenge is none".into()));
        };
        let before = before.filter(|before| *before != seed);
        self.ear = Some(Ear::new(Arc::clone(&self.plan), epoch, seed, before));
        self.whole = now.0.rem_euclid(self.plan.epoch_ms()) * WHOLE <= self.plan.epoch_ms();
        let live = LocationLive {
            epoch,
            until: self.plan.end_of(epoch),
            challenge: challenge.challenge,
            block: challenge.block,
            rule: self.plan.rule,
            hold: self.plan.hold,
            problem: None,
            anchors: Vec::new(),
            meters: BTreeMap::new(),
            strangers: 0,
            passed_over: self.board.look().location.as_ref().map_or(0, |l| l.passed_over),
        };
        // What was known stands until it is shown anew, so that the page does not flicker.
        self.board.update(|board| {
            let old = board.location.take();
            let (anchors, meters) = old.map(|l| (l.anchors, l.meters)).unwrap_or_default();
            board.location = Some(LocationLive { anchors, meters, ..live });
        });
        Ok(())
    }

    async fn challenge(&self, epoch: i64) -> Result<Challenge, RecordFailed> {
        let head = match &self.plan.chain {
            None => None,
            Some(chain) => {
                let chain = Arc::clone(chain);
                let head = tokio::task::spawn_blocking(move || chain.head());
                tokio::time::timeout(CHAIN_WITHIN, head).await.ok().and_then(Result::ok).and_then(Result::ok)
            }
        };
        let (challenge, block) = match head {
            Some(head) => (location::challenge(head.hash, epoch), Some(head.number)),
            None => (location::own_challenge().map_err(|e| RecordFailed::Refused(e.to_string()))?, None),
        };
        Ok(Challenge { epoch, challenge: challenge.to_string(), block })
    }

    /// What an epoch came to, once it is over.
    fn close(&mut self, ear: &Ear, now: Timestamp) {
        let known = now >= Timestamp::TRUSTED;
        let meters = self.plan.meters.iter().enumerate();
        let held = meters.filter(|(_, m)| self.places.get(&m.id).is_some_and(|p| p.held)).map(|(i, _)| i).collect();
        for outcome in ear.judge(&held) {
            let Some(meter) = self.plan.meters.get(outcome.meter) else { continue };
            match outcome.proof {
                Ok(proof) if known => {
                    self.unproved.remove(&meter.id);
                    self.unwritten.push(Write::Fact(Fact::Located { meter: meter.id.clone(), proof }));
                }
                Ok(_) => {}
                // The part of an epoch after a start says nothing about who is silent.
                Err(why) if self.whole => drop(self.unproved.insert(meter.id.clone(), why)),
                Err(_) => {}
            }
        }
        if self.whole {
            for (silent, heard) in self.silent.iter_mut().zip(ear.by_anchor()) {
                *silent |= *heard == 0;
            }
        }
    }

    /// What is wrong with each anchor.
    fn problems(&self) -> Vec<Option<String>> {
        let silent = |silent: bool| silent.then(|| "it heard no beacon of ours in a whole epoch".to_owned());
        self.failed.iter().zip(&self.silent).map(|(failed, s)| failed.clone().or_else(|| silent(*s))).collect()
    }

    async fn record(&mut self) -> Result<(), RecordFailed> {
        self.written(self.unwritten.clone()).await?;
        self.unwritten.clear();
        Ok(())
    }

    /// Does what follows from the proofs that are recorded.
    async fn act(&self, now: Timestamp) -> Result<(), RecordFailed> {
        let places = self.scribe.read(Ledger::places).await?;
        for (meter, placed) in places {
            let (rule, track) = (self.plan.rule, placed.track);
            let (plan, id) = (Arc::clone(&self.plan), meter.clone());
            let looked_at = self.plan.hold && self.plan.meters.iter().any(|m| m.id == meter);
            // Nobody stays held whom nobody could free.
            let step = if looked_at { rule.step(track, placed.held) } else { placed.held.then_some(Step::Free) };
            let done = match step {
                Some(Step::Hold) => {
                    let of = (track.failures(rule.window), track.judged.min(rule.window));
                    self.scribe.work(move |ledger| ledger.hold_for_place(now, &plan.guards, &id, of)).await
                }
                Some(Step::Free) => {
                    self.scribe.work(move |ledger| ledger.found_at_its_place(now, &plan.guards, &id)).await
                }
                None => continue,
            };
            if let Err(error) = done {
                // Held for something else, never read, or the disk: it follows from the record at the next look as well.
                tracing::debug!(%meter, %error, "not held or freed");
            }
        }
        Ok(())
    }

    /// Tells the journal when an anchor falls silent, and when it speaks again.
    async fn tell_of_anchors(&mut self, now: Timestamp) -> Result<(), RecordFailed> {
        let anchors = self.plan.anchors.iter().map(|a| format!("anchor {}", a.id));
        let (mut facts, mut told) = (Vec::new(), self.told.clone());
        for (device, problem) in anchors.zip(&self.problems()) {
            match (problem, told.contains_key(&device)) {
                (Some(problem), false) => {
                    told.insert(device.clone(), problem.clone());
                    facts.push(Write::Fact(Fact::DeviceDegraded { device, problem: problem.clone() }));
                }
                (None, true) => {
                    told.remove(&device);
                    facts.push(Write::Fact(Fact::DeviceRecovered { device }));
                }
                _ => {}
            }
        }
        if facts.is_empty() {
            return Ok(());
        }
        self.written(facts).await?;
        self.told = told;
        let told = &self.told;
        self.board.update(|live| {
            for anchor in &self.plan.anchors {
                let device = format!("anchor {}", anchor.id);
                let problem = told.get(&device).cloned();
                let health = live.devices.entry(device).or_insert_with(|| DeviceHealth {
                    bus: "radio".into(),
                    ok: true,
                    problem: None,
                    since: now,
                    failures: 0,
                    period_ms: None,
                    latency_ms: None,
                });
                if health.ok != problem.is_none() {
                    (health.ok, health.since) = (problem.is_none(), now);
                }
                (health.failures, health.problem) = (u32::from(problem.is_some()), problem);
            }
        });
        Ok(())
    }

    /// Shows how things are.
    fn show(&self) {
        let Some(ear) = &self.ear else { return };
        let (plan, places) = (&self.plan, &self.places);
        let problems = self.problems().into_iter().zip(ear.by_anchor());
        let anchors: Vec<AnchorLive> = plan
            .anchors
            .iter()
            .zip(problems)
            .map(|(a, (problem, heard))| AnchorLive { id: a.id.clone(), place: a.place, heard: *heard, problem })
            .collect();
        let meters = plan.meters.iter().zip(ear.stale()).map(|(m, stale)| {
            let placed = places.get(&m.id);
            let track = placed.map(|p| p.track).unwrap_or_default();
            let live = PlaceLive {
                claim: m.place,
                proof: placed.and_then(|p| p.proof.clone()),
                failed: track.failures(plan.rule.window),
                of: track.judged.min(plan.rule.window),
                held: placed.is_some_and(|p| p.held),
                unproved: self.unproved.get(&m.id).cloned(),
                stale: *stale,
            };
            (m.id.clone(), live)
        });
        let meters: BTreeMap<MeterId, PlaceLive> = meters.collect();
        let deaf = !anchors.is_empty() && anchors.iter().all(|a| a.problem.is_some());
        let newest = meters.values().filter_map(|m| m.proof.as_ref()).map(|p| p.epoch).max();
        let aside = meters.values().filter_map(|m| m.proof.as_ref()).any(|p| Some(p.epoch) == newest && !p.counts);
        let problem = if deaf {
            Some("no anchor hears a beacon: no place is looked at, and nobody is held for it")
        } else if aside {
            Some(
                "most meters seem to be elsewhere at once: an anchor was moved, or its place is wrong; that counts against nobody",
            )
        } else {
            None
        };
        let problem = problem.map(str::to_owned);
        let strangers = ear.strangers();
        let known = self.board.look().location.clone();
        let Some(known) = known else { return };
        let next = LocationLive { problem, anchors, meters, strangers, ..known.clone() };
        if next != known {
            self.board.update(|board| {
                // Counted by others meanwhile.
                let passed_over = board.location.as_ref().map_or(0, |l| l.passed_over);
                board.location = Some(LocationLive { passed_over, ..next });
            });
        }
    }
}
