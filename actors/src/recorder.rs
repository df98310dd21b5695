//! The one writer. While one group is being synced to the disk, the next one gathers.

use actix::prelude::*;
use domain::{Clock, Fact, Reading, Seq};
use ledger::{Ledger, LedgerError, Outcome, Write};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

type Answers = Result<Vec<Result<Outcome, RecordFailed>>, RecordFailed>;

/// Requests that may wait to be taken in. Each asker waits for its answer, so what waits for the disk is bounded by the
/// number of askers.
const MAILBOX: usize = 256;

/// How long readings may wait for others to share their sync, in real time: every sync costs a card some pages. Orders,
/// facts and bills do not wait.
const LINGER: Duration = Duration::from_millis(200);

/// Why something was not recorded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RecordFailed {
    /// The write contradicts what is recorded.
    #[error("{0}")]
    Refused(String),
    /// The ledger cannot be written now; nothing of the group was.
    #[error("{0}")]
    Unwritten(String),
    /// The Recorder is gone: the process is on its way out.
    #[error("the recorder has stopped")]
    Stopped,
}

#[derive(Message)]
#[rtype(result = "Answers")]
struct Record(Vec<Write>);

/// Owns the writing side of the ledger.
pub struct Recorder {
    ledger: Arc<Ledger>,
    clock: Clock,
    waiting: Vec<(Vec<Write>, oneshot::Sender<Answers>)>,
    busy: bool,
    failing: bool,
    /// When the readings that wait have waited long enough.
    linger_until: Option<Instant>,
    recorded: watch::Sender<Seq>,
}

impl Recorder {
    /// Starts it.
    pub fn launch(ledger: Arc<Ledger>, clock: Clock) -> Result<Scribe, LedgerError> {
        let (recorded, watching) = watch::channel(ledger.last_seq()?);
        let shared = Arc::clone(&ledger);
        let recorder =
            Self { ledger, clock, waiting: Vec::new(), busy: false, failing: false, linger_until: None, recorded };
        Ok(Scribe { recorder: recorder.start(), recorded: watching, ledger: shared })
    }

    /// A disk stays full for hours: said once, and once more when it is over.
    fn say(&mut self, failed: Option<&LedgerError>) {
        match (failed, self.failing) {
            (Some(error), false) => tracing::error!(%error, "nothing can be recorded"),
            (None, true) => tracing::info!("recording goes on"),
            _ => {}
        }
        self.failing = failed.is_some();
    }

    fn next_group(&mut self, ctx: &mut Context<Self>) {
        if self.busy || self.waiting.is_empty() {
            return;
        }
        let only_readings = self.waiting.iter().flat_map(|(w, _)| w).all(|w| matches!(w, Write::Readings(_)));
        if only_readings {
            let now = Instant::now();
            match self.linger_until {
                Some(until) if now >= until => {}
                Some(_) => return,
                None => {
                    // Whatever comes first, this alarm or a write that does not wait, takes them all.
                    self.linger_until = Some(now + LINGER);
                    ctx.run_later(LINGER, |this, ctx| this.next_group(ctx));
                    return;
                }
            }
        }
        self.linger_until = None;
        self.busy = true;
        let group = std::mem::take(&mut self.waiting);
        let (ledger, now) = (Arc::clone(&self.ledger), self.clock.now());
        let work = tokio::task::spawn_blocking(move || {
            let (requests, askers): (Vec<_>, Vec<_>) = group.into_iter().unzip();
            let counts: Vec<usize> = requests.iter().map(Vec::len).collect();
            let writes: Vec<Write> = requests.into_iter().flatten().collect();
            let outcomes = ledger.commit(now, &writes);
            let last = ledger.last_seq();
            (askers, counts, outcomes, last)
        });
        let done = work.into_actor(self).map(|done, this, ctx| {
            this.busy = false;
            // A join error is a panic in the ledger: the process aborts on those in release; here the askers see the
            // closed channel.
            if let Ok((askers, counts, outcomes, last)) = done {
                this.say(outcomes.as_ref().err());
                if let Ok(last) = last {
                    this.recorded.send_if_modified(|seen| std::mem::replace(seen, last) != last);
                }
                answer(askers, &counts, outcomes);
            }
            this.next_group(ctx);
        });
        ctx.spawn(done);
    }
}

fn answer(
    askers: Vec<oneshot::Sender<Answers>>,
    counts: &[usize],
    outcomes: Result<Vec<Result<Outcome, LedgerError>>, LedgerError>,
) {
    match outcomes {
        Ok(outcomes) => {
            let mut outcomes = outcomes.into_iter().map(|o| o.map_err(|e| RecordFailed::Refused(e.to_string())));
            for (asker, count) in askers.into_iter().zip(counts) {
                // Whoever asked may have gone; what was recorded stays recorded.
                let _ = asker.send(Ok(outcomes.by_ref().take(*count).collect()));
            }
        }
        Err(error) => {
            for asker in askers {
                let _ = asker.send(Err(RecordFailed::Unwritten(error.to_string())));
            }
        }
    }
}

impl Actor for Recorder {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<Record> for Recorder {
    type Result = ResponseFuture<Answers>;

    fn handle(&mut self, Record(writes): Record, ctx: &mut Context<Self>) -> Self::Result {
        let (answer, wait) = oneshot::channel();
        self.waiting.push((writes, answer));
        self.next_group(ctx);
        Box::pin(async move { wait.await.unwrap_or(Err(RecordFailed::Stopped)) })
    }
}

/// How everybody else reaches the Recorder, and reads the ledger.
#[derive(Clone)]
pub struct Scribe {
    recorder: Addr<Recorder>,
    recorded: watch::Receiver<Seq>,
    ledger: Arc<Ledger>,
}

impl Scribe {
    /// Records all of it in one transaction. When it returns, it is on the disk.
    pub async fn write_all(&self, writes: Vec<Write>) -> Result<Vec<Result<Outcome, RecordFailed>>, RecordFailed> {
        self.recorder.send(Record(writes)).await.map_err(|_| RecordFailed::Stopped)?
    }

    /// Records one thing.
    pub async fn write(&self, write: Write) -> Result<Outcome, RecordFailed> {
        let mut outcomes = self.write_all(vec![write]).await?;
        outcomes.pop().unwrap_or(Err(RecordFailed::Stopped))
    }

    /// Records one fact.
    pub async fn fact(&self, fact: Fact) -> Result<(), RecordFailed> {
        self.write(Write::Fact(fact)).await.map(|_| ())
    }

    /// Records readings.
    pub async fn readings(&self, readings: Vec<Reading>) -> Result<(), RecordFailed> {
        self.write(Write::Readings(readings)).await.map(|_| ())
    }

    /// The newest recorded sequence number, and a way to wait for the next.
    #[must_use]
    pub fn recorded(&self) -> watch::Receiver<Seq> {
        self.recorded.clone()
    }

    /// Runs a reading of the ledger on a blocking thread.
    pub async fn read<T, F>(&self, ask: F) -> Result<T, RecordFailed>
    where
        T: Send + 'static,
        F: FnOnce(&Ledger) -> Result<T, LedgerError> + Send + 'static,
    {
        let ledger = Arc::clone(&self.ledger);
        let answer = tokio::task::spawn_blocking(move || ask(&ledger)).await.map_err(|_| RecordFailed::Stopped)?;
        answer.map_err(|e| RecordFailed::Unwritten(e.to_string()))
    }

    /// Runs work that takes several steps of reading and writing, such as what has to come between two readings, on a
    /// blocking thread; whoever waits for news is told afterwards.
    pub async fn work<T, F>(&self, work: F) -> Result<T, RecordFailed>
    where
        T: Send + 'static,
        F: FnOnce(&Ledger) -> Result<T, LedgerError> + Send + 'static,
    {
        let done = self.read(work).await?;
        // Nothing is recorded by it, and everybody hears how far the ledger has come.
        self.write_all(Vec::new()).await?;
        Ok(done)
    }

    /// The ledger, for work that is on a blocking thread already.
    #[must_use]
    pub fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&self.ledger)
    }
}
