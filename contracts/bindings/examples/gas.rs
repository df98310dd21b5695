//! Prints what a settlement costs, without charges and with one for every account: `cargo run -p contracts --example gas`.
#![allow(
    missing_docs,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "shares the tests' street, and a measurement that cannot go on should stop"
)]

#[path = "../tests/it/street.rs"]
mod street;

use contracts::provider::Item;
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
}
