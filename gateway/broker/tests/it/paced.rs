//! Publishers that are faster than who listens to them.

use crate::client::{Client, called, message, pid};
use broker::{Limits, Rights, Settings, User, Users};
use rmqtt_codec::types::QoS;
use rmqtt_codec::v5::{Connect, Packet};
use std::net::SocketAddr;
use std::time::Duration;

/// One that holds little, so that it is soon full.
fn narrow(queue: usize, patience: Duration) -> Settings {
    let mut settings = Settings::new("127.0.0.1:0".parse().unwrap());
    settings.limits = Limits { rate: 0, queue, patience, ..Limits::default() };
    settings
}

/// This is how slow somebody is, and how often a figure is looked at; nothing is taken to have happened after it.
#[allow(clippy::disallowed_methods, reason = "a thread of its own")]
fn pause() {
    std::thread::sleep(Duration::from_millis(1));
}

const FOR_EVER: Duration = Duration::from_secs(3600);

/// Publishes numbers, the next when one is acknowledged and `window` are not.
fn publish_numbers(at: SocketAddr, topic: &str, qos: QoS, many: u16, window: u16) {
    let mut client = Client::connect(at, called(topic, false));
    let mut sent = 0;
    let mut done = 0;
    while done < many {
        while sent < many && sent < done + window {
            sent += 1;
            client.publish(message(topic, &sent.to_string(), qos, sent));
        }
        match client.next().expect("the broker closed") {
            Packet::PublishAck(_) | Packet::PublishComplete(_) => done += 1,
            Packet::PublishReceived(ack) => client.release(ack.packet_id),
            _ => {}
        }
    }
}

#[test]
fn a_slow_subscriber_gets_all_that_was_acknowledged_as_long_as_it_reads() {
    const MANY: u16 = 1000;
    for (lasting, qos) in [(false, QoS::AtLeastOnce), (true, QoS::AtLeastOnce), (false, QoS::ExactlyOnce)] {
        let broker = broker::start(narrow(32 << 10, FOR_EVER)).unwrap();
        let mut slow = Client::connect(broker.address, called("slow", lasting));
        slow.subscribe("#", QoS::AtLeastOnce);
        let at = broker.address;
        let topics = ["a", "b", "c", "d"];
        let publishers = topics.map(|topic| std::thread::spawn(move || publish_numbers(at, topic, qos, MANY, 50)));
        let mut last = [0; 4];
        for n in 0..4 * MANY {
            let heard = slow.message();
            let from = topics.iter().position(|topic| *topic == &*heard.topic).unwrap();
            last[from] += 1;
            assert_eq!(heard.payload, last[from].to_string().as_bytes(), "of {}", heard.topic);
            slow.acknowledge(heard.packet_id.unwrap());
            if n % 16 == 0 {
                pause();
            }
        }
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        assert_eq!((last, broker.figures().dropped), ([MANY; 4], 0));
    }
}

#[test]
fn one_who_stops_reading_stalls_who_publishes_to_it_no_longer_than_the_patience() {
    let broker = broker::start(narrow(128 << 10, Duration::from_secs(1))).unwrap();
    let mut dead = Client::connect(broker.address, called("dead", false));
    dead.subscribe("#", QoS::AtLeastOnce);
    let begun = std::time::Instant::now();
    // Were it once for each message that is too many, it would be a thousand seconds.
    publish_numbers(broker.address, "a", QoS::AtLeastOnce, 1000, 1);
    publish_numbers(broker.address, "b", QoS::AtLeastOnce, 1000, 1);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert!(broker.figures().dropped > 1500);
    // It pays by the oldest that are not on their way, and is waited for again when it reads.
    let heard = std::iter::from_fn(|| {
        let heard = dead.message();
        dead.acknowledge(heard.packet_id.unwrap());
        Some((heard.topic.to_string(), String::from_utf8(heard.payload.to_vec()).unwrap()))
    });
    let heard: Vec<_> = heard.take_while(|(topic, n)| (&**topic, &**n) != ("b", "1000")).collect();
    assert!(heard[..20].iter().zip(1..).all(|((topic, n), at)| topic == "a" && *n == at.to_string()), "{heard:?}");
    // Said once a second, when it is seen too that it reads again.
    while broker.figures().waiting > 0 {
        pause();
    }
    let dropped = broker.figures().dropped;
    let at = broker.address;
    let publisher = std::thread::spawn(move || publish_numbers(at, "c", QoS::AtLeastOnce, 1000, 50));
    for n in 1..=1000 {
        let heard = dead.message();
        assert_eq!(heard.payload, n.to_string().as_bytes());
        dead.acknowledge(heard.packet_id.unwrap());
    }
    publisher.join().unwrap();
    assert_eq!(broker.figures().dropped, dropped);
}

#[test]
fn only_who_publishes_to_a_slow_subscriber_waits_and_the_gateway_does_not() {
    let mut settings = narrow(32 << 10, FOR_EVER);
    let user = |name: &str| User { name: name.into(), password: "p".into(), rights: Rights::all() };
    settings.users = Users::new(vec![user("own"), user("other")]);
    let broker = broker::start(settings).unwrap();
    let by = |user: &'static str, client: &str| {
        let (username, password) = (Some(user.into()), Some("p".into()));
        Client::connect(broker.address, Connect { username, password, ..called(client, false) })
    };
    let mut slow = by("other", "slow");
    slow.subscribe("a", QoS::AtLeastOnce);
    let mut fast = by("other", "fast");
    (1..=100).for_each(|n| fast.publish(message("a", &n.to_string(), QoS::AtLeastOnce, n)));
    fast.send(Packet::PingRequest);
    let mut taken = 0;
    loop {
        match fast.next().unwrap() {
            Packet::PublishAck(_) => taken += 1,
            Packet::PingResponse => break,
            other => panic!("{other:?}"),
        }
    }
    assert!((10..100).contains(&taken), "{taken}");
    // Nobody else waits, nor does the gateway, to the same topic.
    for (user, topic) in [("other", "b"), ("own", "a")] {
        let mut speaker = by(user, user);
        for n in 1..=20 {
            speaker.publish(message(topic, "x", QoS::AtLeastOnce, n));
            assert!(matches!(speaker.next(), Some(Packet::PublishAck(_))));
        }
    }
    // What waits is neither lost nor overtaken, not even by a leave.
    fast.publish(message("a", "last", QoS::AtMostOnce, 0));
    fast.send(Packet::Disconnect(rmqtt_codec::v5::Disconnect::default()));
    let mut heard = Vec::new();
    while heard.last().is_none_or(|last| last != "last") {
        let next = slow.message();
        next.packet_id.into_iter().for_each(|id| slow.acknowledge(id));
        heard.push(String::from_utf8(next.payload.to_vec()).unwrap());
    }
    heard.retain(|text| text != "x" && text != "last");
    assert_eq!(heard, (1..=100).map(|n: u16| n.to_string()).collect::<Vec<_>>());
    assert_eq!(std::iter::from_fn(|| fast.next()).filter(|p| matches!(p, Packet::PublishAck(_))).count(), 100 - taken);
    assert_eq!(broker.figures().dropped, 0);
}

#[test]
fn who_hears_itself_is_never_stalled_by_itself() {
    let broker = broker::start(narrow(32 << 10, FOR_EVER)).unwrap();
    let mut echo = Client::connect(broker.address, called("echo", false));
    echo.subscribe("a", QoS::AtLeastOnce);
    (1..=50).for_each(|n| echo.publish(message("a", &n.to_string(), QoS::AtLeastOnce, n)));
    let (mut sent, mut heard, mut done) = (50, 0, 0);
    while (heard, done) != (1000, 1000) {
        match echo.next().unwrap() {
            Packet::Publish(publish) => {
                heard += 1;
                assert_eq!(publish.payload, heard.to_string().as_bytes());
                echo.acknowledge(publish.packet_id.unwrap());
            }
            Packet::PublishAck(_) => {
                done += 1;
                if sent < 1000 {
                    sent += 1;
                    echo.publish(message("a", &sent.to_string(), QoS::AtLeastOnce, sent));
                }
            }
            _ => {}
        }
    }
    assert_eq!(broker.figures().dropped, 0);
    // It overruns itself: its acknowledgements stand behind more than is read ahead.
    (1..=2000).for_each(|n| echo.publish(message("a", "again", QoS::AtLeastOnce, n)));
    while done < 3000 {
        match echo.next().unwrap() {
            Packet::PublishAck(_) => done += 1,
            Packet::Publish(publish) => echo.acknowledge(publish.packet_id.unwrap_or(pid(1))),
            _ => {}
        }
    }
}
