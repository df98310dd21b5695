//! What a connection has to send: the broker puts in, the connection takes out when it may.

use crate::connection::A_WHILE;
use crate::wire;
use rmqtt_codec::v5::Packet;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// Packets on their way to one client, each with the position of the journal that must be safe before.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    packets: RefCell<VecDeque<Waiting>>,
    bytes: Cell<usize>,
    closed: Cell<bool>,
    news: Notify,
}

#[derive(Debug)]
struct Waiting {
    position: u64,
    packet: Packet,
    size: usize,
}

/// What is in an outbox.
pub(crate) enum Next {
    /// This may go.
    Packet(Packet),
    /// The first must wait for the journal.
    Held,
    /// Nothing.
    Empty,
}

impl Outbox {
    pub fn put(&self, position: u64, packet: Packet) {
        if self.closed.get() {
            return;
        }
        let size = size(&packet);
        self.bytes.set(self.bytes.get() + size);
        self.packets.borrow_mut().push_back(Waiting { position, packet, size });
        self.news.notify_one();
    }

    /// Takes the first, if the journal has reached what it waits for.
    pub fn take(&self, mut reached: impl FnMut(u64) -> bool) -> Next {
        let mut packets = self.packets.borrow_mut();
        match packets.front() {
            None => Next::Empty,
            Some(first) if !reached(first.position) => Next::Held,
            Some(_) => match packets.pop_front() {
                Some(Waiting { packet, size, .. }) => {
                    self.bytes.set(self.bytes.get().saturating_sub(size));
                    Next::Packet(packet)
                }
                None => Next::Empty,
            },
        }
    }

    /// Bytes of what waits.
    pub fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// Waits until no more than `most` bytes are in it. False if it did not shrink for so long.
    pub async fn has_room(&self, most: usize, patience: Duration) -> bool {
        let (mut least, mut since) = (self.bytes(), Instant::now());
        while self.bytes() > most {
            if self.bytes() < least {
                (least, since) = (self.bytes(), Instant::now());
            }
            if since.elapsed() >= patience {
                return false;
            }
            sleep(A_WHILE).await;
        }
        true
    }

    /// Nothing more is put in; what is in it is still sent.
    pub fn close(&self) {
        self.closed.set(true);
        self.news.notify_one();
    }

    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Waits until something was put in, or it was closed.
    pub async fn news(&self) {
        self.news.notified().await;
    }
}

/// Roughly what a packet takes in memory.
fn size(packet: &Packet) -> usize {
    size_of::<Waiting>()
        + match packet {
            Packet::Publish(p) => size_of_val(&**p) + wire::weight(p),
            _ => 0,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn who_takes_something_is_waited_for_and_who_takes_nothing_is_not() {
        let outbox = Outbox::default();
        for _ in 0..8 {
            outbox.put(0, Packet::PingResponse);
        }
        let one = outbox.bytes() / 8;
        assert!(!outbox.has_room(7 * one, A_WHILE * 3).await);
        let reads = async {
            for _ in 0..4 {
                sleep(A_WHILE * 20).await;
                outbox.take(|_| true);
            }
        };
        let (room, ()) = tokio::join!(outbox.has_room(4 * one, A_WHILE * 50), reads);
        assert!(room && outbox.bytes() == 4 * one);
    }
}
