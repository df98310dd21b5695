//! Who may do what: users with passwords, programs with tokens, sessions of the page. Whatever is not allowed is denied.
//!
//! Users, tokens and the key of customers' links are in `STATE/access.json`, mode 0600, read anew whenever it changes: a
//! verb beside the running gateway takes effect at the next request. Passwords are kept as argon2id hashes; tokens,
//! session ids and one-time codes are random and kept as digests only. Sessions end with the process.

mod door;
mod password;
mod secret;
mod sessions;
mod store;
mod throttle;

pub use door::{Access, NotIn, SignedIn};
pub use password::{Hash, Password};
pub use secret::same;
pub use sessions::LASTS;
pub use store::{Book, Store, Term, Token, Worth};

use domain::Access as Change;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The longest name of a user or token.
const LONGEST_NAME: usize = 32;

/// One thing that may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// See the street: homes, balances, readings, receipts, prices
    Read,
    /// Read figures for monitoring: devices, ledger, chain; nobody's energy or balance
    Metrics,
    /// Take cash, pay back, adjust, lend, pay in vouchers and tokens
    Money,
    /// Release, replace and move meters
    Meters,
    /// Announce prices
    Prices,
}

impl Scope {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Metrics => "metrics",
            Self::Money => "money",
            Self::Meters => "meters",
            Self::Prices => "prices",
        }
    }
}

/// What somebody may do.
pub type Scopes = BTreeSet<Scope>;

/// What a person is here for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Looks only
    Viewer,
    /// Looks, and releases, replaces and moves meters
    Installer,
    /// Does everything
    Operator,
}

impl Role {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Installer => "installer",
            Self::Operator => "operator",
        }
    }

    /// What goes with it.
    #[must_use]
    pub fn scopes(self) -> Scopes {
        let all = [Scope::Read, Scope::Metrics, Scope::Meters, Scope::Money, Scope::Prices];
        let upto = match self {
            Self::Viewer => 2,
            Self::Installer => 3,
            Self::Operator => all.len(),
        };
        all.into_iter().take(upto).collect()
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Who {
    /// The user's or token's name, as it is written into the books.
    pub name: String,
    /// What they may do.
    pub scopes: Scopes,
    /// For a session of the page: the digest of its id, and the token that its acts must carry.
    pub session: Option<(secret::Digest, String)>,
}

/// A name of a user or token: what it means is the same in a file, a log and a URL.
pub fn name_of(text: &str) -> Result<String, String> {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    let rest = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
    if first && rest && text.len() <= LONGEST_NAME {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is no name: 1 to {LONGEST_NAME} of a-z, 0-9, '.', '_' and '-', a letter first"))
}

/// The fact that says so.
#[must_use]
pub fn fact(subject: &str, change: Change, by: &str) -> domain::Fact {
    domain::Fact::AccessChanged { subject: subject.to_owned(), change, by: by.to_owned() }
}

#[cfg(test)]
mod tests;
