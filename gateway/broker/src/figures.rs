//! What a broker counts, for those who watch it: as `$SYS` topics by MQTT, and as [`Figures`] by call.

use std::sync::atomic::{AtomicU64, Ordering};

/// How a broker is doing. Counts begin with the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Seconds since it started.
    pub uptime_s: u64,
    /// Clients that are connected.
    pub connected: u64,
    /// Sessions, of clients that are connected and of those that are away.
    pub sessions: u64,
    /// Subscriptions of all sessions.
    pub subscriptions: u64,
    /// Topics with a retained message.
    pub retained: u64,
    /// Bytes of retained messages in memory.
    pub retained_bytes: u64,
    /// Messages that wait in sessions, or are under way without an acknowledgement.
    pub waiting: u64,
    /// Bytes of these in memory.
    pub waiting_bytes: u64,
    /// Messages that came from clients.
    pub received: u64,
    /// Messages that went to clients, repetitions included.
    pub sent: u64,
    /// Messages that were given up because a client was too slow or away too long.
    pub dropped: u64,
    /// Messages that a client may not publish.
    pub refused: u64,
    /// Messages that were delivered and not retained, for want of room.
    pub unretained: u64,
    /// Connections that were refused: a wrong password, no room, or too many.
    pub turned_away: u64,
}

macro_rules! counters {
    ($($name:ident),*) => {
        /// The same, written by the broker's thread and read by any.
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub $name: Count),* }

        impl Counters {
            pub fn look(&self) -> Figures {
                Figures { $($name: self.$name.get()),* }
            }
        }
    };
}
counters!(
    uptime_s,
    connected,
    sessions,
    subscriptions,
    retained,
    retained_bytes,
    waiting,
    waiting_bytes,
    received,
    sent,
    dropped,
    refused,
    unretained,
    turned_away
);

/// One of them.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// One more.
    pub fn more(&self) {
        // Figures are not compared with each other: no order between them is needed.
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub fn set(&self, to: usize) {
        self.0.store(u64::try_from(to).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
