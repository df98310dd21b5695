//! Prices for Home Assistant: now, next, the cheap hours of tonight, and both days with their ranges.

use super::HeraldPlan;
use crate::{PricesLive, Stretch};
use domain::{Money, Price};
use serde_json::{Map, Value, json};

/// A price per kWh as a number, exact to the decimals of the currency.
fn per_kwh(plan: &HeraldPlan, price: Price) -> Value {
    let text = plan.currency.plain(Money(i64::from(price.0).saturating_mul(1000)));
    text.parse::<f64>().map_or(Value::Null, Value::from)
}

/// The retained state; nothing before the Ranger looked.
pub(super) fn state(plan: &HeraldPlan, live: &PricesLive) -> Option<(String, String)> {
    let now = live.now.as_ref()?;
    let stretch = |s: &Stretch| {
        json!({
            "from": s.from.to_string(), "to": s.to.to_string(), "hours": s.hours, "range": s.range,
            "price": per_kwh(plan, s.price),
        })
    };
    let all = |stretches: &[Stretch]| stretches.iter().map(stretch).collect::<Vec<_>>();
    let hours = |stretches: &[Stretch]| stretches.iter().map(|s| s.hours.clone()).collect::<Vec<_>>().join(", ");
    let forecast = live.ahead.as_ref().map(|r| {
        let d = &r.day;
        json!({
            "from": d.from.to_string(), "slot_minutes": d.slot_minutes, "values_w": d.values,
            "low_w": d.band.iter().map(|b| b.0).collect::<Vec<_>>(),
            "high_w": d.band.iter().map(|b| b.1).collect::<Vec<_>>(),
            "chosen": d.chosen, "model": d.model, "forecast": d.forecast, "announced": r.announced.to_string(),
        })
    });
    let state = json!({
        "range": now.range,
        "price": per_kwh(plan, now.price),
        "unit": format!("{}/kWh", plan.currency.code),
        "until": live.next.as_ref().map(|n| n.from.to_string()),
        "next_range": live.next.as_ref().map(|n| n.range),
        "next_price": live.next.as_ref().map(|n| per_kwh(plan, n.price)),
        "cheap_tonight": hours(&live.cheap_tonight),
        "today": all(&live.today),
        "tomorrow": all(&live.tomorrow),
        "ranges": if live.by_forecast { "forecast" } else { "fixed" },
        "forecast": forecast,
        "waiting": live.waiting,
        "problem": live.problem,
    });
    Some((plan.tariff(), state.to_string()))
}

/// The sensors of the gateway's own device.
pub(super) fn components(plan: &HeraldPlan, id: &str) -> Map<String, Value> {
    let topic = plan.tariff();
    let unit = format!("{}/kWh", plan.currency.code);
    let sensor = |key: &str, name: &str, more: Value| {
        let mut sensor = json!({
            "platform": "sensor", "unique_id": format!("{id}_{key}"), "name": name, "state_topic": topic,
            "value_template": format!("{{{{ value_json.{key} }}}}"),
        });
        if let (Some(sensor), Value::Object(more)) = (sensor.as_object_mut(), more) {
            sensor.extend(more);
        }
        (key.to_owned(), sensor)
    };
    Map::from_iter([
        sensor("price", "Price now", json!({ "unit_of_measurement": unit, "json_attributes_topic": topic })),
        sensor("next_price", "Price next", json!({ "unit_of_measurement": unit })),
        sensor("until", "Price changes at", json!({ "device_class": "timestamp" })),
        sensor("range", "Price range", json!({ "device_class": "enum", "options": ["off_peak", "peak"] })),
        sensor("cheap_tonight", "Cheap hours tonight", json!({})),
    ])
}
