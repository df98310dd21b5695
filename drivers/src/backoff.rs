//! How long to wait before trying again, growing with each failure and never the same for two neighbours.

use std::time::Duration;

/// Doubles from `first` to `most`, each time shortened by a random part of up to a half, so that devices that failed
/// together do not come back together.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    most: Duration,
    failures: u32,
}

impl Backoff {
    pub fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, failures: 0 }
    }

    /// The wait after one more failure.
    pub fn failed(&mut self) -> Duration {
        let wait = jittered(self.first, self.most, self.failures);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    pub fn worked(&mut self) {
        self.failures = 0;
    }
}

/// The wait after one more failure than `failures`.
pub(crate) fn jittered(first: Duration, most: Duration, failures: u32) -> Duration {
    let whole = first.saturating_mul(1 << failures.min(16)).min(most);
    whole.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_bound_and_start_anew_after_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        for _ in 0..100 {
            assert!(backoff.failed() <= Duration::from_secs(2));
        }
        assert!(backoff.failed() >= Duration::from_secs(1));
        backoff.worked();
        assert!(backoff.failed() <= Duration::from_millis(100));
    }
}
