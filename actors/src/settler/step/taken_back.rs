//! Whether the chain has taken back a block that something of ours was final in.

use super::incoming::Found;
use super::{Notes, Scene, Step, Trouble, parse_hash};
use crate::settler::Turn;
use contracts::Address;
use ledger::{Happened, Write};
use std::collections::BTreeSet;

impl Scene<'_> {
    /// If blocks of ours are gone, the step that opens again what was in them: it is looked for, and sent again.
    ///
    /// Opening too much is harmless, because the same bytes are sent, and the chain takes them once.
    pub(super) fn taken_back(&self, turn: Turn, notes: &mut Notes) -> Result<Option<Step>, Trouble> {
        if notes.looked == Some(self.head.hash) && notes.behind.is_none() {
            return Ok(None);
        }
        let anchors = self.ledger.anchors()?;
        if let Some(newest) = anchors.first() {
            // If only some nodes have another block there, it is they who are wrong.
            self.plan.chain.rely_on(newest.block, parse_hash(&newest.hash)?);
        }
        let (mut from, mut shorter) = (None, false);
        for anchor in anchors {
            match self.plan.chain.block_hash(anchor.block)? {
                Some(hash) if hash == parse_hash(&anchor.hash)? => break,
                Some(_) => from = Some(anchor),
                None => {
                    shorter = true;
                    from = Some(anchor);
                }
            }
        }
        let Some(from) = from else {
            (notes.looked, notes.behind) = (Some(self.head.hash), None);
            return Ok(None);
        };
        // A chain never gets shorter; a node that is behind looks as if it had. So that is believed when it lasts.
        let since = *notes.behind.get_or_insert(turn.now);
        if shorter && since <= turn.now && turn.now.since(since) < self.plan.fees.patience {
            let why = format!("the node is at block {}, before our newest settled batch", self.head.number);
            return Ok(Some(Step::Rest { waiting: Some(why), problem: None, nothing_due: false }));
        }
        notes.behind = None;
        tracing::warn!(block = from.block, "the chain took back blocks with settled batches: they are sent again");
        Ok(Some(Step::Write(vec![Write::Reopen { from: from.intent }])))
    }
}

/// The setting that remembers which block logs were read up to: its height and its hash.
const READ_UP_TO: &str = "deposits_read_up_to";
/// Deposits that are looked for when blocks were taken back.
const DEPOSITS_DOUBTED: usize = 100;
/// Blocks that are read again then.
const READ_AGAIN: u64 = 256;

impl Scene<'_> {
    /// What is to be remembered of the block up to which deposits are read.
    pub(super) fn read_up_to(&self, block: u64) -> Result<Option<Write>, Trouble> {
        let hash = self.plan.chain.block_hash(block)?;
        Ok(hash.map(|hash| Write::Meta(READ_UP_TO.into(), format!("{block} {hash}"))))
    }

    /// If the block up to which logs were read is another now, the step that takes out of the accounts what is on the
    /// chain no more, and reads the newest blocks again.
    pub(super) fn events_taken_back(
        &self,
        provider: Address,
        seen: u64,
        turn: Turn,
        notes: &mut Notes,
    ) -> Result<Option<Step>, Trouble> {
        let remembered = self.ledger.meta(READ_UP_TO)?;
        let Some((block, hash)) = remembered.as_deref().and_then(|text| text.split_once(' ')) else { return Ok(None) };
        let Ok(block) = block.parse::<u64>() else { return Ok(None) };
        // A block that is not there yet says nothing: the node may be behind.
        let Some(there) = self.plan.chain.block_hash(block)? else { return Ok(None) };
        if there == parse_hash(hash)? {
            notes.doubted = None;
            return Ok(None);
        }
        // Most come into a block again by themselves.
        let since = *notes.doubted.get_or_insert(turn.now);
        if since <= turn.now && turn.now.since(since) < self.plan.fees.patience {
            let why = "the chain took back blocks; waiting for what others did in them".to_owned();
            return Ok(Some(Step::Rest { waiting: Some(why), problem: None, nothing_due: false }));
        }
        notes.doubted = None;
        let upto_block = seen.min(block).saturating_sub(READ_AGAIN).max(1);
        let found = self.found(provider, upto_block.saturating_add(1), self.head.number)?;
        let there: BTreeSet<_> = found.iter().map(Found::key).collect();
        let mut writes = Vec::new();
        for (transaction, ordinal) in self.ledger.newest_deposits(DEPOSITS_DOUBTED)? {
            let hash = parse_hash(&transaction)?;
            // A block that came meanwhile was not asked about; one that was read before is not read again.
            let read = |block: u64| block > upto_block && block <= self.head.number;
            let kept =
                self.plan.chain.receipt(hash)?.is_some_and(|receipt| {
                    receipt.ok && (!read(receipt.block) || there.contains(&(true, hash, ordinal)))
                });
            if !kept {
                writes.push(Write::DepositGone { transaction, ordinal });
            }
        }
        for Happened { transaction, ordinal, .. } in self.ledger.happened_after(upto_block)? {
            if !there.contains(&(false, parse_hash(&transaction)?, ordinal)) {
                writes.push(Write::HappenedNot { transaction, ordinal });
            }
        }
        writes.push(Write::DepositsAgain { upto_block });
        writes.extend(self.read_up_to(upto_block)?);
        Ok(Some(Step::Write(writes)))
    }
}
