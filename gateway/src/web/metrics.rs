//! Figures for Prometheus, in its text format 0.0.4, with names and units by its conventions.

use super::Shared;
use super::watched::coins;
use crate::access::{Scope, Who};
use crate::house::VERSION;
use actix_web::{HttpResponse, web};
use domain::Position;
use ledger::{AccountRow, Totals};
use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::time::Duration;

/// How old an agent's last round may be before the process counts as stuck; systemd's watchdog has the same patience.
const STUCK: Duration = Duration::from_secs(120);

/// A page of figures.
#[derive(Default)]
struct Figures(String);

impl Figures {
    /// Begins a family; what follows belongs to it.
    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        // Writing to a text does not fail.
        let _ = writeln!(self.0, "# HELP microgrid_{name} {help}\n# TYPE microgrid_{name} {kind}");
        Family { text: &mut self.0, name }
    }

    fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", help)
    }
}

struct Family<'f> {
    text: &'f mut String,
    name: &'static str,
}

impl Family<'_> {
    fn is(&mut self, value: impl Display) {
        self.of(&[], value);
    }

    fn of(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let escaped = |v: &str| v.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels: Vec<String> = labels.iter().map(|(k, v)| format!("{k}=\"{}\"", escaped(v))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.text, "microgrid_{}{labels} {value}", self.name);
    }
}

/// What is to go to the chain, and what will not.
struct Outbox {
    open: usize,
    refused: i64,
}

/// Milliseconds as seconds, exactly.
fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// `GET /metrics`
pub(super) async fn metrics(shared: web::Data<Shared>, who: web::ReqData<Who>) -> HttpResponse {
    let read = shared.scribe().read(|ledger| {
        let outbox = Outbox { open: ledger.open_intents()?.len(), refused: ledger.intents_refused()? };
        Ok((ledger.totals()?, ledger.accounts()?, outbox))
    });
    let (totals, accounts, outbox) = match read.await {
        Ok(read) => read,
        Err(error) => return HttpResponse::ServiceUnavailable().body(error.to_string()),
    };
    let mut figures = Figures::default();
    figures.gauge("build_info", "The version that runs.").of(&[("version", VERSION)], 1);
    devices(&mut figures, &shared);
    books(&mut figures, &shared, &totals, &accounts);
    chain(&mut figures, &shared, &totals, &outbox);
    broker(&mut figures, &shared);
    if who.scopes.contains(&Scope::Read) {
        customers(&mut figures, &shared, &accounts);
    }
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(figures.0)
}

fn devices(figures: &mut Figures, shared: &Shared) {
    let live = shared.board().look();
    let mut family = figures.counter("meter_readings_total", "Readings recorded since the start.");
    for (meter, m) in &live.meters {
        family.of(&[("meter", meter.as_str())], m.count);
    }
    let labels = |name: &'_ String, bus: &'_ String| [("device", name.clone()), ("bus", bus.clone())];
    let mut each = |name, help: &str, value: &dyn Fn(&actors::DeviceHealth) -> Option<String>| {
        let mut family = figures.gauge(name, help);
        for (device, health) in &live.devices {
            if let Some(value) = value(health) {
                let labels = labels(device, &health.bus);
                family.of(&labels.each_ref().map(|(k, v)| (*k, v.as_str())), value);
            }
        }
    };
    each("device_up", "Whether the device answers.", &|h| Some(u8::from(h.ok).to_string()));
    each("device_failures", "Failures in a row.", &|h| Some(h.failures.to_string()));
    each("device_read_seconds", "How long a reading takes of late.", &|h| h.latency_ms.map(seconds));
    each("device_period_seconds", "From one answer to the next of late.", &|h| h.period_ms.map(seconds));
    let mut positions = BTreeMap::from([("closed", 0_u32), ("open", 0), ("unknown", 0)]);
    for switch in live.switches.values() {
        let position = match switch.position {
            Some(Position::Closed) => "closed",
            Some(Position::Open) => "open",
            None => "unknown",
        };
        *positions.entry(position).or_default() += 1;
    }
    let mut family = figures.gauge("switches", "Switches by the position that was read back.");
    for (position, n) in positions {
        family.of(&[("position", position)], n);
    }
    let ailing = live.switches.values().filter(|s| s.problem.is_some() || s.suspicion.is_some()).count();
    figures.gauge("switches_ailing", "Switches that do not follow or are not to be trusted.").is(ailing);
    if let Some(location) = &live.location {
        let mut family = figures.gauge("anchor_beacons", "Beacons of meters that each anchor heard in this epoch.");
        for anchor in &location.anchors {
            family.of(&[("anchor", &anchor.id)], anchor.heard);
        }
        let mut states =
            BTreeMap::from([("proved", 0_u32), ("failed", 0), ("held", 0), ("unproved", 0), ("waiting", 0)]);
        location.meters.values().for_each(|m| *states.entry(m.state()).or_default() += 1);
        let mut family = figures.gauge("places", "Meters by what their newest proof of location says.");
        for (state, n) in states {
            family.of(&[("state", state)], n);
        }
        let stale = location.meters.values().map(|m| m.stale).sum::<u64>();
        figures.gauge("location_stale_beacons", "Beacons of this epoch whose code is over.").is(stale);
        figures
            .gauge("location_strange_beacons", "Beacons of this epoch that are nobody's here.")
            .is(location.strangers);
        figures
            .counter("location_beacons_passed_over_total", "Beacons that were too many to look at.")
            .is(location.passed_over);
    }
    let mut family = figures.gauge("agent_pulse_age_seconds", "How long ago each agent's loop last came round.");
    for (agent, age) in shared.board().pulses() {
        family.of(&[("agent", &agent)], seconds(u64::try_from(age.as_millis()).unwrap_or(u64::MAX)));
    }
}

fn books(figures: &mut Figures, shared: &Shared, totals: &Totals, accounts: &[AccountRow]) {
    let live = shared.board().look();
    figures.gauge("ledger_last_seq", "The newest record of the ledger.").is(totals.last_seq);
    figures.gauge("ledger_priced_seq", "How far readings are billed.").is(totals.priced_seq);
    figures
        .counter("ledger_readings_total", "Readings in the ledger, with those that were cleared away.")
        .is(totals.readings);
    figures.counter("ledger_facts_total", "Facts in the ledger.").is(totals.facts);
    figures
        .gauge("ledger_problem", "Whether the ledger cannot be written.")
        .is(u8::from(live.ledger_problem.is_some()));
    let state = &shared.config().state;
    let bytes = ["ledger.db", "ledger.db-wal"].map(|file| std::fs::metadata(state.join(file)).map_or(0, |m| m.len()));
    figures.gauge("ledger_size_bytes", "Size of the ledger with its log on disk.").is(bytes.iter().sum::<u64>());
    let wh = "watt-hours";
    figures
        .counter("energy_metered_wh_total", &format!("Customers' energy by their registers, in {wh}."))
        .is(totals.metered.0);
    figures.counter("energy_billed_wh_total", &format!("Customers' energy billed, in {wh}.")).is(totals.billed.0);
    figures
        .counter("energy_settled_wh_total", &format!("Customers' energy final on the chain, in {wh}."))
        .is(totals.settled.0);
    let mut credits: BTreeMap<String, u32> = BTreeMap::new();
    for account in accounts {
        *credits.entry(account.credit.to_string()).or_default() += 1;
    }
    let mut family = figures.gauge("accounts", "Accounts by the stage of their credit.");
    for (credit, n) in &credits {
        family.of(&[("credit", credit)], n);
    }
}

fn chain(figures: &mut Figures, shared: &Shared, totals: &Totals, outbox: &Outbox) {
    let health = &shared.board().look().chain;
    figures.counter("chain_settled_batches_total", "Batches final on the chain.").is(totals.settled_batches);
    figures.gauge("chain_block_height", "The newest block that was seen.").is(health.block);
    figures
        .gauge("chain_outbox_waiting", "Whether a transaction is on its way.")
        .is(u8::from(health.waiting.is_some()));
    figures.gauge("chain_outbox_intents", "Intents in the outbox that are not final on the chain.").is(outbox.open);
    figures
        .counter("chain_intents_refused_total", "Intents that the chain or the witnesses refused for good.")
        .is(outbox.refused);
    figures.gauge("chain_problem", "Whether settlement is kept from its work.").is(u8::from(health.problem.is_some()));
    if let Some(wei) = shared.watched().wei() {
        let help = "What the settler has to pay for gas, in coins of 10^18 wei; asked once a minute, absent without an answer.";
        figures.gauge("chain_settler_balance_coins", help).is(coins(wei));
    }
}

/// The broker within. Its counters begin with the process.
fn broker(figures: &mut Figures, shared: &Shared) {
    if let Some(connected) = shared.board().look().broker {
        figures.gauge("broker_connected", "Whether the broker takes our messages.").is(u8::from(connected));
    }
    let Some(now) = shared.watched().broker() else { return };
    for (name, help, value) in [
        ("broker_uptime_seconds", "For how long the broker has run.", now.uptime_s),
        ("broker_clients_connected", "Clients that are connected.", now.connected),
        ("broker_sessions", "Sessions, of clients that are connected and of those that are away.", now.sessions),
        ("broker_subscriptions", "Subscriptions of all sessions.", now.subscriptions),
        ("broker_retained_messages", "Topics with a retained message.", now.retained),
        ("broker_retained_bytes", "Retained messages in memory.", now.retained_bytes),
        ("broker_queued_messages", "Messages that wait in sessions or for an acknowledgement.", now.waiting),
        ("broker_queued_bytes", "These in memory.", now.waiting_bytes),
    ] {
        figures.gauge(name, help).is(value);
    }
    for (name, help, value) in [
        ("broker_messages_received_total", "Messages that came from clients.", now.received),
        ("broker_messages_sent_total", "Messages that went to clients, with repetitions.", now.sent),
        ("broker_messages_dropped_total", "Messages given up: a client was too slow or away too long.", now.dropped),
        ("broker_messages_refused_total", "Messages that a client may not publish.", now.refused),
        ("broker_messages_unretained_total", "Messages delivered and not retained, for want of room.", now.unretained),
        ("broker_connections_refused_total", "Connections refused: password, room or number.", now.turned_away),
    ] {
        figures.counter(name, help).is(value);
    }
}

/// What has a name on it.
fn customers(figures: &mut Figures, shared: &Shared, accounts: &[AccountRow]) {
    let (live, config) = (shared.board().look(), shared.config());
    let mut family = figures.gauge("account_balance", "What is left, in units of the currency.");
    for account in accounts {
        let labels = [("account", account.name.as_str()), ("currency", config.currency.code.as_str())];
        family.of(&labels, config.currency.plain(account.balance));
    }
    let mut family = figures.gauge("meter_power_watts", "Active power; + is from the grid.");
    for (meter, m) in &live.meters {
        if let Some(power) = m.reading.power {
            family.of(&[("meter", meter.as_str())], power.0);
        }
    }
    let mut family = figures.counter("meter_import_wh_total", "The import register, in watt-hours.");
    for (meter, m) in &live.meters {
        if let Some(import) = m.reading.import {
            family.of(&[("meter", meter.as_str())], import.0);
        }
    }
    let mut family = figures.gauge("switch_closed", "Whether the contact was read back as closed.");
    for (switch, s) in &live.switches {
        if let Some(position) = s.position {
            family.of(&[("switch", switch.as_str())], u8::from(position == Position::Closed));
        }
    }
}

/// `GET /health/live`: whether every agent's loop comes round. A probe that finds it stuck may restart the process.
pub(super) async fn alive(shared: web::Data<Shared>) -> HttpResponse {
    let stuck = shared.board().pulses().values().any(|age| *age > STUCK);
    said(!stuck)
}

/// `GET /health/ready`: whether what comes is recorded. A restart would not make it so.
pub(super) async fn ready(shared: web::Data<Shared>) -> HttpResponse {
    said(shared.board().look().ledger_problem.is_none())
}

fn said(well: bool) -> HttpResponse {
    let mut response = if well { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.json(serde_json::json!({ "ok": well }))
}
