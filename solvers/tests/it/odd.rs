//! Nothing that a window can hold upsets it, and neither size nor order of the homes matters.

use crate::street::{DAY, MIDNIGHT, QUARTER, Street, meter, settings};
use crate::{found, judge_by};
use domain::feeder::{Cause, Irregularity};
use domain::{Ohms, Volts, WattHours, Watts};
use proptest::prelude::*;
use solvers::balance::{Flow, Settings, Verdict, Window, balance};

type Row = (i64, Vec<(i64, i64)>);

fn window(homes: usize, rows: &[Row], order: &[usize], factor: i64) -> Window {
    let meters = order.iter().map(|i| meter(*i)).collect();
    let mut window = Window::new(QUARTER * 96 * 60, QUARTER, meters);
    for (t, (feeder, flows)) in rows.iter().enumerate() {
        let flow = |(import, export): &(i64, i64)| Flow {
            net: WattHours((import - export) * factor),
            through: WattHours((import + export) * factor),
        };
        let flows: Vec<Option<Flow>> = order.iter().map(|i| flows.get(*i).map(flow)).collect();
        assert!(homes >= flows.len());
        window.push(MIDNIGHT + QUARTER * t as u32, Some(WattHours(feeder * factor)), &flows);
    }
    window
}

/// Whole watt-hours of a street with a bit of everything.
fn rows(seed: u64) -> Vec<Row> {
    let counts = |_: usize| 1.0 / 3.0;
    let theft = |t: usize| if t / DAY % 3 == 1 { 250.0 } else { 0.0 };
    let street = Street { theft: &theft, fault: Some((2, &counts)), ..Street::honest(seed, 6) };
    let whole = |wh: f64| wh.round() as i64;
    let homes = |flows: Vec<(f64, f64)>| flows.into_iter().map(|(i, e)| (whole(i), whole(e))).collect();
    street.energies(10 * DAY).into_iter().map(|(feeder, flows)| (whole(feeder), homes(flows))).collect()
}

fn alike(a: &[Irregularity], b: &[Irregularity], factor: i64) {
    let near = |a: i64, b: i64| (a * factor - b).abs() <= (a.abs() * factor / 1000).max(2 * factor);
    assert_eq!(a.len(), b.len(), "{a:#?} {b:#?}");
    assert!(!a.is_empty());
    for a in a {
        let same = |b: &&Irregularity| (b.cause, &b.meter) == (a.cause, &a.meter);
        let b = b.iter().find(same).unwrap_or_else(|| panic!("{a} is not in {b:#?}"));
        assert!(near(a.power.best.0, b.power.best.0) && near(a.power.low.0, b.power.low.0), "{a}, {b}");
        assert!(near(a.per_day.0, b.per_day.0), "{a}, {b}");
        assert_eq!(a.since, b.since);
    }
}

#[test]
fn a_street_ten_times_as_large_has_the_same_faults() {
    for seed in 0..3 {
        let (rows, order) = (rows(seed), [0, 1, 2, 3, 4, 5]);
        let large = Settings { own_use: Watts(10), step: WattHours(10), ..settings() };
        let a = judge_by(&window(6, &rows, &order, 1), &settings());
        let b = judge_by(&window(6, &rows, &order, 10), &large);
        alike(&a.found, &b.found, 10);
        assert_eq!(a.loss, b.loss);
    }
}

#[test]
fn the_order_of_the_meters_does_not_matter() {
    for seed in 0..3 {
        let rows = rows(seed);
        let a = found(&window(6, &rows, &[0, 1, 2, 3, 4, 5], 1));
        let b = found(&window(6, &rows, &[4, 2, 5, 0, 3, 1], 1));
        alike(&a, &b, 1);
    }
}

#[test]
fn of_two_homes_that_cannot_be_told_apart_not_both_are_blamed() {
    // One home behind two meters that count half of it each, but for a tenth of what the second should.
    let whole = |wh: f64| wh.round() as i64;
    let rows: Vec<Row> = Street::honest(1, 5)
        .energies(14 * DAY)
        .into_iter()
        .map(|(feeder, mut flows)| {
            let half = (flows[0].0 / 2.0, flows[0].1 / 2.0);
            flows[0] = half;
            flows.insert(1, (half.0 * 0.9, half.1 * 0.9));
            (whole(feeder), flows.into_iter().map(|(i, e)| (whole(i), whole(e))).collect())
        })
        .collect();
    let found = found(&window(6, &rows, &[0, 1, 2, 3, 4, 5], 1));
    assert!(found.iter().all(|f| f.meter == Some(meter(0)) || f.meter == Some(meter(1))), "{found:#?}");
    assert!(found.len() <= 1, "both are blamed: {found:#?}");
}

#[test]
fn too_little_is_a_value_that_says_what_is_absent() {
    let mut window = Window::new(QUARTER * 96 * 14, QUARTER, vec![meter(0), meter(1)]);
    let flow = Some(Flow { net: WattHours(50), through: WattHours(50) });
    for t in 0..200 {
        let second = flow.filter(|_| t % 4 == 0);
        window.push(MIDNIGHT + QUARTER * t, Some(WattHours(100)), &[flow, second]);
    }
    let Verdict::NotEnough { have, need, absent } = balance(&window, &settings()) else { panic!("judged") };
    assert_eq!((have, need), (50, 96));
    assert_eq!(absent.into_iter().collect::<Vec<_>>(), [(meter(1), 150)]);
}

#[test]
fn a_street_without_homes_or_flow_is_not_judged() {
    for homes in [0, 3] {
        let mut window = Window::new(QUARTER * 96 * 14, QUARTER, (0..homes).map(meter).collect());
        for t in 0..300 {
            window.push(MIDNIGHT + QUARTER * t, Some(WattHours(0)), &vec![Some(Flow::default()); homes]);
        }
        assert!(matches!(balance(&window, &settings()), Verdict::NotEnough { have: 300, .. }));
    }
}

#[test]
fn one_home_that_never_changes_leaves_nothing_to_tell_but_what_is_missing() {
    let mut window = Window::new(QUARTER * 96 * 14, QUARTER, vec![meter(0)]);
    for t in 0..1344 {
        let flow = Flow { net: WattHours(100), through: WattHours(100) };
        window.push(MIDNIGHT + QUARTER * t, Some(WattHours(104)), &[Some(flow)]);
    }
    // 4 % more than the home: that may well be the line, or the meters.
    assert_eq!(found(&window), []);
}

#[test]
fn a_resistance_that_is_known_explains_its_losses() {
    // 20 kW at 230 V and 0.1 ohm: 87 A, 756 W.
    let mut window = Window::new(QUARTER * 96 * 14, QUARTER, vec![meter(0), meter(1)]);
    for t in 0..1344_i64 {
        let (a, b) = (1000 + 900 * (t * 7 % 13), 2000 + 300 * (t * 5 % 11));
        let current = (a + b) as f64 * 4.0 / 230.0;
        let lost = (0.1 * current * current / 4.0) as i64;
        let flows = [a, b].map(|wh| Some(Flow { net: WattHours(wh), through: WattHours(wh) }));
        window.push(MIDNIGHT + QUARTER * t as u32, Some(WattHours(a + b + lost)), &flows);
    }
    let known = Settings { resistance: Ohms::finite(0.1), ..settings() };
    let judged = judge_by(&window, &known);
    assert_eq!(judged.found, []);
    assert!((80..=90).contains(&judged.loss.get()), "{}", judged.loss);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_the_meters_say_there_is_an_answer(
        homes in 1..5_usize,
        rows in proptest::collection::vec((any::<i64>(), proptest::collection::vec((0..3_i64, 0..i64::MAX >> 20, 0..5_u32), 5)), 96..260),
        scale in 0..40_u32,
        volts in 0.0..1e9_f64,
        ohms in 0.0..1e12_f64,
    ) {
        let mut window = Window::new(QUARTER * 96 * 14, QUARTER, (0..homes).map(meter).collect());
        for (t, (feeder, flows)) in rows.iter().enumerate() {
            let flow = |(kind, wh, hole): &(i64, i64, u32)| (*hole > 0 || t < 96).then(|| {
                let wh = wh >> scale;
                Flow { net: WattHours((kind - 1) * wh), through: WattHours(wh) }
            });
            let flows: Vec<_> = flows.iter().map(flow).collect();
            window.push(MIDNIGHT + QUARTER * t as u32, Some(WattHours(feeder >> scale)), &flows);
        }
        let known = Settings { resistance: Ohms::finite(ohms), voltage: Volts::finite(volts).unwrap(), ..settings() };
        for settings in [settings(), known] {
            if let Verdict::Judged(judged) = balance(&window, &settings) {
                prop_assert_eq!(judged.last.feeder, judged.last.homes + judged.last.losses + judged.last.unexplained);
                for f in &judged.found {
                    prop_assert!(f.power.low <= f.power.best && f.power.best <= f.power.high, "{}", f);
                    prop_assert!(f.cause != Cause::TakeOff || f.power.best.0 >= 0, "{}", f);
                }
            }
        }
    }
}
