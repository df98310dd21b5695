//! Between raw numbers and quantities, both ways. Every way back (for the simulator) is the inverse of the way there.
//!
//! What a device marks as absent stays absent; what cannot be is refused. Nothing is clamped and nothing becomes zero.

mod ratio;
mod registers;
mod setpoint;

pub(crate) use ratio::Ratio;
pub(crate) use registers::{decode, encode, scatter};
pub(crate) use setpoint::{heard, said};

use crate::capability::DeviceError;
use crate::template::{Factor, Quantity, Scaling};
use domain::{Amps, Hertz, Reading, Volts, WattHours, Watts};

/// A number on its way between a device and us. Integers stay exact all the way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Raw {
    Exact(Ratio),
    Float(f64),
}

impl Raw {
    fn float(self) -> f64 {
        match self {
            Self::Exact(ratio) => ratio.float(),
            Self::Float(x) => x,
        }
    }

    fn negated(self) -> Option<Self> {
        match self {
            Self::Exact(ratio) => ratio.negated().map(Self::Exact),
            Self::Float(x) => Some(Self::Float(-x)),
        }
    }

    fn scaled(self, factor: Factor) -> Option<Self> {
        match self {
            Self::Exact(ratio) => ratio.scaled(factor).map(Self::Exact),
            Self::Float(x) => Some(Self::Float(x * f64::from(factor.num) / f64::from(factor.den))),
        }
    }

    fn unscaled(self, factor: Factor) -> Option<Self> {
        self.scaled(Factor { num: factor.den, den: factor.num })
    }

    fn shifted(self, exponent: i32) -> Option<Self> {
        match self {
            Self::Exact(ratio) => ratio.shifted(exponent).map(Self::Exact),
            // Divided, since 0.1 is no float.
            Self::Float(x) if exponent < 0 => Some(Self::Float(x / 10_f64.powi(-exponent))),
            Self::Float(x) => Some(Self::Float(x * 10_f64.powi(exponent))),
        }
    }

    fn plus(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Exact(a), Self::Exact(b)) => a.plus(b).map(Self::Exact),
            (a, b) => Some(Self::Float(a.float() + b.float())),
        }
    }

    /// The nearest whole number.
    fn rounded(self) -> Option<i64> {
        match self {
            Self::Exact(ratio) => ratio.rounded().and_then(|n| i64::try_from(n).ok()),
            Self::Float(x) => to_i64(x),
        }
    }
}

/// Puts a raw number into `reading` as `quantity`. A register that cannot be is an error, since it would be billed;
/// any other quantity that cannot be is left out, so that a broken voltage does not hide the energy.
pub(crate) fn put(reading: &mut Reading, quantity: Quantity, scaling: &Scaling, raw: Raw) -> Result<(), DeviceError> {
    let turned = if scaling.invert { raw.negated() } else { Some(raw) };
    let exact = turned.and_then(|raw| raw.scaled(scaling.factor));
    let within =
        |x: f64| x.is_finite() && scaling.min.is_none_or(|min| x >= min) && scaling.max.is_none_or(|max| x <= max);
    let float = exact.map(Raw::float).filter(|x| within(*x));
    // Rounding must not lead out of the range either.
    let whole = exact.filter(|_| float.is_some()).and_then(Raw::rounded).filter(|n| within(*n as f64));
    let register = || {
        let shown = |wh: &WattHours| scaling.rollover.is_none_or(|full| *wh < full);
        whole.and_then(|wh| WattHours(wh).as_register()).filter(shown).ok_or_else(|| {
            let said = exact.map_or_else(|| "more than fits".to_owned(), |value| format!("{} Wh", value.float()));
            DeviceError::nonsense(format!("{quantity} register says {said}"))
        })
    };
    match quantity {
        Quantity::Import => reading.import = Some(register()?),
        Quantity::Export => reading.export = Some(register()?),
        Quantity::Power => reading.power = whole.map(Watts),
        Quantity::Voltage => reading.voltage = float.and_then(Volts::finite),
        Quantity::Current => reading.current = float.and_then(Amps::finite),
        Quantity::Frequency => reading.frequency = float.and_then(Hertz::finite),
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "bounds are checked: a whole number that a float holds exactly")]
fn to_i64(value: f64) -> Option<i64> {
    let rounded = value.round();
    (rounded.abs() < 9e15).then_some(rounded as i64)
}

/// A quantity of a reading in the device's own unit.
fn own(reading: &Reading, quantity: Quantity, scaling: &Scaling) -> Option<Raw> {
    let exact = |n: i64| Raw::Exact(Ratio::whole(n.into()));
    let ours = match quantity {
        Quantity::Import => reading.import.map(|e| exact(e.0)),
        Quantity::Export => reading.export.map(|e| exact(e.0)),
        Quantity::Power => reading.power.map(|p| exact(p.0)),
        Quantity::Voltage => reading.voltage.map(|v| Raw::Float(v.get())),
        Quantity::Current => reading.current.map(|a| Raw::Float(a.get())),
        Quantity::Frequency => reading.frequency.map(|f| Raw::Float(f.get())),
    }?;
    let value = ours.unscaled(scaling.factor)?;
    if scaling.invert { value.negated() } else { Some(value) }
}

/// A quantity in our base unit, to the nearest thousandth.
pub(crate) fn thousandths(reading: &Reading, quantity: Quantity, scaling: &Scaling) -> Option<Ratio> {
    own(reading, quantity, scaling)?.shifted(3)?.rounded().and_then(|n| Ratio::whole(n.into()).shifted(-3))
}

/// The number in a JSON value; `None` for null or a key that is not there, an error for anything that is no number.
pub(crate) fn decode_json(quantity: Quantity, value: Option<&serde_json::Value>) -> Result<Option<Raw>, DeviceError> {
    use serde_json::Value;
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(n)) => {
            let int = n.as_i64().map(i128::from).or_else(|| n.as_u64().map(i128::from));
            let exact = int.map(|n| Raw::Exact(Ratio::whole(n)));
            Ok(exact.or_else(|| n.as_f64().map(Raw::Float)))
        }
        Some(other) => {
            let shown: String = other.to_string().chars().take(40).collect();
            Err(DeviceError::nonsense(format!("{quantity} is {shown}, no number")))
        }
    }
}

/// The JSON number by which a device would say what `reading` says; null for what it lacks.
pub(crate) fn encode_json(reading: &Reading, quantity: Quantity, scaling: &Scaling) -> serde_json::Value {
    match own(reading, quantity, scaling) {
        None => serde_json::Value::Null,
        Some(Raw::Float(x)) => serde_json::Value::from(x),
        Some(Raw::Exact(ratio)) => match ratio.exact() {
            Some(n) => i64::try_from(n).map_or(serde_json::Value::Null, Into::into),
            None => serde_json::Value::from(ratio.float()),
        },
    }
}

#[cfg(test)]
mod tests;
