//! Who has left: the broker keeps what a device announced until somebody takes it back, and Home Assistant with it. So what
//! an earlier configuration announced, and this one does not, is cleared: whole devices, and parts of those that stay.

use super::HeraldPlan;
use drivers::mqtt::{Link, Message};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Announcements that wait to be looked at; while they do the broker's wait before them.
const WAITING: usize = 256;

/// Announcements that come from the broker at once: it has one of each device of each gateway on it.
const AT_ONCE: usize = 4096;

/// A message to publish: its topic, payload, and whether the broker keeps it.
pub(super) type Word = (String, String, bool);

/// Announcements of this gateway that the broker kept, each time that it is connected to.
pub(super) struct Leavers {
    site: String,
    kept: mpsc::Receiver<(String, Value)>,
    /// What is said once more when Home Assistant comes: it may be away now, and hears nothing of what is cleared meanwhile.
    later: BTreeMap<String, String>,
    _ear: JoinSet<()>,
}

impl Leavers {
    pub fn new(plan: &HeraldPlan, link: &Link) -> Self {
        let (send, kept) = mpsc::channel(WAITING);
        let mut subscription = link.subscribe_with(&format!("{}/device/+/config", plan.discovery), AT_ONCE);
        let gateway = plan.device();
        let mut ear = JoinSet::new();
        // By itself, so that the inbox does not fill while a round of publishing is under way.
        ear.spawn(async move {
            let mut missed = 0;
            loop {
                let message = subscription.recv().await;
                if subscription.dropped() > missed {
                    missed = subscription.dropped();
                    tracing::warn!(
                        missed,
                        "more was announced than is looked at: devices that left may stay announced"
                    );
                }
                let Some(ours) = announced(&gateway, &message) else { continue };
                if send.send(ours).await.is_err() {
                    return;
                }
            }
        });
        Self { site: plan.site.clone(), kept, later: BTreeMap::new(), _ear: ear }
    }

    /// What is to be published before the news, in this order; of topics among it the news is to be told again. `born`: Home
    /// Assistant has just come.
    pub fn cleared(&mut self, news: &[(String, String)], born: bool) -> Vec<Word> {
        let heard_now = if born { std::mem::take(&mut self.later) } else { BTreeMap::new() };
        let mut out: Vec<Word> = heard_now.into_iter().map(|(topic, payload)| (topic, payload, true)).collect();
        while let Ok((topic, kept)) = self.kept.try_recv() {
            match news.iter().find(|(ours, _)| *ours == topic) {
                None => {
                    // Who is there hears it now; the broker keeps the announcement for us until Home Assistant has come.
                    out.push((topic.clone(), String::new(), false));
                    out.extend(own(&self.site, &kept).into_iter().map(|own| (own, String::new(), true)));
                    self.later.insert(topic, String::new());
                }
                Some((_, now)) => {
                    if let Some(less) = serde_json::from_str(now).ok().and_then(|now| without(&kept, now)) {
                        out.push((topic.clone(), less.clone(), true));
                        self.later.insert(topic, less);
                    }
                }
            }
        }
        out
    }
}

/// The topic and what is announced there, if the broker kept it and a gateway of this site said it.
fn announced(gateway: &str, message: &Message) -> Option<(String, Value)> {
    if !message.retained {
        return None;
    }
    let said: Value = serde_json::from_slice(&message.payload).ok()?;
    let ours = said["origin"]["name"] == "microgrid-gateway"
        && (said["device"]["via_device"] == gateway || said["device"]["identifiers"] == json!([gateway]));
    ours.then(|| (message.topic.clone(), said))
}

/// The topics of a device itself: not where it is told of an account or a switch, which may stay.
fn own(site: &str, kept: &Value) -> BTreeSet<String> {
    let name = kept["device"]["name"].as_str().unwrap_or_default();
    let own = ["meter", "inverter"].map(|kind| format!("microgrid/{site}/{kind}/{name}/"));
    let told = kept["components"].as_object().into_iter().flat_map(|all| all.values()).map(|c| &c["state_topic"]);
    let available = kept["availability"].as_array().into_iter().flatten().map(|a| &a["topic"]);
    let topics = told.chain(available).filter_map(Value::as_str);
    topics.filter(|told| !name.is_empty() && own.iter().any(|own| told.starts_with(own))).map(str::to_owned).collect()
}

/// The announcement with every part that is gone named by its platform only, which takes it back; none if all are there.
fn without(kept: &Value, mut now: Value) -> Option<String> {
    let there = now.get_mut("components")?.as_object_mut()?;
    let before = there.len();
    for (key, part) in kept["components"].as_object()? {
        if !there.contains_key(key) && part["platform"].is_string() {
            there.insert(key.clone(), json!({ "platform": part["platform"] }));
        }
    }
    (there.len() > before).then(|| now.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    fn kept(of: &str, retained: bool) -> Message {
        let said = json!({
            "origin": { "name": "microgrid-gateway" }, "device": { "name": "home-1", "via_device": of },
        });
        let payload = said.to_string().into_bytes();
        Message { topic: "homeassistant/device/x/config".into(), payload, retained, received: Instant::now() }
    }

    #[test]
    fn only_what_the_broker_kept_of_this_site_is_taken_back() {
        assert!(announced("microgrid_lane", &kept("microgrid_lane", true)).is_some());
        assert!(announced("microgrid_lane", &kept("microgrid_lane", false)).is_none(), "said just now");
        assert!(announced("microgrid_lane", &kept("microgrid_lane_2", true)).is_none(), "a neighbour's");
        let foreign =
            Message { payload: b"{\"device\":{\"via_device\":\"microgrid_lane\"}}".to_vec(), ..kept("", true) };
        assert!(announced("microgrid_lane", &foreign).is_none(), "somebody else's");
        assert!(announced("microgrid_lane", &Message { payload: vec![], ..kept("", true) }).is_none());
    }

    #[test]
    fn a_part_that_is_gone_is_named_by_its_platform_only() {
        let before = json!({ "components": { "power": { "platform": "sensor", "name": "Power" }, "credit": { "platform": "sensor" } } });
        let now = json!({ "components": { "power": { "platform": "sensor", "name": "Power" } } });
        let less: Value = serde_json::from_str(&without(&before, now.clone()).unwrap()).unwrap();
        assert_eq!(less["components"]["credit"], json!({ "platform": "sensor" }));
        assert_eq!(less["components"]["power"]["name"], "Power");
        assert_eq!(without(&now, now.clone()), None);
    }

    #[tokio::test]
    async fn who_comes_late_hears_of_what_left_too() {
        let (send, heard) = mpsc::channel(2);
        let mut leavers = Leavers { site: "lane".into(), kept: heard, later: BTreeMap::new(), _ear: JoinSet::new() };
        let shed = json!({
            "device": { "name": "shed" }, "availability": [{ "topic": "microgrid/lane/meter/shed/availability" }],
            "components": { "a": { "state_topic": "microgrid/lane/account/shed/state" } },
        });
        send.send(("shed/config".into(), shed)).await.unwrap();
        let own = "microgrid/lane/meter/shed/availability";
        let now = leavers.cleared(&[], false);
        assert_eq!(now, [("shed/config".into(), String::new(), false), (own.into(), String::new(), true)]);
        assert_eq!(leavers.cleared(&[], false), []);
        assert_eq!(leavers.cleared(&[], true), [("shed/config".into(), String::new(), true)]);
        assert_eq!(leavers.cleared(&[], true), []);
    }
}
