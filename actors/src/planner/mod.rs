//! Plans what the inverters may feed in, interval by interval, and hands the limits to the Enforcer. The plan is written
//! down first.

mod frame;
mod plan;

pub use frame::{Frame, Model, Unfit};
pub use plan::{BusPicture, Home, LinePicture, Picture, Roof, Site};

use crate::witness::wire;
use crate::{Board, Enforcer, LimitOrder, Limits, Scribe};
use actix::prelude::*;
use domain::dispatch::{Basis, Plan};
use domain::{Clock, Fact, MeterId, Timestamp, Watts};
use ledger::{Round, Write};
use plan::{Look, Reckoner, Solved};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// However long an interval is, the Planner shows that it lives this often, in real time.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
const SHORTEST_SLEEP: Duration = Duration::from_millis(100);
/// While no plan can be made it is tried again after this part of an interval.
const AGAIN: u32 = 60;

/// What is planned, and how.
#[derive(Clone, Debug)]
pub struct PlannerPlan {
    /// The street.
    pub site: Site,
    /// How long a plan holds.
    pub interval: Duration,
    /// How long before its beginning it is made.
    pub lead: Duration,
    /// How long solving may take, in real time.
    pub deadline: Duration,
    /// A reading that is older says nothing about now.
    pub stale_after: Duration,
    /// What is at stake, in gwei, if a contract judges the plans.
    pub stake_gwei: Option<u64>,
    /// The address of that contract.
    pub judge: Option<String>,
}

/// How far a plan's cost may be above its bound to be called proven, in 1e-9 of the bound.
const PROVEN: u32 = 10_000_000;

/// The plan as it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlanLive {
    /// When it was made.
    pub at: Timestamp,
    /// The newest plan, if there was one.
    pub plan: Option<Plan>,
    /// How long it took to find, in real milliseconds.
    pub took_ms: u64,
    /// The street as the plan has it.
    pub picture: Picture,
    /// Why there is no newer one, while there should be.
    pub problem: Option<String>,
    /// Why it is not put before the contract that judges plans, while it should be.
    pub unproved: Option<String>,
}

/// Plans.
pub struct Planner {
    plan: Arc<PlannerPlan>,
    clock: Clock,
    scribe: Scribe,
    board: Board,
    enforcer: Addr<Enforcer>,
}

impl Planner {
    /// A planner that tells `enforcer` what inverters may make.
    #[must_use]
    pub fn new(plan: PlannerPlan, clock: Clock, scribe: Scribe, board: Board, enforcer: Addr<Enforcer>) -> Self {
        Self { plan: Arc::new(plan), clock, scribe, board, enforcer }
    }
}

impl Actor for Planner {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let desk = Desk {
            plan: Arc::clone(&self.plan),
            clock: self.clock.clone(),
            scribe: self.scribe.clone(),
            board: self.board.clone(),
            enforcer: self.enforcer.clone(),
            reckoner: Reckoner::default(),
            planned_until: Timestamp(0),
            free: false,
            frame: self
                .plan
                .stake_gwei
                .map(|_| Frame::new(&Reckoner::framed(&self.plan.site), Model::Ac, PROVEN).map(Arc::new)),
            unproved: None,
            begun: tokio::time::Instant::now(),
        };
        ctx.spawn(desk.work().into_actor(self));
    }
}

struct Desk {
    plan: Arc<PlannerPlan>,
    clock: Clock,
    scribe: Scribe,
    board: Board,
    enforcer: Addr<Enforcer>,
    reckoner: Reckoner,
    planned_until: Timestamp,
    /// Whether the last plan held nobody back.
    free: bool,
    /// The network as it is published, or why it cannot be.
    frame: Option<Result<Arc<Frame>, Unfit>>,
    /// Why the newest plan has no place on the chain.
    unproved: Option<String>,
    begun: tokio::time::Instant,
}

impl Desk {
    async fn work(mut self) {
        loop {
            self.board.pulse("planner");
            let now = self.clock.now();
            if self.planned_until.since(now) > self.plan.interval * 2 + self.plan.lead {
                // The clock was set back: the plan is one for another hour.
                self.planned_until = now;
            }
            let mut wait = self.clock.real(self.planned_until.since(now + self.plan.lead));
            if wait.is_zero() {
                if let Err(problem) = self.next(now).await {
                    self.complain(&problem, now);
                }
                wait = self.clock.real(self.plan.interval / AGAIN);
            }
            tokio::time::sleep(wait.clamp(SHORTEST_SLEEP, LONGEST_SLEEP)).await;
        }
    }

    /// Makes the next plan. Without one, limits run out.
    async fn next(&mut self, now: Timestamp) -> Result<(), String> {
        let look = self.look(now);
        let from = self.planned_until.max(now);
        let mut until = from.floor_to(self.plan.interval) + self.plan.interval;
        if until.since(from) <= self.plan.lead {
            until = until + self.plan.interval;
        }
        let (plan, mut reckoner) = (Arc::clone(&self.plan), self.reckoner.clone());
        let solved = tokio::task::spawn_blocking(move || {
            let (begin, left) = (std::time::Instant::now(), plan::within(plan.deadline));
            let made = reckoner.plan(&plan.site, &look, (from, until), &left);
            (made, reckoner, begin.elapsed())
        });
        let (made, reckoner, took) = solved.await.map_err(|_| "the process is on its way out".to_owned())?;
        let made = made.map_err(|missing| format!("nothing new is heard of {}", missing.join(", ")))?;
        let (plan, picture) = (made.plan, made.picture);
        self.reckoner = reckoner;
        let free = plan.basis == Basis::Free;
        if !(free && self.free) {
            let mut writes = vec![Write::Fact(Fact::Planned { plan: plan.clone() })];
            writes.extend(self.round(&plan, made.solved.as_ref(), now).map(|round| Write::Round(Box::new(round))));
            let written =
                self.scribe.write_all(writes).await.and_then(|all| all.into_iter().try_for_each(|one| one.map(drop)));
            written.map_err(|e| format!("the plan could not be recorded, so nobody was told: {e}"))?;
            if let Err(error) = self.enforcer.try_send(Limits(orders(&plan))) {
                return Err(format!("the enforcer did not take the limits: {error}"));
            }
        }
        (self.free, self.planned_until) = (free, until);
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let unproved = self.unproved.clone();
        let live = PlanLive { at: now, plan: Some(plan), took_ms, picture, problem: None, unproved };
        self.board.update(|board| board.plan = Some(live));
        Ok(())
    }

    /// The plan as the contract takes it; none where none judges it, where it holds nobody back or is no optimum, and
    /// where its interval has begun. What has no place there is said once, and dispatched all the same.
    fn round(&mut self, plan: &Plan, solved: Option<&Solved>, now: Timestamp) -> Option<Round> {
        let (stake_gwei, frame) = (self.plan.stake_gwei?, self.frame.as_ref()?);
        if plan.binding.is_empty() {
            self.unproved = None;
            return None;
        }
        let packed = match (frame, solved) {
            (Err(unfit), _) => Err(unfit.clone()),
            (Ok(_), None) => return None,
            (Ok(frame), Some(solved)) => packed(frame, plan, solved, &self.plan, stake_gwei),
        };
        let before = self.unproved.take();
        match packed {
            Ok(round) => Some(round).filter(|round| round.from > now),
            Err(unfit) => {
                let problem = unfit.to_string();
                if before.as_ref() != Some(&problem) {
                    tracing::warn!(%problem, "the plan is dispatched, and not put before the contract that judges plans");
                }
                self.unproved = Some(problem);
                None
            }
        }
    }

    fn complain(&mut self, problem: &str, now: Timestamp) {
        if self.planned_until <= now {
            // Limits have run out by now: the next plan is told in any case.
            self.free = false;
        }
        // Just after the start not everything has been read yet.
        if self.begun.elapsed() < self.clock.real(self.plan.stale_after) {
            return;
        }
        let known = self.board.look().plan.as_ref().is_some_and(|live| live.problem.as_deref() == Some(problem));
        if !known {
            tracing::warn!("nothing is planned: {problem}");
            self.board.update(|board| {
                let nothing = PlanLive {
                    at: now,
                    plan: None,
                    took_ms: 0,
                    picture: Picture::default(),
                    problem: None,
                    unproved: None,
                };
                board.plan.get_or_insert(nothing).problem = Some(problem.to_owned());
            });
        }
    }

    /// What was read of late.
    fn look(&self, now: Timestamp) -> Look {
        let live = self.board.look();
        let power = |meter: &MeterId| -> Option<Watts> {
            let reading = &live.meters.get(meter)?.reading;
            let age = now.since(reading.at);
            reading.power.filter(|_| age <= self.plan.stale_after)
        };
        let site = &self.plan.site;
        let net = site.homes.iter().filter_map(|home| Some((home.meter.clone(), power(&home.meter)?))).collect();
        // What an inverter makes is export on its own meter.
        let made = site.roofs.iter().filter_map(|roof| Some((roof.id.clone(), -power(&roof.own)?))).collect();
        let limits = live.inverters.iter().filter_map(|(id, inverter)| Some((id.clone(), inverter.limit?))).collect();
        let lost = live.inverters.iter().filter(|(_, inverter)| inverter.limit.is_none() && inverter.problem.is_some());
        let lost = lost.map(|(id, _)| id.clone()).collect();
        Look { net, made, limits, lost }
    }
}

fn packed(frame: &Frame, plan: &Plan, solved: &Solved, terms: &PlannerPlan, stake_gwei: u64) -> Result<Round, Unfit> {
    let hex = |bytes: Vec<u8>| wire::hex(&bytes);
    Ok(Round {
        from: plan.from,
        until: plan.until,
        network: hex(frame.packed.pack()?),
        conditions: hex(frame.conditions(&solved.network).pack()?),
        solution: hex(frame.solution(&solved.network, &solved.answer, &solved.duals)?.pack()?),
        quanta: frame.quanta,
        scale: terms.site.scale,
        stake_gwei,
        contract: terms.judge.clone(),
    })
}

fn orders(plan: &Plan) -> Vec<LimitOrder> {
    let order = |set: &domain::dispatch::Setpoint| LimitOrder {
        inverter: set.inverter.clone(),
        to: set.limit,
        most: set.most,
        from: plan.from,
        until: plan.until,
    };
    plan.setpoints.iter().map(order).collect()
}
