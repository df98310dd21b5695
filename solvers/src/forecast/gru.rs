//! A gated recurrent unit with one linear output, its gradients, and its training.
//!
//! `r = σ(Wᵣx + bᵣ + Uᵣh + cᵣ)`, `z` likewise, `n = tanh(Wₙx + bₙ + r ⊙ (Uₙh + cₙ))`, `h' = (1 − z) ⊙ n + z ⊙ h`,
//! `y = v·h' + d`: Cho et al. (2014) with the reset gate behind the product, as cuDNN and PyTorch have it.
//!
//! The same bytes on every machine: sums run in the order in which they are written, nothing is fused, and `exp` and
//! `tanh` come from `libm`.

use super::rng::Rng;

/// Sizes of the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Inputs of a step.
    pub inputs: usize,
    /// Width of the state.
    pub hidden: usize,
}

impl Shape {
    /// How many weights there are.
    #[must_use]
    pub fn weights(self) -> usize {
        3 * self.hidden * (self.inputs + self.hidden + 2) + self.hidden + 1
    }

    /// Where the parts begin: `U`, `b`, `c`, `v`, `d`. `W` begins at 0.
    fn parts(self) -> [usize; 5] {
        let gates = 3 * self.hidden;
        let u = gates * self.inputs;
        let b = u + gates * self.hidden;
        [u, b, b + gates, b + 2 * gates, b + 2 * gates + self.hidden]
    }
}

/// A unit: its weights in one list. `W` and `U` are stored by input, and within an input by gate: r, z, n.
#[derive(Clone, Debug, PartialEq)]
pub struct Gru {
    /// Its sizes.
    pub shape: Shape,
    /// `W`, `U`, `b`, `c`, `v`, `d`.
    pub weights: Vec<f64>,
}

/// Some steps in order and what is to come out of them: `None` where nobody asks.
#[derive(Clone, Debug, Default)]
pub struct Sequence {
    /// `shape.inputs` numbers a step.
    pub inputs: Vec<f64>,
    /// One a step.
    pub targets: Vec<Option<f64>>,
}

/// What a run over a sequence keeps for the way back.
#[derive(Default)]
struct Tape {
    /// The state before every step and after the last.
    h: Vec<f64>,
    /// r, z, n of every step.
    gates: Vec<f64>,
    /// `Uₙh + cₙ` of every step.
    inner: Vec<f64>,
    y: Vec<f64>,
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

/// `to += factor · from`
fn add(to: &mut [f64], factor: f64, from: &[f64]) {
    for (t, f) in to.iter_mut().zip(from) {
        *t += factor * f;
    }
}

/// A product in four sums, always the same four.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    let (a4, b4) = (a.chunks_exact(4), b.chunks_exact(4));
    let rest: f64 = a4.remainder().iter().zip(b4.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a4.zip(b4) {
        for ((sum, p), q) in sums.iter_mut().zip(x).zip(y) {
            *sum += p * q;
        }
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}

impl Gru {
    /// A unit with small random weights and an output of zero: before it has learned it says nothing.
    pub(super) fn new(shape: Shape, rng: &mut Rng) -> Self {
        let [.., v, _] = shape.parts();
        let bound = 1.0 / super::series::count_f64(shape.hidden).sqrt();
        let weights = (0..shape.weights()).map(|i| if i < v { bound * rng.even() } else { 0.0 }).collect();
        Self { shape, weights }
    }

    /// What comes out of every step.
    #[must_use]
    pub fn run(&self, inputs: &[f64]) -> Vec<f64> {
        self.forward(inputs).y
    }

    fn forward(&self, inputs: &[f64]) -> Tape {
        let Shape { inputs: width, hidden } = self.shape;
        let gates = 3 * hidden;
        let [u, b, c, v, d] = self.shape.parts();
        let steps = inputs.len() / width;
        let mut tape = Tape { h: vec![0.0; hidden], ..Tape::default() };
        let (mut from_x, mut from_h) = (vec![0.0; gates], vec![0.0; gates]);
        for step in 0..steps {
            from_x.copy_from_slice(&self.weights[b..c]);
            from_h.copy_from_slice(&self.weights[c..v]);
            for (i, x) in inputs[step * width..(step + 1) * width].iter().enumerate() {
                add(&mut from_x, *x, &self.weights[i * gates..(i + 1) * gates]);
            }
            for i in 0..hidden {
                let at = u + i * gates;
                add(&mut from_h, tape.h[step * hidden + i], &self.weights[at..at + gates]);
            }
            for i in 0..2 * hidden {
                tape.gates.push(sigmoid(from_x[i] + from_h[i]));
            }
            for i in 0..hidden {
                let reset = tape.gates[step * gates + i];
                tape.gates.push(libm::tanh(from_x[2 * hidden + i] + reset * from_h[2 * hidden + i]));
            }
            tape.inner.extend_from_slice(&from_h[2 * hidden..]);
            for i in 0..hidden {
                let (z, n) = (tape.gates[step * gates + hidden + i], tape.gates[step * gates + 2 * hidden + i]);
                tape.h.push((1.0 - z) * n + z * tape.h[step * hidden + i]);
            }
            tape.y.push(dot(&self.weights[v..d], &tape.h[(step + 1) * hidden..]) + self.weights[d]);
        }
        tape
    }

    /// The loss of a sequence, and its gradient added to `gradient`: the mean over asked steps of the pseudo-Huber loss
    /// `√(1 + (y − t)²) − 1`, which is a square near zero and a distance far away. The way back is cut after `reach`
    /// steps beyond the last asked one behind it (truncated back-propagation through time).
    pub fn learn(&self, sequence: &Sequence, reach: usize, gradient: &mut [f64]) -> f64 {
        let Shape { inputs: width, hidden } = self.shape;
        let gates = 3 * hidden;
        let [u, b, c, v, d] = self.shape.parts();
        let tape = self.forward(&sequence.inputs);
        let asked = sequence.targets.iter().flatten().count();
        if asked == 0 {
            return 0.0;
        }
        let each = 1.0 / super::series::count_f64(asked);
        let (mut loss, mut dh, mut idle) = (0.0, vec![0.0; hidden], 0);
        let (mut dx, mut du) = (vec![0.0; gates], vec![0.0; gates]);
        for step in (0..sequence.targets.len()).rev() {
            if let Some(target) = sequence.targets[step] {
                let miss = tape.y[step] - target;
                let root = (1.0 + miss * miss).sqrt();
                loss += (root - 1.0) * each;
                let dy = miss / root * each;
                let h = &tape.h[(step + 1) * hidden..(step + 2) * hidden];
                add(&mut gradient[v..d], dy, h);
                gradient[d] += dy;
                add(&mut dh, dy, &self.weights[v..d]);
                idle = 0;
            } else {
                idle += 1;
                if idle > reach {
                    break;
                }
            }
            let before = &tape.h[step * hidden..(step + 1) * hidden];
            let (g, inner) =
                (&tape.gates[step * gates..(step + 1) * gates], &tape.inner[step * hidden..(step + 1) * hidden]);
            for i in 0..hidden {
                let (r, z, n) = (g[i], g[hidden + i], g[2 * hidden + i]);
                let dn = dh[i] * (1.0 - z) * (1.0 - n * n);
                dx[2 * hidden + i] = dn;
                du[2 * hidden + i] = dn * r;
                dx[i] = dn * inner[i] * r * (1.0 - r);
                dx[hidden + i] = dh[i] * (before[i] - n) * z * (1.0 - z);
                du[i] = dx[i];
                du[hidden + i] = dx[hidden + i];
                dh[i] *= z;
            }
            for (i, x) in sequence.inputs[step * width..(step + 1) * width].iter().enumerate() {
                add(&mut gradient[i * gates..(i + 1) * gates], *x, &dx);
            }
            for i in 0..hidden {
                let at = u + i * gates;
                add(&mut gradient[at..at + gates], before[i], &du);
                dh[i] += dot(&self.weights[at..at + gates], &du);
            }
            add(&mut gradient[b..c], 1.0, &dx);
            add(&mut gradient[c..v], 1.0, &du);
        }
        loss
    }
}

/// Adam (Kingma and Ba, 2015), with the length of a batch's gradient bounded by one.
pub(super) struct Adam {
    first: Vec<f64>,
    second: Vec<f64>,
    rate: f64,
    decay: (f64, f64),
}

impl Adam {
    pub fn new(weights: usize, rate: f64) -> Self {
        Self { first: vec![0.0; weights], second: vec![0.0; weights], rate, decay: (1.0, 1.0) }
    }

    pub fn step(&mut self, weights: &mut [f64], gradient: &[f64], slower: f64) {
        let length = dot(gradient, gradient).sqrt();
        let scale = if length > 1.0 { 1.0 / length } else { 1.0 };
        self.decay = (self.decay.0 * 0.9, self.decay.1 * 0.999);
        let rate = self.rate * slower * (1.0 - self.decay.1).sqrt() / (1.0 - self.decay.0);
        for (i, g) in gradient.iter().enumerate() {
            let g = g * scale;
            self.first[i] = 0.9 * self.first[i] + 0.1 * g;
            self.second[i] = 0.999 * self.second[i] + 0.001 * g * g;
            weights[i] -= rate * self.first[i] / (self.second[i].sqrt() + 1e-8);
        }
    }
}

/// How a unit is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Training {
    /// Width of the state.
    pub hidden: usize,
    /// Passes over the sequences at most.
    pub epochs: usize,
    /// Sequences in a step of Adam.
    pub batch: usize,
    /// Adam's rate; it falls by a straight line to a tenth at the last epoch.
    pub rate: f64,
    /// The share of itself that every weight loses in a step, in units of the rate (Loshchilov and Hutter, 2019).
    pub decay: f64,
    /// Passes without a better validation after which training ends.
    pub patience: usize,
}

/// Parts of what the units say that are tried.
const PARTS: [f64; 4] = [0.25, 0.5, 0.75, 1.0];

/// One pass over all sequences in a random order.
fn pass(unit: &mut Gru, adam: &mut Adam, sequences: &[Sequence], how: &Training, epoch: usize, rng: &mut Rng) {
    let mut order: Vec<usize> = (0..sequences.len()).collect();
    rng.shuffle(&mut order);
    let slower = 1.0 - 0.9 * super::series::count_f64(epoch) / super::series::count_f64(how.epochs.max(2) - 1);
    let mut gradient = vec![0.0; unit.weights.len()];
    for batch in order.chunks(how.batch) {
        gradient.fill(0.0);
        for i in batch {
            unit.learn(&sequences[*i], usize::MAX, &mut gradient);
        }
        let each = 1.0 / super::series::count_f64(batch.len());
        gradient.iter_mut().for_each(|g| *g *= each);
        adam.step(&mut unit.weights, &gradient, slower);
        let lost = how.rate * slower * how.decay;
        unit.weights.iter_mut().for_each(|w| *w -= lost * *w);
    }
}

/// What the mean of some units, in so many parts of it, is away from what was to come out; on the average.
fn absolute(said: &[Vec<f64>], sequences: &[Sequence], part: f64) -> f64 {
    let (mut sum, mut count) = (0.0, 0);
    for (said, s) in said.iter().zip(sequences) {
        for (y, t) in said.iter().zip(&s.targets) {
            if let Some(t) = t {
                sum += (part * y - t).abs();
                count += 1;
            }
        }
    }
    if count == 0 { 0.0 } else { sum / super::series::count_f64(count) }
}

/// What the mean of some units says of every sequence.
fn mean(units: &[Gru], sequences: &[Sequence]) -> Vec<Vec<f64>> {
    let each = 1.0 / super::series::count_f64(units.len().max(1));
    let of = |s: &Sequence| {
        let mut sums = vec![0.0; s.targets.len()];
        units.iter().for_each(|unit| add(&mut sums, each, &unit.run(&s.inputs)));
        sums
    };
    sequences.iter().map(of).collect()
}

/// A unit on its way.
struct Learner {
    unit: Gru,
    adam: Adam,
    rng: Rng,
}

impl Learner {
    fn new(shape: Shape, how: &Training, seed: u64) -> Self {
        Self { unit: Gru::new(shape, &mut Rng(seed)), adam: Adam::new(shape.weights(), how.rate), rng: Rng(!seed) }
    }

    fn pass(&mut self, sequences: &[Sequence], how: &Training, epoch: usize) {
        pass(&mut self.unit, &mut self.adam, sequences, how, epoch, &mut self.rng);
    }
}

/// Finds on `learn` after how many passes, and in which part, the mean of the units meets `check` best, and then learns
/// from `all` as often. No unit if nothing beats saying zero.
pub(super) fn train(
    shape: Shape,
    learn: &[Sequence],
    check: &[Sequence],
    all: &[Sequence],
    how: &Training,
    seeds: &[u64],
) -> Vec<Gru> {
    let nothing: Vec<Vec<f64>> = check.iter().map(|s| vec![0.0; s.targets.len()]).collect();
    let (mut best, mut passes, mut part) = (absolute(&nothing, check, 0.0), 0, 0.0);
    let mut learners: Vec<Learner> = seeds.iter().map(|s| Learner::new(shape, how, *s)).collect();
    for epoch in 0..how.epochs {
        learners.iter_mut().for_each(|l| l.pass(learn, how, epoch));
        let units: Vec<Gru> = learners.iter().map(|l| l.unit.clone()).collect();
        let said = mean(&units, check);
        for p in PARTS {
            let now = absolute(&said, check, p);
            if now < best {
                (best, passes, part) = (now, epoch + 1, p);
            }
        }
        if epoch + 1 - passes >= how.patience {
            break;
        }
    }
    if passes == 0 {
        return Vec::new();
    }
    let mut learners: Vec<Learner> = seeds.iter().map(|s| Learner::new(shape, how, *s)).collect();
    for epoch in 0..passes {
        learners.iter_mut().for_each(|l| l.pass(all, how, epoch));
    }
    let [.., v, _] = shape.parts();
    learners.iter_mut().for_each(|l| l.unit.weights[v..].iter_mut().for_each(|w| *w *= part));
    learners.into_iter().map(|l| l.unit).collect()
}

#[cfg(test)]
mod tests;
