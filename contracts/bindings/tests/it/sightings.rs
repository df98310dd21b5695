//! What provers might say, for Rust and for the contract to judge.

use crate::provers::{far, limits};
use fastrand::Rng;
use solvers::locate::{Sighting, judge};

/// X and y relative to the claim, and the distance, in millimetres.
pub type Seen = (i32, i32, i32);

/// Provers anywhere, distances of a claim that is true, false, or of nothing at all; liars; corners of the ranges.
pub fn drawn_sightings(rng: &mut Rng) -> Vec<Seen> {
    let largest = 1 << 20;
    let provers = rng.usize(2..=15);
    let scale = [30_000, 100_000, largest][rng.usize(..3)];
    let truth = if rng.bool() { (0, 0) } else { (rng.i32(-scale..=scale), rng.i32(-scale..=scale)) };
    let wild = rng.u8(..4);
    (0..provers)
        .map(|_| {
            let mut at = (rng.i32(-scale..=scale), rng.i32(-scale..=scale));
            if wild == 0 {
                at.1 = at.0 / 2;
            }
            let noise = (rng.f64() + rng.f64() + rng.f64() - 1.5) * 0.5;
            let distance = f64::from(far(at, truth)) * noise.exp();
            #[allow(clippy::cast_possible_truncation)]
            let distance = if rng.u8(..8) == 0 { rng.i32(1..=largest) } else { (distance as i32).clamp(1, largest) };
            (at.0, at.1, distance)
        })
        .collect()
}

/// What Rust says, in words; what is unfit is unclear.
pub fn words(sightings: &[Seen]) -> String {
    let seen: Vec<Sighting> =
        sightings.iter().map(|(x, y, d)| Sighting { x: (*x).into(), y: (*y).into(), distance: (*d).into() }).collect();
    judge(0, 0, &seen, &limits()).map_or_else(
        |_| "Unclear 0 0 0 0 0".into(),
        |j| format!("{:?} {} {} {} {} {}", j.verdict, j.x, j.y, j.dropped, j.off, j.left),
    )
}

/// The sets of the vectors, by a fixed seed.
pub fn sets() -> Vec<Vec<Seen>> {
    let mut rng = Rng::with_seed(8);
    (0..60).map(|_| drawn_sightings(&mut rng)).collect()
}

/// Vectors of the judge, as JSON.
pub fn vectors() -> String {
    let one = |seen: &Vec<Seen>| {
        let list: Vec<String> = seen.iter().map(|(x, y, d)| format!("[{x}, {y}, {d}]")).collect();
        format!(" {{\"sightings\": [{}], \"judged\": \"{}\"}}", list.join(", "), words(seen))
    };
    let lines: Vec<String> = sets().iter().map(one).collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}
