//! The answers of IEC 62056-21 mode C: an identification, and a block of data sets with a check character.

use super::{Cut, Telegram, Torn, data_sets, identification, text};

const STX: u8 = 0x02;
const ETX: u8 = 0x03;

/// How it goes on after the identification (chapter 6.4 of the standard).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A: the data follow at the same speed.
    Same,
    /// B: they follow at this one.
    Told(u32),
    /// C: they follow at the speed whose character the acknowledgement names.
    Asked(u8, u32),
}

/// The question that any meter answers.
pub(crate) const SIGN_ON: &[u8] = b"/?!\r\n";

/// The acknowledgement that asks for the data at a speed.
pub(crate) fn acknowledgement(speed: u8) -> [u8; 6] {
    [0x06, b'0', speed, b'0', b'\r', b'\n']
}

/// The mode that an identification names, once it is there as a whole, and where it ends. What else was heard, an echo
/// above all, is passed over.
pub(crate) fn mode(heard: &[u8]) -> Option<(Mode, usize)> {
    let start = identification(heard)?;
    let line = heard.get(start..)?;
    let line = line.get(..line.iter().position(|b| matches!(b, b'\r' | b'\n'))?)?;
    let mode = match line.get(4)? {
        speed @ b'0'..=b'6' => Mode::Asked(*speed, 300 << (speed - b'0')),
        speed @ b'A'..=b'F' => Mode::Told(600 << (speed - b'A')),
        _ => Mode::Same,
    };
    Some((mode, start + line.len()))
}

/// The first candidate: a block of data and its check character.
pub(crate) fn find(heard: &[u8]) -> Cut {
    let Some(start) = heard.iter().position(|b| *b == STX) else { return Cut { noise: heard.len(), whole: None } };
    let end = heard[start..].iter().position(|b| *b == ETX).map(|at| at + 2);
    Cut { noise: start, whole: end.filter(|end| start + end <= heard.len()) }
}

/// What a candidate says. The check character is the exclusive or of all that follows STX, ETX included. One wrong byte
/// that is an ETX ends the block early, and every 256th time what follows fits: so the `!` must be there too.
pub(crate) fn parse(candidate: &[u8]) -> Result<Telegram, Torn> {
    let [STX, data @ .., ETX, check] = candidate else { return Err(Torn::Malformed("it is no block of data")) };
    let said = text(data)?;
    if data.iter().fold(ETX, |sum, byte| sum ^ byte) != *check {
        return Err(Torn::Checksum);
    }
    if said.trim_end().lines().last() != Some("!") {
        return Err(Torn::Malformed("it has no end"));
    }
    Ok(Telegram { entries: data_sets(said, false)?, checked: true })
}
