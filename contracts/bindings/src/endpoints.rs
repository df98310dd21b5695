//! Several nodes of one chain: the first that answers is asked, and one that tells another story is left aside.

use crate::chain::{Chain, ChainError, Head, Log, LogFilter, Receipt, Refusal};
use crate::tx::{Call, Fees};
use crate::{Address, B256, U256};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a node that did not answer is not asked, while others answer.
const REST: Duration = Duration::from_secs(30);
/// How long a node that disagrees is left aside before it is asked whether it still does.
const ASIDE: Duration = Duration::from_secs(300);

/// Nodes of one chain, in the order in which they are preferred.
///
/// A node is asked only after it has answered with the right chain id and, once the caller relies on a block, with the
/// hash of that block. Whatever a node refuses is an answer; the next is asked only where there was none. What is sent
/// is sent to all.
pub struct Endpoints {
    nodes: Vec<Node>,
    chain_id: u64,
    relied_on: Mutex<Option<(u64, B256)>>,
    rest: Duration,
    aside: Duration,
}

struct Node {
    /// For people, without credentials.
    name: String,
    chain: Box<dyn Chain>,
    health: Mutex<Health>,
}

#[derive(Clone, Debug)]
enum Health {
    /// Nobody has looked yet.
    Unknown,
    Good,
    /// Did not answer.
    Silent {
        until: Instant,
        why: String,
    },
    /// Is of another chain, or of another branch.
    Wrong {
        until: Instant,
        why: String,
    },
}

impl Node {
    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Endpoints {
    /// These nodes, each with its name for people, of the chain with this id. Nothing is asked yet.
    #[must_use]
    pub fn new(nodes: Vec<(String, Box<dyn Chain>)>, chain_id: u64) -> Self {
        let node = |(name, chain)| Node { name, chain, health: Mutex::new(Health::Unknown) };
        let nodes = nodes.into_iter().map(node).collect();
        Self { nodes, chain_id, relied_on: Mutex::default(), rest: REST, aside: ASIDE }
    }

    /// The same, with other pauses: for a node that did not answer, and for one that disagrees.
    #[must_use]
    pub fn with_pauses(self, rest: Duration, aside: Duration) -> Self {
        Self { rest, aside, ..self }
    }

    fn relied_on(&self) -> Option<(u64, B256)> {
        *self.relied_on.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The nodes to ask, best first: those that answered last time; failing them also those that did not.
    fn order(&self) -> Vec<&Node> {
        let now = Instant::now();
        let (mut ready, mut silent) = (Vec::new(), Vec::new());
        for node in &self.nodes {
            match &*node.health() {
                Health::Unknown | Health::Good => ready.push(node),
                Health::Silent { until, .. } if *until <= now => ready.push(node),
                Health::Silent { .. } => silent.push(node),
                Health::Wrong { until, .. } if *until <= now => ready.push(node),
                Health::Wrong { .. } => {}
            }
        }
        ready.append(&mut silent);
        ready
    }

    /// Makes sure that a node which is not known to be good is of our chain.
    fn examine(&self, node: &Node) -> Result<(), ChainError> {
        if matches!(*node.health(), Health::Good) {
            return Ok(());
        }
        let found = node.chain.chain_id()?;
        if found != self.chain_id {
            return Err(self.wrong(node, format!("it answers as chain {found}, not {}", self.chain_id)));
        }
        // A block that it does not have yet says nothing; another in its place does, if somebody else has ours.
        if let Some((block, hash)) = self.relied_on()
            && node.chain.block_hash(block)?.is_some_and(|theirs| theirs != hash)
            && self.nodes.iter().any(|n| !std::ptr::eq(n, node) && n.chain.block_hash(block) == Ok(Some(hash)))
        {
            return Err(self.wrong(node, format!("its block {block} is another than that of the other nodes")));
        }
        *node.health() = Health::Good;
        Ok(())
    }

    fn wrong(&self, node: &Node, why: String) -> ChainError {
        let (url, what) = (node.name.clone(), format!("it is left aside: {why}"));
        *node.health() = Health::Wrong { until: Instant::now() + self.aside, why };
        ChainError::Unreachable { url, what }
    }

    /// Notes what came of asking; says whether that was an answer.
    fn answered<T>(&self, node: &Node, result: &Result<T, ChainError>) -> bool {
        match result {
            Ok(_) | Err(ChainError::Reverted { .. }) => true,
            Err(ChainError::Refused { kind, .. }) => *kind != Refusal::Unsupported,
            Err(error @ (ChainError::Unreachable { .. } | ChainError::Nonsense { .. })) => {
                let mut health = node.health();
                if !matches!(*health, Health::Wrong { .. }) {
                    *health = Health::Silent { until: Instant::now() + self.rest, why: error.to_string() };
                }
                false
            }
        }
    }

    /// Asks one after the other until one answers.
    fn ask<T>(&self, ask: impl Fn(&dyn Chain) -> Result<T, ChainError>) -> Result<T, ChainError> {
        let mut last = None;
        for node in self.order() {
            let result = self.examine(node).and_then(|()| ask(&*node.chain));
            if self.answered(node, &result) {
                return result;
            }
            last = Some(result);
        }
        last.unwrap_or_else(|| {
            let names: Vec<&str> = self.nodes.iter().map(|n| n.name.as_str()).collect();
            let what = "every node is left aside, because it is of another chain or branch".into();
            Err(ChainError::Unreachable { url: names.join(", "), what })
        })
    }
}

impl std::fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.nodes.iter().map(|n| n.name.as_str()).collect();
        f.write_str(&names.join(", "))
    }
}

impl Chain for Endpoints {
    fn chain_id(&self) -> Result<u64, ChainError> {
        self.ask(|chain| chain.chain_id())
    }

    fn head(&self) -> Result<Head, ChainError> {
        self.ask(|chain| chain.head())
    }

    fn nonce(&self, of: Address) -> Result<u64, ChainError> {
        self.ask(|chain| chain.nonce(of))
    }

    fn balance(&self, of: Address) -> Result<U256, ChainError> {
        self.ask(|chain| chain.balance(of))
    }

    fn fees(&self) -> Result<Fees, ChainError> {
        self.ask(|chain| chain.fees())
    }

    fn call(&self, from: Address, call: &Call) -> Result<Vec<u8>, ChainError> {
        self.ask(|chain| chain.call(from, call))
    }

    fn estimate_gas(&self, from: Address, call: &Call) -> Result<u64, ChainError> {
        self.ask(|chain| chain.estimate_gas(from, call))
    }

    /// Hands it to every node: one that keeps it to itself does not hold it up. Taken if one of them took it.
    fn send(&self, raw: &[u8]) -> Result<B256, ChainError> {
        let mut best: Option<Result<B256, ChainError>> = None;
        for node in self.order() {
            let result = self.examine(node).and_then(|()| node.chain.send(raw));
            let answered = self.answered(node, &result);
            let rank = |r: &Result<B256, ChainError>| match r {
                Ok(_) => 3,
                Err(ChainError::Refused { kind: Refusal::AlreadyKnown, .. }) => 2,
                Err(ChainError::Refused { .. } | ChainError::Reverted { .. }) => 1,
                Err(_) => 0,
            };
            let better = best.as_ref().is_none_or(|b| rank(&result) > rank(b));
            if better && (answered || best.is_none()) {
                best = Some(result);
            }
        }
        // Nobody to ask: the same words as for any other question.
        best.unwrap_or_else(|| self.ask(|chain| chain.send(raw)))
    }

    fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, ChainError> {
        self.ask(|chain| chain.receipt(transaction))
    }

    fn block_hash(&self, number: u64) -> Result<Option<B256>, ChainError> {
        self.ask(|chain| chain.block_hash(number))
    }

    fn code(&self, at: Address) -> Result<Vec<u8>, ChainError> {
        self.ask(|chain| chain.code(at))
    }

    fn logs(&self, filter: &LogFilter) -> Result<Vec<Log>, ChainError> {
        self.ask(|chain| chain.logs(filter))
    }

    /// Asks every node for this block. Where some have it and some have another, those others are left aside; where none
    /// has it, the chain took it back, and that is not theirs to be blamed for.
    fn rely_on(&self, block: u64, hash: B256) {
        *self.relied_on.lock().unwrap_or_else(PoisonError::into_inner) = Some((block, hash));
        if self.nodes.len() < 2 {
            return;
        }
        let mut others = Vec::new();
        let mut confirmed = false;
        for node in self.order() {
            let found = node.chain.block_hash(block);
            self.answered(node, &found);
            match found {
                Ok(Some(theirs)) if theirs == hash => confirmed = true,
                Ok(Some(_)) => others.push(node),
                Ok(None) | Err(_) => {}
            }
        }
        for node in others.into_iter().filter(|_| confirmed) {
            let why = self.wrong(node, format!("its block {block} is another than that of the other nodes"));
            tracing::warn!(%why, "a node disagrees");
        }
    }

    fn problems(&self) -> Vec<String> {
        let problem = |node: &Node| match &*node.health() {
            Health::Unknown | Health::Good => None,
            Health::Silent { why, .. } => Some(why.clone()),
            Health::Wrong { why, .. } => Some(format!("the node at {} is left aside: {why}", node.name)),
        };
        self.nodes.iter().filter_map(problem).collect()
    }
}

#[cfg(test)]
mod tests;
