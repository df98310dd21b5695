//! A power network as its owner writes it down: buses, branches, generators and what they cost. Megawatts, megavars,
//! degrees and per unit on the network's own base, in the sense of the MATPOWER manual, section 3 and appendix B.
//!
//! Whoever reads a file fills a [`Draft`]; a [`Network`] made of one cannot be wrong: numbers are unique and known, limits
//! are in order, every island that is alive has one reference. Inside, buses are counted from 0 in the order of the file.
//!
//! What is out of service stays in the lists, so that rows keep their places; [`Network::is_live`] and its siblings say
//! what takes part. An island with neither load nor generator is no mistake: it is dark, and left out by whoever solves.

mod check;
mod draft;
mod islands;
pub mod matpower;

pub use draft::{Draft, Placed, Problem};
pub use islands::{DARK, Islands};

use serde::Serialize;

/// What a bus holds in a power flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BusKind {
    /// Active and reactive power (PQ).
    Load,
    /// Active power and voltage (PV).
    Generator,
    /// Voltage and angle.
    Reference,
    /// Nothing: cut off, with all that is connected to it (type 4).
    Isolated,
}

/// A node of the network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bus {
    /// Its number in the file.
    pub number: u32,
    /// Its name, if the file has one.
    pub name: Option<String>,
    /// What it holds in a power flow.
    pub kind: BusKind,
    /// Active demand.
    pub demand_mw: f64,
    /// Reactive demand.
    pub demand_mvar: f64,
    /// Active power that its shunt takes at 1 p.u.
    pub shunt_mw: f64,
    /// Reactive power that its shunt feeds in at 1 p.u.
    pub shunt_mvar: f64,
    /// Voltage magnitude to begin with.
    pub vm_pu: f64,
    /// Voltage angle to begin with; at the reference, its angle.
    pub va_deg: f64,
    /// Nominal voltage; 0 where the file does not say.
    pub base_kv: f64,
    /// Lowest voltage.
    pub vmin_pu: f64,
    /// Highest voltage.
    pub vmax_pu: f64,
    /// Area.
    pub area: f64,
}

impl Bus {
    /// What people call it: its name, or its number.
    #[must_use]
    pub fn shown(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.number.to_string())
    }
}

/// A line, cable or transformer: a π model behind an ideal transformer at its `from` end. `At` is a place in
/// [`Network::buses`], or a number in a draft.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Branch<At = usize> {
    /// The end with the transformer.
    pub from: At,
    /// The other end.
    pub to: At,
    /// Series resistance.
    pub r_pu: f64,
    /// Series reactance.
    pub x_pu: f64,
    /// Total charging susceptance.
    pub b_pu: f64,
    /// Long-term rating of the apparent power at either end; none: unlimited.
    pub rate_mva: Option<f64>,
    /// Off-nominal turns ratio, never 0: 1 for a line.
    pub tap: f64,
    /// Phase shift, positive delays.
    pub shift_deg: f64,
    /// Whether it is in service.
    pub in_service: bool,
    /// Least difference of angles, `from` less `to`.
    pub angle_min_deg: Option<f64>,
    /// Greatest difference of angles.
    pub angle_max_deg: Option<f64>,
}

/// A generator, or a dispatchable load (negative power).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Generator<At = usize> {
    /// Where.
    pub bus: At,
    /// Active power to begin with.
    pub p_mw: f64,
    /// Reactive power to begin with.
    pub q_mvar: f64,
    /// Least active power.
    pub p_min_mw: f64,
    /// Greatest active power.
    pub p_max_mw: f64,
    /// Least reactive power.
    pub q_min_mvar: f64,
    /// Greatest reactive power.
    pub q_max_mvar: f64,
    /// Voltage that it holds.
    pub v_pu: f64,
    /// Whether it is in service.
    pub in_service: bool,
    /// What its active power costs an hour.
    pub cost: Cost,
    /// What its reactive power costs an hour, where that is priced.
    pub reactive_cost: Option<Cost>,
}

/// The cost of an hour at a power, in the file's currency.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cost {
    /// Coefficients of a polynomial in MW, from the constant up. Empty: it costs nothing.
    Polynomial(Vec<f64>),
    /// Points (MW, cost), at least two, rising in MW; beyond the ends the last piece goes on.
    Piecewise(Vec<(f64, f64)>),
}

impl Cost {
    /// At a power in MW (or Mvar).
    #[must_use]
    pub fn at(&self, power: f64) -> f64 {
        match self {
            Self::Polynomial(c) => c.iter().rev().fold(0.0, |sum, c| sum * power + c),
            Self::Piecewise(points) => {
                let Some(piece) = points.windows(2).find(|p| power <= p[1].0).or(points.windows(2).next_back()) else {
                    return 0.0;
                };
                let ((x0, y0), (x1, y1)) = (piece[0], piece[1]);
                y0 + (power - x0) * (y1 - y0) / (x1 - x0)
            }
        }
    }

    /// Whether a chord never lies below it between these powers, up to rounding: what a convex solver needs.
    #[must_use]
    pub fn is_convex(&self, low: f64, high: f64) -> bool {
        match self {
            // The second derivative of a polynomial of degree 3 at most is linear: its ends decide. Above that it is looked
            // at in 64 places too.
            Self::Polynomial(c) if c.len() < 3 => true,
            Self::Polynomial(c) => {
                let bend = |p: f64| (2..c.len()).rev().fold(0.0, |sum, k| sum * p + f64_of(k * (k - 1)) * c[k]);
                if c.len() == 3 {
                    return c[2] >= 0.0;
                }
                if !(low.is_finite() && high.is_finite()) {
                    return c[3..].iter().all(|c| *c == 0.0) && c[2] >= 0.0;
                }
                (0..=64_u32).all(|i| bend(low + (high - low) * f64::from(i) / 64.0) >= 0.0)
            }
            Self::Piecewise(points) => {
                let slope = |p: &[(f64, f64)]| (p[1].1 - p[0].1) / (p[1].0 - p[0].0);
                let slopes: Vec<f64> = points.windows(2).map(slope).collect();
                // Costs are written with few digits; slopes of equal pieces differ in the last ones.
                slopes.windows(2).all(|s| s[1] >= s[0] - 1e-6 * (1.0 + s[0].abs()))
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a degree is small")]
fn f64_of(n: usize) -> f64 {
    n as f64
}

/// A network that has been checked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Network {
    /// What it calls itself.
    pub name: String,
    /// Base of the per-unit system.
    pub base_mva: f64,
    /// The buses.
    pub buses: Vec<Bus>,
    /// The branches.
    pub branches: Vec<Branch>,
    /// The generators.
    pub generators: Vec<Generator>,
}

impl Network {
    /// Whether this bus takes part.
    #[must_use]
    pub fn is_live(&self, bus: usize) -> bool {
        self.buses[bus].kind != BusKind::Isolated
    }

    /// Whether this branch takes part: in service, between buses that do.
    #[must_use]
    pub fn carries(&self, branch: usize) -> bool {
        let b = &self.branches[branch];
        b.in_service && self.is_live(b.from) && self.is_live(b.to)
    }

    /// Whether this generator takes part: in service, at a bus that does.
    #[must_use]
    pub fn runs(&self, generator: usize) -> bool {
        let g = &self.generators[generator];
        g.in_service && self.is_live(g.bus)
    }

    /// The place of the bus with this number.
    #[must_use]
    pub fn place(&self, number: u32) -> Option<usize> {
        self.buses.iter().position(|bus| bus.number == number)
    }
}

#[cfg(test)]
mod tests;
