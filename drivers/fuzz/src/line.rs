//! The guard on a serial line lets the answer through and nothing else, whatever the line carries.

use arbitrary::{Result, Unstructured};
use drivers::fuzzing::Serial;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A port with chunks on their way to whoever reads.
#[derive(Clone, Default)]
pub struct Wire(Arc<Mutex<VecDeque<Vec<u8>>>>);

impl Wire {
    fn chunks(&self) -> MutexGuard<'_, VecDeque<Vec<u8>>> {
        self.0.lock().unwrap()
    }

    /// Puts a chunk behind those that wait; one without bytes would be the end of the port.
    pub fn carry(&self, chunk: &[u8]) {
        if !chunk.is_empty() {
            self.chunks().push_back(chunk.to_vec());
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut chunks = self.chunks();
        let Some(mut chunk) = chunks.pop_front() else { return Poll::Pending };
        let rest = chunk.split_off(chunk.len().min(buf.remaining()));
        buf.put_slice(&chunk);
        if !rest.is_empty() {
            chunks.push_front(rest);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Of all that a line carries after a question, the guard passes at most one frame, and only one that stands there as a
/// whole and has the question's unit, its function (or its refusal), the length and byte count of the answer, and its
/// own checksum. What came before the question is never passed. The copy of an order that an adapter which echoes sends
/// back is no answer to it. A frame that fits is not withheld.
pub fn check(bytes: &[u8]) {
    let mut u = Unstructured::new(bytes);
    let wire = Wire::default();
    let mut line = Serial::new(wire.clone());
    while !u.is_empty() && question(&mut u, &wire, &mut line).is_ok() {}
}

/// What answers the present question.
struct Wanted {
    unit: u8,
    function: u8,
    len: usize,
    bytes: Option<u8>,
}

impl Wanted {
    fn is(&self, frame: &[u8]) -> bool {
        let refusal = frame.get(1) == Some(&(self.function | 0x80));
        let len = if refusal { 5 } else { self.len };
        frame.len() == len
            && frame[0] == self.unit
            && (refusal || (frame[1] == self.function && self.bytes.is_none_or(|count| frame[2] == count)))
            && framed(&frame[..len - 2]) == frame
    }

    fn stands_in(&self, heard: &[u8]) -> bool {
        [5, self.len].into_iter().any(|len| heard.windows(len).any(|window| self.is(window)))
    }
}

fn question(u: &mut Unstructured<'_>, wire: &Wire, line: &mut Serial) -> Result<()> {
    let (unit, function, address) = (u.int_in_range(1..=3)?, u.int_in_range(1..=6)?, u.int_in_range(0..=3_u16)?);
    let quantity: u16 = if function < 5 { u.int_in_range(1..=20)? } else { u.arbitrary()? };
    let value = if function == 5 { if quantity == 0 { 0 } else { 0xFF00 } } else { quantity };
    let sent = framed(&[[unit, function].as_slice(), &address.to_be_bytes(), &value.to_be_bytes()].concat());
    let right = if function < 5 { answer(unit, function, quantity) } else { sent.clone() };
    if u.arbitrary()? {
        wire.carry(&said(u, &right, &sent)?);
    }
    let echoed = line.echoes();
    let Some(asked) = line.ask(unit, function, address, quantity) else { return Ok(()) };
    let (len, bytes) = asked.expect("the port is open");
    assert!(wire.chunks().is_empty(), "something is left of what came before");
    let wanted = Wanted { unit, function, len, bytes };
    assert!(line.say(&sent).is_ready());
    let (mut heard, mut passed) = (Vec::new(), Vec::new());
    for _ in 0..u.int_in_range(0..=6)? {
        let chunk = said(u, &right, &sent)?;
        heard.extend_from_slice(&chunk);
        wire.carry(&chunk);
        let room = u.int_in_range(1..=300)?;
        while let Poll::Ready(some) = line.hear(room) {
            passed.extend(some.expect("the port is open"));
        }
    }
    let first = heard.windows(sent.len()).position(|window| window == sent);
    let behind = first.map(|at| &heard[at + sent.len()..]);
    // What counts: all of it, or what came behind the echo where one is expected.
    let counts = match (bytes, echoed) {
        (None, Some(true)) => behind.unwrap_or_default(),
        (None, _) => &heard,
        (Some(_), _) => behind.unwrap_or(&heard),
    };
    if passed.is_empty() {
        // Of a longer noise the guard keeps the newest part only.
        assert!(heard.len() > 512 || !wanted.stands_in(counts), "withheld: {sent:?} {heard:?} {echoed:?}");
        return Ok(());
    }
    assert!(wanted.is(&passed), "{passed:?} does not answer {sent:?}");
    assert!(heard.windows(passed.len()).any(|window| window == passed), "{passed:?} was not said");
    if let (None, Some(true)) = (bytes, echoed) {
        assert!(wanted.stands_in(counts), "an echo confirmed {sent:?}: {heard:?}");
    }
    Ok(())
}

/// A good answer to a read.
fn answer(unit: u8, function: u8, quantity: u16) -> Vec<u8> {
    let quantity = usize::from(quantity);
    let count = if function < 3 { quantity.div_ceil(8) } else { quantity * 2 };
    let body: Vec<u8> = (0..=u8::MAX).cycle().take(count).collect();
    framed(&[&[unit, function, u8::try_from(count).unwrap_or(0)], body.as_slice()].concat())
}

/// What comes over the line at once.
fn said(u: &mut Unstructured<'_>, right: &[u8], sent: &[u8]) -> Result<Vec<u8>> {
    let mut chunk = match u.int_in_range(0..=5)? {
        0 => right.to_vec(),
        1 => sent.to_vec(),
        2 => framed(&[right[0], right[1] | 0x80, u.arbitrary()?]),
        3 => [sent, right].concat(),
        4 => framed(&right[..u.int_in_range(1..=right.len())?]),
        _ => {
            let len = u.int_in_range(0..=40)?;
            u.bytes(len.min(u.len()))?.to_vec()
        }
    };
    match u.int_in_range(0..=5)? {
        0 => chunk.truncate(u.int_in_range(0..=chunk.len())?),
        1 => drop(chunk.drain(..u.int_in_range(0..=chunk.len())?)),
        2 if !chunk.is_empty() => {
            let at = u.choose_index(chunk.len())?;
            chunk[at] ^= u.arbitrary::<u8>()?;
        }
        3 => chunk.insert(0, u.arbitrary()?),
        _ => {}
    }
    Ok(chunk)
}

/// With its CRC-16/MODBUS behind it, reckoned here by the long way: the remainder of a division bit by bit.
fn framed(body: &[u8]) -> Vec<u8> {
    let mut crc = 0xFFFF_u16;
    for byte in body {
        for bit in 0..8 {
            let carry = (crc ^ u16::from(byte >> bit)) & 1;
            crc = (crc >> 1) ^ (carry * 0xA001);
        }
    }
    [body, &crc.to_le_bytes()].concat()
}
