//! The door to a port: one at a time, in order of arrival, except that orders to switches go first.

use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Mutex, MutexGuard};

/// Who wants the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// An order to a switch, or the look at its contact.
    Order,
    /// Anything that can wait for that.
    Reading,
}

pub(crate) struct Gate<T> {
    inside: Mutex<T>,
    /// How many orders wait.
    orders: AtomicUsize,
}

/// Counts an order as waiting; a caller that loses interest waits no more.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(orders: &'a AtomicUsize) -> Self {
        orders.fetch_add(1, Ordering::SeqCst);
        Self(orders)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<T> Gate<T> {
    pub fn new(inside: T) -> Self {
        Self { inside: Mutex::new(inside), orders: AtomicUsize::new(0) }
    }

    /// Waits for whoever is inside now, and for nobody of a lower lane behind them.
    pub async fn enter(&self, lane: Lane) -> MutexGuard<'_, T> {
        if lane == Lane::Order {
            let _waiting = Waiting::new(&self.orders);
            return self.inside.lock().await;
        }
        loop {
            let inside = self.inside.lock().await;
            if self.orders.load(Ordering::SeqCst) == 0 {
                return inside;
            }
            // The lock is handed out in order of arrival: whoever leaves and knocks again stands behind the order.
            drop(inside);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex as StdMutex};

    #[tokio::test]
    async fn an_order_passes_everybody_who_waits_and_nobody_who_is_inside() {
        let gate = Arc::new(Gate::new(()));
        let served = Arc::new(StdMutex::new(Vec::new()));
        let inside = gate.enter(Lane::Reading).await;
        let mut waiting = tokio::task::JoinSet::new();
        let mut queue = |name: usize, lane| {
            let (gate, served) = (Arc::clone(&gate), Arc::clone(&served));
            waiting.spawn(async move {
                let _inside = gate.enter(lane).await;
                served.lock().unwrap().push(name);
                tokio::task::yield_now().await;
            });
        };
        (1..=32).for_each(|name| queue(name, Lane::Reading));
        tokio::task::yield_now().await;
        queue(100, Lane::Order);
        queue(101, Lane::Order);
        tokio::task::yield_now().await;
        assert!(served.lock().unwrap().is_empty());
        drop(inside);
        waiting.join_all().await;
        let served = served.lock().unwrap().clone();
        assert_eq!((served.len(), &served[..2]), (34, &[100, 101][..]));
    }

    #[tokio::test]
    async fn an_order_that_nobody_waits_for_any_more_holds_nobody_up() {
        let gate = Gate::new(());
        let inside = gate.enter(Lane::Reading).await;
        {
            let mut order = std::pin::pin!(gate.enter(Lane::Order));
            assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(order.as_mut().poll(cx).is_pending())).await);
        }
        drop(inside);
        let _ = gate.enter(Lane::Reading).await;
    }
}
