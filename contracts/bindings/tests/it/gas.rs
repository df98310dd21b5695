//! What everything costs is what the committed snapshot says, and within what was promised.

use crate::costs::measure;
use std::collections::BTreeMap;

const SNAPSHOT: &str = include_str!("../../../vectors/gas.json");

#[test]
fn every_call_costs_what_the_snapshot_says() {
    let said: BTreeMap<String, u64> = serde_json::from_str(SNAPSHOT).unwrap();
    let found: BTreeMap<String, u64> = measure().into_iter().collect();
    assert_eq!(found, said, "if this is meant: cargo run -p contracts --example gas -- --write");
    let within = |name: &str, count: u64, most: u64| assert!(found[name] <= count * most, "{name}: {}", found[name]);
    within("settle 100", 100, 6_050);
    within("settle 500", 500, 5_750);
    within("record 2000", 2_000, 250);
    within("order a disconnection", 1, 45_000);
    within("attest the open switch", 1, 45_000);
    within("reveal case14 dc", 1, 90_000);
    within("check case14 ac", 1, 120_000);
    within("reveal case118 ac", 1, 750_000);
}
