//! Reads the meters of one bus and hands every reading to the Recorder.

use crate::{Board, DeviceHealth, RecordFailed, Scribe};
use actix::prelude::*;
use domain::{BusId, Clock, Fact, MeterId, Reading};
use drivers::{DeviceError, Measured, Meter, Next, Pace, Round};
use ledger::Write;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// One meter to read.
#[derive(Clone)]
pub struct MeterPlan {
    /// Its name.
    pub id: MeterId,
    /// The device.
    pub meter: Arc<dyn Meter>,
    /// How often a polled meter is read, on the gateway's clock.
    pub period: Duration,
    /// How long a pushing meter may stay quiet, on the gateway's clock.
    pub patience: Duration,
    /// Whether somebody pays for it: then a reading without an import register is a fault.
    pub billed: bool,
}

/// Readings that may wait for the Recorder; then reading itself waits.
const IN_HAND: usize = 64;
/// What is wrong with a customer's meter that does not say what it counted.
const NO_IMPORT: &str = "it answers without an import register, so nothing is billed";
/// A device that fails this often in a row is degraded.
const DEGRADED_AFTER: u32 = 2;
/// However rarely its meters are read, a poller shows that it lives this often, in real time.
const LONGEST_TICK: Duration = Duration::from_secs(30);
/// The longest that a pushing device's silence is left unnoticed, in real time.
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// Reads one bus.
pub struct Poller {
    bus: BusId,
    meters: Vec<MeterPlan>,
    clock: Clock,
    scribe: Scribe,
    board: Board,
    readers: Vec<SpawnHandle>,
}

impl Poller {
    /// A poller for these meters, all on `bus`.
    #[must_use]
    pub fn new(bus: BusId, meters: Vec<MeterPlan>, clock: Clock, scribe: Scribe, board: Board) -> Self {
        Self { bus, meters, clock, scribe, board, readers: Vec::new() }
    }
}

impl Actor for Poller {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let (hand, courier) = mpsc::channel(IN_HAND);
        ctx.spawn(deliver(courier, self.scribe.clone(), self.board.clone()).into_actor(self));
        let (pushed, polled): (Vec<_>, Vec<_>) =
            self.meters.drain(..).partition(|plan| plan.meter.pace() == Pace::Pushed);
        let watch = |plan: MeterPlan| Watched {
            bus: self.bus.clone(),
            plan,
            failures: 0,
            degraded: false,
            measured: Measured::default(),
            clock: self.clock.clone(),
            scribe: self.scribe.clone(),
            board: self.board.clone(),
            hand: hand.clone(),
        };
        let listeners: Vec<Watched> = pushed.into_iter().map(watch).collect();
        let polled: Vec<Watched> = polled.into_iter().map(watch).collect();
        for mut listener in listeners {
            let listen = async move {
                loop {
                    listener.listen().await;
                }
            };
            let reader = ctx.spawn(listen.into_actor(self));
            self.readers.push(reader);
        }
        if !polled.is_empty() {
            let name = format!("poller of {}", self.bus);
            let work = rounds(polled, name, self.board.clone());
            let reader = ctx.spawn(work.into_actor(self));
            self.readers.push(reader);
        }
    }
}

/// Asks a poller to read no more. What it has read already is recorded while the process lives on.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct StopReading;

impl Handler<StopReading> for Poller {
    type Result = ();
    fn handle(&mut self, StopReading: StopReading, ctx: &mut Context<Self>) {
        for reader in self.readers.drain(..) {
            ctx.cancel_future(reader);
        }
    }
}

/// Reads the devices of a bus for ever, one after the other or as many at a time as the bus bears: [`Round`] says which.
/// Each reading is a task of its own, stamped when it is answered, whatever the recording of another one takes.
async fn rounds(mut meters: Vec<Watched>, name: String, board: Board) {
    let mut round = Round::new(meters.iter().map(|m| m.clock.real(m.plan.period)), Instant::now());
    let mut readings = JoinSet::new();
    loop {
        let now = Instant::now();
        // One reading that does not end must not be hidden by the others.
        if round.busy_since().is_none_or(|since| now < since + LONGEST_TICK) {
            board.pulse(&name);
        }
        let wait = match round.next(now, |index| outlook(&meters, index)) {
            Next::Ask { index, until } => {
                if let Some(meter) = meters.get(index) {
                    readings.spawn(ask(index, Arc::clone(&meter.plan.meter), until));
                }
                continue;
            }
            Next::Wait(at) => at.min(now + LONGEST_TICK),
        };
        let done = tokio::select! {
            biased;
            Some(done) = readings.join_next() => done,
            () = tokio::time::sleep_until(wait) => continue,
        };
        let Asked { index, began, ended, answer } =
            done.unwrap_or_else(|bug| std::panic::resume_unwind(bug.into_panic()));
        match &answer {
            Ok(_) => round.answered(index, began, ended),
            Err(error) => round.failed(index, began, ended, error),
        }
        let Some(meter) = meters.get_mut(index) else { continue };
        meter.measured = round.measured(index);
        meter.took(answer).await;
    }
}

struct Asked {
    index: usize,
    began: Instant,
    ended: Instant,
    answer: Result<Reading, DeviceError>,
}

async fn ask(index: usize, meter: Arc<dyn Meter>, until: Option<Instant>) -> Asked {
    let began = Instant::now();
    let answer = match until {
        None => meter.read().await,
        Some(until) => tokio::time::timeout_at(until, meter.read())
            .await
            .unwrap_or_else(|_| Err(DeviceError::Silent { waited: began.elapsed() })),
    };
    Asked { index, began, ended: Instant::now(), answer }
}

fn outlook(meters: &[Watched], index: usize) -> drivers::Outlook {
    meters.get(index).map(|m| m.plan.meter.outlook()).unwrap_or_default()
}

struct Watched {
    bus: BusId,
    plan: MeterPlan,
    failures: u32,
    degraded: bool,
    measured: Measured,
    clock: Clock,
    scribe: Scribe,
    board: Board,
    hand: mpsc::Sender<Reading>,
}

impl Watched {
    /// The next message of a device that speaks by itself.
    async fn listen(&mut self) {
        let patience = self.clock.real(self.plan.patience);
        let answer = match tokio::time::timeout(patience, self.plan.meter.read()).await {
            Ok(answer) => answer,
            Err(_) => Err(DeviceError::Silent { waited: patience }),
        };
        let failed = answer.is_err();
        self.took(answer).await;
        if failed {
            let wait = self.clock.real(self.plan.period) * 2_u32.pow(self.failures.clamp(1, 10) - 1);
            tokio::time::sleep(wait.min(BACKOFF_MAX).mul_f64(0.75 + fastrand::f64() / 2.0)).await;
        }
    }

    async fn took(&mut self, answer: Result<Reading, DeviceError>) {
        match answer {
            Ok(reading) => {
                if self.plan.billed && reading.import.is_none() {
                    // It answers, so it is read on as before; but nobody must take it for a healthy meter.
                    self.ailing(NO_IMPORT).await;
                } else {
                    self.answered().await;
                }
                // Fails only when the courier is gone, that is, when the process is on its way out.
                let _ = self.hand.send(reading).await;
            }
            Err(error) => self.ailing(&error.to_string()).await,
        }
    }

    async fn answered(&mut self) {
        self.failures = 0;
        let fresh = self.board.look().devices.get(self.plan.id.as_str()).is_none_or(|d| !d.ok || d.problem.is_some());
        if fresh {
            self.show(true, None);
        } else {
            self.board.measured(self.plan.id.as_str(), self.measured);
        }
        if std::mem::take(&mut self.degraded) {
            self.note(Fact::DeviceRecovered { device: self.plan.id.to_string() }).await;
        }
    }

    /// One more failure in a row; the second is written down.
    async fn ailing(&mut self, problem: &str) {
        self.failures = self.failures.saturating_add(1);
        self.show(self.failures < DEGRADED_AFTER, Some(problem.to_owned()));
        if self.failures >= DEGRADED_AFTER && !self.degraded {
            self.degraded = true;
            self.note(Fact::DeviceDegraded { device: self.plan.id.to_string(), problem: problem.to_owned() }).await;
        }
    }

    fn show(&self, ok: bool, problem: Option<String>) {
        let health = DeviceHealth {
            bus: self.bus.to_string(),
            ok,
            problem,
            since: self.clock.now(),
            failures: self.failures,
            period_ms: None,
            latency_ms: None,
        };
        self.board.update(|live| live.devices.insert(self.plan.id.to_string(), health));
        self.board.measured(self.plan.id.as_str(), self.measured);
    }

    async fn note(&self, fact: Fact) {
        if let Err(error) = self.scribe.fact(fact).await {
            tracing::warn!(meter = %self.plan.id, %error, "a change of health was not recorded");
        }
    }
}

/// How long what could not be recorded waits until it is tried again, in real time, if no reading comes sooner.
const AGAIN: Duration = Duration::from_secs(5);

/// Hands over whatever has gathered while the last group was being written, so that a slow disk makes larger groups
/// and not a slower bus. While nothing can be recorded it keeps each meter's newest registers: they are cumulative, so
/// that one reading covers the energy of all that were lost before it.
async fn deliver(mut courier: mpsc::Receiver<Reading>, scribe: Scribe, board: Board) {
    let mut group = Vec::with_capacity(IN_HAND);
    let mut owed: BTreeMap<MeterId, Reading> = BTreeMap::new();
    loop {
        let fresh = courier.recv_many(&mut group, IN_HAND);
        let fresh = if owed.is_empty() { Ok(fresh.await) } else { tokio::time::timeout(AGAIN, fresh).await };
        if fresh == Ok(0) {
            return;
        }
        let readings: Vec<Reading> = std::mem::take(&mut owed).into_values().chain(group.drain(..)).collect();
        let written = scribe.write(Write::Readings(readings.clone())).await;
        if let Err(RecordFailed::Unwritten(_)) = written {
            readings.iter().for_each(|reading| remember(&mut owed, reading));
        }
        board.update(|live| match written {
            Ok(_) => {
                live.ledger_problem = None;
                for reading in readings {
                    let count = live.meters.get(&reading.meter).map_or(0, |m| m.count) + 1;
                    live.meters.insert(reading.meter.clone(), crate::MeterLive { reading, count });
                }
            }
            // Not acknowledged, so not shown either.
            Err(error) => live.ledger_problem = Some(error.to_string()),
        });
    }
}

/// The newest reading of each meter, but none without registers in the place of one with.
fn remember(owed: &mut BTreeMap<MeterId, Reading>, reading: &Reading) {
    let older = owed.get(&reading.meter);
    if older.is_none_or(|older| reading.import.is_some() || older.import.is_none()) {
        owed.insert(reading.meter.clone(), reading.clone());
    }
}
