//! `fleet`.

use super::{block_on, print};
use crate::cli::{Fleet, FleetStatus};
use crate::config::{ChainKind, Config};
use crate::failure::{Code, Failure};
use crate::fleet::{self, Row, Said, Standing};
use crate::{broker, clock, house};
use contracts::chain::Chain;
use contracts::{Address, provider, witness};
use drivers::MqttSpec;
use drivers::mqtt::Link;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// `fleet`
pub fn run(verb: &Fleet) -> Result<(), Failure> {
    match verb {
        Fleet::Status(options) => status(options),
    }
}

fn status(options: &FleetStatus) -> Result<(), Failure> {
    if let Some(filter) = options.topic.as_deref().filter(|filter| !::broker::topic::is_filter(filter)) {
        return Err(Failure::new(
            Code::Usage,
            format!("--topic {filter:?} is no filter such as town/+/microgrid/+/gateway"),
        ));
    }
    let config = Config::load(&options.config.path)?;
    let clock = clock::open(&config)?;
    let (said, unheard) = block_on(listen(&config, options))?;
    let chain = match &config.chain.kind {
        ChainKind::Rpc { urls, trust } => Some(house::nodes(urls, trust, config.chain.chain_id)?),
        // Each gateway has its own, and nobody else's can be asked.
        ChainKind::Embedded { .. } => None,
    };
    let known = |said: &Said| {
        let book: Address = said.state.provider.as_ref()?.parse().ok()?;
        // A node that is away knows nothing of anybody.
        provider::is_settler(chain.as_ref()?, book, said.address).ok()
    };
    let missing = chain.as_ref().map(|chain| missing(chain, &config, &said)).unwrap_or_default();
    let rows = fleet::rows(said, clock.now(), options.late, known);
    let told = if options.json { as_json(&rows, &missing, &unheard) } else { as_text(&rows, &missing, &unheard) };
    print(&told)?;
    let troubled = rows.iter().filter(|row| row.standing != Standing::Well).count() + missing.len() + unheard.len();
    match (rows.len(), troubled) {
        (0, _) => Err(Failure::new(Code::Found, "no gateway was heard: see `fleet status --help` for where it looks")),
        (_, 0) => Ok(()),
        (_, n) => Err(Failure::new(Code::Found, format!("{n} of them need a look"))),
    }
}

/// What is kept at the neighbourhood's broker, and what of it counts for nothing, by topic.
async fn listen(config: &Config, options: &FleetStatus) -> Result<(Vec<Said>, BTreeMap<String, String>), Failure> {
    let own = config.broker.as_ref().ok_or_else(|| {
        Failure::new(
            Code::Config,
            "there is no [broker], so this gateway tells its neighbours nothing and hears nothing",
        )
    })?;
    let prefix = own.bridge.as_ref().map_or("", |bridge| &bridge.prefix);
    let filter = options.topic.clone().unwrap_or_else(|| fleet::neighbours(prefix));
    let looking = own.bridge.as_ref().map(|bridge| broker::looking(bridge, &filter)).transpose()?;
    let spec = MqttSpec {
        broker: looking.as_ref().map_or(own.listen, |broker| broker.address).to_string(),
        client_id: format!("microgrid-gateway-{}-look-{}", config.site, std::process::id()),
        credentials: if looking.is_some() { None } else { own.own() },
    };
    let link = Link::connect(spec, None);
    let mut heard = link.subscribe(&filter);
    let mut last: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let until = tokio::time::Instant::now() + options.listen;
    while let Ok(message) = tokio::time::timeout_at(until, heard.recv()).await {
        last.insert(message.topic, message.payload);
    }
    let connected = *link.connected().borrow();
    link.close(Duration::from_secs(1)).await;
    if !connected {
        return Err(Failure::new(Code::Unavailable, format!("{} did not answer within --listen", own.listen)));
    }
    let (mut said, mut unheard) = (Vec::new(), BTreeMap::new());
    for (topic, payload) in last {
        match Said::open(&topic, &payload) {
            Ok(one) => said.push(one),
            Err(why) => drop(unheard.insert(topic, why)),
        }
    }
    Ok((said, unheard))
}

/// Members of the neighbourhood's contract that nothing was heard of.
fn missing(chain: &dyn Chain, config: &Config, said: &[Said]) -> Vec<Address> {
    let members = config.chain.witness.and_then(|at| witness::members(chain, at).ok()).unwrap_or_default();
    members.into_iter().filter(|member| said.iter().all(|said| said.address != *member)).collect()
}

fn as_json(rows: &[Row], missing: &[Address], unheard: &BTreeMap<String, String>) -> String {
    let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
    format!("{}\n", json!({ "gateways": rows, "missing": missing, "unheard": unheard }))
}

fn as_text(rows: &[Row], missing: &[Address], unheard: &BTreeMap<String, String>) -> String {
    let head = ["site", "is", "said", "version", "config", "block", "settled", "pending"].map(str::to_owned);
    let mut lines = vec![head];
    for row in rows {
        let state = &row.said.state;
        let standing = match row.standing {
            Standing::Well => "well",
            Standing::Ailing => "ailing",
            Standing::Late => "late",
        };
        lines.push([
            state.site.clone(),
            standing.to_owned(),
            format!("{} s ago", row.age_s),
            state.version.clone(),
            state.config.chars().take(8).collect(),
            state.block.to_string(),
            state.settled_batches.to_string(),
            format!("{} Wh", state.pending_wh),
        ]);
    }
    let widths: Vec<usize> =
        (0..8).map(|i| lines.iter().map(|line| line[i].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for line in &lines {
        let padded: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text += padded.join("  ").trim_end();
        text += "\n";
    }
    for row in rows {
        for problem in &row.problems {
            text += &format!("{}: {problem}\n", row.said.state.site);
        }
    }
    for member in missing {
        text += &format!("{member} is a member and was not heard\n");
    }
    for (topic, why) in unheard {
        text += &format!("{topic}: {why}\n");
    }
    text
}
