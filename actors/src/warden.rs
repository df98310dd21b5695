//! Feeds the watchdog, and only while the agents' loops come round.

use crate::Board;
use actix::prelude::*;
use std::time::Duration;

/// How long an agent may be busy with one round. Generous: a slow chain or a long catch-up is no hang.
const PATIENCE: Duration = Duration::from_secs(120);

/// Watches the others.
pub struct Warden {
    board: Board,
    every: Duration,
    feed: Box<dyn Fn()>,
}

impl Warden {
    /// Calls `feed` every `every` as long as every loop that ever came round still does: the pollers' of buses that are
    /// polled, the Pricer's, the Enforcer's, the Settler's, the Herald's and the Auditor's.
    pub fn new(board: Board, every: Duration, feed: impl Fn() + 'static) -> Self {
        Self { board, every, feed: Box::new(feed) }
    }

    fn look(&self) {
        let stuck: Vec<String> =
            self.board.pulses().into_iter().filter(|(_, age)| *age > PATIENCE).map(|(agent, _)| agent).collect();
        if stuck.is_empty() {
            (self.feed)();
        } else {
            tracing::error!(?stuck, "no sign of life; the watchdog is not fed");
        }
    }
}

impl Actor for Warden {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_interval(self.every, |this, _| this.look());
    }
}
