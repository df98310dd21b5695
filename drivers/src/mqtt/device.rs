//! Meters and switches behind topics.

use super::{Link, Message, PublishError, Subscription};
use crate::capability::{DeviceError, Meter, Pace, Switch};
use crate::codec;
use crate::spec::MqttSpec;
use crate::template::{MqttMap, MqttSwitch};
use crate::traffic::{Traffic, Watch};
use async_trait::async_trait;
use domain::{BusId, Clock, MeterId, Position, Reading};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long a device may take to say its state when asked.
const ANSWER: Duration = Duration::from_secs(5);

/// A broker with devices behind it. It connects when the first meter is made or the first switch is used.
pub(crate) struct MqttBus {
    pub id: BusId,
    pub spec: MqttSpec,
    pub clock: Clock,
    pub link: OnceLock<Link>,
    pub watch: Watch,
}

impl MqttBus {
    fn link(&self) -> &Link {
        self.link.get_or_init(|| Link::connect(self.spec.clone(), None))
    }

    /// Waits a moment for the broker.
    pub async fn try_connect(&self) -> Result<(), DeviceError> {
        let mut connected = self.link().connected();
        self.link().hurry();
        match tokio::time::timeout(ANSWER, connected.wait_for(|up| *up)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(self.gone()),
        }
    }

    /// Waits until the broker hands on what the meters that were made so far say.
    pub async fn listens(&self) {
        if let Some(link) = self.link.get() {
            link.subscribed().await;
        }
    }

    fn gone(&self) -> DeviceError {
        DeviceError::wire(format!("bus {}: not connected to the broker at {}", self.id, self.spec.broker))
    }

    fn silent(&self, waited: Duration) -> DeviceError {
        if *self.link().connected().borrow() { DeviceError::Silent { waited } } else { self.gone() }
    }

    async fn order(&self, topic: &str, payload: &str) -> Result<(), DeviceError> {
        match tokio::time::timeout(ANSWER, self.link().order(topic, payload)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(PublishError::Lost)) => Err(self.gone()),
            Ok(Err(error)) => Err(DeviceError::wire(format!("bus {}: {error}", self.id))),
            Err(_) => Err(self.silent(ANSWER)),
        }
    }
}

/// The topic that a template means for one device.
pub(crate) fn topic(pattern: &str, device: &str) -> String {
    pattern.replace("{topic}", device)
}

fn json(payload: &[u8]) -> Result<serde_json::Value, DeviceError> {
    serde_json::from_slice(payload).map_err(|error| DeviceError::nonsense(format!("the payload is no JSON: {error}")))
}

/// A meter.
pub(crate) struct MqttMeter {
    id: MeterId,
    bus: Arc<MqttBus>,
    map: MqttMap,
    inbox: Mutex<Subscription>,
}

impl MqttMeter {
    /// A meter that listens from now on: what it says before it is first read is kept for that reading.
    pub fn new(id: MeterId, bus: Arc<MqttBus>, map: MqttMap, device: &str) -> Self {
        let inbox = Mutex::new(bus.link().subscribe(&topic(&map.topic, device)));
        Self { id, bus, map, inbox }
    }

    fn decode(&self, message: &Message) -> Result<Reading, DeviceError> {
        // It may have waited here while nobody read.
        let age = message.received.elapsed() * self.bus.clock.speed();
        measured(&self.map, &message.payload, Reading::empty(self.id.clone(), self.bus.clock.stamp() - age))
    }
}

/// Puts what a payload says into `reading`.
pub(crate) fn measured(map: &MqttMap, payload: &[u8], mut reading: Reading) -> Result<Reading, DeviceError> {
    let payload = json(payload)?;
    let mut measured = false;
    for field in &map.fields {
        if let Some(raw) = codec::decode_json(field.quantity, payload.pointer(&field.pointer))? {
            codec::put(&mut reading, field.quantity, &field.scaling, raw)?;
            measured = true;
        }
    }
    if measured { Ok(reading) } else { Err(DeviceError::nonsense("the message has none of the quantities")) }
}

#[async_trait]
impl Meter for MqttMeter {
    async fn read(&self) -> Result<Reading, DeviceError> {
        let mut inbox = self.inbox.lock().await;
        let next = async {
            loop {
                let mut message = inbox.recv().await;
                while let Some(newer) = inbox.try_recv() {
                    message = newer;
                }
                // What the broker kept is of unknown age: stamped with now it would be a lie.
                if !message.retained {
                    return message;
                }
            }
        };
        match tokio::time::timeout(self.map.quiet, next).await {
            Ok(message) => {
                self.bus.watch.tell(Traffic::Message { topic: &message.topic, payload: &message.payload });
                self.decode(&message)
            }
            Err(_) => Err(self.bus.silent(self.map.quiet)),
        }
    }

    fn pace(&self) -> Pace {
        Pace::Pushed
    }
}

/// A switch.
pub(crate) struct MqttSwitchDevice {
    bus: Arc<MqttBus>,
    map: MqttSwitch,
    device: String,
    inbox: Mutex<Option<Inbox>>,
}

struct Inbox {
    states: Subscription,
    /// For devices that cannot be asked.
    last: Option<Position>,
}

impl MqttSwitchDevice {
    pub fn new(bus: Arc<MqttBus>, map: MqttSwitch, device: &str) -> Self {
        Self { bus, map, device: device.to_owned(), inbox: Mutex::new(None) }
    }

    async fn inbox<'a>(&self, slot: &'a mut Option<Inbox>) -> Result<&'a mut Inbox, DeviceError> {
        let inbox = match slot {
            // Only the first use waits for the broker; after that its absence is an answer.
            Some(_) if !*self.bus.link().connected().borrow() => return Err(self.bus.gone()),
            Some(inbox) => inbox,
            none => {
                let states = self.bus.link().subscribe(&topic(&self.map.state, &self.device));
                none.insert(Inbox { states, last: None })
            }
        };
        // An answer to a question asked before the subscription stands would be missed.
        match tokio::time::timeout(ANSWER, inbox.states.ready()).await {
            Ok(()) => Ok(inbox),
            Err(_) => Err(self.bus.gone()),
        }
    }

    fn decode(&self, message: &Message) -> Result<Position, DeviceError> {
        position(&self.map, &message.payload)
    }

    async fn ask(&self) -> Result<(), DeviceError> {
        match &self.map.ask {
            Some((at, payload)) => self.bus.order(&topic(at, &self.device), payload).await,
            None => Ok(()),
        }
    }
}

/// The position that a state payload says.
pub(crate) fn position(map: &MqttSwitch, payload: &[u8]) -> Result<Position, DeviceError> {
    let found = if map.pointer.is_empty() {
        serde_json::from_slice(payload)
            .ok()
            .filter(|v: &serde_json::Value| !v.is_object() && !v.is_array())
            .unwrap_or_else(|| String::from_utf8_lossy(payload).trim().into())
    } else {
        json(payload)?.pointer(&map.pointer).cloned().unwrap_or_default()
    };
    if found == map.state_closed {
        Ok(Position::Closed)
    } else if found == map.state_open {
        Ok(Position::Open)
    } else {
        let shown: String = found.to_string().chars().take(40).collect();
        Err(DeviceError::nonsense(format!("the switch says {shown}, neither open nor closed")))
    }
}

#[async_trait]
impl Switch for MqttSwitchDevice {
    async fn set(&self, wanted: Position) -> Result<(), DeviceError> {
        let mut slot = self.inbox.lock().await;
        let inbox = self.inbox(&mut slot).await?;
        while inbox.states.try_recv().is_some() {}
        let order = match wanted {
            Position::Closed => &self.map.command_closed,
            Position::Open => &self.map.command_open,
        };
        self.bus.order(&topic(&self.map.command, &self.device), order).await?;
        // That the broker has the order says nothing about the device: its own word is waited for.
        self.ask().await?;
        let until = Instant::now() + ANSWER;
        while let Ok(message) = tokio::time::timeout_at(until, inbox.states.recv()).await {
            if message.retained {
                continue;
            }
            if let Ok(position) = self.decode(&message) {
                inbox.last = Some(position);
                if position == wanted {
                    return Ok(());
                }
            }
        }
        Err(self.bus.silent(ANSWER))
    }

    async fn position(&self) -> Result<Position, DeviceError> {
        let mut slot = self.inbox.lock().await;
        let inbox = self.inbox(&mut slot).await?;
        let asks = self.map.ask.is_some();
        while let Some(message) = inbox.states.try_recv() {
            // Of a device that can be asked only the answer counts.
            if !asks {
                inbox.last = Some(self.decode(&message)?);
            }
        }
        if let (Some(last), false) = (inbox.last, asks) {
            return Ok(last);
        }
        self.ask().await?;
        let until = Instant::now() + ANSWER;
        while let Ok(message) = tokio::time::timeout_at(until, inbox.states.recv()).await {
            // A device that can be asked answers live; what the broker kept may be the word of a dead one.
            if !(message.retained && asks) {
                let position = self.decode(&message)?;
                inbox.last = Some(position);
                return Ok(position);
            }
        }
        Err(self.bus.silent(ANSWER))
    }
}
