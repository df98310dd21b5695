//! Models that speak telegrams: which OBIS code is which quantity.

use super::{Factor, Quantity, Scaling};
use crate::spec::Parity;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A model that speaks telegrams.
#[derive(Clone, Debug, PartialEq)]
pub struct TelegramMap {
    /// How a telegram is written and how one comes by it.
    pub language: Language,
    /// Whether a telegram without a checksum is refused. SML and mode C always have one.
    pub checked: bool,
    /// Bits per second when the configuration says nothing; of mode C, those of the sign-on.
    pub baud: u32,
    /// Even parity goes with 7 data bits, none with 8, as on all such meters.
    pub parity: Parity,
    /// Longest time between two telegrams of a healthy meter that speaks by itself.
    pub quiet: Duration,
    /// What it measures.
    pub fields: Vec<ObisField>,
}

/// A language of telegrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Lines of text that the meter sends by itself: the P1 port of DSMR and its kin, and IEC 62056-21 mode D.
    P1,
    /// Smart Message Language: binary, sent by the meter by itself.
    Sml,
    /// IEC 62056-21 mode C: lines of text that the meter is asked for.
    ModeC,
}

impl Language {
    /// Every language with its name in a template.
    pub const ALL: [(&'static str, Self); 3] = [("p1", Self::P1), ("sml", Self::Sml), ("iec62056-21", Self::ModeC)];
}

/// One quantity in a telegram.
#[derive(Clone, Debug, PartialEq)]
pub struct ObisField {
    /// Which quantity.
    pub quantity: Quantity,
    /// One entry, or several that are added.
    pub parts: Vec<ObisPart>,
    /// Sign and bounds of the sum.
    pub scaling: Scaling,
}

/// An entry of a telegram, and its share in a quantity.
#[derive(Clone, Debug, PartialEq)]
pub struct ObisPart {
    /// Which entry.
    pub code: Obis,
    /// Its unit when the telegram names none; without one such an entry is refused.
    pub unit: Option<Factor>,
    /// Times this: of a meter behind current transformers.
    pub scale: Factor,
    /// It counts against the others.
    pub subtract: bool,
    /// Texts by which the meter says "not available".
    pub absent: Vec<String>,
}

/// An OBIS code `A-B:C.D.E*F` (IEC 62056-61). A template that leaves out `A-B` means any; a telegram that leaves out
/// `F`, or says 255, means the present; `E` is 0 where it is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Obis {
    medium: Option<(u8, u8)>,
    what: [u8; 3],
    period: u8,
}

/// The value of `F` that means "now", as opposed to the end of some billing period.
const PRESENT: u8 = 255;

impl Obis {
    /// A code with all of its parts.
    #[must_use]
    pub fn new([a, b, c, d, e, f]: [u8; 6]) -> Self {
        Self { medium: Some((a, b)), what: [c, d, e], period: f }
    }

    /// All of its parts; electricity on channel 0 where the code leaves that out.
    #[must_use]
    pub fn parts(self) -> [u8; 6] {
        let ((a, b), [c, d, e]) = (self.medium.unwrap_or((1, 0)), self.what);
        [a, b, c, d, e, self.period]
    }

    /// Whether a code of a telegram is the one that this code of a template means.
    #[must_use]
    pub fn means(self, said: Self) -> bool {
        let medium = self.medium.is_none() || said.medium.is_none() || self.medium == said.medium;
        // EasyMeter's Q3D wrote 255 for the total up to version 3.03.
        let [c, d, e] = said.what;
        medium && self.what == [c, d, if e == 255 { 0 } else { e }] && self.period == said.period
    }
}

impl FromStr for Obis {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let number = |part: &str| {
            let plain = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            if plain { part.parse::<u8>().map_err(drop) } else { Err(()) }
        };
        let (medium, rest) = match text.split_once(':') {
            None => (None, text),
            Some((medium, rest)) => {
                let (a, b) = medium.split_once('-').ok_or(())?;
                (Some((number(a)?, number(b)?)), rest)
            }
        };
        // '&' instead of '*': the billing period was closed by hand.
        let (rest, period) = match rest.split_once(['*', '&']) {
            None => (rest, PRESENT),
            Some((rest, period)) => (rest, number(period)?),
        };
        let mut parts = rest.split('.');
        let (c, d, e) = (parts.next().ok_or(())?, parts.next().ok_or(())?, parts.next());
        if parts.next().is_some() {
            return Err(());
        }
        Ok(Self { medium, what: [number(c)?, number(d)?, e.map_or(Ok(0), number)?], period })
    }
}

impl fmt::Display for Obis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((a, b)) = self.medium {
            write!(f, "{a}-{b}:")?;
        }
        let [c, d, e] = self.what;
        write!(f, "{c}.{d}.{e}")?;
        if self.period == PRESENT { Ok(()) } else { write!(f, "*{}", self.period) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Obis {
        text.parse().unwrap_or_else(|()| panic!("{text}"))
    }

    #[test]
    fn a_code_means_the_present_unless_it_names_a_period() {
        for said in ["1-0:1.8.0", "1-0:1.8.0*255", "1.8.0", "1.8", "1-0:1.8.255*255"] {
            assert!(code("1-0:1.8.0").means(code(said)), "{said}");
        }
        for said in ["1-0:1.8.0*01", "1.8.0&12", "1-0:1.8.1", "7-0:1.8.0", "1-1:1.8.0", "1-0:2.8.0"] {
            assert!(!code("1-0:1.8.0").means(code(said)), "{said}");
        }
        assert!(code("1.8.0").means(code("1-1:1.8.0*255")));
        assert!(code("1.8.0*01").means(code("1.8.0*1")));
    }

    #[test]
    fn what_is_no_code_is_none() {
        for text in ["", "1", "1-0", "1-0:1", "C.1.0", "1:1.8.0", "1-0:1.8.0.0", "1-0:1.8.256", "+1.8.0", "1-0:1.8.0*"]
        {
            assert_eq!(text.parse::<Obis>(), Err(()), "{text}");
        }
    }

    #[test]
    fn a_code_is_written_as_it_is_read() {
        for text in ["1-0:1.8.0", "1.8.0", "1-0:1.8.1*3", "0-0:96.1.255"] {
            assert_eq!(code(text).to_string(), text);
        }
        assert_eq!(code("1-0:1.8.0"), Obis::new([1, 0, 1, 8, 0, 255]));
    }
}
