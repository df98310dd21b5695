use super::*;

fn tariff(zone: &str, hours: &[&str]) -> Tariff {
    Tariff {
        version: 1,
        since: Timestamp(0),
        interval_s: 900,
        peak_hours: hours.iter().map(|h| h.parse().unwrap()).collect(),
        zone: TimeZone::try_from(zone.to_owned()).unwrap(),
        pool_share: Permille::NONE,
        rates: Rates { off_peak: Price(200), peak: Price(400), feed_in: Price(80), ..Rates::default() },
        classes: BTreeMap::new(),
    }
}

fn at(text: &str) -> Timestamp {
    Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
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

#[test]
fn blocks_price_the_same_energy_the_same_however_it_is_cut() {
    let rates = Rates {
        blocks: vec![Block { above: WattHours(100), surcharge: 50 }, Block { above: WattHours(300), surcharge: -100 }],
        ..tariff("UTC", &[]).rates
    };
    let whole = rates.energy(Range::OffPeak, WattHours(0), WattHours(400));
    assert_eq!(whole, Some(Money(400 * 200 + 200 * 50 - 100 * 100)));
    let parts = [0, 90, 110, 299, 301, 400]
        .windows(2)
        .map(|w| rates.energy(Range::OffPeak, WattHours(w[0]), WattHours(w[1] - w[0])).unwrap().0);
    assert_eq!(whole, Some(Money(parts.sum())));
    assert_eq!(rates.problems(), []);
}

#[test]
fn a_tariff_that_cannot_work_is_named_in_all_its_parts() {
    let mut t = tariff("UTC", &["08:00-12:00", "11:00-13:00"]);
    t.interval_s = 7 * 60;
    t.rates.blocks =
        vec![Block { above: WattHours(300), surcharge: 0 }, Block { above: WattHours(200), surcharge: -201 }];
    let found = t.problems();
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found.iter().all(|p| !p.to_string().is_empty()));
}

#[test]
fn a_version_begins_at_a_border_of_both_intervals() {
    let mut hourly = tariff("UTC", &[]);
    hourly.interval_s = 3600;
    let quarters = tariff("UTC", &[]);
    assert_eq!(quarters.common_border(&hourly, at("2026-03-01T10:01:00Z")), at("2026-03-01T11:00:00Z"));
    assert_eq!(quarters.common_border(&quarters, at("2026-03-01T10:15:00Z")), at("2026-03-01T10:15:00Z"));
}
