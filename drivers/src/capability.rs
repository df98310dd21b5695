//! What a device can do, apart from how it does it: one verb per trait, usable as `Arc<dyn Trait>`.

use async_trait::async_trait;
use domain::{Dbm, Permille, Position, Reading};
use std::fmt;
use std::time::Duration;
use thiserror::Error;
use tokio::time::Instant;

/// Who decides when the next reading happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// The caller: every `read` asks the device anew.
    Polled,
    /// The device: `read` waits for its next message.
    Pushed,
}

/// What asking a device would mean now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// A question before this instant would only wait until then.
    pub not_before: Option<Instant>,
    /// How long the device would hold its bus if it did not answer.
    pub patience: Duration,
    /// How many others on its bus may be asked at the same time; none where there is one question at a time.
    pub beside: usize,
}

/// Something that counts energy.
#[async_trait]
pub trait Meter: Send + Sync {
    /// The next reading. Dropping the future is allowed at any moment and spoils nothing for the next call.
    async fn read(&self) -> Result<Reading, DeviceError>;

    /// Who decides when the next reading happens.
    fn pace(&self) -> Pace;

    /// What a reading would mean now, for whoever shares out the time of a bus.
    fn outlook(&self) -> Outlook {
        Outlook::default()
    }
}

/// Something that can disconnect a customer.
#[async_trait]
pub trait Switch: Send + Sync {
    /// Orders the contact to `position`. `Ok` means that the device took the order, not that the contact moved:
    /// ask [`Switch::position`] for that.
    async fn set(&self, position: Position) -> Result<(), DeviceError>;

    /// Where the contact is, as the device says: never what was ordered last.
    async fn position(&self) -> Result<Position, DeviceError>;
}

/// The limit that an inverter says it follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    /// The most active power it makes, of its rated power; `None` is no limit.
    pub to: Option<Permille>,
    /// How long after the last order it lets go by itself; `None` is never, so that a gateway that dies leaves it limited.
    pub lapses: Option<Duration>,
}

/// Something that makes power and can be told to make less.
#[async_trait]
pub trait Inverter: Send + Sync {
    /// Limits its active power to a share of its rated power, or lifts the limit. Says what the device says afterwards;
    /// one that says something else than was ordered is [`DeviceError::Ignored`].
    async fn limit(&self, to: Option<Permille>) -> Result<Limited, DeviceError>;

    /// The limit, as the device says: never what was ordered last.
    async fn limited(&self) -> Result<Limited, DeviceError>;

    /// Holds a limit until an instant, repeating it before the device lets go, then lifts it. Ends early only with what
    /// is not [transient](DeviceError::is_transient). Dropping the future repeats it no more: then the device's own
    /// timer ends the limit, if it has one.
    async fn hold(&self, to: Permille, until: Instant) -> Result<(), DeviceError> {
        loop {
            let next = match self.limit(Some(to)).await {
                // Two orders may be lost.
                Ok(limited) => limited.lapses.map_or(HOLD_LOOK, |lapses| lapses / 3).min(HOLD_LOOK),
                Err(error) if error.is_transient() => {
                    tracing::warn!(%error, limit = %to, "a limit was not repeated");
                    HOLD_RETRY
                }
                Err(error) => return Err(error),
            };
            if Instant::now() + next >= until {
                break;
            }
            tokio::time::sleep(next).await;
        }
        tokio::time::sleep_until(until).await;
        self.limit(None).await.map(|_| ())
    }
}

/// A limit that does not lapse is still looked at so often: somebody else may have lifted it.
const HOLD_LOOK: Duration = Duration::from_secs(60);
const HOLD_RETRY: Duration = Duration::from_secs(2);

/// Who a device says that it is; what it does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Who made it.
    pub manufacturer: Option<String>,
    /// What it is.
    pub model: Option<String>,
    /// The version of its software.
    pub version: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = [&self.manufacturer, &self.model].into_iter().flatten().map(String::as_str);
        let name: Vec<&str> = known.collect();
        f.write_str(if name.is_empty() { "a device without a name" } else { "" })?;
        f.write_str(&name.join(" "))?;
        for (what, said) in [("version", &self.version), ("serial number", &self.serial)] {
            if let Some(said) = said {
                write!(f, ", {what} {said}")?;
            }
        }
        Ok(())
    }
}

/// Something that says who it is.
#[async_trait]
pub trait Identify: Send + Sync {
    /// Who it says that it is.
    async fn identify(&self) -> Result<Identity, DeviceError>;
}

/// How loud a radio heard somebody.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// Who it says that it is: the code of a beacon, an address, whatever the radio tells senders apart by.
    pub sender: String,
    /// How loud it was.
    pub rssi: Dbm,
}

/// Something that listens to the air at a known place.
#[async_trait]
pub trait Radio: Send + Sync {
    /// The next sender that is heard. Dropping the future is allowed at any moment and loses nothing. An error that
    /// [is not transient](DeviceError::is_transient) spoils one message only: ask again.
    async fn heard(&self) -> Result<Heard, DeviceError>;
}

/// Why a device did not do what it was asked. Says whose fault it is, and [`DeviceError::is_transient`] whether the
/// same question may be answered later.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DeviceError {
    /// The device answered, and said no.
    #[error("the device refused: {meaning} (exception {exception})")]
    Refused {
        /// The Modbus exception code.
        exception: u8,
        /// The same in words.
        meaning: &'static str,
    },
    /// No answer in time.
    #[error("no answer within {} ms", waited.as_millis())]
    Silent {
        /// How long was waited.
        waited: Duration,
    },
    /// The way to the device is broken: port missing, connection refused, garbled frames.
    #[error("{what}")]
    Wire {
        /// What broke, with the system's own words.
        what: String,
    },
    /// The device does not take the set-up that its model asks for, so that what it says may mean something else.
    #[error("the device is not set up: {what}")]
    NotSetUp {
        /// Which register, and what became of it.
        what: String,
    },
    /// The device took an order and did not follow it.
    #[error("the device ignores the order: {what}")]
    Ignored {
        /// What was ordered, and what it says instead.
        what: String,
    },
    /// The device answered something that cannot be: undecodable, out of range, not for this question.
    #[error("nonsense: {what}")]
    Nonsense {
        /// What was wrong with it.
        what: String,
    },
}

impl DeviceError {
    /// Whether asking again later may help without anyone changing the configuration or the device.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            // Acknowledge, busy, and the two gateway codes pass by themselves; the others say that the map is wrong.
            Self::Refused { exception, .. } => matches!(exception, 5 | 6 | 10 | 11),
            Self::Silent { .. } | Self::Wire { .. } => true,
            Self::NotSetUp { .. } | Self::Ignored { .. } | Self::Nonsense { .. } => false,
        }
    }

    pub(crate) fn wire(what: impl fmt::Display) -> Self {
        Self::Wire { what: what.to_string() }
    }

    pub(crate) fn nonsense(what: impl fmt::Display) -> Self {
        Self::Nonsense { what: what.to_string() }
    }

    pub(crate) fn refused(exception: u8) -> Self {
        let meaning = match exception {
            1 => "it does not know this function",
            2 => "it has no such register",
            3 => "it does not take this value",
            4 => "it failed while doing it",
            5 => "it needs more time",
            6 => "it is busy",
            8 => "its memory is damaged",
            10 => "the gateway has no way to it",
            11 => "the gateway got no answer from it",
            _ => "for a reason of its own",
        };
        Self::Refused { exception, meaning }
    }
}
