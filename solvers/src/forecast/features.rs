//! What is known of a slot to come: what the load was at the same time of other days, how it has run lately, and the
//! calendar.

use super::series::{Series, count_f64};

/// Numbers of one slot for the regression.
pub(super) const WIDTH: usize = 27;

/// Normalised: mean and spread are stored with the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    pub mean: f64,
    pub spread: f64,
}

impl Scale {
    pub fn of(values: &[f64]) -> Self {
        let n = count_f64(values.len().max(1));
        let mean = values.iter().sum::<f64>() / n;
        let spread = (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt();
        Self { mean, spread: if spread > 1e-9 * mean.abs() && spread > 0.0 { spread } else { 1.0 } }
    }
}

/// A series seen from the slot at which a forecast begins: nothing from there on is ever looked at.
pub(super) struct View<'a> {
    pub series: &'a Series,
    pub scale: Scale,
    pub origin: usize,
    /// The mean of the last day and of the last week.
    recent: (f64, f64),
    /// How far the last slot, the last three hours and the last day lie above the same times of the week before.
    above: [f64; 3],
}

impl<'a> View<'a> {
    pub fn new(series: &'a Series, scale: Scale, origin: usize) -> Self {
        let mut view = Self { series, scale, origin, recent: (0.0, 0.0), above: [0.0; 3] };
        let day = series.day();
        let mean = |slots: usize| {
            let slots = slots.min(origin).max(1);
            (1..=slots).map(|back| view.past(origin, back)).sum::<f64>() / count_f64(slots)
        };
        let above = |slots: usize| {
            let slots = slots.min(origin).max(1);
            let miss = |back| view.past(origin, back) - view.usual(origin - back.min(origin), day);
            (1..=slots).map(miss).sum::<f64>() / count_f64(slots)
        };
        let (recent, above) = ((mean(day), mean(7 * day)), [above(1), above(day / 8), above(day)]);
        (view.recent, view.above) = (recent, above);
        view
    }

    /// The normalised value so many slots before a slot; if that is before the series began, of the same time of the
    /// first day.
    fn past(&self, slot: usize, back: usize) -> f64 {
        let at = slot.checked_sub(back).unwrap_or_else(|| (slot + back * (self.series.day() - 1)) % self.series.day());
        let at = at.min(self.origin.saturating_sub(1));
        (self.series.values[at] - self.scale.mean) / self.scale.spread
    }

    /// The mean of the same time on the seven days before a slot.
    fn usual(&self, slot: usize, day: usize) -> f64 {
        (1..=7).map(|d| self.past(slot, d * day)).sum::<f64>() / 7.0
    }

    /// The slot of so many steps after the origin (from 0).
    fn target(&self, ahead: usize) -> (usize, usize, usize) {
        let day = self.series.day();
        let lead = ahead / day + 1;
        (self.origin + ahead, lead * day, lead.div_ceil(7) * 7 * day)
    }

    /// The same time of the newest day, and of the newest same weekday, as they were.
    pub fn naive(&self, ahead: usize) -> (f64, f64) {
        let (slot, day, week) = self.target(ahead);
        let back = |back| self.past(slot, back) * self.scale.spread + self.scale.mean;
        (back(day), back(week))
    }

    /// The mean of the same time on the newest seven days, as it was.
    pub fn usual_day(&self, ahead: usize) -> f64 {
        let day = self.series.day();
        let newest = self.origin + ahead % day;
        // Where the series is younger, of the days that there are.
        let days = (self.origin / day).clamp(1, 7);
        let sum: f64 = (1..=days).map(|d| self.past(newest, d * day)).sum();
        sum / count_f64(days) * self.scale.spread + self.scale.mean
    }

    /// The row of a slot for the regression.
    pub fn row(&self, ahead: usize) -> [f64; WIDTH] {
        let (slot, day, week) = self.target(ahead);
        let day_slots = self.series.day();
        let [d1, d2] = [day, day + day_slots].map(|back| self.past(slot, back));
        let w: Vec<f64> = (0..4).map(|i| self.past(slot, week + i * 7 * day_slots)).collect();
        let month = (w[0] + w[1] + w[2] + w[3]) / 4.0;
        let usual = (0..7).map(|d| self.past(slot, day + d * day_slots)).sum::<f64>() / 7.0;
        let around = [day - 1, day + 1].map(|back| self.past(slot, back.max(ahead + 1)));
        let around_week = (self.past(slot, week - 1) + self.past(slot, week + 1)) / 2.0;
        let weekday = weekday(self.series.minute(slot));
        let before = weekday_back(weekday, day / day_slots);
        let other = f64::from(u8::from(is_weekend(weekday) != is_weekend(before)));
        let yearly = season(self.series.minute(slot));
        let mut row = [0.0; WIDTH];
        row[..20].copy_from_slice(&[
            1.0,
            d1,
            d2,
            w[0],
            w[1],
            month,
            usual,
            (around[0] + around[1]) / 2.0,
            around_week,
            self.recent.0,
            self.recent.1,
            self.above[0],
            self.above[1],
            self.above[2],
            other,
            other * (d1 - w[0]),
            // How the last day ran against that of a week before: a change of level, or of weather.
            d1 - self.past(slot, day + 7 * day_slots),
            yearly.0,
            yearly.1,
            f64::from(u8::from(is_weekend(weekday))),
        ]);
        row[20 + weekday] = 1.0;
        row
    }

    /// The calendar of a slot, for the unit.
    pub fn calendar(&self, slot: usize) -> [f64; 8] {
        let minute = self.series.minute(slot);
        let turn = |part: i64, whole: i64, times: f64| {
            // Both are minutes within a week.
            let angle = std::f64::consts::TAU * times * minutes_f64(part) / minutes_f64(whole);
            (libm::sin(angle), libm::cos(angle))
        };
        let (s1, c1) = turn(minute.rem_euclid(1440), 1440, 1.0);
        let (s2, c2) = turn(minute.rem_euclid(1440), 1440, 2.0);
        let (s7, c7) = turn(minute.rem_euclid(10_080), 10_080, 1.0);
        let weekday = weekday(minute);
        [s1, c1, s2, c2, s7, c7, f64::from(u8::from(is_weekend(weekday))), season(minute).0]
    }

    /// A normalised value of the past.
    pub fn known(&self, slot: usize) -> f64 {
        self.past(slot, 0)
    }
}

#[allow(clippy::cast_precision_loss, reason = "minutes of a year")]
fn minutes_f64(minutes: i64) -> f64 {
    minutes as f64
}

/// From 0, a Monday: 1970 began on a Thursday.
fn weekday(minute: i64) -> usize {
    usize::try_from((minute.div_euclid(1440) + 3).rem_euclid(7)).unwrap_or(0)
}

fn weekday_back(weekday: usize, days: usize) -> usize {
    (weekday + 7 - days % 7) % 7
}

fn is_weekend(weekday: usize) -> bool {
    weekday >= 5
}

/// Sine and cosine of the time of the year.
fn season(minute: i64) -> (f64, f64) {
    const YEAR: i64 = 525_949;
    let angle = std::f64::consts::TAU * minutes_f64(minute.rem_euclid(YEAR)) / minutes_f64(YEAR);
    (libm::sin(angle), libm::cos(angle))
}
