//! Many customers that come back at once do not close their switches at once: motors, refrigerators and lamps that all
//! start in one second bring down the inverter that has just brought them up.

use super::machine::Machine;
use domain::Timestamp;
use std::time::Duration;

/// How closing switches keep out of each other's way.
#[derive(Clone, Debug)]
pub struct Stagger {
    within: Duration,
    dice: fastrand::Rng,
}

impl Stagger {
    /// When more than one switch is about to close, each waits for a random part of `within`. The same `seed` gives the
    /// same waits.
    #[must_use]
    pub fn new(within: Duration, seed: u64) -> Self {
        Self { within, dice: fastrand::Rng::with_seed(seed) }
    }

    /// Nobody waits for anybody.
    #[must_use]
    pub fn none() -> Self {
        Self::new(Duration::ZERO, 0)
    }

    /// Spreads those that are about to close. One alone closes at once.
    pub(super) fn spread<'m>(&mut self, machines: impl Iterator<Item = &'m mut Machine>, now: Timestamp) {
        let closing: Vec<_> = machines.filter(|m| m.is_about_to_close(now)).collect();
        let within = u64::try_from(self.within.as_millis()).unwrap_or(u64::MAX);
        if closing.len() < 2 || within == 0 {
            return;
        }
        for machine in closing.into_iter().filter(|m| !m.is_staggered()) {
            machine.stagger(now + Duration::from_millis(self.dice.u64(0..=within)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rule;
    use crate::enforcer::machine::Act;
    use domain::{OnSilence, Position, Reason, Supply};

    fn open_with_credit() -> Machine {
        let rule = Rule::new(OnSilence::Hold, false);
        let mut m = Machine::new(rule, Timestamp(0), Duration::from_secs(60));
        m.next(Timestamp(0));
        m.found(Position::Open, Timestamp(0));
        m.lease(Supply::Full, Reason::CreditGood, true, Timestamp(1_000_000));
        m
    }

    #[test]
    fn a_street_that_comes_back_closes_one_by_one_and_all_within_the_time() {
        let within = Duration::from_secs(60);
        let mut machines: Vec<Machine> = (0..50).map(|_| open_with_credit()).collect();
        let mut stagger = Stagger::new(within, 7);
        let mut closed_at = Vec::new();
        for second in 0..=60 {
            let now = Timestamp(second * 1000);
            stagger.spread(machines.iter_mut(), now);
            for m in &mut machines {
                if matches!(m.next(now), Some(Act::Move(Position::Closed, _))) {
                    m.obeyed(Position::Closed, now);
                    closed_at.push(second);
                }
            }
        }
        assert_eq!(closed_at.len(), 50, "some did not close within a minute");
        let most = (0..=60).map(|s| closed_at.iter().filter(|c| **c == s).count()).max();
        assert!(most < Some(6), "{most:?} in one second");
    }

    #[test]
    fn a_customer_who_comes_back_alone_waits_for_nobody() {
        let mut machine = open_with_credit();
        Stagger::new(Duration::from_secs(60), 7).spread(std::iter::once(&mut machine), Timestamp(1));
        assert!(matches!(machine.next(Timestamp(1)), Some(Act::Move(Position::Closed, _))));
    }
}
