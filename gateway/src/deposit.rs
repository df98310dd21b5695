//! A customer's deposit, as any wallet would make it.

use crate::cli::Topup;
use crate::config::{ChainKind, Config};
use crate::failure::{Code, Failure};
use crate::house;
use crate::verbs::print;
use contracts::chain::{Chain, ChainError};
use contracts::key::{KeyError, LocalKey, Signer};
use contracts::provider::{self, BadValue};
use contracts::trust::Trust;
use contracts::tx::Transaction;
use contracts::{Address, B256, U256};
use domain::Money;
use ledger::Ledger;
use thiserror::Error;

/// Why a deposit was not made.
#[derive(Debug, Error)]
pub enum NotPaid {
    /// The chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The amount.
    #[error(transparent)]
    Value(#[from] BadValue),
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Sends `amount` from `wallet` into an account, and answers the transaction's hash.
pub fn pay(
    chain: &dyn Chain,
    wallet: &LocalKey,
    provider: Address,
    number: u32,
    amount: Money,
    wei_per_unit: U256,
) -> Result<B256, NotPaid> {
    let call = provider::deposit(provider, number, amount, wei_per_unit)?;
    let gas = chain.estimate_gas(wallet.address(), &call)?;
    let transaction = Transaction {
        chain_id: chain.chain_id()?,
        nonce: chain.nonce(wallet.address())?,
        fees: chain.fees()?,
        gas_limit: gas.saturating_add(gas / 5),
        call,
    };
    Ok(chain.send(&transaction.sign_for(chain.head()?.base_fee, wallet)?.raw)?)
}

/// `topup`
pub fn run(options: &Topup) -> Result<(), Failure> {
    let config = Config::load(&options.config.path)?;
    let amount = config.currency.parse(&options.amount).map_err(|e| Failure::new(Code::Usage, e))?;
    let (urls, trust) = match &config.chain.kind {
        ChainKind::Rpc { urls, trust } => (urls.clone(), trust.clone()),
        ChainKind::Embedded { rpc: Some(at), .. } if at.port() != 0 => (vec![format!("http://{at}")], Trust::default()),
        ChainKind::Embedded { .. } => {
            let why = "the running gateway's chain cannot be reached: give [chain] rpc_listen a port of its own";
            return Err(Failure::new(Code::Config, why));
        }
    };
    let key = match &options.key {
        Some(file) => crate::verbs::key::open(file, options.password_file.as_deref())?,
        None => house::settler_key(&config)?,
    };
    let path = config.state.join("ledger.db");
    if !path.exists() {
        return Err(Failure::new(Code::Unavailable, format!("{}: there is no ledger yet", path.display())));
    }
    let ledger = Ledger::open_present(&path)?;
    let accounts = ledger.accounts()?;
    let Some(account) = accounts.iter().find(|a| a.name.as_str() == options.account) else {
        let hint = drivers::document::did_you_mean(&options.account, accounts.iter().map(|a| a.name.as_str()));
        return Err(Failure::new(Code::Usage, format!("{:?} is no account of this ledger{hint}", options.account)));
    };
    let known = ledger.meta("provider")?.and_then(|p| p.parse().ok());
    let Some(provider) = config.chain.provider.or(known).filter(|_| account.opened) else {
        let why = format!("{} is not open on the chain yet; the running gateway does that", account.name);
        return Err(Failure::new(Code::Unavailable, why));
    };
    let chain = house::nodes(&urls, &trust, config.chain.chain_id)?;
    let hash = pay(&chain, &key, provider, account.number, amount, house::wei_per_unit(&config))
        .map_err(|e| Failure::new(Code::Unavailable, e))?;
    let shown = config.currency.show(amount);
    print(&format!("{shown} are on their way to {}: {hash}\n", account.name))
}
