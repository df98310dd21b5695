//! Simulated meters that speak telegrams, each on a serial line of its own: a pseudo-terminal whose far end the driver
//! opens like any port.

use super::rtu::Line;
use super::wording::{IDENTIFICATION, entries, write};
use super::{Appliance, Running, SimDevice, impossible};
use crate::spec::DeviceAddress;
use crate::telegram::iec;
use crate::template::{Language, Protocol, TelegramMap};
use domain::Clock;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

/// The speed that the identification of a simulated meter offers, and its character.
const OFFERED: (u8, u32) = (b'5', 9600);

/// Serves one meter on a new pseudo-terminal and makes `link` point at it: it says every `period` (of `clock`) what it
/// shows, or answers when it is asked, as its model does. Bytes come as slowly as on the wire. What stands at `link`
/// already is replaced as by [`super::serve_rtu`].
pub fn serve_telegrams(link: &Path, device: SimDevice, period: Duration, clock: &Clock) -> io::Result<Running> {
    let (DeviceAddress::Alone, Protocol::Telegram(map)) = (&device.address, &device.template.protocol) else {
        let what = format!("{} at {} speaks no telegrams", device.template.model, device.address);
        return Err(impossible(what));
    };
    let period = clock.real(period).max(Duration::from_millis(10));
    let (line, name) = Line::open(link, map.baud)?;
    let meter = Meter { line, map: map.clone(), what: device.what };
    let task = tokio::spawn(async move {
        let ended = if meter.map.language == Language::ModeC { meter.answer().await } else { meter.tell(period).await };
        if let Err(error) = ended {
            tracing::warn!(%error, "a simulated serial line broke");
        }
    });
    Ok(Running::new(task.abort_handle()).with_link(link, name))
}

/// No meter whose maker is written in capitals answers sooner (IEC 62056-21, chapter 6.4.1).
const REACTION: Duration = Duration::from_millis(200);

struct Meter {
    line: Line,
    map: TelegramMap,
    what: Arc<dyn Appliance>,
}

impl Meter {
    fn telegram(&self) -> Vec<u8> {
        write(&self.map, &entries(&self.map, &self.what.show()))
    }

    async fn tell(mut self, period: Duration) -> io::Result<()> {
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let telegram = self.telegram();
            self.line.speak(&telegram, Instant::now()).await?;
        }
    }

    async fn answer(mut self) -> io::Result<()> {
        let slow = self.line.baud;
        loop {
            self.line.baud = slow;
            self.hear(|heard| heard.ends_with(iec::SIGN_ON)).await?;
            let began = Instant::now() + self.line.wire(iec::SIGN_ON.len()) + REACTION;
            self.line.speak(IDENTIFICATION.as_bytes(), began).await?;
            let acknowledged = |heard: &[u8]| {
                let speeds = [(b'0', slow), OFFERED];
                speeds.into_iter().find(|(speed, _)| heard.ends_with(&iec::acknowledgement(*speed)))
            };
            // Whoever does not acknowledge within two seconds has gone.
            let heard = tokio::time::timeout(Duration::from_secs(2), self.hear(|h| acknowledged(h).is_some())).await;
            let Ok(heard) = heard else { continue };
            let Some((_, baud)) = acknowledged(&heard?) else { continue };
            let began = Instant::now() + self.line.wire(6) + REACTION;
            self.line.baud = baud;
            let data = self.telegram();
            self.line.speak(&data, began).await?;
        }
    }

    /// Listens until `enough`; of what is heard only the last bytes are kept.
    async fn hear(&mut self, enough: impl Fn(&[u8]) -> bool) -> io::Result<Vec<u8>> {
        let mut heard = Vec::new();
        while !enough(&heard) {
            heard.extend(self.line.read().await?);
            let surplus = heard.len().saturating_sub(64);
            heard.drain(..surplus);
        }
        Ok(heard)
    }
}
