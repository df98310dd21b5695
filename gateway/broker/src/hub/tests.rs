use super::*;
use crate::outbox::Next;
use crate::record::Record;
use proptest::prelude::*;
use rmqtt_codec::v5::{PublishAckReason, Subscribe, SubscriptionOptions};

const NOW: u64 = 1_800_000_000_000;

fn hub() -> Hub {
    Hub::new(Limits::default(), Users::new(Vec::new()), None)
}

/// A hub as it is after a power cut: all that was noted, and nothing else.
fn after_a_cut(hub: &Hub) -> Hub {
    let mut again = self::hub();
    hub.records().into_iter().for_each(|record| again.replay(record));
    again.wake(NOW);
    again
}

fn pid(pid: u16) -> NonZeroU16 {
    NonZeroU16::new(pid).unwrap()
}

struct Client {
    outbox: Rc<Outbox>,
    place: Place,
}

impl Client {
    fn connect(hub: &mut Hub, name: &str, expiry: u32, clean: bool) -> Self {
        Self::with(
            hub,
            Connect {
                client_id: name.into(),
                session_expiry_interval_secs: expiry,
                clean_start: clean,
                ..Connect::default()
            },
        )
    }

    fn with(hub: &mut Hub, connect: Connect) -> Self {
        let outbox = Rc::new(Outbox::default());
        let admitted = hub.admit(&connect).unwrap();
        let place = hub.connect(NOW, admitted, connect, Rc::clone(&outbox)).unwrap();
        Self { outbox, place }
    }

    fn subscribe(&self, hub: &mut Hub, filter: &str, qos: QoS) {
        let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
        let topic_filters = vec![(filter.into(), options)];
        let asked = Subscribe { packet_id: pid(9), id: None, user_properties: Vec::new(), topic_filters };
        hub.subscribe(NOW, self.place, asked).unwrap();
    }

    fn publish(&self, hub: &mut Hub, topic: &str, payload: &str, qos: QoS, retain: bool) {
        self.publish_as(hub, topic, payload, qos, retain, 7);
    }

    fn publish_as(&self, hub: &mut Hub, topic: &str, payload: &str, qos: QoS, retain: bool, id: u16) {
        let packet_id = (qos != QoS::AtMostOnce).then_some(pid(id));
        let payload = payload.to_owned().into();
        let publish = Publish { dup: false, retain, qos, topic: topic.into(), packet_id, payload, properties: None };
        hub.publish(NOW, self.place, publish).unwrap();
    }

    fn all(&self) -> Vec<Packet> {
        std::iter::from_fn(|| match self.outbox.take(|_| true) {
            Next::Packet(packet) => Some(packet),
            _ => None,
        })
        .collect()
    }

    /// Payloads that came, with whether they are said to be repeated.
    fn heard(&self) -> Vec<(String, bool)> {
        let text = |p: &Publish| String::from_utf8(p.payload.to_vec()).unwrap();
        self.all()
            .iter()
            .filter_map(|p| if let Packet::Publish(p) = p { Some((text(p), p.dup)) } else { None })
            .collect()
    }
}

const DAY: u32 = 86_400;

#[test]
fn a_session_keeps_its_messages_while_its_client_is_away() {
    let mut hub = hub();
    let away = Client::connect(&mut hub, "away", DAY, true);
    away.subscribe(&mut hub, "a/#", QoS::AtLeastOnce);
    hub.leave(NOW, away.place, Leave::Lost);
    let speaker = Client::connect(&mut hub, "speaker", 0, true);
    for n in 0..5 {
        speaker.publish(&mut hub, "a/b", &n.to_string(), QoS::ExactlyOnce, false);
        hub.completed(speaker.place, pid(7));
    }
    let mut hub = after_a_cut(&hub);
    let back = Client::connect(&mut hub, "away", DAY, false);
    assert_eq!(back.heard(), ["0", "1", "2", "3", "4"].map(|n| (n.to_owned(), false)));
    // Two are acknowledged, the others may have arrived: they are repeated, and said to be.
    hub.acknowledged(NOW, back.place, pid(1));
    hub.acknowledged(NOW, back.place, pid(3));
    let mut hub = after_a_cut(&hub);
    let back = Client::connect(&mut hub, "away", DAY, false);
    assert_eq!(back.heard(), ["1", "3", "4"].map(|n| (n.to_owned(), true)));
}

#[test]
fn a_session_that_is_begun_anew_forgets() {
    let mut hub = hub();
    let away = Client::connect(&mut hub, "away", DAY, true);
    away.subscribe(&mut hub, "a", QoS::AtLeastOnce);
    hub.leave(NOW, away.place, Leave::Lost);
    Client::connect(&mut hub, "speaker", 0, true).publish(&mut hub, "a", "x", QoS::AtLeastOnce, false);
    let back = Client::connect(&mut hub, "away", DAY, true);
    assert_eq!(back.heard(), []);
    assert_eq!(hub.queued_bytes.all(), 0);
}

#[test]
fn a_second_connection_throws_out_the_first() {
    let mut hub = hub();
    let first = Client::connect(&mut hub, "twin", DAY, true);
    first.subscribe(&mut hub, "a", QoS::AtMostOnce);
    first.all();
    let second = Client::connect(&mut hub, "twin", DAY, false);
    assert!(
        matches!(&first.all()[..], [Packet::Disconnect(d)] if d.reason_code == DisconnectReasonCode::SessionTakenOver)
    );
    assert!(first.outbox.is_closed());
    // What the first still says counts for nothing, and its end does not end the second.
    first.publish(&mut hub, "a", "late", QoS::AtMostOnce, false);
    hub.leave(NOW, first.place, Leave::Lost);
    Client::connect(&mut hub, "speaker", 0, true).publish(&mut hub, "a", "x", QoS::AtMostOnce, false);
    assert_eq!(second.heard(), [("x".to_owned(), false)]);
}

#[test]
fn the_same_client_id_of_another_user_is_another_session() {
    let user = |name: &str| crate::User { name: name.into(), password: "p".into(), rights: Rights::all() };
    let mut hub = Hub::new(Limits::default(), Users::new(vec![user("a"), user("b")]), None);
    let connect = |name: &'static str| Connect {
        client_id: "same".into(),
        username: Some(name.into()),
        password: Some("p".into()),
        session_expiry_interval_secs: DAY,
        ..Connect::default()
    };
    let a = Client::with(&mut hub, connect("a"));
    a.subscribe(&mut hub, "secret", QoS::AtLeastOnce);
    let b = Client::with(&mut hub, connect("b"));
    assert!(!a.outbox.is_closed());
    b.publish(&mut hub, "secret", "x", QoS::AtMostOnce, false);
    assert_eq!(b.heard(), []);
    assert_eq!(a.heard().len(), 1);
}

#[test]
fn what_is_retained_outlives_a_cut_and_an_empty_message_ends_it() {
    let mut hub = hub();
    let speaker = Client::connect(&mut hub, "speaker", 0, true);
    speaker.publish(&mut hub, "a/1", "one", QoS::AtLeastOnce, true);
    speaker.publish(&mut hub, "a/2", "two", QoS::AtMostOnce, true);
    speaker.publish(&mut hub, "a/1", "", QoS::AtMostOnce, true);
    speaker.publish(&mut hub, "b", "three", QoS::AtMostOnce, true);
    let mut hub = after_a_cut(&hub);
    let reader = Client::connect(&mut hub, "reader", 0, true);
    reader.subscribe(&mut hub, "a/#", QoS::AtLeastOnce);
    let heard = reader.all();
    let retained: Vec<&Publish> =
        heard.iter().filter_map(|p| if let Packet::Publish(p) = p { Some(&**p) } else { None }).collect();
    assert!(matches!(&retained[..], [p] if p.retain && &*p.topic == "a/2" && &p.payload[..] == b"two"));
    assert_eq!(hub.retained_bytes.all(), hub.retained.values().map(|r| r.message.size).sum::<usize>());
}

#[test]
fn a_message_by_qos_2_that_is_said_again_is_delivered_once_across_a_cut() {
    let mut hub = hub();
    let reader = Client::connect(&mut hub, "reader", DAY, true);
    reader.subscribe(&mut hub, "a", QoS::AtLeastOnce);
    let speaker = Client::connect(&mut hub, "speaker", DAY, true);
    speaker.publish(&mut hub, "a", "x", QoS::ExactlyOnce, false);
    let mut hub = after_a_cut(&hub);
    let speaker = Client::connect(&mut hub, "speaker", DAY, false);
    speaker.publish(&mut hub, "a", "x", QoS::ExactlyOnce, false);
    assert!(speaker.all().iter().any(|p| matches!(p, Packet::PublishReceived(_))));
    hub.completed(speaker.place, pid(7));
    // The id is free again, so this is another message.
    speaker.publish(&mut hub, "a", "y", QoS::ExactlyOnce, false);
    let back = Client::connect(&mut hub, "reader", DAY, false);
    let heard: Vec<String> = back.heard().into_iter().map(|(text, _)| text).collect();
    assert_eq!(heard, ["x", "y"]);
}

#[test]
fn a_will_is_published_unless_leave_was_taken() {
    let will = || LastWill {
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "gone".into(),
        message: "x".into(),
        will_delay_interval_sec: None,
        correlation_data: None,
        message_expiry_interval: None,
        content_type: None,
        user_properties: Vec::new(),
        is_utf8_payload: None,
        response_topic: None,
    };
    let mut hub = hub();
    let reader = Client::connect(&mut hub, "reader", 0, true);
    reader.subscribe(&mut hub, "gone", QoS::AtMostOnce);
    let mortal = |hub: &mut Hub, delay: Option<u32>, expiry: u32| {
        let last_will = Some(LastWill { will_delay_interval_sec: delay, ..will() });
        let session_expiry_interval_secs = expiry;
        let client_id = "mortal".into();
        Client::with(hub, Connect { client_id, last_will, session_expiry_interval_secs, ..Connect::default() })
    };
    let polite = mortal(&mut hub, None, 0);
    hub.leave(NOW, polite.place, Leave::Said { expiry: None });
    assert_eq!(reader.heard(), []);
    let lost = mortal(&mut hub, None, 0);
    hub.leave(NOW, lost.place, Leave::Lost);
    assert_eq!(reader.heard().len(), 1);
    // With a delay it waits, and not at all if the client is back.
    let lost = mortal(&mut hub, Some(10), 60);
    hub.leave(NOW, lost.place, Leave::Lost);
    let lost = mortal(&mut hub, Some(10), 60);
    hub.sweep(NOW + 11_000);
    assert_eq!(reader.heard(), []);
    hub.leave(NOW, lost.place, Leave::Lost);
    hub.sweep(NOW + 9_000);
    assert_eq!(reader.heard(), []);
    hub.sweep(NOW + 11_000);
    assert_eq!(reader.heard().len(), 1);
}

#[test]
fn a_session_ends_when_its_client_stays_away() {
    let mut hub = hub();
    let away = Client::connect(&mut hub, "away", 60, true);
    away.subscribe(&mut hub, "a", QoS::AtLeastOnce);
    hub.leave(NOW, away.place, Leave::Lost);
    let mut hub = after_a_cut(&hub);
    hub.sweep(NOW + 59_000);
    assert_eq!(hub.sessions.len(), 1);
    hub.sweep(NOW + 61_000);
    assert!(hub.sessions.is_empty() && hub.keys.is_empty());
    assert!(hub.records().is_empty());
}

#[test]
fn a_slow_client_loses_what_is_not_promised_and_stalls_nobody() {
    let mut hub = Hub::new(Limits { outbox: 1000, ..Limits::default() }, Users::new(Vec::new()), None);
    let slow = Client::connect(&mut hub, "slow", 0, true);
    let quick = Client::connect(&mut hub, "quick", 0, true);
    for client in [&slow, &quick] {
        client.subscribe(&mut hub, "a", QoS::AtMostOnce);
    }
    let speaker = Client::connect(&mut hub, "speaker", 0, true);
    let mut quickly = 0;
    for _ in 0..100 {
        speaker.publish(&mut hub, "a", "0123456789", QoS::AtMostOnce, false);
        quickly += quick.heard().len();
    }
    assert_eq!(quickly, 100);
    assert!(slow.outbox.bytes() < 1200);
}

#[test]
fn a_queue_that_runs_over_gives_up_its_oldest() {
    let mut hub = Hub::new(Limits { queue: 10_000, ..Limits::default() }, Users::new(Vec::new()), None);
    let away = Client::connect(&mut hub, "away", DAY, true);
    away.subscribe(&mut hub, "a", QoS::AtLeastOnce);
    hub.leave(NOW, away.place, Leave::Lost);
    let speaker = Client::connect(&mut hub, "speaker", 0, true);
    for n in 0..100 {
        speaker.publish(&mut hub, "a", &n.to_string(), QoS::AtLeastOnce, false);
    }
    let kept = after_a_cut(&hub).records();
    assert_eq!(kept, hub.records());
    let heard = Client::connect(&mut hub, "away", DAY, false).heard();
    assert!((5..30).contains(&heard.len()) && heard.last().unwrap().0 == "99", "{heard:?}");
}

#[test]
fn a_message_by_qos_2_is_released_only_when_that_is_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = hub();
    hub.journal = Journal::open(folder.path(), |_| {}).unwrap();
    let reader = Client::connect(&mut hub, "reader", DAY, true);
    reader.subscribe(&mut hub, "a", QoS::ExactlyOnce);
    Client::connect(&mut hub, "speaker", 0, true).publish(&mut hub, "a", "x", QoS::ExactlyOnce, false);
    assert_eq!(reader.heard().len(), 1);
    let before = hub.journal.position();
    hub.arrived(NOW, reader.place, &wire::ack(pid(1)));
    assert_eq!(hub.journal.position(), before + 1);
    assert!(matches!(reader.outbox.take(|position| position <= before), Next::Held));
    // Said again, it may still not be safe.
    assert!(matches!(reader.all()[..], [Packet::PublishRelease(_)]));
    hub.arrived(NOW, reader.place, &wire::ack(pid(1)));
    assert!(matches!(reader.outbox.take(|position| position <= before), Next::Held));
}

#[test]
fn what_the_other_broker_kept_is_told_as_retained() {
    let mut hub = hub();
    let reader = Client::connect(&mut hub, "reader", 0, true);
    reader.subscribe(&mut hub, "in/#", QoS::AtLeastOnce);
    reader.all();
    let connect = Connect { client_id: "bridge".into(), ..Connect::default() };
    let place = hub.connect(NOW, (bridge::USER.into(), Rights::all()), connect, Rc::default()).unwrap();
    let bridge = Client { outbox: Rc::default(), place };
    let local = Client::connect(&mut hub, "local", 0, true);
    for (speaker, retain, told) in [(&bridge, true, true), (&bridge, false, false), (&local, true, false)] {
        speaker.publish(&mut hub, "in/command", "on", QoS::AtLeastOnce, retain);
        let heard = reader.all();
        assert!(matches!(&heard[..], [Packet::Publish(p)] if p.retain == told), "{heard:?}");
    }
}

#[test]
fn what_may_not_be_read_any_more_is_not_kept_for_anybody() {
    let user = |rights| crate::User { name: "u".into(), password: "p".into(), rights };
    let users = |read: &[&str]| {
        let subscribe = read.iter().map(|filter| (*filter).to_owned()).collect();
        Users::new(vec![user(Rights { publish: vec!["#".into()], subscribe })])
    };
    let connect = |name: &'static str| Connect {
        client_id: name.into(),
        clean_start: false,
        session_expiry_interval_secs: DAY,
        username: Some("u".into()),
        password: Some("p".into()),
        ..Connect::default()
    };
    let mut hub = Hub::new(Limits { window: 3, ..Limits::default() }, users(&["#"]), None);
    let away = Client::with(&mut hub, connect("away"));
    away.subscribe(&mut hub, "own/#", QoS::ExactlyOnce);
    away.subscribe(&mut hub, "other/#", QoS::ExactlyOnce);
    let speaker = Client::with(&mut hub, connect("speaker"));
    let both = [("other/1", QoS::AtLeastOnce), ("other/2", QoS::ExactlyOnce), ("own/1", QoS::AtLeastOnce)];
    for (n, (topic, qos)) in (1..).zip(both.into_iter().cycle().take(6)) {
        // The first three are under way, the others wait.
        speaker.publish_as(&mut hub, topic, topic, qos, false, n);
    }
    hub.leave(NOW, away.place, Leave::Lost);
    let mut again = Hub::new(Limits::default(), users(&["own/#"]), None);
    hub.records().into_iter().for_each(|record| again.replay(record));
    again.wake(NOW);
    let known = again.records();
    assert_eq!(again.queued_bytes.all(), again.sessions.values().map(|s| s.bytes).sum::<usize>());
    assert!(known.iter().all(|r| !matches!(r, Record::Subscribed { filter, .. } if filter.starts_with("other"))));
    let back = Client::with(&mut again, connect("away"));
    let all = back.all();
    assert_eq!(all.iter().filter(|p| matches!(p, Packet::PublishRelease(r) if r.packet_id == pid(2))).count(), 1);
    let topics: Vec<&str> =
        all.iter().filter_map(|p| if let Packet::Publish(p) = p { Some(&*p.topic) } else { None }).collect();
    assert_eq!(topics, ["own/1", "own/1"]);
}

#[test]
fn what_waits_for_a_bridge_that_is_no_more_is_given_up() {
    let mut hub = hub();
    for client in ["old", "new"] {
        let connect = Connect {
            client_id: client.into(),
            clean_start: false,
            session_expiry_interval_secs: DAY,
            ..Connect::default()
        };
        hub.connect(NOW, (bridge::USER.into(), Rights::all()), connect, Rc::default()).unwrap();
    }
    hub.end_bridges(NOW, Some("new"));
    assert_eq!(hub.sessions.values().map(|s| &*s.client).collect::<Vec<_>>(), ["new"]);
    hub.end_bridges(NOW, None);
    assert!(hub.sessions.is_empty());
}

/// A hub with these users, the first of whom is the gateway's own, and how to connect as one of them.
fn shared_by(names: &[&str], limits: Limits) -> Hub {
    let user = |name: &&str| crate::User { name: (*name).into(), password: "p".into(), rights: Rights::all() };
    Hub::new(limits, Users::new(names.iter().map(user).collect()), None)
}

fn as_user(name: &str, client: &str) -> Connect {
    Connect {
        client_id: client.to_owned().into(),
        clean_start: false,
        session_expiry_interval_secs: DAY,
        username: Some(name.to_owned().into()),
        password: Some("p".into()),
        ..Connect::default()
    }
}

#[test]
fn one_user_does_not_take_what_all_share() {
    let limits = Limits { sessions: 40, filters: 80, retained: 80_000, queues: 80_000, ..Limits::default() };
    let mut hub = shared_by(&["own", "greedy", "other"], limits);
    let reader = Client::with(&mut hub, as_user("own", "reader"));
    reader.subscribe(&mut hub, "#", QoS::AtMostOnce);
    // Retained: it is still delivered, and what stood there before is not taken for the present value.
    let greedy = Client::with(&mut hub, as_user("greedy", "0"));
    let large = "x".repeat(3_000);
    for (topic, payload) in [("a", "small"), ("b", &large), ("c", &large), ("a", &large)] {
        greedy.publish(&mut hub, topic, payload, QoS::AtLeastOnce, true);
    }
    assert_eq!(reader.heard().len(), 4);
    let retained = |hub: &Hub| hub.retained.keys().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(retained(&hub), ["b", "c"]);
    let other = Client::with(&mut hub, as_user("other", "0"));
    other.publish(&mut hub, "d", &large, QoS::AtLeastOnce, true);
    // The gateway's own is not bound by what others hold, nor they by it.
    let own = Client::with(&mut hub, as_user("own", "0"));
    for n in 0..20 {
        own.publish(&mut hub, &format!("own/{n}"), &large, QoS::AtLeastOnce, true);
    }
    assert_eq!(retained(&hub).len(), 23);
    // Queues.
    greedy.subscribe(&mut hub, "q/greedy", QoS::AtLeastOnce);
    other.subscribe(&mut hub, "q/other", QoS::AtLeastOnce);
    for client in [&greedy, &other] {
        hub.leave(NOW, client.place, Leave::Lost);
    }
    own.publish(&mut hub, "q/other", "x", QoS::AtLeastOnce, false);
    for _ in 0..100 {
        own.publish(&mut hub, "q/greedy", &large, QoS::AtLeastOnce, false);
    }
    let waiting = |hub: &Hub, user: &str| {
        hub.sessions.values().filter(|s| s.user == user).map(|s| s.waiting.len()).sum::<usize>()
    };
    assert_eq!((waiting(&hub, "greedy"), waiting(&hub, "other")), (2, 1));
    // Sessions and subscriptions.
    let mut connect = |user: &str| {
        (1..10)
            .filter(|n| {
                let connect = as_user(user, &n.to_string());
                let admitted = hub.admit(&connect).unwrap();
                hub.connect(NOW, admitted, connect, Rc::default()).is_ok()
            })
            .count()
    };
    assert_eq!((connect("greedy"), connect("other")), (4, 4));
    let greedy = Client::with(&mut hub, as_user("greedy", "0"));
    greedy.heard();
    for n in 0..20 {
        greedy.subscribe(&mut hub, &format!("s/{n}"), QoS::AtMostOnce);
    }
    let ack = |p: &Packet| matches!(p, Packet::SubscribeAck(ack) if u8::from(ack.status[0]) < 0x80);
    assert_eq!(greedy.all().iter().filter(|p| ack(p)).count(), 9);
    hub.end(NOW, greedy.place.session);
    assert!(hub.filters.has("greedy", 10, 80));
}

#[test]
fn what_waits_for_others_takes_nothing_from_a_bridge() {
    let mut hub =
        Hub::new(Limits { queues: 2_000, bridge: 1 << 20, ..Limits::default() }, Users::new(Vec::new()), None);
    let connect = Connect { client_id: "b".into(), session_expiry_interval_secs: DAY, ..Connect::default() };
    let place = hub.connect(NOW, (bridge::USER.into(), Rights::all()), connect, Rc::default()).unwrap();
    let bridge = Client { outbox: Rc::default(), place };
    let away = Client::connect(&mut hub, "away", DAY, true);
    for client in [&away, &bridge] {
        client.subscribe(&mut hub, "a", QoS::AtLeastOnce);
        hub.leave(NOW, client.place, Leave::Said { expiry: None });
    }
    let speaker = Client::connect(&mut hub, "speaker", 0, true);
    for _ in 0..100 {
        speaker.publish(&mut hub, "a", "x", QoS::AtLeastOnce, false);
    }
    assert_eq!(hub.sessions[&bridge.place.session].waiting.len(), 100);
    assert!(hub.sessions[&away.place.session].waiting.len() < 10);
}

/// What a client that asks for these filters at once is answered.
fn ask(hub: &mut Hub, client: &Client, filters: &[(&str, QoS)]) -> Result<(), DisconnectReasonCode> {
    let options = |qos| SubscriptionOptions { qos, ..SubscriptionOptions::default() };
    let topic_filters = filters.iter().map(|(filter, qos)| ((*filter).into(), options(*qos))).collect();
    let asked = Subscribe { packet_id: pid(9), id: None, user_properties: Vec::new(), topic_filters };
    hub.subscribe(NOW, client.place, asked)
}

#[test]
fn a_filter_that_is_said_twice_counts_as_it_was_said_last() {
    let mut hub = hub();
    let speaker = Client::connect(&mut hub, "speaker", 0, true);
    speaker.publish(&mut hub, "a", "x", QoS::AtLeastOnce, true);
    let reader = Client::connect(&mut hub, "reader", 0, true);
    ask(&mut hub, &reader, &[("a", QoS::AtMostOnce), ("b", QoS::AtMostOnce), ("a", QoS::AtLeastOnce)]).unwrap();
    let heard = reader.all();
    let status: Vec<u8> = heard
        .iter()
        .filter_map(|p| if let Packet::SubscribeAck(ack) = p { Some(&ack.status) } else { None })
        .flatten()
        .map(|code| (*code).into())
        .collect();
    assert_eq!(status, [1, 0, 1]);
    let told: Vec<QoS> =
        heard.iter().filter_map(|p| if let Packet::Publish(p) = p { Some(p.qos) } else { None }).collect();
    assert_eq!(told, [QoS::AtLeastOnce]);
}

#[test]
fn nobody_is_told_more_of_what_is_retained_than_fits() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        let limits = Limits { outbox: 10_000, retained: 100_000, ..Limits::default() };
        let mut hub = Hub::new(limits, Users::new(Vec::new()), None);
        let speaker = Client::connect(&mut hub, "speaker", 0, true);
        for n in 0..8 {
            speaker.publish(&mut hub, &format!("a/{n}"), &"x".repeat(10_000), QoS::AtLeastOnce, true);
        }
        let reader = Client::connect(&mut hub, "reader", DAY, true);
        ask(&mut hub, &reader, &[("#", qos)]).unwrap();
        let again = ["+/#", "a/#", "a/+", "+/+"].map(|filter| (filter, qos));
        assert_eq!(ask(&mut hub, &reader, &again), Err(DisconnectReasonCode::QuotaExceeded));
        assert!(reader.outbox.bytes() < 250_000);
        let many: Vec<String> = (0..101).map(|n| format!("{n}/+")).collect();
        let many: Vec<(&str, QoS)> = many.iter().map(|filter| (&**filter, qos)).collect();
        assert_eq!(ask(&mut hub, &speaker, &many), Err(DisconnectReasonCode::QuotaExceeded));
    }
}

#[test]
fn properties_take_room_as_payload_does() {
    let mut hub = Hub::new(Limits { outbox: 10_000, ..Limits::default() }, Users::new(Vec::new()), None);
    let reader = Client::connect(&mut hub, "reader", 0, true);
    reader.subscribe(&mut hub, "a", QoS::AtMostOnce);
    let speaker = Client::connect(&mut hub, "speaker", 0, true);
    let properties = PublishProperties {
        user_properties: vec![("k".into(), "v".repeat(500).into()); 10],
        correlation_data: Some(vec![0; 1000].into()),
        content_type: Some("c".repeat(1000).into()),
        response_topic: Some("r".repeat(1000).into()),
        ..PublishProperties::default()
    };
    let publish = Publish {
        dup: false,
        retain: true,
        qos: QoS::AtMostOnce,
        topic: "a".into(),
        packet_id: None,
        payload: "x".into(),
        properties: Some(properties),
    };
    for _ in 0..5 {
        hub.publish(NOW, speaker.place, publish.clone()).unwrap();
    }
    assert!(hub.retained_bytes.all() > 8_000);
    assert_eq!(reader.heard().len(), 2);
    // A client that says what it takes gets nothing larger, and all that is not.
    let narrow = Client::with(
        &mut hub,
        Connect { client_id: "narrow".into(), max_packet_size: std::num::NonZeroU32::new(8_200), ..Connect::default() },
    );
    narrow.subscribe(&mut hub, "a", QoS::AtMostOnce);
    assert_eq!(narrow.heard().len(), 1);
    let narrower = Client::with(
        &mut hub,
        Connect {
            client_id: "narrower".into(),
            max_packet_size: std::num::NonZeroU32::new(8_000),
            ..Connect::default()
        },
    );
    narrower.subscribe(&mut hub, "a", QoS::AtMostOnce);
    assert_eq!(narrower.heard(), []);
}

#[test]
fn no_more_is_under_way_than_a_client_wants() {
    let mut hub = hub();
    let receive_max = Some(pid(3));
    let narrow = Client::with(&mut hub, Connect { client_id: "narrow".into(), receive_max, ..Connect::default() });
    narrow.subscribe(&mut hub, "a", QoS::AtLeastOnce);
    let speaker = Client::connect(&mut hub, "speaker", 0, true);
    for n in 0..10 {
        speaker.publish(&mut hub, "a", &n.to_string(), QoS::AtLeastOnce, false);
    }
    assert_eq!(narrow.heard().len(), 3);
    hub.acknowledged(NOW, narrow.place, pid(2));
    assert_eq!(narrow.heard(), [("3".to_owned(), false)]);
}

#[test]
fn what_nobody_allowed_is_denied() {
    let rights = Rights { publish: vec!["own/#".into()], subscribe: vec!["own/#".into()] };
    let user = |name: &str, rights| crate::User { name: name.into(), password: "p".into(), rights };
    let users = Users::new(vec![user("house", Rights::all()), user("meter", rights)]);
    let mut hub = Hub::new(Limits::default(), users, None);
    let connect = |name: &'static str| Connect {
        client_id: name.into(),
        username: Some(name.into()),
        password: Some("p".into()),
        ..Connect::default()
    };
    let house = Client::with(&mut hub, connect("house"));
    house.subscribe(&mut hub, "#", QoS::AtLeastOnce);
    let meter = Client::with(&mut hub, connect("meter"));
    for filter in ["#", "other/x", "own/x"] {
        meter.subscribe(&mut hub, filter, QoS::AtMostOnce);
    }
    let granted: Vec<u8> = meter
        .all()
        .iter()
        .filter_map(|p| match p {
            Packet::SubscribeAck(ack) => Some(ack.status[0].into()),
            _ => None,
        })
        .collect();
    assert_eq!(granted, [0x87, 0x87, 0]);
    meter.publish(&mut hub, "other/x", "forged", QoS::AtLeastOnce, true);
    assert!(matches!(&meter.all()[..], [Packet::PublishAck(a)] if a.reason_code == PublishAckReason::NotAuthorized));
    meter.publish(&mut hub, "own/x", "true", QoS::AtLeastOnce, false);
    assert_eq!(house.heard(), [("true".to_owned(), false)]);
    assert!(hub.retained.is_empty());
    // A will is a message too.
    let last_will = Some(LastWill {
        qos: QoS::AtMostOnce,
        retain: true,
        topic: "other/x".into(),
        message: "forged".into(),
        will_delay_interval_sec: None,
        correlation_data: None,
        message_expiry_interval: None,
        content_type: None,
        user_properties: Vec::new(),
        is_utf8_payload: None,
        response_topic: None,
    });
    let forger = Connect { last_will, ..connect("meter") };
    let admitted = hub.admit(&forger).unwrap();
    assert_eq!(hub.connect(NOW, admitted, forger, Rc::default()), Err(ConnectAckReason::NotAuthorized));
}

/// One thing that happens, of few clients and topics, so that they meet.
#[derive(Clone, Debug)]
enum Step {
    Connect { client: u8, clean: bool, lasting: bool },
    Leave { client: u8, lost: bool },
    Subscribe { client: u8, filter: u8, qos: u8 },
    Publish { client: u8, topic: u8, qos: u8, retain: bool, id: u16 },
    Hear { client: u8 },
    Complete { client: u8, id: u16 },
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..3_u8;
    prop_oneof![
        (client.clone(), any::<bool>(), prop::bool::weighted(0.8)).prop_map(|(client, clean, lasting)| Step::Connect {
            client,
            clean,
            lasting
        }),
        (client.clone(), any::<bool>()).prop_map(|(client, lost)| Step::Leave { client, lost }),
        (client.clone(), 0..4_u8, 0..3_u8).prop_map(|(client, filter, qos)| Step::Subscribe { client, filter, qos }),
        (client.clone(), 0..3_u8, 0..3_u8, any::<bool>(), 1..4_u16)
            .prop_map(|(client, topic, qos, retain, id)| Step::Publish { client, topic, qos, retain, id }),
        client.clone().prop_map(|client| Step::Hear { client }),
        (client, 1..4_u16).prop_map(|(client, id)| Step::Complete { client, id }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever happened, the records noted on the way and the fewest records that say the same make the same broker.
    #[test]
    fn what_was_noted_makes_the_broker_as_it_is(steps in prop::collection::vec(step(), 1..60)) {
        let qos = |n: u8| QoS::try_from(n).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut hub = hub();
        hub.journal = Journal::open(folder.path(), |_| {}).unwrap();
        let mut clients: BTreeMap<u8, Client> = BTreeMap::new();
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Connect { client, clean, lasting } => {
                    let expiry = if lasting { DAY } else { 0 };
                    let name = client.to_string();
                    clients.insert(client, Client::connect(&mut hub, &name, expiry, clean));
                }
                Step::Leave { client, lost } => if let Some(client) = clients.remove(&client) {
                    let how = if lost { Leave::Lost } else { Leave::Said { expiry: None } };
                    hub.leave(NOW, client.place, how);
                },
                Step::Subscribe { client, filter, qos: q } => if let Some(client) = clients.get(&client) {
                    client.subscribe(&mut hub, ["#", "a/+", "a/0", "b"][usize::from(filter)], qos(q));
                },
                Step::Publish { client, topic, qos: q, retain, id } => if let Some(client) = clients.get(&client) {
                    client.publish_as(&mut hub, ["a/0", "a/1", "b"][usize::from(topic)], &n.to_string(), qos(q), retain, id);
                },
                Step::Hear { client } => if let Some(client) = clients.get(&client) {
                    for packet in client.all() {
                        match packet {
                            Packet::Publish(p) if p.qos == QoS::AtLeastOnce =>
                                hub.acknowledged(NOW, client.place, p.packet_id.unwrap()),
                            Packet::Publish(p) if p.qos == QoS::ExactlyOnce =>
                                hub.arrived(NOW, client.place, &wire::ack(p.packet_id.unwrap())),
                            Packet::PublishRelease(p) => hub.acknowledged(NOW, client.place, p.packet_id),
                            _ => {}
                        }
                    }
                },
                Step::Complete { client, id } => if let Some(client) = clients.get(&client) {
                    hub.completed(client.place, pid(id));
                },
            }
        }
        let known = |hub: &Hub| -> Vec<Record> {
            hub.records().into_iter().filter(|r| !matches!(r, Record::Left { .. })).collect()
        };
        let expected = known(&hub);
        prop_assert_eq!(&known(&after_a_cut(&hub)), &expected);
        hub.journal.close();
        let mut again = self::hub();
        Journal::open(folder.path(), |record| again.replay(record)).unwrap().close();
        prop_assert_eq!(&known(&again), &expected);
        prop_assert_eq!(again.queued_bytes.all(), again.sessions.values().map(|s| s.bytes).sum::<usize>());
        prop_assert_eq!(again.retained_bytes.all(), hub.retained_bytes.all());
        // What waits for sessions that end with their connection counts too, until then.
        prop_assert_eq!(hub.queued_bytes.all(), hub.sessions.values().map(|s| s.bytes).sum::<usize>());
    }
}

#[test]
fn the_broker_s_own_topics_are_told_at_once_then_when_they_change_and_are_not_written_down() {
    let mut hub = hub();
    hub.sweep(NOW);
    let watcher = Client::connect(&mut hub, "watcher", DAY, true);
    watcher.subscribe(&mut hub, "$SYS/broker/clients/+", QoS::AtLeastOnce);
    let texts = |heard: Vec<(String, bool)>| heard.into_iter().map(|(text, _)| text).collect::<Vec<_>>();
    assert_eq!(texts(watcher.heard()), ["0", "0", "0", "0"]);
    hub.sweep(NOW + 1000);
    assert_eq!(texts(watcher.heard()), [""; 0], "not oftener than every ten seconds");
    // Of connected, disconnected, refused and total, two are others now.
    hub.sweep(NOW + 10_000);
    assert_eq!(texts(watcher.heard()), ["1", "1"]);
    hub.sweep(NOW + 20_000);
    assert_eq!(texts(watcher.heard()), [""; 0]);
    let noted = hub.records();
    assert!(!noted.iter().any(|record| matches!(record, Record::Accepted { .. })), "{noted:?}");
}

#[test]
fn a_clock_that_is_set_does_not_make_a_broker_older() {
    let mut hub = hub();
    hub.sweep(0);
    hub.sweep(NOW);
    assert!(hub.counters.look().uptime_s < 3_600, "{:?}", hub.counters.look());
}

#[test]
fn nobody_of_another_user_is_the_herald_by_its_name() {
    let user = |name: &str| crate::User { name: name.into(), password: "p".into(), rights: Rights::all() };
    let users = Users::new(vec![user("own"), user("other")]);
    let mut hub = Hub::new(Limits { queue: 10_000, ..Limits::default() }, users, Some("herald".into()));
    let slow = Client::with(&mut hub, as_user("other", "slow"));
    slow.subscribe(&mut hub, "a", QoS::AtLeastOnce);
    let own = Client::with(&mut hub, as_user("own", "herald"));
    for _ in 0..10 {
        own.publish(&mut hub, "a", &"x".repeat(600), QoS::AtLeastOnce, false);
    }
    let false_one = Client::with(&mut hub, as_user("other", "herald"));
    let said = Packet::Publish(Box::new(Publish {
        dup: false,
        retain: false,
        qos: QoS::AtLeastOnce,
        topic: "a".into(),
        packet_id: Some(pid(1)),
        payload: "x".into(),
        properties: None,
    }));
    assert!(!hub.must_wait(own.place, &said, true) && hub.must_wait(false_one.place, &said, true));
}
