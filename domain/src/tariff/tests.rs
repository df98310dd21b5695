use super::*;
use proptest::prelude::*;

fn tariff(zone: &str, hours: &[&str]) -> Tariff {
    Tariff {
        version: 1,
        off_peak: Price(200),
        peak: Price(400),
        feed_in: Price(80),
        peak_hours: hours.iter().map(|h| h.parse().unwrap()).collect(),
        zone: TimeZone::try_from(zone.to_owned()).unwrap(),
    }
}

fn at(text: &str) -> Timestamp {
    Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

#[test]
fn an_interval_over_a_border_is_split_at_the_border() {
    let spans = tariff("UTC", &["17:00-22:00"]).split(at("2026-03-01T16:50:00Z"), at("2026-03-01T17:30:00Z"));
    assert_eq!(spans.len(), 2);
    assert_eq!((spans[0].range, spans[0].to), (Range::OffPeak, at("2026-03-01T17:00:00Z")));
    assert_eq!((spans[1].range, spans[1].from), (Range::Peak, at("2026-03-01T17:00:00Z")));
    assert_eq!(apportion(WattHours(4), &spans), [WattHours(1), WattHours(3)]);
}

#[test]
fn peak_hours_follow_the_local_clock_when_summer_time_begins() {
    // In Madrid on 2026-03-29 clocks go from 02:00 to 03:00; 08:00 local is 07:00 UTC before and 06:00 UTC after.
    let t = tariff("Europe/Madrid", &["08:00-09:00"]);
    assert_eq!(t.range_at(at("2026-03-28T07:30:00Z")), Range::Peak);
    assert_eq!(t.range_at(at("2026-03-29T06:30:00Z")), Range::Peak);
    assert_eq!(t.range_at(at("2026-03-29T07:30:00Z")), Range::OffPeak);
}

#[test]
fn a_peak_range_inside_the_hour_that_does_not_exist_does_not_happen() {
    let t = tariff("Europe/Madrid", &["02:00-03:00"]);
    let spans = t.split(at("2026-03-29T00:30:00Z"), at("2026-03-29T03:00:00Z"));
    assert!(spans.iter().all(|s| s.range == Range::OffPeak), "{spans:?}");
}

#[test]
fn a_range_may_run_over_midnight() {
    let t = tariff("UTC", &["22:00-06:00"]);
    assert_eq!(t.range_at(at("2026-03-01T23:59:00Z")), Range::Peak);
    assert_eq!(t.range_at(at("2026-03-01T05:59:59Z")), Range::Peak);
    assert_eq!(t.range_at(at("2026-03-01T06:00:00Z")), Range::OffPeak);
}

#[test]
fn hours_that_make_no_sense_are_named() {
    for bad in ["", "17", "17:00", "17:00-", "25:00-26:00", "17:60-18:00", "1:00-2:00", "aa:bb-cc:dd", "+1:00-02:00"] {
        assert!(matches!(bad.parse::<DayRange>(), Err(TariffProblem::Hours(_))), "{bad:?} was taken");
    }
    assert!(matches!("08:00-08:00".parse::<DayRange>(), Err(TariffProblem::Empty(_))));
    assert_eq!(tariff("UTC", &["08:00-12:00", "11:59-13:00"]).problems().len(), 1);
    assert_eq!(tariff("UTC", &["22:00-06:00", "05:00-07:00"]).problems().len(), 1);
    assert_eq!(tariff("UTC", &["08:00-12:00", "12:00-13:00"]).problems(), []);
    assert!(TimeZone::try_from("Mars/Olympus".to_owned()).is_err());
}

proptest! {
    #[test]
    fn spans_cover_the_time_and_shares_add_up(
        start in 0_i64..4_000_000_000_000,
        length in 0_i64..400_000_000,
        energy in 0_i64..1_000_000,
        hours in prop::sample::select(vec![vec!["17:00-22:00"], vec!["23:30-00:30", "08:00-09:01"], vec![]]),
        zone in prop::sample::select(vec!["UTC", "Europe/Madrid", "Asia/Kolkata", "America/New_York"]),
    ) {
        let t = tariff(zone, &hours);
        let (from, to) = (Timestamp(start), Timestamp(start + length));
        let spans = t.split(from, to);
        prop_assert_eq!(spans.first().map(|s| s.from), Some(from));
        prop_assert_eq!(spans.last().map(|s| s.to), Some(to));
        for pair in spans.windows(2) {
            prop_assert_eq!(pair[0].to, pair[1].from);
            prop_assert_ne!(pair[0].range, pair[1].range);
        }
        for span in &spans {
            prop_assert_eq!(span.range, t.range_at(span.from));
        }
        let shares = apportion(WattHours(energy), &spans);
        prop_assert!(shares.iter().all(|s| *s >= WattHours::ZERO));
        prop_assert_eq!(shares.into_iter().sum::<WattHours>(), WattHours(energy));
    }
}
