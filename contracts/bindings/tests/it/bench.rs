//! A neighbourhood of witnesses under test.

use crate::street::{CHAIN_ID, owner};
use contracts::chain::{Chain, ChainError, Receipt};
use contracts::key::{LocalKey, Signer};
use contracts::tx::{Call, Transaction};
use contracts::witness::{self, Confirmed, Rules};
use contracts::{Address, B256, keccak256};

/// A neighbourhood of witnesses; the owner is the first of them.
pub struct Bench<'a> {
    pub chain: &'a dyn Chain,
    pub keys: Vec<LocalKey>,
    pub at: Address,
}

pub fn rules(needed: &[u8]) -> Rules {
    Rules { batches: 10, dissents: 3, patience: 20, needed: needed.to_vec() }
}

pub fn digest(of: &str) -> B256 {
    keccak256(of)
}

impl<'a> Bench<'a> {
    pub fn new(chain: &'a dyn Chain, members: usize, rules: &Rules) -> Self {
        let other = |i: usize| LocalKey::from_hex(&format!("{:064x}", i + 1)).unwrap();
        let keys = (0..members).map(|i| if i == 0 { owner() } else { other(i) }).collect();
        let mut bench = Self { chain, keys, at: Address::ZERO };
        bench.at = bench.send(witness::deploy_call(rules)).unwrap().contract.unwrap();
        for key in &bench.keys {
            bench.send(witness::admit(bench.at, key.address())).unwrap();
        }
        bench
    }

    pub fn send(&self, call: Call) -> Result<Receipt, ChainError> {
        self.send_as(&owner(), call)
    }

    pub fn send_as(&self, from: &LocalKey, call: Call) -> Result<Receipt, ChainError> {
        let tx = Transaction {
            chain_id: CHAIN_ID,
            nonce: self.chain.nonce(from.address())?,
            fees: self.chain.fees()?,
            gas_limit: 10_000_000,
            call: call.clone(),
        };
        let hash = self.chain.send(&tx.sign(from).unwrap().raw)?;
        let receipt = self.chain.receipt(hash)?.expect("mined at once");
        if receipt.ok { Ok(receipt) } else { Err(self.chain.call(from.address(), &call).expect_err("it failed")) }
    }

    pub fn open(&self, digest: B256) -> Vec<Address> {
        self.send(witness::open(self.at, digest)).unwrap();
        witness::drawn(self.chain, self.at, owner().address()).unwrap()
    }

    pub fn key(&self, of: Address) -> &LocalKey {
        self.keys.iter().find(|k| k.address() == of).expect("a member")
    }

    /// What a member signs of the open draw.
    pub fn vote(&self, of: Address, digest: B256) -> [u8; 65] {
        let draw = witness::state(self.chain, self.at, owner().address()).unwrap().draw;
        witness::sign(witness::finding(CHAIN_ID, self.at, draw, digest), self.key(of)).unwrap()
    }

    /// The first so many of the set sign.
    pub fn confirm(&self, set: &[Address], signers: usize, digest: B256) -> Result<Receipt, ChainError> {
        let votes: Vec<_> = (0..).zip(set).take(signers).map(|(i, m)| (i, self.vote(*m, digest))).collect();
        self.send(witness::confirm(self.at, owner().address(), &votes))
    }

    /// The first so many of the set refuse.
    pub fn refuse(&self, set: &[Address], signers: usize, digest: B256) -> Result<Receipt, ChainError> {
        let refusal = witness::refusal(digest);
        let votes: Vec<_> = (0..).zip(set).take(signers).map(|(i, m)| (i, self.vote(*m, refusal))).collect();
        self.send(witness::refuse(self.at, owner().address(), &votes))
    }

    pub fn settle(&self, digest: B256) -> Confirmed {
        let set = self.open(digest);
        let receipt = self.confirm(&set, set.len(), digest).unwrap();
        witness::confirmed(&receipt.logs[0]).unwrap()
    }
}
