//! The configuration, as a type that cannot be wrong: whoever holds a [`Config`] needs to check nothing again.

mod parse;
pub mod prices;
mod problems;

pub(crate) use parse::{LONGEST_NAME, own_meter, span};
pub use problems::Problems;

use actors::{MeterPlace, Rule, Trick};
use contracts::Address;
use contracts::trust::Trust;
use domain::feeder::Counted;
use domain::place::{HoldRule, Place};
use domain::token::TokenPlan;
use domain::{
    AccountId, BusId, ClassId, Currency, Guard, InverterId, MeterId, Money, Permille, SwitchId, Tariff, Terms,
    Timestamp, Watts,
};
use drivers::{BusSpec, Credentials, DeviceAddress, Template};
use ledger::Keep;
use sha2::{Digest, Sha256};
use solvers::balance::Settings;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The annotated default: what `microgrid-gateway config` prints.
pub const DEFAULT: &str = include_str!("default.toml");

/// Everything.
#[derive(Clone, Debug)]
pub struct Config {
    /// The site's name: a level of every topic.
    pub site: String,
    /// SHA-256 of the configuration's text, in hex.
    pub digest: String,
    /// Where the ledger, the chain and the keys live.
    pub state: PathBuf,
    /// The currency of the site.
    pub currency: Currency,
    /// The tariff.
    pub tariff: Tariff,
    /// How its ranges follow from a forecast; `None` if they are fixed.
    pub forecast: Option<Forecast>,
    /// How long a lease lasts without news.
    pub lease: Duration,
    /// How old a meter's last word may be to count as news.
    pub stale_after: Duration,
    /// Switches that close together spread over this.
    pub stagger: Duration,
    /// Whom changes of credit are posted to.
    pub webhook: Option<String>,
    /// How long what is kept.
    pub keep: Keep,
    /// Field buses.
    pub buses: Vec<Bus>,
    /// Customers.
    pub accounts: Vec<Account>,
    /// Who signs vouchers.
    pub operators: Vec<Operator>,
    /// Meters.
    pub meters: Vec<Meter>,
    /// Switches.
    pub switches: Vec<Switch>,
    /// Inverters that are limited.
    pub inverters: Vec<Inverter>,
    /// What they are limited by, if they are.
    pub dispatch: Option<Dispatch>,
    /// What is compared with what, and how.
    pub feeder: Feeder,
    /// Where meters are, if that is looked at.
    pub location: Option<Location>,
    /// The embedded broker, if there is one.
    pub broker: Option<Broker>,
    /// Where the neighbourhood's witnesses speak, if they are asked.
    pub witness: Option<Witness>,
    /// The chain.
    pub chain: Chain,
    /// Where and how the page is served.
    pub web: Option<Web>,
    /// Home Assistant's discovery prefix.
    pub discovery: String,
    /// The simulated part of the street, if any.
    pub simulator: Simulator,
}

/// Price ranges by forecast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// When tomorrow is forecast, in minutes of the local day.
    pub at_minute: u16,
    /// Length of a slot.
    pub interval: Duration,
    /// Days of history that are needed.
    pub least_days: u32,
    /// How long before their day ranges are announced at the latest.
    pub notice: Duration,
    /// How long a range lasts at least.
    pub min_run: Duration,
    /// Switches a day at most.
    pub max_switches: usize,
    /// How far beyond the middle between two ranges a slot lies that leaves yesterday's, in thousandths.
    pub hysteresis: u32,
    /// Of all that is random.
    pub seed: u64,
}

impl Default for Forecast {
    fn default() -> Self {
        let hour = Duration::from_secs(3600);
        Self {
            at_minute: 18 * 60,
            interval: hour,
            least_days: 14,
            notice: hour * 4,
            min_run: hour * 2,
            max_switches: 4,
            hysteresis: 100,
            seed: 1,
        }
    }
}

/// A field bus.
#[derive(Clone, Debug)]
pub struct Bus {
    /// How to reach it.
    pub spec: BusSpec,
    /// Whether its devices are served by the built-in simulator.
    pub simulate: bool,
}

impl Bus {
    /// Whether it goes through this broker.
    #[must_use]
    pub fn uses(&self, broker: &Broker) -> bool {
        matches!(&self.spec.kind, drivers::BusKind::Mqtt(m) if m.broker == broker.listen.to_string())
    }

    /// Whether only one process at a time can use it: a line of a GPIO chip has one holder.
    #[must_use]
    pub fn is_held(&self) -> bool {
        matches!(&self.spec.kind, drivers::BusKind::Gpio(_))
    }
}

/// A customer.
#[derive(Clone, Debug)]
pub struct Account {
    /// Name.
    pub id: AccountId,
    /// What its contract says about supply.
    pub terms: Terms,
    /// The class whose rates it pays.
    pub class: Option<ClassId>,
    /// The share of what is paid in that goes to debt, while there is debt.
    pub debt_share: Permille,
    /// Who holds it in the contract: gets what is left when it is closed, and may contest what is billed.
    pub holder: Option<Address>,
    /// What its tokens are made of, if it takes any.
    pub tokens: Option<TokenPlan>,
}

/// Who may sign vouchers.
#[derive(Clone, Debug)]
pub struct Operator {
    /// Name, as it stands in the books.
    pub name: String,
    /// The address of the key that signs.
    pub address: Address,
    /// The most that one voucher may be worth.
    pub voucher_limit: Money,
}

/// A meter.
#[derive(Clone, Debug)]
pub struct Meter {
    /// Name.
    pub id: MeterId,
    /// Its bus.
    pub bus: BusId,
    /// Where on the bus.
    pub address: DeviceAddress,
    /// Its model.
    pub template: Arc<Template>,
    /// Who pays; `None` for a feeder meter.
    pub account: Option<AccountId>,
    /// Who pays by what the file says: somebody may have moved the meter on since.
    pub configured: Option<AccountId>,
    /// How often it is read.
    pub period: Duration,
    /// The most its connection can carry.
    pub max_power: Watts,
    /// What the simulator puts behind it.
    pub home: SimulatedHome,
}

/// A simulated home.
#[derive(Clone, Copy, Debug)]
pub struct SimulatedHome {
    /// Peak power of its roof.
    pub pv_peak: Watts,
    /// Size of its load in thousandths of a typical home.
    pub scale_permille: u32,
    /// Power that is taken from the line before its meter.
    pub theft: Watts,
    /// What its meter counts of what flows.
    pub counts: Counted,
}

/// A switch.
#[derive(Clone, Debug)]
pub struct Switch {
    /// Name.
    pub id: SwitchId,
    /// Its bus.
    pub bus: BusId,
    /// Where on the bus.
    pub address: DeviceAddress,
    /// Its model.
    pub template: Arc<Template>,
    /// Whose supply it switches.
    pub account: AccountId,
    /// What it obeys whatever the account says.
    pub rule: Rule,
    /// Its connection point in the grid operator's register, where its position is attested.
    pub point: Option<contracts::B256>,
}

/// An inverter.
#[derive(Clone, Debug)]
pub struct Inverter {
    /// Name.
    pub id: InverterId,
    /// Its bus.
    pub bus: BusId,
    /// Where on the bus.
    pub address: DeviceAddress,
    /// Its model.
    pub template: Arc<Template>,
    /// The meter that its feed-in is paid by.
    pub meter: MeterId,
    /// What it can make.
    pub rated: Watts,
    /// How often what it makes is read.
    pub period: Duration,
    /// Whether the simulator's one says that it follows a limit, and does not.
    pub ignores_limit: bool,
}

impl Inverter {
    /// What it makes, as a meter that nobody pays for. Its name is spelt by the same rule.
    #[must_use]
    pub fn as_meter(&self) -> Option<Meter> {
        let home = SimulatedHome { pv_peak: Watts(0), scale_permille: 1000, theft: Watts(0), counts: Counted(1000) };
        Some(Meter {
            id: own_meter(&self.id)?,
            bus: self.bus.clone(),
            address: self.address.clone(),
            template: Arc::clone(&self.template),
            account: None,
            configured: None,
            period: self.period,
            max_power: self.rated,
            home,
        })
    }
}

/// What inverters are limited by.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// The street.
    pub site: actors::Site,
    /// How long a plan holds: an interval of the tariff.
    pub interval: Duration,
    /// How long before that it is made.
    pub lead: Duration,
    /// How long solving may take.
    pub deadline: Duration,
    /// How far an interval's feed-in may be above the dispatch and count as following it.
    pub tolerance: Permille,
}

/// The feeder and its homes.
#[derive(Clone, Debug)]
pub struct Feeder {
    /// The meters whose sum feeds the homes.
    pub meters: Vec<MeterId>,
    /// The meters behind them.
    pub homes: Vec<MeterId>,
    /// Length of an interval that is compared.
    pub interval: Duration,
    /// How far back.
    pub window: Duration,
    /// What is known of the line and its meters.
    pub settings: Settings,
}

/// Where meters are.
#[derive(Clone, Debug)]
pub struct Location {
    /// How long a challenge holds.
    pub epoch: Duration,
    /// How often an honest meter's proof may fail.
    pub false_rejections: f64,
    /// When a meter is held.
    pub rule: HoldRule,
    /// Whether it is.
    pub hold: bool,
    /// How far from its place a meter may be that is believed, in metres.
    pub reach: f64,
    /// How often an anchor must have heard a meter.
    pub samples: usize,
    /// What is listened with.
    pub radios: Vec<Radio>,
    /// Where.
    pub anchors: Vec<Anchor>,
    /// Meters that say where they are.
    pub places: Vec<MeterPlace>,
    /// What is made wrong about simulated beacons.
    pub tricks: Vec<(MeterId, Trick)>,
}

/// A radio.
#[derive(Clone, Debug)]
pub struct Radio {
    /// Name.
    pub id: String,
    /// What it is.
    pub kind: RadioKind,
}

/// Kinds of radios.
#[derive(Clone, Debug)]
pub enum RadioKind {
    /// Nodes that publish at a broker.
    Espresense(drivers::MqttSpec),
    /// A bridge on a serial port.
    Bridge(PathBuf),
    /// None: a simulated air.
    Simulated,
}

/// Where a radio listens.
#[derive(Clone, Debug)]
pub struct Anchor {
    /// Name.
    pub id: String,
    /// Its radio.
    pub radio: String,
    /// What the node is called there.
    pub node: String,
    /// Where it stands.
    pub place: Place,
}

/// The embedded broker.
#[derive(Clone, Debug)]
pub struct Broker {
    /// Where it listens in the clear: on loopback.
    pub listen: SocketAddr,
    /// Where and how it listens for others.
    pub tls: Option<BrokerTls>,
    /// Who may connect, and what each may do; the first is the gateway's own. Everybody if empty.
    pub users: Vec<::broker::User>,
    /// Whether customers' acts are taken from it: emergency credit, and reconnection.
    pub customer_commands: bool,
    /// Another broker that messages are exchanged with.
    pub bridge: Option<Bridge>,
}

impl Broker {
    /// By what the gateway itself connects.
    #[must_use]
    pub fn own(&self) -> Option<Credentials> {
        self.users.first().map(|user| Credentials { user: user.name.clone(), password: user.password.clone() })
    }
}

/// Where the broker listens by TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerTls {
    /// Where.
    pub listen: SocketAddr,
    /// By which certificate.
    pub certificate: WebTls,
    /// Names in a certificate of our own, besides localhost and the machine's.
    pub names: Vec<String>,
}

/// Another broker, and what goes over to it and back.
#[derive(Clone, Debug)]
pub struct Bridge {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Who vouches for it, PEM; in the clear if `None`.
    pub ca_file: Option<PathBuf>,
    /// By whom we sign in.
    pub user: Option<Credentials>,
    /// Our client id there.
    pub client_id: String,
    /// What stands before all topics there.
    pub prefix: String,
    /// Filters of what goes out.
    pub publish: Vec<String>,
    /// Filters of what comes in, without the prefix.
    pub subscribe: Vec<String>,
}

/// Where the gateways of a neighbourhood speak to each other.
#[derive(Clone, Debug)]
pub struct Witness {
    /// Their broker.
    pub broker: drivers::MqttSpec,
    /// Whether this gateway's feeder meters stand before the homes of all.
    pub feeder: bool,
    /// How often meters' registers are published.
    pub every: Duration,
}

/// The page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Web {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Names by which browsers may call it, besides localhost and addresses.
    pub names: Vec<String>,
    /// How it is served by TLS, if by itself.
    pub tls: Option<WebTls>,
    /// Whether a proxy before it ends TLS and says for whom it asks.
    pub behind_proxy: bool,
}

impl Web {
    /// Its URL, listening at this address.
    #[must_use]
    pub fn url(&self, at: &str) -> String {
        let secure = self.tls.is_some() || self.behind_proxy;
        let scheme = if secure { "https" } else { "http" };
        let port = at.rsplit(':').next().unwrap_or_default();
        match self.names.first() {
            // Where a proxy listens is not ours to know: where browsers expect it.
            Some(name) if self.behind_proxy => format!("{scheme}://{name}"),
            Some(name) => format!("{scheme}://{name}:{port}"),
            // No browser can ask for every address at once.
            None if self.listen.ip().is_unspecified() => format!("{scheme}://localhost:{port}"),
            None => format!("{scheme}://{at}"),
        }
    }
}

/// TLS for the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebTls {
    /// A certificate of our own, made at the first start.
    Own,
    /// One that somebody signed.
    Files {
        /// The chain of certificates, PEM.
        certificate: PathBuf,
        /// The key of its first, PEM.
        key: PathBuf,
    },
}

/// The chain.
#[derive(Clone, Debug)]
pub struct Chain {
    /// Which.
    pub kind: ChainKind,
    /// Chain id: of the embedded chain, or the one that the node must answer.
    pub chain_id: u64,
    /// The settler's key.
    pub key_file: PathBuf,
    /// The password of that key, if it is a keystore.
    pub password_file: Option<PathBuf>,
    /// The provider contract, if it exists already.
    pub provider: Option<Address>,
    /// The contract that forecasts are posted to, if they are.
    pub time_of_use: Option<Address>,
    /// The contract that judges plans, if they are put before one.
    pub dispatch: Option<Address>,
    /// What is at stake with each plan, in gwei.
    pub dispatch_stake_gwei: u64,
    /// The contract that draws witnesses for every batch, if they are asked.
    pub witness: Option<Address>,
    /// How often registers are settled.
    pub settle_every: Duration,
    /// Blocks on top of a transaction.
    pub confirmations: u64,
    /// The lowest number of an account that is enrolled from now on.
    pub first_account: u32,
    /// The most that is ever offered for a unit of gas, in gwei.
    pub max_fee_gwei: u128,
    /// How long a transaction may be left out of blocks before more is offered for it.
    pub patience: Duration,
    /// What is agreed with customers in the contract.
    pub agreed: actors::Agreed,
}

/// Which chain.
#[derive(Clone, Debug)]
pub enum ChainKind {
    /// In this process.
    Embedded {
        /// Where it answers JSON-RPC.
        rpc: Option<SocketAddr>,
        /// Addresses that have coin from the start, besides the settler's.
        fund: Vec<Address>,
    },
    /// A node, or several of one chain.
    Rpc {
        /// Their URLs, the preferred one first.
        urls: Vec<String>,
        /// Who vouches for those behind https and wss.
        trust: Trust,
    },
}

/// The simulator.
#[derive(Clone, Copy, Debug)]
pub struct Simulator {
    /// Seed of the street.
    pub seed: u64,
    /// How much faster than real time it lives.
    pub speed: u32,
    /// When the street began; the present if not given.
    pub anchor: Option<Timestamp>,
}

impl Config {
    /// Reads a file.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| Problems::one(&file, format!("cannot be read: {e}")))?;
        // Relative paths are meant from where the file is.
        let base = path.parent().unwrap_or(Path::new("")).to_owned();
        Self::parse(&file, &text, &base)
    }

    /// Reads a text; `base` is where relative paths begin.
    pub fn parse(file: &str, text: &str, base: &Path) -> Result<Self, Problems> {
        let digest = hex::encode(Sha256::digest(text));
        parse::parse(file, text, base).map(|config| Self { digest, ..config })
    }

    /// What each meter's registers are judged by.
    #[must_use]
    pub fn guards(&self) -> BTreeMap<MeterId, Guard> {
        self.meters.iter().map(|m| (m.id.clone(), m.template.guard(m.max_power))).collect()
    }

    /// The same for a verb that runs beside the service: a broker throws out the older of two clients with one name, and
    /// a verb that only looks leaves no count behind.
    #[must_use]
    pub fn beside_the_service(mut self) -> Self {
        for bus in &mut self.buses {
            match &mut bus.spec.kind {
                drivers::BusKind::Mqtt(mqtt) => mqtt.client_id += &format!("-{}", std::process::id()),
                drivers::BusKind::Gpio(gpio) => gpio.keep = false,
                _ => {}
            }
        }
        self
    }

    /// Whether any device on a bus is simulated.
    #[must_use]
    pub fn is_simulated(&self) -> bool {
        self.buses.iter().any(|b| b.simulate)
    }

    /// Whether a radio is.
    #[must_use]
    pub fn has_simulated_radio(&self) -> bool {
        let mut radios = self.location.iter().flat_map(|l| &l.radios);
        radios.any(|r| matches!(r.kind, RadioKind::Simulated))
    }
}

#[cfg(test)]
mod tests;
