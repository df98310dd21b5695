//! Which clock the gateway lives by.

use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::secrets::write_private;
use domain::{Clock, Stamp, Timestamp, Uptime};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The wall clock.
#[must_use]
pub fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The wall clock beside the one that nobody sets. A Pi without a battery starts with the time of its last shutdown and
/// is set when the network comes: what is metered meanwhile must not become hours of energy, nor an hour without any.
#[must_use]
pub fn real() -> Clock {
    let boot = boot();
    Clock::new(1, move || Stamp { at: wall(), up: boot.and_then(uptime) })
}

/// Which start of the machine this is, as a number that differs from one to the next.
fn boot() -> Option<u32> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    u32::from_str_radix(id.get(..8)?, 16).ok()
}

fn uptime(boot: u32) -> Option<Uptime> {
    let since = Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?);
    Some(Uptime { boot, ms: i64::try_from(since.as_millis()).ok()? })
}

/// Where a hurried clock was tied to the wall clock. Kept on disk, so that a restart finds the street where it would
/// have been.
#[derive(Serialize, Deserialize)]
struct Tie {
    street: i64,
    wall: i64,
    speed: u32,
}

/// The wall clock, or for a wholly simulated street that lives faster, a clock of its own.
pub fn open(config: &Config) -> Result<Clock, Failure> {
    let speed = config.simulator.speed;
    if speed == 1 && config.simulator.anchor.is_none() {
        return Ok(real());
    }
    let path = config.state.join("simulated-clock.json");
    std::fs::create_dir_all(&config.state)
        .map_err(|e| Failure::new(Code::Unavailable, format!("cannot create {}: {e}", config.state.display())))?;
    let failed = |what: String| Failure::new(Code::Data, format!("{}: {what}", path.display()));
    let tie = match std::fs::read_to_string(&path) {
        Ok(text) => {
            let tie: Tie = serde_json::from_str(&text)
                .map_err(|e| failed(format!("{e}; delete the file to start the simulated street anew")))?;
            if tie.speed == speed { tie } else { retie(&tie, speed) }
        }
        Err(_) => Tie { street: config.simulator.anchor.unwrap_or_else(wall).0, wall: wall().0, speed },
    };
    let text = serde_json::to_vec(&tie).map_err(|e| failed(e.to_string()))?;
    write_private(&path, &text).map_err(|e| failed(e.to_string()))?;
    Ok(Clock::new(speed, move || {
        let passed = wall().0.saturating_sub(tie.wall).max(0);
        Timestamp(tie.street.saturating_add(passed.saturating_mul(i64::from(tie.speed))))
    }))
}

/// The same street at another speed, from now on.
fn retie(old: &Tie, speed: u32) -> Tie {
    let now = wall().0;
    let passed = now.saturating_sub(old.wall).max(0).saturating_mul(i64::from(old.speed));
    Tie { street: old.street.saturating_add(passed), wall: now, speed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_that_nobody_sets_runs_and_knows_which_start_it_counts_from() {
        let clock = real();
        let (first, second) = (clock.stamp(), clock.stamp());
        let (first, second) = (first.up.unwrap(), second.up.unwrap());
        assert!(second.since(first).is_some_and(|passed| passed < Duration::from_secs(60)));
        assert!(first.ms > 0);
    }
}
