//! How long our solvers take, as JSON, for `peers/opf.py` to set beside others:
//! `cargo run --release -p solvers --example times FILE…`. Milliseconds are the least of many repeats.
#![allow(clippy::print_stdout, reason = "an example talks")]

use domain::network::{Network, matpower};
use serde_json::{Value, json};
use solvers::flow::{Outcome, newton::Newton, sweep::Sweep};
use solvers::opf::{Answer, ac, dc};
use std::time::{Duration, Instant};

/// Scenarios of a batch.
const SCENARIOS: u32 = 1000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for file in std::env::args().skip(1) {
        let (network, _) = matpower::read(&std::fs::read_to_string(&file)?).map_err(|p| format!("{file}: {p:?}"))?;
        let mut told = json!({
            "file": file,
            "ac": optimum(&network, &mut || Some(ac::solve(&network, &minute))),
            "dc": optimum(&network, &mut || Some(dc::solve(&network, &minute))),
            "flow": flow(&network),
            "batch": batch(&network),
        });
        let (mut first, mut second) = (ac::Solver::new(&network), dc::Solver::new(&network));
        told["ac_again"] = optimum(&network, &mut || Some(first.solve(&minute)));
        told["dc_again"] = optimum(&network, &mut || Some(second.solve(&minute)));
        told["peak_kib"] = peak().into();
        println!("{told}");
    }
    Ok(())
}

fn minute() -> Duration {
    Duration::from_secs(60)
}

/// Repeats for a second, 200 times at most, and gives the least time.
fn least<T>(mut work: impl FnMut() -> T) -> (T, f64) {
    let begin = Instant::now();
    let mut least = f64::INFINITY;
    let mut count = 0;
    loop {
        let start = Instant::now();
        let result = work();
        least = least.min(start.elapsed().as_secs_f64() * 1e3);
        count += 1;
        if count >= 200 || begin.elapsed() > Duration::from_secs(1) {
            return (result, least);
        }
    }
}

fn optimum(network: &Network, solve: &mut dyn FnMut() -> Option<Answer>) -> Value {
    let _ = solve();
    let (answer, ms) = least(solve);
    let Some(answer) = answer else { return Value::Null };
    json!({ "case": network.name, "status": answer.status, "objective": answer.objective, "iterations": answer.iterations, "ms": ms })
}

fn flow(network: &Network) -> Value {
    let mut newton = Newton::new(network);
    let (outcome, ms) = least(|| newton.solve(false));
    let sweep = Sweep::new(network).ok().map(|sweep| least(|| sweep.solve()));
    json!({
        "newton_ms": matches!(outcome, Outcome::Converged(_)).then_some(ms),
        "sweep_ms": sweep.filter(|(outcome, _)| matches!(outcome, Outcome::Converged(_))).map(|(_, ms)| ms),
    })
}

/// Many scenarios of a radial feeder, of 50 to 100 % of its demand; microseconds each.
fn batch(network: &Network) -> Value {
    let Ok(sweep) = Sweep::new(network) else { return Value::Null };
    let scenarios: Vec<Vec<_>> = (0..SCENARIOS)
        .map(|k| {
            sweep.grid.buses.iter().map(|bus| bus.load * (0.5 + 0.5 * f64::from(k) / f64::from(SCENARIOS))).collect()
        })
        .collect();
    let (outcomes, ms) = least(|| sweep.batch(&scenarios));
    let converged = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Converged(_))).count();
    json!({ "scenarios": SCENARIOS, "converged": converged, "us_each": ms * 1e3 / f64::from(SCENARIOS) })
}

/// The most memory this process has held, where Linux tells.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok())
}
