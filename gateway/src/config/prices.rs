//! A tariff as the `[tariff]` that says it: what the page shows of it, what it may send back, and what to write into the
//! configuration. Read back it is the same tariff.

use super::parse;
use domain::{Block, Currency, Money, Period, Permille, Price, Rates, Tariff, TimeZone, WattHours};
use drivers::document::{Notes, Section};
use toml::de::DeTable;
use toml::{Table, Value};

/// The whole table. A class names what it pays otherwise; with `each`, all that it pays.
#[must_use]
pub fn written(tariff: &Tariff, unit: &Currency, each: bool) -> Table {
    let mut table = rates(&tariff.rates, &Rates::default(), unit);
    for (key, price) in
        [("off_peak", tariff.rates.off_peak), ("peak", tariff.rates.peak), ("feed_in", tariff.rates.feed_in)]
    {
        table.insert(key.into(), per_thousand(price.0, unit));
    }
    let hours = tariff.peak_hours.iter().map(|range| Value::from(range.to_string()));
    table.insert("peak_hours".into(), Value::Array(hours.collect()));
    table.insert("interval".into(), length(tariff.interval_s).into());
    if tariff.pool_share != Permille::NONE {
        table.insert("pool_share".into(), share(tariff.pool_share).into());
    }
    let classes = tariff.classes.iter().map(|(id, own)| {
        let base = if each { Rates::default() } else { tariff.rates.clone() };
        let mut class = rates(own, &base, unit);
        class.insert("id".into(), id.to_string().into());
        Value::Table(class)
    });
    let classes: Vec<_> = classes.collect();
    if !classes.is_empty() {
        table.insert("class".into(), Value::Array(classes));
    }
    table
}

/// The tariff that a table says, or everything that is wrong with it.
pub fn read(table: &Table, unit: &Currency, zone: &TimeZone) -> Result<Tariff, Vec<String>> {
    let text = toml::to_string(table).map_err(|e| vec![e.to_string()])?;
    let notes = Notes::new("tariff", &text);
    let read = DeTable::parse(&text).map_err(|e| vec![e.message().to_owned()])?;
    let section = Section::root(&notes, read.get_ref(), 0..0);
    let tariff = parse::tariff(&section, unit, Some(zone.clone()));
    section.close();
    match (tariff, notes.count()) {
        (Some(tariff), 0) => Ok(tariff),
        _ => Err(notes.finish().into_iter().map(|p| format!("{} {}", p.field, p.what).trim().to_owned()).collect()),
    }
}

/// What differs from `base`.
fn rates(rates: &Rates, base: &Rates, unit: &Currency) -> Table {
    let mut table = Table::new();
    let mut put = |key: &str, differs: bool, value: Value| {
        if differs {
            table.insert(key.into(), value);
        }
    };
    let price = |price: Price| per_thousand(price.0, unit);
    put("off_peak", rates.off_peak != base.off_peak, price(rates.off_peak));
    put("peak", rates.peak != base.peak, price(rates.peak));
    put("feed_in", rates.feed_in != base.feed_in, price(rates.feed_in));
    put("network_fee", rates.network != base.network, price(rates.network));
    put("tax", rates.tax_ppm != base.tax_ppm, percent(rates.tax_ppm).into());
    put("daily_charge", rates.daily != base.daily, unit.plain(rates.daily).into());
    put("demand_charge", rates.demand != base.demand, per_thousand(rates.demand.0, unit));
    put("lifeline_wh", rates.lifeline != base.lifeline, rates.lifeline.0.into());
    let period = if rates.block_period == Period::Day { "day" } else { "month" };
    put("block_period", rates.block_period != base.block_period, period.into());
    let block = |Block { above: WattHours(above), surcharge }: &Block| {
        let surcharge = unit.plain(Money(i64::from(*surcharge) * 1000));
        Value::Table(Table::from_iter([
            ("above_kwh".to_owned(), Value::from(above / 1000)),
            ("surcharge".to_owned(), surcharge.into()),
        ]))
    };
    put("block", rates.blocks != base.blocks, Value::Array(rates.blocks.iter().map(block).collect()));
    table
}

fn per_thousand(one: u32, unit: &Currency) -> Value {
    unit.plain(Money(i64::from(one) * 1000)).into()
}

/// Of millionths.
fn percent(ppm: u32) -> String {
    let percent = Currency { code: "%".into(), decimals: 4 }.plain(Money(ppm.into()));
    format!("{}%", percent.trim_end_matches('0').trim_end_matches('.'))
}

fn share(share: Permille) -> String {
    percent(u32::from(share.get()) * 1000)
}

fn length(seconds: u32) -> String {
    match seconds {
        s if s % 3600 == 0 => format!("{}h", s / 3600),
        s if s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{PowerPrice, Timestamp};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn unit() -> Currency {
        Currency { code: "EUR".into(), decimals: 9 }
    }

    fn any_rates() -> impl Strategy<Value = Rates> {
        let prices = (1_u32..400_000, 1_u32..400_000, 0_u32..400_000, 0_u32..100_000);
        let others = (0_u32..=1_000_000, 0_i64..5_000_000_000, any::<u32>(), 0_i64..=1_000_000);
        let blocks = proptest::collection::btree_map(0_i64..5_000, 0_i32..90_000, 0..4);
        (prices, others, blocks, any::<bool>()).prop_map(|(p, o, blocks, day)| Rates {
            off_peak: Price(p.0),
            peak: Price(p.1),
            feed_in: Price(p.2),
            network: Price(p.3),
            tax_ppm: o.0,
            daily: Money(o.1),
            demand: PowerPrice(o.2),
            lifeline: WattHours(o.3),
            blocks: blocks
                .into_iter()
                .map(|(kwh, surcharge)| Block { above: WattHours(kwh * 1000), surcharge })
                .collect(),
            block_period: if day { Period::Day } else { Period::Month },
        })
    }

    proptest! {
        #[test]
        fn a_tariff_that_is_written_down_reads_back_as_itself(
            general in any_rates(), business in any_rates(), share in 0_u16..=1000,
            interval_s in prop::sample::select(vec![1_u32, 60, 900, 1800, 3600, 86_400]),
        ) {
            let business = Rates {
                // A class without blocks of its own has everybody's: none cannot be said.
                blocks: if business.blocks.is_empty() { general.blocks.clone() } else { business.blocks },
                ..business
            };
            let zone = TimeZone::try_from("Europe/Madrid".to_owned()).unwrap();
            let tariff = Tariff {
                version: 1,
                since: Timestamp(0),
                interval_s,
                peak_hours: vec!["17:00-22:00".parse().unwrap()],
                zone: zone.clone(),
                pool_share: Permille::new(share).unwrap(),
                rates: general,
                classes: BTreeMap::from([("business".parse().unwrap(), business)]),
            };
            let table = written(&tariff, &unit(), false);
            let back = read(&table, &unit(), &zone).map_err(|e| TestCaseError::fail(e.join("; ")))?;
            prop_assert_eq!(&back, &tariff, "{}", table);
        }
    }

    #[test]
    fn everything_that_is_wrong_is_said_with_its_key() {
        let mut table = Table::new();
        for (key, value) in [("off_peak", "x"), ("peak", "0.30"), ("tax", "19"), ("pesk", "1")] {
            table.insert(key.into(), value.into());
        }
        let wrong = read(&table, &unit(), &TimeZone::try_from("UTC".to_owned()).unwrap()).unwrap_err();
        for key in ["off_peak", "feed_in", "tax", "pesk"] {
            assert!(wrong.iter().any(|w| w.starts_with(key)), "{key} is not named in {wrong:?}");
        }
    }
}
