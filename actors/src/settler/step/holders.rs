//! Whose the accounts are: named once in the contract, before anything moves on them.

use super::{Notes, Scene, Step, Trouble};
use contracts::Address;
use contracts::chain::ChainError;
use contracts::provider::{self, AccountOnChain};
use ledger::{AccountRow, Purpose, Write};

/// The flags of an account that was opened and never touched.
const UNTOUCHED: u8 = AccountOnChain::OPEN | AccountOnChain::LOW | AccountOnChain::EXHAUSTED;

/// Accounts whose holders are named by one transaction.
const NAMED_AT_ONCE: usize = 100;

impl Scene<'_> {
    /// The step that names holders, if there are any to be named: many by one transaction, where the contract knows how.
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
        let mut due = Vec::new();
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
            due.push((account.number, wanted.to_string()));
            if due.len() == NAMED_AT_ONCE {
                break;
            }
        }
        if due.is_empty() || !may_queue {
            return Ok(None);
        }
        let purpose = match &due[..] {
            [(number, holder), rest @ ..] if rest.is_empty() || !self.names_many(provider, notes)? => {
                Purpose::NameHolder { number: *number, holder: holder.clone() }
            }
            _ => Purpose::NameHolders { holders: due },
        };
        Ok(Some(Step::Write(vec![Write::Queue(purpose)])))
    }

    /// Whether the contract is new enough to have the holders of many accounts named by one call.
    fn names_many(&self, provider: Address, notes: &mut Notes) -> Result<bool, Trouble> {
        if let Some(known) = notes.names_many {
            return Ok(known);
        }
        let found = match self.plan.chain.call(self.me(), &provider::set_holders(provider, &[])) {
            Ok(_) => true,
            Err(ChainError::Reverted { .. }) => false,
            Err(other) => return Err(other.into()),
        };
        notes.names_many = Some(found);
        Ok(found)
    }
}

/// The address of a holder, as the ledger has it.
pub(super) fn parse(holder: &str) -> Result<Address, Trouble> {
    holder.parse().map_err(|e| Trouble::Other(format!("a recorded holder {holder}: {e}")))
}

fn too_late(account: &AccountRow) -> String {
    format!(
        "account {} cannot get a holder any more: something was paid in or billed before one was named, and a customer's \
         money is handed to nobody else. Open another account for the customer, or take the holder out of the configuration",
        account.name
    )
}
