//! What a switch should do, decided without touching it.
//!
//! Time here is the enforcer's own: it begins with the process and only passes. A wall clock that is set, by NTP at boot
//! or by hand, moves nobody's switch and delays nobody's reconnection.

use domain::{OnSilence, Position, Reason, Timestamp};
use std::time::Duration;

/// The rules that a switch obeys whatever the account says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where it goes when its lease runs out.
    pub on_silence: OnSilence,
    /// A protected customer is never disconnected.
    pub protected: bool,
}

/// One step for the outside world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Order the contact there, and read it back.
    Move(Position, Reason),
    /// Read the contact.
    Look,
}

/// One switch.
#[derive(Clone, Debug)]
pub struct Machine {
    rule: Rule,
    lease: Option<(bool, Timestamp)>,
    silent_from: Timestamp,
    contact: Option<Position>,
    looked_at: Option<Timestamp>,
    not_before: Timestamp,
    failures: u32,
    busy: bool,
    /// Credit was out, and the contact has not been closed since.
    was_revoked: bool,
}

/// How often a contact that is where it should be is read again.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// First wait after a failure; it doubles up to [`RETRY_MAX`].
const RETRY: Duration = Duration::from_secs(2);
const RETRY_MAX: Duration = Duration::from_secs(120);

impl Machine {
    /// A switch nothing is known about yet. It counts as silent only when `grace` has passed without any lease, so that
    /// a restart of the gateway moves nobody's switch.
    #[must_use]
    pub fn new(rule: Rule, now: Timestamp, grace: Duration) -> Self {
        Self {
            rule,
            lease: None,
            silent_from: now + grace,
            contact: None,
            looked_at: None,
            not_before: now,
            failures: 0,
            busy: false,
            was_revoked: false,
        }
    }

    /// News about the account: whether it has credit, and until when that may be relied on. `fresh` says whether its
    /// meters were heard of late.
    ///
    /// Stale news counts for nothing, with one exception: a customer who was disconnected for want of credit and has
    /// paid. That meter may be silent because it has no power.
    pub fn lease(&mut self, granted: bool, fresh: bool, until: Timestamp) {
        let paid = granted && matches!(self.lease, Some((false, _)));
        if fresh || paid {
            self.was_revoked |= !granted;
            self.lease = Some((granted, until));
            self.silent_from = until;
        }
    }

    /// Where the contact should be, if that is known or decided.
    #[must_use]
    pub fn wanted(&self, now: Timestamp) -> Option<(Position, Reason)> {
        if self.rule.protected {
            return Some((Position::Closed, Reason::Protected));
        }
        if now < self.silent_from {
            return match self.lease {
                Some((true, _)) if self.was_revoked => Some((Position::Closed, Reason::CreditRestored)),
                Some((true, _)) => Some((Position::Closed, Reason::CreditGood)),
                Some((false, _)) => Some((Position::Open, Reason::CreditExhausted)),
                None => None,
            };
        }
        match self.rule.on_silence {
            OnSilence::Open => Some((Position::Open, Reason::Silence)),
            OnSilence::Closed => Some((Position::Closed, Reason::Silence)),
            OnSilence::Hold => None,
        }
    }

    /// The next step, if there is one now. Whoever takes it must answer with [`Self::found`] or [`Self::failed`].
    pub fn next(&mut self, now: Timestamp) -> Option<Act> {
        if self.busy || now < self.not_before {
            return None;
        }
        let act = match (self.wanted(now), self.contact) {
            // Look before the first move: a contact that is right already is not touched.
            (_, None) => Act::Look,
            (Some((wanted, reason)), Some(contact)) if wanted != contact => Act::Move(wanted, reason),
            _ if self.looked_at.is_none_or(|at| now.since(at) >= LOOK_EVERY) => Act::Look,
            _ => return None,
        };
        self.busy = true;
        Some(act)
    }

    /// When [`Self::next`] may have something to say again without any news; `None` while a step is under way.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Option<Timestamp> {
        if self.busy {
            return None;
        }
        let wrong = self.contact.is_none() || self.wanted(now).is_some_and(|(wanted, _)| Some(wanted) != self.contact);
        if wrong {
            return Some(self.not_before);
        }
        let look = self.looked_at.map_or(now, |at| at + LOOK_EVERY);
        let silence = if self.silent_from > now { self.silent_from } else { look };
        Some(look.min(silence).max(self.not_before))
    }

    /// The contact was read.
    pub fn found(&mut self, position: Position, now: Timestamp) {
        self.busy = false;
        self.contact = Some(position);
        self.looked_at = Some(now);
        // A contact that is right ends a row of failures; one that is wrong still waits for its next try.
        if self.wanted(now).is_none_or(|(wanted, _)| wanted == position) {
            self.failures = 0;
        }
    }

    /// An order was taken and the contact did not follow, or the device did not answer.
    pub fn failed(&mut self, now: Timestamp) {
        self.busy = false;
        self.failures = self.failures.saturating_add(1);
        self.not_before = now + self.wait();
    }

    /// The contact is where it was ordered.
    pub fn obeyed(&mut self, position: Position, now: Timestamp) {
        self.failures = 0;
        self.not_before = now;
        self.was_revoked &= position == Position::Open;
        self.found(position, now);
    }

    /// The contact, as last read.
    #[must_use]
    pub fn contact(&self) -> Option<Position> {
        self.contact
    }

    /// Until when the present decision holds without news.
    #[must_use]
    pub fn lease_until(&self) -> Option<Timestamp> {
        self.lease.map(|(_, until)| until)
    }

    /// Failures in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    fn wait(&self) -> Duration {
        (RETRY * 2_u32.pow(self.failures.clamp(1, 10) - 1)).min(RETRY_MAX)
    }
}

#[cfg(test)]
mod tests;
