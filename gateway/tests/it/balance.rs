//! The feeder against its homes, as a person asks for it.

use crate::house::{self, Room};
use domain::{Reading, Timestamp, WattHours};
use ledger::{Enrolment, Ledger, Write};
use serde_json::Value;
use std::path::PathBuf;

/// 2026-03-02T00:00:00Z
const MIDNIGHT: i64 = 1_772_409_600_000;
pub const QUARTER: i64 = 900_000;
const HOMES: usize = 5;

fn config(room: &Room) -> PathBuf {
    config_with(room, "")
}

/// The street, and what else there is.
pub fn config_with(room: &Room, more: &str) -> PathBuf {
    let mut text = format!(
        "{}\n[[bus]]\nid = \"lan\"\nkind = \"modbus-tcp\"\naddress = \"127.0.0.1:{}\"\n\
         [[meter]]\nid = \"feeder\"\nbus = \"lan\"\nunit = 100\nmodel = \"sim-feeder\"\nperiod = \"15m\"\n",
        house::SOUND,
        house::free_port()
    );
    for i in 0..HOMES {
        text += &format!(
            "[[account]]\nid = \"home-{i}\"\n[[meter]]\nid = \"home-{i}\"\naccount = \"home-{i}\"\nbus = \"lan\"\n\
             unit = {}\nmodel = \"sim-home\"\nperiod = \"15m\"\n",
            i + 1
        );
    }
    room.config(&(text + more))
}

/// What is recorded in so many quarter hours of a street from which `theft` watt-hours are taken in each, and whose
/// second home counts `percent` of what it draws.
fn record(room: &Room, quarters: i64, theft: i64, percent: i64) {
    record_from(room, MIDNIGHT, quarters, theft, percent);
}

/// The same from another time on.
pub fn record_from(room: &Room, start: i64, quarters: i64, theft: i64, percent: i64) {
    std::fs::create_dir_all(room.path("state")).unwrap();
    let ledger = Ledger::open(&room.path("state/ledger.db")).unwrap();
    let names: Vec<String> = (0..HOMES).map(|i| format!("home-{i}")).collect();
    let mut meters: Vec<_> = names.iter().map(|n| (n.parse().unwrap(), Some(n.parse().unwrap()))).collect();
    meters.push(("feeder".parse().unwrap(), None));
    ledger
        .enrol(&Enrolment {
            accounts: names
                .iter()
                .map(|n| ledger::Enrolled { id: n.parse().unwrap(), debt_share: domain::Permille::NONE })
                .collect(),
            meters,
        })
        .unwrap();
    let mut rng = fastrand::Rng::with_seed(7);
    let (mut homes, mut feeder) = ([1000; HOMES], 10_000);
    let mut readings = Vec::new();
    for t in 0..=quarters {
        let at = Timestamp(start + t * QUARTER);
        for (name, import) in names.iter().map(String::as_str).zip(homes).chain([("feeder", feeder)]) {
            let mut r = Reading::empty(name.parse().unwrap(), at);
            (r.import, r.export) = (Some(WattHours(import)), Some(WattHours(0)));
            readings.push(r);
        }
        let mut flows = 0;
        for (i, register) in homes.iter_mut().enumerate() {
            let draws = rng.i64(20..300);
            *register += if i == 1 { draws * percent / 100 } else { draws };
            flows += draws;
        }
        feeder += flows + flows / 50 + theft;
    }
    ledger.commit(Timestamp(0), &[Write::Readings(readings)]).unwrap().remove(0).unwrap();
}

fn balance(room: &Room, more: &[&str]) -> house::Ended {
    let mut command = house::gateway(["balance", "--json", "-c"]);
    house::run(command.arg(config(room)).args(more))
}

fn json(ended: &house::Ended) -> Value {
    serde_json::from_str(&ended.out).unwrap_or_else(|e| panic!("{e}: {} {}", ended.out, ended.err))
}

#[test]
fn an_honest_street_adds_up() {
    let room = Room::new();
    record(&room, 500, 0, 100);
    let answer = json(balance(&room, &[]).well());
    assert_eq!((&answer["verdict"], &answer["intervals"]), (&"judged".into(), &500.into()));
    assert_eq!(answer["found"], serde_json::json!([]));
    let last = &answer["last"];
    let wh = |key: &str| last[key].as_i64().unwrap();
    assert_eq!(wh("feeder"), wh("homes") + wh("losses") + wh("unexplained"));
    let said = house::verb(&["balance"], &config(&room));
    assert!(said.well().out.contains("everything adds up"), "{}", said.out);
}

#[test]
fn theft_and_a_wrong_meter_are_named_with_their_size_and_what_to_do() {
    let room = Room::new();
    // 75 Wh in a quarter of an hour are 300 W.
    record(&room, 500, 75, 33);
    let ended = balance(&room, &[]);
    ended.complains(1, &["2 things do not add up"]);
    let answer = json(&ended);
    let found = |cause: &str| answer["found"].as_array().unwrap().iter().find(|f| f["cause"] == cause).cloned();
    let theft = found("take_off").unwrap_or_else(|| panic!("{answer:#}"));
    assert!((280..=320).contains(&theft["power"]["best"].as_i64().unwrap()), "{theft}");
    let wrong = found("one_third").unwrap_or_else(|| panic!("{answer:#}"));
    assert_eq!(wrong["meter"], "home-1");
    assert!((320..=340).contains(&wrong["counts"]["best"].as_i64().unwrap()), "{wrong}");
    let said = house::verb(&["balance"], &config(&room));
    said.complains(1, &[]);
    for part in ["home-1: the meter counts a third", "look at the direction of each current transformer", "a day"] {
        assert!(said.out.contains(part), "{part:?} is not in {}", said.out);
    }
}

#[test]
fn too_little_is_no_verdict_and_a_wrong_question_has_an_answer() {
    let room = Room::new();
    balance(&room, &[]).complains(69, &["there is no ledger yet"]);
    record(&room, 60, 75, 100);
    let answer = json(balance(&room, &[]).well());
    assert_eq!((&answer["have"], &answer["need"]), (&60.into(), &96.into()));
    balance(&room, &["--from", "2026-03-03"]).complains(64, &["write it as 2026-03-02T00:00:00Z"]);
    balance(&room, &["--from", "2027-03-02T00:00:00Z"]).complains(64, &["is not before"]);
    let none = room.write("none.toml", house::SOUND);
    let mut command = house::gateway(["balance", "-c"]);
    house::run(command.arg(none)).complains(78, &["there is no feeder meter"]);
}
