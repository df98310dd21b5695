//! What a switch should do, decided without touching it.
//!
//! ```text
//!                 want of credit               credit again, reconnect = "ready"
//!   connected ─────────────────▶ disconnected ─────────────────▶ ready for reconnection
//!       ▲                             │ credit again,                      │ the customer's own act
//!       └─────────────────────────────┴─ reconnect = "automatic" ◀─────────┘
//! ```
//!
//! Time here is the enforcer's own: it begins with the process and only passes. A wall clock that is set, by NTP at boot
//! or by hand, moves nobody's switch and delays nobody's reconnection.

mod overload;
mod rule;
mod verify;

pub use overload::Overload;
pub use rule::{Act, Override, Rule, State};
pub use verify::{Sample, Verify};

use domain::{OnSilence, Position, Reason, Reconnect, Supply, Suspicion, Timestamp};
use overload::Limiter;
use std::time::Duration;
use verify::Verifier;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Leased {
    supply: Supply,
    reason: Reason,
}

/// One switch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Machine {
    rule: Rule,
    lease: Option<Leased>,
    silent_from: Timestamp,
    ordered: Option<Override>,
    contact: Option<Position>,
    /// When the contact last moved, as far as we know: after a start, when it was first read.
    moved_at: Timestamp,
    looked_at: Option<Timestamp>,
    not_before: Timestamp,
    failures: u32,
    busy: bool,
    /// Why the account took supply away, if the contact has not been closed since.
    revoked: Option<Reason>,
    /// It was opened for want of credit and waits for the customer's own act.
    waits: bool,
    /// The customer acted, and the contact has not been closed since.
    asked: bool,
    /// Others close too: not before this.
    close_from: Option<Timestamp>,
    /// By the grid operator's register another provider feeds the customer: what the account may not have is not taken.
    denied: bool,
    limiter: Limiter,
    verifier: Verifier,
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
            ordered: None,
            contact: None,
            moved_at: now,
            looked_at: None,
            not_before: now,
            failures: 0,
            busy: false,
            revoked: None,
            waits: false,
            asked: false,
            close_from: None,
            denied: false,
            limiter: Limiter::default(),
            verifier: Verifier::default(),
        }
    }

    /// Before the restart its account had it opened for this reason; `released` says whether the customer has acted
    /// since.
    pub fn was_disconnected(&mut self, reason: Reason, released: bool) {
        self.revoked = Some(reason);
        let want = reason.is_want_of_credit();
        self.asked = want && released;
        self.waits = want && !released && self.rule.reconnect == Reconnect::Ready;
    }

    /// News about the account: what it may have, and until when that may be relied on. `fresh` says whether its
    /// meters were heard of late.
    ///
    /// Stale news counts for nothing, with one exception: a customer who was disconnected by the account and may have
    /// power again. That meter may be silent because it has no power.
    pub fn lease(&mut self, supply: Supply, reason: Reason, fresh: bool, until: Timestamp) {
        let was_off = self.lease.is_some_and(|l| !self.enforced(l.supply).is_on());
        let dark = self.revoked.is_some() && self.contact != Some(Position::Closed);
        let enforced = self.enforced(supply);
        let paid = enforced.is_on() && (was_off || dark);
        if !fresh && !paid {
            return;
        }
        if !enforced.is_on() {
            self.revoked = Some(reason);
        }
        if !matches!(enforced, Supply::Limited(_)) {
            self.limiter.release();
        }
        self.lease = Some(Leased { supply, reason });
        self.silent_from = until;
        self.note_wait();
    }

    /// Whether the customer is another provider's by the grid operator's register. Then nothing is taken for what the
    /// account may not have: neither supply nor power. What people order, safety and silence are as ever.
    pub fn deny(&mut self, denied: bool) {
        self.denied = denied;
        if denied {
            self.limiter.release();
        } else if let Some(lease) = self.lease.filter(|l| !l.supply.is_on()) {
            self.revoked = Some(lease.reason);
        }
        self.note_wait();
    }

    /// What a person ordered, or that it was taken back.
    pub fn override_with(&mut self, order: Option<Override>) {
        self.ordered = order;
    }

    /// Whether an order of a person has run out.
    #[must_use]
    pub fn override_is_over(&self, now: Timestamp) -> bool {
        self.ordered.is_some_and(|o| o.until.is_some_and(|until| now >= until))
    }

    /// Whether the customer's own act would bring power back now.
    #[must_use]
    pub fn waits_for_customer(&self, now: Timestamp) -> bool {
        let has_credit = self.leased(now).is_some_and(|l| self.enforced(l.supply).is_on());
        let stopped = self.contact == Some(Position::Open) && (self.waits || self.limiter.holds_open(now));
        has_credit && stopped && !self.rule.protected && self.in_force(now).is_none()
    }

    /// The customer acted. Means nothing unless [`Self::waits_for_customer`]: an act on a dark switch without credit
    /// must not close it hours later.
    pub fn asked(&mut self, now: Timestamp) {
        if self.waits_for_customer(now) {
            (self.waits, self.asked, self.close_from) = (false, true, None);
            self.limiter.release();
        }
    }

    /// What flows now. Answers when that changes what is suspected of the contact.
    pub fn power(&mut self, sample: Sample, now: Timestamp) -> Option<Option<Suspicion>> {
        let contact = self.contact?;
        let limit = match self.leased(now).map(|l| self.enforced(l.supply)) {
            Some(Supply::Limited(limit)) => Some(limit),
            _ => None,
        };
        let applies = contact == Position::Closed && !self.rule.protected && self.in_force(now).is_none();
        if let (Some(power), Some(limit), true) = (sample.power, limit, applies) {
            self.limiter.sample(power, limit, &self.rule.overload, now);
        }
        self.verifier.sample(contact, sample, &self.rule.verify, now)
    }

    /// Where the contact should be, if that is known or decided.
    #[must_use]
    pub fn wanted(&self, now: Timestamp) -> Option<(Position, Reason)> {
        match self.in_force(now) {
            Some(order) if order.safety => return Some((Position::Open, Reason::Safety)),
            Some(order) => return Some((order.position, Reason::Operator)),
            None => {}
        }
        if self.rule.protected {
            return Some((Position::Closed, Reason::Protected));
        }
        if now < self.silent_from {
            let lease = self.lease?;
            return Some(match self.enforced(lease.supply) {
                Supply::Off => (Position::Open, lease.reason),
                _ if self.waits => (Position::Open, Reason::Ready),
                _ if self.limiter.holds_open(now) => (Position::Open, Reason::Overload),
                _ if self.asked => (Position::Closed, Reason::Customer),
                _ if self.limiter.tripped() => (Position::Closed, Reason::OverloadOver),
                _ if self.denied && lease.supply != Supply::Full => (Position::Closed, Reason::NotOurs),
                _ if self.revoked.is_some_and(Reason::is_want_of_credit) => (Position::Closed, Reason::CreditRestored),
                _ => (Position::Closed, lease.reason),
            });
        }
        match self.rule.on_silence {
            OnSilence::Open => Some((Position::Open, Reason::Silence)),
            OnSilence::Closed => Some((Position::Closed, Reason::Silence)),
            OnSilence::Hold => None,
        }
    }

    /// The next step, if there is one now. Whoever takes it must answer with [`Self::found`], [`Self::obeyed`] or
    /// [`Self::failed`].
    pub fn next(&mut self, now: Timestamp) -> Option<Act> {
        if self.busy || now < self.not_before {
            return None;
        }
        let wanted = self.wanted(now);
        if wanted.is_none_or(|(to, _)| to == Position::Open) {
            self.close_from = None;
        }
        let act = match (wanted, self.contact) {
            // Look before the first move: a contact that is right already is not touched.
            (_, None) => Act::Look,
            (Some((to, reason)), Some(contact)) if to != contact && now >= self.allowed_from(to, reason) => {
                Act::Move(to, reason)
            }
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
        if self.contact.is_none() {
            return Some(self.not_before);
        }
        let wrong = self.wanted(now).filter(|(to, _)| Some(*to) != self.contact);
        let step = wrong.map(|(to, reason)| self.allowed_from(to, reason));
        let look = self.looked_at.map_or(now, |at| at + LOOK_EVERY);
        // When something that holds now is over.
        let ends = [Some(self.silent_from), self.ordered.and_then(|o| o.until), self.limiter.open_until()];
        let ends = ends.into_iter().flatten().filter(|at| *at > now);
        step.into_iter().chain([look]).chain(ends).min().map(|at| at.max(self.not_before))
    }

    /// Whether it would close now, if nobody asked it to wait for others.
    #[must_use]
    pub fn is_about_to_close(&self, now: Timestamp) -> bool {
        let closes = self.wanted(now).is_some_and(|(to, reason)| {
            // Who stands before the switch, and who ordered it, is not kept waiting.
            to == Position::Closed && !matches!(reason, Reason::Customer | Reason::Operator)
        });
        closes && !self.busy && self.contact == Some(Position::Open)
    }

    /// Whether it waits for others, or has waited.
    #[must_use]
    pub fn is_staggered(&self) -> bool {
        self.close_from.is_some()
    }

    /// It is one of many: not before `from`.
    pub fn stagger(&mut self, from: Timestamp) {
        self.close_from = Some(from);
    }

    /// The contact was read.
    pub fn found(&mut self, position: Position, now: Timestamp) {
        self.busy = false;
        if self.contact.replace(position) != Some(position) {
            self.moved_at = now;
            self.verifier.moved();
        }
        self.looked_at = Some(now);
        if position == Position::Closed {
            // Whoever closed it: that was an act of somebody's own.
            (self.close_from, self.waits) = (None, false);
        }
        self.note_wait();
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
        if position == Position::Closed {
            (self.revoked, self.waits, self.asked) = (None, false, false);
            self.limiter.closed();
        }
        self.found(position, now);
    }

    /// The contact, as last read.
    #[must_use]
    pub fn contact(&self) -> Option<Position> {
        self.contact
    }

    /// The state in the words of the field, once the contact was read.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> Option<State> {
        Some(match self.contact? {
            Position::Closed => State::Connected,
            Position::Open if self.waits_for_customer(now) => State::ReadyForReconnection,
            Position::Open => State::Disconnected,
        })
    }

    /// What the contact is suspected of.
    #[must_use]
    pub fn suspected(&self) -> Option<Suspicion> {
        self.verifier.suspected()
    }

    /// Until when the present decision holds without news.
    #[must_use]
    pub fn lease_until(&self) -> Option<Timestamp> {
        self.lease.map(|_| self.silent_from)
    }

    /// Failures in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// The order of a person that holds now. One that would disconnect a protected customer holds for safety only.
    fn in_force(&self, now: Timestamp) -> Option<Override> {
        let order = self.ordered.filter(|o| o.until.is_none_or(|until| now < until))?;
        let forbidden = self.rule.protected && order.position == Position::Open && !order.safety;
        (!forbidden).then_some(order)
    }

    /// What the switch gives an account that may have this.
    fn enforced(&self, supply: Supply) -> Supply {
        if self.denied { Supply::Full } else { supply }
    }

    fn leased(&self, now: Timestamp) -> Option<Leased> {
        self.lease.filter(|_| now < self.silent_from)
    }

    /// Want of credit before an open contact: it is the customer's to close, whoever opened it.
    fn note_wait(&mut self) {
        let want = self.lease.is_some_and(|l| !self.enforced(l.supply).is_on() && l.reason.is_want_of_credit());
        if want && self.contact == Some(Position::Open) {
            self.waits |= self.rule.reconnect == Reconnect::Ready;
            self.asked = false;
        }
    }

    /// When the contact may move there.
    fn allowed_from(&self, to: Position, reason: Reason) -> Timestamp {
        match to {
            Position::Open if reason == Reason::Safety => self.moved_at,
            Position::Open => self.moved_at + self.rule.min_on,
            Position::Closed => (self.moved_at + self.rule.min_off).max(self.close_from.unwrap_or(self.moved_at)),
        }
    }

    fn wait(&self) -> Duration {
        (RETRY * 2_u32.pow(self.failures.clamp(1, 10) - 1)).min(RETRY_MAX)
    }
}

#[cfg(test)]
mod every_order;
#[cfg(test)]
mod tests;
