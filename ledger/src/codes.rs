//! Codes that count once: tokens and vouchers, and how often somebody guessed wrong.

use crate::commit::{current, record_fact, top_up};
use crate::money::number_of;
use crate::{Ledger, LedgerError};
use domain::token::{Act, TokenState, next_count};
use domain::{AccountId, Attempts, Fact, Money, Seq, Source, Timestamp};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A token that was read, and what it is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUse {
    /// Whose account.
    pub account: AccountId,
    /// Which of the account's tokens.
    pub count: u32,
    /// What it does.
    pub act: Act,
    /// What it adds, or what the balance is set to; otherwise nothing.
    pub worth: Money,
}

const TOKENS: &str = "tokens";
const MADE: &str = "tokens-made";
const ATTEMPTS: &str = "attempts";
const UNLOCKED: &str = "unlocked";

fn load<T: DeserializeOwned + Default>(db: &Connection, what: &str, account: &AccountId) -> Result<T, LedgerError> {
    let text: Option<String> = db
        .prepare_cached("SELECT value FROM meta WHERE key = ?")?
        .query_row([format!("{what}/{account}")], |r| r.get(0))
        .optional()?;
    let parse = |text: String| {
        serde_json::from_str(&text).map_err(|e| LedgerError::unreadable(format!("{what} of {account}"), e))
    };
    text.map_or_else(|| Ok(T::default()), parse)
}

fn store<T: Serialize>(db: &Connection, what: &str, account: &AccountId, value: &T) -> Result<(), LedgerError> {
    let text = serde_json::to_string(value).map_err(|e| LedgerError::unreadable(what, e))?;
    db.prepare_cached("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value")?
        .execute(params![format!("{what}/{account}"), text])?;
    Ok(())
}

/// Books a token, unless another one made it worthless meanwhile.
pub(crate) fn use_token(db: &Connection, now: Timestamp, token: &TokenUse) -> Result<Seq, LedgerError> {
    let TokenUse { account, count, act, worth } = token.clone();
    let number = number_of(db, &account)?;
    if !load::<TokenState>(db, TOKENS, &account)?.admits(count, act) {
        return Err(LedgerError::Refused(format!("token {account}/{count} was used before")));
    }
    let amount = match act {
        Act::Add if worth > Money::ZERO => {
            return top_up(db, now, &account, worth, Source::Token { count: count.into() });
        }
        Act::Add | Act::Disable | Act::Sync => Money::ZERO,
        Act::Set => {
            let balance = db.query_row("SELECT balance FROM accounts WHERE number = ?", [number], |r| r.get(0))?;
            let out_of_range = || LedgerError::Refused("the amount is out of range".into());
            worth.checked_sub(Money(balance)).ok_or_else(out_of_range)?
        }
    };
    record_fact(db, now, &Fact::TokenUsed { account, count, act, amount })
}

/// A token counted: which others are still good.
pub(crate) fn took_token(db: &Connection, account: &AccountId, count: u32, act: Act) -> Result<(), LedgerError> {
    let mut state: TokenState = load(db, TOKENS, account)?;
    state.accept(count, act);
    store(db, TOKENS, account, &state)?;
    match act {
        Act::Disable => store(db, UNLOCKED, account, &true)?,
        Act::Set => {
            db.execute("DELETE FROM meta WHERE key = ?", [format!("{UNLOCKED}/{account}")])?;
        }
        Act::Add | Act::Sync => {}
    }
    Ok(())
}

pub(crate) fn took_code(db: &Connection, account: &AccountId, attempts: Attempts) -> Result<(), LedgerError> {
    // Most accounts never see a wrong code.
    if load::<Attempts>(db, ATTEMPTS, account)? == attempts {
        return Ok(());
    }
    store(db, ATTEMPTS, account, &attempts)
}

/// Counts a wrong code. While the door is closed there is nothing to count.
pub(crate) fn wrong_code(db: &Connection, now: Timestamp, account: &AccountId, by: &str) -> Result<Seq, LedgerError> {
    number_of(db, account)?;
    let attempts: Attempts = load(db, ATTEMPTS, account)?;
    if attempts.locked(now).is_some() {
        return current(db);
    }
    let attempts = attempts.wrong(now);
    let (failed, until) = (attempts.failed(), attempts.until());
    record_fact(db, now, &Fact::CodeRefused { account: account.clone(), failed, until, by: by.to_owned() })
}

impl Ledger {
    /// How far an account's tokens have come.
    pub fn tokens(&self, account: &AccountId) -> Result<TokenState, LedgerError> {
        load(&self.reader(), TOKENS, account)
    }

    /// The wrong codes that were entered for an account since the last right one.
    pub fn attempts(&self, account: &AccountId) -> Result<Attempts, LedgerError> {
        load(&self.reader(), ATTEMPTS, account)
    }

    /// Takes the count of the next token to be made for an account, durably, so that no token is made twice. `after` may
    /// say that tokens up to that count were made elsewhere.
    pub fn take_count(&self, account: &AccountId, act: Act, after: Option<u32>) -> Result<u32, LedgerError> {
        let mut db = self.writer();
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        number_of(&tx, account)?;
        let (made, used): (u32, TokenState) = (load(&tx, MADE, account)?, load(&tx, TOKENS, account)?);
        let count = next_count(made.max(used.count()).max(after.unwrap_or(0)), act);
        store(&tx, MADE, account, &count)?;
        tx.commit()?;
        Ok(count)
    }
}
