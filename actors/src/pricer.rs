//! Follows the recorded readings with a cursor, bills them, and says who may have what.

mod judge;

use crate::{Board, Enforcer, Leases, RecordFailed, Scribe};
use actix::prelude::*;
use domain::{AccountId, Billed, Clock, Fact, Guard, MeterBook, MeterId, Tariff, Terms, Watts, billing};
use judge::Judge;
use ledger::{Ledger, LedgerError, Priced, Write};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Readings billed in one go: bounds memory while catching up.
const AT_ONCE: u32 = 5_000;

/// One account, as the Pricer needs it.
#[derive(Clone, Debug)]
pub struct AccountPlan {
    /// Its name.
    pub id: AccountId,
    /// The meters that it pays for.
    pub meters: Vec<MeterId>,
    /// What its contract says about supply.
    pub terms: Terms,
}

/// Everything the Pricer needs to know.
#[derive(Clone)]
pub struct PricerPlan {
    /// The tariff in force.
    pub tariff: Tariff,
    /// All accounts.
    pub accounts: Vec<AccountPlan>,
    /// What each meter's registers are judged by.
    pub guards: BTreeMap<MeterId, Guard>,
    /// Length of a billing interval.
    pub interval: Duration,
    /// How long a lease lasts without news.
    pub lease: Duration,
    /// A meter that has been quiet for longer than this renews no lease.
    pub stale_after: Duration,
    /// The least real time between two rounds; whatever arrives meanwhile shares one transaction.
    pub pause: Duration,
}

/// Bills.
pub struct Pricer {
    plan: Arc<PricerPlan>,
    clock: Clock,
    scribe: Scribe,
    board: Board,
    enforcer: Option<Addr<Enforcer>>,
}

impl Pricer {
    /// A pricer that tells `enforcer` who has credit.
    #[must_use]
    pub fn new(plan: PricerPlan, clock: Clock, scribe: Scribe, board: Board, enforcer: Option<Addr<Enforcer>>) -> Self {
        Self { plan: Arc::new(plan), clock, scribe, board, enforcer }
    }
}

impl Actor for Pricer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let work = follow(
            Arc::clone(&self.plan),
            self.clock.clone(),
            self.scribe.clone(),
            self.board.clone(),
            self.enforcer.clone(),
        );
        ctx.spawn(work.into_actor(self));
    }
}

async fn follow(plan: Arc<PricerPlan>, clock: Clock, scribe: Scribe, board: Board, enforcer: Option<Addr<Enforcer>>) {
    let mut recorded = scribe.recorded();
    let mut judge = Judge::new(&plan.tariff.zone, &clock);
    let renew = clock.real(plan.lease / 3).max(Duration::from_millis(100));
    loop {
        recorded.borrow_and_update();
        match round(&plan, &mut judge, &scribe, &board).await {
            Ok(leases) => {
                if let (Some(enforcer), false) = (&enforcer, leases.0.is_empty()) {
                    // A full mailbox loses this news only: the next round says it again, and leases run on till then.
                    if let Err(error) = enforcer.try_send(leases) {
                        tracing::warn!(%error, "the enforcer did not take the news");
                    }
                }
            }
            // An unwritable ledger is the Recorder's to complain about, once and not every round.
            Err(error @ RecordFailed::Unwritten(_)) => tracing::debug!(%error, "billing waits"),
            Err(error) => tracing::error!(%error, "billing waits"),
        }
        board.pulse("pricer");
        tokio::time::sleep(plan.pause).await;
        // Quiet meters must not keep leases of the others from being renewed.
        let _ = tokio::time::timeout(renew, recorded.changed()).await;
    }
}

/// Bills all that is new, then judges every account.
async fn round(
    plan: &Arc<PricerPlan>,
    judge: &mut Judge,
    scribe: &Scribe,
    board: &Board,
) -> Result<Leases, RecordFailed> {
    loop {
        let p = Arc::clone(plan);
        match scribe.read(move |ledger| bill_new(ledger, &p)).await? {
            Some(priced) => scribe.write(Write::Priced(priced)).await?,
            None => break,
        };
    }
    judge.judge(plan, scribe, board).await
}

/// Bills up to [`AT_ONCE`] readings after the cursor; `None` when there are none.
fn bill_new(ledger: &Ledger, plan: &PricerPlan) -> Result<Option<Priced>, LedgerError> {
    let after = ledger.priced_seq()?;
    let readings = ledger.readings_after(after, AT_ONCE)?;
    let Some((upto, _)) = readings.last() else { return Ok(None) };
    let upto = *upto;
    let mut books: BTreeMap<MeterId, MeterBook> =
        ledger.meters()?.into_iter().filter_map(|m| Some((m.name, m.book?))).collect();
    let mut touched = BTreeSet::new();
    let (mut started, mut pieces, mut facts) = (Vec::new(), Vec::new(), Vec::new());
    for (seq, reading) in &readings {
        let guard = plan.guards.get(&reading.meter).copied().unwrap_or(Guard::new(Watts(i64::MAX)));
        let book = match billing::bill(books.get(&reading.meter), reading, &plan.tariff, &guard) {
            Billed::Started(book) => {
                started.push(book.clone());
                book
            }
            Billed::Advanced(book, made) => {
                pieces.extend(made.into_iter().map(|piece| (reading.meter.clone(), piece)));
                book
            }
            Billed::Held(book, doubt) => {
                tracing::warn!(meter = %reading.meter, %seq, %doubt, "held: nothing is billed until a person looks");
                facts.push(Fact::MeterHeld { meter: reading.meter.clone(), doubt });
                book
            }
            Billed::Doubted(book, doubt) => {
                if book.doubted_since == Some(reading.at) {
                    tracing::warn!(meter = %reading.meter, %seq, %doubt, "not believed yet");
                }
                book
            }
            Billed::Nothing => continue,
        };
        touched.insert(reading.meter.clone());
        books.insert(reading.meter.clone(), book);
    }
    let books = books.into_iter().filter(|(id, _)| touched.contains(id)).map(|(_, book)| book).collect();
    let interval_ms = i64::try_from(plan.interval.as_millis()).unwrap_or(i64::MAX);
    Ok(Some(Priced { after, upto, started, books, pieces, interval_ms, facts }))
}
