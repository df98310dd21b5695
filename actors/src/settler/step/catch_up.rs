//! A ledger from a copy meets a chain that has gone further: what the chain says is taken over, once.

use super::{Scene, Step, Trouble};
use contracts::Address;
use ledger::Write;

/// What to say of accounts whose registers are further on the chain.
pub(super) fn waiting_for(accounts: usize) -> String {
    format!(
        "{accounts} accounts: the chain knows more energy of them than the ledger, which was put back from a backup, or \
         was set back by a meter's signed word; they are settled when their meters have said as much"
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
        let adopted = self.adopted(provider, &opened)?;
        tracing::warn!(
            from = known + 1,
            upto = taken,
            "the chain has settled batches that this restored ledger does not know: going on from what the chain says"
        );
        Ok(Some(Step::Write(vec![Write::CatchUp { upto: taken, accounts: adopted }])))
    }
}
