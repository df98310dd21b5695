//! Prints what a proof of location costs, by number of provers: `cargo run -p contracts --example location`. With
//! `--write` it also writes the vectors of the judge, from Rust.
#![allow(
    missing_docs,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "shares the tests' scenes, and a measurement that cannot go on should stop"
)]

#[path = "../tests/it/machine.rs"]
mod machine;
#[path = "../tests/it/provers.rs"]
mod provers;
#[path = "../tests/it/sightings.rs"]
mod sightings;

use contracts::location;
use provers::{CLAIM, REQUESTER, Ring, Says};

fn main() {
    println!(
        "| provers | applicants | all | for each prover | of that, the verdict |\n| --- | --- | --- | --- | --- |"
    );
    for drawn in [3, 5, 7, 9] {
        let parts = provers::cost(drawn);
        let (all, verdict) = (parts.iter().map(|p| p.1).sum::<u64>(), parts.last().unwrap().1);
        println!("| {drawn} | {} | {all} | {} | {verdict} |", drawn + 2, all / u64::from(drawn));
    }
    println!();
    for (name, gas) in provers::cost(9) {
        println!("| {name} | {gas} |");
    }
    let ring = Ring::new(9, 9);
    let (id, _) = ring.ready();
    let (draw, _) = ring.draw(id);
    let truth = (CLAIM.0 + 45_000, CLAIM.1 + 20_000);
    let liar = 3;
    let (_, gas) = ring.judge(id, &draw, |p| Says::Distance(if p == liar { 3_000 } else { ring.range(p, truth) }));
    println!("\nwith a liar, and a claim that is false: {gas} from the draw on");
    let mut gas: Vec<u64> = sightings::sets()
        .iter()
        .map(|seen| ring.send(REQUESTER, location::judge_call(ring.at, seen)).unwrap().gas)
        .collect();
    gas.sort_unstable();
    println!(
        "of the {} sets of distances in vectors/judge.json, judged alone: {} in the middle, {} at most",
        gas.len(),
        gas[gas.len() / 2],
        gas[gas.len() - 1]
    );
    if std::env::args().any(|a| a == "--write") {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/judge.json");
        std::fs::write(path, sightings::vectors()).unwrap();
    }
}
