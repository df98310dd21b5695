//! Who is near, and how loud.

use crate::bench::PATIENCE;
use crate::brokers;
use domain::Dbm;
use drivers::mqtt::Link;
use drivers::radio::{Bridge, Line, Node};
use drivers::{DeviceError, Heard, Radio};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

fn said(sender: &str, dbm: f64) -> Heard {
    Heard { sender: sender.into(), rssi: Dbm::finite(dbm).unwrap() }
}

async fn next(radio: &dyn Radio) -> Result<Heard, DeviceError> {
    timeout(PATIENCE, radio.heard()).await.unwrap()
}

#[tokio::test]
async fn a_node_is_heard_over_a_broker_and_what_is_not_its_own_or_of_today_is_not() {
    let speaker = Link::connect(brokers::spec("radio-speaker"), None);
    let beacon = "iBeacon:426c7565-4368-6172-6d42-6561636f6e73-3838-4949";
    speaker.deliver(&format!("espresense/devices/{beacon}/office"), r#"{"rssi":-10}"#, true).await.unwrap();
    let link = Link::connect(brokers::spec("radio"), None);
    let node = Node::listen(&link, "office").unwrap();
    node.ready().await;
    let topic = format!("espresense/devices/{beacon}/");
    let payload = r#"{"mac":"dd8800003777","rssi@1m":-59,"rssi":-81.10,"distance":6.58,"int":2028}"#;
    for (room, payload) in [("hall", payload), ("office", payload), ("office", "?"), ("office", r#"{"rssi":-7}"#)] {
        speaker.publish(&format!("{topic}{room}"), payload, false).await.unwrap();
    }
    assert_eq!(next(&node).await, Ok(said(beacon, -81.1)));
    let nonsense = next(&node).await.unwrap_err();
    assert!(!nonsense.is_transient() && nonsense.to_string().contains("/office"), "{nonsense}");
    assert_eq!(next(&node).await, Ok(said(beacon, -7.0)));
    for name in ["", "a/b", "+", "#"] {
        assert!(Node::listen(&link, name).is_err(), "{name}");
    }
}

#[test]
fn a_payload_without_a_loudness_that_can_be_is_nonsense() {
    let topic = "espresense/devices/a/b";
    for payload in ["", "[]", "{}", r#"{"rssi":"-5"}"#, r#"{"rssi":null}"#, r#"{"rssi":-151}"#, r#"{"rssi":1e999}"#] {
        assert!(drivers::radio::heard(topic, payload.as_bytes()).is_err(), "{payload}");
    }
    for topic in ["espresense/devices/a", "espresense/devices//b", "espresense/devices/a/b/c", "espresense/rooms/a/b"] {
        assert!(drivers::radio::heard(topic, br#"{"rssi":-5}"#).is_err(), "{topic}");
    }
}

#[tokio::test]
async fn a_bridge_is_heard_however_its_bytes_are_cut_and_what_is_lost_is_counted() {
    let (mut wire, port) = tokio::io::duplex(7);
    let bridge = Bridge::over(port);
    let line = |number, dbm| Line { number, heard: said("5f3a", dbm) };
    let talk = tokio::spawn(async move {
        for said in [line(65_534, -50.0), line(65_535, -51.25), line(2, -52.0)] {
            wire.write_all(format!("{said}\r\n").as_bytes()).await.unwrap();
        }
        wire.write_all(b"H 3 torn\n").await.unwrap();
        wire.write_all(format!("{}\n", line(4, -53.0)).as_bytes()).await.unwrap();
    });
    for dbm in [-50.0, -51.25, -52.0] {
        assert_eq!(next(&bridge).await, Ok(said("5f3a", dbm)));
    }
    assert_eq!(bridge.lost().await, 2);
    assert!(!next(&bridge).await.unwrap_err().is_transient());
    assert_eq!(next(&bridge).await, Ok(said("5f3a", -53.0)));
    assert_eq!(bridge.lost().await, 3, "the torn one too");
    talk.await.unwrap();
    assert!(next(&bridge).await.unwrap_err().is_transient(), "the port was closed");
}

#[tokio::test]
async fn a_port_that_is_not_there_says_which() {
    let error = Bridge::at("/dev/no-such-port").heard().await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("/dev/no-such-port"), "{error}");
}
