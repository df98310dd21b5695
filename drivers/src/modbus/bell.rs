//! One connection, several who wait for it. The runtime wakes one waker when something comes; this one wakes whichever
//! waiter there is, and that one listens for all.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// Who waits, by place.
pub(super) struct Bell(Mutex<Vec<Option<Waker>>>);

impl Bell {
    pub fn new(places: usize) -> Self {
        Self(Mutex::new(vec![None; places]))
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Option<Waker>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this place may be woken.
    pub fn wait(&self, place: usize, waker: &Waker) {
        if let Some(waiting) = self.waiting().get_mut(place) {
            match waiting {
                Some(present) => present.clone_from(waker),
                none => *none = Some(waker.clone()),
            }
        }
    }

    /// This place waits no more.
    pub fn leave(&self, place: usize) {
        if let Some(waiting) = self.waiting().get_mut(place) {
            *waiting = None;
        }
    }

    /// Something is there for this place.
    pub fn call(&self, place: usize) {
        let waker = self.waiting().get_mut(place).and_then(Option::take);
        waker.iter().for_each(Waker::wake_by_ref);
    }

    /// Something is there for all of them.
    pub fn call_all(&self) {
        let wakers = std::mem::take(&mut *self.waiting());
        *self.waiting() = vec![None; wakers.len()];
        wakers.iter().flatten().for_each(Waker::wake_by_ref);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    /// Something came, and nobody knows for whom.
    fn wake_by_ref(self: &Arc<Self>) {
        let one = self.waiting().iter().flatten().next().cloned();
        one.iter().for_each(Waker::wake_by_ref);
    }
}
