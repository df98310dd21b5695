//! Who may come in, and who did: what is written down of it. Passwords, tokens and links are nowhere in it.

use serde::{Deserialize, Serialize};

/// What became of somebody's access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// A user was added.
    UserAdded {
        /// What the user may do.
        role: String,
    },
    /// A user was removed.
    UserRemoved,
    /// A user has another password; whoever was signed in by the old one is not any more.
    PasswordSet,
    /// A token for programs was made.
    TokenMade {
        /// What it is good for.
        scopes: Vec<String>,
    },
    /// A token is good for nothing any more.
    TokenRevoked,
    /// The link of a customer's own page was handed out.
    LinkShown,
    /// All links to a customer's own page that were handed out so far are dead.
    LinkRevoked,
    /// A user signed in.
    SignedIn,
    /// A user signed out.
    SignedOut,
    /// Wrong passwords closed the door for a while.
    KeptOut {
        /// How many there were in a row.
        failed: u32,
        /// For how long no other is looked at, in seconds.
        seconds: u64,
    },
}

impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UserAdded { role } => write!(f, "may come in as {role}"),
            Self::UserRemoved => f.write_str("may not come in any more"),
            Self::PasswordSet => f.write_str("has a new password"),
            Self::TokenMade { scopes } => write!(f, "is a token for {}", scopes.join(", ")),
            Self::TokenRevoked => f.write_str("is no token any more"),
            Self::LinkShown => f.write_str("has a page by link"),
            Self::LinkRevoked => f.write_str("has no page by the links that were handed out"),
            Self::SignedIn => f.write_str("signed in"),
            Self::SignedOut => f.write_str("signed out"),
            Self::KeptOut { failed, seconds } => {
                write!(f, "is kept out for {seconds} s after {failed} wrong passwords")
            }
        }
    }
}
