//! Inverters for Home Assistant: what each may make by the plan, and what it makes.

use super::HeraldPlan;
use crate::{InverterLive, MeterLive, Roof};
use domain::{InverterId, MeterId, Permille};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The retained states; nothing of an inverter before it confirmed a limit, or that it has none.
pub(super) fn states(
    plan: &HeraldPlan,
    inverters: &BTreeMap<InverterId, InverterLive>,
    meters: &BTreeMap<MeterId, MeterLive>,
) -> Vec<(String, String)> {
    let state = |(roof, _): &(Roof, String)| {
        let live = inverters.get(&roof.id)?;
        let made = meters.get(&roof.own).and_then(|meter| meter.reading.power).map(|made| -made);
        let most = live.most.filter(|_| live.limit.is_some());
        let limit = live.most.map(|_| f64::from(live.limit.unwrap_or(Permille::FULL).get()) / 10.0);
        let state = json!({
            "limit_percent": limit, "most_w": live.most, "made_w": made,
            "until": live.until.map(|until| until.to_string()), "problem": live.problem,
            "ignores": made.zip(most).is_some_and(|(made, most)| roof.ignores(made, most)),
        });
        Some((plan.topic("inverter", roof.id.as_str(), "state"), state.to_string()))
    };
    plan.inverters.iter().filter_map(state).collect()
}

/// Each inverter as a device.
pub(super) fn announcements(plan: &HeraldPlan) -> Vec<(String, String)> {
    plan.inverters.iter().map(|(roof, model)| announcement(plan, roof, model)).collect()
}

fn announcement(plan: &HeraldPlan, roof: &Roof, model: &str) -> (String, String) {
    let id = format!("microgrid_{}_inverter_{}", plan.site, roof.id);
    let topic = plan.topic("inverter", roof.id.as_str(), "state");
    let mut components: Map<String, Value> = [
        ("limit_percent", "Limit", Value::Null, "%"),
        ("most_w", "Dispatch", "power".into(), "W"),
        ("made_w", "Power", "power".into(), "W"),
    ]
    .into_iter()
    .map(|(key, name, class, unit)| {
        let sensor = json!({
            "platform": "sensor", "unique_id": format!("{id}_{key}"), "name": name, "device_class": class,
            "state_class": "measurement", "unit_of_measurement": unit, "state_topic": topic,
            "value_template": format!("{{{{ value_json.{key} | default(none) }}}}"),
        });
        (key.to_owned(), sensor)
    })
    .collect();
    let ignores = "{{ 'ON' if value_json.ignores or value_json.problem else 'OFF' }}";
    components.insert("limit".into(), super::discovery::problem(&id, "limit", "Follows its limit", &topic, ignores));
    let message = json!({
        "device": {
            "identifiers": [id], "name": roof.id.to_string(), "model": model,
            "manufacturer": "microgrid-gateway", "via_device": plan.device(),
        },
        "origin": { "name": "microgrid-gateway", "sw_version": plan.version },
        "components": components,
        "availability": [
            { "topic": plan.status() },
            { "topic": plan.topic("inverter", roof.id.as_str(), "availability") },
        ],
        "availability_mode": "all",
    });
    (format!("{}/device/{id}/config", plan.discovery), message.to_string())
}
