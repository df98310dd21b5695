//! Who has power: what the operator orders, and what the customer asks for, through the real gateway.

use crate::house::{self, Ended, Room, Running, eventually};
use drivers::MqttSpec;
use drivers::mqtt::Link;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

const LANE: &str = r#"
[enforce]
reconnect = "ready"
min_on = "1s"
min_off = "1s"

[broker]
listen = "127.0.0.1:BROKER"
customer_commands = true

[notify]
webhook = "http://127.0.0.1:HOOK/credit"

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
protected = true

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

[[switch]]
id = "hall"
account = "hall"
bus = "lan"
unit = 2
model = "sim-home"
on_silence = "hold"

[[switch]]
id = "barn"
account = "barn"
bus = "lan"
unit = 3
model = "sim-home"
on_silence = "hold"
"#;

struct Lane {
    config: PathBuf,
    broker: String,
    hook: u16,
    _room: Room,
}

fn lane() -> Lane {
    let room = Room::new();
    let [meters, broker, hook, rpc] = std::array::from_fn(|_| house::free_port());
    let mut text = LANE.to_owned();
    for (name, port) in [("METERS", meters), ("BROKER", broker), ("HOOK", hook)] {
        text = text.replace(name, &port.to_string());
    }
    let rpc = format!("rpc_listen = \"127.0.0.1:{rpc}\"\n");
    let config = room.config(&format!("{}{text}", house::SOUND.replace("rpc_listen = \"127.0.0.1:0\"\n", &rpc)));
    Lane { config, broker: format!("127.0.0.1:{broker}"), hook, _room: room }
}

fn say(config: &Path, words: &[&str]) -> Ended {
    house::run(house::gateway(words).arg("-c").arg(config))
}

fn home(page: SocketAddr, account: &str) -> Value {
    let state = house::state(page);
    let homes = state["homes"].as_array().unwrap();
    homes.iter().find(|h| h["account"] == account).unwrap().clone()
}

fn until_position(page: SocketAddr, account: &str, position: &str) -> Value {
    let is = || Some(home(page, account)["switches"][0].clone()).filter(|s| s["position"] == position);
    eventually(&format!("switch {account} is {position}"), is)
}

/// The next post, which is taken.
fn posted(hook: &TcpListener) -> Value {
    hook.set_nonblocking(true).unwrap();
    let (mut stream, _) = eventually("a post", || hook.accept().ok());
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(house::PATIENCE)).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut length = 0;
    for line in reader.by_ref().lines().map(|line| line.unwrap().to_ascii_lowercase()) {
        if line.is_empty() {
            break;
        }
        length = line.strip_prefix("content-length:").map_or(length, |n| n.trim().parse().unwrap());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    write!(stream, "HTTP/1.1 204 Taken\r\nconnection: close\r\n\r\n").unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[test]
fn an_operators_order_is_followed_at_once_outlasts_a_power_cut_and_spares_the_protected() {
    let lane = lane();
    let open = ["switch", "hall", "open", "--for", "2h", "--by", "Ana", "--why", "works"];
    say(&lane.config, &open).complains(69, &["there is no ledger yet"]);
    let gateway = Running::gateway(&lane.config);
    let page = gateway.listening("http");
    until_position(page, "hall", "closed");
    say(&lane.config, &["switch", "hall", "open", "--by", " "]).complains(64, &["--by", "--why", "--for"]);
    say(&lane.config, &["switch", "hal", "open", "--by", "Ana"]).complains(64, &["did you mean \"hall\""]);
    let protected = ["switch", "barn", "open", "--for", "2h", "--by", "Ana", "--why", "works"];
    say(&lane.config, &protected).complains(64, &["protected", "--safety"]);
    say(&lane.config, &["emergency", "hall", "--by", "Ana"]).complains(1, &["no emergency credit is offered"]);

    say(&lane.config, &open).well();
    let switch = until_position(page, "hall", "open");
    assert_eq!((&switch["ordered"]["by"], &switch["ordered"]["why"]), (&"Ana".into(), &"works".into()), "{switch}");
    assert_eq!(switch["reason"], "the operator asked for it");

    // Killed, as by a power cut.
    drop(gateway);
    let gateway = Running::gateway(&lane.config);
    let page = gateway.listening("http");
    until_position(page, "hall", "open");
    let orders = |ended: &Ended| ended.out.matches("was ordered to").count();
    let tail = || say(&lane.config, &["journal", "tail", "-n", "100"]);
    assert_eq!(orders(tail().well()), 1, "{}", tail().out);

    // A fire brigade opens anybody's, and nobody closes it by mistake.
    say(&lane.config, &["switch", "barn", "open", "--safety", "--by", "Bo", "--why", "fire"]).well();
    assert_eq!(until_position(page, "barn", "open")["reason"], "it is kept without power for safety");
    let closed = ["switch", "barn", "closed", "--for", "1h", "--by", "Ana", "--why", "dark"];
    say(&lane.config, &closed).complains(1, &["kept open for safety by Bo", "auto"]);
    for switch in ["hall", "barn"] {
        say(&lane.config, &["switch", switch, "auto", "--by", "Ana"]).well();
        until_position(page, switch, "closed");
    }
    assert_eq!(gateway.stop(), 0);
    house::verb(&["journal", "verify"], &lane.config).well();
}

#[test]
fn a_customer_whose_switch_is_ready_closes_it_by_mqtt() {
    let lane = lane();
    let gateway = Running::gateway(&lane.config);
    let page = gateway.listening("http");
    let pay = |amount: &str| {
        let paid = || (say(&lane.config, &["topup", "hall", amount]).code == 0).then_some(());
        eventually("a deposit is taken", paid);
    };
    pay("0.0001");
    until_position(page, "hall", "open");
    assert_eq!(home(page, "hall")["stage"], "exhausted");
    // Nobody listened to the web hook so far, and the power goes out.
    drop(gateway);
    let hook = TcpListener::bind(("127.0.0.1", lane.hook)).unwrap();
    let gateway = Running::gateway(&lane.config);
    let page = gateway.listening("http");
    let told = posted(&hook);
    assert_eq!(
        (&told["event"], &told["account"], &told["site"]),
        (&"credit_changed".into(), &"hall".into(), &"lane".into())
    );
    assert!(told["stage"] != "good" && told["id"].as_i64() > Some(0), "{told}");
    drop(hook);
    pay("50.00");
    let state = |wanted: &str| {
        let is = || (home(page, "hall")["switches"][0]["state"] == wanted).then_some(());
        eventually(&format!("the switch is {wanted}"), is);
    };
    state("ready_for_reconnection");
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let spec = MqttSpec { broker: lane.broker.clone(), client_id: "customer".into(), credentials: None };
        let link = Link::connect(spec, None);
        link.deliver("microgrid/lane/account/hall/reconnect", "Ana", false).await.unwrap();
    });
    state("connected");
    let told = say(&lane.config, &["journal", "tail", "-n", "100"]);
    assert!(told.out.contains("switch hall may close: Ana by MQTT asked for it"), "{}", told.out);
    assert!(told.out.contains("was ordered to closed: the customer asked for it"), "{}", told.out);
    assert_eq!(gateway.stop(), 0);
}
