//! `flow`: the voltages and flows of a network in a file.

use super::print;
use crate::cli::Flow;
use crate::failure::{Code, Failure};
use crate::network;
use domain::network::Network;
use serde_json::json;
use solvers::flow::{Newton, Outcome, Report, State};
use std::fmt::Write as _;
use std::time::Instant;

/// `flow`
pub fn flow(options: &Flow) -> Result<(), Failure> {
    let (network, notes) = network::read(&options.file)?;
    let mut newton = Newton::new(&network);
    let begin = Instant::now();
    let outcome = newton.solve(!options.no_q_limits);
    let solve_ms = begin.elapsed().as_secs_f64() * 1e3;
    let report = match &outcome {
        Outcome::Converged(state) => Some((state, state.report(&network, &newton.grid))),
        Outcome::Diverged { .. } => None,
    };
    if options.json {
        let (iterations, mismatch) = match &outcome {
            Outcome::Converged(state) => (state.iterations, state.mismatch),
            Outcome::Diverged { iterations, mismatch } => (*iterations, *mismatch),
        };
        let mut object = json!({
            "case": network.name,
            "status": if report.is_some() { "converged" } else { "diverged" },
            "iterations": iterations,
            "mismatch_pu": mismatch.is_finite().then_some(mismatch),
            "solve_ms": solve_ms,
            "notes": notes,
        });
        if let Some((_, report)) = &report {
            fill(&mut object, &network, report);
        }
        let json = serde_json::to_string(&object).map_err(|e| Failure::new(Code::Internal, e))?;
        return print(&format!("{json}\n"));
    }
    notes.iter().for_each(|note| eprintln!("{note}"));
    match &report {
        Some((state, report)) => print(&told(&network, state, report, solve_ms)),
        None => {
            print(&format!("{}: no voltages were found: it may be loaded beyond what it can carry\n", network.name))
        }
    }
}

fn fill(object: &mut serde_json::Value, network: &Network, report: &Report) {
    let number = |bus: usize| network.buses[bus].number;
    let buses = report.buses.iter().zip(&network.buses);
    object["buses"] = buses.map(|(v, bus)| json!({ "id": bus.number, "vm_pu": v.0, "va_deg": v.1 })).collect();
    let generators = report.generators.iter().zip(&network.generators);
    object["generators"] =
        generators.map(|(s, g)| json!({ "bus": number(g.bus), "p_mw": s.0, "q_mvar": s.1 })).collect();
    let branches = report.branches.iter().zip(&network.branches).map(|([from, to], b)| {
        json!({
            "from": number(b.from),
            "to": number(b.to),
            "p_from_mw": from.0,
            "q_from_mvar": from.1,
            "p_to_mw": to.0,
            "q_to_mvar": to.1,
            "limit_mva": b.rate_mva,
        })
    });
    object["branches"] = branches.collect();
    object["losses_mw"] = json!(report.losses_mw);
}

fn told(network: &Network, state: &State, report: &Report, solve_ms: f64) -> String {
    let limited = state.limited.iter().filter(|limited| **limited).count();
    let mut text = format!(
        "{}: {} iterations, {solve_ms:.3} ms; losses {:.6} MW; {limited} buses at a limit of reactive power\n",
        network.name, state.iterations, report.losses_mw
    );
    let name = |bus: usize| network.buses[bus].shown();
    let _ = writeln!(text, "\n{:>12} {:>9} {:>10}", "bus", "V p.u.", "angle °");
    for (k, (vm, va)) in report.buses.iter().enumerate() {
        let _ = writeln!(text, "{:>12} {vm:>9.5} {va:>10.4}", name(k));
    }
    let _ = writeln!(text, "\n{:>12} {:>12} {:>12} {:>12} {:>9}", "from", "to", "MW", "Mvar", "load %");
    for ([from, to], b) in report.branches.iter().zip(&network.branches) {
        let flow = from.0.hypot(from.1).max(to.0.hypot(to.1));
        let load = b.rate_mva.map_or_else(|| "-".to_owned(), |rate| format!("{:.1}", 100.0 * flow / rate));
        let _ = writeln!(text, "{:>12} {:>12} {:>12.5} {:>12.5} {load:>9}", name(b.from), name(b.to), from.0, from.1);
    }
    text
}
