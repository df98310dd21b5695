//! The votes of members, as far as their signatures hold: what is confirmed, refused and reported with.

use super::wire::Vote;
use contracts::{Address, B256, witness};
use std::collections::{BTreeMap, BTreeSet};

/// Draws of which the votes of one member are kept.
const DRAWS: usize = 256;
/// Signatures that one member can bring for one draw: for the digest, for its refusal, and one more that shows a fork.
const SIGNATURES: usize = 3;

/// What one member signed for one draw: digests or refusals, each with its signature.
type Signed = BTreeMap<B256, [u8; 65]>;

/// Votes by member and draw.
#[derive(Clone, Debug, Default)]
pub struct Ballot {
    votes: BTreeMap<Address, BTreeMap<u64, Signed>>,
    /// Why members hold a batch to be wrong, by draw: for people.
    reasons: BTreeMap<(u64, Address), Vec<String>>,
}

impl Ballot {
    /// Takes a member's vote; false if its signature is not the member's.
    pub fn cast(&mut self, by: Address, vote: &Vote, chain_id: u64, contract: Address) -> bool {
        let found = if vote.yes { vote.digest } else { witness::refusal(vote.digest) };
        let Some(signature) = vote.signature() else { return false };
        let of = self.votes.entry(by).or_default();
        if of.get(&vote.draw).is_some_and(|signed| signed.contains_key(&found)) {
            return true;
        }
        if witness::signer(witness::finding(chain_id, contract, vote.draw, found), &signature) != Some(by) {
            return false;
        }
        let signed = of.entry(vote.draw).or_default();
        if signed.len() < SIGNATURES {
            signed.insert(found, signature);
        }
        if !vote.reasons.is_empty() {
            self.reasons.insert((vote.draw, by), vote.reasons.clone());
        }
        while of.len() > DRAWS {
            let Some((draw, _)) = of.pop_first() else { break };
            self.reasons.remove(&(draw, by));
        }
        true
    }

    /// What members of a set signed for this digest or refusal, with their places, rising.
    #[must_use]
    pub fn for_finding(&self, draw: u64, set: &[Address], found: B256) -> Vec<(u8, [u8; 65])> {
        let signed = |member: &Address| self.votes.get(member)?.get(&draw)?.get(&found).copied();
        let votes = set.iter().enumerate().filter_map(|(i, m)| Some((u8::try_from(i).ok()?, signed(m)?)));
        votes.collect()
    }

    /// What members of a set signed instead of what was found: place, digest or refusal, signature. One for each.
    #[must_use]
    pub fn dissents(&self, draw: u64, set: &[Address], found: B256) -> Vec<(u8, B256, [u8; 65])> {
        let other = |member: &Address| {
            let signed = self.votes.get(member)?.get(&draw)?;
            signed.iter().find(|(digest, _)| **digest != found).map(|(digest, signature)| (*digest, *signature))
        };
        let dissents = set.iter().enumerate().filter_map(|(i, m)| {
            let (digest, signature) = other(m)?;
            Some((u8::try_from(i).ok()?, digest, signature))
        });
        dissents.collect()
    }

    /// Why a batch is held to be wrong, by whom: for people.
    #[must_use]
    pub fn reasons(&self, draw: u64) -> Vec<(Address, String)> {
        let of = self.reasons.range((draw, Address::ZERO)..).take_while(|((d, _), _)| *d == draw);
        of.map(|((_, by), reasons)| (*by, reasons.join("; "))).collect()
    }

    /// Forgets who is no member any more.
    pub fn keep(&mut self, members: &BTreeSet<Address>) {
        self.votes.retain(|member, _| members.contains(member));
        self.reasons.retain(|(_, member), _| members.contains(member));
    }
}
