//! `tou`: the time-of-use ranges of a day, twice: by the mathematics here, and by the contract's bytecode.

use super::load::Loads;
use super::print;
use crate::cli::Tou;
use crate::failure::{Code, Failure};
use contracts::tou::kmeans_here;
use domain::{Currency, Money, Price, Unit, WattHours};
use serde_json::{Value, json};
use solvers::forecast::Row;
use solvers::tou::{Label, MAX_VALUES, Rails, kmeans, prices, switches};

/// A slot beyond yesterday's border by less than this share of the way to the next range stays; there is no yesterday here.
const HYSTERESIS: u32 = 100;

/// `tou`
pub fn tou(options: &Tou) -> Result<(), Failure> {
    let loads = Loads::open(&options.history)?;
    let wrong = |what: String| Failure::new(Code::Data, format!("{}: {what}", loads.name));
    let Day { values, days, minutes } =
        if loads.rows.len() > MAX_VALUES { mean_day(&loads)? } else { one_day(&loads.rows).map_err(&wrong)? };
    let values: Vec<i32> = values.into_iter().map(whole).collect::<Result<_, _>>().map_err(&wrong)?;
    let found = kmeans(&values, options.k.into()).map_err(|e| wrong(e.to_string()))?;
    let rails = Rails { min_run: options.min_run, max_switches: options.max_switches, hysteresis: HYSTERESIS };
    let held = rails.apply(&values, &found, None).map_err(|e| Failure::new(Code::Usage, e))?;
    // The contract makes three ranges at most.
    let chain = if options.k <= 3 { Some(kmeans_here(&values, options.k)?) } else { None };
    let agrees = chain.as_ref().map(|c| c.ranges.labels == found.labels && c.ranges.centroids == found.centroids);
    let costs = match &options.recover {
        Some(recover) => Some(costs(options, recover, &loads, &values, minutes, &held, found.centroids.len())?),
        None => None,
    };
    if options.json {
        let mut told = json!({
            "values": values,
            "days": days,
            "assignment": found.labels,
            "centroids": found.centroids,
            "inertia": found.inertia(&values),
            "switches": switches(&found.labels),
            "solidity_agrees": agrees,
            "gas": chain.as_ref().map(|c| c.gas),
            "ranges": { "assignment": held, "switches": switches(&held) },
        });
        if let Some(costs) = &costs {
            told["prices"] = costs.iter().map(Cost::told).collect();
        }
        print(&format!("{told}\n"))?;
    } else {
        let bars = |labels: &[Label]| labels.iter().map(ToString::to_string).collect::<String>();
        let mut text = format!("{} values, {days} days\n", values.len());
        text += &format!("k-means   {}  {} switches\n", bars(&found.labels), switches(&found.labels));
        text += &format!("to keep   {}  {} switches\n", bars(&held), switches(&held));
        for (label, centroid) in found.centroids.iter().enumerate() {
            text += &format!("range {label}: {centroid} on the average\n");
        }
        for (label, cost) in costs.iter().flatten().enumerate() {
            text += &format!("range {label}: {} a kWh, for {}\n", cost.per_kwh, cost.energy);
        }
        text += match agrees {
            Some(true) => "the contract finds the same\n",
            Some(false) => "the contract finds others\n",
            None => "the contract makes three ranges at most\n",
        };
        print(&text)?;
    }
    match agrees {
        Some(false) => Err(Failure::new(Code::Found, "the contract and this program disagree")),
        _ => Ok(()),
    }
}

/// What a kWh would have to cost in a range.
struct Cost {
    energy: WattHours,
    per_kwh: String,
    brings_in: String,
}

impl Cost {
    fn told(&self) -> Value {
        json!({ "energy_wh": self.energy.0, "per_kwh": self.per_kwh, "brings_in": self.brings_in })
    }
}

/// What the ranges would have to cost for the day to bring in an amount.
fn costs(
    options: &Tou,
    recover: &str,
    loads: &Loads,
    values: &[i32],
    minutes: i64,
    held: &[Label],
    ranges: usize,
) -> Result<Vec<Cost>, Failure> {
    let usage = |what: String| Failure::new(Code::Usage, what);
    let unit = Currency { code: String::new(), decimals: options.decimals };
    let due = unit.parse(recover).map_err(|e| usage(format!("--recover: {e}")))?;
    if options.weights.len() != ranges {
        let what = format!("--weights: {} of them, but there are {ranges} ranges", options.weights.len());
        return Err(usage(what));
    }
    // Sixtieths of a watt-hour, so that nothing is rounded before the sum is.
    let parts = if loads.unit == Unit::WattHours { 60 } else { minutes };
    let energy: Vec<WattHours> = (0..ranges)
        .map(|range| {
            let within = values.iter().zip(held).filter(|(_, label)| usize::from(**label) == range);
            WattHours(within.map(|(value, _)| i64::from(*value) * parts).sum::<i64>() / 60)
        })
        .collect();
    let found =
        prices(due, &energy, &options.weights).map_err(|e| Failure::new(Code::Data, format!("{}: {e}", loads.name)))?;
    let cost = |(price, energy): (&Price, &WattHours)| {
        let brings_in = price.of(*energy).ok_or_else(|| usage("--recover is more than can be stated".into()))?;
        let per_kwh = unit.plain(Money(i64::from(price.0) * 1000));
        Ok(Cost { energy: *energy, per_kwh, brings_in: unit.plain(brings_in) })
    };
    found.iter().zip(&energy).map(cost).collect()
}

/// A day of slots, all of one length.
struct Day {
    values: Vec<f64>,
    /// Of how many it is the mean.
    days: usize,
    /// Length of a slot.
    minutes: i64,
}

/// The values as they stand, none missing.
fn one_day(rows: &[Row]) -> Result<Day, String> {
    let gap = |r: &Row| format!("the load at {} is missing: a day has to be whole", r.at);
    let values = rows.iter().map(|r| r.value.ok_or_else(|| gap(r))).collect::<Result<_, _>>()?;
    let minutes = rows.windows(2).map(|w| (w[1].at.0 - w[0].at.0) / 60_000).min().unwrap_or(60);
    Ok(Day { values, days: 1, minutes })
}

/// The mean of every slot of the day.
fn mean_day(loads: &Loads) -> Result<Day, Failure> {
    let series = loads.series()?;
    let day = series.day();
    let (mut sums, mut counts) = (vec![0.0; day], vec![0_u32; day]);
    for (i, value) in series.values.iter().enumerate() {
        let at = usize::try_from(series.minute(i).rem_euclid(1440) / series.step).unwrap_or(0);
        sums[at] += value;
        counts[at] += 1;
    }
    let values = sums.iter().zip(&counts).map(|(s, c)| s / f64::from((*c).max(1))).collect();
    Ok(Day { values, days: series.values.len() / day, minutes: series.step })
}

/// Rounded to the nearest, halves away from zero.
fn whole(value: f64) -> Result<i32, String> {
    let rounded = value.round();
    let fits = rounded >= f64::from(i32::MIN) && rounded <= f64::from(i32::MAX);
    #[allow(clippy::cast_possible_truncation, reason = "it fits")]
    let whole = rounded as i32;
    fits.then_some(whole).ok_or_else(|| format!("{value} is more than the contract can take (±2^31)"))
}
