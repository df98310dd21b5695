//! Who publishes faster than a subscriber reads waits for it, as long as it reads.

use super::pool::Pool;
use super::{Hub, Place, Session};
use crate::bridge;
use crate::limits::Limits;
use crate::topic;
use rmqtt_codec::types::QoS;
use rmqtt_codec::v5::Packet;

/// Bytes that a client acknowledges within the patience if it reads, and may have waiting however little room is left.
const LEAST: usize = 64 << 10;

fn least(limits: &Limits) -> usize {
    LEAST.min(limits.queue / 8)
}

/// How a session's client reads. Nobody waits for one that reads nothing.
#[derive(Debug, Default)]
pub(super) struct Reading {
    stopped: bool,
    /// Whether a publisher waits for it, or did in this second.
    awaited: bool,
    /// For how long it was watched, and what it acknowledged meanwhile.
    seconds: u64,
    freed: usize,
}

impl Reading {
    pub fn acknowledged(&mut self, bytes: usize) {
        self.freed += bytes;
    }

    /// A second went by. Whether it is given up now.
    fn second(&mut self, patience: u64, least: usize) -> bool {
        if !std::mem::take(&mut self.awaited) && !self.stopped {
            (self.seconds, self.freed) = (0, 0);
            return false;
        }
        self.seconds += 1;
        if self.seconds < patience.max(1) {
            return false;
        }
        let before = std::mem::replace(&mut self.stopped, self.freed < least);
        (self.seconds, self.freed) = (0, 0);
        self.stopped && !before
    }
}

impl Session {
    /// Whether its client is there, and reads as far as anybody knows.
    pub(super) fn is_read(&self) -> bool {
        self.link.is_some() && !self.reading.stopped
    }

    /// Bytes that may wait in it, and in it and others together.
    pub(super) fn bounds(&self, limits: &Limits) -> (usize, usize) {
        if self.user == bridge::USER { (limits.bridge, limits.bridge) } else { (limits.queue, limits.queues) }
    }

    /// Whether there is no room for a message, however small, where so many bytes may wait.
    pub(super) fn is_full(&self, most: usize, pool: &Pool, limits: &Limits) -> bool {
        let (_, queues) = self.bounds(limits);
        self.bytes > most || self.bytes > least(limits) && !pool.has(&self.user, 0, queues)
    }
}

impl Hub {
    /// Whether this message has to wait, because somebody who is to get it, and reads, has as much waiting as others may
    /// cause. Half of what may wait is left to those who never wait: the gateway's own user, and wills. `own` is whether
    /// to wait for the publisher's own subscription too: its acknowledgements may stand behind the message.
    pub fn must_wait(&mut self, place: Place, packet: &Packet, own: bool) -> bool {
        let Packet::Publish(publish) = packet else { return false };
        let Some(from) = self.sessions.get(&place.session).filter(|s| s.is_at(place)) else { return false };
        let gateway = self.users.first() == Some(&from.user) || self.is_herald(from);
        let allowed = from.link.as_ref().is_some_and(|link| link.rights.publishes(&publish.topic));
        let known = publish.packet_id.is_some_and(|pid| from.received.contains(&pid.get()));
        if publish.qos == QoS::AtMostOnce || gateway || !allowed || known || !topic::is_name(&publish.topic) {
            return false;
        }
        let Self { tree, sessions, queued_bytes, limits, .. } = self;
        let mut waits = false;
        tree.find(&publish.topic, |number, how| {
            if how.qos == QoS::AtMostOnce || number == place.session && (how.no_local || !own) {
                return;
            }
            let Some(session) = sessions.get_mut(&number).filter(|s| s.is_read()) else { return };
            if session.is_full(session.bounds(limits).0 / 2, queued_bytes, limits) {
                session.reading.awaited = true;
                waits = true;
            }
        });
        waits
    }

    /// A second went by: for whom publishers waited so long, and who acknowledged next to nothing, pays from now on.
    pub(super) fn watch_readers(&mut self) {
        let (patience, least) = (self.limits.patience.as_secs(), least(&self.limits));
        for session in self.sessions.values_mut().filter(|s| s.link.is_some()) {
            if session.bytes == 0 {
                session.reading = Reading::default();
            } else if session.reading.second(patience, least) {
                let (user, client) = (&session.user, &session.client);
                tracing::warn!(%user, %client, "a client of the broker stopped reading: nobody waits for it any more");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether somebody who acknowledges so many bytes in each of these seconds is waited for after each.
    fn waited_for(bytes: &[usize]) -> String {
        let mut reading = Reading::default();
        bytes
            .iter()
            .map(|bytes| {
                reading.awaited = true;
                reading.acknowledged(*bytes);
                reading.second(3, 100);
                if reading.stopped { '-' } else { 'y' }
            })
            .collect()
    }

    #[test]
    fn who_reads_is_waited_for_and_who_stops_is_not_until_it_reads_again() {
        assert_eq!(waited_for(&[40; 9]), "yyyyyyyyy");
        assert_eq!(waited_for(&[0; 6]), "yy----");
        assert_eq!(waited_for(&[33; 6]), "yy----");
        assert_eq!(waited_for(&[0, 0, 0, 99, 0, 0, 0, 0, 100, 0, 0, 0]), "yy------yyy-");
    }

    #[test]
    fn seconds_in_which_nobody_waits_do_not_count() {
        let mut reading = Reading::default();
        for second in 0..20 {
            reading.awaited = second % 3 > 0;
            assert!(!reading.second(3, 100));
        }
        assert!(!reading.stopped);
    }
}
