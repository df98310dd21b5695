//! `[witness]`: where the gateways of a neighbourhood tell each other what they meter and what they want to settle.

use super::Table;
use super::fields::duration;
use crate::config::{Broker, Feeder, Witness};
use drivers::{Credentials, MqttSpec};
use std::time::Duration;

/// What stands there. `asked` is whether `[chain] witness` is set: without it there is nobody to ask.
pub(super) fn witness(
    root: &Table<'_, '_>,
    asked: bool,
    own: Option<&Broker>,
    feeder: Option<&Feeder>,
    site: &str,
    users: impl FnOnce(&Table<'_, '_>) -> Vec<Credentials>,
) -> Option<Witness> {
    let client_id = format!("microgrid-gateway-{site}-witness");
    let ours = |own: &Broker| MqttSpec {
        broker: own.listen.to_string(),
        client_id: client_id.clone(),
        credentials: own.own(),
    };
    let every = Duration::from_secs(1)..=Duration::from_secs(600);
    let Some(table) = root.section("witness") else {
        if !asked {
            return None;
        }
        if own.is_none() {
            root.problem("witness", "is missing: [chain] asks witnesses; at which broker do they speak?");
        }
        return Some(Witness { broker: own.map(ours)?, feeder: false, every: Duration::from_secs(10) });
    };
    if !asked {
        table.problem("broker", "needs [chain] witness, the contract that draws who is asked");
    }
    let broker = match table.text("broker") {
        None => own.map(ours),
        Some(address) if super::is_host_port(&address) => {
            Some(MqttSpec { broker: address, client_id, credentials: users(&table).first().cloned() })
        }
        Some(address) => {
            table.problem("broker", format!("is {address:?}, must be host:port"));
            None
        }
    };
    if broker.is_none() && table.get("broker").is_none() {
        table.problem("broker", "is missing, and there is no [broker] section: where do the neighbours speak?");
    }
    let every = duration(&table, "readings_every", "10s", every);
    let before_all = table.flag("feeder").unwrap_or(false);
    if before_all && feeder.is_some_and(|f| f.meters.is_empty() || f.homes.is_empty()) {
        table.problem("feeder", "needs a feeder meter, which is a [[meter]] without an account, and homes behind it");
    }
    table.close();
    Some(Witness { broker: broker?, feeder: before_all, every: every? }).filter(|_| asked)
}
