//! Simulated devices are there for other people's programs too.

use crate::foreign::{python, script};
use crate::house::{self, Room, Running, eventually};
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
        // The meter counts on meanwhile: what we read lies between, and once all three are the same.
        eventually(&format!("{meter} says the same to both"), || {
            let before = decode(&read(transport, place, question));
            let mut probe = house::gateway(["probe", "-c"]);
            let probed = house::run(probe.arg(&real).arg(meter));
            probed.complains(0, &["→ ", "← ", "import    input 0x"]);
            let probed: Value = serde_json::from_str(&probed.well().out).unwrap();
            let probed = probed["import"].as_i64().unwrap();
            let after = decode(&read(transport, place, question));
            assert!(before <= probed && probed <= after, "{meter}: {before}, we read {probed}, then {after}");
            assert!(before > 1000, "{meter} has no history: {before}");
            (before == after).then_some(())
        });
    }
    assert_eq!(simulator.stop(), 0);
}
