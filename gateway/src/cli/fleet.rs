//! The gateways of a neighbourhood, as typed.

use super::ConfigFile;
use clap::{Args, Subcommand};
use std::time::Duration;

/// What can be done about them.
#[derive(Debug, Subcommand)]
pub enum Fleet {
    /// Print which gateways there are, who is late, who differs from most, and what is wrong with whom
    Status(FleetStatus),
}

/// A look at all of them.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Every gateway with a [broker] keeps a signed message at microgrid/SITE/gateway/ADDRESS, retained, and \
    says it anew every two minutes; with microgrid/+/gateway/+ in [bridge] publish it stands at the neighbourhood's broker too, \
    and nothing of customers does. This looks there: at the broker of [bridge], for topics behind as many \
    levels as its prefix has, or without [bridge] at the gateway's own [broker]. Where [chain] names a node, it is asked whether this gateway's contract takes batches of whoever signed and \
    names it, and with [chain] witness which members were not heard at all; once it fails it is not asked again. What is compared \
    of tariffs is what configurations say, not what was announced since. Who has left stays, and is late, until its message is \
    taken back at every broker that keeps it: mosquitto_pub -r -n -t PREFIX/microgrid/SITE/gateway/ADDRESS. Exits with 1 if \
    somebody is late, ailing or missing, if a message counts for nothing, if nobody is there or if the chain does not \
    answer, and with 69 if the broker does not."
)]
pub struct FleetStatus {
    /// Configuration
    #[command(flatten)]
    pub config: ConfigFile,
    /// How long to listen
    #[arg(long, value_name = "DURATION", value_parser = super::duration, default_value = "3s")]
    pub listen: Duration,
    /// How long a gateway may be silent
    #[arg(long, value_name = "DURATION", value_parser = super::duration, default_value = "5m")]
    pub late: Duration,
    /// Where gateways tell of themselves, as a topic filter, if not behind as many levels as our own prefix has
    #[arg(long, value_name = "FILTER")]
    pub topic: Option<String>,
    /// As one JSON object
    #[arg(long)]
    pub json: bool,
}
