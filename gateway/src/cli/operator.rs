//! What an operator does to accounts, meters and prices, as typed.

use super::ConfigFile;
use crate::failure::{Code, Failure};
use crate::operator::name_of;
use clap::{Args, Subcommand, ValueEnum};
use domain::WattHours;
use domain::token::Act;
use std::path::PathBuf;
use std::time::Duration;

/// Who does it.
#[derive(Clone, Debug, Args)]
pub struct By {
    /// Who does it, for the books; whoever called sudo, or is logged in, if left out
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

impl By {
    /// The name, which is shown with what was done.
    pub fn name(&self) -> Result<String, Failure> {
        let logged_in =
            || ["SUDO_USER", "USER"].iter().find_map(|var| std::env::var(var).ok().filter(|n| !n.is_empty()));
        let name = self.by.clone().or_else(logged_in).unwrap_or_default();
        name_of(&name).map_err(|what| Failure::new(Code::Usage, format!("{what}: who does this? --by NAME")))
    }
}

/// Where, by whom, and how the answer looks.
#[derive(Clone, Debug, Args)]
pub struct Office {
    /// Configuration
    #[command(flatten)]
    pub config: ConfigFile,
    /// Who
    #[command(flatten)]
    pub by: By,
    /// Answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// A look at something.
#[derive(Clone, Debug, Args)]
pub struct Look {
    /// Configuration
    #[command(flatten)]
    pub config: ConfigFile,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Money that moves, once for each reference.
#[derive(Clone, Debug, Args)]
pub struct Money {
    /// The account
    pub account: String,
    /// How much, such as 10.00
    #[arg(allow_hyphen_values = true)]
    pub amount: String,
    /// Your own number for it: the same again is done once
    #[arg(long, value_name = "NUMBER")]
    pub reference: String,
    /// Where and by whom
    #[command(flatten)]
    pub office: Office,
}

/// Accounts.
#[derive(Debug, Subcommand)]
pub enum Account {
    /// List all accounts with their balances
    List(Look),
    /// Show one account: its books, meters and newest payments
    Show {
        /// The account
        account: String,
        /// How
        #[command(flatten)]
        look: Look,
    },
    /// Take cash from a customer
    Cash(Money),
    /// Pay money back to a customer, at most the balance
    Refund {
        /// What
        #[command(flatten)]
        money: Money,
        /// Also more than the balance
        #[arg(long)]
        force: bool,
    },
    /// Give credit without payment, or take it back with a minus
    Adjust {
        /// What
        #[command(flatten)]
        money: Money,
        /// Why, in words for the customer
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
    /// Let a customer owe money, paid back by the share of every top-up that the account's debt_share says
    Lend {
        /// What
        #[command(flatten)]
        money: Money,
        /// What for, in words for the customer
        #[arg(long, value_name = "TEXT")]
        why: String,
        /// It is given as credit; otherwise the customer got something else for it, such as a device
        #[arg(long)]
        as_credit: bool,
    },
    /// Print the link to a customer's own page: whoever has it sees that customer's data and nobody else's
    Link {
        /// The account
        account: String,
        /// Make every link to it worthless that was handed out so far, and print the new one
        #[arg(long)]
        revoke: bool,
        /// Where and by whom
        #[command(flatten)]
        office: Office,
    },
}

/// Prices.
#[derive(Debug, Subcommand)]
pub enum Tariff {
    /// Show all versions of the tariff: what held, what holds, what is announced
    Show(Look),
    /// Announce the [tariff] of a configuration: a running gateway follows without a restart
    Announce {
        /// From when on, such as 2026-03-01, at a border of intervals; from the next one if left out
        #[arg(long, value_name = "DATE")]
        from: Option<String>,
        /// Where and by whom
        #[command(flatten)]
        office: Office,
    },
}

/// Meters.
#[derive(Debug, Subcommand)]
pub enum Meter {
    /// List all meters: whose they are, how far they are billed, which are held
    List(Look),
    /// Take a held meter's present registers as its new start; what lies between is billed to nobody
    Release {
        /// The meter
        meter: String,
        /// Where and by whom
        #[command(flatten)]
        office: Office,
    },
    /// Another device in a meter's place: the old one is billed to its last registers, the new one from its first
    Replace {
        /// The meter
        meter: String,
        /// What the old device showed in the end, such as 12345.6kWh
        #[arg(long, value_name = "ENERGY")]
        final_import: WattHours,
        /// What its export register showed
        #[arg(long, value_name = "ENERGY")]
        final_export: Option<WattHours>,
        /// What the new device shows at first
        #[arg(long, value_name = "ENERGY")]
        start_import: WattHours,
        /// What its export register shows
        #[arg(long, value_name = "ENERGY")]
        start_export: Option<WattHours>,
        /// When it was done, such as 2026-03-01T12:00:00Z; now if left out
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
        /// Where and by whom
        #[command(flatten)]
        office: Office,
    },
    /// Another customer for a meter: what was read so far is the old one's, what comes is the new one's
    Move {
        /// The meter
        meter: String,
        /// The account that pays from now on
        account: String,
        /// Where and by whom
        #[command(flatten)]
        office: Office,
    },
}

/// Vouchers.
#[derive(Debug, Subcommand)]
pub enum Voucher {
    /// Sign vouchers and print their codes
    Make {
        /// What each is worth, such as 10.00
        amount: String,
        /// Only this account may redeem them
        #[arg(long, value_name = "ID")]
        account: Option<String>,
        /// For how long they are good, to the end of a day, such as 90d
        #[arg(long, value_name = "DURATION", value_parser = days)]
        expires: Option<Duration>,
        /// Key file of an [[operator]]
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// How many
        #[arg(short, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
        n: u16,
        /// How
        #[command(flatten)]
        look: Look,
    },
    /// Pay a voucher into an account
    Redeem {
        /// The code; blanks and dashes do not count
        code: String,
        /// The account
        account: String,
        /// Where and by whom
        #[command(flatten)]
        office: Office,
    },
}

/// Tokens.
#[derive(Debug, Subcommand)]
pub enum Token {
    /// Enter a token that a customer has
    Enter {
        /// The account
        account: String,
        /// Its digits; blanks and dashes do not count
        digits: String,
        /// Where and by whom
        #[command(flatten)]
        office: Office,
    },
    /// Make an account's next token, with the key that the configuration names
    Make {
        /// The account
        account: String,
        /// Its value, in the account's token_unit
        #[arg(default_value_t = 0)]
        value: u32,
        /// What it does with it
        #[arg(long, value_enum, default_value = "add")]
        does: Does,
        /// Twelve digits, for values up to 999999
        #[arg(long)]
        extended: bool,
        /// Tokens up to this count were made elsewhere
        #[arg(long, value_name = "COUNT")]
        after: Option<u32>,
        /// How
        #[command(flatten)]
        look: Look,
    },
}

/// What a token does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Does {
    /// Adds its value
    Add,
    /// Sets the balance to its value
    Set,
    /// Ends prepayment, until a token sets the balance
    Disable,
    /// Sets which count is the newest
    Sync,
}

impl From<Does> for Act {
    fn from(does: Does) -> Self {
        match does {
            Does::Add => Self::Add,
            Does::Set => Self::Set,
            Does::Disable => Self::Disable,
            Does::Sync => Self::Sync,
        }
    }
}

/// Days, or a duration of the configuration's.
pub(super) fn days(text: &str) -> Result<Duration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u16>().ok()).filter(|days| *days > 0);
    let span = days.map(|days| Duration::from_secs(86_400) * u32::from(days)).or_else(|| crate::config::span(text));
    span.ok_or_else(|| format!("{text:?} is no duration: write 90d or 12h"))
}
