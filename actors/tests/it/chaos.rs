//! The settler against anvil through a wire and a node that do everything wrong, on a chain that takes blocks back, and
//! killed between any two questions: every batch is on the chain exactly once.

use crate::anvil::{Anvil, RICH};
use crate::proxy::{Proxy, rpc};
use crate::refused::in_virtual_time;
use crate::street::{WEI_PER_UNIT, tariff};
use actix::Actor;
use actors::*;
use contracts::chain::{Chain, LogFilter};
use contracts::key::{LocalKey, Signer};
use contracts::rpc::JsonRpc;
use contracts::{Address, U256, provider};
use domain::*;
use ledger::{Enrolled, Enrolment, Ledger, Write};
use serde_json::json;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const HOMES: usize = 3;
const START: Timestamp = Timestamp(1_772_409_600_000);
/// Fewer than blocks are taken back at most, so that final batches become open again.
const CONFIRMATIONS: u64 = 2;
const DEEPEST: u32 = 5;

fn account(home: usize) -> AccountId {
    format!("home-{home}").parse().unwrap()
}

/// One life of a settler, from its start to its end.
struct Life {
    clock: Clock,
    scribe: Scribe,
    settler: actix::Addr<Settler>,
    board: Board,
}

impl Life {
    fn begin(dir: &Path, born: Timestamp, url: &str) -> Self {
        let start = tokio::time::Instant::now();
        let clock = Clock::new(1, move || born + start.elapsed());
        let ledger = Arc::new(Ledger::open(&dir.join("ledger.db")).unwrap());
        let accounts = (1..=HOMES).map(|i| Enrolled { id: account(i), debt_share: Permille::FULL }).collect();
        ledger.enrol(&Enrolment { accounts, meters: Vec::new() }).unwrap();
        ledger.adopt_tariff(clock.now(), &tariff(), None, "test").unwrap();
        let scribe = Recorder::launch(ledger, clock.clone()).unwrap();
        let plan = SettlerPlan {
            kind: "anvil".into(),
            chain: Arc::new(JsonRpc::new(url, Duration::from_secs(10)).unwrap()),
            chain_id: 31337,
            signer: Arc::new(LocalKey::from_hex(RICH).unwrap()),
            provider: None,
            wei_per_unit: U256::from(WEI_PER_UNIT),
            low_at: Money(0),
            confirmations: CONFIRMATIONS,
            every: Duration::from_secs(3600),
            poll: Duration::from_secs(3),
            most: 2,
            fees: FeePolicy { ceiling: 300_000_000_000, patience: Duration::from_secs(20) },
        };
        let board = Board::default();
        let settler = Settler::new(plan, clock.clone(), scribe.clone(), board.clone()).start();
        Self { clock, scribe, settler, board }
    }
}

/// What became of one schedule.
#[derive(Debug, Default)]
struct Tally {
    batches: u64,
    lives: u32,
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
    let (mut now, mut cash, mut tally) = (START, 0_i64, Tally::default());
    let pay_in = async |life: &Life, home: usize, reference: i64, amount: i64| {
        let source = Source::Cash { reference: reference.to_string(), who: "kiosk".into() };
        life.scribe.write(Write::TopUp { account: account(home), amount: Money(amount), source }).await.unwrap();
    };
    for _ in 0..dice.u32(2..5) {
        tally.lives += 1;
        let doomed = if dice.bool() { dice.u32(1..200) } else { u32::MAX };
        proxy.set(dice.u32(..400), doomed);
        now = in_virtual_time(async {
            let life = Life::begin(dir.path(), now, &proxy.url);
            for _ in 0..dice.u32(3..10) {
                if dice.u32(..3) > 0 {
                    cash += 1;
                    pay_in(&life, dice.usize(1..=HOMES), cash, dice.i64(1..1_000_000)).await;
                    life.settler.send(SettleNow).await.unwrap();
                }
                tokio::time::sleep(Duration::from_secs(dice.u64(1..40))).await;
                match dice.u32(..10) {
                    0..5 => drop(rpc(node, "anvil_mine", json!([format!("{:#x}", dice.u32(1..4))]))),
                    5 => drop(rpc(node, "anvil_dropAllTransactions", json!([]))),
                    6 | 7 => {
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
        let life = Life::begin(dir.path(), now, &proxy.url);
        pay_in(&life, 1, cash + 1, 77).await;
        let settled = |ledger: &Ledger| {
            let rows = ledger.accounts()?;
            Ok(ledger.open_intents()?.is_empty() && rows.iter().all(|a| a.opened && !a.unsettled()))
        };
        let mut quiet = 0;
        for minute in 0.. {
            assert!(minute < 2_000, "seed {seed}: never settled: {:?}", life.board.look().chain);
            tokio::time::sleep(Duration::from_secs(10)).await;
            rpc(node, "anvil_mine", json!(["0x1"]));
            quiet = if life.scribe.read(settled).await.unwrap() { quiet + 1 } else { 0 };
            if quiet > 5 {
                break;
            }
            life.settler.send(SettleNow).await.unwrap();
        }
    });
    let ledger = Ledger::open(&dir.path().join("ledger.db")).unwrap();
    check(&ledger, node, first, seed, &mut tally);
    tally
}

fn head(node: SocketAddr) -> u64 {
    let text = rpc(node, "eth_blockNumber", json!([]));
    u64::from_str_radix(&text.as_str().unwrap()[2..], 16).unwrap()
}

/// The chain and the ledger tell the same story, batch by batch and to the last unit.
fn check(ledger: &Ledger, node: SocketAddr, first: u64, seed: u64, tally: &mut Tally) {
    let chain = JsonRpc::new(&format!("http://{node}"), Duration::from_secs(30)).unwrap();
    let at: Address = ledger.meta("provider").unwrap().unwrap().parse().unwrap();
    let me = LocalKey::from_hex(RICH).unwrap().address();
    let filter = LogFilter {
        address: at,
        topic0: Some(provider::topic::settled()),
        from_block: first,
        to_block: chain.head().unwrap().number,
    };
    let logs = chain.logs(&filter).unwrap();
    let found: Vec<u64> = logs.iter().filter_map(provider::settled).map(|s| s.sequence).collect();
    tally.batches = ledger.newest_settled().unwrap();
    assert!(tally.batches > 0);
    assert_eq!(found, (1..=tally.batches).collect::<Vec<_>>(), "seed {seed}: each batch once, in order");
    assert_eq!(provider::next_sequence(&chain, at, me).unwrap(), tally.batches + 1, "seed {seed}");
    let here = ledger.accounts().unwrap();
    let numbers: Vec<u32> = here.iter().map(|a| a.number).collect();
    let there = provider::accounts(&chain, at, &numbers).unwrap();
    for (here, there) in here.iter().zip(there) {
        assert_eq!(here.balance, there.balance, "seed {seed}: {}", here.name);
    }
    let facts = ledger.facts_after(Seq(0), 100_000).unwrap();
    let settled = facts.iter().filter(|(_, _, f)| matches!(f, Fact::Settled { .. })).count();
    tally.reopened = u64::try_from(settled).unwrap() - tally.batches;
    assert_eq!(ledger.verify(|_| Guard::new(Watts(i64::MAX))).unwrap().findings, [], "seed {seed}");
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
            all.reorgs += one.reorgs;
            all.reopened += one.reopened;
            all.requests += one.requests;
            all.faulty += one.faulty;
            done += 1;
        }
    }
    println!(
        "{done} schedules: {} batches, each on the chain once; {} lives, {} reorganisations, {} batches settled again, {} of {} \
         requests met a fault",
        all.batches, all.lives, all.reorgs, all.reopened, all.faulty, all.requests
    );
}
