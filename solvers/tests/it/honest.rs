//! Nobody is accused by chance more often than was allowed.

use crate::found;
use crate::street::{DAY, Filling, Street};
use std::collections::BTreeSet;

/// What `confidence` allows: a false finding in 0.3 % of days.
const A_DAY: f64 = 0.003;

/// The number of events that a Poisson process of this mean exceeds in one of ten thousand trials.
fn bound(mean: f64) -> usize {
    let mut term = (-mean).exp();
    let mut sum = term;
    (1..)
        .find(|n| {
            let enough = 1.0 - sum < 1e-4;
            term *= mean / f64::from(*n);
            sum += term;
            enough
        })
        .unwrap() as usize
}

#[test]
fn honest_streets_bring_no_more_findings_than_were_allowed() {
    let (mut windows, mut wrong) = (0.0, Vec::new());
    for homes in [1, 4, 12, 30] {
        for seed in 1000..1060 {
            windows += 1.0;
            let findings = found(&Street::honest(seed, homes).window(14 * DAY, 14));
            wrong.extend(findings.into_iter().map(|f| format!("{homes} homes, seed {seed}: {f}")));
        }
    }
    println!("{} findings in {windows} windows of 14 days: {wrong:#?}", wrong.len());
    assert!(wrong.len() <= bound(windows * 14.0 * A_DAY), "{wrong:#?}");
}

#[test]
fn an_honest_feeder_is_accused_once_a_year_at_most() {
    let (mut days, mut begun) = (0.0, Vec::new());
    for seed in 0..10 {
        let street = Street::honest(seed, 12);
        let mut filling = Filling::new(12, 14);
        let mut open = BTreeSet::new();
        for (t, row) in street.energies(60 * DAY).iter().enumerate() {
            filling.add(row);
            if t % DAY != DAY - 1 || t < 2 * DAY {
                continue;
            }
            days += 1.0;
            let now: BTreeSet<_> = found(&filling.window).iter().map(|f| (f.cause, f.meter.clone())).collect();
            begun.extend(now.difference(&open).map(|what| format!("seed {seed}, day {}: {what:?}", t / DAY)));
            open = now;
        }
    }
    println!("{} findings in {days} days: {begun:#?}", begun.len());
    assert!(begun.len() <= bound(days * A_DAY), "{begun:#?}");
}
