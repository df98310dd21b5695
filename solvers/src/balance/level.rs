//! What is steady: which coefficients of a window stand out, by how much, and since when.
//!
//! Which meters are wrong is found one by one: fit all, let the one that stands out farthest go free, fit again. A meter
//! that stays tied to the class of honest meters takes no part of another's error. Last, a freed one that does not
//! stand out any more is tied again.
//!
//! What a wrong meter counts of a balanced three-phase load, phase by phase: two of three phases are ⅔, one is ⅓, and
//! with one current transformer reversed (1 + 1 − 1)/3 is ⅓ as well; two reversed are −⅓, three −1. Loads are not quite
//! balanced: a phase that carries 25 to 41 % of a home leaves 59 to 75 % counted when it is missing, and one that
//! carries 30 to 38 % leaves 24 to 40 % when it is reversed. Voltages in a wrong order make a balanced load of power
//! factor 1 count nothing at all, which no gain can show: that looks like a take-off.

use super::model::{Model, honest};
use super::robust::{Fit, Tail, count, fit, fit_by_hours};
use super::{Account, Settings, half, permille, sure, whole_number};
use crate::normal::{quantile, upper};
use crate::ridge::Prior;
use domain::Permille;
use domain::feeder::{Cause, Counted, Estimate, Irregularity};

/// More wrong meters than this are no street with wrong meters but a wrong list of meters.
const MOST_FREED: usize = 8;
/// The prior of a meter that may be anything: twice what flows, either way.
const FREE: f64 = 2.0;

/// Honest residuals hang together by no more than this.
const UNCANNY: f64 = 2.0;
/// By how much less must stay unexplained for another explanation to be the better one.
const BETTER: f64 = 0.7;

pub(super) struct Levels {
    pub fit: Fit,
    prior: Vec<Prior>,
    freed: Vec<usize>,
    bound: f64,
    tests: f64,
    settings: Settings,
}

/// A coefficient by itself: what the rows say of it, without its own prior.
#[derive(Clone, Copy, Debug)]
struct Level {
    value: f64,
    /// Its standard deviation, with what is honest for a coefficient of its kind.
    deviation: f64,
}

impl Level {
    fn z(self) -> f64 {
        self.value / self.deviation
    }
}

impl Levels {
    /// Judges a window. `longer` is what a longer look that ends with this one has found: line and honest meters are
    /// what they were, and only what changed is asked for.
    pub fn of(model: &mut Model<'_>, settings: &Settings, longer: Option<&Self>) -> Option<Self> {
        if let Some(longer) = longer {
            longer.teach(model);
        }
        // Too much and too little, of each meter and of the feeder, in the whole window and in the newest.
        let tests = 4.0 * count(model.homes() + 1);
        let bound = quantile(half(settings) / tests);
        let found = Self { bound, tests, ..Self::one_by_one(model, settings, bound)? };
        let suspicious = !found.freed.is_empty() || constant(&found.fit, model, settings).z().abs() > bound;
        if !suspicious && found.fit.inflation < UNCANNY {
            return Some(found);
        }
        // Something is odd. Before a meter is blamed: do some hours of the day explain it better?
        model.correct(&[]);
        let fit = fit_by_hours(&model.rows, &model.prior)?;
        if fit.bulk() < BETTER * found.fit.bulk() {
            return Some(Self { fit, prior: model.prior.clone(), freed: Vec::new(), ..found });
        }
        model.correct(&gains(&found.fit, &found.prior, &found.freed, settings));
        Some(found)
    }

    fn one_by_one(model: &mut Model<'_>, settings: &Settings, bound: f64) -> Option<Self> {
        let mut prior = model.prior.clone();
        let mut freed: Vec<usize> = Vec::new();
        loop {
            let fit = fit(&model.rows, &prior, Tail::Huber)?;
            if fit.posterior.effective * 2.0 > count(model.len()) {
                return None;
            }
            model.correct(&gains(&fit, &prior, &freed, settings));
            let far = |i: &usize| candidate(&fit, &prior, *i, settings);
            let next = (0..model.homes()).filter(|i| !freed.contains(i)).max_by(|a, b| far(a).total_cmp(&far(b)));
            match next.filter(|i| freed.len() < MOST_FREED && far(i) > bound) {
                Some(i) => {
                    free(&mut prior, i);
                    freed.push(i);
                }
                None => break,
            }
        }
        let mut last = settled(model, &prior, &freed, settings)?;
        let stands_out =
            |fit: &Fit, prior: &[Prior], i: usize| gain(fit, prior, i, settings).is_some_and(|g| g.z().abs() > bound);
        let kept: Vec<usize> = freed.iter().copied().filter(|i| stands_out(&last, &prior, *i)).collect();
        if kept.len() < freed.len() {
            prior.clone_from(&model.prior);
            kept.iter().for_each(|i| free(&mut prior, *i));
            last = settled(model, &prior, &kept, settings)?;
        }
        Some(Self { fit: last, prior, freed: kept, bound, tests: 0.0, settings: *settings })
    }

    fn teach(&self, model: &mut Model<'_>) {
        let (homes, class) = (model.homes(), honest(&self.settings));
        let known = self.fit.posterior.mean.iter().zip(&self.fit.variance).take(homes + 3).enumerate();
        for (i, (mean, variance)) in known {
            if let Some(prior) = model.prior.get_mut(i).filter(|_| !self.freed.contains(&i)) {
                let deviation = if i < homes { class / 2.0 } else { variance.sqrt() };
                *prior = Prior::around(*mean, deviation.min(prior.precision.sqrt().recip()).max(1e-6));
            }
        }
        self.freed.iter().for_each(|i| free(&mut model.prior, *i));
    }

    pub fn found(&self, model: &Model<'_>, settings: &Settings) -> Vec<Irregularity> {
        let gains = self.freed.iter().filter_map(|i| self.wrong_meter(model, *i));
        gains.chain(self.taken(model, settings)).collect()
    }

    fn wrong_meter(&self, model: &Model<'_>, home: usize) -> Option<Irregularity> {
        let level = gain(&self.fit, &self.prior, home, &self.settings)?;
        if level.z().abs() <= self.bound {
            return None;
        }
        let (meter, mean) = (model.meters.get(home)?.clone(), *model.means.get(home)?);
        let wrong = level.value;
        // Its honest error is one of what flows, which is more than it counts.
        let class = honest(&self.settings).powi(2) * ((1.0 + wrong).powi(2) - 1.0).max(0.0);
        let spread = 1.96 * (level.deviation.powi(2) + class).sqrt();
        let ends = [(wrong - spread) * mean, (wrong + spread) * mean];
        let shares = [wrong - spread, wrong + spread].map(|wrong| counted(1.0 + wrong));
        let cause = cause(1.0 + wrong);
        let step = |row: usize| wrong * model.rows.x[(row, home)];
        Some(Irregularity {
            cause,
            meter: Some(meter),
            power: Estimate {
                best: model.watts(wrong * mean),
                low: model.watts(ends[0].min(ends[1])),
                high: model.watts(ends[0].max(ends[1])),
            },
            per_day: model.per_day(wrong * mean),
            // A meter whose energy the feeder does not see at all counts infinitely much of it.
            counts: (cause != Cause::Surplus).then(|| Estimate {
                best: counted(1.0 + wrong),
                low: shares[0].min(shares[1]),
                high: shares[0].max(shares[1]),
            }),
            confidence: sure(self.tests * upper(level.z().abs())),
            since: self.since(model, step),
        })
    }

    fn taken(&self, model: &Model<'_>, settings: &Settings) -> Option<Irregularity> {
        let level = constant(&self.fit, model, settings);
        if level.z().abs() <= self.bound {
            return None;
        }
        let spread = 1.96 * level.deviation;
        Some(Irregularity {
            cause: if level.value > 0.0 { Cause::TakeOff } else { Cause::Surplus },
            meter: None,
            power: Estimate {
                best: model.watts(level.value),
                low: model.watts(level.value - spread),
                high: model.watts(level.value + spread),
            },
            per_day: model.per_day(level.value),
            counts: None,
            confidence: sure(self.tests * upper(level.z().abs())),
            since: self.since(model, |_| level.value),
        })
    }

    /// The first interval of those that are better explained with `step` than without.
    fn since(&self, model: &Model<'_>, step: impl Fn(usize) -> f64) -> domain::Timestamp {
        let loss = |r: f64, s: f64| (r / s).powi(2).min(16.0);
        let (mut sum, mut least, mut first) = (0.0, 0.0, 0);
        for (row, (r, s)) in self.fit.residuals.iter().zip(&self.fit.noise).enumerate() {
            sum += loss(r + step(row), *s) - loss(*r, *s);
            if sum < least {
                (least, first) = (sum, row + 1);
            }
        }
        model.starts.get(first).copied().unwrap_or_else(|| model.start())
    }

    /// Whether these, newer intervals would have shown what others found of this home (`None`: of no home), and do not.
    pub fn refutes(&self, others: &Self, home: Option<usize>) -> bool {
        let (mine, theirs) = match home {
            Some(home) => (self.plain_gain(home), others.plain_gain(home)),
            None => (self.plain_constant(), others.plain_constant()),
        };
        let (Some(mine), Some(theirs)) = (mine, theirs) else { return false };
        theirs.value.abs() > 2.0 * self.bound * mine.deviation && mine.value.abs() < theirs.value.abs() / 2.0
    }

    fn plain_gain(&self, home: usize) -> Option<Level> {
        unbound(&self.fit, home, *self.prior.get(home)?, honest(&self.settings))
    }

    fn plain_constant(&self) -> Option<Level> {
        let last = self.fit.posterior.mean.len().checked_sub(1)?;
        let deviation = (self.fit.variance.get(last)? * self.fit.inflation).sqrt();
        Some(Level { value: self.fit.posterior.mean[last], deviation })
    }

    /// Losses as a share of what flowed.
    pub fn loss(&self, model: &Model<'_>) -> Permille {
        let none = Settings { own_use: domain::Watts(0), ..self.settings };
        let lost: f64 = (0..model.len()).map(|row| model.losses(row, &self.fit.posterior.mean, &none)).sum();
        permille(lost / model.rows.x.column(model.homes() + 1).sum())
    }

    pub fn account(&self, model: &Model<'_>) -> Option<Account> {
        model.account(&self.fit.posterior.mean, &self.settings)
    }
}

/// The last fit, with losses reckoned from what flows.
fn settled(model: &mut Model<'_>, prior: &[Prior], freed: &[usize], settings: &Settings) -> Option<Fit> {
    let mut last = fit(&model.rows, prior, Tail::Bisquare)?;
    for _ in 0..if freed.is_empty() { 0 } else { 2 } {
        model.correct(&gains(&last, prior, freed, settings));
        last = fit(&model.rows, prior, Tail::Bisquare)?;
    }
    Some(last)
}

/// How far a home stands out before it is freed. What stays unexplained is then largely its own fault, and must not
/// count as noise.
fn candidate(fit: &Fit, prior: &[Prior], home: usize, settings: &Settings) -> f64 {
    let Some(own) = prior.get(home) else { return 0.0 };
    let (level, variance) = (unbound(fit, home, *own, 0.0), fit.posterior.covariance[(home, home)]);
    let settled = 1.0 - own.precision * variance;
    level.map_or(0.0, |l| l.value.abs() / (variance / settled + honest(settings).powi(2)).sqrt())
}

fn gains(fit: &Fit, prior: &[Prior], freed: &[usize], settings: &Settings) -> Vec<(usize, f64)> {
    freed.iter().filter_map(|i| Some((*i, 1.0 + gain(fit, prior, *i, settings)?.value))).collect()
}

fn free(prior: &mut [Prior], home: usize) {
    if let Some(p) = prior.get_mut(home) {
        *p = Prior::around(0.0, FREE);
    }
}

fn gain(fit: &Fit, prior: &[Prior], home: usize, settings: &Settings) -> Option<Level> {
    unbound(fit, home, *prior.get(home)?, honest(settings))
}

/// A coefficient without its own prior, which is divided out of the posterior again. `None` if the rows say nothing.
fn unbound(fit: &Fit, column: usize, own: Prior, honest: f64) -> Option<Level> {
    if column >= fit.posterior.mean.len() {
        return None;
    }
    // How much of the answer is the prior's.
    let prior = own.precision * fit.posterior.covariance[(column, column)];
    let settled = 1.0 - prior;
    if settled < 1e-6 {
        return None;
    }
    let value = (fit.posterior.mean[column] - prior * own.mean) / settled;
    let variance = (fit.variance.get(column)? - prior * prior / own.precision).max(0.0) / (settled * settled);
    let deviation = (variance * fit.inflation + honest * honest).sqrt();
    Some(Level { value, deviation })
}

/// What is taken, beside what the meters use; of that only half is sure. A meter may be off by as much again where
/// little flows, which over a day looks like a constant.
fn constant(fit: &Fit, model: &Model<'_>, settings: &Settings) -> Level {
    let (column, own) = (model.homes() + 3, model.own_use(settings));
    let variance = fit.variance.get(column).copied().unwrap_or(f64::INFINITY) * fit.inflation;
    let idle: f64 = model.flows.iter().map(|flow| (honest(settings) * flow).powi(2)).sum();
    Level { value: fit.posterior.mean[column] - own, deviation: (variance + own * own / 4.0 + idle).sqrt() }
}

fn counted(gain: f64) -> Counted {
    let thousandths = whole_number(1000.0 / gain).clamp(-1_000_000, 1_000_000);
    Counted(i32::try_from(thousandths).unwrap_or(0))
}

fn cause(gain: f64) -> Cause {
    match 1.0 / gain {
        _ if (-0.5..0.2).contains(&gain) => Cause::Surplus,
        share if share < 0.0 => Cause::Reversed,
        share if (0.24..=0.41).contains(&share) => Cause::OneThird,
        share if (0.59..=0.75).contains(&share) => Cause::OnePhaseMissing,
        _ => Cause::Scale,
    }
}
