//! From TOML text to a [`Config`], or to every problem at once.

mod agreed;
mod bridge;
mod broker;
mod devices;
mod dispatch;
mod enforce;
mod feeder;
mod fields;
mod forecast;
mod gpio;
mod ledger;
mod location;
mod operators;
mod tariff;
mod telegram;
mod terms;
mod web;
mod wire;
mod witness;

pub(crate) use fields::span;
pub(crate) use operators::LONGEST_NAME;

use super::{Broker, Bus, Chain, ChainKind, Config, Problems, Simulator};
use contracts::Address;
use contracts::rpc::JsonRpc;
use contracts::trust::Trust;
use devices::{accounts, meters, rare_meters, shared_units, switches};
pub use dispatch::own_meter;
use domain::{BusId, Currency, TimeZone, Timestamp};
use drivers::document::{Notes, Section};
use drivers::{BusKind, BusSpec, Library, MqttSpec, Parity};
use fields::{DAY, address, close, default, duration, is_host_port, loopback_only, need, parsed};
use operators::operators;
use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;
pub(super) use tariff::tariff;
use toml::de::DeTable;
use wire::{BUS_KEYS, pipeline, rs485, tls};

pub(super) fn parse(file: &str, text: &str, base: &Path) -> Result<Config, Problems> {
    let notes = Notes::new(file, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        notes.add(&error.span().unwrap_or(0..0), "", format!("this is no TOML: {}", error.message().trim()));
    }
    if errors.is_empty() {
        let reader = Reader { base, has_broker: table.get_ref().contains_key("broker") };
        let found = reader.config(&Section::root(&notes, table.get_ref(), 0..0));
        if let (Some(config), 0) = (found, notes.count()) {
            return Ok(config);
        }
    }
    Err(Problems(notes.finish()))
}

struct Reader<'b> {
    base: &'b Path,
    has_broker: bool,
}

/// What the buses need to know of the site: its name, and where its state lives if that is known.
#[derive(Clone, Copy)]
struct Place<'a> {
    site: &'a str,
    state: Option<&'a Path>,
}

type Table<'a, 't> = Section<'a, 't>;

impl Reader<'_> {
    fn config(&self, root: &Table<'_, '_>) -> Option<Config> {
        let site = need(root, "site");
        let name = site.as_ref().and_then(|s| parsed::<BusId>(s, "name", true)).map(|n| n.to_string());
        let zone = site.as_ref().and_then(zone);
        let state = site.as_ref().and_then(|s| s.required_text("state")).map(|p| self.base.join(p));
        let currency = site.as_ref().map(currency);
        close(site);
        let unit = currency.clone().unwrap_or(Currency { code: "EUR".into(), decimals: 9 });
        let tariff_table = need(root, "tariff");
        let tariff = tariff_table.as_ref().and_then(|t| tariff(t, &unit, zone.clone()));
        let by_forecast = tariff_table.as_ref().and_then(forecast::ranges);
        close(tariff_table);
        let forecast = forecast::forecast(root, by_forecast);

        let enforce = root.section("enforce");
        let lease = default(enforce.as_ref(), "lease", "15m");
        let stale_after = default(enforce.as_ref(), "stale_after", "5m");
        let enforced = enforce::enforced(enforce.as_ref());
        close(enforce);
        let webhook = enforce::webhook(root);

        let ledger = root.section("ledger");
        let keep = ledger::keep(ledger.as_ref());
        close(ledger);

        let simulator = simulator(root);
        let mut broker = root.section("broker").and_then(|b| {
            let broker = self.broker(&b);
            b.close();
            broker
        });
        let place = Place { site: name.as_deref().unwrap_or("site"), state: state.as_deref() };
        let buses = self.buses(root, broker.as_ref(), place);
        let accounts = accounts(root, self.base, &unit, tariff.as_ref(), &terms::usual(root, &unit));
        let operators = operators(root, &unit);
        let library = self.library(root);
        let meters = meters(root, &buses, &accounts, &library);
        let switches = switches(root, &buses, &accounts, &library, enforced.as_ref());
        shared_units(root, &meters, &switches);
        gpio::shared_lines(root, &meters, &switches);
        let feeder = feeder::feeder(root, &meters);
        let location = self.location(root, broker.as_ref(), place, &meters);
        let inverters = dispatch::inverters(root, &buses, &meters, &library);
        let dispatch = self.dispatch(root, &meters, &inverters, (tariff.as_ref(), &unit));
        if let (Some(lease), Some(stale_after)) = (lease, stale_after) {
            rare_meters(root, &meters, &switches, lease + stale_after);
        }
        if let Some(s) = &simulator
            && s.speed != 1
            && buses.iter().any(|b| !b.simulate)
        {
            let table = root.section("simulator");
            if let Some(t) = table {
                t.problem("speed", "must be 1 while a bus is not simulated: a real meter cannot be hurried");
            }
        }
        let home_assistant = root.section("home_assistant");
        let discovery = home_assistant.as_ref().and_then(|h| h.text("discovery_prefix"));
        close(home_assistant);
        let discovery = discovery.unwrap_or_else(|| "homeassistant".into());
        if let (Some(table), Some(broker)) = (root.section("broker"), &mut broker) {
            broker::rights(&table, broker, (place.site, &discovery), (&meters, &switches));
        }
        let bridge = root.section("bridge").and_then(|b| {
            if !self.has_broker {
                b.problem("url", "is for the embedded broker, but there is no [broker] section");
            }
            let bridge = self.bridge(&b, place.site);
            b.close();
            bridge
        });
        if let Some(broker) = &mut broker {
            broker.bridge = bridge;
        }
        let web = root.section("web");
        let page = web::web(web.as_ref(), self.base);
        close(web);
        let chain = root.section("chain");
        let chain_settings = chain.as_ref().and_then(|c| self.chain(c, state.as_deref(), &unit));
        let asked = chain.as_ref().is_some_and(|c| c.get("witness").is_some());
        let witness =
            witness::witness(root, asked, broker.as_ref(), feeder.as_ref(), place.site, |table| self.users(table));
        if let Some(c) = &chain
            && c.get("dispatch").is_some()
            && root.get("dispatch").is_none()
        {
            c.problem("dispatch", "judges the plans of [dispatch], and there is no such section");
        }
        if let (Some(c), Some(settings), Some(plans)) = (&chain, &chain_settings, &dispatch)
            && let (Some(_), ChainKind::Rpc { .. }) = (settings.dispatch, &settings.kind)
        {
            let (confirmations, lead) = (settings.confirmations, plans.lead.as_secs());
            let least = 2 * (confirmations + 1) * BLOCK_S;
            if lead < least {
                let what = format!(
                    "needs two transactions before an interval: with confirmations = {confirmations} and blocks of \
                     {BLOCK_S}s [dispatch] lead must be at least {least}s, and it is {lead}s; make lead longer, or \
                     [chain] confirmations fewer"
                );
                c.problem("dispatch", what);
            }
        }
        if let Some(c) = &chain {
            agreed::holders(c, &accounts);
            agreed::points(c, &switches);
        }
        if chain.is_none() {
            root.problem("chain", "is missing");
        }
        close(chain);
        root.close();
        Some(Config {
            site: name?,
            digest: String::new(),
            state: state?,
            currency: currency?,
            tariff: tariff?,
            forecast,
            lease: lease?,
            stale_after: stale_after?,
            stagger: enforced?.stagger,
            webhook,
            keep: keep?,
            buses,
            accounts,
            operators,
            meters,
            switches,
            inverters,
            dispatch,
            feeder: feeder?,
            location,
            broker,
            witness,
            chain: chain_settings?,
            web: page,
            discovery,
            simulator: simulator?,
        })
    }

    fn library(&self, root: &Table<'_, '_>) -> Library {
        let Some(folder) = root.text("templates") else { return Library::builtin() };
        match Library::with_folder(&self.base.join(folder)) {
            Ok(library) => library,
            Err(problems) => {
                for problem in problems {
                    root.problem("templates", format!("holds a mistake: {problem}"));
                }
                Library::builtin()
            }
        }
    }

    fn buses(&self, root: &Table<'_, '_>, broker: Option<&Broker>, place: Place<'_>) -> Vec<Bus> {
        let mut seen: BTreeMap<BusId, ()> = BTreeMap::new();
        let mut ports: Vec<(String, String)> = Vec::new();
        let mut buses = Vec::new();
        for table in root.sections("bus") {
            let id = parsed::<BusId>(&table, "id", true);
            if let Some(id) = &id
                && seen.insert(id.clone(), ()).is_some()
            {
                table.problem("id", format!("is {id}, and so is another bus"));
            }
            let simulate = table.flag("simulate").unwrap_or(false);
            let name = id.as_ref().map_or("bus", |i| i.as_str());
            let client_id = format!("microgrid-gateway-{}-{name}", place.site);
            let kind = self.bus_kind(&table, client_id, broker, (simulate, place.state));
            if let Some((_, Some(port))) = &kind {
                // Two names of one serial port are one port.
                let real = std::fs::canonicalize(port).map_or_else(|_| port.clone(), |p| p.display().to_string());
                let name = id.as_ref().map_or("another", BusId::as_str).to_owned();
                if let Some((_, other)) = ports.iter().find(|(p, _)| *p == real) {
                    table.problem("id", format!("uses {port}, and so does bus {other}: one port has one owner"));
                }
                ports.push((real, name));
            }
            // Some gateways and old meters want more silence before a question than the specification asks for.
            let serial = |(kind, _): &(BusKind, _)| !kind.turnaround().is_zero();
            let turnaround = (kind.as_ref().is_some_and(serial) && table.get("turnaround").is_some())
                .then(|| duration(&table, "turnaround", "0ms", Duration::ZERO..=Duration::from_secs(5)))
                .flatten();
            let rs485 = kind.as_ref().and_then(|(kind, _)| rs485(&table, kind));
            let pipeline = pipeline(&table, kind.as_ref().map(|(kind, _)| kind));
            table.close();
            if let (Some(id), Some((kind, _))) = (id, kind) {
                let mut spec = BusSpec::new(id, kind);
                spec.turnaround = turnaround.unwrap_or(spec.turnaround);
                (spec.rs485, spec.pipeline) = (rs485, pipeline);
                buses.push(Bus { spec, simulate });
            }
        }
        buses
    }

    /// The kind, and the port that nobody else may own.
    fn bus_kind(
        &self,
        table: &Table<'_, '_>,
        client_id: String,
        broker: Option<&Broker>,
        (simulate, state): (bool, Option<&Path>),
    ) -> Option<(BusKind, Option<String>)> {
        let kinds = [
            ("modbus-rtu", 0),
            ("modbus-tcp", 1),
            ("modbus-rtu-over-tcp", 2),
            ("mqtt", 3),
            ("telegram", 4),
            ("gpio", 5),
        ];
        let patience = Duration::from_millis(10)..=Duration::from_secs(60);
        let Some(kind) = table.required_choice("kind", &kinds) else {
            // Which keys belong here follows from the kind, so none of them is called unknown.
            for key in BUS_KEYS {
                table.get(key);
            }
            return None;
        };
        match kind {
            0 => {
                let port = table.required_text("port").map(|p| self.base.join(p));
                let baud = table.number("baud", 300..4_000_001).unwrap_or(9600);
                let parities = [("none", Parity::None), ("even", Parity::Even), ("odd", Parity::Odd)];
                let parity = table.choice("parity", &parities).unwrap_or_default();
                let stop_bits = table.number("stop_bits", 1..3).unwrap_or(1);
                let timeout = duration(table, "timeout", "500ms", patience);
                let port = port?;
                let owner = port.display().to_string();
                Some((BusKind::ModbusRtu { port, baud, parity, stop_bits, timeout: timeout? }, Some(owner)))
            }
            tcp @ (1 | 2) => {
                let address = table.required_text("address");
                let timeout = duration(table, "timeout", "1s", patience);
                let address = address?;
                if !is_host_port(&address) {
                    table.problem("address", format!("is {address:?}, must be host:port"));
                    return None;
                }
                let (owner, timeout) = (address.clone(), timeout?);
                let kind = match tcp {
                    1 => match tls(table, self.base, &address)? {
                        Some(tls) => BusKind::ModbusTls { address, timeout, tls },
                        None => BusKind::ModbusTcp { address, timeout },
                    },
                    _ => BusKind::RtuOverTcp { address, timeout },
                };
                Some((kind, Some(owner)))
            }
            4 => self.telegram_bus(table),
            5 => self.gpio_bus(table, simulate, state),
            _ => Some((BusKind::Mqtt(self.mqtt(table, client_id, broker)?), None)),
        }
    }

    /// A broker: ours, or somebody's.
    fn mqtt(&self, table: &Table<'_, '_>, client_id: String, broker: Option<&Broker>) -> Option<MqttSpec> {
        let text = table.required_text("broker")?;
        let users = self.users(table);
        let (address, credentials) = if text == "embedded" {
            let Some(broker) = broker else {
                // A section that is there and wrong has been complained about already.
                if !self.has_broker {
                    table.problem("broker", "is \"embedded\", but there is no [broker] section");
                }
                return None;
            };
            (broker.listen.to_string(), broker.own())
        } else {
            (text, users.first().cloned())
        };
        if !is_host_port(&address) {
            table.problem("broker", format!("is {address:?}, must be \"embedded\" or host:port"));
            return None;
        }
        Some(MqttSpec { broker: address, client_id, credentials })
    }

    fn chain(&self, table: &Table<'_, '_>, state: Option<&Path>, unit: &Currency) -> Option<Chain> {
        let embedded = table.required_choice("kind", &[("embedded", true), ("rpc", false)]);
        let chain_id: Option<u64> = table.required_number("chain_id", 1..i128::from(u64::MAX / 4));
        let key_file = match table.text("key_file") {
            Some(path) => Some(self.base.join(path)),
            None => state.map(|s| s.join("keys/settler.key")),
        };
        let password_file = table.text("password_file").map(|path| self.base.join(path));
        let provider = parsed::<Address>(table, "provider", false);
        let time_of_use = parsed::<Address>(table, "time_of_use", false);
        let dispatch = parsed::<Address>(table, "dispatch", false);
        let dispatch_stake_gwei = table.number("dispatch_stake_gwei", 1..1_000_000_000_001).unwrap_or(STAKE_GWEI);
        let witness = parsed::<Address>(table, "witness", false);
        let settle_every = duration(table, "settle_every", "15m", Duration::from_secs(1)..=DAY * 7);
        let usual = if embedded == Some(true) { 1 } else { REMOTE_CONFIRMATIONS };
        let confirmations = table.number("confirmations", 1..1001).unwrap_or(usual);
        let first_account = table.number("first_account", 1..i128::from(u32::MAX) - 65_535).unwrap_or(1);
        let max_fee_gwei: u128 = table.number("max_fee_gwei", 1..1_000_001).unwrap_or(MAX_FEE_GWEI);
        let agreed = agreed::agreed(table, unit, settle_every);
        let patience = duration(table, "patience", "1m", Duration::from_secs(1)..=DAY);
        let (rpc, urls, fund) = (address(table, "rpc_listen", false), table.text_or_texts("url"), table.texts("fund"));
        let ca_file = table.text("ca_file").map(|file| self.base.join(file));
        let kind = match embedded? {
            true => {
                if urls.is_some() {
                    table.problem("url", "does not belong to an embedded chain; set kind = \"rpc\" to use a node");
                }
                if ca_file.is_some() {
                    table.problem("ca_file", "vouches for a node; an embedded chain needs nobody to");
                }
                loopback_only(table, "rpc_listen", rpc, "JSON-RPC has no log-in");
                let mut funded = Vec::new();
                for text in fund.unwrap_or_default() {
                    match Address::from_str(&text) {
                        Ok(address) => funded.push(address),
                        Err(_) => table.problem("fund", format!("holds {text:?}, which is no address")),
                    }
                }
                ChainKind::Embedded { rpc, fund: funded }
            }
            false => {
                let urls = urls.filter(|urls| !urls.is_empty() && urls.iter().all(|u| !u.is_empty()));
                if urls.is_none() {
                    table.problem("url", "is missing: where does the node answer?");
                }
                for (at, url) in urls.iter().flatten().enumerate() {
                    if JsonRpc::new(url, Duration::from_secs(1)).is_err() {
                        // Not the URL itself, which may hold a provider's secret.
                        table.problem(
                            "url",
                            format!("number {} is not http(s)://host:port or ws(s)://host:port", at + 1),
                        );
                    }
                }
                let trust = ca_file.map(|file| trust(&file)).transpose().unwrap_or_else(|problem| {
                    table.problem("ca_file", problem);
                    None
                });
                if let (Some(_), Some(urls)) = (&trust, &urls)
                    && !urls.iter().any(|url| url.starts_with("https://") || url.starts_with("wss://"))
                {
                    table.problem("ca_file", "belongs to an https:// or wss:// url");
                }
                let trust = trust.unwrap_or_default();
                for key in ["rpc_listen", "fund"] {
                    if table.get(key).is_some() {
                        table.problem(key, "belongs to an embedded chain only");
                    }
                }
                ChainKind::Rpc { urls: urls?, trust }
            }
        };
        Some(Chain {
            kind,
            chain_id: chain_id?,
            key_file: key_file?,
            password_file,
            provider,
            time_of_use,
            dispatch,
            dispatch_stake_gwei,
            witness,
            settle_every: settle_every?,
            confirmations,
            first_account,
            max_fee_gwei,
            patience: patience?,
            agreed,
        })
    }
}

/// What gas may cost at most. Far above what a settlement is worth on most days, and no ruin.
const MAX_FEE_GWEI: u128 = 500;

/// What is at stake with each plan: a thousandth of a coin.
const STAKE_GWEI: u64 = 1_000_000;

/// Blocks on top of a transaction before it counts, on a chain that may reorganise.
const REMOTE_CONFIRMATIONS: u64 = 6;

/// Seconds between two blocks of a chain that this gateway does not keep itself.
const BLOCK_S: u64 = 12;

/// Who vouches for nodes, from a PEM file.
fn trust(file: &Path) -> Result<Trust, String> {
    let found = std::fs::read(file).map_err(|e| format!("cannot be read: {e}")).and_then(|pem| Trust::only(&pem));
    found.map_err(|what| format!("names {}, which {what}", file.display()))
}

fn zone(site: &Table<'_, '_>) -> Option<TimeZone> {
    let name = site.text("timezone").unwrap_or_else(|| "UTC".into());
    TimeZone::try_from(name).map_err(|e| site.problem("timezone", e.to_string())).ok()
}

fn currency(site: &Table<'_, '_>) -> Currency {
    let code = site.text("currency").unwrap_or_else(|| "EUR".into());
    if code.len() != 3 || !code.bytes().all(|b| b.is_ascii_uppercase()) {
        site.problem("currency", "must be an ISO 4217 code of three capital letters");
    }
    Currency { code, decimals: site.number("decimals", 3..10).unwrap_or(9) }
}

/// A price per kWh, as whole minor units per Wh.
fn simulator(root: &Table<'_, '_>) -> Option<Simulator> {
    let Some(table) = root.section("simulator") else {
        return Some(Simulator { seed: 1, speed: 1, anchor: None });
    };
    let seed = table.number("seed", 0..i128::from(i64::MAX)).unwrap_or(1);
    let speed = table.number("speed", 1..100_001).unwrap_or(1);
    let anchor = table.number("anchor_ms", 0..i128::from(i64::MAX)).map(Timestamp);
    table.close();
    Some(Simulator { seed, speed, anchor })
}
