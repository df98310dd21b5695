//! What all users share, and how much of it each holds.

use std::collections::BTreeMap;

/// One user holds at most this part.
pub(super) const PART: usize = 8;

/// Something that all users share. Without a users file nobody is told apart, and there is one who may take all.
#[derive(Debug, Default)]
pub(super) struct Pool {
    all: usize,
    by: BTreeMap<String, usize>,
    /// Who has as much again for itself.
    apart: Option<String>,
}

impl Pool {
    pub fn new(apart: Option<&str>) -> Self {
        Self { apart: apart.map(Into::into), ..Self::default() }
    }

    /// Whether somebody may take so much more, when there is so much.
    pub fn has(&self, user: &str, more: usize, most: usize) -> bool {
        let held = self.by.get(user).copied().unwrap_or(0).saturating_add(more);
        if self.apart.as_deref() == Some(user) {
            return held <= most;
        }
        self.all.saturating_add(more) <= most && held <= part(user, most)
    }

    pub fn take(&mut self, user: &str, more: usize) {
        if self.apart.as_deref() != Some(user) {
            self.all += more;
        }
        if let Some(held) = self.by.get_mut(user) {
            *held += more;
        } else {
            self.by.insert(user.into(), more);
        }
    }

    pub fn give(&mut self, user: &str, less: usize) {
        if self.apart.as_deref() != Some(user) {
            self.all = self.all.saturating_sub(less);
        }
        if let Some(held) = self.by.get_mut(user) {
            *held = held.saturating_sub(less);
        }
    }

    /// What all hold, with what somebody has apart.
    pub fn held(&self) -> usize {
        self.by.values().sum()
    }

    /// Bytes, or whatever it is, of all who have nothing for themselves.
    #[cfg(test)]
    pub fn all(&self) -> usize {
        self.all
    }
}

/// How much of something one user may hold.
pub(super) fn part(user: &str, most: usize) -> usize {
    if user.is_empty() { most } else { (most / PART).max(1) }
}
