//! From a message to those who get it.

use super::{Entry, Hub, Message, Place, Retained, Session};
use crate::bridge;
use crate::record::{Record, Subscription, Target};
use crate::topic;
use crate::wire;
use bytes::Bytes;
use bytestring::ByteString;
use rmqtt_codec::types::{Publish, QoS};
use rmqtt_codec::v5::{DisconnectReasonCode, Packet, PublishAckReason};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::rc::Rc;

/// How often a topic of the herald is written down, at most.
const THIN_MS: u64 = 60_000;
/// Messages by QoS 2 that a client may leave half done.
const HALF_DONE: usize = 1000;

/// What one session gets of a message.
#[derive(Debug)]
pub(super) struct Share {
    qos: QoS,
    pub(super) retain: bool,
    pub(super) ids: Vec<NonZeroU32>,
}

impl Hub {
    /// A client publishes. An error ends its connection.
    pub fn publish(&mut self, now: u64, place: Place, mut publish: Publish) -> Result<(), DisconnectReasonCode> {
        self.counters.received.more();
        let Some(session) = self.at(place) else { return Ok(()) };
        if publish.properties.as_ref().is_some_and(|p| p.topic_alias.is_some()) {
            // None were offered: also one beside a topic ends the connection (section 3.3.2.3.4).
            return Err(DisconnectReasonCode::TopicAliasInvalid);
        }
        if !topic::is_name(&publish.topic) {
            return Err(DisconnectReasonCode::TopicNameInvalid);
        }
        let Some(link) = &session.link else { return Ok(()) };
        let allowed = link.rights.publishes(&publish.topic);
        let (qos, pid) = (publish.qos, publish.packet_id.take());
        publish.dup = false;
        let mut received = None;
        if let (QoS::ExactlyOnce, Some(pid)) = (qos, pid) {
            if session.received.contains(&pid.get()) {
                // Said again because our answer was lost.
                let position = self.barrier_of(place.session);
                self.tell(place, position, Packet::PublishReceived(wire::ack(pid)));
                return Ok(());
            }
            if session.received.len() >= HALF_DONE {
                return Err(DisconnectReasonCode::ReceiveMaximumExceeded);
            }
            received = Some((place.session, pid.get()));
        }
        let (position, reason) = if allowed {
            (self.route(now, publish, place.session, received), PublishAckReason::Success)
        } else {
            self.refused(place, &publish.topic);
            (0, PublishAckReason::NotAuthorized)
        };
        let Some(pid) = pid else { return Ok(()) };
        if let (Some(_), true, Some(session)) = (received, allowed, self.sessions.get_mut(&place.session)) {
            session.received.insert(pid.get());
        }
        let mut answer = wire::ack(pid);
        answer.reason_code = reason;
        let answer = if qos == QoS::ExactlyOnce { Packet::PublishReceived(answer) } else { Packet::PublishAck(answer) };
        self.tell(place, position, answer);
        Ok(())
    }

    /// Says in the log, ever more rarely, that a client publishes what is not taken: 3.1.1 cannot tell the client.
    fn refused(&mut self, place: Place, topic: &str) {
        self.counters.refused.more();
        if let Some(session) = self.at(place) {
            session.refused += 1;
            if session.refused.is_power_of_two() {
                let (user, client, refused) = (&session.user, &session.client, session.refused);
                tracing::warn!(%user, %client, %topic, reason = ?PublishAckReason::NotAuthorized, refused, "a message was refused");
            }
        }
    }

    /// Gives a message to all who asked for it, and remembers it where that is to be. The position that must be safe
    /// before its publisher is told that it was taken.
    pub(super) fn route(&mut self, now: u64, publish: Publish, from: u32, received: Option<(u32, u16)>) -> u64 {
        let herald = self.sessions.get(&from).is_some_and(|session| self.is_herald(session));
        let received = received.filter(|(session, _)| self.sessions.get(session).is_some_and(Session::outlives));
        let expiry = publish.properties.as_ref().and_then(|p| p.message_expiry_interval);
        let expires = expiry.map(|seconds| now + u64::from(seconds.get()) * 1000);
        let shares = self.shares(&publish, from);
        let kept = publish.retain || shares.values().any(|share| share.qos != QoS::AtMostOnce);
        let message = Rc::new(Message::new(if kept { compact(publish) } else { publish }, expires));
        let mut written = false;
        if message.publish.retain {
            written = self.retain(now, &message, herald, from);
        }
        let mut targets = Vec::new();
        let mut entries = Vec::new();
        for (number, Share { qos, retain, ids }) in shares {
            if qos == QoS::AtMostOnce {
                self.send_now(number, &message, retain, ids, now);
            } else if self.makes_room(number, message.size + size_of_val(&ids[..])) {
                let outlives = self.sessions.get(&number).is_some_and(Session::outlives);
                if outlives {
                    targets.push(Target { session: number, qos, retain, ids: ids.clone() });
                }
                let id = if outlives { self.next_message } else { 0 };
                entries.push((number, Entry { id, message: Rc::clone(&message), qos, retain, ids }));
            }
        }
        let mut position = 0;
        if written || !targets.is_empty() || received.is_some() {
            let id = if targets.is_empty() { 0 } else { self.next_message };
            self.next_message += u64::from(id > 0);
            let waits = message.publish.qos != QoS::AtMostOnce;
            self.journal.note(&Record::Accepted {
                id,
                message: message.publish.clone(),
                expires,
                retained: written,
                to: targets,
                received,
            });
            position = if waits { self.journal.barrier() } else { 0 };
        }
        for (number, entry) in entries {
            self.enqueue(number, entry);
            self.pump(number, now);
        }
        position
    }

    /// Who gets it, and how: by the best of one's subscriptions.
    pub(super) fn shares(&self, publish: &Publish, from: u32) -> BTreeMap<u32, Share> {
        let mut shares: BTreeMap<u32, Share> = BTreeMap::new();
        // By 3.1.1 the other broker says so only of what it kept: that is told again at every reconnection, and is no
        // command of this moment.
        let old = publish.retain && self.sessions.get(&from).is_some_and(|s| s.user == bridge::USER);
        self.tree.find(&publish.topic, |number, how: &Subscription| {
            if how.no_local && number == from {
                return;
            }
            let qos = how.qos.less_value(publish.qos);
            let share = shares.entry(number).or_insert(Share { qos, retain: old, ids: Vec::new() });
            share.qos = share.qos.max(qos);
            share.retain |= how.retain_as_published && publish.retain;
            share.ids.extend(how.id);
        });
        shares
    }

    /// Remembers the last value of a topic. Whether the message is to be written down now as such.
    fn retain(&mut self, now: u64, message: &Rc<Message>, herald: bool, from: u32) -> bool {
        let topic = &message.publish.topic;
        let before = self.retained.remove(topic);
        if let Some(before) = &before {
            self.retained_bytes.give(&before.owner, before.message.size);
        }
        if message.publish.payload.is_empty() {
            return before.is_some();
        }
        let user = self.sessions.get(&from).map(|s| s.user.clone());
        let owner = user.unwrap_or_else(|| self.users.owner(topic).to_owned());
        if !self.retained_bytes.has(&owner, message.size, self.limits.retained) {
            self.counters.unretained.more();
            let unretained = self.counters.unretained.get();
            if unretained.is_power_of_two() {
                tracing::warn!(user = %owner, %topic, unretained, "too much is retained: a message was not");
            }
            if before.is_some() {
                // An older value would be taken for the present one.
                let empty = Publish { payload: Bytes::new(), ..message.publish.clone() };
                self.journal.note(&as_retained(&Message::new(empty, None)));
            }
            return false;
        }
        let topic_noted = before.map_or(0, |r| r.topic_noted);
        let later = herald && now < topic_noted.saturating_add(THIN_MS) && now >= topic_noted;
        let (noted, topic_noted) = if later { (None, topic_noted) } else { (Some(now), now) };
        self.retained_bytes.take(&owner, message.size);
        self.retained.insert(topic.clone(), Retained { message: Rc::clone(message), owner, noted, topic_noted });
        !later
    }

    /// Forgets retained messages that are over, and writes down what was put off.
    pub(super) fn sweep_retained(&mut self, now: u64) {
        let over: Vec<ByteString> =
            self.retained.iter().filter(|(_, r)| r.message.is_over(now)).map(|(topic, _)| topic.clone()).collect();
        for topic in over {
            if let Some(gone) = self.retained.remove(&topic) {
                self.retained_bytes.give(&gone.owner, gone.message.size);
            }
        }
        for kept in self.retained.values_mut() {
            if kept.noted.is_none() && now >= kept.topic_noted.saturating_add(THIN_MS) {
                (kept.noted, kept.topic_noted) = (Some(now), now);
                self.journal.note(&as_retained(&kept.message));
            }
        }
    }
}

/// A retained message as a record.
pub(super) fn as_retained(message: &Message) -> Record {
    Record::Accepted {
        id: 0,
        message: message.publish.clone(),
        expires: message.expires,
        retained: true,
        to: Vec::new(),
        received: None,
    }
}

/// The same in memory of its own: what was read from a socket is a piece of a large buffer, which it would keep.
pub(crate) fn compact(publish: Publish) -> Publish {
    let text = |text: &ByteString| ByteString::from(text.as_ref() as &str);
    let properties = publish.properties.map(|mut p| {
        p.topic_alias = None;
        p.subscription_ids.clear();
        p.correlation_data = p.correlation_data.as_deref().map(Bytes::copy_from_slice);
        p.content_type = p.content_type.as_ref().map(text);
        p.response_topic = p.response_topic.as_ref().map(text);
        p.user_properties = p.user_properties.iter().map(|(key, value)| (text(key), text(value))).collect();
        p
    });
    let payload = Bytes::copy_from_slice(&publish.payload);
    Publish { topic: text(&publish.topic), payload, properties, ..publish }
}
