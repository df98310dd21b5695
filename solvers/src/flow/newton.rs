//! Newton–Raphson in polar coordinates (Tinney and Hart 1967), two equations for every bus whatever it holds, so that the
//! pattern stays when a bus changes from holding its voltage to standing at a limit.

use super::{Outcome, State, TOLERANCE};
use crate::grid::{Grid, polar};
use crate::sparse::{Lu, Pair, Pattern};
use domain::network::{BusKind, Network};
use nalgebra::Complex;

const MOST_ITERATIONS: u32 = 30;
/// Rounds of changing what buses hold.
const MOST_ROUNDS: u32 = 20;
/// How far beyond a limit of reactive power is beyond it, per unit.
const SLACK: f64 = 1e-6;

/// A network ready for many power flows.
#[derive(Clone, Debug)]
pub struct Newton {
    /// The network in per unit. Loads, powers of generators and set voltages may be changed between solves.
    pub grid: Grid,
    pattern: Pattern,
    pairs: Vec<(usize, usize)>,
    /// Admittances: of a bus itself, and of a pair in both directions.
    own: Vec<Complex<f64>>,
    mutual: Vec<(Complex<f64>, Complex<f64>)>,
    lu: Lu,
    diagonal: Vec<Pair>,
    off: Vec<(Pair, Pair)>,
}

/// What a bus holds in this round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Angle,
    Voltage,
    Power,
    /// At its upper or lower limit of reactive power.
    Limit(bool),
}

impl Newton {
    /// Lays out the equations.
    #[must_use]
    pub fn new(network: &Network) -> Self {
        let grid = Grid::new(network);
        let pairs = grid.pairs();
        let mut own: Vec<Complex<f64>> = grid.buses.iter().map(|bus| bus.shunt).collect();
        let mut mutual = vec![(Complex::new(0.0, 0.0), Complex::new(0.0, 0.0)); pairs.len()];
        for line in &grid.lines {
            own[line.from] += line.from_from;
            own[line.to] += line.to_to;
            let pair = (line.from.min(line.to), line.from.max(line.to));
            if let Ok(at) = pairs.binary_search(&pair) {
                let (up, down) =
                    if line.from < line.to { (line.from_to, line.to_from) } else { (line.to_from, line.from_to) };
                mutual[at].0 += up;
                mutual[at].1 += down;
            }
        }
        let pattern = Pattern::new(grid.buses.len(), &pairs, &[]);
        let lu = Lu::new(&pattern);
        let diagonal = vec![[0.0; 4]; grid.buses.len()];
        let off = vec![([0.0; 4], [0.0; 4]); pairs.len()];
        Self { grid, pattern, pairs, own, mutual, lu, diagonal, off }
    }

    /// Voltages for the grid as it is now. With `limits`, generators that would need more reactive power than they have
    /// stand at their limit and let the voltage go, and hold it again where that would do; the reference always holds.
    pub fn solve(&mut self, limits: bool) -> Outcome {
        let n = self.grid.buses.len();
        let mut generated = vec![Complex::new(0.0, 0.0); n];
        let mut range = vec![(0.0, 0.0); n];
        let mut set = vec![None; n];
        for unit in &self.grid.units {
            generated[unit.bus] += unit.start;
            range[unit.bus] = (range[unit.bus].0 + unit.q.0, range[unit.bus].1 + unit.q.1);
            set[unit.bus].get_or_insert(unit.volts);
        }
        let mut holds: Vec<Holds> = Vec::with_capacity(n);
        let (mut vm, mut va) = (Vec::with_capacity(n), Vec::with_capacity(n));
        for (k, bus) in self.grid.buses.iter().enumerate() {
            let kind = match bus.kind {
                BusKind::Reference => Holds::Angle,
                BusKind::Generator => Holds::Voltage,
                BusKind::Load | BusKind::Isolated => Holds::Power,
            };
            holds.push(kind);
            let start = if bus.start.0 > 0.0 { bus.start.0 } else { 1.0 };
            vm.push(set[k].filter(|_| kind != Holds::Power).unwrap_or(start));
            va.push(bus.start.1);
        }
        let mut iterations = 0;
        for _ in 0..MOST_ROUNDS {
            let wanted: Vec<Complex<f64>> = (0..n)
                .map(|k| {
                    let reactive = match holds[k] {
                        Holds::Limit(upper) => {
                            if upper {
                                range[k].1
                            } else {
                                range[k].0
                            }
                        }
                        _ => generated[k].im,
                    };
                    Complex::new(generated[k].re, reactive) - self.grid.buses[k].load
                })
                .collect();
            let (made, mismatch) = self.iterate(&holds, &wanted, &mut vm, &mut va);
            iterations += made;
            if mismatch > TOLERANCE || mismatch.is_nan() {
                return Outcome::Diverged { iterations, mismatch };
            }
            if !limits || !self.regroup(&mut holds, &range, &set, &mut vm, &va) {
                let volts = vm.iter().zip(&va).map(|(m, a)| polar(*m, *a)).collect();
                let limited = holds.iter().map(|h| matches!(h, Holds::Limit(_))).collect();
                return Outcome::Converged(State { volts, limited, iterations, mismatch });
            }
        }
        Outcome::Diverged { iterations, mismatch: f64::INFINITY }
    }

    /// Newton's iterations for what buses hold now; their number and the mismatch left.
    fn iterate(&mut self, holds: &[Holds], wanted: &[Complex<f64>], vm: &mut [f64], va: &mut [f64]) -> (u32, f64) {
        let mut step = vec![[0.0; 2]; holds.len()];
        for iteration in 0..=MOST_ITERATIONS {
            let mismatch = self.linearise(holds, wanted, vm, va, &mut step);
            if mismatch <= TOLERANCE || mismatch.is_nan() || iteration == MOST_ITERATIONS {
                return (iteration, mismatch);
            }
            if !self.lu.factor(&self.pattern, &self.diagonal, &self.off) {
                return (iteration, mismatch);
            }
            self.lu.solve(&self.pattern, &mut step);
            // A step that would turn a voltage over is shortened; near an answer no step is.
            let widest = step.iter().fold(0.0_f64, |most, s| most.max(s[1].abs()).max(s[0].abs() / 3.0));
            let share = if widest > 0.5 { 0.5 / widest } else { 1.0 };
            for (k, s) in step.iter().enumerate() {
                va[k] += share * s[0];
                vm[k] *= 1.0 + share * s[1];
            }
        }
        (MOST_ITERATIONS, f64::INFINITY)
    }

    /// Fills the Jacobian, by angle and by relative change of voltage, and the mismatch; returns the largest.
    fn linearise(
        &mut self,
        holds: &[Holds],
        wanted: &[Complex<f64>],
        vm: &[f64],
        va: &[f64],
        mismatch: &mut [[f64; 2]],
    ) -> f64 {
        let volts: Vec<Complex<f64>> = vm.iter().zip(va).map(|(m, a)| polar(*m, *a)).collect();
        let mut power: Vec<Complex<f64>> = self.own.iter().zip(&volts).map(|(y, v)| y.conj() * v.norm_sqr()).collect();
        let own = power.clone();
        for ((&(i, j), &(up, down)), off) in self.pairs.iter().zip(&self.mutual).zip(&mut self.off) {
            let at_i = volts[i] * (up * volts[j]).conj();
            let at_j = volts[j] * (down * volts[i]).conj();
            power[i] += at_i;
            power[j] += at_j;
            let block = |t: Complex<f64>, h: Holds| match h {
                Holds::Angle => [0.0; 4],
                Holds::Voltage => [t.im, t.re, 0.0, 0.0],
                Holds::Power | Holds::Limit(_) => [t.im, t.re, -t.re, t.im],
            };
            *off = (block(at_i, holds[i]), block(at_j, holds[j]));
        }
        let mut most = 0.0_f64;
        for k in 0..holds.len() {
            let (s, own) = (power[k], own[k]);
            let first = [own.im - s.im, s.re + own.re];
            let second = [s.re - own.re, s.im + own.im];
            let off = wanted[k] - s;
            (self.diagonal[k], mismatch[k]) = match holds[k] {
                Holds::Angle => ([1.0, 0.0, 0.0, 1.0], [0.0, 0.0]),
                Holds::Voltage => ([first[0], first[1], 0.0, 1.0], [off.re, 0.0]),
                Holds::Power | Holds::Limit(_) => ([first[0], first[1], second[0], second[1]], [off.re, off.im]),
            };
            for off in mismatch[k] {
                most = if off.abs() > most || off.is_nan() { off.abs() } else { most };
            }
        }
        most
    }

    /// Lets voltages go whose generators are beyond their limits, and takes those back that the limit no longer binds.
    fn regroup(
        &self,
        holds: &mut [Holds],
        range: &[(f64, f64)],
        set: &[Option<f64>],
        vm: &mut [f64],
        va: &[f64],
    ) -> bool {
        let volts: Vec<Complex<f64>> = vm.iter().zip(va).map(|(m, a)| polar(*m, *a)).collect();
        let mut reactive: Vec<f64> =
            (0..volts.len()).map(|k| self.grid.buses[k].load.im - self.own[k].im * volts[k].norm_sqr()).collect();
        for (&(i, j), &(up, down)) in self.pairs.iter().zip(&self.mutual) {
            reactive[i] += (volts[i] * (up * volts[j]).conj()).im;
            reactive[j] += (volts[j] * (down * volts[i]).conj()).im;
        }
        let mut changed = false;
        for (k, hold) in holds.iter_mut().enumerate() {
            let next = match *hold {
                Holds::Voltage if reactive[k] > range[k].1 + SLACK => Holds::Limit(true),
                Holds::Voltage if reactive[k] < range[k].0 - SLACK => Holds::Limit(false),
                Holds::Limit(true) if set[k].is_some_and(|v| vm[k] > v + SLACK) => Holds::Voltage,
                Holds::Limit(false) if set[k].is_some_and(|v| vm[k] < v - SLACK) => Holds::Voltage,
                same => same,
            };
            if next != *hold {
                changed = true;
                if let (Holds::Voltage, Some(v)) = (next, set[k]) {
                    vm[k] = v;
                }
                *hold = next;
            }
        }
        changed
    }
}
