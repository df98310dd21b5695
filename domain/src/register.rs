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
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backward { from, to } => write!(f, "the register fell from {from} to {to}"),
            Self::Jump { by, possible } => write!(f, "the register rose by {by} where at most {possible} could flow"),
        }
    }
}

/// Coarsest register step that is believed at any time: meters that count in 0.1 kWh jump by this much.
const RESOLUTION: WattHours = WattHours(100);
/// The shortest time that a step is judged over. Clocks are set, by seconds or by an hour, and meters answer late; what
/// can flow in a quarter of an hour is believed whatever the clock says.
const LEAST_MS: i64 = 15 * 60 * 1000;

/// The energy between two values of one register, if an honest meter behind a connection of `limit` can have counted
/// it between `since` and `until`.
pub fn advance(
    from: WattHours,
    to: WattHours,
    since: Timestamp,
    until: Timestamp,
    limit: Watts,
) -> Result<WattHours, Doubt> {
    if to < from {
        return Err(Doubt::Backward { from, to });
    }
    let by = to - from;
    let ms = i128::from(until.0.saturating_sub(since.0).max(LEAST_MS));
    let possible = i128::from(limit.0.max(0)) * ms / 3_600_000 + i128::from(RESOLUTION.0);
    let possible = WattHours(i64::try_from(possible).unwrap_or(i64::MAX));
    if by > possible { Err(Doubt::Jump { by, possible }) } else { Ok(by) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Timestamp = Timestamp(3_600_000);

    #[test]
    fn a_register_that_falls_is_doubted_and_never_a_negative_bill() {
        let doubt = advance(WattHours(10), WattHours(9), Timestamp(0), HOUR, Watts(10_000)).unwrap_err();
        assert_eq!(doubt, Doubt::Backward { from: WattHours(10), to: WattHours(9) });
    }

    #[test]
    fn a_lifetime_total_booked_in_one_step_is_doubted() {
        let ok = advance(WattHours(0), WattHours(10_000), Timestamp(0), HOUR, Watts(10_000));
        assert_eq!(ok, Ok(WattHours(10_000)));
        assert!(matches!(
            advance(WattHours(0), WattHours(53_700_000), Timestamp(0), HOUR, Watts(10_000)),
            Err(Doubt::Jump { .. })
        ));
    }

    #[test]
    fn a_clock_set_back_holds_nobodys_meter() {
        assert_eq!(advance(WattHours(5), WattHours(6), HOUR, Timestamp(0), Watts(10_000)), Ok(WattHours(1)));
    }
}
