//! From a draft to a network: everything that contradicts itself, by name and line.

use super::draft::FINITE;
use super::{Branch, Bus, BusKind, Cost, Draft, Generator, Network, Placed, Problem};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How many buses or branches a message names before it only counts.
const NAMED: usize = 8;

pub fn check(draft: Draft) -> Result<(Network, Vec<Problem>), Vec<Problem>> {
    let mut problems = Vec::new();
    if !(draft.base_mva.is_finite() && draft.base_mva > 0.0) {
        let what = format!("is {}: write the base of the per-unit system in MVA, such as 100", draft.base_mva);
        problems.push(Problem::new(draft.base_line, "baseMVA", what));
    }
    if draft.buses.is_empty() {
        problems.push(Problem::new(0, "", "there is no bus: a network needs at least one"));
    }
    let mut places: BTreeMap<u32, usize> = BTreeMap::new();
    for (place, Placed { line, what: bus }) in draft.buses.iter().enumerate() {
        let first = *places.entry(bus.number).or_insert(place);
        if first != place {
            let what = format!("stands on line {} already: give every bus its own number", draft.buses[first].line);
            problems.push(Problem::new(*line, format!("bus {}", bus.number), what));
        }
        check_bus(*line, bus, &mut problems);
    }
    let branches: Vec<Branch> =
        draft.branches.iter().filter_map(|placed| check_branch(placed, &places, &mut problems)).collect();
    let generators: Vec<Generator> =
        draft.generators.iter().filter_map(|placed| check_generator(placed, &places, &mut problems)).collect();
    let lines: Vec<usize> = draft.buses.iter().map(|bus| bus.line).collect();
    let buses = draft.buses.into_iter().map(|placed| placed.what).collect();
    let network = Network { name: draft.name, base_mva: draft.base_mva, buses, branches, generators };
    let mut notes = Vec::new();
    // Only what is known to hang together can be said to fall apart.
    if problems.is_empty() {
        check_islands(&network, &lines, &mut problems, &mut notes);
    }
    if problems.is_empty() {
        Ok((network, notes))
    } else {
        problems.sort();
        Err(problems)
    }
}

/// A list of quantities that must be numbers, and finite ones.
fn finite(line: usize, field: &str, values: &[(&str, f64)], problems: &mut Vec<Problem>) -> bool {
    let bad: Vec<String> =
        values.iter().filter(|(_, v)| !v.is_finite()).map(|(name, v)| format!("{name} is {v}")).collect();
    if !bad.is_empty() {
        problems.push(Problem::new(line, field, format!("{}: {FINITE}", bad.join(", "))));
    }
    bad.is_empty()
}

/// A pair of limits in order. They may be infinite outward, never inward.
fn ordered(line: usize, field: &str, names: (&str, &str), limits: (f64, f64), problems: &mut Vec<Problem>) {
    let (low, high) = limits;
    if low.is_nan() || high.is_nan() || low == f64::INFINITY || high == f64::NEG_INFINITY {
        let what = format!("{} is {low}, {} is {high}: write numbers, -Inf and Inf for none", names.0, names.1);
        problems.push(Problem::new(line, field, what));
    } else if low > high {
        let what = format!("{} {low} is above {} {high}: exchange or mend them", names.0, names.1);
        problems.push(Problem::new(line, field, what));
    }
}

fn check_bus(line: usize, bus: &Bus, problems: &mut Vec<Problem>) {
    let field = format!("bus {}", bus.number);
    let values = [
        ("Pd", bus.demand_mw),
        ("Qd", bus.demand_mvar),
        ("Gs", bus.shunt_mw),
        ("Bs", bus.shunt_mvar),
        ("Vm", bus.vm_pu),
        ("Va", bus.va_deg),
        ("baseKV", bus.base_kv),
    ];
    finite(line, &field, &values, problems);
    ordered(line, &field, ("Vmin", "Vmax"), (bus.vmin_pu, bus.vmax_pu), problems);
    if bus.vmin_pu < 0.0 || bus.vmax_pu <= 0.0 {
        let what = format!("Vmin {}, Vmax {}: a voltage magnitude is above 0", bus.vmin_pu, bus.vmax_pu);
        problems.push(Problem::new(line, field, what));
    }
}

fn place_of(
    number: u32,
    line: usize,
    field: &str,
    end: &str,
    places: &BTreeMap<u32, usize>,
    problems: &mut Vec<Problem>,
) -> Option<usize> {
    let place = places.get(&number).copied();
    if place.is_none() {
        let what = format!("{end} bus {number}, which does not exist: add it to the buses or mend the number");
        problems.push(Problem::new(line, field, what));
    }
    place
}

fn check_branch(
    placed: &Placed<Branch<u32>>,
    places: &BTreeMap<u32, usize>,
    problems: &mut Vec<Problem>,
) -> Option<Branch> {
    let Placed { line, what: b } = placed;
    let field = format!("branch {}-{}", b.from, b.to);
    let from = place_of(b.from, *line, &field, "begins at", places, problems);
    let to = place_of(b.to, *line, &field, "ends at", places, problems);
    if b.from == b.to {
        problems.push(Problem::new(*line, &field, "begins and ends at the same bus: mend or remove it"));
    }
    let values = [("r", b.r_pu), ("x", b.x_pu), ("b", b.b_pu), ("ratio", b.tap), ("angle", b.shift_deg)];
    if finite(*line, &field, &values, problems) {
        if b.in_service && b.r_pu == 0.0 && b.x_pu == 0.0 {
            let what = "has neither resistance nor reactance: join its buses, or give it a small reactance";
            problems.push(Problem::new(*line, &field, what));
        }
        if b.tap <= 0.0 {
            problems.push(Problem::new(*line, &field, format!("ratio is {}: a turns ratio is above 0", b.tap)));
        }
    }
    if let Some(rate) = b.rate_mva
        && (rate.is_nan() || rate <= 0.0)
    {
        let what = format!("rateA is {rate}: write the rating in MVA, 0 for none");
        problems.push(Problem::new(*line, &field, what));
    }
    let angles = (b.angle_min_deg.unwrap_or(f64::NEG_INFINITY), b.angle_max_deg.unwrap_or(f64::INFINITY));
    ordered(*line, &field, ("angmin", "angmax"), angles, problems);
    Some(Branch {
        from: from?,
        to: to?,
        r_pu: b.r_pu,
        x_pu: b.x_pu,
        b_pu: b.b_pu,
        rate_mva: b.rate_mva.filter(|rate| rate.is_finite()),
        tap: b.tap,
        shift_deg: b.shift_deg,
        in_service: b.in_service,
        angle_min_deg: b.angle_min_deg,
        angle_max_deg: b.angle_max_deg,
    })
}

fn check_generator(
    placed: &Placed<Generator<u32>>,
    places: &BTreeMap<u32, usize>,
    problems: &mut Vec<Problem>,
) -> Option<Generator> {
    let Placed { line, what: g } = placed;
    let field = format!("generator at bus {}", g.bus);
    let bus = place_of(g.bus, *line, &field, "stands at", places, problems);
    if g.in_service {
        finite(*line, &field, &[("Pg", g.p_mw), ("Qg", g.q_mvar), ("Vg", g.v_pu)], problems);
        ordered(*line, &field, ("Pmin", "Pmax"), (g.p_min_mw, g.p_max_mw), problems);
        ordered(*line, &field, ("Qmin", "Qmax"), (g.q_min_mvar, g.q_max_mvar), problems);
        if g.v_pu <= 0.0 {
            problems.push(Problem::new(*line, &field, format!("Vg is {}: a voltage is above 0, such as 1", g.v_pu)));
        }
        check_cost(*line, &field, "cost", &g.cost, problems);
        if let Some(cost) = &g.reactive_cost {
            check_cost(*line, &field, "reactive cost", cost, problems);
        }
    }
    let g = g.clone();
    Some(Generator {
        bus: bus?,
        p_mw: g.p_mw,
        q_mvar: g.q_mvar,
        p_min_mw: g.p_min_mw,
        p_max_mw: g.p_max_mw,
        q_min_mvar: g.q_min_mvar,
        q_max_mvar: g.q_max_mvar,
        v_pu: g.v_pu,
        in_service: g.in_service,
        cost: g.cost,
        reactive_cost: g.reactive_cost,
    })
}

fn check_cost(line: usize, field: &str, name: &str, cost: &Cost, problems: &mut Vec<Problem>) {
    let what = match cost {
        Cost::Polynomial(c) if c.iter().all(|c| c.is_finite()) => return,
        Cost::Piecewise(p) if p.iter().any(|(x, y)| !(x.is_finite() && y.is_finite())) => {
            format!("{name} has points that are no finite numbers")
        }
        Cost::Polynomial(_) => format!("{name} has coefficients that are no finite numbers"),
        Cost::Piecewise(p) if p.len() < 2 => format!("{name} has {} points: give at least two", p.len()),
        Cost::Piecewise(p) => match p.windows(2).find(|w| w[1].0 <= w[0].0) {
            None => return,
            Some(w) => {
                format!("{name} goes from {} MW to {} MW: order its points by rising power", w[0].0, w[1].0)
            }
        },
    };
    problems.push(Problem::new(line, field, what));
}

fn check_islands(network: &Network, lines: &[usize], problems: &mut Vec<Problem>, notes: &mut Vec<Problem>) {
    let islands = network.islands();
    let numbers = |buses: &[usize]| {
        let mut text = String::new();
        for (i, bus) in buses.iter().take(NAMED).enumerate() {
            let _ = write!(text, "{}{}", if i == 0 { "" } else { ", " }, network.buses[*bus].number);
        }
        if buses.len() > NAMED {
            let _ = write!(text, " and {} more", buses.len() - NAMED);
        }
        text
    };
    let live = (0..network.buses.len()).filter(|bus| network.is_live(*bus));
    let references: Vec<usize> = live.clone().filter(|bus| network.buses[*bus].kind == BusKind::Reference).collect();
    if references.is_empty() {
        let what = "there is no reference bus: give one bus with a generator type 3";
        problems.push(Problem::new(0, "", what));
    }
    let mut members = vec![Vec::new(); islands.reference.len()];
    for bus in live.clone().filter(|bus| islands.of[*bus] != super::DARK) {
        members[islands.of[bus]].push(bus);
    }
    for (island, (reference, buses)) in islands.reference.iter().zip(&members).enumerate() {
        let own: Vec<usize> =
            buses.iter().copied().filter(|bus| network.buses[*bus].kind == BusKind::Reference).collect();
        if own.len() > 1 {
            let what = format!(
                "is connected to other reference buses ({}): keep one of type 3 and make the others type 2",
                numbers(&own)
            );
            problems.push(Problem::new(lines[own[1]], format!("bus {}", network.buses[own[1]].number), what));
        }
        if !islands.fed[island] {
            let demand: f64 = buses.iter().map(|bus| network.buses[*bus].demand_mw).sum();
            let what = format!(
                "no generator in service reaches bus{} {} ({demand} MW): put one in service, connect them, or make them type 4",
                if buses.len() == 1 { "" } else { "es" },
                numbers(buses)
            );
            problems.push(Problem::new(lines[buses[0]], "", what));
        } else if own.is_empty() && !references.is_empty() {
            let what = format!(
                "an island of {} buses ({}) has no reference bus: bus {} with the most capacity is taken",
                buses.len(),
                numbers(buses),
                network.buses[*reference].number
            );
            notes.push(Problem::new(lines[*reference], "", what));
        }
    }
    let dark: Vec<usize> = live.filter(|bus| islands.of[*bus] == super::DARK).collect();
    if !dark.is_empty() {
        let what = format!("{} buses ({}) hang on nothing that feeds or takes: left out", dark.len(), numbers(&dark));
        notes.push(Problem::new(lines[dark[0]], "", what));
    }
    let mut held = vec![false; network.buses.len()];
    for (k, g) in network.generators.iter().enumerate() {
        held[g.bus] |= network.runs(k);
    }
    let idle: Vec<usize> =
        (0..network.buses.len()).filter(|b| network.buses[*b].kind == BusKind::Generator && !held[*b]).collect();
    if !idle.is_empty() {
        let what = format!(
            "{} buses of type 2 ({}) have no generator in service: taken as type 1",
            idle.len(),
            numbers(&idle)
        );
        notes.push(Problem::new(lines[idle[0]], "", what));
    }
    if let Some(bus) = references.iter().find(|bus| !held[**bus]) {
        let what = "is the reference but has no generator in service: it only gives the angle in an optimal power flow";
        notes.push(Problem::new(lines[*bus], format!("bus {}", network.buses[*bus].number), what));
    }
}
