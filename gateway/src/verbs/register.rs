//! `chain register` and `chain deploy-register`: what the grid operator's register has to know of this gateway.

use super::{chain, key, open_ledger, print};
use crate::cli::{ConfigFile, SignerFile};
use crate::config::Config;
use crate::failure::{Code, Failure};
use contracts::chain::{Chain, ChainError};
use contracts::key::{LocalKey, Signer};
use contracts::operator::{self, Roles};
use contracts::tx::Call;
use contracts::{Address, U256};
use domain::AccountId;
use ledger::Ledger;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// `chain deploy-register`
pub fn deploy(file: &ConfigFile, signer: &SignerFile) -> Result<(), Failure> {
    let (_, _, key, chain) = open(file, signer)?;
    let address = chain::deployed(&chain::send(&*chain, &key, operator::deploy_call())?)?;
    print(&format!("{address}\n"))
}

/// `chain register`
pub fn register(file: &ConfigFile, signer: &SignerFile, dry_run: bool, as_json: bool) -> Result<(), Failure> {
    let (config, gateway, key, chain) = open(file, signer)?;
    let (_, ledger) = open_ledger(file)?;
    let register = config.chain.agreed.registry.ok_or_else(|| {
        Failure::new(Code::Config, "[chain] operator is missing: which register? (`chain deploy-register` makes one)")
    })?;
    let provider = provider(&config, &ledger)?;
    let mut report = Report { register, gateway, provider, signer: key.address(), ..Report::default() };
    let missing = missing(&*chain, &config, &ledger, &mut report)?;
    let owner = operator::owner(&*chain, register)?;
    if dry_run || (!missing.is_empty() && owner != key.address()) {
        report.missing = missing.into_iter().map(|(what, _)| what).collect();
        if !dry_run {
            let why = format!("the register is {owner}'s, who alone can tell it: --key with their key");
            report.refused.push(("all of it".to_owned(), why));
        }
    } else {
        let before = chain.balance(key.address())?;
        for (what, call) in missing {
            match chain::send(&*chain, &key, call) {
                Ok(receipt) if receipt.ok => {
                    report.done.push((what, receipt.transaction.to_string(), receipt.gas_used));
                }
                Ok(receipt) => report.refused.push((what, format!("{} was mined and reverted", receipt.transaction))),
                Err(failure) => report.refused.push((what, failure.message)),
            }
        }
        report.wei = before.saturating_sub(chain.balance(key.address())?);
    }
    print(&if as_json { format!("{}\n", report.json()) } else { report.text() })?;
    match report.refused.len() + report.missing.len() {
        0 => Ok(()),
        n => Err(Failure::new(Code::Found, format!("{n} of what the register has to know is not there"))),
    }
}

/// The configuration, the gateway's address, who signs, and the chain.
fn open(file: &ConfigFile, signer: &SignerFile) -> Result<(Config, Address, LocalKey, Arc<dyn Chain>), Failure> {
    let (config, own, chain) = chain::open(file)?;
    let gateway = own.address();
    let key = match &signer.key {
        Some(other) => key::open(other, signer.password_file.as_deref())?,
        None => own,
    };
    Ok((config, gateway, key, chain))
}

/// The contract that this gateway settles on.
fn provider(config: &Config, ledger: &Ledger) -> Result<Address, Failure> {
    if let Some(at) = config.chain.provider {
        return Ok(at);
    }
    let text = ledger.meta("provider")?.ok_or_else(|| {
        Failure::new(
            Code::Unavailable,
            "there is no contract yet: a gateway that runs deploys one, or [chain] provider",
        )
    })?;
    text.parse().map_err(|e| Failure::new(Code::Data, format!("the ledger's contract {text}: {e}")))
}

/// What the register does not know yet, with the calls that tell it. What it knows otherwise goes to `report`.
fn missing(
    chain: &dyn Chain,
    config: &Config,
    ledger: &Ledger,
    report: &mut Report,
) -> Result<Vec<(String, Call)>, Failure> {
    let Report { register, gateway, provider, .. } = *report;
    let mut missing = Vec::new();
    let roles = operator::roles_of(chain, register, gateway).map_err(|e| no_register(register, e))?;
    if !roles.gateway {
        let call = operator::set_roles(register, gateway, Roles { gateway: true, ..roles });
        missing.push((format!("{gateway} is a gateway"), call));
    }
    let rows = ledger.accounts()?;
    let numbers: BTreeMap<&AccountId, u32> = rows.iter().map(|row| (&row.name, row.number)).collect();
    for switch in &config.switches {
        let Some(point) = switch.point else { continue };
        let Some(number) = numbers.get(&switch.account) else {
            let why = format!("account {} has no number yet: it gets one when a gateway runs", switch.account);
            report.refused.push((format!("the point of switch {}", switch.id), why));
            continue;
        };
        let (there, feeds) =
            (operator::point_of(chain, register, point)?, operator::provider_of(chain, register, point)?);
        if feeds != Address::ZERO && feeds != provider {
            // Whose customer somebody is, nobody changes in passing.
            let why = format!("{feeds} feeds it by the register; route({point}, …) by the grid operator changes that");
            report.refused.push((format!("the point of switch {}", switch.id), why));
        } else if (feeds, there.account, there.gateway) != (provider, *number, gateway) {
            let what = format!("the point of switch {} is fed by {provider} under account {number}", switch.id);
            missing.push((what, operator::route(register, point, provider, *number, gateway)));
        }
    }
    Ok(missing)
}

fn no_register(at: Address, error: ChainError) -> Failure {
    match error {
        error if error.is_transient() => error.into(),
        error => Failure::new(Code::Found, format!("[chain] operator {at} is no register: {error}")),
    }
}

/// What came of it.
#[derive(Default)]
struct Report {
    register: Address,
    gateway: Address,
    provider: Address,
    signer: Address,
    done: Vec<(String, String, u64)>,
    refused: Vec<(String, String)>,
    missing: Vec<String>,
    wei: U256,
}

impl Report {
    fn gas(&self) -> u64 {
        self.done.iter().map(|(_, _, gas)| gas).sum()
    }

    fn text(&self) -> String {
        let mut text = format!("register {} of the grid operator, signed by {}\n", self.register, self.signer);
        for (what, transaction, gas) in &self.done {
            text += &format!("told     {what}: {gas} gas, {transaction}\n");
        }
        for what in &self.missing {
            text += &format!("missing  {what}\n");
        }
        for (what, why) in &self.refused {
            text += &format!("refused  {what}: {why}\n");
        }
        if self.done.is_empty() && self.missing.is_empty() && self.refused.is_empty() {
            text += "nothing is missing\n";
        } else if !self.done.is_empty() {
            text += &format!("{} transactions, {} gas, {} wei\n", self.done.len(), self.gas(), self.wei);
        }
        text
    }

    fn json(&self) -> serde_json::Value {
        let done = |(what, transaction, gas): &(String, String, u64)| json!({ "what": what, "transaction": transaction, "gas": gas });
        json!({
            "register": self.register.to_string(),
            "signer": self.signer.to_string(),
            "gateway": self.gateway.to_string(),
            "provider": self.provider.to_string(),
            "done": self.done.iter().map(done).collect::<Vec<_>>(),
            "missing": self.missing,
            "refused": self.refused.iter().map(|(what, why)| json!({ "what": what, "why": why })).collect::<Vec<_>>(),
            "gas": self.gas(),
            "wei": self.wei.to_string(),
        })
    }
}
