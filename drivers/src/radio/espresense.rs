//! Nodes with the firmware ESPresense: each publishes what it hears of a device at `espresense/devices/<device>/<node>`, as
//! a JSON object with its `rssi` in dBm. That is filtered by the node already; its `distance` is a guess with one model
//! for all devices, which is not looked at (espresense.com/configuration/mqtt).

use super::loudness;
use crate::capability::{DeviceError, Heard, Radio};
use crate::mqtt::{Link, Subscription};
use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::Mutex;

const DEVICES: &str = "espresense/devices/";

/// Which node heard whom, and how loud, in a message at this topic.
///
/// # Errors
///
/// [`DeviceError::Nonsense`] for another topic, and for a payload without a loudness that can be.
pub fn heard<'a>(topic: &'a str, payload: &[u8]) -> Result<(&'a str, Heard), DeviceError> {
    let place = topic.strip_prefix(DEVICES).and_then(|rest| rest.split_once('/'));
    let place = place.filter(|(device, node)| !device.is_empty() && !node.is_empty() && !node.contains('/'));
    let Some((device, node)) = place else {
        return Err(DeviceError::nonsense(format!("topic {topic:?} is not {DEVICES}<device>/<node>")));
    };
    let said: Value = serde_json::from_slice(payload).map_err(|e| DeviceError::nonsense(format!("{topic}: {e}")))?;
    let rssi = said.get("rssi").and_then(Value::as_f64).and_then(loudness);
    let rssi = rssi.ok_or_else(|| DeviceError::nonsense(format!("{topic}: no `rssi` in dBm")))?;
    Ok((node, Heard { sender: device.to_owned(), rssi }))
}

/// One node.
pub struct Node {
    name: String,
    inbox: Mutex<Subscription>,
    _link: Link,
}

impl Node {
    /// Listens to the node of this name (a slug: letters, digits, `_`, `-`) on a broker.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Nonsense`] for a name that is no level of a topic.
    pub fn listen(link: &Link, name: &str) -> Result<Self, DeviceError> {
        if name.is_empty() || name.contains(['/', '+', '#']) {
            return Err(DeviceError::nonsense(format!("{name:?} is no name of a node: no '/', '+' or '#'")));
        }
        let inbox = Mutex::new(link.subscribe(&format!("{DEVICES}+/{name}")));
        Ok(Self { name: name.to_owned(), inbox, _link: link.clone() })
    }

    /// Waits until the broker has consented to tell what the node says.
    pub async fn ready(&self) {
        self.inbox.lock().await.ready().await;
    }
}

#[async_trait]
impl Radio for Node {
    async fn heard(&self) -> Result<Heard, DeviceError> {
        let mut inbox = self.inbox.lock().await;
        loop {
            let message = inbox.recv().await;
            // What the broker kept was heard some other day.
            if message.retained {
                continue;
            }
            let (node, heard) = heard(&message.topic, &message.payload)?;
            debug_assert_eq!(node, self.name, "the filter says whose messages come");
            return Ok(heard);
        }
    }
}
