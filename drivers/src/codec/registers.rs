//! Between registers and raw numbers, both ways.

use super::{Raw, own, ratio::Ratio, to_i64};
use crate::capability::DeviceError;
use crate::template::{Factor, Kind, Order, Part, Quantity, RegisterField};
use domain::Reading;
use std::cmp::Reverse;

/// The powers of ten that a scale register may hold; anything else, 0x8000 for one, means that there is no value.
pub(super) const EXPONENTS: std::ops::RangeInclusive<i16> = -10..=10;

/// The words in the other of the two orders. Each order is its own inverse.
fn reorder(order: Order, words: &mut [u16]) {
    if matches!(order, Order::Badc | Order::Dcba) {
        words.iter_mut().for_each(|word| *word = word.swap_bytes());
    }
    match order {
        Order::Abcd | Order::Badc => {}
        Order::Cdab | Order::Dcba => words.reverse(),
        Order::Efghabcd => words.rotate_left(words.len() / 2),
        Order::Cdabghef => words.as_chunks_mut::<2>().0.iter_mut().for_each(|pair| pair.reverse()),
    }
}

/// The bit pattern of a number in registers, high byte first; `None` if there are not as many registers as it takes.
pub(super) fn gather(kind: Kind, order: Order, words: &[u16]) -> Option<u64> {
    if words.len() != usize::from(kind.registers()) {
        return None;
    }
    let mut words = words.to_vec();
    reorder(order, &mut words);
    Some(words.iter().fold(0, |bits, word| (bits << 16) | u64::from(*word)))
}

/// The inverse of [`gather`].
pub(crate) fn scatter(kind: Kind, order: Order, bits: u64) -> Vec<u16> {
    let bytes = bits.to_be_bytes();
    let skip = 4 - usize::from(kind.registers());
    let words = bytes.as_chunks::<2>().0.iter().skip(skip).map(|pair| u16::from_be_bytes(*pair));
    let mut words: Vec<u16> = words.collect();
    reorder(order, &mut words);
    words
}

/// What the registers of a quantity say; `None` where the device says that it has no value. Every part must have one:
/// a sum that lacks a part would be too small.
pub(crate) fn decode(field: &RegisterField, words: &[u16]) -> Result<Option<Raw>, DeviceError> {
    let mut sum: Option<Raw> = None;
    for part in &field.kind.parts {
        let Some(raw) = number(field, part, words)? else { return Ok(None) };
        let so_far = sum.unwrap_or(Raw::Exact(Ratio::ZERO));
        let Some(next) = so_far.plus(raw) else { return unbelievable(field.quantity, "a number beyond all bounds") };
        sum = Some(next);
    }
    Ok(sum)
}

/// A register that cannot be is an error, since it would be billed; any other quantity that cannot be is absent.
fn unbelievable(quantity: Quantity, what: &str) -> Result<Option<Raw>, DeviceError> {
    match quantity {
        Quantity::Import | Quantity::Export => Err(DeviceError::nonsense(format!("{quantity} register says {what}"))),
        _ => Ok(None),
    }
}

fn number(field: &RegisterField, part: &Part, words: &[u16]) -> Result<Option<Raw>, DeviceError> {
    let short = || DeviceError::nonsense(format!("{} has {} registers", field.quantity, words.len()));
    let start = usize::from(part.offset);
    let own = words.get(start..start + usize::from(part.kind.registers())).ok_or_else(short)?;
    let bits = (gather(part.kind, part.order, own).ok_or_else(short)? & part.mask) >> part.shift;
    if part.absent.contains(&bits) {
        return Ok(None);
    }
    let exponent = match part.exponent {
        None => 0,
        Some(at) => match at.read(words).ok_or_else(short)? {
            exponent if EXPONENTS.contains(&exponent) => i32::from(exponent),
            _ => return Ok(None),
        },
    };
    let raw = match part.kind {
        Kind::F32 => Raw::Float(f64::from(f32::from_bits(u32::try_from(bits).unwrap_or(f32::NAN.to_bits())))),
        Kind::F64 => Raw::Float(f64::from_bits(bits)),
        Kind::Bcd16 | Kind::Bcd32 | Kind::Bcd48 | Kind::Bcd64 => match digits(bits) {
            Some(n) => Raw::Exact(Ratio::whole(n)),
            None => return unbelievable(field.quantity, "digits that are none"),
        },
        kind => {
            let value = i128::from(bits);
            let negative = kind.is_signed() && value >> (kind.bits() - 1) == 1;
            Raw::Exact(Ratio::whole(if negative { value - (1 << kind.bits()) } else { value }))
        }
    };
    if matches!(raw, Raw::Float(x) if x.is_nan()) {
        return Ok(None);
    }
    let sign = |raw: Raw| if part.subtract { raw.negated() } else { Some(raw) };
    match raw.shifted(exponent).and_then(|raw| raw.scaled(part.factor)).and_then(sign) {
        Some(raw) => Ok(Some(raw)),
        None => unbelievable(field.quantity, "a number beyond all bounds"),
    }
}

/// The number that packed decimal digits say; `None` if one of them is above nine.
fn digits(bits: u64) -> Option<i128> {
    (0..16).rev().try_fold(0_i128, |number, place| {
        let digit = (bits >> (place * 4)) & 0xF;
        (digit <= 9).then(|| number * 10 + i128::from(digit))
    })
}

/// The inverse of [`digits`]; `None` if there are not enough places.
fn packed(number: i128, places: u32) -> Option<u64> {
    let mut rest = u64::try_from(number).ok()?;
    let mut bits = 0;
    for place in 0..places {
        bits |= (rest % 10) << (place * 4);
        rest /= 10;
    }
    (rest == 0).then_some(bits)
}

/// What a device writes into one register: its place counted from the field's first register, the bits that are
/// written, and their values.
pub(crate) type Written = (u16, u16, u16);

/// The registers by which a device with this field would say what `reading` says. Energy is rounded down to what the
/// device counts in; what the reading lacks, or what does not fit, becomes the device's "not available".
pub(crate) fn encode(field: &RegisterField, reading: &Reading) -> Vec<Written> {
    let exponent = exponent(field.quantity);
    let value = own(reading, field.quantity, &field.scaling);
    let shares = value.and_then(|value| shares(&field.kind.parts, value, exponent));
    let mut written = Vec::new();
    for (index, part) in field.kind.parts.iter().enumerate() {
        let share = shares.as_ref().and_then(|shares| shares.get(index).copied());
        // NaN is an all-ones float; integers without a sentinel of their own say what SunSpec says for unsigned ones.
        let absent = part.absent.first().copied().unwrap_or(part.kind.all_ones());
        let bits = (share.unwrap_or(absent) << part.shift) & part.mask;
        let places = part.offset..;
        let masks = scatter(part.kind, part.order, part.mask);
        let words = masks.into_iter().zip(scatter(part.kind, part.order, bits));
        written.extend(places.zip(words).map(|(at, (mask, word))| (at, mask, word)));
        written.extend(part.exponent.map(|place| (place.at, place.mask, place.written(exponent))));
    }
    written
}

/// The power of ten in the scale registers of simulated devices: fields that share such a register must agree on it.
fn exponent(quantity: Quantity) -> i16 {
    match quantity {
        Quantity::Import | Quantity::Export | Quantity::Power => 0,
        Quantity::Voltage => -1,
        Quantity::Current | Quantity::Frequency => -2,
    }
}

/// How a device splits a value over its parts: the coarse ones take what they can hold, the finer ones what is left. Those
/// that count against the others take only what these cannot: of a pair with one number for each direction, one is zero.
fn shares(parts: &[Part], value: Raw, exponent: i16) -> Option<Vec<u64>> {
    let mut places: Vec<usize> = (0..parts.len()).collect();
    places.sort_by_key(|place| parts.get(*place).map(|part| (part.subtract, Reverse(coarseness(part.factor)))));
    let mut shares = vec![0; parts.len()];
    let (mut rest, mut left_over) = (value, true);
    for place in places {
        let (part, share) = (parts.get(place)?, shares.get_mut(place)?);
        if part.subtract && !left_over {
            *share = bits(part, Raw::Exact(Ratio::ZERO))?;
            continue;
        }
        let exponent = if part.exponent.is_some() { i32::from(exponent) } else { 0 };
        let sign = |raw: Raw| if part.subtract { raw.negated() } else { Some(raw) };
        let mine = sign(rest)?.unscaled(part.factor)?.shifted(-exponent)?;
        let taken = if part.kind.is_float() { mine } else { held(part, mine)? };
        *share = bits(part, taken)?;
        left_over = !part.kind.is_float() && taken != mine.counted()?;
        rest = rest.plus(sign(taken.shifted(exponent)?.scaled(part.factor)?)?.negated()?)?;
    }
    (!left_over).then_some(shares)
}

/// As much of a number as the part can count.
fn held(part: &Part, value: Raw) -> Option<Raw> {
    let kind = part.kind;
    let (least, most) = match kind {
        Kind::Bcd16 | Kind::Bcd32 | Kind::Bcd48 | Kind::Bcd64 => (0, 10_i128.pow(kind.bits() / 4) - 1),
        _ if kind.is_signed() => (-(1 << (kind.bits() - 1)), (1 << (kind.bits() - 1)) - 1),
        _ => (0, i128::from(part.mask >> part.shift)),
    };
    match value.counted()? {
        Raw::Exact(ratio) => Some(Raw::Exact(Ratio::whole(ratio.exact()?.clamp(least, most)))),
        Raw::Float(_) => None,
    }
}

fn coarseness(factor: Factor) -> u64 {
    // Units are at most a million and scales are decimal: this keeps their order apart as far as any device needs it.
    u64::from(factor.num) * 1_000_000_000 / u64::from(factor.den.max(1))
}

/// The bit pattern of a number, `None` if the type cannot hold it.
pub(super) fn bits(part: &Part, value: Raw) -> Option<u64> {
    let kind = part.kind;
    let int = || match value.counted() {
        Some(Raw::Exact(ratio)) => ratio.exact(),
        _ => None,
    };
    let room = part.mask >> part.shift;
    #[expect(clippy::cast_possible_truncation, reason = "a device that counts in single floats rounds in this way")]
    match kind {
        Kind::F32 => Some(u64::from((value.float() as f32).to_bits())),
        Kind::F64 => Some(value.float().to_bits()),
        Kind::Bcd16 | Kind::Bcd32 | Kind::Bcd48 | Kind::Bcd64 => packed(int()?, kind.bits() / 4),
        _ if kind.is_signed() => {
            let half = 1_i128 << (kind.bits() - 1);
            let n = int().filter(|n| (-half..half).contains(n))?;
            u64::try_from(n.rem_euclid(half * 2)).ok()
        }
        _ => u64::try_from(int()?).ok().filter(|n| *n <= room),
    }
}

impl Raw {
    /// The whole number that a device counts: of an exact value what is complete, of a float the nearest.
    fn counted(self) -> Option<Self> {
        Some(Self::Exact(Ratio::whole(match self {
            Self::Exact(ratio) => ratio.floor(),
            Self::Float(x) => to_i64(x)?.into(),
        })))
    }
}
