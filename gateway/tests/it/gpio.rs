//! Lines of a GPIO chip in the whole house: the gateway as it runs, on a chip that says that it is simulated.

use crate::house::{self, Room, Running};
use serde_json::Value;
use std::net::SocketAddr;

const UNAVAILABLE: i32 = 69;

/// A shop with a large load, so that pulses come quickly.
const PINS: &str = r#"
[simulator]
seed = 7
speed = 600

[[bus]]
id = "pins"
kind = "gpio"
chip = "gpiochip0"
simulate = true

[[account]]
id = "shop"

[[meter]]
id = "shop"
account = "shop"
bus = "pins"
line = 17
model = "s0-pulse"
imp_per_kwh = 1000
period = "10s"
simulated_scale = 20000

[[switch]]
id = "contactor"
account = "shop"
bus = "pins"
line = 27
feedback_line = 22
model = "gpio-relay"
on_silence = "hold"
"#;

/// Watt-hours and watts as the page shows them.
fn shown(at: SocketAddr) -> Option<(i64, Option<i64>)> {
    let state = house::state(at);
    let meter = &state["homes"][0]["meters"][0];
    #[allow(clippy::cast_possible_truncation, reason = "far below 2^53")]
    let wh = (meter["import_kwh"].as_f64()? * 1000.0).round() as i64;
    Some((wh, meter["power_w"].as_i64()))
}

#[test]
fn what_pulses_have_shown_is_never_taken_back_by_a_kill_and_adds_up_on_the_bill() {
    let room = Room::new();
    let file = room.config(&format!("{}{PINS}", house::SOUND));
    let mut before = 0;
    for _ in 0..5 {
        let gateway = Running::gateway(&file);
        let at = gateway.listening("http");
        let first = house::eventually("a reading", || shown(at)).0;
        assert!(first >= before, "{first} Wh after {before} were shown");
        before = house::eventually("more pulses, and a power", || {
            shown(at).filter(|(wh, watts)| *wh > first + 50 && watts.is_some()).map(|(wh, _)| wh)
        });
        // Killed, as by a power cut.
        drop(gateway);
    }
    let verified = house::verb(&["journal", "verify"], &file);
    let report: Value = serde_json::from_str(&verified.well().out).unwrap();
    assert_eq!(report["findings"], serde_json::json!([]), "{report}");
    // Who looks afterwards finds at least what was shown.
    let kept = house::run(house::gateway(["probe", "-c"]).arg(&file).arg("shop"));
    let kept: Value = serde_json::from_str(&kept.well().out).unwrap();
    assert!(kept["import"].as_i64().unwrap() >= before, "{kept} after {before} was shown");
}

#[test]
fn lines_that_a_running_gateway_holds_are_left_to_it() {
    let room = Room::new();
    let file = room.config(&format!("{}{PINS}", house::SOUND));
    let check = |parts: &[&str]| {
        let ended = house::verb(&["check", "--devices"], &file);
        for part in parts {
            assert!(ended.well().out.contains(part), "{part:?} is not in\n{}", ended.out);
        }
    };
    let probe = |args: &[&str]| house::run(house::gateway(["probe", "-c"]).arg(&file).args(args));
    check(&["bus pins: open", "\"import\":", "switch contactor: closed"]);
    assert!(!room.path("state/pulses").exists(), "who only looks left a count behind");
    let moved = probe(&["contactor", "--set", "open"]);
    assert!(moved.well().out.contains("contactor is open"), "{}", moved.out);
    probe(&["shop"]).complains(0, &["line 17", "pulses"]);

    let gateway = Running::gateway(&file);
    gateway.line("that it is simulated", |line| line.contains("simulated").then_some(()));
    check(&["bus pins: not asked: the running gateway holds its lines"]);
    for device in ["shop", "contactor"] {
        probe(&[device]).complains(UNAVAILABLE, &["the running gateway holds its line"]);
    }
    assert_eq!(gateway.stop(), 0);
    check(&["bus pins: open", "\"import\":"]);
}
