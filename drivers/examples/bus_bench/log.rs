//! When what happened on a serial line: where the time of a reading goes.

use drivers::traffic::{Traffic, Watcher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The driver handed a question to the port.
    Sent,
    /// The pseudo-terminal brought it to the devices.
    Heard,
    /// The last bit of the answer is on the wire.
    Due,
    /// The driver has the answer.
    Answered,
}

/// Clones are one log.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<(Event, Instant)>>>);

/// Medians, of every reading that was answered and the question that followed it.
pub struct Times {
    /// From one question to the next.
    pub whole: Duration,
    /// From the port to the devices.
    pub there: Duration,
    /// From the last bit to the driver.
    pub back: Duration,
    /// From the answer to the next question.
    pub rest: Duration,
}

impl Log {
    fn events(&self) -> MutexGuard<'_, Vec<(Event, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn note(&self, event: Event, at: Instant) {
        self.events().push((event, at));
    }

    pub fn clear(&self) {
        self.events().clear();
    }

    /// When the question that was just heard was sent; nothing if that is not known yet.
    pub fn sent(&self) -> Option<Instant> {
        let events = self.events();
        events.iter().rev().take(2).find(|(event, _)| *event == Event::Sent).map(|(_, at)| *at)
    }

    /// Shows a bus to this log.
    pub fn watcher(&self) -> Watcher {
        let log = self.clone();
        Arc::new(move |traffic| match traffic {
            Traffic::Sent(_) => log.note(Event::Sent, Instant::now()),
            Traffic::Answer(_) => log.note(Event::Answered, Instant::now()),
            _ => {}
        })
    }

    pub fn times(&self) -> Times {
        let mut parts: [Vec<Duration>; 4] = Default::default();
        // The order of the first two is the scheduler's: the devices may hear before the driver has looked at its clock.
        for five in self.events().windows(5) {
            let at = |wanted| five.iter().find(|(event, _)| *event == wanted).map(|(_, at)| *at);
            let [.., (Event::Due, _), (Event::Answered, _), (Event::Sent, next)] = five else { continue };
            if let (Some(sent), Some(heard), Some(due), Some(answered)) =
                (at(Event::Sent), at(Event::Heard), at(Event::Due), at(Event::Answered))
            {
                let between = [(sent, *next), (sent, heard), (due, answered), (answered, *next)];
                parts
                    .iter_mut()
                    .zip(between)
                    .for_each(|(part, (from, to))| part.push(to.saturating_duration_since(from)));
            }
        }
        let [whole, there, back, rest] = parts.map(|mut part| {
            part.sort();
            part.get(part.len() / 2).copied().unwrap_or_default()
        });
        Times { whole, there, back, rest }
    }
}
