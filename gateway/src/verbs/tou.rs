//! `tou`: the time-of-use ranges of a day, twice: by the mathematics here, and by the contract's bytecode.

use super::load::Loads;
use super::print;
use crate::cli::Tou;
use crate::failure::{Code, Failure};
use contracts::tou::kmeans_here;
use serde_json::json;
use solvers::forecast::Row;
use solvers::tou::{Label, MAX_VALUES, Rails, kmeans, switches};

/// A slot beyond yesterday's border by less than this share of the way to the next range stays; there is no yesterday here.
const HYSTERESIS: u32 = 100;

/// `tou`
pub fn tou(options: &Tou) -> Result<(), Failure> {
    let loads = Loads::open(&options.history)?;
    let wrong = |what: String| Failure::new(Code::Data, format!("{}: {what}", loads.name));
    let (values, days) =
        if loads.rows.len() > MAX_VALUES { mean_day(&loads)? } else { (one_day(&loads.rows).map_err(&wrong)?, 1) };
    let values: Vec<i32> = values.into_iter().map(whole).collect::<Result<_, _>>().map_err(&wrong)?;
    let found = kmeans(&values, options.k.into()).map_err(|e| wrong(e.to_string()))?;
    let rails = Rails { min_run: options.min_run, max_switches: options.max_switches, hysteresis: HYSTERESIS };
    let held = rails.apply(&values, &found, None).map_err(|e| Failure::new(Code::Usage, e))?;
    // The contract makes three ranges at most.
    let chain = if options.k <= 3 { Some(kmeans_here(&values, options.k)?) } else { None };
    let agrees = chain.as_ref().map(|c| c.ranges.labels == found.labels && c.ranges.centroids == found.centroids);
    if options.json {
        let told = json!({
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
        print(&format!("{told}\n"))?;
    } else {
        let bars = |labels: &[Label]| labels.iter().map(ToString::to_string).collect::<String>();
        let mut text = format!("{} values, {days} days\n", values.len());
        text += &format!("k-means   {}  {} switches\n", bars(&found.labels), switches(&found.labels));
        text += &format!("to keep   {}  {} switches\n", bars(&held), switches(&held));
        for (label, centroid) in found.centroids.iter().enumerate() {
            text += &format!("range {label}: {centroid} on the average\n");
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

/// The values as they stand, none missing.
fn one_day(rows: &[Row]) -> Result<Vec<f64>, String> {
    let gap = |r: &Row| format!("the load at {} is missing: a day has to be whole", r.at);
    rows.iter().map(|r| r.value.ok_or_else(|| gap(r))).collect()
}

/// The mean of every slot of the day, and over how many days.
fn mean_day(loads: &Loads) -> Result<(Vec<f64>, usize), Failure> {
    let series = loads.series()?;
    let day = series.day();
    let (mut sums, mut counts) = (vec![0.0; day], vec![0_u32; day]);
    for (i, value) in series.values.iter().enumerate() {
        let at = usize::try_from(series.minute(i).rem_euclid(1440) / series.step).unwrap_or(0);
        sums[at] += value;
        counts[at] += 1;
    }
    let means = sums.iter().zip(&counts).map(|(s, c)| s / f64::from((*c).max(1))).collect();
    Ok((means, series.values.len() / day))
}

/// Rounded to the nearest, halves away from zero.
fn whole(value: f64) -> Result<i32, String> {
    let rounded = value.round();
    let fits = rounded >= f64::from(i32::MIN) && rounded <= f64::from(i32::MAX);
    #[allow(clippy::cast_possible_truncation, reason = "it fits")]
    let whole = rounded as i32;
    fits.then_some(whole).ok_or_else(|| format!("{value} is more than the contract can take (±2^31)"))
}
