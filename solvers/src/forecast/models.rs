//! What learns from a series, and what it then says of the slots to come.
//!
//! The regression is fitted over all slots of a day together, and again for each slot, pulled toward the first. The unit
//! ([`super::gru`]) runs over the last day, where it sees how the regression missed, and on over the slots to come, where
//! it says how the regression will miss: what it adds is learned, and nothing if nothing can be learned. It learns from days
//! that a regression on other days foretold: what one misses on days that it has seen is another thing.

use super::features::{Scale, View, WIDTH};
use super::gru::{Gru, Sequence, Shape, Training, train};
use super::linear::{Rows, fit, product};
use super::series::{Series, count_f64};

/// Inputs of the unit.
const INPUTS: usize = 29;
/// Blocks of days, each of which is foretold by a regression on the others.
const FOLDS: usize = 4;
/// Days before a series can teach: lags of a week and of the day before it.
const WARM: usize = 8;
/// The most days that the regression learns from, and the unit: bounded time and memory however long a series is.
const MOST_DAYS: (usize, usize) = (730, 365);
/// Fewer days teach nothing that lasts.
const LEAST_DAYS: usize = 10;

/// A model that was fitted: all that its forecasts depend on besides the series.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    pub(super) scale: Scale,
    pub(super) day: usize,
    /// One list of coefficients for each slot ahead.
    pub(super) slots: Vec<Vec<f64>>,
    pub(super) spread: f64,
    pub(super) units: Vec<Gru>,
}

/// What the models say of the slots ahead, in the units of the series.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Said {
    pub day: Vec<f64>,
    pub week: Vec<f64>,
    /// The mean of the same time on the last seven days.
    pub usual: Vec<f64>,
    pub ridge: Vec<f64>,
    pub gru: Vec<f64>,
}

impl Model {
    /// Learns from the slots before `until`, for forecasts of so many slots that begin at that time of day. A series too
    /// short to learn from gives `None`: then only the naive models speak.
    pub(super) fn learn(
        series: &Series,
        until: usize,
        ahead: usize,
        how: &Training,
        members: usize,
        seed: u64,
    ) -> Option<Self> {
        let day = series.day();
        let origins: Vec<usize> = origins(day, until, ahead, MOST_DAYS.0);
        if origins.len() < LEAST_DAYS {
            return None;
        }
        let oldest = origins[0].saturating_sub(28 * day);
        let scale = Scale::of(&series.values[oldest..until]);
        let slots = regression(series, scale, &origins, until, ahead);
        let mut model = Self { scale, day, slots, spread: 1.0, units: Vec::new() };
        model.add_units(series, &origins, until, ahead, how, members, seed);
        Some(model)
    }

    /// Trains the units. How many passes they need is tried out on the last days, of which neither they nor a regression
    /// of its own know anything; then they learn from all days that often.
    #[allow(clippy::too_many_arguments, reason = "one step of learning")]
    fn add_units(
        &mut self,
        series: &Series,
        origins: &[usize],
        until: usize,
        ahead: usize,
        how: &Training,
        members: usize,
        seed: u64,
    ) {
        let newest = origins.len().saturating_sub(MOST_DAYS.1);
        let usable: Vec<usize> = origins[newest..].iter().copied().filter(|o| *o >= (WARM + 1) * self.day).collect();
        if usable.len() < 2 * LEAST_DAYS {
            return;
        }
        let check = (usable.len() / 5).clamp(3, 60);
        let (learn, later) = usable.split_at(usable.len() - check);
        let earlier: Vec<usize> = origins.iter().copied().filter(|o| *o < later[0]).collect();
        let blind = self.without_units(regression(series, self.scale, &earlier, later[0], ahead));
        let tried = self.folds(series, &earlier, learn, later[0], ahead);
        let spread = usual_miss(&tried, series, later[0]);
        let tried = sequences(&tried, series, later[0], ahead, spread);
        let checked = sequences(&[(blind, later.to_vec())], series, until, ahead, spread);
        let all = self.folds(series, origins, &usable, until, ahead);
        self.spread = usual_miss(&all, series, until);
        let all = sequences(&all, series, until, ahead, self.spread);
        let shape = Shape { inputs: INPUTS, hidden: how.hidden };
        let seeds: Vec<u64> =
            (0..members as u64).map(|m| seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(m)).collect();
        self.units = train(shape, &tried, &checked, &all, how, &seeds);
    }

    fn without_units(&self, slots: Vec<Vec<f64>>) -> Self {
        Self { scale: self.scale, day: self.day, slots, spread: 1.0, units: Vec::new() }
    }

    /// The origins in blocks of days in a row, each with a regression on all days but those of the block: what a
    /// regression misses on days that it learned from is less than what it will miss, and not of the same kind.
    fn folds(
        &self,
        series: &Series,
        origins: &[usize],
        of: &[usize],
        until: usize,
        ahead: usize,
    ) -> Vec<(Self, Vec<usize>)> {
        of.chunks(of.len().div_ceil(FOLDS).max(1))
            .map(|block| {
                let (first, last) = (block[0], block[block.len() - 1]);
                let others: Vec<usize> = origins.iter().copied().filter(|o| *o < first || *o > last).collect();
                let slots = regression(series, self.scale, &others, until, ahead);
                (self.without_units(slots), block.to_vec())
            })
            .collect()
    }

    /// What the regression says, normalised.
    fn regress(&self, view: &View<'_>, ahead: usize) -> Vec<f64> {
        (0..ahead).map(|i| product(&view.row(i), &self.slots[i.min(self.slots.len() - 1)])).collect()
    }

    /// The inputs of the unit for a forecast at a slot, and what the regression says of it.
    fn sequence(&self, series: &Series, origin: usize, ahead: usize, spread: f64) -> (Vec<f64>, Vec<f64>) {
        let view = View::new(series, self.scale, origin);
        let base = self.regress(&view, ahead);
        let before = View::new(series, self.scale, origin.saturating_sub(self.day));
        let said = self.regress(&before, self.day);
        let mut inputs = Vec::with_capacity((self.day + ahead) * INPUTS);
        let mut step = |view: &View<'_>, i: usize, misses: [f64; 3], y: f64| {
            let row = view.row(i);
            inputs.extend_from_slice(&misses);
            inputs.push(y);
            // What the load was at that time of other days, against what the regression makes of it; how it ran lately.
            inputs.extend(row[1..9].iter().map(|was| was - y));
            inputs.extend_from_slice(&row[9..18]);
            inputs.extend_from_slice(&view.calendar(view.origin + i));
        };
        let misses: Vec<f64> = said
            .iter()
            .enumerate()
            .map(|(i, y)| ((view.known(before.origin + i) - y) / spread).clamp(-8.0, 8.0))
            .collect();
        for (i, y) in said.iter().enumerate() {
            step(&before, i, [misses[i], 1.0, 0.0], *y);
        }
        for (i, y) in base.iter().enumerate() {
            step(&view, i, [0.0, 0.0, misses.get(i).copied().unwrap_or(0.0)], *y);
        }
        (inputs, base)
    }

    /// What all models say at a slot.
    pub(super) fn say(model: Option<&Self>, series: &Series, origin: usize, ahead: usize) -> Said {
        let scale = model.map_or(Scale { mean: 0.0, spread: 1.0 }, |m| m.scale);
        let view = View::new(series, scale, origin);
        let (day, week): (Vec<f64>, Vec<f64>) = (0..ahead).map(|i| view.naive(i)).unzip();
        let usual = (0..ahead).map(|i| view.usual_day(i)).collect();
        let Some(model) = model else { return Said { day, week, usual, ..Said::default() } };
        let back = |y: f64| y * scale.spread + scale.mean;
        let (inputs, base) = model.sequence(series, origin, ahead, model.spread);
        let mut sums = vec![0.0; ahead];
        for unit in &model.units {
            for (sum, y) in sums.iter_mut().zip(&unit.run(&inputs)[model.day..]) {
                *sum += y;
            }
        }
        let each = model.spread / count_f64(model.units.len().max(1));
        let gru = base.iter().zip(&sums).map(|(y, s)| back(y + each * s)).collect();
        Said { day, week, usual, ridge: base.into_iter().map(back).collect(), gru }
    }

    /// What the regression and the units say together of so many slots from one on, which the series may end at: `gru`
    /// alone, as somebody with the model and the readings works it out again.
    #[must_use]
    pub fn ahead(&self, series: &Series, origin: usize, slots: usize) -> Vec<f64> {
        Self::say(Some(self), series, origin, slots).gru
    }

    /// The model as bytes, every number as its 64 bits in big-endian order: the same model has the same bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = b"microgrid forecast model 2".to_vec();
        let mut list = |numbers: &[f64]| {
            out.extend_from_slice(&(numbers.len() as u64).to_be_bytes());
            numbers.iter().for_each(|n| out.extend_from_slice(&n.to_bits().to_be_bytes()));
        };
        list(&[self.scale.mean, self.scale.spread, self.spread]);
        self.slots.iter().for_each(|s| list(s));
        self.units.iter().for_each(|u| list(&u.weights));
        out
    }

    /// How many numbers were learned.
    #[must_use]
    pub fn size(&self) -> usize {
        self.slots.iter().map(Vec::len).sum::<usize>() + self.units.iter().map(|u| u.weights.len()).sum::<usize>()
    }
}

/// The slots, a day apart and back from `until`, at which a forecast of so many slots could have been compared.
fn origins(day: usize, until: usize, ahead: usize, most: usize) -> Vec<usize> {
    let warm = WARM * day;
    let newest = until.saturating_sub(ahead.min(day));
    let mut found: Vec<usize> =
        (0..most).map_while(|d| newest.checked_sub(d * day)).take_while(|o| *o >= warm).collect();
    found.reverse();
    found
}

/// How much regressions miss by on the day ahead of their origins, on the average; normalised.
fn usual_miss(folds: &[(Model, Vec<usize>)], series: &Series, until: usize) -> f64 {
    let (mut sum, mut n) = (0.0, 0);
    for (model, origin) in folds.iter().flat_map(|(model, origins)| origins.iter().map(move |o| (model, o))) {
        for (i, y) in model.regress(&View::new(series, model.scale, *origin), model.day).iter().enumerate() {
            let slot = origin + i;
            if slot < until && series.real[slot] {
                sum += ((series.values[slot] - model.scale.mean) / model.scale.spread - y).abs();
                n += 1;
            }
        }
    }
    (sum / count_f64(n.max(1))).max(1e-9)
}

/// What the units are to learn: from every origin, by how much its regression misses the slots ahead.
fn sequences(folds: &[(Model, Vec<usize>)], series: &Series, until: usize, ahead: usize, spread: f64) -> Vec<Sequence> {
    let of = |(model, origin): (&Model, usize)| {
        let (inputs, base) = model.sequence(series, origin, ahead, spread);
        let mut targets = vec![None; model.day];
        targets.extend(base.iter().enumerate().map(|(i, y)| {
            let slot = origin + i;
            let known = slot < until && series.real[slot];
            known.then(|| ((series.values[slot] - model.scale.mean) / model.scale.spread - y) / spread)
        }));
        Sequence { inputs, targets }
    };
    folds.iter().flat_map(|(model, origins)| origins.iter().map(move |o| (model, *o))).map(of).collect()
}

fn regression(series: &Series, scale: Scale, origins: &[usize], until: usize, ahead: usize) -> Vec<Vec<f64>> {
    let mut by_slot = vec![Rows { width: WIDTH, ..Rows::default() }; ahead];
    for origin in origins {
        let view = View::new(series, scale, *origin);
        for (i, rows) in by_slot.iter_mut().enumerate() {
            let slot = origin + i;
            if slot < until && series.real[slot] {
                rows.x.extend_from_slice(&view.row(i));
                rows.y.push((series.values[slot] - scale.mean) / scale.spread);
            }
        }
    }
    let day = series.day();
    let mut found = Vec::with_capacity(ahead);
    for lead in by_slot.chunks(day) {
        let mut all = Rows { width: WIDTH, ..Rows::default() };
        for rows in lead {
            all.x.extend_from_slice(&rows.x);
            all.y.extend_from_slice(&rows.y);
        }
        let mut start = vec![0.0; WIDTH];
        // Before anything is known: half yesterday, half last week.
        (start[1], start[3]) = (0.5, 0.5);
        let together = fit(&all, &start, 5.0, 4);
        found.extend(lead.iter().map(|rows| fit(rows, &together, 25.0, 4)));
    }
    found
}
