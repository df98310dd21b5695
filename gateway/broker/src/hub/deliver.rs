//! From a session to its client, and back: what is sent, what is under way, what was acknowledged.

use super::pool::Pool;
use super::{Entry, Flight, Hub, Message, Place, Session};
use crate::record::Record;
use crate::wire;
use rmqtt_codec::types::{Publish, QoS};
use rmqtt_codec::v5::{Packet, PublishAck, PublishAckReason};
use std::num::{NonZeroU16, NonZeroU32};
use std::rc::Rc;

/// Packet ids beyond this are left to whoever speaks for a session, as a bridge does.
const LAST_PID: u16 = 65_000;

impl Hub {
    /// Sends by QoS 0, if the client is there and keeps up.
    pub(super) fn send_now(
        &mut self,
        number: u32,
        message: &Rc<Message>,
        retain: bool,
        ids: Vec<NonZeroU32>,
        now: u64,
    ) {
        let most = self.limits.outbox;
        let Some(session) = self.sessions.get_mut(&number) else { return };
        let Some(link) = &session.link else { return };
        if link.outbox.bytes() > most {
            self.counters.dropped.more();
            session.dropped += 1;
            if session.dropped.is_power_of_two() {
                tracing::warn!(client = %session.client, dropped = session.dropped, "a client of the broker is too slow");
            }
            return;
        }
        let entry = Entry { id: 0, message: Rc::clone(message), qos: QoS::AtMostOnce, retain, ids };
        if entry.fits(link) {
            link.outbox.put(0, Packet::Publish(Box::new(packet(&entry, None, now))));
        }
    }

    /// Makes room for a message in a session that waits too long, by giving up its oldest. Whether there is some.
    pub(super) fn makes_room(&mut self, number: u32, size: usize) -> bool {
        let Some(session) = self.sessions.get_mut(&number) else { return false };
        let (queue, queues) = session.bounds(&self.limits);
        let is_read = session.is_read();
        let lacks = |session: &Session, pool: &Pool| {
            // Who publishes waited until there was room, and one message more is no harm.
            if is_read {
                return session.is_full(queue, pool, &self.limits);
            }
            session.bytes + size > queue || !pool.has(&session.user, size, queues)
        };
        while lacks(session, &self.queued_bytes) {
            self.counters.dropped.more();
            session.dropped += 1;
            if session.dropped.is_power_of_two() {
                let (client, dropped) = (&session.client, session.dropped);
                tracing::warn!(%client, dropped, "too much waits for a client of the broker: its oldest messages are dropped");
            }
            let Some(oldest) = session.waiting.pop_front() else { return false };
            session.bytes = session.bytes.saturating_sub(oldest.size());
            self.queued_bytes.give(&session.user, oldest.size());
            if oldest.id > 0 {
                self.journal.note(&Record::Dropped { session: number, message: oldest.id });
            }
        }
        true
    }

    pub(super) fn enqueue(&mut self, number: u32, entry: Entry) {
        if let Some(session) = self.sessions.get_mut(&number) {
            session.bytes += entry.size();
            self.queued_bytes.take(&session.user, entry.size());
            session.waiting.push_back(entry);
        }
    }

    /// Sends what waits, as far as the client lets us.
    pub(super) fn pump(&mut self, number: u32, now: u64) {
        let most = self.limits.outbox;
        let Some(session) = self.sessions.get_mut(&number) else { return };
        let Some(link) = &session.link else { return };
        while session.flying.len() < link.window && link.outbox.bytes() <= most {
            let Some(entry) = session.waiting.pop_front() else { return };
            let size = entry.size();
            if entry.message.is_over(now) || !entry.fits(link) {
                session.bytes = session.bytes.saturating_sub(size);
                self.queued_bytes.give(&session.user, size);
                if entry.id > 0 {
                    self.journal.note(&Record::Dropped { session: number, message: entry.id });
                }
                continue;
            }
            let pid = next_pid(&mut session.last_pid, &session.flying);
            let mut position = 0;
            if entry.id > 0 {
                // Written down before it is sent, so that it is never sent a second time as if it were the first.
                self.journal.note(&Record::Sent { session: number, message: entry.id, pid: pid.get() });
                position = self.journal.barrier();
            }
            link.outbox.put(position, Packet::Publish(Box::new(packet(&entry, Some(pid), now))));
            session.flying.push_back(Flight { pid, entry, released: false });
        }
    }

    /// The outbox of a client is empty.
    pub fn drained(&mut self, now: u64, place: Place) {
        if self.at(place).is_some_and(|s| !s.waiting.is_empty()) {
            self.pump(place.session, now);
        }
    }

    /// A client is back: what was under way goes again, in its order.
    pub(super) fn send_again(&mut self, number: u32, now: u64) {
        let position = self.barrier_of(number);
        let Some(session) = self.sessions.get(&number) else { return };
        let Some(link) = &session.link else { return };
        for flight in &session.flying {
            let packet = if flight.released {
                Packet::PublishRelease(wire::ack2(flight.pid))
            } else {
                let mut again = packet(&flight.entry, Some(flight.pid), now);
                again.dup = true;
                Packet::Publish(Box::new(again))
            };
            link.outbox.put(position, packet);
        }
    }

    /// PUBACK, or the refusal of a message by QoS 2.
    pub fn acknowledged(&mut self, now: u64, place: Place, pid: NonZeroU16) {
        let Some(session) = self.sessions.get_mut(&place.session).filter(|s| s.is_at(place)) else { return };
        let Some(index) = session.flying.iter().position(|flight| flight.pid == pid) else { return };
        let Some(flight) = session.flying.remove(index) else { return };
        let size = flight.entry.size();
        session.bytes = session.bytes.saturating_sub(size);
        self.queued_bytes.give(&session.user, size);
        session.reading.acknowledged(size);
        if flight.entry.id > 0 {
            self.journal.note(&Record::Settled { session: place.session, pid: pid.get() });
        }
        self.pump(place.session, now);
    }

    /// PUBREC.
    pub fn arrived(&mut self, now: u64, place: Place, ack: &PublishAck) {
        let refused = !matches!(ack.reason_code, PublishAckReason::Success | PublishAckReason::NoMatchingSubscribers);
        if refused {
            return self.acknowledged(now, place, ack.packet_id);
        }
        let Some(session) = self.at(place) else { return };
        let flight = session.flying.iter_mut().find(|flight| flight.pid == ack.packet_id);
        let mut position = 0;
        if let Some(flight) = flight {
            let known = std::mem::replace(&mut flight.released, true);
            if flight.entry.id > 0 {
                if !known {
                    self.journal.note(&Record::Released { session: place.session, pid: ack.packet_id.get() });
                }
                // Once it is told, the client forgets the id, and would take a repetition for another message.
                position = self.journal.barrier();
            }
        }
        self.tell(place, position, Packet::PublishRelease(wire::ack2(ack.packet_id)));
    }

    /// PUBREL: the client forgets the id, and so do we, in writing, before it is told: it would be taken for the old one
    /// when the client uses it again.
    pub fn completed(&mut self, place: Place, pid: NonZeroU16) {
        let Some(session) = self.at(place) else { return };
        let known = session.received.remove(&pid.get());
        let mut position = 0;
        if known && session.outlives() {
            self.journal.note(&Record::Completed { session: place.session, pid: pid.get() });
            position = self.journal.barrier();
        }
        self.tell(place, position, Packet::PublishComplete(wire::ack2(pid)));
    }

    /// PINGREQ.
    pub fn pong(&mut self, place: Place) {
        self.tell(place, 0, Packet::PingResponse);
    }
}

/// The next packet id that is not under way.
fn next_pid(last: &mut u16, flying: &std::collections::VecDeque<Flight>) -> NonZeroU16 {
    loop {
        *last = if *last >= LAST_PID { 1 } else { *last + 1 };
        if let Some(pid) = NonZeroU16::new(*last)
            && !flying.iter().any(|flight| flight.pid == pid)
        {
            return pid;
        }
    }
}

/// A message as it is told to one client.
pub(super) fn packet(entry: &Entry, pid: Option<NonZeroU16>, now: u64) -> Publish {
    let mut publish = entry.message.publish.clone();
    publish.qos = entry.qos;
    publish.retain = entry.retain;
    publish.packet_id = pid;
    if let Some(properties) = &mut publish.properties {
        properties.topic_alias = None;
        properties.subscription_ids.clone_from(&entry.ids);
        if let Some(expires) = entry.message.expires {
            let left = u32::try_from(expires.saturating_sub(now).div_ceil(1000)).unwrap_or(u32::MAX);
            properties.message_expiry_interval = NonZeroU32::new(left.max(1));
        }
    } else if !entry.ids.is_empty() {
        let ids = entry.ids.clone();
        publish.properties = Some(rmqtt_codec::v5::PublishProperties { subscription_ids: ids, ..Default::default() });
    }
    publish
}

impl Session {
    /// What is left of a session's messages when one is settled or dropped, for reading the journal back.
    pub(super) fn strike(&mut self, pid: u16) -> usize {
        let Some(index) = self.flying.iter().position(|flight| flight.pid.get() == pid) else { return 0 };
        self.flying.remove(index).map_or(0, |flight| flight.entry.size())
    }
}
