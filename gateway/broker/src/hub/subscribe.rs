//! Subscriptions, and what is retained for them.

use super::deliver::packet;
use super::{Entry, Hub, Message, Place, Session};
use crate::record::{Record, Subscription, Target};
use crate::topic;
use crate::wire;
use bytestring::ByteString;
use rmqtt_codec::types::QoS;
use rmqtt_codec::v5::{
    DisconnectReasonCode, Packet, RetainHandling, Subscribe, SubscribeAck, SubscribeAckReason, SubscriptionOptions,
    Unsubscribe, UnsubscribeAck, UnsubscribeAckReason,
};
use std::rc::Rc;

impl Hub {
    /// A client subscribes. An error ends its connection.
    pub fn subscribe(&mut self, now: u64, place: Place, asked: Subscribe) -> Result<(), DisconnectReasonCode> {
        if asked.topic_filters.is_empty() {
            return Err(DisconnectReasonCode::ProtocolError);
        }
        let (most, retained) = (self.limits.outbox, self.limits.retained);
        let full = |s: &mut Session| s.link.as_ref().is_some_and(|l| l.outbox.bytes() > most.saturating_add(retained));
        if self.at(place).is_some_and(full) {
            // It asks for what is retained again and again, and reads none of it.
            return Err(DisconnectReasonCode::QuotaExceeded);
        }
        let mut status = Vec::with_capacity(asked.topic_filters.len());
        let mut fresh = Vec::new();
        for (filter, options) in &asked.topic_filters {
            let how = Subscription {
                qos: options.qos,
                no_local: options.no_local,
                retain_as_published: options.retain_as_published,
                id: asked.id,
            };
            match self.grant(place, filter, how) {
                Ok(new) => {
                    status.push(wire::granted(options.qos));
                    if wants_retained(options, new) {
                        fresh.push((filter.clone(), how));
                    }
                }
                Err(reason) => status.push(reason),
            }
        }
        let position = self.barrier_of(place.session);
        let (properties, reason_string) = (Vec::new(), None);
        let answer = SubscribeAck { packet_id: asked.packet_id, properties, reason_string, status };
        self.tell(place, position, Packet::SubscribeAck(answer));
        for (filter, how) in fresh {
            self.tell_retained(now, place.session, &filter, how);
        }
        self.pump(place.session, now);
        Ok(())
    }

    /// Whether it is new.
    fn grant(&mut self, place: Place, filter: &ByteString, how: Subscription) -> Result<bool, SubscribeAckReason> {
        let most = self.limits.subscriptions;
        if filter.starts_with("$share/") {
            return Err(SubscribeAckReason::SharedSubscriptionNotSupported);
        }
        if !topic::is_filter(filter) {
            return Err(SubscribeAckReason::TopicFilterInvalid);
        }
        let Some(session) = self.at(place) else { return Err(SubscribeAckReason::UnspecifiedError) };
        if !session.link.as_ref().is_some_and(|link| link.rights.subscribes(filter)) {
            return Err(SubscribeAckReason::NotAuthorized);
        }
        if session.subscriptions.len() >= most && !session.subscriptions.contains_key(filter) {
            return Err(SubscribeAckReason::QuotaExceeded);
        }
        let filter = ByteString::from(filter.as_ref() as &str);
        let new = session.subscriptions.insert(filter.clone(), how).is_none();
        let outlives = session.outlives();
        self.tree.insert(&filter, place.session, how);
        if outlives {
            self.journal.note(&Record::Subscribed { session: place.session, filter, how });
        }
        Ok(new)
    }

    /// Tells a session what is retained under a filter.
    fn tell_retained(&mut self, now: u64, number: u32, filter: &str, how: Subscription) {
        let found: Vec<Rc<Message>> = if filter.contains(['+', '#']) {
            // What stands before the first wildcard is where to look.
            let front = filter.split(['+', '#']).next().unwrap_or_default().trim_end_matches('/');
            let from: ByteString = front.into();
            let range = self.retained.range(from..).take_while(|(name, _)| name.starts_with(front));
            range.filter(|(name, _)| topic::matches(filter, name)).map(|(_, r)| Rc::clone(&r.message)).collect()
        } else {
            self.retained.get(filter).map(|r| Rc::clone(&r.message)).into_iter().collect()
        };
        for message in found.into_iter().filter(|m| !m.is_over(now)) {
            let qos = how.qos.less_value(message.publish.qos);
            let ids: Vec<_> = how.id.into_iter().collect();
            let Some(session) = self.sessions.get(&number) else { return };
            let outlives = session.outlives();
            if qos == QoS::AtMostOnce {
                if let Some(link) = session.link.as_ref().filter(|link| message.size() <= link.largest) {
                    let entry = Entry { id: 0, message, qos, retain: true, ids };
                    // Not counted against a slow client: it asked for all of them at once.
                    link.outbox.put(0, Packet::Publish(Box::new(packet(&entry, None, now))));
                }
                continue;
            }
            if !self.makes_room(number, message.size()) {
                continue;
            }
            let mut id = 0;
            if outlives {
                id = self.next_message;
                self.next_message += 1;
                let target = Target { session: number, qos, retain: true, ids: ids.clone() };
                self.journal.note(&Record::Accepted {
                    id,
                    message: message.publish.clone(),
                    expires: message.expires,
                    retained: false,
                    to: vec![target],
                    received: None,
                });
            }
            self.enqueue(number, Entry { id, message, qos, retain: true, ids });
        }
    }

    /// A client unsubscribes. An error ends its connection.
    pub fn unsubscribe(&mut self, place: Place, asked: &Unsubscribe) -> Result<(), DisconnectReasonCode> {
        if asked.topic_filters.is_empty() {
            return Err(DisconnectReasonCode::ProtocolError);
        }
        let mut status = Vec::with_capacity(asked.topic_filters.len());
        for filter in &asked.topic_filters {
            let known = self.at(place).is_some_and(|s| s.subscriptions.contains_key(filter));
            if known {
                self.forget(place.session, filter);
            }
            status.push(if known {
                UnsubscribeAckReason::Success
            } else {
                UnsubscribeAckReason::NoSubscriptionExisted
            });
        }
        let position = self.barrier_of(place.session);
        let (properties, reason_string) = (Vec::new(), None);
        let answer = UnsubscribeAck { packet_id: asked.packet_id, properties, reason_string, status };
        self.tell(place, position, Packet::UnsubscribeAck(answer));
        Ok(())
    }

    pub(super) fn forget(&mut self, number: u32, filter: &ByteString) {
        let Some(session) = self.sessions.get_mut(&number) else { return };
        if session.subscriptions.remove(filter).is_some() {
            self.tree.remove(filter, number);
            if session.outlives() {
                self.journal.note(&Record::Unsubscribed { session: number, filter: filter.clone() });
            }
        }
    }
}

fn wants_retained(options: &SubscriptionOptions, new: bool) -> bool {
    match options.retain_handling {
        RetainHandling::AtSubscribe => true,
        RetainHandling::AtSubscribeNew => new,
        RetainHandling::NoAtSubscribe => false,
    }
}
