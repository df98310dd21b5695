//! A radio bridge on a serial port.

use super::line::Lines;
use crate::capability::{DeviceError, Heard, Radio};
use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::Mutex;
use tokio_serial::SerialPortBuilderExt as _;

/// Bits a second that the reference firmware speaks.
const BAUD: u32 = 115_200;

type Port = Box<dyn AsyncRead + Send + Unpin>;

struct State {
    /// Opened anew when it is gone.
    port: Option<Port>,
    lines: Lines,
    /// The number of the last line.
    last: Option<u16>,
    lost: u64,
}

/// A bridge. It only listens.
pub struct Bridge {
    /// The port; none if its words come from elsewhere.
    path: Option<String>,
    state: Mutex<State>,
}

impl Bridge {
    /// On this port: 115,200 bits a second, 8N1. It is opened when it is first asked, and again after it was unplugged.
    #[must_use]
    pub fn at(port: &str) -> Self {
        Self { path: Some(port.to_owned()), state: Mutex::new(State::of(None)) }
    }

    /// A bridge whose words come from anywhere.
    pub fn over(port: impl AsyncRead + Send + Unpin + 'static) -> Self {
        Self { path: None, state: Mutex::new(State::of(Some(Box::new(port)))) }
    }

    /// How many lines never came, by their numbers. A bridge that starts anew counts from 0: that looks like up to 65,535.
    pub async fn lost(&self) -> u64 {
        self.state.lock().await.lost
    }

    fn open(&self) -> Result<Port, DeviceError> {
        let path = self.path.as_ref().ok_or_else(|| DeviceError::wire("radio bridge: the port was closed"))?;
        let opened = tokio_serial::new(path, BAUD).open_native_async();
        Ok(Box::new(opened.map_err(|e| DeviceError::wire(format!("cannot open {path}: {e}")))?))
    }
}

impl State {
    fn of(port: Option<Port>) -> Self {
        Self { port, lines: Lines::default(), last: None, lost: 0 }
    }
}

#[async_trait]
impl Radio for Bridge {
    async fn heard(&self) -> Result<Heard, DeviceError> {
        let mut state = self.state.lock().await;
        let state = &mut *state;
        loop {
            if let Some(line) = state.lines.next() {
                let line = line.map_err(DeviceError::nonsense)?;
                let missed = state.last.map_or(0, |last| line.number.wrapping_sub(last).wrapping_sub(1));
                state.last = Some(line.number);
                state.lost += u64::from(missed);
                return Ok(line.heard);
            }
            let port = match &mut state.port {
                Some(port) => port,
                none => none.insert(self.open()?),
            };
            let mut space = [0; 512];
            let read = port.read(&mut space).await;
            let n = match read {
                Ok(n) if n > 0 => n,
                gone => {
                    (state.port, state.lines) = (None, Lines::default());
                    let what = gone.err().map_or_else(|| "the port was closed".to_owned(), |e| e.to_string());
                    return Err(DeviceError::wire(format!("radio bridge: {what}")));
                }
            };
            state.lines.take(space.get(..n).unwrap_or_default());
        }
    }
}
