//! Sends transactions. What is to happen next is decided by [`step`] from what is durable; this shell only runs it.

mod fees;
mod pending;
pub(crate) mod step;
mod terms;

use crate::{Board, RecordFailed, Scribe};
use actix::prelude::*;
use contracts::chain::Chain;
use contracts::key::Signer;
use contracts::{Address, B256, U256};
use domain::{AccountId, Clock, Money, Position, SwitchId, Timestamp};
pub use fees::FeePolicy;
use ledger::{Outcome, Purpose, Write};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
pub use step::{CHAIN_ID, LINE_SALT};
use step::{Notes, Step};
pub use terms::Agreed;

/// Everything the Settler needs to know.
#[derive(Clone)]
pub struct SettlerPlan {
    /// `embedded`, or the URL of a node: for people.
    pub kind: String,
    /// The chain.
    pub chain: Arc<dyn Chain>,
    /// The id that it must answer.
    pub chain_id: u64,
    /// Who signs.
    pub signer: Arc<dyn Signer>,
    /// The provider contract; `None` deploys one, once.
    pub provider: Option<Address>,
    /// The contract that forecasts are posted to, if they are.
    pub time_of_use: Option<Address>,
    /// The contract that judges plans, if they are put before one.
    pub dispatch: Option<Address>,
    /// The witnesses that are asked before a batch is settled, if any are.
    pub witness: Option<Address>,
    /// Wei in one minor unit, for a contract that is deployed; checked against one that exists.
    pub wei_per_unit: U256,
    /// What is agreed in a contract that is deployed; checked against one that exists.
    pub agreed: Agreed,
    /// Who holds which account in the contract.
    pub holders: BTreeMap<AccountId, Address>,
    /// The connection points of switches whose positions are attested in the register, if there is one.
    pub points: BTreeMap<SwitchId, B256>,
    /// Threshold of the low-credit event, for a contract that is deployed.
    pub low_at: Money,
    /// Blocks that must be on top of a transaction, its own included.
    pub confirmations: u64,
    /// How often registers are settled, on the gateway's clock.
    pub every: Duration,
    /// How often the chain is asked for news, in real time.
    pub poll: Duration,
    /// At most this many accounts in a batch.
    pub most: u32,
    /// What gas may cost.
    pub fees: FeePolicy,
}

/// Settles.
pub struct Settler {
    plan: Arc<SettlerPlan>,
    clock: Clock,
    scribe: Scribe,
    board: Board,
    flush: Arc<tokio::sync::Notify>,
    heads: Arc<tokio::sync::Notify>,
}

/// Says that the chain may have a new block, so that it is looked at without waiting for the next poll. Nothing depends
/// on its being said.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct HeadCame;

/// Blocks that come together are looked at together: so long, in real time.
const TOGETHER: Duration = Duration::from_millis(50);

/// Asks for a batch of whatever has moved, without waiting for its time.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct SettleNow;

impl Settler {
    /// A settler.
    #[must_use]
    pub fn new(plan: SettlerPlan, clock: Clock, scribe: Scribe, board: Board) -> Self {
        Self { plan: Arc::new(plan), clock, scribe, board, flush: Arc::default(), heads: Arc::default() }
    }
}

impl Actor for Settler {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let plan = Arc::clone(&self.plan);
        self.board.update(|live| {
            live.chain.kind.clone_from(&plan.kind);
            live.chain.settler = plan.signer.address().to_string();
        });
        let woken = (Arc::clone(&self.flush), Arc::clone(&self.heads));
        let work = work(plan, self.clock.clone(), self.scribe.clone(), self.board.clone(), woken);
        ctx.spawn(work.into_actor(self));
    }
}

impl Handler<SettleNow> for Settler {
    type Result = ();
    fn handle(&mut self, SettleNow: SettleNow, _: &mut Context<Self>) {
        self.flush.notify_one();
    }
}

impl Handler<HeadCame> for Settler {
    type Result = ();
    fn handle(&mut self, HeadCame: HeadCame, _: &mut Context<Self>) {
        self.heads.notify_one();
    }
}

async fn work(
    plan: Arc<SettlerPlan>,
    clock: Clock,
    scribe: Scribe,
    board: Board,
    (flush, heads): (Arc<tokio::sync::Notify>, Arc<tokio::sync::Notify>),
) {
    // From the last batch, not from the start: a gateway that restarts often settles all the same.
    let last = scribe.read(|ledger| ledger.last_batch_at()).await.unwrap_or_default();
    let mut due = last.unwrap_or_else(|| clock.now()) + plan.every;
    let mut asked = false;
    let notes = Arc::default();
    loop {
        // A clock that was once ahead must not keep settlement waiting until then.
        due = due.min(clock.now() + plan.every);
        let settle = asked || clock.now() >= due;
        match run(&plan, &clock, &scribe, &board, settle, &notes).await {
            Ok(true) => {
                due = clock.now() + plan.every;
                asked = false;
            }
            Ok(false) => {}
            Err(error) => board.update(|live| live.chain.problem = Some(error.to_string())),
        }
        tokio::select! {
            () = tokio::time::sleep(plan.poll) => {}
            () = flush.notified() => asked = true,
            () = async { heads.notified().await; tokio::time::sleep(TOGETHER).await } => {}
        }
    }
}

/// Where the contacts of switches with a connection point were last read.
fn contacts(plan: &SettlerPlan, board: &Board) -> BTreeMap<SwitchId, Position> {
    if plan.points.is_empty() {
        return BTreeMap::new();
    }
    let live = board.look();
    live.switches.iter().filter_map(|(name, switch)| Some((name.clone(), switch.position?))).collect()
}

/// Takes steps until nothing is left to do now. Says whether whatever was due to be settled is on its way.
async fn run(
    plan: &Arc<SettlerPlan>,
    clock: &Clock,
    scribe: &Scribe,
    board: &Board,
    settle: bool,
    notes: &Arc<Mutex<Notes>>,
) -> Result<bool, RecordFailed> {
    let mut turn = Turn { settle, now: clock.now(), ..Turn::default() };
    loop {
        board.pulse("settler");
        let (p, ledger, notes) = (Arc::clone(plan), scribe.ledger(), Arc::clone(notes));
        let contacts = contacts(plan, board);
        let taken = tokio::task::spawn_blocking(move || {
            let notes = &mut notes.lock().unwrap_or_else(PoisonError::into_inner);
            notes.contacts = contacts;
            step::next(&p, &ledger, turn, notes)
        });
        let taken = taken.await.map_err(|_| RecordFailed::Stopped)?;
        match taken.step {
            Step::Write(writes) => {
                turn.signed |= writes.iter().any(|w| matches!(w, Write::Attempt(_)));
                turn.queued |= writes.iter().any(|w| matches!(w, Write::Queue(_)));
                turn.priced |= writes.iter().any(|w| matches!(w, Write::Queue(Purpose::SetTariff { .. })));
                for outcome in scribe.write_all(writes).await? {
                    if let Outcome::Batch(made) = outcome? {
                        turn.settle = false;
                        // A full batch leaves others waiting: the next turn makes another.
                        turn.more =
                            made.is_some_and(|b| b.items.len() >= usize::try_from(plan.most).unwrap_or(usize::MAX));
                    }
                }
            }
            Step::Rest { waiting, problem, nothing_due } => {
                let fresh = board.update(|live| {
                    let chain = &mut live.chain;
                    chain.block = taken.block.unwrap_or(chain.block);
                    chain.chain_id = taken.chain_id.unwrap_or(chain.chain_id);
                    chain.provider = taken.provider.map(|p| p.to_string()).or(chain.provider.take());
                    chain.waiting = waiting;
                    let fresh = problem.is_some() && chain.problem != problem;
                    chain.problem.clone_from(&problem);
                    fresh
                });
                if let (true, Some(problem)) = (fresh, problem) {
                    tracing::warn!(%problem, "settlement waits");
                }
                return Ok(settle && !turn.more && (nothing_due || !turn.settle));
            }
        }
    }
}

/// What this turn has done so far: some things are done once a turn, and tried again in the next.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    /// When it began: the prices of then are those that the contract should have.
    now: Timestamp,
    /// A batch is due.
    settle: bool,
    /// A transaction was signed.
    signed: bool,
    /// Something other than a batch was queued.
    queued: bool,
    /// Our prices were.
    priced: bool,
    /// The batch that was made had no room for all.
    more: bool,
}
