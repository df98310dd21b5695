//! From watt-hours to rows. Powers are divided by the street's mean, so that no coefficient depends on its size.

use super::robust::{Rows, count};
use super::{Account, LEAST, Sample, Settings, Window, whole_number};
use crate::ridge::Prior;
use domain::{MeterId, Timestamp, WattHours, Watts};
use nalgebra::{DMatrix, DVector};
use std::time::Duration;

/// Losses of a line of which nothing is known: 3 % of the mean flow, give or take 3 %, each for what grows with the
/// flow and for what grows with its square.
const USUAL_LOSS: f64 = 0.03;
/// How well a configured loss is believed.
const BELIEF: f64 = 0.2;

pub(super) struct Model<'w> {
    samples: Vec<&'w Sample>,
    pub rows: Rows,
    /// In the order of the columns: homes, the feeder's scale, proportional losses, square losses, what is taken.
    pub prior: Vec<Prior>,
    pub starts: Vec<Timestamp>,
    pub meters: Vec<MeterId>,
    /// Mean net power of each home.
    pub means: Vec<f64>,
    /// Mean power of each home in both directions.
    pub flows: Vec<f64>,
    pub interval: Duration,
    /// Watts that are the unit of everything here.
    pub unit: f64,
    last: (WattHours, WattHours),
}

impl<'w> Model<'w> {
    /// The rows after the first `skip`; `None` if they are too few, or nothing flows in them.
    pub fn new(window: &'w Window, skip: usize, settings: &Settings) -> Option<Self> {
        let samples: Vec<&'w Sample> = window.samples.iter().skip(skip).collect();
        let (n, homes) = (samples.len(), window.meters.len());
        let last = samples.last().filter(|_| n >= LEAST && homes > 0)?;
        let last = (last.feeder, last.homes.iter().map(|h| h.net).sum());
        let hours = window.interval.as_secs_f64() / 3600.0;
        let watts = |energy: WattHours| watt_hours(energy) / hours;
        let through = |s: &Sample| s.homes.iter().map(|h| watts(h.through)).sum::<f64>();
        let unit = samples.iter().map(|s| through(s)).sum::<f64>() / count(n);
        if unit <= 0.0 || !unit.is_finite() {
            return None;
        }
        let mut x = DMatrix::zeros(n, homes + 4);
        let (mut y, mut swing) = (DVector::zeros(n), Vec::with_capacity(n));
        for (row, sample) in samples.iter().enumerate() {
            let (mut net, mut squares) = (0.0, 0.0_f64);
            for (column, flow) in sample.homes.iter().enumerate() {
                let power = watts(flow.net) / unit;
                x[(row, column)] = power;
                net += power;
                squares += (watts(flow.through) / unit).powi(2);
            }
            let flows = through(sample) / unit;
            x[(row, homes)] = net;
            x[(row, homes + 1)] = flows;
            x[(row, homes + 2)] = net * net;
            x[(row, homes + 3)] = 1.0;
            y[row] = watts(sample.feeder) / unit - net;
            swing.push((squares + net * net).sqrt());
        }
        let mut flows = vec![0.0; homes];
        for sample in &samples {
            for (flow, home) in flows.iter_mut().zip(&sample.homes) {
                *flow += watts(home.through) / unit / count(n);
            }
        }
        let means = x.columns(0, homes).column_iter().map(|c| c.mean()).collect();
        // Each register is cut to a whole step at both ends: a twelfth of a step squared, twice.
        let step = watts(settings.step.max(WattHours(1))) / unit;
        let floor = step * ((count(homes) + 1.0) / 6.0).sqrt();
        let hour = |s: &&Sample| u32::try_from(s.from.0.div_euclid(3_600_000).rem_euclid(24)).unwrap_or(0);
        let hours = samples.iter().map(hour).collect();
        let rows = Rows { x, y, swing, hours, floor, positive: vec![homes + 1, homes + 2] };
        let prior = prior(homes, unit, settings);
        let starts = samples.iter().map(|s| s.from).collect();
        let meters = window.meters.clone();
        Some(Self { samples, rows, prior, starts, meters, means, flows, interval: window.interval, unit, last })
    }

    /// Reckons losses with what flows, and not with what wrong meters count of it: homes and their gains.
    pub fn correct(&mut self, gains: &[(usize, f64)]) {
        let (homes, hours) = (self.homes(), self.interval.as_secs_f64() / 3600.0);
        for (row, sample) in self.samples.iter().enumerate() {
            let (mut net, mut through) = (self.rows.x[(row, homes)], 0.0);
            through += sample.homes.iter().map(|h| watt_hours(h.through)).sum::<f64>();
            for (home, gain) in gains {
                net += (gain - 1.0) * self.rows.x[(row, *home)];
                through += (gain.abs() - 1.0) * sample.homes.get(*home).map_or(0.0, |h| watt_hours(h.through));
            }
            self.rows.x[(row, homes + 1)] = through / hours / self.unit;
            self.rows.x[(row, homes + 2)] = net * net;
        }
    }

    pub fn len(&self) -> usize {
        self.starts.len()
    }

    pub fn homes(&self) -> usize {
        self.meters.len()
    }

    pub fn start(&self) -> Timestamp {
        self.starts.first().copied().unwrap_or_default()
    }

    /// Which home this meter is.
    pub fn position(&self, meter: &MeterId) -> usize {
        self.meters.iter().position(|m| m == meter).unwrap_or(usize::MAX)
    }

    pub fn watts(&self, power: f64) -> Watts {
        Watts(whole_number(power * self.unit))
    }

    /// Energy of this power in a day.
    pub fn per_day(&self, power: f64) -> WattHours {
        WattHours(whole_number(power * self.unit * 24.0))
    }

    /// The losses of a row, by these coefficients, and what the meters use.
    pub fn losses(&self, row: usize, mean: &DVector<f64>, settings: &Settings) -> f64 {
        let at = |column: usize| self.rows.x[(row, column)] * mean[column];
        at(self.homes() + 1) + at(self.homes() + 2) + self.own_use(settings)
    }

    /// What the homes' meters themselves use.
    pub fn own_use(&self, settings: &Settings) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "some watts")]
        let each = settings.own_use.0.max(0) as f64;
        each * count(self.homes()) / self.unit
    }

    pub fn account(&self, mean: &DVector<f64>, settings: &Settings) -> Option<Account> {
        let row = self.len().checked_sub(1)?;
        let (feeder, homes) = self.last;
        let power = self.losses(row, mean, settings) * self.unit;
        let losses = WattHours(whole_number(power * self.interval.as_secs_f64() / 3600.0));
        let losses = losses.clamp(-WattHours::REGISTER_MAX, WattHours::REGISTER_MAX);
        Some(Account { from: *self.starts.last()?, feeder, homes, losses, unexplained: feeder - homes - losses })
    }
}

fn prior(homes: usize, unit: f64, settings: &Settings) -> Vec<Prior> {
    let class = honest(settings);
    let mut prior = vec![Prior::around(0.0, class); homes + 1];
    let share = settings.loss.map(|l| f64::from(l.get()) / 1000.0);
    prior.push(match (share, settings.resistance) {
        (Some(share), _) => Prior::around(share, BELIEF * share + class),
        (None, Some(_)) => Prior::around(0.0, class),
        (None, None) => Prior::around(USUAL_LOSS, USUAL_LOSS),
    });
    prior.push(match settings.resistance {
        Some(ohms) => {
            let square = ohms.get() / settings.voltage.get().max(1.0).powi(2) * unit;
            Prior::around(square, BELIEF * square + 1e-6)
        }
        None if share.is_some() => Prior::around(0.0, 1e-6),
        None => Prior::around(0.0, USUAL_LOSS),
    });
    // Of what is taken nothing is known.
    prior.push(Prior::around(0.0, 100.0));
    prior
}

/// The standard deviation of an honest meter's scale.
pub(super) fn honest(settings: &Settings) -> f64 {
    f64::from(settings.meter_error.get().max(1)) / 2000.0
}

fn watt_hours(energy: WattHours) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "energies of an interval are far below 2^53")]
    let watt_hours = energy.0 as f64;
    watt_hours
}
