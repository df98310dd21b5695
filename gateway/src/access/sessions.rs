//! Sessions of the page. They live in memory: a restart ends them all, and nothing of them is ever on disk.

use super::Role;
use super::secret::{self, Digest};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long one lasts.
pub const LASTS: Duration = Duration::from_secs(12 * 3600);
/// The longest that nobody may ask by it. An open page asks all the time.
pub const IDLE: Duration = Duration::from_secs(3600);
/// How many of one user there may be; the oldest makes room.
const MOST: usize = 16;

/// Somebody who signed in.
#[derive(Clone, Debug)]
pub struct Session {
    /// Who.
    pub name: String,
    /// Tells the password by which; `None` for a code that was good once.
    pub mark: Option<Digest>,
    /// As what.
    pub role: Role,
    /// What its acts must carry.
    pub csrf: String,
    began: Instant,
    asked: Instant,
}

/// All of them, by the digest of the id.
#[derive(Debug, Default)]
pub struct Sessions(BTreeMap<Digest, Session>);

impl Sessions {
    /// Begins one under an id that nobody offered. Answers the id and the token.
    pub fn begin(
        &mut self,
        name: &str,
        role: Role,
        mark: Option<Digest>,
        now: Instant,
    ) -> Result<(String, String), String> {
        self.0.retain(|_, s| s.lives(now));
        let mine = || self.0.iter().filter(|(_, s)| s.name == name);
        if mine().count() >= MOST
            && let Some(oldest) = mine().min_by_key(|(_, s)| s.asked).map(|(id, _)| *id)
        {
            self.0.remove(&oldest);
        }
        let (id, csrf) = (secret::text()?, secret::text()?);
        let session = Session { name: name.to_owned(), mark, role, csrf: csrf.clone(), began: now, asked: now };
        self.0.insert(secret::digest(&id), session);
        Ok((id, csrf))
    }

    /// The session of this id, which was asked by just now.
    pub fn find(&mut self, id: &Digest, now: Instant) -> Option<Session> {
        let session = self.0.get_mut(id)?;
        if !session.lives(now) {
            self.0.remove(id);
            return None;
        }
        session.asked = now;
        Some(session.clone())
    }

    /// Ends one.
    pub fn end(&mut self, id: &Digest) -> Option<Session> {
        self.0.remove(id)
    }
}

impl Session {
    fn lives(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) < LASTS && now.saturating_duration_since(self.asked) < IDLE
    }
}
