//! Energy per meter and interval, from the recorded registers.
//!
//! Readings do not fall on the borders of intervals, so the register at a border is interpolated between the readings
//! on either side of it, in whole watt-hours. Every border has one value for both intervals that meet there: the
//! energies of intervals in a row add up to the difference of the registers at their ends, to the watt-hour.
//!
//! No guess: a meter is absent from an interval if the readings around one of its borders are too far apart, if its
//! register moved as no honest meter's can, or if the clock was set or the machine started anew in it.

use crate::{Ledger, LedgerError};
use domain::register::advance;
use domain::{Guard, MeterId, Timestamp, Uptime, WattHours};
use rusqlite::{Connection, Row as DbRow, params};
use std::collections::BTreeMap;
use std::time::Duration;

/// How much a clock may stray within one interval: a twentieth. More means that somebody set it.
const STRAY: u32 = 20;
/// How much later than another bus a bus may record what it read at the same time.
const DISORDER: Duration = Duration::from_secs(60);

/// What is asked for: which meters, in intervals of which length.
#[derive(Clone, Debug)]
pub struct Grid {
    /// Length of an interval; borders are at whole multiples of it since 1970.
    pub interval: Duration,
    /// The meters, with what their registers are judged by, and how far apart the readings around a border may be.
    pub meters: BTreeMap<MeterId, (Guard, Duration)>,
}

/// What went through one meter in one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Energy from the grid.
    pub import: WattHours,
    /// Energy to the grid; `None` from a meter that does not tell.
    pub export: Option<WattHours>,
}

impl Load {
    /// From the grid less to the grid. A meter that does not tell what it exports is taken for one that only imports.
    #[must_use]
    pub fn net(&self) -> WattHours {
        self.import - self.export.unwrap_or_default()
    }

    /// Energy in both directions.
    #[must_use]
    pub fn through(&self) -> WattHours {
        self.import + self.export.unwrap_or_default()
    }
}

/// One interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its start.
    pub from: Timestamp,
    /// What is known of it.
    pub meters: BTreeMap<MeterId, Load>,
}

/// Intervals one by one, in order. Holds one border at a time, and the database no longer than a border takes.
pub struct Loads<'l> {
    ledger: &'l Ledger,
    grid: Grid,
    names: BTreeMap<i64, MeterId>,
    interval: i64,
    border: i64,
    to: i64,
    /// No reading before this one is later than the last border.
    from_seq: i64,
    marks: Option<BTreeMap<MeterId, Mark>>,
}

/// Registers at a border.
#[derive(Clone, Copy, Debug)]
struct Mark {
    import: WattHours,
    export: Option<WattHours>,
    up: Option<Uptime>,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    at: i64,
    import: WattHours,
    export: Option<WattHours>,
    up: Option<Uptime>,
}

impl Ledger {
    /// The whole intervals between `from` and `to`. The cost is that of the readings around the borders, not of all
    /// that lie between; a row without any meter is still a row.
    pub fn loads(&self, from: Timestamp, to: Timestamp, grid: Grid) -> Result<Loads<'_>, LedgerError> {
        let interval = i64::try_from(grid.interval.as_millis()).unwrap_or(i64::MAX).max(1);
        let db = self.reader();
        let names = {
            let mut rows = db.prepare_cached("SELECT id, name FROM meters")?;
            let found = rows.query_map([], |r| Ok((r.get::<_, i64>(0)?, r.get::<_, String>(1)?)))?;
            let mut names = BTreeMap::new();
            for row in found {
                let (id, name) = row?;
                let name: MeterId = name.parse().map_err(|e| LedgerError::unreadable("a meter's name", e))?;
                if grid.meters.contains_key(&name) {
                    names.insert(id, name);
                }
            }
            names
        };
        // The first border that is not before `from`.
        let border = from.0.div_euclid(interval).saturating_add(i64::from(from.0.rem_euclid(interval) > 0));
        let border = border.saturating_mul(interval);
        drop(db);
        Ok(Loads { ledger: self, grid, names, interval, border, to: to.0, from_seq: 0, marks: None })
    }
}

impl Iterator for Loads<'_> {
    type Item = Result<Row, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        let from = self.border;
        let until = from.checked_add(self.interval).filter(|until| *until <= self.to)?;
        let start = match self.marks.take() {
            Some(marks) => marks,
            None => match self.marks_at(from) {
                Ok(marks) => marks,
                Err(error) => return Some(Err(error)),
            },
        };
        let end = match self.marks_at(until) {
            Ok(marks) => marks,
            Err(error) => return Some(Err(error)),
        };
        let mut meters = BTreeMap::new();
        for (meter, a) in &start {
            let rule = self.grid.meters.get(meter);
            if let (Some(b), Some((guard, _))) = (end.get(meter), rule)
                && let Some(load) = between(a, b, (from, until), guard)
            {
                meters.insert(meter.clone(), load);
            }
        }
        self.border = until;
        self.marks = Some(end);
        Some(Ok(Row { from: Timestamp(from), meters }))
    }
}

impl Loads<'_> {
    fn marks_at(&mut self, border: i64) -> Result<BTreeMap<MeterId, Mark>, LedgerError> {
        let db = self.ledger.reader();
        let here = first_after(&db, border, self.from_seq)?;
        self.from_seq = here;
        let longest = self.grid.meters.values().map(|(_, gap)| *gap).max().unwrap_or_default();
        let reach = i64::try_from(longest.saturating_add(DISORDER).as_millis()).unwrap_or(i64::MAX);
        let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());

        // Buses share the journal and record a little out of order: what belongs to the other side is put there.
        let mut rows = db.prepare_cached(
            "SELECT meter, at, import, export, boot, up FROM readings
             WHERE seq < ? AND import IS NOT NULL ORDER BY seq DESC",
        )?;
        let mut rows = rows.query(params![here])?;
        while before.len() < self.names.len()
            && let Some(row) = rows.next()?
        {
            let Some((meter, point)) = read(row)? else { continue };
            if point.at < border.saturating_sub(reach) {
                break;
            }
            if !self.names.contains_key(&meter) {
                continue;
            }
            if point.at > border {
                after.insert(meter, point);
            } else {
                before.entry(meter).or_insert(point);
            }
        }
        let mut rows = db.prepare_cached(
            "SELECT meter, at, import, export, boot, up FROM readings
             WHERE seq >= ? AND import IS NOT NULL ORDER BY seq",
        )?;
        let mut rows = rows.query(params![here])?;
        while after.len() < self.names.len()
            && let Some(row) = rows.next()?
        {
            let Some((meter, point)) = read(row)? else { continue };
            if point.at > border.saturating_add(reach) {
                break;
            }
            if !self.names.contains_key(&meter) {
                continue;
            }
            if point.at > border {
                after.entry(meter).or_insert(point);
            } else {
                before.insert(meter, point);
            }
        }

        let mut marks = BTreeMap::new();
        for (id, meter) in &self.names {
            if let (Some(a), Some((guard, gap))) = (before.get(id), self.grid.meters.get(meter))
                && let Some(mark) = interpolate(a, after.get(id), border, guard, *gap)
            {
                marks.insert(meter.clone(), mark);
            }
        }
        Ok(marks)
    }
}

/// A reading's meter and registers; nothing of what no register can show.
fn read(row: &DbRow<'_>) -> rusqlite::Result<Option<(i64, Point)>> {
    let (boot, up): (Option<u32>, Option<i64>) = (row.get(4)?, row.get(5)?);
    let Some(import) = WattHours(row.get(2)?).as_register() else { return Ok(None) };
    let export = row.get::<_, Option<i64>>(3)?.and_then(|wh| WattHours(wh).as_register());
    let up = boot.zip(up).map(|(boot, ms)| Uptime { boot, ms });
    Ok(Some((row.get(0)?, Point { at: row.get(1)?, import, export, up })))
}

/// The first reading, in the order of recording, that is later than `border`, by bisection; one past the last if there
/// is none. Where a clock was set the order has a kink, and what lies around it is found absent later on.
fn first_after(db: &Connection, border: i64, from_seq: i64) -> Result<i64, LedgerError> {
    let last: Option<i64> = db.prepare_cached("SELECT max(seq) FROM readings")?.query_row([], |r| r.get(0))?;
    let Some(last) = last else { return Ok(from_seq) };
    let mut at = db.prepare_cached("SELECT seq, at FROM readings WHERE seq >= ? ORDER BY seq LIMIT 1")?;
    let (mut low, mut high) = (from_seq, last.saturating_add(1));
    while low < high {
        let middle = low + (high - low) / 2;
        let (seq, when): (i64, i64) = at.query_row([middle], |r| Ok((r.get(0)?, r.get(1)?)))?;
        // Numbers that facts have taken lie between readings.
        if when > border {
            high = middle;
        } else {
            low = seq + 1;
        }
    }
    Ok(low)
}

/// The registers at a border between two readings.
fn interpolate(a: &Point, b: Option<&Point>, border: i64, guard: &Guard, gap: Duration) -> Option<Mark> {
    if a.at == border {
        return Some(Mark { import: a.import, export: a.export, up: a.up });
    }
    let b = b?;
    let span = b.at.checked_sub(a.at).filter(|span| *span > 0)?;
    if Duration::from_millis(u64::try_from(span).ok()?) > gap || !undisturbed(a.up, b.up, span) {
        return None;
    }
    let times = (Timestamp(a.at), Timestamp(b.at));
    let part = |from: WattHours, to: WattHours, full: Option<WattHours>| {
        let by = advance(from, to, times, guard.limit, full).ok()?;
        let share = i128::from(by.0) * i128::from(border - a.at) / i128::from(span);
        let reached = from.0.checked_add(i64::try_from(share).ok()?)?;
        Some(WattHours(full.filter(|full| reached >= full.0).map_or(reached, |full| reached - full.0)))
    };
    let export = match (a.export, b.export) {
        (Some(from), Some(to)) => Some(part(from, to, guard.export_rollover)?),
        _ => None,
    };
    let up = a.up.map(|up| Uptime { ms: up.ms.saturating_add(border - a.at), ..up });
    Some(Mark { import: part(a.import, b.import, guard.import_rollover)?, export, up })
}

/// Whether the wall clock and the one that nobody sets agree about a stretch of time. A machine without the latter is
/// believed; one that was started anew in between is not, for it may have come up with a wrong time.
fn undisturbed(a: Option<Uptime>, b: Option<Uptime>, span: i64) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return true };
    let Some(passed) = b.since(a) else { return false };
    let span = Duration::from_millis(u64::try_from(span).unwrap_or(0));
    passed.abs_diff(span) <= (span / STRAY).max(Duration::from_secs(1))
}

fn between(a: &Mark, b: &Mark, (from, until): (i64, i64), guard: &Guard) -> Option<Load> {
    if !undisturbed(a.up, b.up, until - from) {
        return None;
    }
    let times = (Timestamp(from), Timestamp(until));
    let import = advance(a.import, b.import, times, guard.limit, guard.import_rollover).ok()?;
    let export = match (a.export, b.export) {
        (Some(from), Some(to)) => Some(advance(from, to, times, guard.limit, guard.export_rollover).ok()?),
        _ => None,
    };
    Some(Load { import, export })
}
