//! Wakes at an instant, to a tenth of a millisecond. The runtime's own timer counts in whole milliseconds and is up to
//! two of them late: on a quick line that is longer than the silence between two frames.

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::OnceLock;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

/// How much later than asked the kernel may wake us. So long before the instant we are awake, and look again and again
/// with everybody else served in between.
const LATE: Duration = Duration::from_micros(150);

/// The kernel's timer as the runtime wants to be handed it.
struct Timer(TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// A timer on the current runtime; where the kernel has none to give, the runtime's own stands in.
#[allow(deprecated, reason = "its successor is unsafe code; our timer keeps its descriptor for as long as it lives")]
fn timer() -> Option<AsyncFd<Timer>> {
    let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).ok()?;
    AsyncFd::new(Timer(timer)).ok()
}

/// One waiter at a time.
#[derive(Default)]
pub(super) struct Alarm(OnceLock<Option<AsyncFd<Timer>>>);

impl Alarm {
    /// Returns at `at`, and not before.
    pub async fn wait_until(&self, at: Instant) {
        let early = at.checked_sub(LATE).map(|early| early.saturating_duration_since(Instant::now()));
        if let Some(wait) = early.filter(|wait| !wait.is_zero())
            && self.sleep(wait).await.is_err()
        {
            return tokio::time::sleep_until(at).await;
        }
        while Instant::now() < at {
            tokio::task::yield_now().await;
        }
    }

    async fn sleep(&self, wait: Duration) -> io::Result<()> {
        let Some(timer) = self.0.get_or_init(timer) else { return Err(io::ErrorKind::Unsupported.into()) };
        let once = Expiration::OneShot(TimeSpec::from_duration(wait));
        timer.get_ref().0.set(once, TimerSetTimeFlags::empty())?;
        loop {
            // An earlier wait that was given up may have left its mark: only what can be read has come.
            let mut ready = timer.readable().await?;
            if let Ok(rung) = ready.try_io(|timer| timer.get_ref().0.wait().map_err(io::Error::from)) {
                return rung;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_never_rings_early_and_a_wait_that_was_given_up_does_not_ring_for_the_next() {
        let alarm = Alarm::default();
        for micros in [0, 50, 700, 1750, 4000] {
            let at = Instant::now() + Duration::from_micros(micros);
            alarm.wait_until(at).await;
            assert!(Instant::now() >= at);
            let long = alarm.wait_until(Instant::now() + Duration::from_millis(3));
            let given_up = tokio::time::timeout(Duration::from_millis(1), long).await;
            drop(given_up);
        }
        assert!(alarm.0.get().is_some_and(Option::is_some));
    }
}
