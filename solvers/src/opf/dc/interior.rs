//! Our own primal–dual interior point for the linear model, with Mehrotra's predictor and corrector (1992).
//!
//! Everything that has limits is a box: what a generator gives, each piece of a piecewise linear cost, and the flow `v` of
//! a line that has a rating or limits of its angle. With balances `C p − B θ = d` priced `λ` and `A θ = v`, a step solves,
//! after the boxes are eliminated,
//!
//! ```text
//! ⎡ Aᵀ W A      B     ⎤ ⎡ Δθ ⎤
//! ⎣    B    −C D⁻¹ Cᵀ ⎦ ⎣ Δλ ⎦ = r
//! ```
//!
//! which is a graph of 2 × 2 blocks, one for each bus, on the network's own pattern. Nothing is refined: what rounding
//! spoils the check finds, and clarabel solves.

use super::program::susceptance;
use crate::grid::Grid;
use crate::sparse::{Pair, Pattern, Twin};
use domain::network::{Cost, Network};
use std::time::Duration;

/// What is not finite is this far away, in per unit: the check knows the truth.
const FAR: f64 = 1e4;
/// Limits nearer to each other than this leave no choice.
const TIGHT: f64 = 1e-9;
const MOST_ITERATIONS: u32 = 60;
/// Of the way to the next limit; near the end more, or the last digits take three steps instead of one.
const SHARE: f64 = 0.995;
/// What is left of the way at least.
const CLEAR: f64 = 1e-6;
/// Complementarity relative to cost; errors of balances in per unit, of what a feed earns in units of the steepest slope, and
/// of all that pulls at angles relative to cost.
const GAP: f64 = 1e-8;
const PRIMAL: f64 = 1e-9;
const DUAL: f64 = 1e-9;
const PULL: f64 = 2e-9;
/// Products of rooms and multipliers to begin with.
const START: f64 = 1.0;
/// Steps this short lead nowhere.
const SHORT: f64 = 1e-4;
/// On the diagonal, so that what nothing holds does not make the matrix singular.
const REGULAR: f64 = 1e-11;

/// A quantity between limits, and the multipliers of these.
#[derive(Clone, Copy, Debug, Default)]
struct Kept {
    value: f64,
    low: f64,
    high: f64,
    at_low: f64,
    at_high: f64,
    /// Of stationarity for a feed, of `A θ = v` for a line.
    error: f64,
    /// Diagonal and right-hand side of the eliminated row.
    weight: f64,
    right: f64,
    /// What rooms times multipliers are to change by.
    wanted: [f64; 2],
    /// Of the value and of both multipliers.
    step: [f64; 3],
}

/// How far a point is from an optimum.
#[derive(Clone, Copy, Debug, Default)]
struct Errors {
    gap: f64,
    cost: f64,
    primal: f64,
    dual: f64,
    pull: f64,
}

/// What feeds a bus: a generator, or a piece of one.
#[derive(Clone, Copy, Debug)]
struct Feed {
    unit: usize,
    bus: usize,
    bend: f64,
    slope: f64,
}

/// A line with limits.
#[derive(Clone, Copy, Debug)]
struct Held {
    line: usize,
    from: usize,
    to: usize,
    edge: usize,
    b: f64,
    /// Whether the limit of the angle is the nearer one, low and high.
    by_angle: [bool; 2],
}

/// A network laid out for it.
#[derive(Clone, Debug)]
pub struct Interior {
    pattern: Pattern,
    edges: Vec<(usize, usize)>,
    factor: Twin,
    /// By edge, the flow for one radian.
    stiff: Vec<f64>,
    /// Their sums, by bus.
    own: Vec<f64>,
    pinned: Vec<bool>,
    feeds: Vec<Feed>,
    /// Boxes of feeds, then of lines.
    kept: Vec<Kept>,
    lines: Vec<Held>,
    /// What units give whatever is decided.
    given: Vec<f64>,
    scale: f64,
    linear: bool,
    angle: Vec<f64>,
    price: Vec<f64>,
    demand: Vec<f64>,
    diagonal: Vec<Pair>,
    off: Vec<Pair>,
    balance: Vec<f64>,
    pull: Vec<f64>,
    step: Vec<[f64; 2]>,
}

/// What was found: angles, what units give, prices, and multipliers of lines' ratings and angles, all per unit.
#[derive(Clone, Debug, Default)]
pub struct Found {
    pub angle: Vec<f64>,
    pub power: Vec<f64>,
    pub price: Vec<f64>,
    pub lines: Vec<(f64, f64)>,
    pub iterations: u32,
}

/// How it ended.
pub enum Ended {
    Solved(Found),
    OutOfTime,
    Stuck,
}

impl Interior {
    /// Lays a network out; `scale` is what costs are divided by.
    pub fn new(network: &Network, grid: &Grid, scale: f64) -> Self {
        let n = grid.buses.len();
        let mut ends: Vec<(usize, usize, usize)> =
            grid.lines.iter().enumerate().map(|(k, l)| (l.from.min(l.to), l.from.max(l.to), k)).collect();
        ends.sort_unstable();
        let (mut edges, mut stiff) = (Vec::with_capacity(ends.len()), Vec::with_capacity(ends.len()));
        let mut edge_of = vec![0; grid.lines.len()];
        for (i, j, k) in ends {
            if edges.last() != Some(&(i, j)) {
                edges.push((i, j));
                stiff.push(0.0);
            }
            edge_of[k] = edges.len() - 1;
            if let Some(sum) = stiff.last_mut() {
                *sum += susceptance(&grid.lines[k]);
            }
        }
        let mut own = vec![0.0; n];
        for (&(i, j), b) in edges.iter().zip(&stiff) {
            own[i] += b;
            own[j] += b;
        }
        let mut pinned = vec![false; n];
        let last: Vec<usize> = grid.references.iter().map(|(bus, _)| *bus).collect();
        last.iter().for_each(|bus| pinned[*bus] = true);
        let pattern = Pattern::new(n, &edges, &last);
        let factor = Twin::new(&pattern);
        let mut laid = Self {
            diagonal: vec![[0.0; 4]; n],
            off: vec![[0.0; 4]; edges.len()],
            pattern,
            edges,
            factor,
            stiff,
            own,
            pinned,
            feeds: Vec::with_capacity(grid.units.len()),
            kept: Vec::with_capacity(grid.units.len() + grid.lines.len()),
            lines: Vec::with_capacity(grid.lines.len()),
            given: vec![0.0; grid.units.len()],
            scale,
            linear: true,
            angle: vec![0.0; n],
            price: vec![0.0; n],
            demand: vec![0.0; n],
            balance: vec![0.0; n],
            pull: vec![0.0; n],
            step: vec![[0.0; 2]; n],
        };
        for (k, unit) in grid.units.iter().enumerate() {
            laid.add_unit(k, unit.bus, unit.p, grid.base, &network.generators[unit.place].cost);
        }
        for (k, line) in grid.lines.iter().enumerate() {
            let b = susceptance(line);
            let at = b * line.shift;
            let rating = (at - line.rate, at + line.rate);
            let angle = (b * line.angles.0, b * line.angles.1);
            let angle = if b < 0.0 { (angle.1, angle.0) } else { angle };
            let (low, high) = (rating.0.max(angle.0), rating.1.min(angle.1));
            if low.is_finite() || high.is_finite() {
                let by_angle = [angle.0 > rating.0, angle.1 < rating.1];
                laid.lines.push(Held { line: k, from: line.from, to: line.to, edge: edge_of[k], b, by_angle });
                laid.kept.push(Kept { low: low.max(-FAR), high: high.min(FAR), ..Kept::default() });
            }
        }
        laid
    }

    fn add_unit(&mut self, unit: usize, bus: usize, limits: (f64, f64), base: f64, cost: &Cost) {
        let mut feed = |low: f64, high: f64, slope: f64, bend: f64| {
            self.feeds.push(Feed { unit, bus, bend: bend / self.scale, slope: slope / self.scale });
            self.linear &= bend == 0.0;
            self.kept.push(Kept { low, high, ..Kept::default() });
        };
        let (low, high) = (limits.0.max(-FAR), limits.1.min(FAR));
        if high - low < TIGHT {
            self.given[unit] = 0.5 * (low + high);
            return;
        }
        match cost {
            Cost::Polynomial(c) => {
                let at = |k: usize| c.get(k).copied().unwrap_or(0.0);
                feed(low, high, at(1) * base, 2.0 * at(2) * base * base);
            }
            Cost::Piecewise(points) => {
                // The first piece reaches down, the last up to the generator's own limits.
                let mut from = low;
                let last = points.len().saturating_sub(2);
                for (k, w) in points.windows(2).enumerate() {
                    let to = if k == last { high } else { (w[1].0 / base).min(high) };
                    if to - from < TIGHT {
                        continue;
                    }
                    let slope = (w[1].1 - w[0].1) / (w[1].0 - w[0].0) * base;
                    if from == low {
                        feed(low, to, slope, 0.0);
                    } else {
                        feed(0.0, to - from, slope, 0.0);
                    }
                    from = to;
                }
            }
        }
    }

    /// The cheapest dispatch. `left` says how much time there is.
    pub fn solve(&mut self, grid: &Grid, left: &dyn Fn() -> Duration) -> Ended {
        // A rating and a window of angles that do not meet leave no room to walk in; the simplex says why.
        if self.kept.iter().any(|k| k.low.partial_cmp(&k.high) != Some(std::cmp::Ordering::Less)) {
            return Ended::Stuck;
        }
        self.begin(grid);
        let mut stalled = 0;
        for iterations in 0..MOST_ITERATIONS {
            let errors = self.look();
            let worth = errors.cost.abs().max(1e-3);
            let solved = errors.primal <= PRIMAL && errors.dual <= DUAL;
            if solved && errors.pull <= PULL * worth && errors.gap <= GAP * worth {
                return Ended::Solved(self.found(grid, iterations));
            }
            if left().is_zero() {
                return Ended::OutOfTime;
            }
            if !errors.gap.is_finite() || !self.factored() {
                return Ended::Stuck;
            }
            for kept in &mut self.kept {
                let (low, high) = kept.room();
                kept.wanted = [-kept.at_low * low, -kept.at_high * high];
            }
            self.direct();
            let (primal, dual) = self.lengths(1.0);
            let mut after = 0.0;
            for kept in &self.kept {
                let (low, high) = kept.room();
                let along = primal * kept.step[0];
                after += (kept.at_low + dual * kept.step[1]) * (low + along);
                after += (kept.at_high + dual * kept.step[2]) * (high - along);
            }
            let centre = (after / errors.gap).powi(3) * errors.gap / self.count();
            for kept in &mut self.kept {
                let [along, low, high] = kept.step;
                kept.wanted[0] += centre - along * low;
                kept.wanted[1] += centre + along * high;
            }
            self.direct();
            let (primal, dual) = self.lengths(1.0 - (errors.gap / worth).clamp(CLEAR, 1.0 - SHARE));
            self.advance(primal, dual);
            stalled = if primal.min(dual) < SHORT { stalled + 1 } else { 0 };
            if stalled > 2 {
                return Ended::Stuck;
            }
        }
        Ended::Stuck
    }

    #[expect(clippy::cast_precision_loss, reason = "a network has fewer limits than a float has digits")]
    fn count(&self) -> f64 {
        (2 * self.kept.len()) as f64
    }

    /// All boxes at a share of their width that meets the demand, nothing flowing anywhere.
    fn begin(&mut self, grid: &Grid) {
        for ((demand, bus), angle) in self.demand.iter_mut().zip(&grid.buses).zip(&mut self.angle) {
            *demand = bus.load.re + bus.shunt.re;
            *angle = grid.buses[grid.references[bus.island].0].start.1;
        }
        for line in &grid.lines {
            let shifted = susceptance(line) * line.shift;
            self.demand[line.from] -= shifted;
            self.demand[line.to] += shifted;
        }
        for (unit, given) in grid.units.iter().zip(&self.given) {
            self.demand[unit.bus] -= given;
        }
        let (feeds, lines) = self.kept.split_at_mut(self.feeds.len());
        let (mut low, mut high) = (0.0, 0.0);
        for kept in feeds.iter() {
            low += kept.low;
            high += kept.high;
        }
        let wanted: f64 = self.demand.iter().sum();
        let share = ((wanted - low) / (high - low)).clamp(0.1, 0.9);
        let share = if share.is_nan() { 0.5 } else { share };
        let (mut slopes, mut weights) = (0.0, 0.0);
        for (kept, feed) in feeds.iter_mut().zip(&self.feeds) {
            kept.value = kept.low + share * (kept.high - kept.low);
            let width = kept.high - kept.low;
            slopes += width * (feed.slope + feed.bend * kept.value);
            weights += width;
        }
        for kept in lines.iter_mut() {
            let margin = 0.1 * (kept.high - kept.low);
            kept.value = 0.0_f64.clamp(kept.low + margin, kept.high - margin);
        }
        self.price.fill(if weights > 0.0 { slopes / weights } else { 0.0 });
        for kept in &mut self.kept {
            let (low, high) = kept.room();
            (kept.at_low, kept.at_high) = (START / low, START / high);
        }
    }

    /// How far the point is from an optimum.
    fn look(&mut self) -> Errors {
        let mut errors = Errors::default();
        for ((balance, pull), demand) in self.balance.iter_mut().zip(&mut self.pull).zip(&self.demand) {
            (*balance, *pull) = (-demand, 0.0);
        }
        for (&(i, j), b) in self.edges.iter().zip(&self.stiff) {
            let flow = b * (self.angle[i] - self.angle[j]);
            self.balance[i] -= flow;
            self.balance[j] += flow;
            let pulled = b * (self.price[i] - self.price[j]);
            self.pull[i] += pulled;
            self.pull[j] -= pulled;
        }
        let (feeds, lines) = self.kept.split_at_mut(self.feeds.len());
        for (kept, feed) in feeds.iter_mut().zip(&self.feeds) {
            let (low, high) = kept.room();
            self.balance[feed.bus] += kept.value;
            let slope = feed.slope + feed.bend * kept.value;
            kept.error = slope - self.price[feed.bus] - kept.at_low + kept.at_high;
            kept.weight = feed.bend + kept.at_low / low + kept.at_high / high;
            errors.dual = errors.dual.max(kept.error.abs());
            errors.gap += kept.at_low * low + kept.at_high * high;
            errors.cost += (feed.slope + 0.5 * feed.bend * kept.value) * kept.value;
        }
        for (kept, line) in lines.iter_mut().zip(&self.lines) {
            let (low, high) = kept.room();
            kept.error = line.b * (self.angle[line.from] - self.angle[line.to]) - kept.value;
            kept.weight = kept.at_low / low + kept.at_high / high;
            errors.primal = errors.primal.max(kept.error.abs());
            errors.gap += kept.at_low * low + kept.at_high * high;
            let pulled = line.b * (kept.at_high - kept.at_low);
            self.pull[line.from] += pulled;
            self.pull[line.to] -= pulled;
        }
        for ((balance, pull), pinned) in self.balance.iter().zip(&mut self.pull).zip(&self.pinned) {
            errors.primal = errors.primal.max(balance.abs());
            if *pinned {
                *pull = 0.0;
            }
            errors.pull += pull.abs();
        }
        errors
    }

    fn factored(&mut self) -> bool {
        for (block, own) in self.diagonal.iter_mut().zip(&self.own) {
            *block = [REGULAR, *own, *own, -REGULAR];
        }
        for (block, b) in self.off.iter_mut().zip(&self.stiff) {
            *block = [0.0, -b, -b, 0.0];
        }
        let (feeds, lines) = self.kept.split_at(self.feeds.len());
        for (kept, feed) in feeds.iter().zip(&self.feeds) {
            self.diagonal[feed.bus][3] -= 1.0 / kept.weight;
        }
        for (kept, line) in lines.iter().zip(&self.lines) {
            let weight = line.b * line.b * kept.weight;
            self.diagonal[line.from][0] += weight;
            self.diagonal[line.to][0] += weight;
            self.off[line.edge][0] -= weight;
        }
        // The angle of a reference does not move.
        for (&(i, j), block) in self.edges.iter().zip(&mut self.off) {
            if self.pinned[i] {
                (block[0], block[1]) = (0.0, 0.0);
            }
            if self.pinned[j] {
                (block[0], block[2]) = (0.0, 0.0);
            }
        }
        for (block, pinned) in self.diagonal.iter_mut().zip(&self.pinned) {
            if *pinned {
                *block = [1.0, 0.0, 0.0, block[3]];
            }
        }
        self.factor.factor(&self.pattern, &self.diagonal, &self.off)
    }

    /// The step that brings products of rooms and multipliers to what is wanted, and all errors to nothing.
    fn direct(&mut self) {
        for ((step, pull), balance) in self.step.iter_mut().zip(&self.pull).zip(&self.balance) {
            *step = [-pull, *balance];
        }
        let (feeds, lines) = self.kept.split_at_mut(self.feeds.len());
        for (kept, feed) in feeds.iter_mut().zip(&self.feeds) {
            kept.right = kept.pushed() - kept.error;
            self.step[feed.bus][1] += kept.right / kept.weight;
        }
        for (kept, line) in lines.iter_mut().zip(&self.lines) {
            let right = line.b * (kept.pushed() - kept.weight * kept.error);
            self.step[line.from][0] += right;
            self.step[line.to][0] -= right;
        }
        for (step, pinned) in self.step.iter_mut().zip(&self.pinned) {
            if *pinned {
                step[0] = 0.0;
            }
        }
        self.factor.solve(&self.pattern, &mut self.step);
        for (kept, feed) in feeds.iter_mut().zip(&self.feeds) {
            kept.follow((kept.right + self.step[feed.bus][1]) / kept.weight);
        }
        for (kept, line) in lines.iter_mut().zip(&self.lines) {
            kept.follow(line.b * (self.step[line.from][0] - self.step[line.to][0]) + kept.error);
        }
    }

    /// How far the step can go, at most this share of the way to the first limit, and not beyond 1.
    fn lengths(&self, share: f64) -> (f64, f64) {
        let (mut primal, mut dual) = (0.0_f64, 0.0_f64);
        for kept in &self.kept {
            let (low, high) = kept.room();
            let [along, at_low, at_high] = kept.step;
            primal = primal.max(-along / low).max(along / high);
            dual = dual.max(-at_low / kept.at_low).max(-at_high / kept.at_high);
        }
        let length = |most: f64| if most > share { share / most } else { 1.0 };
        let (primal, dual) = (length(primal), length(dual));
        if self.linear { (primal, dual) } else { (primal.min(dual), primal.min(dual)) }
    }

    fn advance(&mut self, primal: f64, dual: f64) {
        for ((angle, price), step) in self.angle.iter_mut().zip(&mut self.price).zip(&self.step) {
            *angle += primal * step[0];
            *price += dual * step[1];
        }
        for kept in &mut self.kept {
            let [along, at_low, at_high] = kept.step;
            kept.value += primal * along;
            kept.at_low += dual * at_low;
            kept.at_high += dual * at_high;
        }
    }

    fn found(&self, grid: &Grid, iterations: u32) -> Found {
        let mut found = Found {
            angle: self.angle.clone(),
            power: self.given.clone(),
            price: self.price.clone(),
            lines: vec![(0.0, 0.0); grid.lines.len()],
            iterations,
        };
        let (feeds, lines) = self.kept.split_at(self.feeds.len());
        for (kept, feed) in feeds.iter().zip(&self.feeds) {
            found.power[feed.unit] += kept.value;
        }
        for (kept, line) in lines.iter().zip(&self.lines) {
            for (by_angle, multiplier) in line.by_angle.into_iter().zip([-kept.at_low, kept.at_high]) {
                let (rating, angle) = &mut found.lines[line.line];
                if by_angle {
                    *angle += line.b * multiplier;
                } else {
                    *rating += multiplier;
                }
            }
        }
        found
    }
}

impl Kept {
    /// To the lower and to the upper limit.
    #[inline]
    fn room(&self) -> (f64, f64) {
        (self.value - self.low, self.high - self.value)
    }

    /// What the wanted products push with.
    #[inline]
    fn pushed(&self) -> f64 {
        let (low, high) = self.room();
        self.wanted[0] / low - self.wanted[1] / high
    }

    /// Lets the multipliers follow a step.
    #[inline]
    fn follow(&mut self, along: f64) {
        let (low, high) = self.room();
        let at_low = (self.wanted[0] - self.at_low * along) / low;
        let at_high = (self.wanted[1] + self.at_high * along) / high;
        self.step = [along, at_low, at_high];
    }
}
