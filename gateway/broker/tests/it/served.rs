//! What clients may rely on.

use crate::client::{Client, called, message};
use broker::{Limits, Rights, Settings, User, Users};
use rmqtt_codec::types::QoS;
use rmqtt_codec::v5::{Connect, Packet};
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};

fn here() -> Settings {
    Settings::new("127.0.0.1:0".parse().unwrap())
}

#[test]
fn a_port_that_is_taken_is_said_so() {
    let first = broker::start(here()).unwrap();
    let error = broker::start(Settings::new(first.address)).unwrap_err().to_string();
    assert!(error.contains(&first.address.to_string()) && error.contains("another"), "{error}");
}

#[test]
fn a_broker_that_was_stopped_frees_its_port_and_remembers() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = here();
    settings.folder = Some(folder.path().into());
    let broker = broker::start(settings.clone()).unwrap();
    let mut speaker = Client::connect(broker.address, called("speaker", false));
    speaker.publish(rmqtt_codec::types::Publish { retain: true, ..message("a", "x", QoS::AtMostOnce, 0) });
    speaker.send(Packet::PingRequest);
    assert!(matches!(speaker.next(), Some(Packet::PingResponse)));
    settings.listen = broker.address;
    drop(broker);
    let broker = broker::start(settings).unwrap();
    let mut reader = Client::connect(broker.address, called("reader", false));
    reader.subscribe("#", QoS::AtMostOnce);
    assert_eq!(&reader.message().payload[..], b"x");
}

#[test]
fn users_are_let_in_by_their_password_and_kept_to_their_topics() {
    let mut settings = here();
    let rights = Rights { publish: vec!["m/#".into()], subscribe: vec!["m/#".into()] };
    let user = |name: &str, rights| User { name: name.into(), password: format!("{name}!"), rights };
    settings.users = Users::new(vec![user("house", Rights::all()), user("m", rights)]);
    let broker = broker::start(settings).unwrap();
    let by = |name: &'static str, password: &'static str| Connect {
        username: Some(name.into()),
        password: Some(password.into()),
        ..called(name, false)
    };
    for (name, password) in [("m", "wrong"), ("nobody", "m!")] {
        let (mut refused, ack) = Client::try_connect(broker.address, by(name, password));
        assert_eq!((u8::from(ack.reason_code), refused.next().is_none()), (134, true));
    }
    let (_, ack) = Client::try_connect(broker.address, called("anonymous", false));
    assert_ne!(u8::from(ack.reason_code), 0);
    let mut house = Client::connect(broker.address, by("house", "house!"));
    house.subscribe("#", QoS::AtMostOnce);
    let mut meter = Client::connect(broker.address, by("m", "m!"));
    assert_eq!(meter.subscribe("#", QoS::AtMostOnce), 0x80);
    assert_eq!(meter.subscribe("m/set", QoS::AtLeastOnce), 1);
    meter.publish(message("other", "forged", QoS::AtMostOnce, 0));
    meter.publish(message("m/reading", "true", QoS::AtMostOnce, 0));
    assert_eq!(&house.message().payload[..], b"true");
}

#[test]
fn a_client_that_comes_twice_throws_itself_out_and_nothing_else() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    // A task that panics ends silently here, and the whole gateway where a panic aborts.
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let of_a_broker = std::thread::current().name() == Some("mqtt-broker");
        PANICS.fetch_add(usize::from(of_a_broker), Ordering::SeqCst);
        before(info);
    }));
    let broker = broker::start(here()).unwrap();
    let mut first = Client::connect(broker.address, called("twin", true));
    let mut second = Client::connect(broker.address, called("twin", true));
    assert!(first.next().is_none() && second.session_present);
    second.send(Packet::PingRequest);
    assert!(matches!(second.next(), Some(Packet::PingResponse)));
    // All its tasks have ended when it has.
    drop(broker);
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
}

#[test]
fn what_is_no_mqtt_costs_only_its_own_connection() {
    let mut settings = here();
    settings.limits = Limits { packet: 1000, ..Limits::default() };
    let broker = broker::start(settings).unwrap();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut quiet = Client::connect(broker.address, called("quiet", false));
    quiet.subscribe("a", QoS::AtMostOnce);
    let mut strangers: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"\x10\x0c\0\x04MQTT\x09\0\0\0\0\0".to_vec(),
        b"\x10\xff\xff\xff\x7f\0\x04MQTT\x04".to_vec(),
        vec![0xff; 64],
    ];
    strangers.extend((0..50).map(|_| (0..random.usize(1..200)).map(|_| random.u8(..)).collect()));
    for bytes in strangers {
        let mut stream = std::net::TcpStream::connect(broker.address).unwrap();
        let _ = std::io::Write::write_all(&mut stream, &bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }
    // Each of these ends a connection that was well begun.
    let broken: Vec<Vec<u8>> = vec![
        vec![0x30, 0x03, 0, 1, b'+'],
        vec![0x30, 0x04, 0, 2, b'a', 0],
        vec![0x36, 0x05, 0, 1, b'a', 0, 1],
        vec![0x82, 0x02, 0, 1],
        vec![0x10, 0x0c, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, 0],
        [&[0x30, 0xd0, 0x0f, 0, 1, b'a'][..], &[0; 2000]].concat(),
        vec![0x00, 0x00],
    ];
    for bytes in broken {
        let mut client = Client::connect(broker.address, called("clumsy", false));
        client.raw(&bytes);
        assert!(client.next().is_none(), "{bytes:?}");
    }
    Client::connect(broker.address, called("speaker", false)).publish(message("a", "x", QoS::AtMostOnce, 0));
    assert_eq!(&quiet.message().payload[..], b"x");
}

#[test]
fn one_who_reads_nothing_stalls_nobody() {
    let mut settings = here();
    settings.limits = Limits { rate: 0, ..Limits::default() };
    let broker = broker::start(settings).unwrap();
    let mut slow = Client::connect(broker.address, called("slow", false));
    slow.subscribe("a", QoS::AtMostOnce);
    let mut quick = Client::connect(broker.address, called("quick", false));
    quick.subscribe("a", QoS::AtLeastOnce);
    let mut speaker = Client::connect(broker.address, called("speaker", false));
    let large = "x".repeat(10_000);
    // Thirty megabytes: far more than sockets and outbox hold.
    for n in 0..3000_u16 {
        speaker.publish(message("a", &large, QoS::AtLeastOnce, n % 1000 + 1));
        let m = quick.message();
        quick.acknowledge(m.packet_id.unwrap());
        assert!(matches!(speaker.next(), Some(Packet::PublishAck(_))));
    }
}

#[test]
fn who_publishes_too_fast_is_read_more_slowly() {
    let mut settings = here();
    settings.limits = Limits { rate: 100, ..Limits::default() };
    let broker = broker::start(settings).unwrap();
    let mut fast = Client::connect(broker.address, called("fast", false));
    let begun = std::time::Instant::now();
    for _ in 0..1100 {
        fast.publish(message("a", "x", QoS::AtMostOnce, 0));
    }
    // The second is read after the pause that the messages before it cost.
    for _ in 0..2 {
        fast.send(Packet::PingRequest);
        assert!(matches!(fast.next(), Some(Packet::PingResponse)));
    }
    // A thousand at once, and the other hundred in a second.
    let mut others = Client::connect(broker.address, called("other", false));
    others.send(Packet::PingRequest);
    assert!(matches!(others.next(), Some(Packet::PingResponse)));
    assert!(begun.elapsed().as_millis() > 700, "{:?}", begun.elapsed());
}
