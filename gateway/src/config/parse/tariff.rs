//! `[tariff]`: prices and other charges, blocks, and classes of customers.

use super::Table;
use super::fields::{DAY, duration, money, parsed};
use domain::{
    Block, ClassId, Currency, Money, Period, Permille, PowerPrice, Price, Rates, Tariff, TariffProblem, TimeZone,
    Timestamp, WattHours,
};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

pub(in crate::config) fn tariff(table: &Table<'_, '_>, unit: &Currency, zone: Option<TimeZone>) -> Option<Tariff> {
    for key in ["off_peak", "peak", "feed_in"] {
        if table.get(key).is_none() {
            table.problem(key, "is missing: a price per kWh, such as \"0.32\"");
        }
    }
    let priced = ["off_peak", "peak"].iter().all(|key| table.get(key).is_some());
    let (rates, priced) = rates(table, unit, &Rates::default(), priced);
    let mut peak_hours = Vec::new();
    for text in table.texts("peak_hours").unwrap_or_default() {
        match text.parse() {
            Ok(range) => peak_hours.push(range),
            Err(e) => table.problem("peak_hours", TariffProblem::to_string(&e)),
        }
    }
    let interval = duration(table, "interval", "15m", Duration::from_secs(1)..=DAY);
    let pool_share = parsed(table, "pool_share", false).unwrap_or(Permille::NONE);
    let mut classes = BTreeMap::new();
    for class in table.sections("class") {
        let id = parsed::<ClassId>(&class, "id", true);
        let (own, _) = self::rates(&class, unit, &rates, priced);
        class.close();
        if let Some(id) = id
            && classes.insert(id.clone(), own).is_some()
        {
            class.problem("id", format!("is {id}, and so is another class"));
        }
    }
    let interval_s = u32::try_from(interval?.as_secs()).ok()?;
    let whole = interval == Some(Duration::from_secs(u64::from(interval_s)));
    let known = BTreeMap::new();
    // The classes' problems are named at the classes.
    let alone = Tariff {
        version: 1,
        since: Timestamp(0),
        interval_s,
        peak_hours,
        zone: zone?,
        pool_share,
        rates,
        classes: known,
    };
    for problem in alone.problems() {
        let key = match problem {
            TariffProblem::Interval(_) => "interval",
            // Named where the rates were read.
            TariffProblem::BlockOrder(_) | TariffProblem::BlockPrice(_) => continue,
            _ => "peak_hours",
        };
        table.problem(key, problem.to_string());
    }
    if !whole {
        table.problem("interval", "must be whole seconds");
    }
    Some(Tariff { classes, ..alone })
}

/// What stands in the table; for what does not, `base`. Blocks are judged only if the prices are known that they add to;
/// the answer says whether they are.
fn rates(table: &Table<'_, '_>, unit: &Currency, base: &Rates, priced: bool) -> (Rates, bool) {
    let priced = Cell::new(priced);
    let per_kwh = |key| match table.get(key) {
        Some(_) => {
            let found = price(table, key, unit, "a Wh").map(Price);
            priced.set(priced.get() && found.is_some());
            found
        }
        None => None,
    };
    let demand = table.get("demand_charge").and_then(|_| price(table, "demand_charge", unit, "a W"));
    let (mut blocks, mut own) = (Vec::new(), Vec::new());
    for block in table.sections("block") {
        let above: Option<i64> = block.number("above_kwh", 0..1_000_000_000);
        if above.is_none() && block.get("above_kwh").is_none() {
            block.problem("above_kwh", "is missing: where the block begins, in whole kWh");
        }
        let surcharge = surcharge(&block, unit);
        block.close();
        if let (Some(above), Some(surcharge)) = (above, surcharge) {
            let above = WattHours(above * 1000);
            blocks.push(Block { above, surcharge });
            own.push((above, block));
        }
    }
    let block_period = match table.text("block_period").as_deref() {
        None => base.block_period,
        Some("day") => Period::Day,
        Some("month") => Period::Month,
        Some(other) => {
            table.problem("block_period", format!("is {other:?}, must be \"day\" or \"month\""));
            base.block_period
        }
    };
    let rates = Rates {
        off_peak: per_kwh("off_peak").unwrap_or(base.off_peak),
        peak: per_kwh("peak").unwrap_or(base.peak),
        feed_in: per_kwh("feed_in").unwrap_or(base.feed_in),
        network: per_kwh("network_fee").unwrap_or(base.network),
        tax_ppm: tax(table).unwrap_or(base.tax_ppm),
        daily: money(table, "daily_charge", unit).unwrap_or(base.daily),
        demand: demand.map_or(base.demand, PowerPrice),
        lifeline: table.number("lifeline_wh", 0..1_000_001).map_or(base.lifeline, WattHours),
        blocks: if blocks.is_empty() { base.blocks.clone() } else { blocks },
        block_period,
    };
    // What a class inherits was complained about already.
    let inherited = base.problems();
    for problem in rates.problems().into_iter().filter(|p| priced.get() && !inherited.contains(p)) {
        let (above, key) = match &problem {
            TariffProblem::BlockOrder(above) => (*above, "above_kwh"),
            TariffProblem::BlockPrice(above) => (*above, "surcharge"),
            _ => continue,
        };
        match own.iter().rfind(|(begins, _)| *begins == above) {
            Some((_, block)) => block.problem(key, problem.to_string()),
            None => table.problem("block", problem.to_string()),
        }
    }
    (rates, priced.get())
}

/// A price per thousand of what is counted, in minor units for one.
pub(super) fn price(table: &Table<'_, '_>, key: &'static str, unit: &Currency, of: &str) -> Option<u32> {
    let thousand = money(table, key, unit)?;
    if thousand.0 % 1000 != 0 {
        table.problem(key, format!("is finer than {} decimals can price {of}: use fewer decimals", unit.decimals));
        return None;
    }
    let found = u32::try_from(thousand.0 / 1000).ok();
    if found.is_none() {
        table
            .problem(key, format!("is too high for a contract that prices {of} in 32 bits; set fewer [site] decimals"));
    }
    found
}

fn surcharge(block: &Table<'_, '_>, unit: &Currency) -> Option<i32> {
    let text = block.required_text("surcharge")?;
    let parsed = unit.parse(&text).and_then(|Money(per_kwh)| {
        let fits = (per_kwh % 1000 == 0).then(|| i32::try_from(per_kwh / 1000).ok()).flatten();
        fits.ok_or_else(|| format!("is finer or larger than {} decimals can price a Wh", unit.decimals))
    });
    parsed.map_err(|problem| block.problem("surcharge", problem)).ok()
}

/// `19%`, `7.125%`, in millionths.
fn tax(table: &Table<'_, '_>) -> Option<u32> {
    let text = table.text("tax")?;
    let percent = Currency { code: "%".into(), decimals: 4 };
    let found = text.strip_suffix('%').and_then(|number| percent.parse(number.trim_end()).ok());
    let found = found.and_then(|Money(ppm)| u32::try_from(ppm).ok()).filter(|ppm| *ppm <= 1_000_000);
    if found.is_none() {
        table.problem("tax", format!("is {text:?}, must be a share such as \"19%\", from 0% to 100%"));
    }
    found
}
