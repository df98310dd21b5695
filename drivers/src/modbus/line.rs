//! The frame guard on a serial line: of all that is heard, only the answer to the present question is let through.
//!
//! RTU answers carry no transaction number, so a late answer, an echo, another unit's answer or noise must be told
//! from the answer by unit, function, length and checksum. What does not match is dropped; the wait goes on until the
//! question's own deadline. Scanning for the frame also survives the stray byte that a line driver emits on turning.
//!
//! Some adapters hear what they say. The answer to a write has the same bytes as the write, so an echo taken for it
//! would confirm an order that no device took. Answers to reads differ from their questions, so they teach whether
//! the adapter echoes; after that, one copy of a write is dropped as the echo that it is.

use super::alarm::Alarm;
use crate::traffic::{Traffic, Watch};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Duration, Instant};

/// What the line is, once opened: a serial port, or in tests anything with two ends.
pub(crate) trait Port: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Port for T {}

/// The frame that answers the present question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub unit: u8,
    pub function: u8,
    /// Whole length of a good answer, checksum included.
    pub len: usize,
    /// Byte count that stands third in answers to read requests.
    pub bytes: Option<u8>,
}

struct State {
    port: Box<dyn Port>,
    heard: Vec<u8>,
    passed: Vec<u8>,
    expected: Option<Expected>,
    last: Instant,
    /// The question's own bytes.
    asked: Vec<u8>,
    /// Its echo was heard and dropped.
    dropped: bool,
    /// Whether the adapter hears what it says; unknown until something was read.
    echoes: Option<bool>,
    watch: Watch,
}

/// A handle on the line; clones share it. The protocol's client owns one and is thrown away after every doubt, while
/// the port stays open.
#[derive(Clone)]
pub(crate) struct Line(Arc<Mutex<State>>, Arc<Alarm>);

/// No frame is longer than 256 bytes; what is heard beyond twice that cannot belong to the answer.
const MOST_HEARD: usize = 512;

impl Line {
    pub fn new(port: Box<dyn Port>, watch: Watch) -> Self {
        let state = State {
            port,
            heard: Vec::new(),
            passed: Vec::new(),
            expected: None,
            last: Instant::now(),
            asked: Vec::new(),
            dropped: false,
            echoes: None,
            watch,
        };
        Self(Arc::new(Mutex::new(state)), Arc::new(Alarm::default()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the adapter hears what it says, if that is known.
    pub fn echoes(&self) -> Option<bool> {
        self.state().echoes
    }

    /// A read was asked, and not even its own echo was heard.
    pub fn assume_no_echo(&self) {
        self.state().echoes.get_or_insert(false);
    }

    /// The wait is over: what was heard was no answer.
    pub fn give_up(&self) {
        let state = self.state();
        if !state.heard.is_empty() {
            state.watch.tell(Traffic::Ignored(&state.heard));
        }
    }

    /// Drops what was heard until the line has been silent for `silence`, then arms the guard for `expected`. A line
    /// that never falls silent is used anyway after a while: the guard copes, and waiting for ever helps nobody.
    pub async fn ask(&self, silence: Duration, expected: Expected) -> io::Result<()> {
        let give_up = Instant::now() + silence * 20 + Duration::from_millis(100);
        loop {
            self.drain()?;
            let quiet_at = self.state().last + silence;
            if Instant::now() >= quiet_at || Instant::now() >= give_up {
                break;
            }
            self.1.wait_until(quiet_at).await;
        }
        let mut state = self.state();
        state.expected = Some(expected);
        state.heard.clear();
        state.passed.clear();
        state.asked.clear();
        state.dropped = false;
        Ok(())
    }

    /// Takes what has arrived, without waiting, and forgets it.
    fn drain(&self) -> io::Result<()> {
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut state = self.state();
        for _ in 0..256 {
            match state.listen(&mut context) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Poll::Ready(result) => result.map(|_| ())?,
            }
        }
        state.heard.clear();
        Ok(())
    }
}

impl State {
    fn listen(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [0_u8; 256];
        let mut buf = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut self.port).poll_read(cx, &mut buf))?;
        let heard = buf.filled();
        if !heard.is_empty() {
            self.last = Instant::now();
            self.heard.extend_from_slice(heard);
            let surplus = self.heard.len().saturating_sub(MOST_HEARD);
            self.heard.drain(..surplus);
        }
        Poll::Ready(Ok(heard.len()))
    }

    /// Moves the awaited frame, if it is there, to where the client may read it.
    fn pass(&mut self) {
        let Some(expected) = self.expected else { return };
        let read = expected.bytes.is_some();
        if !self.dropped
            && (read || self.echoes == Some(true))
            && let Some(at) = position(&self.heard, &self.asked)
        {
            let echo: Vec<u8> = self.heard.drain(..at + self.asked.len()).collect();
            self.watch.tell(Traffic::Ignored(&echo));
            self.dropped = true;
            if read {
                self.echoes = Some(true);
            }
        }
        // The first copy of a write is the echo; until that has come, nothing is the answer.
        if !read && self.echoes == Some(true) && !self.dropped {
            return;
        }
        let frame = (0..self.heard.len()).find_map(|start| Some((start, find(&self.heard[start..], expected)?)));
        if let Some((start, frame)) = frame {
            if start > 0 {
                self.watch.tell(Traffic::Ignored(&self.heard[..start]));
            }
            self.watch.tell(Traffic::Answer(frame));
            self.passed = frame.to_vec();
            self.expected = None;
            self.heard.clear();
            if read {
                self.echoes = Some(self.dropped);
            }
        }
    }
}

/// Where `part` first stands in `whole`.
fn position(whole: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() { None } else { whole.windows(part.len()).position(|window| window == part) }
}

fn find(heard: &[u8], expected: Expected) -> Option<&[u8]> {
    let (unit, function) = (*heard.first()?, *heard.get(1)?);
    if unit != expected.unit || function & 0x7F != expected.function {
        return None;
    }
    let len = if function & 0x80 != 0 { 5 } else { expected.len };
    let frame = heard.get(..len)?;
    let counted = function & 0x80 != 0 || expected.bytes.is_none_or(|n| frame.get(2) == Some(&n));
    (counted && crc_fits(frame)).then_some(frame)
}

/// Whether a frame ends with its own CRC-16/MODBUS.
pub(crate) fn crc_fits(frame: &[u8]) -> bool {
    frame.split_last_chunk::<2>().is_some_and(|(body, end)| !body.is_empty() && crc(body).to_le_bytes() == *end)
}

/// CRC-16/MODBUS: polynomial 0x8005 reflected, start 0xFFFF; sent low byte first.
pub(crate) fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 })
    })
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        loop {
            if !state.passed.is_empty() {
                let n = state.passed.len().min(buf.remaining());
                buf.put_slice(&state.passed[..n]);
                state.passed.drain(..n);
                return Poll::Ready(Ok(()));
            }
            match ready!(state.listen(cx))? {
                0 => return Poll::Ready(Ok(())),
                _ => state.pass(),
            }
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        let sent = ready!(Pin::new(&mut state.port).poll_write(cx, bytes))?;
        state.last = Instant::now();
        state.asked.extend(bytes.iter().take(sent));
        state.watch.tell(Traffic::Sent(bytes.get(..sent).unwrap_or_default()));
        Poll::Ready(Ok(sent))
    }

    /// What is written is with the kernel already. To flush a serial port is to wait in the kernel until the last byte
    /// is on the wire, and with us would wait everybody else on this thread.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The port outlives its clients.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_of_the_modbus_specification() {
        assert_eq!(crc(&[0x02, 0x07]), 0x1241);
        assert!(crc_fits(&[0x02, 0x07, 0x41, 0x12]));
        assert!(!crc_fits(&[0x02, 0x07, 0x41, 0x13]) && !crc_fits(&[]) && !crc_fits(&[0xFF, 0xFF]));
    }

    #[test]
    fn only_the_awaited_frame_is_found_among_noise() {
        let framed = |body: &[u8]| [body, &crc(body).to_le_bytes()].concat();
        let expected = Expected { unit: 7, function: 4, len: 7, bytes: Some(2) };
        let (good, refusal) = (framed(&[7, 4, 2, 0, 42]), framed(&[7, 0x84, 2]));
        let noise =
            [framed(&[8, 4, 2, 0, 1]), vec![0], framed(&[7, 3, 2, 0, 1]), framed(&[7, 4, 4, 0, 1, 0, 1])].concat();
        let seek = |bytes: &[u8]| (0..bytes.len()).find_map(|i| find(&bytes[i..], expected).map(<[u8]>::to_vec));
        assert_eq!(seek(&noise), None);
        assert_eq!(seek(&[noise.clone(), good.clone()].concat()), Some(good.clone()));
        assert_eq!(seek(&[noise, refusal.clone()].concat()), Some(refusal));
        assert_eq!(seek(&good[..6]), None);
    }
}
