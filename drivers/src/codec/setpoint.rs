//! Between registers and what a device is ordered to do, both ways.

use super::registers::{EXPONENTS, bits, decode, scatter};
use super::{Raw, ratio::Ratio};
use crate::capability::DeviceError;
use crate::template::RegisterField;

/// The amount that the field's registers say, in its base unit; `None` where the device says that it has none.
pub(crate) fn heard(field: &RegisterField, words: &[u16]) -> Result<Option<i64>, DeviceError> {
    let Some(raw) = decode(field, words)? else { return Ok(None) };
    let whole = raw.scaled(field.scaling.factor).and_then(Raw::rounded);
    whole.map(Some).ok_or_else(|| DeviceError::nonsense("a limit beyond all bounds"))
}

/// The registers by which the field says an amount, given what they say now: the power of ten is the device's. Their
/// place is counted from the field's first register. What lies between two steps of the device becomes the lower one,
/// since a limit must not be exceeded. `None` where the device cannot say it.
pub(crate) fn said(field: &RegisterField, amount: i64, words: &[u16]) -> Option<(u16, Vec<u16>)> {
    let [part] = field.kind.parts.as_slice() else { return None };
    let exponent = match part.exponent {
        None => 0,
        Some(at) => i32::from(Some(at.read(words)?).filter(|e| EXPONENTS.contains(e))?),
    };
    let own = Raw::Exact(Ratio::whole(amount.into())).unscaled(field.scaling.factor)?;
    let bits = bits(part, own.unscaled(part.factor)?.shifted(-exponent)?)?;
    // Nobody orders "not available".
    (!part.absent.contains(&bits)).then(|| (part.offset, scatter(part.kind, part.order, bits)))
}
