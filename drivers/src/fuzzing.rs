//! Doors to the decoders that bytes from outside reach first, for the fuzz targets in `fuzz/` and for nobody else: each
//! hands its arguments on to the code that the drivers run.

use crate::capability::DeviceError;
use crate::modbus::line::Line;
use crate::modbus::plan::Known;
use crate::modbus::stream::{Stream, Voice};
use crate::simulator::{SimDevice, slave::Slave};
use crate::template::{MqttMap, MqttSwitch, RegisterField, Request as Plan, TelegramMap};
use crate::traffic::Watch;
use crate::{codec, modbus, mqtt, telegram};
use domain::{MeterId, Position, Reading, Timestamp};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tokio_modbus::Request;

/// A reading of nobody, at no time, of nothing.
#[must_use]
pub fn blank() -> Reading {
    let Ok(meter) = "m".parse::<MeterId>() else { unreachable!("m is a name") };
    Reading::empty(meter, Timestamp(0))
}

/// What these registers say in this field.
pub fn read(field: &RegisterField, words: &[u16]) -> Result<Reading, DeviceError> {
    let mut reading = blank();
    if let Some(raw) = codec::decode(field, words)? {
        codec::put(&mut reading, field.quantity, &field.scaling, raw)?;
    }
    Ok(reading)
}

/// The registers by which a device with this field would say this.
#[must_use]
pub fn written(field: &RegisterField, reading: &Reading) -> Vec<u16> {
    let mut words = vec![0; field.kind.registers().into()];
    for (at, mask, word) in codec::encode(field, reading) {
        if let Some(cell) = words.get_mut(usize::from(at)) {
            *cell = (*cell & !mask) | (word & mask);
        }
    }
    words
}

/// One reading of a device that refuses some requests.
#[derive(Debug)]
pub struct Walk {
    /// What was asked, in turn.
    pub asked: Vec<Plan>,
    /// What is not asked any more.
    pub refused: Vec<Plan>,
}

/// Reads a device so many times in a row; `refuses` says which requests it refuses.
pub fn walk(
    requests: &[Plan],
    fields: &[RegisterField],
    readings: usize,
    refuses: impl Fn(&Plan) -> bool,
) -> Vec<Walk> {
    let now = Instant::now();
    let mut known = Known::new(requests, now);
    let mut walks = Vec::new();
    for _ in 0..readings {
        let (mut work, mut asked) = (known.begin(requests, now), Vec::new());
        while let Some(part) = work.next() {
            asked.push(part);
            if refuses(&part) {
                work.refused(part, fields);
                known.learn(&work, now);
            } else {
                work.answered(part);
            }
        }
        walks.push(Walk { asked, refused: known.refused().to_vec() });
    }
    walks
}

/// The question for `quantity` places from `address` on, or the order to write that there. `None` if no driver asks it.
fn question(function: u8, address: u16, quantity: u16) -> Option<Request<'static>> {
    Some(match function {
        1 => Request::ReadCoils(address, quantity),
        2 => Request::ReadDiscreteInputs(address, quantity),
        3 => Request::ReadHoldingRegisters(address, quantity),
        4 => Request::ReadInputRegisters(address, quantity),
        5 => Request::WriteSingleCoil(address, quantity != 0),
        6 => Request::WriteSingleRegister(address, quantity),
        _ => return None,
    })
}

/// Polls once what never has to wait.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut context()) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("there is nothing to wait for"),
    }
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn hear(ear: &mut (impl AsyncRead + Unpin), room: usize) -> Poll<io::Result<Vec<u8>>> {
    let mut space = vec![0; room];
    let mut buf = ReadBuf::new(&mut space);
    Pin::new(ear).poll_read(&mut context(), &mut buf).map_ok(|()| buf.filled().to_vec())
}

/// The guard on a serial line.
#[derive(Clone)]
pub struct Serial(Line);

impl Serial {
    /// A line that was just opened.
    pub fn new(port: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self(Line::new(Box::new(port), Watch::default()))
    }

    /// Drops what came before, and awaits the answer to this question. Says how long a good answer is and which byte
    /// count it has.
    pub fn ask(&self, unit: u8, function: u8, address: u16, quantity: u16) -> Option<io::Result<(usize, Option<u8>)>> {
        let expected = modbus::expected(unit, &question(function, address, quantity)?).ok()?;
        Some(at_once(self.0.ask(Duration::ZERO, expected)).map(|()| (expected.len, expected.bytes)))
    }

    /// Sends the question's bytes.
    pub fn say(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(&mut context(), bytes)
    }

    /// What is let through now, at most `room` bytes of it.
    pub fn hear(&mut self, room: usize) -> Poll<io::Result<Vec<u8>>> {
        hear(&mut self.0, room)
    }

    /// Whether the port is known to hear what it says.
    #[must_use]
    pub fn echoes(&self) -> Option<bool> {
        self.0.echoes()
    }
}

/// The guard on a TCP connection.
#[derive(Clone)]
pub struct Tcp(Stream);

impl Tcp {
    /// A connection that was just opened.
    pub fn new(port: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self(Stream::new(Box::new(port), 1, Watch::default()))
    }

    fn voice(&self) -> Voice {
        self.0.voice(0)
    }

    /// Drops what came before, and awaits the answer to the next question.
    pub fn ask(&self) -> io::Result<()> {
        self.0.ask(0, false).map(drop)
    }

    /// What is let through now, at most `room` bytes of it.
    pub fn hear(&mut self, room: usize) -> Poll<io::Result<Vec<u8>>> {
        hear(&mut self.voice(), room)
    }
}

/// What an MQTT meter's payload says.
pub fn measured(map: &MqttMap, payload: &[u8]) -> Result<Reading, DeviceError> {
    mqtt::device::measured(map, payload, blank())
}

/// The position that an MQTT switch's payload says.
pub fn position(map: &MqttSwitch, payload: &[u8]) -> Result<Position, DeviceError> {
    mqtt::device::position(map, payload)
}

/// Every telegram that is believed when `heard` comes in pieces of `piece` bytes: whether it had a checksum, and what it
/// says to this model.
pub fn telegrams(map: &TelegramMap, heard: &[u8], piece: usize) -> Vec<(bool, Result<Reading, DeviceError>)> {
    let (mut found, mut waiting) = (Vec::new(), Vec::new());
    for part in heard.chunks(piece.max(1)) {
        waiting.extend_from_slice(part);
        while let Some(next) = telegram::next(map, &mut waiting) {
            if let Ok(said) = next {
                found.push((said.checked, telegram::reading(map, &said, blank().meter, Timestamp(0).into())));
            }
        }
        assert!(waiting.len() <= telegram::LONGEST, "{} bytes wait for an end", waiting.len());
    }
    found
}

/// Whether a topic fits a filter.
#[must_use]
pub fn fits(filter: &str, topic: &str) -> bool {
    mqtt::subscription::fits(filter, topic)
}

/// Simulated Modbus devices without a transport.
pub struct Simulated(Slave);

impl Simulated {
    /// These devices on one bus.
    pub fn new(devices: Vec<SimDevice>) -> io::Result<Self> {
        Slave::new(devices).map(Self)
    }

    /// The answer to a request, both without address and checksum.
    pub async fn answer(&self, unit: u8, pdu: &[u8]) -> Option<Vec<u8>> {
        self.0.answer(unit, pdu).await
    }
}
