//! The lines that a radio bridge says over a serial port: `H <number> <sender> <centi-dBm> <check>`, one for each beacon it
//! hears, each ended by a line feed (a carriage return before it is passed over).
//!
//! The number counts the bridge's lines from 0 to 65,535 and begins again, so that what is lost is counted. The sender is 1
//! to 64 of `0-9 A-Z a-z : . _ -`. The loudness is in hundredths of a dBm. The check is CRC-16/MODBUS of all before the
//! space in front of it, as four upper-case hex digits. Numbers have no sign but a minus, and no zeros in front: a line has
//! one spelling.

use super::loudness;
use crate::capability::Heard;
use crate::modbus::line::crc;
use std::fmt;

/// The longest line, without its end: what does not end within it is passed over.
pub const LONGEST: usize = 96;

/// What a bridge said.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Of the line.
    pub number: u16,
    /// Whom it heard, and how loud.
    pub heard: Heard,
}

/// Why some bytes are no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotALine {
    /// The check does not fit: bytes were lost or changed on the way.
    #[error("a line whose check does not fit")]
    Torn,
    /// The check fits, and yet it is none: another firmware.
    #[error("a line that is not `H <number> <sender> <centi-dBm> <check>`")]
    Unknown,
    /// No end within [`LONGEST`] bytes: another speed, or another device.
    #[error("no line ends within {LONGEST} bytes: is the speed right?")]
    Endless,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = format!("H {} {} {:.0}", self.number, self.heard.sender, self.heard.rssi.get() * 100.0);
        write!(f, "{body} {:04X}", crc(body.as_bytes()))
    }
}

/// A number in its only spelling.
fn number<T: std::str::FromStr + ToString>(text: &str) -> Option<T> {
    text.parse::<T>().ok().filter(|n| n.to_string() == text)
}

impl Line {
    /// Reads a line, without its end.
    ///
    /// # Errors
    ///
    /// Why it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, NotALine> {
        let text = std::str::from_utf8(bytes).map_err(|_| NotALine::Torn)?;
        let (body, check) = text.rsplit_once(' ').ok_or(NotALine::Torn)?;
        if check != format!("{:04X}", crc(body.as_bytes())) {
            return Err(NotALine::Torn);
        }
        let parts: Vec<&str> = body.split(' ').collect();
        let &["H", n, sender, rssi] = &parts[..] else { return Err(NotALine::Unknown) };
        let of_sender = |c: char| c.is_ascii_alphanumeric() || ":._-".contains(c);
        let rssi = number::<i32>(rssi).and_then(|centi| loudness(f64::from(centi) / 100.0));
        match (number(n), rssi) {
            (Some(number), Some(rssi)) if (1..=64).contains(&sender.len()) && sender.chars().all(of_sender) => {
                Ok(Self { number, heard: Heard { sender: sender.to_owned(), rssi } })
            }
            _ => Err(NotALine::Unknown),
        }
    }
}

/// Bytes as they come, and the lines in them.
#[derive(Debug, Default)]
pub struct Lines {
    waiting: Vec<u8>,
    /// The rest of a line that was given up for being endless is passed over.
    passing: bool,
}

impl Lines {
    /// Takes bytes. Ask for [`Lines::next`] until there is none.
    pub fn take(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// The next line; `None` if more bytes are needed.
    #[expect(clippy::should_implement_trait, reason = "it goes on after None")]
    pub fn next(&mut self) -> Option<Result<Line, NotALine>> {
        loop {
            let end = self.waiting.iter().position(|b| *b == b'\n');
            // With its carriage return a line is one byte longer.
            if end.unwrap_or(self.waiting.len()) > LONGEST + 1 {
                let drop = end.unwrap_or(self.waiting.len());
                self.waiting.drain(..drop);
                if !std::mem::replace(&mut self.passing, true) {
                    return Some(Err(NotALine::Endless));
                }
                continue;
            }
            let mut line: Vec<u8> = self.waiting.drain(..=end?).collect();
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            if !std::mem::take(&mut self.passing) && !line.is_empty() {
                return Some(Line::read(&line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Dbm;
    use proptest::prelude::*;

    fn line(number: u16, sender: &str, dbm: f64) -> Line {
        Line { number, heard: Heard { sender: sender.into(), rssi: Dbm::finite(dbm).unwrap() } }
    }

    #[test]
    fn a_line_is_what_the_readme_shows() {
        let said = line(17, "5f3a9c0e11d24b7788a0c1d2e3f40516", -81.1);
        assert_eq!(said.to_string(), "H 17 5f3a9c0e11d24b7788a0c1d2e3f40516 -8110 D371");
        assert_eq!(Line::read(said.to_string().as_bytes()), Ok(said));
    }

    #[test]
    fn a_line_with_a_changed_byte_is_torn_and_one_of_another_firmware_unknown() {
        let good = line(17, "a:b", -81.1).to_string();
        for at in 0..good.len() {
            let mut bad = good.clone().into_bytes();
            bad[at] ^= 1;
            assert_eq!(Line::read(&bad), Err(NotALine::Torn), "{at}");
        }
        for body in [
            "H 17 a:b -8110 x",
            "H 017 a:b -8110",
            "H 17 a:b +8110",
            "H 17  -8110",
            "H 65536 a -1",
            "G 1 a -1",
            "H 1 a -15001",
            "H 1 a -0",
            "H 1 ä -1",
        ] {
            let line = format!("{body} {:04X}", crc(body.as_bytes()));
            assert_eq!(Line::read(line.as_bytes()), Err(NotALine::Unknown), "{body}");
        }
    }

    #[test]
    fn noise_costs_the_lines_that_it_touches_and_no_other() {
        let mut lines = Lines::default();
        let good = line(1, "a", -50.0);
        lines.take(&[0xFF; 300]);
        assert_eq!(lines.next(), Some(Err(NotALine::Endless)));
        assert_eq!(lines.next(), None);
        lines.take(&[0xFE; 20]);
        lines.take(format!("\n{good}\r\nH 2 torn\n\n{good}\n").as_bytes());
        assert_eq!(lines.next(), Some(Ok(good.clone())));
        assert_eq!(lines.next(), Some(Err(NotALine::Torn)));
        assert_eq!(lines.next(), Some(Ok(good)));
        assert_eq!(lines.next(), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(number: u16, sender in "[0-9A-Za-z:._-]{1,64}", centi in -15_000..=2_000_i32) {
            let said = line(number, &sender, f64::from(centi) / 100.0);
            prop_assert_eq!(Line::read(said.to_string().as_bytes()), Ok(said));
        }
    }
}
