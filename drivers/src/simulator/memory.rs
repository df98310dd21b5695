//! What a simulated device keeps because it was written there: its set-up. A device begins with zeros, as after
//! power-up.

use crate::template::{ModbusMap, Table};
use std::collections::BTreeMap;

type Cells = BTreeMap<(Table, u16), u16>;

/// The registers of one device that keep what is written.
pub(super) struct Memory {
    cells: Cells,
}

impl Memory {
    pub fn new(map: &ModbusMap) -> Self {
        let mut cells = Cells::new();
        for preset in &map.setup {
            cells.extend((preset.address..).zip(&preset.words).map(|(at, _)| ((preset.table, at), 0)));
        }
        Self { cells }
    }

    /// Whether it keeps what is written there.
    pub fn has(&self, table: Table, address: u16) -> bool {
        self.cells.contains_key(&(table, address))
    }

    /// What stands where.
    pub fn show(&self) -> impl Iterator<Item = ((Table, u16), u16)> {
        self.cells.iter().map(|(place, word)| (*place, *word))
    }

    /// Keeps a value, at a place that it [has](Self::has).
    pub fn keep(&mut self, table: Table, address: u16, word: u16) {
        self.cells.insert((table, address), word);
    }
}
