//! Who may connect, and who may publish and subscribe to what. What nobody allowed is denied.

use crate::topic;
use std::fmt;

/// What somebody may do, as filters. All others are denied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Topics that may be published to.
    pub publish: Vec<String>,
    /// Filters that may be subscribed to, and all that they contain.
    pub subscribe: Vec<String>,
}

impl Rights {
    /// Everything, and to read how the broker is doing.
    #[must_use]
    pub fn all() -> Self {
        Self { publish: vec!["#".into()], subscribe: vec!["#".into(), "$SYS/#".into()] }
    }

    /// Whether this topic may be published to.
    #[must_use]
    pub fn publishes(&self, name: &str) -> bool {
        self.publish.iter().any(|filter| topic::contains(filter, name))
    }

    /// Whether all that this filter matches may be read.
    #[must_use]
    pub fn subscribes(&self, filter: &str) -> bool {
        self.subscribe.iter().any(|outer| topic::contains(outer, filter))
    }
}

/// Somebody who may connect.
#[derive(Clone)]
pub struct User {
    /// Name.
    pub name: String,
    /// Password.
    pub password: String,
    /// What it may do.
    pub rights: Rights,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).field("rights", &self.rights).finish_non_exhaustive()
    }
}

/// All who may connect.
#[derive(Clone, Debug)]
pub struct Users(Vec<User>);

impl Users {
    /// These; if there are none, everybody, without a password and with all rights.
    #[must_use]
    pub fn new(users: Vec<User>) -> Self {
        Self(users)
    }

    /// The name and the rights of whoever says this, if it is true.
    pub(crate) fn admit(&self, name: Option<&str>, password: Option<&[u8]>) -> Option<(String, Rights)> {
        if self.0.is_empty() {
            return Some((String::new(), Rights::all()));
        }
        let (name, password) = (name?, password?);
        let user = self.0.iter().find(|user| user.name == name);
        // An unknown name takes as long as a wrong password.
        let right = same(user.map_or(b"", |user| user.password.as_bytes()), password);
        user.filter(|_| right).map(|user| (user.name.clone(), user.rights.clone()))
    }

    /// The first, who is the gateway's own.
    pub(crate) fn first(&self) -> Option<&str> {
        self.0.first().map(|user| &*user.name)
    }

    /// Who most likely published to a topic: of the others, the first who may.
    pub(crate) fn owner(&self, topic: &str) -> &str {
        let other = self.0.iter().skip(1).find(|user| user.rights.publishes(topic));
        other.map(|user| &*user.name).or(self.first()).unwrap_or_default()
    }

    /// The rights of a name, for a session that was stored.
    pub(crate) fn rights(&self, name: &str) -> Option<Rights> {
        if self.0.is_empty() || name == crate::bridge::USER {
            return Some(Rights::all());
        }
        self.0.iter().find(|user| user.name == name).map(|user| user.rights.clone())
    }
}

/// Whether two passwords are the same, without telling by the time it takes where they differ.
fn same(known: &[u8], said: &[u8]) -> bool {
    let differ = said.iter().enumerate().fold(0_u8, |differ, (at, byte)| differ | (byte ^ known.get(at).unwrap_or(&0)));
    std::hint::black_box(differ) == 0 && known.len() == said.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter() -> User {
        let rights = Rights { publish: vec!["street/7/#".into()], subscribe: vec!["street/7/#".into()] };
        User { name: "meter-7".into(), password: "seven".into(), rights }
    }

    #[test]
    fn a_meter_speaks_only_as_itself() {
        let rights = meter().rights;
        assert!(rights.publishes("street/7/reading") && rights.subscribes("street/7/+"));
        for other in ["street/8/reading", "street/77", "microgrid/x/switch/a/state", "$SYS/x"] {
            assert!(!rights.publishes(other), "{other}");
        }
        for other in ["#", "street/#", "street/+/reading", "+/7/#", "street/8/reading"] {
            assert!(!rights.subscribes(other), "{other}");
        }
    }

    #[test]
    fn only_the_right_password_admits_and_none_is_printed() {
        let users = Users::new(vec![meter()]);
        assert!(users.admit(Some("meter-7"), Some(b"seven")).is_some());
        for (name, password) in
            [("meter-7", "Seven"), ("meter-7", ""), ("meter-7", "sevens"), ("meter-8", "seven"), ("", "")]
        {
            assert!(users.admit(Some(name), Some(password.as_bytes())).is_none(), "{name} {password}");
        }
        assert!(users.admit(None, None).is_none() && users.admit(Some("meter-7"), None).is_none());
        assert!(!format!("{users:?}").contains("seven"));
    }

    #[test]
    fn without_users_everybody_may_do_everything_but_speak_as_the_broker() {
        let (_, rights) = Users::new(Vec::new()).admit(None, None).unwrap();
        assert!(rights.publishes("a/b") && rights.subscribes("#") && rights.subscribes("$SYS/#"));
        assert!(!rights.publishes("$SYS/x"));
    }
}
