//! Physical quantities as types, so that a watt never meets a volt by accident.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, AddAssign, Neg, Sub};

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
}
