//! The hub from its records, and its records from the hub.

use super::route::as_retained;
use super::{Entry, Flight, Hub, Message, Retained};
use crate::bridge;
use crate::record::{Record, Target};
use crate::rights::Rights;
use rmqtt_codec::types::QoS;
use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU16;
use std::rc::Rc;

impl Hub {
    /// Takes a record into account, when the broker starts. What belongs to nobody is passed over: a session may have
    /// ended after a record was written that comes later in the file.
    pub fn replay(&mut self, record: Record) {
        match record {
            Record::Opened { session, user, client, expiry } => {
                self.next_session = self.next_session.max(session.saturating_add(1));
                if let Some(known) = self.sessions.get_mut(&session) {
                    (known.expiry, known.ends) = (expiry, None);
                } else {
                    let next = std::mem::replace(&mut self.next_session, session);
                    self.open(user, client, expiry);
                    self.next_session = next;
                }
            }
            Record::Ended { session } => self.end(0, session),
            Record::Left { session, at } => {
                if let Some(known) = self.sessions.get_mut(&session) {
                    known.ends = Some(at.saturating_add(u64::from(known.expiry) * 1000));
                }
            }
            Record::Subscribed { session, filter, how } => {
                if let Some(known) = self.sessions.get_mut(&session) {
                    self.tree.insert(&filter, session, how);
                    if known.subscriptions.insert(filter, how).is_none() {
                        self.filters.take(&known.user, 1);
                    }
                }
            }
            Record::Unsubscribed { session, filter } => self.forget(session, &filter),
            Record::Accepted { id, message, expires, retained, to, received } => {
                self.next_message = self.next_message.max(id.saturating_add(1));
                let message = Rc::new(Message::new(message, expires));
                if retained {
                    self.recall(&message);
                }
                for Target { session, qos, retain, ids } in to {
                    self.enqueue(session, Entry { id, message: Rc::clone(&message), qos, retain, ids });
                }
                if let Some((session, pid)) = received {
                    self.replay(Record::Received { session, pid });
                }
            }
            Record::Sent { session, message, pid } => {
                let Some(known) = self.sessions.get_mut(&session) else { return };
                let index = known.waiting.iter().position(|entry| entry.id == message);
                let entry = index.and_then(|index| known.waiting.remove(index));
                if let (Some(entry), Some(pid)) = (entry, NonZeroU16::new(pid)) {
                    known.last_pid = pid.get();
                    known.flying.push_back(Flight { pid, entry, released: false });
                }
            }
            Record::Released { session, pid } => {
                let flying = self.sessions.get_mut(&session).map(|s| &mut s.flying);
                if let Some(flight) = flying.and_then(|f| f.iter_mut().find(|flight| flight.pid.get() == pid)) {
                    flight.released = true;
                }
            }
            Record::Settled { session, pid } => {
                if let Some(known) = self.sessions.get_mut(&session) {
                    let size = known.strike(pid);
                    known.bytes = known.bytes.saturating_sub(size);
                    self.queued_bytes.give(&known.user, size);
                }
            }
            Record::Dropped { session, message } => {
                if let Some(known) = self.sessions.get_mut(&session)
                    && let Some(index) = known.waiting.iter().position(|entry| entry.id == message)
                    && let Some(entry) = known.waiting.remove(index)
                {
                    known.bytes = known.bytes.saturating_sub(entry.size());
                    self.queued_bytes.give(&known.user, entry.size());
                }
            }
            Record::Received { session, pid } => {
                if let Some(known) = self.sessions.get_mut(&session) {
                    known.received.insert(pid);
                }
            }
            Record::Completed { session, pid } => {
                if let Some(known) = self.sessions.get_mut(&session) {
                    known.received.remove(&pid);
                }
            }
        }
    }

    fn recall(&mut self, message: &Rc<Message>) {
        let topic = message.publish.topic.clone();
        if let Some(gone) = self.retained.remove(&topic) {
            self.retained_bytes.give(&gone.owner, gone.message.size);
        }
        if !message.publish.payload.is_empty() {
            // The journal does not say whose it was.
            let owner = self.users.owner(&topic).to_owned();
            self.retained_bytes.take(&owner, message.size);
            let kept = Retained { owner, message: Rc::clone(message), noted: Some(0), topic_noted: 0 };
            self.retained.insert(topic, kept);
        }
    }

    /// All records are read: sessions wait for their clients from now on, unless they waited before; those of users who
    /// are gone end.
    pub fn wake(&mut self, now: u64) {
        for session in self.sessions.values_mut() {
            session.ends = session.ends.or(Some(now.saturating_add(u64::from(session.expiry) * 1000)));
        }
        for number in self.numbers(|_| true) {
            let rights = self.sessions.get(&number).and_then(|s| self.users.rights(&s.user));
            match rights {
                Some(rights) => self.revoke(number, &rights),
                None => self.end(now, number),
            }
        }
        self.sweep(now);
    }

    /// Ends what waits for bridges that are not configured any more.
    pub fn end_bridges(&mut self, now: u64, kept: Option<&str>) {
        for number in self.numbers(|s| s.user == bridge::USER && kept != Some(&*s.client)) {
            self.end(now, number);
        }
    }

    /// Takes from a session what its user may not read any more: subscriptions, and messages that wait.
    pub(super) fn revoke(&mut self, number: u32, rights: &Rights) {
        let Some(session) = self.sessions.get(&number) else { return };
        let lost: Vec<_> = session.subscriptions.keys().filter(|filter| !rights.subscribes(filter)).cloned().collect();
        for filter in lost {
            self.forget(number, &filter);
        }
        let Some(session) = self.sessions.get_mut(&number) else { return };
        let readable = |entry: &Entry| rights.subscribes(&entry.message.publish.topic);
        let (waiting, dropped): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut session.waiting).into_iter().partition(readable);
        session.waiting = waiting;
        let mut freed: usize = dropped.iter().map(Entry::size).sum();
        for entry in dropped.iter().filter(|entry| entry.id > 0) {
            self.journal.note(&Record::Dropped { session: number, message: entry.id });
        }
        session.flying.retain_mut(|flight| {
            if flight.released || readable(&flight.entry) {
                return true;
            }
            // By QoS 2 the client may have it already, and is only told that it may forget the id.
            let half = flight.entry.qos == QoS::ExactlyOnce;
            flight.released = half;
            if flight.entry.id > 0 {
                let (session, pid) = (number, flight.pid.get());
                self.journal.note(&if half {
                    Record::Released { session, pid }
                } else {
                    Record::Settled { session, pid }
                });
            }
            freed += if half { 0 } else { flight.entry.size() };
            half
        });
        session.bytes = session.bytes.saturating_sub(freed);
        self.queued_bytes.give(&session.user, freed);
    }

    /// Writes the journal anew, with what is worth knowing.
    pub(super) fn rewrite(&mut self) {
        let records = self.records();
        self.journal.rewrite(&mut records.into_iter());
    }

    /// The fewest records that make this hub.
    pub fn records(&self) -> Vec<Record> {
        let mut records = Vec::new();
        let mut messages: BTreeMap<u64, (Rc<Message>, Vec<Target>)> = BTreeMap::new();
        let mut flights = Vec::new();
        for (&session, known) in self.sessions.iter().filter(|(_, s)| s.outlives()) {
            let (user, client, expiry) = (known.user.clone(), known.client.clone(), known.expiry);
            records.push(Record::Opened { session, user, client, expiry });
            if let Some(ends) = known.ends {
                records.push(Record::Left { session, at: ends.saturating_sub(u64::from(expiry) * 1000) });
            }
            for (filter, how) in &known.subscriptions {
                records.push(Record::Subscribed { session, filter: filter.clone(), how: *how });
            }
            records.extend(known.received.iter().map(|pid| Record::Received { session, pid: *pid }));
            for entry in known.flying.iter().map(|f| &f.entry).chain(&known.waiting).filter(|e| e.id > 0) {
                let Entry { id, message, qos, retain, ids } = entry;
                let target = Target { session, qos: *qos, retain: *retain, ids: ids.clone() };
                messages.entry(*id).or_insert_with(|| (Rc::clone(message), Vec::new())).1.push(target);
            }
            for flight in known.flying.iter().filter(|f| f.entry.id > 0) {
                let pid = flight.pid.get();
                flights.push(Record::Sent { session, message: flight.entry.id, pid });
                flights.extend(flight.released.then_some(Record::Released { session, pid }));
            }
        }
        records.extend(self.retained.values().map(|kept| as_retained(&kept.message)));
        records.extend(messages.into_iter().map(|(id, (message, to))| {
            let (message, expires) = (message.publish.clone(), message.expires);
            Record::Accepted { id, message, expires, retained: false, to, received: None }
        }));
        records.extend(flights);
        records
    }
}
