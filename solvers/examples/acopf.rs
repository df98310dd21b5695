//! Solves the case files named, one line each: status, objective, iterations, milliseconds cold and warm, the least of half a
//! second of repeats:
//! `cargo run --release -p solvers --example acopf FILE…`
#![allow(missing_docs, clippy::unwrap_used)]

use std::time::{Duration, Instant};

fn main() {
    for file in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.rsplit('/').next().unwrap().trim_end_matches(".m").replace("pglib_opf_", "");
        let (network, _) = match domain::network::matpower::read(&text) {
            Ok(read) => read,
            Err(problems) => {
                println!("{name} unreadable: {}", problems[0]);
                continue;
            }
        };
        let start = Instant::now();
        let left = || Duration::from_secs(60).saturating_sub(start.elapsed());
        let (mut cold, mut again) = (Duration::MAX, Duration::MAX);
        let (answer, warm) = loop {
            let begun = Instant::now();
            let mut solver = solvers::opf::ac::Solver::new(&network);
            let answer = solver.solve(&left);
            cold = cold.min(begun.elapsed());
            let begun = Instant::now();
            let warm = solver.solve(&left);
            again = again.min(begun.elapsed());
            if start.elapsed() > Duration::from_millis(500) {
                break (answer, warm);
            }
        };
        let status = format!("{:?}", answer.status);
        let objective = answer.objective.unwrap_or(f64::NAN);
        let ms = |d: Duration| d.as_secs_f64() * 1e3;
        println!(
            "{name:28} {status:10} {objective:.9e} {:4} {:9.3} ms, again {:4} {:9.3} ms {}",
            answer.iterations,
            ms(cold),
            warm.iterations,
            ms(again),
            answer.violations.first().map_or(String::new(), |v| format!("{v:?}"))
        );
    }
}
