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

mod cuts;
mod promises;
mod rows;
mod supply;

use domain::{
    Billed, Fact, Guard, MeterBook, MeterId, Price, Reading, Seq, Tariff, TimeZone, Timestamp, WattHours, Watts,
    billing,
};
use ledger::{Enrolment, Ledger, Outcome, Priced, Write};
use std::collections::BTreeMap;

pub const LIMIT: Guard = Guard { limit: Watts(50_000), import_rollover: None, export_rollover: None };

pub fn tariff() -> Tariff {
    Tariff {
        version: 1,
        off_peak: Price(200_000),
        peak: Price(400_000),
        feed_in: Price(80_000),
        peak_hours: vec!["17:00-22:00".parse().unwrap()],
        zone: TimeZone::utc(),
    }
}

pub fn street(homes: usize) -> Enrolment {
    let name = |i: usize| format!("home-{i}");
    Enrolment {
        accounts: (0..homes).map(|i| name(i).parse().unwrap()).collect(),
        meters: (0..homes).map(|i| (name(i).parse().unwrap(), Some(name(i).parse().unwrap()))).collect(),
    }
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
    let after = ledger.priced_seq().unwrap();
    let mut books: BTreeMap<MeterId, MeterBook> =
        ledger.meters().unwrap().into_iter().filter_map(|m| Some((m.name, m.book?))).collect();
    let (mut started, mut pieces, mut facts, mut upto) = (Vec::new(), Vec::new(), Vec::new(), after);
    for (seq, r) in ledger.readings_after(after, 100_000).unwrap() {
        upto = seq;
        match billing::bill(books.get(&r.meter), &r, &tariff(), guard) {
            Billed::Started(book) => {
                started.push(book.clone());
                books.insert(r.meter.clone(), book);
            }
            Billed::Advanced(book, made) => {
                pieces.extend(made.into_iter().map(|p| (r.meter.clone(), p)));
                books.insert(r.meter.clone(), book);
            }
            Billed::Held(book, doubt) => {
                facts.push(Fact::MeterHeld { meter: r.meter.clone(), doubt });
                books.insert(r.meter.clone(), book);
            }
            Billed::Doubted(book, _) => {
                books.insert(r.meter.clone(), book);
            }
            Billed::Nothing => {}
        }
    }
    Write::Priced(Priced {
        after,
        upto,
        started,
        books: books.into_values().collect(),
        pieces,
        interval_ms: 900_000,
        facts,
    })
}

pub fn open(dir: &std::path::Path) -> Ledger {
    let ledger = Ledger::open(&dir.join("ledger.db")).unwrap();
    ledger.enrol(&street(3)).unwrap();
    ledger.tariff(Timestamp(0), &tariff()).unwrap();
    ledger
}

pub fn last(outcome: Outcome) -> Seq {
    match outcome {
        Outcome::Recorded(seq) => seq,
        other => panic!("{other:?}"),
    }
}
