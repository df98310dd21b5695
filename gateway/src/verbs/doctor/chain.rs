//! The chain: the key that signs, the nodes, the contract, and what is left to pay gas with.

use super::Finding;
use crate::clock;
use crate::config::{ChainKind, Config};
use crate::house;
use actors::CHAIN_ID;
use contracts::chain::{Chain, ChainError};
use contracts::key::{LocalKey, Signer};
use contracts::provider;
use contracts::rpc::JsonRpc;
use contracts::{Address, U256};
use ledger::Ledger;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);
/// A head that is older than this is a node that has fallen behind, or a chain that stands.
const BEHIND: u64 = 600;
/// Gas of some hundred batches.
const FEW: u64 = 50_000_000;

/// The settler's key.
pub fn key(config: &Config) -> Vec<Finding> {
    let credential = std::env::var_os("CREDENTIALS_DIRECTORY").map(|folder| Path::new(&folder).join("settler.key"));
    if !config.chain.key_file.exists() && !credential.is_some_and(|key| key.exists()) {
        return vec![match &config.chain.kind {
            ChainKind::Embedded { .. } => Finding::good("key", "made at the first start"),
            ChainKind::Rpc { .. } => {
                let shown = config.chain.key_file.display();
                Finding::bad("key", format!("{shown}: not there"), format!("microgrid-gateway key new {shown}"))
            }
        }];
    }
    vec![match house::settler_key(config) {
        Ok(key) => Finding::good("key", format!("the settler is {}", key.address())),
        Err(e) => Finding::bad("key", e.to_string(), "chmod 600 it, or see `microgrid-gateway key --help`"),
    }]
}

/// Whether the ledger settles on the chain that the file says. Which one that is, it never forgets.
pub fn ledger(config: &Config) -> Vec<Finding> {
    let path = config.state.join("ledger.db");
    // One that does not open is a finding already.
    let kept = Ledger::open_copy(&path).and_then(|ledger| ledger.meta(CHAIN_ID)).ok().flatten();
    let Some(kept) = kept.filter(|id| *id != config.chain.chain_id.to_string()) else { return Vec::new() };
    let said = format!("{} settles on chain {kept}, [chain] chain_id is {}", path.display(), config.chain.chain_id);
    let fix = format!("another chain needs another state folder: [site] state, or chain_id = {kept} again");
    vec![Finding::bad("chain", said, fix)]
}

/// The nodes of a chain that is not ours.
pub fn nodes(config: &Config) -> Vec<Finding> {
    let ChainKind::Rpc { urls, trust } = &config.chain.kind else {
        return vec![Finding::good("chain", "embedded")];
    };
    let settler = config.chain.key_file.exists().then(|| house::settler_key(config).ok()).flatten();
    let mut found = Vec::new();
    for url in urls {
        match JsonRpc::trusting(url, PATIENCE, trust).and_then(|node| node_found(&node, config, settler.as_ref())) {
            Ok(more) => found.extend(more),
            Err(e) => found.push(Finding::bad("chain", e.to_string(), "metering and billing go on; settlement waits")),
        }
    }
    found
}

fn node_found(node: &JsonRpc, config: &Config, settler: Option<&LocalKey>) -> Result<Vec<Finding>, ChainError> {
    let shown = node.shown();
    let id = node.chain_id()?;
    if id != config.chain.chain_id {
        let fix = format!("[chain] chain_id = {id}, or another url");
        return Ok(vec![Finding::bad("chain", format!("{shown} is chain {id}, not {}", config.chain.chain_id), fix)]);
    }
    let head = node.head()?;
    let now = u64::try_from(clock::wall().0 / 1000).unwrap_or_default();
    let age = now.saturating_sub(head.timestamp);
    let said = format!("{shown}: block {}, {age} s old", head.number);
    let mut found = vec![if age > BEHIND {
        Finding::doubtful("chain", said, "the node is behind, or the chain mines only on demand")
    } else {
        Finding::good("chain", said)
    }];
    if let Some(key) = settler {
        let (money, price) = (node.balance(key.address())?, node.fees()?.max_fee);
        let least = U256::from(FEW).saturating_mul(U256::from(price));
        let said = format!("the settler has {money} wei, gas costs up to {price} wei");
        found.push(if money < least {
            Finding::doubtful(
                "gas money",
                said,
                format!("send some to {}: at {least} wei it is enough for a while", key.address()),
            )
        } else {
            Finding::good("gas money", said)
        });
    }
    if let Some(at) = config.chain.provider {
        found.push(contract(node, at, settler)?);
    }
    Ok(found)
}

fn contract(node: &JsonRpc, at: Address, settler: Option<&LocalKey>) -> Result<Finding, ChainError> {
    if node.code(at)?.is_empty() {
        let fix = "microgrid-gateway chain deploy, and write its address into [chain] provider";
        return Ok(Finding::bad("contract", format!("{at}: there is no contract"), fix));
    }
    let Some(key) = settler else { return Ok(Finding::good("contract", format!("{at} is there"))) };
    Ok(if provider::is_settler(node, at, key.address())? {
        Finding::good("contract", format!("{at} takes batches of this settler"))
    } else {
        let fix = format!("its owner calls setSettler({}, true)", key.address());
        Finding::bad("contract", format!("{at} does not know this settler"), fix)
    })
}
