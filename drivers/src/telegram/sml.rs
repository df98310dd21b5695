//! SML files in transport protocol version 1 (BSI TR-03109-1, annex IV).

use super::{Cut, Entry, Telegram, Torn, crc16};
use crate::template::Obis;

const ESCAPE: u8 = 0x1B;
const START: [u8; 8] = [0x1B, 0x1B, 0x1B, 0x1B, 1, 1, 1, 1];
const END: u8 = 0x1A;
const GET_LIST_RESPONSE: u64 = 0x0701;
/// Lists within lists. A file has six.
const DEEPEST: u32 = 12;

/// X.25: what SML asks for.
fn x25(bytes: &[u8]) -> u16 {
    !crc16(0x8408, 0xFFFF, bytes)
}

/// The first candidate: from a start to an end escape with its checksum.
pub(crate) fn find(heard: &[u8]) -> Cut {
    let Some(mut start) = heard.windows(START.len()).position(|bytes| bytes == START) else {
        // Its first bytes may be the last that were heard.
        return Cut { noise: heard.len().saturating_sub(START.len() - 1), whole: None };
    };
    let mut at = start + START.len();
    loop {
        let run = escape(&heard[at..]);
        let Some((skip, code)) = run else { return Cut { noise: start, whole: None } };
        let escaped = at + skip;
        match code {
            // A start within: the file that it interrupts is torn.
            [1, 1, 1, 1] => start = escaped - 4,
            [END, ..] => return Cut { noise: start, whole: Some(escaped + 4 - start) },
            _ => return Cut { noise: escaped, whole: None },
        }
        at = escaped + 4;
    }
}

/// The first escape: how many bytes to behind its four, and the four that follow. Four in the data are sent as eight,
/// so of a row of them the last four are an escape if, without the eights, four or more are left.
fn escape(bytes: &[u8]) -> Option<(usize, [u8; 4])> {
    let mut at = 0;
    while at < bytes.len() {
        let row = bytes[at..].iter().take_while(|b| **b == ESCAPE).count();
        if row % 8 >= 4 {
            let code = bytes.get(at + row..at + row + 4)?;
            return Some((at + row, code.try_into().ok()?));
        }
        at += row.max(1);
    }
    None
}

/// What a candidate says.
pub(crate) fn parse(candidate: &[u8]) -> Result<Telegram, Torn> {
    let body = candidate.strip_prefix(&START).ok_or(Torn::Malformed("it does not begin with a start"))?;
    let (body, end) = body.split_last_chunk::<8>().ok_or(Torn::Malformed("it has no end"))?;
    let [ESCAPE, ESCAPE, ESCAPE, ESCAPE, END, padding, crc @ ..] = end else {
        return Err(Torn::Malformed("it has no end"));
    };
    let covered = candidate.get(..candidate.len() - 2).unwrap_or_default();
    if x25(covered) != u16::from_le_bytes(*crc) {
        return Err(Torn::Checksum);
    }
    let data = unescaped(body);
    let kept = data.len().checked_sub(usize::from(*padding)).filter(|_| *padding < 4);
    let data = kept.and_then(|kept| data.get(..kept)).ok_or(Torn::Malformed("its padding is longer than three"))?;
    let mut reader = Reader(data);
    let mut entries = Vec::new();
    while !reader.0.is_empty() {
        reader.message(&mut entries)?;
    }
    Ok(Telegram { entries, checked: true })
}

fn unescaped(body: &[u8]) -> Vec<u8> {
    let mut data = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(first) = rest.first() {
        let row = rest.iter().take_while(|b| **b == ESCAPE).count();
        let (taken, meant) = if row == 0 { (1, 1) } else { (row, row / 8 * 4 + row % 8) };
        data.extend(std::iter::repeat_n(*first, meant));
        rest = rest.get(taken..).unwrap_or_default();
    }
    data
}

/// One element of the binary encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element<'a> {
    /// Also what is left out: an octet string of no bytes.
    Octets(&'a [u8]),
    Truth,
    Integer(i64),
    Unsigned(u64),
    List(usize),
    EndOfMessage,
}

/// What is left of the data.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], Torn> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(Torn::Malformed("an element of it is cut short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Torn> {
        self.take(1).map(|byte| byte.first().copied().unwrap_or_default())
    }

    fn element(&mut self) -> Result<Element<'a>, Torn> {
        let first = self.byte()?;
        if first == 0 {
            return Ok(Element::EndOfMessage);
        }
        let (mut length, mut head, mut more) = (usize::from(first & 0x0F), 1, first & 0x80 != 0);
        while more {
            let next = self.byte()?;
            if next & 0x70 != 0 || head == 4 {
                return Err(Torn::Malformed("the length of an element of it makes no sense"));
            }
            length = (length << 4) | usize::from(next & 0x0F);
            (head, more) = (head + 1, next & 0x80 != 0);
        }
        let kind = (first >> 4) & 7;
        if kind == 7 {
            return Ok(Element::List(length));
        }
        // Of all but lists the length counts its own bytes too.
        let bytes = length.checked_sub(head).ok_or(Torn::Malformed("an element of it is shorter than its head"))?;
        let bytes = self.take(bytes)?;
        let number = (1..=8).contains(&bytes.len());
        let unsigned = bytes.iter().take(8).fold(0_u64, |n, byte| (n << 8) | u64::from(*byte));
        match kind {
            0 => Ok(Element::Octets(bytes)),
            4 if bytes.len() == 1 => Ok(Element::Truth),
            5 if number => {
                let unused = 64 - 8 * u32::try_from(bytes.len()).unwrap_or(8);
                Ok(Element::Integer((unsigned << unused).cast_signed() >> unused))
            }
            6 if number => Ok(Element::Unsigned(unsigned)),
            _ => Err(Torn::Malformed("an element of it has no type that is known")),
        }
    }

    fn list(&mut self, wanted: usize) -> Result<(), Torn> {
        let found = self.element()?;
        if found == Element::List(wanted) { Ok(()) } else { Err(Torn::Malformed("a list of it has another length")) }
    }

    /// Passes over an element, with all that is in it.
    fn skip(&mut self, depth: u32) -> Result<(), Torn> {
        match self.element()? {
            Element::EndOfMessage => Err(Torn::Malformed("a message of it ends early")),
            Element::List(_) if depth == 0 => Err(Torn::Malformed("its lists are too deep")),
            Element::List(n) => (0..n).try_for_each(|_| self.skip(depth - 1)),
            _ => Ok(()),
        }
    }

    /// transactionId, groupNo, abortOnError, messageBody, crc16, endOfSmlMsg.
    fn message(&mut self, entries: &mut Vec<Entry>) -> Result<(), Torn> {
        let whole = self.0;
        self.list(6)?;
        (0..3).try_for_each(|_| self.skip(DEEPEST))?;
        self.list(2)?;
        if self.element()? == Element::Unsigned(GET_LIST_RESPONSE) {
            self.values(entries)?;
        } else {
            self.skip(DEEPEST)?;
        }
        let covered = whole.get(..whole.len() - self.0.len()).unwrap_or_default();
        let Element::Unsigned(crc) = self.element()? else {
            return Err(Torn::Malformed("a message of it has no checksum"));
        };
        // Holley's DTZ541 takes the CRC called Kermit here, as its telegrams in the collection of libsml show.
        let fits = [x25(covered), crc16(0x8408, 0, covered)].iter().any(|sum| u64::from(sum.swap_bytes()) == crc);
        match self.element()? {
            _ if !fits => Err(Torn::Checksum),
            Element::EndOfMessage => Ok(()),
            _ => Err(Torn::Malformed("a message of it has no end")),
        }
    }

    /// clientId, serverId, listName, actSensorTime, valList, listSignature, actGatewayTime.
    fn values(&mut self, entries: &mut Vec<Entry>) -> Result<(), Torn> {
        self.list(7)?;
        (0..4).try_for_each(|_| self.skip(DEEPEST))?;
        let Element::List(n) = self.element()? else { return Err(Torn::Malformed("it has no list of values")) };
        for _ in 0..n {
            entries.extend(self.value()?);
        }
        (0..2).try_for_each(|_| self.skip(DEEPEST))
    }

    /// objName, status, valTime, unit, scaler, value, valueSignature.
    fn value(&mut self) -> Result<Option<Entry>, Torn> {
        self.list(7)?;
        let name = self.element()?;
        (0..2).try_for_each(|_| self.skip(DEEPEST))?;
        let (unit, scaler, value) = (self.element()?, self.element()?, self.element()?);
        if let Element::List(n) = value {
            (0..n).try_for_each(|_| self.skip(DEEPEST))?;
        }
        self.skip(DEEPEST)?;
        let unit = match unit {
            Element::Octets([]) => None,
            Element::Unsigned(code) => Some(unit_name(code)),
            _ => return Err(Torn::Malformed("a unit of it is no number")),
        };
        let exponent = match scaler {
            Element::Octets([]) => Some(0),
            Element::Integer(exponent) => i8::try_from(exponent).ok(),
            _ => None,
        };
        let exponent = exponent.ok_or(Torn::Malformed("a scaler of it is no small number"))?;
        let value = match value {
            Element::Integer(n) => n.to_string(),
            Element::Unsigned(n) => n.to_string(),
            _ => return Ok(None),
        };
        let code = if let Element::Octets(name) = name { <[u8; 6]>::try_from(name).ok() } else { None };
        Ok(code.map(|code| Entry { code: Obis::new(code), value, exponent, unit, more: false }))
    }
}

/// Units by their number in COSEM (IEC 62056-62, table of physical units).
pub(crate) const UNITS: [(u64, &str); 5] = [(27, "W"), (30, "Wh"), (33, "A"), (35, "V"), (44, "Hz")];

fn unit_name(code: u64) -> String {
    let known = UNITS.iter().find(|(known, _)| *known == code);
    known.map_or_else(|| format!("unit {code}"), |(_, name)| (*name).to_owned())
}
