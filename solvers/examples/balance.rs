//! What the balance finds, how soon, and what it costs: the figures in `solvers/README.md`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "an example with numbers of its own"
)]

#[path = "../tests/it/street.rs"]
mod street;

use domain::feeder::Cause;
use solvers::balance::{Verdict, balance};
use std::time::Instant;
use street::{DAY, Filling, Street, meter, settings};

fn main() {
    let seeds: u64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(40);
    honest(seeds);
    println!("\nfound, in a window of 14 days of which all are wrong, {seeds} streets of 12 homes:");
    for (name, theft, share, wanted, who) in [
        ("take-off 25 W", 25.0, 1.0, Cause::TakeOff, None),
        ("take-off 50 W", 50.0, 1.0, Cause::TakeOff, None),
        ("take-off 100 W", 100.0, 1.0, Cause::TakeOff, None),
        ("take-off 300 W", 300.0, 1.0, Cause::TakeOff, None),
        ("drift -3 %", 0.0, 0.97, Cause::Scale, Some(3)),
        ("drift -5 %", 0.0, 0.95, Cause::Scale, Some(3)),
        ("drift +10 %", 0.0, 1.10, Cause::Scale, Some(3)),
        ("one phase missing", 0.0, 2.0 / 3.0, Cause::OnePhaseMissing, Some(3)),
        ("one CT reversed", 0.0, 1.0 / 3.0, Cause::OneThird, Some(3)),
        ("reversed", 0.0, -1.0, Cause::Reversed, Some(3)),
    ] {
        steady(seeds, name, theft, share, wanted, who);
    }
    println!(
        "\nintervals until it is seen, beginning after ten honest days of 12 homes: median, 90 %, never in 3 days"
    );
    for watts in [100.0, 200.0, 500.0, 1000.0, 2000.0] {
        soon(seeds, watts);
    }
    println!("\nthe same for a current transformer that is reversed after ten honest days, by its name and size:");
    reversed(seeds);
    cost();
}

fn found(window: &solvers::balance::Window) -> Vec<domain::feeder::Irregularity> {
    match balance(window, &settings()) {
        Verdict::Judged(judged) => judged.found,
        Verdict::NotEnough { .. } => panic!("not enough"),
    }
}

fn honest(seeds: u64) {
    for homes in [1, 4, 12, 40] {
        let (mut wrong, mut names) = (0, std::collections::BTreeMap::new());
        for seed in 0..seeds * 4 {
            let found = found(&Street::honest(seed, homes).window(14 * DAY, 14));
            wrong += usize::from(!found.is_empty());
            for f in found {
                *names.entry(format!("{:?}", f.cause)).or_insert(0) += 1;
            }
        }
        println!("honest, {homes} homes: {wrong} of {} windows of 14 days with a finding {names:?}", seeds * 4);
    }
}

fn steady(seeds: u64, name: &str, theft: f64, share: f64, wanted: Cause, who: Option<usize>) {
    let (mut hits, mut others, mut inside, mut sizes) = (0, 0, 0, Vec::new());
    for seed in 0..seeds {
        let counts = |_: usize| share;
        let fault = who.map(|i| (i, &counts as &dyn Fn(usize) -> f64));
        let street = Street { theft: &|_| theft, fault, ..Street::honest(seed, 12) };
        let found = found(&street.window(14 * DAY, 14));
        let mine = |f: &&domain::feeder::Irregularity| f.cause == wanted && f.meter == who.map(meter);
        if let Some(f) = found.iter().find(mine) {
            hits += 1;
            let (low, best, high, truth) = match f.counts {
                Some(c) => (c.low.0 as i64, c.best.0 as i64, c.high.0 as i64, share * 1000.0),
                None => (f.power.low.0, f.power.best.0, f.power.high.0, theft),
            };
            inside += usize::from((low as f64..=high as f64).contains(&truth));
            sizes.push(best);
        }
        others += found.iter().filter(|f| !mine(f)).count();
    }
    sizes.sort_unstable();
    println!(
        "  {name:18} {hits:3} of {seeds}, size {:?}..{:?}, truth inside 95 % in {inside}, other findings {others}",
        sizes.first(),
        sizes.last()
    );
}

fn soon(seeds: u64, watts: f64) {
    let begins = 10 * DAY + 50;
    let mut waits = Vec::new();
    for seed in 0..seeds {
        let street = Street { theft: &|t| if t >= begins { watts } else { 0.0 }, ..Street::honest(seed, 12) };
        let mut filling = Filling::new(12, 14);
        let mut wait = usize::MAX;
        for (t, row) in street.energies(begins + 3 * DAY).iter().enumerate() {
            filling.add(row);
            if t >= begins
                && found(&filling.window).iter().any(|f| matches!(f.cause, Cause::TakeOff | Cause::TakeOffAtTimes))
            {
                wait = t + 1 - begins;
                break;
            }
        }
        waits.push(wait);
    }
    waits.sort_unstable();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
    println!("  {watts:5} W: {}, {}, never {}", at(0.5), at(0.9), waits.iter().filter(|w| **w == usize::MAX).count());
}

fn reversed(seeds: u64) {
    let begins = 10 * DAY + 50;
    let mut waits = Vec::new();
    for seed in 0..seeds {
        let counts = |t: usize| if t >= begins { 1.0 / 3.0 } else { 1.0 };
        let street = Street { fault: Some((3, &counts)), ..Street::honest(seed, 12) };
        let mut filling = Filling::new(12, 14);
        let mut wait = usize::MAX;
        for (t, row) in street.energies(begins + 3 * DAY).iter().enumerate() {
            filling.add(row);
            let named = |f: &domain::feeder::Irregularity| f.cause == Cause::OneThird && f.meter == Some(meter(3));
            if t >= begins && t % 4 == 0 && found(&filling.window).iter().any(named) {
                wait = t + 1 - begins;
                break;
            }
        }
        waits.push(wait);
    }
    waits.sort_unstable();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
    println!("  {}, {}, never {}", at(0.5), at(0.9), waits.iter().filter(|w| **w == usize::MAX).count());
}

fn cost() {
    println!();
    for (homes, days) in [(12, 14), (50, 14), (250, 30)] {
        let window = Street::honest(1, homes).window(days * DAY, days);
        let began = Instant::now();
        let verdict = balance(&window, &settings());
        let took = began.elapsed();
        let found = if let Verdict::Judged(j) = verdict { j.found.len() } else { usize::MAX };
        println!("{homes} homes, {days} days: {took:?}, {found} findings");
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    println!("{}", status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or("memory unknown"));
}
