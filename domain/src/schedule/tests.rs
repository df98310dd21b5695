use super::*;
use crate::{Permille, Price, TimeZone};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn tariff(version: u32, since: &str, zone: &str, hours: &[&str]) -> Tariff {
    Tariff {
        version,
        since: at(since),
        interval_s: 900,
        peak_hours: hours.iter().map(|h| h.parse().unwrap()).collect(),
        zone: TimeZone::try_from(zone.to_owned()).unwrap(),
        pool_share: Permille::NONE,
        rates: Rates { off_peak: Price(200), peak: Price(400), ..Rates::default() },
        classes: BTreeMap::new(),
    }
}

fn only(zone: &str, hours: &[&str]) -> Schedule {
    Schedule::new(tariff(1, "1970-01-01T00:00:00Z", zone, hours))
}

fn at(text: &str) -> Timestamp {
    Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

#[test]
fn an_interval_over_a_border_is_split_at_the_border() {
    let spans = only("UTC", &["17:00-22:00"]).cut(at("2026-03-01T16:50:00Z"), at("2026-03-01T17:12:00Z"));
    assert_eq!(spans.len(), 2);
    assert_eq!((spans[0].range, spans[0].to), (Range::OffPeak, at("2026-03-01T17:00:00Z")));
    assert_eq!((spans[1].range, spans[1].from), (Range::Peak, at("2026-03-01T17:00:00Z")));
    assert_eq!(apportion(WattHours(22), &spans), [WattHours(10), WattHours(12)]);
}

#[test]
fn a_peak_range_inside_the_hour_that_does_not_exist_does_not_happen() {
    let spans = only("Europe/Madrid", &["02:00-03:00"]).cut(at("2026-03-29T00:30:00Z"), at("2026-03-29T03:00:00Z"));
    assert!(spans.iter().all(|s| s.range == Range::OffPeak), "{spans:?}");
}

#[test]
fn a_new_version_prices_what_flows_after_its_beginning_and_nothing_before() {
    let mut schedule = only("UTC", &[]);
    schedule.push(tariff(2, "2026-03-01T12:00:00Z", "UTC", &["00:00-12:30"]));
    schedule.push(tariff(3, "2026-02-01T00:00:00Z", "UTC", &[]));
    assert_eq!(schedule.newest().version, 2, "prices never change backwards");
    let spans = schedule.cut(at("2026-03-01T11:50:00Z"), at("2026-03-01T12:40:00Z"));
    let cut: Vec<_> = spans.iter().map(|s| (s.version, s.range, s.to.since(s.from).as_secs() / 60)).collect();
    use Range::{OffPeak, Peak};
    assert_eq!(cut, [(1, OffPeak, 10), (2, Peak, 15), (2, Peak, 15), (2, OffPeak, 10)]);
}

#[test]
fn days_are_local_days_also_when_they_have_23_hours() {
    let spans = only("Europe/Madrid", &[]).cut(at("2026-03-28T23:00:00Z"), at("2026-03-29T22:00:00Z"));
    let days: Vec<i32> = spans.iter().map(|s| s.day).collect();
    assert_eq!(spans.len(), 23 * 4);
    assert!(days.iter().all(|d| *d == days[0]), "{days:?}");
    let next = only("Europe/Madrid", &[]).cut(at("2026-03-29T22:00:00Z"), at("2026-03-29T22:00:01Z"));
    assert_eq!(next[0].day, days[0] + 1);
}

#[test]
fn a_customer_pays_as_the_class_of_that_time() {
    let class = |name: &str| Some(name.parse::<ClassId>().unwrap());
    let classes = Classes(vec![(Timestamp(100), class("shop")), (Timestamp(200), None)]);
    assert_eq!(classes.at(Timestamp(99)), None);
    assert_eq!(classes.at(Timestamp(100)), class("shop").as_ref());
    assert_eq!(classes.at(Timestamp(200)), None);
}

proptest! {
    #[test]
    fn spans_cover_the_time_and_shares_add_up(
        start in 0_i64..4_000_000_000_000,
        length in 0_i64..400_000_000,
        energy in 0_i64..1_000_000,
        changed in 0_i64..400_000_000,
        hours in prop::sample::select(vec![vec!["17:00-22:00"], vec!["23:30-00:30", "08:00-09:01"], vec![]]),
        zone in prop::sample::select(vec!["UTC", "Europe/Madrid", "Asia/Kolkata", "America/New_York"]),
        interval_s in prop::sample::select(vec![30_u32, 60, 300, 900, 3600, 86_400]),
    ) {
        let mut schedule = only(zone, &hours);
        let border = Timestamp((start + changed).div_euclid(900_000) * 900_000);
        let other = Tariff { version: 2, since: border, interval_s, ..schedule.newest().clone() };
        schedule.push(other);
        let (from, to) = (Timestamp(start), Timestamp(start + length));
        let spans = schedule.cut(from, to);
        prop_assert_eq!(spans.first().map(|s| s.from), Some(from));
        prop_assert_eq!(spans.last().map(|s| s.to), Some(to));
        for pair in spans.windows(2) {
            prop_assert_eq!(pair[0].to, pair[1].from);
            prop_assert!(!pair[1].continues(&pair[0]));
        }
        for span in &spans {
            let here = schedule.at(span.from);
            prop_assert_eq!(span.range, here.range_at(span.from));
            prop_assert_eq!(span.version, here.version);
            prop_assert_eq!(span.interval, here.interval_of(span.from));
            prop_assert!(span.to.0 - span.interval.0 <= here.interval_ms());
        }
        let shares = apportion(WattHours(energy), &spans);
        prop_assert!(shares.iter().all(|s| *s >= WattHours::ZERO));
        prop_assert_eq!(shares.into_iter().sum::<WattHours>(), WattHours(energy));
    }
}
