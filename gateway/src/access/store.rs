//! The file of users, tokens and links.

use super::password::Hash;
use super::secret::{self, Digest};
use super::{Role, Scopes, Who};
use crate::secrets::{private, write_private};
use domain::{AccountId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A person.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Name.
    pub name: String,
    /// What for.
    pub role: Role,
    /// What is kept of the password.
    pub password: Hash,
}

/// A program.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Name.
    pub name: String,
    /// What it is good for.
    pub scopes: Scopes,
    /// What is kept of it.
    #[serde(with = "hex")]
    pub digest: Digest,
    /// When it is good; for ever, if it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<Term>,
}

/// From when to when a token is good, by the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    /// When the token was made.
    pub made: Timestamp,
    /// When it ends; at this instant it is over.
    pub until: Timestamp,
}

impl Term {
    /// From now on, for so long. A clock that was not set cannot say from when.
    pub fn starting(made: Timestamp, span: Duration) -> Result<Self, String> {
        if made < Timestamp::TRUSTED {
            return Err(format!(
                "the clock says {made}, so it was not set, and a token's end cannot be reckoned: set it"
            ));
        }
        Ok(Self { made, until: made + span })
    }

    /// Why a token with this term is good for nothing at an instant. A clock that says a time before the token was made
    /// was not set, or was set back: whether the token is over cannot be known, so it counts as over.
    #[must_use]
    pub fn over(&self, now: Timestamp) -> Option<String> {
        match () {
            () if now >= self.until => Some(format!("expired at {}", self.until)),
            () if now < self.made => {
                Some(format!("was made at {}, and the gateway's clock says {now}: it has to be set first", self.made))
            }
            () => None,
        }
    }
}

/// What a token is worth.
#[derive(Clone, Debug)]
pub enum Worth {
    /// It is good, and whose it is.
    Good(Who),
    /// It is somebody's and its term is not now; why, in words.
    Over(String),
    /// It is nobody's.
    Nothing,
}

/// What customers' links are made of.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Links {
    #[serde(with = "hex")]
    key: Vec<u8>,
    /// How often the links of an account were revoked.
    revoked: BTreeMap<AccountId, u32>,
}

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Links").field("revoked", &self.revoked).finish_non_exhaustive()
    }
}

impl Links {
    /// The link of an account: its name, and a signature that nobody can guess. The same until it is revoked.
    pub fn make(&mut self, account: &AccountId) -> Result<String, String> {
        if self.key.is_empty() {
            self.key = secret::random::<32>()?.to_vec();
        }
        self.signed(account).ok_or_else(|| "the key of customers' links is damaged".into())
    }

    /// Whose link this is.
    #[must_use]
    pub fn whose(&self, link: &str) -> Option<AccountId> {
        let account = link.split_once('.')?.0.parse().ok()?;
        secret::same(self.signed(&account)?.as_bytes(), link.as_bytes()).then_some(account)
    }

    /// Makes all links of an account worthless that were handed out so far.
    pub fn revoke(&mut self, account: &AccountId) {
        let times = self.revoked.entry(account.clone()).or_default();
        *times = times.saturating_add(1);
    }

    fn signed(&self, account: &AccountId) -> Option<String> {
        let key: Digest = self.key.as_slice().try_into().ok()?;
        let times = self.revoked.get(account).copied().unwrap_or(0);
        let mac = secret::mac(&key, &format!("customer's page {times} {account}"));
        Some(format!("{account}.{}", hex::encode(&mac[..16])))
    }
}

/// Everything in the file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Book {
    /// Persons.
    pub users: Vec<User>,
    /// Programs.
    pub tokens: Vec<Token>,
    /// Customers' pages.
    pub links: Links,
}

impl Book {
    /// The user of this name.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|u| u.name == name)
    }

    /// Whose token this is, and whether it is good at an instant.
    #[must_use]
    pub fn token(&self, token: &str, now: Timestamp) -> Worth {
        let digest = secret::digest(token);
        let Some(found) = self.tokens.iter().find(|t| secret::same(&t.digest, &digest)) else { return Worth::Nothing };
        match found.term.and_then(|term| term.over(now)) {
            Some(why) => Worth::Over(format!("the token {} {why}", found.name)),
            None => Worth::Good(Who { name: found.name.clone(), scopes: found.scopes.clone(), session: None }),
        }
    }

    /// Whether a name is taken: users and tokens share names, for the books tell them apart by nothing else.
    pub fn free(&self, name: &str) -> Result<(), String> {
        match () {
            () if self.user(name).is_some() => Err(format!("there is a user {name} already")),
            () if self.tokens.iter().any(|t| t.name == name) => Err(format!("there is a token {name} already")),
            () => Ok(()),
        }
    }

    /// Adds a user.
    pub fn add_user(&mut self, name: &str, role: Role, password: Hash) -> Result<(), String> {
        self.free(name)?;
        self.users.push(User { name: name.to_owned(), role, password });
        Ok(())
    }

    /// Adds a token, and answers it: nobody can read it anywhere afterwards.
    pub fn add_token(&mut self, name: &str, scopes: Scopes, term: Option<Term>) -> Result<String, String> {
        self.free(name)?;
        let token = format!("{}{}", secret::TOKEN, secret::text()?);
        self.tokens.push(Token { name: name.to_owned(), scopes, digest: secret::digest(&token), term });
        Ok(token)
    }
}

type Mark = (u64, i64, i64, u64);

/// The file, and what was read of it last.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    seen: Mutex<Option<(Mark, Arc<Book>)>>,
}

impl Store {
    /// In a state folder.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self { path: state.join("access.json"), seen: Mutex::default() }
    }

    /// What the file says now. No file is nobody; one that cannot be read, or that others can read, lets nobody in.
    pub fn book(&self) -> Result<Arc<Book>, String> {
        let meta = match std::fs::metadata(&self.path) {
            Ok(meta) => meta,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Arc::default()),
            Err(e) => return Err(format!("{}: {e}", self.path.display())),
        };
        // Of its last change of any kind: a file that others may read from now on is another one too.
        let mark = (meta.ino(), meta.ctime(), meta.ctime_nsec(), meta.len());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((old, book)) = &*seen
            && *old == mark
        {
            return Ok(Arc::clone(book));
        }
        private(&self.path).map_err(|what| format!("access {what}"))?;
        let text = std::fs::read(&self.path).map_err(|e| format!("{}: {e}", self.path.display()))?;
        let book: Book = serde_json::from_slice(&text).map_err(|e| {
            // The words of the error name fields and places, and no value.
            let (line, column) = (e.line(), e.column());
            format!(
                "{}: damaged at line {line}, column {column}; put a copy of it back, or remove it and begin anew",
                self.path.display()
            )
        })?;
        let book = Arc::new(book);
        *seen = Some((mark, Arc::clone(&book)));
        Ok(book)
    }

    /// Changes it: the old or the new file is there after a power cut, and of two that change at once one waits.
    pub fn change<T>(&self, change: impl FnOnce(&mut Book) -> Result<T, String>) -> Result<T, String> {
        let failed = |e: std::io::Error| format!("{}: {e}", self.path.display());
        let _one_at_a_time = self.lock().map_err(failed)?;
        let mut book = (*self.book()?).clone();
        let answer = change(&mut book)?;
        let mut text = serde_json::to_vec_pretty(&book).map_err(|e| e.to_string())?;
        text.push(b'\n');
        write_private(&self.path, &text).map_err(failed)?;
        Ok(answer)
    }

    fn lock(&self) -> std::io::Result<File> {
        let path = self.path.with_extension("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
        crate::secrets::hand_over(&lock, &path)?;
        lock.lock()?;
        Ok(lock)
    }
}
