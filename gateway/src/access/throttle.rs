//! How often a password may be guessed. Some wrong ones are a person's; after those every further one closes the door for
//! twice as long as the one before.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Of what wrong passwords are counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Of {
    /// One user from one place.
    Both(String, IpAddr),
    /// One user from anywhere. Its door stays closed for 10 s at a time, so that keeping a user out takes many places and no pause.
    Name(String),
    /// Anybody from one place.
    Place(IpAddr),
}

impl Of {
    /// How many are free, and the longest that the door then stays closed.
    fn rule(&self) -> (u32, Duration) {
        match self {
            Self::Both(..) => (3, Duration::from_secs(1280)),
            Self::Name(_) => (20, FIRST),
            Self::Place(_) => (20, Duration::from_secs(1280)),
        }
    }
}

/// After the first that is not free.
const FIRST: Duration = Duration::from_secs(10);
/// After so long without another, all is forgotten.
const FORGET: Duration = Duration::from_secs(3600);
/// What is remembered at most.
const MOST: usize = 4096;

#[derive(Clone, Copy, Debug)]
struct Count {
    failed: u32,
    last: Instant,
    until: Instant,
}

/// The wrong passwords of the last hour.
#[derive(Debug, Default)]
pub struct Throttle(BTreeMap<Of, Count>);

impl Throttle {
    fn keys(name: &str, place: IpAddr) -> Vec<Of> {
        let (name, place) = (name.to_owned(), network(place));
        let mut keys = vec![Of::Both(name.clone(), place), Of::Name(name)];
        // Everybody on this machine comes from one place.
        if !place.is_loopback() {
            keys.push(Of::Place(place));
        }
        keys
    }

    /// For how long no password is looked at; `None` if one may be tried.
    #[must_use]
    pub fn closed(&self, name: &str, place: IpAddr, now: Instant) -> Option<Duration> {
        let left = |of: Of| self.0.get(&of).map(|c| c.until.saturating_duration_since(now));
        Self::keys(name, place).into_iter().filter_map(left).max().filter(|left| !left.is_zero())
    }

    /// One more wrong password. If that closes the door of this user from this place: how many there were, and for how long.
    pub fn wrong(&mut self, name: &str, place: IpAddr, now: Instant) -> Option<(u32, Duration)> {
        self.0.retain(|_, count| now.saturating_duration_since(count.last) < FORGET);
        let mut closed = None;
        for of in Self::keys(name, place) {
            if self.0.len() >= MOST && !self.0.contains_key(&of) {
                // The one that was silent for longest makes room.
                let oldest = self.0.iter().min_by_key(|(_, c)| c.last).map(|(of, _)| of.clone());
                oldest.map(|of| self.0.remove(&of));
            }
            let (free, most) = of.rule();
            let count = self.0.entry(of.clone()).or_insert(Count { failed: 0, last: now, until: now });
            count.failed = count.failed.saturating_add(1);
            count.last = now;
            if let Some(more) = count.failed.checked_sub(free + 1) {
                let wait = (FIRST * 2_u32.pow(more.min(7))).min(most);
                count.until = now + wait;
                if matches!(of, Of::Both(..)) {
                    closed = Some((count.failed, wait));
                }
            }
        }
        closed
    }

    /// The right password: what this user got wrong here is forgotten.
    pub fn right(&mut self, name: &str, place: IpAddr) {
        for of in Self::keys(name, place) {
            if !matches!(of, Of::Place(_)) {
                self.0.remove(&of);
            }
        }
    }
}

/// Who has one IPv6 address has 2^64 of them.
fn network(place: IpAddr) -> IpAddr {
    match place.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        other => other,
    }
}
