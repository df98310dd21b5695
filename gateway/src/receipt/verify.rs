//! Checks a receipt: its own arithmetic, and that the chain knows its lines and payments.

use super::{FORMAT, ProvedLine, Receipt, Sums};
use contracts::chain::{Chain, ChainError};
use contracts::lines::leaf;
use contracts::provider;
use contracts::{Address, B256};
use domain::{Classes, Kind, Line, Money, Rates, Tariff};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What came out.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verdict {
    /// All that is wrong; empty is good.
    pub wrong: Vec<String>,
    /// Lines in it.
    pub lines: usize,
    /// Of these, proved by a root on the chain.
    pub proved: usize,
    /// Of these, not settled yet when the receipt was made.
    pub pending: usize,
    /// Batches whose roots were found on the chain.
    pub batches: usize,
    /// Deposits that were found on the chain.
    pub deposits: usize,
    /// The balance that the contract has now, in minor units.
    pub balance_on_chain: Option<Money>,
}

/// Checks a receipt against a chain.
///
/// # Errors
/// The chain cannot be asked. What is wrong with the receipt stands in the verdict.
pub fn verify(receipt: &Receipt, chain: &dyn Chain) -> Result<Verdict, ChainError> {
    let mut verdict = Verdict { lines: receipt.lines.len(), ..Verdict::default() };
    own(receipt, &mut verdict.wrong);
    let there = chain.chain_id()?;
    if there != receipt.chain_id {
        verdict.wrong.push(format!("the receipt is of chain {}, the node of chain {there}", receipt.chain_id));
        return Ok(verdict);
    }
    let provider: Option<Address> = receipt.provider.as_ref().and_then(|p| p.parse().ok());
    let Some(provider) = provider else {
        verdict.wrong.push("the receipt names no contract".into());
        return Ok(verdict);
    };
    let mut roots: BTreeMap<u64, B256> = BTreeMap::new();
    for batch in &receipt.batches {
        let root: Option<B256> = batch.root.parse().ok();
        let found = logs(chain, &batch.transaction)?;
        let settled = found.iter().filter(|log| log.address == provider).filter_map(provider::settled);
        match settled.into_iter().find(|s| s.sequence == batch.sequence) {
            Some(s) if Some(s.lines_root) == root => {
                roots.insert(batch.sequence, s.lines_root);
                verdict.batches += 1;
            }
            Some(_) => verdict.wrong.push(format!("batch {} has another root on the chain", batch.sequence)),
            None => {
                verdict.wrong.push(format!("transaction {} did not settle batch {}", batch.transaction, batch.sequence))
            }
        }
    }
    let mut places = BTreeSet::new();
    for proved in &receipt.lines {
        let (Some(batch), Some(proof)) = (proved.batch, &proved.proof) else {
            verdict.pending += 1;
            continue;
        };
        let leads = salt(proved)
            .zip(roots.get(&batch))
            .is_some_and(|(salt, root)| proof.leads(leaf(receipt.number, &proved.line, salt), *root));
        if !leads {
            verdict.wrong.push(format!("{} is not what was settled in batch {batch}", name(&proved.line)));
        } else if !places.insert((batch, proof.index)) {
            verdict.wrong.push(format!("{} is there twice", name(&proved.line)));
        } else {
            verdict.proved += 1;
        }
    }
    deposits(receipt, chain, provider, &mut verdict)?;
    let account = provider::accounts(chain, provider, &[receipt.number])?.into_iter().next();
    verdict.balance_on_chain = account.map(|a| a.balance);
    Ok(verdict)
}

/// That every payment over the chain is there, with its amount.
fn deposits(receipt: &Receipt, chain: &dyn Chain, provider: Address, verdict: &mut Verdict) -> Result<(), ChainError> {
    let mut paid: BTreeMap<&str, i64> = BTreeMap::new();
    for movement in &receipt.movements {
        if let Some(transaction) = &movement.transaction {
            *paid.entry(transaction).or_default() += movement.balance.0 - movement.debt.0;
            verdict.deposits += 1;
        }
    }
    for (transaction, amount) in paid {
        let found = logs(chain, transaction)?;
        let deposited = found.iter().filter(|log| log.address == provider).filter_map(provider::deposited);
        let there: i64 = deposited.filter(|d| d.number == receipt.number).map(|d| d.units.0).sum();
        if there != amount {
            let shown = receipt.currency.show(Money(amount));
            verdict.wrong.push(format!("transaction {transaction} did not pay {shown} into this account"));
        }
    }
    Ok(())
}

fn logs(chain: &dyn Chain, transaction: &str) -> Result<Vec<contracts::chain::Log>, ChainError> {
    let Ok(hash) = transaction.parse::<B256>() else { return Ok(Vec::new()) };
    Ok(chain.receipt(hash)?.filter(|r| r.ok).map(|r| r.logs).unwrap_or_default())
}

fn salt(proved: &ProvedLine) -> Option<B256> {
    proved.salt.parse().ok()
}

/// What the receipt says about itself.
fn own(receipt: &Receipt, wrong: &mut Vec<String>) {
    if receipt.format != FORMAT {
        wrong.push(format!("the format is {:?}, this program knows {FORMAT:?}", receipt.format));
    }
    if Sums::of(receipt.lines.iter().map(|l| &l.line), &receipt.movements) != Some(receipt.sums) {
        wrong.push("the sums are not those of the lines and movements".into());
    }
    let classes = Classes(receipt.classes.clone());
    for proved in &receipt.lines {
        let line = &proved.line;
        if line.from < receipt.from || line.from >= receipt.to {
            wrong.push(format!("{} does not begin in the time of the receipt", name(line)));
        }
        match receipt.tariffs.iter().find(|t| t.version == line.tariff) {
            None => wrong.push(format!("{} names version {} of the tariff, which is missing", name(line), line.tariff)),
            Some(tariff) => {
                if let Some(what) = mispriced(line, tariff, tariff.rates(classes.at(line.from))) {
                    wrong.push(format!("{}: {what}", name(line)));
                }
            }
        }
    }
}

/// What of a line does not follow from its tariff, as far as the line alone shows it: where blocks begin and what demand
/// was the month's highest depends on the whole period.
fn mispriced(line: &Line, tariff: &Tariff, rates: &Rates) -> Option<&'static str> {
    let paid = line.import.0.checked_sub(line.free.0).filter(|paid| *paid >= 0 && line.free.0 >= 0);
    let Some(paid) = paid.map(domain::WattHours) else { return Some("more is free than was taken") };
    let range = match line.kind {
        Kind::OffPeak => domain::Range::OffPeak,
        Kind::Peak => domain::Range::Peak,
        Kind::Daily => return (line.debit.daily != rates.daily).then_some("the day costs something else"),
        Kind::PoolShare => return None,
        Kind::Withheld => {
            let beyond = line.export_from.0.checked_sub(line.import_from.0).filter(|beyond| *beyond > 0);
            let Some(beyond) = beyond else { return Some("pay is withheld for energy within the dispatch") };
            let due = rates.feed_in.of(domain::WattHours(beyond)).and_then(|due| due.0.checked_neg());
            return (due != Some(line.credit.0))
                .then_some("more or less is withheld than was fed in beyond the dispatch");
        }
    };
    // A line of no length has the range of its end, which is its start as well.
    if tariff.range_at(line.from) != range {
        return Some("it was another price range at that time");
    }
    let extra = rates.blocks.iter().map(|b| i64::from(b.surcharge)).chain([0]);
    let (least, most) = extra.fold((0, 0), |(least, most), s| (s.min(least), s.max(most)));
    let at = |surcharge: i64| i128::from(paid.0) * (i128::from(rates.price(range).0) + i128::from(surcharge));
    if i128::from(line.debit.energy.0) < at(least) || i128::from(line.debit.energy.0) > at(most) {
        return Some("the energy is priced otherwise than the tariff says");
    }
    if Some(line.debit.network) != rates.network.of(paid) {
        return Some("the network fee is another");
    }
    (Some(line.credit) != rates.feed_in.of(line.export))
        .then_some("the feed-in is priced otherwise than the tariff says")
}

fn name(line: &Line) -> String {
    match &line.meter {
        Some(meter) => format!("the line of {meter} from {}", line.from),
        None => format!("the line from {}", line.from),
    }
}
