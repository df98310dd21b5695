//! Publishes what is known to the broker: live values, switches, accounts, and Home Assistant's discovery of them.

mod alarms;
mod commands;
mod discovery;
mod inverters;
mod leavers;
mod places;
mod prices;

use crate::{Board, Roof, Scribe};
use actix::prelude::*;
use domain::{AccountId, Clock, Currency, MeterId, SwitchId};
use drivers::MqttSpec;
use drivers::mqtt::{Link, Will};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What is published, and where.
#[derive(Clone)]
pub struct HeraldPlan {
    /// The broker.
    pub broker: MqttSpec,
    /// The site's name: the second level of every topic.
    pub site: String,
    /// Home Assistant's discovery prefix.
    pub discovery: String,
    /// Meters, with the model's name and the account that pays.
    pub meters: Vec<(MeterId, String, Option<AccountId>)>,
    /// Meters that are compared on the feeder; empty where nothing is compared.
    pub audited: Vec<MeterId>,
    /// Meters whose place is looked at.
    pub located: Vec<MeterId>,
    /// Switches, with whose they are.
    pub switches: Vec<(SwitchId, AccountId)>,
    /// Inverters that are limited, with the model's name.
    pub inverters: Vec<(Roof, String)>,
    /// The currency of balances.
    pub currency: Currency,
    /// Program version, told to Home Assistant.
    pub version: String,
    /// Whether customers' wishes are taken from the broker.
    pub customer_commands: bool,
    /// The least real time between two rounds of publishing.
    pub pause: Duration,
}

impl HeraldPlan {
    /// The gateway's identifier in Home Assistant, which its devices are reached through.
    fn device(&self) -> String {
        format!("microgrid_{}", self.site)
    }

    fn topic(&self, kind: &str, name: &str, what: &str) -> String {
        format!("microgrid/{}/{kind}/{name}/{what}", self.site)
    }

    fn status(&self) -> String {
        format!("microgrid/{}/status", self.site)
    }

    fn problems(&self) -> String {
        format!("microgrid/{}/problems", self.site)
    }

    /// Where prices and their ranges are told.
    fn tariff(&self) -> String {
        format!("microgrid/{}/tariff/state", self.site)
    }

    /// Where it is told what is wrong with a meter on the feeder, or with the feeder itself.
    fn balance(&self, meter: Option<&MeterId>) -> String {
        match meter {
            Some(meter) => self.topic("meter", meter.as_str(), "balance"),
            None => format!("microgrid/{}/balance", self.site),
        }
    }
}

/// Publishes.
pub struct Herald {
    plan: Arc<HeraldPlan>,
    clock: Clock,
    scribe: Scribe,
    board: Board,
}

impl Herald {
    /// A herald.
    #[must_use]
    pub fn new(plan: HeraldPlan, clock: Clock, scribe: Scribe, board: Board) -> Self {
        Self { plan: Arc::new(plan), clock, scribe, board }
    }
}

impl Actor for Herald {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let work = proclaim(Arc::clone(&self.plan), self.clock.clone(), self.scribe.clone(), self.board.clone());
        ctx.spawn(work.into_actor(self));
    }
}

async fn proclaim(plan: Arc<HeraldPlan>, clock: Clock, scribe: Scribe, board: Board) {
    let will = Will { topic: plan.status(), payload: b"offline".to_vec(), retain: true };
    let link = Link::connect(plan.broker.clone(), Some(will));
    let mut up = link.connected();
    let mut birth = link.subscribe(&format!("{}/status", plan.discovery));
    let mut commands = commands::Commands::new(&plan, &link);
    let mut born = false;
    let mut leavers = leavers::Leavers::new(&plan, &link);
    let mut changes = board.changes();
    // What the broker was last told, so that only news is sent. It may have forgotten all of it when it was away.
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    loop {
        // Any change means that the connection was lost at least once, and with it, perhaps, what the broker knew: it has
        // published our will.
        if up.has_changed().unwrap_or(false) {
            told.clear();
        }
        if *up.borrow_and_update() {
            if board.look().broker != Some(true) {
                board.update(|live| live.broker = Some(true));
            }
            while let Some(message) = birth.try_recv() {
                born |= message.payload == b"online";
            }
            if born {
                told.clear();
            }
            let news = gather(&plan, &clock, &scribe, &board).await;
            for (topic, payload, retain) in leavers.cleared(&news, std::mem::take(&mut born)) {
                told.remove(&topic);
                if let Err(error) = link.publish(&topic, payload, retain).await {
                    tracing::warn!(%topic, %error, "what is gone stays announced");
                }
            }
            for (topic, payload) in news {
                if told.get(&topic) != Some(&payload) && link.publish(&topic, payload.clone(), true).await.is_ok() {
                    told.insert(topic, payload);
                }
            }
        } else if board.look().broker != Some(false) {
            board.update(|live| live.broker = Some(false));
        }
        board.pulse("herald");
        // Customers do not wait for the round to end.
        let pause = tokio::time::sleep(plan.pause);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => break,
                wish = commands.next() => commands.follow(&wish, &plan, &scribe).await,
            }
        }
        tokio::select! {
            wish = commands.next() => commands.follow(&wish, &plan, &scribe).await,
            changed = changes.changed() => { let _ = changed; }
            changed = up.changed() => { let _ = changed; }
            message = birth.recv() => { born |= message.payload == b"online"; }
            // Accounts change in the ledger without a change on the board.
            () = tokio::time::sleep(Duration::from_secs(5)) => {}
        }
        changes.borrow_and_update();
    }
}

/// Everything worth knowing now, by topic. All of it is retained: who subscribes later knows as much.
async fn gather(plan: &HeraldPlan, clock: &Clock, scribe: &Scribe, board: &Board) -> Vec<(String, String)> {
    let mut news = discovery::announcements(plan);
    news.extend(inverters::announcements(plan));
    news.push((plan.status(), "online".into()));
    {
        let live = board.look();
        let feeder = live.balance.as_ref().and_then(|b| alarms::words(&b.standing));
        let problems = json!({
            "ledger": live.ledger_problem, "chain": live.chain.problem, "feeder": feeder, "ranges": live.prices.problem,
            "witness": live.witness.as_ref().and_then(|w| w.problem.clone()),
            "location": live.location.as_ref().and_then(|l| l.problem.clone()),
        });
        news.push((plan.problems(), problems.to_string()));
        news.extend(prices::state(plan, &live.prices));
        if let Some(location) = &live.location {
            news.extend(places::state(plan, location));
        }
        if let Some(balance) = &live.balance {
            news.extend(alarms::alarms(plan, balance));
        }
        let available = |device: &MeterId| {
            let healthy = live.devices.get(device.as_str()).is_some_and(|d| d.ok);
            if healthy { "online" } else { "offline" }.to_owned()
        };
        for (roof, _) in &plan.inverters {
            news.push((plan.topic("inverter", roof.id.as_str(), "availability"), available(&roof.own)));
        }
        news.extend(inverters::states(plan, &live.inverters, &live.meters));
        for (id, _, _) in &plan.meters {
            news.push((plan.topic("meter", id.as_str(), "availability"), available(id)));
            if let Some(meter) = live.meters.get(id) {
                let r = &meter.reading;
                let mut body = serde_json::Map::new();
                // What a meter does not know is left out: Home Assistant would take a zero for a new meter.
                let mut put = |key: &str, value: Option<Value>| value.map(|v| body.insert(key.into(), v));
                put("power_w", r.power.map(|v| v.0.into()));
                put("import_kwh", r.import.map(|v| kilo(v.0)));
                put("export_kwh", r.export.map(|v| kilo(v.0)));
                put("voltage_v", r.voltage.map(|v| v.get().into()));
                put("current_a", r.current.map(|v| v.get().into()));
                put("frequency_hz", r.frequency.map(|v| v.get().into()));
                put("at", Some(r.at.to_string().into()));
                news.push((plan.topic("meter", id.as_str(), "state"), Value::Object(body).to_string()));
            }
        }
        for (id, _) in &plan.switches {
            if let Some(switch) = live.switches.get(id) {
                let state = json!({
                    "position": switch.position,
                    "wanted": switch.wanted,
                    "reason": switch.reason.map(|r| r.to_string()),
                    "problem": switch.problem,
                    "state": switch.state,
                    "suspicion": switch.suspicion.map(|s| s.to_string()),
                });
                news.push((plan.topic("switch", id.as_str(), "state"), state.to_string()));
            }
        }
    }
    match scribe.read(ledger::Ledger::accounts).await {
        Ok(accounts) => {
            for a in accounts {
                let balance: f64 = plan.currency.plain(a.balance).parse().unwrap_or(0.0);
                let judged = board.look().accounts.get(&a.name).cloned();
                let state = json!({
                    "balance": balance,
                    "currency": plan.currency.code,
                    "credit": a.credit,
                    "stage": judged.as_ref().map_or(a.credit, |j| j.credit),
                    "supply": judged.as_ref().map(|j| j.supply.to_string()),
                    "reason": judged.as_ref().map(|j| j.reason.to_string()),
                    "emergency": judged.as_ref().map(|j| j.emergency),
                    "friendly_until": judged.as_ref().and_then(|j| j.friendly_until).map(|at| at.to_string()),
                    "days_left": judged.as_ref().and_then(crate::AccountLive::days_left),
                });
                news.push((plan.topic("account", a.name.as_str(), "state"), state.to_string()));
            }
        }
        Err(error) => tracing::warn!(%error, now = %clock.now(), "balances are not published"),
    }
    news
}

/// Watt-hours as kilowatt-hours, exact to the watt-hour: registers are below 2^40.
fn kilo(watt_hours: i64) -> Value {
    #[allow(clippy::cast_precision_loss, reason = "below 2^53")]
    let watt_hours = watt_hours as f64;
    (watt_hours / 1000.0).into()
}
