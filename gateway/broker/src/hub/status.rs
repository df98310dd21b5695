//! The broker's own topics, `$SYS/broker/…`, under the names that mosquitto made customary. They are told by QoS 0, are
//! not written down, and whoever subscribes is told the newest at once.

use super::{Hub, Message};
use crate::topic;
use bytestring::ByteString;
use rmqtt_codec::types::{Publish, QoS};
use std::rc::Rc;

/// How often they are told, at most.
const EVERY_MS: u64 = 10_000;

impl Hub {
    /// Brings the figures up to date, and tells those that changed.
    pub(super) fn sweep_status(&mut self, now: u64) {
        let count = &self.counters;
        // Not by `now`: the clock of a Pi jumps by years when the network comes.
        count.uptime_s.set(usize::try_from(self.begun.elapsed().as_secs()).unwrap_or(usize::MAX));
        count.connected.set(self.sessions.values().filter(|s| s.link.is_some()).count());
        count.sessions.set(self.sessions.len());
        count.subscriptions.set(self.filters.held());
        count.retained.set(self.retained.len());
        count.retained_bytes.set(self.retained_bytes.held());
        count.waiting.set(self.sessions.values().map(|s| s.waiting.len() + s.flying.len()).sum());
        count.waiting_bytes.set(self.queued_bytes.held());
        if self.status_due > now && self.status_due <= now + EVERY_MS {
            return;
        }
        self.status_due = now + EVERY_MS;
        for (topic, value) in self.status_texts() {
            if self.status.get(&topic).is_some_and(|known| known.publish.payload == value.as_bytes()) {
                continue;
            }
            let publish = Publish {
                dup: false,
                retain: true,
                qos: QoS::AtMostOnce,
                topic: topic.clone(),
                packet_id: None,
                payload: value.into(),
                properties: None,
            };
            let message = Rc::new(Message::new(publish, None));
            for (number, share) in self.shares(&message.publish, 0) {
                self.send_now(number, &message, share.retain, share.ids, now);
            }
            self.status.insert(topic, message);
        }
    }

    fn status_texts(&self) -> Vec<(ByteString, String)> {
        let f = self.counters.look();
        let figure = |name: &str, value: u64| (format!("$SYS/broker/{name}").into(), value.to_string());
        vec![
            ("$SYS/broker/version".into(), concat!("microgrid-gateway ", env!("CARGO_PKG_VERSION")).to_owned()),
            ("$SYS/broker/uptime".into(), format!("{} seconds", f.uptime_s)),
            figure("clients/connected", f.connected),
            figure("clients/disconnected", f.sessions.saturating_sub(f.connected)),
            figure("clients/total", f.sessions),
            figure("clients/refused", f.turned_away),
            figure("subscriptions/count", f.subscriptions),
            figure("retained messages/count", f.retained),
            figure("retained messages/bytes", f.retained_bytes),
            figure("store/messages/count", f.waiting),
            figure("store/messages/bytes", f.waiting_bytes),
            figure("publish/messages/received", f.received),
            figure("publish/messages/sent", f.sent),
            figure("publish/messages/dropped", f.dropped),
            figure("publish/messages/refused", f.refused),
            figure("publish/messages/unretained", f.unretained),
        ]
    }

    /// The newest of those that a filter matches.
    pub(super) fn status_under(&self, filter: &str) -> Vec<Rc<Message>> {
        let found = self.status.iter().filter(|(name, _)| topic::matches(filter, name));
        found.map(|(_, message)| Rc::clone(message)).collect()
    }
}
