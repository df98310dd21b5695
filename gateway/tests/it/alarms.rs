//! What is wrong is told to the broker, retained, and taken back when it is over.

use crate::balance;
use crate::house::{self, Room, Running};
use domain::feeder::{Cause, Counted, Estimate, Irregularity};
use domain::{Fact, Permille, Timestamp, WattHours, Watts};
use drivers::MqttSpec;
use drivers::mqtt::Link;
use ledger::{Ledger, Write};
use serde_json::Value;

/// Who subscribes now, as a stranger to all that was said before.
pub fn heard(broker: &str, topic: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let client_id = format!("watcher-{}", fastrand::u64(..));
        let link = Link::connect(MqttSpec { broker: broker.into(), client_id, credentials: None }, None);
        let mut topic = link.subscribe(topic);
        let wait = async {
            loop {
                let message = topic.recv().await;
                let value = serde_json::from_slice(&message.payload).unwrap();
                if wanted(&value) {
                    return value;
                }
            }
        };
        tokio::time::timeout(house::PATIENCE, wait).await.expect("nothing of the kind was published")
    })
}

#[test]
fn a_chain_that_is_away_is_a_problem_on_mqtt_until_it_is_back() {
    let room = Room::new();
    let node = format!("127.0.0.1:{}", house::free_port());
    let broker = format!("127.0.0.1:{}", house::free_port());
    // The node is our own chain, served by itself from another folder under the same key.
    let served = room.write(
        "node.toml",
        house::SOUND
            .replace("rpc_listen = \"127.0.0.1:0\"", &format!("rpc_listen = \"{node}\"\nkey_file = \"settler.key\"")),
    );
    house::run(house::gateway(["key", "new"]).arg(room.path("settler.key"))).well();
    let away = house::SOUND
        .replace("state = \"state\"", "state = \"other\"")
        .replace("kind = \"embedded\"", "kind = \"rpc\"")
        .replace("rpc_listen = \"127.0.0.1:0\"", &format!("url = \"http://{node}\"\nkey_file = \"settler.key\""));
    let config = room.config(&format!("{away}\n[broker]\nlisten = \"{broker}\"\n"));
    let gateway = Running::gateway(&config);
    let problems = "microgrid/lane/problems";
    let said = heard(&broker, problems, |p| p["chain"].is_string());
    assert_eq!((&said["ledger"], &said["feeder"]), (&Value::Null, &Value::Null), "{said}");
    // Home Assistant learns of it, and what to look at.
    let device = heard(&broker, "homeassistant/device/microgrid_lane/config", |_| true);
    let chain = &device["components"]["chain"];
    assert_eq!((&chain["platform"], &chain["device_class"]), (&"binary_sensor".into(), &"problem".into()));
    assert_eq!((&chain["state_topic"], &device["components"]["feeder_balance"]), (&problems.into(), &Value::Null));
    assert!(chain["value_template"].as_str().unwrap().contains("value_json.chain"), "{chain}");
    // So does whoever waits for cheap hours.
    let prices = "microgrid/lane/tariff/state";
    let said = heard(&broker, prices, |p| p["price"].is_number());
    let hours = |day: &str| said[day].as_array().unwrap().iter().map(|s| s["hours"].clone()).collect::<Vec<_>>();
    assert_eq!(hours("tomorrow"), ["00:00-17:00", "17:00-22:00", "22:00-24:00"]);
    assert_eq!((&said["ranges"], &said["unit"], &said["problem"]), (&"fixed".into(), &"EUR/kWh".into(), &Value::Null));
    assert!([0.18, 0.32].contains(&said["price"].as_f64().unwrap()), "{said}");
    let price = &device["components"]["price"];
    assert_eq!((&price["state_topic"], &price["unit_of_measurement"]), (&prices.into(), &"EUR/kWh".into()));

    let mut command = house::gateway(["chain", "serve", "-c"]);
    let chain = Running::start("node", command.arg(&served));
    heard(&broker, problems, |p| p["chain"].is_null());
    assert_eq!(chain.stop(), 0);
    heard(&broker, problems, |p| p["chain"].is_string());
    assert_eq!(gateway.stop(), 0);
}

#[test]
fn theft_and_a_wrong_meter_are_alarms_on_mqtt_and_an_honest_meter_is_none() {
    let room = Room::new();
    let broker = format!("127.0.0.1:{}", house::free_port());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let now = i64::try_from(now).unwrap();
    let quarters = 500;
    let start = now - now % balance::QUARTER - quarters * balance::QUARTER;
    balance::record_from(&room, start, quarters, 75, 33);
    // It was told before the power went out; the first look after the start finds it again.
    let found = |cause, meter: Option<&str>| {
        let power = Estimate { best: Watts(300), low: Watts(280), high: Watts(320) };
        let counts = meter.map(|_| Estimate { best: Counted(333), low: Counted(320), high: Counted(340) });
        let meter = meter.map(|m| m.parse().unwrap());
        let (per_day, confidence, since) = (WattHours(7200), Permille::FULL, Timestamp(start));
        Write::Fact(Fact::ImbalanceFound {
            found: Irregularity { cause, meter, power, per_day, counts, confidence, since },
        })
    };
    let told = [found(Cause::TakeOff, None), found(Cause::OneThird, Some("home-1"))];
    Ledger::open(&room.path("state/ledger.db")).unwrap().commit(Timestamp(now), &told).unwrap();

    let gateway = Running::gateway(&balance::config_with(&room, &format!("\n[broker]\nlisten = \"{broker}\"\n")));
    let theft = heard(&broker, "microgrid/lane/balance", |b| b["problem"] == "ON");
    assert!(theft["text"].as_str().unwrap().contains("energy is taken that no meter counts"), "{theft}");
    assert!((280..=320).contains(&theft["found"][0]["power_w"].as_i64().unwrap()), "{theft}");
    let wrong = heard(&broker, "microgrid/lane/meter/home-1/balance", |b| b["problem"] == "ON");
    assert!(wrong["advice"].as_str().unwrap().contains("current transformer"), "{wrong}");
    let honest = heard(&broker, "microgrid/lane/meter/home-2/balance", |_| true);
    assert_eq!((&honest["problem"], &honest["text"]), (&"OFF".into(), &"".into()), "{honest}");
    let all = heard(&broker, "microgrid/lane/problems", |p| p["feeder"].is_string());
    assert!(all["feeder"].as_str().unwrap().contains("home-1: the meter counts a third"), "{all}");
    let device = heard(&broker, "homeassistant/device/microgrid_lane_home-1/config", |_| true);
    let balance = &device["components"]["feeder_balance"];
    assert_eq!(
        (&balance["device_class"], &balance["state_topic"]),
        (&"problem".into(), &"microgrid/lane/meter/home-1/balance".into())
    );
    assert_eq!(gateway.stop(), 0);
}
