//! A feeder against the sum of its homes: what is missing, how much of it, and how sure that is.
//!
//! With every power the mean of an interval, `h` a home's net power, `|h|` its import plus export, and `S = Σ h`:
//!
//! ```text
//! feeder = Σ g·h + f·S + l·Σ|h| + R/U²·S² + c + noise
//! ```
//!
//! `g` is near 1 for every home (what its meter counts is `1/g` of what flows), `f` near 0 is the feeder meter's own
//! scale error, `l·Σ|h|` are losses in proportion to what flows, `R/U²·S²` the losses of a line of resistance `R` at the
//! voltage `U`, both never negative; `c` is what is taken before any meter, beside what the meters themselves use.
//! Honest meters make the priors: `g` and `f` lie within the error that the meters' class allows, as two standard
//! deviations. A home that its neighbours do not stand out from is thus never blamed for what could be the line.
//!
//! From an honest street nothing may be found more often than [`Settings::confidence`] allows, all tests of a day
//! together. Half of that is for steady things: each coefficient is tested once a day in two windows, so a street of `n`
//! homes makes `4(n + 1)` one-sided tests. The other half is for what comes and goes, by a cumulative sum over the residuals.

mod cusum;
mod level;
mod model;
pub(crate) mod robust;

use cusum::Rest;
use domain::feeder::{Cause, Irregularity};
use domain::{MeterId, Ohms, Permille, Timestamp, Volts, WattHours, Watts};
use level::Levels;
use model::Model;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Fewer whole intervals than this are judged by nobody: a day of quarter hours.
const LEAST: usize = 96;
/// What is true now is judged by the newest intervals: two days of quarter hours.
const NEWEST: usize = 192;
const DAY: Duration = Duration::from_secs(86_400);

/// What went through one home's meter in one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Import less export.
    pub net: WattHours,
    /// Import plus export.
    pub through: WattHours,
}

impl Flow {
    fn is_sane(self) -> bool {
        sane(self.net) && sane(self.through)
    }
}

fn sane(energy: WattHours) -> bool {
    (-WattHours::REGISTER_MAX..=WattHours::REGISTER_MAX).contains(&energy)
}

#[derive(Clone, Debug)]
struct Sample {
    from: Timestamp,
    feeder: WattHours,
    homes: Vec<Flow>,
}

/// The intervals that are judged: as many as fit, oldest first. Only those count in which every meter is known.
#[derive(Clone, Debug)]
pub struct Window {
    interval: Duration,
    meters: Vec<MeterId>,
    samples: VecDeque<Sample>,
    /// Intervals in which something was absent, with how many meters were.
    gaps: VecDeque<(Timestamp, Vec<usize>)>,
    length: Duration,
}

impl Window {
    /// An empty one of this length, over intervals of `interval` and these homes.
    #[must_use]
    pub fn new(length: Duration, interval: Duration, meters: Vec<MeterId>) -> Self {
        let interval = interval.max(Duration::from_secs(1));
        Self { interval, meters, samples: VecDeque::new(), gaps: VecDeque::new(), length }
    }

    /// The homes' meters, in the order in which their flows are given.
    #[must_use]
    pub fn meters(&self) -> &[MeterId] {
        &self.meters
    }

    /// Adds an interval that is later than all others, and lets go of what is older than the window is long. `homes`
    /// are in the order of [`Window::meters`]; one that is missing at the end, or more than a register holds, is absent.
    pub fn push(&mut self, from: Timestamp, feeder: Option<WattHours>, homes: &[Option<Flow>]) {
        let absent: Vec<usize> =
            (0..self.meters.len()).filter(|i| !homes.get(*i).is_some_and(|f| f.is_some_and(Flow::is_sane))).collect();
        match feeder.filter(|f| sane(*f)) {
            Some(feeder) if absent.is_empty() => {
                let homes = homes.iter().take(self.meters.len()).copied().flatten().collect();
                self.samples.push_back(Sample { from, feeder, homes });
            }
            // Where nothing at all is known nobody was there to read, and no meter is at fault.
            None if absent.len() == self.meters.len() => {}
            _ => self.gaps.push_back((from, absent)),
        }
        let oldest = (from + self.interval) - self.length;
        while self.samples.front().is_some_and(|s| s.from < oldest) {
            self.samples.pop_front();
        }
        while self.gaps.front().is_some_and(|(from, _)| *from < oldest) {
            self.gaps.pop_front();
        }
    }

    /// Intervals in which every meter is known.
    #[must_use]
    pub fn whole(&self) -> usize {
        self.samples.len()
    }
}

/// What is known beforehand, and how sure one wants to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Resistance of the line from the feeder meter to the homes, there and back; learned if not known.
    pub resistance: Option<Ohms>,
    /// Its voltage: between phase and neutral, or between phases for a line of three.
    pub voltage: Volts,
    /// Losses in proportion to what flows; learned if neither this nor the resistance is known.
    pub loss: Option<Permille>,
    /// The largest error that the meters' class allows.
    pub meter_error: Permille,
    /// What a meter itself uses, uncounted by any other but the feeder's.
    pub own_use: Watts,
    /// The probability that a day of an honest street brings no finding.
    pub confidence: Permille,
    /// The step of the meters' registers.
    pub step: WattHours,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Too few intervals in which every meter was known, or nothing flowed.
    NotEnough {
        /// Whole intervals.
        have: usize,
        /// Whole intervals that it takes.
        need: usize,
        /// Meters that were absent, with in how many intervals.
        absent: BTreeMap<MeterId, usize>,
    },
    /// There was enough.
    Judged(Judgement),
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judgement {
    /// Whole intervals that this rests on.
    pub intervals: usize,
    /// Losses on the line, as a share of what flowed.
    pub loss: Permille,
    /// Standard deviation of what stays unexplained in an interval.
    pub noise: Watts,
    /// The newest interval.
    pub last: Account,
    /// Everything that does not add up, largest first; empty is good.
    pub found: Vec<Irregularity>,
}

/// One interval's account: what the feeder brought is homes, losses and the unexplained, to the watt-hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Its start.
    pub from: Timestamp,
    /// Through the feeder meter.
    pub feeder: WattHours,
    /// Through the homes' meters.
    pub homes: WattHours,
    /// Lost on the line and used by the meters, by the model.
    pub losses: WattHours,
    /// What remains.
    pub unexplained: WattHours,
}

/// Judges the window.
#[must_use]
pub fn balance(window: &Window, settings: &Settings) -> Verdict {
    judged(window, settings).map_or_else(|| not_enough(window), Verdict::Judged)
}

fn not_enough(window: &Window) -> Verdict {
    let mut absent = BTreeMap::new();
    for meter in window.gaps.iter().flat_map(|(_, absent)| absent).filter_map(|i| window.meters.get(*i)) {
        *absent.entry(meter.clone()).or_insert(0) += 1;
    }
    Verdict::NotEnough { have: window.whole(), need: need(window), absent }
}

/// Whole intervals that are enough for sure: twice as many as there are coefficients to settle.
fn need(window: &Window) -> usize {
    if window.whole() < LEAST { LEAST } else { LEAST.max(2 * (window.meters.len() + 4)) }
}

fn judged(window: &Window, settings: &Settings) -> Option<Judgement> {
    let mut all = Model::new(window, 0, settings)?;
    let whole = Levels::of(&mut all, settings, None)?;
    // A fault that began or ended lately is a minority in the whole window: the newest intervals are asked as well.
    let skip = all.len().saturating_sub(NEWEST);
    let mut newest = if all.len() >= 2 * NEWEST { Model::new(window, skip, settings) } else { None };
    let now = newest.as_mut().and_then(|model| Levels::of(model, settings, Some(&whole)));
    let mut found = match (&newest, &now) {
        (Some(model), Some(now)) => {
            let mut found = now.found(model, settings);
            for old in whole.found(&all, settings) {
                match found.iter_mut().find(|f| f.meter == old.meter) {
                    // Where both agree the longer look is surer.
                    Some(new) if new.cause == old.cause => *new = old,
                    Some(_) => {}
                    None if now.refutes(&whole, old.meter.as_ref().map(|m| all.position(m))) => {}
                    None => found.push(old),
                }
            }
            found
        }
        _ => whole.found(&all, settings),
    };
    let (comes_and_goes, began) = cusum::found(&all, &rest(&whole, now.as_ref(), skip, !found.is_empty()), settings);
    if let Some(began) = began {
        for f in found.iter_mut().filter(|f| newest.as_ref().is_some_and(|m| f.since >= m.start())) {
            f.since = f.since.min(began);
        }
    }
    found.extend(comes_and_goes);
    found.sort_by_key(|f| std::cmp::Reverse(f.per_day.0.abs()));
    Some(Judgement {
        intervals: all.len(),
        loss: whole.loss(&all),
        noise: all.watts(robust::median(whole.fit.noise.iter().copied())),
        last: whole.account(&all)?,
        found,
    })
}

/// What stays unexplained: by the newest fit where there is one, for it knows what is steady now. How large that may be
/// by chance the longer look knows better.
fn rest(whole: &Levels, now: Option<&Levels>, skip: usize, found: bool) -> Rest {
    let mut rest = Rest {
        residuals: whole.fit.residuals.clone(),
        noise: whole.fit.noise.clone(),
        inflation: whole.fit.inflation,
        steady: now.filter(|_| found).map(|_| skip),
    };
    if let Some(now) = now {
        rest.residuals.splice(skip.., now.fit.residuals.iter().copied());
    }
    rest
}

impl Judgement {
    /// Whether something of this kind is among what was found.
    #[must_use]
    pub fn has(&self, cause: Cause) -> bool {
        self.found.iter().any(|f| f.cause == cause)
    }
}

/// The share of a day's false findings that each half of the tests may have.
fn half(settings: &Settings) -> f64 {
    // A confidence of 100 % would find nothing ever: a tenth of the finest step is the least.
    f64::from(1000 - settings.confidence.get()).max(0.1) / 2000.0
}

fn permille(share: f64) -> Permille {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    let thousandths = (share * 1000.0).clamp(0.0, 1000.0) as u16;
    Permille::new(thousandths).unwrap_or(Permille::FULL)
}

/// How sure one may be of what chance brings with this probability. Never quite.
fn sure(chance: f64) -> Permille {
    permille((1.0 - chance).min(0.999))
}

fn whole_number(value: f64) -> i64 {
    #[allow(clippy::cast_possible_truncation, reason = "a cast of a float saturates")]
    let whole = value.round() as i64;
    whole
}
