//! The frame guard on a TCP connection: every question gets the answer with its own transaction number, and no other.
//!
//! A late answer is known by its number and dropped, so that a unit that is slow or dead behind a gateway costs the
//! units beside it no new connection. Several questions may be under way, each by a client of its own in a place of its
//! own ([`Voice`]); the numbers on the wire are ours, and each client is handed its own back.

use super::bell::Bell;
use super::line::Port;
use crate::traffic::{Traffic, Watch};
use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// So many numbers whose answer never came are kept from being given again.
const MOST_OWED: usize = 256;

/// What else was under way while a question was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Others {
    /// So many when it was asked.
    pub ahead: u32,
    /// Some at some time.
    pub any: bool,
    /// One of them was given up, so that whatever happened may be its doing.
    pub silent: bool,
    /// One of them was for a unit that is not expected to answer.
    pub vain: bool,
}

/// One question.
#[derive(Default)]
struct Question {
    /// Its number on the wire, and the one that its client gave it.
    number: u16,
    own: u16,
    awaited: bool,
    /// It is for a unit that is not expected to answer.
    vain: bool,
    /// The others have had their turn to put their questions beside it.
    polite: bool,
    passed: Vec<u8>,
    others: Others,
}

struct State {
    stream: Box<dyn Port>,
    questions: Vec<Question>,
    heard: Vec<u8>,
    /// What is to be sent, and whether the stream itself holds some of it back.
    out: Vec<u8>,
    unflushed: bool,
    next: u16,
    /// Numbers whose answer may still come.
    owed: VecDeque<u16>,
    ended: Option<io::ErrorKind>,
    watch: Watch,
}

/// A handle on the connection; clones share it.
#[derive(Clone)]
pub(crate) struct Stream {
    state: Arc<Mutex<State>>,
    bell: Arc<Bell>,
    /// The bell as the runtime rings it; with one place there is nobody to choose from, and no bell.
    ringer: Option<Waker>,
}

impl Stream {
    /// With so many places, one at least.
    pub fn new(stream: Box<dyn Port>, places: usize, watch: Watch) -> Self {
        let state = State {
            stream,
            questions: (0..places.max(1)).map(|_| Question::default()).collect(),
            heard: Vec::new(),
            out: Vec::new(),
            unflushed: false,
            next: 0,
            owed: VecDeque::new(),
            ended: None,
            watch,
        };
        let bell = Arc::new(Bell::new(places.max(1)));
        let ringer = (places > 1).then(|| Waker::from(Arc::clone(&bell)));
        Self { state: Arc::new(Mutex::new(state)), bell, ringer }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the client in this place reads and writes.
    pub fn voice(&self, place: usize) -> Voice {
        Voice { stream: self.clone(), place }
    }

    /// Awaits, in this place, the answer to the question that is asked there next, though maybe in `vain`. Says what
    /// else is under way. An error says that the peer has left, or that the connection is of no use any more.
    pub fn ask(&self, place: usize, vain: bool) -> io::Result<Others> {
        self.give_up(place);
        let mut state = self.state();
        if let Some(kind) = state.ended {
            return Err(kind.into());
        }
        let ahead = state.questions.iter().filter(|question| question.awaited).count();
        if ahead == 0 {
            // With nobody to listen, whatever has come meanwhile is still there.
            let mut context = Context::from_waker(self.ringer.as_ref().unwrap_or(Waker::noop()));
            for _ in 0..64 {
                match state.exchange(&mut context, &self.bell) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Poll::Ready(result) => result.map(|_| ())?,
                }
            }
        }
        // Half a frame that nobody waits for: what comes next would be taken for its other half.
        if state.half().is_some_and(|number| !state.awaits(number)) || (ahead == 0 && !state.heard.is_empty()) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "half a frame"));
        }
        let number = state.number();
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        let mut others = Others { ahead, any: ahead > 0, silent: false, vain: false };
        for other in state.questions.iter_mut().filter(|other| other.awaited) {
            others.vain |= other.vain;
            (other.others.any, other.others.vain) = (true, other.others.vain || vain);
        }
        if let Some(question) = state.questions.get_mut(place) {
            question.passed.clear();
            let passed = std::mem::take(&mut question.passed);
            *question = Question { number, own: number, awaited: true, vain, polite: false, passed, others };
        }
        Ok(others)
    }

    /// What else was under way while the last question in this place was.
    pub fn others(&self, place: usize) -> Others {
        self.state().questions.get(place).map(|question| question.others).unwrap_or_default()
    }

    /// Nobody waits for the answer in this place any more.
    pub fn give_up(&self, place: usize) {
        let mut state = self.state();
        let Some(question) = state.questions.get_mut(place) else { return };
        if !std::mem::take(&mut question.awaited) {
            return;
        }
        let number = question.number;
        state.owed.truncate(MOST_OWED - 1);
        state.owed.push_front(number);
        for other in state.questions.iter_mut().filter(|other| other.awaited) {
            other.others.silent = true;
        }
        drop(state);
        // It may have been the one that was woken to listen for all.
        self.bell.leave(place);
        if let Some(ringer) = &self.ringer {
            ringer.wake_by_ref();
        }
    }

    /// Ends the connection for everybody.
    pub fn hang_up(&self) {
        self.state().end(io::ErrorKind::ConnectionAborted);
        self.bell.call_all();
    }
}

impl std::fmt::Debug for Voice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Voice")
    }
}

impl State {
    fn awaits(&self, number: u16) -> bool {
        self.questions.iter().any(|question| question.awaited && question.number == number)
    }

    /// The number of a frame of which a part is here.
    fn half(&self) -> Option<u16> {
        self.heard.first_chunk().map(|number| u16::from_be_bytes(*number))
    }

    /// One that no answer under way has.
    fn number(&mut self) -> u16 {
        loop {
            let number = self.next;
            self.next = self.next.wrapping_add(1);
            if !self.owed.contains(&number) && !self.awaits(number) {
                return number;
            }
        }
    }

    fn end(&mut self, kind: io::ErrorKind) {
        self.ended.get_or_insert(kind);
        // The peer is let go now, whoever still holds a handle.
        self.stream = Box::new(tokio::io::empty());
    }

    /// Sends what there is to send, and takes what has come: how many bytes.
    fn exchange(&mut self, cx: &mut Context<'_>, bell: &Bell) -> Poll<io::Result<usize>> {
        // Also while nothing more can be sent: what is in the way of our questions may be answers.
        let _pending = self.send(cx)?;
        let mut space = [MaybeUninit::uninit(); 2048];
        let mut buf = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
        self.heard.extend_from_slice(buf.filled());
        self.sift(bell)?;
        Poll::Ready(Ok(buf.filled().len()))
    }

    fn send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.out))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.drain(..sent);
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes whole frames out of what was heard, and keeps those that are awaited.
    fn sift(&mut self, bell: &Bell) -> io::Result<()> {
        let mut from = 0;
        while let Some([id0, id1, p0, p1, l0, l1]) = self.heard.get(from..).and_then(<[u8]>::first_chunk::<6>).copied()
        {
            let len = usize::from(u16::from_be_bytes([l0, l1]));
            // After a header that is none, nobody knows where the next frame begins, nor whether the last one ended
            // where it said.
            if (p0, p1) != (0, 0) || !(2..=254).contains(&len) {
                self.questions.iter_mut().for_each(|question| question.passed.clear());
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame that is not Modbus"));
            }
            let Some(frame) = self.heard.get(from..from + 6 + len) else { break };
            from += 6 + len;
            let number = u16::from_be_bytes([id0, id1]);
            let mut places = self.questions.iter_mut().enumerate();
            if let Some((place, question)) = places.find(|(_, q)| q.awaited && q.number == number) {
                question.awaited = false;
                self.watch.tell(Traffic::Answer(frame));
                question.passed.clear();
                question.passed.extend(question.own.to_be_bytes());
                question.passed.extend_from_slice(frame.get(2..).unwrap_or_default());
                bell.call(place);
            } else {
                self.owed.retain(|owed| *owed != number);
                self.watch.tell(Traffic::Ignored(frame));
            }
        }
        self.heard.drain(..from);
        Ok(())
    }
}

/// What one client hears and says.
pub(crate) struct Voice {
    stream: Stream,
    place: usize,
}

impl Voice {
    /// Listens until an answer for this place is there. Whoever listens does so for all.
    fn listen(&self, state: &mut State, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let bell = &self.stream.bell;
        let mut ours = Context::from_waker(self.stream.ringer.as_ref().unwrap_or(cx.waker()));
        loop {
            let Some(question) = state.questions.get_mut(self.place) else { return Poll::Ready(Ok(())) };
            let answered = !question.passed.is_empty();
            if answered && !state.questions.iter().any(|question| question.awaited) {
                return Poll::Ready(Ok(()));
            }
            if let Some(kind) = state.ended {
                return if answered { Poll::Ready(Ok(())) } else { Poll::Ready(Err(kind.into())) };
            }
            let came = match state.exchange(&mut ours, bell) {
                // The others are woken by what comes from now on.
                Poll::Pending if answered => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0)) => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                Poll::Ready(came) => came,
            };
            if let Err(error) = came {
                state.end(error.kind());
                bell.call_all();
                // With its own words for whoever sees it first.
                let answered = state.questions.get(self.place).is_some_and(|question| !question.passed.is_empty());
                return if answered { Poll::Ready(Ok(())) } else { Poll::Ready(Err(error)) };
            }
        }
    }
}

impl AsyncRead for Voice {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.stream.state();
        if self.stream.ringer.is_some() {
            let Some(question) = state.questions.get_mut(self.place) else { return Poll::Ready(Ok(())) };
            // Whoever is ready to ask does so first, and all of it goes out in one piece.
            if question.awaited && !std::mem::replace(&mut question.polite, true) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.stream.bell.wait(self.place, cx.waker());
        }
        ready!(self.listen(&mut state, cx))?;
        self.stream.bell.leave(self.place);
        let Some(question) = state.questions.get_mut(self.place) else { return Poll::Ready(Ok(())) };
        let n = question.passed.len().min(buf.remaining());
        buf.put_slice(question.passed.get(..n).unwrap_or_default());
        question.passed.drain(..n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Voice {
    /// Takes a whole frame, always; it goes out when its client listens for the answer.
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.stream.state();
        if let Some(kind) = state.ended {
            return Poll::Ready(Err(kind.into()));
        }
        let (Some(question), Some((own, rest))) = (state.questions.get_mut(self.place), bytes.split_first_chunk())
        else {
            return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
        };
        question.own = u16::from_be_bytes(*own);
        let number = question.number.to_be_bytes();
        let from = state.out.len();
        state.out.extend(number);
        state.out.extend_from_slice(rest);
        state.watch.tell(Traffic::Sent(state.out.get(from..).unwrap_or_default()));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The connection outlives its clients.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
