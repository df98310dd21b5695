//! Solves case files in the linear model, first cold and then warm, and says how well and how fast:
//! `cargo run --release -p solvers --example dc FILE…`
#![allow(clippy::print_stdout, reason = "an example talks")]

use domain::network::matpower;
use solvers::opf::dc::Solver;
use std::time::{Duration, Instant};

fn main() -> Result<(), std::io::Error> {
    for file in std::env::args().skip(1) {
        let name = file.rsplit('/').next().unwrap_or(&file).trim_end_matches(".m");
        let Ok((network, _)) = matpower::read(&std::fs::read_to_string(&file)?) else {
            println!("{name}: not read");
            continue;
        };
        let begin = Instant::now();
        let left = || Duration::from_secs(60).saturating_sub(begin.elapsed());
        let mut solver = Solver::new(&network);
        let answer = solver.solve(&left);
        let cold = begin.elapsed().as_secs_f64() * 1e3;
        let mut warm: Vec<f64> = (0..11)
            .map(|_| {
                let begin = Instant::now();
                solver.solve(&left);
                begin.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        warm.sort_by(f64::total_cmp);
        println!(
            "{name:<34} {:?} {:.4} gap {:.1e} {} iterations, {cold:.3} ms cold, {:.3} ms warm ({} then) {} violations",
            answer.status,
            answer.objective.unwrap_or(f64::NAN),
            answer.gap().unwrap_or(f64::NAN),
            answer.iterations,
            warm[5],
            solver.solve(&left).iterations,
            answer.violations.len(),
        );
    }
    Ok(())
}
