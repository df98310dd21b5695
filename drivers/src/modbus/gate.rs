//! The door to a port: so many at a time as it has places, in order of arrival, except that orders to switches go first.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit};

/// Who wants the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// An order to a switch, or the look at its contact.
    Order,
    /// Anything that can wait for that.
    Reading,
}

/// Whether others may be inside at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Company {
    Any,
    None,
}

pub(crate) struct Gate<T> {
    places: Vec<Mutex<T>>,
    /// As many permits as there are places: whoever has one finds a place.
    permits: Semaphore,
    /// How many orders wait.
    orders: AtomicUsize,
}

/// A place inside. Declared in the order in which it is left: the place is free before the next one is let in.
pub(crate) struct Inside<'a, T> {
    place: MutexGuard<'a, T>,
    _permit: SemaphorePermit<'a>,
}

impl<T> Deref for Inside<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.place
    }
}

impl<T> DerefMut for Inside<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.place
    }
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
    pub fn new(places: impl IntoIterator<Item = T>) -> Self {
        let places: Vec<Mutex<T>> = places.into_iter().map(Mutex::new).collect();
        Self { permits: Semaphore::new(places.len()), places, orders: AtomicUsize::new(0) }
    }

    /// Waits for a place, or until everybody has left; for nobody of a lower lane behind them.
    pub async fn enter(&self, lane: Lane, company: Company) -> Inside<'_, T> {
        let _waiting = (lane == Lane::Order).then(|| Waiting::new(&self.orders));
        loop {
            if let Some(inside) = self.next(company).await {
                if lane == Lane::Order || self.orders.load(Ordering::SeqCst) == 0 {
                    return inside;
                }
                // Places are handed out in order of arrival: whoever leaves and knocks again stands behind the order.
                drop(inside);
            }
            tokio::task::yield_now().await;
        }
    }

    async fn next(&self, company: Company) -> Option<Inside<'_, T>> {
        let wanted = match company {
            Company::Any => 1,
            Company::None => u32::try_from(self.places.len()).unwrap_or(u32::MAX),
        };
        let permit = self.permits.acquire_many(wanted).await.ok()?;
        let place = self.places.iter().find_map(|place| place.try_lock().ok())?;
        Some(Inside { place, _permit: permit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex as StdMutex};

    #[tokio::test]
    async fn an_order_passes_everybody_who_waits_and_nobody_who_is_inside() {
        let gate = Arc::new(Gate::new([()]));
        let served = Arc::new(StdMutex::new(Vec::new()));
        let inside = gate.enter(Lane::Reading, Company::Any).await;
        let mut waiting = tokio::task::JoinSet::new();
        let mut queue = |name: usize, lane| {
            let (gate, served) = (Arc::clone(&gate), Arc::clone(&served));
            waiting.spawn(async move {
                let _inside = gate.enter(lane, Company::Any).await;
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
        let gate = Gate::new([()]);
        let inside = gate.enter(Lane::Reading, Company::Any).await;
        {
            let mut order = std::pin::pin!(gate.enter(Lane::Order, Company::Any));
            assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(order.as_mut().poll(cx).is_pending())).await);
        }
        drop(inside);
        let _ = gate.enter(Lane::Reading, Company::Any).await;
    }

    #[tokio::test]
    async fn so_many_are_inside_as_there_are_places_and_an_order_gets_the_next_one() {
        let gate = Gate::new([1, 2, 3]);
        let mut inside = Vec::new();
        for _ in 0..3 {
            inside.push(gate.enter(Lane::Reading, Company::Any).await);
        }
        let mut reading = std::pin::pin!(gate.enter(Lane::Reading, Company::Any));
        let mut order = std::pin::pin!(gate.enter(Lane::Order, Company::Any));
        assert!(is_pending(&mut reading).await && is_pending(&mut order).await);
        let left = inside.pop().map(|place| *place);
        assert!(is_pending(&mut reading).await, "it came first, and lets the order pass");
        let order = order.await;
        assert_eq!(Some(*order), left);
        assert!(is_pending(&mut reading).await);
        drop(order);
        assert_eq!(Some(*reading.await), left);
    }

    #[tokio::test]
    async fn who_wants_to_be_alone_waits_for_everybody_and_lets_nobody_in_meanwhile() {
        let gate = Gate::new([(), ()]);
        let inside = gate.enter(Lane::Reading, Company::Any).await;
        let mut alone = std::pin::pin!(gate.enter(Lane::Reading, Company::None));
        let mut next = std::pin::pin!(gate.enter(Lane::Reading, Company::Any));
        assert!(is_pending(&mut alone).await && is_pending(&mut next).await);
        drop(inside);
        let alone = alone.await;
        assert!(is_pending(&mut next).await);
        drop(alone);
        let _ = next.await;
    }

    async fn is_pending(future: &mut (impl Future + Unpin)) -> bool {
        // Whoever lets an order pass knocks again only a turn later.
        tokio::task::yield_now().await;
        std::future::poll_fn(|cx| std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_pending())).await
    }
}
