//! The door: who is let in, and for how long it stays closed after wrong passwords.

use super::password::{Hash, Password};
use super::secret::{self, Digest};
use super::sessions::Sessions;
use super::store::{Store, Worth};
use super::throttle::Throttle;
use super::{Role, Scope, Who, name_of};
use crate::clock::wall;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// How long somebody waits for others' passwords to be looked at: each takes 19 MiB, so there is one at a time.
const PATIENCE: Duration = Duration::from_secs(5);
/// The name under which wrong codes are counted; no user can have it.
const CODE: &str = "(code)";
const NO_NAME: &str = "(no name)";

/// Why somebody is not in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotIn {
    /// Name or password is wrong, or the code; which, is not said. How many there were of a user that exists, and for how
    /// long the door is closed now, is for the books.
    Wrong(Option<(u32, Duration)>),
    /// No password is looked at for so long.
    Closed(Duration),
    /// Too many try at once.
    Busy,
    /// What was asked makes no sense.
    Bad(String),
    /// It is too late for that.
    Refused(String),
    /// The file of users cannot be read or written.
    Broken(String),
}

/// Somebody is in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Who.
    pub name: String,
    /// As what.
    pub role: Role,
    /// The id of the session: a secret.
    pub id: String,
    /// What its acts must carry.
    pub csrf: String,
}

/// Codes that are good once.
#[derive(Debug, Default)]
struct Codes {
    /// Makes the first operator.
    first: Option<Digest>,
    /// Lets a guest in.
    guest: Option<(Digest, String, Role)>,
}

/// The door.
#[derive(Debug)]
pub struct Access {
    store: Store,
    sessions: Mutex<Sessions>,
    throttle: Mutex<Throttle>,
    codes: Mutex<Codes>,
    hashing: Semaphore,
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Access {
    /// Of a state folder.
    #[must_use]
    pub fn new(state: &Path) -> Arc<Self> {
        Arc::new(Self {
            store: Store::new(state),
            sessions: Mutex::default(),
            throttle: Mutex::default(),
            codes: Mutex::default(),
            hashing: Semaphore::new(1),
        })
    }

    /// The file.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// A code that makes the first operator; `None` if there are users.
    pub fn first_code(&self) -> Result<Option<String>, String> {
        if !self.store.book()?.users.is_empty() {
            return Ok(None);
        }
        let code = secret::code()?;
        held(&self.codes).first = Some(secret::digest(&code));
        Ok(Some(code))
    }

    /// A code that lets a guest in once.
    pub fn guest_code(&self, name: &str, role: Role) -> Result<String, String> {
        let code = secret::code()?;
        held(&self.codes).guest = Some((secret::digest(&code), name.to_owned(), role));
        Ok(code)
    }

    /// Whether the first operator is still to be made.
    pub fn is_new(&self) -> Result<bool, String> {
        Ok(held(&self.codes).first.is_some() && self.store.book()?.users.is_empty())
    }

    /// What a token is worth now. Its end is an instant of the world's, so the wall clock decides, also where a simulated
    /// street lives faster.
    pub fn by_token(&self, token: &str) -> Result<Worth, String> {
        Ok(self.store.book()?.token(token, wall()))
    }

    /// Whose session it is. Whoever was removed, or has another password since, has none.
    pub fn by_session(&self, id: &str) -> Result<Option<Who>, String> {
        self.by_digest(secret::digest(id))
    }

    fn by_digest(&self, digest: Digest) -> Result<Option<Who>, String> {
        let Some(mut session) = held(&self.sessions).find(&digest, Instant::now()) else { return Ok(None) };
        if let Some(mark) = session.mark {
            let book = self.store.book()?;
            match book.user(&session.name) {
                Some(user) if user.password.mark() == mark => session.role = user.role,
                _ => {
                    held(&self.sessions).end(&digest);
                    return Ok(None);
                }
            }
        }
        Ok(Some(Who { scopes: session.role.scopes(), name: session.name, session: Some((digest, session.csrf)) }))
    }

    /// Whether somebody who was let look may still.
    #[must_use]
    pub fn still(&self, who: &Who) -> bool {
        let now = match &who.session {
            Some((digest, _)) => self.by_digest(*digest).ok().flatten().map(|who| who.scopes),
            None => self.store.book().ok().and_then(|book| {
                let token = book.tokens.iter().find(|t| t.name == who.name)?;
                let over = token.term.is_some_and(|term| term.over(wall()).is_some());
                (!over).then(|| token.scopes.clone())
            }),
        };
        now.is_some_and(|scopes| scopes.contains(&Scope::Read))
    }

    /// Ends a session.
    pub fn sign_out(&self, id: &Digest) {
        held(&self.sessions).end(id);
    }

    /// Lets a user in.
    pub async fn sign_in(&self, name: &str, password: Password, place: IpAddr) -> Result<SignedIn, NotIn> {
        // What cannot be a name is counted all the same, in one place.
        let key = if name_of(name).is_ok() { name } else { NO_NAME };
        let _permit = self.turn(key, place).await?;
        let user = self.store.book().map_err(NotIn::Broken)?.user(name).cloned();
        let hash = user.as_ref().map_or_else(Hash::nobody, |u| u.password.clone());
        let right = tokio::task::spawn_blocking(move || hash.is(&password)).await.unwrap_or(false);
        match user {
            Some(user) if right => {
                held(&self.throttle).right(key, place);
                self.begin(&user.name, user.role, Some(user.password.mark()))
            }
            known => {
                let closed = held(&self.throttle).wrong(key, place, Instant::now());
                Err(NotIn::Wrong(closed.filter(|_| known.is_some())))
            }
        }
    }

    /// Lets a guest in by a code.
    pub async fn enter(&self, code: &str, place: IpAddr) -> Result<SignedIn, NotIn> {
        let _permit = self.turn(CODE, place).await?;
        let guest = {
            let mut codes = held(&self.codes);
            let fits = |(digest, ..): &mut (Digest, String, Role)| secret::same(digest, &secret::digest(code.trim()));
            codes.guest.take_if(fits)
        };
        match guest {
            Some((_, name, role)) => self.begin(&name, role, None),
            None => Err(self.wrong_code(place)),
        }
    }

    /// Makes the first operator.
    pub async fn set_up(&self, code: &str, name: &str, password: String, place: IpAddr) -> Result<SignedIn, NotIn> {
        let _permit = self.turn(CODE, place).await?;
        let digest = secret::digest(code.trim());
        if !held(&self.codes).first.is_some_and(|first| secret::same(&first, &digest)) {
            return Err(self.wrong_code(place));
        }
        // A code is not used up by a password that is too short.
        let name = name_of(name).map_err(NotIn::Bad)?;
        let password = Password::new(password, &name).map_err(NotIn::Bad)?;
        let hash = tokio::task::spawn_blocking(move || Hash::of(&password)).await;
        let hash = hash.map_err(|e| e.to_string()).and_then(|hash| hash).map_err(NotIn::Broken)?;
        let mark = hash.mark();
        if !self.store.book().map_err(NotIn::Broken)?.users.is_empty() {
            held(&self.codes).first = None;
            return Err(NotIn::Refused("there is a user already: sign in".into()));
        }
        self.store.change(|book| book.add_user(&name, Role::Operator, hash)).map_err(NotIn::Broken)?;
        held(&self.codes).first = None;
        self.begin(&name, Role::Operator, Some(mark))
    }

    fn begin(&self, name: &str, role: Role, mark: Option<Digest>) -> Result<SignedIn, NotIn> {
        let begun = held(&self.sessions).begin(name, role, mark, Instant::now());
        let (id, csrf) = begun.map_err(NotIn::Broken)?;
        Ok(SignedIn { name: name.to_owned(), role, id, csrf })
    }

    fn wrong_code(&self, place: IpAddr) -> NotIn {
        held(&self.throttle).wrong(CODE, place, Instant::now());
        NotIn::Wrong(None)
    }

    /// One after the other: guesses that came together would all be looked at before the first is counted.
    async fn turn(&self, key: &str, place: IpAddr) -> Result<tokio::sync::SemaphorePermit<'_>, NotIn> {
        let closed = || match held(&self.throttle).closed(key, place, Instant::now()) {
            Some(left) => Err(NotIn::Closed(left)),
            None => Ok(()),
        };
        closed()?;
        let permit = tokio::time::timeout(PATIENCE, self.hashing.acquire()).await;
        let permit = permit.map_err(|_| NotIn::Busy)?.map_err(|_| NotIn::Busy)?;
        closed()?;
        Ok(permit)
    }
}
