//! From two readings of one meter to the energy that flowed between them: the pure rule that the Pricer runs, the
//! verifier runs again, and a property test holds to conservation.

use crate::register::{Doubt, Guard, advance};
use crate::{Flow, MeterId, Reading, Timestamp, Uptime, WattHours};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Where billing stands for one meter: the registers up to which its energy has been billed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeterBook {
    /// Which meter.
    pub meter: MeterId,
    /// Time of the last reading that was billed.
    pub at: Timestamp,
    /// The same on the clock that nobody sets.
    pub up: Option<Uptime>,
    /// Import register at that time.
    pub import: WattHours,
    /// Export register; `None` for a meter that never reported one.
    pub export: Option<WattHours>,
    /// When that was reported: it may be older than `at`.
    pub export_at: Option<Timestamp>,
    /// Energy that registers counted before they began again from zero, or before another device took their place, less
    /// what that one showed at first.
    pub rolled: WattHours,
    /// Since when readings have come that cannot be believed yet: after a wrong clock, or from a confused meter.
    pub doubted_since: Option<Timestamp>,
    /// Set when a register moved as no honest meter's can. Nothing is billed until a person releases it.
    pub held: Option<Doubt>,
}

impl MeterBook {
    /// A meter that was held for its place is there again. What it imported meanwhile is billed with its next reading, as
    /// if it had not been read: it was drawn, wherever that was. What it exported is let go: nobody can say from where.
    /// `newest` is its newest reading with an import register. The answer is what was let go.
    pub fn found_again(&mut self, newest: &Reading) -> WattHours {
        (self.held, self.doubted_since) = (None, None);
        // A register that fell meanwhile is for the next reading to doubt.
        let Some(export) = newest.export.filter(|to| self.export.is_none_or(|from| *to >= from)) else {
            return WattHours::ZERO;
        };
        let gone = self.export.map_or(WattHours::ZERO, |from| export - from);
        (self.export, self.export_at) = (Some(export), Some(newest.at));
        gone
    }
}

/// What one reading means for money.
#[derive(Clone, Debug, PartialEq)]
pub enum Billed {
    /// The first reading of this meter: billing starts at its registers.
    Started(MeterBook),
    /// Time moved on, and with it perhaps energy.
    Advanced(MeterBook, Flow),
    /// A register rose by more than can have flowed. Nothing is billed by this reading; the next ones are judged anew,
    /// from the same start.
    Doubted(MeterBook, Doubt),
    /// The registers moved as no honest meter's can; nothing is billed from here on.
    Held(MeterBook, Doubt),
    /// Nothing to bill: no import register in this reading, or the meter is held.
    Nothing,
}

/// How long a jump may stay unbelievable before the meter is held. A machine that starts with an old clock sees hours of
/// energy in no time; when the clock is set, the same step fits.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Wall clocks are slewed, and both clocks are rounded: within this the time between two readings is the same on both.
const SAME: Duration = Duration::from_secs(2);

/// A time without any reading that is believed. Beyond it, one of two clocks was wrong, and prices, days and allowances
/// would be guessed.
const LONGEST: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// When, on the wall clock as it stood at `reading`, the time since `earlier` began. A clock that was set in between by
/// an hour makes that hour neither energy nor time: what was metered in 10 s is billed over 10 s.
fn began(earlier: (Timestamp, Option<Uptime>), reading: &Reading) -> Timestamp {
    let (at, up) = earlier;
    let passed = reading.up.zip(up).and_then(|(now, then)| now.since(then));
    match passed.map(|passed| reading.at - passed) {
        Some(began) if began.since(at).max(at.since(began)) > SAME => began,
        // The lines of a bill follow each other without a gap.
        _ => at,
    }
}

/// Bills `reading` against the meter's book, judged by `guard`.
#[must_use]
pub fn bill(book: Option<&MeterBook>, reading: &Reading, guard: &Guard) -> Billed {
    // An absent register is never a number: this reading has no say in the bill, the next one covers its energy.
    let Some(import) = reading.import else { return Billed::Nothing };
    let export_at = reading.export.map(|_| reading.at);
    let Some(book) = book else {
        return Billed::Started(MeterBook {
            meter: reading.meter.clone(),
            at: reading.at,
            up: reading.up,
            import,
            export: reading.export,
            export_at,
            rolled: WattHours::ZERO,
            doubted_since: None,
            held: None,
        });
    };
    if book.held.is_some() {
        return Billed::Nothing;
    }
    if reading.at < Timestamp::TRUSTED && book.at >= Timestamp::TRUSTED {
        return doubted(book, reading.at, Doubt::Early { at: reading.at });
    }
    let since = began((book.at, book.up), reading);
    if reading.at.since(since) > LONGEST {
        return doubted(book, reading.at, Doubt::Long { since, until: reading.at });
    }
    let import_step = |to| advance(book.import, to, (since, reading.at), guard.limit, guard.import_rollover);
    let export_step = |from, to| {
        // An export register that was silent for a while counts from when it last spoke.
        let since = book.export_at.filter(|at| *at != book.at).unwrap_or(since);
        advance(from, to, (since, reading.at), guard.limit, guard.export_rollover)
    };
    let moved = import_step(import).and_then(|imported| match (book.export, reading.export) {
        (Some(from), Some(to)) => export_step(from, to).map(|exported| (imported, exported)),
        // The first export register ever seen starts the count, it is not itself energy.
        _ => Ok((imported, WattHours::ZERO)),
    });
    let (imported, exported) = match moved {
        Ok(energy) => energy,
        Err(doubt) => return doubted(book, reading.at, doubt),
    };
    let shown =
        (import - book.import) + reading.export.zip(book.export).map_or(WattHours::ZERO, |(to, from)| to - from);
    let next = MeterBook {
        at: reading.at,
        up: reading.up,
        import,
        export: reading.export.or(book.export),
        export_at: export_at.or(book.export_at),
        rolled: book.rolled + (imported + exported - shown),
        doubted_since: None,
        ..book.clone()
    };
    let flow = Flow {
        from: since,
        to: next.at,
        import_from: book.import,
        export_from: book.export.or(next.export).unwrap_or_default(),
        import: imported,
        export: exported,
    };
    Billed::Advanced(next, flow)
}

fn doubted(book: &MeterBook, at: Timestamp, doubt: Doubt) -> Billed {
    // A doubt that began under a clock that was not set says nothing about how long it has lasted.
    let since =
        book.doubted_since.filter(|since| *since >= Timestamp::TRUSTED || at < Timestamp::TRUSTED).unwrap_or(at);
    let patient = match doubt {
        Doubt::Backward { .. } => false,
        // No network, no clock: that may last for days, and no meter is to blame.
        Doubt::Early { .. } => true,
        // Held by who says it; no reading says it.
        Doubt::Elsewhere { .. } => false,
        Doubt::Jump { .. } | Doubt::Long { .. } => at.since(since) < PATIENCE,
    };
    if patient {
        Billed::Doubted(MeterBook { doubted_since: Some(since), ..book.clone() }, doubt)
    } else {
        Billed::Held(MeterBook { held: Some(doubt), ..book.clone() }, doubt)
    }
}

#[cfg(test)]
mod tests;
