//! The embedded chain answers any body in JSON-RPC 2.0.

use contracts::U256;
use contracts::chain::Chain;
use contracts::embedded::{EmbeddedChain, Genesis};
use contracts::key::{LocalKey, Signer};
use contracts::provider::{self, Prices};
use contracts::tx::Transaction;
use domain::{Clock, Money, Timestamp};
use serde_json::Value;
use std::sync::LazyLock;

struct Street {
    chain: EmbeddedChain,
    _folder: tempfile::TempDir,
}

/// A chain with the contract on it. Its only coin belongs to a key that no input can know, so no input is ever mined and
/// every one finds the same chain.
static STREET: LazyLock<Street> = LazyLock::new(|| {
    let folder = tempfile::tempdir_in(super::journal::memory()).expect("a folder");
    let key = LocalKey::generate().expect("randomness");
    let alloc = vec![(key.address(), U256::from(10).pow(U256::from(22)))];
    let clock = Clock::new(1, || Timestamp(1_800_000_000_000));
    let chain = EmbeddedChain::open(folder.path(), Genesis { chain_id: 7, alloc }, clock).expect("a new chain");
    let call = provider::deploy_call(U256::from(1000), Prices::default(), Money(10)).expect("good values");
    let fees = chain.fees().expect("the head");
    let tx = Transaction { chain_id: 7, nonce: 0, fees, gas_limit: 5_000_000, call };
    let hash = chain.send(&tx.sign(&key).expect("a key signs").raw).expect("it has coin");
    let at = chain.receipt(hash).expect("no disk is full").and_then(|receipt| receipt.contract);
    assert_eq!(at, Some(key.address().create(0)));
    Street { chain, _folder: folder }
});

/// A body is answered by one object for one request and by at most as many as there are for a batch, each with the id of its
/// request and with either a result or an error in words; only notifications have no answer. Nothing that is asked
/// changes the chain.
pub fn check(bytes: &[u8]) {
    let chain = &STREET.chain;
    let before = chain.head();
    let answer = chain.handle(bytes);
    assert_eq!(chain.head(), before);
    let request: Option<Value> = serde_json::from_slice(bytes).ok();
    if answer.is_empty() {
        let silent = |request: &Value| request.is_object() && request.get("id").is_none();
        let request = request.expect("what is no JSON is answered");
        assert!(silent(&request) || request.as_array().is_some_and(|list| list.iter().all(silent)), "{request}");
        return;
    }
    match (serde_json::from_slice(&answer).expect("an answer in JSON"), request) {
        (Value::Array(answers), Some(Value::Array(requests))) => {
            assert!(!answers.is_empty() && answers.len() <= requests.len());
            let mut ids = requests.iter().map(|request| request.get("id").cloned().unwrap_or_default());
            for answer in &answers {
                fits(answer);
                assert!(
                    answer["id"].is_null() || answer["id"].is_f64() || ids.any(|id| id == answer["id"]),
                    "{answer} is out of turn"
                );
            }
        }
        (answer, request) => {
            fits(&answer);
            let id = request.and_then(|request| request.get("id").cloned()).unwrap_or_default();
            // The specification knows no fractions there, and the last bit of one may be read in another way.
            assert!(answer["id"].is_null() || answer["id"].is_f64() || answer["id"] == id, "{answer} to {id}");
        }
    }
}

fn fits(answer: &Value) {
    assert_eq!(answer["jsonrpc"], "2.0");
    assert_eq!(answer.as_object().map(|object| object.len()), Some(3), "{answer}");
    if let Some(error) = answer.get("error") {
        let words = error["message"].as_str().unwrap_or_default();
        assert!(error["code"].is_i64() && !words.is_empty() && words.chars().count() <= 500, "{answer}");
    } else {
        assert!(answer.get("result").is_some(), "{answer}");
    }
}
