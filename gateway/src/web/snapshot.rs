//! One picture of the whole street, as JSON: what the page shows, and what it is sent again when something changes.

use crate::config::{self, Config};
use crate::house::VERSION;
use crate::narrate;
use crate::web::balance::balance;
use crate::web::feeder::{Moment, feeder};
use crate::web::places::places;
use crate::web::prices::prices;
use crate::web::watched::Watched;
use actors::{Board, RecordFailed, Scribe};
use domain::dispatch::RoundState;
use domain::{AccountId, Clock, Fact, Money, Range, Schedule, Seq, Stamp, SwitchId, Timestamp};
use ledger::{AccountRow, MeterRow, Totals};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Events on the page.
const EVENTS: usize = 40;
/// Plans on the chain that are on the page.
const SHOWN_ROUNDS: u32 = 4;
/// The least real time between two pictures.
const PAUSE: Duration = Duration::from_millis(900);

/// What the page's handlers share.
pub struct Shared {
    config: Arc<Config>,
    clock: Clock,
    scribe: Scribe,
    board: Board,
    updates: watch::Receiver<Arc<str>>,
    latest: Arc<Mutex<Latest>>,
    watched: Watched,
}

/// The newest facts, and how far they were read.
#[derive(Default)]
struct Latest {
    cursor: Seq,
    facts: VecDeque<(Seq, Timestamp, Fact)>,
}

struct Parts {
    accounts: Vec<AccountRow>,
    meters: Vec<MeterRow>,
    totals: Totals,
    schedule: Option<Schedule>,
    rounds: Vec<(Timestamp, RoundState)>,
    facts: Vec<(Seq, Timestamp, Fact)>,
}

impl Shared {
    /// Starts the painter: a new picture whenever something changed, and none while nobody looks.
    pub fn new(config: Arc<Config>, clock: Clock, scribe: Scribe, board: Board, watched: Watched) -> Self {
        let (send, updates) = watch::channel(Arc::from(""));
        let latest = Arc::default();
        let shared = Self { config, clock, scribe, board, updates, latest, watched };
        let painter = shared.clone_for_painter();
        actix_web::rt::spawn(async move {
            let mut changes = painter.board.changes();
            let mut recorded = painter.scribe.recorded();
            loop {
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return },
                    changed = recorded.changed() => if changed.is_err() { return },
                }
                // One receiver is the template that new pages clone; more means that somebody looks.
                if send.receiver_count() > 2 {
                    match painter.snapshot().await {
                        Ok(json) => drop(send.send_replace(json)),
                        Err(error) => tracing::warn!(%error, "the page is not updated"),
                    }
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        shared
    }

    fn clone_for_painter(&self) -> Self {
        Self {
            config: Arc::clone(&self.config),
            clock: self.clock.clone(),
            scribe: self.scribe.clone(),
            board: self.board.clone(),
            updates: self.updates.clone(),
            latest: Arc::clone(&self.latest),
            watched: self.watched.clone(),
        }
    }

    /// The configuration.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config)
    }

    /// What is watched for `/metrics` alone.
    pub fn watched(&self) -> &Watched {
        &self.watched
    }

    /// The instant it is.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The same with the time since the machine was started.
    pub fn stamp(&self) -> Stamp {
        self.clock.stamp()
    }

    /// Pictures from now on.
    pub fn subscribe(&self) -> watch::Receiver<Arc<str>> {
        let mut updates = self.updates.clone();
        updates.borrow_and_update();
        updates
    }

    /// What is of the moment.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// The way to the Recorder.
    pub fn scribe(&self) -> &Scribe {
        &self.scribe
    }

    /// What keeps the gateway from doing its work, in words.
    pub fn problems(&self) -> Vec<String> {
        let live = self.board.look();
        let devices = live.devices.iter().filter(|(_, d)| !d.ok);
        let mut found: Vec<String> =
            devices.map(|(name, d)| format!("{name}: {}", d.problem.as_deref().unwrap_or("does not answer"))).collect();
        let switches = live.switches.iter().filter_map(|(id, s)| Some((id, s.problem.as_ref()?)));
        found.extend(switches.map(|(id, problem)| format!("switch {id}: {problem}")));
        let suspected = live.switches.iter().filter_map(|(id, s)| Some((id, s.suspicion?)));
        found.extend(suspected.map(|(id, suspicion)| format!("switch {id}: {suspicion}")));
        let inverters = live.inverters.iter().filter_map(|(id, i)| Some((id, i.problem.as_ref()?)));
        found.extend(inverters.map(|(id, problem)| format!("inverter {id}: {problem}")));
        let unplanned = live.plan.as_ref().and_then(|plan| plan.problem.as_ref());
        found.extend(unplanned.map(|problem| format!("dispatch: {problem}")));
        let unproved = live.plan.as_ref().and_then(|plan| plan.unproved.as_ref());
        found.extend(unproved.map(|problem| format!("dispatch: plans are not judged on the chain: {problem}")));
        let located = live.location.iter().flat_map(|l| &l.meters);
        found.extend(located.filter_map(|(id, place)| Some(format!("place of {id}: {}", place.problem()?))));
        found.extend(live.location.iter().filter_map(|l| Some(format!("location: {}", l.problem.as_ref()?))));
        found.extend(live.webhook_problem.clone().map(|p| format!("web hook: {p}")));
        found.extend(live.ledger_problem.clone().map(|p| format!("ledger: {p}")));
        found.extend(live.prices.problem.clone().map(|p| format!("price ranges: {p}")));
        found.extend(live.chain.problem.clone().map(|p| format!("chain: {p}")));
        found.extend(live.witness.as_ref().and_then(|w| w.problem.clone()).map(|p| format!("witnesses: {p}")));
        found.extend((live.broker == Some(false)).then(|| "broker: does not take our messages".to_owned()));
        found
    }

    /// The picture now.
    pub async fn snapshot(&self) -> Result<Arc<str>, RecordFailed> {
        let cursor = self.latest.lock().unwrap_or_else(PoisonError::into_inner).cursor;
        let parts = self
            .scribe
            .read(move |ledger| {
                let mut from = cursor;
                let mut facts = Vec::new();
                loop {
                    let more = ledger.facts_after(from, 1_000)?;
                    let Some((last, _, _)) = more.last() else { break };
                    from = *last;
                    facts.extend(more.into_iter().filter(|(_, _, fact)| !narrate::is_routine(fact)));
                    let extra = facts.len().saturating_sub(EVENTS);
                    facts.drain(..extra);
                }
                Ok(Parts {
                    accounts: ledger.accounts()?,
                    meters: ledger.meters()?,
                    totals: ledger.totals()?,
                    schedule: ledger.schedule()?,
                    rounds: ledger.newest_rounds(SHOWN_ROUNDS)?,
                    facts,
                })
            })
            .await?;
        Ok(Arc::from(self.paint(parts).to_string()))
    }

    fn paint(&self, parts: Parts) -> Value {
        let (config, now) = (&self.config, self.clock.now());
        let held: BTreeMap<_, _> =
            parts.meters.iter().filter_map(|m| Some((m.name.clone(), m.book.as_ref()?.held?.to_string()))).collect();
        // Whose a meter is, the ledger knows: somebody may have moved it since the configuration was read.
        let owners: BTreeMap<_, _> = parts.meters.iter().map(|m| (m.name.clone(), m.account.clone())).collect();
        let owner = |m: &config::Meter| owners.get(&m.id).cloned().unwrap_or_else(|| m.account.clone());
        let meter = |m: &config::Meter| self.meter(m, held.get(&m.id));
        let live_switches: BTreeMap<SwitchId, Value> = {
            let live = self.board.look();
            live.switches
                .iter()
                .map(|(id, s)| {
                    let value = json!({
                        "id": id, "position": s.position, "wanted": s.wanted,
                        "reason": s.reason.map(|r| r.to_string()), "problem": s.problem, "state": s.state,
                        "suspicion": s.suspicion.map(|x| x.to_string()), "ordered": s.ordered,
                    });
                    (id.clone(), value)
                })
                .collect()
        };
        let homes: Vec<Value> =
            parts.accounts.iter().filter_map(|a| self.home(a, &owner, &meter, &live_switches)).collect();
        let others: Vec<Value> = config.meters.iter().filter(|m| owner(m).is_none()).map(meter).collect();
        let behind =
            config.meters.iter().filter_map(|m| Some((m, owner(m).filter(|o| m.configured.as_ref() != Some(o))?)));
        let behind: Vec<_> = behind.map(|(m, to)| json!({ "meter": m.id, "account": to })).collect();
        let newest = parts.schedule.as_ref().map(Schedule::newest);
        let same = |t: &domain::Tariff| match config.forecast {
            Some(_) => t.same_prices(&config.tariff),
            None => t.same_terms(&config.tariff),
        };
        let prices_behind = newest.filter(|t| !same(t)).map(|t| t.version);
        let totals = &parts.totals;
        let tariff = parts.schedule.as_ref().map_or(&config.tariff, |s| s.at(now));
        let announced = newest.filter(|t| t.since > now);
        let range = tariff.range_at(now);
        let per_kwh = |price: domain::Price| {
            let amount = domain::Money(i64::from(price.0).saturating_mul(1000));
            format!("{}/kWh", config.currency.show(amount))
        };
        let live = self.board.look();
        json!({
            "site": config.site,
            "version": VERSION,
            "now": now.to_string(),
            "local": config.tariff.zone.hh_mm(now),
            "speed": self.clock.speed(),
            "simulated": config.is_simulated() || config.has_simulated_radio(),
            "tariff": {
                "range": match range { Range::OffPeak => "off-peak", Range::Peak => "peak" },
                "version": tariff.version,
                "price": per_kwh(tariff.rates.price(range)),
                "off_peak": per_kwh(tariff.rates.off_peak),
                "peak": per_kwh(tariff.rates.peak),
                "feed_in": per_kwh(tariff.rates.feed_in),
                "network_fee": per_kwh(tariff.rates.network),
                "peak_hours": tariff.peak_hours,
                "announced": announced.map(|t| json!({
                    "version": t.version, "since": t.since.to_string(), "since_local": t.zone.day_and_time(t.since),
                    "off_peak": per_kwh(t.rates.off_peak), "peak": per_kwh(t.rates.peak),
                    "feed_in": per_kwh(t.rates.feed_in), "peak_hours": t.peak_hours,
                })),
            },
            // What the configuration does not say yet.
            "behind": { "tariff": prices_behind, "meters": behind },
            "homes": homes,
            "others": others,
            "chain": live.chain,
            "witness": live.witness,
            "broker": { "connected": live.broker },
            "balance": live.balance.as_ref().map(balance),
            "places": live.location.as_ref().map(|l| places(l, &config.tariff.zone)),
            "prices": prices(&live.prices, config),
            "feeder": feeder(config, &Moment {
                plan: live.plan.as_ref(), inverters: &live.inverters, meters: &live.meters, rounds: &parts.rounds,
            }),
            // No failure: every machine without a battery for its clock begins like this.
            "clock_problem": live.clock_problem,
            "ledger": {
                "last_seq": totals.last_seq, "priced_seq": totals.priced_seq, "readings": totals.readings,
                "settled_batches": totals.settled_batches, "metered_wh": totals.metered,
                "settled_wh": totals.settled, "pending_wh": (totals.billed - totals.settled),
                "problem": live.ledger_problem,
            },
            "events": self.events(parts.facts),
        })
    }

    fn meter(&self, m: &config::Meter, held: Option<&String>) -> Value {
        let live = self.board.look();
        let health = live.devices.get(m.id.as_str());
        let r = live.meters.get(&m.id).map(|l| &l.reading);
        json!({
            "id": m.id, "model": m.template.model, "bus": m.bus,
            "ok": health.is_none_or(|h| h.ok),
            "problem": health.and_then(|h| h.problem.clone()),
            "held": held,
            // As wanted and as achieved, both on the gateway's clock; a bus that cannot keep up shows here first.
            "wanted_period_ms": u64::try_from(m.period.as_millis()).ok(),
            "period_ms": health.and_then(|h| h.period_ms).map(|ms| ms.saturating_mul(self.clock.speed().into())),
            "latency_ms": health.and_then(|h| h.latency_ms),
            "at": r.map(|r| r.at.to_string()),
            "power_w": r.and_then(|r| r.power),
            "import_kwh": r.and_then(|r| r.import).map(kilo),
            "export_kwh": r.and_then(|r| r.export).map(kilo),
            "voltage_v": r.and_then(|r| r.voltage),
            "current_a": r.and_then(|r| r.current),
            "frequency_hz": r.and_then(|r| r.frequency),
        })
    }

    /// One customer; `None` for an account that the configuration no longer names.
    fn home(
        &self,
        row: &AccountRow,
        owner: &impl Fn(&config::Meter) -> Option<AccountId>,
        meter: &impl Fn(&config::Meter) -> Value,
        switches: &BTreeMap<SwitchId, Value>,
    ) -> Option<Value> {
        let config = &self.config;
        let account = config.accounts.iter().find(|a| a.id == row.name)?;
        let owned = |id: &AccountId| *id == row.name;
        let mine: Vec<&config::Switch> = config.switches.iter().filter(|s| owned(&s.account)).collect();
        let unknown = |s: &config::Switch| json!({ "id": s.id, "position": null, "wanted": null, "reason": null, "problem": null });
        let live = self.board.look().accounts.get(&row.name).cloned();
        let local = |at: Timestamp| config.tariff.zone.hh_mm(at);
        Some(json!({
            "account": row.name, "number": row.number,
            "balance": config.currency.show(row.balance), "balance_units": row.balance,
            "credit": row.credit, "prepaid": row.topped_up.0 > 0 && !row.unlocked, "protected": account.terms.protected,
            "stage": live.as_ref().map_or(row.credit, |l| l.credit),
            "supply": live.as_ref().map(|l| l.supply.to_string()),
            "supply_reason": live.as_ref().map(|l| l.reason.to_string()),
            "emergency": live.as_ref().map(|l| l.emergency),
            "friendly_until": live.as_ref().and_then(|l| l.friendly_until).map(|at| at.to_string()),
            "friendly_until_local": live.as_ref().and_then(|l| l.friendly_until).map(local),
            "days_left": live.as_ref().and_then(actors::AccountLive::days_left),
            "prosumer": row.registers.feed_in.0 > 0,
            "takes": {
                "voucher": !config.operators.is_empty(), "token": account.tokens.is_some(),
            },
            "topped_up": config.currency.show(row.topped_up),
            "debt": config.currency.show(row.debt), "owes": row.debt > Money::ZERO,
            "used_kwh": kilo(row.registers.off_peak + row.registers.peak),
            "fed_in_kwh": kilo(row.registers.feed_in),
            "meters": config.meters.iter().filter(|m| owner(m).as_ref().is_some_and(owned)).map(meter).collect::<Vec<_>>(),
            "switches": mine.iter().map(|s| switches.get(&s.id).cloned().unwrap_or_else(|| unknown(s))).collect::<Vec<_>>(),
        }))
    }

    fn events(&self, fresh: Vec<(Seq, Timestamp, Fact)>) -> Vec<Value> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        for (seq, at, fact) in fresh {
            if seq > latest.cursor {
                latest.cursor = seq;
                latest.facts.push_front((seq, at, fact));
            }
        }
        latest.facts.truncate(EVENTS);
        let zone = &self.config.tariff.zone;
        latest
            .facts
            .iter()
            .map(|(seq, at, fact)| {
                let (level, text) = narrate::sentence(fact, &self.config.currency);
                json!({ "seq": seq, "at": at.to_string(), "local": zone.hh_mm(*at), "text": text, "level": level })
            })
            .collect()
    }
}

fn kilo(energy: domain::WattHours) -> f64 {
    // Exact: a register is below 2^40 and has three decimals of a kWh.
    #[allow(clippy::cast_precision_loss, reason = "below 2^53")]
    let watt_hours = energy.0 as f64;
    watt_hours / 1000.0
}
