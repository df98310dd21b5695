#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "labels and lengths of a day are small")]
use super::super::kmeans;
use super::*;
use proptest::prelude::*;

const FREE: Rails = Rails { min_run: 1, max_switches: 95, hysteresis: 0 };

fn runs(labels: &[Label]) -> Vec<usize> {
    labels.chunk_by(|a, b| a == b).map(<[Label]>::len).collect()
}

#[test]
fn a_spike_of_one_slot_makes_no_range() {
    let mut day = [300; 24];
    day[16..21].fill(900);
    day[3] = 800;
    let found = kmeans(&day, 2).unwrap();
    assert_eq!(switches(&found.labels), 4);
    let held = Rails { min_run: 3, max_switches: 4, hysteresis: 0 }.apply(&day, &found, None).unwrap();
    assert_eq!((switches(&held), &held[..4], &held[15..22]), (2, &[0; 4][..], &[0, 1, 1, 1, 1, 1, 0][..]));
}

#[test]
fn a_load_near_the_border_stays_where_it_was_yesterday() {
    let mut day = [300; 24];
    day[12..18].fill(900);
    // Middle of 300 and 900 is 600.
    day[18] = 580;
    let found = kmeans(&day, 2).unwrap();
    let yesterday: Vec<Label> = (0..24).map(|t| Label::from((12..19).contains(&t))).collect();
    let with = |hysteresis| Rails { hysteresis, ..FREE }.apply(&day, &found, Some(&yesterday)).unwrap()[18];
    assert_eq!((found.labels[18], with(0), with(200)), (0, 0, 1));
    day[18] = 320;
    let found = kmeans(&day, 2).unwrap();
    assert_eq!(Rails { hysteresis: 200, ..FREE }.apply(&day, &found, Some(&yesterday)).unwrap()[18], 0);
}

#[test]
fn rails_that_no_day_can_keep_are_refused() {
    let found = kmeans(&[1, 2, 3], 2).unwrap();
    let rails = |min_run| Rails { min_run, ..FREE }.apply(&[1, 2, 3], &found, None);
    assert_eq!(rails(0), Err(BadRails::Run { min_run: 0, slots: 3 }));
    assert_eq!(rails(4), Err(BadRails::Run { min_run: 4, slots: 3 }));
    assert_eq!(FREE.apply(&[1, 2], &found, None), Err(BadRails::Lengths { values: 2, labels: 3 }));
    assert_eq!(rails(3).map(|day| switches(&day)), Ok(0));
}

proptest! {
    #[test]
    fn every_day_keeps_the_rails(
        values in prop::collection::vec(0..5_000_i32, 4..97),
        k in 2..4_usize,
        min_run in 1..5_usize,
        max_switches in 0..7_usize,
        hysteresis in 0..500_u32,
        seed: u64,
    ) {
        let found = kmeans(&values, k).unwrap();
        let mut rng = fastrand::Rng::with_seed(seed);
        let yesterday: Vec<Label> = values.iter().map(|_| rng.u8(0..k as u8)).collect();
        let rails = Rails { min_run: min_run.min(values.len()), max_switches, hysteresis };
        let day = rails.apply(&values, &found, Some(&yesterday)).unwrap();
        prop_assert_eq!(day.len(), values.len());
        prop_assert!(switches(&day) <= max_switches);
        prop_assert!(runs(&day).iter().all(|run| *run >= rails.min_run), "{day:?}");
        prop_assert!(day.iter().all(|l| usize::from(*l) < found.centroids.len()));
        prop_assert_eq!(rails.apply(&values, &found, Some(&yesterday)).unwrap(), day);
    }

    #[test]
    fn no_other_short_day_is_nearer_to_the_values(values in prop::collection::vec(0..100_i32, 4..9), min_run in 1..4_usize) {
        let found = kmeans(&values, 2).unwrap();
        let rails = Rails { min_run: min_run.min(values.len()), max_switches: 2, hysteresis: 0 };
        let day = rails.apply(&values, &found, None).unwrap();
        let cost = |labels: &[Label]| -> i64 {
            values.iter().zip(labels).map(|(v, l)| i64::from(*v - found.centroids[usize::from(*l)]).pow(2)).sum()
        };
        for code in 0..1_u32 << values.len() {
            let other: Vec<Label> = (0..values.len()).map(|i| (code >> i & 1) as Label).collect();
            let kept = switches(&other) <= 2 && runs(&other).iter().all(|run| *run >= rails.min_run);
            if kept && found.centroids.len() == 2 {
                prop_assert!(cost(&day) <= cost(&other), "{values:?} {day:?} {other:?}");
            }
        }
    }

    #[test]
    fn without_rails_only_ties_move(values in prop::collection::vec(0..5_000_i32, 4..97)) {
        let found = kmeans(&values, 3).unwrap();
        let day = FREE.apply(&values, &found, None).unwrap();
        let cost = |labels: &[Label]| -> i64 {
            values.iter().zip(labels).map(|(v, l)| i64::from(*v - found.centroids[usize::from(*l)]).pow(2)).sum()
        };
        prop_assert!(cost(&day) <= cost(&found.labels));
    }
}
