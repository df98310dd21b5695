//! What a simulated device keeps because it was written there: its set-up, and the limit of an inverter with the timer
//! that ends it. A device begins as after power-up: with zeros, and without a limit.

use crate::codec;
use crate::template::{ModbusLimit, ModbusMap, Rated, Share, Table};
use domain::{Permille, Reading, Timestamp, Watts};
use std::collections::BTreeMap;
use tokio::time::Instant;

type Cells = BTreeMap<(Table, u16), u16>;

/// Inverters that say their rated power say this.
const RATED: Watts = Watts(5000);
/// The power of ten in their scale registers: a percent is counted in hundredths, a watt is one.
fn exponent(share: &Share) -> u16 {
    if *share == Share::Permille { (-2_i16).cast_unsigned() } else { 0 }
}

/// The registers of one device that keep what is written.
pub(super) struct Memory {
    cells: Cells,
    /// What can be read there and not written.
    fixed: Cells,
    limit: Option<Limiter>,
}

struct Limiter {
    map: ModbusLimit,
    /// The last order.
    ordered: Instant,
    /// The registers of 100 %.
    full: Vec<((Table, u16), u16)>,
}

/// A limit from an instant on.
pub(super) type Change = (Option<Permille>, Instant);

impl Memory {
    pub fn new(map: &ModbusMap) -> Self {
        let (mut cells, mut fixed) = (Cells::new(), Cells::new());
        let presets = map.setup.iter().chain(map.limit.iter().flat_map(|limit| &limit.setup));
        for preset in presets {
            cells.extend((preset.address..).zip(&preset.words).map(|(at, _)| ((preset.table, at), 0)));
        }
        let limit = map.limit.clone().map(|map| {
            let value = &map.value;
            for part in &value.kind.parts {
                let scale = part.exponent.map(|exponent| (value.table, value.address.saturating_add(exponent.at)));
                fixed.extend(scale.map(|place| (place, exponent(&map.share))));
            }
            if let Share::Watts(Rated::Said(field)) = &map.share {
                let power = Some(if field.scaling.invert { -RATED } else { RATED });
                // A valid name: the reading is there for its power alone.
                let known = "rated".parse().ok().map(|id| Reading { power, ..Reading::empty(id, Timestamp(0)) });
                let said = known.into_iter().flat_map(|known| codec::encode(field, &known));
                fixed.extend(said.map(|(at, _, word)| ((field.table, field.address.saturating_add(at)), word)));
            }
            let full = Limiter::full(&map);
            cells.extend(full.iter().copied());
            if let Some(enable) = &map.enable {
                cells.insert((enable.table, enable.address), enable.off);
            }
            if let Some(reversion) = &map.reversion {
                let words = (reversion.address..).take(reversion.registers.into());
                cells.extend(words.map(|at| ((Table::Holding, at), 0)));
                let like = full.iter().zip(reversion.full.into_iter().flat_map(|at| at..));
                cells.extend(like.map(|((_, word), at)| ((Table::Holding, at), *word)));
                cells.extend(reversion.off.map(|at| ((Table::Holding, at), 0)));
            }
            Limiter { map, ordered: Instant::now(), full }
        });
        Self { cells, fixed, limit }
    }

    /// Whether it keeps what is written there.
    pub fn has(&self, table: Table, address: u16) -> bool {
        self.cells.contains_key(&(table, address))
    }

    /// What stands where.
    pub fn show(&self) -> impl Iterator<Item = ((Table, u16), u16)> {
        self.cells.iter().chain(&self.fixed).map(|(place, word)| (*place, *word))
    }

    /// Keeps a value, at a place that it [has](Self::has), and says what that changes about the limit.
    pub fn keep(&mut self, table: Table, address: u16, word: u16) -> Option<Change> {
        self.cells.insert((table, address), word);
        let now = Instant::now();
        let limit = self.limit.as_mut()?;
        let value = limit.full.iter().any(|(place, _)| *place == (table, address));
        let enable = limit.map.enable.is_some_and(|enable| (enable.table, enable.address) == (table, address));
        if value || enable {
            limit.ordered = now;
        }
        Some((self.limit(), now))
    }

    /// Lets go of a limit whose timer has run out, and says since when.
    pub fn revert(&mut self) -> Option<Change> {
        self.limit()?;
        let limit = self.limit.as_ref()?;
        let reversion = limit.map.reversion.as_ref()?;
        let words: Vec<u16> = (reversion.address..)
            .take(reversion.registers.into())
            .filter_map(|at| self.cells.get(&(Table::Holding, at)).copied())
            .collect();
        let at = limit.ordered + reversion.said(&words)?;
        if Instant::now() < at {
            return None;
        }
        match &limit.map.enable {
            Some(enable) => self.cells.extend([((enable.table, enable.address), enable.off)]),
            None => self.cells.extend(limit.full.iter().copied()),
        }
        Some((None, at))
    }

    /// The limit that it follows.
    fn limit(&self) -> Option<Permille> {
        let limit = self.limit.as_ref()?;
        let off =
            |enable: &crate::template::Enable| self.cells.get(&(enable.table, enable.address)) != Some(&enable.on);
        if limit.map.enable.as_ref().is_some_and(off) {
            return None;
        }
        let value = &limit.map.value;
        let words: Vec<u16> = (value.address..)
            .take(value.kind.registers().into())
            .map(|at| {
                let place = (value.table, at);
                self.cells.get(&place).or(self.fixed.get(&place)).copied().unwrap_or_default()
            })
            .collect();
        let amount = codec::heard(value, &words).ok().flatten()?;
        let share = Limiter::rated(&limit.map).map_or(amount, |rated| amount.saturating_mul(1000) / rated);
        Permille::new(u16::try_from(share).ok()?).filter(|share| *share < Permille::FULL)
    }
}

impl Limiter {
    fn rated(map: &ModbusLimit) -> Option<i64> {
        match &map.share {
            Share::Permille => None,
            Share::Watts(Rated::Known(watts)) => Some(watts.0),
            Share::Watts(Rated::Said(_)) => Some(RATED.0),
        }
    }

    fn full(map: &ModbusLimit) -> Vec<((Table, u16), u16)> {
        let value = &map.value;
        let words = vec![exponent(&map.share); value.kind.registers().into()];
        let amount = Self::rated(map).unwrap_or(i64::from(Permille::FULL.get()));
        let (offset, words) = codec::said(value, amount, &words).unwrap_or_default();
        let places = value.address.saturating_add(offset)..;
        places.map(|at| (value.table, at)).zip(words).collect()
    }
}
