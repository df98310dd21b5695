//! Builds the whole gateway from a configuration, leaf first, and takes it down again.

use crate::access::Access;
use crate::config::{ChainKind, Config, own_meter};
use crate::failure::{Code, Failure};
use crate::{broker, fleet, radios, simulate, web};
use actix::{Actor, Addr};
use actors::witness::feeder::FeederPlan;
use actors::{
    AccountPlan, AuditPlan, Auditor, Board, Enforcer, FeePolicy, ForecastPlan, HeadCame, Herald, HeraldPlan,
    InverterPlan, Keeper, KeeperPlan, KnownInverter, Locator, MeterPlan, Notifier, NotifierPlan, Planner, PlannerPlan,
    Poller, Pricer, PricerPlan, Ranger, RangerPlan, Recorder, Scribe, SettleNow, Settler, SettlerPlan, Stagger,
    SwitchPlan, Warden, Witness, WitnessPlan,
};
use contracts::chain::Chain;
use contracts::embedded::{EmbeddedChain, Genesis};
use contracts::endpoints::Endpoints;
use contracts::heads::Heads;
use contracts::key::{LocalKey, Signer};
use contracts::rpc::JsonRpc;
use contracts::trust::Trust;
use contracts::{Address, U256};
use domain::{BusId, Clock, Fact, MeterId, Money};
use drivers::{Bus, Switch, Webhook};
use futures_util::future::join_all;
use ledger::{Enrolled, Enrolment, Grid, Group, Ledger};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

/// Program version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Coin that the embedded chain gives to those who have any at its start.
const GENESIS_COINS: u64 = 1_000_000_000;
/// How long a start waits for MQTT brokers. Ours is there at once; nobody's light depends on another's.
const LISTENS_WITHIN: Duration = Duration::from_secs(2);

/// A running gateway.
pub struct House {
    /// What it was built from.
    pub config: Arc<Config>,
    /// Its clock.
    pub clock: Clock,
    /// Its ledger, and the way to write it.
    pub scribe: Scribe,
    /// What is of the moment.
    pub board: Board,
    /// The chain it settles on.
    pub chain: Arc<dyn Chain>,
    /// Who is let in.
    pub access: Arc<Access>,
    /// Where it listens, by name.
    pub listening: BTreeMap<String, String>,
    pollers: Vec<Addr<Poller>>,
    settler: Addr<Settler>,
    servers: Vec<actix_web::dev::ServerHandle>,
    _simulated: Vec<drivers::simulator::Running>,
    _broker: Option<Arc<::broker::Broker>>,
    _heads: Vec<Heads>,
    /// Held for as long as the gateway runs.
    _lock: std::fs::File,
}

/// Opens the settler's key. The embedded chain is ours alone, so its key may be made on the spot.
pub fn settler_key(config: &Config) -> Result<LocalKey, Failure> {
    let config_error = |e: contracts::key::KeyError| Failure::new(Code::Config, e);
    let path = &config.chain.key_file;
    let password = || crate::verbs::key::password(config.chain.password_file.as_deref());
    // systemd's LoadCredential= wins over a file: it is what a packaged unit uses.
    if let Some(folder) = std::env::var_os("CREDENTIALS_DIRECTORY") {
        let credential = std::path::Path::new(&folder).join("settler.key");
        if credential.exists() {
            return LocalKey::open(&credential, true, password).map_err(config_error);
        }
    }
    if !path.exists() && matches!(config.chain.kind, ChainKind::Embedded { .. }) {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|e| Failure::new(Code::Unavailable, format!("cannot create {}: {e}", folder.display())))?;
        }
        let key = LocalKey::generate().map_err(config_error)?;
        key.save_new(path).map_err(config_error)?;
        return Ok(key);
    }
    if !path.exists() {
        let make = format!("{}: there is no key yet; make one with: microgrid-gateway key new {0}", path.display());
        return Err(Failure::new(Code::Config, make));
    }
    LocalKey::open(path, false, password).map_err(config_error)
}

/// The embedded chain of this configuration.
pub fn embedded_chain(
    config: &Config,
    fund: &[Address],
    settler: Address,
    clock: &Clock,
) -> Result<EmbeddedChain, Failure> {
    let coins = U256::from(GENESIS_COINS) * U256::from(10).pow(U256::from(18));
    let mut alloc = vec![(settler, coins)];
    alloc.extend(fund.iter().filter(|a| **a != settler).map(|a| (*a, coins)));
    alloc.dedup();
    let genesis = Genesis { chain_id: config.chain.chain_id, alloc };
    Ok(EmbeddedChain::open(&config.state.join("chain"), genesis, clock.clone())?)
}

/// Wei in one minor unit: a coin of the chain stands for one unit of the currency.
#[must_use]
pub fn wei_per_unit(config: &Config) -> U256 {
    U256::from(10).pow(U256::from(18 - u32::from(config.currency.decimals.min(18))))
}

impl House {
    /// Builds it. Afterwards everything runs.
    pub async fn build(mut config: Config, clock: Clock) -> Result<Self, Failure> {
        std::fs::create_dir_all(&config.state)
            .map_err(|e| Failure::new(Code::Unavailable, format!("cannot create {}: {e}", config.state.display())))?;
        let mut listening = BTreeMap::new();
        let mut servers = Vec::new();

        let lock = lock(&config.state)?;
        let ledger = Arc::new(Ledger::open(&config.state.join("ledger.db"))?);
        if let Some(kept) = ledger.kept_as_it_was() {
            tracing::warn!(
                "the ledger is one of this version now; as it was it is kept as {}, to go back to until you remove it",
                kept.display()
            );
        }
        enrol(&mut config, &ledger, &clock)?;
        let config = Arc::new(config);
        let scribe = Recorder::launch(Arc::clone(&ledger), clock.clone())?;
        let board = Board::default();
        scribe.fact(Fact::Started { version: VERSION.into() }).await?;

        let broker = if let Some(b) = &config.broker {
            let running = Arc::new(broker::start(&config, b)?);
            listening.insert("mqtt".into(), running.address.to_string());
            listening.extend(running.tls_address.map(|at| ("mqtts".to_owned(), at.to_string())));
            Some(running)
        } else {
            None
        };
        let (plan, rpc) = settler_plan(&config, &clock)?;
        if let Some((at, server)) = rpc {
            listening.insert("json_rpc".into(), at);
            servers.push(server);
        }
        let chain = Arc::clone(&plan.chain);
        let witness = witness_plan(&config, &plan, &clock);
        let signer = Arc::clone(&plan.signer);
        let simulated = simulate::serve(&config, &clock).await?;

        let (buses, mut meters, switches) = devices(&config, &clock)?;
        let inverters = inverters(&config, &buses, &mut meters)?;
        let enforcer = (!switches.is_empty() || !inverters.is_empty()).then(|| {
            let stagger = Stagger::new(config.stagger, clock.now().0.unsigned_abs());
            let enforcer = Enforcer::new(switches, config.lease, clock.clone(), scribe.clone(), board.clone());
            enforcer.staggered(stagger).limiting(inverters).start()
        });
        if let (Some(plan), Some(enforcer)) = (planner_plan(&config), &enforcer) {
            Planner::new(plan, clock.clone(), scribe.clone(), board.clone(), enforcer.clone()).start();
        }
        let pricer = pricer_plan(&config, &clock);
        Pricer::new(pricer, clock.clone(), scribe.clone(), board.clone(), enforcer).start();
        let settler = Settler::new(plan, clock.clone(), scribe.clone(), board.clone()).start();
        let heads = follow_heads(&config, &settler)?;
        let pollers = meters
            .iter_mut()
            .map(|(bus, plans)| {
                let plans = std::mem::take(plans);
                Poller::new(bus.clone(), plans, clock.clone(), scribe.clone(), board.clone()).start()
            })
            .collect();
        let keeper = KeeperPlan { keep: config.keep, guards: config.guards() };
        Keeper::new(keeper, clock.clone(), scribe.clone()).start();
        if let Some(plan) = herald_plan(&config) {
            Herald::new(plan, clock.clone(), scribe.clone(), board.clone()).start();
        }
        if let Some(plan) = audit_plan(&config) {
            Auditor::new(plan, clock.clone(), scribe.clone(), board.clone()).start();
        }
        if let Some(plan) = witness {
            Witness::new(plan, clock.clone(), scribe.clone(), board.clone()).start();
        }
        if let Some(location) = &config.location {
            let plan = radios::plan(location, &config, &clock, &board, Arc::clone(&chain))?;
            Locator::new(plan, clock.clone(), scribe.clone(), board.clone()).start();
        } else {
            actix::spawn(actors::free_places(config.guards(), clock.clone(), scribe.clone()));
        }
        Ranger::new(ranger_plan(&config), clock.clone(), scribe.clone(), board.clone()).start();
        if let Some(url) = &config.webhook {
            let plan = NotifierPlan {
                hook: Webhook::new(url, Duration::from_secs(10)),
                site: config.site.clone(),
                currency: config.currency.clone(),
                retry: Duration::from_secs(2),
            };
            Notifier::new(plan, scribe.clone(), board.clone()).start();
        }
        fleet::start(fleet::Teller {
            config: Arc::clone(&config),
            clock: clock.clone(),
            scribe: scribe.clone(),
            board: board.clone(),
            signer: Arc::clone(&signer),
        });
        let access = Access::new(&config.state);
        if let Some(plan) = &config.web {
            let watched = web::Watched::new(broker.as_ref(), Arc::clone(&chain), signer.address());
            let shared = web::Shared::new(Arc::clone(&config), clock.clone(), scribe.clone(), board.clone(), watched);
            let (at, server) = web::serve(plan, shared, Arc::clone(&access))?;
            listening.insert("http".into(), at);
            servers.push(server);
        }
        warden(&board);
        // Whoever is told that the broker listens may publish at once, and must be heard.
        if tokio::time::timeout(LISTENS_WITHIN, join_all(buses.values().map(Bus::listens))).await.is_err() {
            tracing::warn!("an MQTT broker is not there yet: what its meters say meanwhile is missed");
        }
        Ok(Self {
            config,
            clock,
            scribe,
            board,
            chain,
            access,
            listening,
            pollers,
            settler,
            servers,
            _simulated: simulated,
            _broker: broker,
            _heads: heads,
            _lock: lock,
        })
    }

    /// The page's URL, by the first of its names; none without a page.
    #[must_use]
    pub fn page(&self) -> Option<String> {
        Some(self.config.web.as_ref()?.url(self.listening.get("http")?))
    }

    /// Stops reading meters. What was read is still recorded, priced and settled.
    pub fn stop_reading(&mut self) {
        for poller in self.pollers.drain(..) {
            if let Err(error) = poller.try_send(actors::StopReading) {
                tracing::warn!(%error, "a poller did not hear that it should stop");
            }
        }
    }

    /// Asks for a batch of whatever has moved.
    pub fn settle_now(&self) {
        if let Err(error) = self.settler.try_send(SettleNow) {
            tracing::warn!(%error, "the settler did not hear that it should settle");
        }
    }

    /// Stops reading and serving; what is recorded stays recorded, and the next start goes on from there.
    pub async fn drain(mut self) {
        self.stop_reading();
        for server in self.servers.drain(..) {
            server.stop(false).await;
        }
        let ledger = self.scribe.ledger();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || ledger.checkpoint()).await {
            // Nothing is lost by it: the next start reads the log.
            tracing::warn!(%error, "the ledger's log stays beside it");
        }
    }
}

/// Two gateways on one state folder would order the same switches about.
pub fn lock(state: &std::path::Path) -> Result<std::fs::File, Failure> {
    let failed = |what: String| Failure::new(Code::Unavailable, format!("{}: {what}", state.join("lock").display()));
    try_lock(state).map_err(|e| match e {
        std::fs::TryLockError::WouldBlock => failed("another gateway runs on this state folder; stop it first".into()),
        std::fs::TryLockError::Error(e) => failed(e.to_string()),
    })
}

/// As [`lock`], telling apart that it is held and that it cannot be taken.
pub fn try_lock(state: &std::path::Path) -> Result<std::fs::File, std::fs::TryLockError> {
    let file = std::fs::File::create(state.join("lock")).map_err(std::fs::TryLockError::Error)?;
    // One that root makes is the service's, as the folder is. Others can give away nothing, and need not.
    if let Ok(folder) = std::fs::metadata(state) {
        let _ = std::os::unix::fs::fchown(&file, Some(folder.uid()), Some(folder.gid()));
    }
    file.try_lock()?;
    Ok(file)
}

/// Whether a gateway runs on this configuration's state folder now.
pub fn runs(config: &Config) -> bool {
    config.state.join("lock").exists() && lock(&config.state).is_err()
}

/// Makes sure that the ledger knows everybody, and settles which tariff is in force. Where somebody moved a meter or
/// announced prices since the configuration was written, that was the last word.
fn enrol(config: &mut Config, ledger: &Ledger, clock: &Clock) -> Result<(), Failure> {
    ledger.number_accounts_from(config.chain.first_account)?;
    let ahead = ledger.enrol(&Enrolment {
        accounts: config.accounts.iter().map(|a| Enrolled { id: a.id.clone(), debt_share: a.debt_share }).collect(),
        meters: {
            let own = config.inverters.iter().filter_map(|i| Some((own_meter(&i.id)?, None)));
            config.meters.iter().map(|m| (m.id.clone(), m.account.clone())).chain(own).collect()
        },
    })?;
    for (moved, to) in ahead {
        if !config.accounts.iter().any(|a| a.id == to) {
            let what = format!("meter {moved} was moved to account {to}, which the configuration does not have");
            return Err(Failure::new(Code::Config, what));
        }
        tracing::warn!(meter = %moved, account = %to, "the meter was moved on: write its account into the configuration");
        for meter in config.meters.iter_mut().filter(|m| m.id == moved) {
            meter.account = Some(to.clone());
        }
    }
    let tariff = ledger.adopt_configured(clock.now(), &config.tariff, "the configuration")?;
    let differs = match config.forecast {
        Some(_) => !tariff.same_prices(&config.tariff),
        None => !tariff.same_terms(&config.tariff),
    };
    if differs {
        let version = tariff.version;
        tracing::warn!(version, "other prices were announced since [tariff] was last changed: they hold, not it");
    } else if tariff.since > clock.now() {
        tracing::info!(version = tariff.version, since = %tariff.since, "[tariff] changed; the new prices hold from then on");
    }
    let classes: Vec<_> = config.accounts.iter().map(|a| (a.id.clone(), a.class.clone())).collect();
    ledger.adopt_classes(clock.now(), &classes, "the configuration")?;
    Ok(())
}

/// The nodes behind these URLs. Those that answer as another chain are refused here; the others may be down.
pub fn nodes(urls: &[String], trust: &Trust, chain_id: u64) -> Result<Endpoints, Failure> {
    let mut nodes: Vec<(String, Box<dyn Chain>)> = Vec::new();
    for url in urls {
        let node = JsonRpc::trusting(url, Duration::from_secs(10), trust).map_err(|e| Failure::new(Code::Config, e))?;
        nodes.push((node.shown().to_owned(), Box::new(node)));
    }
    // All at once: the start must not wait for one dead node after the other.
    let ids: Vec<Option<u64>> = std::thread::scope(|scope| {
        let asked: Vec<_> = nodes.iter().map(|(_, node)| scope.spawn(|| node.chain_id().ok())).collect();
        asked.into_iter().map(|id| id.join().ok().flatten()).collect()
    });
    for ((name, _), id) in nodes.iter().zip(ids) {
        if let Some(id) = id.filter(|id| *id != chain_id) {
            let what = format!("{name} answers as chain {id}, but [chain] chain_id is {chain_id}");
            return Err(Failure::new(Code::Config, what));
        }
    }
    Ok(Endpoints::new(nodes, chain_id))
}

type RpcServer = Option<(String, actix_web::dev::ServerHandle)>;

fn settler_plan(config: &Config, clock: &Clock) -> Result<(SettlerPlan, RpcServer), Failure> {
    let signer = Arc::new(settler_key(config)?);
    let mut server = None;
    let (kind, chain): (String, Arc<dyn Chain>) = match &config.chain.kind {
        ChainKind::Embedded { rpc, fund } => {
            let chain = Arc::new(embedded_chain(config, fund, signer.address(), clock)?);
            if let Some(listen) = rpc {
                server = Some(web::serve_rpc(*listen, Arc::clone(&chain))?);
            }
            ("embedded".into(), chain)
        }
        ChainKind::Rpc { urls, trust } => {
            let nodes = nodes(urls, trust, config.chain.chain_id)?;
            // Nobody's light depends on the chain: start, and settle when it is back.
            if let Err(error) = nodes.chain_id() {
                tracing::warn!(%error, "settlement waits");
            }
            (format!("{nodes:?}"), Arc::new(nodes))
        }
    };
    let low_at = config.accounts.iter().map(|a| a.terms.rule.low_at).max().unwrap_or(Money::ZERO);
    let plan = SettlerPlan {
        kind,
        chain,
        chain_id: config.chain.chain_id,
        signer,
        provider: config.chain.provider,
        time_of_use: config.chain.time_of_use,
        dispatch: config.chain.dispatch,
        witness: config.chain.witness,
        wei_per_unit: wei_per_unit(config),
        agreed: config.chain.agreed,
        holders: config.accounts.iter().filter_map(|a| Some((a.id.clone(), a.holder?))).collect(),
        points: config.switches.iter().filter_map(|s| Some((s.id.clone(), s.point?))).collect(),
        low_at,
        confirmations: config.chain.confirmations,
        every: config.chain.settle_every,
        // Asking our own chain costs nothing; a hosted node counts every question.
        poll: match config.chain.kind {
            ChainKind::Embedded { .. } => Duration::from_millis(500),
            ChainKind::Rpc { .. } => Duration::from_secs(3),
        },
        most: 250,
        fees: FeePolicy { ceiling: config.chain.max_fee_gwei * 1_000_000_000, patience: config.chain.patience },
    };
    Ok((plan, server))
}

/// Nodes behind WebSockets tell of their blocks; the others are asked now and then, as those are too.
fn follow_heads(config: &Config, settler: &Addr<Settler>) -> Result<Vec<Heads>, Failure> {
    let ChainKind::Rpc { urls, trust } = &config.chain.kind else { return Ok(Vec::new()) };
    let follow = |url: &String| {
        let settler = settler.clone();
        // A settler that is busy looks anyway.
        Heads::follow(url, trust, move || _ = settler.try_send(HeadCame)).transpose()
    };
    let heads = urls.iter().filter_map(follow).collect::<Result<_, _>>();
    heads.map_err(|e| Failure::new(Code::Config, e))
}

type Buses = BTreeMap<BusId, Bus>;
type Meters = BTreeMap<BusId, Vec<MeterPlan>>;

fn devices(config: &Config, clock: &Clock) -> Result<(Buses, Meters, Vec<SwitchPlan>), Failure> {
    let wrong = |e: drivers::SpecError| Failure::new(Code::Config, e);
    let mut buses = Buses::new();
    for bus in &config.buses {
        buses.insert(bus.spec.id.clone(), Bus::open(bus.spec.clone(), clock.clone()).map_err(wrong)?);
    }
    let mut meters = Meters::new();
    for m in &config.meters {
        let Some(bus) = buses.get(&m.bus) else { continue };
        let meter = bus.meter(m.id.clone(), Arc::clone(&m.template), m.address.clone()).map_err(wrong)?;
        let quiet = m.template.quiet().unwrap_or_default();
        let patience = quiet.max(m.period * 3);
        meters.entry(m.bus.clone()).or_default().push(MeterPlan {
            id: m.id.clone(),
            meter,
            period: m.period,
            patience,
            billed: m.account.is_some(),
        });
    }
    let mut switches = Vec::new();
    for s in &config.switches {
        let Some(bus) = buses.get(&s.bus) else { continue };
        let switch: Arc<dyn Switch> =
            bus.switch(s.id.clone(), Arc::clone(&s.template), s.address.clone()).map_err(wrong)?;
        let meters = meters_of(config, &s.account);
        switches.push(SwitchPlan { id: s.id.clone(), account: s.account.clone(), meters, switch, rule: s.rule });
    }
    Ok((buses, meters, switches))
}

/// The inverters, and their own meters beside the others of their buses.
fn inverters(config: &Config, buses: &Buses, meters: &mut Meters) -> Result<Vec<InverterPlan>, Failure> {
    let wrong = |e: drivers::SpecError| Failure::new(Code::Config, e);
    let mut plans = Vec::new();
    let Some(dispatch) = &config.dispatch else { return Ok(plans) };
    for i in &config.inverters {
        let (Some(bus), Some(own)) = (buses.get(&i.bus), own_meter(&i.id)) else { continue };
        let meter = bus.meter(own.clone(), Arc::clone(&i.template), i.address.clone()).map_err(wrong)?;
        let patience = i.template.quiet().unwrap_or_default().max(i.period * 3);
        meters.entry(i.bus.clone()).or_default().push(MeterPlan {
            id: own,
            meter,
            period: i.period,
            patience,
            billed: false,
        });
        let known = KnownInverter {
            id: i.id.clone(),
            meter: i.meter.clone(),
            rated: i.rated,
            tolerance: dispatch.tolerance,
            slack: config.feeder.settings.step,
        };
        plans.push(InverterPlan { known, device: bus.inverter(&i.template, &i.address).map_err(wrong)? });
    }
    Ok(plans)
}

/// What the Planner plans; `None` without `[dispatch]`.
fn planner_plan(config: &Config) -> Option<PlannerPlan> {
    let dispatch = config.dispatch.as_ref()?;
    Some(PlannerPlan {
        site: dispatch.site.clone(),
        interval: dispatch.interval,
        lead: dispatch.lead,
        deadline: dispatch.deadline,
        stale_after: config.stale_after,
        stake_gwei: config.chain.dispatch.map(|_| config.chain.dispatch_stake_gwei),
        judge: config.chain.dispatch.map(|at| at.to_string()),
    })
}

fn meters_of(config: &Config, account: &domain::AccountId) -> Vec<MeterId> {
    config.meters.iter().filter(|m| m.account.as_ref() == Some(account)).map(|m| m.id.clone()).collect()
}

fn pricer_plan(config: &Config, clock: &Clock) -> PricerPlan {
    PricerPlan {
        zone: config.tariff.zone.clone(),
        accounts: config
            .accounts
            .iter()
            .map(|a| AccountPlan { id: a.id.clone(), meters: meters_of(config, &a.id), terms: a.terms.clone() })
            .collect(),
        guards: config.guards(),
        lease: config.lease,
        stale_after: config.stale_after,
        pause: clock.real(Duration::from_secs(6)).clamp(Duration::from_millis(100), Duration::from_secs(1)),
    }
}

/// All meters in intervals of this length, with what their registers are judged by.
pub fn grid(config: &Config, interval: Duration) -> Grid {
    let rule = |m: &crate::config::Meter| {
        let gap = m.template.quiet().unwrap_or_default().max(m.period * 3);
        (m.id.clone(), (m.template.guard(m.max_power), gap))
    };
    Grid { interval, meters: config.meters.iter().map(rule).collect() }
}

/// What the Auditor compares; `None` without a feeder meter or without homes.
pub fn audit_plan(config: &Config) -> Option<AuditPlan> {
    let feeder = &config.feeder;
    if feeder.meters.is_empty() || feeder.homes.is_empty() {
        return None;
    }
    Some(AuditPlan {
        feeders: feeder.meters.clone(),
        homes: feeder.homes.clone(),
        grid: grid(config, feeder.interval),
        window: feeder.window,
        settings: feeder.settings,
    })
}

/// Which ranges hold when: fixed, or by forecast.
fn ranger_plan(config: &Config) -> RangerPlan {
    let plan = |f: &crate::config::Forecast| ForecastPlan {
        homes: homes(config),
        grid: grid(config, f.interval),
        at_minute: f.at_minute,
        least_days: f.least_days,
        notice: f.notice,
        min_run: f.min_run,
        max_switches: f.max_switches,
        hysteresis: f.hysteresis,
        seed: f.seed,
    };
    RangerPlan { zone: config.tariff.zone.clone(), forecast: config.forecast.as_ref().map(plan) }
}

/// All meters that somebody pays for.
pub fn homes(config: &Config) -> Group {
    let homes = config.meters.iter().filter(|m| m.account.is_some()).map(|m| m.id.clone());
    Group { name: "load".into(), meters: homes.collect() }
}

/// Who is asked before a batch is settled; `None` where nobody is.
fn witness_plan(config: &Config, plan: &SettlerPlan, clock: &Clock) -> Option<WitnessPlan> {
    let witness = config.witness.as_ref()?;
    Some(WitnessPlan {
        broker: witness.broker.clone(),
        site: config.site.clone(),
        chain: Arc::clone(&plan.chain),
        chain_id: plan.chain_id,
        contract: plan.witness?,
        signer: Arc::clone(&plan.signer),
        feeder: witness.feeder.then(|| audit_plan(config)).flatten().map(|audit| FeederPlan {
            feeders: audit.feeders,
            interval: audit.grid.interval,
            window: audit.window,
            settings: audit.settings,
        }),
        every: clock.real(witness.every),
        again: plan.every,
        poll: Duration::from_secs(1),
    })
}

fn herald_plan(config: &Config) -> Option<HeraldPlan> {
    let embedded = config.broker.as_ref()?;
    Some(HeraldPlan {
        broker: drivers::MqttSpec {
            broker: embedded.listen.to_string(),
            client_id: broker::herald(&config.site),
            credentials: embedded.own(),
        },
        site: config.site.clone(),
        discovery: config.discovery.clone(),
        meters: config.meters.iter().map(|m| (m.id.clone(), m.template.model.clone(), m.account.clone())).collect(),
        audited: audit_plan(config).map(|plan| [plan.feeders, plan.homes].concat()).unwrap_or_default(),
        located: config.location.iter().flat_map(|l| l.places.iter().map(|p| p.id.clone())).collect(),
        switches: config.switches.iter().map(|s| (s.id.clone(), s.account.clone())).collect(),
        inverters: limited(config),
        currency: config.currency.clone(),
        version: VERSION.into(),
        customer_commands: embedded.customer_commands,
        pause: Duration::from_secs(1),
    })
}

/// The inverters that the Planner limits, with their models.
fn limited(config: &Config) -> Vec<(actors::Roof, String)> {
    let roofs = config.dispatch.iter().flat_map(|dispatch| &dispatch.site.roofs);
    let model =
        |roof: &actors::Roof| config.inverters.iter().find(|i| i.id == roof.id).map(|i| i.template.model.clone());
    roofs.map(|roof| (roof.clone(), model(roof).unwrap_or_default())).collect()
}

/// Feeds systemd's watchdog, if there is one.
fn warden(board: &Board) {
    let mut microseconds = 0;
    let watched = sd_notify::watchdog_enabled(false, &mut microseconds);
    let every = if watched { Duration::from_micros(microseconds / 2) } else { Duration::from_secs(30) };
    let feed = || {
        // Without systemd there is nobody to tell, which is no error.
        let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Watchdog]);
    };
    Warden::new(board.clone(), every.max(Duration::from_secs(1)), feed).start();
}
