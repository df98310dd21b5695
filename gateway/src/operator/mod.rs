//! What an operator may do. To an account's money: prepared from what is known, written by whoever can write, and judged
//! by what is recorded then. To meters and prices: in steps of the ledger's own, which stand whole or not at all. The
//! command line and the page do the same acts through this.

mod codes;
mod meters;
mod orders;
mod tariff;

pub use codes::place;
pub use meters::{MeterAct, Typed};
pub use orders::{Act, Order};
pub use tariff::{Announcement, changes, since};

use crate::config::{Config, LONGEST_NAME};
use crate::failure::{Code, Failure};
use crate::narrate;
use domain::{AccountId, Fact, Timestamp};
use drivers::document::did_you_mean;
use ledger::{Ledger, LedgerError, NumberKind, Write};
use serde::Serialize;

/// A name for the books.
pub fn name_of(text: &str) -> Result<String, String> {
    let name = text.trim();
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(format!("{name:?} is no name of 1 to {LONGEST_NAME} letters"));
    }
    Ok(name.to_owned())
}

/// What is asked for.
#[derive(Clone, Debug)]
pub enum Request {
    /// Money moves.
    Order(Order),
    /// A voucher's code.
    Voucher {
        /// For which account.
        account: AccountId,
        /// As typed.
        code: String,
        /// Who typed it.
        by: String,
    },
    /// A token's digits.
    Token {
        /// For which account.
        account: AccountId,
        /// As typed.
        digits: String,
        /// Who typed it.
        by: String,
    },
}

/// What is to be written, and how to judge what comes of it.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The write.
    pub write: Write,
    then: Then,
}

#[derive(Clone, Debug)]
enum Then {
    /// It is recorded under a number that counts once.
    Booked(NumberKind, String),
    /// It was no code, and that is recorded.
    Wrong(AccountId),
}

/// It is done: now, or before.
#[derive(Clone, Debug, Serialize)]
pub struct Done {
    /// Whose account.
    pub account: AccountId,
    /// What is left.
    pub balance: String,
    /// What is owed.
    pub debt: String,
    /// In words.
    pub said: String,
    /// When it was done.
    pub at: String,
    /// Whether it had been done before, and nothing was done now.
    pub repeated: bool,
    /// What stands in the journal.
    pub fact: Fact,
}

/// Why it is not done. Nothing moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotDone {
    /// What was asked makes no sense.
    Wrong(String),
    /// There is no such account or meter.
    NoAccount(String),
    /// It contradicts what is recorded, or the rules.
    Refused(String),
    /// Too many wrong codes: no other is looked at before then.
    Locked(Timestamp),
}

impl std::fmt::Display for NotDone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Wrong(what) | Self::NoAccount(what) | Self::Refused(what) => f.write_str(what),
            Self::Locked(until) => write!(f, "too many wrong codes: no other is taken before {until}"),
        }
    }
}

impl From<NotDone> for Failure {
    fn from(not: NotDone) -> Self {
        let code = match not {
            NotDone::Wrong(_) | NotDone::NoAccount(_) => Code::Usage,
            NotDone::Refused(_) => Code::Found,
            NotDone::Locked(_) => Code::Unavailable,
        };
        Self::new(code, not)
    }
}

impl Request {
    /// Whose account it is about.
    #[must_use]
    pub fn account(&self) -> &AccountId {
        match self {
            Self::Order(order) => &order.account,
            Self::Voucher { account, .. } | Self::Token { account, .. } => account,
        }
    }

    /// What to write for it.
    pub fn prepare(
        &self,
        config: &Config,
        ledger: &Ledger,
        now: Timestamp,
    ) -> Result<Result<Prepared, NotDone>, LedgerError> {
        let accounts = ledger.accounts()?;
        if !accounts.iter().any(|a| a.name == *self.account()) {
            let hint = did_you_mean(self.account().as_str(), accounts.iter().map(|a| a.name.as_str()));
            let what = format!("\"{}\" is no account of this ledger{hint}", self.account());
            return Ok(Err(NotDone::NoAccount(what)));
        }
        match self {
            Self::Order(order) => Ok(Ok(order.prepare())),
            Self::Voucher { account, code, by } => codes::voucher(config, ledger, now, account, code, by),
            Self::Token { account, digits, by } => codes::token(config, ledger, now, account, digits, by),
        }
    }

    /// Judges what came of it; `refused` is what the ledger said against the write.
    pub fn judge(
        &self,
        prepared: &Prepared,
        config: &Config,
        ledger: &Ledger,
        refused: Option<String>,
    ) -> Result<Result<Done, NotDone>, LedgerError> {
        let (kind, number) = match &prepared.then {
            Then::Wrong(account) => {
                let attempts = ledger.attempts(account)?;
                let what = codes::wrong(self, attempts.failed(), attempts.until());
                return Ok(Err(NotDone::Refused(what)));
            }
            Then::Booked(kind, number) => (*kind, number),
        };
        let Some((_, at, fact)) = ledger.used(kind, number)? else {
            return Ok(Err(NotDone::Refused(refused.unwrap_or_else(|| "it was not recorded".into()))));
        };
        let said = narrate::sentence(&fact, &config.currency).1;
        if refused.is_some() && !self.is(&fact) {
            let what = format!("{kind} {number} was used at {at} for something else: {said}. Nothing was done now");
            return Ok(Err(NotDone::Refused(what)));
        }
        let row = ledger.accounts()?.into_iter().find(|a| a.name == *self.account());
        let show = |money| config.currency.show(money);
        Ok(Ok(Done {
            account: self.account().clone(),
            balance: row.as_ref().map(|r| show(r.balance)).unwrap_or_default(),
            debt: row.as_ref().map(|r| show(r.debt)).unwrap_or_default(),
            said,
            at: at.to_string(),
            repeated: refused.is_some(),
            fact,
        }))
    }

    /// Whether a fact is what was asked for.
    fn is(&self, fact: &Fact) -> bool {
        match (self, fact) {
            (Self::Order(order), fact) => order.is(fact),
            (Self::Voucher { account, .. } | Self::Token { account, .. }, Fact::ToppedUp { account: whose, .. })
            | (Self::Token { account, .. }, Fact::TokenUsed { account: whose, .. }) => account == whose,
            _ => false,
        }
    }
}

impl Done {
    /// In words, for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { account, balance, said, at, .. } = self;
        if self.repeated {
            return format!(
                "done already at {at}: {said}\nnothing was done twice; the balance of {account} is {balance}\n"
            );
        }
        format!("{said}\nthe balance of {account} is {balance}\n")
    }
}
