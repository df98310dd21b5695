//! What arrives, and who gets it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// A message from the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its topic.
    pub topic: String,
    /// Its payload.
    pub payload: Vec<u8>,
    /// The broker kept it from earlier: nobody says it just now.
    pub retained: bool,
    /// When it arrived.
    pub received: Instant,
}

/// Messages that wait for one subscriber that says nothing else. Readings are cumulative and states replace each other,
/// so when a subscriber is too slow it is the oldest message that can be spared.
pub(super) const INBOX: usize = 64;

#[derive(Default)]
struct Inbox {
    messages: Mutex<(VecDeque<Message>, u64)>,
    arrived: Notify,
}

/// The broker's side of a subscription.
pub(super) struct Subscriber {
    pub filter: String,
    /// Asked for in this session.
    pub asked: bool,
    confirmed: watch::Sender<bool>,
    inbox: Weak<Inbox>,
    capacity: usize,
}

/// Messages that fit one filter. Dropping it ends it.
pub struct Subscription {
    inbox: Arc<Inbox>,
    confirmed: watch::Receiver<bool>,
}

pub(super) fn pair(filter: &str, capacity: usize) -> (Subscriber, Subscription) {
    let inbox = Arc::new(Inbox::default());
    let (sender, confirmed) = watch::channel(false);
    let subscriber = Subscriber {
        filter: filter.to_owned(),
        asked: false,
        confirmed: sender,
        inbox: Arc::downgrade(&inbox),
        capacity: capacity.max(1),
    };
    (subscriber, Subscription { inbox, confirmed })
}

impl Subscriber {
    pub fn is_alive(&self) -> bool {
        self.inbox.strong_count() > 0
    }

    pub fn confirm(&self, yes: bool) {
        self.confirmed.send_replace(yes);
    }

    /// Whether the broker has consented, now and after each change.
    pub fn confirmed(&self) -> watch::Receiver<bool> {
        self.confirmed.subscribe()
    }

    pub fn offer(&self, message: &Message) {
        let Some(inbox) = self.inbox.upgrade().filter(|_| fits(&self.filter, &message.topic)) else { return };
        let mut guard = inbox.messages.lock().unwrap_or_else(PoisonError::into_inner);
        if guard.0.len() >= self.capacity {
            guard.0.pop_front();
            guard.1 += 1;
        }
        guard.0.push_back(message.clone());
        drop(guard);
        inbox.arrived.notify_one();
    }
}

impl Subscription {
    /// The next message; waits for it, for ever if need be.
    pub async fn recv(&mut self) -> Message {
        loop {
            if let Some(message) = self.try_recv() {
                return message;
            }
            self.inbox.arrived.notified().await;
        }
    }

    /// The next message, if one is there.
    pub fn try_recv(&mut self) -> Option<Message> {
        self.inbox.messages.lock().unwrap_or_else(PoisonError::into_inner).0.pop_front()
    }

    /// How many messages were dropped because nobody took them.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.inbox.messages.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    /// Waits until the broker has consented in the present session.
    pub async fn ready(&mut self) {
        // The sender lives in the link; when that is gone there is nothing left to wait for.
        let _ = self.confirmed.wait_for(|yes| *yes).await;
    }
}

/// Whether a topic fits a filter, as MQTT 3.1.1 section 4.7 says.
pub(crate) fn fits(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_fit_as_the_specification_says() {
        for (filter, topic) in
            [("a/b", "a/b"), ("a/+", "a/b"), ("a/#", "a"), ("a/#", "a/b/c"), ("#", "ä"), ("+/+", "/")]
        {
            assert!(fits(filter, topic), "{filter} {topic}");
        }
        for (filter, topic) in [("a/b", "a"), ("a/+", "a"), ("a/+", "a/b/c"), ("#", "$SYS/x"), ("a", "a/b"), ("+", "")]
        {
            assert!(!fits(filter, topic) || topic.is_empty(), "{filter} {topic}");
        }
    }

    #[tokio::test]
    async fn a_slow_subscriber_loses_the_oldest_messages_and_is_told_how_many() {
        let (subscriber, mut subscription) = pair("t", INBOX);
        for i in 0..INBOX + 3 {
            let payload = i.to_string().into_bytes();
            subscriber.offer(&Message { topic: "t".into(), payload, retained: false, received: Instant::now() });
        }
        assert_eq!(subscription.recv().await.payload, b"3");
        assert_eq!(subscription.dropped(), 3);
        drop(subscription);
        assert!(!subscriber.is_alive());
    }
}
