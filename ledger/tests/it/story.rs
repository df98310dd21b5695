//! A street's life at random, written into a ledger: everything that a gateway ever writes, in any order.

use super::*;
use domain::register::Doubt;
use domain::{AccountId, Credit, Money, Source, Timestamp};
use ledger::{Attempt, Deposit, Keep, Purpose, SettledBatch};
use rusqlite::{Connection, OpenFlags};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

const HOMES: usize = 3;
const MINUTE: i64 = 60_000;

pub struct Story {
    pub ledger: Option<Ledger>,
    pub dice: fastrand::Rng,
    dir: PathBuf,
    now: i64,
    registers: [(i64, i64); HOMES],
    next: u64,
    done: u64,
}

impl Story {
    pub fn begin(dir: &Path, seed: u64) -> Self {
        let dice = fastrand::Rng::with_seed(seed);
        Self { ledger: None, dice, dir: dir.to_owned(), now: 0, registers: [(0, 0); HOMES], next: 1, done: 0 }
    }

    fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().unwrap()
    }

    fn write(&self, write: Write) -> Outcome {
        self.ledger().commit(Timestamp(self.now), &[write]).unwrap().remove(0).unwrap()
    }

    fn account(&mut self) -> AccountId {
        format!("home-{}", self.dice.usize(..HOMES)).parse().unwrap()
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// How the ledger comes to be, a step at a time; `false` when it is there.
    pub fn prologue(&mut self, step: usize) -> bool {
        match step {
            0 => self.ledger = Some(Ledger::open(&self.dir.join("ledger.db")).unwrap()),
            1 => drop(self.ledger().enrol(&street(HOMES)).unwrap()),
            2 => drop(self.ledger().adopt_tariff(Timestamp(0), &tariff(), None, "config").unwrap()),
            3..6 => {
                let account = format!("home-{}", step - 3).parse().unwrap();
                self.write(Write::Fact(Fact::AccountOpened { account, number: step as u32 - 2 }));
            }
            _ => return false,
        }
        true
    }

    /// One more transaction, at random.
    pub fn go_on(&mut self) {
        match self.dice.u8(..100) {
            0..40 => self.read_meters(),
            40..62 => drop(self.write(price(self.ledger()))),
            62..68 => {
                let (account, amount) = (self.account(), Money(self.dice.i64(1..9_000_000)));
                let source = Source::Cash { reference: format!("cash-{}", self.number()), who: "kiosk".into() };
                self.write(Write::TopUp { account, amount, source });
            }
            68..72 => {
                // Every other is seen a second time.
                let transaction = format!("0x{}", self.number() / 2);
                let deposit = Deposit { account: self.account(), amount: Money(1_000_000), transaction, ordinal: 0 };
                let upto_block = self.next;
                self.write(Write::Deposits { upto_block, deposits: vec![deposit] });
            }
            72..79 => {
                let most = self.dice.u32(1..5);
                let sequence = self.done + 1;
                self.write(Write::MakeBatch { sequence, most, tariff_version: 1, prices: PRICES });
            }
            79..87 => self.settle(),
            87..89 => {
                let (account, balance) = (self.account(), Money::ZERO);
                self.write(Write::Fact(Fact::CreditChanged { account, credit: Credit::Low, balance }));
            }
            89 => {
                let mut other = tariff();
                other.rates.network = Price(self.dice.u32(..9));
                other.pool_share = Permille::new(self.dice.u16(..1001)).unwrap();
                self.ledger().adopt_tariff(Timestamp(self.now), &other, None, "somebody").unwrap();
            }
            90 => self.look_where_they_are(),
            91 => {
                let held = |m: ledger::MeterRow| m.book.is_some_and(|b| b.held.is_some()).then_some(m.name);
                if let Some(meter) = self.ledger().meters().unwrap().into_iter().find_map(held) {
                    self.write(Write::Fact(Fact::MeterReleased { meter, upto: Seq(0), by: "somebody".into() }));
                }
            }
            92 => {
                let value = self.number().to_string();
                self.write(Write::Meta("setting".into(), value));
            }
            93..98 => {
                let minutes = |n| Some(Duration::from_secs(60 * n));
                let keep = Keep { readings: minutes(self.dice.u64(5..60)), lines: minutes(self.dice.u64(60..200)) };
                self.ledger().tidy(Timestamp(self.now), &keep, |_| LIMIT).unwrap();
            }
            98 => self.ledger().checkpoint().unwrap(),
            _ => {
                self.ledger = None;
                self.ledger = Some(Ledger::open(&self.dir.join("ledger.db")).unwrap());
            }
        }
    }

    fn read_meters(&mut self) {
        let mut readings = Vec::new();
        for _ in 0..self.dice.usize(1..6) {
            self.now += MINUTE;
            let home = self.dice.usize(..HOMES);
            let (import, export) = &mut self.registers[home];
            *import += self.dice.i64(0..400);
            *export += if home == 0 { self.dice.i64(0..200) } else { 0 };
            // Now and then a meter is exchanged, and its register begins anew.
            if self.dice.u8(..100) == 0 {
                *import = 0;
            }
            readings.push(exporting(home, self.now, *import, *export));
        }
        self.write(Write::Readings(readings));
    }

    /// A meter is held for its place, or is there again. Either needs what was recorded before to be billed.
    fn look_where_they_are(&mut self) {
        let home = self.dice.usize(..HOMES);
        let ledger = self.ledger();
        if !ledger.readings_after(ledger.priced_seq().unwrap(), 1).unwrap().is_empty() {
            self.write(price(ledger));
            return;
        }
        let meters = ledger.meters().unwrap().into_iter().filter_map(|m| Some((m.name, m.book?.held)));
        let Some((meter, held)) = meters.collect::<Vec<_>>().get(home).cloned() else { return };
        let doubt = Doubt::Elsewhere { failed: 5, of: 8 };
        match held {
            None => drop(self.write(Write::Fact(Fact::MeterHeld { meter, doubt, upto: Some(Seq(0)) }))),
            Some(Doubt::Elsewhere { .. }) => drop(self.write(Write::Fact(Fact::MeterFound { meter, upto: Seq(0) }))),
            Some(_) => {}
        }
    }

    fn settle(&mut self) {
        let Some(intent) = self.ledger().open_intents().unwrap().into_iter().next() else { return };
        let Purpose::Settle { sequence } = intent.purpose else { return };
        if intent.attempts.is_empty() {
            let n = self.number();
            let raw = vec![7; self.dice.usize(100..3_000)];
            self.write(Write::Attempt(Attempt {
                intent: intent.id,
                hash: format!("0xa{n}"),
                nonce: n,
                raw,
                signed_at: Timestamp(self.now),
            }));
        } else if self.dice.u8(..4) == 0 {
            let facts = vec![Fact::SettlementRefused { batch: sequence, problem: "no".into() }];
            self.write(Write::Conclude { intent: intent.id, mined: None, problem: Some("no".into()), facts });
        } else {
            let transaction = intent.attempts[0].hash.clone();
            let facts = vec![Fact::Settled { batch: sequence, accounts: 1, transaction: transaction.clone(), gas: 1 }];
            let mined = Some((transaction, self.next));
            self.write(Write::Conclude { intent: intent.id, mined, problem: None, facts });
            self.done = sequence;
            let settled: Option<SettledBatch> = self.ledger().settled_batch(intent.id).unwrap();
            assert!(settled.is_some());
        }
    }
}

/// One number for all that stands in all tables.
pub fn fingerprint(file: &Path) -> u64 {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(file, flags).unwrap();
    let mut tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").unwrap();
    let tables: Vec<String> = tables.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect();
    let mut hash = DefaultHasher::new();
    for table in tables {
        table.hash(&mut hash);
        let mut rows = db.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let width = rows.column_count();
        let mut rows = rows.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..width {
                format!("{:?}", row.get_ref(column).unwrap()).hash(&mut hash);
            }
        }
    }
    hash.finish()
}
