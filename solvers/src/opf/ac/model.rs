//! The network as the method sees it: per unit, what takes part only, limits as one list of inequalities.
//!
//! Unknowns are angles, logarithms of voltages, active and reactive powers of generators, and one cost for each
//! generator whose cost is piecewise linear. With `ν = ln V` every flow is a sum of `A e^{2ν_i}` and
//! `e^{ν_i + ν_j} (a cos θ + b sin θ)`, whose derivatives are themselves: no division and few products in the Hessian.

use crate::sparse::Pattern;
use domain::network::{Cost, DARK, Network};

/// Limits closer than this (p.u.) leave nothing to choose: the value is fixed halfway.
const CLOSE: f64 = 1e-9;
/// Limits from here on (p.u.) are none.
const NO_LIMIT: f64 = 1e6;
/// The greatest marginal cost after scaling. Ipopt scales to 100, MIPS not at all; between 1 and 100 little changes.
const STEEPEST: f64 = 10.0;

/// A branch in service between two live buses.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub branch: usize,
    pub i: usize,
    pub j: usize,
    /// The block off the diagonal, and whether it is in the row of `j`.
    pub edge: usize,
    pub turned: bool,
    /// The differences of angles and of logarithms of voltages with which nothing flows.
    pub rest: (f64, f64),
    /// Magnitude of its series admittance.
    pub stiffness: f64,
    /// Admittances (g, b) seen at an end because of that end's and the other end's voltage.
    pub ff: (f64, f64),
    pub ft: (f64, f64),
    pub tf: (f64, f64),
    pub tt: (f64, f64),
}

/// A generator in service.
#[derive(Clone, Debug)]
pub(super) struct Gen {
    pub generator: usize,
    pub bus: usize,
    /// Nothing to choose.
    pub fixed_p: Option<f64>,
    pub fixed_q: Option<f64>,
    pub cost_p: Curve,
    pub cost_q: Curve,
}

/// A cost in scaled units, of power in p.u.
#[derive(Clone, Debug)]
pub(super) enum Curve {
    /// Coefficients from the constant up.
    Polynomial(Vec<f64>),
    /// The unknown that is the cost.
    Unknown(usize),
}

/// `sign · (x[at] − limit) ≤ 0`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub at: usize,
    pub sign: f64,
    pub limit: f64,
}

/// `slope · x[power] + constant − x[cost] ≤ 0`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub power: usize,
    pub cost: usize,
    pub slope: f64,
    pub constant: f64,
}

/// `sign · (θ_i − θ_j − limit) ≤ 0`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Angle {
    pub line: usize,
    pub sign: f64,
    pub limit: f64,
}

/// `(P² + Q² − rate²) / (2 rate) ≤ 0` at one end of a line: near the limit this is apparent power less the rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rating {
    pub line: usize,
    pub at_from: bool,
    pub rate: f64,
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    pub base: f64,
    pub n: usize,
    /// By live bus, its place in the network.
    pub places: Vec<usize>,
    pub demand: Vec<(f64, f64)>,
    pub shunt: Vec<(f64, f64)>,
    pub lines: Vec<Line>,
    pub gens: Vec<Gen>,
    /// Unknowns that are costs.
    pub costs: usize,
    pub bounds: Vec<Bound>,
    pub cuts: Vec<Cut>,
    pub angles: Vec<Angle>,
    pub ratings: Vec<Rating>,
    /// Angles and voltages that are given: bus, 0 or 1, value.
    pub pinned: Vec<(usize, usize, f64)>,
    /// Blocks off the diagonal touched by what is pinned: block, whether its row, which.
    pub pinned_off: Vec<(usize, bool, usize)>,
    pub edges: Vec<(usize, usize)>,
    pub pattern: Pattern,
    /// Cost in the file's currency times this is the objective.
    pub scale: f64,
    /// Limits on voltages, (0, ∞) for none; kept for the start.
    pub voltage: Vec<(f64, f64)>,
}

impl Model {
    pub fn theta(bus: usize) -> usize {
        bus
    }
    pub fn nu(&self, bus: usize) -> usize {
        self.n + bus
    }
    pub fn p(&self, gen_: usize) -> usize {
        2 * self.n + gen_
    }
    pub fn q(&self, gen_: usize) -> usize {
        2 * self.n + self.gens.len() + gen_
    }
    pub fn unknowns(&self) -> usize {
        2 * self.n + 2 * self.gens.len() + self.costs
    }
    pub fn inequalities(&self) -> usize {
        self.bounds.len() + self.cuts.len() + self.angles.len() + self.ratings.len()
    }

    /// `None` for a network of which nothing takes part.
    pub fn new(network: &Network) -> Option<Self> {
        let islands = network.islands();
        let places: Vec<usize> = (0..network.buses.len()).filter(|bus| islands.of[*bus] != DARK).collect();
        if places.is_empty() {
            return None;
        }
        let mut live = vec![usize::MAX; network.buses.len()];
        for (k, &place) in places.iter().enumerate() {
            live[place] = k;
        }
        let (base, n) = (network.base_mva, places.len());
        let on = |place: &usize| &network.buses[*place];
        let mut model = Self {
            base,
            n,
            demand: places.iter().map(on).map(|b| (b.demand_mw / base, b.demand_mvar / base)).collect(),
            shunt: places.iter().map(on).map(|b| (b.shunt_mw / base, b.shunt_mvar / base)).collect(),
            voltage: places.iter().map(on).map(|b| (b.vmin_pu, b.vmax_pu)).collect(),
            places,
            lines: Vec::new(),
            gens: Vec::new(),
            costs: 0,
            bounds: Vec::new(),
            cuts: Vec::new(),
            angles: Vec::new(),
            ratings: Vec::new(),
            pinned: Vec::new(),
            pinned_off: Vec::new(),
            edges: Vec::new(),
            pattern: Pattern::new(0, &[], &[]),
            scale: 1.0,
        };
        model.add_lines(network, &live);
        model.add_generators(network, &live);
        for &reference in &islands.reference {
            model.pinned.push((live[reference], 0, network.buses[reference].va_deg.to_radians()));
        }
        for bus in 0..n {
            let (low, high) = model.voltage[bus];
            let at = model.nu(bus);
            if high - low < CLOSE {
                model.pinned.push((bus, 1, libm::log(0.5 * (low + high))));
                continue;
            }
            if low > 0.0 {
                model.bounds.push(Bound { at, sign: -1.0, limit: libm::log(low) });
            }
            if high < NO_LIMIT {
                model.bounds.push(Bound { at, sign: 1.0, limit: libm::log(high) });
            }
        }
        let last: Vec<usize> = model.pinned.iter().map(|p| p.0).collect();
        model.pattern = Pattern::new(n, &model.edges, &last);
        for &(bus, component, _) in &model.pinned {
            for (edge, &(i, j)) in model.edges.iter().enumerate() {
                if bus == i || bus == j {
                    model.pinned_off.push((edge, bus == i, component));
                }
            }
        }
        Some(model)
    }

    fn add_lines(&mut self, network: &Network, live: &[usize]) {
        let mut pairs = std::collections::BTreeMap::new();
        for branch in (0..network.branches.len()).filter(|k| network.carries(*k)) {
            let b = &network.branches[branch];
            let (i, j) = (live[b.from], live[b.to]);
            if i == usize::MAX || j == usize::MAX {
                continue;
            }
            let pair = (i.min(j), i.max(j));
            let next = pairs.len();
            let edge = *pairs.entry(pair).or_insert(next);
            if edge == self.edges.len() {
                self.edges.push(pair);
            }
            let square = b.r_pu * b.r_pu + b.x_pu * b.x_pu;
            let (g, s) = (b.r_pu / square, -b.x_pu / square);
            let (sin, cos) = libm::sincos(b.shift_deg.to_radians());
            let own = s + b.b_pu / 2.0;
            // −y / (t e^{∓jφ})
            let ft = (-(g * cos - s * sin) / b.tap, -(s * cos + g * sin) / b.tap);
            let tf = (-(g * cos + s * sin) / b.tap, -(s * cos - g * sin) / b.tap);
            let line = self.lines.len();
            self.lines.push(Line {
                branch,
                i,
                j,
                edge,
                turned: i > j,
                rest: (b.shift_deg.to_radians(), libm::log(b.tap)),
                stiffness: 1.0 / square.sqrt(),
                ff: (g / (b.tap * b.tap), own / (b.tap * b.tap)),
                ft,
                tf,
                tt: (g, own),
            });
            if let Some(rate) = b.rate_mva.map(|r| r / self.base).filter(|r| *r < NO_LIMIT) {
                self.ratings.push(Rating { line, at_from: true, rate });
                self.ratings.push(Rating { line, at_from: false, rate });
            }
            for (limit, sign) in [(b.angle_min_deg, -1.0), (b.angle_max_deg, 1.0)] {
                if let Some(limit) = limit.filter(|l| l.abs() < 360.0) {
                    self.angles.push(Angle { line, sign, limit: limit.to_radians() });
                }
            }
        }
    }

    fn add_generators(&mut self, network: &Network, live: &[usize]) {
        let running: Vec<usize> = (0..network.generators.len())
            .filter(|g| network.runs(*g) && live[network.generators[*g].bus] != usize::MAX)
            .collect();
        let base = self.base;
        let first_p = 2 * self.n;
        let first_q = first_p + running.len();
        let first_cost = first_q + running.len();
        let mut steepest = 0.0_f64;
        for (k, &generator) in running.iter().enumerate() {
            let g = &network.generators[generator];
            let mut limits = |at: usize, low: f64, high: f64| {
                let (low, high) = (low / base, high / base);
                if high - low < CLOSE {
                    return Some(0.5 * (low + high));
                }
                if low > -NO_LIMIT {
                    self.bounds.push(Bound { at, sign: -1.0, limit: low });
                }
                if high < NO_LIMIT {
                    self.bounds.push(Bound { at, sign: 1.0, limit: high });
                }
                None
            };
            let fixed_p = limits(first_p + k, g.p_min_mw, g.p_max_mw);
            let fixed_q = limits(first_q + k, g.q_min_mvar, g.q_max_mvar);
            let range = |low: f64, high: f64| (low.max(-NO_LIMIT * base), high.min(NO_LIMIT * base));
            let mut curve = |cost: &Cost, power: usize, (low, high): (f64, f64)| match cost {
                Cost::Polynomial(c) => {
                    let scaled: Vec<f64> = c
                        .iter()
                        .scan(1.0, |unit, c| {
                            let scaled = c * *unit;
                            *unit *= base;
                            Some(scaled)
                        })
                        .collect();
                    let most = low.abs().max(high.abs()).min(100.0 * base) / base;
                    let slope = |p: f64| (1..scaled.len()).rev().fold(0.0, |sum, k| sum * p + k as f64 * scaled[k]);
                    steepest = steepest.max(slope(most).abs()).max(slope(0.0).abs());
                    Curve::Polynomial(scaled)
                }
                Cost::Piecewise(points) => {
                    let unknown = first_cost + self.costs;
                    self.costs += 1;
                    for piece in points.windows(2) {
                        let slope = (piece[1].1 - piece[0].1) / (piece[1].0 - piece[0].0);
                        steepest = steepest.max(slope.abs() * base);
                        let constant = piece[0].1 - slope * piece[0].0;
                        self.cuts.push(Cut { power, cost: unknown, slope: slope * base, constant });
                    }
                    Curve::Unknown(unknown)
                }
            };
            let cost_p = curve(&g.cost, first_p + k, range(g.p_min_mw, g.p_max_mw));
            let cost_q = match &g.reactive_cost {
                Some(cost) => curve(cost, first_q + k, range(g.q_min_mvar, g.q_max_mvar)),
                None => Curve::Polynomial(Vec::new()),
            };
            self.gens.push(Gen { generator, bus: live[g.bus], fixed_p, fixed_q, cost_p, cost_q });
        }
        self.scale = if steepest > 0.0 { STEEPEST / steepest } else { 1.0 };
        let scale = self.scale;
        for curve in self.gens.iter_mut().flat_map(|g| [&mut g.cost_p, &mut g.cost_q]) {
            if let Curve::Polynomial(c) = curve {
                c.iter_mut().for_each(|c| *c *= scale);
            }
        }
        for cut in &mut self.cuts {
            cut.slope *= scale;
            cut.constant *= scale;
        }
    }
}

impl Model {
    /// Adds costs to angles, voltages and powers: those of the highest piece, and a little.
    pub fn completed(&self, mut x: Vec<f64>) -> Vec<f64> {
        x.resize(self.unknowns(), f64::NEG_INFINITY);
        for cut in &self.cuts {
            x[cut.cost] = x[cut.cost].max(cut.slope * x[cut.power] + cut.constant + LITTLE);
        }
        x
    }
}

/// Costs begin this much above their pieces, in scaled units.
const LITTLE: f64 = 0.1;
