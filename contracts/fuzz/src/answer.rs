//! Whatever a node answers is what was asked for, or an error in few words.

use contracts::chain::{Chain, ChainError, LogFilter};
use contracts::tx::Call;
use contracts::{Address, B256, fuzzing};
use serde_json::Value;

/// An answer counts only if it is one to this very request. What is taken is what the JSON says: a number is that
/// number, there are as many logs as in the list, a failed transaction deployed nothing. An error has at most 400
/// characters on one line, whatever the node says at whatever length.
pub fn check(bytes: &[u8]) {
    let Some((mode, body)) = bytes.split_first() else { return };
    let (mode, body) = (*mode, body.to_vec());
    let result: Option<Value> = serde_json::from_slice(&body).ok();
    let node = {
        let body = body.clone();
        fuzzing::node(move |request| said(mode, &body, request))
    };
    let at = Address::ZERO;
    let mut errors = Vec::new();
    let mut number = |found: Result<u128, ChainError>| match found {
        Ok(number) => {
            if let (Some(Value::String(text)), 0) = (&result, mode % 4) {
                let digits = text.trim_start_matches("0x").trim_start_matches('0').to_lowercase();
                assert_eq!(format!("{number:x}").trim_start_matches('0'), digits);
            }
        }
        Err(error) => errors.push(error),
    };
    number(node.chain_id().map(u128::from));
    number(node.nonce(at).map(u128::from));
    number(node.estimate_gas(at, &Call::default()).map(u128::from));
    errors.extend(node.balance(at).err().into_iter().chain(node.fees().err()));
    errors.extend(node.head().err().into_iter().chain(node.call(at, &Call::default()).err()));
    errors.extend(node.send(&[1, 2, 3]).err().into_iter().chain(node.code(at).err()).chain(node.block_hash(7).err()));
    match node.receipt(B256::ZERO) {
        Ok(Some(receipt)) => assert!(receipt.ok || receipt.contract.is_none()),
        Ok(None) => {}
        Err(error) => errors.push(error),
    }
    match node.logs(&LogFilter { address: at, topic0: None, from_block: 1, to_block: 2 }) {
        Ok(logs) => {
            if let (Some(list), 0) = (&result, mode % 4) {
                assert_eq!(list.as_array().map(Vec::len), Some(logs.len()));
            }
        }
        Err(error) => errors.push(error),
    }
    for error in errors {
        let words = error.to_string();
        assert!(words.chars().count() <= 400 && !words.contains(char::is_control), "{words:?}");
    }
}

/// The answer: the bytes as result or as error of this request, or as the whole of it; then rarely with a status of its
/// own, or none at all.
fn said(mode: u8, body: &[u8], request: &[u8]) -> Option<(u16, Vec<u8>)> {
    let id = serde_json::from_slice::<Value>(request).expect("our own JSON")["id"].clone();
    let around = |key: &str| {
        let head = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"{key}\":");
        Some((200, [head.as_bytes(), body, b"}"].concat()))
    };
    match mode % 4 {
        0 => around("result"),
        1 => around("error"),
        2 => Some((200, body.to_vec())),
        _ => match mode / 4 {
            0 => None,
            status => Some((u16::from(status) * 10, body.to_vec())),
        },
    }
}
