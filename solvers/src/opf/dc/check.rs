//! Whether to believe a point: its limits against the network itself, its cost against a bound that weak duality gives
//! for whatever multipliers it has.

use super::program::{Program, susceptance};
use super::{Point, TOLERANCE};
use crate::grid::{Grid, Unit};
use domain::network::{Cost, Network};

/// What a solver's stationarity error at an angle is charged with: no dispatch has angles beyond it, in radians.
const WIDEST: f64 = 100.0;

/// What was found out about a point.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// What it costs an hour, with its powers put within their limits.
    pub cost: f64,
    /// No dispatch costs less.
    pub bound: f64,
    /// The largest violation of a balance, rating or angle limit, per unit and radians.
    pub violation: f64,
    /// What these violations may be worth, at the prices of the point.
    pub worth: f64,
    /// The highest price, an hour for one per unit.
    pub steepest: f64,
}

impl Found {
    /// By how much, the larger of limits and cost, the latter relative to itself.
    pub fn misses(&self) -> f64 {
        let cost = ((self.cost - self.bound).abs() + self.worth) / self.cost.abs().max(1.0);
        if cost.is_nan() { f64::INFINITY } else { self.violation.max(cost) }
    }

    pub fn passes(&self) -> bool {
        self.misses() <= TOLERANCE
    }
}

/// Looks at a point.
pub fn check(network: &Network, grid: &Grid, program: &Program, point: &Point) -> Found {
    let mut excess: Vec<f64> = grid.buses.iter().map(|bus| -bus.load.re - bus.shunt.re).collect();
    let price: Vec<f64> = (0..grid.buses.len()).map(|k| program.price(point, k)).collect();
    let (mut cost, mut bound, mut violation, mut worth) = (0.0, 0.0, 0.0_f64, 0.0);
    let everything = widest(grid);
    for (k, unit) in grid.units.iter().enumerate() {
        let power = point.x[program.power(k)].clamp(unit.p.0, unit.p.1);
        let curve = &network.generators[unit.place].cost;
        excess[unit.bus] += power;
        cost += curve.at(power * grid.base);
        bound += cheapest(curve, grid.base, price[unit.bus], (unit.p.0.max(-everything), unit.p.1.min(everything)));
    }
    for line in &grid.lines {
        let b = susceptance(line);
        let angle = point.x[line.from] - point.x[line.to];
        let flow = b * (angle - line.shift);
        excess[line.from] -= flow;
        excess[line.to] += flow;
        violation = violation.max(flow.abs() - line.rate).max(angle - line.angles.1).max(line.angles.0 - angle);
    }
    bound += worth_of_limits(grid, program, point, &price);
    for k in 0..grid.buses.len() {
        violation = violation.max(excess[k].abs());
        worth += (excess[k] * price[k]).abs();
    }
    let steepest = price.iter().fold(0.0_f64, |most, p| most.max(p.abs()));
    Found { cost, bound, violation, worth, steepest }
}

/// What demand, lines and angles are worth at the prices and multipliers of a point, where angles are chosen to be worth the
/// least: the part of the bound that does not depend on costs.
fn worth_of_limits(grid: &Grid, program: &Program, point: &Point, price: &[f64]) -> f64 {
    let mut worth = 0.0;
    let mut pull = vec![0.0; grid.buses.len()];
    for (k, line) in grid.lines.iter().enumerate() {
        let b = susceptance(line);
        let (rating, turned) = program.line_prices(point, k);
        let on_flow = price[line.from] - price[line.to] + rating;
        let on_angle = b * on_flow + turned;
        pull[line.from] += on_angle;
        pull[line.to] -= on_angle;
        worth -= b * line.shift * on_flow;
        // A multiplier on the side that has no limit would make the bound meaningless; the solver has none there.
        worth -= if rating == 0.0 { 0.0 } else { rating.abs() * line.rate };
        worth -= if turned > 0.0 { turned * line.angles.1 } else { 0.0 };
        worth -= if turned < 0.0 { turned * line.angles.0 } else { 0.0 };
    }
    for (bus, price) in grid.buses.iter().zip(price) {
        worth += price * (bus.load.re + bus.shunt.re);
    }
    // The angle of a reference is given; all others are free, where nothing may pull at them.
    for (bus, _) in &grid.references {
        worth += pull[*bus] * grid.buses[*bus].start.1;
        pull[*bus] = 0.0;
    }
    worth - pull.iter().map(|p| p.abs()).sum::<f64>() * WIDEST
}

/// Whether the multipliers of a point prove that nothing keeps all limits (Farkas 1902): at these prices demand is worth more
/// than all that generators could be paid and lines could carry.
pub fn proves_infeasible(grid: &Grid, program: &Program, point: &Point) -> bool {
    let price: Vec<f64> = (0..grid.buses.len()).map(|k| program.price(point, k)).collect();
    let earned = |unit: &Unit| {
        let price = price[unit.bus];
        // A limit that is none is reached only at a price.
        let at = |power: f64| if price == 0.0 { 0.0 } else { price * power };
        at(unit.p.0).max(at(unit.p.1))
    };
    let earned: f64 = grid.units.iter().map(earned).sum();
    let demand: f64 = grid.buses.iter().zip(&price).map(|(bus, price)| (price * bus.load.re).abs()).sum();
    worth_of_limits(grid, program, point, &price) - earned > TOLERANCE * (demand + earned.abs())
}

/// More than any generator without a limit can be asked for.
fn widest(grid: &Grid) -> f64 {
    let demand: f64 = grid.buses.iter().map(|bus| bus.load.re.abs() + bus.shunt.re.abs()).sum();
    let finite = |p: f64| if p.is_finite() { p.abs() } else { 0.0 };
    demand + grid.units.iter().map(|u| finite(u.p.0).max(finite(u.p.1))).sum::<f64>()
}

/// The least of cost − price · power over the powers within limits.
fn cheapest(curve: &Cost, base: f64, price: f64, limits: (f64, f64)) -> f64 {
    let at = |power: f64| curve.at(power * base) - price * power;
    let ends = at(limits.0).min(at(limits.1));
    match curve {
        Cost::Polynomial(c) => match c.get(2) {
            Some(bend) if *bend > 0.0 => {
                let slope = c[1] * base;
                at(((price - slope) / (2.0 * bend * base * base)).clamp(limits.0, limits.1))
            }
            _ => ends,
        },
        Cost::Piecewise(points) => points
            .iter()
            .map(|(x, _)| x / base)
            .filter(|power| (limits.0..=limits.1).contains(power))
            .fold(ends, |least, power| least.min(at(power))),
    }
}
