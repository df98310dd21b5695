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
    assert!(made.out.contains("the embedded chain up to block"), "{}", made.out);
    assert!(made.err.contains("No key is in it") && made.err.contains("keys/settler.key"), "{}", made.err);
    house::verb(&["journal", "backup", copied], &config).complains(64, &["is there already; name another file"]);
    house::verb(&["journal", "restore", copied, "--force", "--by", "ada"], &config)
        .complains(69, &["another gateway runs"]);
    let verified: Value =
        serde_json::from_str(&house::verb(&["journal", "verify", copied], &config).well().out).unwrap();
    assert_eq!(verified["findings"], serde_json::json!([]));
    let then = batches();
    eventually("the chain goes further", || (batches() > then + 2).then_some(()));
    assert_eq!(gateway.stop(), 0);

    house::verb(&["journal", "restore", copied, "--by", "ada"], &config)
        .complains(64, &["ledger.db is there", "--force"]);
    let restored = house::verb(&["journal", "restore", copied, "--force", "--by", "ada"], &config);
    for part in ["add up", "is now", "blocks more than the copy, and stays", "its newest fact", "must be entered again"]
    {
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
    let told = house::verb(&["journal", "tail", "-n", "1000"], &config);
    assert!(told.well().out.contains(&format!("ada put the ledger back from {copied}")), "{}", told.out);
}

#[test]
fn a_gateway_that_died_is_replaced_from_its_backup_and_its_key() {
    let room = Room::new();
    let port = house::free_port().to_string();
    let text = format!("{}{}", house::SOUND, HALL.replace("METERS", &port));
    let often = "rpc_listen = \"127.0.0.1:0\"\nsettle_every = \"1s\"\n";
    let config = room.config(&text.replace("rpc_listen = \"127.0.0.1:0\"\n", often));
    let copy = room.path("copy.db");
    let copied = copy.to_str().unwrap();
    let gateway = Running::gateway(&config);
    let page = gateway.listening("http");
    let batches = |page| house::state(page)["ledger"]["settled_batches"].as_i64().unwrap();
    eventually("batches are settled", || (batches(page) >= 2).then_some(()));
    house::verb(&["journal", "backup", copied], &config).well();
    assert_eq!(gateway.stop(), 0);
    let then = {
        let lost = room.path("lost");
        std::fs::rename(room.path("state"), &lost).unwrap();
        lost
    };
    // Meters count on, whatever becomes of the gateway.
    let meters = std::fs::read(then.join("simulated-street.json")).unwrap();
    std::fs::create_dir(room.path("state")).unwrap();
    std::fs::write(room.path("state/simulated-street.json"), meters).unwrap();

    // Without the chain's copy a ledger alone would begin another chain, and without the key the chain does not open.
    let chain = room.path("copy.db.chain");
    std::fs::rename(&chain, room.path("elsewhere")).unwrap();
    house::verb(&["journal", "restore", copied, "--by", "ada"], &config).complains(64, &["copy.db.chain is not there"]);
    assert!(!room.path("state/ledger.db").exists());
    std::fs::rename(room.path("elsewhere"), &chain).unwrap();
    let restored = house::verb(&["journal", "restore", copied, "--by", "ada"], &config);
    for part in ["the embedded chain is in place, up to block", "put", "settler.key back before the next start"] {
        assert!(restored.well().out.contains(part), "{part:?} is not in {}", restored.out);
    }
    std::fs::create_dir_all(room.path("state/keys")).unwrap();
    std::fs::copy(then.join("keys/settler.key"), room.path("state/keys/settler.key")).unwrap();
    std::fs::copy(then.join("access.json"), room.path("state/access.json")).unwrap();

    let gateway = Running::gateway(&config);
    let page = gateway.listening("http");
    let before = batches(page);
    eventually("settlement goes on", || {
        (batches(page) > before + 1 && house::state(page)["chain"]["problem"].is_null()).then_some(())
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
    house::verb(&["journal", "restore", junk, "--by", "ada"], &config).complains(65, &["junk", "damaged"]);
    house::verb(&["journal", "restore", "/no/such/file", "--by", "ada"], &config).complains(69, &["/no/such/file"]);
    house::verb(&["journal", "verify", junk], &config).complains(65, &["junk", "damaged"]);
    assert!(!room.path("state/ledger.db").exists());
}
