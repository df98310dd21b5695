//! The customers of the demonstration. They have a wallet of their own and reach the chain as any wallet does: over
//! JSON-RPC. One of them pays in very little.

use crate::deposit::pay;
use crate::failure::{Code, Failure};
use crate::house::House;
use actors::{Board, Scribe};
use contracts::Address;
use contracts::key::LocalKey;
use contracts::rpc::JsonRpc;
use domain::{AccountId, Clock, Credit, Currency, Money, Tariff};
use ledger::AccountRow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Whose credit runs out.
const UNLUCKY: &str = "home-5";
/// How long the unlucky customer's first payment lasts, and how long the customer then sits in the dark, in real time.
const LASTS: Duration = Duration::from_secs(12);
const DARK: Duration = Duration::from_secs(6);

/// The customers' key, made at the first start.
pub fn wallet(state: &Path) -> Result<LocalKey, Failure> {
    let path = state.join("keys/customers.key");
    let failed = |e: contracts::key::KeyError| Failure::new(Code::Config, e);
    if path.exists() {
        return LocalKey::load(&path).map_err(failed);
    }
    std::fs::create_dir_all(state.join("keys")).map_err(|e| Failure::new(Code::Unavailable, e))?;
    let key = LocalKey::generate().map_err(failed)?;
    key.save_new(&path).map_err(failed)?;
    Ok(key)
}

/// All customers.
pub struct Customers {
    chain: Arc<JsonRpc>,
    wallet: Arc<LocalKey>,
    scribe: Scribe,
    board: Board,
    clock: Clock,
    tariff: Tariff,
    currency: Currency,
    wei_per_unit: contracts::U256,
    dark_since: BTreeMap<AccountId, Instant>,
    /// What each account had been paid when its last deposit was sent: the next waits until the gateway has seen it.
    sent_at: BTreeMap<AccountId, Money>,
}

impl Customers {
    /// Customers of this house.
    pub fn new(house: &House, wallet: LocalKey) -> Result<Self, Failure> {
        let rpc = house.listening.get("json_rpc").cloned().unwrap_or_default();
        let chain = JsonRpc::new(&format!("http://{rpc}"), Duration::from_secs(5))?;
        Ok(Self {
            chain: Arc::new(chain),
            wallet: Arc::new(wallet),
            scribe: house.scribe.clone(),
            board: house.board.clone(),
            clock: house.clock.clone(),
            tariff: house.config.tariff.clone(),
            currency: house.config.currency.clone(),
            wei_per_unit: crate::house::wei_per_unit(&house.config),
            dark_since: BTreeMap::new(),
            sent_at: BTreeMap::new(),
        })
    }

    /// Looks after the accounts for ever.
    pub async fn live(mut self) {
        let mut recorded = self.scribe.recorded();
        loop {
            if let Err(problem) = self.look().await {
                tracing::warn!(%problem, "a customer could not pay");
            }
            let _ = tokio::time::timeout(Duration::from_millis(500), recorded.changed()).await;
        }
    }

    async fn look(&mut self) -> Result<(), String> {
        let asked = self.scribe.read(|ledger| Ok((ledger.meta("provider")?, ledger.accounts()?))).await;
        let (provider, accounts) = asked.map_err(|e| e.to_string())?;
        let Some(provider) = provider.and_then(|p| p.parse::<Address>().ok()) else { return Ok(()) };
        for account in accounts.iter().filter(|a| a.opened) {
            if self.sent_at.get(&account.name).is_some_and(|then| *then == account.topped_up) {
                continue;
            }
            if let Some(amount) = self.wants(account) {
                self.sent_at.insert(account.name.clone(), account.topped_up);
                let (chain, wallet) = (Arc::clone(&self.chain), Arc::clone(&self.wallet));
                let (number, wei_per_unit) = (account.number, self.wei_per_unit);
                let paid = tokio::task::spawn_blocking(move || {
                    pay(&*chain, &wallet, provider, number, amount, wei_per_unit).map_err(|e| e.to_string()).map(drop)
                });
                paid.await.map_err(|e| e.to_string())??;
            }
        }
        Ok(())
    }

    /// What this customer pays in now, if anything.
    fn wants(&mut self, account: &AccountRow) -> Option<Money> {
        let coins = |n: i64| Money(self.currency.scale().saturating_mul(n));
        if account.topped_up == Money::ZERO {
            return if account.name.as_str() == UNLUCKY { self.too_little(account) } else { Some(coins(20)) };
        }
        // Paid in and not judged yet counts as paid.
        if account.credit != Credit::Exhausted || account.balance > Money::ZERO {
            self.dark_since.remove(&account.name);
            return None;
        }
        let since = *self.dark_since.entry(account.name.clone()).or_insert_with(Instant::now);
        (since.elapsed() >= DARK).then(|| coins(10))
    }

    /// What the home's present power costs until [`LASTS`] is over; nothing before the meter was read.
    fn too_little(&self, account: &AccountRow) -> Option<Money> {
        let live = self.board.look();
        let meter = live.meters.iter().find(|(id, _)| id.as_str() == account.name.as_str())?;
        let watts = meter.1.reading.power?.0.max(1);
        let seconds = i64::try_from(LASTS.as_secs()).ok()?.checked_mul(i64::from(self.clock.speed()))?;
        let energy = domain::WattHours((watts.checked_mul(seconds)? / 3600).max(2));
        self.tariff.rates.price(self.tariff.range_at(self.clock.now())).of(energy)?.checked_sub(account.balance)
    }
}
