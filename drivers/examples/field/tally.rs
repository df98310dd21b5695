//! What was asked, and when each unit's reading was complete.

use crate::meter::REGISTERS;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Of one unit.
#[derive(Default)]
struct Tally {
    questions: u32,
    /// Registers told.
    registers: u32,
    /// Which, since the last reading was complete, bit by bit.
    told: u32,
    complete: Vec<Instant>,
}

struct Book {
    since: Instant,
    units: BTreeMap<(Arc<str>, u8), Tally>,
}

/// Of all units; clones share it.
#[derive(Clone)]
pub struct Tallies(Arc<Mutex<Book>>);

impl Default for Tallies {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Book { since: Instant::now(), units: BTreeMap::new() })))
    }
}

impl Tallies {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn asked(&self, place: &Arc<str>, unit: u8) {
        self.book().units.entry((Arc::clone(place), unit)).or_default().questions += 1;
    }

    pub fn told(&self, place: &Arc<str>, unit: u8, registers: u32) {
        let mut book = self.book();
        let tally = book.units.entry((Arc::clone(place), unit)).or_default();
        tally.registers += registers.count_ones();
        tally.told |= registers;
        if tally.told == (1 << REGISTERS) - 1 {
            tally.told = 0;
            tally.complete.push(Instant::now());
        }
    }

    pub fn reset(&self) {
        *self.book() = Book { since: Instant::now(), units: BTreeMap::new() };
    }

    pub fn questions(&self) -> u64 {
        self.book().units.values().map(|tally| u64::from(tally.questions)).sum()
    }

    pub fn report(&self) -> Value {
        let book = self.book();
        let unit = |((place, unit), tally): (&(Arc<str>, u8), &Tally)| {
            let at: Vec<f64> = tally.complete.iter().map(|at| (*at - book.since).as_secs_f64()).collect();
            let (questions, registers) = (tally.questions, tally.registers);
            json!({ "place": **place, "unit": unit, "questions": questions, "registers": registers, "complete": at })
        };
        json!({ "seconds": book.since.elapsed().as_secs_f64(), "units": book.units.iter().map(unit).collect::<Vec<_>>() })
    }
}
