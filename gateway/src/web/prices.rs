//! Today's and tomorrow's ranges and prices, and the forecast that they follow from, for the page.

use crate::config::Config;
use actors::{PricesLive, Stretch};
use domain::Money;
use serde_json::{Value, json};

/// What the page shows of it.
pub fn prices(live: &PricesLive, config: &Config) -> Value {
    let stretch = |s: &Stretch| {
        let price = config.currency.show(Money(i64::from(s.price.0).saturating_mul(1000)));
        json!({ "from": s.from.to_string(), "to": s.to.to_string(), "hours": s.hours, "range": s.range,
                "price": format!("{price}/kWh") })
    };
    let all = |stretches: &[Stretch]| stretches.iter().map(stretch).collect::<Vec<_>>();
    json!({
        "by_forecast": live.by_forecast,
        "now": live.now.as_ref().map(stretch),
        "next": live.next.as_ref().map(stretch),
        "today": all(&live.today),
        "tomorrow": all(&live.tomorrow),
        "cheap_tonight": all(&live.cheap_tonight),
        "forecast": live.ahead.as_ref().map(|r| {
            let d = &r.day;
            json!({
                "from": d.from.to_string(), "from_local": config.tariff.zone.day_and_time(d.from),
                "slot_minutes": d.slot_minutes, "values": d.values, "band": d.band, "labels": d.labels,
                "chosen": d.chosen, "model": d.model, "forecast": d.forecast,
                "data": [d.data.0.to_string(), d.data.1.to_string()],
                "announced_local": config.tariff.zone.day_and_time(r.announced), "version": r.version,
            })
        }),
        "waiting": live.waiting,
        "problem": live.problem,
    })
}
