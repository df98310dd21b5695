//! The ledger is copied beside a running gateway, put back, and never by mistake.

use crate::house::{self, Room, Running, eventually};
use serde_json::Value;

const HALL: &str = r#"
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
fn a_backup_of_a_running_gateway_is_put_back_and_the_chain_has_everything_once() {
    let room = Room::new();
    let text = format!("{}{}", house::SOUND, HALL.replace("METERS", &house::free_port().to_string()));
    let often = "rpc_listen = \"127.0.0.1:0\"\nsettle_every = \"1s\"\n";
    let config = room.config(&text.replace("rpc_listen = \"127.0.0.1:0\"\n", often));
    let copy = room.path("copy.db");
    let copied = copy.to_str().unwrap();
    house::verb(&["journal", "backup", copied], &config).complains(69, &["there is no ledger yet"]);

    let gateway = Running::gateway(&config);
    let page = gateway.listening("http");
    let batches = || house::state(page)["ledger"]["settled_batches"].as_i64().unwrap();
    eventually("batches are settled", || (batches() >= 2).then_some(()));
    let made = house::verb(&["journal", "backup", copied], &config);
    assert!(made.well().out.contains("everything up to record"), "{}", made.out);
    house::verb(&["journal", "backup", copied], &config).complains(64, &["is there already; name another file"]);
    house::verb(&["journal", "restore", copied, "--force"], &config).complains(69, &["another gateway runs"]);
    let verified: Value =
        serde_json::from_str(&house::verb(&["journal", "verify", copied], &config).well().out).unwrap();
    assert_eq!(verified["findings"], serde_json::json!([]));
    let then = batches();
    eventually("the chain goes further", || (batches() > then + 2).then_some(()));
    assert_eq!(gateway.stop(), 0);

    house::verb(&["journal", "restore", copied], &config).complains(64, &["ledger.db is there", "--force"]);
    let restored = house::verb(&["journal", "restore", copied, "--force"], &config);
    for part in ["add up", "is now", "its newest fact", "must be entered again"] {
        assert!(restored.well().out.contains(part), "{part:?} is not in {}", restored.out);
    }
    let gateway = Running::gateway(&config);
    let page = gateway.listening("http");
    gateway.line("that the chain has gone further", |line| {
        line.contains("going on from what the chain says").then_some(())
    });
    let state = || house::state(page);
    eventually("settlement goes on", || {
        let now = state();
        (now["ledger"]["settled_batches"].as_i64()? > then + 1 && now["chain"]["problem"].is_null()).then_some(())
    });
    assert_eq!(gateway.stop(), 0);
    house::verb(&["journal", "verify"], &config).well();
}

#[test]
fn what_is_no_sound_backup_is_not_put_in_place() {
    let room = Room::new();
    let config = room.config(house::SOUND);
    let junk = room.write("junk", vec![7; 9_000]);
    let junk = junk.to_str().unwrap();
    house::verb(&["journal", "restore", junk], &config).complains(65, &["junk", "damaged"]);
    house::verb(&["journal", "restore", "/no/such/file"], &config).complains(69, &["/no/such/file"]);
    house::verb(&["journal", "verify", junk], &config).complains(65, &["junk", "damaged"]);
    assert!(!room.path("state/ledger.db").exists());
}
