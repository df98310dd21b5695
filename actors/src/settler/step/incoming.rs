//! What others do on the chain: they pay in, are paid out, contest, close their accounts. Read from the contract's logs,
//! each event once, and again when the chain took blocks back.

use super::{Notes, Scene, Step, Trouble};
use crate::settler::Turn;
use contracts::chain::LogFilter;
use contracts::provider;
use contracts::{Address, B256};
use domain::{AccountId, Money, OnChain, TariffRegisters};
use ledger::{AccountRow, Adopted, Deposit, Happened, Write};
use std::collections::BTreeMap;

/// Blocks whose logs are asked for at once: nodes limit this.
pub(super) const LOG_RANGE: u64 = 1_000;
/// Blocks that are asked about again: a node behind a load balancer may not have had all of their logs the first time.
const LOG_TAIL: u64 = 16;
/// The cursor is written at least once in so many blocks, and with every event.
const CURSOR_STEP: u64 = 50;
/// Accounts that are asked for at once.
pub(super) const AT_ONCE: usize = 200;

/// Something that somebody did to an account.
pub(super) struct Found {
    number: u32,
    what: What,
    transaction: B256,
    /// Which of the transaction's events of this kind, from 0.
    ordinal: u32,
    block: u64,
    log: u32,
}

enum What {
    PaidIn(Money),
    Event(OnChain),
}

impl Found {
    /// What tells it from all others: whether it is a deposit, its transaction, and its place there.
    pub(super) fn key(&self) -> (bool, B256, u32) {
        (matches!(self.what, What::PaidIn(_)), self.transaction, self.ordinal)
    }

    /// By how much it moved the balance; `None` if that is no amount.
    fn moved(&self) -> Option<Money> {
        match &self.what {
            What::PaidIn(amount) | What::Event(OnChain::Overturned { amount, .. }) => Some(*amount),
            What::Event(OnChain::PaidOut { amount, .. }) => Money::ZERO.checked_sub(*amount),
            What::Event(_) => Some(Money::ZERO),
        }
    }

    fn deposit(&self, account: &AccountId, amount: Money) -> Deposit {
        let transaction = self.transaction.to_string();
        Deposit { account: account.clone(), amount, transaction, ordinal: self.ordinal }
    }

    fn happened(&self, account: &AccountId, event: &OnChain) -> Happened {
        Happened {
            account: account.clone(),
            event: event.clone(),
            transaction: self.transaction.to_string(),
            ordinal: self.ordinal,
            block: self.block,
            log: self.log,
        }
    }
}

impl Scene<'_> {
    /// What others did in these blocks, in chain order.
    pub(super) fn found(&self, provider: Address, from_block: u64, to_block: u64) -> Result<Vec<Found>, Trouble> {
        let mut found = Vec::new();
        let (mut before, mut deposits, mut events) = (B256::ZERO, 0, 0);
        let mut from = from_block;
        while from <= to_block {
            let upto = to_block.min(from.saturating_add(LOG_RANGE - 1));
            // All of the contract's logs: those of others are few, and one question is cheaper than seven.
            let filter = LogFilter { address: provider, topic0: None, from_block: from, to_block: upto };
            for log in self.plan.chain.logs(&filter)? {
                let paid = provider::deposited(&log).map(|d| (d.number, What::PaidIn(d.units)));
                let done =
                    paid.or_else(|| provider::happened(&log).map(|(number, event)| (number, What::Event(event))));
                let Some((number, what)) = done else { continue };
                // A transaction's logs stand together, so counting them tells its events apart.
                if before != log.transaction {
                    (before, deposits, events) = (log.transaction, 0, 0);
                }
                let next = if matches!(what, What::PaidIn(_)) { &mut deposits } else { &mut events };
                let ordinal = *next;
                *next += 1;
                let (transaction, block, log) = (log.transaction, log.block, log.log_index);
                found.push(Found { number, what, transaction, ordinal, block, log });
            }
            from = upto.saturating_add(1);
        }
        Ok(found)
    }

    pub(super) fn incoming(&self, provider: Address, turn: Turn, notes: &mut Notes) -> Result<Option<Step>, Trouble> {
        let seen = self.ledger.deposits_block()?;
        if let Some(step) = self.events_taken_back(provider, seen, turn, notes)? {
            return Ok(Some(step));
        }
        let safe = self.safe_block();
        if safe <= seen {
            return Ok(None);
        }
        let from_block = seen.saturating_sub(LOG_TAIL).max(1);
        let mut upto_block = safe.min(seen.saturating_add(LOG_RANGE - LOG_TAIL - 1));
        let accounts = self.ledger.accounts()?;
        let (mut deposits, mut writes): (Vec<Deposit>, Vec<Write>) = (Vec::new(), Vec::new());
        for found in self.found(provider, from_block, upto_block)? {
            let Some(account) = accounts.iter().find(|a| a.number == found.number) else {
                if found.block > seen && matches!(found.what, What::PaidIn(_)) {
                    tracing::warn!(number = found.number, "a deposit for an account that this gateway does not serve");
                }
                continue;
            };
            if !account.opened {
                // It is not sure yet whose account that is: the block is read again when it is. Nothing else waits for it,
                // least of all the transaction that makes it sure.
                upto_block = found.block.saturating_sub(1).max(1);
                break;
            }
            match &found.what {
                What::PaidIn(amount) => {
                    let deposit = found.deposit(&account.name, *amount);
                    if !self.ledger.has_deposit(&deposit.transaction, deposit.ordinal)? {
                        deposits.push(deposit);
                    }
                }
                What::Event(event) => {
                    let new = found.happened(&account.name, event);
                    let known = self.ledger.happened(&new.transaction, new.ordinal)?;
                    let same = |old: &Happened| old.event.is_same_event(&new.event);
                    if !known.is_some_and(|old| same(&old) && (old.block, old.log) == (new.block, new.log)) {
                        writes.push(Write::Happened(new));
                    }
                }
            }
        }
        let some = !deposits.is_empty() || !writes.is_empty();
        if !some && seen != 0 && upto_block < seen.saturating_add(CURSOR_STEP) {
            return Ok(None);
        }
        writes.push(Write::Deposits { upto_block, deposits });
        writes.extend(self.read_up_to(upto_block)?);
        Ok(Some(Step::Write(writes)))
    }

    fn is_booked(&self, found: &Found) -> Result<bool, Trouble> {
        let transaction = found.transaction.to_string();
        Ok(match &found.what {
            What::PaidIn(_) => self.ledger.has_deposit(&transaction, found.ordinal)?,
            What::Event(event) => {
                let known = self.ledger.happened(&transaction, found.ordinal)?;
                known.is_some_and(|known| known.event.is_same_event(event))
            }
        })
    }

    /// What the contract has of accounts, if all is read that happened to them up to one block.
    pub(super) fn adopted(&self, provider: Address, accounts: &[&AccountRow]) -> Result<Vec<Adopted>, Trouble> {
        let mut there = BTreeMap::new();
        for part in accounts.chunks(AT_ONCE) {
            let numbers: Vec<u32> = part.iter().map(|a| a.number).collect();
            let found = provider::accounts(&*self.plan.chain, provider, &numbers)?;
            there.extend(numbers.into_iter().zip(found));
        }
        let out_of_range = |number| Trouble::Other(format!("the balance of account {number} is out of range"));
        // What the chain has counted and we have not read yet.
        let mut unread: BTreeMap<u32, Money> = BTreeMap::new();
        for found in self.found(provider, self.ledger.deposits_block()?.saturating_add(1), self.head.number)? {
            // After a reorganisation the newest blocks are read again, and what they say is in the books mostly.
            if self.is_booked(&found)? {
                continue;
            }
            let sum = unread.entry(found.number).or_default();
            let moved = found.moved().and_then(|moved| sum.checked_add(moved));
            *sum = moved.ok_or_else(|| out_of_range(found.number))?;
        }
        if self.plan.chain.head()?.number != self.head.number {
            return Err(Trouble::Other("the chain went on while it was asked about our accounts; once more".into()));
        }
        let adopt = |a: &&AccountRow| {
            let on_chain = there.get(&a.number).ok_or_else(|| out_of_range(a.number))?;
            let settled =
                TariffRegisters { off_peak: on_chain.off_peak, peak: on_chain.peak, feed_in: on_chain.feed_in };
            let unread = unread.get(&a.number).copied().unwrap_or_default();
            let net = a.books.on_chain().and_then(|moved| on_chain.balance.checked_sub(moved));
            let net = net.and_then(|net| net.checked_sub(unread)).ok_or_else(|| out_of_range(a.number))?;
            Ok(Adopted { number: a.number, settled, net })
        };
        accounts.iter().map(adopt).collect()
    }

    /// If something was overturned, the step that takes over what the contract has of the account now: a batch may have
    /// been on its way, and billed it again.
    pub(super) fn doubted(&self, provider: Address, accounts: &[AccountRow]) -> Result<Option<Step>, Trouble> {
        let doubted: Vec<_> = accounts.iter().filter(|a| a.opened && a.doubted).collect();
        if doubted.is_empty() {
            return Ok(None);
        }
        Ok(Some(Step::Write(vec![Write::Adopt(self.adopted(provider, &doubted)?)])))
    }
}
