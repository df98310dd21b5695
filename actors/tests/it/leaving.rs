//! Customers who leave, and who contest what they were billed: what the contract does is in the ledger, also when the
//! chain takes it back.

use crate::day::{embedded, keys};
use crate::refused::{hours, in_virtual_time};
use crate::restored::clock_at;
use crate::street::*;
use actors::{Agreed, SettleNow, StopReading};
use contracts::chain::{Chain, LogFilter, Receipt};
use contracts::embedded::{EmbeddedChain, Genesis};
use contracts::key::{LocalKey, Signer};
use contracts::operator::{self, Position, Reading, Roles};
use contracts::provider::{self, Prices};
use contracts::tx::Call;
use contracts::{Address, B256, U256, keccak256};
use domain::*;
use ledger::{AccountRow, Ledger};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const EXIT_DELAY: u32 = 2 * 3_600;
const WINDOW: u32 = 24 * 3_600;
/// Who leaves, and who contests.
const HOME: usize = 2;

/// A house on a chain that takes blocks back on demand, where home 2 has a holder.
struct Trial {
    house: House,
    chain: Arc<EmbeddedChain>,
    holder: Arc<LocalKey>,
    registry: Address,
}

impl Trial {
    async fn begin(dir: &Path) -> Self {
        let (clock, (owner, holder)) = (paused_clock(), keys());
        let coins = U256::from(10_000) * U256::from(10).pow(U256::from(18));
        let alloc = vec![(owner.address(), coins), (holder.address(), coins)];
        let chain = EmbeddedChain::open(&dir.join("chain"), Genesis { chain_id: 31337, alloc }, clock.clone()).unwrap();
        let chain = Arc::new(chain.with_faults());
        // The grid operator's register is there before anybody contests.
        let registry = owner.address().create(0);
        let agreed = Agreed {
            registry: Some(registry),
            window: Some(WINDOW),
            exit_delay: Some(EXIT_DELAY),
            max_network_fee: None,
        };
        let deploy = operator::deploy_call();
        send(&*chain, &owner, deploy);
        let holders = [(HOME, holder.address())];
        let house = House::build_under(dir, clock, Arc::clone(&chain) as _, Arc::clone(&owner), None, agreed, &holders);
        tokio::time::sleep(Duration::from_secs(900)).await;
        for home in 1..=HOMES {
            house.pay(&holder, home, Money(30_000_000_000)).await;
        }
        hours(3).await;
        let trial = Self { house, chain, holder, registry };
        // The register has given no connection point to the gateway, which says so; nothing else is wrong.
        assert!(
            trial.problem().is_none_or(|p| p.contains("has not given its connection point")),
            "{:?}",
            trial.problem()
        );
        trial
    }

    fn problem(&self) -> Option<String> {
        self.house.board.look().chain.problem.clone()
    }

    fn rpc(&self, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let answer: Value = serde_json::from_slice(&self.chain.handle(body.as_bytes())).unwrap();
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Takes back so many blocks; what was in them comes again or does not. Other blocks follow.
    fn take_back(&self, blocks: u64, returned: bool) {
        self.rpc("microgrid_reorg", json!([blocks, returned]));
        for _ in 0..blocks {
            self.rpc("evm_mine", json!([]));
        }
    }

    async fn account(&self) -> AccountRow {
        let rows = self.house.scribe.read(Ledger::accounts).await.unwrap();
        rows.into_iter().find(|a| a.name == account(HOME)).unwrap()
    }

    /// Stops the meters and lets everything settle; then the contract and the ledger say the same of every account.
    async fn agree(&self) {
        for poller in &self.house.pollers {
            poller.send(StopReading).await.unwrap();
        }
        hours(1).await;
        self.house.settler.send(SettleNow).await.unwrap();
        hours(1).await;
        self.same("at the end").await;
    }

    async fn same(&self, when: &str) {
        let at = self.house.provider().await;
        let rows = self.house.scribe.read(Ledger::accounts).await.unwrap();
        let numbers: Vec<u32> = rows.iter().map(|a| a.number).collect();
        let there = provider::accounts(&*self.chain, at, &numbers).unwrap();
        for (here, there) in rows.iter().zip(&there) {
            let said = (there.off_peak, there.peak, there.feed_in);
            let settled = (here.settled.off_peak, here.settled.peak, here.settled.feed_in);
            assert_eq!(said, settled, "{when}: registers of {}", here.name);
            let expected = here.settled_net.0 + here.books.on_chain().unwrap().0;
            assert_eq!(there.balance.0, expected, "{when}: {}", here.name);
            if when == "at the end" {
                assert_eq!(there.balance, here.balance, "{}", here.name);
                assert!(!here.unsettled() && here.settled == here.on_chain(), "{}", here.name);
            }
        }
        let totals = provider::totals(&*self.chain, at).unwrap();
        let balances: i64 = there.iter().map(|a| a.balance.0).sum();
        assert_eq!(totals.paid_in.0, balances + totals.earned.0 + totals.withdrawn.0 + totals.refunded.0, "{when}");
        let audit = self.house.scribe.read(|l| l.verify(|_| Guard::new(Watts(i64::MAX)))).await.unwrap();
        assert_eq!(audit.findings, [], "{when}");
        let sums = self.house.scribe.read(Ledger::totals).await.unwrap();
        let due = sums.topped_up.0 + sums.paid_for_feed_in.0 + sums.given.0 - sums.debited.0 - sums.refunded.0;
        assert_eq!(sums.balances.0, due, "{when}");
    }

    async fn number(&self) -> (Address, u32) {
        (self.house.provider().await, self.account().await.number)
    }

    /// Registers the home's meter, whose register was at `offset` when the account began.
    async fn put_meter(&self, meter: &LocalKey, offset: i64) {
        let (owner, _) = keys();
        let (at, number) = self.number().await;
        let point = point(HOME);
        let roles = Roles { gateway: true, prover: false };
        for call in [
            operator::set_roles(self.registry, owner.address(), roles),
            operator::route(self.registry, point, at, number, owner.address()),
            operator::put_meter(self.registry, point, meter.address(), Position::default(), offset),
        ] {
            self.house.send(&owner, call).await;
        }
    }

    /// What the meter says now if `less` Wh were billed that it never counted.
    async fn overturn(&self, meter: &LocalKey, offset: i64, less: i64) -> Call {
        let (at, number) = self.number().await;
        let (imported, _) = {
            let contest = provider::contest_of(&*self.chain, at, number).unwrap().unwrap();
            (contest.imported.0, contest.since)
        };
        let time = u64::try_from(self.house.clock.now().0 / 1_000).unwrap();
        let reading = Reading { time, imported: u64::try_from(imported + offset - less).unwrap(), exported: 0 };
        let signature = reading.sign(31337, self.registry, meter).unwrap();
        provider::overturn(at, number, &reading, &signature)
    }
}

pub fn send(chain: &dyn Chain, from: &LocalKey, call: Call) -> Receipt {
    let transaction = contracts::tx::Transaction {
        chain_id: 31337,
        nonce: chain.nonce(from.address()).unwrap(),
        fees: chain.fees().unwrap(),
        gas_limit: 5_000_000,
        call,
    };
    let hash = chain.send(&transaction.sign(from).unwrap().raw).unwrap();
    let receipt = chain.receipt(hash).unwrap().unwrap();
    assert!(receipt.ok);
    receipt
}

#[test]
fn a_customer_who_leaves_is_paid_out_by_the_contract_and_the_ledger_agrees() {
    let dir = tempfile::tempdir().unwrap();
    in_virtual_time(async {
        let t = Trial::begin(dir.path()).await;
        let (at, number) = t.number().await;
        assert_eq!(provider::holder_of(&*t.chain, at, number).unwrap(), Some((t.holder.address(), 0)));
        t.house.send(&t.holder, provider::close(at, number)).await;
        hours(3).await;
        let holder = t.house.scribe.read(Ledger::holders).await.unwrap().remove(&account(HOME)).unwrap();
        assert_eq!(holder.who, Some(t.holder.address().to_string()));
        assert!(holder.leaving.is_some_and(|due| due <= t.house.clock.now()));
        let before = t.account().await;
        let left = provider::account(&*t.chain, at, number).unwrap().balance;
        assert!(left > Money::ZERO);
        t.house.send(&t.holder, provider::refund(at, number)).await;
        tokio::time::sleep(Duration::from_secs(400)).await;
        let after = t.account().await;
        assert_eq!(after.books.get(Book::PaidOut), left);
        assert!(after.balance <= before.balance.checked_sub(left).unwrap());
        t.same("paid out").await;
        t.agree().await;
    });
}

#[test]
fn a_payment_that_the_chain_takes_back_is_in_the_account_again() {
    for returned in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        in_virtual_time(async {
            let t = Trial::begin(dir.path()).await;
            let (at, number) = t.number().await;
            t.house.send(&t.holder, provider::close(at, number)).await;
            hours(3).await;
            t.house.send(&t.holder, provider::refund(at, number)).await;
            tokio::time::sleep(Duration::from_secs(400)).await;
            let paid = t.account().await.books.get(Book::PaidOut);
            assert!(paid > Money::ZERO);
            t.take_back(1, returned);
            hours(1).await;
            let kept = t.account().await.books.get(Book::PaidOut);
            assert_eq!(kept, if returned { paid } else { Money::ZERO });
            t.same("taken back").await;
            if !returned {
                // And now for good.
                t.house.send(&t.holder, provider::refund(at, number)).await;
            }
            t.agree().await;
            assert!(t.account().await.books.get(Book::PaidOut) > Money::ZERO);
        });
    }
}

#[test]
fn a_debit_that_a_meter_overturns_is_given_back_once_and_never_billed_again() {
    for taken_back in [None, Some(false), Some(true)] {
        let dir = tempfile::tempdir().unwrap();
        in_virtual_time(async {
            let t = Trial::begin(dir.path()).await;
            let (at, number) = t.number().await;
            let meter = LocalKey::from_hex(&"17".repeat(32)).unwrap();
            t.put_meter(&meter, 5_000).await;
            t.house.send(&t.holder, provider::contest(at, number)).await;
            tokio::time::sleep(Duration::from_secs(1_000)).await;
            let call = t.overturn(&meter, 5_000, 300).await;
            t.house.send(&t.holder, call.clone()).await;
            tokio::time::sleep(Duration::from_secs(400)).await;
            let row = t.account().await;
            assert_eq!(row.set_back.total(), WattHours(300));
            let given = Price(320_000).of(WattHours(300)).unwrap();
            assert_eq!(row.books.get(Book::Overturned), Money(-given.0), "the dearest price of the window");
            t.same("overturned").await;
            if let Some(returned) = taken_back {
                t.take_back(1, returned);
                hours(1).await;
                let expected = if returned { 300 } else { 0 };
                assert_eq!(t.account().await.set_back.total(), WattHours(expected));
                t.same("taken back").await;
            }
            hours(3).await;
            t.agree().await;
        });
    }
}

/// One life of a house, so many hours after midnight, under these terms and with these holders.
fn live<T>(
    dir: &Path,
    from: u64,
    (agreed, holders): (Agreed, &[(usize, Address)]),
    life: impl AsyncFnOnce(&House) -> T,
) -> T {
    in_virtual_time(async {
        let clock = clock_at(from);
        let chain = embedded(dir, &clock);
        let house = House::build_under(dir, clock, chain, keys().0, None, agreed, holders);
        life(&house).await
    })
}

#[test]
fn a_holder_is_not_named_where_money_is_already_and_settlement_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let holder = keys().1;
    live(dir.path(), 0, (Agreed::default(), &[]), async |house| {
        tokio::time::sleep(Duration::from_secs(600)).await;
        house.pay(&holder, 5, Money(30_000_000_000)).await;
        hours(2).await;
    });
    live(dir.path(), 3, (Agreed::default(), &[(5, holder.address())]), async |house| {
        hours(3).await;
        let problem = house.board.look().chain.problem.clone();
        assert!(problem.as_deref().is_some_and(|p| p.contains("home-5 cannot get a holder")), "{problem:?}");
        let settled = house.scribe.read(Ledger::newest_settled).await.unwrap();
        hours(2).await;
        assert!(house.scribe.read(Ledger::newest_settled).await.unwrap() > settled, "settlement stopped");
        assert_eq!(house.scribe.read(Ledger::intents_refused).await.unwrap(), 0, "no transaction for it");
    });
}

/// Homes whose holders the contract knows, and the transactions that named them.
fn named(chain: &dyn Chain, at: Address) -> (BTreeSet<u32>, BTreeSet<B256>) {
    let to_block = chain.head().unwrap().number;
    let logs = chain.logs(&LogFilter { address: at, topic0: None, from_block: 0, to_block }).unwrap();
    let set = logs.iter().filter_map(|log| provider::holder_set(log).map(|(number, _)| (number, log.transaction)));
    set.unzip()
}

#[test]
fn holders_of_a_whole_street_are_named_by_one_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let holder = keys().1.address();
    let holders: Vec<_> = (1..=HOMES).map(|home| (home, holder)).collect();
    live(dir.path(), 0, (Agreed::default(), &holders), async |house| {
        hours(1).await;
        let (homes, transactions) = named(&*house.chain, house.provider().await);
        assert_eq!((homes.len(), transactions.len()), (HOMES, 1));
        assert_eq!(house.scribe.read(Ledger::holders).await.unwrap().len(), HOMES);
    });
}

#[test]
fn a_contract_from_before_holders_were_named_together_has_them_named_one_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let (owner, other) = keys();
    in_virtual_time(async {
        let clock = clock_at(0);
        let chain = embedded(dir.path(), &clock);
        let rates = tariff().rates;
        let prices = Prices { off_peak: rates.off_peak, peak: rates.peak, feed_in: rates.feed_in };
        let mut deploy = provider::deploy_call(U256::from(WEI_PER_UNIT), prices, Money(2_000_000_000)).unwrap();
        // The same contract, in which the function answers to no name that anybody calls.
        let selector = &keccak256("setHolders(uint32[],address[])")[..4];
        let entrances: Vec<usize> = (1..deploy.data.len() - 4)
            .filter(|at| deploy.data[at - 1] == 0x63 && deploy.data[*at..at + 4] == *selector)
            .collect();
        assert_eq!(entrances.len(), 1, "no entrance to be closed");
        deploy.data[entrances[0] + 3] ^= 1;
        let at = send(&*chain, &owner, deploy).contract.unwrap();
        let holders = [(1, other.address()), (2, other.address()), (7, other.address())];
        let house = House::build_under(dir.path(), clock, chain, owner, Some(at), Agreed::default(), &holders);
        hours(8).await;
        let (homes, transactions) = named(&*house.chain, at);
        assert_eq!((homes, transactions.len()), ([1, 2, 7].into(), 3));
        assert!(house.scribe.read(Ledger::newest_settled).await.unwrap() >= 1, "settlement goes on");
        assert_eq!(house.board.look().chain.problem.clone().filter(|p| p.contains("holder")), None);
    });
}

#[test]
fn a_contract_under_other_terms_settles_nothing_and_says_what_differs() {
    let dir = tempfile::tempdir().unwrap();
    let agreed = Agreed { exit_delay: Some(60), ..Agreed::default() };
    let settled = live(dir.path(), 0, (agreed, &[]), async |house| {
        hours(3).await;
        assert_eq!(house.board.look().chain.problem, None);
        house.scribe.read(Ledger::newest_settled).await.unwrap()
    });
    live(dir.path(), 4, (Agreed { exit_delay: Some(90), ..agreed }, &[]), async |house| {
        hours(3).await;
        let problem = house.board.look().chain.problem.clone().unwrap_or_default();
        assert!(problem.contains("exit_delay: 60 s there, 90 s here"), "{problem}");
        assert_eq!(house.scribe.read(Ledger::newest_settled).await.unwrap(), settled);
    });
}
