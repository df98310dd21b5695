//! Where devices are, from a recording of how loud they were heard: a simulated street's air, in the words of real nodes.

use crate::house::{self, Ended, Room};
use drivers::radio::Line;
use fastrand::Rng;
use serde_json::Value;
use solvers::locate::air::{Air, Place};
use solvers::locate::filter;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;

const BEACON: &str = "iBeacon:426c7565-4368-6172-6d42-6561636f6e73-0-0";
/// Which house is claimed.
const CLAIM: usize = 14;

struct Lane {
    air: Air,
    houses: Vec<Place>,
    rng: Rng,
}

impl Lane {
    fn new(seed: u64) -> Self {
        println!("seed {seed}");
        let (air, houses) = Air::street(30);
        Self { air, houses, rng: Rng::with_seed(seed) }
    }

    /// The nine houses that listen.
    fn anchors(&self) -> Vec<usize> {
        (CLAIM - 5..CLAIM + 5).filter(|i| *i != CLAIM).collect()
    }

    fn samples(&mut self, from: Place, to: Place) -> Vec<f64> {
        self.air.link(0.0, from, to, &mut self.rng).samples(25, &mut self.rng)
    }

    /// Who listens where, and who claims what; with the itinerary beside it.
    fn places(&mut self, room: &Room, known_by: &str) -> std::path::PathBuf {
        let mut walk = String::from("# metres,dBm\n");
        for i in 0..300 {
            let anchor = self.houses[self.rng.usize(..self.houses.len())];
            let metres = 2.0 + 43.0 * f64::from(i) / 300.0;
            let angle = std::f64::consts::TAU * self.rng.f64();
            let at = (anchor.0 + metres * angle.cos(), anchor.1 + metres * angle.sin());
            let heard = self.samples(at, anchor);
            writeln!(walk, "{metres:.3},{:.2}", filter(&heard).unwrap()).unwrap();
        }
        room.write("walk.csv", walk);
        let mut text = String::new();
        for i in self.anchors() {
            let (x, y) = self.houses[i];
            writeln!(text, "[[anchor]]\nnode = \"house-{i}\"\nx = {x:?}\ny = {y:?}").unwrap();
        }
        let (x, y) = self.houses[CLAIM];
        writeln!(text, "[[device]]\nname = \"meter 14\"\nx = {x:?}\ny = {y:?}\n{known_by}\nitinerary = \"walk.csv\"")
            .unwrap();
        room.write("places.toml", text)
    }

    /// What all anchors hear of a sender there, as `mosquitto_sub -v` prints it.
    fn recording(&mut self, at: Place, sender: &str) -> String {
        let mut text = String::new();
        for i in self.anchors() {
            for rssi in self.samples(at, self.houses[i]) {
                writeln!(
                    text,
                    "espresense/devices/{sender}/house-{i} {{\"rssi@1m\":-59,\"rssi\":{rssi:.2},\"int\":99}}"
                )
                .unwrap();
            }
        }
        text
    }
}

fn locate(places: &std::path::Path, more: &[&str], heard: &str) -> Ended {
    let mut command = house::gateway(["locate"]);
    house::run_with_input(command.arg(places).arg("-").args(more), heard)
}

fn device(ended: &Ended) -> Value {
    serde_json::from_str::<Value>(&ended.out).unwrap()["devices"][0].clone()
}

#[test]
fn a_device_at_its_place_is_believed_and_one_down_the_street_is_not() {
    let room = Room::new();
    let mut lane = Lane::new(1);
    let places = lane.places(&room, &format!("sender = \"{BEACON}\""));
    let home = lane.houses[CLAIM];
    let heard = lane.recording(home, BEACON);
    let ended = locate(&places, &["--json"], &heard);
    let found = device(ended.well());
    assert_eq!((&found["verdict"], found["anchors"].as_array().unwrap().len()), (&"here".into(), 9));
    assert!(found["metres_off"].as_f64().unwrap() < 18.0, "{found}");
    assert!(locate(&places, &[], &heard).well().out.starts_with("meter 14: here, at "));
    // It was carried away: nobody believes it, and most of the time it is said where it is.
    let mut found_there = 0;
    for (east, north) in [(-32.0, 11.0), (-40.0, 4.0), (-36.0, 18.0), (32.0, 11.0), (40.0, 30.0), (0.0, 45.0)] {
        let truth = (home.0 + east, home.1 + north);
        let heard = lane.recording(truth, BEACON);
        let ended = locate(&places, &["--json"], &heard);
        let found = device(&ended);
        if found["verdict"] == "unclear" {
            ended.well();
            continue;
        }
        assert_eq!(found["verdict"], "elsewhere");
        ended.complains(1, &["not where it claims"]);
        let at = |axis: &str| found["place"][axis].as_f64().unwrap();
        assert!((at("x") - truth.0).hypot(at("y") - truth.1) < 25.0, "{truth:?} {found}");
        found_there += 1;
    }
    assert!(found_there >= 3, "{found_there} of 6");
}

#[test]
fn what_was_recorded_yesterday_proves_nothing_today() {
    let room = Room::new();
    let mut lane = Lane::new(2);
    let secret = room.write("meter.key", "ab".repeat(32));
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let places = lane.places(&room, "secret = \"meter.key\"");
    let code = |day: u8| {
        let code = contracts::location::beacon(&[0xab; 32], contracts::B256::repeat_byte(day));
        let hex: String = code.iter().map(|b| format!("{b:02x}")).collect();
        format!("iBeacon:{}-{}-{}-{}-{}-0-0", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    };
    let home = lane.houses[CLAIM];
    let (yesterday, today) = (lane.recording(home, &code(1)), lane.recording(home, &code(2)));
    let seed = "02".repeat(32);
    let args = ["--json", "--seed", &seed];
    assert_eq!(device(locate(&places, &args, &today).well())["verdict"], "here");
    let found = device(locate(&places, &args, &yesterday).well());
    assert_eq!((&found["verdict"], &found["anchors"]), (&"unclear".into(), &Value::Array(vec![])));
    assert!(found["why"].as_str().unwrap().contains("0 provers"), "{found}");
    locate(&places, &[], &today).complains(65, &["places.toml:", "device[1].secret needs the seed"]);
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ended = locate(&places, &args, &today);
    assert!(!ended.complains(65, &["chmod 600"]).err.contains("abab"), "the secret is in what it says");
}

#[test]
fn the_lines_of_a_bridge_are_read_too_and_torn_ones_are_counted() {
    let room = Room::new();
    let mut lane = Lane::new(3);
    let places = lane.places(&room, "sender = \"5F3A9C\"");
    let home = lane.houses[CLAIM];
    let mut text = String::from("house-9 H 1 5f3a9c -5000 0000\n");
    for i in lane.anchors() {
        for (number, dbm) in (0..).zip(lane.samples(home, lane.houses[i])) {
            let rssi = domain::Dbm::finite((dbm * 100.0).round() / 100.0).unwrap();
            let line = Line { number, heard: drivers::Heard { sender: "5f3a9c".into(), rssi } };
            writeln!(text, "house-{i} {line}").unwrap();
        }
    }
    let ended = locate(&places, &[], &text);
    assert!(
        ended.well().out.contains("1 of 226 lines could not be read, the first: standard input:1: "),
        "{}",
        ended.out
    );
    assert!(ended.out.starts_with("meter 14: here"), "{}", ended.out);
    locate(&places, &[], "what\nis this\n").complains(65, &["standard input:1: ", "no other line"]);
}

#[test]
fn everything_that_is_wrong_with_the_places_is_said_at_once() {
    let room = Room::new();
    room.write("short.csv", "1,-40\n2,-50\n");
    let places = room.write(
        "places.toml",
        "reach = 0\nrech = 1\n[[anchor]]\nnode = \"a\"\nx = 1\n[[anchor]]\nnode = \"a\"\nx = 1\ny = \"b\"\n\
         [[device]]\nname = \"m\"\nx = 2e6\ny = 0\nitinerary = \"short.csv\"\n",
    );
    let parts = [
        "places.toml:1:9: reach is 0",
        "rech is no key",
        "anchor[1].y is missing",
        "anchor[2].node \"a\" is another",
        "anchor[2].y must be a number",
        "anchor 1 anchors are too few",
        "device[1].x is 2000000",
        "device[1].sender is missing",
        "device[1].itinerary names",
        "2 places are too few",
    ];
    locate(&places, &[], "").complains(65, &parts);
}
