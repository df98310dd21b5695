use super::*;
use proptest::prelude::*;

const MS: u64 = 1_000_000;
const DEBOUNCE: Duration = Duration::from_millis(10);

fn constant(pulses: u32) -> PulsesPerKwh {
    PulsesPerKwh::new(pulses).unwrap()
}

/// Pulses that the counter finds in these edges, and edges that it calls lost.
fn count(counter: &mut Counter, edges: &[Edge], now: u64) -> (u64, u64) {
    let mut all: Vec<Found> = edges.iter().map(|edge| counter.edge(*edge)).collect();
    all.push(counter.quiet(now));
    (all.iter().map(|f| f.pulses).sum(), all.iter().map(|f| f.lost).sum())
}

/// Numbers what happened on a line: each level with how long it lasted, in milliseconds, beginning with a change.
fn edges(levels: &[(bool, u64)]) -> (Vec<Edge>, u64) {
    let mut at = 1000 * MS;
    let mut edges = Vec::new();
    for ((active, lasted), number) in levels.iter().zip(1..) {
        edges.push(Edge { at, active: *active, number });
        at += lasted * MS;
    }
    (edges, at)
}

#[test]
fn a_pulse_with_bounces_at_both_ends_is_one_pulse() {
    let (edges, now) = edges(&[(true, 1), (false, 2), (true, 40), (false, 1), (true, 1), (false, 100)]);
    let mut counter = Counter::new(Filter::Ours(DEBOUNCE), false);
    assert_eq!(count(&mut counter, &edges, now), (1, 0));
}

#[test]
fn a_spike_is_no_pulse() {
    let (edges, now) = edges(&[(true, 9), (false, 500), (true, 3), (false, 500)]);
    assert_eq!(count(&mut Counter::new(Filter::Ours(DEBOUNCE), false), &edges, now), (0, 0));
}

#[test]
fn a_pulse_counts_as_soon_as_it_has_lasted_long_enough_and_once() {
    let mut counter = Counter::new(Filter::Ours(DEBOUNCE), false);
    let began = Edge { at: 1000 * MS, active: true, number: 1 };
    assert_eq!(counter.edge(began), Found::default());
    assert_eq!(counter.quiet(1009 * MS).pulses, 0);
    assert_eq!(counter.quiet(1010 * MS), Found { pulses: 1, at: 1000 * MS, lost: 0 });
    assert_eq!(counter.quiet(2000 * MS).pulses, 0);
}

#[test]
fn a_pulse_that_had_begun_before_the_line_was_opened_is_not_counted() {
    let (edges, now) = edges(&[(false, 100), (true, 100)]);
    assert_eq!(count(&mut Counter::new(Filter::Ours(DEBOUNCE), true), &edges, now), (1, 0));
}

#[test]
fn an_edge_that_is_told_twice_is_counted_once() {
    let edge = Edge { at: 5, active: true, number: 3 };
    for filter in [Filter::Kernel, Filter::Ours(DEBOUNCE)] {
        let mut counter = Counter::new(filter, false);
        counter.edge(edge);
        assert_eq!((counter.edge(edge).pulses, counter.edge(Edge { number: 2, ..edge }).pulses), (0, 0));
    }
}

#[test]
fn a_constant_that_does_not_divide_a_watt_hour_loses_nothing() {
    // 375 turns of a disc are a kilowatt-hour.
    let mut register = Register::new(constant(375), 0);
    for _ in 0..375_000 {
        register = register.plus(1, 0);
    }
    assert_eq!((register.wh, register.part, register.pulses), (1_000_000, 0, 375_000));
}

#[test]
fn a_register_that_is_put_right_never_falls_and_is_put_right_once() {
    let register = Register::new(constant(1000), 5_000).plus(250, 0);
    assert_eq!(register.wh, 5_250);
    let same = register.under(constant(1000), 5_000).unwrap();
    assert_eq!(same, register);
    let caught_up = register.under(constant(1000), 6_000).unwrap();
    assert_eq!((caught_up.wh, caught_up.plus(1, 0).under(constant(1000), 6_000).unwrap().wh), (6_000, 6_001));
    assert_eq!(register.under(constant(1000), 5_249), Err(Backwards { wanted: 5_249, shows: 5_250 }));
}

proptest! {
    #[test]
    fn what_the_kernel_dropped_from_its_queue_is_counted_by_the_numbers(
        total in 1_u32..2000, first in any::<u32>(), kept in prop::collection::vec(any::<bool>(), 2000)
    ) {
        let mut counter = Counter { number: first, ..Counter::new(Filter::Kernel, false) };
        let number = |n: u32| first.wrapping_add(n);
        let all = (1..=total).map(|n| Edge { at: u64::from(n) * 60 * MS, active: true, number: number(n) });
        // The newest is never dropped.
        let told: Vec<Edge> =
            all.zip(&kept).filter(|(edge, keep)| **keep || edge.number == number(total)).map(|(edge, _)| edge).collect();
        prop_assert_eq!(count(&mut counter, &told, u64::MAX), (u64::from(total), 0));
    }

    #[test]
    fn clean_pulses_among_bounces_and_spikes_are_counted_exactly(
        pulses in prop::collection::vec((30_u64..200, 30_u64..500, prop::collection::vec(1_u64..5, 0..4)), 0..40)
    ) {
        // Each beginning and each end bounces: short levels in pairs before the one that lasts.
        let mut levels = Vec::new();
        for (on, off, bounces) in &pulses {
            for (level, lasts) in [(true, *on), (false, *off)] {
                levels.extend(bounces.iter().flat_map(|ms| [(level, *ms), (!level, 1)]));
                levels.push((level, lasts));
            }
        }
        let (edges, now) = edges(&levels);
        let mut counter = Counter::new(Filter::Ours(DEBOUNCE), false);
        let expected = u64::try_from(pulses.len()).unwrap();
        prop_assert_eq!(count(&mut counter, &edges, now), (expected, 0));
    }

    #[test]
    fn of_raw_edges_that_are_lost_no_pulse_is_made_up(
        pulses in prop::collection::vec((1_u64..60, 1_u64..60), 1..60), kept in prop::collection::vec(any::<bool>(), 120)
    ) {
        let levels: Vec<(bool, u64)> = pulses.iter().flat_map(|(on, off)| [(true, *on), (false, *off)]).collect();
        let (edges, now) = edges(&levels);
        let true_count = count(&mut Counter::new(Filter::Ours(DEBOUNCE), false), &edges, now).0;
        // The newest is never dropped.
        let newest = edges.last().copied();
        let keeps = |edge: &Edge, keep: bool| keep || Some(*edge) == newest;
        let told: Vec<Edge> =
            edges.iter().zip(&kept).filter(|(edge, keep)| keeps(edge, **keep)).map(|(edge, _)| *edge).collect();
        let (found, lost) = count(&mut Counter::new(Filter::Ours(DEBOUNCE), false), &told, now);
        // Two short levels may look like one long one only if an edge between them was lost, and then it is not used.
        prop_assert!(found <= true_count, "{} of {}", found, true_count);
        let last = told.last().map_or(0, |edge| u64::from(edge.number));
        prop_assert_eq!(lost, last - u64::try_from(told.len()).unwrap());
    }

    #[test]
    fn a_register_is_exact_however_the_pulses_are_grouped_and_never_falls(
        start in 0_u64..1_000_000, imp in 1_u32..20_000, groups in prop::collection::vec(0_u64..5_000, 0..60)
    ) {
        let mut register = Register::new(constant(imp), start);
        for pulses in &groups {
            let next = register.plus(*pulses, 0);
            prop_assert!(next.wh >= register.wh && next.part < imp);
            register = next;
        }
        let total: u64 = groups.iter().sum();
        prop_assert_eq!(register.wh, start + total * 1000 / u64::from(imp));
        prop_assert_eq!(register.pulses, total);
    }

    #[test]
    fn a_new_constant_moves_no_watt_hour_and_makes_none_out_of_a_part(
        pulses in 0_u64..100_000, old in 1_u32..20_000, new in 1_u32..20_000
    ) {
        let register = Register::new(constant(old), 0).plus(pulses, 0);
        let changed = register.under(constant(new), 0).unwrap();
        prop_assert_eq!(changed.wh, register.wh);
        let (before, after) = (u64::from(register.part) * u64::from(new), u64::from(changed.part) * u64::from(old));
        prop_assert!(after <= before && changed.part < new);
    }
}
