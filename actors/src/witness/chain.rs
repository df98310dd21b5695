//! What the chain says of draws, findings and members, read once a block.

use super::duty::{Finding, Mine, Open};
use contracts::chain::{Chain, ChainError, LogFilter};
use contracts::witness::{self, Rules, Standing};
use contracts::{Address, B256};
use std::collections::{BTreeMap, BTreeSet};

/// How far back is read at a start, and after long away: a draw lapses within 255 blocks.
const BACK: u64 = 512;
/// Blocks that are read again: nodes may not have had all of their logs, or another block came in their place.
const TAIL: u64 = 16;
/// Findings that are kept in mind.
const FINDINGS: usize = 256;

/// What was read.
#[derive(Debug, Default)]
pub struct Seen {
    head: Option<B256>,
    /// The chain's height.
    pub height: u64,
    upto: u64,
    /// Who may be drawn.
    pub members: Vec<Address>,
    /// How members are drawn, and when they are flagged.
    pub rules: Option<Rules>,
    /// Draws that are open.
    pub open: Vec<Open>,
    /// What was found lately, by number.
    pub findings: BTreeMap<u64, Finding>,
    /// Who dissented, by number of the finding.
    pub dissents: BTreeSet<(u64, Address)>,
    /// What became of our newest draw.
    pub mine: Option<Mine>,
    /// How members stand: those that dissented or were flagged, and ourselves.
    pub standing: BTreeMap<Address, Standing>,
}

impl Seen {
    /// Reads what is new; says whether anything can be.
    pub fn look(&mut self, chain: &dyn Chain, contract: Address, me: Address) -> Result<bool, ChainError> {
        let head = chain.head()?;
        if self.head == Some(head.hash) {
            return Ok(false);
        }
        // After long away it begins anew: what lies further back can be of no draw that is open.
        let back = head.number.saturating_sub(BACK);
        let first = self.rules.is_none() || self.upto < back;
        let from = if first { back } else { self.upto.saturating_sub(TAIL) };
        // A chain that is shorter than it was is read anew, once it has gone on.
        let from_block = from.min(head.number).max(1);
        let filter = LogFilter { address: contract, topic0: None, from_block, to_block: head.number };
        let (mut changed, mut openers, mut doubtful) = (first, BTreeSet::from([me]), BTreeSet::from([me]));
        self.findings.retain(|_, finding| finding.block < from_block);
        for log in chain.logs(&filter)? {
            if let Some((_, by, _)) = witness::opened(&log) {
                openers.insert(by);
            }
            let (confirmed, refused) = (witness::confirmed(&log), witness::refused(&log));
            let is_refusal = refused.is_some();
            if let Some(found) = confirmed.or(refused) {
                self.findings.insert(found.batch, Finding { found, refused: is_refusal, block: log.block });
            }
            if let Some((batch, who)) = witness::dissented(&log) {
                self.dissents.insert((batch, who));
                doubtful.insert(who);
            }
            doubtful.extend(witness::flagged(&log).map(|(who, _, _)| who));
            changed |= witness::changes_list(&log);
        }
        while self.findings.len() > FINDINGS {
            self.findings.pop_first();
        }
        let oldest = self.findings.keys().next().copied().unwrap_or(0);
        self.dissents.retain(|(batch, _)| *batch >= oldest);
        if changed {
            self.rules = Some(witness::rules(chain, contract)?);
            self.members = witness::members(chain, contract)?;
            doubtful.extend(self.standing.keys());
        }
        for who in doubtful {
            self.standing.insert(who, witness::standing(chain, contract, who)?);
        }
        openers.extend(self.open.iter().map(|open| open.opener));
        self.open.clear();
        for opener in openers {
            let state = witness::state(chain, contract, opener)?;
            let (digest, mut lapsed) = (state.digest, false);
            if state.made != 0 {
                let set = match witness::drawn(chain, contract, opener) {
                    Ok(set) => Some(set),
                    Err(ChainError::Reverted { reason, .. }) => {
                        lapsed = !reason.starts_with("TooSoon");
                        None
                    }
                    Err(error) => return Err(error),
                };
                if !lapsed {
                    self.open.push(Open { opener, draw: state.draw, made: state.made, digest, set });
                }
            }
            if opener == me {
                self.mine = Some(match state.made {
                    _ if state.draw == 0 => Mine::Never,
                    0 if state.accepted => Mine::Accepted(digest),
                    0 => Mine::Refused(digest, state.draw),
                    _ if lapsed => Mine::Lapsed,
                    _ => Mine::Open(digest),
                });
            }
        }
        (self.head, self.height, self.upto) = (Some(head.hash), head.number, head.number);
        Ok(true)
    }
}
