//! Solves a network on thousands of days with other demand and outages, and counts how that ended:
//! `cargo run --release -p solvers --example disturbed DAYS FILE…`; days are seeds, as in `0..2500`.
//!
//! An optimum counts when the certificate finds every balance and limit kept; its gap is to the bound of the cone
//! relaxation. What is called infeasible is proved so where the certificate finds that the multipliers of the relaxation of the
//! least violation, or of the linear model's, leave no dispatch.
#![allow(clippy::print_stdout, reason = "an example talks")]

#[path = "../tests/it/disturbed.rs"]
mod disturbed;

use domain::network::matpower;
use solvers::opf::certificate::residual;
use solvers::opf::{Status, ac, dc, socp};
use std::time::{Duration, Instant};

/// What a solve may take, and what counts as not keeping to it.
const DEADLINE: Duration = Duration::from_secs(2);
const LATE: Duration = Duration::from_millis(500);

#[derive(Default)]
struct Tally {
    optimal: u32,
    infeasible: u32,
    proved: u32,
    inaccurate: Vec<u64>,
    out_of_time: Vec<u64>,
    late: Vec<u64>,
    unproved: Vec<u64>,
    broken: Vec<u64>,
    worst_residual: f64,
    gaps: Vec<f64>,
    unbounded: u32,
    iterations: u64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let days = arguments.next().unwrap_or_default();
    let (from, to) = days.split_once("..").ok_or("usage: disturbed FROM..TO FILE…")?;
    let days: std::ops::Range<u64> = from.parse()?..to.parse()?;
    for file in arguments {
        let name = file.rsplit('/').next().unwrap_or(&file).trim_end_matches(".m").to_owned();
        let (network, _) = matpower::read(&std::fs::read_to_string(&file)?).map_err(|p| format!("{name}: {p:?}"))?;
        let (mut ac, mut linear) = (Tally::default(), Tally::default());
        for seed in days.clone() {
            let network = disturbed::disturbed(&network, seed);
            let begin = Instant::now();
            let left = || DEADLINE.saturating_sub(begin.elapsed());
            let mut answer = ac::solve(&network, &left);
            let took = begin.elapsed();
            let relaxed = socp::solve(&network, &|| Duration::from_secs(60)).answer;
            if answer.status == Status::Optimal {
                answer.lower_bound = relaxed.lower_bound;
                let residual = residual(&network, &answer);
                ac.worst_residual = ac.worst_residual.max(residual);
                let broken = residual > ac::FEASIBLE || relaxed.status == Status::Infeasible;
                if broken || answer.objective.zip(answer.lower_bound).is_some_and(|(o, b)| b > o + 1e-7 * o.abs()) {
                    ac.broken.push(seed);
                }
            }
            let proved =
                answer.status != Status::Optimal && socp::violation(&network, &|| Duration::from_secs(60)).is_some();
            if answer.status != Status::Optimal && !proved {
                keep(&name, seed, &network)?;
            }
            ac.count(seed, &answer, proved, took);
            let begin = Instant::now();
            let left = || DEADLINE.saturating_sub(begin.elapsed());
            let answer = dc::solve(&network, &left);
            linear.count(seed, &answer, answer.proved, begin.elapsed());
        }
        ac.told(&format!("{name} ac"));
        linear.told(&format!("{name} dc"));
    }
    Ok(())
}

/// Writes what is neither solved nor proved infeasible as what is left of the case, for another solver to try: `KEEP=FOLDER`.
fn keep(name: &str, seed: u64, network: &domain::network::Network) -> std::io::Result<()> {
    let Some(folder) = std::env::var_os("KEEP") else { return Ok(()) };
    let demand: Vec<_> = network.buses.iter().map(|bus| [bus.demand_mw, bus.demand_mvar]).collect();
    let branches: Vec<_> = network.branches.iter().map(|branch| branch.in_service).collect();
    let generators: Vec<_> = network.generators.iter().map(|unit| unit.in_service).collect();
    let day = serde_json::json!({ "case": name, "demand": demand, "branches": branches, "generators": generators });
    std::fs::write(std::path::Path::new(&folder).join(format!("{name}-{seed}.json")), day.to_string())
}

impl Tally {
    fn count(&mut self, seed: u64, answer: &solvers::opf::Answer, proved: bool, took: Duration) {
        self.iterations += u64::from(answer.iterations);
        if took > DEADLINE + LATE {
            self.late.push(seed);
        }
        match answer.status {
            Status::Optimal => {
                self.optimal += 1;
                match answer.gap() {
                    Some(gap) => self.gaps.push(gap),
                    None => self.unbounded += 1,
                }
            }
            Status::Infeasible if proved => (self.infeasible, self.proved) = (self.infeasible + 1, self.proved + 1),
            Status::Infeasible => {
                self.infeasible += 1;
                self.unproved.push(seed);
            }
            Status::OutOfTime => self.out_of_time.push(seed),
            Status::Inaccurate | Status::Refused => self.inaccurate.push(seed),
        }
    }

    fn told(&mut self, name: &str) {
        self.gaps.sort_by(f64::total_cmp);
        let (median, worst) = (self.gaps.get(self.gaps.len() / 2), self.gaps.last());
        println!(
            "{name}: {} optimal, {} infeasible ({} proved), {} inaccurate, {} out of time, {} late, {} broken; gap {:.1e} (median) to {:.1e}, {} without a bound; residual to {:.1e}; {} iterations",
            self.optimal,
            self.infeasible,
            self.proved,
            self.inaccurate.len(),
            self.out_of_time.len(),
            self.late.len(),
            self.broken.len(),
            median.unwrap_or(&f64::NAN),
            worst.unwrap_or(&f64::NAN),
            self.unbounded,
            self.worst_residual,
            self.iterations,
        );
        for (what, seeds) in [
            ("inaccurate", &self.inaccurate),
            ("out of time", &self.out_of_time),
            ("late", &self.late),
            ("broken", &self.broken),
            ("infeasible, not proved", &self.unproved),
        ] {
            if !seeds.is_empty() {
                println!("  {what}: {:?}", &seeds[..seeds.len().min(20)]);
            }
        }
    }
}
