//! Backward/forward sweep for radial feeders (Shirmohammadi et al. 1988): currents are added up from the ends to the
//! source, voltages then follow from the source to the ends. Scenarios of one feeder go through it side by side.

use super::{Outcome, State, TOLERANCE};
use crate::grid::{Grid, NOWHERE, polar};
use domain::network::{BusKind, Network};
use nalgebra::Complex;

/// Scenarios that go side by side.
const LANES: usize = 8;
const MOST_ITERATIONS: u32 = 100;

/// Why a network is none for a sweep, by place in the network's lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRadial {
    /// This branch closes a loop.
    Loop(usize),
    /// A generator at this bus holds a voltage away from the source.
    HoldsVoltage(usize),
}

/// A feeder ready for many scenarios. Steps are buses from the source outward.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The network in per unit.
    pub grid: Grid,
    steps: Vec<Step>,
    /// What generators away from the source feed in, by bus.
    fed: Vec<Complex<f64>>,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    bus: usize,
    /// Its place among the steps, or none for a source.
    parent: usize,
    z: Complex<f64>,
    /// The voltage at this end is `ratio` times that behind the impedance; the impedance sees `turn` times the parent's.
    ratio: Complex<f64>,
    turn: Complex<f64>,
    shunt: Complex<f64>,
    source: Complex<f64>,
}

impl Sweep {
    /// Lays out a feeder from its source.
    ///
    /// # Errors
    /// What makes it none.
    pub fn new(network: &Network) -> Result<Self, NotRadial> {
        let grid = Grid::new(network);
        let n = grid.buses.len();
        let mut shunt: Vec<Complex<f64>> = grid.buses.iter().map(|bus| bus.shunt).collect();
        let mut near: Vec<Vec<usize>> = vec![Vec::new(); n];
        for (k, line) in grid.lines.iter().enumerate() {
            near[line.from].push(k);
            near[line.to].push(k);
            shunt[line.from] += Complex::new(0.0, line.b / 2.0 / (line.tap * line.tap));
            shunt[line.to] += Complex::new(0.0, line.b / 2.0);
        }
        let mut set = vec![1.0; n];
        let mut fed = vec![Complex::new(0.0, 0.0); n];
        for unit in grid.units.iter().rev() {
            set[unit.bus] = unit.volts;
            fed[unit.bus] += unit.start;
        }
        let mut steps: Vec<Step> = Vec::with_capacity(n);
        let mut step_of = vec![NOWHERE; n];
        let mut used = vec![false; grid.lines.len()];
        let one = Complex::new(1.0, 0.0);
        for (bus, _) in &grid.references {
            let source = polar(set[*bus], grid.buses[*bus].start.1);
            let nothing = Complex::new(0.0, 0.0);
            step_of[*bus] = steps.len();
            let mut next = steps.len();
            let parent = NOWHERE;
            steps.push(Step { bus: *bus, parent, z: nothing, ratio: one, turn: one, shunt: shunt[*bus], source });
            while next < steps.len() {
                let here = steps[next].bus;
                for k in &near[here] {
                    if std::mem::replace(&mut used[*k], true) {
                        continue;
                    }
                    let line = &grid.lines[*k];
                    let there = if line.from == here { line.to } else { line.from };
                    if step_of[there] != NOWHERE {
                        return Err(NotRadial::Loop(line.place));
                    }
                    if grid.buses[there].kind == BusKind::Generator {
                        return Err(NotRadial::HoldsVoltage(grid.buses[there].place));
                    }
                    step_of[there] = steps.len();
                    let tap = polar(line.tap, line.shift);
                    let (turn, ratio) = if line.from == here { (tap.inv(), one) } else { (one, tap) };
                    let shunt = shunt[there];
                    steps.push(Step { bus: there, parent: next, z: line.z, ratio, turn, shunt, source });
                }
                next += 1;
            }
        }
        Ok(Self { grid, steps, fed })
    }

    /// Voltages for the grid's own loads.
    #[must_use]
    pub fn solve(&self) -> Outcome {
        let loads: Vec<Complex<f64>> = self.grid.buses.iter().map(|bus| bus.load).collect();
        let mut room = Room::<1>::new(self.steps.len());
        let mut found = Vec::with_capacity(1);
        self.run(&[&loads], &mut room, &mut found);
        found.pop().unwrap_or(Outcome::Diverged { iterations: 0, mismatch: f64::NAN })
    }

    /// Voltages for many scenarios: each the demand by bus of the grid, per unit.
    #[must_use]
    pub fn batch(&self, scenarios: &[Vec<Complex<f64>>]) -> Vec<Outcome> {
        let mut found = Vec::with_capacity(scenarios.len());
        let mut room = Room::<LANES>::new(self.steps.len());
        for group in scenarios.chunks(LANES) {
            let group: Vec<&[Complex<f64>]> = group.iter().map(Vec::as_slice).collect();
            self.run(&group, &mut room, &mut found);
        }
        found
    }

    /// Up to `W` scenarios.
    fn run<const W: usize>(&self, group: &[&[Complex<f64>]], room: &mut Room<W>, found: &mut Vec<Outcome>) {
        for (step, lanes) in self.steps.iter().zip(&mut room.lanes) {
            for l in 0..W {
                // Idle lanes repeat the last scenario.
                let load = group[l.min(group.len() - 1)][step.bus] - self.fed[step.bus];
                (lanes.p[l], lanes.q[l]) = (load.re, load.im);
                (lanes.vr[l], lanes.vi[l]) = (step.source.re, step.source.im);
                // No current is known yet, and none of the scenarios before counts.
                (lanes.own_r[l], lanes.own_i[l]) = (f64::INFINITY, f64::INFINITY);
            }
        }
        let mut iterations = 0;
        let mut mismatch = [f64::INFINITY; W];
        while iterations < MOST_ITERATIONS {
            mismatch = self.backward(room);
            if mismatch.iter().all(|m| *m <= TOLERANCE || m.is_nan()) {
                break;
            }
            self.forward(room);
            iterations += 1;
        }
        let order = group.len();
        for (l, mismatch) in mismatch.iter().enumerate().take(order) {
            if *mismatch > TOLERANCE || mismatch.is_nan() {
                found.push(Outcome::Diverged { iterations, mismatch: *mismatch });
                continue;
            }
            let mut volts = vec![Complex::new(0.0, 0.0); self.grid.buses.len()];
            for (step, lanes) in self.steps.iter().zip(&room.lanes) {
                volts[step.bus] = Complex::new(lanes.vr[l], lanes.vi[l]);
            }
            let limited = vec![false; volts.len()];
            found.push(Outcome::Converged(State { volts, limited, iterations, mismatch: *mismatch }));
        }
    }

    /// Currents from the ends to the source. Returns by lane the largest mismatch of power that the currents of the sweep
    /// before leave at the voltages they made.
    fn backward<const W: usize>(&self, room: &mut Room<W>) -> [f64; W] {
        let mut worst = [0.0; W];
        for (step, lanes) in self.steps.iter().zip(&mut room.lanes) {
            #[expect(clippy::needless_range_loop, reason = "a lane runs through ten arrays")]
            for l in 0..W {
                let (vr, vi) = (lanes.vr[l], lanes.vi[l]);
                // I = (S/V)* + y·V
                let size = 1.0 / (vr * vr + vi * vi);
                let (ir, ii) = ((lanes.p[l] * vr + lanes.q[l] * vi) * size, (lanes.p[l] * vi - lanes.q[l] * vr) * size);
                let ir = ir + step.shunt.re * vr - step.shunt.im * vi;
                let ii = ii + step.shunt.re * vi + step.shunt.im * vr;
                let (dr, di) = (ir - lanes.own_r[l], ii - lanes.own_i[l]);
                let off = (dr * dr + di * di) * (vr * vr + vi * vi);
                if step.parent != NOWHERE {
                    worst[l] = if off > worst[l] || off.is_nan() { off } else { worst[l] };
                }
                (lanes.own_r[l], lanes.own_i[l]) = (ir, ii);
                (lanes.ir[l], lanes.ii[l]) = (ir, ii);
            }
        }
        for k in (0..self.steps.len()).rev() {
            let step = self.steps[k];
            if step.parent == NOWHERE {
                continue;
            }
            let (before, rest) = room.lanes.split_at_mut(k);
            let (parent, lanes) = (&mut before[step.parent], &mut rest[0]);
            // An ideal transformer keeps the power: currents turn by the conjugate ratio.
            let (ratio, turn) = (step.ratio.conj(), step.turn.conj());
            for l in 0..W {
                let (ir, ii) = (lanes.ir[l], lanes.ii[l]);
                let (br, bi) = (ir * ratio.re - ii * ratio.im, ir * ratio.im + ii * ratio.re);
                (lanes.ir[l], lanes.ii[l]) = (br, bi);
                parent.ir[l] += br * turn.re - bi * turn.im;
                parent.ii[l] += br * turn.im + bi * turn.re;
            }
        }
        worst.map(f64::sqrt)
    }

    /// Voltages from the source to the ends.
    fn forward<const W: usize>(&self, room: &mut Room<W>) {
        for k in 0..self.steps.len() {
            let step = self.steps[k];
            if step.parent == NOWHERE {
                continue;
            }
            let (before, rest) = room.lanes.split_at_mut(k);
            let (parent, lanes) = (&before[step.parent], &mut rest[0]);
            for l in 0..W {
                let (pr, pi) = (parent.vr[l], parent.vi[l]);
                let (ir, ii) = (lanes.ir[l], lanes.ii[l]);
                let r = pr * step.turn.re - pi * step.turn.im - (step.z.re * ir - step.z.im * ii);
                let i = pr * step.turn.im + pi * step.turn.re - (step.z.re * ii + step.z.im * ir);
                lanes.vr[l] = r * step.ratio.re - i * step.ratio.im;
                lanes.vi[l] = r * step.ratio.im + i * step.ratio.re;
            }
        }
    }
}

/// What is known of a bus in each scenario: demand, voltage, its own current, and the current through its branch.
#[derive(Clone, Copy, Debug)]
struct Lanes<const W: usize> {
    p: [f64; W],
    q: [f64; W],
    vr: [f64; W],
    vi: [f64; W],
    own_r: [f64; W],
    own_i: [f64; W],
    ir: [f64; W],
    ii: [f64; W],
}

struct Room<const W: usize> {
    lanes: Vec<Lanes<W>>,
}

impl<const W: usize> Room<W> {
    fn new(steps: usize) -> Self {
        let none = [0.0; W];
        let lanes = Lanes { p: none, q: none, vr: none, vi: none, own_r: none, own_i: none, ir: none, ii: none };
        Self { lanes: vec![lanes; steps] }
    }
}
