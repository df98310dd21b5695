//! The mean of what several forecasts say, weighted by what each was worth lately.

use super::series::{Series, count_f64};
use super::{Day, Said};

/// Days by which it weighs.
const DAYS: usize = 14;
/// Days of misses that a correction looks at.
const LOOK: usize = 60;
/// After so many days a miss counts half.
const HALF: f64 = 7.0;
/// The share of the usual miss that is corrected.
const SHARE: f64 = 0.6;
/// The places of the models that are corrected: the regression and the unit. Where the unit leads astray, as it does when a
/// season comes that it never saw, the regression beside it keeps the blend on its feet.
const LEARNED: [usize; 2] = [2, 3];

/// The blend at an origin. Its members are the naive models and, where there is a model, the regression and the unit, each
/// as it is, corrected by what it missed lately at each time of day, and corrected by what it missed over all; else the
/// usual day. Weights are the eighth power of one over the mean absolute error of the last days: what is a third worse counts
/// a tenth.
pub(super) fn blend(series: &Series, days: &[Day], said: &Said, usual: &[f64], origin: usize) -> Vec<f64> {
    // What every member says now, and what it said on each of the last days.
    let newest = days.len().saturating_sub(DAYS);
    let mut members: Vec<(Vec<f64>, f64)> = Vec::new();
    for (m, now) in said.iter().enumerate().take(2).filter_map(|(m, now)| Some((m, now.as_ref()?))) {
        let error = error(series, &days[newest..], origin, |_, d| d.said[m].clone());
        members.push((now.clone(), error));
    }
    for (m, now) in LEARNED.into_iter().filter_map(|m| Some((m, said[m].as_ref()?))) {
        for way in [Way::None, Way::Slot, Way::Level] {
            let error = error(series, &days[newest..], origin, |n, d| {
                Some(corrected(series, &days[..newest + n], m, d.said[m].as_ref()?, d.origin, way))
            });
            members.push((corrected(series, days, m, now, origin, way), error));
        }
    }
    if LEARNED.iter().all(|m| said[*m].is_none()) {
        let error = error(series, &days[newest..], origin, |_, d| Some(d.usual.clone()));
        members.push((usual.to_vec(), error));
    }
    let least = members.iter().map(|(_, e)| *e).fold(f64::INFINITY, f64::min);
    let weights: Vec<f64> = members
        .iter()
        .map(|(_, e)| {
            // Without error on all these days, a member is believed alone.
            let worse = if *e <= least { 1.0 } else { least / e };
            let fourth = worse * worse * worse * worse;
            fourth * fourth
        })
        .collect();
    let all: f64 = weights.iter().sum();
    let of = |i: usize| members.iter().zip(&weights).map(|((y, _), w)| w * y[i]).sum::<f64>() / all;
    (0..usual.len()).map(of).collect()
}

/// How a forecast is corrected by its late misses.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    None,
    Slot,
    Level,
}

/// What a model says, corrected by what it missed on days before.
fn corrected(series: &Series, days: &[Day], model: usize, now: &[f64], origin: usize, way: Way) -> Vec<f64> {
    if way == Way::None {
        return now.to_vec();
    }
    let fade = libm::exp2(-1.0 / HALF);
    let mut usual = vec![0.0; now.len()];
    for d in &days[days.len().saturating_sub(LOOK)..] {
        let Some(said) = &d.said[model] else { continue };
        for (i, (y, b)) in said.iter().zip(&mut usual).enumerate() {
            let slot = d.origin + i;
            if slot < origin && series.real[slot] {
                *b = fade * *b + (1.0 - fade) * (series.values[slot] - y);
            }
        }
    }
    if way == Way::Level {
        let day = series.day();
        for lead in usual.chunks_mut(day) {
            let mean = lead.iter().sum::<f64>() / count_f64(lead.len().max(1));
            lead.fill(mean);
        }
    }
    now.iter().zip(&usual).map(|(y, b)| y + SHARE * b).collect()
}

/// The mean absolute error of what was said on some days; one if nothing can be compared.
fn error(series: &Series, days: &[Day], origin: usize, said: impl Fn(usize, &Day) -> Option<Vec<f64>>) -> f64 {
    let (mut sum, mut n) = (0.0, 0);
    for (i, d) in days.iter().enumerate() {
        let Some(said) = said(i, d) else { continue };
        for (i, y) in said.iter().enumerate() {
            let slot = d.origin + i;
            if slot < origin && series.real[slot] {
                sum += (series.values[slot] - y).abs();
                n += 1;
            }
        }
    }
    if n == 0 { 1.0 } else { sum / count_f64(n) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_led_astray_lately_does_not_take_the_blend_with_it() {
        let day = |n: usize| {
            (0..24).map(|hour| f64::from(hour) + if n.is_multiple_of(2) { 0.1 } else { -0.1 }).collect::<Vec<f64>>()
        };
        let values: Vec<f64> = (0..21).flat_map(day).collect();
        let series = Series { first: 0, step: 60, offset: 0, real: vec![true; values.len()], values };
        let flat = |level: f64| Some(vec![level; 24]);
        let hours = || Some((0..24).map(f64::from).collect::<Vec<f64>>());
        // The regression misses by 0.1, the unit by 60 and more, the naive models by some hours.
        let says = |unit: f64| [flat(9.0), flat(14.0), hours(), flat(unit), None];
        let wild = |n: usize| if n.is_multiple_of(2) { 90.0 } else { -60.0 };
        let days: Vec<Day> =
            (0..20).map(|n| Day { origin: 24 * n, said: says(wild(n)), usual: vec![9.0; 24] }).collect();
        let said = blend(&series, &days, &says(90.0), &[9.0; 24], 24 * 20);
        for (hour, y) in (0_u8..).zip(&said) {
            assert!((y - f64::from(hour)).abs() < 0.2, "{hour} h: {y}");
        }
    }
}
