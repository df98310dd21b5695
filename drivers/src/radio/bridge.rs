//! A radio bridge on a serial port.

use super::line::Lines;
use crate::capability::{DeviceError, Heard, Radio};
use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::Mutex;
use tokio_serial::SerialPortBuilderExt as _;

/// Bits a second that the reference firmware speaks.
const BAUD: u32 = 115_200;

struct State {
    port: Box<dyn AsyncRead + Send + Unpin>,
    lines: Lines,
    /// The number of the last line.
    last: Option<u16>,
    lost: u64,
}

/// A bridge. It only listens.
pub struct Bridge(Mutex<State>);

impl Bridge {
    /// Opens the port: 115,200 bits a second, 8N1.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Wire`] with the system's words.
    pub fn open(port: &str) -> Result<Self, DeviceError> {
        let opened = tokio_serial::new(port, BAUD).open_native_async();
        Ok(Self::over(opened.map_err(|e| DeviceError::wire(format!("cannot open {port}: {e}")))?))
    }

    /// A bridge whose words come from anywhere.
    pub fn over(port: impl AsyncRead + Send + Unpin + 'static) -> Self {
        Self(Mutex::new(State { port: Box::new(port), lines: Lines::default(), last: None, lost: 0 }))
    }

    /// How many lines never came, by their numbers. A bridge that starts anew counts from 0: that looks like up to 65,535.
    pub async fn lost(&self) -> u64 {
        self.0.lock().await.lost
    }
}

#[async_trait]
impl Radio for Bridge {
    async fn heard(&self) -> Result<Heard, DeviceError> {
        let mut state = self.0.lock().await;
        let state = &mut *state;
        loop {
            if let Some(line) = state.lines.next() {
                let line = line.map_err(DeviceError::nonsense)?;
                let missed = state.last.map_or(0, |last| line.number.wrapping_sub(last).wrapping_sub(1));
                state.last = Some(line.number);
                state.lost += u64::from(missed);
                return Ok(line.heard);
            }
            let mut space = [0; 512];
            let n = state.port.read(&mut space).await.map_err(|e| DeviceError::wire(format!("radio bridge: {e}")))?;
            if n == 0 {
                return Err(DeviceError::wire("radio bridge: the port was closed"));
            }
            state.lines.take(space.get(..n).unwrap_or_default());
        }
    }
}
