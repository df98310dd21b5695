//! The task behind a link: it alone talks to the client library.

use super::subscription::Message;
use super::{LARGEST, MqttSpec, Outgoing, Shared, Will};
use crate::backoff::Backoff;
use rumqttc::{AsyncClient, Event, EventLoop, LastWill, MqttOptions, NetworkOptions, Packet, QoS, SubscribeFilter};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Messages that the broker may leave unacknowledged before we wait for it.
const IN_FLIGHT: usize = 32;

pub(super) struct Session {
    shared: Arc<Shared>,
    up: watch::Sender<bool>,
    client: AsyncClient,
    events: Option<EventLoop>,
    /// Handed to the client library, which numbers them in this order.
    unnumbered: VecDeque<Outgoing>,
    numbered: BTreeMap<u16, Outgoing>,
    /// Filters whose subscription the broker has not confirmed yet, by request.
    unconfirmed: VecDeque<Vec<String>>,
    since: Option<Instant>,
}

/// A connection that lasted so long was a good one. Two clients of one name throw each other out at once, again and
/// again, and must not do that without any wait.
const LASTED: Duration = Duration::from_secs(10);

impl Session {
    pub fn new(shared: Arc<Shared>, up: watch::Sender<bool>, spec: &MqttSpec, last_will: Option<Will>) -> Self {
        let (host, port) = spec
            .broker
            .rsplit_once(':')
            .and_then(|(host, port)| Some((host.trim_matches(['[', ']']), port.parse().ok()?)))
            .unwrap_or((spec.broker.as_str(), 1883));
        let mut options = MqttOptions::new(&spec.client_id, host, port);
        options.set_keep_alive(Duration::from_secs(20));
        options.set_clean_session(true);
        options.set_max_packet_size(2 * LARGEST, 2 * LARGEST);
        if let Some(credentials) = &spec.credentials {
            options.set_credentials(&credentials.user, &credentials.password);
        }
        if let Some(Will { topic, payload, retain }) = last_will {
            options.set_last_will(LastWill::new(topic, payload, QoS::AtLeastOnce, retain));
        }
        let (client, mut events) = AsyncClient::new(options, IN_FLIGHT * 2);
        let mut network = NetworkOptions::new();
        network.set_connection_timeout(5);
        network.set_tcp_nodelay(true);
        events.set_network_options(network);
        let (unnumbered, unconfirmed) = (VecDeque::new(), VecDeque::new());
        Self {
            shared,
            up,
            client,
            events: Some(events),
            unnumbered,
            numbered: BTreeMap::new(),
            unconfirmed,
            since: None,
        }
    }

    pub async fn run(mut self) {
        let Some(mut events) = self.events.take() else { return };
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
        loop {
            // The library's future is kept across new work: dropping it halfway through a connection attempt would
            // start that anew with every message.
            let event = {
                let poll = events.poll();
                tokio::pin!(poll);
                loop {
                    tokio::select! {
                        event = &mut poll => break event,
                        () = self.shared.work.notified() => self.feed(),
                    }
                }
            };
            match event {
                Ok(Event::Incoming(packet)) => {
                    self.incoming(packet);
                }
                Ok(Event::Outgoing(rumqttc::Outgoing::Publish(number))) => {
                    if let Some(message) = self.unnumbered.pop_front() {
                        self.numbered.insert(number, message);
                    }
                }
                Ok(Event::Outgoing(rumqttc::Outgoing::Disconnect)) => {
                    self.broken();
                    return;
                }
                Ok(Event::Outgoing(_)) => {}
                Err(error) => {
                    if self.since.take().is_some_and(|since| since.elapsed() >= LASTED) {
                        backoff.worked();
                    }
                    self.broken();
                    events.pending.clear();
                    if self.shared.queue().closing {
                        return;
                    }
                    let wait = backoff.failed();
                    tracing::debug!(%error, ?wait, "no connection to the broker");
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = self.shared.hurry.notified() => {}
                    }
                }
            }
        }
    }

    fn incoming(&mut self, packet: Packet) {
        match packet {
            Packet::ConnAck(_) => {
                tracing::debug!("connected to the broker");
                self.since = Some(Instant::now());
                self.up.send_replace(true);
                self.feed();
            }
            Packet::PubAck(ack) => {
                if let Some(message) = self.numbered.remove(&ack.pkid) {
                    let _ = message.acknowledged.map(|told| told.send(()));
                }
                self.feed();
            }
            Packet::SubAck(ack) => {
                let filters = self.unconfirmed.pop_front().unwrap_or_default();
                if ack.return_codes.contains(&rumqttc::SubscribeReasonCode::Failure) {
                    tracing::warn!(?filters, "the broker refuses a subscription");
                }
                let queue = self.shared.queue();
                queue.subscribers.iter().filter(|s| filters.contains(&s.filter)).for_each(|s| s.confirm(true));
            }
            Packet::Publish(publish) => {
                let received = Instant::now();
                let (topic, payload, retained) = (publish.topic, publish.payload.to_vec(), publish.retain);
                let message = Message { topic, payload, retained, received };
                let mut queue = self.shared.queue();
                queue.subscribers.retain(super::Subscriber::is_alive);
                queue.subscribers.iter().for_each(|subscriber| subscriber.offer(&message));
            }
            _ => {}
        }
    }

    /// Hands on what may be sent now.
    fn feed(&mut self) {
        if !*self.up.borrow() {
            return;
        }
        let mut queue = self.shared.queue();
        let mut filters: Vec<String> =
            queue.subscribers.iter().filter(|s| !s.asked).map(|s| s.filter.clone()).collect();
        filters.sort();
        filters.dedup();
        if !filters.is_empty() {
            let asked = filters.iter().map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtLeastOnce));
            if self.client.try_subscribe_many(asked).is_ok() {
                queue.subscribers.iter_mut().for_each(|s| s.asked = true);
                self.unconfirmed.push_back(filters);
            }
        }
        while self.numbered.len() + self.unnumbered.len() < IN_FLIGHT {
            let Some(message) = queue.waiting.pop_front() else { break };
            let Outgoing { topic, payload, retain, .. } = &message;
            if self.client.try_publish(topic, QoS::AtLeastOnce, *retain, payload.as_slice()).is_err() {
                queue.waiting.push_front(message);
                break;
            }
            self.unnumbered.push_back(message);
        }
        queue.unacknowledged = self.numbered.len() + self.unnumbered.len();
        if queue.closing {
            let _ = self.client.try_disconnect();
        }
        drop(queue);
        self.shared.space.notify_waiters();
    }

    /// The connection is gone: what it did not acknowledge goes back to the head of the queue, in the old order.
    fn broken(&mut self) {
        self.up.send_replace(false);
        self.unconfirmed.clear();
        let mut unsent: Vec<Outgoing> = std::mem::take(&mut self.numbered).into_values().collect();
        unsent.extend(self.unnumbered.drain(..));
        let mut queue = self.shared.queue();
        for message in unsent.into_iter().rev() {
            queue.waiting.push_front(message);
        }
        // Dropping an order tells whoever waits for it.
        queue.waiting.retain(|message| !message.order);
        queue.unacknowledged = 0;
        for subscriber in &mut queue.subscribers {
            subscriber.asked = false;
            subscriber.confirm(false);
        }
        drop(queue);
        self.shared.space.notify_waiters();
    }
}
