//! One owner per Modbus port: everything that happens on the bus is one transaction after the other.
//!
//! The port is taken per transaction, and orders to switches go first ([`Gate`]): an order waits for the transaction
//! that is under way and for nothing else. What comes late is told from what is awaited by the guards on the wire
//! ([`Line`], [`Stream`]), so that a unit that is slow or dead costs its neighbours neither answers nor connections.

mod alarm;
pub(crate) mod ask;
mod device;
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
use gate::{Gate, Lane};
use line::Expected;
use patience::Patience;
use place::Guard;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_modbus::client::{Client as _, Context};
use tokio_modbus::slave::SlaveContext as _;
use tokio_modbus::{ExceptionCode, Request, Response, Slave};

/// What is open now.
struct Connection {
    client: Option<Context>,
    guard: Option<Guard>,
    backoff: Backoff,
    retry_at: Option<Instant>,
    problem: String,
}

impl Connection {
    fn close(&mut self) {
        (self.client, self.guard) = (None, None);
    }
}

/// So many questions in a row without any answer, to whatever unit, and a TCP connection is taken for dead: a peer
/// that lost its power says no goodbye.
const MUTE: u32 = 3;

/// A Modbus port.
pub(crate) struct ModbusBus {
    pub id: BusId,
    pub clock: Clock,
    pub watch: Watch,
    place: Place,
    timeout: Duration,
    silence: Duration,
    connection: Gate<Connection>,
    /// Questions on a serial line whose answer may still come, by unit and function, and until when.
    doubts: StdMutex<HashMap<(u8, u8), Instant>>,
    /// How long each unit takes.
    patience: StdMutex<HashMap<u8, Patience>>,
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
    /// Until when a late answer is feared; nothing once the question is answered.
    doubt: Option<Instant>,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let (Some(until), true) = (self.doubt, self.bus.place.is_line()) {
            lock(&self.bus.doubts).insert(self.key, until);
        }
    }
}

fn lock<T>(mutex: &StdMutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ModbusBus {
    pub fn new(id: BusId, place: Place, timeout: Duration, silence: Duration, clock: Clock) -> Self {
        let backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(10));
        let connection = Connection { client: None, guard: None, backoff, retry_at: None, problem: String::new() };
        Self {
            id,
            clock,
            watch: Watch::default(),
            place,
            timeout,
            silence,
            connection: Gate::new(connection),
            doubts: StdMutex::default(),
            patience: StdMutex::default(),
            unanswered: AtomicU32::new(0),
            openings: AtomicU32::new(0),
        }
    }

    /// Which connection it is, counted from 1; 0 before the first. Whoever was set up on an earlier one may have been
    /// without power since.
    pub fn connection(&self) -> u32 {
        self.openings.load(Ordering::Relaxed)
    }

    /// Opens the port now, whatever the back-off says.
    pub async fn try_connect(&self) -> Result<(), DeviceError> {
        let mut connection = self.connection.enter(Lane::Order).await;
        connection.retry_at = None;
        self.open(&mut connection).await
    }

    /// What it would mean to ask `unit` by `function` now, for an answer of `len` bytes.
    pub fn outlook(&self, unit: u8, function: u8, len: usize) -> Outlook {
        let not_before = lock(&self.doubts).get(&(unit, function)).copied();
        let patience = lock(&self.patience).get(&unit).copied().unwrap_or_default().with(self.timeout);
        Outlook { not_before, patience: patience + self.place.on_the_wire(8 + len) }
    }

    /// One question, one answer.
    pub async fn transact(&self, unit: u8, request: Request<'static>, lane: Lane) -> Result<Response, DeviceError> {
        let expected = expected(unit, &request)?;
        let key = (unit, expected.function);
        // A second question of the same shape must not be answered by the late answer to the first. The line is free
        // for others meanwhile.
        let mut connection = loop {
            let connection = self.connection.enter(lane).await;
            lock(&self.doubts).retain(|_, until| *until > Instant::now());
            let Some(until) = lock(&self.doubts).get(&key).copied() else { break connection };
            drop(connection);
            tokio::time::sleep_until(until).await;
        };
        if self.place.is_line() && expected.bytes.is_none() {
            self.learn_echo(&mut connection, unit, &request).await?;
        }
        // A peer may have closed an idle connection long ago; only the attempt to use it shows that. A second attempt
        // is made for this alone, on a fresh connection.
        let reused = connection.client.is_some();
        match self.attempt(&mut connection, unit, expected, request.clone()).await {
            Err((DeviceError::Wire { .. }, true)) if reused && !matches!(self.place, Place::Serial { .. }) => {
                self.attempt(&mut connection, unit, expected, request).await.map_err(|(error, _)| error)
            }
            other => other.map_err(|(error, _)| error),
        }
    }

    /// Finds out, before the first write on a line, whether the adapter echoes: see [`Line`].
    async fn learn_echo(&self, at: &mut Connection, unit: u8, write: &Request<'_>) -> Result<(), DeviceError> {
        self.open(at).await?;
        let Some(Guard::Line(line)) = at.guard.clone() else { return Ok(()) };
        if line.echoes().is_none() {
            let look = match write {
                Request::WriteSingleCoil(address, _) => Request::ReadCoils(*address, 1),
                Request::WriteSingleRegister(address, _) | Request::WriteMultipleRegisters(address, _) => {
                    Request::ReadHoldingRegisters(*address, 1)
                }
                _ => return Ok(()),
            };
            // What the device says to this is of no interest, nor whether it says anything.
            let _ = self.attempt(at, unit, expected(unit, &look)?, look).await;
            line.assume_no_echo();
        }
        Ok(())
    }

    /// The flag says whether the connection itself failed, as opposed to what came over it.
    async fn attempt(
        &self,
        connection: &mut Connection,
        unit: u8,
        expected: Expected,
        request: Request<'static>,
    ) -> Result<Response, (DeviceError, bool)> {
        if !self.place.is_line() && self.unanswered.load(Ordering::Relaxed) >= MUTE {
            connection.close();
            self.unanswered.store(0, Ordering::Relaxed);
        }
        self.open(connection).await.map_err(|error| (error, false))?;
        let broken = |error: &dyn std::fmt::Display| {
            (DeviceError::wire(format!("bus {}: the connection broke: {error}", self.id)), true)
        };
        let ready = match connection.guard.clone() {
            Some(Guard::Line(line)) => line.ask(self.silence, expected).await,
            Some(Guard::Stream(stream)) => stream.ask(),
            None => Err(std::io::ErrorKind::NotConnected.into()),
        };
        if let Err(error) = ready {
            connection.close();
            return Err(broken(&error));
        }
        // On a line, a client whose question was given up may hold half of it still, and is not used again. Over TCP
        // the rest of that question must go out before the next.
        let mut taken = if self.place.is_line() { connection.client.take() } else { None };
        let Some(client) = taken.as_mut().or(connection.client.as_mut()) else { return Err(broken(&"it is gone")) };
        client.set_slave(Slave(unit));
        // A gateway that still waits for a dead unit lets the next one wait with it; that unit is not to blame.
        let blocked = self.unanswered.fetch_add(1, Ordering::Relaxed) > 0 && !self.place.is_line();
        // A switch may take longer to move than to say where it is: only reads teach, and only reads are hurried.
        let read = expected.bytes.is_some();
        let known = lock(&self.patience).get(&unit).copied().unwrap_or_default();
        let wire = self.place.on_the_wire(8 + expected.len);
        let patience = wire + if read && !blocked { known.with(self.timeout) } else { self.timeout };
        let asked = Instant::now();
        let doubt = Some(asked + (self.timeout + wire) * 2);
        let mut pending = Pending { bus: self, key: (unit, expected.function), doubt };
        let answer = tokio::time::timeout(patience, client.call(request)).await;
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
        match answer {
            Err(_) => {
                if let Some(Guard::Line(line)) = &connection.guard {
                    line.give_up();
                }
                Err((DeviceError::Silent { waited: patience }, false))
            }
            Ok(Ok(result)) => {
                connection.client = taken.or(connection.client.take());
                result.map_err(|exception| match exception {
                    ExceptionCode::GatewayTargetDevice => (DeviceError::Silent { waited: took }, false),
                    other => (DeviceError::refused(other.into()), false),
                })
            }
            Ok(Err(tokio_modbus::Error::Transport(error))) => {
                connection.close();
                Err(broken(&error))
            }
            Ok(Err(tokio_modbus::Error::Protocol(_))) => {
                if !self.place.is_line() {
                    connection.close();
                }
                Err((DeviceError::wire(format!("bus {}: an answer to another question", self.id)), false))
            }
        }
    }

    async fn open(&self, connection: &mut Connection) -> Result<(), DeviceError> {
        if connection.client.is_some() {
            return Ok(());
        }
        if let Some(Guard::Line(line)) = &connection.guard {
            connection.client = Some(tokio_modbus::client::rtu::attach(line.clone()));
            return Ok(());
        }
        if connection.retry_at.is_some_and(|at| at > Instant::now()) {
            return Err(DeviceError::wire(&connection.problem));
        }
        match self.place.connect(self.timeout, &self.watch).await {
            Ok(guard) => {
                connection.backoff.worked();
                connection.client = Some(match guard.clone() {
                    Guard::Line(line) => tokio_modbus::client::rtu::attach(line),
                    Guard::Stream(stream) => tokio_modbus::client::tcp::attach(stream),
                });
                (connection.guard, connection.retry_at) = (Some(guard), None);
                self.openings.fetch_add(1, Ordering::Relaxed);
                self.unanswered.store(0, Ordering::Relaxed);
                Ok(())
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
