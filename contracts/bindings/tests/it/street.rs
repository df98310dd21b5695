//! A street under test: a chain, an owner, and the contract.

use contracts::chain::{Chain, ChainError, Receipt};
use contracts::embedded::{EmbeddedChain, Genesis};
use contracts::key::{LocalKey, Signer};
use contracts::provider::{self, Item, Prices};
use contracts::tx::{Call, Transaction};
use contracts::{Address, B256, U256};
use domain::{Clock, Money, Price, Timestamp, WattHours};
use std::path::Path;
use std::time::{Duration, Instant};

pub const CHAIN_ID: u64 = 31_337;
/// The first account that anvil gives coin to, so that the same street can stand on both chains.
const OWNER: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
pub const WEI_PER_UNIT: u64 = 1_000;
pub const PRICES: Prices = Prices { off_peak: Price(200), peak: Price(300), feed_in: Price(80) };

pub fn owner() -> LocalKey {
    LocalKey::from_hex(OWNER).unwrap()
}

pub fn genesis() -> Genesis {
    Genesis { chain_id: CHAIN_ID, alloc: vec![(owner().address(), U256::from(10).pow(U256::from(22)))] }
}

/// A clock that stands still: nothing here may depend on how long a test takes.
pub fn clock() -> Clock {
    Clock::new(1, || Timestamp(1_800_000_000_000))
}

pub fn open(dir: &Path) -> EmbeddedChain {
    EmbeddedChain::open(dir, genesis(), clock()).unwrap()
}

pub struct Street<'a> {
    pub chain: &'a dyn Chain,
    pub key: LocalKey,
    pub provider: Address,
}

impl<'a> Street<'a> {
    pub fn deploy(chain: &'a dyn Chain, low_at: Money) -> Self {
        let mut street = Self { chain, key: owner(), provider: Address::ZERO };
        let call = provider::deploy_call(U256::from(WEI_PER_UNIT), PRICES, low_at).unwrap();
        street.provider = street.send(call).unwrap().contract.expect("a contract");
        street
    }

    /// Opens accounts 1 to `count`, in batches that stay below the gas cap.
    pub fn open_accounts(&self, count: u32) {
        let all: Vec<(u32, B256)> =
            (1..=count).map(|n| (n, provider::name_word(&format!("flat-{n}")).unwrap())).collect();
        for some in all.chunks(100) {
            self.send(provider::open_many(self.provider, some)).unwrap();
        }
    }

    /// Sends a call as the owner and waits for its receipt. A transaction that reverts in its block comes back as the
    /// reason why.
    pub fn send(&self, call: Call) -> Result<Receipt, ChainError> {
        self.send_as(&self.key, call)
    }

    pub fn send_as(&self, key: &LocalKey, call: Call) -> Result<Receipt, ChainError> {
        let tx = Transaction {
            chain_id: self.chain.chain_id()?,
            nonce: self.chain.nonce(key.address())?,
            fees: self.chain.fees()?,
            gas_limit: 16_000_000,
            call: call.clone(),
        };
        let hash = self.chain.send(&tx.sign(key).unwrap().raw)?;
        let receipt = self.wait(hash)?;
        if receipt.ok {
            return Ok(receipt);
        }
        Err(self.chain.call(key.address(), &call).expect_err("what failed in a block fails in a call"))
    }

    fn wait(&self, hash: B256) -> Result<Receipt, ChainError> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            match self.chain.receipt(hash)? {
                Some(receipt) => return Ok(receipt),
                None => assert!(Instant::now() < deadline, "no receipt within 30 s"),
            }
            std::thread::yield_now();
        }
    }

    pub fn deposit(&self, number: u32, units: i64) -> Result<Receipt, ChainError> {
        let amount = Money(units);
        self.send(provider::deposit(self.provider, number, amount, U256::from(WEI_PER_UNIT)).unwrap())
    }

    pub fn settle(&self, sequence: u64, version: u32, items: &[Item]) -> Result<Receipt, ChainError> {
        self.send(provider::settle(self.provider, sequence, version, B256::ZERO, items).unwrap())
    }
}

pub fn item(number: u32, off_peak: i64, peak: i64, feed_in: i64) -> Item {
    let charge = Money::ZERO;
    Item { number, off_peak: WattHours(off_peak), peak: WattHours(peak), feed_in: WattHours(feed_in), charge }
}

/// The item with a charge.
pub fn charged(item: Item, charge: i64) -> Item {
    Item { charge: Money(charge), ..item }
}

/// The custom error in a revert, or what else went wrong.
pub fn why<T: std::fmt::Debug>(result: Result<T, ChainError>) -> String {
    match result {
        Err(ChainError::Reverted { reason, .. }) => reason,
        other => format!("{other:?}"),
    }
}
