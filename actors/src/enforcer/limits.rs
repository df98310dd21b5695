//! Limits of inverters: ordered when their time has come, read back, repeated before the device lets go, and written down.

mod machine;

pub use machine::{Known, LimitOrder};

use super::Enforcer;
use crate::{InverterLive, Scribe};
use actix::prelude::*;
use domain::dispatch::Cap;
use domain::{Fact, MeterId};
use drivers::Inverter;
use machine::Machine;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// One inverter to look after.
#[derive(Clone)]
pub struct InverterPlan {
    /// What there is to know of it.
    pub known: Known,
    /// The device.
    pub device: Arc<dyn Inverter>,
}

/// What inverters may make.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Limits(pub Vec<LimitOrder>);

pub(super) struct Kept {
    device: Arc<dyn Inverter>,
    machine: Machine,
    problem: Option<String>,
}

/// In real time.
const SHORTEST_SLEEP: Duration = Duration::from_millis(50);
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

impl Enforcer {
    /// The same with inverters.
    #[must_use]
    pub fn limiting(self, plans: Vec<InverterPlan>) -> Self {
        let speed = self.clock.speed();
        let keep =
            |plan: InverterPlan| Kept { device: plan.device, machine: Machine::new(plan.known, speed), problem: None };
        Self { limited: plans.into_iter().map(keep).collect(), ..self }
    }

    /// Takes up what was written down of the inverters before the start: nobody has repeated their limits since.
    pub(super) fn remember_limits(&mut self, caps: &BTreeMap<MeterId, Cap>) {
        for kept in &mut self.limited {
            if let Some(fact) = kept.machine.recall(caps) {
                note(&self.scribe, fact);
            }
        }
    }

    /// Gives every order whose time has come.
    pub(super) fn limit(&mut self, ctx: &mut Context<Self>) {
        if !self.remembers || self.limited.is_empty() {
            return;
        }
        let now = self.clock.now();
        for index in 0..self.limited.len() {
            let kept = &mut self.limited[index];
            if let Some(fact) = kept.machine.pass(now) {
                note(&self.scribe, fact);
            }
            let Some(order) = kept.machine.next(now) else {
                self.show_limit(index);
                continue;
            };
            let device = Arc::clone(&kept.device);
            let work = async move {
                let answer = device.limit(order.to).await;
                (order, answer)
            };
            let done = work.into_actor(self).map(move |(order, answer), this, ctx| {
                let now = this.clock.now();
                let kept = &mut this.limited[index];
                kept.problem = answer.as_ref().err().map(ToString::to_string);
                if let Some(fact) = kept.machine.said(&order, &answer, now) {
                    note(&this.scribe, fact);
                }
                this.limit(ctx);
            });
            ctx.spawn(done);
        }
        if let Some(old) = self.limit_alarm.take() {
            ctx.cancel_future(old);
        }
        let due = self.limited.iter().filter_map(|k| k.machine.wakes()).min();
        let wait = due.map_or(LONGEST_SLEEP, |at| self.clock.real(at.since(now))).clamp(SHORTEST_SLEEP, LONGEST_SLEEP);
        self.limit_alarm = Some(ctx.run_later(wait, |this, ctx| this.limit(ctx)));
    }

    fn show_limit(&self, index: usize) {
        let kept = &self.limited[index];
        let (holds, id) = (kept.machine.holds(), kept.machine.id());
        let live = InverterLive {
            limit: holds.and_then(|order| order.to),
            most: holds.map(|order| order.most),
            until: holds.map(|order| order.until),
            problem: kept.problem.clone(),
        };
        if self.board.look().inverters.get(id) != Some(&live) {
            self.board.update(|board| board.inverters.insert(id.clone(), live));
        }
    }
}

/// How long a fact that could not be recorded waits.
const NOTE_AGAIN: Duration = Duration::from_secs(5);

/// Facts about limits are facts about the past: what they say has happened, and is written down as soon as that is possible.
fn note(scribe: &Scribe, fact: Fact) {
    let scribe = scribe.clone();
    actix::spawn(async move {
        // Without it an inverter that is limited would be paid for all that it feeds in, or one that is free held to a limit.
        while let Err(error) = scribe.fact(fact.clone()).await {
            tracing::warn!(%error, "what became of an inverter's limit is not recorded yet");
            tokio::time::sleep(NOTE_AGAIN).await;
        }
    });
}

impl Handler<Limits> for Enforcer {
    type Result = ();

    fn handle(&mut self, Limits(orders): Limits, ctx: &mut Context<Self>) {
        for order in orders {
            let found: Option<&mut Kept> = self.limited.iter_mut().find(|k| *k.machine.id() == order.inverter);
            if let Some(kept) = found {
                kept.machine.take(order);
            }
        }
        self.limit(ctx);
    }
}
