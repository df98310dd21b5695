//! Writes telegrams: what a meter of some model would say of a reading. Everything here is the inverse of what
//! [`crate::telegram`] reads.

use crate::codec::{self, Ratio};
use crate::telegram::sml::UNITS;
use crate::telegram::{Entry, crc16};
use crate::template::{Factor, Language, ObisField, ObisPart, Scaling, TelegramMap};
use domain::Reading;

/// What a meter of this model says of `reading`; what that lacks is left out. A sum is shared out among its entries.
pub(crate) fn entries(map: &TelegramMap, reading: &Reading) -> Vec<Entry> {
    let mut entries = Vec::new();
    for field in &map.fields {
        // Min and max are for the reader.
        let scaling = Scaling { factor: Factor::ONE, min: None, max: None, ..field.scaling };
        if let Some(value) = codec::thousandths(reading, field.quantity, &scaling) {
            entries.extend(share(field, value, map.language).into_iter().flatten());
        }
    }
    entries
}

fn share(field: &ObisField, value: Ratio, language: Language) -> Vec<Option<Entry>> {
    let negative = value.floor() < 0 && field.parts.iter().any(|part| part.subtract);
    let mut rest = if negative { value.negated().unwrap_or(Ratio::ZERO) } else { value };
    let mut left = field.parts.iter().filter(|part| part.subtract == negative).count();
    let mut entries = Vec::new();
    for part in &field.parts {
        let own = if part.subtract == negative {
            let own = if left > 1 { rest.times(1, 3).map(whole_watt_hours) } else { Some(rest) };
            left -= 1;
            own.unwrap_or(Ratio::ZERO)
        } else {
            Ratio::ZERO
        };
        rest = own.negated().and_then(|own| rest.plus(own)).unwrap_or(Ratio::ZERO);
        entries.push(entry(field, part, own, language));
    }
    entries
}

fn whole_watt_hours(share: Ratio) -> Ratio {
    Ratio::whole(share.floor())
}

fn entry(field: &ObisField, part: &ObisPart, value: Ratio, language: Language) -> Option<Entry> {
    let units = field.quantity.units();
    let (unit, exponent, digits) = match language {
        // Base units, and thousandths of them.
        Language::Sml => (Factor::ONE, -3, 0),
        _ => (part.unit.unwrap_or(Factor::ONE), 0, 3),
    };
    let own = |factor: Factor| Factor { num: factor.den, den: factor.num };
    let steps = value.scaled(own(unit))?.scaled(own(part.scale))?.shifted(3)?.rounded()?;
    let value = if digits == 0 { steps.to_string() } else { decimal(steps) };
    let name = units.iter().find(|(_, factor)| *factor == unit).map(|(name, _)| (*name).to_owned());
    Some(Entry { code: part.code, value, exponent, unit: name, more: false })
}

/// Thousandths as decimal text of a fixed width, as most meters write it.
fn decimal(thousandths: i128) -> String {
    let (whole, fraction) = (thousandths.unsigned_abs() / 1000, thousandths.unsigned_abs() % 1000);
    format!("{}{whole:06}.{fraction:03}", if thousandths < 0 { "-" } else { "" })
}

/// The telegram that says so.
pub(crate) fn write(map: &TelegramMap, entries: &[Entry]) -> Vec<u8> {
    match map.language {
        Language::P1 => p1(entries, map.checked),
        Language::Sml => sml(entries),
        Language::ModeC => mode_c(entries),
    }
}

/// What a simulated meter of text says first: no maker's letters, and 9600 baud in mode C.
pub(super) const IDENTIFICATION: &str = "/SIM5\\2SIMULATED\r\n";

fn lines(entries: &[Entry]) -> String {
    let line = |entry: &Entry| {
        let unit = entry.unit.as_ref().map_or_else(String::new, |unit| format!("*{unit}"));
        format!("{}({}{unit})\r\n", entry.code, entry.value)
    };
    entries.iter().map(line).collect()
}

/// A P1 telegram, or one of mode D.
pub(crate) fn p1(entries: &[Entry], checked: bool) -> Vec<u8> {
    let body = format!("{IDENTIFICATION}\r\n{}!", lines(entries));
    let crc = if checked { format!("{:04X}", crc16(0xA001, 0, body.as_bytes())) } else { String::new() };
    format!("{body}{crc}\r\n").into_bytes()
}

/// The block of data of mode C.
pub(crate) fn mode_c(entries: &[Entry]) -> Vec<u8> {
    let data = format!("{}!\r\n\x03", lines(entries));
    let check = data.bytes().fold(0, |sum, byte| sum ^ byte);
    [&[0x02], data.as_bytes(), &[check]].concat()
}

/// An SML file: an open response, the list, a close response.
pub(crate) fn sml(entries: &[Entry]) -> Vec<u8> {
    let server = octets(b"\x0ASIM\x00\x00\x00\x00\x01");
    let absent: &[u8] = &[0x01];
    let open = [&[0x76], absent, absent, &octets(b"file")[..], &server, absent, absent].concat();
    let values: Vec<u8> = entries.iter().flat_map(value).collect();
    let list =
        [&[0x77], absent, &server[..], absent, absent, &list_head(entries.len()), &values, absent, absent].concat();
    let close = [&[0x71], absent].concat();
    let body = [message(1, 0x0101, &open), message(2, 0x0701, &list), message(3, 0x0201, &close)].concat();
    transport(&body)
}

/// Escapes, padding and checksum around the data.
pub(crate) fn transport(data: &[u8]) -> Vec<u8> {
    let mut file = vec![0x1B, 0x1B, 0x1B, 0x1B, 1, 1, 1, 1];
    let mut row = 0;
    for byte in data {
        file.push(*byte);
        row = if *byte == 0x1B { row + 1 } else { 0 };
        if row == 4 {
            file.extend([0x1B; 4]);
            row = 0;
        }
    }
    let padding = file.len().wrapping_neg() % 4;
    file.extend(std::iter::repeat_n(0, padding));
    file.extend([0x1B, 0x1B, 0x1B, 0x1B, 0x1A, u8::try_from(padding).unwrap_or(0)]);
    file.extend((!crc16(0x8408, 0xFFFF, &file)).to_le_bytes());
    file
}

fn message(number: u8, kind: u16, body: &[u8]) -> Vec<u8> {
    let [high, low] = kind.to_be_bytes();
    let mut message = [&[0x76], &octets(&[0, number])[..], &[0x62, 0, 0x62, 0, 0x72, 0x63, high, low], body].concat();
    let crc = !crc16(0x8408, 0xFFFF, &message);
    message.push(0x63);
    message.extend(crc.to_le_bytes());
    message.push(0);
    message
}

/// Every head of a list takes two bytes here, as long as there are fewer than 256 entries.
fn list_head(entries: usize) -> [u8; 2] {
    let n = u8::try_from(entries).unwrap_or(u8::MAX);
    [0xF0 | (n >> 4), n & 0x0F]
}

/// At most 14 bytes.
fn octets(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len() + 1).unwrap_or(1) & 0x0F], bytes].concat()
}

/// An entry of the list; one whose value is no number is left out of a count that the caller has made already, so it
/// is sent as one without a value.
fn value(entry: &Entry) -> Vec<u8> {
    let unit = entry.unit.as_ref().and_then(|unit| UNITS.iter().find(|(_, name)| name == unit));
    let unit = unit.map_or(vec![0x01], |(code, _)| vec![0x62, u8::try_from(*code).unwrap_or(0)]);
    let number = match (entry.value.parse::<i64>(), entry.value.parse::<u64>()) {
        (Ok(signed), _) => [&[0x59], &signed.to_be_bytes()[..]].concat(),
        (_, Ok(unsigned)) => [&[0x69], &unsigned.to_be_bytes()[..]].concat(),
        _ => vec![0x01],
    };
    let scaler = [0x52, entry.exponent.to_be_bytes()[0]];
    [&[0x77], &octets(&entry.code.parts())[..], &[0x01, 0x01], &unit, &scaler, &number, &[0x01]].concat()
}
