//! A street whose feeder takes back next to nothing: inverters on a real bus are limited, one of them does not care, and
//! bill and receipt say what that cost.

use crate::alarms::heard;
use crate::house::{self, Room, Running};
use serde_json::Value;

const NETWORK: &str = r#"
name = "street"
[source]
bus = "station"
price = 0.18
[[cable]]
name = "NAYY 150"
r_ohm_per_km = 0.206
x_ohm_per_km = 0.080
amps = 270
[[line]]
from = "station"
to = "corner"
cable = "NAYY 150"
metres = 120
"#;

/// At noon, sixty times faster than life: a quarter of an hour is one of ours of a minute.
const STREET: &str = r#"
[dispatch]
network = "street.toml"
export_limit = 1000

[enforce]
lease = "1h"
stale_after = "30m"

[simulator]
seed = 7
speed = 60
anchor_ms = 1772452800000

[[bus]]
id = "lan"
kind = "modbus-tcp"
address = "127.0.0.1:PORT"
simulate = true
"#;

fn home(n: u8, deaf: bool) -> String {
    format!(
        r#"
[[account]]
id = "home-{n}"
[[meter]]
id = "home-{n}"
account = "home-{n}"
bus = "lan"
unit = {n}
model = "sim-home"
period = "20s"
simulated_pv = 6000
node = "corner"
[[inverter]]
id = "roof-{n}"
bus = "lan"
unit = {}
model = "sunspec"
meter = "home-{n}"
rated_power = 6000
simulated_ignores_limit = {deaf}
"#,
        10 + n
    )
}

fn written(room: &Room, homes: &str) -> std::path::PathBuf {
    room.write("street.toml", NETWORK);
    let port = house::free_port().to_string();
    room.config(&format!("{}{}{homes}", house::SOUND, STREET.replace("PORT", &port)))
}

#[test]
fn inverters_on_a_bus_are_limited_and_the_one_that_ignores_it_is_not_paid() {
    let room = Room::new();
    let broker = format!("127.0.0.1:{}", house::free_port());
    let homes = format!("{}{}\n[broker]\nlisten = \"{broker}\"\n", home(1, false), home(2, true));
    let file = written(&room, &homes);
    house::verb(&["check"], &file).well();
    let gateway = Running::gateway(&file);
    let at = gateway.listening("http");
    let roof = |state: &Value, n: usize| state["feeder"]["inverters"][n].clone();
    let limited = house::eventually("both confirm a limit", || {
        let state = house::state(at);
        (0..2).all(|n| roof(&state, n)["limit"].is_string()).then_some(state)
    });
    assert_eq!(limited["feeder"]["basis"], "optimal", "{}", limited["feeder"]);
    assert!(limited["feeder"]["buses"][1]["volts_pu"].as_f64().unwrap() > 1.0, "{}", limited["feeder"]);
    house::eventually("the page says who ignores it", || {
        let state = house::state(at);
        let (tame, deaf) = (roof(&state, 0), roof(&state, 1));
        let within = tame["made_w"].as_i64()? <= tame["most_w"].as_i64()? + 10;
        (within && tame["ignores"] == false && deaf["ignores"] == true).then_some(())
    });
    // Home Assistant learns of both, and who follows.
    let device = heard(&broker, "homeassistant/device/microgrid_lane_inverter_roof-2/config", |_| true);
    let limit = &device["components"]["limit_percent"];
    let topic = "microgrid/lane/inverter/roof-2/state";
    assert_eq!((&limit["state_topic"], &limit["unit_of_measurement"]), (&topic.into(), &"%".into()), "{device}");
    let said = heard(&broker, topic, |p| p["ignores"] == true);
    assert!(
        said["limit_percent"].as_f64().unwrap() < 100.0 && said["made_w"].as_i64() > said["most_w"].as_i64(),
        "{said}"
    );
    heard(&broker, "microgrid/lane/inverter/roof-1/state", |p| p["ignores"] == false && p["made_w"].is_number());
    let bill = |n: u8| house::get(at, &format!("/api/v1/accounts/home-{n}/intervals")).json();
    let held = |n: u8| bill(n).as_array().unwrap().iter().filter(|l| l["kind"] == "withheld").count();
    house::eventually("pay is withheld", || (held(2) > 0).then_some(()));
    assert_eq!(held(1), 0, "who does as told is paid");
    let told = house::state(at)["events"].to_string();
    assert!(told.contains("home-2 fed in") && told.contains("are not paid"), "{told}");
    assert_eq!(gateway.stop(), 0);
    house::verb(&["journal", "verify"], &file).well();
    let receipt = house::verb(&["receipt", "home-2", "--html"], &file);
    assert!(receipt.well().out.contains("fed in beyond the dispatch, not paid"), "{}", receipt.out);
}

#[test]
fn plans_are_judged_on_the_chain_and_the_page_says_how_good_they_are() {
    let room = Room::new();
    let homes = format!("{}{}", home(1, false), home(2, false));
    let file = written(&room, &homes);
    let made = house::verb(&["chain", "deploy-dispatch"], &file);
    let address = made.well().out.trim().to_owned();
    assert!(address.starts_with("0x") && address.len() == 42, "{address}");
    let text = std::fs::read_to_string(&file).unwrap();
    let keys = format!("chain_id = 31337\ndispatch = \"{address}\"\ndispatch_stake_gwei = 5000");
    // Long enough for two transactions on a busy machine: five seconds of ours.
    let text = text.replace("chain_id = 31337", &keys).replace("[dispatch]", "[dispatch]\nlead = \"5m\"");
    let gateway = Running::gateway(&room.config(&text));
    let at = gateway.listening("http");
    let won = house::eventually("a plan is judged, and its stake is back", || {
        let feeder = house::state(at)["feeder"].clone();
        let rounds = feeder["rounds"].as_array()?.clone();
        rounds.into_iter().find(|r| r["step"] == "won" && r["stake_back"] == true).map(|round| (feeder, round))
    });
    let (feeder, round) = won;
    assert_eq!(feeder["judge"].as_str().unwrap().to_lowercase(), address.to_lowercase());
    assert!(round["number"].as_u64().unwrap() > 0 && round["others"] == 0 && round["cost"].is_string(), "{round}");
    assert_eq!(feeder["unproved"], Value::Null, "{feeder}");
    let told = house::state(at)["events"].to_string();
    assert!(told.contains("is won by our plan"), "{told}");
    assert_eq!(gateway.stop(), 0);
    // Without plans there is nothing to judge.
    let bare = house::SOUND.replace("chain_id = 31337", &keys);
    house::verb(&["check"], &room.config(&bare)).complains(78, &["chain.dispatch judges the plans of [dispatch]"]);
    let wrong = bare.replace(&address, "0x12").replace("= 5000", "= 0");
    house::verb(&["check"], &room.config(&wrong)).complains(78, &["chain.dispatch", "chain.dispatch_stake_gwei"]);
    // A node's blocks are not as quick as ours.
    let far = text
        .replace("kind = \"embedded\"", "kind = \"rpc\"\nurl = \"http://127.0.0.1:1\"")
        .replace("\"5m\"", "\"167s\"");
    let too_short = ["chain.dispatch needs two transactions", "lead must be at least 168s", "confirmations fewer"];
    house::verb(&["check"], &room.config(&far)).complains(78, &too_short);
}

#[test]
fn every_mistake_about_the_dispatch_is_named_at_once() {
    let room = Room::new();
    let homes = format!("{}{}", home(1, false), home(2, false))
        .replace("meter = \"home-2\"", "meter = \"home-1\"")
        .replacen("node = \"corner\"", "node = \"corer\"", 1)
        .replacen("id = \"roof-1\"", "id = \"home-2\"", 1)
        .replace("rated_power = 6000\nsimulated_ignores_limit = false\n", "");
    let file = written(&room, &homes);
    house::verb(&["check"], &file).complains(
        78,
        &[
            "meter[1].node is \"corer\", which is no bus of the [dispatch] network; did you mean \"corner\"?",
            "inverter[1].id is home-2, and so is a meter",
            "inverter[1].rated_power is missing",
        ],
    );
    room.write("street.toml", NETWORK.replace("metres = 120", "meters = 120"));
    house::verb(&["check"], &file).complains(78, &["dispatch.network holds a mistake", "metres is missing"]);
}
