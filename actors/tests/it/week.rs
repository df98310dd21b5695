//! A chain that is away for a week is one small catch-up: registers are cumulative.

use crate::day::{embedded, keys};
use crate::refused::{hours, in_virtual_time};
use crate::street::*;
use contracts::chain::{Chain, ChainError, Head, Log, LogFilter, Receipt};
use contracts::key::Signer;
use contracts::provider;
use contracts::tx::{Call, Fees};
use contracts::{Address, B256, U256};
use domain::*;
use ledger::Ledger;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A chain that nobody can reach for a while.
struct Away {
    chain: Arc<dyn Chain>,
    away: AtomicBool,
}

impl Away {
    fn reach(&self) -> Result<&dyn Chain, ChainError> {
        match self.away.load(Ordering::SeqCst) {
            true => Err(ChainError::Unreachable { url: "far".into(), what: "no route to host".into() }),
            false => Ok(&*self.chain),
        }
    }
}

#[rustfmt::skip]
impl Chain for Away {
    fn chain_id(&self) -> Result<u64, ChainError> { self.reach()?.chain_id() }
    fn head(&self) -> Result<Head, ChainError> { self.reach()?.head() }
    fn nonce(&self, of: Address) -> Result<u64, ChainError> { self.reach()?.nonce(of) }
    fn balance(&self, of: Address) -> Result<U256, ChainError> { self.reach()?.balance(of) }
    fn fees(&self) -> Result<Fees, ChainError> { self.reach()?.fees() }
    fn call(&self, from: Address, call: &Call) -> Result<Vec<u8>, ChainError> { self.reach()?.call(from, call) }
    fn estimate_gas(&self, from: Address, call: &Call) -> Result<u64, ChainError> { self.reach()?.estimate_gas(from, call) }
    fn send(&self, raw: &[u8]) -> Result<B256, ChainError> { self.reach()?.send(raw) }
    fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, ChainError> { self.reach()?.receipt(transaction) }
    fn block_hash(&self, number: u64) -> Result<Option<B256>, ChainError> { self.reach()?.block_hash(number) }
    fn code(&self, at: Address) -> Result<Vec<u8>, ChainError> { self.reach()?.code(at) }
    fn logs(&self, filter: &LogFilter) -> Result<Vec<Log>, ChainError> { self.reach()?.logs(filter) }
}

/// What batches were settled, and for how much gas.
async fn batches(house: &House) -> Vec<u64> {
    let facts = house.scribe.read(|l| l.facts_after(Seq(0), 100_000)).await.unwrap();
    facts
        .into_iter()
        .filter_map(|(_, _, fact)| if let Fact::Settled { gas, .. } = fact { Some(gas) } else { None })
        .collect()
}

#[test]
fn a_chain_that_was_away_for_a_week_costs_one_batch_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    in_virtual_time(async {
        let (clock, (owner, customers)) = (paused_clock(), keys());
        let chain = embedded(dir.path(), &clock);
        let away = Arc::new(Away { chain: Arc::clone(&chain), away: AtomicBool::new(false) });
        let house = House::build(dir.path(), clock, Arc::clone(&away) as _, Arc::clone(&owner));
        tokio::time::sleep(std::time::Duration::from_secs(900)).await;
        for home in 1..=HOMES {
            house.pay(&customers, home, Money(90_000_000_000)).await;
        }
        hours(6).await;
        let usual = batches(&house).await;
        let before = (chain.nonce(owner.address()).unwrap(), house.scribe.read(Ledger::totals).await.unwrap());

        away.away.store(true, Ordering::SeqCst);
        hours(7 * 24).await;
        assert_eq!(batches(&house).await.len(), usual.len());
        let problem = house.board.look().chain.problem.clone().unwrap_or_default();
        assert!(problem.contains("cannot be reached"), "{problem}");
        for poller in &house.pollers {
            poller.send(actors::StopReading).await.unwrap();
        }
        hours(1).await;
        let now = house.scribe.read(Ledger::totals).await.unwrap();
        let week = now.billed.0 - before.1.billed.0;
        assert!(week > 300_000, "metering and billing went on: {week} Wh");
        assert_eq!(now.settled, before.1.settled);

        away.away.store(false, Ordering::SeqCst);
        hours(2).await;
        let after = batches(&house).await;
        let late = &after[usual.len()..];
        println!(
            "a week of {week} Wh in {} transaction: {late:?} gas; an hour's batch took {:?}",
            late.len(),
            usual.last()
        );
        let transactions = chain.nonce(owner.address()).unwrap() - before.0;
        assert_eq!((late.len(), transactions), (1, 1), "{late:?}");
        let dearest = usual.iter().max().unwrap();
        assert!(late[0] <= dearest + dearest / 4, "{} gas, and at most {dearest} for an hour", late[0]);
        let sums = house.scribe.read(Ledger::totals).await.unwrap();
        assert_eq!((sums.settled, sums.readings), (sums.billed, now.readings));
        let at = house.provider().await;
        for account in house.scribe.read(Ledger::accounts).await.unwrap() {
            let there = provider::account(&*chain, at, account.number).unwrap();
            assert_eq!(there.balance, account.balance, "{}", account.name);
        }
    });
}
