use super::*;
use crate::template::Exponent;
use proptest::prelude::*;

const HEAD: &str = "model = \"x\"\nvendor = \"v\"\nname = \"n\"\nsource = \"s\"\nprotocol = \"modbus\"\n";

fn problems(body: &str) -> Vec<String> {
    let found = template("x.toml", &format!("{HEAD}{body}")).unwrap_err();
    found.iter().map(ToString::to_string).collect()
}

fn field(name: &str, address: u16) -> String {
    format!("[{name}]\ntable = \"input\"\naddress = {address}\ntype = \"u32\"\n")
}

#[test]
fn overlapping_registers_are_refused_and_both_are_named() {
    let found = problems(&(field("import", 4) + &field("power", 5)));
    assert_eq!(found, ["x.toml:10:1: power overlaps with import in the input table"]);
    assert!(template("x", &format!("{HEAD}{}{}", field("import", 4), field("power", 6))).is_ok());
}

#[test]
fn a_switch_register_within_a_number_is_an_overlap_too() {
    let body =
        "[import]\ntable = \"holding\"\naddress = 0\ntype = \"u32\"\n[switch]\ntable = \"holding\"\naddress = 1\n";
    assert!(problems(body)[0].contains("switch overlaps with import"), "{:?}", problems(body));
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_lines() {
    let body = "[import]\ntable = \"coil\"\naddress = 70000\ntype = \"u33\"\nunit = \"W\"\nadress = 3\nscale = -1\n";
    let found = problems(body);
    assert_eq!(found.len(), 6, "{found:#?}");
    for (line, key) in [
        (7, "import.table"),
        (8, "import.address"),
        (9, "import.type"),
        (10, "import.unit"),
        (11, "import.adress"),
        (12, "import.scale"),
    ] {
        assert!(
            found.iter().any(|p| p.starts_with(&format!("x.toml:{line}:")) && p.contains(key)),
            "{line} {key} {found:#?}"
        );
    }
}

#[test]
fn what_is_missing_is_named() {
    let found = template("x.toml", "protocol = \"mqtt\"\n[import]\n").unwrap_err();
    let named: Vec<_> = found.iter().map(|p| p.field.as_str()).collect();
    for key in ["model", "vendor", "name", "source", "topic", "import.pointer"] {
        assert!(named.contains(&key), "{key} is not in {named:?}");
    }
}

#[test]
fn a_text_that_is_no_toml_says_where() {
    let found = template("x.toml", "model = \"x\"\nvendor = = 3\n").unwrap_err();
    assert_eq!((found[0].line, found[0].field.as_str()), (2, ""), "{found:?}");
}

#[test]
fn scale_and_unit_multiply_exactly() {
    let body = field("voltage", 0) + "unit = \"mV\"\nscale = 0.25\n";
    let Protocol::Modbus(map) = template("x", &format!("{HEAD}{body}")).unwrap().protocol else { panic!("no Modbus") };
    assert_eq!(map.fields[0].scaling.factor, Factor { num: 1, den: 4000 });
}

fn map(body: &str) -> crate::template::ModbusMap {
    let Protocol::Modbus(map) = template("x", &format!("{HEAD}{body}")).unwrap().protocol else { panic!("no Modbus") };
    map
}

#[test]
fn a_value_and_its_scale_register_are_read_in_one_request() {
    let scaled = |name: &str, at: u16, sf: u16| format!("{}scale_register = {{ address = {sf} }}\n", field(name, at));
    let map = map(&format!("max_gap = 0\n{}{}", scaled("import", 46, 54), scaled("export", 38, 54)));
    for field in &map.fields {
        assert!(map.requests_without_gaps.iter().any(|r| r.offset_of(field).is_some()), "{field:?}");
    }
    let apart = problems(&format!("max_quantity = 8\n{}", scaled("import", 46, 54)));
    assert!(apart[0].contains("takes 9 registers in one request"), "{apart:?}");
    assert!(problems(&scaled("import", 46, 47))[0].contains("overlaps"));
}

#[test]
fn a_power_of_ten_may_share_a_register_with_its_number_and_with_nobody_else() {
    let scaled = |at: u16, half: &str| {
        format!(
            "[power]\ntable = \"input\"\naddress = 4\ntype = \"i24\"\n\
             scale_register = {{ address = {at}, type = \"i8\"{half} }}\n"
        )
    };
    let field = map(&scaled(4, ", half = \"high\"")).fields.remove(0);
    assert_eq!(field.kind.parts[0].exponent, Some(Exponent { at: 0, mask: 0xFF00 }));
    assert_eq!(field.kind.registers(), 2);
    assert!(problems(&scaled(4, ""))[0].contains("overlaps"));
    let whole = scaled(9, ", half = \"low\"").replace("i8", "i16");
    assert!(problems(&whole)[0].contains("half is for i8 only"), "{:?}", problems(&whole));
}

#[test]
fn sums_have_parts_with_units_of_their_own() {
    let part = |at: u16, more: &str| format!("[[import.sum]]\naddress = {at}\ntype = \"u32\"\n{more}");
    let body = format!("[import]\ntable = \"input\"\n{}{}", part(8, "unit = \"MWh\"\n"), part(4, "subtract = true\n"));
    let map = map(&body);
    let field = &map.fields[0];
    assert_eq!((field.address, field.kind.registers()), (4, 6));
    assert_eq!(field.kind.parts[0].factor, Factor { num: 1_000_000, den: 1 });
    assert!(field.kind.parts[1].subtract);
    let wrong = problems(&format!("[import]\ntable = \"input\"\naddress = 3\n{}", part(8, "unit = \"W\"\n")));
    assert!(
        wrong.iter().any(|p| p.contains("import.address")) && wrong.iter().any(|p| p.contains("import.sum[1].unit"))
    );
}

#[test]
fn halves_of_a_register_are_two_numbers_and_bits_must_fit() {
    let byte = |name: &str, more: &str| format!("[{name}]\ntable = \"input\"\naddress = 7\n{more}\n");
    let (high, low) = (byte("voltage", "type = \"u8\"\nhalf = \"high\""), byte("current", "type = \"u8\""));
    assert_eq!(map(&(high.clone() + &low)).fields.len(), 2);
    assert!(problems(&(low.clone() + &byte("voltage", "type = \"i8\"")))[0].contains("overlaps"));
    let bits = byte("current", "type = \"u16\"\nmask = 0x00FF");
    assert_eq!(map(&(high + &bits)).fields.len(), 2);
    for bad in [
        "type = \"u16\"\nmask = 0x1_0000",
        "type = \"i16\"\nmask = 1",
        "type = \"u16\"\nshift = 1",
        "type = \"u16\"\nmask = 0b101",
        "type = \"u16\"\nmask = 3\nshift = 1",
        "type = \"u16\"\nhalf = \"low\"",
        "type = \"u32\"\norder = \"ghefcdab\"",
        "type = \"u16\"\nabsent = \"none\"",
    ] {
        assert_eq!(problems(&byte("current", bad)).len(), 1, "{bad}");
    }
    let absent = map(&byte("current", "type = \"i16\"\nabsent = \"sunspec\""));
    assert_eq!(absent.fields[0].kind.parts[0].absent, [0x8000]);
}

#[test]
fn set_up_registers_are_bits_and_words_of_every_width() {
    let of = |more: &str| map(&format!("{}[[setup]]\naddress = 9\n{more}", field("import", 4))).setup.remove(0);
    assert_eq!(of("table = \"coil\"\nvalue = true\n").words, [1]);
    let one = of("table = \"holding\"\nvalue = 0xBEEF\n");
    assert_eq!((one.words, one.many), (vec![0xBEEF], false));
    let two = of("table = \"holding\"\ntype = \"i32\"\norder = \"cdab\"\nvalue = -2\n");
    assert_eq!((two.words, two.many), (vec![0xFFFE, 0xFFFF], true));
    assert_eq!(of("table = \"holding\"\ntype = \"f32\"\nvalue = 0.5\n").words, [0x3F00, 0]);
    assert!(of("table = \"holding\"\nfunction = 16\nvalue = 1\n").many);
}

#[test]
fn a_set_up_that_cannot_be_is_refused_with_its_line() {
    let of = |more: &str| problems(&format!("[switch]\ntable = \"coil\"\naddress = 1\nchannels = 2\n{more}"));
    let setup = |more: &str| of(&format!("[[setup]]\ntable = \"holding\"\naddress = 9\n{more}"));
    for (found, wanted) in [
        (setup("value = 65536\n"), "setup[1].value is no value of this type"),
        (setup("value = -1\n"), "setup[1].value is no value of this type"),
        (setup(""), "setup[1].value is missing"),
        (setup("type = \"bcd16\"\nvalue = 1\n"), "setup[1].value is no value of this type"),
        (setup("type = \"u32\"\nfunction = 6\nvalue = 1\n"), "setup[1].function is 6"),
        (setup("function = 5\nvalue = 1\n"), "setup[1].function must be 6 or 16"),
        (
            of("[[setup]]\ntable = \"coil\"\naddress = 2\nvalue = 1\n"),
            "setup writes coil 2 as setup, which is written as switch too",
        ),
        (of("[[setup]]\ntable = \"coil\"\naddress = 5\nvalue = 2\n"), "setup[1].value must be 0 or 1"),
        (
            setup("value = 1\n[[setup]]\ntable = \"holding\"\naddress = 9\nvalue = 2\n"),
            "writes holding 9 as setup, which is written as setup too",
        ),
    ] {
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(wanted), "{wanted} is not in {found:?}");
    }
}

#[test]
fn some_bits_of_a_register_may_say_where_a_contact_is() {
    let of = |more: &str| {
        format!("[switch]\ntable = \"holding\"\naddress = 1\n[switch.readback]\ntable = \"input\"\naddress = 2\n{more}")
    };
    let readback = map(&of("mask = 0x0300\nclosed = 0x0100\n")).switch.unwrap().readback;
    assert_eq!((readback.mask, readback.closed, readback.open), (0x0300, 0x0100, 0));
    assert!(problems(&of("mask = 0x0300\nclosed = 1\n"))[0].contains("mask cuts bits off"));
}

#[test]
fn every_mistake_in_a_limit_is_named() {
    let limit = |more: &str| format!("[limit]\ntable = \"holding\"\naddress = 9\ntype = \"u16\"\n{more}");
    let enable = "[limit.enable]\naddress = 9\n";
    let timer = "[limit.reversion]\naddress = 65535\ntype = \"u32\"\n";
    for (found, wanted) in [
        (limit(""), "limit.unit is missing"),
        (limit("unit = \"A\"\n"), "limit.unit is \"A\", must be one of %, W, kW"),
        (limit("unit = \"W\"\n"), "limit.rated is missing"),
        (limit("unit = \"W\"\nrated = 0\n"), "limit.rated must be a whole number from 1"),
        (limit("unit = \"%\"\nrated = 5000\n"), "limit.rated is no key"),
        (limit("unit = \"%\"\nmask = 3\n"), "limit.type is less than a register"),
        (limit("unit = \"%\"\nrefresh_s = 0\n"), "limit.refresh_s must be"),
        (
            limit(&format!("unit = \"%\"\n{enable}")),
            "limit writes holding 9 as limit.enable, which is written as limit too",
        ),
        (limit(&format!("unit = \"%\"\n{timer}")), "limit.reversion.address is so high"),
        (limit("unit = \"%\"\n[limit.reversion]\naddress = 2\nseconds = 65535\n"), "limit.reversion.seconds must be"),
        (limit("unit = \"%\"\n[limit.enable]\naddress = 2\non = 0\n"), "limit.enable.off is the same value as on"),
        (limit("unit = \"%\"\n[[limit.setup]]\ntable = \"holding\"\naddress = 2\n"), "limit.setup[1].value is missing"),
    ] {
        let found = problems(&found);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(wanted), "{wanted} is not in {found:?}");
    }
}

#[test]
fn where_a_register_rolls_over_is_the_models_to_say_and_only_of_energy() {
    let rolling = |name: &str| field(name, 0) + "rollover = 1000000\n";
    let template = template("x.toml", &format!("{HEAD}{}", rolling("export"))).unwrap();
    let guard = template.guard(domain::Watts(1));
    assert_eq!((guard.import_rollover, guard.export_rollover), (None, Some(domain::WattHours(1_000_000))));
    assert!(problems(&rolling("power"))[0].contains("is for import and export only"));
}

#[test]
fn a_typical_meter_is_read_with_one_request() {
    for model in ["eastron-sdm120", "eastron-sdm230", "eastron-sdm630", "sim-home", "sim-feeder"] {
        let template = crate::Library::builtin().get(model).unwrap();
        let Protocol::Modbus(map) = &template.protocol else { panic!("no Modbus") };
        assert_eq!(map.requests.len(), 1, "{model}: {:?}", map.requests);
        assert!(map.requests[0].quantity <= map.max_quantity);
    }
}

#[test]
fn the_examples_of_the_readme_are_models() {
    let readme = include_str!("../../../README.md");
    let examples: Vec<_> = readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(examples.len(), 4);
    for example in examples {
        let found = template("README.md", example).unwrap();
        assert!(found.is_meter() && found.is_switch() == matches!(found.speaks(), "Modbus" | "MQTT"));
        assert_eq!(found.is_inverter(), found.speaks() == "Modbus");
    }
}

#[test]
fn requests_respect_gap_and_length() {
    let body = |head: &str| format!("{head}{}{}{}", field("import", 0), field("export", 2), field("power", 40));
    let plan = |head: &str| {
        let Protocol::Modbus(map) = template("x", &format!("{HEAD}{}", body(head))).unwrap().protocol else {
            panic!("no Modbus")
        };
        map.requests.iter().map(|r| (r.address, r.quantity)).collect::<Vec<_>>()
    };
    assert_eq!(plan("max_gap = 36\n"), [(0, 42)]);
    assert_eq!(plan("max_gap = 35\n"), [(0, 4), (40, 2)]);
    assert_eq!(plan("max_gap = 40\nmax_quantity = 41\n"), [(0, 4), (40, 2)]);
    assert_eq!(plan("max_quantity = 2\n"), [(0, 2), (2, 2), (40, 2)]);
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        let _ = template("x", &text);
    }

    #[test]
    fn arbitrary_values_in_known_keys_never_panic(
        keys in proptest::collection::vec(("(model|notes|table|address|value|function|rated|seconds|full|refresh_s|on|off|type|order|unit|scale|absent|min|max|rollover|invert|half|mask|shift|scale_register|sum|closed|open|channels|pointer|topic)",
            "(\"(input|holding|coil|u16|f64|kWh|/a|\\{topic\\})\"|-?[0-9]{1,25}|0x[0-9A-F]{1,20}|[0-9]{1,12}\\.[0-9]{1,12}|nan|inf|true|\"sunspec\"|\\{ address = [0-9]{1,5} \\}|\\[\\{ address = [0-9]{1,5}, type = \"f64\" \\}\\]|\\[[0-9]{1,3}\\]|\\{\\})"), 0..9),
        section in "\\[(import|export|voltage|switch|switch\\.readback|switch\\.state|ask)\\]|\\[(limit|limit\\.enable|limit\\.reversion|limit\\.rated)\\]|\\[\\[setup\\]\\]", mqtt in any::<bool>(),
    ) {
        let protocol = if mqtt { "mqtt" } else { "modbus" };
        let mut text = format!("protocol = \"{protocol}\"\n{section}\n");
        let mut seen = std::collections::BTreeSet::new();
        for (key, value) in keys {
            if seen.insert(key.clone()) {
                text += &format!("{key} = {value}\n");
            }
        }
        let _ = template("x", &text);
    }
}
