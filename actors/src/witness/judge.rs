//! Whether a batch is what was overheard: pure, so that every case can be tried.

use super::heard::{Bounds, Heard};
use super::wire::{Proposal, Span};
use contracts::provider::{AccountOnChain, Item};
use domain::{MeterId, Timestamp, WattHours};
use std::collections::{BTreeMap, BTreeSet};

/// By how much a register at a border between two readings may be off, for each end of a stretch: it was interpolated and
/// rounded.
const ROUNDING: i64 = 1;

/// What a witness makes of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is what was overheard.
    Sound,
    /// It is not, and this is wrong.
    Wrong(Vec<String>),
    /// Nothing was heard of these meters since: it may still come.
    Unheard(Vec<MeterId>),
}

/// What a batch is held against.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// What the account book has of the accounts now.
    pub there: &'a BTreeMap<u32, AccountOnChain>,
    /// What the gateway's meters said.
    pub heard: &'a Heard,
    /// Up to when each was billed in batches that were settled, as far as that was seen.
    pub billed: &'a BTreeMap<MeterId, Timestamp>,
    /// Meters that the feeder's balance speaks against, with what it says.
    pub doubted: &'a BTreeMap<MeterId, String>,
}

/// Judges a batch.
#[must_use]
pub fn judge(proposal: &Proposal, known: &Known<'_>) -> Judgement {
    let Known { there, heard, billed, doubted } = known;
    let mut wrong = Vec::new();
    let Some(items) = proposal.items() else { return Judgement::Wrong(vec!["its items cannot be read".into()]) };
    let mut energy: BTreeMap<u32, (i64, i64)> = BTreeMap::new();
    let mut unheard = BTreeSet::new();
    let mut ends: BTreeMap<&MeterId, &Span> = BTreeMap::new();
    let mut spans: Vec<&Span> = proposal.spans.iter().collect();
    spans.sort_by_key(|s| s.at);
    for span in spans {
        let of = energy.entry(span.account).or_default();
        // Registers are below 2^40 and spans few, so sums are far from their end.
        of.0 = of.0.saturating_add(span.import.1.0 - span.import.0.0);
        of.1 = of.1.saturating_add(span.export.1.0 - span.export.0.0);
        let before = ends.insert(&span.meter, span);
        if before.is_some_and(|before| before.at.1 > span.at.0)
            || billed.get(&span.meter).is_some_and(|until| span.at.0 < *until)
        {
            wrong.push(format!("meter {}: billed twice for the same time", span.meter));
        }
        let ((from, from_out), (to, to_out)) = (heard.at(&span.meter, span.at.0), heard.at(&span.meter, span.at.1));
        if to.high.is_none() && to.low != Some(span.import.1) {
            unheard.insert(span.meter.clone());
        }
        for (register, bounds, says) in [
            ("import", from, span.import.0),
            ("import", to, span.import.1),
            ("export", from_out, span.export.0),
            ("export", to_out, span.export.1),
        ] {
            if let Some(what) = outside(bounds, says) {
                wrong.push(format!("meter {}: {register} register of {says}, {what}", span.meter));
            }
        }
        if let Some(why) = doubted.get(&span.meter) {
            wrong.push(format!("meter {}: {why}", span.meter));
        }
    }
    let mut numbers = BTreeSet::new();
    for item in &items {
        if !numbers.insert(item.number) {
            wrong.push(format!("account {}: twice in the batch", item.number));
        }
        wrong.extend(account(item, there.get(&item.number), energy.remove(&item.number).unwrap_or_default()));
    }
    if let Some((account, _)) = energy.into_iter().find(|(_, of)| *of != (0, 0)) {
        wrong.push(format!("account {account}: metered, and not in the batch"));
    }
    if !wrong.is_empty() {
        return Judgement::Wrong(wrong);
    }
    if !unheard.is_empty() {
        return Judgement::Unheard(unheard.into_iter().collect());
    }
    Judgement::Sound
}

/// What is wrong with an account's registers: they never fall, and rise by what its meters counted.
fn account(item: &Item, there: Option<&AccountOnChain>, (import, export): (i64, i64)) -> Option<String> {
    let number = item.number;
    let Some(there) = there.filter(|a| a.is_open()) else { return Some(format!("account {number}: is not open")) };
    let (off_peak, peak) = (item.off_peak.0 - there.off_peak.0, item.peak.0 - there.peak.0);
    let feed_in = item.feed_in.0 - there.feed_in.0;
    if off_peak < 0 || peak < 0 || feed_in < 0 {
        return Some(format!("account {number}: a register falls"));
    }
    let said = |what: &str, billed: i64, metered: i64| {
        let (billed, metered) = (WattHours(billed), WattHours(metered));
        (billed != metered).then(|| format!("account {number}: {billed} of {what} billed, {metered} metered"))
    };
    said("import", off_peak + peak, import).or_else(|| said("feed-in", feed_in, export))
}

/// How a register is outside of what was overheard. A register that fell there was exchanged or began again: then the
/// bounds say nothing.
fn outside(bounds: Bounds, says: WattHours) -> Option<String> {
    if let (Some(low), Some(high)) = (bounds.low, bounds.high)
        && low > high
    {
        return None;
    }
    match (bounds.low, bounds.high) {
        (Some(low), _) if says.0 < low.0 - ROUNDING => Some(format!("and {low} was overheard before")),
        (_, Some(high)) if says.0 > high.0 + ROUNDING => Some(format!("and {high} was overheard after")),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
