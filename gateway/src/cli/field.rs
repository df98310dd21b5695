//! What an installer and a package need: what is wrong here, what becomes of switches without a gateway, and papers.

use super::ConfigFile;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// `setup`
#[derive(Debug, Args)]
pub struct Setup {
    /// The configuration to write; it must describe no street yet
    #[command(flatten)]
    pub config: ConfigFile,
}

/// `commission`
#[derive(Debug, Args)]
pub struct Commission {
    /// Configuration of the gateway, which must not run meanwhile
    #[command(flatten)]
    pub config: ConfigFile,
    /// Where the report goes, as Markdown; one that is there is not overwritten
    #[arg(long, value_name = "FILE", default_value = "commissioning.md")]
    pub report: PathBuf,
    /// Who does it
    #[arg(long, value_name = "NAME")]
    pub by: String,
}

/// `doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// Its configuration
    #[command(flatten)]
    pub config: ConfigFile,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `silence`
#[derive(Debug, Args)]
pub struct Silence {
    /// Its configuration
    #[command(flatten)]
    pub config: ConfigFile,
    /// The state folder, where the configuration that last ran is kept in case the present one is wrong; from systemd
    /// if left out
    #[arg(long, value_name = "FOLDER")]
    pub state: Option<PathBuf>,
}

/// `papers`
#[derive(Debug, Args)]
pub struct Papers {
    /// What to write
    pub what: Paper,
    /// The folder to write into
    pub folder: PathBuf,
}

/// What a package holds besides the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Paper {
    /// A manual page for each verb, as `man` reads them
    Man,
    /// Completions for bash, zsh and fish
    Completions,
}
