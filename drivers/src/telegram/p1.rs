//! P1 telegrams (Netbeheer Nederland, P1 Companion Standard, chapter 6) and those of IEC 62056-21 mode D: an
//! identification, data sets, and `!` with a CRC behind it, or nothing with older meters.

use super::{Cut, Telegram, Torn, crc16, data_sets, identification, text};

/// The CRC and the end of its line take no more.
const TAIL: usize = 8;

/// The first candidate: from an identification to the end of the line with the `!`.
pub(crate) fn find(heard: &[u8]) -> Cut {
    let Some(mut start) = identification(heard) else { return Cut { noise: heard.len(), whole: None } };
    loop {
        let body = &heard[start + 1..];
        let end = body.windows(2).position(|two| matches!(two, [b'\r' | b'\n', b'!'])).map(|at| at + 2);
        // An identification before the end: the telegram that it interrupts is torn.
        let within = &body[..end.unwrap_or(body.len())];
        if let Some(again) = identification(within).filter(|again| *again + 4 <= within.len()) {
            start += 1 + again;
            continue;
        }
        let Some(end) = end else { return Cut { noise: start, whole: None } };
        let tail = &body[end..];
        let last = tail.iter().take(TAIL).position(|b| matches!(b, b'\r' | b'\n' | b'/'));
        return match last {
            Some(last) => Cut { noise: start, whole: Some(1 + end + last) },
            None if tail.len() < TAIL => Cut { noise: start, whole: None },
            None => Cut { noise: start + 1 + end, whole: None },
        };
    }
}

/// What a candidate says.
pub(crate) fn parse(candidate: &[u8]) -> Result<Telegram, Torn> {
    let said = text(candidate)?;
    let (body, crc) = said.rsplit_once('!').ok_or(Torn::Malformed("it has no end"))?;
    let crc = crc.trim_end_matches(['\r', '\n']);
    let checked = !crc.is_empty();
    if checked {
        let digits = crc.len() == 4 && crc.bytes().all(|b| b.is_ascii_hexdigit());
        let claimed = u16::from_str_radix(crc, 16).ok().filter(|_| digits);
        let claimed = claimed.ok_or(Torn::Malformed("what follows its end is no checksum"))?;
        if crc16(0xA001, 0, candidate.get(..=body.len()).unwrap_or_default()) != claimed {
            return Err(Torn::Checksum);
        }
    }
    let (head, data) = body.split_once(['\r', '\n']).ok_or(Torn::Malformed("it has one line only"))?;
    // After the maker stands a speed. Without a checksum, `*kWh` with two wrong bits could begin a telegram otherwise.
    let speed = head.as_bytes().get(4).is_some_and(u8::is_ascii_alphanumeric);
    if identification(head.as_bytes()) != Some(0) || !speed {
        return Err(Torn::Malformed("it does not begin with an identification"));
    }
    Ok(Telegram { entries: data_sets(data, !checked)?, checked })
}
