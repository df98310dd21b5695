//! Lets go of what is older than it has to be kept, in small steps beside everything else.

use crate::Scribe;
use actix::prelude::*;
use domain::{Clock, Guard, MeterId, Watts};
use ledger::{Keep, Tidied};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often it looks, in real time.
const EVERY: Duration = Duration::from_secs(15 * 60);
/// Between two steps, in real time: recording, which each step holds up for some milliseconds, gets the disk in between.
const PAUSE: Duration = Duration::from_secs(2);
/// Steps at a time. It bounds how much a clock that is wrong for a while can cost, and is more than a full site records.
const STEPS: u32 = 20;

/// What the Keeper needs to know.
#[derive(Clone, Debug)]
pub struct KeeperPlan {
    /// How long what is kept.
    pub keep: Keep,
    /// What each meter's registers are judged by: what goes is billed by the auditor once more before.
    pub guards: BTreeMap<MeterId, Guard>,
}

/// Tidies.
pub struct Keeper {
    plan: Arc<KeeperPlan>,
    clock: Clock,
    scribe: Scribe,
}

impl Keeper {
    /// A keeper.
    #[must_use]
    pub fn new(plan: KeeperPlan, clock: Clock, scribe: Scribe) -> Self {
        Self { plan: Arc::new(plan), clock, scribe }
    }
}

impl Actor for Keeper {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if self.plan.keep == Keep::default() {
            return;
        }
        let work = tidy(Arc::clone(&self.plan), self.clock.clone(), self.scribe.clone());
        ctx.spawn(work.into_actor(self));
    }
}

async fn tidy(plan: Arc<KeeperPlan>, clock: Clock, scribe: Scribe) {
    let mut failing = false;
    loop {
        tokio::time::sleep(EVERY).await;
        let (mut gone, mut problem) = (Tidied::default(), None);
        for _ in 0..STEPS {
            let (p, now) = (Arc::clone(&plan), clock.now());
            let guard = move |meter: &MeterId| p.guards.get(meter).copied().unwrap_or(Guard::new(Watts(i64::MAX)));
            let keep = plan.keep;
            let ledger = scribe.ledger();
            let step = tokio::task::spawn_blocking(move || ledger.tidy(now, &keep, guard));
            // A join error is a panic, on which the process aborts in release.
            let Ok(step) = step.await else { return };
            match step {
                Ok(step) => {
                    gone.readings += step.readings;
                    gone.lines += step.lines;
                    if !step.more {
                        break;
                    }
                }
                Err(error) => {
                    problem = Some(error);
                    break;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        if gone.readings + gone.lines > 0 {
            tracing::debug!(readings = gone.readings, lines = gone.lines, "older than they have to be kept: gone");
        }
        // A disk stays full for hours: said once.
        if let (Some(error), false) = (&problem, failing) {
            tracing::warn!(%error, "nothing old is let go");
        }
        failing = problem.is_some();
    }
}
