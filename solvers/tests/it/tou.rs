//! Exact k-means as a big-integer implementation in another language finds it, from the vectors that the contract reads.

use serde_json::Value;
use solvers::tou::kmeans;

const VECTORS: &str = include_str!("../../../contracts/vectors/tou.json");

fn numbers(v: &Value) -> Vec<i32> {
    v.as_array().unwrap().iter().map(|n| i32::try_from(n.as_i64().unwrap()).unwrap()).collect()
}

#[test]
fn every_day_of_the_vectors_has_the_ranges_that_trying_all_borders_finds() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let cases = vectors["kmeans"].as_array().unwrap();
    for case in cases {
        let k = usize::try_from(case["k"].as_u64().unwrap()).unwrap();
        let found = kmeans(&numbers(&case["values"]), k).unwrap();
        let labels: Vec<i32> = found.labels.iter().map(|l| i32::from(*l)).collect();
        assert_eq!((labels, found.centroids), (numbers(&case["labels"]), numbers(&case["centroids"])), "{case}");
    }
    assert!(cases.len() > 50);
}
