//! Physical quantities as types, so that a watt never meets a volt by accident.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, AddAssign, Neg, Sub};
use std::str::FromStr;

/// Active power in whole watts; + import, − export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Watts(pub i64);

/// Energy in whole watt-hours: a cumulative register (never negative) or a difference of two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WattHours(pub i64);

impl WattHours {
    /// No energy.
    pub const ZERO: Self = Self(0);
    /// The largest register the platform accepts: 2^40 − 1 Wh (1.1 TWh), what one packed word on the chain holds.
    /// Sums and differences of values up to this bound cannot overflow an `i64`.
    pub const REGISTER_MAX: Self = Self((1 << 40) - 1);

    /// `self` if it can be a register reading (0 ..= [`Self::REGISTER_MAX`]).
    #[must_use]
    pub fn as_register(self) -> Option<Self> {
        (Self::ZERO..=Self::REGISTER_MAX).contains(&self).then_some(self)
    }
}

/// A share of a rated value, in whole thousandths from 0 to 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Permille(u16);

impl From<Permille> for u16 {
    fn from(share: Permille) -> Self {
        share.0
    }
}

impl TryFrom<u16> for Permille {
    type Error = String;
    fn try_from(thousandths: u16) -> Result<Self, String> {
        Self::new(thousandths).ok_or_else(|| format!("{thousandths} thousandths are more than all"))
    }
}

impl Permille {
    /// All of it.
    pub const FULL: Self = Self(1000);
    /// Nothing of it.
    pub const NONE: Self = Self(0);

    /// The share, unless it is more than all.
    #[must_use]
    pub fn new(thousandths: u16) -> Option<Self> {
        (thousandths <= Self::FULL.0).then_some(Self(thousandths))
    }

    /// The thousandths.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Permille {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} %", self.0 / 10, self.0 % 10)
    }
}

impl FromStr for Permille {
    type Err = String;
    /// `60%`, `12.5 %`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no share: say 0% to 100%, with at most one decimal");
        let number = text.trim().strip_suffix('%').ok_or_else(wrong)?.trim_end();
        let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |s: &str, most: usize| (1..=most).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole, 3) || !digits(tenths, 1) {
            return Err(wrong());
        }
        format!("{whole}{tenths}").parse().ok().and_then(Self::new).ok_or_else(wrong)
    }
}

macro_rules! additive {
    ($($t:ident)*) => {$(
        impl Add for $t { type Output = Self; fn add(self, o: Self) -> Self { Self(self.0 + o.0) } }
        impl Sub for $t { type Output = Self; fn sub(self, o: Self) -> Self { Self(self.0 - o.0) } }
        impl Neg for $t { type Output = Self; fn neg(self) -> Self { Self(-self.0) } }
        impl AddAssign for $t { fn add_assign(&mut self, o: Self) { self.0 += o.0; } }
        impl std::iter::Sum for $t { fn sum<I: Iterator<Item = Self>>(i: I) -> Self { i.fold(Self(0), |a, b| a + b) } }
    )*};
}
additive!(Watts WattHours);

impl fmt::Display for Watts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} W", self.0)
    }
}

impl fmt::Display for WattHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Wh", self.0)
    }
}

impl FromStr for WattHours {
    type Err = String;
    /// `12345.6kWh`, `12345600 Wh`: never negative, nothing finer than a watt-hour, and never without its unit.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no energy: say 12345.678kWh, or 12345678Wh");
        let (number, decimals) = match text.trim().strip_suffix("kWh") {
            Some(number) => (number, 3),
            None => (text.trim().strip_suffix("Wh").ok_or_else(wrong)?, 0),
        };
        let (whole, fraction) = number.trim_end().split_once('.').unwrap_or((number.trim_end(), ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > decimals {
            return Err(wrong());
        }
        let parsed = format!("{whole}{fraction:0<decimals$}").parse().ok().map(Self);
        parsed.and_then(Self::as_register).ok_or_else(|| format!("{text:?} is more than any meter shows"))
    }
}

macro_rules! measured {
    ($($(#[$m:meta])* $t:ident $unit:literal),* $(,)?) => {$(
        $(#[$m])*
        #[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $t(f64);

        impl $t {
            /// The quantity, unless the number is NaN or infinite: an absent value is never a number here.
            #[must_use]
            pub fn finite(value: f64) -> Option<Self> { value.is_finite().then_some(Self(value)) }
            /// The number, in the unit that the type is named after.
            #[must_use]
            pub fn get(self) -> f64 { self.0 }
        }

        impl fmt::Display for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{:.2} {}", self.0, $unit) }
        }
    )*};
}
measured! {
    /// Voltage, RMS.
    Volts "V",
    /// Current, RMS.
    Amps "A",
    /// Frequency.
    Hertz "Hz",
    /// Resistance.
    Ohms "Ω",
    /// Power of a radio signal, in decibels over a milliwatt.
    Dbm "dBm",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energy_is_written_with_its_unit_and_nothing_finer_than_a_watt_hour() {
        for (text, wh) in [("12345.6kWh", 12_345_600), ("0.001 kWh", 1), ("7Wh", 7), (" 12 kWh", 12_000)] {
            assert_eq!(text.parse(), Ok(WattHours(wh)));
        }
        for bad in ["", "5", "kWh", "1.2345kWh", "1.5Wh", "-1kWh", "1e3kWh", "1,5kWh", ".5kWh", "99999999999kWh"] {
            assert!(bad.parse::<WattHours>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_share_is_written_in_percent_and_never_more_than_all() {
        for (text, thousandths) in [("60%", 600), ("12.5 %", 125), ("0%", 0), ("100%", 1000), (" 7.0% ", 70)] {
            assert_eq!(text.parse::<Permille>().map(Permille::get), Ok(thousandths));
        }
        for bad in ["", "%", "60", "101%", "100.1%", "-1%", "1.25%", "0x1%", "1e1%", ".5%", "99999999999%"] {
            assert!(bad.parse::<Permille>().is_err(), "{bad}");
        }
        assert_eq!((Permille(605).to_string(), Permille::new(1001)), ("60.5 %".to_owned(), None));
    }
}
