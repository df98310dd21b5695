//! The meter at the end of the wire: one task listens to a meter that speaks by itself, whoever reads and how often,
//! so that no telegram grows old in the kernel unnoticed; a meter that is asked is asked by each read.

use super::wire::Wire;
use super::{Entry, LONGEST, Telegram, Torn, decode, iec, next};
use crate::backoff::Backoff;
use crate::capability::{DeviceError, Meter, Outlook, Pace};
use crate::spec::TelegramSpec;
use crate::template::{Language, TelegramMap};
use crate::traffic::{Traffic, Watch};
use async_trait::async_trait;
use domain::{BusId, Clock, MeterId, Reading};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout, timeout_at};

/// A port that cannot be opened is not reported before it had this long to come back.
const GRACE: Duration = Duration::from_secs(5);
/// Between the last bit of the acknowledgement and the change of speed. The quickest meters answer after 20 ms.
const TURN: Duration = Duration::from_millis(15);

/// A port with one meter on it.
pub(crate) struct TelegramBus {
    pub id: BusId,
    pub spec: TelegramSpec,
    pub clock: Clock,
    pub watch: Watch,
}

impl TelegramBus {
    /// Opens the port and closes it again.
    pub async fn try_connect(&self) -> Result<(), DeviceError> {
        let (baud, parity) = (self.spec.baud.unwrap_or(9600), self.spec.parity.unwrap_or_default());
        let opened = Wire::open(&self.spec.place, baud, parity, self.spec.timeout).await;
        opened.map(drop).map_err(|problem| self.broken(problem))
    }

    async fn open(&self, map: &TelegramMap) -> Result<Wire, String> {
        let parity = self.spec.parity.unwrap_or(map.parity);
        Wire::open(&self.spec.place, self.baud(map), parity, self.spec.timeout).await
    }

    fn baud(&self, map: &TelegramMap) -> u32 {
        self.spec.baud.unwrap_or(map.baud)
    }

    fn broken(&self, what: impl std::fmt::Display) -> DeviceError {
        DeviceError::wire(format!("bus {}: {what}", self.id))
    }
}

fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(250), Duration::from_secs(10))
}

/// A meter.
pub(crate) struct TelegramMeter {
    id: MeterId,
    bus: Arc<TelegramBus>,
    map: Arc<TelegramMap>,
    ear: Mutex<Option<Ear>>,
    talk: Mutex<Talk>,
}

impl TelegramMeter {
    pub fn new(id: MeterId, bus: Arc<TelegramBus>, map: TelegramMap) -> Self {
        let talk = Talk { wire: None, backoff: backoff(), retry_at: None, problem: String::new() };
        Self { id, bus, map: Arc::new(map), ear: Mutex::new(None), talk: Mutex::new(talk) }
    }

    fn decode(&self, telegram: &Telegram, heard: Instant) -> Result<Reading, DeviceError> {
        // It may have waited here while nobody read.
        let age = heard.elapsed() * self.bus.clock.speed();
        for entry in &telegram.entries {
            let Entry { code, value, exponent, unit, .. } = entry;
            let unit = unit.as_deref().unwrap_or_default();
            self.bus.watch.tell(Traffic::Entry { code: &code.to_string(), value, exponent: *exponent, unit });
        }
        decode::reading(&self.map, telegram, self.id.clone(), self.bus.clock.stamp() - age)
    }
}

#[async_trait]
impl Meter for TelegramMeter {
    async fn read(&self) -> Result<Reading, DeviceError> {
        let (telegram, heard) = if self.map.language == Language::ModeC {
            let mut talk = self.talk.lock().await;
            (Arc::new(talk.ask(&self.bus, &self.map).await?), Instant::now())
        } else {
            let mut slot = self.ear.lock().await;
            let ear = slot.get_or_insert_with(|| Ear::new(&self.bus, &self.map));
            ear.next(&self.bus, self.map.quiet).await?
        };
        self.decode(&telegram, heard)
    }

    fn pace(&self) -> Pace {
        if self.map.language == Language::ModeC { Pace::Polled } else { Pace::Pushed }
    }

    fn outlook(&self) -> Outlook {
        Outlook { patience: self.bus.spec.timeout, ..Outlook::default() }
    }
}

/// What was heard last, and what went wrong since the meter was first read.
#[derive(Clone, Default)]
struct News {
    newest: Option<(Arc<Telegram>, Instant)>,
    /// Telegrams that were whole.
    good: u64,
    torn: u64,
    why_torn: Option<Torn>,
    bytes: u64,
    /// Why the port is closed, if it is.
    problem: Option<String>,
}

/// The receiving end of the task that listens.
struct Ear {
    news: watch::Receiver<News>,
    /// How many telegrams had come when the last one was taken.
    taken: u64,
    task: tokio::task::AbortHandle,
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Ear {
    fn new(bus: &Arc<TelegramBus>, map: &Arc<TelegramMap>) -> Self {
        let (tell, news) = watch::channel(News::default());
        let task = tokio::spawn(listen(Arc::clone(bus), Arc::clone(map), tell)).abort_handle();
        Self { news, taken: 0, task }
    }

    /// The newest telegram, if it was not taken before; else the next one.
    async fn next(&mut self, bus: &TelegramBus, quiet: Duration) -> Result<(Arc<Telegram>, Instant), DeviceError> {
        let begun = Instant::now();
        let before = self.news.borrow().clone();
        let mut until = begun + GRACE.min(quiet);
        loop {
            let news = self.news.borrow_and_update().clone();
            if let Some(newest) = news.newest.filter(|_| news.good > self.taken) {
                self.taken = news.good;
                return Ok(newest);
            }
            match timeout_at(until, self.news.changed()).await {
                Ok(Ok(())) => continue,
                Ok(Err(_)) => return Err(bus.broken("nobody listens to it any more")),
                Err(_) => {}
            }
            if let Some(problem) = news.problem {
                return Err(bus.broken(problem));
            }
            if until < begun + quiet {
                until = begun + quiet;
                continue;
            }
            let (torn, bytes) = (news.torn - before.torn, news.bytes - before.bytes);
            return Err(match news.why_torn {
                Some(why) if torn > 0 => bus.broken(format!(
                    "{torn} telegrams in {} s and none of them whole; of the last one {why}",
                    quiet.as_secs()
                )),
                _ if bytes > 0 => bus.broken(format!(
                    "{bytes} bytes in {} s and no telegram among them: are baud, parity and model right?",
                    quiet.as_secs()
                )),
                _ => DeviceError::Silent { waited: quiet },
            });
        }
    }
}

/// Listens for ever, and opens the port again whenever it must.
async fn listen(bus: Arc<TelegramBus>, map: Arc<TelegramMap>, tell: watch::Sender<News>) {
    let mut backoff = backoff();
    loop {
        let problem = match bus.open(&map).await {
            Ok(wire) => {
                tell.send_modify(|news| news.problem = None);
                follow(wire, &map, &tell, &mut backoff).await
            }
            Err(problem) => problem,
        };
        tell.send_modify(|news| news.problem = Some(problem));
        tokio::time::sleep(backoff.failed()).await;
    }
}

/// Tells every telegram until the port breaks or has been silent for too long; says why it ended.
async fn follow(mut wire: Wire, map: &TelegramMap, tell: &watch::Sender<News>, backoff: &mut Backoff) -> String {
    let mut heard = Vec::new();
    loop {
        match timeout(map.quiet, wire.hear(&mut heard)).await {
            Ok(Ok(n)) => tell.send_modify(|news| news.bytes += u64::try_from(n).unwrap_or(0)),
            Ok(Err(error)) => return format!("the connection broke: {error}"),
            // A peer that lost its power says no goodbye, and some adapters fall silent until they are opened again.
            Err(_) => return format!("nothing was heard for {} s", map.quiet.as_secs()),
        }
        while let Some(next) = next(map, &mut heard) {
            match next {
                Ok(telegram) => {
                    backoff.worked();
                    let newest = Some((Arc::new(telegram), Instant::now()));
                    tell.send_modify(|news| (news.newest, news.good) = (newest, news.good + 1));
                }
                Err(torn) => tell.send_modify(|news| (news.why_torn, news.torn) = (Some(torn), news.torn + 1)),
            }
        }
    }
}

/// The port of a meter that is asked.
struct Talk {
    wire: Option<Wire>,
    backoff: Backoff,
    retry_at: Option<Instant>,
    problem: String,
}

impl Talk {
    /// One question and its answer. A port whose question was given up, or whose answer was wrong, is opened anew for
    /// the next: nobody knows at what speed the meter goes on speaking, and for how long.
    async fn ask(&mut self, bus: &TelegramBus, map: &TelegramMap) -> Result<Telegram, DeviceError> {
        let mut wire = match self.wire.take() {
            Some(wire) => wire,
            None => self.open(bus, map).await?,
        };
        let telegram = converse(&mut wire, bus, map).await?;
        self.wire = Some(wire);
        Ok(telegram)
    }

    async fn open(&mut self, bus: &TelegramBus, map: &TelegramMap) -> Result<Wire, DeviceError> {
        if self.retry_at.is_some_and(|at| at > Instant::now()) {
            return Err(bus.broken(&self.problem));
        }
        match bus.open(map).await {
            Ok(wire) => {
                self.backoff.worked();
                self.retry_at = None;
                Ok(wire)
            }
            Err(problem) => {
                self.retry_at = Some(Instant::now() + self.backoff.failed());
                self.problem = problem;
                Err(bus.broken(&self.problem))
            }
        }
    }
}

/// Sign-on, identification, acknowledgement, data (IEC 62056-21, chapter 6).
async fn converse(wire: &mut Wire, bus: &TelegramBus, map: &TelegramMap) -> Result<Telegram, DeviceError> {
    let (first, patience) = (bus.baud(map), bus.spec.timeout);
    let broken = |error: std::io::Error| bus.broken(format!("the connection broke: {error}"));
    let mut heard = Vec::new();
    wire.set_baud(first).map_err(broken)?;
    wire.say(iec::SIGN_ON).await.map_err(broken)?;
    let wait = patience + on_the_wire(iec::SIGN_ON.len(), first);
    let (mode, end) = gather(wire, bus, wait, &mut heard, |heard| iec::mode(heard)).await?;
    // What came before may be the end of an answer to an earlier question.
    heard.drain(..end);
    let mut wait = patience;
    match mode {
        iec::Mode::Same => {}
        iec::Mode::Told(baud) => wire.set_baud(baud).map_err(broken)?,
        iec::Mode::Asked(speed, baud) => {
            let (speed, baud) = if wire.has_speed() { (speed, baud) } else { (b'0', first) };
            let answer = iec::acknowledgement(speed);
            wire.say(&answer).await.map_err(broken)?;
            if wire.has_speed() {
                tokio::time::sleep(on_the_wire(answer.len(), first) + TURN).await;
                wire.set_baud(baud).map_err(broken)?;
            } else {
                wait += on_the_wire(answer.len(), first);
            }
        }
    }
    let answer = gather(wire, bus, wait, &mut heard, |heard| next(map, heard)).await?;
    answer.map_err(|torn| bus.broken(format!("the answer is torn: {torn}")))
}

/// Listens until `whole` finds what it looks for, or nothing comes for longer than `wait`.
async fn gather<T>(
    wire: &mut Wire,
    bus: &TelegramBus,
    wait: Duration,
    heard: &mut Vec<u8>,
    whole: impl Fn(&mut Vec<u8>) -> Option<T>,
) -> Result<T, DeviceError> {
    let mut bytes = 0;
    while bytes <= LONGEST {
        if let Some(found) = whole(heard) {
            return Ok(found);
        }
        match timeout(wait, wire.hear(heard)).await {
            Ok(Ok(n)) => bytes += n,
            Ok(Err(error)) => return Err(bus.broken(format!("the connection broke: {error}"))),
            Err(_) if bytes == 0 => return Err(DeviceError::Silent { waited: wait }),
            Err(_) => {
                let what = format!("{bytes} bytes and then nothing for {} ms: the answer is torn", wait.as_millis());
                return Err(bus.broken(what));
            }
        }
    }
    Err(bus.broken(format!("{bytes} bytes without an end")))
}

/// How long so many bytes of ten bits take.
fn on_the_wire(bytes: usize, baud: u32) -> Duration {
    let bits = u32::try_from(bytes).unwrap_or(u32::MAX).saturating_mul(10);
    Duration::from_secs(1) * bits / baud.max(1)
}
