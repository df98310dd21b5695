//! A gateway makes itself known to the grid operator's register.

use crate::house::{self, Room, Running, eventually};
use serde_json::Value;

/// What the register's event `Attested(bytes32,address,bool)` is known by.
const ATTESTED: &str = "0x27c9d8f690445376eb2f0f7bbd1825c36bb94d489a7e0a33a4df024369744c9c";

const STREET: &str = r#"
[simulator]
seed = 7

[[bus]]
id = "lan"
kind = "modbus-tcp"
address = "127.0.0.1:METERS"
simulate = true

[[account]]
id = "hall"

[[meter]]
id = "hall"
account = "hall"
bus = "lan"
unit = 2
model = "sim-home"
period = "500ms"

[[switch]]
id = "hall"
account = "hall"
bus = "lan"
unit = 2
model = "sim-home"
on_silence = "hold"
point = "ES0021000000000001JN"
"#;

#[test]
fn a_gateway_registers_what_is_missing_once_and_says_what_it_cost() {
    let room = Room::new();
    let bare = room.config(house::SOUND);
    let register = house::verb(&["chain", "deploy-register"], &bare).well().out.trim().to_owned();
    let chain = format!("operator = \"{register}\"\nsettle_every = \"1s\"\nrpc_listen");
    let text = format!("{}{STREET}", house::SOUND).replace("rpc_listen", &chain);
    let config = room.config(&text.replace("METERS", &house::free_port().to_string()));
    let said = |args: &[&str]| house::verb(&[&["chain", "register", "--json"], args].concat(), &config);
    said(&[]).complains(69, &["there is no ledger yet"]);

    let gateway = Running::gateway(&config);
    let page = gateway.listening("http");
    let problem = || house::state(page)["chain"]["problem"].as_str().map(str::to_owned);
    eventually("the gateway misses its point", || {
        problem().filter(|p| p.contains("has not given its connection point"))
    });
    assert_eq!(gateway.stop(), 0);

    let json = |ended: &house::Ended| serde_json::from_str::<Value>(&ended.out).unwrap();
    let dry = said(&["--dry-run"]);
    assert_eq!((dry.code, json(&dry)["missing"].as_array().unwrap().len()), (1, 2), "{}", dry.out);
    let stranger = room.path("stranger.key");
    house::run(house::gateway(["key", "new"]).arg(&stranger)).well();
    let refused = said(&["--key", stranger.to_str().unwrap()]);
    refused.complains(1, &["is not there"]);
    assert!(json(&refused)["refused"][0]["why"].as_str().unwrap().contains("who alone can tell it"), "{}", refused.out);

    let done = json(said(&[]).well());
    let rows = done["done"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{done}");
    let gas: u64 = rows.iter().map(|row| row["gas"].as_u64().unwrap()).sum();
    assert!(gas > 40_000 && done["gas"] == gas && done["wei"].as_str().unwrap().parse::<u128>().unwrap() > 0, "{done}");
    let again = house::verb(&["chain", "register"], &config);
    assert!(again.well().out.contains("nothing is missing"), "{}", again.out);

    let gateway = Running::gateway(&config);
    let page = gateway.listening("http");
    let chain = || house::state(page)["chain"].clone();
    eventually("nothing is wrong with the register", || {
        (chain()["block"].as_u64()? > 0 && chain()["problem"].is_null()).then_some(())
    });
    let rpc = gateway.listening("json_rpc");
    let filter = serde_json::json!([{ "address": register, "fromBlock": "0x0", "topics": [ATTESTED] }]);
    eventually("the switch's position is attested", || {
        house::rpc(rpc, "eth_getLogs", &filter).as_array().is_some_and(|logs| !logs.is_empty()).then_some(())
    });
    assert_eq!(gateway.stop(), 0);
}
