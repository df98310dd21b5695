//! Whose turn it is on a bus that asks one question at a time, or as many as it bears: decisions only, no waiting and no
//! I/O.
//!
//! Devices that answer take turns, the one longest overdue first: on a bus that cannot keep up, that is round robin.
//! A device that fails twice in a row leaves the round and is a suspect. Suspects are asked in time that nobody else needs,
//! and all of them together may waste one part in [`PROBE_PRICE`] of the bus's time, however many they are. An answer
//! puts a suspect back into the round.
//!
//! Where several are asked at a time, one place at most is taken by a suspect that has failed before, and what fails or is
//! slow beside a failure is not blamed for it. A gateway may well work through its questions one after the other: so time
//! counts as spare by the same rule as where there is one place.

use crate::backoff::jittered;
use crate::capability::{DeviceError, Outlook};
use std::time::Duration;
use tokio::time::Instant;

/// Time in vain on a suspect, times this, is how long all suspects are left alone: 3 % of the bus's time.
const PROBE_PRICE: u32 = 32;
/// The same for devices that were not asked before: half the time, so that a start among many dead ones is quick.
const FIRST_PRICE: u32 = 1;
/// Longest first wait after a failure; a shorter period makes it shorter.
const RETRY: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// A broken wire costs no bus time, and is everybody's: its end should be seen soon.
const WIRE_RETRY_MAX: Duration = Duration::from_secs(5);
/// On a bus without spare time a probe waits this long for some, then is made anyway.
const NO_SPARE: Duration = Duration::from_secs(5);
/// So many answers in a row make good one failure.
const MAKES_GOOD: u32 = 4;
/// What is remembered of a long absence once it is over: one lost frame must not bring back the longest wait.
const MOST_REMEMBERED: u32 = 3;

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask this device, but give up at `until`: from then on the others need the bus.
    Ask {
        /// Which, in the order of [`Round::new`].
        index: usize,
        /// When to give up; nothing if the device's own timeout is to decide.
        until: Option<Instant>,
    },
    /// Nobody is due before, unless one that is asked now answers or fails.
    Wait(Instant),
}

/// How a device keeps up, as measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Time from one answer to the next, on average; nothing until two answers came in a row.
    pub period: Option<Duration>,
    /// Time that an answer takes, on average.
    pub latency: Option<Duration>,
}

#[derive(Debug)]
struct Member {
    period: Duration,
    due: Instant,
    /// Asked, and not done yet.
    asked: Option<Instant>,
    /// Its latest turn, as all turns are numbered.
    turn: u64,
    suspect: bool,
    /// Failures that are not made good yet.
    level: u32,
    /// Answers since the last failure.
    streak: u32,
    /// Attempts in vain since the last answer.
    vain: u32,
    /// What it may suffer from is another's doing, at this price.
    excuse: Option<u32>,
    answered_at: Option<Instant>,
    measured: Measured,
}

impl Member {
    /// A suspect that has failed already: it may well be dead.
    fn is_probe(&self) -> bool {
        self.suspect && self.vain > 0
    }
}

/// The devices of one bus and their turns.
#[derive(Debug)]
pub struct Round {
    members: Vec<Member>,
    /// Before this, no suspect is asked.
    lane: Instant,
    /// The last turn was in vain: what it delays behind it, in the turn that comes next, is its doing too.
    blame: Option<u32>,
    /// Turns so far.
    turns: u64,
}

/// Average of about the last eight.
fn smooth(old: Option<Duration>, new: Duration) -> Option<Duration> {
    Some(old.map_or(new, |old| (old * 7 + new) / 8))
}

impl Round {
    /// Devices with these periods, none of which was asked yet.
    #[must_use]
    pub fn new(periods: impl IntoIterator<Item = Duration>, now: Instant) -> Self {
        let member = |period: Duration| Member {
            period: period.max(Duration::from_millis(1)),
            due: now,
            asked: None,
            turn: 0,
            suspect: true,
            level: 0,
            streak: 0,
            vain: 0,
            excuse: None,
            answered_at: None,
            measured: Measured::default(),
        };
        Self { members: periods.into_iter().map(member).collect(), lane: now, blame: None, turns: 0 }
    }

    /// Who is to be asked now; whoever that is has their turn until [`Round::answered`] or [`Round::failed`] ends it.
    /// `outlook` is what each device's driver expects.
    pub fn next(&mut self, now: Instant, outlook: impl Fn(usize) -> Outlook) -> Next {
        let next = self.choose(now, outlook);
        if let Next::Ask { index, .. } = next
            && let Some(member) = self.members.get_mut(index)
        {
            self.turns += 1;
            (member.asked, member.turn, member.excuse) = (Some(now), self.turns, self.blame.take());
        }
        next
    }

    /// Since when the one whose turn lasts longest has it.
    #[must_use]
    pub fn busy_since(&self) -> Option<Instant> {
        self.members.iter().filter_map(|m| m.asked).min()
    }

    fn choose(&self, now: Instant, outlook: impl Fn(usize) -> Outlook) -> Next {
        let asked = self.members.iter().filter(|m| m.asked.is_some()).count();
        let beside = if self.members.is_empty() { 0 } else { outlook(0).beside };
        if asked > beside {
            return Next::Wait(now + RETRY_MAX);
        }
        let ready = |(index, member): (usize, &Member)| {
            let at = outlook(index).not_before.map_or(member.due, |at| at.max(member.due));
            // Of those due at the same time, the one asked longest ago.
            (at, member.turn, index)
        };
        let free = || self.members.iter().enumerate().filter(|(_, m)| m.asked.is_none());
        let probing = self.members.iter().any(|m| m.asked.is_some() && m.is_probe());
        let regular = free().filter(|(_, m)| !m.suspect).map(ready).min();
        let suspect = free().filter(|(_, m)| m.suspect && !(probing && m.is_probe())).map(ready).min();
        let mut wake = regular.map(|(at, ..)| at);
        if let Some((at, _, index)) = suspect {
            // With nobody else to serve, the time is nobody's.
            let served = self.members.iter().any(|m| !m.suspect);
            let from = if served { at.max(self.lane) } else { at };
            let ask = |until| Next::Ask { index, until };
            let anyway = from + self.shortest_period().saturating_mul(2).min(NO_SPARE);
            if from > now {
                wake = Some(wake.map_or(from, |wake| wake.min(from)));
            } else if !served || now >= anyway {
                return ask(None);
            } else if let Some(due) = self.next_due(regular.map(|(at, ..)| at)) {
                let (spare, patience) = (due.saturating_duration_since(now), outlook(index).patience);
                // A device that is too slow for the spare time gets all of its patience every fourth time.
                let whole = self.members[index].vain % 4 == 3;
                if spare >= patience && !spare.is_zero() {
                    return ask(None);
                } else if spare >= patience / 2 && !spare.is_zero() && !whole {
                    // Where the others have places of their own, nothing is won by giving up early.
                    return ask((beside == 0).then_some(due));
                }
                wake = Some(wake.map_or(anyway, |wake| wake.min(anyway)));
            }
        }
        match (regular, wake) {
            (Some((at, _, index)), _) if at <= now => Next::Ask { index, until: None },
            (_, Some(wake)) => Next::Wait(wake),
            (_, None) => Next::Wait(now + RETRY_MAX),
        }
    }

    /// When the first of those who answer needs the bus again.
    fn next_due(&self, waiting: Option<Instant>) -> Option<Instant> {
        let again = self.members.iter().filter(|m| !m.suspect && m.asked.is_some()).map(|m| m.due + m.period);
        again.chain(waiting).min()
    }

    fn shortest_period(&self) -> Duration {
        self.members.iter().filter(|m| !m.suspect).map(|m| m.period).min().unwrap_or_default()
    }

    /// The device that was asked at `began` answered at `ended`.
    pub fn answered(&mut self, index: usize, began: Instant, ended: Instant) {
        let nobody = self.members.iter().all(|m| m.suspect);
        let took = ended.saturating_duration_since(began);
        let Some(member) = self.members.get_mut(index) else { return };
        member.asked = None;
        if let Some(price) = member.excuse.take()
            && let Some(usual) = member.measured.latency
        {
            // A gateway that still waits for the dead unit makes the next one wait with it.
            self.lane += took.saturating_sub(usual * 2) * price;
        } else {
            member.measured.latency = smooth(member.measured.latency, took);
        }
        member.vain = 0;
        if std::mem::take(&mut member.suspect) {
            member.level = member.level.min(MOST_REMEMBERED);
            member.measured.period = None;
            member.due = began + member.period;
        } else {
            let since = member.answered_at.map(|at| ended.saturating_duration_since(at));
            member.measured.period = since.map_or(member.measured.period, |s| smooth(member.measured.period, s));
            // What cannot be kept up is not made up for.
            member.due = (member.due + member.period).max(ended);
        }
        member.answered_at = Some(ended);
        member.streak += 1;
        if member.streak >= MAKES_GOOD {
            (member.streak, member.level) = (0, member.level.saturating_sub(1));
        }
        if nobody {
            // The bus itself was dead, not each of its devices.
            self.lane = ended;
            for suspect in self.members.iter_mut().filter(|m| m.suspect && m.asked.is_none()) {
                suspect.due = suspect.due.min(ended);
            }
        }
    }

    /// The device that was asked at `began` had not answered by `ended`, or not with anything of use.
    pub fn failed(&mut self, index: usize, began: Instant, ended: Instant, error: &DeviceError) {
        let Some(member) = self.members.get_mut(index) else { return };
        let (_, blamed) = (member.asked.take(), member.excuse.take());
        for beside in self.members.iter_mut().filter(|m| m.asked.is_some()) {
            // It loses time that is counted here already.
            beside.excuse.get_or_insert(0);
        }
        let Some(member) = self.members.get_mut(index) else { return };
        if let (Some(price), 0) = (blamed, member.vain) {
            // The first to be asked after a probe in vain suffers for whatever that one did to the wire or to the
            // gateway: it is not to blame, and is asked again at once.
            self.lane = self.lane.max(ended) + ended.saturating_duration_since(began) * price;
            (member.due, member.streak, member.vain) = (ended, 0, 1);
            return;
        }
        if !member.suspect && member.vain == 0 {
            // One failure of a device that has answered is more often the wire's doing than its own: it is asked again
            // at once, and so is the next one to fail, which may suffer from the same.
            (member.due, member.streak, member.vain) = (ended, 0, 1);
            self.blame = Some(0);
            return;
        }
        let most = if matches!(error, DeviceError::Wire { .. }) { WIRE_RETRY_MAX } else { RETRY_MAX };
        // A first failure may be the wire's doing, and costs what a transaction may cost anyone.
        let price = match (member.suspect, member.level) {
            (true, 0) => Some(FIRST_PRICE),
            (false, 0) => None,
            _ => Some(PROBE_PRICE),
        };
        if let Some(price) = price {
            self.lane = self.lane.max(ended) + ended.saturating_duration_since(began) * price;
        }
        self.blame = price;
        member.due = ended + jittered(RETRY.min(member.period), most, member.level);
        member.level = member.level.saturating_add(1);
        member.vain = member.vain.saturating_add(1);
        (member.suspect, member.streak) = (true, 0);
    }

    /// How this device keeps up.
    #[must_use]
    pub fn measured(&self, index: usize) -> Measured {
        self.members.get(index).map(|m| m.measured).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
