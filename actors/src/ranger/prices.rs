//! Today's and tomorrow's ranges and prices as stretches of time, for the page and the broker.

use domain::{Price, Range, Schedule, Timestamp};
use ledger::Ranged;
use serde::Serialize;

/// Evening and morning between which cheap hours are told, in minutes of the local day.
const NIGHT: (i64, i64) = (18 * 60, 8 * 60);
const MINUTE_MS: i64 = 60_000;

/// A stretch of time in which one price holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stretch {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end, not included.
    pub to: Timestamp,
    /// The same on the local clock, such as `17:00-22:00`.
    pub hours: String,
    /// The range.
    pub range: Range,
    /// What a watt-hour costs who belongs to no class, in minor units.
    pub price: Price,
}

/// Prices as they are and will be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PricesLive {
    /// Whether ranges follow from forecasts.
    pub by_forecast: bool,
    /// The stretch that it is now; `None` before the first look.
    pub now: Option<Stretch>,
    /// The next one with another range or price, within tomorrow.
    pub next: Option<Stretch>,
    /// The local day.
    pub today: Vec<Stretch>,
    /// The day after: as it is announced now. What is not announced yet is today's.
    pub tomorrow: Vec<Stretch>,
    /// The cheaper stretches between this evening and the morning after that are not over.
    pub cheap_tonight: Vec<Stretch>,
    /// The newest day that was announced by forecast.
    pub ahead: Option<Ranged>,
    /// What is missing before ranges can follow from a forecast, while that is no fault.
    pub waiting: Option<String>,
    /// Why ranges stay as they are although they should follow from a forecast.
    pub problem: Option<String>,
}

impl PricesLive {
    /// What a schedule says at an instant.
    pub(super) fn at(schedule: &Schedule, now: Timestamp) -> Self {
        let zone = &schedule.at(now).zone;
        let today = zone.local(now).day;
        let begins = |day: i32| zone.day_begins(day).unwrap_or(now);
        let (a, b, c) = (begins(today), begins(today + 1), begins(today + 2));
        let both = stretches(schedule, a, c);
        let current = both.iter().position(|s| s.from <= now && now < s.to);
        // Before morning, the night that is still going on counts.
        let morning = |day: Timestamp| Timestamp(day.0 + NIGHT.1 * MINUTE_MS);
        let first = if now < morning(a) { begins(today - 1) } else { a };
        let next = if now < morning(a) { a } else { b };
        let night = stretches(schedule, Timestamp(first.0 + NIGHT.0 * MINUTE_MS), morning(next));
        let cheapest = night.iter().map(|s| s.price).min();
        Self {
            now: current.map(|i| both[i].clone()),
            next: current.and_then(|i| both.get(i + 1).cloned()),
            today: stretches(schedule, a, b),
            tomorrow: stretches(schedule, b, c),
            cheap_tonight: night.into_iter().filter(|s| Some(s.price) == cheapest && s.to > now).collect(),
            ..Self::default()
        }
    }
}

/// The stretches of one range and price between two instants.
fn stretches(schedule: &Schedule, from: Timestamp, to: Timestamp) -> Vec<Stretch> {
    let mut found: Vec<Stretch> = Vec::new();
    if to <= from {
        return found;
    }
    for span in schedule.cut(from, to) {
        let price = schedule.version(span.version, span.from).rates.price(span.range);
        match found.last_mut() {
            Some(last) if last.range == span.range && last.price == price => last.to = span.to,
            _ => found.push(Stretch { from: span.from, to: span.to, hours: String::new(), range: span.range, price }),
        }
    }
    for stretch in &mut found {
        let zone = &schedule.at(stretch.from).zone;
        let end = zone.hh_mm(stretch.to);
        let end = if end == "00:00" { "24:00" } else { &end };
        stretch.hours = format!("{}-{end}", zone.hh_mm(stretch.from));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Permille, Rates, Tariff, TimeZone};

    fn tariff(since: &str, hours: &[&str], peak: u32) -> Tariff {
        Tariff {
            version: if since == "1970-01-01" { 1 } else { 2 },
            since: TimeZone::utc().instant(since).unwrap(),
            interval_s: 900,
            peak_hours: hours.iter().map(|h| h.parse().unwrap()).collect(),
            zone: TimeZone::utc(),
            pool_share: Permille::NONE,
            rates: Rates { off_peak: Price(18), peak: Price(peak), ..Rates::default() },
            classes: std::collections::BTreeMap::new(),
        }
    }

    fn hours(stretches: &[Stretch]) -> Vec<(&str, u32)> {
        stretches.iter().map(|s| (s.hours.as_str(), s.price.0)).collect()
    }

    #[test]
    fn today_and_tomorrow_are_told_with_their_prices_and_the_cheap_hours_of_the_night_between() {
        let mut schedule = Schedule::new(tariff("1970-01-01", &["17:00-22:00"], 32));
        schedule.push(tariff("2026-03-03", &["06:00-09:00", "18:00-20:00"], 40));
        let now = TimeZone::utc().instant("2026-03-02T18:30:00Z").unwrap();
        let live = PricesLive::at(&schedule, now);
        assert_eq!(hours(&live.today), [("00:00-17:00", 18), ("17:00-22:00", 32), ("22:00-24:00", 18)]);
        let tomorrow =
            [("00:00-06:00", 18), ("06:00-09:00", 40), ("09:00-18:00", 18), ("18:00-20:00", 40), ("20:00-24:00", 18)];
        assert_eq!(hours(&live.tomorrow), tomorrow);
        assert_eq!(hours(live.now.as_slice()), [("17:00-22:00", 32)]);
        // Across midnight it is one stretch.
        assert_eq!(hours(live.next.as_slice()), [("22:00-06:00", 18)]);
        assert_eq!(hours(&live.cheap_tonight), [("22:00-06:00", 18)]);
        let late = PricesLive::at(&schedule, TimeZone::utc().instant("2026-03-03T05:00:00Z").unwrap());
        assert_eq!(hours(&late.cheap_tonight), [("22:00-06:00", 18)]);
        let over = PricesLive::at(&schedule, TimeZone::utc().instant("2026-03-03T06:30:00Z").unwrap());
        assert_eq!(hours(&over.cheap_tonight), [("18:00-06:00", 0); 0]);
    }

    #[test]
    fn a_tariff_of_one_price_has_one_stretch_a_day() {
        let live = PricesLive::at(&Schedule::new(tariff("1970-01-01", &[], 32)), Timestamp(0));
        assert_eq!(hours(&live.today), [("00:00-24:00", 18)]);
        assert_eq!(live.next, None);
    }
}
