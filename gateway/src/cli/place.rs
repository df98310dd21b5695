//! What the verb about places takes.

use clap::Args;
use std::path::PathBuf;

/// Where devices are, by how loud they were heard.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
PLACES says who listens where, and which devices claim to be where. Lengths are metres:

  false_rejections = 0.01     # how often an honest device may be turned away; 0.01 if left out
  reach = 18                  # how far from its claim an accepted device may be; 18 if left out
  samples = 5                 # an anchor that heard a device less often says nothing; 5 if left out
  [[anchor]]
  node = \"office\"             # the name of the node with ESPresense, or of the bridge
  x = 0
  y = 0
  [[device]]
  name = \"meter 7\"
  x = 12.5
  y = 3
  sender = \"iBeacon:426c7565-4368-6172-6d42-6561636f6e73-0-0\"
  # secret = \"meter7.key\"     # instead: 64 hex digits that it shares with us; its code then follows from --seed
  itinerary = \"meter7.csv\"    # lines of metres,dBm: how loud it was where; or what follows from that:
  # at_one_metre = -41.5      # dBm
  # exponent = 2.8
  # spread = 2.7              # dB

HEARD has a line for each time a device was heard. Of nodes with ESPresense, record

  mosquitto_sub -v -t 'espresense/devices/#' > HEARD

and of a bridge on a serial port its lines, each behind its name and a space. Lines that cannot be read are counted.

How loud a device is says where it sends from, not whose words it sends: an accomplice at the claimed place who relays
them is believed. The exit code is 1 if a device is somewhere else, 65 if a file is wrong.")]
pub struct Locate {
    /// Who listens where, and who claims what
    #[arg(value_name = "PLACES")]
    pub places: PathBuf,
    /// What was heard; - is the standard input
    #[arg(value_name = "HEARD")]
    pub heard: PathBuf,
    /// The seed of the draw on the chain, 64 hex digits: devices with a secret are known by the code that follows from it
    #[arg(long, value_name = "HEX")]
    pub seed: Option<contracts::B256>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
