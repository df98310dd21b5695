//! Gateways of one neighbourhood, each with a broker of its own, bridged to that of one of them.

use crate::house::{self, Room, Running, eventually};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// A gateway without meters, with a broker on this port, bridged to another if there is one.
fn gateway(room: &Room, name: &str, broker: u16, hub: Option<u16>, off_peak: &str) -> PathBuf {
    let site =
        house::SOUND.replace("\"lane\"", &format!("\"{name}\"")).replace("\"state\"", &format!("\"state-{name}\""));
    let mut text = site.replace("\"0.18\"", &format!("\"{off_peak}\""));
    text += &format!("\n[broker]\nlisten = \"127.0.0.1:{broker}\"\n");
    if let Some(hub) = hub {
        text += &format!("\n[bridge]\nurl = \"mqtt://127.0.0.1:{hub}\"\npublish = [\"microgrid/+/gateway/+\"]\n");
    }
    room.write(&format!("{name}.toml"), text)
}

fn status(config: &PathBuf, more: &[&str]) -> Command {
    let mut command = house::gateway(["fleet", "status", "--listen", "1s", "-c"]);
    command.arg(config).args(more);
    command
}

#[test]
fn neighbours_are_seen_from_each_gateway_and_who_differs_is_named() {
    let room = Room::new();
    let [hub, lane, mill] = [(); 3].map(|()| house::free_port());
    let hub_config = gateway(&room, "hub", hub, None, "0.18");
    let lane_config = gateway(&room, "lane", lane, Some(hub), "0.18");
    let mill_config = gateway(&room, "mill", mill, Some(hub), "0.19");
    let _running = [&hub_config, &lane_config, &mill_config].map(|config| {
        let running = Running::start("a gateway", house::gateway(["run", "-c"]).arg(config));
        running.listening("mqtt");
        running
    });
    // From the one whose broker it is, and through a bridge from another.
    for from in [&hub_config, &lane_config] {
        let rows = eventually("three gateways are heard", || {
            let told: Value = serde_json::from_str(&house::run(&mut status(from, &["--json"])).out).ok()?;
            let rows = told["gateways"].as_array()?.clone();
            (rows.len() == 3).then_some(rows)
        });
        let shown: Vec<_> = rows.iter().map(|row| (row["state"]["site"].as_str(), row["standing"].as_str())).collect();
        assert_eq!(shown, [("hub", "well"), ("lane", "well"), ("mill", "ailing")].map(|(a, b)| (Some(a), Some(b))));
        assert_eq!(rows[2]["differs"], serde_json::json!(["tariff"]));
        assert_ne!(rows[0]["address"], rows[1]["address"], "each signs with its own key");
        assert_ne!(rows[0]["state"]["config"], rows[1]["state"]["config"]);
    }
    let shown = house::run(&mut status(&lane_config, &[]));
    shown.complains(1, &["1 of them need a look"]);
    assert!(shown.out.contains("mill: its configured tariff is not that of most"), "{}", shown.out);
}

#[test]
fn a_bridge_that_never_came_up_is_told_apart_from_a_neighbourhood_of_nobody() {
    let room = Room::new();
    let hub = house::free_port();
    let config = gateway(&room, "lane", house::free_port(), Some(hub), "0.18");
    let at = format!("127.0.0.1:{hub}");
    house::run(&mut status(&config, &[])).complains(69, &["the broker of [bridge]", &at, "did not answer"]);
    // A broker that is there, and keeps nothing.
    let _hub = ::broker::start(::broker::Settings::new(at.parse().unwrap())).unwrap();
    house::run(&mut status(&config, &[])).complains(1, &["no gateway was heard"]);
}

#[test]
fn a_neighbourhood_of_nobody_is_no_good_news() {
    let room = Room::new();
    let config = gateway(&room, "lane", house::free_port(), None, "0.18");
    house::run(&mut status(&config, &[])).complains(69, &["did not answer"]);
    house::run(&mut status(&room.config(house::SOUND), &[])).complains(78, &["there is no [broker]"]);
    house::run(&mut status(&config, &["--topic", "a/#/b"])).complains(64, &["--topic"]);
}
