//! `chain`.

use super::{asked_to_stop, block_on, print};
use crate::cli::ConfigFile;
use crate::config::{ChainKind, Config};
use crate::failure::{Code, Failure};
use crate::{clock, house, web};
use contracts::chain::{Chain, Receipt};
use contracts::key::{LocalKey, Signer};
use contracts::provider::{self, Prices};
use contracts::tx::{Call, Transaction};
use contracts::{Address, dispatch, tou};
use domain::Money;
use std::sync::Arc;
use std::time::Duration;

fn key_failure(e: contracts::key::KeyError) -> Failure {
    Failure::new(Code::Config, e)
}

/// `chain serve`
pub fn chain_serve(file: &ConfigFile, faults: bool) -> Result<(), Failure> {
    let config = Config::load(&file.path)?;
    let ChainKind::Embedded { rpc, fund } = &config.chain.kind else {
        return Err(Failure::new(Code::Config, "[chain] kind is \"rpc\": that chain is served by its own node"));
    };
    let Some(listen) = rpc else {
        return Err(Failure::new(Code::Config, "[chain] rpc_listen is missing: where should the chain answer?"));
    };
    std::fs::create_dir_all(&config.state).map_err(|e| Failure::new(Code::Unavailable, e))?;
    let clock = clock::open(&config)?;
    let key = house::settler_key(&config)?;
    let chain = house::embedded_chain(&config, fund, key.address(), &clock)?;
    let chain = Arc::new(if faults { chain.with_faults() } else { chain });
    block_on(async move {
        let asked = asked_to_stop()?;
        let (at, server) = web::serve_rpc(*listen, Arc::clone(&chain))?;
        let head = chain.head()?;
        print(&format!(
            "chain {} at block {} answers on http://{at}\n{} has coin\nthis is a development and single-site chain, not a consensus network\n",
            config.chain.chain_id,
            head.number,
            key.address()
        ))?;
        asked.await;
        server.stop(false).await;
        Ok(())
    })
}

/// `chain deploy`
pub fn chain_deploy(file: &ConfigFile) -> Result<(), Failure> {
    let (config, key, chain) = open(file)?;
    let t = &config.tariff.rates;
    let prices = Prices { off_peak: t.off_peak, peak: t.peak, feed_in: t.feed_in };
    let low_at = config.accounts.iter().map(|a| a.terms.rule.low_at).max().unwrap_or(Money::ZERO);
    let call = provider::deploy_call(house::wei_per_unit(&config), prices, low_at);
    let call = call.map_err(|e| Failure::new(Code::Config, e))?;
    let address = deployed(&send(&*chain, &key, call)?)?;
    print(&format!("{address}\n"))
}

/// `chain deploy-dispatch`
pub fn chain_deploy_dispatch(file: &ConfigFile) -> Result<(), Failure> {
    let (_, key, chain) = open(file)?;
    let address = deployed(&send(&*chain, &key, dispatch::deploy_call())?)?;
    print(&format!("{address}\n"))
}

/// `chain deploy-ranges`
pub fn chain_deploy_ranges(file: &ConfigFile, notice: Duration, gateways: &[String]) -> Result<(), Failure> {
    let seats: Vec<Address> = gateways
        .iter()
        .map(|text| text.parse().map_err(|_| Failure::new(Code::Usage, format!("--gateway {text:?} is no address"))))
        .collect::<Result<_, _>>()?;
    let minutes = notice.as_secs().div_ceil(60);
    let minutes = u32::try_from(minutes).map_err(|_| Failure::new(Code::Usage, "--notice is too long"))?;
    let (_, key, chain) = open(file)?;
    let address = deployed(&send(&*chain, &key, tou::deploy_call(minutes))?)?;
    let mut seated = vec![key.address()];
    seated.extend(seats);
    seated.dedup();
    for gateway in seated {
        let receipt = send(&*chain, &key, tou::set_gateway(address, gateway, true))?;
        if !receipt.ok {
            let what = format!("{address} is deployed, but {gateway} got no seat: {}", receipt.transaction);
            return Err(Failure::new(Code::Found, what));
        }
    }
    print(&format!("{address}\n"))
}

/// The configuration, the settler's key, and the chain.
pub(super) fn open(file: &ConfigFile) -> Result<(Config, LocalKey, Arc<dyn Chain>), Failure> {
    let config = Config::load(&file.path)?;
    std::fs::create_dir_all(&config.state).map_err(|e| Failure::new(Code::Unavailable, e))?;
    let key = house::settler_key(&config)?;
    let clock = clock::open(&config)?;
    let chain: Arc<dyn Chain> = match &config.chain.kind {
        ChainKind::Embedded { fund, .. } => Arc::new(house::embedded_chain(&config, fund, key.address(), &clock)?),
        ChainKind::Rpc { urls, trust } => Arc::new(house::nodes(urls, trust, config.chain.chain_id)?),
    };
    Ok((config, key, chain))
}

/// Sends a call and waits until it is in a block.
pub(super) fn send(chain: &dyn Chain, key: &LocalKey, call: Call) -> Result<Receipt, Failure> {
    let chain_id = chain.chain_id()?;
    let gas = chain.estimate_gas(key.address(), &call)?;
    let (nonce, fees) = (chain.nonce(key.address())?, chain.fees()?);
    let transaction = Transaction { chain_id, nonce, fees, gas_limit: gas + gas / 10, call };
    let signed = transaction.sign_for(chain.head()?.base_fee, key).map_err(key_failure)?;
    chain.send(&signed.raw)?;
    // A minute of patience: blocks of public chains take seconds.
    for _ in 0..240 {
        if let Some(receipt) = chain.receipt(signed.hash)? {
            return Ok(receipt);
        }
        block_on(async { tokio::time::sleep(Duration::from_millis(250)).await });
    }
    Err(Failure::new(Code::Unavailable, format!("{} was sent and is in no block after a minute", signed.hash)))
}

pub(super) fn deployed(receipt: &Receipt) -> Result<Address, Failure> {
    let nothing = || Failure::new(Code::Found, format!("{} was mined and deployed nothing", receipt.transaction));
    receipt.contract.filter(|_| receipt.ok).ok_or_else(nothing)
}
