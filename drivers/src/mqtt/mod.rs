//! One connection to an MQTT broker, kept alive and re-subscribed for as long as somebody holds it.
//!
//! The client library forgets what is queued when a broker comes back without its session, as brokers do that keep
//! sessions in memory. So the queue is kept here: a message leaves it when the broker has acknowledged it, and what
//! was not acknowledged is sent again. Orders are the exception: an order to a switch must not arrive an hour late,
//! so it is dropped when the connection breaks, and whoever gave it is told.

pub(crate) mod device;
mod session;
pub(crate) mod subscription;

pub(crate) use device::{MqttBus, MqttMeter, MqttSwitchDevice};
pub use subscription::{Message, Subscription};

use crate::spec::MqttSpec;
use session::Session;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use subscription::Subscriber;
use thiserror::Error;
use tokio::sync::{Notify, oneshot, watch};

/// What the broker publishes for us when the connection is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// Whether later subscribers get it too.
    pub retain: bool,
}

/// Why a message was not taken, or not delivered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PublishError {
    /// The queue is full: the broker has been away too long. Try later; nothing was queued.
    #[error("the queue of {QUEUE} messages is full")]
    Full,
    /// A topic with wildcards, an empty one, or a payload of more than 256 KiB.
    #[error("topic {0:?} or its payload cannot be published")]
    Impossible(String),
    /// The connection broke before the broker acknowledged, or the link was closed.
    #[error("not connected to the broker")]
    Lost,
}

/// Messages that wait while the broker is away.
const QUEUE: usize = 1024;
const LARGEST: usize = 256 * 1024;

/// A message on its way out.
pub(super) struct Outgoing {
    topic: String,
    payload: Vec<u8>,
    retain: bool,
    /// Never sent again after a broken connection.
    order: bool,
    acknowledged: Option<oneshot::Sender<()>>,
}

#[derive(Default)]
pub(super) struct Queue {
    waiting: VecDeque<Outgoing>,
    /// Messages that the broker has not acknowledged yet.
    unacknowledged: usize,
    subscribers: Vec<Subscriber>,
    closing: bool,
}

#[derive(Default)]
pub(super) struct Shared {
    queue: Mutex<Queue>,
    /// Something is to be sent.
    work: Notify,
    /// Something left the queue.
    space: Notify,
    /// Somebody wants a connection now, whatever the back-off says.
    hurry: Notify,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection to a broker. Clones share it; when the last is dropped the connection breaks and the broker
/// publishes the last will. [`Link::close`] takes leave in form.
#[derive(Clone)]
pub struct Link {
    shared: Arc<Shared>,
    connected: watch::Receiver<bool>,
    _session: Arc<Stop>,
}

/// Stops the task with its last owner.
struct Stop(tokio::task::AbortHandle);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("connected", &*self.connected.borrow()).finish_non_exhaustive()
    }
}

impl Link {
    /// Starts to connect, on the current tokio runtime, and never stops trying: at once, then with growing, jittered
    /// waits of up to 10 s. `last_will` is what the broker says when the connection is lost.
    #[must_use]
    pub fn connect(spec: MqttSpec, last_will: Option<Will>) -> Self {
        let shared = Arc::new(Shared::default());
        let (up, connected) = watch::channel(false);
        let session = Session::new(Arc::clone(&shared), up, &spec, last_will);
        let task = tokio::spawn(session.run());
        Self { shared, connected, _session: Arc::new(Stop(task.abort_handle())) }
    }

    /// Whether the broker is there, now and after each change.
    #[must_use]
    pub fn connected(&self) -> watch::Receiver<bool> {
        self.connected.clone()
    }

    /// Cuts the present wait for the next attempt to connect short.
    pub fn hurry(&self) {
        self.shared.hurry.notify_waiters();
    }

    /// Queues a message (QoS 1); waits while the queue is full. `Ok` means queued: it is sent until the broker has
    /// it, but does not survive the process.
    pub async fn publish(&self, topic: &str, payload: impl Into<Vec<u8>>, retain: bool) -> Result<(), PublishError> {
        let message = outgoing(topic, payload.into(), retain)?;
        self.enqueue(message).await
    }

    /// Like [`Link::publish`], but refuses instead of waiting when the queue is full.
    pub fn try_publish(&self, topic: &str, payload: impl Into<Vec<u8>>, retain: bool) -> Result<(), PublishError> {
        let message = outgoing(topic, payload.into(), retain)?;
        self.try_enqueue(message).map_err(|(_, error)| error)
    }

    /// Like [`Link::publish`], but returns only when the broker has acknowledged the message, however long that takes.
    pub async fn deliver(&self, topic: &str, payload: impl Into<Vec<u8>>, retain: bool) -> Result<(), PublishError> {
        let (acknowledged, wait) = oneshot::channel();
        let message = Outgoing { acknowledged: Some(acknowledged), ..outgoing(topic, payload.into(), retain)? };
        self.enqueue(message).await?;
        wait.await.map_err(|_| PublishError::Lost)
    }

    /// Sends an order now or never: refused while the broker is away, given up when the connection breaks.
    pub(crate) async fn order(&self, topic: &str, payload: &str) -> Result<(), PublishError> {
        if !*self.connected.borrow() {
            return Err(PublishError::Lost);
        }
        let (acknowledged, wait) = oneshot::channel();
        let message = outgoing(topic, payload.into(), false)?;
        self.try_enqueue(Outgoing { acknowledged: Some(acknowledged), order: true, ..message })
            .map_err(|(_, error)| error)?;
        wait.await.map_err(|_| PublishError::Lost)
    }

    /// Messages whose topic fits `filter` (`+` and `#` as in MQTT), from now on and again after every reconnection.
    /// The inbox is bounded; when it overflows the oldest messages are dropped and counted.
    ///
    /// Returns at once; [`Subscription::ready`] waits for the broker's consent.
    pub fn subscribe(&self, filter: &str) -> Subscription {
        self.subscribe_with(filter, subscription::INBOX)
    }

    /// Like [`Link::subscribe`], with an inbox of this many messages: for topics of which a broker has kept hundreds, all of
    /// which come at once and each of which counts.
    pub fn subscribe_with(&self, filter: &str, capacity: usize) -> Subscription {
        let (subscriber, subscription) = subscription::pair(filter, capacity);
        self.shared.queue().subscribers.push(subscriber);
        self.shared.work.notify_one();
        subscription
    }

    /// Waits until the broker has consented to everything that is subscribed to now.
    pub async fn subscribed(&self) {
        let waits: Vec<_> = self.shared.queue().subscribers.iter().map(Subscriber::confirmed).collect();
        for mut confirmed in waits {
            // A subscription that has ended meanwhile has nothing to wait for.
            let _ = confirmed.wait_for(|yes| *yes).await;
        }
    }

    /// How many messages the broker has not acknowledged yet.
    #[must_use]
    pub fn backlog(&self) -> usize {
        let queue = self.shared.queue();
        queue.waiting.len() + queue.unacknowledged
    }

    /// Takes leave: waits at most `patience` for the queue to empty, then disconnects, so that the last will is not
    /// published. Says how many messages stayed behind.
    pub async fn close(&self, patience: Duration) -> usize {
        let emptied = async {
            loop {
                // Made before the look, so that what leaves in between is not missed.
                let space = self.shared.space.notified();
                if self.backlog() == 0 {
                    break;
                }
                space.await;
            }
        };
        let _ = tokio::time::timeout(patience, emptied).await;
        self.shared.queue().closing = true;
        self.shared.work.notify_one();
        let mut connected = self.connected();
        let _ = tokio::time::timeout(Duration::from_secs(1), connected.wait_for(|up| !up)).await;
        self.backlog()
    }

    async fn enqueue(&self, mut message: Outgoing) -> Result<(), PublishError> {
        loop {
            let space = self.shared.space.notified();
            match self.try_enqueue(message) {
                Err((back, PublishError::Full)) => message = back,
                other => return other.map_err(|(_, error)| error),
            }
            space.await;
        }
    }

    fn try_enqueue(&self, message: Outgoing) -> Result<(), (Outgoing, PublishError)> {
        let mut queue = self.shared.queue();
        if queue.closing {
            return Err((message, PublishError::Lost));
        }
        if queue.waiting.len() >= QUEUE {
            return Err((message, PublishError::Full));
        }
        queue.waiting.push_back(message);
        drop(queue);
        self.shared.work.notify_one();
        Ok(())
    }
}

fn outgoing(topic: &str, payload: Vec<u8>, retain: bool) -> Result<Outgoing, PublishError> {
    let impossible = topic.is_empty() || topic.len() > 4096 || topic.contains(['+', '#', '\0']);
    if impossible || payload.len() > LARGEST {
        return Err(PublishError::Impossible(topic.chars().take(80).collect()));
    }
    Ok(Outgoing { topic: topic.to_owned(), payload, retain, order: false, acknowledged: None })
}
