//! Prints what every call costs, and a household a month: `cargo run -p contracts --example gas`. With `--write` it also
//! writes the snapshot that the tests compare with.
#![allow(
    missing_docs,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "shares the tests' scenes, and a measurement that cannot go on should stop"
)]

#[path = "../tests/it/bench.rs"]
mod bench;
#[path = "../tests/it/costs.rs"]
mod costs;
#[path = "../tests/it/machine.rs"]
mod machine;
#[path = "../tests/it/provers.rs"]
mod provers;
#[path = "../tests/it/street.rs"]
mod street;

use bench::{Bench, digest, rules};
use contracts::key::Signer;
use contracts::witness;
use std::collections::BTreeMap;
use street::open;

/// Gas prices in gwei: a quiet layer 2, a quiet day on the main chain, and the main chain in 2022.
const GWEI: [f64; 4] = [0.01, 0.5, 2.0, 28.0];

fn main() {
    let rows = costs::measure();
    println!("| call | gas | for each |\n| --- | --- | --- |");
    for (name, gas) in &rows {
        let count: u64 = name.split([' ', ',']).find_map(|w| w.parse().ok()).unwrap_or(1);
        println!("| {name} | {gas} | {} |", gas / count);
    }
    let gas: BTreeMap<String, u64> = rows.into_iter().collect();
    if std::env::args().any(|a| a == "--write") {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/gas.json");
        std::fs::write(path, serde_json::to_string_pretty(&gas).unwrap() + "\n").unwrap();
    }
    // A month has 30 days of 96 quarters of an hour.
    let (quarters, days) = (30 * 96, 30);
    let ways = [
        ("a transaction for each reading", quarters * gas["settle 1"]),
        ("100 settle each quarter of an hour", quarters * gas["settle 100"] / 100),
        ("100 settle each hour", quarters / 4 * gas["settle 100"] / 100),
        ("500 settle each day", days * gas["settle 500"] / 500),
        (
            "2,000 record each quarter of an hour, 500 settle each day",
            quarters * gas["record 2000"] / 2_000 + days * gas["settle 500"] / 500,
        ),
    ];
    println!("\nMillionths of the coin for a household and month:\n");
    print!("| | gas |");
    GWEI.iter().for_each(|gwei| print!(" {gwei} gwei |"));
    println!("\n| --- | --- |{}", " --- |".repeat(GWEI.len()));
    for (name, gas) in ways {
        let gas = u32::try_from(gas).unwrap();
        print!("| {name} | {gas} |");
        GWEI.iter().for_each(|gwei| print!(" {:.1} |", f64::from(gas) * gwei / 1e3));
        println!();
    }
    witnesses();
}

/// Sets out of fifteen members; as many sign as are needed, and one member that signed something else is reported.
fn witnesses() {
    println!("\n| set | signatures | open | confirm | report a dissent |");
    println!("| --- | --- | --- | --- | --- |");
    for (size, needed) in [(3, 2), (5, 3), (7, 4), (9, 6), (15, 8)] {
        let dir = tempfile::tempdir().unwrap();
        let chain = open(dir.path());
        let mut table = vec![0; size];
        table[size - 1] = needed;
        let bench = Bench::new(&chain, 15, &rules(&table));
        // The second time is the one that recurs.
        for round in 1..=2_u64 {
            let truth = digest(&round.to_string());
            let opened = bench.send(witness::open(bench.at, truth)).unwrap().gas_used;
            let set = witness::drawn(&chain, bench.at, bench.keys[0].address()).unwrap();
            let last = u8::try_from(size - 1).unwrap();
            let dissent = bench.vote(set[size - 1], digest("another"));
            let receipt = bench.confirm(&set, needed.into(), truth).unwrap();
            let batch = witness::confirmed(&receipt.logs[0]).unwrap();
            let report = witness::report(bench.at, &batch, last, digest("another"), &dissent);
            let reported = bench.send(report).unwrap().gas_used;
            if round == 2 {
                println!("| {size} | {needed} | {opened} | {} | {reported} |", receipt.gas_used);
            }
        }
    }
}
