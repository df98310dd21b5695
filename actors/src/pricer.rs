//! Follows the recorded readings with a cursor, bills them, and says who may have what.

mod judge;

use crate::{Board, Enforcer, Leases, RecordFailed, Scribe};
use actix::prelude::*;
use domain::{AccountId, Clock, Guard, MeterId, Step, Terms, TimeZone};
use judge::Judge;
use ledger::{Ledger, LedgerError, Priced, Write};
use std::collections::BTreeMap;
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
    /// Where the site is, as far as clocks go.
    pub zone: TimeZone,
    /// All accounts.
    pub accounts: Vec<AccountPlan>,
    /// What each meter's registers are judged by.
    pub guards: BTreeMap<MeterId, Guard>,
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
    let mut judge = Judge::new(&plan.zone, &clock);
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
            Some(priced) => {
                let after = priced.after;
                match scribe.write(Write::Priced(priced)).await {
                    // A person who replaces or moves a meter bills what is there first: go on from where that stands.
                    Err(RecordFailed::Refused(_)) if scribe.read(Ledger::priced_seq).await? != after => {}
                    written => drop(written?),
                }
            }
            None => break,
        }
    }
    judge.judge(plan, scribe, board).await
}

/// Bills up to [`AT_ONCE`] readings after the cursor; `None` when there are none.
fn bill_new(ledger: &Ledger, plan: &PricerPlan) -> Result<Option<Priced>, LedgerError> {
    let after = ledger.priced_seq()?;
    let readings = ledger.readings_after(after, AT_ONCE)?;
    if readings.is_empty() {
        return Ok(None);
    }
    // Read anew in every round: an operator may have changed prices, classes or meters meanwhile.
    let Some(biller) = ledger.biller(&plan.guards)? else { return Ok(None) };
    Ok(Some(Priced::by(biller, after, &readings, |seq, reading, step| match step {
        Step::Held(doubt) => {
            tracing::warn!(meter = %reading.meter, %seq, %doubt, "held: nothing is billed until a person looks");
        }
        Step::Doubted(doubt, true) => tracing::warn!(meter = %reading.meter, %seq, %doubt, "not believed yet"),
        _ => {}
    })))
}
