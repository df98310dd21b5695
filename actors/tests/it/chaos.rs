//! The settler against anvil through a wire and a node that do everything wrong, on a chain that takes blocks back, and
//! killed between any two questions: every batch is on the chain exactly once.

use crate::anvil::{Anvil, RICH};
use crate::books::{Life, Terms, agree};
use crate::day::keys;
use crate::proxy::{Proxy, rpc};
use crate::refused::in_virtual_time;
use crate::street::{MIDNIGHT, WEI_PER_UNIT};
use contracts::chain::Chain;
use contracts::key::{LocalKey, Signer};
use contracts::rpc::JsonRpc;
use contracts::tx::Transaction;
use contracts::{U256, provider};
use domain::Money;
use ledger::Ledger;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const HOMES: usize = 3;
/// More than the settler waits for, so that final batches become open again.
const DEEPEST: u32 = 5;

/// What became of one schedule.
#[derive(Debug, Default)]
struct Tally {
    batches: u64,
    lives: u32,
    deposits: u64,
    reorgs: u32,
    reopened: u64,
    requests: u64,
    faulty: u64,
}

/// A schedule that the seed names.
fn live(node: SocketAddr, seed: u64) -> Tally {
    let mut dice = fastrand::Rng::with_seed(seed);
    let dir = tempfile::tempdir().unwrap();
    // What an earlier schedule left in the pool is not ours, and its blocks are out of reach.
    rpc(node, "anvil_dropAllTransactions", json!([]));
    rpc(node, "evm_setAutomine", json!([false]));
    rpc(node, "anvil_mine", json!(["0x20"]));
    let first = head(node);
    let proxy = Proxy::start(node, dice.u64(..));
    let (mut now, mut cash, mut tally) = (MIDNIGHT, 0_i64, Tally::default());
    let key = Arc::new(LocalKey::from_hex(RICH).unwrap());
    let customers = keys().1;
    let terms = Terms::new(Arc::new(JsonRpc::new(&proxy.url, Duration::from_secs(10)).unwrap()), key);
    for _ in 0..dice.u32(2..5) {
        tally.lives += 1;
        let doomed = if dice.bool() { dice.u32(1..200) } else { u32::MAX };
        proxy.set(dice.u32(..400), doomed);
        now = in_virtual_time(async {
            let life = Life::begin(dir.path(), now, &terms);
            for _ in 0..dice.u32(3..10) {
                if dice.u32(..3) > 0 {
                    cash += 1;
                    life.pay(dice.usize(1..=HOMES), cash, dice.i64(1..1_000_000)).await;
                }
                tokio::time::sleep(Duration::from_secs(dice.u64(1..40))).await;
                if dice.u32(..4) == 0 {
                    tally.deposits += deposit(node, &life, &customers, &mut dice).await;
                }
                match dice.u32(..10) {
                    0..5 => drop(rpc(node, "anvil_mine", json!([format!("{:#x}", dice.u32(1..4))]))),
                    5 => drop(rpc(node, "anvil_dropAllTransactions", json!([]))),
                    n @ (6 | 7) => {
                        if n == 7 {
                            // Long enough for what is under way to become final first.
                            rpc(node, "anvil_mine", json!(["0x2"]));
                            tokio::time::sleep(Duration::from_secs(15)).await;
                        }
                        tally.reorgs += 1;
                        rpc(node, "anvil_reorg", json!([dice.u32(1..=DEEPEST), []]));
                    }
                    _ => {}
                }
            }
            life.clock.now()
        });
    }
    // Everything works again.
    tally.lives += 1;
    let (requests, faulty) = proxy.counted();
    (tally.requests, tally.faulty) = (requests, faulty);
    proxy.set(0, u32::MAX);
    in_virtual_time(async {
        let life = Life::begin(dir.path(), now, &terms);
        life.pay(1, cash + 1, 77).await;
        life.settle_all(&format!("seed {seed}"), || drop(rpc(node, "anvil_mine", json!(["0x1"])))).await;
    });
    let ledger = Ledger::open(&dir.path().join("ledger.db")).unwrap();
    let chain = JsonRpc::new(&format!("http://{node}"), Duration::from_secs(30)).unwrap();
    (tally.batches, tally.reopened) = agree(&ledger, &chain, terms.key.address(), first, &format!("seed {seed}"));
    tally
}

/// A customer pays in, past the proxy, into an account that is open; their wallet does not care whether it is kept.
async fn deposit(node: SocketAddr, life: &Life, wallet: &LocalKey, dice: &mut fastrand::Rng) -> u64 {
    let Some(at) = life.scribe.read(|l| l.meta("provider")).await.unwrap() else { return 0 };
    let (number, amount) = (dice.u32(1..4), Money(dice.i64(1..1_000_000)));
    let chain = JsonRpc::new(&format!("http://{node}"), Duration::from_secs(30)).unwrap();
    let call = provider::deposit(at.parse().unwrap(), number, amount, U256::from(WEI_PER_UNIT)).unwrap();
    // Refused while the account is not open there, or is not any more.
    let Ok(gas_limit) = chain.estimate_gas(wallet.address(), &call) else { return 0 };
    let (nonce, fees) = (chain.nonce(wallet.address()).unwrap(), chain.fees().unwrap());
    let transaction = Transaction { chain_id: 31337, nonce, fees, gas_limit: gas_limit + gas_limit / 2, call };
    chain.send(&transaction.sign(wallet).unwrap().raw).map_or(0, |_| 1)
}

fn head(node: SocketAddr) -> u64 {
    let text = rpc(node, "eth_blockNumber", json!([]));
    u64::from_str_radix(&text.as_str().unwrap()[2..], 16).unwrap()
}

/// In this schedule the newest concluded transaction failed, and then its block was taken back: the settler once waited for
/// ever for its nonce.
const NONCE_OF_A_FAILED_TRANSACTION_IS_FREE_AGAIN: u64 = 963_629_810_302;

#[test]
fn a_failed_transaction_whose_block_is_taken_back_stops_nothing() {
    let Some(anvil) = Anvil::start() else { return };
    live(anvil.url.trim_start_matches("http://").parse().unwrap(), NONCE_OF_A_FAILED_TRANSACTION_IS_FREE_AGAIN);
}

/// `MICROGRID_SCHEDULES` says how many, `MICROGRID_SEED` from which on.
#[test]
fn after_every_schedule_of_faults_each_batch_is_on_the_chain_exactly_once() {
    let number = |name: &str, usual: u64| std::env::var(name).map_or(usual, |n| n.parse().unwrap());
    let (schedules, seed) = (number("MICROGRID_SCHEDULES", 20), number("MICROGRID_SEED", fastrand::u64(..1 << 40)));
    println!("{schedules} schedules from seed {seed}; MICROGRID_SEED={seed} repeats them");
    let mut all = Tally::default();
    let mut done = 0;
    while done < schedules {
        // Now and then a fresh node: anvil keeps every state that it ever had.
        let Some(anvil) = Anvil::start() else { return };
        let node: SocketAddr = anvil.url.trim_start_matches("http://").parse().unwrap();
        for _ in 0..25.min(schedules - done) {
            let one = live(node, seed + done);
            all.batches += one.batches;
            all.lives += one.lives;
            all.deposits += one.deposits;
            all.reorgs += one.reorgs;
            all.reopened += one.reopened;
            all.requests += one.requests;
            all.faulty += one.faulty;
            done += 1;
            if done % 50 == 0 {
                println!("{done}: {all:?}");
            }
        }
    }
    println!(
        "{done} schedules: {} batches, each on the chain once; {} deposits, {} lives, {} reorganisations, {} batches settled again, {} of {} \
         requests met a fault",
        all.batches, all.deposits, all.lives, all.reorgs, all.reopened, all.faulty, all.requests
    );
}
