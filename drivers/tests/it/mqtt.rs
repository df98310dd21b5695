//! The link to the broker.

use crate::bench::{Bench, PATIENCE, clock, meter_id, samples, switch_id, template};
use crate::brokers::{self, Wire};
use domain::Position;
use drivers::mqtt::{Link, PublishError, Subscription, Will};
use drivers::simulator::{SimDevice, serve_mqtt};
use drivers::{Bus, BusKind, BusSpec, DeviceAddress, DeviceError};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::timeout;

async fn next(subscription: &mut Subscription) -> String {
    String::from_utf8(timeout(PATIENCE, subscription.recv()).await.unwrap().payload).unwrap()
}

async fn until(link: &Link, up: bool) {
    timeout(PATIENCE, link.connected().wait_for(|now| *now == up)).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_is_published_while_the_broker_is_away_arrives_in_order_when_it_is_back() {
    let wire = Wire::new().await;
    let listener = Link::connect(brokers::spec("outage-listener"), None);
    let mut heard = listener.subscribe("outage/#");
    heard.ready().await;
    let link = Link::connect(wire.spec("outage"), None);
    link.deliver("outage/a", "0", false).await.unwrap();
    wire.cut();
    until(&link, false).await;
    for i in 1..=200 {
        link.publish("outage/a", i.to_string(), false).await.unwrap();
    }
    assert_eq!(link.backlog(), 200);
    wire.mend();
    for i in 0..=200 {
        assert_eq!(next(&mut heard).await, i.to_string());
        // The broker sends as fast as it can; this test must not be the slow subscriber.
        assert_eq!(heard.dropped(), 0);
    }
    assert_eq!(timeout(PATIENCE, link.close(PATIENCE)).await.unwrap(), 0);
}

#[tokio::test]
async fn an_inbox_has_the_size_that_its_subscriber_asks_for() {
    let link = Link::connect(brokers::spec("burst-reader"), None);
    let (mut few, mut all) = (link.subscribe("burst/+"), link.subscribe_with("burst/+", 4096));
    few.ready().await;
    all.ready().await;
    let speaker = Link::connect(brokers::spec("burst-speaker"), None);
    for i in 0..200 {
        speaker.deliver(&format!("burst/{i}"), "here", false).await.unwrap();
    }
    let mut topics = BTreeSet::new();
    while topics.len() < 200 {
        topics.insert(timeout(PATIENCE, all.recv()).await.unwrap().topic);
    }
    assert_eq!(all.dropped(), 0);
    assert!(few.dropped() > 0, "nobody read it, and it is told");
}

#[tokio::test]
async fn a_subscription_outlives_a_broken_connection() {
    let wire = Wire::new().await;
    let link = Link::connect(wire.spec("resubscribe"), None);
    let mut heard = link.subscribe("resubscribe/+");
    heard.ready().await;
    wire.cut();
    until(&link, false).await;
    wire.mend();
    until(&link, true).await;
    heard.ready().await;
    let other = Link::connect(brokers::spec("resubscribe-speaker"), None);
    other.publish("resubscribe/x", "hello", false).await.unwrap();
    assert_eq!(next(&mut heard).await, "hello");
}

#[tokio::test]
async fn what_a_meter_says_between_the_making_of_its_bus_and_its_first_reading_is_read() {
    let kind = BusKind::Mqtt(brokers::spec("early-gateway"));
    let bus = Bus::open(BusSpec::new("early".parse().unwrap(), kind), clock()).unwrap();
    let topic = DeviceAddress::Topic("early/meter".into());
    let meter = bus.meter(meter_id(), template("generic-json"), topic).unwrap();
    timeout(PATIENCE, bus.listens()).await.unwrap();
    let speaker = Link::connect(brokers::spec("early-speaker"), None);
    speaker.deliver("early/meter/reading", r#"{"import_wh": 41}"#, false).await.unwrap();
    let reading = timeout(PATIENCE, meter.read()).await.unwrap().unwrap();
    assert_eq!(reading.import, Some(domain::WattHours(41)));
}

#[tokio::test]
async fn the_last_will_is_published_when_the_link_dies_and_not_when_it_takes_leave() {
    let listener = Link::connect(brokers::spec("will-listener"), None);
    let mut heard = listener.subscribe("will/#");
    heard.ready().await;
    let will = |n: u8| Will { topic: format!("will/{n}"), payload: b"offline".to_vec(), retain: false };
    let polite = Link::connect(brokers::spec("will-polite"), Some(will(1)));
    polite.deliver("will/1", "online", false).await.unwrap();
    polite.close(PATIENCE).await;
    drop(polite);
    let rude = Link::connect(brokers::spec("will-rude"), Some(will(2)));
    rude.deliver("will/2", "online", false).await.unwrap();
    drop(rude);
    assert_eq!(
        [next(&mut heard).await, next(&mut heard).await, next(&mut heard).await],
        ["online", "online", "offline"]
    );
    assert_eq!(heard.try_recv(), None);
}

#[tokio::test]
async fn a_full_queue_refuses_and_says_so() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let spec = drivers::MqttSpec { broker: nobody.to_string(), client_id: "full".into(), credentials: None };
    let link = Link::connect(spec, None);
    let refusals = (0..2000).filter(|i| link.try_publish("t", i.to_string(), false) == Err(PublishError::Full)).count();
    assert_eq!(refusals, 2000 - link.backlog());
    assert!(refusals > 0);
    assert!(matches!(link.try_publish("a/#", "x", false), Err(PublishError::Impossible(_))));
}

#[tokio::test]
async fn an_order_to_a_switch_is_refused_while_the_broker_is_away_and_never_arrives_later() {
    let wire = Wire::new().await;
    let topic = DeviceAddress::Topic("order/home".into());
    let bench = Bench::new(samples()[0].clone());
    let device = SimDevice::new(topic.clone(), template("generic-json"), bench.clone());
    let _running = serve_mqtt(brokers::spec("order-sim"), vec![device], Duration::from_millis(50), &clock()).unwrap();
    let kind = BusKind::Mqtt(wire.spec("order-gateway"));
    let bus = Bus::open(BusSpec::new("mqtt".parse().unwrap(), kind), clock()).unwrap();
    let switch = bus.switch(switch_id(), template("generic-json"), topic.clone()).unwrap();
    let meter = bus.meter(meter_id(), template("generic-json"), topic).unwrap();
    assert_eq!(switch.position().await, Ok(Position::Closed));
    assert!(timeout(PATIENCE, meter.read()).await.unwrap().is_ok());
    wire.cut();
    let refused = loop {
        match switch.set(Position::Closed).await {
            Ok(()) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, DeviceError::Wire { .. } | DeviceError::Silent { .. }), "{refused}");
    assert!(matches!(switch.set(Position::Open).await, Err(DeviceError::Wire { .. })));
    wire.mend();
    timeout(PATIENCE, bus.try_connect()).await.unwrap().unwrap();
    // Whatever had been queued would arrive before the answer to this question.
    assert_eq!(switch.position().await, Ok(Position::Closed));
    switch.set(Position::Open).await.unwrap();
    assert_eq!(switch.position().await, Ok(Position::Open));
}
