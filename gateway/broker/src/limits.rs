//! How much one client, and all together, may ask of the broker.

use std::time::Duration;

/// Bounds. What is beyond one of them is refused, made to wait or dropped as its line says. Of sessions, `filters`,
/// `queues` and `retained` one user has at most an eighth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a packet; a client that sends more is disconnected.
    pub packet: u32,
    /// Connections; further ones are closed at once.
    pub connections: usize,
    /// Sessions that outlive their connection; further ones are refused.
    pub sessions: usize,
    /// Subscriptions of one session; further ones are refused.
    pub subscriptions: usize,
    /// Subscriptions of all sessions together; further ones are refused.
    pub filters: usize,
    /// Messages that one client may publish in a second, over ten seconds; then it is read more slowly.
    pub rate: u32,
    /// Messages that are under way to one client without its acknowledgement; the rest waits in its session.
    pub window: u16,
    /// Bytes that wait in one session; then its oldest message is dropped, and counted.
    pub queue: usize,
    /// Bytes that wait for a bridge whose other side is away, beside all others; then likewise.
    pub bridge: usize,
    /// Bytes that wait in all sessions together; then likewise.
    pub queues: usize,
    /// Bytes that wait for one connection; then messages of QoS 0 to it are dropped.
    pub outbox: usize,
    /// How long publishers by QoS 1 and 2 wait for a client that is connected and has half of `queue` waiting, in whole
    /// seconds, if it acknowledges next to nothing meanwhile. From then on it pays by its oldest messages, until it reads.
    pub patience: Duration,
    /// Bytes of all retained messages; further ones are delivered and not retained. The first user has as much again.
    pub retained: usize,
    /// How long a session waits for its client, at most.
    pub keep: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packet: 257 << 10,
            connections: 1000,
            sessions: 500,
            subscriptions: 1000,
            filters: 40_000,
            rate: 1000,
            window: 100,
            queue: 4 << 20,
            bridge: 32 << 20,
            queues: 64 << 20,
            outbox: 1 << 20,
            patience: Duration::from_secs(10),
            retained: 16 << 20,
            keep: Duration::from_secs(7 * 24 * 3600),
        }
    }
}
