//! Subscriptions, and what is retained for them.

use super::deliver::packet;
use super::{Entry, Hub, Message, Place};
use crate::record::{Record, Subscription, Target};
use crate::topic;
use crate::wire;
use bytestring::ByteString;
use rmqtt_codec::types::QoS;
use rmqtt_codec::v5::{
    DisconnectReasonCode, Packet, RetainHandling, Subscribe, SubscribeAck, SubscribeAckReason, SubscriptionOptions,
    Unsubscribe, UnsubscribeAck, UnsubscribeAckReason,
};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Filters of one SUBSCRIBE: Home Assistant asks for so many at once.
const FILTERS: usize = 500;
/// Those of them with a wildcard, each of which is compared with all that is retained.
const WILDCARDS: usize = 100;

impl Hub {
    /// A client subscribes. An error ends its connection.
    pub fn subscribe(&mut self, now: u64, place: Place, asked: Subscribe) -> Result<(), DisconnectReasonCode> {
        if asked.topic_filters.is_empty() {
            return Err(DisconnectReasonCode::ProtocolError);
        }
        // Of a filter that is said twice, the last counts.
        let last: BTreeMap<&str, usize> = asked.topic_filters.iter().enumerate().map(|(n, (f, _))| (&**f, n)).collect();
        if last.len() > FILTERS || last.keys().filter(|filter| filter.contains(['+', '#'])).count() > WILDCARDS {
            return Err(DisconnectReasonCode::QuotaExceeded);
        }
        let mut answers = BTreeMap::new();
        let mut fresh = Vec::new();
        for (n, (filter, options)) in asked.topic_filters.iter().enumerate() {
            if last.get(&**filter) != Some(&n) {
                continue;
            }
            let how = Subscription {
                qos: options.qos,
                no_local: options.no_local,
                retain_as_published: options.retain_as_published,
                id: asked.id,
            };
            let granted = self.grant(place, filter, how);
            if granted.is_ok_and(|new| wants_retained(options, new)) {
                fresh.push((filter, how));
            }
            answers.insert(&**filter, granted.map_or_else(|reason| reason, |_| wire::granted(options.qos)));
        }
        let answer = |(filter, _): &(ByteString, _)| answers.get(&**filter).copied();
        let status = asked.topic_filters.iter().filter_map(answer).collect();
        let position = self.barrier_of(place.session);
        let (properties, reason_string) = (Vec::new(), None);
        let answer = SubscribeAck { packet_id: asked.packet_id, properties, reason_string, status };
        self.tell(place, position, Packet::SubscribeAck(answer));
        // Of what is retained it may ask for all at once, but not again and again, reading none of it.
        let unread = self.at(place).and_then(|s| s.link.as_ref()).map_or(0, |link| link.outbox.bytes());
        // The first user's messages are beside those of all others.
        let retained = self.limits.retained.saturating_mul(2);
        let mut left = self.limits.outbox.saturating_add(retained).saturating_sub(unread);
        for (filter, how) in fresh {
            self.tell_retained(now, place.session, filter, how, &mut left)?;
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
        let full = session.subscriptions.len() >= most;
        let (user, known) = (session.user.clone(), session.subscriptions.contains_key(filter));
        if !known && (full || !self.filters.has(&user, 1, self.limits.filters)) {
            return Err(SubscribeAckReason::QuotaExceeded);
        }
        if !known {
            self.filters.take(&user, 1);
        }
        let Some(session) = self.at(place) else { return Err(SubscribeAckReason::UnspecifiedError) };
        let filter = ByteString::from(filter.as_ref() as &str);
        let new = session.subscriptions.insert(filter.clone(), how).is_none();
        let outlives = session.outlives();
        self.tree.insert(&filter, place.session, how);
        if outlives {
            self.journal.note(&Record::Subscribed { session: place.session, filter, how });
        }
        Ok(new)
    }

    /// Tells a session what is retained under a filter, as far as so many bytes are left.
    fn tell_retained(
        &mut self,
        now: u64,
        number: u32,
        filter: &str,
        how: Subscription,
        left: &mut usize,
    ) -> Result<(), DisconnectReasonCode> {
        let found: Vec<Rc<Message>> = if filter.starts_with('$') {
            self.status_under(filter)
        } else if filter.contains(['+', '#']) {
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
            *left = left.checked_sub(message.size).ok_or(DisconnectReasonCode::QuotaExceeded)?;
            let Some(session) = self.sessions.get(&number) else { return Ok(()) };
            let outlives = session.outlives();
            if qos == QoS::AtMostOnce {
                let entry = Entry { id: 0, message, qos, retain: true, ids };
                if let Some(link) = session.link.as_ref().filter(|link| entry.fits(link)) {
                    // Not counted against a slow client: it asked for all of them at once.
                    link.outbox.put(0, Packet::Publish(Box::new(packet(&entry, None, now))));
                }
                continue;
            }
            if !self.makes_room(number, message.size + size_of_val(&ids[..])) {
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
        Ok(())
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
            self.filters.give(&session.user, 1);
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
