//! `opf`: the cheapest dispatch of a network in a file.

use super::print;
use crate::cli::Opf;
use crate::failure::{Code, Failure};
use crate::network;
use domain::network::Network;
use serde_json::{Value, json};
use solvers::opf::{Answer, Binding, Limit, Status, Violation, ac, dc, socp};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Solves once more, from where the last solve ended; it is told how much time is left.
type Solve<'n> = Box<dyn FnMut(&dyn Fn() -> Duration) -> Answer + 'n>;

/// How a network is solved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Ac,
    Dc,
    Socp,
}

impl Method {
    fn of(options: &Opf) -> Self {
        match (options.dc, options.socp) {
            (true, _) => Self::Dc,
            (_, true) => Self::Socp,
            // Asked for or not.
            _ => Self::Ac,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ac => "ac",
            Self::Dc => "dc",
            Self::Socp => "socp",
        }
    }

    /// Something that solves a network again and again, from where it ended before.
    fn solver<'n>(self, network: &'n Network) -> Solve<'n> {
        match self {
            Self::Ac => {
                let mut solver = ac::Solver::new(network);
                Box::new(move |left| solver.solve(left))
            }
            Self::Socp => Box::new(|left| socp::solve(network, left).answer),
            Self::Dc => {
                let mut solver = dc::Solver::new(network);
                Box::new(move |left| solver.solve(left))
            }
        }
    }
}

/// `opf`
pub fn opf(options: &Opf) -> Result<(), Failure> {
    let (network, notes) = network::read(&options.file)?;
    let method = Method::of(options);
    let (mut answer, solve_ms, begun) = solve(method, &network, options);
    if method == Method::Ac && answer.status == Status::Optimal && answer.lower_bound.is_none() {
        // A proof of how good the answer is takes longer than the answer; it has what that left of the deadline, and is
        // not part of `solve_ms`.
        answer.lower_bound = socp::bound(&network, &|| options.deadline.saturating_sub(begun.elapsed()));
    }
    if method == Method::Ac && answer.status == Status::Infeasible {
        answer.proved = socp::violation(&network, &|| options.deadline.saturating_sub(begun.elapsed())).is_some();
    }
    if options.json {
        let value = object(&network, &notes, method, &answer, solve_ms);
        let json = serde_json::to_string(&value).map_err(|e| Failure::new(Code::Internal, e))?;
        return print(&format!("{json}\n"));
    }
    notes.iter().for_each(|note| eprintln!("{note}"));
    print(&told(&network, method, &answer, solve_ms))
}

/// The last answer, the median time of the warm solves, or of the only one, in milliseconds, and when the last began.
fn solve(method: Method, network: &Network, options: &Opf) -> (Answer, f64, Instant) {
    let timed = |solver: &mut dyn FnMut(&dyn Fn() -> Duration) -> Answer| {
        let begin = Instant::now();
        let answer = solver(&|| options.deadline.saturating_sub(begin.elapsed()));
        (answer, begin.elapsed().as_secs_f64() * 1e3, begin)
    };
    let begin = Instant::now();
    let mut solver = method.solver(network);
    let laid_out = begin.elapsed().as_secs_f64() * 1e3;
    let (mut answer, cold, mut begun) = timed(&mut solver);
    let Some(repeat) = options.repeat else { return (answer, laid_out + cold, begun) };
    let mut times = Vec::new();
    for _ in 0..repeat {
        let (next, ms, begin) = timed(&mut solver);
        (answer, begun) = (next, begin);
        times.push(ms);
    }
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    (answer, median, begun)
}

fn object(network: &Network, notes: &[String], method: Method, answer: &Answer, solve_ms: f64) -> Value {
    let number = |bus: usize| network.buses[bus].number;
    let buses = answer.buses.iter().zip(&network.buses).map(|(a, bus)| {
        let mut object = json!({ "id": bus.number, "vm_pu": a.vm_pu, "va_deg": a.va_deg, "price_p": a.price_p });
        if let Some(price) = a.price_q {
            object["price_q"] = json!(price);
        }
        if let Some(name) = &bus.name {
            object["name"] = json!(name);
        }
        object
    });
    let generators = answer.generators.iter().zip(&network.generators);
    let generators = generators.map(|(a, g)| json!({ "bus": number(g.bus), "p_mw": a.p_mw, "q_mvar": a.q_mvar }));
    let branches = answer.branches.iter().zip(&network.branches).map(|(a, b)| {
        json!({
            "from": number(b.from),
            "to": number(b.to),
            "p_from_mw": a.p_from_mw,
            "q_from_mvar": a.q_from_mvar,
            "p_to_mw": a.p_to_mw,
            "q_to_mvar": a.q_to_mvar,
            "limit_mva": b.rate_mva,
            "binding": a.binding,
            "price": a.price,
        })
    });
    let violations = answer.violations.iter().map(|v| json!({ "what": sentence(network, v), "by": v.by }));
    json!({
        "case": network.name,
        "method": method.name(),
        "status": answer.status,
        "reason": answer.reason,
        "proved": (answer.status == Status::Infeasible).then_some(answer.proved),
        "objective": answer.objective,
        "lower_bound": answer.lower_bound,
        "gap": answer.gap(),
        "iterations": answer.iterations,
        "solve_ms": solve_ms,
        "buses": buses.collect::<Vec<_>>(),
        "generators": generators.collect::<Vec<_>>(),
        "branches": branches.collect::<Vec<_>>(),
        "violations": violations.collect::<Vec<_>>(),
        "notes": notes,
    })
}

fn bus_name(network: &Network, bus: usize) -> String {
    network.buses[bus].shown()
}

fn sentence(network: &Network, violation: &Violation) -> String {
    let by = violation.by;
    let bus = |bus: usize| format!("bus {}", bus_name(network, bus));
    let branch = |branch: usize| {
        let b = &network.branches[branch];
        format!("branch {} from bus {} to bus {}", branch + 1, bus_name(network, b.from), bus_name(network, b.to))
    };
    match violation.limit {
        Limit::Demand(k) => format!("{} lacks {by:.6} MW for its demand", bus(k)),
        Limit::Surplus(k) => format!("{} has {by:.6} MW that nobody can take", bus(k)),
        Limit::Reactive(k) => format!("{} is {by:.6} Mvar out of balance", bus(k)),
        Limit::Rating(k) => format!("{} is {by:.6} MVA above its rating", branch(k)),
        Limit::Angle(k) => format!("{} is {by:.6} degrees beyond its limit of angles", branch(k)),
        Limit::Voltage(k) => format!("{} is {by:.6} p.u. outside its limits of voltage", bus(k)),
    }
}

fn told(network: &Network, method: Method, answer: &Answer, solve_ms: f64) -> String {
    let status = match answer.status {
        Status::Optimal => "optimal",
        Status::Infeasible if answer.proved => "infeasible: no dispatch keeps all limits, as checked multipliers prove",
        Status::Infeasible => "infeasible: no dispatch nearby keeps all limits; that is no proof",
        Status::OutOfTime => "out of time",
        Status::Inaccurate => "inaccurate: no answer passed the check",
        Status::Refused => "refused",
    };
    let mut text = format!("{} by {}: {status}", network.name, method.name());
    if let Some(reason) = &answer.reason {
        let _ = write!(text, ": {reason}");
    }
    let _ = writeln!(text, " ({} iterations, {solve_ms:.3} ms)", answer.iterations);
    if let Some(objective) = answer.objective {
        let _ = write!(text, "cost {objective:.4} an hour");
        if let (Some(bound), Some(gap)) = (answer.lower_bound, answer.gap()) {
            let _ = write!(text, ", at least {bound:.4} (gap {gap:.1e})");
        }
        text.push('\n');
    }
    for violation in &answer.violations {
        let _ = writeln!(text, "  {}", sentence(network, violation));
    }
    if answer.buses.is_empty() {
        return text;
    }
    let _ = writeln!(text, "\n{:>12} {:>9} {:>10} {:>14}", "bus", "V p.u.", "angle °", "price a MWh");
    for (k, a) in answer.buses.iter().enumerate() {
        let price = a.price_p.map_or_else(|| "-".to_owned(), |p| format!("{p:.4}"));
        let _ = writeln!(text, "{:>12} {:>9.5} {:>10.4} {price:>14}", bus_name(network, k), a.vm_pu, a.va_deg);
    }
    let _ = writeln!(text, "\n{:>12} {:>12} {:>12}   of", "generator at", "MW", "Mvar");
    for (a, g) in answer.generators.iter().zip(&network.generators) {
        let reactive = a.q_mvar.map_or_else(|| "-".to_owned(), |q| format!("{q:.4}"));
        let limits =
            if g.in_service { format!("{} to {}", g.p_min_mw, g.p_max_mw) } else { "out of service".to_owned() };
        let _ = writeln!(text, "{:>12} {:>12.4} {reactive:>12}   {limits}", bus_name(network, g.bus), a.p_mw);
    }
    let _ = writeln!(text, "\n{:>12} {:>12} {:>12} {:>12}", "from", "to", "MW", "limit MVA");
    for (a, b) in answer.branches.iter().zip(&network.branches) {
        let limit = b.rate_mva.map_or_else(|| "-".to_owned(), |rate| format!("{rate}"));
        let (from, to) = (bus_name(network, b.from), bus_name(network, b.to));
        let _ = write!(text, "{from:>12} {to:>12} {:>12.4} {limit:>12}", a.p_from_mw);
        match a.binding {
            Some(Binding::Rating) => writeln!(text, "   binds: one more MVA saves {:.4} an hour", a.price),
            Some(Binding::Angle) => writeln!(text, "   binds: one more degree saves {:.4} an hour", a.price),
            None => writeln!(text),
        }
        .unwrap_or_default();
    }
    text
}
