//! What was acknowledged is there after a restart, whatever the power did to the end of the file.

use crate::street::{CHAIN_ID, Street, clock, genesis, item, open, owner};
use contracts::chain::{Chain, ChainError, Head, LogFilter, Receipt, Refusal};
use contracts::embedded::{EmbeddedChain, EmbeddedError, Genesis};
use contracts::key::Signer;
use contracts::provider::{self, AccountOnChain};
use contracts::tx::{Call, Transaction};
use contracts::{Address, B256, U256};
use domain::{Clock, Money, Timestamp};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

const FILE: &str = "chain.log";

/// All that can be asked of a chain, for comparison.
#[derive(Debug, PartialEq)]
struct Picture {
    head: Head,
    nonce: u64,
    coin: U256,
    accounts: Vec<AccountOnChain>,
    receipts: Vec<Receipt>,
    hashes: Vec<Option<B256>>,
    logs: usize,
    code: Vec<u8>,
}

fn picture(chain: &dyn Chain, at: Address, sent: &[B256]) -> Picture {
    let head = chain.head().unwrap();
    let filter = LogFilter { address: at, topic0: None, from_block: 0, to_block: head.number };
    Picture {
        head,
        nonce: chain.nonce(owner().address()).unwrap(),
        coin: chain.balance(owner().address()).unwrap(),
        accounts: if chain.code(at).unwrap().is_empty() {
            Vec::new()
        } else {
            provider::accounts(chain, at, &[1, 2, 3]).unwrap()
        },
        receipts: sent.iter().filter_map(|h| chain.receipt(*h).unwrap()).collect(),
        hashes: (0..=head.number + 1).map(|n| chain.block_hash(n).unwrap()).collect(),
        logs: chain.logs(&filter).unwrap().len(),
        code: chain.code(at).unwrap(),
    }
}

/// A short history: after each acknowledged block the length of the file and the picture.
fn history(dir: &Path) -> (Address, Vec<B256>, Vec<(u64, Picture)>) {
    let chain = open(dir);
    let street = Street::deploy(&chain, Money(100));
    let at = street.provider;
    let mut sent = Vec::new();
    let length = || std::fs::metadata(dir.join(FILE)).unwrap().len();
    let mut points = vec![(length(), picture(&chain, at, &sent))];
    let mut steps: Vec<Box<dyn Fn() -> Receipt>> = Vec::new();
    steps.push(Box::new(|| {
        street.open_accounts(3);
        let head = chain.head().unwrap().number;
        let filter = LogFilter { address: at, topic0: None, from_block: head, to_block: head };
        chain.receipt(chain.logs(&filter).unwrap()[0].transaction).unwrap().unwrap()
    }));
    steps.push(Box::new(|| street.deposit(1, 5_000).unwrap()));
    steps.push(Box::new(|| street.settle(1, 1, &[item(1, 10, 20, 0), item(2, 3, 4, 5)]).unwrap()));
    steps.push(Box::new(|| street.deposit(2, 7_000).unwrap()));
    for step in steps {
        sent.push(step().transaction);
        points.push((length(), picture(&chain, at, &sent)));
    }
    (at, sent, points)
}

#[test]
fn a_chain_comes_back_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let (at, sent, points) = history(dir.path());
    for _ in 0..2 {
        assert_eq!(picture(&open(dir.path()), at, &sent), points.last().unwrap().1);
    }
    let chain = open(dir.path());
    let street = Street { chain: &chain, key: owner(), provider: at };
    street.settle(2, 1, &[item(1, 11, 20, 0)]).unwrap();
}

#[test]
fn a_file_cut_at_any_byte_opens_as_the_blocks_that_were_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (at, sent, points) = history(dir.path());
    let bytes = std::fs::read(dir.path().join(FILE)).unwrap();
    let from = usize::try_from(points[points.len() - 3].0).unwrap();
    let try_at = |cut: usize| {
        let copy = tempfile::tempdir().unwrap();
        std::fs::write(copy.path().join(FILE), &bytes[..cut]).unwrap();
        let whole = points.iter().rev().find(|(length, _)| usize::try_from(*length).unwrap() <= cut).unwrap();
        let chain = open(copy.path());
        assert_eq!(picture(&chain, at, &sent), whole.1, "cut at byte {cut}");
        drop(chain);
        assert_eq!(std::fs::metadata(copy.path().join(FILE)).unwrap().len(), whole.0);
    };
    // Some two thousand chains are opened: all processors help.
    let next = AtomicUsize::new(from);
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|s| {
        for _ in 0..workers {
            s.spawn(|| {
                while let Some(cut) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|cut| *cut <= bytes.len()) {
                    try_at(cut);
                }
            });
        }
    });
}

#[test]
fn a_chain_whose_tail_was_torn_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (at, ..) = history(dir.path());
    let path = dir.path().join(FILE);
    let length = std::fs::metadata(&path).unwrap().len();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(length - 1).unwrap();
    for units in [7_000, 1] {
        let chain = open(dir.path());
        Street { chain: &chain, key: owner(), provider: at }.deposit(2, units).unwrap();
    }
    let account = provider::account(&open(dir.path()), at, 2).unwrap();
    assert_eq!(account.balance, Money(7_001 - 3 * 200 - 4 * 300 + 5 * 80));
}

#[test]
fn a_bad_byte_in_the_last_record_costs_that_record_and_anywhere_else_it_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (at, sent, points) = history(dir.path());
    let bytes = std::fs::read(dir.path().join(FILE)).unwrap();
    let last = usize::try_from(points[points.len() - 2].0).unwrap();
    let try_with = |broken: usize| {
        let copy = tempfile::tempdir().unwrap();
        let mut bytes = bytes.clone();
        bytes[broken] ^= 0x10;
        std::fs::write(copy.path().join(FILE), &bytes).unwrap();
        let opened = EmbeddedChain::open(copy.path(), genesis(), clock());
        let length = std::fs::metadata(copy.path().join(FILE)).unwrap().len();
        (opened.map(|c| picture(&c, at, &sent)), usize::try_from(length).unwrap())
    };
    for broken in (last..bytes.len()).step_by(7) {
        assert_eq!(try_with(broken).0.unwrap(), points[points.len() - 2].1, "byte {broken}");
    }
    for broken in (0..last).step_by(211) {
        let (opened, length) = try_with(broken);
        let message = opened.expect_err("damage in the middle was not noticed").to_string();
        assert!(message.contains(FILE), "{message}");
        assert_eq!(length, bytes.len(), "a damaged file was cut");
    }
}

#[test]
fn a_chain_is_open_once_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let chain = open(dir.path());
    let second = EmbeddedChain::open(dir.path(), genesis(), clock());
    assert!(matches!(&second, Err(EmbeddedError::InUse { .. })), "{second:?}");
    drop(chain);
    drop(open(dir.path()));
}

#[test]
fn a_foreign_file_is_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    history(dir.path());
    let path = dir.path().join(FILE);
    let good = std::fs::read(&path).unwrap();
    let other = |genesis: Genesis| EmbeddedChain::open(dir.path(), genesis, clock()).unwrap_err();
    let error = other(Genesis { chain_id: CHAIN_ID + 1, ..genesis() });
    assert!(matches!(error, EmbeddedError::OtherChainId { found: CHAIN_ID, .. }), "{error}");
    let error = other(Genesis { alloc: vec![(owner().address(), U256::from(1))], ..genesis() });
    assert!(matches!(error, EmbeddedError::OtherGenesis { .. }), "{error}");
    let twice = vec![(owner().address(), U256::from(1)); 2];
    assert!(matches!(other(Genesis { alloc: twice, ..genesis() }), EmbeddedError::AllocatedTwice(_)));
    let mut newer = good.clone();
    newer[11] = 2;
    std::fs::write(&path, &newer).unwrap();
    assert!(matches!(other(genesis()), EmbeddedError::UnknownVersion { found: 2, .. }));
    for bytes in [
        &b""[..],
        b"MGCHAIN\n",
        &good[..67],
        b"something else altogether, and long enough to be read as one whole preamble",
    ] {
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(other(genesis()), EmbeddedError::Damaged { at: 0, .. }));
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
    std::fs::write(&path, &good).unwrap();
    drop(open(dir.path()));
}

#[test]
fn time_on_the_chain_never_runs_backwards() {
    let dir = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicI64::new(5_000_000));
    let seen = Arc::clone(&now);
    let clock = Clock::new(1, move || Timestamp(seen.load(Ordering::Relaxed)));
    let chain = EmbeddedChain::open(dir.path(), genesis(), clock).unwrap();
    let street = Street::deploy(&chain, Money(0));
    street.open_accounts(1);
    assert_eq!(chain.head().unwrap().timestamp, 5_000);
    now.store(1_000_000, Ordering::Relaxed);
    street.deposit(1, 1).unwrap();
    assert_eq!(chain.head().unwrap().timestamp, 5_000);
    now.store(9_000_000, Ordering::Relaxed);
    street.deposit(1, 1).unwrap();
    assert_eq!(chain.head().unwrap().timestamp, 9_000);
}

#[test]
fn a_transaction_that_cannot_be_mined_is_refused_for_the_right_reason() {
    let dir = tempfile::tempdir().unwrap();
    let chain = open(dir.path());
    let street = Street::deploy(&chain, Money(0));
    let good = Transaction {
        chain_id: CHAIN_ID,
        nonce: 1,
        fees: chain.fees().unwrap(),
        gas_limit: 21_000,
        call: Call { to: Some(Address::repeat_byte(9)), value: U256::from(1), data: Vec::new() },
    };
    let kind = |tx: &Transaction| match chain.send(&tx.sign(&street.key).unwrap().raw) {
        Err(ChainError::Refused { kind, .. }) => Some(kind),
        Ok(_) => None,
        Err(other) => panic!("{other}"),
    };
    let before = (chain.head().unwrap(), std::fs::metadata(dir.path().join(FILE)).unwrap().len());
    assert_eq!(kind(&Transaction { nonce: 0, ..good.clone() }), Some(Refusal::NonceTooLow));
    assert_eq!(kind(&Transaction { nonce: 2, ..good.clone() }), Some(Refusal::NonceTooHigh));
    assert_eq!(kind(&Transaction { chain_id: 1, ..good.clone() }), Some(Refusal::Other));
    assert_eq!(kind(&Transaction { gas_limit: (1 << 24) + 1, ..good.clone() }), Some(Refusal::Other));
    assert_eq!(kind(&Transaction { gas_limit: 20_999, ..good.clone() }), Some(Refusal::Other));
    let cheap = contracts::tx::Fees { max_fee: 6, max_priority: 0 };
    assert_eq!(kind(&Transaction { fees: cheap, ..good.clone() }), Some(Refusal::Underpriced));
    let rich = Call { value: U256::MAX, ..good.call.clone() };
    assert_eq!(kind(&Transaction { call: rich, ..good.clone() }), Some(Refusal::InsufficientFunds));
    assert_eq!(before, (chain.head().unwrap(), std::fs::metadata(dir.path().join(FILE)).unwrap().len()));
    assert_eq!(kind(&good), None);
    assert_eq!(kind(&good), Some(Refusal::AlreadyKnown));
    assert!(matches!(chain.send(&[1, 2, 3]), Err(ChainError::Refused { kind: Refusal::Other, .. })));
}

/// A longer history under few whole blocks, and the same under many; and where the first file was after each block.
fn long_history(dir: &Path, whole: u64, blocks: u64) -> (Address, Vec<B256>) {
    let chain = open(dir).with_whole_blocks(whole);
    let street = Street::deploy(&chain, Money(100));
    street.open_accounts(3);
    let mut sent = Vec::new();
    for n in 1..=blocks {
        let wh = i64::try_from(n).unwrap() * 10;
        sent.push(
            street.settle(n, 1, &[item(1, wh, wh, 0), item(2, wh, 0, wh), item(3, 1, 1, 1)]).unwrap().transaction,
        );
    }
    (street.provider, sent)
}

fn ask(chain: &EmbeddedChain, method: &str, params: serde_json::Value) -> serde_json::Value {
    let body = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    serde_json::from_slice(&chain.handle(body.as_bytes())).unwrap()
}

#[test]
fn a_chain_without_what_old_blocks_carried_answers_as_one_that_kept_it_all() {
    let (thin, whole) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (at, sent) = long_history(thin.path(), 5, 43);
    let (_, same) = long_history(whole.path(), 1_000, 43);
    assert_eq!(sent, same);
    let kept = picture(&open(whole.path()), at, &sent);
    for _ in 0..2 {
        assert_eq!(picture(&open(thin.path()), at, &sent), kept);
    }
    let size = |dir: &Path| std::fs::metadata(dir.join(FILE)).unwrap().len();
    assert!(size(thin.path()) < size(whole.path()));
    let (thin, whole) = (open(thin.path()).with_whole_blocks(5), open(whole.path()));
    for hash in &sent {
        let asked = serde_json::json!([hash.to_string()]);
        let receipt = ask(&thin, "eth_getTransactionReceipt", asked.clone());
        assert_eq!(receipt, ask(&whole, "eth_getTransactionReceipt", asked));
    }
    let (old, new) = (serde_json::json!([sent[0].to_string()]), serde_json::json!([sent[42].to_string()]));
    let error = &ask(&thin, "eth_getTransactionByHash", old)["error"];
    assert_eq!(error["code"], 4444, "{error}");
    assert!(error["message"].as_str().unwrap().starts_with("pruned history unavailable"), "{error}");
    assert_eq!(ask(&thin, "eth_getTransactionByHash", new.clone()), ask(&whole, "eth_getTransactionByHash", new));
    let full = |number: u64, full: bool| serde_json::json!([format!("{number:#x}"), full]);
    assert_eq!(ask(&thin, "eth_getBlockByNumber", full(3, true))["error"]["code"], 4444);
    let header = ask(&thin, "eth_getBlockByNumber", full(3, false));
    assert_eq!(header["result"]["hash"], ask(&whole, "eth_getBlockByNumber", full(3, false))["result"]["hash"]);
    // And both go on alike, through another thinning.
    let streets = [&thin, &whole].map(|chain| Street { chain, key: owner(), provider: at });
    for n in 44..=60 {
        let receipts =
            streets.each_ref().map(|s| s.settle(n, 1, &[item(1, 10_000 + i64::try_from(n).unwrap(), 0x7fff, 0)]));
        assert_eq!(receipts[0], receipts[1]);
    }
    assert_eq!(picture(&thin, at, &sent), picture(&whole, at, &sent));
}

#[test]
fn blocks_whose_state_is_gone_are_not_taken_back_after_a_restart_either_though_the_last_of_them_was_empty() {
    let dir = tempfile::tempdir().unwrap();
    let (chain, empty) = (open(dir.path()).with_whole_blocks(3).with_faults(), serde_json::json!([]));
    let street = Street::deploy(&chain, Money(100));
    street.open_accounts(1);
    assert_eq!(ask(&chain, "evm_mine", empty)["error"], serde_json::Value::Null);
    for n in 1..=3 {
        street.settle(n, 1, &[item(1, i64::try_from(n).unwrap(), 0, 0)]).unwrap();
    }
    // The sixth block let go of what the first three changed.
    let at = street.provider;
    drop(chain);
    let chain = open(dir.path()).with_whole_blocks(3).with_faults();
    let there = provider::account(&chain, at, 1).unwrap();
    let error = ask(&chain, "microgrid_reorg", serde_json::json!([4]))["error"]["message"].clone();
    assert!(error.as_str().unwrap().contains("blocks up to 3 cannot be taken back"), "{error}");
    assert_eq!((chain.head().unwrap().number, provider::account(&chain, at, 1).unwrap()), (6, there));
}

#[test]
fn whatever_a_power_cut_leaves_of_the_file_that_was_to_come_the_chain_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let (at, sent) = long_history(dir.path(), 1_000, 20);
    let before = std::fs::read(dir.path().join(FILE)).unwrap();
    let kept = picture(&open(dir.path()), at, &sent);
    // The next block thins the others out.
    let chain = open(dir.path()).with_whole_blocks(3);
    let street = Street { chain: &chain, key: owner(), provider: at };
    street.deposit(1, 5).unwrap();
    let grown = picture(&chain, at, &sent);
    drop(chain);
    let after = std::fs::read(dir.path().join(FILE)).unwrap();
    assert!(after.len() < before.len() && !dir.path().join("chain.log.new").exists());
    // Before the new file has its name, the old one is what counts, whatever there is of the new one.
    for cut in (0..after.len()).step_by(after.len() / 40).chain([after.len()]) {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join(FILE), &before).unwrap();
        std::fs::write(place.path().join("chain.log.new"), &after[..cut]).unwrap();
        assert_eq!(picture(&open(place.path()), at, &sent), kept, "{cut}");
        let chain = open(place.path()).with_whole_blocks(3);
        let street = Street { chain: &chain, key: owner(), provider: at };
        street.deposit(1, 5).unwrap();
        assert_eq!(picture(&chain, at, &sent), grown, "{cut}");
        drop(chain);
        assert_eq!(std::fs::read(place.path().join(FILE)).unwrap(), after, "{cut}");
    }
    assert_eq!(picture(&open(dir.path()), at, &sent), grown);
}

#[test]
fn an_old_block_takes_a_kilobyte_however_many_accounts_its_batch_had() {
    for homes in [12_u32, 250] {
        let dir = tempfile::tempdir().unwrap();
        let size = || std::fs::metadata(dir.path().join(FILE)).unwrap().len();
        let settle = |street: &Street<'_>, batches: std::ops::Range<u64>| {
            for n in batches {
                let wh = i64::try_from(n).unwrap() * 97;
                let items: Vec<_> = (1..=homes).map(|home| item(home, 1_000_000 + wh, 300_000 + wh, wh)).collect();
                street.settle(n, 1, &items).unwrap();
            }
        };
        let chain = open(dir.path());
        let street = Street::deploy(&chain, Money(100));
        street.open_accounts(homes);
        settle(&street, 1..3);
        let begun = size();
        settle(&street, 3..11);
        let (whole, at) = ((size() - begun) / 8, street.provider);
        drop(chain);
        // With one whole block, a deposit, and the state before it, at either end.
        let chain = open(dir.path()).with_whole_blocks(1);
        let street = Street { chain: &chain, key: owner(), provider: at };
        street.deposit(1, 5).unwrap();
        let begun = size();
        settle(&street, 11..19);
        street.deposit(1, 5).unwrap();
        let thin = (size() - begun) / 9;
        let year = |each: u64| each * 4 * 24 * 365 / 1_000_000;
        println!(
            "{homes} accounts, a batch every quarter of an hour: {whole} bytes a block, {} MB a year; thinned {thin} bytes, \
             {} MB a year",
            year(whole),
            year(thin)
        );
        assert!(thin < 1_300, "{thin} bytes");
    }
}
