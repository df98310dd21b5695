//! The counter guard: what stands between a register and money.

use crate::{Timestamp, WattHours, Watts};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a step of a register is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "doubt", rename_all = "snake_case")]
pub enum Doubt {
    /// A cumulative register went down: roll-over, a reset, or another meter in its place.
    Backward {
        /// What it said last.
        from: WattHours,
        /// What it says now.
        to: WattHours,
    },
    /// It rose by more than the connection can carry in that time.
    Jump {
        /// By how much it rose.
        by: WattHours,
        /// What the connection could have carried.
        possible: WattHours,
    },
    /// The clock says a time before this program was written, after it was right: it was not set yet.
    Early {
        /// What it says.
        at: Timestamp,
    },
    /// More than a year without a reading, or a clock that was far from the truth at one of the two.
    Long {
        /// The reading before.
        since: Timestamp,
        /// This one.
        until: Timestamp,
    },
    /// It was not found where it should be. No register is to blame; the gateway holds the meter by what its beacons say.
    Elsewhere {
        /// Proofs of its place that failed.
        failed: u32,
        /// Of so many of the last.
        of: u32,
    },
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backward { from, to } => write!(f, "the register fell from {from} to {to}"),
            Self::Jump { by, possible } => write!(f, "the register rose by {by} where at most {possible} could flow"),
            Self::Early { at } => write!(f, "the clock says {at}: it is not set yet"),
            Self::Long { since, until } => write!(f, "nothing was read from {since} to {until}"),
            Self::Elsewhere { failed, of } => {
                write!(f, "it was not found at its place in {failed} of the last {of} proofs")
            }
        }
    }
}

/// What is known about a meter and its connection, against which its registers are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The most power that the connection can carry.
    pub limit: Watts,
    /// Where the import register begins again from zero, if it is known to.
    pub import_rollover: Option<WattHours>,
    /// Where the export register does.
    pub export_rollover: Option<WattHours>,
}

impl Guard {
    /// A meter behind a connection of `limit` whose registers never begin again.
    #[must_use]
    pub fn new(limit: Watts) -> Self {
        Self { limit, import_rollover: None, export_rollover: None }
    }
}

/// Coarsest register step that is believed at any time: meters that count in 0.1 kWh jump by this much.
const RESOLUTION: WattHours = WattHours(100);
/// The shortest time that a step is judged over. Clocks are set, by seconds or by an hour, and meters answer late; what
/// can flow in a quarter of an hour is believed whatever the clock says.
const LEAST_MS: i64 = 15 * 60 * 1000;

/// The energy between two values of one register, if an honest meter behind a connection of `limit` can have counted it
/// between `since` and `until`.
///
/// A register that is known to begin again at `rollover` may fall once, if what it then counted in all could flow.
pub fn advance(
    from: WattHours,
    to: WattHours,
    (since, until): (Timestamp, Timestamp),
    limit: Watts,
    rollover: Option<WattHours>,
) -> Result<WattHours, Doubt> {
    let ms = i128::from(until.0.saturating_sub(since.0).max(LEAST_MS));
    let possible = i128::from(limit.0.max(0)) * ms / 3_600_000 + i128::from(RESOLUTION.0);
    let possible = WattHours(i64::try_from(possible).unwrap_or(i64::MAX));
    if to >= from {
        let by = to - from;
        return if by > possible { Err(Doubt::Jump { by, possible }) } else { Ok(by) };
    }
    // From a register that fell, a reset and a foreign meter look alike, unless it fell by nearly all that it can show.
    let round = rollover.and_then(|full| full.0.checked_sub(from.0)?.checked_add(to.0)).map(WattHours);
    round.filter(|by| WattHours::ZERO <= *by && *by <= possible).ok_or(Doubt::Backward { from, to })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Timestamp = Timestamp(3_600_000);
    const LIMIT: Watts = Watts(10_000);

    #[test]
    fn a_register_that_falls_is_doubted_and_never_a_negative_bill() {
        let doubt = advance(WattHours(10), WattHours(9), (Timestamp(0), HOUR), LIMIT, None).unwrap_err();
        assert_eq!(doubt, Doubt::Backward { from: WattHours(10), to: WattHours(9) });
    }

    #[test]
    fn a_lifetime_total_booked_in_one_step_is_doubted() {
        let ok = advance(WattHours(0), WattHours(10_000), (Timestamp(0), HOUR), LIMIT, None);
        assert_eq!(ok, Ok(WattHours(10_000)));
        assert!(matches!(
            advance(WattHours(0), WattHours(53_700_000), (Timestamp(0), HOUR), LIMIT, None),
            Err(Doubt::Jump { .. })
        ));
    }

    #[test]
    fn a_clock_set_back_holds_nobodys_meter() {
        let back = advance(WattHours(5), WattHours(6), (HOUR, Timestamp(0)), LIMIT, None);
        assert_eq!(back, Ok(WattHours(1)));
    }

    #[test]
    fn a_register_that_begins_again_where_it_is_known_to_has_counted_on() {
        let full = Some(WattHours(100_000_000));
        let step = |from, to| advance(WattHours(from), WattHours(to), (Timestamp(0), HOUR), LIMIT, full);
        assert_eq!(step(99_999_000, 500), Ok(WattHours(1500)));
        assert_eq!(step(99_999_999, 0), Ok(WattHours(1)));
        // A new meter in the place of one that had counted half of that is no roll-over.
        assert!(matches!(step(50_000_000, 0), Err(Doubt::Backward { .. })));
        assert!(matches!(step(99_999_000, 20_000), Err(Doubt::Backward { .. })));
        // It showed more than it is said to be able to.
        assert!(matches!(step(100_000_500, 0), Err(Doubt::Backward { .. })));
    }
}
