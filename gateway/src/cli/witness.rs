//! The witnesses of a neighbourhood, as typed.

use super::ConfigFile;
use clap::{Args, Subcommand};

/// What can be done about witnesses.
#[derive(Debug, Subcommand)]
pub enum Witness {
    /// Deploy the Witness contract with rules that follow from how many lie, and print its address for [chain] witness
    Deploy(Founding),
    /// Let a gateway witness and settle: its settler's address
    Admit(Member),
    /// Let a gateway witness and settle no longer
    Remove(Member),
    /// Let a gateway that was flagged witness and settle again, once it is clear why
    Clear(Member),
    /// Print rules and members: who may witness, who dissented, who is flagged
    Status {
        /// Configuration
        #[command(flatten)]
        config: ConfigFile,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// A neighbourhood that begins.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Out of all members a set is drawn for every batch, by the hash of a block. As many of it have to sign \
    as liars alone reach with a probability of at most --error. A member that stands behind another finding than the set \
    came to dissents; the window and the number of dissents that flag follow from --misheard, --lies, --false-alarm and --power. \
    This gateway's settler owns the contract and is its first member. Deploy it before the account book: a book that \
    was made without witnesses never asks any."
)]
pub struct Founding {
    /// Configuration
    #[command(flatten)]
    pub config: ConfigFile,
    /// Gateways that are members from the start, beside this one: their settlers' addresses
    #[arg(long = "gateway", value_name = "ADDRESS")]
    pub gateways: Vec<String>,
    /// How many gateways are reckoned with; those of --gateway and this one if left out
    #[arg(long, value_name = "N")]
    pub members: Option<u32>,
    /// The share of them that may lie
    #[arg(long, default_value_t = 0.2, value_name = "SHARE")]
    pub liars: f64,
    /// In which share of the batches that it is asked about a liar lies: who lies more seldom is flagged more seldom
    #[arg(long, default_value_t = 0.5, value_name = "SHARE")]
    pub lies: f64,
    /// How many are drawn for a batch; all, and at most 15, if left out
    #[arg(long, value_name = "N")]
    pub set: Option<u8>,
    /// How often liars may have enough of a set
    #[arg(long, default_value_t = 0.001, value_name = "P")]
    pub error: f64,
    /// In how many batches an honest gateway mishears
    #[arg(long, default_value_t = 0.01, value_name = "P")]
    pub misheard: f64,
    /// How often an honest gateway may be flagged in one window
    #[arg(long, default_value_t = 1e-6, value_name = "P")]
    pub false_alarm: f64,
    /// How often a liar must be flagged in one window
    #[arg(long, default_value_t = 0.99, value_name = "P")]
    pub power: f64,
    /// Blocks in which witnesses have to answer
    #[arg(long, default_value_t = 40, value_name = "BLOCKS", value_parser = clap::value_parser!(u8).range(4..))]
    pub patience: u8,
}

/// A gateway, and where.
#[derive(Clone, Debug, Args)]
pub struct Member {
    /// Its settler's address
    pub address: String,
    /// Configuration
    #[command(flatten)]
    pub config: ConfigFile,
}
