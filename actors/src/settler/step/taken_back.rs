//! Whether the chain has taken back a block that something of ours was final in.

use super::{Notes, Scene, Step, Trouble, parse_hash};
use crate::settler::Turn;
use ledger::Write;

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
