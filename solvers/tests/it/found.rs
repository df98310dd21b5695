//! What is wrong is found, by its name, with its size, and soon.

use crate::street::{DAY, Filling, MIDNIGHT, QUARTER, Street, meter, settings};
use crate::{found, judge_by};
use domain::Timestamp;
use domain::feeder::{Cause, Irregularity};

const SEEDS: std::ops::Range<u64> = 0..8;

fn one(found: &[Irregularity], seed: u64) -> &Irregularity {
    let [one] = found else {
        panic!("seed {seed}: {}", found.iter().map(|f| format!("{f} since {}\n", f.since)).collect::<String>())
    };
    one
}

fn at(interval: usize) -> Timestamp {
    MIDNIGHT + QUARTER * interval as u32
}

#[test]
fn a_steady_take_off_is_found_with_its_watts() {
    for seed in SEEDS {
        let found = found(&Street { theft: &|_| 120.0, ..Street::honest(seed, 12) }.window(14 * DAY, 14));
        let f = one(&found, seed);
        assert_eq!((f.cause, &f.meter), (Cause::TakeOff, &None), "seed {seed}");
        assert!((105..=140).contains(&f.power.best.0), "seed {seed}: {f}");
        assert!(f.power.low < f.power.best && f.power.best < f.power.high, "seed {seed}: {f}");
        assert!((f.per_day.0 - f.power.best.0 * 24).abs() <= 24, "seed {seed}: {f}");
        assert!(f.confidence.get() >= 990, "seed {seed}: {f}");
    }
}

#[test]
fn a_take_off_at_night_only_is_found_as_one_that_comes_and_goes() {
    for seed in SEEDS {
        let night = |t: usize| if t % DAY < 24 { 400.0 } else { 0.0 };
        let found = found(&Street { theft: &night, ..Street::honest(seed, 12) }.window(14 * DAY, 14));
        let f = found
            .iter()
            .find(|f| f.cause == Cause::TakeOffAtTimes)
            .unwrap_or_else(|| panic!("seed {seed}: {found:#?}"));
        assert!((340..=440).contains(&f.power.best.0), "seed {seed}: {f}");
        // A quarter of the day.
        assert!((2000..=2700).contains(&f.per_day.0), "seed {seed}: {f}");
        assert_eq!(f.since, at(0), "seed {seed}: {f}");
        assert!(found.iter().all(|f| f.meter.is_none()), "seed {seed}: a home is blamed: {found:#?}");
    }
}

#[test]
fn one_evening_of_theft_is_found_with_its_hours() {
    for seed in SEEDS {
        let evening = 9 * DAY + 72..9 * DAY + 88;
        let theft = |t: usize| if evening.contains(&t) { 800.0 } else { 0.0 };
        let found = found(&Street { theft: &theft, ..Street::honest(seed, 12) }.window(14 * DAY, 14));
        let f = one(&found, seed);
        assert_eq!(f.cause, Cause::TakeOffAtTimes, "seed {seed}");
        assert!((650..=900).contains(&f.power.best.0), "seed {seed}: {f}");
        assert!((at(evening.start - 2)..=at(evening.start + 2)).contains(&f.since), "seed {seed}: {f}");
        // 3.2 kWh in 14 days.
        assert!((190..=270).contains(&f.per_day.0), "seed {seed}: {f}");
    }
}

#[test]
fn a_wrong_meter_is_named_with_what_it_counts() {
    for (share, cause) in [
        (0.95, Cause::Scale),
        (1.08, Cause::Scale),
        (2.0 / 3.0, Cause::OnePhaseMissing),
        (1.0 / 3.0, Cause::OneThird),
        (-1.0 / 3.0, Cause::Reversed),
        (-1.0, Cause::Reversed),
    ] {
        for seed in SEEDS {
            let counts = |_: usize| share;
            let found = found(&Street { fault: Some((3, &counts)), ..Street::honest(seed, 12) }.window(14 * DAY, 14));
            let f = one(&found, seed);
            assert_eq!((f.cause, &f.meter), (cause, &Some(meter(3))), "seed {seed}, {share}");
            let counted = f64::from(f.counts.unwrap().best.0) / 1000.0;
            assert!((counted / share - 1.0).abs() < 0.03, "seed {seed}, {share}: {f}");
        }
    }
}

#[test]
fn two_wrong_meters_and_a_take_off_are_told_apart() {
    for seed in SEEDS {
        let counts = |_: usize| 1.0 / 3.0;
        let street = Street { theft: &|_| 200.0, fault: Some((0, &counts)), ..Street::honest(seed, 12) };
        let found = found(&street.window(14 * DAY, 14));
        let has = |cause, who| found.iter().any(|f| f.cause == cause && f.meter == who);
        assert!(has(Cause::TakeOff, None) && has(Cause::OneThird, Some(meter(0))), "seed {seed}: {found:#?}");
        assert_eq!(found.len(), 2, "seed {seed}: {found:#?}");
    }
}

/// From the first honest day on; what is found first, and after how many intervals.
fn first(street: &Street<'_>, begins: usize, wanted: impl Fn(&Irregularity) -> bool) -> Option<(usize, Irregularity)> {
    let mut filling = Filling::new(street.homes, 14);
    for (t, row) in street.energies(begins + 2 * DAY).iter().enumerate() {
        filling.add(row);
        if t < begins {
            continue;
        }
        if let Some(f) = found(&filling.window).into_iter().find(&wanted) {
            return Some((t + 1 - begins, f));
        }
    }
    None
}

#[test]
fn a_take_off_that_begins_is_seen_within_two_hours_and_becomes_steady() {
    let begins = 6 * DAY + 50;
    for seed in 0..4 {
        let street = Street { theft: &|t| if t >= begins { 300.0 } else { 0.0 }, ..Street::honest(seed, 12) };
        let (wait, f) = first(&street, begins, |f| f.cause == Cause::TakeOffAtTimes).unwrap();
        assert!(wait <= 8, "seed {seed}: after {wait} intervals: {f}");
        assert!((at(begins - 2)..=at(begins + 2)).contains(&f.since), "seed {seed}: {f}");
        // Two days on it is told as steady, and not a second time.
        let found = found(&street.window(begins + 2 * DAY, 14));
        let f = one(&found, seed);
        assert_eq!(f.cause, Cause::TakeOff, "seed {seed}");
        assert!((250..=350).contains(&f.power.best.0), "seed {seed}: {f}");
        assert!((at(begins - 8)..=at(begins + 8)).contains(&f.since), "seed {seed}: {f}");
    }
}

#[test]
fn a_current_transformer_that_is_turned_round_is_named_within_two_days() {
    let begins = 6 * DAY + 50;
    for seed in 0..4 {
        let counts = |t: usize| if t >= begins { 1.0 / 3.0 } else { 1.0 };
        let street = Street { fault: Some((5, &counts)), ..Street::honest(seed, 12) };
        let named = |f: &Irregularity| f.cause == Cause::OneThird && f.meter == Some(meter(5));
        let found = found(&street.window(begins + 2 * DAY, 14));
        let f = one(&found, seed);
        assert!(named(f), "seed {seed}: {f}");
        assert!((at(begins - 8)..=at(begins + 8)).contains(&f.since), "seed {seed}: {f}");
    }
}

#[test]
fn what_was_repaired_is_over_two_days_later() {
    let repaired = 8 * DAY;
    for seed in 0..4 {
        let counts = |t: usize| if t < repaired { 2.0 / 3.0 } else { 1.0 };
        let street = Street { fault: Some((1, &counts)), ..Street::honest(seed, 12) };
        let before = found(&street.window(repaired, 14));
        assert_eq!(one(&before, seed).cause, Cause::OnePhaseMissing, "seed {seed}");
        let after = found(&street.window(repaired + 2 * DAY, 14));
        assert!(after.iter().all(|f| f.meter.is_none()), "seed {seed}: {after:#?}");
    }
}

#[test]
fn the_account_of_an_interval_adds_up_and_losses_are_learned() {
    for seed in SEEDS {
        let street = Street::honest(seed, 12);
        let judged = judge_by(&street.window(14 * DAY, 14), &settings());
        let last = judged.last;
        assert_eq!(last.feeder, last.homes + last.losses + last.unexplained);
        assert_eq!(last.from, at(14 * DAY - 1));
        assert!(judged.loss.get() <= 100, "seed {seed}: {}", judged.loss);
        assert!(last.unexplained.0.abs() <= 40, "seed {seed}: {last:?}");
    }
}
