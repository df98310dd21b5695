//! Lines of a GPIO chip: what arrives, and what is complained about.

use super::*;
use drivers::{Bias, Feedback, GpioSpec, Level, PulseLine, PulsesPerKwh, SwitchLine};

/// A shop on the board's own pins, with every key there is; and a feeder that leaves everything to its model.
const PINS: &str = r#"
[[bus]]
id = "pins"
kind = "gpio"
chip = "/dev/gpiochip4"

[[account]]
id = "shop"

[[meter]]
id = "shop"
bus = "pins"
line = 17
model = "s0-pulse"
imp_per_kwh = 800
debounce = "5ms"
bias = "disabled"
active = 'high'
start_wh = 1234500
account = "shop"

[[meter]]
id = "sub"
bus = "pins"
line = 4
model = "s0-pulse"
imp_per_kwh = 1000

[[switch]]
id = "shop"
account = "shop"
bus = "pins"
line = 27
model = "gpio-relay"
active = 'low'
feedback_line = 22
feedback_active = 'high'
feedback_bias = "as-is"
on_silence = "hold"
"#;

/// How these lines are changed: what, into what, which key is complained about, and a part of the complaint.
const MISTAKES: &[(&str, &str, &str, &str)] = &[
    ("chip = \"/dev/gpiochip4\"\n", "", "bus[6].chip", "is missing"),
    ("\"/dev/gpiochip4\"", "\" \"", "bus[6].chip", "is empty"),
    ("\"/dev/gpiochip4\"", "\"/dev/gpiochip4\"\nbaud = 9600", "bus[6].baud", "no key that is known"),
    ("line = 17\n", "", "meter[5].line", "the GPIO's number"),
    ("line = 17\n", "line = -1\n", "meter[5].line", "from 0 to"),
    ("line = 17\n", "line = 17\nunit = 1\n", "meter[5].unit", "is not used on bus pins"),
    ("line = 17\n", "line = 17\ntopic = \"x\"\n", "meter[5].topic", "has a line"),
    ("line = 4\n", "line = 17\n", "meter[6].line", "meter shop has already"),
    ("line = 4\n", "line = 27\n", "switch[2].line", "meter sub has already"),
    ("line = 22\n", "line = 17\n", "switch[2].feedback_line", "meter shop has already"),
    ("line = 22\n", "line = 27\n", "switch[2].feedback_line", "this device has already"),
    ("imp_per_kwh = 800\n", "", "meter[5].imp_per_kwh", "as printed on the meter"),
    ("imp_per_kwh = 800\n", "imp_per_kwh = 0\n", "meter[5].imp_per_kwh", "from 1 to 1000000"),
    ("imp_per_kwh = 800\n", "imp_per_kwh = 0.8\n", "meter[5].imp_per_kwh", "whole number"),
    ("\"5ms\"", "\"5s\"", "meter[5].debounce", "from 1ms to 1s"),
    ("\"disabled\"", "\"up\"", "meter[5].bias", "pull-up"),
    ("active = 'high'\nstart", "active = 1\nstart", "meter[5].active", "must be a text"),
    ("start_wh = 1234500", "start_wh = -1", "meter[5].start_wh", "from 0 to"),
    (
        "model = \"s0-pulse\"\nimp_per_kwh = 800",
        "model = \"gpio-relay\"\nimp_per_kwh = 800",
        "meter[5].model",
        "measures nothing",
    ),
    ("\"gpio-relay\"", "\"modbus-relay-coil\"", "switch[2].model", "speaks Modbus"),
    ("feedback_line = 22\n", "", "switch[2].feedback_active", "needs feedback_line"),
    (
        "model = \"gpio-relay\"",
        "model = \"gpio-relay\"\nimp_per_kwh = 1",
        "switch[2].imp_per_kwh",
        "no key that is known",
    ),
];

fn street() -> String {
    format!("{FULL}{PINS}")
}

#[test]
fn every_key_of_a_line_arrives_where_it_belongs() {
    let config = sound(&street());
    let BusKind::Gpio(spec) = &config.buses[5].spec.kind else { panic!("{:?}", config.buses[5]) };
    let counts = "/etc/lane/state/pulses".into();
    assert_eq!(*spec, GpioSpec { chip: "/dev/gpiochip4".into(), counts, keep: true, simulated: false });
    let shop = PulseLine {
        line: 17,
        constant: PulsesPerKwh::new(800).unwrap(),
        debounce: Duration::from_millis(5),
        bias: Bias::Disabled,
        active: Level::High,
        start: domain::WattHours(1_234_500),
    };
    assert_eq!(config.meters[4].address, DeviceAddress::Pulses(shop));
    // What is left out is what the model says.
    let sub = PulseLine {
        line: 4,
        constant: PulsesPerKwh::new(1000).unwrap(),
        debounce: Duration::from_millis(10),
        bias: Bias::PullUp,
        active: Level::Low,
        start: domain::WattHours(0),
    };
    assert_eq!(config.meters[5].address, DeviceAddress::Pulses(sub));
    let feedback = Some(Feedback { line: 22, active: Level::High, bias: Bias::AsIs });
    assert_eq!(
        config.switches[1].address,
        DeviceAddress::Output(SwitchLine { line: 27, active: Level::Low, feedback })
    );
}

#[test]
fn a_mistake_on_a_line_is_named_with_its_key() {
    for (old, new, field, part) in MISTAKES {
        let text = street().replacen(old, new, 1);
        assert_ne!(text, street(), "{old:?} is not there");
        let Err(Problems(found)) = parse(&text) else { panic!("{new:?} was taken") };
        let matching = found.iter().find(|p| p.field == *field);
        let Some(problem) = matching else { panic!("{new:?}: nothing about {field}:\n{found:#?}") };
        assert!(problem.what.contains(part), "{new:?}: {problem}");
    }
}

#[test]
fn a_chip_has_one_owner_and_a_verb_that_looks_leaves_no_count_behind() {
    let twice = street().replace(
        "id = \"elsewhere\"\nkind = \"mqtt\"\nbroker = \"broker.lan:1883\"",
        "id = \"elsewhere\"\nkind = \"gpio\"\nchip = \"/dev/gpiochip4\"",
    );
    let Err(Problems(found)) = parse(&twice) else { panic!("taken") };
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].what.contains("so does bus elsewhere"), "{found:#?}");
    let config = sound(&street()).beside_the_service();
    let BusKind::Gpio(spec) = &config.buses[5].spec.kind else { panic!("{:?}", config.buses[5]) };
    assert!(!spec.keep && config.buses[5].is_held() && !config.buses[0].is_held());
}
