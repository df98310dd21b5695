//! An operator takes cash and pays it in for a customer.

use crate::house::{self, Room, Running, eventually};

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
simulated_scale = 90000
"#;

#[test]
fn cash_taken_by_the_operator_is_credited_while_the_settler_uses_the_same_key() {
    let room = Room::new();
    let (meters, rpc) = (house::free_port(), house::free_port());
    let text = format!("{}{}", house::SOUND, STREET.replace("METERS", &meters.to_string()));
    let chain = format!("rpc_listen = \"127.0.0.1:{rpc}\"\nsettle_every = \"1s\"\n");
    let config = room.config(&text.replace("rpc_listen = \"127.0.0.1:0\"\n", &chain));
    let topup = |account: &str, amount: &str| house::run(house::gateway(["topup", account, amount, "-c"]).arg(&config));
    topup("hall", "5.00").complains(69, &["there is no ledger yet"]);
    let gateway = Running::gateway(&config);
    let page = gateway.listening("http");
    eventually("the account is open", || (topup("hall", "5.00").code == 0).then_some(()));
    for _ in 0..4 {
        // The settler may have used the nonce in between: then it is simply tried again.
        eventually("a deposit is taken", || (topup("hall", "5.00").code == 0).then_some(()));
    }
    eventually("all five are credited", || (house::state(page)["homes"][0]["topped_up"] == "25.00 EUR").then_some(()));
    let settled = || house::state(page)["ledger"]["settled_batches"].as_i64().unwrap();
    let before = settled();
    eventually("settlement goes on", || (settled() > before).then_some(()));
    topup("hal", "5.00").complains(64, &["\"hal\"", "did you mean \"hall\""]);
    topup("hall", "five").complains(64, &["\"five\" is no amount"]);
    topup("hall", "0").complains(69, &["payment"]);
    assert_eq!(gateway.stop(), 0);
    house::verb(&["journal", "verify"], &config).well();
}
