//! What to do about transactions that are in no block: send one again, offer more for it, sign it anew, or wait.
//!
//! Decided from what was seen alone, so that every order of events can be tried. What the chain says of a nonce may be
//! late or wrong; what is decided here is safe all the same, because a batch counts once whatever carries it.

use super::fees::FeePolicy;
use contracts::chain::Refusal;
use domain::Timestamp;
use std::time::Duration;

/// Replacements of one nonce, at most; then it is only sent again.
pub(super) const MOST_REPLACEMENTS: usize = 20;

/// A transaction that was signed for the intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offered {
    pub nonce: u64,
    pub signed_at: Timestamp,
}

/// What is known now. No attempt has a receipt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    /// Oldest first; not empty.
    pub attempts: &'a [Offered],
    /// The sender's next nonce at the chain's head.
    pub next_nonce: u64,
    /// The height of the chain's head.
    pub head: u64,
    pub now: Timestamp,
}

/// What this process remembers of the intent that is under way. It is not durable: a restart only makes it patient again.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    intent: i64,
    /// The attempt that was sent last: how many there were then, and when.
    sent: Option<(usize, Timestamp)>,
    /// The height at which the newest attempt was first seen waiting.
    since: Option<(usize, u64)>,
    /// What the node said to it, if it did not take it.
    said: Option<Refusal>,
    /// When it was first seen that all nonces are used, or that one is missing.
    lost: Option<Timestamp>,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// Send this attempt.
    Send(usize),
    /// Sign another with the nonce of this attempt, for more.
    Replace(usize),
    /// Sign another with the chain's next nonce.
    Anew,
    /// Nothing; for people, why.
    Wait(&'static str),
}

impl Memory {
    /// Forgets whatever was remembered of another intent.
    pub(super) fn of(&mut self, intent: i64) {
        if self.intent != intent {
            *self = Self { intent, ..Self::default() };
        }
    }

    /// Notes what the node said to an attempt that was sent; `None` if it was taken.
    pub(super) fn sent(&mut self, attempt: usize, now: Timestamp, said: Option<Refusal>) {
        self.sent = Some((attempt, now));
        self.said = said;
    }

    /// Decides.
    pub(super) fn decide(&mut self, seen: &Seen<'_>, policy: &FeePolicy) -> Move {
        let ahead = |at: usize| seen.attempts.get(at).is_some_and(|a| a.nonce > seen.next_nonce);
        let newest = seen.attempts.iter().rposition(|a| a.nonce == seen.next_nonce);
        let Some(newest) = newest else {
            // Used by one of ours whose receipt cannot be seen yet, or by something else; or one before it is missing.
            // A node that is behind shows both, so this is believed only when it has lasted.
            let lost = *self.lost.get_or_insert(seen.now);
            let gap = (0..seen.attempts.len()).any(ahead);
            if waited(seen.now, lost) >= policy.patience {
                self.lost = None;
                return Move::Anew;
            }
            // Sending it changes nothing, and a node that lost the ones before may have them back.
            let last = seen.attempts.len().saturating_sub(1);
            return match gap && ahead(last) && self.may_send(last, seen, policy) {
                true => Move::Send(last),
                false if gap => Move::Wait("transactions before it are missing on the chain"),
                false => Move::Wait("its nonce is used; looking for the receipt"),
            };
        };
        self.lost = None;
        if self.since.is_none_or(|(at, _)| at != newest) {
            self.since = Some((newest, seen.head));
        }
        if self.may_send(newest, seen, policy) {
            return Move::Send(newest);
        }
        let Some(offered) = seen.attempts.get(newest) else { return Move::Wait("sent") };
        let age = waited(seen.now, offered.signed_at);
        let tries = seen.attempts.iter().filter(|a| a.nonce == seen.next_nonce).count();
        let more = tries <= MOST_REPLACEMENTS;
        match self.said {
            // The more often it was outbid, the longer it waits: a node may be saying this of everything.
            Some(Refusal::Underpriced) if more && age >= backoff(tries, policy) => Move::Replace(newest),
            Some(Refusal::Underpriced) => Move::Wait("underpriced; it will offer more"),
            Some(Refusal::NonceTooLow) => Move::Wait("its nonce was just used; looking for the receipt"),
            Some(Refusal::NonceTooHigh) => Move::Wait("the node misses transactions before it"),
            Some(Refusal::InsufficientFunds) => Move::Wait("the settler's account cannot pay for it"),
            // While the chain stands still, more money would not move it.
            said => {
                let moved = self.since.is_some_and(|(_, head)| seen.head > head);
                match said {
                    _ if more && moved && age >= policy.patience => Move::Replace(newest),
                    Some(Refusal::AlreadyKnown) => Move::Wait("known to the node, not in a block yet"),
                    Some(_) => Move::Wait("the node does not take it; it is sent again"),
                    None => Move::Wait("sent, not in a block yet"),
                }
            }
        }
    }

    /// Whether this attempt was not sent yet in this life, or so long ago that a node may have dropped it.
    fn may_send(&self, attempt: usize, seen: &Seen<'_>, policy: &FeePolicy) -> bool {
        self.sent.is_none_or(|(at, when)| at != attempt || waited(seen.now, when) >= again(policy))
    }
}

/// How often a waiting transaction is sent again, whatever a node says of it.
fn again(policy: &FeePolicy) -> Duration {
    policy.patience / 4
}

fn backoff(tries: usize, policy: &FeePolicy) -> Duration {
    match tries {
        0 | 1 => Duration::ZERO,
        _ => (policy.patience / 16).saturating_mul(u32::try_from(tries).unwrap_or(u32::MAX)),
    }
}

/// Time that passed; on a clock that was set back, as much as anybody waits for.
fn waited(now: Timestamp, since: Timestamp) -> Duration {
    if since > now { Duration::MAX } else { now.since(since) }
}

#[cfg(test)]
mod tests;
