//! Power flow: which voltages a given dispatch and demand make.
//!
//! [`Newton`] takes any network. [`Sweep`] takes radial feeders and runs many scenarios of one feeder at once.

mod newton;
mod sweep;

pub use newton::Newton;
pub use sweep::{NotRadial, Sweep};

use crate::grid::Grid;
use domain::network::Network;
use nalgebra::Complex;
use serde::Serialize;

/// Largest power mismatch of an answer, per unit.
pub const TOLERANCE: f64 = 1e-8;

/// How a power flow ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// With these voltages.
    Converged(State),
    /// No voltages were found: the network may be loaded beyond what it can carry.
    Diverged {
        /// Iterations made.
        iterations: u32,
        /// The largest mismatch left, per unit.
        mismatch: f64,
    },
}

/// Voltages of a grid.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// By bus of the grid.
    pub volts: Vec<Complex<f64>>,
    /// By bus of the grid: whether its generators stand at a limit of reactive power and no longer hold its voltage.
    pub limited: Vec<bool>,
    /// Iterations made.
    pub iterations: u32,
    /// The largest mismatch left, per unit.
    pub mismatch: f64,
}

/// A state in the units and order of the network's lists.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Voltage magnitude (p.u.) and angle (degrees) by bus; zero where a bus takes no part.
    pub buses: Vec<(f64, f64)>,
    /// Active and reactive power by generator, MW and Mvar.
    pub generators: Vec<(f64, f64)>,
    /// Power into the `from` and into the `to` end by branch, MW and Mvar.
    pub branches: Vec<[(f64, f64); 2]>,
    /// What the branches lose, MW.
    pub losses_mw: f64,
}

impl State {
    /// What the state means for the network.
    #[must_use]
    pub fn report(&self, network: &Network, grid: &Grid) -> Report {
        let shown = |s: Complex<f64>| (s.re * grid.base, s.im * grid.base);
        let mut report = Report {
            buses: vec![(0.0, 0.0); network.buses.len()],
            generators: vec![(0.0, 0.0); network.generators.len()],
            branches: vec![[(0.0, 0.0); 2]; network.branches.len()],
            losses_mw: 0.0,
        };
        // What the generators of a bus feed in together.
        let mut fed: Vec<Complex<f64>> = Vec::with_capacity(grid.buses.len());
        for (bus, v) in grid.buses.iter().zip(&self.volts) {
            report.buses[bus.place] = (libm::hypot(v.re, v.im), libm::atan2(v.im, v.re).to_degrees());
            fed.push(bus.load + bus.shunt.conj() * v.norm_sqr());
        }
        for line in &grid.lines {
            let (from, to) = (self.volts[line.from], self.volts[line.to]);
            let into_from = from * (line.from_from * from + line.from_to * to).conj();
            let into_to = to * (line.to_from * from + line.to_to * to).conj();
            fed[line.from] += into_from;
            fed[line.to] += into_to;
            report.losses_mw += (into_from + into_to).re * grid.base;
            report.branches[line.place] = [shown(into_from), shown(into_to)];
        }
        share(grid, &fed, &mut report);
        report
    }
}

/// Shares what a bus feeds in among its generators: active power as scheduled and the rest by the first, reactive power in
/// proportion to their ranges.
fn share(grid: &Grid, fed: &[Complex<f64>], report: &mut Report) {
    let mut units: Vec<Vec<usize>> = vec![Vec::new(); grid.buses.len()];
    for (k, unit) in grid.units.iter().enumerate() {
        units[unit.bus].push(k);
    }
    for (bus, units) in units.iter().enumerate().filter(|(_, units)| !units.is_empty()) {
        let range = |k: usize| {
            let (low, high) = grid.units[k].q;
            (low.max(-1e3), (high.min(1e3) - low.max(-1e3)).max(0.0))
        };
        let scheduled: f64 = units[1..].iter().map(|k| grid.units[*k].start.re).sum();
        let (lows, widths) = units.iter().map(|k| range(*k)).fold((0.0, 0.0), |sum, r| (sum.0 + r.0, sum.1 + r.1));
        for (place, k) in units.iter().enumerate() {
            let p = if place == 0 { fed[bus].re - scheduled } else { grid.units[*k].start.re };
            #[expect(clippy::cast_precision_loss, reason = "a handful of generators")]
            let alike = (fed[bus].im - lows) / units.len() as f64;
            let (low, width) = range(*k);
            let q = low + if widths > 0.0 { (fed[bus].im - lows) * width / widths } else { alike };
            report.generators[grid.units[*k].place] = (p * grid.base, q * grid.base);
        }
    }
}

#[cfg(test)]
mod tests;
