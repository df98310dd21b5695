use super::registers::gather;
use super::*;
use crate::template::{Exponent, Kind, Layout, Order, Part, RegisterField, Table};
use domain::{MeterId, Timestamp};
use proptest::prelude::*;

const ORDERS: [Order; 6] = [Order::Abcd, Order::Cdab, Order::Badc, Order::Dcba, Order::Efghabcd, Order::Cdabghef];

fn kind(index: usize) -> Kind {
    Kind::ALL[index % Kind::ALL.len()].1
}

/// The order of this number, or one of the four that every width has.
fn order(index: usize, kind: Kind) -> Order {
    ORDERS[index % if kind.registers() == 4 { 6 } else { 4 }]
}

fn scaling(num: u32, den: u32) -> Scaling {
    Scaling { factor: Factor { num, den }, invert: false, min: None, max: None, rollover: None }
}

fn part(kind: Kind, order: Order) -> Part {
    let (mask, factor) = (kind.all_ones(), Factor::ONE);
    Part { offset: 0, kind, order, mask, shift: 0, factor, subtract: false, absent: Vec::new(), exponent: None }
}

fn of(quantity: Quantity, parts: Vec<Part>, scaling: Scaling) -> RegisterField {
    RegisterField { quantity, table: Table::Input, address: 0, kind: Layout::new(parts).unwrap(), scaling }
}

fn field(quantity: Quantity, kind: Kind, order: Order, scaling: Scaling) -> RegisterField {
    of(quantity, vec![part(kind, order)], scaling)
}

/// The registers as a device of this model would hold them.
fn written(field: &RegisterField, reading: &Reading) -> Vec<u16> {
    let mut words = vec![0; field.kind.registers().into()];
    for (at, mask, word) in encode(field, reading) {
        let cell = &mut words[usize::from(at)];
        *cell = (*cell & !mask) | (word & mask);
    }
    words
}

fn blank() -> Reading {
    Reading::empty("m".parse::<MeterId>().unwrap(), Timestamp(0))
}

fn read(field: &RegisterField, words: &[u16]) -> Result<Reading, DeviceError> {
    let mut reading = blank();
    if let Some(raw) = decode(field, words)? {
        put(&mut reading, field.quantity, &field.scaling, raw)?;
    }
    Ok(reading)
}

#[test]
fn the_four_byte_orders_are_those_that_vendors_mean() {
    // 1.0 as a single float is 3F80 0000; 0x3F80_1234 makes every byte its own.
    for (order, words) in [
        (Order::Abcd, [0x3F80, 0x1234]),
        (Order::Cdab, [0x1234, 0x3F80]),
        (Order::Badc, [0x803F, 0x3412]),
        (Order::Dcba, [0x3412, 0x803F]),
    ] {
        assert_eq!(gather(Kind::U32, order, &words), Some(0x3F80_1234), "{order:?}");
    }
}

#[test]
fn nan_and_sentinels_are_absent_and_never_zero() {
    let volts = field(Quantity::Voltage, Kind::F32, Order::Abcd, scaling(1, 1));
    assert_eq!(read(&volts, &[0x7FC0, 0]), Ok(blank()));
    let absent = vec![Kind::I32.sunspec_absent().unwrap()];
    let sunspec = of(Quantity::Power, vec![Part { absent, ..part(Kind::I32, Order::Abcd) }], scaling(1, 1));
    assert_eq!(read(&sunspec, &[0x8000, 0]), Ok(blank()));
    assert_eq!(read(&sunspec, &[0xFFFF, 0xFFFF]).unwrap().power, Some(Watts(-1)));
}

#[test]
fn a_register_that_cannot_be_is_nonsense_and_never_clamped() {
    let import = field(Quantity::Import, Kind::I64, Order::Abcd, scaling(1, 1));
    for wh in [-1_i64, (1 << 40), i64::MAX, i64::MIN] {
        let words = scatter(Kind::I64, Order::Abcd, wh.cast_unsigned());
        assert!(matches!(read(&import, &words), Err(DeviceError::Nonsense { .. })), "{wh}");
    }
    for x in [f32::INFINITY, f32::NEG_INFINITY, 1e30, -0.001 * 1000.0] {
        let kwh = field(Quantity::Import, Kind::F32, Order::Abcd, scaling(1000, 1));
        let words = scatter(Kind::F32, Order::Abcd, u64::from(x.to_bits()));
        assert!(matches!(read(&kwh, &words), Err(DeviceError::Nonsense { .. })), "{x}");
    }
}

#[test]
fn a_voltage_out_of_range_is_left_out_and_does_not_hide_the_energy() {
    let limits = Scaling { min: Some(0.0), max: Some(500.0), ..scaling(1, 10) };
    let volts = field(Quantity::Voltage, Kind::U16, Order::Abcd, limits);
    assert_eq!(read(&volts, &[2305]).unwrap().voltage, Volts::finite(230.5));
    assert_eq!(read(&volts, &[5001]).unwrap().voltage, None);
}

#[test]
fn tenths_are_exact_and_not_the_float_next_to_them() {
    let volts = field(Quantity::Voltage, Kind::U16, Order::Abcd, scaling(1, 10));
    for raw in 0..=u16::MAX {
        assert_eq!(read(&volts, &[raw]).unwrap().voltage.unwrap().get(), f64::from(raw) / 10.0);
    }
}

#[test]
fn an_inverted_meter_counts_import_as_positive() {
    let inverted = Scaling { invert: true, ..scaling(1, 1) };
    let power = field(Quantity::Power, Kind::I16, Order::Abcd, inverted);
    let reading = read(&power, &[(-300_i16).cast_unsigned()]).unwrap();
    assert_eq!(reading.power, Some(Watts(300)));
    assert_eq!(written(&power, &reading), [(-300_i16).cast_unsigned()]);
}

#[test]
fn json_that_is_no_number_is_nonsense_and_null_is_absent() {
    let text = serde_json::json!("12");
    assert!(matches!(decode_json(Quantity::Import, Some(&text)), Err(DeviceError::Nonsense { .. })));
    assert_eq!(decode_json(Quantity::Import, Some(&serde_json::Value::Null)), Ok(None));
    assert_eq!(decode_json(Quantity::Import, None), Ok(None));
}

#[test]
fn the_six_orders_of_64_bits_are_those_that_vendors_mean() {
    let words = |bytes: &[u8; 8]| -> Vec<u16> {
        // Byte `a`, the highest, is 1; `h` is 8.
        let byte = |letter: u8| u16::from(letter - b'a' + 1);
        bytes.as_chunks::<2>().0.iter().map(|[high, low]| byte(*high) * 256 + byte(*low)).collect()
    };
    for (name, order) in Order::NAMES.into_iter().filter(|(name, _)| name.len() == 8) {
        let words = words(name.as_bytes().try_into().unwrap());
        assert_eq!(gather(Kind::U64, order, &words), Some(0x0102_0304_0506_0708), "{name}");
    }
    assert_eq!(gather(Kind::U48, Order::Cdab, &[0x0506, 0x0304, 0x0102]), Some(0x0102_0304_0506));
}

#[test]
fn a_scale_register_moves_the_point_and_its_sentinel_takes_the_value_away() {
    let scaled = Part { exponent: Some(Exponent { at: 1, mask: u16::MAX }), ..part(Kind::I16, Order::Abcd) };
    let power = of(Quantity::Power, vec![scaled.clone()], scaling(1, 1));
    let watts = |raw: i16, exponent: i16| {
        read(&power, &[raw.cast_unsigned(), exponent.cast_unsigned()]).unwrap().power.map(|p| p.0)
    };
    assert_eq!((watts(123, 0), watts(123, 2), watts(-1234, -2)), (Some(123), Some(12_300), Some(-12)));
    assert_eq!(
        (watts(1, 10), watts(1, 11), watts(1, -11), watts(1, i16::MIN)),
        (Some(10_000_000_000), None, None, None)
    );
    let import = of(Quantity::Import, vec![scaled], scaling(1, 1));
    // Ten thousand times 10^10 Wh cannot be, and is not cut down to what can.
    assert!(matches!(read(&import, &[10_000, 10]), Err(DeviceError::Nonsense { .. })));
}

/// As Iskra's meters have it.
#[test]
fn a_power_of_ten_may_stand_in_the_byte_that_the_number_leaves() {
    let exponent = Some(Exponent { at: 0, mask: 0xFF00 });
    let watts = of(Quantity::Power, vec![Part { exponent, ..part(Kind::I24, Order::Abcd) }], scaling(1, 1));
    let power = |words: [u16; 2]| read(&watts, &words).unwrap().power.map(|p| p.0);
    assert_eq!(power([0x0000, 1500]), Some(1500));
    assert_eq!(power([0x0200, 15]), Some(1500));
    assert_eq!(power([0xFE01, 0x0000]), Some(655));
    assert_eq!(power([0xFFFF, 0xFFF6]), Some(-1));
    assert_eq!((power([0x0BFF, 0xFFFF]), power([0x80FF, 0xFFFF])), (None, None));
    for sample in [0, 1, -1, 70_000, -8_388_608, 8_388_607] {
        let reading = Reading { power: Some(Watts(sample)), ..blank() };
        assert_eq!(read(&watts, &written(&watts, &reading)), Ok(reading));
    }
}

#[test]
fn parts_are_added_exactly_and_a_part_that_is_absent_takes_the_sum_away() {
    let mega = Part { factor: Factor { num: 1_000_000, den: 1 }, ..part(Kind::U16, Order::Abcd) };
    let kilo = Part { offset: 1, factor: Factor { num: 10, den: 1 }, absent: vec![0xFFFF], ..mega.clone() };
    let import = of(Quantity::Import, vec![mega, kilo], scaling(1, 1));
    assert_eq!(read(&import, &[12, 34_567]).unwrap().import, Some(WattHours(12_345_670)));
    assert_eq!(read(&import, &[12, 0xFFFF]).unwrap().import, None);
    let to = |offset, subtract| Part { offset, subtract, ..part(Kind::U32, Order::Abcd) };
    let power = of(Quantity::Power, vec![to(0, false), to(2, true)], scaling(1, 10));
    assert_eq!(read(&power, &[0, 0, 0, 4_321]).unwrap().power, Some(Watts(-432)));
    let mut reading = blank();
    for watts in [-7, 0, 12] {
        reading.power = Some(Watts(watts));
        assert_eq!(read(&power, &written(&power, &reading)), Ok(reading.clone()));
    }
}

/// What the registers of a quantity of a shipped model say, written as the device would send them.
fn of_model(model: &str, quantity: Quantity, words: &[u16]) -> Reading {
    let template = crate::Library::builtin().get(model).unwrap();
    let crate::template::Protocol::Modbus(map) = &template.protocol else { panic!("no Modbus") };
    read(map.fields.iter().find(|field| field.quantity == quantity).unwrap(), words).unwrap()
}

#[test]
fn the_registers_of_shipped_models_mean_what_their_makers_say() {
    let import = |model, words: &[u16]| of_model(model, Quantity::Import, words).import.map(|e| e.0);
    assert_eq!(import("eastron-sdm630", &[0x449A, 0x5225]), Some(1_234_567));
    assert_eq!(import("carlo-gavazzi-em340", &[0xE240, 0x0001]), Some(12_345_600));
    assert_eq!(import("abb-b23", &[0, 0, 1, 0xE240]), Some(1_234_560));
    assert_eq!(import("abb-b23", &[0xFFFF; 4]), None);
    assert_eq!(import("schneider-iem3000", &[0, 0, 0x004C, 0x4B41]), Some(5_000_001));
    assert_eq!(import("schneider-iem3000", &[0x8000, 0, 0, 0]), None);
    assert_eq!(import("siemens-pac3200", &[0x408F, 0x4000, 0, 0, 0x4000, 0, 0, 0]), Some(1002));
    assert_eq!(import("siemens-pac3200", &[0x408F, 0x4000, 0, 0, 0x7FF8, 0, 0, 0]), None);
    let export = |model, words: &[u16]| of_model(model, Quantity::Export, words).export.map(|e| e.0);
    assert_eq!(export("sungrow-sg", &[0x0002, 0x0001]), Some(65_538_000));
    assert_eq!(export("sunspec-inverter-103", &[0x0001, 0xE240, (-1_i16).cast_unsigned()]), Some(12_346));
    let power = |model, words: &[u16]| of_model(model, Quantity::Power, words).power.map(|p| p.0);
    assert_eq!(power("carlo-gavazzi-em340", &[0xCFCC, 0xFFFF]), Some(-1234));
    assert_eq!(power("sunspec-meter-203", &[(-321_i16).cast_unsigned(), 0, 0, 0, 1]), Some(-3210));
    assert_eq!(power("solaredge-meter", &[(-321_i16).cast_unsigned(), 0, 0, 0, 1]), Some(3210));
    assert_eq!(power("sunspec-meter-203", &[0x8000, 0, 0, 0, 1]), None);
    assert_eq!(power("sunspec-inverter-103", &[5000, 0]), Some(-5000));
    assert_eq!(power("dzg-dvh4013", &[0, 0, 0, 5000]), Some(-500));
    let volts = of_model("chint-dtsu666", Quantity::Voltage, &[0x4510, 0x1000]).voltage;
    assert_eq!(volts, Volts::finite(230.5));
    let amps = of_model("chint-dtsu666", Quantity::Current, &[0x449C, 0x4000]).current;
    assert_eq!(amps, Amps::finite(1.25));
}

#[test]
fn a_simulated_sum_is_split_so_that_every_part_can_hold_its_share() {
    let at = |offset, subtract| Part { offset, subtract, ..part(Kind::I16, Order::Abcd) };
    // Three phases, each of which may be too small for the sum; and two directions of different size.
    let phases = of(Quantity::Power, vec![at(0, false), at(1, false), at(2, false)], scaling(1, 1));
    let wide = Part { kind: Kind::U32, mask: Kind::U32.all_ones(), ..at(1, true) };
    let pair = of(Quantity::Power, vec![at(0, false), wide], scaling(1, 1));
    for watts in [0, 1, -1, 32_767, 32_768, 65_535, 98_301, -98_304] {
        let reading = Reading { power: Some(Watts(watts)), ..blank() };
        assert_eq!(read(&phases, &written(&phases, &reading)), Ok(reading));
    }
    for watts in [32_767, -32_768, -32_769, -4_000_000_000] {
        let reading = Reading { power: Some(Watts(watts)), ..blank() };
        assert_eq!(read(&pair, &written(&pair, &reading)), Ok(reading));
    }
}

#[test]
fn decimal_digits_that_are_none_are_refused() {
    let import = field(Quantity::Import, Kind::Bcd32, Order::Abcd, scaling(1000, 1));
    assert_eq!(read(&import, &[0x0012, 0x3456]).unwrap().import, Some(WattHours(123_456_000)));
    assert!(matches!(read(&import, &[0x0012, 0x345A]), Err(DeviceError::Nonsense { .. })));
    let volts = field(Quantity::Voltage, Kind::Bcd16, Order::Abcd, scaling(1, 10));
    assert_eq!(read(&volts, &[0x2305]).unwrap().voltage, Volts::finite(230.5));
    assert_eq!(read(&volts, &[0xFFFF]), Ok(blank()));
}

#[test]
fn a_number_is_taken_from_its_own_bits_of_a_register() {
    let high = Part { mask: 0xFF00, shift: 8, ..part(Kind::I8, Order::Abcd) };
    let power = of(Quantity::Power, vec![high], scaling(1, 1));
    assert_eq!(read(&power, &[0xFE7F]).unwrap().power, Some(Watts(-2)));
    let low24 = field(Quantity::Power, Kind::I24, Order::Abcd, scaling(1, 1));
    assert_eq!(read(&low24, &[0x12FF, 0xFFFD]).unwrap().power, Some(Watts(-3)));
    let middle = Part { mask: 0x0FF0, shift: 4, ..part(Kind::U16, Order::Abcd) };
    let volts = of(Quantity::Voltage, vec![middle], scaling(1, 1));
    assert_eq!(read(&volts, &[0xFE6F]).unwrap().voltage, Volts::finite(230.0));
}

proptest! {
    #[test]
    fn every_type_and_order_reads_back_the_bits_it_wrote(k in 0..18_usize, o in 0..6_usize, bits in any::<u64>()) {
        let kind = kind(k);
        let order = order(o, kind);
        let bits = bits >> (64 - 16 * u32::from(kind.registers()));
        let words = scatter(kind, order, bits);
        prop_assert_eq!(words.len(), usize::from(kind.registers()));
        prop_assert_eq!(gather(kind, order, &words), Some(bits));
    }

    #[test]
    fn energy_reads_back_exactly_in_every_type_that_can_hold_it(
        k in 0..18_usize, o in 0..6_usize, wh in 0..=WattHours::REGISTER_MAX.0, scale in 0..5_usize, sf in any::<bool>(),
        half in 0..3_usize,
    ) {
        let kind = kind(k);
        let (num, den) = [(1, 1), (1000, 1), (1, 10), (10, 1), (1, 3)][scale];
        let exponent = (sf && !kind.is_float()).then_some(Exponent { at: kind.registers(), mask: [u16::MAX, 0xFF00, 0x00FF][half] });
        let field = of(Quantity::Import, vec![Part { exponent, ..part(kind, order(o, kind)) }], scaling(num, den));
        // What the device can count: whole steps of its unit, as many as its type holds.
        let most: i128 = match kind {
            Kind::F32 | Kind::F64 => 1 << 50,
            Kind::Bcd16 | Kind::Bcd32 | Kind::Bcd48 | Kind::Bcd64 => 10_i128.pow(kind.bits() / 4) - 1,
            _ if kind.is_signed() => (1 << (kind.bits() - 1)) - 1,
            _ => i128::from(kind.all_ones()),
        };
        let most = most * i128::from(num) / i128::from(den);
        let wh = wh % i64::try_from(most + 1).unwrap_or(i64::MAX);
        let wh = match kind {
            // A single float in kWh tells single Wh apart up to here.
            Kind::F32 => wh % (1 << 23),
            Kind::F64 => wh,
            _ => wh - wh % i64::from(num),
        };
        let mut reading = blank();
        reading.import = Some(WattHours(wh));
        prop_assert_eq!(read(&field, &written(&field, &reading)), Ok(reading));
    }

    #[test]
    fn arbitrary_registers_never_panic_and_never_give_a_value_out_of_range(
        k in (0..18_usize, 0..18_usize), o in 0..6_usize, q in 0..6_usize, scale in (1..=u32::MAX, 1..=u32::MAX),
        words in proptest::collection::vec(any::<u16>(), 0..10), exponent in proptest::option::of((0..9_u16, 0..3_usize)),
        min in -1e12..1e12, width in 0.001..1e12, (invert, subtract) in any::<(bool, bool)>(),
    ) {
        let quantity = Quantity::ALL[q];
        let (num, den) = scale;
        let limits = Scaling { factor: Factor { num, den }, invert, min: Some(min), max: Some(min + width), rollover: None };
        let exponent = exponent.map(|(at, half)| Exponent { at, mask: [u16::MAX, 0xFF00, 0x00FF][half] });
        let first = Part { exponent, ..part(kind(k.0), order(o, kind(k.0))) };
        let offset = first.kind.registers();
        let second = Part { offset, subtract, factor: Factor { num: den, den: num }, ..part(kind(k.1), Order::Cdab) };
        let both = of(quantity, vec![first.clone(), second], limits);
        for field in [of(quantity, vec![first], limits), both] {
            let Ok(reading) = read(&field, &words) else { continue };
            for register in [reading.import, reading.export].into_iter().flatten() {
                prop_assert!(register.as_register().is_some());
            }
            let whole = [reading.import.map(|e| e.0), reading.export.map(|e| e.0), reading.power.map(|p| p.0)];
            let floats = [reading.voltage.map(Volts::get), reading.current.map(Amps::get), reading.frequency.map(Hertz::get)];
            for value in whole.into_iter().flatten().map(|n| n as f64).chain(floats.into_iter().flatten()) {
                prop_assert!((min..=min + width).contains(&value), "{value}");
            }
            let _ = encode(&field, &reading);
        }
    }

    #[test]
    fn json_numbers_read_back_exactly(wh in 0..=WattHours::REGISTER_MAX.0, kilo in any::<bool>()) {
        let scaling = scaling(if kilo { 1000 } else { 1 }, 1);
        let mut reading = blank();
        reading.export = Some(WattHours(wh));
        let text = encode_json(&reading, Quantity::Export, &scaling).to_string();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut back = blank();
        put(&mut back, Quantity::Export, &scaling, decode_json(Quantity::Export, Some(&value)).unwrap().unwrap()).unwrap();
        prop_assert_eq!(back, reading);
    }
}
