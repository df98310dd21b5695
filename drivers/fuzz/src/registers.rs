//! Any registers in any model are right, absent, or an error.

use super::models::modbus;
use arbitrary::Unstructured;
use domain::{Amps, Hertz, Reading, Volts};
use drivers::fuzzing::{read, written};
use drivers::template::{Kind, ModbusMap, Order, Part, Protocol, Quantity, RegisterField};
use drivers::{DeviceError, Library};
use std::sync::LazyLock;

static SHIPPED: LazyLock<Vec<ModbusMap>> = LazyLock::new(|| {
    let library = Library::builtin();
    let maps = library.models().filter_map(|model| match &library.get(model)?.protocol {
        Protocol::Modbus(map) if !map.fields.is_empty() => Some(map.clone()),
        _ => None,
    });
    maps.collect()
});

/// For any model, shipped or made, and any registers: an energy is a register that can be, any other quantity is within
/// the model's limits, nothing else is touched, and only an energy or too few registers are an error. Where the model
/// counts in integers, the value is the one that plain arithmetic on the bits gives. What was read is written back, by
/// a device that counts in the same steps, as registers that read the same but for one such step.
pub fn check(bytes: &[u8]) {
    let mut u = Unstructured::new(bytes);
    let map = match u.int_in_range(0..=99_u8).unwrap_or(0) {
        at @ 0..50 => SHIPPED[usize::from(at) % SHIPPED.len()].clone(),
        _ => match modbus(&mut u) {
            Some((map, _)) => map,
            None => return,
        },
    };
    for field in &map.fields {
        let short = u.ratio(1, 32).unwrap_or(false);
        let count = field.kind.registers() - u16::from(short);
        let words: Vec<u16> = (0..count).map(|_| u.arbitrary().unwrap_or(0)).collect();
        one(field, &words);
    }
}

fn one(field: &RegisterField, words: &[u16]) {
    let energy = matches!(field.quantity, Quantity::Import | Quantity::Export);
    let whole = words.len() == usize::from(field.kind.registers());
    let reading = match read(field, words) {
        Ok(reading) => reading,
        Err(error) => {
            assert!(
                matches!(error, DeviceError::Nonsense { .. }) && (energy || !whole),
                "{error} from {field:?} {words:?}"
            );
            return;
        }
    };
    let scaling = field.scaling;
    let value = value(&reading, field.quantity);
    if let Some(value) = value {
        assert!(scaling.min.is_none_or(|min| value >= min) && scaling.max.is_none_or(|max| value <= max));
        assert!(value.is_finite() && (!energy || (0.0..1_099_511_627_776.0).contains(&value)));
    }
    for other in Quantity::ALL.into_iter().filter(|quantity| *quantity != field.quantity) {
        assert_eq!(self::value(&reading, other), None, "{other} from {field:?}");
    }
    if let (Some(expected), Some(value)) = (expected(field, words), value) {
        let off = (expected - value).abs();
        let rounding = if energy || field.quantity == Quantity::Power { 0.5 } else { 0.0 };
        assert!(off <= rounding + expected.abs() * 1e-15, "{value}, not {expected}: {field:?} {words:?}");
    }
    // Absent values and limits may take away what the step moves onto or over them, and what no device measures is not
    // simulated.
    let limited = scaling.min.is_some() || scaling.max.is_some();
    let absent = field.kind.parts.iter().any(|part| !part.absent.is_empty());
    let most = if energy || field.quantity == Quantity::Power { 1e12 } else { 1e6 };
    if let Some(value) = value.filter(|value| value.abs() < most && !limited && !absent) {
        let again = written(field, &reading);
        // Several numbers with steps of their own do not add up to everything, a power of ten of the device's own may leave
        // no room, and near its end a type may have none for the rounded value: then the device says that it has none.
        let loose = field.kind.parts.len() > 1
            || field.kind.parts.iter().any(|part| part.exponent.is_some() || !is_small(part, words));
        if loose && field.kind.parts.iter().all(|part| plain(part, &again[usize::from(part.offset)..]) == nothing(part))
        {
            return;
        }
        let back = read(field, &again).ok().and_then(|reading| self::value(&reading, field.quantity));
        let back = back.unwrap_or_else(|| panic!("{value} is not read back: {field:?} {words:?} {again:?}"));
        assert!((back - value).abs() <= step(field, value), "{back}, was {value}: {field:?} {words:?} {again:?}");
    }
}

/// Whether a number is in the lower half of what its type holds.
fn is_small(part: &Part, words: &[u16]) -> bool {
    let most = match part.kind {
        Kind::Bcd16 | Kind::Bcd32 | Kind::Bcd48 | Kind::Bcd64 => 10_u128.pow(part.kind.bits() / 4) - 1,
        kind if kind.is_signed() => (1 << (kind.bits() - 1)) - 1,
        _ => u128::from(part.mask >> part.shift),
    };
    plain(part, words).is_some_and(|number| number.unsigned_abs() * 2 <= most)
}

/// All ones, as a number of this type.
fn nothing(part: &Part) -> Option<i128> {
    plain(part, &[u16::MAX; 4])
}

/// The value of a quantity in a reading.
pub fn value(reading: &Reading, quantity: Quantity) -> Option<f64> {
    match quantity {
        Quantity::Import => reading.import.map(|e| e.0 as f64),
        Quantity::Export => reading.export.map(|e| e.0 as f64),
        Quantity::Power => reading.power.map(|p| p.0 as f64),
        Quantity::Voltage => reading.voltage.map(Volts::get),
        Quantity::Current => reading.current.map(Amps::get),
        Quantity::Frequency => reading.frequency.map(Hertz::get),
    }
}

/// The largest difference that counting in the device's steps can make.
fn step(field: &RegisterField, value: f64) -> f64 {
    let ratio = |num: u32, den: u32| f64::from(num) / f64::from(den);
    let factor = ratio(field.scaling.factor.num, field.scaling.factor.den);
    let steps = field.kind.parts.iter().map(|part| {
        let float = if part.kind == Kind::F32 { value.abs() * 1e-6 } else { value.abs() * 1e-14 };
        let counted = if part.kind.is_float() { 0.0 } else { ratio(part.factor.num, part.factor.den) * factor };
        float + counted
    });
    1.0 + steps.sum::<f64>()
}

/// The value by plain arithmetic; nothing for what needs more than this knows of.
fn expected(field: &RegisterField, words: &[u16]) -> Option<f64> {
    let mut sum = 0_i128;
    // A common denominator for all parts: scales and units are decimal, so this one does or it is left.
    const DENOMINATOR: i128 = 1_000_000_000_000;
    for part in &field.kind.parts {
        if part.exponent.is_some() || part.kind.is_float() {
            return None;
        }
        let own = words.get(usize::from(part.offset)..usize::from(part.offset + part.kind.registers()))?;
        let number = plain(part, own)?;
        let (num, den) = (i128::from(part.factor.num), i128::from(part.factor.den));
        if DENOMINATOR % den != 0 {
            return None;
        }
        let share = number.checked_mul(num)?.checked_mul(DENOMINATOR / den)?;
        sum = if part.subtract { sum.checked_sub(share)? } else { sum.checked_add(share)? };
    }
    let factor = field.scaling.factor;
    let turned = if field.scaling.invert { -sum } else { sum };
    let value = turned.checked_mul(i128::from(factor.num))? as f64;
    Some(value / f64::from(factor.den) / DENOMINATOR as f64)
}

/// A number by the letters of its order, the highest byte `a`.
fn plain(part: &Part, words: &[u16]) -> Option<i128> {
    let words = words.get(..usize::from(part.kind.registers()))?;
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    let place = |at: usize| match part.order {
        Order::Abcd => at,
        Order::Cdab => bytes.len() - 2 - (at & !1) + (at & 1),
        Order::Badc => at ^ 1,
        Order::Dcba => bytes.len() - 1 - at,
        Order::Efghabcd => at ^ 4,
        Order::Cdabghef => at ^ 2,
    };
    let all = (0..bytes.len()).fold(0_u64, |number, at| number * 256 + u64::from(bytes[place(at)]));
    let bits = (all & part.mask) >> part.shift;
    match part.kind {
        Kind::Bcd16 | Kind::Bcd32 | Kind::Bcd48 | Kind::Bcd64 => format!("{bits:x}").parse().ok(),
        kind if kind.is_signed() && bits >> (kind.bits() - 1) == 1 => Some(i128::from(bits) - (1 << kind.bits())),
        _ => Some(bits.into()),
    }
}
