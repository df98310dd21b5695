//! Tokens that a customer types: nine or twelve digits, made without a connection by whoever holds the account's key.
//! The format is the open OpenPAYGO one, so that the tools which make such tokens for devices make them for accounts.
//!
//! A token's digits hide its number among the account's tokens (its *count*) and a value. An even count adds the value,
//! an odd one sets the balance to it; two values of nine-digit tokens mean something else.

mod chain;
mod state;

pub use chain::{BadKey, StartingCode, TokenKey};
pub use state::TokenState;

use crate::Money;
use chain::Form;
use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// The largest value of a nine-digit token.
pub const MOST: u32 = 995;
/// The largest value of a twelve-digit token.
pub const MOST_EXTENDED: u32 = 999_999;
/// A value of nine-digit tokens: no payment is needed any more.
const DISABLE: u32 = 998;
/// A value of nine-digit tokens: go on from this count.
const SYNC: u32 = 999;
/// How far ahead of the newest count a token may be, and how far back the count may be set.
const JUMP: u32 = 64;
/// How far ahead the count may be set.
const SYNC_JUMP: u32 = 100;

/// What a token does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Adds its value.
    Add,
    /// Sets the balance to its value, and makes earlier tokens worthless.
    Set,
    /// Ends prepayment: the customer is not cut off for lack of credit until a token sets the balance.
    Disable,
    /// Changes nothing but which count is the newest.
    Sync,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "adds",
            Self::Set => "sets",
            Self::Disable => "ends prepayment",
            Self::Sync => "sets the count",
        })
    }
}

/// A token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Which of the account's tokens.
    pub count: u32,
    /// What it does.
    pub act: Act,
    /// Its value, in the account's unit; zero where it means nothing.
    pub value: u32,
}

/// What typed digits are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A token that may be used.
    Good(Token),
    /// A token of this account whose time is over: used, or older than what it may be.
    Over(Token),
    /// No token of this account.
    Invalid,
}

/// Digits or a value that cannot be a token. Not an attempt to guess one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadToken {
    /// Not digits, or not as many as a token has.
    #[error("a token is 9 or 12 digits; this is {0:?}")]
    Digits(String),
    /// A value that no token has.
    #[error("a token's value is at most {most}, and this is {value}")]
    Value {
        /// Which.
        value: u32,
        /// The most.
        most: u32,
    },
}

/// What an account's tokens are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPlan {
    /// The secret.
    pub key: TokenKey,
    /// Where the chain of tokens begins.
    pub start: StartingCode,
    /// What a value of one is worth.
    pub unit: Money,
}

/// The count of the next token that is made after `last`: even for those that add, odd for all others.
#[must_use]
pub fn next_count(last: u32, act: Act) -> u32 {
    let odd = last % 2 == 1;
    let same_kind = odd != (act == Act::Add);
    last.saturating_add(if same_kind { 2 } else { 1 })
}

impl TokenPlan {
    /// What a value is worth; `None` past what an amount can be.
    #[must_use]
    pub fn worth(&self, value: u32) -> Option<Money> {
        self.unit.0.checked_mul(i64::from(value)).map(Money)
    }

    /// The digits of a token.
    ///
    /// # Errors
    /// [`BadToken::Value`].
    pub fn digits(&self, token: &Token, extended: bool) -> Result<String, BadToken> {
        let form = if extended { Form::Extended } else { Form::Standard };
        let most = if extended { MOST_EXTENDED } else { MOST };
        let value = match token.act {
            Act::Add | Act::Set if token.value > most => return Err(BadToken::Value { value: token.value, most }),
            Act::Add | Act::Set => token.value,
            Act::Disable if !extended => DISABLE,
            Act::Sync if !extended => SYNC,
            Act::Disable | Act::Sync => return Err(BadToken::Value { value: SYNC, most: MOST }),
        };
        Ok(chain::encode(&self.key, self.start, form, token.count, value))
    }

    /// Reads what a customer typed; spaces and dashes do not count.
    ///
    /// # Errors
    /// [`BadToken::Digits`].
    pub fn read(&self, typed: &str, state: &TokenState) -> Result<Verdict, BadToken> {
        let digits: String = typed.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
        let bad = || BadToken::Digits(typed.chars().take(40).collect());
        let form = match digits.len() {
            9 => Form::Standard,
            12 => Form::Extended,
            _ => return Err(bad()),
        };
        let number: u64 =
            if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }.ok_or_else(bad)?;
        let value = chain::value(self.start, form, number);
        let special = form == Form::Standard && value > MOST;
        let ahead = if special && value == SYNC { SYNC_JUMP } else { JUMP };
        let mut over = Verdict::Invalid;
        for count in chain::counts(&self.key, self.start, form, number, state.count().saturating_add(ahead)) {
            let (act, value) = match (count % 2 == 1, value) {
                (true, DISABLE) if special => (Act::Disable, 0),
                (true, SYNC) if special => (Act::Sync, 0),
                // Nobody makes these.
                _ if special => continue,
                (true, _) => (Act::Set, value),
                (false, _) => (Act::Add, value),
            };
            let token = Token { count, act, value };
            if state.admits(count, act) {
                return Ok(Verdict::Good(token));
            }
            over = Verdict::Over(token);
        }
        Ok(over)
    }
}

#[cfg(test)]
mod tests;
