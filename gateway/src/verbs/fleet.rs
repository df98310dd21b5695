//! `fleet`.

use super::{block_on, print};
use crate::cli::{Fleet, FleetStatus};
use crate::config::{ChainKind, Config};
use crate::failure::{Code, Failure};
use crate::fleet::{self, Row, Said, Standing};
use crate::{broker, clock, house};
use contracts::chain::{Chain, ChainError};
use contracts::endpoints::Endpoints;
use contracts::{Address, provider, witness};
use drivers::MqttSpec;
use drivers::mqtt::Link;
use ledger::Ledger;
use serde_json::json;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

/// Messages that a broker has kept, and sends at once.
const AT_ONCE: usize = 4096;

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
            format!("--topic {filter:?} is no filter such as town/+/microgrid/+/gateway/+"),
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
    let ours = if chain.is_some() { own_book(&config)? } else { None };
    let asker = chain.as_ref().map(Asker::new);
    let missing = asker.as_ref().map(|asker| missing(asker, &config, &said)).unwrap_or_default();
    let rows = fleet::rows(said, clock.now(), options.late, |said| {
        // Of another contract it is said that it is another.
        let book = ours.filter(|at| said.state.provider.as_ref().and_then(|p| p.parse().ok()) == Some(*at))?;
        asker.as_ref()?.ask(|chain| provider::is_settler(chain, book, said.address))
    });
    let found = Found {
        rows,
        missing,
        unheard,
        unasked: asker.and_then(|asker| asker.failed.into_inner()).map(|e| e.to_string()),
    };
    print(&if options.json { as_json(&found) } else { as_text(&found) })?;
    let Found { rows, missing, unheard, unasked } = found;
    let troubled = rows.iter().filter(|row| row.standing != Standing::Well).count()
        + missing.len()
        + unheard.len()
        + usize::from(unasked.is_some());
    match (rows.len(), troubled) {
        (0, _) => Err(Failure::new(Code::Found, "no gateway was heard: see `fleet status --help` for where it looks")),
        (_, 0) => Ok(()),
        (_, n) => Err(Failure::new(Code::Found, format!("{n} of them need a look"))),
    }
}

/// All that is printed.
struct Found {
    rows: Vec<Row>,
    /// Members of the neighbourhood's contract that nothing was heard of.
    missing: Vec<Address>,
    /// What was heard and counts for nothing, by topic.
    unheard: BTreeMap<String, String>,
    /// Why the chain did not answer all that it was asked.
    unasked: Option<String>,
}

/// Asks the nodes until they are away once: then every further question would take its patience, and have no answer.
struct Asker<'a> {
    chain: &'a dyn Chain,
    failed: RefCell<Option<ChainError>>,
}

impl<'a> Asker<'a> {
    fn new(chain: &'a Endpoints) -> Self {
        Self { chain, failed: RefCell::default() }
    }

    fn ask<T>(&self, question: impl FnOnce(&dyn Chain) -> Result<T, ChainError>) -> Option<T> {
        if self.failed.borrow().as_ref().is_some_and(ChainError::is_transient) {
            return None;
        }
        question(self.chain).map_err(|error| self.failed.replace(Some(error))).ok()
    }
}

/// The contract that this gateway settles on: the configured one, or the one that it made itself.
fn own_book(config: &Config) -> Result<Option<Address>, Failure> {
    let path = config.state.join("ledger.db");
    if config.chain.provider.is_some() || !path.exists() {
        return Ok(config.chain.provider);
    }
    Ok(Ledger::open_present(&path)?.meta("provider")?.and_then(|at| at.parse().ok()))
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
    let mut heard = link.subscribe_with(&filter, AT_ONCE);
    let mut last: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let until = tokio::time::Instant::now() + options.listen;
    while let Ok(message) = tokio::time::timeout_at(until, heard.recv()).await {
        if message.payload.is_empty() {
            // Taken back meanwhile.
            last.remove(&message.topic);
        } else {
            last.insert(message.topic, message.payload);
        }
    }
    let (connected, dropped) = (*link.connected().borrow(), heard.dropped());
    let across = match (&looking, last.is_empty()) {
        (Some(broker), true) => bridged(broker).await,
        _ => true,
    };
    link.close(Duration::from_secs(1)).await;
    if !connected {
        return Err(Failure::new(Code::Unavailable, format!("{} did not answer within --listen", own.listen)));
    }
    if let Some(bridge) = own.bridge.as_ref().filter(|_| !across) {
        let at = format!("{}:{}", bridge.host, bridge.port);
        let what = format!("the broker of [bridge], {at}, did not answer within --listen, or does not let us in");
        return Err(Failure::new(Code::Unavailable, what));
    }
    if dropped > 0 {
        let what = format!("{dropped} messages were lost, since more than {AT_ONCE} came at once: narrow --topic");
        return Err(Failure::new(Code::Unavailable, what));
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

/// Whether the bridge of a broker that only looks is up: it is a client there, beside our own link.
async fn bridged(looking: &::broker::Broker) -> bool {
    let up = async {
        while looking.figures().connected < 2 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    // Its figures are up to a second old.
    tokio::time::timeout(Duration::from_millis(1_500), up).await.is_ok()
}

/// Members of the neighbourhood's contract that nothing was heard of.
fn missing(asker: &Asker<'_>, config: &Config, said: &[Said]) -> Vec<Address> {
    let members =
        config.chain.witness.and_then(|at| asker.ask(|chain| witness::members(chain, at))).unwrap_or_default();
    members.into_iter().filter(|member| said.iter().all(|said| said.address != *member)).collect()
}

fn as_json(Found { rows, missing, unheard, unasked }: &Found) -> String {
    let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
    format!("{}\n", json!({ "gateways": rows, "missing": missing, "unheard": unheard, "unasked": unasked }))
}

fn as_text(Found { rows, missing, unheard, unasked }: &Found) -> String {
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
        // Anybody may have written it, and a terminal obeys control characters.
        text += &format!("{}: {}\n", topic.escape_debug(), why.escape_debug());
    }
    if let Some(why) = unasked {
        text += &format!("not all is known of who may settle and who is a member: {}\n", why.escape_debug());
    }
    text
}
