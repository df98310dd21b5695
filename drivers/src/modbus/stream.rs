//! The frame guard on a TCP connection: only the answer with the present question's transaction number is let through.
//!
//! A late answer is known by its number and dropped, so that a unit that is slow or dead behind a gateway costs the
//! units beside it no new connection.

use super::line::Port;
use crate::traffic::{Traffic, Watch};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

struct State {
    stream: Box<dyn Port>,
    heard: Vec<u8>,
    passed: Vec<u8>,
    awaited: Option<u16>,
    /// The number that the client gives to its next question: it counts from 0, as we do.
    next: u16,
    watch: Watch,
}

/// A handle on the connection; clones share it. The protocol's client owns one, the bus the other.
#[derive(Clone)]
pub(crate) struct Stream(Arc<Mutex<State>>);

impl Stream {
    pub fn new(stream: Box<dyn Port>, watch: Watch) -> Self {
        let state = State { stream, heard: Vec::new(), passed: Vec::new(), awaited: None, next: 0, watch };
        Self(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops what has arrived meanwhile and awaits the answer to the question that is asked next. An error says that
    /// the peer has left.
    pub fn ask(&self) -> io::Result<()> {
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut state = self.state();
        state.awaited = None;
        state.passed.clear();
        for _ in 0..64 {
            match state.listen(&mut context) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Poll::Ready(result) => result.map(|_| ())?,
            }
        }
        // Half a frame that the last question left behind: what comes next would be taken for its other half.
        if !state.heard.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "half a frame"));
        }
        state.awaited = Some(state.next);
        state.next = state.next.wrapping_add(1);
        Ok(())
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stream")
    }
}

impl State {
    fn listen(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [0_u8; 512];
        let mut buf = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
        self.heard.extend_from_slice(buf.filled());
        self.sift()?;
        Poll::Ready(Ok(buf.filled().len()))
    }

    /// Takes whole frames out of what was heard, and keeps the awaited one.
    fn sift(&mut self) -> io::Result<()> {
        while let Some([id0, id1, p0, p1, l0, l1]) = self.heard.first_chunk::<6>().copied() {
            let len = usize::from(u16::from_be_bytes([l0, l1]));
            // After a header that is none, nobody knows where the next frame begins.
            if (p0, p1) != (0, 0) || !(2..=254).contains(&len) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame that is not Modbus"));
            }
            if self.heard.len() < 6 + len {
                break;
            }
            let frame: Vec<u8> = self.heard.drain(..6 + len).collect();
            if self.awaited == Some(u16::from_be_bytes([id0, id1])) {
                self.awaited = None;
                self.watch.tell(Traffic::Answer(&frame));
                self.passed = frame;
            } else {
                self.watch.tell(Traffic::Ignored(&frame));
            }
        }
        Ok(())
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        while state.passed.is_empty() {
            if ready!(state.listen(cx))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        let n = state.passed.len().min(buf.remaining());
        buf.put_slice(&state.passed[..n]);
        state.passed.drain(..n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        let sent = ready!(Pin::new(&mut state.stream).poll_write(cx, bytes))?;
        state.watch.tell(Traffic::Sent(bytes.get(..sent).unwrap_or_default()));
        Poll::Ready(Ok(sent))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.state().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.state().stream).poll_shutdown(cx)
    }
}
