//! The command line.

mod access;
mod field;
mod fleet;
mod load;
mod network;
mod operator;
mod place;
mod witness;

pub use access::{Access, AccessToken, Desk, PasswordFrom, User};
pub use field::{Commission, Doctor, Paper, Papers, Setup, Silence};
pub use fleet::{Fleet, FleetStatus};
pub use load::{Forecast, History, Horizon, Load, Tou};
pub use network::{Flow, Opf};
pub use operator::{Account, By, Look, Meter, Money, Office, Tariff, Token, Voucher};
pub use place::Locate;
pub use witness::{Founding, Member, Witness};

use clap::{Args, Parser, Subcommand};
use domain::{Permille, Position, Timestamp};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Reads every meter of a neighbourhood, bills energy as it is used, settles it on an Ethereum-style chain, and opens
/// or closes each customer's switch.
#[derive(Debug, Parser)]
#[command(name = "microgrid-gateway", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the gateway (what systemd starts)
    Run(ConfigFile),
    /// Show a simulated street, end to end, with nothing to set up
    Demo(Demo),
    /// Check a configuration and name every mistake
    Check {
        /// The configuration
        #[command(flatten)]
        config: ConfigFile,
        /// Also connect to every bus and read every device once
        #[arg(long)]
        devices: bool,
    },
    /// Print the annotated default configuration
    Config,
    /// List the device models that are known, or show one: its registers, or its topics and keys
    Models {
        /// The model to show
        model: Option<String>,
    },
    /// Read one device, or move its switch or limit its power, and show what it said
    Probe {
        /// The configuration
        #[command(flatten)]
        config: ConfigFile,
        /// A meter or switch of the configuration
        device: String,
        /// Move the switch there first
        #[arg(long, value_name = "open|closed")]
        set: Option<Position>,
        /// Limit the active power of an inverter to this share of its rated power first, or lift the limit
        #[arg(long, value_name = "PERCENT|off", value_parser = limit)]
        limit: Option<Limit>,
        /// Hold the limit for so long, then lift it; otherwise it is ordered once
        #[arg(long, value_name = "DURATION", value_parser = duration, requires = "limit")]
        hold: Option<Duration>,
    },
    /// Pay into a customer's account, from a wallet's key or the settler's own
    Topup(Topup),
    /// Look at customers' accounts, take cash, pay back, adjust, lend
    #[command(subcommand)]
    Account(Account),
    /// Show the prices, or announce others
    #[command(subcommand)]
    Tariff(Tariff),
    /// Look at meters, release, replace or move one
    #[command(subcommand)]
    Meter(Meter),
    /// Sign vouchers, or pay one in
    #[command(subcommand)]
    Voucher(Voucher),
    /// Enter a token, or make one
    #[command(subcommand)]
    Token(Token),
    /// Print a customer's receipt, every line with its proof; or check one against a node of the chain
    #[command(args_conflicts_with_subcommands = true)]
    Receipt {
        /// Check one instead
        #[command(subcommand)]
        verb: Option<ReceiptVerb>,
        /// Which
        #[command(flatten)]
        make: Make,
    },
    /// Keep a switch open or closed for some time, whatever the account says, or give it back
    Switch(SwitchOrder),
    /// Take the emergency credit that is offered to a customer, on their behalf
    Emergency {
        /// The account
        account: String,
        /// Who takes it
        #[arg(long, value_name = "NAME")]
        by: String,
        /// Configuration of the gateway
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Say who may come in: users of the page, and tokens of programs
    #[command(subcommand)]
    Access(Access),
    /// Find out who is on a bus, and print what to write into the configuration
    Scan(Scan),
    /// Serve only the simulated devices of a configuration, for other programs to read
    Simulate(ConfigFile),
    /// Compare the feeder meter with the homes behind it: losses, theft, wrong meters
    Balance(Balance),
    /// Play witnesses, mining sets and plain proof of work against liars: what each accepts, whom each flags
    SimulateConsensus(Consensus),
    /// Found a neighbourhood of gateways that check each other's batches, and say who belongs to it
    #[command(subcommand)]
    Witness(Witness),
    /// Look at the gateways of a neighbourhood
    #[command(subcommand)]
    Fleet(Fleet),
    /// Write the load of the homes, interval by interval, as CSV
    Load(Load),
    /// Hold the places that devices claim against how loud they were heard
    Locate(Locate),
    /// Forecast a load history, with what every model was worth on days that it had not seen
    Forecast(Forecast),
    /// Find the time-of-use ranges of a day by exact k-means, here and with the bytecode of the contract
    Tou(Tou),
    /// Find the cheapest dispatch of a network: who generates how much, what energy is worth where, which lines bind
    Opf(Opf),
    /// Work out the voltages and flows of a network as it stands
    Flow(Flow),
    /// Look into the ledger
    #[command(subcommand)]
    Journal(Journal),
    /// Make or look at keys
    #[command(subcommand)]
    Key(Key),
    /// The embedded chain by itself
    #[command(subcommand)]
    Chain(Chain),
    /// Describe a wired street by answering questions: buses are scanned, the configuration is written at the end
    Setup(Setup),
    /// Read every meter and move every switch once, with somebody looking, and write the report to sign
    Commission(Commission),
    /// Find what keeps a gateway from working here, and say what to do
    Doctor(Doctor),
    /// Move every switch to where its `on_silence` wants it, once no gateway runs any more
    Silence(Silence),
    /// Write manual pages or shell completions, as a package needs them
    Papers(Papers),
    /// Measure this machine: recording with full sync, start to first reading
    Bench {
        /// How long to measure each
        #[arg(long, value_parser = duration, default_value = "5s")]
        r#for: Duration,
        /// Write the figures there as JSON
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
}

/// Which configuration.
#[derive(Clone, Debug, Args)]
pub struct ConfigFile {
    /// Configuration file
    #[arg(
        short = 'c',
        long = "config",
        value_name = "FILE",
        default_value = "/etc/microgrid-gateway/microgrid-gateway.toml"
    )]
    pub path: PathBuf,
}

/// A limit of active power, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(pub Option<Permille>);

/// A receipt to make.
#[derive(Clone, Debug, Args)]
pub struct Make {
    /// The account
    pub account: Option<String>,
    /// The first day or instant, such as 2026-03-01; from the beginning if left out
    #[arg(long, value_name = "DATE")]
    pub from: Option<String>,
    /// The first day or instant after; until now if left out
    #[arg(long, value_name = "DATE")]
    pub to: Option<String>,
    /// Configuration
    #[command(flatten)]
    pub config: ConfigFile,
    /// As a page that prints well, instead of JSON
    #[arg(long)]
    pub html: bool,
    /// As a text message
    #[arg(long, conflicts_with = "html")]
    pub text: bool,
}

/// A receipt that is there.
#[derive(Debug, Subcommand)]
pub enum ReceiptVerb {
    /// Check a receipt's arithmetic, and that the chain knows its lines and payments
    Verify {
        /// The receipt, as JSON
        file: PathBuf,
        /// A node of its chain
        #[arg(long, value_name = "URL")]
        rpc: String,
    },
}

/// What a person orders of a switch.
#[derive(Clone, Debug, Args)]
pub struct SwitchOrder {
    /// The switch
    pub switch: String,
    /// What it is to do
    pub action: SwitchAction,
    /// How long; then it follows its account again
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub lasts: Option<Duration>,
    /// Open for somebody's safety: also a protected customer's, at once, until somebody says auto
    #[arg(long)]
    pub safety: bool,
    /// Who orders it
    #[arg(long, value_name = "NAME")]
    pub by: String,
    /// For what reason
    #[arg(long, value_name = "TEXT")]
    pub why: Option<String>,
    /// Configuration of the gateway
    #[command(flatten)]
    pub config: ConfigFile,
}

/// What a switch is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SwitchAction {
    /// Disconnect the customer
    Open,
    /// Connect the customer
    Closed,
    /// Follow the account again
    Auto,
    /// Close, if it is ready for reconnection: the customer's own act, on their behalf
    Reconnect,
}

/// A deposit.
#[derive(Clone, Debug, Args)]
pub struct Topup {
    /// The account
    pub account: String,
    /// How much, such as 10.00
    pub amount: String,
    /// Configuration of the running gateway
    #[command(flatten)]
    pub config: ConfigFile,
    /// Key file or keystore of the wallet that pays; the settler's key if left out
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// File with the keystore's password, mode 0600
    #[arg(long, value_name = "FILE", requires = "key")]
    pub password_file: Option<PathBuf>,
}

/// A search on a bus.
#[derive(Clone, Debug, Args)]
pub struct Scan {
    /// A serial port, or host:port for Modbus TCP; lists the serial ports if left out
    pub place: Option<String>,
    /// Speeds to try on a serial port
    #[arg(long, value_delimiter = ',', default_value = "9600,19200,2400,4800,38400,57600,115200")]
    pub baud: Vec<u32>,
    /// Parities to try on a serial port
    #[arg(long, value_delimiter = ',', default_value = "none,even", value_parser = ["none", "even", "odd"])]
    pub parity: Vec<String>,
    /// Units to ask
    #[arg(long, default_value = "1-247", value_parser = unit_range, value_name = "FIRST-LAST")]
    pub units: (u8, u8),
    /// How long a unit may take to answer
    #[arg(long, default_value = "150ms", value_parser = duration)]
    pub timeout: Duration,
}

/// The demonstration.
#[derive(Clone, Debug, Args)]
pub struct Demo {
    /// Stop after this much real time, such as 60s; runs until Ctrl-C otherwise
    #[arg(long = "for", value_parser = duration, value_name = "DURATION")]
    pub length: Option<Duration>,
    /// How many times faster than real time the street lives
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub speed: u32,
    /// Seed of the street: the same seed gives the same homes
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Homes on the street: two on Modbus TCP, two on MQTT, the others on one RTU bus
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u8).range(5..=60))]
    pub homes: u8,
    /// Where the page is served
    #[arg(long, default_value = "127.0.0.1:0")]
    pub http: SocketAddr,
    /// At the end, write a report there as one JSON object
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Keep the ledger, chain and keys there, and go on from them the next time
    #[arg(long, value_name = "FOLDER")]
    pub state: Option<PathBuf>,
}

/// A comparison.
#[derive(Clone, Debug, Args)]
pub struct Balance {
    /// Configuration file
    #[command(flatten)]
    pub config: ConfigFile,
    /// From then on, such as 2026-03-02T00:00:00Z; the configured window before --to if left out
    #[arg(long, value_name = "TIME")]
    pub from: Option<Timestamp>,
    /// Until then; the newest reading if left out
    #[arg(long, value_name = "TIME")]
    pub to: Option<Timestamp>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// A street of gateways of which some lie.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "For every batch a set of gateways is drawn, and enough of them have to stand behind one digest. \
    How many are enough follows from the size of the set, the share of liars and --error. Whoever stands behind another \
    digest than the accepted one dissents; who dissents too often within a window of batches is flagged. Window and \
    limit follow from the rates, --false-alarm and --power. A flagged gateway stays in, so that every window is a trial. \
    Liars all tell the same lie, always. Rates come with the 95 % interval of Clopper and Pearson."
)]
pub struct Consensus {
    /// Gateways
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub miners: u32,
    /// How many are drawn for a batch
    #[arg(long, default_value_t = 7, value_name = "N")]
    pub set: u32,
    /// The share that lies, such as 0.2
    #[arg(long, default_value_t = 0.2, value_name = "SHARE", allow_negative_numbers = true)]
    pub fraud: f64,
    /// How many draws
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub rounds: u32,
    /// The same seed gives the same result
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How often liars may have a set to themselves
    #[arg(long, default_value_t = 0.001, value_name = "PROBABILITY", allow_negative_numbers = true)]
    pub error: f64,
    /// How often an honest gateway may be flagged in one window
    #[arg(long, default_value_t = 0.000_001, value_name = "PROBABILITY", allow_negative_numbers = true)]
    pub false_alarm: f64,
    /// How often a liar must be flagged in one window
    #[arg(long, default_value_t = 0.99, value_name = "PROBABILITY", allow_negative_numbers = true)]
    pub power: f64,
    /// Assumed: in what share of batches an honest gateway overheard something else
    #[arg(long, default_value_t = 0.01, value_name = "SHARE", allow_negative_numbers = true)]
    pub misheard: f64,
    /// Assumed: mean time to a block of proof of work
    #[arg(long, default_value = "10s", value_parser = duration, value_name = "DURATION")]
    pub interval: Duration,
    /// Assumed: from a block or signature to where everybody knows it
    #[arg(long, default_value = "500ms", value_parser = duration, value_name = "DURATION")]
    pub delay: Duration,
    /// Assumed: what a gateway draws while it mines or checks, beyond what it draws anyway
    #[arg(long, default_value_t = 3.0, value_name = "WATTS", allow_negative_numbers = true)]
    pub watts: f64,
    /// Assumed: how long a witness computes to check and sign a batch
    #[arg(long, default_value = "50ms", value_parser = duration, value_name = "DURATION")]
    pub check: Duration,
    /// Print one JSON object, with every gateway
    #[arg(long)]
    pub json: bool,
}

/// The ledger.
#[derive(Debug, Subcommand)]
pub enum Journal {
    /// Bill every recorded reading again, and compare
    Verify {
        /// A backup to verify instead of the ledger
        copy: Option<PathBuf>,
        /// Where
        #[command(flatten)]
        file: JournalFile,
    },
    /// Write a copy of the ledger, and of the embedded chain to FILE.chain, beside a running gateway or without one
    Backup {
        /// The file to make; never one that is there
        to: PathBuf,
        /// Where
        #[command(flatten)]
        file: JournalFile,
    },
    /// Put a backup in the ledger's place, and FILE.chain in the embedded chain's if that knows less; no gateway may run
    Restore {
        /// The backup
        from: PathBuf,
        /// Where
        #[command(flatten)]
        file: JournalFile,
        /// Keep a ledger that is there under another name
        #[arg(long)]
        force: bool,
        /// Who
        #[command(flatten)]
        by: By,
    },
    /// Print the newest facts
    Tail {
        /// Where
        #[command(flatten)]
        file: JournalFile,
        /// How many
        #[arg(short, default_value_t = 20)]
        n: u32,
    },
    /// Print all readings and facts as JSON lines, in the order in which they were recorded
    Export(JournalFile),
}

/// Which ledger.
#[derive(Clone, Debug, Args)]
pub struct JournalFile {
    /// Configuration file
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Keys. No key is ever printed, and a password comes from a file or from systemd's credential `settler.password`.
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Make a new key and print its address
    New(NewKey),
    /// Read a key from standard input, as hex or as a keystore, store it, and print its address
    Import(NewKey),
    /// Write a key from one file to another, with or without a password, and print its address
    Export {
        /// The key file or keystore
        from: PathBuf,
        /// The file to make
        #[command(flatten)]
        into: NewKey,
        /// File with the password of the keystore that is read
        #[arg(long, value_name = "FILE")]
        from_password_file: Option<PathBuf>,
    },
    /// Print a key's address
    Address(KeyFile),
}

/// A key file to make.
#[derive(Debug, Args)]
pub struct NewKey {
    /// The file to make, with mode 0600; never over one that is there
    pub file: PathBuf,
    /// Encrypt it under a password, as geth, cast and ethers do (Web3 Secret Storage v3)
    #[arg(long)]
    pub keystore: bool,
    /// File with the password, mode 0600
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// A key file.
#[derive(Debug, Args)]
pub struct KeyFile {
    /// The key file or keystore
    pub file: PathBuf,
    /// File with the keystore's password, mode 0600
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// Whose key signs, if not the settler's.
#[derive(Clone, Debug, Args)]
pub struct SignerFile {
    /// Key file or keystore of who signs; the settler's key if left out
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// File with the keystore's password, mode 0600
    #[arg(long, value_name = "FILE", requires = "key")]
    pub password_file: Option<PathBuf>,
}

/// The chain.
#[derive(Debug, Subcommand)]
pub enum Chain {
    /// Serve the embedded chain's JSON-RPC, without a gateway
    Serve {
        /// Its configuration
        #[command(flatten)]
        config: ConfigFile,
        /// Also serve the methods that make the chain misbehave, to try out what talks to it
        #[arg(long)]
        faults: bool,
    },
    /// Deploy the Provider contract on the configured chain and print its address
    Deploy(ConfigFile),
    /// Deploy the Operator contract, the grid operator's register, and print its address for [chain] operator
    DeployRegister {
        /// Its configuration
        #[command(flatten)]
        config: ConfigFile,
        /// Who signs: the grid operator
        #[command(flatten)]
        signer: SignerFile,
    },
    /// Register the gateway and the connection points of its switches with the grid operator's register, as far as they are
    /// not; says what it sent and what that cost
    #[command(
        after_help = "The register of [chain] operator takes this from its owner alone, the grid operator: --key names \
        their key; without it the settler's signs. It is told that this settler is a gateway, and for every [[switch]] with a \
        point that our contract feeds it, under which account number, and that this gateway switches it. What is there already \
        is not said again, so it can be called at any time. Contract and account numbers are there once a gateway has \
        settled. Meters are the grid operator's own to put in (putMeter): their signing keys are not in the configuration. \
        Exits with 1 if something was, or with --dry-run would be, refused."
    )]
    Register {
        /// Its configuration
        #[command(flatten)]
        config: ConfigFile,
        /// Who signs: the grid operator
        #[command(flatten)]
        signer: SignerFile,
        /// Only say what is missing
        #[arg(long)]
        dry_run: bool,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Deploy the Dispatch contract, which judges plans, and print its address for [chain] dispatch
    #[command(
        after_help = "This gateway's settler owns it: only the owner publishes networks and opens rounds; anybody may \
        put a better plan forward, with the same stake. A plan that holds somebody back is committed to before its interval, \
        revealed within it with the prices that bound every other plan's cost, and judged after it."
    )]
    DeployDispatch(ConfigFile),
    /// Deploy the TimeOfUse contract, which forecasts are posted to, and print its address for [chain] time_of_use
    DeployRanges {
        /// Its configuration
        #[command(flatten)]
        config: ConfigFile,
        /// How long before a day its forecast has to be posted
        #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
        notice: Duration,
        /// Gateways that have a say beside this one's settler: their settlers' addresses
        #[arg(long = "gateway", value_name = "ADDRESS")]
        gateways: Vec<String>,
    },
}

fn duration(text: &str) -> Result<Duration, String> {
    crate::config::span(text).ok_or_else(|| format!("{text:?} is no duration: write 500ms, 10s, 15m or 1h"))
}

fn limit(text: &str) -> Result<Limit, String> {
    if text == "off" { Ok(Limit(None)) } else { text.parse().map(|share| Limit(Some(share))) }
}

/// Units of a bus, such as 1-32.
pub fn unit_range(text: &str) -> Result<(u8, u8), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let unit = |s: &str| s.parse::<u8>().ok().filter(|u| (1..=247).contains(u));
    match (unit(first), unit(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        _ => Err(format!("{text:?} is no range of units: write 1-247, or one number")),
    }
}

#[cfg(test)]
mod tests;
