//! Where a bus is, and how it is opened.

use super::line::{Line, Port};
use super::stream::Stream;
use crate::spec::{Parity, Rs485};
use crate::tls::Tls;
use crate::traffic::Watch;
use serial2::SerialPort;
use serial2::rs4xx::Rs485Config;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_modbus::client::Context;

/// Where the bus is.
#[derive(Debug)]
pub(crate) enum Place {
    Tcp { address: String },
    Tls { address: String, tls: Tls },
    RtuOverTcp { address: String },
    Serial { port: PathBuf, baud: u32, parity: Parity, stop_bits: u8, rs485: Option<Rs485> },
}

/// Who watches what comes in.
#[derive(Clone)]
pub(super) enum Guard {
    Line(Line),
    Stream(Stream),
}

impl Guard {
    /// A client of the protocol for one of the places.
    pub fn client(&self, place: usize) -> Context {
        match self {
            Self::Line(line) => tokio_modbus::client::rtu::attach(line.clone()),
            Self::Stream(stream) => tokio_modbus::client::tcp::attach(stream.voice(place)),
        }
    }
}

/// The least time for a TLS handshake: a small device computes for a while.
const HANDSHAKE: Duration = Duration::from_secs(5);

impl Place {
    /// Whether frames are told apart by silence and checksum, and not by transaction numbers.
    pub fn is_line(&self) -> bool {
        matches!(self, Self::RtuOverTcp { .. } | Self::Serial { .. })
    }

    /// How long this many bytes take on a wire of our own.
    pub fn on_the_wire(&self, bytes: usize) -> Duration {
        let Self::Serial { baud, .. } = self else { return Duration::ZERO };
        let bits = u32::try_from(bytes).unwrap_or(u32::MAX).saturating_mul(11);
        Duration::from_secs(1) * bits / (*baud).max(1)
    }

    /// Opens it, for so many questions at a time. An error says what is wrong in words.
    pub(super) async fn connect(&self, timeout: Duration, places: usize, watch: &Watch) -> Result<Guard, String> {
        let stream = |port: Box<dyn Port>| Guard::Stream(Stream::new(port, places, watch.clone()));
        let line = |port: Box<dyn Port>| Guard::Line(Line::new(port, watch.clone()));
        match self {
            Self::Tcp { address } => Ok(stream(Box::new(connect(address, timeout).await?))),
            Self::Tls { address, tls } => {
                let plain = connect(address, timeout).await?;
                match tokio::time::timeout(timeout.max(HANDSHAKE), tls.connect(plain)).await {
                    Ok(shaken) => Ok(stream(Box::new(shaken.map_err(|e| format!("{address}: {e}"))?))),
                    Err(_) => Err(format!("{address}: no answer to TLS; does it speak plain Modbus?")),
                }
            }
            Self::RtuOverTcp { address } => Ok(line(Box::new(connect(address, timeout).await?))),
            Self::Serial { port, baud, parity, stop_bits, rs485 } => {
                let prepared = rs485.map(|rs485| drive_direction(port, *baud, rs485)).transpose();
                // Held until the port is open a second time: a driver may forget what it was told when nobody has it
                // open.
                let _held = prepared.map_err(|e| format!("{}: {e}", port.display()))?;
                Ok(line(Box::new(open(port, *baud, *parity, *stop_bits)?)))
            }
        }
    }
}

async fn connect(address: &str, timeout: Duration) -> Result<TcpStream, String> {
    let stream = match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
        Ok(connected) => connected.map_err(|e| format!("cannot connect to {address}: {e}"))?,
        Err(_) => return Err(format!("cannot connect to {address}: no answer")),
    };
    // Questions are small and each waits for its answer: collecting them only delays.
    stream.set_nodelay(true).map_err(|e| format!("{address}: {e}"))?;
    Ok(stream)
}

fn open(port: &Path, baud: u32, parity: Parity, stop_bits: u8) -> Result<tokio_serial::SerialStream, String> {
    let parity = match parity {
        Parity::None => tokio_serial::Parity::None,
        Parity::Even => tokio_serial::Parity::Even,
        Parity::Odd => tokio_serial::Parity::Odd,
    };
    let stop = if stop_bits == 2 { tokio_serial::StopBits::Two } else { tokio_serial::StopBits::One };
    let name = port.to_string_lossy();
    let builder = tokio_serial::new(name.as_ref(), baud).parity(parity).stop_bits(stop);
    tokio_serial::SerialPortBuilderExt::open_native_async(builder).map_err(|e| format!("cannot open {name}: {e}"))
}

/// Has the kernel drive the transceiver's direction, before anything is said on the line.
fn drive_direction(port: &Path, baud: u32, rs485: Rs485) -> Result<SerialPort, String> {
    let mut mode = Rs485Config::new();
    mode.set_invert_rts(rs485.invert_rts);
    mode.set_delay_before_send(rs485.delay_before);
    mode.set_delay_after_send(rs485.delay_after);
    let opened = SerialPort::open(port, baud).map_err(|e| format!("cannot open: {e}"))?;
    opened.set_rs4xx_mode(mode).map_err(|e| {
        format!("its driver cannot turn an RS-485 line around ({e}); leave rs485 out if the adapter does it by itself")
    })?;
    Ok(opened)
}
