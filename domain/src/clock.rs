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
    /// 2026-01-01: before this program was written. A clock that says an earlier time was not set.
    pub const TRUSTED: Self = Self(1_767_225_600_000);

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

impl std::str::FromStr for Timestamp {
    type Err = String;
    /// RFC 3339, such as `2026-03-02T00:00:00Z`.
    fn from_str(text: &str) -> Result<Self, String> {
        let parsed: Result<jiff::Timestamp, _> = text.parse();
        let wrong = |_| format!("{text:?} is no instant: write it as 2026-03-02T00:00:00Z");
        parsed.map(|t| Self(t.as_millisecond())).map_err(wrong)
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

/// Time on a clock that nobody sets: it runs from the start of the machine, through suspension, until the next start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Uptime {
    /// Which start of the machine it counts from.
    pub boot: u32,
    /// Milliseconds since then.
    pub ms: i64,
}

impl Uptime {
    /// The time that has truly passed since `earlier`, whatever was done to the wall clock meanwhile; `None` if the
    /// machine was started anew in between.
    #[must_use]
    pub fn since(self, earlier: Self) -> Option<Duration> {
        let ms = u64::try_from(self.ms.checked_sub(earlier.ms)?).ok()?;
        (self.boot == earlier.boot).then(|| Duration::from_millis(ms))
    }
}

/// An instant on the wall clock and, where the machine has one, on the clock that nobody sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// On the wall clock.
    pub at: Timestamp,
    /// On the other.
    pub up: Option<Uptime>,
}

impl From<Timestamp> for Stamp {
    fn from(at: Timestamp) -> Self {
        Self { at, up: None }
    }
}

impl Sub<Duration> for Stamp {
    type Output = Self;
    fn sub(self, d: Duration) -> Self {
        let ms = i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        Self { at: self.at - d, up: self.up.map(|up| Uptime { ms: up.ms.saturating_sub(ms), ..up }) }
    }
}

/// Where "now" comes from. Cheap to clone; everybody in one process shares one.
///
/// A street that is simulated may live faster than the wall clock; a test may own its time altogether.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> Stamp + Send + Sync>,
    speed: u32,
}

impl Clock {
    /// A clock that asks `now`; one second of it lasts `1/speed` seconds of real time.
    pub fn new<T: Into<Stamp>>(speed: u32, now: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self { now: Arc::new(move || now().into()), speed: speed.max(1) }
    }

    /// The instant it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.stamp().at
    }

    /// The instant it is, for whatever must not be confused by a clock that is set.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
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
