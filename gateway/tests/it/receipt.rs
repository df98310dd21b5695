//! A customer checks a receipt alone: with our program, and with somebody else's library.

use crate::foreign::find;
use crate::house::{self, Room, Running, eventually};
use serde_json::Value;
use std::process::Command;

const STREET: &str = r#"
network_fee = "0.04"
tax = "19%"
daily_charge = "0.25"
lifeline_wh = 1

[simulator]
seed = 7

[[bus]]
id = "lan"
kind = "modbus-tcp"
address = "127.0.0.1:METERS"
simulate = true

[[account]]
id = "hall"

[[account]]
id = "barn"

[[meter]]
id = "hall"
account = "hall"
bus = "lan"
unit = 2
model = "sim-home"
period = "500ms"
simulated_scale = 90000

[[meter]]
id = "barn"
account = "barn"
bus = "lan"
unit = 3
model = "sim-home"
period = "500ms"
simulated_scale = 90000
"#;

#[test]
fn a_receipt_proves_every_line_to_whoever_has_a_node_and_a_changed_one_does_not() {
    let room = Room::new();
    let (meters, rpc) = (house::free_port(), house::free_port());
    let (tariff, rest) = house::SOUND.split_once("[web]").unwrap();
    let street = STREET.replace("METERS", &meters.to_string());
    let text = format!("{}{street}\n[web]{rest}", tariff.trim_end());
    let chain = format!("rpc_listen = \"127.0.0.1:{rpc}\"\nsettle_every = \"1s\"\n");
    let config = room.config(&text.replace("rpc_listen = \"127.0.0.1:0\"\n", &chain));
    let gateway = Running::gateway(&config);
    let page = gateway.listening("http");
    let topup = || house::run(house::gateway(["topup", "hall", "5.00", "-c"]).arg(&config)).code == 0;
    eventually("the account is open", || topup().then_some(()));
    let made = || {
        let ended = house::run(house::gateway(["receipt", "hall", "-c"]).arg(&config));
        serde_json::from_str::<Value>(&ended.well().out).unwrap()
    };
    let proved =
        |receipt: &Value| receipt["lines"].as_array().unwrap().iter().filter(|line| !line["proof"].is_null()).count();
    let receipt = eventually("three lines are settled and the payment is there", || {
        let receipt = made();
        (proved(&receipt) >= 3 && receipt["sums"]["moved"].as_i64() > Some(0)).then_some(receipt)
    });
    let kinds: Vec<&str> = receipt["lines"].as_array().unwrap().iter().map(|l| l["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"daily"), "{kinds:?}");
    assert!(receipt["sums"]["tax"].as_i64() > Some(0) && receipt["sums"]["network"].as_i64() > Some(0));

    let url = format!("http://127.0.0.1:{rpc}");
    let verify = |receipt: &Value| {
        let file = room.write("receipt.json", receipt.to_string());
        house::run(house::gateway(["receipt", "verify", "--rpc", &url]).arg(file))
    };
    let verdict: Value = serde_json::from_str(&verify(&receipt).well().out).unwrap();
    assert_eq!(verdict["proved"], proved(&receipt));
    assert_eq!((&verdict["deposits"], &verdict["wrong"]), (&Value::from(1), &Value::Array(Vec::new())));
    if let Some(node) = find("node", "--version") {
        let script = house::workspace().join("contracts/test/receipt.mjs");
        let file = room.write("receipt.json", receipt.to_string());
        let ended = house::run(Command::new(node).arg(script).arg(file).arg(&url));
        let theirs: Value = serde_json::from_str(&ended.well().out).unwrap();
        assert_eq!(theirs["proved"], verdict["proved"]);
    }

    // A change in any of these places is found.
    let settled = receipt["lines"].as_array().unwrap().iter().position(|l| l["import"] != 0 && !l["proof"].is_null());
    let settled = settled.unwrap();
    let change = |at: &str, to: Value| {
        let mut changed = receipt.clone();
        *changed.pointer_mut(at).unwrap() = to;
        changed
    };
    let line = format!("/lines/{settled}");
    let more = |at: &str| Value::from(receipt.pointer(at).unwrap().as_i64().unwrap() + 1);
    for (at, complaint) in [
        (format!("{line}/import"), "is not what was settled"),
        (format!("{line}/import_from"), "is not what was settled"),
        (format!("{line}/debit/tax"), "the sums are not"),
        (format!("{line}/debit/network"), "the network fee is another"),
        (format!("{line}/debit/energy"), "is not what was settled"),
        ("/sums/charged".to_owned(), "the sums are not"),
        ("/number".to_owned(), "is not what was settled"),
        ("/chain_id".to_owned(), "the node of chain 31337"),
        ("/movements/0/balance".to_owned(), "did not pay"),
        ("/batches/0/sequence".to_owned(), "did not settle batch"),
    ] {
        verify(&change(&at, more(&at))).complains(1, &[complaint]);
    }
    let mut twice = receipt.clone();
    twice["lines"].as_array_mut().unwrap().push(receipt["lines"][settled].clone());
    verify(&twice).complains(1, &["is there twice"]);
    verify(&change("/format", "another".into())).complains(1, &["the format is"]);
    verify(&Value::from("nonsense")).complains(65, &["this is no receipt"]);

    for (asked, part) in [("html", "<!doctype html>"), ("text", "kWh, charged")] {
        let ended = house::run(house::gateway(["receipt", "hall", &format!("--{asked}"), "-c"]).arg(&config));
        assert!(ended.well().out.contains(part), "{}", ended.out);
    }
    house::run(house::gateway(["receipt", "hal", "-c"]).arg(&config)).complains(1, &["no account hal"]);
    house::run(house::gateway(["receipt", "hall", "--from", "soon", "-c"]).arg(&config)).complains(64, &["is no date"]);
    let over_http = house::get(page, "/api/v1/accounts/hall/receipt?from=2020-01-01");
    assert_eq!((over_http.json()["account"].as_str(), over_http.json()["number"].as_i64()), (Some("hall"), Some(1)));
    assert_eq!(gateway.stop(), 0);
    house::verb(&["journal", "verify"], &config).well();
}
