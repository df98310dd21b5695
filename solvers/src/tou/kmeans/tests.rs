#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "labels and lengths of a day are small")]
use super::*;
use proptest::prelude::*;

/// `n·Σx² − (Σx)²` over `n`, for every cluster of labels, summed as an exact fraction.
fn inertia(values: &[i32], labels: &[Label], k: usize) -> (i128, i128) {
    (0..k).fold((0, 1), |(top, bottom), cluster| {
        let own: Vec<i128> = values
            .iter()
            .zip(labels)
            .filter(|(_, l)| usize::from(**l) == cluster)
            .map(|(v, _)| i128::from(*v))
            .collect();
        let n = own.len() as i128;
        if n == 0 {
            return (top, bottom);
        }
        let sum: i128 = own.iter().sum();
        let squares: i128 = own.iter().map(|v| v * v).sum();
        (top * n + (n * squares - sum * sum) * bottom, bottom * n)
    })
}

fn no_worse((a, b): (i128, i128), (c, d): (i128, i128)) -> bool {
    a * d <= c * b
}

/// All assignments of `n` values to `k` labels.
fn assignments(n: usize, k: usize) -> impl Iterator<Item = Vec<Label>> {
    (0..k.pow(n as u32)).map(move |code| (0..n).map(|i| (code / k.pow(i as u32) % k) as Label).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn no_assignment_at_all_is_better(values in prop::collection::vec(-40..40_i32, 3..7), k in 1..4_usize) {
        let found = kmeans(&values, k).unwrap();
        let ours = inertia(&values, &found.labels, k);
        for other in assignments(values.len(), k) {
            prop_assert!(no_worse(ours, inertia(&values, &other, k)), "{values:?} {found:?} {other:?}");
        }
    }

    #[test]
    fn no_two_borders_of_a_long_day_are_better(values in prop::collection::vec(any::<i16>(), 24..97)) {
        let values: Vec<i32> = values.into_iter().map(i32::from).collect();
        let found = kmeans(&values, 3).unwrap();
        let ours = found.inertia(&values);
        let mut sorted = values.clone();
        sorted.sort_unstable();
        let spread = |part: &[i32]| {
            let mean = part.iter().map(|v| f64::from(*v)).sum::<f64>() / part.len() as f64;
            part.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>()
        };
        for a in 1..values.len() - 1 {
            for b in a + 1..values.len() {
                let other = spread(&sorted[..a]) + spread(&sorted[a..b]) + spread(&sorted[b..]);
                prop_assert!(ours <= other * (1.0 + 1e-9) + 1e-6, "{a} {b}: {ours} {other}");
            }
        }
    }

    #[test]
    fn a_day_moved_up_or_in_another_order_has_the_same_ranges(
        values in prop::collection::vec(-1_000_000..1_000_000_i32, 8..97),
        k in 1..6_usize,
        up in -1_000_000..1_000_000_i32,
        seed: u64,
    ) {
        let found = kmeans(&values, k).unwrap();
        let moved: Vec<i32> = values.iter().map(|v| v + up).collect();
        let other = kmeans(&moved, k).unwrap();
        prop_assert_eq!(&other.labels, &found.labels);
        prop_assert_eq!(other.centroids, found.centroids.iter().map(|c| c + up).collect::<Vec<_>>());
        let mut order: Vec<usize> = (0..values.len()).collect();
        fastrand::Rng::with_seed(seed).shuffle(&mut order);
        let shuffled: Vec<i32> = order.iter().map(|i| values[*i]).collect();
        let theirs = kmeans(&shuffled, k).unwrap();
        prop_assert_eq!(theirs.labels, order.iter().map(|i| found.labels[*i]).collect::<Vec<_>>());
    }

    #[test]
    fn equal_loads_are_in_one_range_and_higher_loads_in_no_lower(
        values in prop::collection::vec(0..12_i32, 8..60),
        k in 1..9_usize,
    ) {
        let found = kmeans(&values, k).unwrap();
        for (a, x) in values.iter().zip(&found.labels) {
            for (b, y) in values.iter().zip(&found.labels) {
                prop_assert!(a != b || x == y);
                prop_assert!(a > b || x <= y);
            }
        }
        for l in 0..found.centroids.len() {
            prop_assert!(found.labels.contains(&(l as Label)), "an empty range: {found:?}");
        }
    }

    #[test]
    fn the_heuristic_of_smartcore_is_never_better(
        values in prop::collection::vec(0..20_000_i32, 24..97),
        k in 2..4_usize,
        seed: u64,
    ) {
        use smartcore::cluster::kmeans::{KMeans, KMeansParameters};
        use smartcore::linalg::basic::matrix::DenseMatrix;
        let rows: Vec<Vec<f64>> = values.iter().map(|v| vec![f64::from(*v)]).collect();
        let x = DenseMatrix::from_2d_vec(&rows).unwrap();
        let parameters = KMeansParameters { k, seed: Some(seed), ..Default::default() };
        let theirs: Vec<u8> = KMeans::fit(&x, parameters).and_then(|m: KMeans<f64, u8, _, _>| m.predict(&x)).unwrap();
        let ours = kmeans(&values, k).unwrap().inertia(&values);
        let other: f64 = (0..k)
            .map(|cluster| {
                let own: Vec<f64> = rows.iter().zip(&theirs).filter(|(_, l)| usize::from(**l) == cluster).map(|(r, _)| r[0]).collect();
                let mean = own.iter().sum::<f64>() / own.len().max(1) as f64;
                own.iter().map(|v| (v - mean).powi(2)).sum::<f64>()
            })
            .sum();
        prop_assert!(ours <= other * (1.0 + 1e-9), "{ours} {other}");
    }
}

#[test]
fn the_lowest_of_equally_good_borders_is_taken() {
    // 0 | 1 2 and 0 1 | 2 are equally good.
    assert_eq!(kmeans(&[2, 1, 0], 2).unwrap().labels, [1, 1, 0]);
    // 0 1 | 2 3 | 4 5 is the best of five; of six in a row nothing is tied.
    assert_eq!(kmeans(&[0, 1, 2, 3, 4, 5], 3).unwrap().borders, [2, 4]);
    // 0 | 1 | 2 3, 0 | 1 2 | 3 and 0 1 | 2 | 3: the highest border goes down first.
    assert_eq!(kmeans(&[0, 1, 2, 3], 3).unwrap().borders, [1, 2]);
}

#[test]
fn a_centroid_is_the_nearest_integer_and_halves_go_up() {
    assert_eq!(kmeans(&[1, 2], 1).unwrap().centroids, [2]);
    assert_eq!(kmeans(&[-1, -2], 1).unwrap().centroids, [-1]);
    assert_eq!(kmeans(&[-1, -1, -2], 1).unwrap().centroids, [-1]);
    assert_eq!(kmeans(&[i32::MIN, i32::MAX], 2).unwrap().centroids, [i32::MIN, i32::MAX]);
    assert_eq!(kmeans(&[i32::MAX; 96], 1).unwrap().centroids, [i32::MAX]);
}

#[test]
fn a_flat_day_is_one_range() {
    let flat = kmeans(&[700; 24], 3).unwrap();
    assert_eq!((flat.labels, flat.centroids), (vec![0; 24], vec![700]));
    assert_eq!(kmeans(&[1, 1, 5, 5], 3).unwrap().labels, [0, 0, 1, 1]);
}

#[test]
fn the_largest_numbers_are_exact() {
    let day: Vec<i32> = (0..96).map(|i| if i % 3 == 0 { i32::MAX } else { i32::MIN + i % 2 }).collect();
    let found = kmeans(&day, 3).unwrap();
    assert_eq!(found.borders, [i32::MIN + 1, i32::MAX]);
    assert_eq!(found.inertia(&day).to_bits(), 0.0_f64.to_bits());
}

#[test]
fn a_day_of_nothing_or_of_too_much_is_refused() {
    assert_eq!(kmeans(&[], 1), Err(BadValues::Count(0)));
    assert_eq!(kmeans(&[0; 97], 1), Err(BadValues::Count(97)));
    assert_eq!(kmeans(&[0; 96], 0), Err(BadValues::Clusters(0)));
    assert_eq!(kmeans(&[0; 96], 9), Err(BadValues::Clusters(9)));
    assert_eq!(kmeans(&[0; 2], 3), Err(BadValues::Clusters(3)));
}
