//! The embedded chain as others see it: over JSON-RPC, by this crate's client, by ethers, and by people who mean ill.

use crate::street::{CHAIN_ID, Street, WEI_PER_UNIT, clock, genesis, item, open, owner, why};
use contracts::chain::{Chain, ChainError, LogFilter};
use contracts::embedded::EmbeddedChain;
use contracts::key::Signer;
use contracts::provider::{self, topic};
use contracts::rpc::JsonRpc;
use contracts::tx::Transaction;
use contracts::{Address, B256, U256};
use domain::Money;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The least HTTP server that does: one thread, one request a connection.
pub struct Http {
    pub url: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Http {
    pub fn serve(answer: impl Fn(&[u8]) -> (u16, Vec<u8>) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let _ = stream.and_then(|s| one_request(s, &answer));
            }
        });
        Self { url, stop, thread: Some(thread) }
    }

    pub fn client(&self) -> JsonRpc {
        JsonRpc::new(&self.url, Duration::from_secs(20)).unwrap()
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
        let _ = self.thread.take().unwrap().join();
    }
}

fn one_request(stream: TcpStream, answer: &impl Fn(&[u8]) -> (u16, Vec<u8>)) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line)? > 2 {
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (status, body) = answer(&body);
    let head = format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    (&stream).write_all(&[head.as_bytes(), &body].concat())
}

fn ask(chain: &EmbeddedChain, method: &str, params: Value) -> Result<Value, (i64, String)> {
    let request = json!({ "jsonrpc": "2.0", "id": 5, "method": method, "params": params });
    let answer: Value = serde_json::from_slice(&chain.handle(request.to_string().as_bytes())).unwrap();
    assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!(5)));
    match answer.get("error") {
        Some(e) => Err((e["code"].as_i64().unwrap(), e["message"].as_str().unwrap().to_owned())),
        None => Ok(answer["result"].clone()),
    }
}

#[test]
fn the_client_hears_over_http_what_the_chain_says_directly() {
    let dir = tempfile::tempdir().unwrap();
    let chain = Arc::new(open(dir.path()));
    let served = Arc::clone(&chain);
    let http = Http::serve(move |body| (200, served.handle(body)));
    let rpc = http.client();
    let street = Street::deploy(&rpc, Money(100));
    street.open_accounts(2);
    let at = street.provider;
    let receipt = street.deposit(1, 5_000).unwrap();
    street.settle(1, 1, &[item(1, 10, 20, 0), item(2, 3, 4, 5)]).unwrap();
    assert_eq!(rpc.receipt(receipt.transaction), chain.receipt(receipt.transaction));
    assert_eq!(rpc.receipt(B256::ZERO), Ok(None));
    assert_eq!(rpc.head(), chain.head());
    assert_eq!(rpc.chain_id(), Ok(CHAIN_ID));
    assert_eq!(rpc.balance(owner().address()), chain.balance(owner().address()));
    assert_eq!(rpc.nonce(owner().address()), Ok(4));
    assert_eq!(rpc.code(at), chain.code(at));
    assert_eq!((rpc.block_hash(2), rpc.block_hash(99)), (chain.block_hash(2), Ok(None)));
    for topic0 in [None, Some(topic::deposited()), Some(B256::ZERO)] {
        let filter = LogFilter { address: at, topic0, from_block: 0, to_block: 99 };
        assert_eq!(rpc.logs(&filter), chain.logs(&filter));
    }
    assert_eq!(provider::account(&rpc, at, 1), provider::account(&*chain, at, 1));
    let call = provider::deposit(at, 1, Money(1), U256::from(1000)).unwrap();
    assert_eq!(rpc.estimate_gas(owner().address(), &call), chain.estimate_gas(owner().address(), &call));
    assert_eq!(why(street.settle(1, 1, &[item(1, 10, 20, 0)])), "WrongSequence(2, 1)");
    let raw = [1, 2, 3];
    assert!(matches!(rpc.send(&raw), Err(ChainError::Refused { .. })));
    // The base fee has moved since the first block, so fees are compared through the same rule.
    assert!(rpc.fees().unwrap().max_fee > u128::from(7_u8) && rpc.fees() == chain.fees());
}

#[test]
fn a_node_that_is_down_or_busy_is_transient_and_one_that_babbles_is_not() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    assert!(JsonRpc::new(&url, Duration::from_secs(5)).unwrap().head().unwrap_err().is_transient());
    for status in [429, 500, 502, 503] {
        let http = Http::serve(move |_| (status, b"{}".to_vec()));
        assert!(http.client().head().unwrap_err().is_transient(), "{status}");
    }
    let babble: [&[u8]; 6] = [
        b"",
        b"<html>",
        b"{}",
        br#"{"jsonrpc":"2.0","id":99,"result":"0x1"}"#,
        br#"{"jsonrpc":"2.0","id":1,"result":"one"}"#,
        br#"{"jsonrpc":"2.0","id":1,"result":"0xfffffffffffffffff"}"#,
    ];
    for body in babble {
        let http = Http::serve(move |_| (200, body.to_vec()));
        let error = http.client().chain_id().unwrap_err();
        assert!(matches!(error, ChainError::Nonsense { .. }), "{error}");
    }
}

#[test]
fn an_estimate_is_the_least_gas_that_does_and_a_fifth_where_code_runs() {
    let dir = tempfile::tempdir().unwrap();
    let chain = open(dir.path());
    let street = Street::deploy(&chain, Money(100));
    street.open_accounts(3);
    let settle =
        provider::settle(street.provider, 1, 1, contracts::B256::ZERO, &[item(1, 1, 1, 1), item(3, 1, 1, 1)]).unwrap();
    let estimate = chain.estimate_gas(owner().address(), &settle).unwrap();
    // The largest number that a fifth more makes no more than that.
    let gas = (estimate + 1) * 5 / 6;
    assert_eq!(gas + gas / 5, estimate);
    let with = |gas: u64| {
        let call = json!({ "from": owner().address().to_string(), "to": street.provider.to_string(), "gas": format!("{gas:#x}"), "data": format!("0x{}", hex::encode(&settle.data)) });
        ask(&chain, "eth_call", json!([call, "latest"]))
    };
    assert!(with(gas).is_ok());
    assert!(with(gas - 1).is_err());
    let transfer = contracts::tx::Call { to: Some(Address::repeat_byte(5)), value: U256::from(1), data: Vec::new() };
    assert_eq!(chain.estimate_gas(owner().address(), &transfer), Ok(21_000));
}

/// A wallet asks what a deposit takes, a batch is settled, and only then does the deposit arrive: it leaves the account low
/// on credit, which when it was asked it would not have, and that takes some gas more.
#[test]
fn a_deposit_that_was_estimated_before_a_batch_was_settled_still_arrives() {
    let dir = tempfile::tempdir().unwrap();
    let chain = open(dir.path());
    let street = Street::deploy(&chain, Money(100));
    street.open_accounts(2);
    street.settle(1, 1, &[item(2, 10, 0, 0)]).unwrap();
    let call = provider::deposit(street.provider, 1, Money(2_050), U256::from(WEI_PER_UNIT)).unwrap();
    let gas_limit = chain.estimate_gas(owner().address(), &call).unwrap();
    street.settle(2, 1, &[item(1, 10, 0, 0)]).unwrap();
    let nonce = chain.nonce(owner().address()).unwrap();
    let transaction = Transaction { chain_id: CHAIN_ID, nonce, fees: chain.fees().unwrap(), gas_limit, call };
    let signed = transaction.sign(&owner()).unwrap();
    chain.send(&signed.raw).unwrap();
    assert!(chain.receipt(signed.hash).unwrap().unwrap().ok);
    assert_eq!(provider::account(&chain, street.provider, 1).unwrap().balance, Money(50));
}

#[test]
fn every_method_answers_in_ethereums_spelling() {
    let dir = tempfile::tempdir().unwrap();
    let chain = open(dir.path());
    let street = Street::deploy(&chain, Money(100));
    street.open_accounts(1);
    let receipt = street.deposit(1, 5_000).unwrap();
    let at = format!("{:#x}", street.provider);
    let hash = receipt.transaction.to_string();
    let get = |method: &str, params: Value| ask(&chain, method, params).unwrap();
    assert_eq!(get("eth_chainId", json!([])), "0x7a69");
    assert_eq!(get("net_version", json!([])), "31337");
    assert_eq!(get("eth_blockNumber", json!([])), "0x3");
    assert_eq!((get("eth_syncing", json!([])), get("eth_accounts", json!([]))), (json!(false), json!([])));
    assert_eq!(get("eth_getBalance", json!([at, "latest"])), "0x4c4b40");
    assert_eq!(get("eth_getTransactionCount", json!([owner().address().to_string(), "pending"])), "0x3");
    assert_eq!(get("eth_getStorageAt", json!([at, "0x0", "latest"])).as_str().unwrap().len(), 66);
    let block = get("eth_getBlockByNumber", json!(["latest", true]));
    assert_eq!(block, get("eth_getBlockByHash", json!([receipt.block_hash.to_string(), true])));
    assert_eq!(block["transactions"][0], get("eth_getTransactionByHash", json!([hash])));
    assert_eq!(block["transactions"][0]["to"], at);
    assert_eq!(get("eth_getBlockByNumber", json!(["0x3", false]))["transactions"], json!([hash]));
    assert_eq!(get("eth_getBlockByNumber", json!(["earliest", true]))["transactions"], json!([]));
    assert_eq!(get("eth_getBlockByNumber", json!(["0x4", false])), Value::Null);
    assert_eq!(get("eth_getTransactionReceipt", json!([hash]))["status"], "0x1");
    assert_eq!(get("eth_getTransactionReceipt", json!([B256::ZERO.to_string()])), Value::Null);
    let history = get("eth_feeHistory", json!(["0x2", "latest", [50]]));
    assert_eq!((history["oldestBlock"].clone(), history["baseFeePerGas"].as_array().unwrap().len()), (json!("0x2"), 3));
    let logs = |filter: Value| get("eth_getLogs", json!([filter])).as_array().unwrap().len();
    let (deposited, opened) = (topic::deposited().to_string(), topic::opened().to_string());
    assert_eq!(logs(json!({ "fromBlock": "earliest", "topics": [[deposited, opened]] })), 2);
    assert_eq!(logs(json!({ "fromBlock": "0x0", "topics": [null, B256::with_last_byte(1).to_string()] })), 4);
    assert_eq!(logs(json!({ "fromBlock": "0x0", "address": [at, Address::ZERO.to_string()], "topics": [opened] })), 1);
    assert_eq!(logs(json!({ "blockHash": receipt.block_hash.to_string() })), 2);
    assert_eq!(logs(json!({ "address": Address::ZERO.to_string(), "fromBlock": "0x0" })), 0);
    for (method, params, code) in [
        ("eth_mining_nonsense", json!([]), -32601),
        ("eth_getBalance", json!([]), -32602),
        ("eth_getBalance", json!([at, "0x1"]), -32000),
        ("eth_call", json!([{ "to": at, "data": "0xzz" }]), -32602),
        ("eth_call", json!([{ "to": at, "data": "0x" }, "latest"]), 3),
        ("eth_getLogs", json!([{ "fromBlock": "0x3", "toBlock": "0x1" }]), -32602),
        ("eth_sendRawTransaction", json!(["0x02"]), -32000),
        ("eth_feeHistory", json!(["0x1", "0x9"]), -32000),
    ] {
        assert_eq!(ask(&chain, method, params).unwrap_err().0, code, "{method}");
    }
}

#[test]
fn envelopes_are_held_to_json_rpc_2() {
    let dir = tempfile::tempdir().unwrap();
    let chain = EmbeddedChain::open(dir.path(), genesis(), clock()).unwrap();
    let code =
        |body: &str| serde_json::from_slice::<Value>(&chain.handle(body.as_bytes())).unwrap()["error"]["code"].clone();
    assert_eq!(code("{"), -32700);
    assert_eq!(code(""), -32700);
    assert_eq!(code(&"[".repeat(100_000)), -32700);
    for bad in [
        "[]",
        "5",
        "{}",
        r#"{"jsonrpc":"1.0","id":1,"method":"eth_chainId"}"#,
        r#"{"jsonrpc":"2.0","id":{},"method":"eth_chainId"}"#,
    ] {
        assert_eq!(code(bad), -32600, "{bad}");
    }
    assert_eq!(code(r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":{}}"#), -32602);
    assert_eq!(code(&" ".repeat(2_000_000)), -32600);
    let one = r#"{"jsonrpc":"2.0","id":"a","method":"eth_chainId"}"#;
    assert_eq!(code(&format!("[{}]", vec![one; 101].join(","))), -32600);
    let note = r#"{"jsonrpc":"2.0","method":"eth_chainId"}"#;
    assert!(chain.handle(note.as_bytes()).is_empty());
    assert!(chain.handle(format!("[{note},{note}]").as_bytes()).is_empty());
    let batch: Value = serde_json::from_slice(&chain.handle(format!("[{one},{note},7,{one}]").as_bytes())).unwrap();
    assert_eq!(batch.as_array().unwrap().len(), 3);
    assert_eq!((&batch[0]["result"], &batch[1]["error"]["code"]), (&json!("0x7a69"), &json!(-32600)));
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "0x[0-9a-fA-F]{0,70}".prop_map(Value::from),
        prop::sample::select(vec!["latest", "earliest", "0x0", "0x", "pending", "0xffffffffffffffff"])
            .prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 5, |inner| {
        let key = prop::sample::select(vec![
            "from",
            "to",
            "data",
            "gas",
            "value",
            "fromBlock",
            "toBlock",
            "topics",
            "address",
            "blockHash",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..5).prop_map(|pairs| pairs
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v))
                .collect::<serde_json::Map<_, _>>()
                .into()),
        ]
    })
}

proptest! {
    #[test]
    fn no_parameters_whatever_bring_the_chain_down(
        method in prop::sample::select(vec![
            "eth_feeHistory", "eth_getBalance", "eth_getTransactionCount", "eth_getCode", "eth_getStorageAt", "eth_call",
            "eth_estimateGas", "eth_sendRawTransaction", "eth_getTransactionByHash", "eth_getTransactionReceipt",
            "eth_getBlockByHash", "eth_getBlockByNumber", "eth_getLogs",
        ]),
        params in prop::collection::vec(values(), 0..4),
        noise in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let chain = EmbeddedChain::open(dir.path(), genesis(), clock()).unwrap();
        let _ = ask(&chain, method, params.into());
        prop_assert!(!chain.handle(&noise).is_empty());
    }
}
