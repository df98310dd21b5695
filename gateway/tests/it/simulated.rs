//! Simulated devices are there for other people's programs too.

use crate::foreign::{python, python_with, script};
use crate::house::{self, Room, Running};
use serde_json::Value;
use std::process::Command;

/// Serves a bus of each kind, for somebody else to read.
const SERVED: &str = r#"
[simulator]
seed = 7

[[bus]]
id = "lan"
kind = "modbus-tcp"
address = "127.0.0.1:PORT"
simulate = true

[[bus]]
id = "rtu"
kind = "modbus-rtu"
port = "rtu"
baud = 115200
simulate = true

[[account]]
id = "hall"

[[meter]]
id = "hall"
account = "hall"
bus = "lan"
unit = 1
model = "sim-home"
simulated_scale = 50000

[[account]]
id = "barn"

[[meter]]
id = "barn"
account = "barn"
bus = "lan"
unit = 2
model = "eastron-sdm230"

[[account]]
id = "attic"

[[meter]]
id = "attic"
account = "attic"
bus = "rtu"
unit = 3
model = "sim-home"
"#;

#[test]
fn simulated_meters_say_the_same_to_pymodbus_as_to_us() {
    let Some(python) = python() else { return };
    let room = Room::new();
    let port = house::free_port();
    let text = format!("{}{}", house::SOUND, SERVED.replace("PORT", &port.to_string()));
    let serve = room.config(&text);
    // The same devices to a gateway that takes them for real ones; in a state folder of its own.
    let real = text.replace("simulate = true\n", "").replace("\"state\"", "\"state-of-the-reader\"");
    let real = room.write("reader.toml", real.replace("[simulator]\nseed = 7\n", ""));
    let simulator = Running::start("the simulator", house::gateway(["simulate", "-c"]).arg(&serve));
    simulator.line("that it serves", |line| line.contains("Ctrl-C").then_some(()));

    let read = |transport: &str, place: &str, question: &str| -> Vec<u64> {
        let mut command = Command::new(&python);
        let ended = house::run_with_input(command.arg(script("read.py")).args([transport, place]), question);
        ended.well().out.split_whitespace().map(|n| n.parse().unwrap_or_else(|_| panic!("{}", ended.out))).collect()
    };
    let u64_of = |words: &[u64]| i64::try_from(words.iter().fold(0, |high, word| high << 16 | word)).unwrap();
    let f32_kwh_of = |words: &[u64]| {
        let kwh = f32::from_bits(u32::try_from(words[0] << 16 | words[1]).unwrap());
        #[allow(clippy::cast_possible_truncation, reason = "far below 2^53")]
        let wh = (f64::from(kwh) * 1000.0).round() as i64;
        wh
    };
    let serial = room.path("rtu").display().to_string();
    let lan = port.to_string();
    type Decode<'a> = &'a dyn Fn(&[u64]) -> i64;
    let table: [(&str, &str, &str, &str, Decode); 3] = [
        ("hall", "tcp", &lan, "1 0 4\n", &u64_of),
        ("barn", "tcp", &lan, "2 72 2\n", &f32_kwh_of),
        ("attic", "rtu", &serial, "3 0 4\n", &u64_of),
    ];
    for (meter, transport, place, question, decode) in table {
        // The meter counts on meanwhile: what we read lies between, and close to both. Words in another order would not.
        let before = decode(&read(transport, place, question));
        let mut probe = house::gateway(["probe", "-c"]);
        let probed = house::run(probe.arg(&real).arg(meter));
        probed.complains(0, &["→ ", "← ", "import    input 0x"]);
        let probed: Value = serde_json::from_str(&probed.well().out).unwrap();
        let probed = probed["import"].as_i64().unwrap();
        let after = decode(&read(transport, place, question));
        assert!(before <= probed && probed <= after, "{meter}: {before}, we read {probed}, then {after}");
        assert!(before > 1000, "{meter} has no history: {before}");
        assert!(after - before < before / 10, "{meter}: {before}, then {after}: too far apart to tell anything");
    }
    assert_eq!(simulator.stop(), 0);
}

/// One meter of each language, on a port of its own.
const SPEAKING: &str = r#"
[simulator]
seed = 7

[[bus]]
id = "p1"
kind = "telegram"
port = "p1"
simulate = true

[[bus]]
id = "sml"
kind = "telegram"
port = "sml"
simulate = true

[[bus]]
id = "optical"
kind = "telegram"
port = "optical"
simulate = true

[[account]]
id = "hall"

[[meter]]
id = "hall"
account = "hall"
bus = "p1"
model = "dsmr-p1"
period = "1s"

[[account]]
id = "barn"

[[meter]]
id = "barn"
account = "barn"
bus = "sml"
model = "sml-obis"
period = "1s"

[[account]]
id = "attic"

[[meter]]
id = "attic"
account = "attic"
bus = "optical"
model = "iec62056-21"
"#;

#[test]
fn simulated_telegrams_say_the_same_to_other_peoples_readers_as_to_us() {
    let Some(python) = python_with("serial, dsmr_parser, smllib, iec62056_21") else { return };
    let room = Room::new();
    let text = format!("{}{SPEAKING}", house::SOUND);
    let serve = room.config(&text);
    let real = text.replace("simulate = true\n", "").replace("\"state\"", "\"state-of-the-reader\"");
    let real = room.write("reader.toml", real.replace("[simulator]\nseed = 7\n", ""));
    let simulator = Running::start("the simulator", house::gateway(["simulate", "-c"]).arg(&serve));
    simulator.line("that it serves", |line| line.contains("Ctrl-C").then_some(()));

    for (meter, language, port) in [("hall", "p1", "p1"), ("barn", "sml", "sml"), ("attic", "mode-c", "optical")] {
        let read = || -> i64 {
            let mut command = Command::new(&python);
            let ended = house::run(command.arg(script("telegrams.py")).arg(language).arg(room.path(port)));
            ended.well().out.trim().parse().unwrap()
        };
        // The meter counts on meanwhile: what we read lies between, and close to both.
        let before = read();
        let probed = house::run(house::gateway(["probe", "-c"]).arg(&real).arg(meter));
        let probed: Value = serde_json::from_str(&probed.well().out).unwrap();
        let probed = probed["import"].as_i64().unwrap();
        let after = read();
        assert!(before <= probed && probed <= after, "{meter}: {before}, we read {probed}, then {after}");
        assert!(before > 1000, "{meter} has no history: {before}");
        assert!(after - before < before / 10, "{meter}: {before}, then {after}: too far apart to tell anything");
    }
    assert_eq!(simulator.stop(), 0);
}
