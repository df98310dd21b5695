//! Names given by people in the configuration. One spelling rule for all, so that a name can stand in a topic, a path,
//! a URL and a database key without escaping.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use thiserror::Error;

/// A name that breaks the spelling rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no valid name: 1 to 32 of a-z, 0-9, '-' and '_', beginning with a letter or digit")]
pub struct BadId(pub String);

fn check(text: &str) -> Result<Arc<str>, BadId> {
    let tail = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let head = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if (1..=32).contains(&text.len()) && text.starts_with(head) && text.chars().all(tail) {
        Ok(Arc::from(text))
    } else {
        Err(BadId(text.chars().take(40).collect()))
    }
}

macro_rules! ids {
    ($($(#[$m:meta])* $t:ident),* $(,)?) => {$(
        $(#[$m])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $t(Arc<str>);

        impl $t {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl FromStr for $t {
            type Err = BadId;
            fn from_str(s: &str) -> Result<Self, BadId> { check(s).map(Self) }
        }
        impl TryFrom<String> for $t {
            type Error = BadId;
            fn try_from(s: String) -> Result<Self, BadId> { check(&s).map(Self) }
        }
        impl From<$t> for String {
            fn from(id: $t) -> String { id.0.as_ref().to_owned() }
        }
        impl fmt::Display for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
    )*};
}
ids! {
    /// One meter: one place where energy is counted.
    MeterId,
    /// One customer's account.
    AccountId,
    /// One switch (contactor) that can disconnect a customer.
    SwitchId,
    /// One inverter that takes limits.
    InverterId,
    /// A class of customers who pay the same prices.
    ClassId,
    /// One field bus: a serial port, a TCP connection, an MQTT broker.
    BusId,
}
