//! Who may come in, as typed.

use super::operator::{By, days};
use super::{ConfigFile, Look};
use crate::access::{Role, Scope, name_of};
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// Access.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Whatever is changed here holds at the next request to a running gateway: who is removed, or has a new \
    password, is signed out. Users, digests of tokens and hashes of passwords (argon2id) are in STATE/access.json. The \
    first operator can also be made on the page, with the code that `run` prints while there are no users."
)]
pub enum Access {
    /// People who sign in on the page
    #[command(subcommand)]
    User(User),
    /// Tokens of programs, for the header Authorization: Bearer
    #[command(subcommand)]
    Token(AccessToken),
}

/// Users.
#[derive(Debug, Subcommand)]
pub enum User {
    /// Add a user; the password is asked for, or read from standard input
    Add {
        /// The name: what stands in the books beside all that is done
        #[arg(value_parser = name_of)]
        name: String,
        /// What the user may do
        #[arg(long, value_enum)]
        role: Role,
        /// The password
        #[command(flatten)]
        password: PasswordFrom,
        /// Where and by whom
        #[command(flatten)]
        desk: Desk,
    },
    /// List users and what they may do
    List(Look),
    /// Remove a user, and end their sessions
    Remove {
        /// Who
        name: String,
        /// Where and by whom
        #[command(flatten)]
        desk: Desk,
    },
    /// Set a new password, and end the sessions of the one before
    Password {
        /// Whose
        name: String,
        /// The password
        #[command(flatten)]
        password: PasswordFrom,
        /// Where and by whom
        #[command(flatten)]
        desk: Desk,
    },
}

/// Tokens.
#[derive(Debug, Subcommand)]
pub enum AccessToken {
    /// Make a token and print it: it is shown this once
    Create {
        /// Its name: what stands in the books beside all that is done by it
        #[arg(value_parser = name_of)]
        name: String,
        /// What it is good for
        #[arg(long, value_enum, value_delimiter = ',', required = true)]
        scope: Vec<Scope>,
        /// For how long it is good, such as 90d; until it is revoked, if nothing is said. The gateway's clock decides, and
        /// while that says a time before the token was made the token is not taken either
        #[arg(long = "for", value_name = "DURATION", value_parser = days)]
        lasts: Option<Duration>,
        /// Where and by whom
        #[command(flatten)]
        desk: Desk,
    },
    /// List tokens, what they are good for and until when
    List(Look),
    /// Make a token worthless
    Revoke {
        /// Which
        name: String,
        /// Where and by whom
        #[command(flatten)]
        desk: Desk,
    },
}

/// Where a password comes from: never from the command line or the environment, which others can read.
#[derive(Clone, Debug, Args)]
pub struct PasswordFrom {
    /// File with the password, mode 0600
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// Where and by whom.
#[derive(Clone, Debug, Args)]
pub struct Desk {
    /// Configuration
    #[command(flatten)]
    pub config: ConfigFile,
    /// Who
    #[command(flatten)]
    pub by: By,
    /// Answer as JSON
    #[arg(long)]
    pub json: bool,
}
