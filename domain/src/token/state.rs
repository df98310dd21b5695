//! Which tokens of an account may still be used.

use super::{Act, JUMP};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How far behind the newest count a token that adds may be, if it was not used.
const OLDER: u32 = 16;

/// How far an account's tokens have come. A token that was used counts once because the ledger says so; this says which
/// of the others are still good.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenState {
    count: u32,
    used: BTreeSet<u32>,
}

impl TokenState {
    /// The newest count.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether a token may be used: newer than the newest, or one that adds and was overtaken but not used. The count may
    /// also be set back.
    #[must_use]
    pub fn admits(&self, count: u32, act: Act) -> bool {
        let newest = i64::from(self.count);
        match act {
            // No token is made with this one.
            _ if count == 0 => false,
            Act::Sync => i64::from(count) > newest - i64::from(JUMP),
            _ if count > self.count => true,
            Act::Add => i64::from(count) > newest - i64::from(OLDER) && !self.used.contains(&count),
            Act::Set | Act::Disable => false,
        }
    }

    /// A token was used. One that does not simply add makes all before it worthless.
    pub fn accept(&mut self, count: u32, act: Act) {
        if count > self.count || act == Act::Sync {
            self.count = count;
        }
        let highest = self.used.last().copied().unwrap_or(0).max(count);
        let window = highest.saturating_sub(OLDER)..=highest;
        if act == Act::Add {
            self.used.insert(count);
        } else {
            self.used.extend(window.clone());
        }
        self.used.retain(|used| window.contains(used));
    }
}
