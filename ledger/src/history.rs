//! The load of a neighbourhood, or of parts of it, as a series of even steps.
//!
//! Rules for what is missing, in this order:
//! - a meter counts from the first interval in which it is known; before that it was not there;
//! - where up to a tenth of a column's meters are absent from an interval, each of them counts with its own mean at
//!   that time of day, over all that was asked for, rounded down to a watt-hour;
//! - where more are, or one has no such mean, the interval is a gap: it has no value.

use crate::{Grid, Ledger, LedgerError, Load};
use domain::{Column, LoadRow, LoadTable, MeterId, TimeZone, Timestamp, Unit};

/// Of so many meters one may be absent.
const ABSENT: usize = 10;

/// Meters whose sum is a column.
#[derive(Clone, Debug)]
pub struct Group {
    /// The column's name without its unit.
    pub name: String,
    /// The meters. Those that the grid does not have are left out.
    pub meters: Vec<MeterId>,
}

/// What a meter counted in the intervals, in order.
type Track = Vec<Option<i64>>;

impl Ledger {
    /// The net energy (from the grid less to it) of every whole interval between two instants, a column in Wh for each
    /// group.
    pub fn history(
        &self,
        from: Timestamp,
        to: Timestamp,
        grid: Grid,
        groups: &[Group],
        zone: &TimeZone,
    ) -> Result<LoadTable, LedgerError> {
        let interval = grid.interval;
        let known: Vec<MeterId> = grid.meters.keys().cloned().collect();
        let mut tracks: Vec<Track> = vec![Vec::new(); known.len()];
        let mut starts = Vec::new();
        for row in self.loads(from, to, grid)? {
            let row = row?;
            starts.push(row.from);
            for (track, meter) in tracks.iter_mut().zip(&known) {
                track.push(row.meters.get(meter).map(Load::net).map(|wh| wh.0));
            }
        }
        let minutes = u16::try_from(interval.as_secs() / 60).unwrap_or(u16::MAX).max(1);
        let times: Vec<usize> = starts.iter().map(|at| usize::from(zone.local(*at).minute / minutes)).collect();
        let usual: Vec<Vec<Option<i64>>> = tracks.iter().map(|track| means(track, &times)).collect();
        let columns = groups
            .iter()
            .map(|group| {
                let members = known.iter().enumerate().filter(|(_, m)| group.meters.contains(m));
                let members: Vec<_> = members.map(|(i, _)| (&tracks[i], &usual[i])).collect();
                sum(&members, &times)
            })
            .collect::<Vec<_>>();
        let rows = starts.iter().enumerate().map(|(i, at)| LoadRow {
            at: *at,
            offset: zone.offset(*at),
            loads: columns.iter().map(|c| c[i].map(exact)).collect(),
        });
        let column = |g: &Group| Column { name: format!("{}_wh", g.name), unit: Unit::WattHours };
        Ok(LoadTable { columns: groups.iter().map(column).collect(), rows: rows.collect() })
    }
}

#[allow(clippy::cast_precision_loss, reason = "energies of an interval are far below 2^53 Wh")]
fn exact(wh: i64) -> f64 {
    wh as f64
}

/// The mean of every time of day.
fn means(track: &Track, times: &[usize]) -> Vec<Option<i64>> {
    let last = times.iter().max().map_or(0, |t| t + 1);
    let mut sums = vec![(0_i64, 0_i64); last];
    for (wh, time) in track.iter().zip(times) {
        if let Some(wh) = wh {
            sums[*time] = (sums[*time].0.saturating_add(*wh), sums[*time].1 + 1);
        }
    }
    sums.into_iter().map(|(sum, n)| (n > 0).then(|| sum.div_euclid(n))).collect()
}

fn sum(members: &[(&Track, &Vec<Option<i64>>)], times: &[usize]) -> Track {
    let first: Vec<Option<usize>> = members.iter().map(|(t, _)| t.iter().position(Option::is_some)).collect();
    (0..times.len())
        .map(|i| {
            let there = members.iter().zip(&first).filter(|(_, first)| first.is_some_and(|f| f <= i));
            let there: Vec<_> = there.map(|(m, _)| m).collect();
            let absent = there.iter().filter(|(track, _)| track[i].is_none()).count();
            if there.is_empty() || absent * ABSENT > there.len() {
                return None;
            }
            there.iter().map(|(track, usual)| track[i].or(usual[times[i]])).sum()
        })
        .collect()
}
