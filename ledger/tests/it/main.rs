//! What a ledger promises, tried on real files.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "test helpers: small numbers, and a failure should stop the test"
)]

mod backup;
mod codes;
mod cuts;
mod disk;
mod dispatch;
mod history;
mod load;
mod meters;
mod migration;
mod money;
mod on_chain;
mod places;
mod power;
mod promises;
mod ranges;
mod reorg;
mod retention;
mod rounds;
mod rows;
mod story;
mod supply;

use domain::{
    Fact, Guard, MeterId, Permille, Price, Rates, Reading, RegisterPrices, Seq, Tariff, TimeZone, Timestamp, WattHours,
    Watts,
};
use ledger::{Enrolled, Enrolment, Ledger, Outcome, Priced, Write};
use std::collections::BTreeMap;

pub const LIMIT: Guard = Guard { limit: Watts(50_000), import_rollover: None, export_rollover: None };

pub fn tariff() -> Tariff {
    Tariff {
        version: 1,
        since: Timestamp(0),
        interval_s: 900,
        peak_hours: vec!["17:00-22:00".parse().unwrap()],
        zone: TimeZone::utc(),
        pool_share: Permille::NONE,
        rates: Rates { off_peak: Price(200_000), peak: Price(400_000), feed_in: Price(80_000), ..Rates::default() },
        classes: BTreeMap::new(),
    }
}

/// The contract's prices, where a test does not say otherwise.
pub const PRICES: RegisterPrices =
    RegisterPrices { off_peak: Price(200_000), peak: Price(400_000), feed_in: Price(80_000) };

pub fn batch(sequence: u64) -> Write {
    Write::MakeBatch { sequence, most: 100, tariff_version: 1, prices: PRICES }
}

pub fn street(homes: usize) -> Enrolment {
    let name = |i: usize| format!("home-{i}");
    Enrolment {
        accounts: (0..homes)
            .map(|i| Enrolled { id: name(i).parse().unwrap(), debt_share: Permille::new(300).unwrap() })
            .collect(),
        meters: (0..homes).map(|i| (name(i).parse().unwrap(), Some(name(i).parse().unwrap()))).collect(),
    }
}

pub fn exporting(home: usize, at: i64, import: i64, export: i64) -> Reading {
    Reading { export: Some(WattHours(export)), ..reading(home, at, import) }
}

pub fn reading(home: usize, at: i64, import: i64) -> Reading {
    let mut r = Reading::empty(format!("home-{home}").parse().unwrap(), Timestamp(at));
    r.import = Some(WattHours(import));
    r
}

pub fn write(ledger: &Ledger, write: Write) -> Outcome {
    ledger.commit(Timestamp(0), &[write]).unwrap().remove(0).unwrap()
}

/// What the Pricer does, without the actor: bills all readings after the cursor.
pub fn price(ledger: &Ledger) -> Write {
    price_by(ledger, &LIMIT)
}

pub fn price_by(ledger: &Ledger, guard: &Guard) -> Write {
    let guards = ledger.meters().unwrap().into_iter().map(|m| (m.name, *guard)).collect();
    let biller = ledger.biller(&guards).unwrap().unwrap();
    let after = ledger.priced_seq().unwrap();
    let readings = ledger.readings_after(after, 100_000).unwrap();
    Write::Priced(Priced::by(biller, after, &readings, |_, _, _| {}))
}

pub fn open(dir: &std::path::Path) -> Ledger {
    let ledger = Ledger::open(&dir.join("ledger.db")).unwrap();
    ledger.enrol(&street(3)).unwrap();
    ledger.adopt_tariff(Timestamp(0), &tariff(), None, "config").unwrap();
    ledger
}

pub fn last(outcome: Outcome) -> Seq {
    match outcome {
        Outcome::Recorded(seq) => seq,
        other => panic!("{other:?}"),
    }
}
