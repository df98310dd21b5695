//! What customers ask for by MQTT, where the operator allows it: to take their emergency credit, and to close a switch
//! that is ready. Whoever may publish to the broker may ask; what is asked for wrongly is refused by the same rules as
//! everywhere else, and is written down with the name that was given.

use super::HeraldPlan;
use crate::Scribe;
use domain::{AccountId, Emergency, Fact};
use drivers::mqtt::{Link, Message, Subscription};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// One wish of one customer is heard so often, in real time: a button that sticks must not fill the journal.
const PAUSE: Duration = Duration::from_secs(2);
/// Longest name that is written down.
const NAME: usize = 64;

/// Listens for customers.
pub(super) struct Commands {
    /// None where customers are not heard.
    wishes: Option<[Subscription; 2]>,
    prefix: String,
    heard: BTreeMap<String, Instant>,
}

impl Commands {
    pub fn new(plan: &HeraldPlan, link: &Link) -> Self {
        let wish = |what| link.subscribe(&plan.topic("account", "+", what));
        Self {
            wishes: plan.customer_commands.then(|| [wish("emergency"), wish("reconnect")]),
            prefix: format!("microgrid/{}/account/", plan.site),
            heard: BTreeMap::new(),
        }
    }

    /// The next wish; never, where customers are not heard.
    pub async fn next(&mut self) -> Message {
        match &mut self.wishes {
            Some([emergency, reconnect]) => tokio::select! {
                message = emergency.recv() => message,
                message = reconnect.recv() => message,
            },
            None => std::future::pending().await,
        }
    }

    /// Writes a wish down. Whoever grants it reads it in the journal.
    pub async fn follow(&mut self, message: &Message, plan: &HeraldPlan, scribe: &Scribe) {
        // A wish that the broker kept is nobody's act now.
        if message.retained {
            tracing::warn!(topic = %message.topic, "a retained wish is not followed: publish it without that flag");
            return;
        }
        let Some(wish) = wish(&self.prefix, message) else { return };
        let (Fact::EmergencyChanged { account, .. } | Fact::ReconnectAsked { account, .. }) = &wish else { return };
        let known = plan.meters.iter().any(|(_, _, owner)| owner.as_ref() == Some(account));
        if !known && !plan.switches.iter().any(|(_, owner)| owner == account) {
            tracing::warn!(topic = %message.topic, "somebody asks for an account that does not exist");
            return;
        }
        if self.heard.insert(message.topic.clone(), Instant::now()).is_some_and(|at| at.elapsed() < PAUSE) {
            return;
        }
        if let Err(error) = scribe.fact(wish).await {
            tracing::warn!(topic = %message.topic, %error, "a customer's wish was not followed");
        }
    }
}

/// What a message asks for; the payload may be a name.
fn wish(prefix: &str, message: &Message) -> Option<Fact> {
    let (account, what) = message.topic.strip_prefix(prefix)?.split_once('/')?;
    let account: AccountId = account.parse().ok()?;
    let name = std::str::from_utf8(&message.payload).ok().map(str::trim);
    let name = name.filter(|n| !n.is_empty() && n.len() <= NAME && !n.contains(char::is_control));
    let by = name.map_or_else(|| "somebody by MQTT".to_owned(), |name| format!("{name} by MQTT"));
    match what {
        "emergency" => Some(Fact::EmergencyChanged { account, emergency: Emergency::Accepted, by }),
        "reconnect" => Some(Fact::ReconnectAsked { account, by }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: &str, payload: &[u8]) -> Message {
        Message { topic: topic.into(), payload: payload.to_vec(), retained: false, received: Instant::now() }
    }

    #[test]
    fn a_wish_names_its_account_and_its_author() {
        let prefix = "microgrid/lane/account/";
        let asked = wish(prefix, &message("microgrid/lane/account/hall/reconnect", b" Ana\n"));
        assert_eq!(asked, Some(Fact::ReconnectAsked { account: "hall".parse().unwrap(), by: "Ana by MQTT".into() }));
        let taken = wish(prefix, &message("microgrid/lane/account/hall/emergency", &[0xff]));
        let Some(Fact::EmergencyChanged { emergency: Emergency::Accepted, by, .. }) = taken else {
            panic!("{taken:?}")
        };
        assert_eq!(by, "somebody by MQTT");
        for bad in ["microgrid/lane/account/hall/state", "microgrid/lane/account//reconnect", "other/hall/reconnect"] {
            assert_eq!(wish(prefix, &message(bad, b"Ana")), None, "{bad}");
        }
    }
}
