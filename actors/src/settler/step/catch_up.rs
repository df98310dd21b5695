//! A ledger from a copy meets a chain that has gone further: what the chain says is taken over, once.

use super::{Scene, Step, Trouble};
use contracts::Address;
use contracts::chain::LogFilter;
use contracts::provider;
use domain::{Money, TariffRegisters};
use ledger::{Adopted, Write};
use std::collections::BTreeMap;

/// Accounts that are asked for at once.
const AT_ONCE: usize = 200;

/// What to say of accounts whose registers are further on the chain.
pub(super) fn waiting_for(accounts: usize) -> String {
    format!(
        "{accounts} accounts: since the ledger was put back from a backup, the chain knows more energy of them than it; \
         they are settled when their meters have said as much"
    )
}

impl Scene<'_> {
    /// If the contract has taken batches from us that this ledger does not know, the step that takes over what it says.
    /// Charges count every time, so going on from what the ledger remembers would charge twice whatever those batches
    /// charged.
    pub(super) fn catch_up(&self, provider: Address, next: u64) -> Result<Option<Step>, Trouble> {
        let (known, taken) = (self.ledger.newest_settled()?, next.saturating_sub(1));
        if taken <= known {
            return Ok(None);
        }
        if self.ledger.restored_at()?.is_none() {
            return Err(Trouble::Other(format!(
                "contract {provider} has settled batches of ours up to {taken}, and this ledger knows them up to {known}: \
                 another ledger settled the others, and nothing is settled from this one. If it is an old copy of that \
                 ledger, stop the gateway and put it in place with `journal restore`; if it is new, it needs a new contract"
            )));
        }
        let accounts = self.ledger.accounts()?;
        let opened: Vec<_> = accounts.iter().filter(|a| a.opened).collect();
        let mut there = BTreeMap::new();
        for part in opened.chunks(AT_ONCE) {
            let numbers: Vec<u32> = part.iter().map(|a| a.number).collect();
            let found = provider::accounts(&*self.plan.chain, provider, &numbers)?;
            there.extend(numbers.into_iter().zip(found));
        }
        // Deposits that the chain has counted and we have not read yet.
        let mut unread: BTreeMap<u32, i64> = BTreeMap::new();
        let topic0 = Some(provider::topic::deposited());
        let (from_block, to_block) = (self.ledger.deposits_block()?.saturating_add(1), self.head.number);
        if from_block <= to_block {
            let filter = LogFilter { address: provider, topic0, from_block, to_block };
            for d in self.plan.chain.logs(&filter)?.iter().filter_map(provider::deposited) {
                let sum = unread.entry(d.number).or_default();
                *sum = sum.saturating_add(d.units.0);
            }
        }
        if self.plan.chain.head()?.number != self.head.number {
            return Err(Trouble::Other("the chain went on while it was asked about our accounts; once more".into()));
        }
        let out_of_range = |number| Trouble::Other(format!("the balance of account {number} is out of range"));
        let adopt = |a: &&ledger::AccountRow| {
            let Some(on_chain) = there.get(&a.number) else { return Err(out_of_range(a.number)) };
            let settled =
                TariffRegisters { off_peak: on_chain.off_peak, peak: on_chain.peak, feed_in: on_chain.feed_in };
            // Deposits stand in their book as what was taken from it: below zero.
            let deposits = a.books.get(domain::Book::Deposits).0;
            let net = on_chain.balance.0.checked_add(deposits);
            let net = net.and_then(|n| n.checked_sub(unread.get(&a.number).copied().unwrap_or(0)));
            Ok(Adopted { number: a.number, settled, net: Money(net.ok_or_else(|| out_of_range(a.number))?) })
        };
        let adopted = opened.iter().map(adopt).collect::<Result<Vec<_>, Trouble>>()?;
        tracing::warn!(
            from = known + 1,
            upto = taken,
            "the chain has settled batches that this restored ledger does not know: going on from what the chain says"
        );
        Ok(Some(Step::Write(vec![Write::CatchUp { upto: taken, accounts: adopted }])))
    }
}
