//! The rules of the house that a machine can hold: who may lean on whom, and where each third-party crate lives.

use crate::house;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// The storeys, from the ground up.
const STOREYS: &[&[&str]] =
    &[&["domain"], &["ledger", "drivers", "broker", "contracts", "solvers"], &["actors"], &["gateway"]];

/// Third-party crates and the crates of ours that may use them.
const HOMES: &[(&str, &[&str])] = &[
    ("actix", &["actors", "gateway"]),
    ("actix-web", &["gateway"]),
    ("aes", &["contracts"]),
    ("argon2", &["gateway"]),
    ("clarabel", &["solvers"]),
    ("ctr", &["contracts"]),
    ("gpiocdev", &["drivers"]),
    ("gpiocdev-uapi", &["drivers"]),
    ("crc32fast", &["broker"]),
    ("k256", &["contracts"]),
    ("libm", &["solvers"]),
    ("nalgebra", &["solvers"]),
    ("osqp", &["solvers"]),
    ("postcard", &["broker"]),
    ("rcgen", &["gateway"]),
    ("revm", &["contracts"]),
    ("rlp", &["contracts"]),
    ("rmqtt-codec", &["broker"]),
    ("rumqttc", &["drivers"]),
    ("rusqlite", &["ledger"]),
    ("rustls", &["contracts", "gateway"]),
    ("scrypt", &["contracts"]),
    ("serial2", &["drivers"]),
    ("sha2", &["gateway"]),
    ("siphasher", &["domain"]),
    ("tokio-modbus", &["drivers"]),
    ("tokio-rustls", &["broker", "drivers"]),
    ("tokio-serial", &["drivers"]),
    ("tungstenite", &["contracts"]),
    ("tokio-util", &["broker"]),
    ("ureq", &["contracts", "drivers"]),
];

/// Crates that the rules of billing must never need.
const NOT_IN_DOMAIN: &[&str] = &["tokio", "actix", "actix-web", "actix-rt", "futures-util", "rusqlite", "async-trait"];

/// By crate of ours: what it uses in earnest, that is, not for its tests.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["metadata", "--format-version", "1", "--no-deps", "--offline"]).current_dir(house::workspace());
    let ended = house::run(&mut cargo);
    ended.well();
    let metadata: Value = serde_json::from_str(&ended.out).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let used = package["dependencies"].as_array().unwrap().iter().filter(|d| d["kind"] != "dev");
            (text(&package["name"]), used.map(|d| text(&d["name"])).collect())
        })
        .collect()
}

fn storey(name: &str) -> Option<usize> {
    STOREYS.iter().position(|storey| storey.contains(&name))
}

#[test]
fn arrows_point_down_and_never_sideways() {
    let dependencies = dependencies();
    assert_eq!(
        dependencies["solvers"].iter().filter(|d| dependencies.contains_key(*d)).collect::<Vec<_>>(),
        ["domain"]
    );
    for storey in [0, 2, 3] {
        assert!(dependencies.contains_key(STOREYS[storey][0]), "{} is gone", STOREYS[storey][0]);
    }
    for (name, used) in &dependencies {
        let from = storey(name).unwrap_or_else(|| panic!("{name} has no storey: give it one"));
        for other in used.iter().filter(|d| dependencies.contains_key(*d)) {
            let to = storey(other).unwrap_or_else(|| panic!("{other} has no storey: give it one"));
            assert!(to < from, "{name} uses {other}, which is not below it");
        }
    }
}

#[test]
fn every_foreign_crate_has_its_home() {
    let dependencies = dependencies();
    for (foreign, homes) in HOMES {
        let users: Vec<&str> =
            dependencies.iter().filter(|(_, used)| used.contains(*foreign)).map(|(name, _)| name.as_str()).collect();
        assert_eq!(users, *homes, "users of {foreign}");
    }
}

#[test]
fn the_rules_of_billing_know_no_runtime() {
    let dependencies = dependencies();
    for banned in NOT_IN_DOMAIN {
        assert!(!dependencies["domain"].contains(*banned), "domain uses {banned}");
    }
}
