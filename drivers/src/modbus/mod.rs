//! One owner per Modbus port: everything that happens on the bus is one transaction after the other, or over TCP a few
//! at a time where the far end bears that ([`Trust`]).
//!
//! The port is taken per transaction, and orders to switches go first ([`Gate`]): an order waits for a transaction
//! that is under way and for nothing else. What comes late is told from what is awaited by the guards on the wire
//! ([`Line`], [`Stream`]), so that a unit that is slow or dead costs its neighbours neither answers nor connections.

mod alarm;
pub(crate) mod ask;
mod bell;
mod device;
mod failed;
mod gate;
mod identity;
mod limit;
pub(crate) mod line;
mod patience;
mod place;
pub(crate) mod plan;
mod setup;
pub(crate) mod stream;
mod sunspec;
mod trust;

pub(crate) use device::{ModbusMeter, ModbusSwitchDevice};
pub(crate) use identity::Texts;
pub(crate) use limit::ModbusInverter;
pub(crate) use line::{crc, crc_fits};
pub(crate) use place::Place;
pub(crate) use sunspec::{SunSpec, SunSpecInverter};

use crate::backoff::Backoff;
use crate::capability::{DeviceError, Outlook};
use crate::traffic::Watch;
use domain::{BusId, Clock};
use failed::{Failed, Why};
use gate::{Company, Gate, Inside, Lane};
use line::Expected;
use patience::Patience;
use place::Guard;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;
use stream::Others;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_modbus::client::{Client as _, Context};
use tokio_modbus::slave::SlaveContext as _;
use tokio_modbus::{ExceptionCode, Request, Response, Slave};
use trust::Trust;

/// What is open now.
struct Connection {
    guard: Option<Guard>,
    backoff: Backoff,
    retry_at: Option<Instant>,
    problem: String,
}

/// Who asks one question at a time: a client of the protocol, and the connection that it was made for.
struct Asker {
    place: usize,
    client: Option<Context>,
    on: u32,
}

/// So many questions in a row without any answer, to whatever unit, for each that may be under way, and a TCP connection
/// is taken for dead: a peer that lost its power says no goodbye.
const MUTE: u32 = 3;

/// A Modbus port.
pub(crate) struct ModbusBus {
    pub id: BusId,
    pub clock: Clock,
    pub watch: Watch,
    place: Place,
    timeout: Duration,
    silence: Duration,
    gate: Gate<Asker>,
    /// How many go through the gate, and how many of them at a time.
    places: u32,
    trust: Trust,
    connection: Mutex<Connection>,
    /// Questions on a serial line whose answer may still come, by unit and function, and until when.
    doubts: StdMutex<BTreeMap<(u8, u8), Instant>>,
    /// How long each unit takes.
    patience: StdMutex<BTreeMap<u8, Patience>>,
    /// Units that were asked with nothing else under way, and have said nothing since.
    vain: StdMutex<BTreeSet<u8>>,
    /// Questions since the last answer.
    unanswered: AtomicU32,
    /// How often the port was opened.
    openings: AtomicU32,
}

/// The question and the mark that it has no answer yet. Dropped unanswered, by timeout or because the caller lost
/// interest, it leaves the doubt behind.
struct Pending<'a> {
    bus: &'a ModbusBus,
    key: (u8, u8),
    guard: &'a Guard,
    place: usize,
    /// Until when a late answer is feared; nothing once the question is answered.
    doubt: Option<Instant>,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let Some(until) = self.doubt else { return };
        match self.guard {
            Guard::Line(_) => {
                lock(&self.bus.doubts).insert(self.key, until);
            }
            Guard::Stream(stream) => {
                stream.give_up(self.place);
                self.bus.unanswered.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn lock<T>(mutex: &StdMutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ModbusBus {
    pub fn new(id: BusId, place: Place, timeout: Duration, (silence, pipeline): (Duration, u8), clock: Clock) -> Self {
        let backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(10));
        let connection = Connection { guard: None, backoff, retry_at: None, problem: String::new() };
        let places = pipeline.max(1);
        Self {
            id,
            clock,
            watch: Watch::default(),
            place,
            timeout,
            silence,
            gate: Gate::new((0..places.into()).map(|place| Asker { place, client: None, on: 0 })),
            places: places.into(),
            trust: Trust::new(places.into()),
            connection: Mutex::new(connection),
            doubts: StdMutex::default(),
            patience: StdMutex::default(),
            vain: StdMutex::default(),
            unanswered: AtomicU32::new(0),
            openings: AtomicU32::new(0),
        }
    }

    /// Which connection it is, counted from 1; 0 before the first. Whoever was set up on an earlier one may have been
    /// without power since.
    pub fn connection(&self) -> u32 {
        self.openings.load(Ordering::Relaxed)
    }

    /// How many questions may be under way now.
    pub fn pipeline(&self) -> usize {
        usize::try_from(self.trust.places(Instant::now())).unwrap_or(1)
    }

    /// Opens the port now, whatever the back-off says.
    pub async fn try_connect(&self) -> Result<(), DeviceError> {
        let _alone = self.gate.enter(Lane::Order, Company::None).await;
        self.connection.lock().await.retry_at = None;
        self.open().await.map(drop)
    }

    fn known(&self, unit: u8) -> Patience {
        lock(&self.patience).get(&unit).copied().unwrap_or_default()
    }

    /// What it would mean to ask `unit` by `function` now, for an answer of `len` bytes.
    pub fn outlook(&self, unit: u8, function: u8, len: usize) -> Outlook {
        let not_before = lock(&self.doubts).get(&(unit, function)).copied();
        let patience = self.known(unit).with(self.timeout);
        let beside = self.pipeline().saturating_sub(1);
        Outlook { not_before, patience: patience + self.place.on_the_wire(8 + len), beside }
    }

    /// One question, one answer.
    pub async fn transact(&self, unit: u8, request: Request<'static>, lane: Lane) -> Result<Response, DeviceError> {
        let expected = expected(unit, &request)?;
        let mut asker = self.turn((unit, expected.function), lane).await;
        if self.place.is_line() && expected.bytes.is_none() {
            self.learn_echo(&mut asker, unit, &request).await?;
        }
        let failed = match self.attempt(&mut asker, unit, expected, request.clone()).await {
            Ok(answer) => return Ok(answer),
            Err(failed) => failed,
        };
        if failed.is_company() && !self.is_vain(unit, &failed) {
            drop(asker);
            return self.alone(failed, (unit, expected, request), lane).await;
        }
        // A peer may have closed an idle connection long ago; only the attempt to use it shows that. A second attempt
        // is made for this alone, on a fresh connection.
        if matches!(failed.why, Why::Broke { reused: true, .. }) && !matches!(self.place, Place::Serial { .. }) {
            return self.attempt(&mut asker, unit, expected, request).await.map_err(|failed| failed.error);
        }
        Err(failed.error)
    }

    /// A place from which this may be asked.
    async fn turn(&self, key: (u8, u8), lane: Lane) -> Inside<'_, Asker> {
        loop {
            let company = if self.pipeline() > 1 { Company::Any } else { Company::None };
            let asker = self.gate.enter(lane, company).await;
            if !self.place.is_line() {
                return asker;
            }
            // A second question of the same shape must not be answered by the late answer to the first. The line is
            // free for others meanwhile.
            lock(&self.doubts).retain(|_, until| *until > Instant::now());
            let Some(until) = lock(&self.doubts).get(&key).copied() else { return asker };
            drop(asker);
            tokio::time::sleep_until(until).await;
        }
    }

    /// A unit that said nothing, and nothing by itself either.
    fn is_vain(&self, unit: u8, failed: &Failed) -> bool {
        failed.why == Why::Silent && lock(&self.vain).contains(&unit)
    }

    /// Asks again what failed beside others, without them, and learns from what comes of it.
    async fn alone(
        &self,
        failed: Failed,
        (unit, expected, request): (u8, Expected, Request<'static>),
        lane: Lane,
    ) -> Result<Response, DeviceError> {
        let mut asker = self.gate.enter(lane, Company::None).await;
        // Somebody else may have found out meanwhile.
        if self.is_vain(unit, &failed) {
            return Err(failed.error);
        }
        let answer = self.attempt(&mut asker, unit, expected, request).await;
        let answered = answer.as_ref().map_or_else(Failed::is_answer, |_| true);
        let (now, tried) = (Instant::now(), self.places);
        let enough = match failed.why {
            Why::Broke { on, .. } => answered && self.trust.broke(on, now),
            // Behind a unit that is silent a gateway makes all the others wait, also those that are given up before it.
            _ => answered && !failed.others.silent && !failed.others.vain && self.trust.struck(now),
        };
        if enough {
            let bus = &self.id;
            tracing::warn!(%bus, "answers one question at a time and not {tried}: pipeline is taken for 1 for an hour");
        }
        answer.map_err(|failed| failed.error)
    }

    /// Finds out, before the first write on a line, whether the adapter echoes: see [`Line`].
    async fn learn_echo(&self, asker: &mut Asker, unit: u8, write: &Request<'_>) -> Result<(), DeviceError> {
        let (Guard::Line(line), ..) = self.open().await? else { return Ok(()) };
        if line.echoes().is_none() {
            let look = match write {
                Request::WriteSingleCoil(address, _) => Request::ReadCoils(*address, 1),
                Request::WriteSingleRegister(address, _) | Request::WriteMultipleRegisters(address, _) => {
                    Request::ReadHoldingRegisters(*address, 1)
                }
                _ => return Ok(()),
            };
            // What the device says to this is of no interest, nor whether it says anything.
            let _ = self.attempt(asker, unit, expected(unit, &look)?, look).await;
            line.assume_no_echo();
        }
        Ok(())
    }

    async fn attempt(
        &self,
        asker: &mut Asker,
        unit: u8,
        expected: Expected,
        request: Request<'static>,
    ) -> Result<Response, Failed> {
        if !self.place.is_line() && self.unanswered.load(Ordering::Relaxed) >= MUTE * self.places {
            self.close(self.connection()).await;
            self.unanswered.store(0, Ordering::Relaxed);
        }
        let (guard, on, reused) = self.open().await.map_err(Failed::said)?;
        let broken = |error: &dyn std::fmt::Display, others: Others| {
            let error = DeviceError::wire(format!("bus {}: the connection broke: {error}", self.id));
            Failed { error, why: Why::Broke { on, reused }, others }
        };
        let ready = match &guard {
            Guard::Line(line) => line.ask(self.silence, expected).await.map(|()| Others::default()),
            Guard::Stream(stream) => stream.ask(asker.place, self.places > 1 && lock(&self.vain).contains(&unit)),
        };
        // A client whose question was given up may hold half of it or of the answer still, and is not used again.
        let present = asker.client.take().filter(|_| asker.on == on);
        let others = match ready {
            Ok(others) => others,
            Err(error) => {
                drop(present);
                self.close(on).await;
                return Err(broken(&error, Others::default()));
            }
        };
        let mut client = present.unwrap_or_else(|| guard.client(asker.place));
        client.set_slave(Slave(unit));
        // A gateway that waits for a dead unit, still or again, lets the next one wait with it; that unit is not to blame.
        let blocked = (self.unanswered.load(Ordering::Relaxed) > 0 || others.vain) && !self.place.is_line();
        // A switch may take longer to move than to say where it is: only reads teach, and only reads are hurried.
        let read = expected.bytes.is_some();
        let known = self.known(unit);
        let wire = self.place.on_the_wire(8 + expected.len);
        let patience = wire + if read && !blocked { known.with(self.timeout) } else { self.timeout };
        // Whoever is ahead of us may be answered first.
        let patience = patience + known.mean() * others.ahead;
        let asked = Instant::now();
        let doubt = Some(asked + (self.timeout + wire) * 2);
        let key = (unit, expected.function);
        let mut pending = Pending { bus: self, key, guard: &guard, place: asker.place, doubt };
        let answer = tokio::time::timeout(patience, client.call(request)).await;
        let others = match &guard {
            Guard::Stream(stream) if self.places > 1 => stream.others(asker.place),
            _ => others,
        };
        // From here on a late answer is possible only if none came.
        if answer.is_ok() {
            pending.doubt = None;
            self.unanswered.store(0, Ordering::Relaxed);
        }
        drop(pending);
        let took = asked.elapsed();
        if read && !blocked {
            let mut units = lock(&self.patience);
            let patience = units.entry(unit).or_default();
            match &answer {
                Err(_) | Ok(Ok(Err(ExceptionCode::GatewayTargetDevice))) => patience.silent(),
                Ok(Ok(_)) => patience.answered(took.saturating_sub(wire)),
                Ok(Err(_)) => {}
            }
        }
        let failed = |error| Failed { error, why: Why::Said, others };
        match answer {
            Err(_) => {
                if let Guard::Line(line) = &guard {
                    line.give_up();
                }
                if self.places > 1 && !others.any {
                    lock(&self.vain).insert(unit);
                }
                Err(Failed { error: DeviceError::Silent { waited: patience }, why: Why::Silent, others })
            }
            Ok(Ok(result)) => {
                (asker.client, asker.on) = (Some(client), on);
                if self.places > 1 {
                    lock(&self.vain).remove(&unit);
                }
                if others.ahead > 0 && !matches!(result, Err(ExceptionCode::ServerDeviceBusy)) {
                    self.trust.proved();
                }
                result.map_err(|exception| match exception {
                    ExceptionCode::GatewayTargetDevice => failed(DeviceError::Silent { waited: took }),
                    other => failed(DeviceError::refused(other.into())),
                })
            }
            Ok(Err(tokio_modbus::Error::Transport(error))) => {
                drop(client);
                self.close(on).await;
                Err(broken(&error, others))
            }
            Ok(Err(tokio_modbus::Error::Protocol(_))) => {
                if !self.place.is_line() {
                    self.close(on).await;
                }
                Err(failed(DeviceError::wire(format!("bus {}: an answer to another question", self.id))))
            }
        }
    }

    /// Gives up the connection with this number, for everybody.
    async fn close(&self, on: u32) {
        let mut connection = self.connection.lock().await;
        if self.connection() == on
            && let Some(Guard::Stream(stream)) = connection.guard.take()
        {
            stream.hang_up();
        }
    }

    /// What is open, its number, and whether it was open before.
    async fn open(&self) -> Result<(Guard, u32, bool), DeviceError> {
        let mut connection = self.connection.lock().await;
        if let Some(guard) = &connection.guard {
            return Ok((guard.clone(), self.connection(), true));
        }
        if connection.retry_at.is_some_and(|at| at > Instant::now()) {
            return Err(DeviceError::wire(&connection.problem));
        }
        let places = usize::try_from(self.places).unwrap_or(1);
        match self.place.connect(self.timeout, places, &self.watch).await {
            Ok(guard) => {
                connection.backoff.worked();
                (connection.guard, connection.retry_at) = (Some(guard.clone()), None);
                self.unanswered.store(0, Ordering::Relaxed);
                Ok((guard, self.openings.fetch_add(1, Ordering::Relaxed) + 1, false))
            }
            Err(problem) => {
                let wait = connection.backoff.failed();
                connection.retry_at = Some(Instant::now() + wait);
                connection.problem = format!("bus {}: {problem}", self.id);
                Err(DeviceError::wire(&connection.problem))
            }
        }
    }
}

/// What the answer to `request` looks like.
pub(crate) fn expected(unit: u8, request: &Request<'_>) -> Result<Expected, DeviceError> {
    let read = |function, bytes: u16| {
        let bytes = u8::try_from(bytes).map_err(|_| DeviceError::nonsense("the request is too long"))?;
        Ok(Expected { unit, function, len: usize::from(bytes) + 5, bytes: Some(bytes) })
    };
    match request {
        Request::ReadCoils(_, n) => read(1, n.div_ceil(8)),
        Request::ReadDiscreteInputs(_, n) => read(2, n.div_ceil(8)),
        Request::ReadHoldingRegisters(_, n) => read(3, n.saturating_mul(2)),
        Request::ReadInputRegisters(_, n) => read(4, n.saturating_mul(2)),
        Request::WriteSingleCoil(..) => Ok(Expected { unit, function: 5, len: 8, bytes: None }),
        Request::WriteSingleRegister(..) => Ok(Expected { unit, function: 6, len: 8, bytes: None }),
        Request::WriteMultipleRegisters(..) => Ok(Expected { unit, function: 16, len: 8, bytes: None }),
        _ => Err(DeviceError::nonsense("no driver asks this")),
    }
}
