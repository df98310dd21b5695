//! Whose the accounts are: named once in the contract, before anything moves on them.

use super::{Notes, Scene, Step, Trouble};
use contracts::Address;
use contracts::provider::{self, AccountOnChain};
use ledger::{AccountRow, Purpose, Write};

/// The flags of an account that was opened and never touched.
const UNTOUCHED: u8 = AccountOnChain::OPEN | AccountOnChain::LOW | AccountOnChain::EXHAUSTED;

impl Scene<'_> {
    /// The step that names the next holder, if there is one to be named.
    pub(super) fn name_holders(
        &self,
        provider: Address,
        accounts: &[AccountRow],
        may_queue: bool,
        notes: &mut Notes,
    ) -> Result<Option<Step>, Trouble> {
        notes.holders = None;
        if self.plan.holders.is_empty() {
            return Ok(None);
        }
        let known = self.ledger.holders()?;
        for account in accounts.iter().filter(|a| a.opened) {
            let Some(wanted) = self.plan.holders.get(&account.name) else { continue };
            let named = known.get(&account.name).and_then(|holder| holder.who.as_deref());
            if let Some(named) = named {
                if named.parse() != Ok(*wanted) {
                    notes.holders = Some(format!(
                        "account {} is held by {named} in the contract, and by {wanted} in the configuration: only {named} \
                         can hand it on (setHolder)",
                        account.name
                    ));
                }
                continue;
            }
            if notes.too_late.contains(&account.number) {
                notes.holders = Some(too_late(account));
                continue;
            }
            // Named by an event that was not read yet.
            if provider::holder_of(&*self.plan.chain, provider, account.number)?.is_some() {
                continue;
            }
            let there = provider::account(&*self.plan.chain, provider, account.number)?;
            if there != (AccountOnChain { flags: UNTOUCHED, ..AccountOnChain::default() }) {
                notes.too_late.insert(account.number);
                notes.holders = Some(too_late(account));
                continue;
            }
            if may_queue {
                let (number, holder) = (account.number, wanted.to_string());
                return Ok(Some(Step::Write(vec![Write::Queue(Purpose::NameHolder { number, holder })])));
            }
        }
        Ok(None)
    }
}

fn too_late(account: &AccountRow) -> String {
    format!(
        "account {} cannot get a holder any more: something was paid in or billed before one was named, and a customer's \
         money is handed to nobody else. Open another account for the customer, or take the holder out of the configuration",
        account.name
    )
}
