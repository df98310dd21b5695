//! The second-order-cone relaxation (Jabr 2006), solved by clarabel: squares of voltages `w`, and for each branch
//! `c = V_i V_j cos θ` and `s = V_i V_j sin θ` with `c² + s² ≤ w_i w_j`. Its multipliers are those that
//! [`certificate`] wants, so that a dispatch found by any method gets a lower bound.

use super::certificate::{BranchDuals, Duals, lower_bound};
use super::{Answer, BranchAnswer, BusAnswer, GeneratorAnswer, Status};
use clarabel::algebra::CscMatrix;
use clarabel::solver::{
    DefaultSettings, DefaultSolver, IPSolver, NonnegativeConeT, SecondOrderConeT, SolverStatus, ZeroConeT,
};
use domain::network::{Cost, DARK, Network};
use std::collections::BTreeMap;
use std::time::Duration;

/// `c² + s²` this near to `w_i w_j`, relative to it, is equality.
const EXACT: f64 = 1e-5;

/// What the relaxation found.
#[derive(Clone, Debug)]
pub struct Relaxed {
    /// The dispatch. Its objective is the relaxation's: a bound, and reached where [`Relaxed::exact`].
    pub answer: Answer,
    /// Multipliers for the certificate.
    pub duals: Duals,
    /// Branches whose cone is not tight, by place.
    pub loose: Vec<usize>,
    /// Whether the network has no loops and no cone is loose: then voltages and angles follow, and the dispatch is the
    /// optimum.
    pub exact: bool,
}

/// A lower bound on what any dispatch costs, checked by the certificate; none if it was not found in time.
pub fn bound(network: &Network, left: &dyn Fn() -> Duration) -> Option<f64> {
    solve(network, left).answer.lower_bound
}

/// What balances are missed by at least, in per unit and all together, whatever is done: above 0 where the certificate
/// finds that the multipliers of the relaxation prove that no dispatch keeps all limits.
///
/// Every bus may take or leave power at a price of one for one per unit, and nothing else costs anything; a lower bound on
/// that cost is what is wanted, and any multipliers give one.
pub fn violation(network: &Network, left: &dyn Fn() -> Duration) -> Option<f64> {
    let (mut relaxed, _) = super::ac::elastic::relaxed(network);
    // The certificate wants every limit finite. Nothing is proved less by a limit on what may be taken or left.
    let most: f64 = network.buses.iter().map(|bus| bus.demand_mw.abs().max(bus.demand_mvar.abs())).sum();
    let most = most + network.base_mva;
    for unit in relaxed.generators.iter_mut().skip(network.generators.len()) {
        for limit in [&mut unit.p_min_mw, &mut unit.p_max_mw, &mut unit.q_min_mvar, &mut unit.q_max_mvar] {
            *limit = limit.clamp(-most, most);
        }
    }
    let bound = solve(&relaxed, left).answer.lower_bound?;
    (bound > PROOF).then_some(bound)
}

/// Less than this violation, in per unit, is not called one.
const PROOF: f64 = 1e-6;

/// Rows of `A x + s = b` for one cone after the other.
#[derive(Default)]
struct Rows {
    entries: Vec<(usize, usize, f64)>,
    b: Vec<f64>,
}

impl Rows {
    fn push(&mut self, b: f64, entries: &[(usize, f64)]) -> usize {
        let row = self.b.len();
        self.entries.extend(entries.iter().map(|(column, value)| (row, *column, *value)));
        self.b.push(b);
        row
    }

    fn matrix(&self, columns: usize) -> CscMatrix<f64> {
        let mut cells: BTreeMap<(usize, usize), f64> = BTreeMap::new();
        for (row, column, value) in &self.entries {
            *cells.entry((*column, *row)).or_insert(0.0) += value;
        }
        let mut begins = vec![0; columns + 1];
        cells.keys().for_each(|(column, _)| begins[column + 1] += 1);
        (0..columns).for_each(|c| begins[c + 1] += begins[c]);
        let rows = cells.keys().map(|(_, row)| *row).collect();
        CscMatrix::new(self.b.len(), columns, begins, rows, cells.values().copied().collect())
    }
}

/// Solves the relaxation. `left` says how much time there is.
pub fn solve(network: &Network, left: &dyn Fn() -> Duration) -> Relaxed {
    let nothing = |status, reason: Option<String>| Relaxed {
        answer: Answer { reason, ..Answer::empty(status) },
        duals: Duals::default(),
        loose: Vec::new(),
        exact: false,
    };
    if left().is_zero() {
        return nothing(Status::OutOfTime, None);
    }
    let base = network.base_mva;
    let islands = network.islands();
    let alive = |bus: usize| islands.of[bus] != DARK;
    let n = network.buses.len();
    let branches: Vec<usize> = (0..network.branches.len())
        .filter(|k| network.carries(*k) && alive(network.branches[*k].from) && alive(network.branches[*k].to))
        .collect();
    let units: Vec<usize> =
        (0..network.generators.len()).filter(|g| network.runs(*g) && alive(network.generators[*g].bus)).collect();
    let (c_at, s_at) = (|k: usize| n + 2 * k, |k: usize| n + 2 * k + 1);
    let p_at = |g: usize| n + 2 * branches.len() + 2 * g;
    let mut columns = n + 2 * branches.len() + 2 * units.len();

    // Costs are scaled so that the steepest is of the order of the other numbers.
    let slope = |cost: &Cost, low: f64, high: f64| match cost {
        Cost::Polynomial(c) => {
            let at = if low.is_finite() && high.is_finite() { low.abs().max(high.abs()) } else { 0.0 };
            c.get(1).map_or(0.0, |c| c.abs()) + 2.0 * at * c.get(2).map_or(0.0, |c| c.abs())
        }
        Cost::Piecewise(p) => p.windows(2).fold(0.0, |m: f64, w| m.max(((w[1].1 - w[0].1) / (w[1].0 - w[0].0)).abs())),
    };
    let steepest = units.iter().map(|g| &network.generators[*g]).fold(0.0_f64, |most, g| {
        let q = g.reactive_cost.as_ref().map_or(0.0, |cost| slope(cost, g.q_min_mvar, g.q_max_mvar));
        most.max(slope(&g.cost, g.p_min_mw, g.p_max_mw) * base).max(q * base)
    });
    let scale = if steepest > 0.0 { 10.0 / steepest } else { 1.0 };

    let mut balance: Vec<[Vec<(usize, f64)>; 2]> = vec![[Vec::new(), Vec::new()]; n];
    let (mut equal, mut limits, mut cones, mut sizes) = (Rows::default(), Rows::default(), Rows::default(), Vec::new());
    for (place, bus) in network.buses.iter().enumerate() {
        if !alive(place) {
            equal.push(0.0, &[(place, 1.0)]);
            continue;
        }
        balance[place][0].push((place, bus.shunt_mw / base));
        balance[place][1].push((place, -bus.shunt_mvar / base));
        limits.push(bus.vmax_pu * bus.vmax_pu, &[(place, 1.0)]);
        limits.push(-bus.vmin_pu * bus.vmin_pu, &[(place, -1.0)]);
    }
    let mut angle_rows = vec![[None; 2]; branches.len()];
    let (mut cone_rows, mut flows) = (Vec::new(), Vec::new());
    let mut rating_rows = vec![None; branches.len()];
    for (k, &place) in branches.iter().enumerate() {
        let b = &network.branches[place];
        let square = b.r_pu * b.r_pu + b.x_pu * b.x_pu;
        let (g, s) = (b.r_pu / square, -b.x_pu / square);
        let (sin, cos) = libm::sincos(b.shift_deg.to_radians());
        let own = s + b.b_pu / 2.0;
        let (gft, bft) = ((s * sin - g * cos) / b.tap, -(s * cos + g * sin) / b.tap);
        let (gtf, btf) = (-(s * sin + g * cos) / b.tap, (g * sin - s * cos) / b.tap);
        let (f, t) = (b.from, b.to);
        let p_from = [(f, g / (b.tap * b.tap)), (c_at(k), gft), (s_at(k), bft)];
        let q_from = [(f, -own / (b.tap * b.tap)), (c_at(k), -bft), (s_at(k), gft)];
        let p_to = [(t, g), (c_at(k), gtf), (s_at(k), -btf)];
        let q_to = [(t, -own), (c_at(k), -btf), (s_at(k), -gtf)];
        flows.push((place, [p_from, q_from, p_to, q_to]));
        balance[f][0].extend(p_from);
        balance[f][1].extend(q_from);
        balance[t][0].extend(p_to);
        balance[t][1].extend(q_to);
        for (side, limit, sign) in [(0, b.angle_min_deg, -1.0), (1, b.angle_max_deg, 1.0)] {
            if let Some(limit) = limit.filter(|l| l.abs() < 89.0) {
                let row = [(s_at(k), sign), (c_at(k), -sign * libm::tan(limit.to_radians()))];
                angle_rows[k][side] = Some(limits.push(0.0, &row));
            }
        }
        cone_rows.push(cones.push(0.0, &[(f, -1.0), (t, -1.0)]));
        cones.push(0.0, &[(c_at(k), -2.0)]);
        cones.push(0.0, &[(s_at(k), -2.0)]);
        cones.push(0.0, &[(f, -1.0), (t, 1.0)]);
        sizes.push(4);
        if let Some(rate) = b.rate_mva {
            let minus = |row: [(usize, f64); 3]| row.map(|(column, value)| (column, -value));
            let first = cones.push(rate / base, &[]);
            cones.push(0.0, &minus(p_from));
            cones.push(0.0, &minus(q_from));
            cones.push(rate / base, &[]);
            cones.push(0.0, &minus(p_to));
            cones.push(0.0, &minus(q_to));
            sizes.extend([3, 3]);
            rating_rows[k] = Some(first);
        }
    }
    let (mut quadratic, mut linear) = (vec![0.0; columns], vec![0.0; columns]);
    let free = Cost::Polynomial(Vec::new());
    for (g, &place) in units.iter().enumerate() {
        let unit = &network.generators[place];
        let sides = [
            (&unit.cost, unit.p_min_mw, unit.p_max_mw),
            (unit.reactive_cost.as_ref().unwrap_or(&free), unit.q_min_mvar, unit.q_max_mvar),
        ];
        for (side, (cost, low, high)) in sides.into_iter().enumerate() {
            let at = p_at(g) + side;
            balance[unit.bus][side].push((at, -1.0));
            if high.is_finite() {
                limits.push(high / base, &[(at, 1.0)]);
            }
            if low.is_finite() {
                limits.push(-low / base, &[(at, -1.0)]);
            }
            match cost {
                Cost::Polynomial(c) if c.iter().skip(3).all(|c| *c == 0.0) && c.get(2).is_none_or(|c| *c >= 0.0) => {
                    linear[at] = c.get(1).map_or(0.0, |c| c * base * scale);
                    quadratic[at] = c.get(2).map_or(0.0, |c| 2.0 * c * base * base * scale);
                }
                Cost::Piecewise(points) if cost.is_convex(low, high) => {
                    let epigraph = columns;
                    columns += 1;
                    linear.push(1.0);
                    quadratic.push(0.0);
                    for w in points.windows(2) {
                        let slope = (w[1].1 - w[0].1) / (w[1].0 - w[0].0);
                        let constant = (w[0].1 - slope * w[0].0) * scale;
                        limits.push(-constant, &[(at, slope * base * scale), (epigraph, -1.0)]);
                    }
                }
                _ => {
                    let number = network.buses[unit.bus].number;
                    let reason = format!(
                        "the cost of the generator at bus {number} is neither convex quadratic nor convex piecewise linear: use --ac"
                    );
                    return nothing(Status::Refused, Some(reason));
                }
            }
        }
    }
    let mut price_rows = vec![None; n];
    for (place, [p, q]) in balance.iter().enumerate().filter(|(place, _)| alive(*place)) {
        let bus = &network.buses[place];
        price_rows[place] = Some(equal.push(-bus.demand_mw / base, p));
        equal.push(-bus.demand_mvar / base, q);
    }
    let (first_limit, first_cone) = (equal.b.len(), equal.b.len() + limits.b.len());
    let mut all = equal;
    all.entries.extend(limits.entries.iter().map(|(r, c, v)| (r + first_limit, *c, *v)));
    all.b.extend(&limits.b);
    all.entries.extend(cones.entries.iter().map(|(r, c, v)| (r + first_cone, *c, *v)));
    all.b.extend(&cones.b);
    let mut kinds = vec![ZeroConeT(first_limit), NonnegativeConeT(limits.b.len())];
    kinds.extend(sizes.into_iter().map(SecondOrderConeT));
    let p = CscMatrix::new(columns, columns, (0..=columns).collect(), (0..columns).collect(), quadratic);
    let settings = DefaultSettings { verbose: false, time_limit: left().as_secs_f64(), ..DefaultSettings::default() };
    let Ok(mut solver) = DefaultSolver::new(&p, &linear, &all.matrix(columns), &all.b, &kinds, settings) else {
        return nothing(Status::Inaccurate, None);
    };
    solver.solve();
    let (x, z) = (&solver.solution.x, &solver.solution.z);
    let status = match solver.solution.status {
        SolverStatus::Solved | SolverStatus::AlmostSolved => Status::Optimal,
        SolverStatus::PrimalInfeasible => return nothing(Status::Infeasible, None),
        SolverStatus::MaxTime => return nothing(Status::OutOfTime, None),
        _ => Status::Inaccurate,
    };

    let mut duals = Duals { prices: vec![[0.0; 2]; n], branches: vec![BranchDuals::default(); network.branches.len()] };
    for (price, row) in duals.prices.iter_mut().zip(&price_rows) {
        if let Some(row) = row {
            *price = [z[*row] / scale, z[row + 1] / scale];
        }
    }
    let mut loose = Vec::new();
    for (k, &place) in branches.iter().enumerate() {
        let own = &mut duals.branches[place];
        let cone = &z[first_cone + cone_rows[k]..][..4];
        let share = (cone[0] + cone[3]) / (cone[0] - cone[3]);
        let b = &network.branches[place];
        let even = (x[b.to] / x[b.from]).sqrt();
        // A share of nothing by nothing says nothing; equal voltages do.
        own.t = if share.is_finite() && share > 1e-12 { share.sqrt() } else { even.clamp(0.1, 10.0) };
        if let Some(row) = rating_rows[k] {
            let u = |at: usize| [-z[first_cone + at + 1] / scale, -z[first_cone + at + 2] / scale];
            (own.from, own.to) = (u(row), u(row + 3));
        }
        own.angles = angle_rows[k].map(|row| row.map_or(0.0, |row| (z[first_limit + row] / scale).max(0.0)));
        let (c, s, both) = (x[c_at(k)], x[s_at(k)], x[b.from] * x[b.to]);
        if both - c * c - s * s > EXACT * both {
            loose.push(place);
        }
    }
    let mut answer = Answer::empty(status);
    answer.lower_bound = lower_bound(network, &duals);
    answer.iterations = solver.solution.iterations;
    answer.generators = vec![GeneratorAnswer::default(); network.generators.len()];
    let mut objective = 0.0;
    for (g, &place) in units.iter().enumerate() {
        let (p, q) = (x[p_at(g)] * base, x[p_at(g) + 1] * base);
        answer.generators[place] = GeneratorAnswer { p_mw: p, q_mvar: Some(q) };
        let unit = &network.generators[place];
        objective += unit.cost.at(p) + unit.reactive_cost.as_ref().map_or(0.0, |cost| cost.at(q));
    }
    answer.objective = (status == Status::Optimal).then_some(objective);
    answer.buses = (0..n)
        .map(|place| match price_rows[place] {
            Some(_) => BusAnswer {
                vm_pu: x[place].max(0.0).sqrt(),
                va_deg: 0.0,
                price_p: Some(duals.prices[place][0] / base),
                price_q: Some(duals.prices[place][1] / base),
            },
            None => BusAnswer::default(),
        })
        .collect();
    answer.branches = vec![BranchAnswer::default(); network.branches.len()];
    for (place, rows) in flows {
        let value = |row: &[(usize, f64)]| base * row.iter().map(|(column, v)| v * x[*column]).sum::<f64>();
        answer.branches[place] = BranchAnswer {
            p_from_mw: value(&rows[0]),
            q_from_mvar: Some(value(&rows[1])),
            p_to_mw: value(&rows[2]),
            q_to_mvar: Some(value(&rows[3])),
            binding: None,
            price: 0.0,
        };
    }
    let live = (0..n).filter(|bus| alive(*bus)).count();
    let radial = branches.len() + islands.reference.len() == live;
    let exact = radial && loose.is_empty() && status == Status::Optimal;
    if exact {
        turn(network, &islands.reference, &branches, |k| (x[c_at(k)], x[s_at(k)]), &mut answer);
    } else {
        answer.reason = Some(if radial {
            format!(
                "the relaxation is loose on {} branches: the objective is a bound, the voltages are no dispatch",
                loose.len()
            )
        } else {
            "the network has loops: the objective is a bound, and angles are not known".to_owned()
        });
    }
    Relaxed { answer, duals, loose, exact }
}

/// Angles along the branches of a tree, from its references.
fn turn(
    network: &Network,
    references: &[usize],
    branches: &[usize],
    product: impl Fn(usize) -> (f64, f64),
    answer: &mut Answer,
) {
    let mut known = vec![false; network.buses.len()];
    for &reference in references {
        answer.buses[reference].va_deg = network.buses[reference].va_deg;
        known[reference] = true;
    }
    let mut left: Vec<usize> = (0..branches.len()).collect();
    loop {
        let before = left.len();
        left.retain(|&k| {
            let b = &network.branches[branches[k]];
            let (c, s) = product(k);
            let angle = libm::atan2(s, c).to_degrees();
            match (known[b.from], known[b.to]) {
                (true, false) => {
                    answer.buses[b.to].va_deg = answer.buses[b.from].va_deg - angle;
                    known[b.to] = true;
                }
                (false, true) => {
                    answer.buses[b.from].va_deg = answer.buses[b.to].va_deg + angle;
                    known[b.from] = true;
                }
                (true, true) => {}
                (false, false) => return true,
            }
            false
        });
        if left.is_empty() || left.len() == before {
            break;
        }
    }
}
