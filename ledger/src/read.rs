//! What readers ask: records after a cursor, and the tables of present state.

use crate::commit::{DEPOSITS, PRICER, cursor};
use crate::money::{BOOK_COLUMNS, books};
use crate::{Ledger, LedgerError};
use domain::{
    AccountId, Amps, BOOKS, Book, Books, Credit, Fact, Hertz, MeterBook, MeterId, Money, Position, Reading, Reason,
    Seq, SwitchId, TariffRegisters, Timestamp, Uptime, Usage, Volts, WattHours, Watts,
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// An account as it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AccountRow {
    /// Its number on the chain.
    pub number: u32,
    /// Its name.
    pub name: AccountId,
    /// Whether it is open on the chain.
    pub opened: bool,
    /// Energy billed so far.
    pub registers: TariffRegisters,
    /// What the contract took off its registers again, because a meter's signed word was less.
    pub set_back: TariffRegisters,
    /// What is final on the chain.
    pub settled: TariffRegisters,
    /// What is left of the credit; negative is debt.
    pub balance: Money,
    /// All debits so far.
    pub debited: Money,
    /// All that was paid for feed-in so far.
    pub paid_for_feed_in: Money,
    /// All that was paid in so far.
    pub topped_up: Money,
    /// What is owed and paid back by and by.
    pub debt: Money,
    /// All books.
    #[serde(skip)]
    pub books: Books,
    /// The part of the balance that did not come about on the chain itself and that the chain knows.
    pub settled_net: Money,
    /// Whether what the chain has of it is to be asked before more is settled.
    pub doubted: bool,
    /// The credit state last recorded.
    pub credit: Credit,
    /// Whether a token ended prepayment.
    pub unlocked: bool,
    /// What was used of whatever the tariff counts over a day, a month or an interval.
    pub usage: Usage,
}

impl AccountRow {
    /// Whether the chain does not know everything yet.
    #[must_use]
    pub fn unsettled(&self) -> bool {
        self.on_chain() != self.settled || self.books.off_chain() != Some(self.settled_net)
    }

    /// What the contract's registers should be.
    #[must_use]
    pub fn on_chain(&self) -> TariffRegisters {
        self.registers.less(&self.set_back)
    }

    /// Whether the chain knows of more energy than this ledger: because the ledger was put back from a copy, or because a
    /// batch billed again what was overturned while it was on its way.
    #[must_use]
    pub fn chain_is_ahead(&self) -> bool {
        let (here, there) = (&self.on_chain(), &self.settled);
        there.off_peak > here.off_peak || there.peak > here.peak || there.feed_in > here.feed_in
    }
}

/// A meter as it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MeterRow {
    /// Its name.
    pub name: MeterId,
    /// Who pays for it; none for a feeder meter.
    pub account: Option<AccountId>,
    /// How far it is billed; none before its first reading.
    pub book: Option<MeterBook>,
    /// Energy in both directions since its first reading.
    pub metered: WattHours,
    /// Energy that a person let go unbilled.
    pub unbilled: WattHours,
}

/// A switch as last recorded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SwitchRow {
    /// Its name.
    pub name: SwitchId,
    /// Where it was last told to go.
    pub ordered: Option<Position>,
    /// Where its contact was last read.
    pub position: Option<Position>,
    /// Why.
    pub reason: Option<Reason>,
    /// When that was recorded.
    pub at: Timestamp,
    /// What was wrong, if the last order failed.
    pub problem: Option<String>,
}

/// Sums over everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// The last sequence number given out.
    pub last_seq: i64,
    /// How far the Pricer has come.
    pub priced_seq: i64,
    /// Readings recorded.
    pub readings: i64,
    /// Facts recorded.
    pub facts: i64,
    /// Batches final on the chain.
    pub settled_batches: i64,
    /// Readings that those batches brought to the chain.
    pub settled_readings: i64,
    /// Customers' energy by the meters' own registers, both directions, up to the Pricer's cursor, without what was let
    /// go unbilled.
    pub metered: WattHours,
    /// Customers' energy that was let go unbilled.
    pub unbilled: WattHours,
    /// Customers' energy billed.
    pub billed: WattHours,
    /// Customers' energy that is final on the chain, with what the contract took back again.
    pub settled: WattHours,
    /// Debits.
    pub debited: Money,
    /// Paid for feed-in.
    pub paid_for_feed_in: Money,
    /// Paid in by customers.
    pub topped_up: Money,
    /// Paid back to customers.
    pub refunded: Money,
    /// Given to customers without payment, less what they owe for it.
    pub given: Money,
    /// Sum of balances: what was paid in, paid for feed-in and given, less what was charged and refunded.
    pub balances: Money,
}

impl Ledger {
    /// Up to `limit` readings after `after`, in order, each with its sequence number.
    pub fn readings_after(&self, after: Seq, limit: u32) -> Result<Vec<(Seq, Reading)>, LedgerError> {
        let db = self.reader();
        let mut rows = db.prepare_cached(&format!("{READINGS} WHERE r.seq > ? ORDER BY r.seq LIMIT ?"))?;
        let found = rows.query_map(params![after.0, limit], reading)?;
        found.map(|r| Ok(r?)).collect()
    }

    /// Up to `limit` facts after `after`, in order.
    pub fn facts_after(&self, after: Seq, limit: u32) -> Result<Vec<(Seq, Timestamp, Fact)>, LedgerError> {
        let db = self.reader();
        let mut rows = db.prepare_cached("SELECT seq, at, body FROM facts WHERE seq > ? ORDER BY seq LIMIT ?")?;
        let found: Vec<(i64, i64, String)> = rows
            .query_map(params![after.0, limit], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?
            .collect::<rusqlite::Result<_>>()?;
        found
            .into_iter()
            .map(|(seq, at, body)| {
                let fact =
                    serde_json::from_str(&body).map_err(|e| LedgerError::unreadable(format!("fact {seq}"), e))?;
                Ok((Seq(seq), Timestamp(at), fact))
            })
            .collect()
    }

    /// What was recorded in `from..to` about an account's money, in order.
    pub fn facts_of(
        &self,
        account: &AccountId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<(Timestamp, Fact)>, LedgerError> {
        let db = self.reader();
        // The name is looked for in the text, so that not every fact of years has to be understood.
        let mut rows = db.prepare_cached(
            "SELECT at, body FROM facts WHERE at >= ? AND at < ? AND instr(body, ?) > 0 ORDER BY seq",
        )?;
        let named = format!("\"account\":\"{account}\"");
        let found: Vec<(i64, String)> = rows
            .query_map(params![from.0, to.0, named], |r| Ok((r.get(0)?, r.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let parse = |(at, body): (i64, String)| {
            let fact = serde_json::from_str(&body).map_err(|e| LedgerError::unreadable("a fact", e))?;
            Ok((Timestamp(at), fact))
        };
        found.into_iter().map(parse).collect()
    }

    /// The newest sequence number.
    pub fn last_seq(&self) -> Result<Seq, LedgerError> {
        Ok(Seq(self.reader().query_row("SELECT last FROM sequence", [], |r| r.get(0))?))
    }

    /// How far the Pricer has come.
    pub fn priced_seq(&self) -> Result<Seq, LedgerError> {
        cursor(&self.reader(), PRICER).map(Seq)
    }

    /// The block up to which deposits were read.
    pub fn deposits_block(&self) -> Result<u64, LedgerError> {
        Ok(u64::try_from(cursor(&self.reader(), DEPOSITS)?).unwrap_or(0))
    }

    /// A small setting written with [`crate::Write::Meta`].
    pub fn meta(&self, key: &str) -> Result<Option<String>, LedgerError> {
        let db = self.reader();
        Ok(db.query_row("SELECT value FROM meta WHERE key = ?", [key], |r| r.get(0)).optional()?)
    }

    /// All accounts by number.
    pub fn accounts(&self) -> Result<Vec<AccountRow>, LedgerError> {
        accounts(&self.reader())
    }

    /// All meters by name.
    pub fn meters(&self) -> Result<Vec<MeterRow>, LedgerError> {
        meters(&self.reader())
    }

    /// All switches that were ever ordered anywhere.
    pub fn switches(&self) -> Result<Vec<SwitchRow>, LedgerError> {
        let db = self.reader();
        let mut rows =
            db.prepare_cached("SELECT name, ordered, position, reason, at, problem FROM switches ORDER BY name")?;
        let position = |r: &Row<'_>, i| {
            let text: Option<String> = r.get(i)?;
            text.map(|t| t.parse::<Position>().map_err(|e| convert(i, BadText(e)))).transpose()
        };
        let found = rows.query_map([], |r| {
            Ok(SwitchRow {
                name: named(r, 0)?,
                ordered: position(r, 1)?,
                position: position(r, 2)?,
                reason: json(r, 3)?,
                at: Timestamp(r.get(4)?),
                problem: r.get(5)?,
            })
        })?;
        found.map(|r| Ok(r?)).collect()
    }

    /// Sums over everything, read in one consistent snapshot.
    pub fn totals(&self) -> Result<Totals, LedgerError> {
        totals(&*self.reader().transaction()?)
    }
}

pub(crate) fn accounts(db: &Connection) -> Result<Vec<AccountRow>, LedgerError> {
    let mut rows = db.prepare_cached(&format!(
        "SELECT number, name, opened, off_peak, peak, feed_in, settled_off_peak, settled_peak, settled_feed_in,
             credit, usage, settled_net, {BOOK_COLUMNS}, back_off_peak, back_peak, doubted,
             EXISTS (SELECT 1 FROM meta WHERE key = 'unlocked/' || name) FROM accounts ORDER BY number",
    ))?;
    let registers = |r: &Row<'_>, i: usize| {
        Ok::<_, rusqlite::Error>(TariffRegisters {
            off_peak: WattHours(r.get(i)?),
            peak: WattHours(r.get(i + 1)?),
            feed_in: WattHours(r.get(i + 2)?),
        })
    };
    let found = rows.query_map([], |r| {
        let books = books(r, 12)?;
        Ok(AccountRow {
            number: r.get(0)?,
            name: named(r, 1)?,
            opened: r.get(2)?,
            registers: registers(r, 3)?,
            settled: registers(r, 6)?,
            balance: books.get(Book::Balance),
            debited: books.debited(),
            paid_for_feed_in: Money(-(books.get(Book::FeedIn).0 + books.get(Book::Pool).0)),
            topped_up: books.paid_in(),
            debt: Money(-books.get(Book::Debt).0),
            books,
            credit: json(r, 9)?.unwrap_or(Credit::Good),
            usage: json(r, 10)?.unwrap_or_default(),
            settled_net: Money(r.get(11)?),
            set_back: TariffRegisters {
                off_peak: WattHours(r.get(12 + BOOKS)?),
                peak: WattHours(r.get(13 + BOOKS)?),
                feed_in: WattHours::ZERO,
            },
            doubted: r.get(14 + BOOKS)?,
            unlocked: r.get(15 + BOOKS)?,
        })
    })?;
    found.map(|r| Ok(r?)).collect()
}

pub(crate) fn meters(db: &Connection) -> Result<Vec<MeterRow>, LedgerError> {
    let mut rows = db.prepare_cached(
        "SELECT m.name, a.name, m.at, m.import, m.export, m.held, m.unbilled,
             coalesce(m.import - m.first_import, 0) + coalesce(m.export - m.first_export, 0) + m.rolled, m.export_at,
             m.doubted_since, m.boot, m.up, m.rolled FROM meters m LEFT JOIN accounts a ON a.number = m.account ORDER BY m.name",
    )?;
    let found = rows.query_map([], |r| {
        let name: MeterId = named(r, 0)?;
        let (at, import): (Option<i64>, Option<i64>) = (r.get(2)?, r.get(3)?);
        let book = match (at, import) {
            (Some(at), Some(import)) => Some(MeterBook {
                meter: name.clone(),
                at: Timestamp(at),
                import: WattHours(import),
                export: r.get::<_, Option<i64>>(4)?.map(WattHours),
                export_at: r.get::<_, Option<i64>>(8)?.map(Timestamp),
                doubted_since: r.get::<_, Option<i64>>(9)?.map(Timestamp),
                up: uptime(r, 10)?,
                rolled: WattHours(r.get(12)?),
                held: json(r, 5)?,
            }),
            _ => None,
        };
        let account = r.get::<_, Option<String>>(1)?.map(|a| a.parse().map_err(|e| convert(1, e))).transpose()?;
        Ok(MeterRow { name, account, book, unbilled: WattHours(r.get(6)?), metered: WattHours(r.get(7)?) })
    })?;
    found.map(|r| Ok(r?)).collect()
}

pub(crate) fn totals(db: &Connection) -> Result<Totals, LedgerError> {
    let one = |sql: &str| db.prepare_cached(sql)?.query_row([], |r| r.get::<_, Option<i64>>(0)).map(|v| v.unwrap_or(0));
    // Counting years of readings would take seconds. Every number that was given out is a reading's or a fact's, and
    // facts are few.
    let (last_seq, facts) = (one("SELECT last FROM sequence")?, one("SELECT count(*) FROM facts")?);
    Ok(Totals {
        last_seq,
        priced_seq: cursor(db, PRICER)?,
        readings: last_seq - facts,
        facts,
        settled_batches: one("SELECT count(*) FROM batches WHERE state = 'done'")?,
        settled_readings: one("SELECT sum(readings) FROM batches WHERE state = 'done'")?,
        metered: WattHours(one(
            "SELECT sum(coalesce(import - first_import, 0) + coalesce(export - first_export, 0) + rolled - unbilled)
                 FROM meters WHERE account IS NOT NULL",
        )?),
        unbilled: WattHours(one("SELECT sum(unbilled) FROM meters WHERE account IS NOT NULL")?),
        billed: WattHours(one("SELECT sum(off_peak + peak + feed_in) FROM accounts")?),
        settled: WattHours(one(
            "SELECT sum(settled_off_peak + settled_peak + settled_feed_in + back_off_peak + back_peak) FROM accounts",
        )?),
        debited: Money(one("SELECT sum(energy + network + demand + daily + tax) FROM accounts")?),
        paid_for_feed_in: Money(-one("SELECT sum(fed_in + pool) FROM accounts")?),
        topped_up: Money(-one("SELECT sum(deposits + cash) FROM accounts")?),
        refunded: Money(one("SELECT sum(refunds + paid_out) FROM accounts")?),
        given: Money(-one("SELECT sum(adjustments + lent + debt + overturned) FROM accounts")?),
        balances: Money(one("SELECT sum(balance) FROM accounts")?),
    })
}

/// What [`reading`] reads, in its order.
pub(crate) const READINGS: &str = "SELECT r.seq, m.name, r.at, r.import, r.export, r.power, r.voltage, r.current,
     r.frequency, r.boot, r.up FROM readings r JOIN meters m ON m.id = r.meter";

/// An uptime from the column of its boot and the next.
pub(crate) fn uptime(r: &Row<'_>, i: usize) -> rusqlite::Result<Option<Uptime>> {
    let (boot, ms): (Option<u32>, Option<i64>) = (r.get(i)?, r.get(i + 1)?);
    Ok(boot.zip(ms).map(|(boot, ms)| Uptime { boot, ms }))
}

pub(crate) fn reading(r: &Row<'_>) -> rusqlite::Result<(Seq, Reading)> {
    let real = |i| r.get::<_, Option<f64>>(i);
    Ok((
        Seq(r.get(0)?),
        Reading {
            meter: named(r, 1)?,
            at: Timestamp(r.get(2)?),
            up: uptime(r, 9)?,
            import: r.get::<_, Option<i64>>(3)?.map(WattHours),
            export: r.get::<_, Option<i64>>(4)?.map(WattHours),
            power: r.get::<_, Option<i64>>(5)?.map(Watts),
            voltage: real(6)?.and_then(Volts::finite),
            current: real(7)?.and_then(Amps::finite),
            frequency: real(8)?.and_then(Hertz::finite),
        },
    ))
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadText(pub(crate) String);

pub(crate) fn convert(column: usize, e: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(e))
}

pub(crate) fn named<T: std::str::FromStr<Err = domain::BadId>>(r: &Row<'_>, i: usize) -> rusqlite::Result<T> {
    r.get_ref(i)?.as_str().map_err(|e| convert(i, e))?.parse().map_err(|e| convert(i, e))
}

fn json<T: DeserializeOwned>(r: &Row<'_>, i: usize) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = r.get(i)?;
    text.map(|t| serde_json::from_str(&t).map_err(|e| convert(i, e))).transpose()
}
