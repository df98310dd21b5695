//! Follows the recorded readings with a cursor, bills them, and says who has credit.

use crate::{Board, Enforcer, Lease, Leases, RecordFailed, Scribe};
use actix::prelude::*;
use domain::{AccountId, Clock, Credit, CreditRule, Fact, Guard, MeterId, Step, Timestamp};
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
    /// Its thresholds.
    pub rule: CreditRule,
}

/// Everything the Pricer needs to know.
#[derive(Clone)]
pub struct PricerPlan {
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
    let renew = clock.real(plan.lease / 3).max(Duration::from_millis(100));
    loop {
        recorded.borrow_and_update();
        match round(&plan, &clock, &scribe).await {
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
async fn round(plan: &Arc<PricerPlan>, clock: &Clock, scribe: &Scribe) -> Result<Leases, RecordFailed> {
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
    let (p, now) = (Arc::clone(plan), clock.now());
    let (changes, leases) = scribe.read(move |ledger| judge(ledger, &p, now)).await?;
    if !changes.is_empty() {
        scribe.write_all(changes.into_iter().map(Write::Fact).collect()).await?;
    }
    Ok(leases)
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

/// Which accounts changed their state, and who may have power.
fn judge(ledger: &Ledger, plan: &PricerPlan, now: Timestamp) -> Result<(Vec<Fact>, Leases), LedgerError> {
    let rows: BTreeMap<AccountId, _> = ledger.accounts()?.into_iter().map(|a| (a.name.clone(), a)).collect();
    let heard: BTreeMap<MeterId, Timestamp> = ledger
        .meters()?
        .into_iter()
        .filter_map(|m| m.book.map(|b| (m.name, b)))
        .filter(|(_, book)| book.held.is_none())
        .map(|(name, book)| (name, book.at))
        .collect();
    let (mut changes, mut leases) = (Vec::new(), Vec::new());
    for account in &plan.accounts {
        let Some(row) = rows.get(&account.id) else { continue };
        // Prepayment begins with the first payment: nobody is cut off for an account that was never paid into.
        let open = row.unlocked || row.topped_up.0 == 0;
        let credit = if open { Credit::Good } else { account.rule.judge(row.credit, row.balance) };
        if credit != row.credit {
            changes.push(Fact::CreditChanged { account: account.id.clone(), credit, balance: row.balance });
        }
        let fresh = |meter: &MeterId| heard.get(meter).is_some_and(|at| now.since(*at) <= plan.stale_after);
        leases.push(Lease {
            account: account.id.clone(),
            granted: credit != Credit::Exhausted,
            fresh: account.meters.iter().all(fresh),
            lasts: plan.lease,
        });
    }
    Ok((changes, Leases(leases)))
}
