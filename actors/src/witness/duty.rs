//! What is to be said to the contract next: decided from what the chain and the members said, and from nothing else.

use super::ballot::Ballot;
use contracts::tx::Call;
use contracts::witness::{self, Confirmed};
use contracts::{Address, B256};
use std::collections::{BTreeMap, BTreeSet};

/// Blocks that a member gives each of those before it in the set to say what all could say.
const TURN: u64 = 2;

/// A draw that is open, as the chain has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Whose batch.
    pub opener: Address,
    /// Its number.
    pub draw: u64,
    /// The height of the block that opened it.
    pub made: u64,
    /// What is to be checked.
    pub digest: B256,
    /// Who is drawn, in order; `None` while that is not known.
    pub set: Option<Vec<Address>>,
}

/// What became of our own newest draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mine {
    /// There was none.
    Never,
    /// It is open, or will be with the next block.
    Open(B256),
    /// It found no quorum in its time, or the list of members changed.
    Lapsed,
    /// The batch of this digest counts.
    Accepted(B256),
    /// The batch of this digest was refused in this draw.
    Refused(B256, u64),
}

/// What was found of a draw, and where that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was found.
    pub found: Confirmed,
    /// Whether that the batch does not count.
    pub refused: bool,
    /// The height of its block.
    pub block: u64,
}

/// All that is known.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// Who we are.
    pub me: Address,
    /// The contract.
    pub contract: Address,
    /// The chain's height.
    pub head: u64,
    /// Signatures that are enough, by the size of the set less one.
    pub needed: &'a [u8],
    /// The digest of the batch that we have to settle.
    pub ours: Option<B256>,
    /// Our newest draw.
    pub mine: Mine,
    /// Whether a refused batch may be asked about again.
    pub again: bool,
    /// All draws that are open, ours among them.
    pub open: &'a [Open],
    /// What was found lately.
    pub findings: &'a BTreeMap<u64, Finding>,
    /// Who was reported already, by the number of the finding.
    pub dissents: &'a BTreeSet<(u64, Address)>,
    /// Who may be drawn.
    pub members: &'a [Address],
}

/// Something to say, for people and for the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// What it says.
    pub what: String,
    /// The call.
    pub call: Call,
}

impl View<'_> {
    /// Signatures that are enough for a set; `None` if no number is.
    fn enough(&self, set: &[Address]) -> Option<usize> {
        let needed = self.needed.get(set.len().checked_sub(1)?)?;
        (*needed > 0).then_some(usize::from(*needed))
    }

    /// What is to be said next. `quorum` remembers since which block a refusal could be said, by draw.
    #[must_use]
    pub fn acts(&self, ballot: &Ballot, quorum: &mut BTreeMap<u64, u64>) -> Vec<Act> {
        let member = self.members.contains(&self.me);
        let mut acts: Vec<Act> = member.then(|| self.asks()).flatten().into_iter().collect();
        for open in self.open {
            let Some(set) = &open.set else { continue };
            let Some(enough) = self.enough(set) else { continue };
            let (draw, opener) = (open.draw, open.opener);
            let yes = ballot.for_finding(draw, set, open.digest);
            if opener == self.me && yes.len() >= enough && self.ours == Some(open.digest) {
                let call = witness::confirm(self.contract, opener, yes.get(..enough).unwrap_or(&yes));
                acts.push(Act { what: format!("the signatures of {enough} witnesses, for draw {draw}"), call });
            }
            let no = ballot.for_finding(draw, set, witness::refusal(open.digest));
            if opener != self.me && no.len() >= enough {
                let since = *quorum.entry(draw).or_insert(self.head);
                if let Some(place) = self.place(set)
                    && self.head >= since.saturating_add(TURN * place)
                {
                    let call = witness::refuse(self.contract, opener, no.get(..enough).unwrap_or(&no));
                    acts.push(Act { what: format!("the refusal of draw {draw}, of {opener}"), call });
                }
            }
        }
        quorum.retain(|draw, _| self.open.iter().any(|open| open.draw == *draw));
        acts.extend(self.reports(ballot));
        acts
    }

    /// Opens a draw for our batch, unless it is asked about already or was accepted.
    fn asks(&self) -> Option<Act> {
        let ours = self.ours?;
        match self.mine {
            Mine::Open(_) => return None,
            Mine::Accepted(digest) if digest == ours => return None,
            Mine::Refused(digest, _) if digest == ours && !self.again => return None,
            Mine::Never | Mine::Lapsed | Mine::Accepted(_) | Mine::Refused(..) => {}
        }
        Some(Act { what: "the question to our witnesses".into(), call: witness::open(self.contract, ours) })
    }

    /// Dissents that nobody reported yet. One after the other gets a turn to, so that all do not at once.
    fn reports(&self, ballot: &Ballot) -> Vec<Act> {
        let mut acts = Vec::new();
        for finding in self.findings.values() {
            let found = &finding.found;
            let Some(turn) = self.place(&found.set) else { continue };
            if self.head < finding.block.saturating_add(TURN * turn) {
                continue;
            }
            for (place, other, signature) in ballot.dissents(found.draw, &found.set, found.digest) {
                let Some(who) = found.set.get(usize::from(place)).filter(|who| **who != self.me) else { continue };
                // Whoever is out already cannot be counted.
                if !self.members.contains(who) || self.dissents.contains(&(found.batch, *who)) {
                    continue;
                }
                let call = witness::report(self.contract, found, place, other, &signature);
                acts.push(Act { what: format!("the report that {who} dissents in finding {}", found.batch), call });
            }
        }
        acts
    }

    fn place(&self, set: &[Address]) -> Option<u64> {
        set.iter().position(|member| *member == self.me).and_then(|place| u64::try_from(place).ok())
    }
}

#[cfg(test)]
mod tests;
