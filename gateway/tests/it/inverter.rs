//! An installer limits an inverter from the command line, and sees what it says.

use crate::house::{self, Room, Running};

const SERVED: &str = r#"
[simulator]
seed = 7

[[bus]]
id = "lan"
kind = "modbus-tcp"
address = "127.0.0.1:PORT"
simulate = true

[[account]]
id = "roof"

[[meter]]
id = "roof"
account = "roof"
bus = "lan"
unit = 2
model = "sunspec"

[[account]]
id = "hall"

[[meter]]
id = "hall"
account = "hall"
bus = "lan"
unit = 3
model = "sim-home"
"#;

#[test]
fn an_inverter_is_scanned_limited_held_and_let_go_from_the_command_line() {
    let room = Room::new();
    let port = house::free_port();
    let text = format!("{}{}", house::SOUND, SERVED.replace("PORT", &port.to_string()));
    let serve = room.config(&text);
    let real = text.replace("simulate = true\n", "").replace("\"state\"", "\"state-of-the-reader\"");
    let real = room.write("reader.toml", real.replace("[simulator]\nseed = 7\n", ""));
    let simulator = Running::start("the simulator", house::gateway(["simulate", "-c"]).arg(&serve));
    simulator.line("that it serves", |line| line.contains("Ctrl-C").then_some(()));

    let place = format!("127.0.0.1:{port}");
    let scanned = house::run(&mut house::gateway(["scan", place.as_str(), "--units", "1-3"]));
    let found = &scanned.well().out;
    let named = "# unit 2 is simulated SunSpec device, version ";
    assert!(found.contains(named) && found.contains("SunSpec models 1, 701, 704 from 40000\n[[meter]]"), "{found}");
    assert!(found.contains("unit = 2\nmodel = \"sunspec\""), "{found}");
    house::verb(&["check"], &room.write("pasted.toml", format!("{}{found}", house::SOUND))).well();

    let probe = |more: &[&str]| house::verb(&[&["probe", "roof"], more].concat(), &real);
    let plain = probe(&[]);
    assert!(plain.well().out.contains("roof is simulated SunSpec device"), "{}", plain.out);
    assert!(plain.out.contains("roof is not limited\n") && plain.out.contains("\"import\":"), "{}", plain.out);
    let limited = probe(&["--limit", "60.5%"]);
    let said = "roof is limited to 60.5 %, and lets go 60 s after the last order\n";
    assert!(limited.well().out.contains(said), "{}", limited.out);
    assert!(probe(&[]).well().out.contains(said), "it is the device that says so, not our order");
    assert!(probe(&["--limit", "off"]).well().out.contains("roof is not limited\n"));
    let held = probe(&["--limit", "30%", "--hold", "500ms"]);
    let (first, last) = held.well().out.split_once("limited to 30.0 %").unwrap_or_else(|| panic!("{}", held.out));
    assert!(!first.contains("not limited") && last.contains("roof is not limited\n"), "{}", held.out);

    house::verb(&["probe", "hall", "--limit", "60%"], &real).complains(64, &["hall is no inverter"]);
    probe(&["--limit", "101%"]).complains(64, &["\"101%\" is no share"]);
    probe(&["--hold", "1s"]).complains(64, &["--limit"]);
    assert_eq!(simulator.stop(), 0);
}
