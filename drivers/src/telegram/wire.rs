//! The port that a meter is on.

use crate::spec::{Parity, TelegramPlace};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_serial::{ClearBuffer, DataBits, SerialPort as _, SerialPortBuilderExt as _, SerialStream};

/// An open port.
pub(super) enum Wire {
    Serial(SerialStream),
    Tcp(TcpStream),
}

impl Wire {
    pub async fn open(place: &TelegramPlace, baud: u32, parity: Parity, timeout: Duration) -> Result<Self, String> {
        match place {
            TelegramPlace::Serial(port) => {
                let (parity, bits) = match parity {
                    Parity::None => (tokio_serial::Parity::None, DataBits::Eight),
                    Parity::Even => (tokio_serial::Parity::Even, DataBits::Seven),
                    Parity::Odd => (tokio_serial::Parity::Odd, DataBits::Seven),
                };
                let name = port.to_string_lossy();
                let stream = tokio_serial::new(name.as_ref(), baud).parity(parity).data_bits(bits).open_native_async();
                let stream = stream.map_err(|e| format!("cannot open {name}: {e}"))?;
                // What lies there was said before anybody listened: stamped with now it would be a lie.
                stream.clear(ClearBuffer::Input).map_err(|e| format!("cannot empty {name}: {e}"))?;
                Ok(Self::Serial(stream))
            }
            TelegramPlace::Tcp(address) => match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
                Ok(connected) => connected.map(Self::Tcp).map_err(|e| format!("cannot connect to {address}: {e}")),
                Err(_) => Err(format!("cannot connect to {address}: no answer")),
            },
        }
    }

    /// Waits for bytes and appends them. Dropping the future loses none.
    pub async fn hear(&mut self, heard: &mut Vec<u8>) -> io::Result<usize> {
        let mut space = [0; 1024];
        let n = match self {
            Self::Serial(stream) => stream.read(&mut space).await,
            Self::Tcp(stream) => stream.read(&mut space).await,
        }?;
        heard.extend(space.iter().take(n));
        if n == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(n) }
    }

    pub async fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Serial(stream) => stream.write_all(bytes).await,
            Self::Tcp(stream) => stream.write_all(bytes).await,
        }
    }

    /// Whether its speed can be changed.
    pub fn has_speed(&self) -> bool {
        matches!(self, Self::Serial(_))
    }

    /// Goes on at another speed; over the network, where nobody can be told, at the same.
    pub fn set_baud(&mut self, baud: u32) -> io::Result<()> {
        match self {
            Self::Serial(stream) => stream.set_baud_rate(baud).map_err(io::Error::from),
            Self::Tcp(_) => Ok(()),
        }
    }
}
