//! Meters that speak telegrams with OBIS codes over a serial line of their own: P1 and mode D of IEC 62056-21, SML, and
//! mode C of IEC 62056-21.
//!
//! Each language has one file with two pure functions over bytes: `find` cuts a candidate out of what was heard, and
//! `parse` believes it only if its checksum fits. They are ours because what there is does not do: `dsmr5` 0.4 knows
//! Dutch codes and widths only and wants a checksum; `sml-rs` 0.4 makes room for as many list entries as a forged
//! length claims, counts noise in 16 bits, which overflow, and refuses messages of other kinds than three. The tests
//! compare with it. Nothing on crates.io speaks mode C.

mod decode;
mod device;
pub(crate) mod iec;
pub(crate) mod p1;
pub(crate) mod sml;
mod wire;

pub(crate) use decode::reading;
pub(crate) use device::{TelegramBus, TelegramMeter};

use crate::template::{Language, Obis, TelegramMap};
use thiserror::Error;

/// What was said, checked as a whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Telegram {
    /// Everything that has an OBIS code and might be a number.
    pub entries: Vec<Entry>,
    /// Whether it carried a checksum, which then fitted.
    pub checked: bool,
}

/// One entry of a telegram.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub code: Obis,
    /// The digits as they were said.
    pub value: String,
    /// The power of ten that they are multiplied by.
    pub exponent: i8,
    /// The unit, if it was said.
    pub unit: Option<String>,
    /// More values follow the first one.
    pub more: bool,
}

/// What stands first in the bytes that were heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cut {
    /// So many bytes at the beginning belong to no telegram.
    pub noise: usize,
    /// So many bytes after those are a whole candidate; `None` if more must be heard first.
    pub whole: Option<usize>,
}

/// Why a candidate is no telegram.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Torn {
    #[error("its checksum does not fit")]
    Checksum,
    #[error("it has no checksum, which this model always sends")]
    Unchecked,
    #[error("{0}")]
    Malformed(&'static str),
}

/// The longest telegram that is waited for. Those of P1 and SML have one or two thousand bytes; a meter that is asked
/// may add what it counted in each of the last years.
pub(crate) const LONGEST: usize = 16 * 1024;

pub(crate) fn find(language: Language, heard: &[u8]) -> Cut {
    match language {
        Language::P1 => p1::find(heard),
        Language::Sml => sml::find(heard),
        Language::ModeC => iec::find(heard),
    }
}

pub(crate) fn parse(language: Language, candidate: &[u8]) -> Result<Telegram, Torn> {
    match language {
        Language::P1 => p1::parse(candidate),
        Language::Sml => sml::parse(candidate),
        Language::ModeC => iec::parse(candidate),
    }
}

/// Takes the first telegram out of what was heard, with all that is before it; or the beginning of one that is torn,
/// since what follows that may be whole. A torn answer goes as a whole: the check of mode C is too weak to be asked
/// of every part of one. `None` if more must be heard first; what is kept until then is bounded.
pub(crate) fn next(map: &TelegramMap, heard: &mut Vec<u8>) -> Option<Result<Telegram, Torn>> {
    loop {
        let cut = find(map.language, heard);
        let noise = cut.noise.min(heard.len());
        heard.drain(..noise);
        let Some(len) = cut.whole else {
            if heard.len() > LONGEST {
                heard.clear();
            }
            // What stands behind noise may be whole.
            if noise == 0 || heard.is_empty() {
                return None;
            }
            continue;
        };
        let parsed = parse(map.language, heard.get(..len)?);
        let believed = parsed.and_then(|t| if t.checked || !map.checked { Ok(t) } else { Err(Torn::Unchecked) });
        let whole = believed.is_ok() || map.language == Language::ModeC;
        heard.drain(..if whole { len } else { 1 });
        return Some(believed);
    }
}

/// A CRC of 16 bits that takes the lowest bit of each byte first. ARC: 0xA001, 0; X.25: 0x8408, 0xFFFF, and the result
/// inverted; Kermit: 0x8408, 0 (names after the CRC catalogue of G. Cook).
pub(crate) fn crc16(polynomial: u16, start: u16, bytes: &[u8]) -> u16 {
    bytes.iter().fold(start, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ polynomial } else { crc >> 1 })
    })
}

/// The data sets of IEC 62056-21: `address(value*unit)`, one or more in a line. With `strict`, for telegrams that
/// nothing else protects, every line must be made of them.
pub(crate) fn data_sets(text: &str, strict: bool) -> Result<Vec<Entry>, Torn> {
    let mut entries: Vec<Entry> = Vec::new();
    for line in text.split(['\r', '\n']).map(str::trim).filter(|line| !line.is_empty() && *line != "!") {
        let mut rest = line;
        while !rest.is_empty() {
            let Some((address, mut values)) = rest.find('(').map(|at| rest.split_at(at)) else {
                if strict {
                    return Err(Torn::Malformed("a line of it is no data set"));
                }
                break;
            };
            let mut said = Vec::new();
            while let Some(open) = values.strip_prefix('(') {
                let (value, after) = open.split_once(')').ok_or(Torn::Malformed("a value of it has no end"))?;
                said.push(value);
                values = after;
            }
            rest = values;
            // A line that begins with a value goes on with the one before.
            if address.is_empty() {
                entries.last_mut().into_iter().for_each(|entry| entry.more = true);
            } else if let (Ok(code), Some(first)) = (address.parse(), said.first()) {
                let (value, unit) = first.split_once('*').map_or((*first, None), |(v, u)| (v, Some(u.to_owned())));
                entries.push(Entry { code, value: value.to_owned(), exponent: 0, unit, more: said.len() > 1 });
            }
        }
    }
    Ok(entries)
}

/// Bytes as text, if they can be one of these languages: printable, and line ends.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Torn> {
    let plain = bytes.iter().all(|b| matches!(b, b' '..=b'~' | b'\r' | b'\n' | b'\t'));
    let text = if plain { std::str::from_utf8(bytes).ok() } else { None };
    text.ok_or(Torn::Malformed("a byte of it is no character"))
}

/// Where an identification begins: a slash and the three letters of the maker. A slash that is too near the end to
/// tell counts.
pub(crate) fn identification(heard: &[u8]) -> Option<usize> {
    (0..heard.len()).find(|at| {
        let (slash, letters) = (heard.get(*at), heard.iter().skip(at + 1).take(3));
        slash == Some(&b'/') && letters.into_iter().all(u8::is_ascii_alphabetic)
    })
}

#[cfg(test)]
mod tests;
