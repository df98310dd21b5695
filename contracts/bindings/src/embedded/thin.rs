//! What is left of old blocks, so that a chain's file stays small for decades: header, logs, and of the transaction what
//! its receipt says. What goes is what the transaction carried, and what it changed in the state.
//!
//! The newest of the thinned blocks holds the whole state after it as if it had changed all of it, so that a file of
//! thinned and whole blocks is read like any other.

use super::block::{Block, address, hash};
use super::state::State;
use super::store::deployed;
use crate::tx::type_of;
use crate::{Address, B256};
use rlp::{DecoderError, Rlp, RlpStream};

/// No transaction begins with it.
const MARK: u8 = 0;

/// What is left of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Thin {
    pub hash: B256,
    /// 0 legacy, 2 EIP-1559.
    pub kind: u8,
    /// Wei per gas above the base fee.
    pub tip: u128,
    pub to: Option<Address>,
    /// Where a deployment went, whether or not it succeeded.
    pub contract: Option<Address>,
}

impl Thin {
    /// What is left of the block's transaction, if it was thinned.
    pub(super) fn of(block: &Block) -> Option<Self> {
        let (mark, rest) = block.raw.split_first()?;
        (*mark == MARK).then(|| Self::decode(&Rlp::new(rest)).ok())?
    }

    fn encode(&self) -> Vec<u8> {
        let mut s = RlpStream::new_list(5);
        s.append(&self.hash.as_slice()).append(&self.kind).append(&self.tip);
        for place in [self.to, self.contract] {
            s.append(&place.as_ref().map(|a| a.as_slice()).unwrap_or_default());
        }
        [&[MARK], s.as_raw()].concat()
    }

    fn decode(r: &Rlp<'_>) -> Result<Self, DecoderError> {
        let place = |at| {
            let r = r.at(at)?;
            if r.is_empty() { Ok(None) } else { address(&r).map(Some) }
        };
        Ok(Self { hash: hash(&r.at(0)?)?, kind: r.val_at(1)?, tip: r.val_at(2)?, to: place(3)?, contract: place(4)? })
    }
}

/// The block without what its transaction carried and changed. `state`, if it is given, is what all blocks up to this one
/// came to, and goes in instead.
pub(super) fn thinned(block: &Block, state: Option<(&State, &State)>) -> Block {
    let mut thin = block.clone();
    if let (Some(hash), Some(tx)) = (block.transaction_hash(), block.transaction()) {
        let (kind, to) = (type_of(&block.raw), tx.call.to);
        thin.raw = Thin { hash, kind, tip: super::render::tip_paid(block), to, contract: deployed(block) }.encode();
    }
    thin.diff = state.map(|(begun, now)| begun.diff_to(now)).unwrap_or_default();
    thin
}
