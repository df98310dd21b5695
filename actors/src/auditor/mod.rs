//! Compares the feeder with its homes once an interval. It reads, reckons, and tells; money and switches it never sees.

pub(crate) mod watch;

use crate::{Board, RecordFailed, Scribe};
use actix::prelude::*;
use domain::feeder::{Cause, Irregularity};
use domain::{Clock, MeterId, Seq, Timestamp, WattHours};
use ledger::{Grid, Ledger, LedgerError, Load, Row, Write};
use serde::Serialize;
use solvers::balance::{Flow, Settings, Verdict, Window, balance};
use std::sync::Arc;
use std::time::Duration;
use watch::Watch;

/// However long an interval is, the Auditor shows that it lives this often, in real time.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// What is left for a reading to be recorded after it was taken.
const RECORDED: Duration = Duration::from_secs(2);

/// What is compared, and how.
#[derive(Clone, Debug)]
pub struct AuditPlan {
    /// The meters whose sum is what the feeder brings.
    pub feeders: Vec<MeterId>,
    /// The meters behind them.
    pub homes: Vec<MeterId>,
    /// Interval, and how the registers of all these meters are judged.
    pub grid: Grid,
    /// How far back.
    pub window: Duration,
    /// What is known beforehand, and how sure one wants to be.
    pub settings: Settings,
}

/// The balance as it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BalanceLive {
    /// When it was reckoned.
    pub at: Timestamp,
    /// What came of it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What of that was seen often enough to be told.
    pub told: Vec<Irregularity>,
    /// What was told and is not over, also while the last look did not see it.
    pub standing: Vec<(Cause, Option<MeterId>)>,
}

impl AuditPlan {
    /// The balance of the whole intervals between two instants, from the ledger. Takes a while: for a blocking thread.
    pub fn between(&self, ledger: &Ledger, from: Timestamp, to: Timestamp) -> Result<Verdict, LedgerError> {
        let mut window = Window::new(to.since(from), self.grid.interval, self.homes.clone());
        for row in ledger.loads(from, to, self.grid.clone())? {
            self.fill(&mut window, &row?);
        }
        Ok(balance(&window, &self.settings))
    }

    fn fill(&self, window: &mut Window, row: &Row) {
        let load = |meter: &MeterId| row.meters.get(meter);
        let feeder: Option<WattHours> = self.feeders.iter().map(|m| load(m).map(Load::net)).sum();
        let flow = |load: &Load| Flow { net: load.net(), through: load.through() };
        let homes: Vec<Option<Flow>> = self.homes.iter().map(|m| load(m).map(flow)).collect();
        window.push(row.from, feeder, &homes);
    }

    /// How long after a border the readings on its other side may come.
    fn late(&self) -> Duration {
        self.grid.meters.values().map(|(_, gap)| *gap).max().unwrap_or_default().min(self.grid.interval)
    }
}

/// Compares.
pub struct Auditor {
    plan: Arc<AuditPlan>,
    clock: Clock,
    scribe: Scribe,
    board: Board,
}

impl Auditor {
    /// An auditor.
    #[must_use]
    pub fn new(plan: AuditPlan, clock: Clock, scribe: Scribe, board: Board) -> Self {
        Self { plan: Arc::new(plan), clock, scribe, board }
    }
}

impl Actor for Auditor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let work = follow(Arc::clone(&self.plan), self.clock.clone(), self.scribe.clone(), self.board.clone());
        ctx.spawn(work.into_actor(self));
    }
}

/// What is kept from one look to the next. Losing it loses nothing: the ledger has it all.
struct Books {
    window: Window,
    /// The first interval that is not in the window.
    next: Timestamp,
}

async fn follow(plan: Arc<AuditPlan>, clock: Clock, scribe: Scribe, board: Board) {
    let mut books: Option<Books> = None;
    let mut watch: Option<Watch> = None;
    loop {
        let (now, late) = (clock.now(), plan.late());
        let whole = (now - late).floor_to(plan.grid.interval);
        match look(&plan, &scribe, books.take(), whole).await {
            Ok((kept, verdict)) => {
                books = Some(kept);
                if let Err(error) = tell(&scribe, &board, &mut watch, verdict, now).await {
                    tracing::debug!(%error, "what was found on the feeder is told later");
                }
            }
            Err(error) => tracing::debug!(%error, "the feeder is compared later"),
        }
        let next = whole + plan.grid.interval + late + RECORDED;
        loop {
            board.pulse("auditor");
            let left = clock.real(next.since(clock.now()));
            if left.is_zero() {
                break;
            }
            tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
        }
    }
}

async fn look(
    plan: &Arc<AuditPlan>,
    scribe: &Scribe,
    books: Option<Books>,
    whole: Timestamp,
) -> Result<(Books, Verdict), RecordFailed> {
    let plan = Arc::clone(plan);
    scribe
        .read(move |ledger| {
            let fresh = || {
                let window = Window::new(plan.window, plan.grid.interval, plan.homes.clone());
                Books { window, next: whole - plan.window }
            };
            // A clock that was set back begins again.
            let mut books = books.filter(|b| b.next <= whole).unwrap_or_else(fresh);
            for row in ledger.loads(books.next, whole, plan.grid.clone())? {
                plan.fill(&mut books.window, &row?);
            }
            books.next = whole;
            let verdict = balance(&books.window, &plan.settings);
            Ok((books, verdict))
        })
        .await
}

/// Tells what changed, first to the journal. What could not be written is told again at the next look.
async fn tell(
    scribe: &Scribe,
    board: &Board,
    watch: &mut Option<Watch>,
    verdict: Verdict,
    now: Timestamp,
) -> Result<(), RecordFailed> {
    let before = match watch.take() {
        Some(watch) => watch,
        None => scribe.read(recall).await?,
    };
    let mut after = before.clone();
    let (mut told, mut failed) = (Vec::new(), None);
    if let Verdict::Judged(judged) = &verdict {
        let facts = after.look(&judged.found);
        if !facts.is_empty() {
            failed = scribe.write_all(facts.into_iter().map(Write::Fact).collect()).await.err();
        }
        if failed.is_some() {
            after = before;
        }
        told.extend(judged.found.iter().filter(|f| after.is_told(f)).cloned());
    }
    let standing = after.standing();
    *watch = Some(after);
    board.update(|live| live.balance = Some(BalanceLive { at: now, verdict, told, standing }));
    failed.map_or(Ok(()), Err)
}

/// What the journal says was told, and is not over.
fn recall(ledger: &Ledger) -> Result<Watch, LedgerError> {
    let (mut watch, mut cursor) = (Watch::default(), Seq(0));
    loop {
        let facts = ledger.facts_after(cursor, 1_000)?;
        let Some((last, _, _)) = facts.last() else { return Ok(watch) };
        cursor = *last;
        facts.iter().for_each(|(_, _, fact)| watch.recall(fact));
    }
}
