//! Entries into the books of accounts, and the numbers that count once.

use crate::{Ledger, LedgerError};
use domain::terms::split_topup;
use domain::{AccountId, BOOKS, Book, Books, Entry, Fact, Money, Permille, Seq, Source, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use std::fmt;

/// The columns of the books, in the order of [`Book::ALL`].
pub(crate) const BOOK_COLUMNS: &str = "balance, debt, deposits, cash, energy, network, demand, daily, tax, fed_in, pool, refunds, adjustments, lent, paid_out, \
     overturned";

/// The books from the column of the first on.
pub(crate) fn books(r: &Row<'_>, first: usize) -> rusqlite::Result<Books> {
    let mut contents = [Money::ZERO; BOOKS];
    for (i, money) in contents.iter_mut().enumerate() {
        *money = Money(r.get(first + i)?);
    }
    Books::new(contents).ok_or_else(|| {
        let wrong = "the books of an account do not add up to nothing";
        rusqlite::Error::FromSqlConversionFailure(first, rusqlite::types::Type::Integer, wrong.into())
    })
}

/// Enters a movement into the books of an account.
pub(crate) fn enter(db: &Connection, account: u32, entry: &Entry) -> Result<(), LedgerError> {
    let values = Book::ALL.iter().map(|book| entry.to(*book).0).chain([i64::from(account)]);
    let changed = db
        .prepare_cached(
            "UPDATE accounts SET balance = balance + ?, debt = debt + ?, deposits = deposits + ?, cash = cash + ?,
             energy = energy + ?, network = network + ?, demand = demand + ?, daily = daily + ?, tax = tax + ?,
             fed_in = fed_in + ?, pool = pool + ?, refunds = refunds + ?, adjustments = adjustments + ?, lent = lent + ?,
             paid_out = paid_out + ?, overturned = overturned + ?
             WHERE number = ?",
        )?
        .execute(params_from_iter(values))?;
    if changed == 1 { Ok(()) } else { Err(LedgerError::Refused(format!("there is no account {account}"))) }
}

pub(crate) fn number_of(db: &Connection, account: &AccountId) -> Result<u32, LedgerError> {
    db.prepare_cached("SELECT number FROM accounts WHERE name = ?")?
        .query_row([account.as_str()], |r| r.get(0))
        .optional()?
        .ok_or_else(|| LedgerError::Refused(format!("there is no account {account}")))
}

/// How much of an amount that is paid in goes to the account's debt: its share of it, at most what is owed.
pub(crate) fn debt_part(db: &Connection, account: &AccountId, amount: Money) -> Result<Money, LedgerError> {
    let (debt, share): (i64, u16) = db
        .prepare_cached("SELECT debt, debt_share FROM accounts WHERE name = ?")?
        .query_row([account.as_str()], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()?
        .ok_or_else(|| LedgerError::Refused(format!("there is no account {account}")))?;
    let share = Permille::try_from(share).map_err(|e| LedgerError::unreadable("a share of debt", e))?;
    Ok(split_topup(amount, Money(debt.saturating_neg()), share, Money::ZERO).to_debt)
}

/// What a fact means for money: the account and the entry. `None` if it means nothing.
pub(crate) fn entry_of(fact: &Fact) -> Option<Result<(&AccountId, Entry), LedgerError>> {
    let (account, entry) = match fact {
        Fact::ToppedUp { account, amount, debt, source } => (account, Entry::paid_in(source.book(), *amount, *debt)),
        Fact::DepositTakenBack { account, amount, .. } => (account, Entry::of(Book::Balance, Book::Deposits, *amount)),
        Fact::HappenedOnChain { account, event, .. } if event.moves_money() => (account, event.entry()),
        Fact::OnChainTakenBack { account, event, .. } if event.moves_money() => (account, event.undone()),
        Fact::Refunded { account, amount, .. } => (account, Entry::of(Book::Balance, Book::Refunds, *amount)),
        Fact::Adjusted { account, amount, .. } => (account, Entry::of(Book::Adjustments, Book::Balance, *amount)),
        Fact::TokenUsed { account, amount, .. } => (account, Entry::of(Book::Adjustments, Book::Balance, *amount)),
        Fact::Lent { account, amount, as_credit, .. } => {
            let to = if *as_credit { Book::Balance } else { Book::Lent };
            (account, Entry::of(Book::Debt, to, *amount))
        }
        _ => return None,
    };
    let out_of_range = || LedgerError::Refused(format!("an amount of account {account} is out of range"));
    Some(entry.ok_or_else(out_of_range).map(|entry| (account, entry)))
}

/// What kind of number counts once. Each kind counts for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The operator's number for cash taken.
    Cash,
    /// The number of a voucher.
    Voucher,
    /// An account's token, as `ACCOUNT/COUNT`.
    Token,
    /// The operator's number for money paid back.
    Refund,
    /// The operator's number for an adjustment.
    Adjustment,
    /// The operator's number for a loan.
    Loan,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cash => "cash",
            Self::Voucher => "voucher",
            Self::Token => "token",
            Self::Refund => "refund",
            Self::Adjustment => "adjustment",
            Self::Loan => "loan",
        })
    }
}

/// Enters what a fact means for money, and marks its number as used.
pub(crate) fn book_fact(db: &Connection, seq: Seq, fact: &Fact) -> Result<(), LedgerError> {
    let Some(entry) = entry_of(fact) else { return Ok(()) };
    let (account, entry) = entry?;
    enter(db, number_of(db, account)?, &entry)?;
    let (kind, number) = match fact {
        Fact::ToppedUp { account, source, .. } => match source {
            // Deposits have a table of their own.
            Source::Chain { .. } => return Ok(()),
            Source::Cash { reference, .. } => (Kind::Cash, reference.clone()),
            Source::Voucher { number, .. } => (Kind::Voucher, number.clone()),
            Source::Token { count } => (Kind::Token, format!("{account}/{count}")),
        },
        Fact::TokenUsed { account, count, .. } => (Kind::Token, format!("{account}/{count}")),
        Fact::Refunded { reference, .. } => (Kind::Refund, reference.clone()),
        Fact::Adjusted { reference, .. } => (Kind::Adjustment, reference.clone()),
        Fact::Lent { reference, .. } => (Kind::Loan, reference.clone()),
        _ => return Ok(()),
    };
    use_once(db, kind, &number, seq)
}

/// Marks a number as used; refused if it was used before.
fn use_once(db: &Connection, kind: Kind, number: &str, seq: Seq) -> Result<(), LedgerError> {
    let fresh = db.prepare_cached("INSERT INTO used VALUES (?, ?, ?) ON CONFLICT DO NOTHING")?.execute(params![
        kind.to_string(),
        number,
        seq.0
    ])?;
    if fresh == 1 { Ok(()) } else { Err(used_before(kind, number)) }
}

fn used_before(kind: Kind, number: &str) -> LedgerError {
    LedgerError::Refused(format!("{kind} {number} was used before"))
}

/// Refuses to pay back nothing, twice, or more than there is.
pub(crate) fn refundable(
    db: &Connection,
    account: &AccountId,
    amount: Money,
    reference: &str,
    force: bool,
) -> Result<(), LedgerError> {
    if amount <= Money::ZERO {
        return Err(LedgerError::Refused(format!("{amount} is no amount to pay back")));
    }
    let known = "SELECT 1 FROM used WHERE kind = ? AND number = ?";
    if db.prepare_cached(known)?.exists(params![Kind::Refund.to_string(), reference])? {
        return Err(used_before(Kind::Refund, reference));
    }
    let number = number_of(db, account)?;
    let balance: i64 = db.query_row("SELECT balance FROM accounts WHERE number = ?", [number], |r| r.get(0))?;
    if !force && amount.0 > balance {
        return Err(LedgerError::Refused(format!("that is more than {account} has left")));
    }
    Ok(())
}

impl Ledger {
    /// What a number was used for, and when; `None` if it is unused.
    pub fn used(&self, kind: Kind, number: &str) -> Result<Option<(Seq, Timestamp, Fact)>, LedgerError> {
        let db = self.reader();
        let found: Option<(i64, i64, String)> = db
            .prepare_cached(
                "SELECT f.seq, f.at, f.body FROM used u JOIN facts f ON f.seq = u.seq WHERE u.kind = ? AND u.number = ?",
            )?
            .query_row(params![kind.to_string(), number], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
            .optional()?;
        let parse = |(seq, at, body): (i64, i64, String)| {
            let fact = serde_json::from_str(&body).map_err(|e| LedgerError::unreadable(format!("fact {seq}"), e))?;
            Ok((Seq(seq), Timestamp(at), fact))
        };
        found.map(parse).transpose()
    }
}
