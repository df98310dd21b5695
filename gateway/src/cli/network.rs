//! What the verbs about networks take.

use super::duration;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// An optimal power flow.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
FILE is a MATPOWER case (version 2, .m) or a street (.toml):

  volts = 400
  [source]
  bus = \"station\"
  price = 0.30              # a kWh from the grid
  export_price = 0.08       # what the grid pays for one; 0 if left out
  kva = 250
  [[cable]]
  name = \"NAYY 150\"
  r_ohm_per_km = 0.206
  x_ohm_per_km = 0.080
  amps = 270
  [[line]]
  from = \"station\"
  to = \"corner\"
  cable = \"NAYY 150\"
  metres = 120
  [[home]]
  bus = \"corner\"
  kw = 2.5
  kvar = 0.4
  [[inverter]]
  bus = \"corner\"
  kw = 5                    # what the sun gives now

By default and with --ac, the whole model with losses, voltages and reactive power; its lower bound is that of --socp.
--dc is the linear model: voltages of 1 p.u., no losses, no reactive power.
Whatever the answer is (optimal, infeasible, out of time), the exit code is 0; 65 is a file that is wrong.")]
pub struct Opf {
    /// The network
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Alternating current: voltages, reactive power, losses (the default)
    #[arg(long, conflicts_with_all = ["dc", "socp"])]
    pub ac: bool,
    /// The linear model, as a quadratic program
    #[arg(long, conflicts_with = "socp")]
    pub dc: bool,
    /// The second-order-cone relaxation: a bound, and the optimum on most radial feeders
    #[arg(long)]
    pub socp: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Solve once, then so many times from where the last solve ended, and give their median time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub repeat: Option<u32>,
    /// How long one solve may take
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10s")]
    pub deadline: Duration,
}

/// A power flow.
#[derive(Clone, Debug, Args)]
pub struct Flow {
    /// The network: a MATPOWER case (.m) or a street (.toml; `opf --help` shows one)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Let generators go beyond their limits of reactive power to hold their voltage
    #[arg(long)]
    pub no_q_limits: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
