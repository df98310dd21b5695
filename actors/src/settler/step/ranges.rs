//! The forecast of tomorrow on the chain: post it, or say whether what another gateway posted follows from our readings.
//!
//! Each thing is said once. A day that others posted wrongly fails once half of the gateways say so, and its place is free
//! for another. What holds for our customers is what our ledger announced; the chain lets others see that it follows from
//! the readings.

use super::{Notes, Scene, Step, Trouble};
use crate::settler::Turn;
use contracts::chain::Receipt;
use contracts::tou::{self, Day, Post};
use contracts::tx::Call;
use contracts::{Address, B256};
use domain::{Fact, Timestamp};
use ledger::{Purpose, Ranged, Write};

/// How many ranges the contract is asked for: those of the tariff.
const CLUSTERS: u8 = 2;
const MINUTE_MS: i64 = 60_000;

fn minutes(at: Timestamp) -> Result<u32, Trouble> {
    u32::try_from(at.0.div_euclid(MINUTE_MS)).map_err(|_| Trouble::Other(format!("{at} is no time on the chain")))
}

fn hash(text: &str) -> Result<B256, Trouble> {
    text.parse().map_err(|e| Trouble::Other(format!("a recorded hash {text}: {e}")))
}

impl Scene<'_> {
    /// The next thing to say of tomorrow, if there is one.
    pub(super) fn ranges(&self, turn: Turn, notes: &mut Notes) -> Result<Option<Step>, Trouble> {
        let Some(at) = self.plan.time_of_use else { return Ok(None) };
        if notes.ranges_looked == Some(self.head.hash) {
            return Ok(None);
        }
        notes.ranges_problem = None;
        let Some(ours) = self.ledger.ranged()?.pop().filter(|r| r.day.from > turn.now) else {
            return Ok(None);
        };
        let newest = tou::newest(&*self.plan.chain, at)?;
        let step = match &newest {
            Some((round, posted)) if is_pending(posted, turn.now)? => self.judge(*round, posted, &ours, notes)?,
            Some((round, posted)) => {
                let same_day = posted.starts_at == minutes(ours.day.from)?;
                let next = if posted.failed { *round } else { round + 1 };
                if same_day && !posted.failed {
                    self.judge(*round, posted, &ours, notes)?
                } else {
                    self.once(Purpose::PostRanges { round: next, from: ours.day.from })?
                }
            }
            None => self.once(Purpose::PostRanges { round: 1, from: ours.day.from })?,
        };
        if step.is_none() {
            // Nothing to say until the chain has news.
            notes.ranges_looked = Some(self.head.hash);
            if let Some((round, posted)) = newest.filter(|(_, p)| p.failed) {
                let ours_failed = self.is_ours(round, &posted, &ours)?;
                notes.ranges_problem = ours_failed.then(|| {
                    format!(
                        "the other gateways do not forecast what we posted as round {round}: either our ledger lacks \
                         readings, or theirs do, or somebody tampers"
                    )
                });
            }
        }
        Ok(step)
    }

    /// Says what we think of a posted day, unless it is ours or we said it before.
    fn judge(&self, round: u32, posted: &Day, ours: &Ranged, notes: &mut Notes) -> Result<Option<Step>, Trouble> {
        if self.is_ours(round, posted, ours)? {
            return Ok(None);
        }
        if posted.starts_at != minutes(ours.day.from)? {
            // The contract would take equal hashes for agreement, whatever day they are said of.
            notes.ranges_problem =
                Some(format!("round {round} on the chain, by another gateway, is of another day than ours"));
            return Ok(None);
        }
        let agreed = posted.forecast == hash(&ours.day.forecast)? && posted.model == hash(&ours.day.model)?;
        notes.ranges_problem = (!agreed).then(|| {
            format!("round {round} on the chain, by another gateway, is not what follows from our readings: refused")
        });
        let posted = posted.forecast.to_string();
        self.once(Purpose::AttestRanges { round, from: ours.day.from, posted })
    }

    /// Queues it, unless it was queued before.
    pub(super) fn once(&self, purpose: Purpose) -> Result<Option<Step>, Trouble> {
        let said = self.ledger.became_of(&purpose)?.is_some();
        Ok((!said).then(|| Step::Write(vec![Write::Queue(purpose)])))
    }

    /// Whether we posted it. If another with the same readings was quicker, ours was refused.
    fn is_ours(&self, round: u32, posted: &Day, ours: &Ranged) -> Result<bool, Trouble> {
        let post = Purpose::PostRanges { round, from: ours.day.from };
        Ok(self.ledger.became_of(&post)? == Some(true) && posted.forecast == hash(&ours.day.forecast)?)
    }

    fn our_day(&self, from: Timestamp) -> Result<Ranged, Trouble> {
        let days = self.ledger.ranged()?;
        let found = days.into_iter().find(|r| r.day.from == from);
        found.ok_or_else(|| Trouble::Gone(format!("the forecast of the day from {from} is not at hand any more")))
    }

    fn time_of_use(&self) -> Result<Address, Trouble> {
        self.plan.time_of_use.ok_or_else(|| Trouble::Gone("[chain] time_of_use is not set any more".into()))
    }

    pub(super) fn post_ranges(&self, round: u32, from: Timestamp) -> Result<Call, Trouble> {
        let ours = self.our_day(from)?;
        let day = Post {
            round,
            starts_at: minutes(from)?,
            slot_minutes: ours.day.slot_minutes,
            data: (minutes(ours.day.data.0)?, minutes(ours.day.data.1)?),
            clusters: CLUSTERS,
            model: hash(&ours.day.model)?,
            labels: ours.day.clusters,
            values: ours.day.values,
        };
        Ok(tou::post(self.time_of_use()?, &day))
    }

    pub(super) fn attest_ranges(&self, round: u32, from: Timestamp) -> Result<Call, Trouble> {
        let ours = self.our_day(from)?;
        Ok(tou::attest(self.time_of_use()?, round, hash(&ours.day.forecast)?, hash(&ours.day.model)?))
    }
}

/// Whether a day has not begun and is neither agreed on nor refused.
fn is_pending(posted: &Day, now: Timestamp) -> Result<bool, Trouble> {
    Ok(!posted.agreed && !posted.failed && posted.starts_at > minutes(now)?)
}

/// What it means that such a transaction is in a block.
pub(super) fn said(purpose: &Purpose, receipt: &Receipt) -> Vec<Fact> {
    let transaction = receipt.transaction.to_string();
    match purpose {
        Purpose::PostRanges { round, from } => vec![Fact::RangesPosted { round: *round, from: *from, transaction }],
        Purpose::AttestRanges { round, from, .. } => {
            let agreed = receipt.logs.iter().any(|log| tou::agreed(log).is_some_and(|e| e.round == *round));
            vec![Fact::RangesAttested { round: *round, from: *from, agreed, transaction }]
        }
        _ => Vec::new(),
    }
}
