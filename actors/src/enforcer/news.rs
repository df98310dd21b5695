//! What the Enforcer hears besides leases: what people ordered, what customers asked for, and what flows.

use super::machine::{Override, Sample};
use super::{Enforcer, Kept};
use crate::rights::{self, Rights};
use actix::prelude::*;
use domain::dispatch::Cap;
use domain::{AccountId, Fact, MeterId, Position, Reason, Seq, SwitchId, Timestamp, Watts};
use ledger::{LedgerError, OverrideRow};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;

/// The least real time between two looks into the ledger.
const PAUSE: Duration = Duration::from_millis(200);
/// Another process may have written an order without waking us: the longest that it waits, in real time.
const LONGEST: Duration = Duration::from_secs(30);
/// Readings of one customer's meters that are further apart than this are no picture of one moment.
const TOGETHER: Duration = Duration::from_secs(600);

/// What the ledger has for the Enforcer.
pub(super) struct News {
    cursor: Seq,
    orders: BTreeMap<SwitchId, OverrideRow>,
    rights: Rights,
    asked: Vec<(AccountId, String)>,
}

/// What it finds there when it starts.
pub(super) struct Remembered {
    news: News,
    /// Switches that their accounts had opened: why, and whether the customer has acted since.
    disconnected: BTreeMap<SwitchId, (Reason, bool)>,
    /// The newest cap of each inverter's meter.
    caps: BTreeMap<MeterId, Cap>,
}

fn news(ledger: &ledger::Ledger, after: Seq) -> Result<News, LedgerError> {
    let (mut cursor, mut asked) = (after, Vec::new());
    loop {
        let facts = ledger.facts_after(cursor, 500)?;
        let Some((last, _, _)) = facts.last() else { break };
        cursor = *last;
        asked.extend(facts.into_iter().filter_map(|(_, _, fact)| match fact {
            Fact::ReconnectAsked { account, by } => Some((account, by)),
            _ => None,
        }));
    }
    Ok(News { cursor, orders: ledger.overrides()?, rights: rights::known(ledger)?, asked })
}

fn remembered(ledger: &ledger::Ledger) -> Result<Remembered, LedgerError> {
    let released = ledger.reconnects()?;
    let disconnected = ledger.switches()?.into_iter().filter_map(|row| {
        let reason = row.reason.filter(|r| r.is_want_of_credit() || *r == Reason::AllowanceUsed)?;
        let open = row.ordered == Some(Position::Open);
        open.then(|| (row.name.clone(), (reason, released.contains(&row.name))))
    });
    let disconnected = disconnected.collect();
    // What was asked for before the start was for another hour: the customer asks again.
    let (cursor, orders, rights) = (ledger.last_seq()?, ledger.overrides()?, rights::known(ledger)?);
    let news = News { cursor, orders, rights, asked: Vec::new() };
    Ok(Remembered { news, disconnected, caps: ledger.newest_caps()? })
}

impl Enforcer {
    /// Nothing moves before it is known what was ordered.
    pub(super) fn remember(&mut self, ctx: &mut Context<Self>) {
        let scribe = self.scribe.clone();
        let mut recorded = scribe.recorded();
        recorded.borrow_and_update();
        let read = async move {
            loop {
                match scribe.read(remembered).await {
                    Ok(remembered) => return remembered,
                    Err(error) => tracing::error!(%error, "switches wait until the ledger can be read"),
                }
                tokio::time::sleep(LONGEST).await;
            }
        };
        let begin = read.into_actor(self).map(|remembered, this, ctx| {
            for kept in &mut this.kept {
                if let Some((reason, released)) = remembered.disconnected.get(&kept.plan.id) {
                    kept.machine.was_disconnected(*reason, *released);
                }
            }
            this.remembers = true;
            this.remember_limits(&remembered.caps);
            this.limit(ctx);
            this.hear(remembered.news, ctx);
            this.follow(recorded, ctx);
            this.watch_meters(this.board.changes(), ctx);
        });
        ctx.spawn(begin);
    }

    /// Follows the journal for as long as it lives.
    fn follow(&mut self, mut recorded: watch::Receiver<Seq>, ctx: &mut Context<Self>) {
        let (scribe, after) = (self.scribe.clone(), self.heard);
        let work = async move {
            tokio::time::sleep(PAUSE).await;
            let _ = tokio::time::timeout(LONGEST, recorded.changed()).await;
            (scribe.read(move |ledger| news(ledger, after)).await, recorded)
        };
        let heard = work.into_actor(self).map(|(news, recorded), this, ctx| {
            match news {
                Ok(news) => this.hear(news, ctx),
                Err(error) => tracing::warn!(%error, "what people ordered is not known now"),
            }
            this.follow(recorded, ctx);
        });
        ctx.spawn(heard);
    }

    fn hear(&mut self, mut news: News, ctx: &mut Context<Self>) {
        let (now, wall) = (self.now(), self.clock.now());
        self.heard = news.cursor;
        for kept in &mut self.kept {
            let denied = rights::denied(&news.rights, &kept.plan.id);
            if std::mem::replace(&mut kept.denied, denied) != denied {
                kept.machine.deny(denied);
            }
            let order = news.orders.remove(&kept.plan.id);
            if order != kept.order {
                kept.machine.override_with(order.as_ref().map(|order| in_own_time(order, wall, now)));
                kept.order = order;
                kept.ending = false;
            }
        }
        for (account, by) in news.asked {
            self.asked(&account, &by, ctx);
        }
        self.act(ctx);
        self.show_all();
    }

    /// Writes down which switches the customer's act releases, then releases them.
    fn asked(&mut self, account: &AccountId, by: &str, ctx: &mut Context<Self>) {
        let now = self.now();
        let ready = |k: &Kept| k.plan.account == *account && k.machine.waits_for_customer(now);
        let ready: Vec<usize> = (0..self.kept.len()).filter(|i| self.kept.get(*i).is_some_and(ready)).collect();
        if ready.is_empty() {
            tracing::info!(%account, by, "asked for reconnection, but no switch waits for that");
        }
        for index in ready {
            let Some(kept) = self.kept.get(index) else { continue };
            let granted = Fact::ReconnectGranted { switch: kept.plan.id.clone(), by: by.to_owned() };
            let scribe = self.scribe.clone();
            let record = async move { scribe.fact(granted).await };
            let release = record.into_actor(self).map(move |recorded, this, ctx| match recorded {
                Ok(()) => {
                    let now = this.now();
                    if let Some(kept) = this.kept.get_mut(index) {
                        kept.machine.asked(now);
                    }
                    this.act(ctx);
                }
                Err(error) => tracing::error!(%error, "a customer's act was not recorded, so it was not followed"),
            });
            ctx.spawn(release);
        }
    }

    /// Gives switches back to their accounts when a person's order has run out, and writes that down.
    pub(super) fn end_overrides(&mut self, ctx: &mut Context<Self>) {
        let now = self.now();
        let over = |k: &mut Kept| k.machine.override_is_over(now) && !std::mem::replace(&mut k.ending, true);
        let ended = self.kept.iter_mut().filter_map(|k| over(k).then(|| (k.plan.id.clone(), k.order.clone())));
        let facts: Vec<Fact> = ended
            .map(|(switch, order)| Fact::SwitchOverridden {
                switch,
                order: None,
                until: None,
                safety: false,
                by: order.map_or_else(String::new, |o| o.by),
                why: "it ran out".into(),
            })
            .collect();
        // The switch follows its account again either way; an order that was not struck off runs out again.
        self.note(facts, ctx);
    }

    fn note(&self, facts: Vec<Fact>, ctx: &mut Context<Self>) {
        for fact in facts {
            let scribe = self.scribe.clone();
            let record = async move {
                if let Err(error) = scribe.fact(fact).await {
                    tracing::error!(%error, "something about a switch was not recorded");
                }
            };
            ctx.spawn(record.into_actor(self));
        }
    }

    fn watch_meters(&mut self, mut changes: watch::Receiver<u64>, ctx: &mut Context<Self>) {
        let work = async move {
            tokio::time::sleep(PAUSE).await;
            changes.changed().await.is_ok().then_some(changes)
        };
        let sense = work.into_actor(self).map(|changes, this, ctx| {
            this.sense(ctx);
            if let Some(changes) = changes {
                this.watch_meters(changes, ctx);
            }
        });
        ctx.spawn(sense);
    }

    /// Gives every machine the newest power of its customer's meters.
    fn sense(&mut self, ctx: &mut Context<Self>) {
        let now = self.now();
        let mut facts = Vec::new();
        let mut moved = false;
        {
            let live = self.board.look();
            for kept in &mut self.kept {
                let newest = |id: &MeterId| live.meters.get(id);
                let count: u64 = kept.plan.meters.iter().filter_map(newest).map(|m| m.count).sum();
                if std::mem::replace(&mut kept.sampled, count) == count {
                    continue;
                }
                let readings: Option<Vec<_>> =
                    kept.plan.meters.iter().map(|id| newest(id).map(|m| &m.reading)).collect();
                let Some(readings) = readings else { continue };
                let last = readings.iter().map(|r| r.at).max().unwrap_or_default();
                if readings.iter().any(|r| last.since(r.at) > TOGETHER) {
                    continue;
                }
                let power = readings.iter().map(|r| r.power.map(|p| p.0)).sum::<Option<i64>>().map(Watts);
                let voltage = readings.iter().filter_map(|r| r.voltage).max_by(|a, b| a.get().total_cmp(&b.get()));
                // What flows past one of two switches says nothing about the other.
                let changed = kept.machine.power(Sample { power, voltage }, now).filter(|_| kept.alone);
                moved = true;
                if let Some(suspicion) = changed {
                    let switch = kept.plan.id.clone();
                    facts.push(Fact::SwitchSuspected { switch, suspicion });
                }
            }
        }
        self.note(facts, ctx);
        if moved {
            self.act(ctx);
            self.show_all();
        }
    }
}

/// An order runs out on the Enforcer's own clock, which nobody sets. It is measured off the wall clock once, and never
/// to more than was ordered: a wall clock that is wrong at a start makes no order last for years.
fn in_own_time(order: &OverrideRow, wall: Timestamp, now: Timestamp) -> Override {
    let until = order.until.map(|until| now + until.since(wall).min(until.since(order.made_at)));
    Override { position: order.position, until, safety: order.safety }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_lasts_as_long_as_was_ordered_whatever_the_wall_clock_says() {
        let hour = Duration::from_secs(3600);
        let made_at = Timestamp(1_780_000_000_000);
        let order = OverrideRow {
            position: Position::Closed,
            made_at,
            until: Some(made_at + hour * 2),
            safety: false,
            by: "Ana".into(),
            why: "works".into(),
        };
        let own = Timestamp(5_000);
        assert_eq!(in_own_time(&order, made_at, own).until, Some(own + hour * 2));
        assert_eq!(in_own_time(&order, made_at + hour, own).until, Some(own + hour));
        assert_eq!(in_own_time(&order, made_at + hour * 3, own).until, Some(own));
        assert_eq!(in_own_time(&order, Timestamp(0), own).until, Some(own + hour * 2), "a clock that begins in 1970");
    }
}
