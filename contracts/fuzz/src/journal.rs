//! A chain's file opens as the blocks that were written to it, or says what is wrong with it.

use arbitrary::{Result, Unstructured};
use contracts::chain::Chain;
use contracts::embedded::{EmbeddedChain, EmbeddedError, Genesis};
use contracts::key::{LocalKey, Signer};
use contracts::provider::{self, Prices, name_word};
use contracts::tx::{Call, Transaction};
use contracts::{Address, B256, U256, fuzzing, keccak256};
use domain::{Clock, Money, Timestamp};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// A folder in memory, where the system has one: a fuzzer must not wear out a disk.
pub fn memory() -> PathBuf {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() }
}

fn key() -> LocalKey {
    LocalKey::from_hex(&"11".repeat(32)).expect("a key")
}

fn open(folder: &Path) -> std::result::Result<EmbeddedChain, EmbeddedError> {
    let alloc = vec![(key().address(), U256::from(10).pow(U256::from(22)))];
    EmbeddedChain::open(folder, Genesis { chain_id: 7, alloc }, Clock::new(1, || Timestamp(1_800_000_000_000)))
}

/// A chain of four blocks: a transfer, the contract, an account and a payment into it.
struct Kept {
    file: Vec<u8>,
    hashes: Vec<B256>,
    /// Where each record's payload lies.
    payloads: Vec<std::ops::Range<usize>>,
}

const PREAMBLE: usize = 68;
const FRAME: usize = 24;

static KEPT: LazyLock<Kept> = LazyLock::new(|| {
    let folder = tempfile::tempdir_in(memory()).expect("a folder");
    let chain = open(folder.path()).expect("a new chain");
    let (key, at) = (key(), key().address().create(1));
    let calls = [
        Call { to: Some(Address::repeat_byte(7)), value: U256::from(5), data: Vec::new() },
        provider::deploy_call(U256::from(1000), Prices::default(), Money(10)).expect("good values"),
        provider::open(at, 1, name_word("flat").expect("a name")),
        provider::deposit(at, 1, Money(100), U256::from(1000)).expect("an amount"),
    ];
    for (nonce, call) in (0..).zip(calls) {
        let fees = chain.fees().expect("the head");
        let tx = Transaction { chain_id: 7, nonce, fees, gas_limit: 5_000_000, call };
        chain.send(&tx.sign(&key).expect("a key signs").raw).expect("it is a good transaction");
    }
    let hashes = (0..=4).map(|number| chain.block_hash(number).expect("a block").expect("it is there")).collect();
    let file = std::fs::read(folder.path().join("chain.log")).expect("the file");
    let (mut payloads, mut at) = (Vec::new(), PREAMBLE);
    while let Some(length) = file.get(at + 4..at + 8) {
        let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]);
        let start = at + FRAME;
        at = start + usize::try_from(length).expect("a short record");
        payloads.push(start..at);
    }
    assert_eq!((payloads.len(), at), (4, file.len()));
    Kept { file, hashes, payloads }
});

/// A file opens or the error says what is wrong with it, by its name. A file that was written here and then
/// damaged opens as a chain that the first blocks of the old one are, and no other block. Whatever opens, whoever made
/// it, can be asked for all of its blocks, and opens again as the same. A record is taken only in the spelling in which
/// it would be written.
pub fn check(bytes: &[u8]) {
    let mut u = Unstructured::new(bytes);
    let mode: u8 = u.arbitrary().unwrap_or(0);
    let file = match mode % 4 {
        0 => u.take_rest().to_vec(),
        1 => foreign(&mut u),
        2 => damaged(&mut u).unwrap_or_default(),
        _ => forged(&mut u).unwrap_or_default(),
    };
    let folder = tempfile::tempdir_in(memory()).expect("a folder");
    std::fs::write(folder.path().join("chain.log"), &file).expect("room for a file");
    let chain = match open(folder.path()) {
        Ok(chain) => chain,
        Err(error) => {
            assert!(!matches!(error, EmbeddedError::Io { .. } | EmbeddedError::InUse { .. }), "{error}");
            assert!(error.to_string().contains("chain.log"), "{error}");
            return;
        }
    };
    let head = chain.head().expect("a head");
    let kept = |number| usize::try_from(number).ok().and_then(|number| KEPT.hashes.get(number)).copied();
    for number in 0..=head.number {
        let hash = chain.block_hash(number).expect("the index").expect("it is below the head");
        assert!(mode % 4 == 1 || mode % 4 == 3 || kept(number) == Some(hash), "block {number} is new");
        let block = ask(&chain, "eth_getBlockByNumber", json!([format!("{number:#x}"), true]));
        assert_eq!(block["result"]["hash"], format!("{hash}"), "{block}");
        for transaction in block["result"]["transactions"].as_array().into_iter().flatten() {
            let _ = ask(&chain, "eth_getTransactionReceipt", json!([transaction["hash"]]));
        }
    }
    let _ = ask(&chain, "eth_getLogs", json!([{ "fromBlock": "0x0" }]));
    let _ = ask(&chain, "eth_feeHistory", json!(["0x10", "latest", [50]]));
    drop(chain);
    assert_eq!(open(folder.path()).expect("it has opened before").head(), Ok(head));
}

fn ask(chain: &EmbeddedChain, method: &str, params: Value) -> Value {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    serde_json::from_slice(&chain.handle(request.to_string().as_bytes())).expect("an answer")
}

/// A record around any payload, with the checksum that belongs there.
fn record(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    let sum = keccak256([&length, payload].concat());
    [&[0xb1, 0x0c, 0x1e, 0xaf], length.as_slice(), &sum[..16], payload].concat()
}

fn taken(payload: &[u8]) {
    if let Some(spelled) = fuzzing::respelled(payload) {
        assert!(spelled == payload, "a record is taken in another spelling: {payload:?}");
    }
}

/// Records that somebody else made.
fn foreign(u: &mut Unstructured<'_>) -> Vec<u8> {
    let mut file = KEPT.file[..PREAMBLE].to_vec();
    while let Ok(length) = u.arbitrary::<u16>() {
        if u.is_empty() {
            break;
        }
        let payload = u.bytes(usize::from(length).min(u.len())).unwrap_or_default();
        taken(payload);
        file.extend(record(payload));
    }
    file
}

/// Bytes turned, cut off, and put in anywhere.
fn damaged(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut file = KEPT.file.clone();
    for _ in 0..u.int_in_range(1..=6)? {
        let at = u.int_in_range(0..=file.len())?;
        match u.int_in_range(0..=3)? {
            0 => file.truncate(at),
            1 if at < file.len() => file[at] ^= u.arbitrary::<u8>()?,
            2 => drop(file.splice(at..at, u.bytes(u.len().min(8))?.to_vec())),
            _ => {
                let again = KEPT.payloads[u.choose_index(4)?].clone();
                file.extend_from_slice(&KEPT.file[again.start - FRAME..again.end]);
            }
        }
    }
    Ok(file)
}

/// The same records with other bytes in their payloads, and with checksums that fit.
fn forged(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut file = KEPT.file[..PREAMBLE].to_vec();
    for payload in &KEPT.payloads {
        let mut payload = KEPT.file[payload.clone()].to_vec();
        for _ in 0..u.int_in_range(0..=3)? {
            // The beginning is where the structure is; behind it lies code.
            let most = if u.arbitrary()? { payload.len().min(700) } else { payload.len() };
            let at = u.choose_index(most)?;
            match u.int_in_range(0..=2)? {
                0 => payload[at] = u.arbitrary()?,
                1 => drop(payload.splice(at..at, u.bytes(u.len().min(4))?.to_vec())),
                _ => payload.truncate(at + 1),
            }
        }
        taken(&payload);
        file.extend(record(&payload));
    }
    Ok(file)
}
