use super::*;

fn refusal(message: &str) -> Refusal {
    match classify(&json!({ "code": -32000, "message": message }), "http://node") {
        ChainError::Refused { kind, .. } => kind,
        other => panic!("{message}: {other}"),
    }
}

#[test]
fn the_words_of_the_usual_clients_are_understood() {
    let cases = [
        ("already known", Refusal::AlreadyKnown),
        ("transaction already imported", Refusal::AlreadyKnown),
        ("nonce too low: next nonce 7, tx nonce 3", Refusal::NonceTooLow),
        ("nonce too low", Refusal::NonceTooLow),
        ("nonce too high: next nonce 1, tx nonce 2", Refusal::NonceTooHigh),
        ("replacement transaction underpriced", Refusal::Underpriced),
        ("transaction underpriced: tip needed 1, tip permitted 0", Refusal::Underpriced),
        ("max fee per gas less than block base fee: 6, base fee 7", Refusal::Underpriced),
        ("insufficient funds for gas * price + value: balance 0, needed 1", Refusal::InsufficientFunds),
        ("Insufficient funds for gas * price + value", Refusal::InsufficientFunds),
        ("intrinsic gas too low: gas 1, minimum 21000", Refusal::Other),
    ];
    for (message, wanted) in cases {
        assert_eq!(refusal(message), wanted, "{message}");
    }
}

#[test]
fn a_node_that_talks_without_end_is_quoted_in_few_words() {
    let error = json!({ "code": -32000, "message": format!("nonce too low\n\u{1b}[2J{}", "x".repeat(10_000)) });
    let ChainError::Refused { kind: Refusal::NonceTooLow, message } = classify(&error, "http://node") else { panic!() };
    assert!(message.starts_with("nonce too low  [2Jxx") && message.chars().count() == 201, "{message:?}");
    assert!(brief(&json!("\u{85}".repeat(500))).chars().all(|c| !c.is_control()));
}

#[test]
fn a_revert_is_decoded_wherever_the_node_puts_its_data() {
    let data = format!("0x{}", hex::encode(crate::abi::selector("NotOwner()")));
    for error in [
        json!({ "code": 3, "message": "execution reverted", "data": data }),
        json!({ "code": 3, "message": "execution reverted: custom error", "data": data }),
        json!({ "code": -32000, "message": "VM Exception: reverted", "data": { "data": data } }),
    ] {
        let ChainError::Reverted { reason, .. } = classify(&error, "http://node") else { panic!("{error}") };
        assert_eq!(reason, "NotOwner()");
    }
}

#[test]
fn a_node_that_is_busy_is_tried_again_and_one_that_says_no_is_not() {
    let busy = classify(&json!({ "code": -32005, "message": "limit exceeded" }), "http://node");
    assert!(busy.is_transient());
    assert!(classify(&json!({ "code": -32603, "message": "disk full" }), "http://node").is_transient());
    let no = classify(&json!({ "code": -32000, "message": "nonce too low" }), "http://node");
    assert!(!no.is_transient());
    assert!(!ChainError::nonsense("eth_call", "x").is_transient());
}

#[test]
fn an_address_with_a_secret_is_shown_without_it() {
    let url = "https://user:pass@node.example:8545/v3/s3cret?key=s3cret";
    let rpc = JsonRpc::new(url, Duration::from_secs(1)).unwrap();
    let shown = format!("{rpc:?} {}", without_secrets(&format!("{url} is down"), url, &rpc.shown));
    assert!(shown.contains("https://node.example:8545"), "{shown}");
    assert!(!shown.contains("pass") && !shown.contains("s3cret"), "{shown}");
    for bad in ["", "node:8545", "ftp://node", "http://", "http://user@", "http://a b"] {
        assert!(JsonRpc::new(bad, Duration::from_secs(1)).is_err(), "{bad:?} was taken");
    }
}
