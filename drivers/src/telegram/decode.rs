//! From the entries of a telegram to a reading.

use super::{Entry, Telegram};
use crate::capability::DeviceError;
use crate::codec::{self, Ratio, Raw};
use crate::template::{Factor, ObisField, ObisPart, Quantity, TelegramMap};
use domain::{MeterId, Reading, Stamp};

/// What a telegram says in the words of this model. A quantity of which a part is missing or said to be absent is
/// left out as a whole: a sum without it would be too small.
pub(crate) fn reading(
    map: &TelegramMap,
    telegram: &Telegram,
    meter: MeterId,
    at: Stamp,
) -> Result<Reading, DeviceError> {
    let mut reading = Reading::empty(meter, at);
    let mut measured = false;
    for field in &map.fields {
        if let Some(sum) = sum(field, telegram)? {
            codec::put(&mut reading, field.quantity, &field.scaling, Raw::Exact(sum))?;
            measured = true;
        }
    }
    if measured { Ok(reading) } else { Err(DeviceError::nonsense("the telegram has none of the quantities")) }
}

fn sum(field: &ObisField, telegram: &Telegram) -> Result<Option<Ratio>, DeviceError> {
    let mut sum = Ratio::ZERO;
    for part in &field.parts {
        let Some(value) = value(field.quantity, part, telegram)? else { return Ok(None) };
        let counted = if part.subtract { value.negated() } else { Some(value) };
        let more = counted.and_then(|value| sum.plus(value));
        sum = more.ok_or_else(|| DeviceError::nonsense(format!("{} is more than fits", field.quantity)))?;
    }
    Ok(Some(sum))
}

/// The value of one part in our base unit.
fn value(quantity: Quantity, part: &ObisPart, telegram: &Telegram) -> Result<Option<Ratio>, DeviceError> {
    let wrong = |what: String| DeviceError::nonsense(format!("{quantity} at {}: {what}", part.code));
    let mut said = telegram.entries.iter().filter(|entry| part.code.means(entry.code));
    let Some(entry) = said.next() else { return Ok(None) };
    if said.any(|other| other != entry) {
        return Err(wrong("the telegram has it twice, with two values".to_owned()));
    }
    let digits = entry.value.trim();
    if digits.is_empty() || part.absent.iter().any(|absent| absent == digits) {
        return Ok(None);
    }
    if entry.more {
        return Err(wrong("more than one value stands there".to_owned()));
    }
    let shown: String = digits.chars().take(24).collect();
    let number = decimal(digits).ok_or_else(|| wrong(format!("{shown:?} is no number")))?;
    let unit = unit(quantity, part, entry).map_err(wrong)?;
    let scaled = number.shifted(entry.exponent.into()).and_then(|n| n.scaled(unit)).and_then(|n| n.scaled(part.scale));
    scaled.map(Some).ok_or_else(|| wrong(format!("{shown} is more than fits")))
}

/// The unit that the telegram names, which must be one of the quantity; or else that of the template.
fn unit(quantity: Quantity, part: &ObisPart, entry: &Entry) -> Result<Factor, String> {
    match &entry.unit {
        None => part.unit.ok_or_else(|| "neither the telegram nor the template names a unit".to_owned()),
        Some(name) => {
            let known = quantity.units().iter().find(|(unit, _)| unit == name);
            let shown: String = name.chars().take(24).collect();
            known.map(|(_, factor)| *factor).ok_or_else(|| format!("{shown:?} is no unit of it"))
        }
    }
}

/// `-000123.456` as an exact fraction.
fn decimal(text: &str) -> Option<Ratio> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || all.len() > 30 || !all.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = Ratio::whole(all.parse().ok()?).shifted(-i32::try_from(fraction.len()).ok()?)?;
    if negative { number.negated() } else { Some(number) }
}
