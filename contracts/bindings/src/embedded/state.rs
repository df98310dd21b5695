//! Who has what, and what a transaction changed.

use super::block::{address, number};
use super::journal::Place;
use crate::tx::append_u256;
use crate::{Address, B256, U256};
use revm::Database;
use revm::bytecode::Bytecode;
use revm::primitives::{Bytes, KECCAK_EMPTY};
use revm::state::{AccountInfo, EvmState};
use rlp::{DecoderError, Rlp, RlpStream};
use std::collections::HashMap;
use std::convert::Infallible;

/// One account.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Account {
    pub balance: U256,
    pub nonce: u64,
    code: Bytecode,
    code_hash: B256,
    storage: HashMap<U256, U256>,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            balance: U256::ZERO,
            nonce: 0,
            code: Bytecode::default(),
            code_hash: KECCAK_EMPTY,
            storage: HashMap::new(),
        }
    }
}

/// All accounts at the head of the chain.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct State(HashMap<Address, Account>);

/// What one transaction left behind, sorted by address and slot so that a record has one spelling.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Diff(Vec<(Address, Option<AccountDiff>)>);

/// An account after the transaction; `None` in its place means that it is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
struct AccountDiff {
    balance: U256,
    nonce: u64,
    /// Code, if the transaction put it there.
    code: Option<Vec<u8>>,
    /// Slots that changed.
    slots: Vec<(U256, U256)>,
}

impl State {
    pub(super) fn new(alloc: &[(Address, U256)]) -> Self {
        let account = |wei: &U256| Account { balance: *wei, ..Account::default() };
        Self(alloc.iter().map(|(who, wei)| (*who, account(wei))).collect())
    }

    pub(super) fn balance(&self, of: Address) -> U256 {
        self.0.get(&of).map_or(U256::ZERO, |a| a.balance)
    }

    pub(super) fn nonce(&self, of: Address) -> u64 {
        self.0.get(&of).map_or(0, |a| a.nonce)
    }

    pub(super) fn code(&self, at: Address) -> Vec<u8> {
        self.0.get(&at).map(|a| a.code.original_bytes().to_vec()).unwrap_or_default()
    }

    pub(super) fn storage(&self, at: Address, slot: U256) -> U256 {
        self.0.get(&at).and_then(|a| a.storage.get(&slot)).copied().unwrap_or_default()
    }

    /// What the state of the EVM after a transaction means for this one.
    pub(super) fn diff(&self, after: &EvmState) -> Diff {
        let mut diff = Vec::new();
        for (who, account) in after {
            if !account.is_touched() {
                continue;
            }
            if account.is_selfdestructed() || account.is_empty() {
                if self.0.contains_key(who) {
                    diff.push((*who, None));
                }
                continue;
            }
            let known = self.0.get(who).map_or(KECCAK_EMPTY, |a| a.code_hash);
            let code = account.info.code.as_ref().filter(|_| account.info.code_hash != known);
            let mut slots: Vec<_> = account.changed_storage_slots().map(|(k, v)| (*k, v.present_value())).collect();
            slots.sort_unstable();
            let info = &account.info;
            let code = code.map(|c| c.original_bytes().to_vec());
            diff.push((*who, Some(AccountDiff { balance: info.balance, nonce: info.nonce, code, slots })));
        }
        diff.sort_unstable_by_key(|(who, _)| *who);
        Diff(diff)
    }

    /// All of `now`, as if one transaction had changed it since the chain began with this state.
    pub(super) fn diff_to(&self, now: &Self) -> Diff {
        let gone = self.0.keys().filter(|who| !now.0.contains_key(*who)).map(|who| (*who, None));
        let there = now.0.iter().map(|(who, account)| {
            let mut slots: Vec<_> = account.storage.iter().map(|(slot, value)| (*slot, *value)).collect();
            slots.sort_unstable();
            let code = (account.code_hash != KECCAK_EMPTY).then(|| account.code.original_bytes().to_vec());
            (*who, Some(AccountDiff { balance: account.balance, nonce: account.nonce, code, slots }))
        });
        let mut diff: Vec<_> = gone.chain(there).collect();
        diff.sort_unstable_by_key(|(who, _)| *who);
        Diff(diff)
    }

    pub(super) fn apply(&mut self, diff: &Diff) {
        for (who, change) in &diff.0 {
            let Some(change) = change else {
                self.0.remove(who);
                continue;
            };
            let account = self.0.entry(*who).or_default();
            (account.balance, account.nonce) = (change.balance, change.nonce);
            if let Some(code) = &change.code {
                account.code = Bytecode::new_legacy(Bytes::copy_from_slice(code));
                account.code_hash = account.code.hash_slow();
            }
            for (slot, value) in &change.slots {
                if value.is_zero() {
                    account.storage.remove(slot);
                } else {
                    account.storage.insert(*slot, *value);
                }
            }
        }
    }
}

impl Diff {
    pub(super) fn encode(&self, s: &mut RlpStream) {
        s.begin_list(self.0.len());
        for (who, change) in &self.0 {
            let Some(change) = change else {
                s.begin_list(1).append(&who.as_slice());
                continue;
            };
            s.begin_list(5).append(&who.as_slice());
            append_u256(s, change.balance);
            s.append(&change.nonce);
            match &change.code {
                Some(code) => s.begin_list(1).append(&code.as_slice()),
                None => s.begin_list(0),
            };
            s.begin_list(change.slots.len());
            for (slot, value) in &change.slots {
                s.begin_list(2);
                append_u256(s, *slot);
                append_u256(s, *value);
            }
        }
    }

    pub(super) fn decode(r: &Rlp<'_>) -> Result<Self, DecoderError> {
        let account = |r: Rlp<'_>| {
            let who = address(&r.at(0)?)?;
            if r.item_count()? == 1 {
                return Ok((who, None));
            }
            let code = r.at(3)?;
            let code = if code.item_count()? == 0 { None } else { Some(code.at(0)?.data()?.to_vec()) };
            let slot = |r: Rlp<'_>| Ok((number(&r.at(0)?)?, number(&r.at(1)?)?));
            let slots = r.at(4)?.iter().map(slot).collect::<Result<_, DecoderError>>()?;
            let change = AccountDiff { balance: number(&r.at(1)?)?, nonce: r.val_at(2)?, code, slots };
            Ok((who, Some(change)))
        };
        r.iter().map(account).collect::<Result<_, DecoderError>>().map(Self)
    }
}

/// The state as the EVM reads it; it cannot write here.
pub(super) struct View<'a> {
    pub state: &'a State,
    pub blocks: &'a [(B256, Option<Place>)],
}

impl Database for View<'_> {
    type Error = Infallible;

    fn basic(&mut self, who: Address) -> Result<Option<AccountInfo>, Infallible> {
        let info = |a: &Account| AccountInfo::new(a.balance, a.nonce, a.code_hash, a.code.clone());
        Ok(self.state.0.get(&who).map(info))
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, Infallible> {
        // Not asked in practice: `basic` hands the code over with the account.
        let found = self.state.0.values().find(|a| a.code_hash == code_hash);
        Ok(found.map(|a| a.code.clone()).unwrap_or_default())
    }

    fn storage(&mut self, at: Address, slot: U256) -> Result<U256, Infallible> {
        Ok(self.state.storage(at, slot))
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, Infallible> {
        let at = usize::try_from(number).ok().and_then(|n| self.blocks.get(n));
        Ok(at.map(|(hash, _)| *hash).unwrap_or_default())
    }
}
