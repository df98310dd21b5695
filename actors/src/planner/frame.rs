//! A network, what is demanded of it, and a plan, in the integers of the contract that judges plans.
//!
//! A [`Frame`] is what does not change from plan to plan: it is published once. Limits of voltages and branches are wider
//! there by a millionth, so that a plan at its limit is within it after rounding; that can only lower the bound. A convex
//! piecewise cost, which the contract does not know, becomes one generator for each piece: as the pieces get dearer, the
//! cheapest way to use them is in their order.

use super::plan::whole;
use contracts::dispatch::network::{
    ADMITTANCE, AcBranch, AcBus, Conditions, DcBranch, Elements, End, Generator, Header, NO_TANGENT, Network as Packed,
    POWER, RATIO, Solution, TANGENT, Unpackable,
};
use contracts::dispatch::{Refused, verify};
use domain::network::{Cost, Network};
use solvers::flow::{Newton, Outcome};
use solvers::grid::{Grid, polar};
use solvers::opf::Answer;
use solvers::opf::certificate::Duals;
use thiserror::Error;

/// What limits are wider by, and what may be left of a balance at least, in 1e-9 p.u.
const MARGIN: i64 = 1_000;
/// The steepest cost of the network in quanta per p.u.: prices up to 8 times as high have room.
const STEEPEST: f64 = 268_435_456.0;
/// What is left of a balance costs this, in quanta per p.u.: as much as the highest price that there is room for.
const PENALTY: u64 = 1 << 31;
/// What the contract keeps of a network at most, in bytes.
const LONGEST: usize = 24_000;
/// Limits of angles from here on, in radians, are none: their tangents have no place.
const LAST_ANGLE: f64 = 1.3;
/// Prices have 32 bits.
const MOST: i64 = i32::MAX as i64;
/// Powers have 40.
const FARTHEST: i64 = (1 << 39) - 1;

/// Which of the contract's two models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// The linear one.
    Dc,
    /// The whole one.
    Ac,
}

/// Why a network or a plan has no place on the chain.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unfit {
    /// A cost that is not convex, or steeper than quadratic, or of reactive power.
    #[error("the cost of the generator at {0} is neither quadratic nor piecewise linear, and convex")]
    Cost(String),
    /// The base of the per-unit system.
    #[error("the base power of {0} MVA is no whole number of kilowatts")]
    Base(String),
    /// A number that its place cannot hold.
    #[error(transparent)]
    Number(#[from] Unpackable),
    /// More elements than a contract's code can hold.
    #[error("{0} bytes are more than the {LONGEST} that the contract keeps of a network: about 200 buses of a street")]
    TooLarge(usize),
    /// The contract would refuse it.
    #[error("the contract would refuse it: {0}")]
    Refused(#[from] Refused),
}

/// A part of a generator's cost.
#[derive(Clone, Copy, Debug)]
struct Piece {
    /// Whose, by place in the network.
    unit: usize,
    /// Where it begins and ends, in MW.
    span: (f64, f64),
    /// Whether powers count from its beginning: all pieces but a generator's first.
    further: bool,
}

/// A network as it is published, and which of its parts is which.
#[derive(Clone, Debug)]
pub struct Frame {
    /// As it is published.
    pub packed: Packed,
    /// Quanta of money in one unit of currency.
    pub quanta: u64,
    grid: Grid,
    pieces: Vec<Piece>,
}

impl Frame {
    /// What the contract keeps of a network: what is alive of it, without demand and without what generators could make.
    ///
    /// # Errors
    /// [`Unfit`]. `tolerance`: how far a plan's cost may be above its bound to be proven, in 1e-9 of the bound.
    pub fn new(network: &Network, model: Model, tolerance: u32) -> Result<Self, Unfit> {
        let grid = Grid::new(network);
        let base = network.base_mva;
        let kilowatts = exactly(base * 1e3).ok_or_else(|| Unfit::Base(base.to_string()))?;

        let mut pieces: Vec<(Piece, [f64; 3])> = Vec::new();
        for unit in &grid.units {
            pieces.extend(pieces_of(network, unit.place)?);
        }
        let steepest = pieces.iter().fold(0.0_f64, |most, (piece, [_, slope, square])| {
            let unit = &network.generators[piece.unit];
            let far = unit.p_min_mw.abs().max(unit.p_max_mw.abs()).min(base * 1e3);
            most.max((slope.abs() + 2.0 * square * far) * base)
        });
        let quanta = if steepest > 0.0 { (STEEPEST / steepest).floor().max(1.0) } else { 1.0 };
        let money = |value: f64| whole(value * quanta);
        let mut first = vec![true; network.generators.len()];
        let generators = pieces.iter().map(|(piece, [_, slope, square])| {
            let unit = &network.generators[piece.unit];
            // All of a generator's reactive power is its first piece's.
            let reactive = match (std::mem::take(&mut first[piece.unit]), model) {
                (true, Model::Ac) => (power(unit.q_min_mvar / base), power(unit.q_max_mvar / base)),
                _ => (0, 0),
            };
            let square = u64::try_from(whole((square * base * base * quanta).ceil())).unwrap_or(0);
            Generator { bus: grid.bus_at[unit.bus] as u64, reactive, cost: (square, money(slope * base)) }
        });
        let generators = generators.collect();
        let constant = money(pieces.iter().map(|(_, [constant, ..])| constant).sum());
        let (elements, stiffest) = match model {
            Model::Ac => ac_elements(&grid),
            Model::Dc => dc_elements(&grid),
        };
        // Voltages are rounded to 1e-9: what that moves of a balance must not refuse a plan.
        let slack = whole(stiffest.ceil()).max(MARGIN).unsigned_abs();
        let header = Header { constant, slack, penalty: PENALTY, tolerance: tolerance.into(), kilowatts };
        let packed = Packed { header, generators, elements };
        let length = packed.pack()?.len();
        if length > LONGEST {
            return Err(Unfit::TooLarge(length));
        }
        let pieces = pieces.into_iter().map(|(piece, _)| piece).collect();
        Ok(Self { packed, quanta: whole(quanta).unsigned_abs(), grid, pieces })
    }

    /// What is demanded, and what generators could make.
    #[must_use]
    pub fn conditions(&self, network: &Network) -> Conditions {
        let base = network.base_mva;
        let ac = matches!(self.packed.elements, Elements::Ac { .. });
        let demand = self.grid.buses.iter().map(|bus| {
            let bus = &network.buses[bus.place];
            // The linear model takes shunts at a voltage of 1.
            let shunt = if ac { 0.0 } else { bus.shunt_mw };
            let reactive = if ac { bus.demand_mvar } else { 0.0 };
            (power((bus.demand_mw + shunt) / base), power(reactive / base))
        });
        let range = self.pieces.iter().map(|piece| {
            let unit = &network.generators[piece.unit];
            let within = |mw: f64| power(piece.within(mw) / base);
            (within(unit.p_min_mw), within(unit.p_max_mw))
        });
        Conditions { demand: demand.collect(), range: range.collect() }
    }

    /// A plan with its prices.
    ///
    /// # Errors
    /// [`Unfit`], if it is none by the contract's rules.
    pub fn solution(&self, network: &Network, answer: &Answer, duals: &Duals) -> Result<Solution, Unfit> {
        let base = network.base_mva;
        let ac = matches!(self.packed.elements, Elements::Ac { .. });
        let balanced = if ac { balanced(network, answer) } else { None };
        let answer = balanced.as_ref().unwrap_or(answer);
        let conditions = self.conditions(network);
        let money = |value: f64| whole(value * exact(self.quanta)).clamp(-MOST, MOST);
        let told = |piece: &Piece, range: &(i64, i64)| {
            power(piece.within(answer.generators[piece.unit].p_mw) / base).clamp(range.0, range.1)
        };
        let active: Vec<i64> = self.pieces.iter().zip(&conditions.range).map(|(p, r)| told(p, r)).collect();
        let solution = match &self.packed.elements {
            Elements::Ac { branches, .. } => {
                let buses = self.grid.buses.iter().map(|bus| {
                    let (b, [p, q]) = (&answer.buses[bus.place], duals.prices[bus.place]);
                    let v = polar(b.vm_pu, b.va_deg.to_radians());
                    [power(v.re), power(v.im), money(p), money(q)]
                });
                let reactive = self.packed.generators.iter().zip(&self.pieces).map(|(g, piece)| {
                    let q = answer.generators[piece.unit].q_mvar.unwrap_or(0.0);
                    power(q / base).clamp(g.reactive.0, g.reactive.1)
                });
                let limits = self.grid.lines.iter().zip(branches).map(|(line, packed)| {
                    let own = &duals.branches[line.place];
                    let ratio = whole((own.t * RATIO).round()).clamp(1, i64::from(u32::MAX)).unsigned_abs();
                    let limit = [own.from[0], own.from[1], own.to[0], own.to[1]].map(money);
                    (ratio, (packed.rating != 0).then_some(limit))
                });
                let powers = active.into_iter().zip(reactive).collect();
                Solution::Ac { buses: buses.collect(), powers, branches: limits.collect() }
            }
            Elements::Dc { branches, .. } => {
                let buses = self.grid.buses.iter().map(|bus| {
                    let b = &answer.buses[bus.place];
                    (power(b.va_deg.to_radians()), money(b.price_p.unwrap_or(0.0) * base))
                });
                let limits = self.grid.lines.iter().zip(branches).filter(|(_, b)| b.limits.is_some());
                let limits = limits.map(|(line, _)| {
                    let b = &answer.branches[line.place];
                    money(b.price * base * if b.p_from_mw < 0.0 { -1.0 } else { 1.0 })
                });
                Solution::Dc { buses: buses.collect(), powers: active, limits: limits.collect() }
            }
        };
        solution.pack()?;
        verify(&self.packed, &conditions, &solution)?;
        Ok(solution)
    }
}

impl Piece {
    /// The part of a power that is this piece's, in MW.
    fn within(&self, mw: f64) -> f64 {
        let (low, high) = self.span;
        if self.further { mw.clamp(low, high) - low } else { mw.min(high) }
    }
}

/// The same plan, balanced to more digits than an optimum is found to: what is left of a balance costs. Generators give
/// what they gave, but for the one at the reference, and keep their voltages.
fn balanced(network: &Network, answer: &Answer) -> Option<Answer> {
    let base = network.base_mva;
    let mut newton = Newton::new(network);
    for unit in &mut newton.grid.units {
        let told = answer.generators[unit.place];
        (unit.start.re, unit.start.im) = (told.p_mw / base, told.q_mvar.unwrap_or(0.0) / base);
        unit.volts = answer.buses[network.generators[unit.place].bus].vm_pu;
    }
    for bus in &mut newton.grid.buses {
        let told = answer.buses[bus.place];
        bus.start = (told.vm_pu, told.va_deg.to_radians());
    }
    let Outcome::Converged(state) = newton.solve(false) else { return None };
    let report = state.report(network, &newton.grid);
    let mut answer = answer.clone();
    for (bus, (vm, va)) in answer.buses.iter_mut().zip(report.buses) {
        (bus.vm_pu, bus.va_deg) = (vm, va);
    }
    for (unit, (p, q)) in answer.generators.iter_mut().zip(report.generators) {
        (unit.p_mw, unit.q_mvar) = (p, Some(q));
    }
    Some(answer)
}

/// The parts of a generator's cost, and of each the constant, the slope and the square.
fn pieces_of(network: &Network, place: usize) -> Result<Vec<(Piece, [f64; 3])>, Unfit> {
    let unit = &network.generators[place];
    let unfit = || Unfit::Cost(network.buses[unit.bus].shown());
    let all = (f64::NEG_INFINITY, f64::INFINITY);
    if unit.reactive_cost.is_some() || !unit.cost.is_convex(unit.p_min_mw, unit.p_max_mw) {
        return Err(unfit());
    }
    match &unit.cost {
        Cost::Polynomial(c) if c.iter().skip(3).all(|c| *c == 0.0) => {
            let c = [0, 1, 2].map(|k| c.get(k).copied().unwrap_or(0.0));
            Ok(vec![(Piece { unit: place, span: all, further: false }, c)])
        }
        Cost::Polynomial(_) => Err(unfit()),
        Cost::Piecewise(points) => {
            let last = points.len().saturating_sub(2);
            let pieces = points.windows(2).enumerate().map(|(k, w)| {
                let slope = (w[1].1 - w[0].1) / (w[1].0 - w[0].0);
                let high = if k == last { f64::INFINITY } else { w[1].0 };
                let constant = if k == 0 { w[0].1 - slope * w[0].0 } else { 0.0 };
                (Piece { unit: place, span: (w[0].0, high), further: k > 0 }, [constant, slope, 0.0])
            });
            Ok(pieces.collect())
        }
    }
}

/// The elements, and what rounding a voltage by 1e-9 moves of a balance at most, in 1e-9 p.u.
fn ac_elements(grid: &Grid) -> (Elements, f64) {
    let mut moved = vec![0.0; grid.buses.len()];
    let buses = grid.buses.iter().map(|bus| {
        let square = |v: f64| power(v * v);
        AcBus {
            shunt: (siemens(bus.shunt.re), siemens(bus.shunt.im)),
            square: (
                square(bus.volts.0).saturating_sub(MARGIN).max(0).unsigned_abs(),
                square(bus.volts.1).saturating_add(MARGIN).unsigned_abs(),
            ),
        }
    });
    let buses = buses.collect();
    let branches = grid.lines.iter().map(|line| {
        let end = |bus: usize, own: [f64; 2], mutual: [f64; 2]| End {
            bus: bus as u64,
            own: (siemens(own[0]), siemens(own[1])),
            mutual: (siemens(mutual[0]), siemens(mutual[1])),
        };
        let (ff, ft, tf, tt) = (line.from_from, line.from_to, line.to_from, line.to_to);
        for (bus, ys) in [(line.from, [ff, ft]), (line.to, [tf, tt])] {
            moved[bus] += 4.0 * ys.iter().map(|y| y.re.abs() + y.im.abs()).sum::<f64>();
        }
        let near = end(line.from, [ff.re, ff.im], [ft.re, ft.im]);
        let far = end(line.to, [tt.re, tt.im], [tf.re, tf.im]);
        let rating = if line.rate.is_finite() { power(line.rate).saturating_add(MARGIN).unsigned_abs() } else { 0 };
        let tangent = |limit: f64, round: fn(f64) -> f64| {
            let along = polar(1.0, limit);
            let far = limit.abs() >= LAST_ANGLE;
            if far { NO_TANGENT } else { whole(round(along.im / along.re * TANGENT)) }
        };
        let tangents = (tangent(line.angles.0, f64::floor), tangent(line.angles.1, f64::ceil));
        AcBranch { ends: [near, far], rating, tangents }
    });
    let branches = branches.collect();
    (Elements::Ac { buses, branches }, moved.into_iter().fold(0.0, f64::max))
}

fn dc_elements(grid: &Grid) -> (Elements, f64) {
    let mut moved = vec![0.0; grid.buses.len()];
    let branches = grid.lines.iter().map(|line| {
        let susceptance = 1.0 / (line.z.im * line.tap);
        moved[line.from] += 2.0 * susceptance.abs();
        moved[line.to] += 2.0 * susceptance.abs();
        // What limits of angles let through is a limit of the flow.
        let through = [line.angles.0, line.angles.1].map(|angle| susceptance * (angle - line.shift));
        let low = through[0].min(through[1]).max(-line.rate);
        let high = through[0].max(through[1]).min(line.rate);
        let limited = low.is_finite() || high.is_finite();
        DcBranch {
            buses: (line.from as u64, line.to as u64),
            susceptance: siemens(susceptance),
            shift: power(line.shift),
            limits: limited.then(|| ((power(low) - MARGIN).max(-FARTHEST), (power(high) + MARGIN).min(FARTHEST))),
        }
    });
    let branches = branches.collect();
    (Elements::Dc { buses: grid.buses.len() as u64, branches }, moved.into_iter().fold(0.0, f64::max))
}

fn siemens(value: f64) -> i64 {
    whole((value * ADMITTANCE).round())
}

/// A power, a voltage or an angle in 1e-9; what is beyond its place stands at its end.
fn power(value: f64) -> i64 {
    whole((value * POWER).round()).clamp(-FARTHEST, FARTHEST)
}

fn exactly(value: f64) -> Option<u64> {
    let near = (value - value.round()).abs() <= 1e-9 * value.abs();
    (near && value >= 1.0).then(|| whole(value.round()).unsigned_abs())
}

#[expect(clippy::cast_precision_loss, reason = "quanta are at most 2^53 in any currency")]
fn exact(value: u64) -> f64 {
    value as f64
}
