//! Posts changes of credit to a web hook: an SMS gateway, a chat, an app of the operator's.

use crate::{Board, RecordFailed, Scribe};
use actix::prelude::*;
use domain::{Currency, Fact, Seq, Timestamp};
use drivers::Webhook;
use ledger::{Ledger, LedgerError, Write};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Where the ledger keeps how far the hook was told.
const CURSOR: &str = "webhook";
/// The longest wait between two tries, in real time.
const RETRY_MAX: Duration = Duration::from_secs(300);
/// Facts read at once.
const AT_ONCE: u32 = 200;

/// Whom to tell, and how.
#[derive(Clone)]
pub struct NotifierPlan {
    /// The hook.
    pub hook: Webhook,
    /// The site's name.
    pub site: String,
    /// The currency of balances.
    pub currency: Currency,
    /// The first wait after a post that was not taken, in real time; it doubles up to five minutes.
    pub retry: Duration,
}

/// Tells.
///
/// How far it has told is written down after each post that was taken, so that a power cut loses no news: what was
/// under way is posted again. Each post has the `id` of its fact, which only grows: who has seen it may drop it.
pub struct Notifier {
    plan: Arc<NotifierPlan>,
    scribe: Scribe,
    board: Board,
}

impl Notifier {
    /// A notifier. The first time that there is one, it begins with what happens from then on.
    #[must_use]
    pub fn new(plan: NotifierPlan, scribe: Scribe, board: Board) -> Self {
        Self { plan: Arc::new(plan), scribe, board }
    }
}

impl Actor for Notifier {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let (plan, scribe, board) = (Arc::clone(&self.plan), self.scribe.clone(), self.board.clone());
        let work = async move {
            loop {
                let Err(error) = follow(&plan, &scribe, &board).await;
                // An unwritable ledger is the Recorder's to complain about.
                tracing::debug!(%error, "the web hook waits");
                tokio::time::sleep(plan.retry).await;
            }
        };
        ctx.spawn(work.into_actor(self));
    }
}

/// Never ends but with an error of the ledger.
async fn follow(
    plan: &Arc<NotifierPlan>,
    scribe: &Scribe,
    board: &Board,
) -> Result<std::convert::Infallible, RecordFailed> {
    let mut recorded = scribe.recorded();
    let mut cursor = match scribe.read(told).await? {
        Some(cursor) => cursor,
        None => {
            let now = scribe.read(Ledger::last_seq).await?;
            remember(scribe, now).await?;
            now
        }
    };
    loop {
        recorded.borrow_and_update();
        let facts = scribe.read(move |ledger| ledger.facts_after(cursor, AT_ONCE)).await?;
        let all = facts.len() < usize::try_from(AT_ONCE).unwrap_or(usize::MAX);
        for (seq, at, fact) in facts {
            if let Some(news) = news(plan, board, seq, at, &fact) {
                tell(plan, board, &news).await;
                remember(scribe, seq).await?;
            }
            cursor = seq;
        }
        // Fails only when the Recorder is gone: the process is on its way out.
        if all && recorded.changed().await.is_err() {
            return Err(RecordFailed::Stopped);
        }
    }
}

fn told(ledger: &Ledger) -> Result<Option<Seq>, LedgerError> {
    Ok(ledger.meta(CURSOR)?.and_then(|text| text.parse().ok()).map(Seq))
}

async fn remember(scribe: &Scribe, seq: Seq) -> Result<(), RecordFailed> {
    scribe.write(Write::Meta(CURSOR.into(), seq.to_string())).await.map(drop)
}

/// Posts until it is taken.
async fn tell(plan: &NotifierPlan, board: &Board, news: &Value) {
    let (mut wait, text) = (plan.retry, news.to_string());
    loop {
        let (hook, body) = (plan.hook.clone(), text.clone());
        let posted = tokio::task::spawn_blocking(move || hook.post(&body)).await;
        let problem = posted.unwrap_or_else(|e| Err(e.to_string())).err();
        let known = board.look().webhook_problem.clone();
        if known != problem {
            if let Some(problem) = &problem {
                tracing::warn!(problem, "the web hook did not take a change of credit; it is told again");
            }
            board.update(|live| live.webhook_problem.clone_from(&problem));
        }
        if problem.is_none() {
            return;
        }
        tokio::time::sleep(wait.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
        wait = (wait * 2).min(RETRY_MAX);
    }
}

/// What the hook is told about a fact, if it is told at all. Amounts are decimal texts: a float would round them.
fn news(plan: &NotifierPlan, board: &Board, seq: Seq, at: Timestamp, fact: &Fact) -> Option<Value> {
    let Fact::CreditChanged { account, credit, balance } = fact else { return None };
    let live = board.look().accounts.get(account).cloned();
    Some(json!({
        "id": seq,
        "event": "credit_changed",
        "at": at.to_string(),
        "site": plan.site,
        "account": account,
        "stage": credit,
        "balance": plan.currency.plain(*balance),
        "currency": plan.currency.code,
        "days_left": live.as_ref().and_then(crate::AccountLive::days_left),
    }))
}
