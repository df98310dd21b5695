//! Who is on a bus that nobody has described?

use crate::bench::{Bench, rtu_bus, samples, tcp_street, template, unit};
use drivers::Library;
use drivers::scan::{Progress, scan};
use drivers::simulator::{SimDevice, serve_rtu};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_millis(120);

fn street() -> Vec<SimDevice> {
    let device = |at, model: &str| SimDevice::new(unit(at), template(model), Bench::new(samples()[2].clone()));
    vec![device(3, "eastron-sdm230"), device(9, "sim-home")]
}

fn note(asked: &mut Vec<u8>, progress: Progress<'_>) {
    if let Progress::Asking(unit) = progress {
        asked.push(unit);
    }
}

fn check(found: &[drivers::scan::Found], asked: &[u8]) {
    assert_eq!(found.iter().map(|f| f.unit).collect::<Vec<_>>(), [3, 9]);
    for (found, model) in found.iter().zip(["eastron-sdm230", "sim-home"]) {
        let best = found.models.first().map_or(0, |m| m.score);
        let likely: Vec<_> = found.models.iter().filter(|m| m.score == best).map(|m| m.model.as_str()).collect();
        assert!(likely.contains(&model), "unit {}: {likely:?}", found.unit);
        assert!(best > 20, "unit {} makes too little sense: {best}", found.unit);
    }
    assert_eq!(asked, (1..=12).collect::<Vec<u8>>());
}

#[tokio::test]
async fn a_scan_over_tcp_finds_every_unit_and_its_model() {
    let (bus, _running) = tcp_street(street(), PATIENCE).await;
    let mut asked = Vec::new();
    let found = scan(&bus, 1..=12, &Library::builtin(), |p| note(&mut asked, p)).await;
    check(&found, &asked);
}

#[tokio::test]
async fn a_scan_of_a_serial_line_finds_every_unit_and_its_model() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("line");
    let _running = serve_rtu(&link, 115_200, street()).unwrap();
    let bus = rtu_bus(&link, PATIENCE);
    let mut asked = Vec::new();
    let found = scan(&bus, 1..=12, &Library::builtin(), |p| note(&mut asked, p)).await;
    check(&found, &asked);
}

#[tokio::test]
async fn an_empty_bus_has_nobody_on_it() {
    let (bus, _running) = tcp_street(Vec::new(), PATIENCE).await;
    assert!(scan(&bus, 1..=3, &Library::builtin(), |_| {}).await.is_empty());
}
