//! An installer finds a bus that nobody has described.

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
id = "hall"

[[meter]]
id = "hall"
account = "hall"
bus = "lan"
unit = 2
model = "sim-home"
simulated_scale = 50000

[[account]]
id = "barn"

[[meter]]
id = "barn"
account = "barn"
bus = "lan"
unit = 5
model = "eastron-sdm230"
"#;

#[test]
fn what_a_scan_prints_can_be_pasted_into_the_configuration() {
    let room = Room::new();
    let port = house::free_port();
    let serve = room.config(&format!("{}{}", house::SOUND, SERVED.replace("PORT", &port.to_string())));
    let simulator = Running::start("the simulator", house::gateway(["simulate", "-c"]).arg(&serve));
    simulator.line("that it serves", |line| line.contains("Ctrl-C").then_some(()));

    let place = format!("127.0.0.1:{port}");
    let scanned = house::run(&mut house::gateway(["scan", place.as_str(), "--units", "1-6"]));
    let found = &scanned.well().out;
    assert!(found.contains("2 found"), "{found}");
    assert!(found.contains("unit = 2\nmodel = \"sim-home\""), "{found}");
    assert!(found.contains("unit = 5\n") && found.contains("eastron-sdm230"), "{found}");
    assert_eq!(simulator.stop(), 0);

    let pasted = room.write("pasted.toml", format!("{}{found}", house::SOUND));
    house::verb(&["check"], &pasted).well();
}

#[test]
fn a_scan_of_a_place_where_nobody_is_says_so() {
    let port = house::free_port();
    let place = format!("127.0.0.1:{port}");
    house::run(&mut house::gateway(["scan", place.as_str(), "--units", "1-2"])).complains(69, &[&place]);
    house::run(&mut house::gateway(["scan", "/dev/there-is-no-such-port", "--baud", "9600"]))
        .complains(69, &["/dev/there-is-no-such-port"]);
    house::run(&mut house::gateway(["scan", place.as_str(), "--units", "9-3"])).complains(64, &["9-3"]);
}
