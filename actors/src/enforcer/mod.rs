//! Opens and closes switches: the only agent that touches them.

mod limits;
mod machine;
mod news;
mod stagger;

pub use limits::{InverterPlan, Known as KnownInverter, LimitOrder, Limits};
pub use machine::{Overload, Rule, State, Verify};
pub use stagger::Stagger;

use crate::{Board, Scribe, SwitchLive};
use actix::prelude::*;
use domain::{AccountId, Clock, Fact, MeterId, Position, Reason, Seq, Supply, SwitchId, Timestamp};
use drivers::{DeviceError, Switch};
use ledger::OverrideRow;
use machine::{Act, Machine};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What an account may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Whose.
    pub account: AccountId,
    /// What it may have.
    pub supply: Supply,
    /// Why.
    pub reason: Reason,
    /// Whether its meters were heard of late.
    pub fresh: bool,
    /// How long that may be relied on, on the gateway's clock.
    pub lasts: Duration,
}

/// Who may have power.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Leases(pub Vec<Lease>);

/// One switch to look after.
#[derive(Clone)]
pub struct SwitchPlan {
    /// Its name.
    pub id: SwitchId,
    /// Whose power it switches.
    pub account: AccountId,
    /// The account's meters: what they say flows is compared with the contact, and held to power limits.
    pub meters: Vec<MeterId>,
    /// The device.
    pub switch: Arc<dyn Switch>,
    /// Its rules.
    pub rule: Rule,
}

struct Kept {
    plan: SwitchPlan,
    machine: Machine,
    /// Whether it is the only switch of its account.
    alone: bool,
    /// What a person ordered, as the ledger has it.
    order: Option<OverrideRow>,
    /// Whether the register denies it to us, as the ledger has it.
    denied: bool,
    /// The end of that order is being written down.
    ending: bool,
    /// How many readings its meters had when their power was last looked at.
    sampled: u64,
    problem: Option<String>,
    /// Whether the failure that lasts was written down.
    failure_noted: bool,
}

/// Looks after all switches.
pub struct Enforcer {
    kept: Vec<Kept>,
    limited: Vec<limits::Kept>,
    clock: Clock,
    scribe: Scribe,
    board: Board,
    stagger: Stagger,
    /// How far the journal was followed.
    heard: Seq,
    /// Whether it is known what was ordered before the start.
    remembers: bool,
    alarm: Option<SpawnHandle>,
    limit_alarm: Option<SpawnHandle>,
    begun: Instant,
}

/// In real time.
const SHORTEST_SLEEP: Duration = Duration::from_millis(50);
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

impl Enforcer {
    /// An enforcer whose switches hold still for `grace` after the start, unless a lease says otherwise.
    #[must_use]
    pub fn new(plans: Vec<SwitchPlan>, grace: Duration, clock: Clock, scribe: Scribe, board: Board) -> Self {
        let owners: Vec<AccountId> = plans.iter().map(|p| p.account.clone()).collect();
        let keep = |plan: SwitchPlan| Kept {
            machine: Machine::new(plan.rule, Timestamp(0), grace),
            alone: owners.iter().filter(|owner| **owner == plan.account).count() == 1,
            order: None,
            denied: false,
            ending: false,
            sampled: 0,
            plan,
            problem: None,
            failure_noted: false,
        };
        let kept = plans.into_iter().map(keep).collect();
        Self {
            kept,
            limited: Vec::new(),
            clock,
            scribe,
            board,
            stagger: Stagger::none(),
            heard: Seq::default(),
            remembers: false,
            alarm: None,
            limit_alarm: None,
            begun: Instant::now(),
        }
    }

    /// The same, with switches that keep out of each other's way when many close.
    #[must_use]
    pub fn staggered(self, stagger: Stagger) -> Self {
        Self { stagger, ..self }
    }

    /// The time that has passed on the street since this enforcer began.
    fn now(&self) -> Timestamp {
        Timestamp(0) + self.begun.elapsed() * self.clock.speed()
    }

    fn act(&mut self, ctx: &mut Context<Self>) {
        if !self.remembers {
            return;
        }
        let now = self.now();
        self.end_overrides(ctx);
        self.stagger.spread(self.kept.iter_mut().map(|k| &mut k.machine), now);
        for index in 0..self.kept.len() {
            let Some(act) = self.kept[index].machine.next(now) else { continue };
            let plan = self.kept[index].plan.clone();
            let scribe = self.scribe.clone();
            let work = async move {
                match act {
                    Act::Look => Done::Looked(plan.switch.position().await),
                    Act::Move(position, reason) => {
                        Done::Moved(position, reason, order(&plan, &scribe, position, reason).await)
                    }
                }
            };
            ctx.spawn(work.into_actor(self).map(move |done, this, ctx| this.done(index, done, ctx)));
        }
        self.board.pulse("enforcer");
        self.wake_when_due(now, ctx);
    }

    /// Sleeps until a machine may want something without being told anything.
    fn wake_when_due(&mut self, now: Timestamp, ctx: &mut Context<Self>) {
        if let Some(old) = self.alarm.take() {
            ctx.cancel_future(old);
        }
        let due = self.kept.iter().filter_map(|k| k.machine.due(now)).min();
        // Not too often if something is overdue, and now and then in any case, to show that we live.
        let wait = due.map_or(LONGEST_SLEEP, |at| self.clock.real(at.since(now))).clamp(SHORTEST_SLEEP, LONGEST_SLEEP);
        self.alarm = Some(ctx.run_later(wait, |this, ctx| {
            this.act(ctx);
            this.show_all();
        }));
    }

    fn show_all(&self) {
        for index in 0..self.kept.len() {
            self.show(index);
        }
    }

    fn done(&mut self, index: usize, done: Done, ctx: &mut Context<Self>) {
        let now = self.now();
        let kept = &mut self.kept[index];
        let fact = match done {
            Done::Looked(Ok(position)) => {
                kept.machine.found(position, now);
                if kept.machine.failures() == 0 {
                    kept.problem = None;
                }
                None
            }
            Done::Moved(position, reason, Ok(())) => {
                kept.machine.obeyed(position, now);
                kept.problem = None;
                kept.failure_noted = false;
                Some(Fact::SwitchConfirmed { switch: kept.plan.id.clone(), position, reason })
            }
            Done::Moved(wanted, _, Err(problem)) => {
                kept.machine.failed(now);
                kept.problem = Some(problem.clone());
                let noted = std::mem::replace(&mut kept.failure_noted, true);
                (!noted).then(|| Fact::SwitchFailed { switch: kept.plan.id.clone(), wanted, problem })
            }
            Done::Looked(Err(error)) => {
                kept.machine.failed(now);
                kept.problem = Some(error.to_string());
                None
            }
        };
        if let Some(fact) = fact {
            let scribe = self.scribe.clone();
            let record = async move {
                if let Err(error) = scribe.fact(fact).await {
                    tracing::error!(%error, "what a switch did was not recorded");
                }
            };
            ctx.spawn(record.into_actor(self));
        }
        self.show(index);
        self.act(ctx);
    }

    fn show(&self, index: usize) {
        let kept = &self.kept[index];
        let now = self.now();
        let wanted = kept.machine.wanted(now);
        // People read wall clocks.
        let lease_until = kept.machine.lease_until().map(|at| self.clock.now() + at.since(now));
        let live = SwitchLive {
            position: kept.machine.contact(),
            wanted: wanted.map(|(position, _)| position),
            reason: wanted.map(|(_, reason)| reason),
            lease_until,
            problem: kept.problem.clone(),
            state: kept.machine.state(now),
            suspicion: kept.machine.suspected().filter(|_| kept.alone),
            ordered: kept.order.clone().filter(|_| !kept.machine.override_is_over(now)),
        };
        let same = |old: &SwitchLive| SwitchLive { lease_until, ..old.clone() } == live;
        let changed = !self.board.look().switches.get(&kept.plan.id).is_some_and(same);
        if changed {
            self.board.update(|board| board.switches.insert(kept.plan.id.clone(), live));
        }
    }
}

enum Done {
    Looked(Result<Position, DeviceError>),
    Moved(Position, Reason, Result<(), String>),
}

/// Writes the order down, gives it, and reads the contact back.
async fn order(plan: &SwitchPlan, scribe: &Scribe, position: Position, reason: Reason) -> Result<(), String> {
    let ordered = Fact::SwitchOrdered { switch: plan.id.clone(), position, reason };
    scribe.fact(ordered).await.map_err(|e| format!("the order could not be recorded, so it was not given: {e}"))?;
    plan.switch.set(position).await.map_err(|e| e.to_string())?;
    match plan.switch.position().await {
        Ok(found) if found == position => Ok(()),
        Ok(found) => Err(format!("ordered {position}, but the contact is {found}")),
        Err(error) => Err(format!("ordered {position}, but the contact could not be read: {error}")),
    }
}

impl Actor for Enforcer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.remember(ctx);
    }
}

impl Handler<Leases> for Enforcer {
    type Result = ();

    fn handle(&mut self, Leases(leases): Leases, ctx: &mut Context<Self>) {
        let now = self.now();
        for lease in leases {
            for kept in self.kept.iter_mut().filter(|k| k.plan.account == lease.account) {
                kept.machine.lease(lease.supply, lease.reason, lease.fresh, now + lease.lasts);
            }
        }
        self.act(ctx);
    }
}
