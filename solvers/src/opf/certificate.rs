//! What an answer is worth, found out without trusting whoever gave it: how far it misses the network's equations and
//! limits ([`residual`]), and a cost that no dispatch can undercut ([`lower_bound`]). Shares nothing with the solvers: it
//! reads the network and multiplies.
//!
//! The bound is the Lagrangian of the second-order-cone relaxation of Jabr (2006), in squares of voltages `w` and products
//! `c = V_i V_j cos θ`, `s = V_i V_j sin θ`, in which all flows are linear. By weak duality *any* multipliers give a true
//! bound; bad ones only a low one:
//!
//! ```text
//! per generator   min over its limits of  C(p) − λ p  and of  C(q) − ν q
//! per branch      γ c + σ s ≥ −ρ √(w_i w_j) ≥ −ρ/2 (t w_i + w_j/t),   ρ = √(γ² + σ²), any t > 0
//! per bus         the least of  A w  over [Vmin², Vmax²],  A being what the prices and branches have left there
//! per rating      u·(P, Q) ≤ rate |u|,  any u
//! per angle limit κ (s − tan(max) c) ≤ 0,  any κ ≥ 0
//! ```
//!
//! Every sum carries the sum of the absolute values of its terms; their share of the rounding is taken off at the end.

use super::Answer;
use domain::network::{Branch, Cost, DARK, Network};
use serde::Serialize;

/// Multipliers, in currency per hour and per unit, in the order of the network's lists.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Duals {
    /// Prices of active and reactive power, by bus.
    pub prices: Vec<[f64; 2]>,
    /// By branch.
    pub branches: Vec<BranchDuals>,
}

/// The multipliers of a branch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BranchDuals {
    /// How `√(w_i w_j)` is shared between its ends; above 0.
    pub t: f64,
    /// Of the rating at the `from` end.
    pub from: [f64; 2],
    /// Of the rating at the `to` end.
    pub to: [f64; 2],
    /// Of the least and the greatest difference of angles; not below 0.
    pub angles: [f64; 2],
}

impl Default for BranchDuals {
    fn default() -> Self {
        Self { t: 1.0, from: [0.0; 2], to: [0.0; 2], angles: [0.0; 2] }
    }
}

/// Relative error allowed for in a sum of products: each term takes part in some twenty roundings.
const ROUNDING: f64 = 64.0 * f64::EPSILON;

/// A sum, and the sum of the absolute values of its terms.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    value: f64,
    absolute: f64,
}

impl Sum {
    fn add(&mut self, value: f64) {
        self.value += value;
        self.absolute += value.abs();
    }

    /// Adds what is itself uncertain by the rounding of `absolute`.
    fn add_with(&mut self, value: f64, absolute: f64) {
        self.value += value;
        self.absolute += absolute.max(value.abs());
    }
}

/// The four admittances of a branch, (g, b) each: MATPOWER manual, equation 3.2.
struct Admittances {
    ff: (f64, f64),
    ft: (f64, f64),
    tf: (f64, f64),
    tt: (f64, f64),
}

impl Admittances {
    fn of(branch: &Branch) -> Self {
        let square = branch.r_pu * branch.r_pu + branch.x_pu * branch.x_pu;
        let (g, b) = (branch.r_pu / square, -branch.x_pu / square);
        let own = b + branch.b_pu / 2.0;
        let (sin, cos) = libm::sincos(branch.shift_deg.to_radians());
        let tap = branch.tap;
        Self {
            ff: (g / (tap * tap), own / (tap * tap)),
            ft: ((b * sin - g * cos) / tap, -(b * cos + g * sin) / tap),
            tf: (-(b * sin + g * cos) / tap, (g * sin - b * cos) / tap),
            tt: (g, own),
        }
    }
}

/// A cost that no dispatch undercuts, in currency per hour; none where these multipliers prove nothing.
///
/// # Panics
/// Never: multipliers that are missing count as those that prove nothing.
#[must_use]
pub fn lower_bound(network: &Network, duals: &Duals) -> Option<f64> {
    if duals.prices.len() != network.buses.len() || duals.branches.len() != network.branches.len() {
        return None;
    }
    let base = network.base_mva;
    let islands = network.islands();
    let alive = |bus: usize| islands.of[bus] != DARK;
    let mut bound = Sum::default();
    let mut squares = vec![Sum::default(); network.buses.len()];
    for (place, bus) in network.buses.iter().enumerate().filter(|(place, _)| alive(*place)) {
        let [p, q] = duals.prices[place];
        bound.add(p * bus.demand_mw / base);
        bound.add(q * bus.demand_mvar / base);
        squares[place].add(p * bus.shunt_mw / base);
        squares[place].add(-q * bus.shunt_mvar / base);
    }
    for (k, branch) in network.branches.iter().enumerate() {
        if network.carries(k) && alive(branch.from) && alive(branch.to) {
            add_branch(branch, base, duals, &duals.branches[k], &mut bound, &mut squares)?;
        }
    }
    for (place, bus) in network.buses.iter().enumerate().filter(|(place, _)| alive(*place)) {
        let (low, high) = (bus.vmin_pu * bus.vmin_pu, bus.vmax_pu * bus.vmax_pu);
        let left = squares[place];
        let value = (left.value * low).min(left.value * high);
        bound.add_with(value, left.absolute * high);
    }
    for (k, unit) in network.generators.iter().enumerate() {
        if !(network.runs(k) && alive(unit.bus)) {
            continue;
        }
        let [p, q] = duals.prices[unit.bus];
        let (value, absolute) = least(&unit.cost, p / base, unit.p_min_mw, unit.p_max_mw);
        bound.add_with(value, absolute);
        let free = Cost::Polynomial(Vec::new());
        let cost = unit.reactive_cost.as_ref().unwrap_or(&free);
        let (value, absolute) = least(cost, q / base, unit.q_min_mvar, unit.q_max_mvar);
        bound.add_with(value, absolute);
    }
    let safe = bound.value - ROUNDING * bound.absolute;
    safe.is_finite().then_some(safe)
}

fn add_branch(
    branch: &Branch,
    base: f64,
    duals: &Duals,
    own: &BranchDuals,
    bound: &mut Sum,
    squares: &mut [Sum],
) -> Option<()> {
    let y = Admittances::of(branch);
    let (mut from, mut to) = (duals.prices[branch.from], duals.prices[branch.to]);
    if let Some(rate) = branch.rate_mva {
        for (price, u) in [(&mut from, own.from), (&mut to, own.to)] {
            price[0] += u[0];
            price[1] += u[1];
            bound.add(-libm::hypot(u[0], u[1]) * rate / base);
        }
    }
    let (mut gamma, mut sigma) = (Sum::default(), Sum::default());
    gamma.add(from[0] * y.ft.0);
    gamma.add(-from[1] * y.ft.1);
    gamma.add(to[0] * y.tf.0);
    gamma.add(-to[1] * y.tf.1);
    sigma.add(from[0] * y.ft.1);
    sigma.add(from[1] * y.ft.0);
    sigma.add(-to[0] * y.tf.1);
    sigma.add(-to[1] * y.tf.0);
    for (limit, multiplier, sign) in
        [(branch.angle_min_deg, own.angles[0], -1.0), (branch.angle_max_deg, own.angles[1], 1.0)]
    {
        // From a right angle on, the tangent says something else.
        if let Some(limit) = limit.filter(|l| l.abs() < 89.0)
            && multiplier > 0.0
        {
            sigma.add(sign * multiplier);
            gamma.add(-sign * multiplier * libm::tan(limit.to_radians()));
        }
    }
    let rho = libm::hypot(gamma.value, sigma.value);
    let rho_absolute = gamma.absolute + sigma.absolute;
    if !(own.t > 0.0 && own.t.is_finite()) {
        return None;
    }
    let at_from = &mut squares[branch.from];
    at_from.add(from[0] * y.ff.0);
    at_from.add(-from[1] * y.ff.1);
    at_from.add_with(-0.5 * rho * own.t, 0.5 * rho_absolute * own.t);
    let at_to = &mut squares[branch.to];
    at_to.add(to[0] * y.tt.0);
    at_to.add(-to[1] * y.tt.1);
    at_to.add_with(-0.5 * rho / own.t, 0.5 * rho_absolute / own.t);
    Some(())
}

/// The least of `cost(x) − price x` between limits, or something below it; and the size of its terms.
fn least(cost: &Cost, price: f64, low: f64, high: f64) -> (f64, f64) {
    let value = |x: f64| {
        // 0 · ∞ is 0 here: a limit that is none is reached only at a price.
        let paid = if price == 0.0 { 0.0 } else { price * x };
        let (cost, size) = match cost {
            Cost::Polynomial(c) if c.iter().skip(1).all(|c| *c == 0.0) => {
                let constant = c.first().copied().unwrap_or(0.0);
                (constant, constant.abs())
            }
            Cost::Polynomial(c) => {
                let size = c.iter().rev().fold(0.0, |sum, c| sum * x.abs() + c.abs());
                (cost.at(x), size)
            }
            Cost::Piecewise(_) => (cost.at(x), cost.at(x).abs()),
        };
        (cost - paid, size + paid.abs())
    };
    let lower = |a: (f64, f64), b: (f64, f64)| (if b.0 <= a.0 || b.0.is_nan() { b.0 } else { a.0 }, a.1.max(b.1));
    let ends = lower(value(low), value(high));
    match cost {
        Cost::Polynomial(c) if c.len() < 3 => ends,
        Cost::Polynomial(c) if c.len() == 3 && c[2] > 0.0 => {
            let x = ((price - c[1]) / (2.0 * c[2])).clamp(low, high);
            // Where the derivative vanishes rounding moves the value in second order.
            lower(value(x), value(x))
        }
        Cost::Polynomial(c) if c.len() == 3 => ends,
        Cost::Polynomial(c) if cost.is_convex(low, high) => {
            // A tangent lies below a convex cost wherever it is laid: near the minimum, found by halving.
            let slope = |x: f64| (1..c.len()).rev().fold(0.0, |sum, k| sum * x + degree(k) * c[k]) - price;
            let (mut a, mut b) = (low, high);
            for _ in 0..64 {
                let middle = 0.5 * (a + b);
                if slope(middle) < 0.0 { a = middle } else { b = middle }
            }
            let at = 0.5 * (a + b);
            let (there, size) = value(at);
            let fall = (slope(at) * (low - at)).min(slope(at) * (high - at)).min(0.0);
            (there + fall, size + fall.abs())
        }
        Cost::Polynomial(c) => {
            // Each power by itself.
            let most = low.abs().max(high.abs());
            let bend = |k: usize| c[k].abs() * libm::pow(most, degree(k));
            let lost: f64 = (2..c.len()).map(bend).sum();
            let linear = Cost::Polynomial(c[..2].to_vec());
            let (value, size) = least(&linear, price, low, high);
            (value - lost, size + lost)
        }
        Cost::Piecewise(points) => {
            points.iter().filter(|(x, _)| *x > low && *x < high).fold(ends, |found, (x, _)| lower(found, value(*x)))
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a degree is small")]
fn degree(k: usize) -> f64 {
    k as f64
}

/// The largest violation of a balance or limit by an answer, in per unit (radians for angles), computed from its voltages
/// and powers alone. Infinite where it has none.
#[must_use]
pub fn residual(network: &Network, answer: &Answer) -> f64 {
    if answer.buses.len() != network.buses.len() || answer.generators.len() != network.generators.len() {
        return f64::INFINITY;
    }
    let base = network.base_mva;
    let islands = network.islands();
    let alive = |bus: usize| islands.of[bus] != DARK;
    let mut worst = 0.0_f64;
    let mut note = |v: f64| worst = if v <= worst { worst } else { v };
    let mut balance = vec![[0.0; 2]; network.buses.len()];
    for (place, bus) in network.buses.iter().enumerate().filter(|(place, _)| alive(*place)) {
        let vm = answer.buses[place].vm_pu;
        note(vm - bus.vmax_pu);
        note(bus.vmin_pu - vm);
        balance[place] =
            [(bus.demand_mw + bus.shunt_mw * vm * vm) / base, (bus.demand_mvar - bus.shunt_mvar * vm * vm) / base];
    }
    for (k, branch) in network.branches.iter().enumerate() {
        if !(network.carries(k) && alive(branch.from) && alive(branch.to)) {
            continue;
        }
        let y = Admittances::of(branch);
        let (f, t) = (&answer.buses[branch.from], &answer.buses[branch.to]);
        let angle = (f.va_deg - t.va_deg).to_radians();
        let (sin, cos) = libm::sincos(angle);
        let (wf, wt, c, s) = (f.vm_pu * f.vm_pu, t.vm_pu * t.vm_pu, f.vm_pu * t.vm_pu * cos, f.vm_pu * t.vm_pu * sin);
        let from = [y.ff.0 * wf + y.ft.0 * c + y.ft.1 * s, -y.ff.1 * wf + y.ft.0 * s - y.ft.1 * c];
        let to = [y.tt.0 * wt + y.tf.0 * c - y.tf.1 * s, -y.tt.1 * wt - y.tf.0 * s - y.tf.1 * c];
        for (place, end) in [(branch.from, from), (branch.to, to)] {
            balance[place][0] += end[0];
            balance[place][1] += end[1];
            if let Some(rate) = branch.rate_mva {
                note(libm::hypot(end[0], end[1]) - rate / base);
            }
        }
        if let Some(limit) = branch.angle_min_deg {
            note(limit.to_radians() - angle);
        }
        if let Some(limit) = branch.angle_max_deg {
            note(angle - limit.to_radians());
        }
    }
    for (k, unit) in network.generators.iter().enumerate().filter(|(k, g)| network.runs(*k) && alive(g.bus)) {
        let (p, q) = (answer.generators[k].p_mw, answer.generators[k].q_mvar.unwrap_or(0.0));
        note((p - unit.p_max_mw) / base);
        note((unit.p_min_mw - p) / base);
        note((q - unit.q_max_mvar) / base);
        note((unit.q_min_mvar - q) / base);
        balance[unit.bus][0] -= p / base;
        balance[unit.bus][1] -= q / base;
    }
    balance.iter().flatten().for_each(|v| note(v.abs()));
    worst
}
