//! Simulated devices on MQTT: each a client that publishes as its template says and obeys its command topic.

use super::process::operate;
use super::{Appliance, Running, SimDevice, impossible};
use crate::codec;
use crate::mqtt::{Link, Subscription};
use crate::spec::{DeviceAddress, MqttSpec};
use crate::template::{MqttMap, Protocol};
use domain::{Clock, Position, Reading};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// Publishes what `devices` show every `period` (of `clock`), at once after each order, and when asked.
pub fn serve_mqtt(spec: MqttSpec, devices: Vec<SimDevice>, period: Duration, clock: &Clock) -> io::Result<Running> {
    let period = clock.real(period).max(Duration::from_millis(10));
    let device = |device: SimDevice| match (&device.address, &device.template.protocol) {
        (DeviceAddress::Topic(topic), Protocol::Mqtt(map)) => {
            Ok(Device { topic: topic.clone(), map: map.clone(), what: device.what })
        }
        (address, _) => Err(impossible(format!("{} at {address} is no MQTT device", device.template.model))),
    };
    let devices = devices.into_iter().map(device).collect::<io::Result<Vec<_>>>()?;
    let task = tokio::spawn(async move {
        let link = Link::connect(spec, None);
        let mut running: JoinSet<()> = devices.into_iter().map(|device| device.run(link.clone(), period)).collect();
        while running.join_next().await.is_some() {}
    });
    Ok(Running::new(task.abort_handle()))
}

struct Device {
    topic: String,
    map: MqttMap,
    what: Arc<dyn Appliance>,
}

impl Device {
    fn at(&self, pattern: &str) -> String {
        pattern.replace("{topic}", &self.topic)
    }

    async fn run(self, link: Link, period: Duration) {
        let mut orders = self.map.switch.as_ref().map(|switch| link.subscribe(&self.at(&switch.command)));
        let ask = self.map.switch.as_ref().and_then(|switch| switch.ask.clone());
        // Where the question is a payload of the command topic it arrives with the orders.
        let separate = ask.as_ref().filter(|(at, _)| self.map.switch.as_ref().is_none_or(|s| s.command != *at));
        let mut questions = separate.map(|(at, _)| link.subscribe(&self.at(at)));
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.publish(&link, true),
                payload = next(&mut orders) => {
                    self.obey(&payload).await;
                    self.publish(&link, false);
                }
                _ = next(&mut questions) => self.publish(&link, false),
            }
        }
    }

    async fn obey(&self, payload: &[u8]) {
        let Some(switch) = &self.map.switch else { return };
        let position = match payload {
            payload if payload == switch.command_closed.as_bytes() => Position::Closed,
            payload if payload == switch.command_open.as_bytes() => Position::Open,
            _ => return,
        };
        if let Err(error) = operate(&self.what, position).await {
            tracing::warn!(%error, topic = %self.topic, "a simulated switch did not move");
        }
    }

    /// Publishes the state of the switch, and with `all` the readings too.
    fn publish(&self, link: &Link, all: bool) {
        // While the broker is away a real device forgets too.
        if !*link.connected().borrow() {
            return;
        }
        let state = self.map.switch.as_ref().map(|switch| switch.state.as_str());
        for (topic, payload) in payloads(&self.map, &self.what.show(), self.what.position()) {
            if all || state == Some(topic) {
                let _ = link.try_publish(&self.at(topic), payload, false);
            }
        }
    }
}

async fn next(subscription: &mut Option<Subscription>) -> Vec<u8> {
    match subscription {
        Some(subscription) => subscription.recv().await.payload,
        None => std::future::pending().await,
    }
}

/// What a device of this model publishes, by topic pattern.
fn payloads<'a>(map: &'a MqttMap, reading: &Reading, position: Option<Position>) -> BTreeMap<&'a str, Vec<u8>> {
    let mut objects: BTreeMap<&str, Value> = BTreeMap::new();
    let mut plain: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for field in &map.fields {
        let value = codec::encode_json(reading, field.quantity, &field.scaling);
        put(objects.entry(map.topic.as_str()).or_default(), &field.pointer, value);
    }
    if let (Some(switch), Some(position)) = (&map.switch, position) {
        let value = if position == Position::Closed { &switch.state_closed } else { &switch.state_open };
        if switch.pointer.is_empty() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            plain.insert(&switch.state, text.into_bytes());
        } else {
            put(objects.entry(switch.state.as_str()).or_default(), &switch.pointer, value.clone());
        }
    }
    plain.extend(objects.into_iter().map(|(topic, value)| (topic, value.to_string().into_bytes())));
    plain
}

/// Puts `value` where `pointer` (RFC 6901) will find it, with objects along the way.
fn put(root: &mut Value, pointer: &str, value: Value) {
    let mut here = root;
    for key in pointer.split('/').skip(1) {
        if !here.is_object() {
            *here = Value::Object(Map::new());
        }
        here = &mut here[key.replace("~1", "/").replace("~0", "~")];
    }
    *here = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_found_by_the_same_pointer() {
        let mut root = Value::Null;
        for (pointer, value) in [("/a/b", 1), ("/a/c~1d", 2), ("/e", 3)] {
            put(&mut root, pointer, value.into());
        }
        assert_eq!(root.pointer("/a/b"), Some(&1.into()));
        assert_eq!(root.pointer("/a/c~1d"), Some(&2.into()));
        assert_eq!(root.pointer("/e"), Some(&3.into()));
    }
}
