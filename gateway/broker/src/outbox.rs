//! What a connection has to send: the broker puts in, the connection takes out when it may.

use rmqtt_codec::v5::Packet;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use tokio::sync::Notify;

/// Packets on their way to one client, each with the position of the journal that must be safe before.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    packets: RefCell<VecDeque<(u64, Packet)>>,
    bytes: Cell<usize>,
    closed: Cell<bool>,
    news: Notify,
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
        self.bytes.set(self.bytes.get() + size(&packet));
        self.packets.borrow_mut().push_back((position, packet));
        self.news.notify_one();
    }

    /// Takes the first, if the journal has reached what it waits for.
    pub fn take(&self, mut reached: impl FnMut(u64) -> bool) -> Next {
        let mut packets = self.packets.borrow_mut();
        match packets.front() {
            None => Next::Empty,
            Some((position, _)) if !reached(*position) => Next::Held,
            Some(_) => match packets.pop_front() {
                Some((_, packet)) => {
                    self.bytes.set(self.bytes.get().saturating_sub(size(&packet)));
                    Next::Packet(packet)
                }
                None => Next::Empty,
            },
        }
    }

    /// Bytes of the messages that wait.
    pub fn bytes(&self) -> usize {
        self.bytes.get()
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

/// Roughly what a packet takes in memory and on the wire.
fn size(packet: &Packet) -> usize {
    match packet {
        Packet::Publish(p) => 64 + p.topic.len() + p.payload.len(),
        _ => 64,
    }
}
