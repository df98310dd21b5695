//! The guard on a TCP connection lets the present question's answer through and nothing else.

use super::line::Wire;
use arbitrary::{Result, Unstructured};
use drivers::fuzzing::Tcp;
use std::task::Poll;

/// Of all whole frames that arrive after a question, the guard passes the first one with that question's number, byte
/// for byte, and nothing else; a frame of another transaction never, also not in pieces. Half a frame that an earlier
/// question left behind, and a header that is none, are errors.
pub fn check(bytes: &[u8]) {
    let _ = converse(&mut Unstructured::new(bytes));
}

fn converse(u: &mut Unstructured<'_>) -> Result<()> {
    let wire = Wire::default();
    let mut guard = Tcp::new(wire.clone());
    // All that came, and how much of it is whole frames.
    let (mut heard, mut whole) = (Vec::new(), 0);
    for number in 0..u16::MAX {
        if u.is_empty() {
            break;
        }
        if u.arbitrary()? {
            say(u, number, &wire, &mut heard)?;
        }
        let stale = frames(&heard, &mut whole);
        match guard.ask() {
            Ok(()) => assert!(stale.is_some() && whole == heard.len(), "half a frame is left of {heard:?}"),
            Err(error) => {
                assert!(stale.is_none() || whole < heard.len(), "{error} for {heard:?}");
                break;
            }
        }
        let (mut passed, mut broke) = (Vec::new(), false);
        for _ in 0..u.int_in_range(0..=4)? {
            say(u, number, &wire, &mut heard)?;
            let room = u.int_in_range(1..=300)?;
            loop {
                match guard.hear(room) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(some)) => passed.extend(some),
                    Poll::Ready(Err(_)) => broke = true,
                }
                if broke {
                    break;
                }
            }
        }
        let came = frames(&heard, &mut whole);
        assert_eq!(broke, came.is_none(), "{heard:?}");
        if broke {
            break;
        }
        let mine = came.unwrap_or_default().into_iter().find(|frame| frame[..2] == number.to_be_bytes());
        assert_eq!(passed, mine.unwrap_or_default(), "to question {number} of {heard:?}");
    }
    Ok(())
}

/// The whole frames behind the first `whole` bytes, which grow by them; nothing if there is a header that is none.
fn frames(heard: &[u8], whole: &mut usize) -> Option<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    while let Some(header) = heard.get(*whole..*whole + 6) {
        let len = usize::from(u16::from_be_bytes([header[4], header[5]]));
        if header[2..4] != [0, 0] || !(2..=254).contains(&len) {
            return None;
        }
        let Some(frame) = heard.get(*whole..*whole + 6 + len) else { break };
        found.push(frame.to_vec());
        *whole += 6 + len;
    }
    Some(found)
}

/// Frames with numbers near the present one, cut anywhere, and sometimes bytes that are none.
fn say(u: &mut Unstructured<'_>, number: u16, wire: &Wire, heard: &mut Vec<u8>) -> Result<()> {
    let mut chunk = Vec::new();
    for _ in 0..u.int_in_range(0..=3)? {
        let near = number.wrapping_add(u.int_in_range(0..=2)?).wrapping_sub(1);
        let len = u.int_in_range(2..=12_u16)?;
        chunk.extend(near.to_be_bytes().into_iter().chain([0, 0]).chain(len.to_be_bytes()));
        for _ in 0..len {
            chunk.push(u.arbitrary()?);
        }
    }
    if u.ratio(1, 16)? {
        chunk.extend_from_slice(u.bytes(u.len().min(9))?);
    }
    let cut = if u.arbitrary()? { u.int_in_range(0..=chunk.len())? } else { chunk.len() };
    for part in [&chunk[..cut], &chunk[cut..]] {
        wire.carry(part);
    }
    heard.extend_from_slice(&chunk);
    Ok(())
}
