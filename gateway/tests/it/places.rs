//! Where meters are, end to end: nodes as ESPresense publishes through the gateway's own broker, beacons that follow its
//! challenge, a meter that is carried off and brought back, and a gateway that is killed meanwhile.

use crate::house::{self, Room, Running};
use contracts::B256;
use contracts::location::beacon;
use drivers::MqttSpec;
use drivers::mqtt::Link;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Anchors around three homes.
const ANCHORS: [(f64, f64); 6] = [(12.0, 0.0), (6.0, 10.0), (-6.0, 10.0), (-12.0, 0.0), (-6.0, -10.0), (6.0, -10.0)];
const HOMES: [(f64, f64); 3] = [(0.0, 0.0), (2.0, 3.0), (-3.0, 1.0)];
const AT_ONE: f64 = -59.0;
const EXPONENT: f64 = 2.5;

/// What a home's beacon does.
#[derive(Clone, Copy, PartialEq)]
enum Does {
    Sends((f64, f64)),
    /// It knows the first challenge only.
    Replays((f64, f64)),
}

type Truth = Arc<Mutex<BTreeMap<usize, Does>>>;

fn secret(home: usize) -> [u8; 32] {
    [u8::try_from(home + 1).unwrap(); 32]
}

fn config(room: &Room, broker: &str) -> String {
    let port = house::free_port();
    let mut text = format!(
        "{}\n[broker]\nlisten = \"{broker}\"\n\n[location]\nepoch = \"2s\"\nfalse_holds = \"50%\"\nwindow = 4\nsamples = 3\n\
         hold = true\n\n[[radio]]\nid = \"nodes\"\nkind = \"espresense\"\nbroker = \"embedded\"\n\n\
         [[bus]]\nid = \"lan\"\nkind = \"modbus-tcp\"\naddress = \"127.0.0.1:{port}\"\nsimulate = true\n",
        house::SOUND
    );
    for (i, (x, y)) in ANCHORS.iter().enumerate() {
        write!(text, "\n[[anchor]]\nid = \"a{i}\"\nradio = \"nodes\"\nposition = [{x:?}, {y:?}]\n").unwrap();
    }
    for (i, (x, y)) in HOMES.iter().enumerate() {
        let key = room.write(&format!("home-{i}.beacon"), B256::from(secret(i)).to_string());
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        write!(
            text,
            "\n[[account]]\nid = \"home-{i}\"\n\n[[meter]]\nid = \"home-{i}\"\naccount = \"home-{i}\"\nbus = \"lan\"\n\
             unit = {}\nmodel = \"sim-home\"\nperiod = \"500ms\"\nposition = [{x:?}, {y:?}]\n\
             beacon = {{ secret = {key:?}, at_one_metre = {AT_ONE:?}, exponent = {EXPONENT:?}, spread = 2.5 }}\n",
            i + 1
        )
        .unwrap();
    }
    text
}

/// All nodes, for as long as the test lasts: each publishes what it hears, as soon as a challenge is known.
fn nodes(broker: &str, truth: Truth) {
    let broker = broker.to_owned();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let link = Link::connect(MqttSpec { broker, client_id: "nodes".into(), credentials: None }, None);
            let mut challenges = link.subscribe("microgrid/lane/location/challenge");
            let (mut first, mut now): (Option<B256>, Option<B256>) = (None, None);
            let mut rng = fastrand::Rng::with_seed(7);
            loop {
                while let Some(message) = challenges.try_recv() {
                    let said: Value = serde_json::from_slice(&message.payload).unwrap();
                    now = Some(said["challenge"].as_str().unwrap().parse().unwrap());
                    first = first.or(now);
                }
                let does = truth.lock().unwrap().clone();
                for (home, does) in does {
                    let (Some(first), Some(now)) = (first, now) else { continue };
                    let (seed, (x, y)) = match does {
                        Does::Sends(at) => (now, at),
                        Does::Replays(at) => (first, at),
                    };
                    let code: String = beacon(&secret(home), seed).iter().map(|b| format!("{b:02x}")).collect();
                    let uuid =
                        format!("{}-{}-{}-{}-{}", &code[..8], &code[8..12], &code[12..16], &code[16..20], &code[20..]);
                    for (i, (u, v)) in ANCHORS.iter().enumerate() {
                        let metres = (x - u).hypot(y - v);
                        let rssi = AT_ONE - 10.0 * EXPONENT * metres.log10() + rng.f64() - 0.5;
                        let topic = format!("espresense/devices/iBeacon:{uuid}-1-1/a{i}");
                        let payload = format!("{{\"rssi\":{rssi:.2},\"distance\":{metres:.2}}}");
                        // A broker that is away loses what a radio hears meanwhile.
                        let _ = link.try_publish(&topic, payload, false);
                    }
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
    });
}

fn places(gateway: &Running) -> Option<Value> {
    let places = house::state(gateway.listening("http"))["places"].clone();
    (!places.is_null()).then_some(places)
}

fn home(places: &Value, home: usize) -> Value {
    places["meters"].as_array().unwrap().get(home).cloned().unwrap_or_default()
}

#[track_caller]
fn until(gateway: &Running, what: &str, home_is: (usize, &str)) -> Value {
    house::eventually(what, || places(gateway).filter(|p| home(p, home_is.0)["state"] == home_is.1))
}

#[test]
fn a_meter_that_is_carried_off_is_held_through_a_kill_and_billed_again_when_it_is_back() {
    let room = Room::new();
    let broker = format!("127.0.0.1:{}", house::free_port());
    let config = room.config(&config(&room, &broker));
    let gateway = Running::gateway(&config);
    let truth: Truth = Arc::new(Mutex::new(HOMES.iter().enumerate().map(|(i, at)| (i, Does::Sends(*at))).collect()));
    nodes(&broker, Arc::clone(&truth));

    for i in 0..HOMES.len() {
        until(&gateway, "every meter is at its place", (i, "proved"));
    }
    let found = home(&places(&gateway).unwrap(), 1);
    assert!(found["metres_off"].as_f64().unwrap() < 3.0 && found["deviation"].is_number(), "{found}");
    assert_eq!(found["anchors"].as_array().unwrap().len(), ANCHORS.len(), "{found}");

    // One is carried off; another's beacon is a recording.
    truth.lock().unwrap().insert(1, Does::Sends((62.0, 3.0)));
    truth.lock().unwrap().insert(2, Does::Replays(HOMES[2]));
    until(&gateway, "it is held", (1, "held"));
    until(&gateway, "a recording proves nothing", (2, "unproved"));
    let street = house::state(gateway.listening("http"));
    let meter = &street["homes"][1]["meters"][0];
    assert!(meter["held"].as_str().unwrap().contains("not found at its place"), "{meter}");
    assert!(street["homes"][2]["meters"][0]["held"].is_null(), "nobody hears it, so it is left alone: {street}");
    let figures = house::get(gateway.listening("http"), "/metrics").body;
    assert!(figures.contains("microgrid_places{state=\"held\"} 1"), "{figures}");

    drop(gateway);
    let gateway = Running::gateway(&config);
    until(&gateway, "it is held after a kill as well", (1, "held"));
    truth.lock().unwrap().insert(1, Does::Sends(HOMES[1]));
    until(&gateway, "it is found again", (1, "proved"));
    house::eventually("it is billed again", || {
        house::state(gateway.listening("http"))["homes"][1]["meters"][0]["held"].is_null().then_some(())
    });
    assert_eq!(gateway.stop(), 0);
    house::verb(&["journal", "verify"], &config).well();
    let told = house::verb(&["journal", "tail"], &config);
    assert!(told.well().out.contains("home-1 is at its place again"), "{}", told.out);
}
