//! Home Assistant's device-based discovery: one retained message per device.
//! <https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload>

use super::HeraldPlan;
use serde_json::{Value, json};

/// The announcement of every device, by topic.
pub(super) fn announcements(plan: &HeraldPlan) -> Vec<(String, String)> {
    let mut out = Vec::with_capacity(plan.meters.len() + 1);
    out.push(gateway(plan));
    for (meter, model, account) in &plan.meters {
        let id = format!("microgrid_{}_{}", plan.site, meter);
        let state = plan.topic("meter", meter.as_str(), "state");
        let mut components = serde_json::Map::new();
        let sensors: [(&str, &str, &str, &str, &str); 6] = [
            ("power_w", "Power", "power", "measurement", "W"),
            ("import_kwh", "Energy from the grid", "energy", "total_increasing", "kWh"),
            ("export_kwh", "Energy to the grid", "energy", "total_increasing", "kWh"),
            ("voltage_v", "Voltage", "voltage", "measurement", "V"),
            ("current_a", "Current", "current", "measurement", "A"),
            ("frequency_hz", "Frequency", "frequency", "measurement", "Hz"),
        ];
        for (key, name, class, state_class, unit) in sensors {
            components.insert(
                key.into(),
                json!({
                    "platform": "sensor", "unique_id": format!("{id}_{key}"), "name": name,
                    "device_class": class, "state_class": state_class, "unit_of_measurement": unit,
                    "state_topic": state, "value_template": format!("{{{{ value_json.{key} | default(none) }}}}"),
                }),
            );
        }
        if let Some(account) = account {
            let topic = plan.topic("account", account.as_str(), "state");
            components.insert(
                "balance".into(),
                json!({
                    "platform": "sensor", "unique_id": format!("{id}_balance"), "name": "Credit",
                    "device_class": "monetary", "state_class": "total", "unit_of_measurement": plan.currency.code,
                    "state_topic": topic, "value_template": "{{ value_json.balance }}",
                }),
            );
            components.insert(
                "credit".into(),
                json!({
                    "platform": "sensor", "unique_id": format!("{id}_credit"), "name": "Credit state",
                    "device_class": "enum", "options": domain::Credit::ALL,
                    "state_topic": topic, "value_template": "{{ value_json.credit }}",
                }),
            );
            // What a customer may wish, where the operator allows it; it is granted or refused by the usual rules.
            let wishes = [("emergency", "Take emergency credit"), ("reconnect", "Reconnect")];
            for (key, name) in wishes.into_iter().filter(|_| plan.customer_commands) {
                components.insert(
                    key.into(),
                    json!({
                        "platform": "button", "unique_id": format!("{id}_{key}"), "name": name,
                        "command_topic": plan.topic("account", account.as_str(), key),
                        "payload_press": "Home Assistant", "qos": 1,
                    }),
                );
            }
            for (switch, _) in plan.switches.iter().filter(|(_, owner)| owner == account) {
                components.insert(
                    format!("switch_{switch}"),
                    // Read-only: who has power follows from credit, not from a tap on a dashboard.
                    json!({
                        "platform": "binary_sensor", "unique_id": format!("{id}_switch_{switch}"), "name": "Supply",
                        "device_class": "power", "payload_on": "closed", "payload_off": "open",
                        "state_topic": plan.topic("switch", switch.as_str(), "state"),
                        "value_template": "{{ value_json.position }}",
                    }),
                );
            }
        }
        if plan.audited.contains(meter) {
            let topic = plan.balance(Some(meter));
            components
                .insert("feeder_balance".into(), problem(&id, "feeder_balance", "Feeder balance", &topic, BALANCE));
        }
        if plan.located.contains(meter) {
            let topic = plan.topic("meter", meter.as_str(), "place");
            components.insert("place".into(), problem(&id, "place", "Place", &topic, BALANCE));
        }
        let message: Value = json!({
            "device": {
                "identifiers": [id], "name": meter.to_string(), "model": model,
                "manufacturer": "microgrid-gateway", "via_device": plan.device(),
            },
            "origin": { "name": "microgrid-gateway", "sw_version": plan.version },
            "components": components,
            "availability": [
                { "topic": plan.status() },
                { "topic": plan.topic("meter", meter.as_str(), "availability") },
            ],
            "availability_mode": "all",
        });
        out.push((format!("{}/device/{id}/config", plan.discovery), message.to_string()));
    }
    out
}

/// Where a balance, or a place, says whether something is wrong.
const BALANCE: &str = "{{ value_json.problem }}";

/// The gateway itself, which the meters are reached through: what keeps it from its work.
fn gateway(plan: &HeraldPlan) -> (String, String) {
    let id = plan.device();
    let mut components = serde_json::Map::new();
    components.extend(super::prices::components(plan, &id));
    for (key, name) in [("ledger", "Ledger"), ("chain", "Chain"), ("ranges", "Price ranges")] {
        let template = format!("{{{{ 'ON' if value_json.{key} else 'OFF' }}}}");
        components.insert(key.into(), problem(&id, key, name, &plan.problems(), &template));
    }
    if !plan.located.is_empty() {
        let template = "{{ 'ON' if value_json.location else 'OFF' }}";
        components.insert("location".into(), problem(&id, "location", "Location", &plan.problems(), template));
    }
    if !plan.audited.is_empty() {
        let topic = plan.balance(None);
        components.insert("feeder_balance".into(), problem(&id, "feeder_balance", "Feeder balance", &topic, BALANCE));
    }
    let message = json!({
        "device": {
            "identifiers": [id], "name": plan.site, "model": "microgrid-gateway", "manufacturer": "microgrid-gateway",
            "sw_version": plan.version,
        },
        "origin": { "name": "microgrid-gateway", "sw_version": plan.version },
        "components": components,
        "availability": [{ "topic": plan.status() }],
    });
    (format!("{}/device/{id}/config", plan.discovery), message.to_string())
}

/// A problem that is there or not, with all that is said of it.
pub(super) fn problem(id: &str, key: &str, name: &str, topic: &str, template: &str) -> Value {
    json!({
        "platform": "binary_sensor", "unique_id": format!("{id}_{key}_problem"), "name": name,
        "device_class": "problem", "state_topic": topic, "value_template": template,
        "json_attributes_topic": topic,
    })
}
