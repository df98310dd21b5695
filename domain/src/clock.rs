//! Instants on the wall clock, and the one clock that the whole gateway reads.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, Sub};
use std::sync::Arc;
use std::time::Duration;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Time since `earlier`; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The start of the period of this length, counted from 1970, in which the instant lies.
    #[must_use]
    pub fn floor_to(self, period: Duration) -> Self {
        let period = i64::try_from(period.as_millis()).unwrap_or(i64::MAX).max(1);
        Self(self.0.div_euclid(period).saturating_mul(period))
    }

    /// Whole seconds since 1970, as block timestamps have them.
    #[must_use]
    pub fn unix_seconds(self) -> u64 {
        u64::try_from(self.0.div_euclid(1000)).unwrap_or(0)
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, d: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, d: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, to the second.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0.div_euclid(1000)) {
            Ok(t) => write!(f, "{t}"),
            Err(_) => write!(f, "{} ms since 1970", self.0),
        }
    }
}

/// Where "now" comes from. Cheap to clone; everybody in one process shares one.
///
/// A street that is simulated may live faster than the wall clock; a test may own its time altogether.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    speed: u32,
}

impl Clock {
    /// A clock that asks `now`; one second of it lasts `1/speed` seconds of real time.
    pub fn new(speed: u32, now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { now: Arc::new(now), speed: speed.max(1) }
    }

    /// The instant it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// How much faster than real time this clock runs (1 everywhere but in simulations).
    #[must_use]
    pub fn speed(&self) -> u32 {
        self.speed
    }

    /// How long to wait in real time for `span` to pass on this clock.
    #[must_use]
    pub fn real(&self, span: Duration) -> Duration {
        span / self.speed
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("speed", &self.speed).finish_non_exhaustive()
    }
}
