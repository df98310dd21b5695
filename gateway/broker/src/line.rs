//! What a client said that must wait, because somebody who is to hear it reads more slowly.

use crate::connection::End;
use crate::hub::{Hub, Place, compact};
use crate::wire;
use rmqtt_codec::v5::Packet;
use std::collections::VecDeque;

/// Bytes after which no more is read.
const MOST: usize = 64 << 10;

/// Packets of one client, in their order. Acknowledgements and pings pass them: somebody else may be waiting for these.
#[derive(Debug, Default)]
pub(crate) struct Line {
    packets: VecDeque<Packet>,
    bytes: usize,
}

impl Line {
    /// Takes a packet that came.
    pub fn take(&mut self, hub: &mut Hub, place: Place, packet: Packet, follow: impl Follow) -> Result<(), End> {
        if passes(&packet) || self.packets.is_empty() && !hub.must_wait(place, &packet, true) {
            return follow(hub, packet);
        }
        let packet = match packet {
            Packet::Publish(publish) => Packet::Publish(Box::new(compact(*publish))),
            other => other,
        };
        self.bytes += size(&packet);
        self.packets.push_back(packet);
        Ok(())
    }

    /// Follows what need not wait any more.
    pub fn go_on(&mut self, hub: &mut Hub, place: Place, follow: impl Follow) -> Result<(), End> {
        // When nothing more is read, its own acknowledgements do not come either.
        let own = !self.is_full();
        while let Some(first) = self.packets.front() {
            if hub.must_wait(place, first, own) {
                return Ok(());
            }
            let Some(packet) = self.packets.pop_front() else { return Ok(()) };
            self.bytes = self.bytes.saturating_sub(size(&packet));
            follow(hub, packet)?;
        }
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Whether no more is to be read: nothing comes after a DISCONNECT.
    pub fn is_full(&self) -> bool {
        self.bytes > MOST || matches!(self.packets.back(), Some(Packet::Disconnect(_)))
    }
}

/// Follows one packet.
pub(crate) trait Follow: Fn(&mut Hub, Packet) -> Result<(), End> {}
impl<F: Fn(&mut Hub, Packet) -> Result<(), End>> Follow for F {}

fn passes(packet: &Packet) -> bool {
    match packet {
        Packet::PublishAck(_)
        | Packet::PublishReceived(_)
        | Packet::PublishRelease(_)
        | Packet::PublishComplete(_)
        | Packet::PingRequest
        | Packet::PingResponse => true,
        // It ends the connection.
        Packet::Publish(publish) => publish.properties.as_ref().is_some_and(|p| p.topic_alias.is_some()),
        _ => false,
    }
}

/// Roughly what a packet takes in memory.
fn size(packet: &Packet) -> usize {
    size_of::<Packet>()
        + match packet {
            Packet::Publish(p) => size_of_val(&**p) + wire::weight(p),
            Packet::Subscribe(s) => s.topic_filters.iter().map(|(filter, _)| 64 + filter.len()).sum(),
            Packet::Unsubscribe(u) => u.topic_filters.iter().map(|filter| 64 + filter.len()).sum(),
            _ => 0,
        }
}
