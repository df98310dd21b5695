//! Prints what a settlement costs, without charges and with one for every account, and what it costs to let witnesses
//! confirm a batch: `cargo run -p contracts --example gas`.
#![allow(
    missing_docs,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "shares the tests' street, and a measurement that cannot go on should stop"
)]

#[path = "../tests/it/bench.rs"]
mod bench;
#[path = "../tests/it/street.rs"]
mod street;

use bench::{Bench, digest, rules};

use contracts::provider::Item;
use contracts::witness;
use domain::Money;
use street::{Street, charged, item, open};

fn main() {
    println!("| accounts | gas | gas per account | gas with charges | gas per account |");
    println!("| --- | --- | --- | --- | --- |");
    for count in [1, 10, 100, 500] {
        let dir = tempfile::tempdir().unwrap();
        let chain = open(dir.path());
        let street = Street::deploy(&chain, Money(0));
        street.open_accounts(count);
        (1..=count).for_each(|n| drop(street.deposit(n, 1_000_000_000).unwrap()));
        let settle = |round: i64, charge: i64| {
            let wh = |n: u32, step: i64| 100_000 + step * round + i64::from(n * 37 % 500);
            let item = |n| charged(item(n, wh(n, 1_200), wh(n, 2_300), wh(n, 700)), charge * i64::from(n));
            let items: Vec<Item> = (1..=count).map(item).collect();
            street.settle(u64::try_from(round).unwrap(), 1, &items).unwrap().gas_used
        };
        // The second settlement is the one that recurs: all registers are non-zero before and after.
        settle(1, 0);
        let (plain, with) = (settle(2, 0), settle(3, 12_345));
        let each = |gas: u64| gas / u64::from(count);
        println!("| {count} | {plain} | {} | {with} | {} |", each(plain), each(with));
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
            let opened = bench.send(witness::open(bench.at, round, truth)).unwrap().gas_used;
            let set = witness::drawn(&chain, bench.at).unwrap();
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
