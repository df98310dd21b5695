//! Prints what the chain costs in US dollars, from the gas snapshot: `cargo run -p contracts --example dollars`. The price of
//! an ether is assumed, and can be given: `-- 2500`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a figure that cannot be worked out should stop the program"
)]

use std::collections::BTreeMap;

const SNAPSHOT: &str = include_str!("../../vectors/gas.json");
/// Gas prices in gwei: a rollup's, without what it takes for data beyond gas, and three of the main chain.
const GWEI: [f64; 4] = [0.01, 1.0, 10.0, 50.0];
const ETHER: f64 = 3_000.0;
/// A month has 30 days of 96 quarters of an hour.
const DAYS: f64 = 30.0;
const QUARTERS: f64 = DAYS * 96.0;

fn main() {
    let ether = std::env::args().nth(1).map_or(ETHER, |a| a.parse().unwrap_or_else(|_| panic!("`{a}` is no price")));
    let gas: BTreeMap<String, f64> = serde_json::from_str(SNAPSHOT).unwrap();
    println!("US dollars with an ether at {ether}.\n");
    let each = |name: &str, count: f64| gas[name] / count;
    table(
        "a household and month",
        ether,
        &[
            ("a transaction for each reading", QUARTERS * gas["settle 1"]),
            ("100 settle each quarter of an hour", QUARTERS * each("settle 100", 100.0)),
            ("100 settle each hour", QUARTERS / 4.0 * each("settle 100", 100.0)),
            ("500 settle each day", DAYS * each("settle 500", 500.0)),
            (
                "2,000 record each quarter, 500 settle each day",
                QUARTERS * each("record 2000", 2_000.0) + DAYS * each("settle 500", 500.0),
            ),
            ("its share of a day's ranges, 100 households", DAYS * gas["post ranges 24/3"] / 100.0),
            (
                "its share of a dispatch each hour, 14 buses, 100 households",
                DAYS * 24.0 * gas["reveal case14 ac"] / 100.0,
            ),
        ],
    );
    let calls = [
        ("deposit", "deposit"),
        ("refund", "refund"),
        ("claim", "claim"),
        ("withdraw", "withdraw"),
        ("contest", "contest"),
        ("overturn", "overturn"),
        ("order a disconnection", "order a disconnection"),
        ("attest the open switch", "attest the open switch"),
        ("ranges of a day found, 24 values, 3 ranges", "ranges 24/3"),
        ("and posted", "post ranges 24/3"),
        ("ranges of a day found, 96 values, 3 ranges", "ranges 96/3"),
        ("and posted", "post ranges 96/3"),
        ("agree to a day", "agree to ranges"),
        ("a proof of location by 3 provers, all of it", "prove a place by 3"),
        ("a proof of location by 9 provers, all of it", "prove a place by 9"),
        ("flow of 3 buses, DC, solved by the contract", "solve case3_lmbd dc"),
        ("commit to a flow", "commit to a flow"),
        ("flow of 14 buses, DC, revealed", "reveal case14 dc"),
        ("flow of 14 buses, AC, revealed", "reveal case14 ac"),
        ("flow of 30 buses, AC, revealed", "reveal case30 ac"),
        ("flow of 57 buses, AC, revealed", "reveal case57_ieee ac"),
        ("flow of 118 buses, AC, revealed", "reveal case118 ac"),
    ];
    table("a call", ether, &calls.map(|(say, name)| (say, gas[name])));
}

fn table(of: &str, ether: f64, rows: &[(&str, f64)]) {
    print!("| {of} | gas |");
    GWEI.iter().for_each(|gwei| print!(" {gwei} gwei |"));
    println!("\n| --- | --- |{}", " --- |".repeat(GWEI.len()));
    for (name, gas) in rows {
        print!("| {name} | {gas:.0} |");
        GWEI.iter().for_each(|gwei| print!(" {} |", dollars(gas * gwei * 1e-9 * ether)));
        println!();
    }
    println!();
}

/// Two places, or as many as show two digits.
fn dollars(amount: f64) -> String {
    let places = if amount >= 0.1 {
        2
    } else if amount >= 0.01 {
        3
    } else if amount >= 0.001 {
        4
    } else {
        5
    };
    format!("{amount:.places$}")
}
