//! Two brokers, and what goes over while one of them is away.

use crate::client::{Client, called, message};
use broker::{Bridge, Broker, Settings};
use rmqtt_codec::types::{Publish, QoS};
use rmqtt_codec::v5::Packet;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The other side of the bridge.
enum Other {
    Ours(#[allow(dead_code, reason = "it runs until it is dropped")] Broker),
    Mosquitto(Killed),
}

/// A program that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Which program that is.
#[derive(Clone)]
enum Kind {
    Ours,
    Mosquitto(PathBuf),
}

impl Kind {
    fn start(&self, folder: &Path, at: SocketAddr) -> Other {
        match self {
            Self::Ours => {
                let mut settings = Settings::new(at);
                settings.folder = Some(folder.into());
                Other::Ours(broker::start(settings).unwrap())
            }
            Self::Mosquitto(program) => {
                let config = folder.join("mosquitto.conf");
                let text = format!(
                    "listener {} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {}/\n\
                     max_queued_messages 0\nuser {}\n",
                    at.port(),
                    folder.display(),
                    // Started by root it would become somebody who may not write there.
                    std::env::var("USER").unwrap_or_else(|_| "root".into())
                );
                std::fs::write(&config, text).unwrap();
                let mut command = Command::new(program);
                let child = command.arg("-c").arg(config).stderr(Stdio::null()).spawn().unwrap();
                let until = Instant::now() + Duration::from_secs(20);
                while TcpStream::connect(at).is_err() {
                    assert!(Instant::now() < until, "mosquitto does not listen");
                    std::thread::yield_now();
                }
                Other::Mosquitto(Killed(child))
            }
        }
    }
}

impl Other {
    /// Ends it as systemd would.
    fn stop(self) {
        if let Self::Mosquitto(mut child) = self {
            Command::new("kill").arg(child.0.id().to_string()).status().unwrap();
            child.0.wait().unwrap();
        }
    }
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn here(folder: &Path, other: SocketAddr) -> Broker {
    let mut settings = Settings::new("127.0.0.1:0".parse().unwrap());
    settings.folder = Some(folder.into());
    settings.bridge = Some(Bridge {
        host: other.ip().to_string(),
        port: other.port(),
        tls: None,
        credentials: None,
        client_id: "bridge".into(),
        passing: false,
        prefix: "street/".into(),
        publish: vec!["out/#".into()],
        subscribe: vec!["in/#".into()],
    });
    broker::start(settings).unwrap()
}

fn say(speaker: &mut Client, topic: &str, numbers: std::ops::Range<u16>) {
    for n in numbers {
        speaker.publish(message(topic, &n.to_string(), QoS::AtLeastOnce, n + 1));
        assert!(matches!(speaker.next(), Some(Packet::PublishAck(_))));
    }
}

/// Numbers in the order in which they come, without what is said to be repeated, until `last` came.
fn numbers(listener: &mut Client, topic: &str, last: u16) -> Vec<u16> {
    let mut heard: Vec<u16> = Vec::new();
    while heard.last() != Some(&last) {
        let m: Publish = listener.message();
        assert_eq!(&*m.topic, topic);
        listener.acknowledge(m.packet_id.unwrap());
        let n = std::str::from_utf8(&m.payload).unwrap().parse().unwrap();
        // The same one again, because the bridge did not hear that it had arrived.
        if !heard.contains(&n) {
            heard.push(n);
        }
    }
    heard
}

fn all_goes_over(kind: &Kind) {
    let (mine, yours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let at = free();
    // Somebody waits there for what comes from the street.
    let other = kind.start(yours.path(), at);
    Client::connect(at, called("archive", true)).subscribe("street/out/#", QoS::AtLeastOnce);
    other.stop();

    let broker = here(mine.path(), at);
    let mut speaker = Client::connect(broker.address, called("speaker", false));
    say(&mut speaker, "out/n", 0..200);
    // This one ends too, with all that waits.
    drop(broker);
    let broker = here(mine.path(), at);
    let mut speaker = Client::connect(broker.address, called("speaker", false));
    Client::connect(broker.address, called("asked", true)).subscribe("in/#", QoS::AtLeastOnce);
    say(&mut speaker, "out/n", 200..300);
    let other = kind.start(yours.path(), at);
    let mut archive = Client::connect(at, called("archive", true));
    assert_eq!(numbers(&mut archive, "street/out/n", 299), (0..300).collect::<Vec<_>>());
    // It is up: what is asked there arrives here, and does not go back.
    let mut there = Client::connect(at, called("there", false));
    say(&mut there, "street/in/ask", 0..50);
    let mut asked = Client::connect(broker.address, called("asked", true));
    assert_eq!(numbers(&mut asked, "in/ask", 49), (0..50).collect::<Vec<_>>());
    // The other breaks off while the street goes on talking.
    say(&mut speaker, "out/n", 300..350);
    drop((archive, there));
    other.stop();
    say(&mut speaker, "out/n", 350..400);
    let other = kind.start(yours.path(), at);
    let mut archive = Client::connect(at, called("archive", true));
    assert_eq!(numbers(&mut archive, "street/out/n", 399), (300..400).collect::<Vec<_>>());
    other.stop();
}

#[test]
fn what_is_to_go_over_waits_for_the_other_and_keeps_its_order() {
    all_goes_over(&Kind::Ours);
}

#[test]
fn mosquitto_gets_all_of_it_too() {
    let program = std::env::var_os("MOSQUITTO").map_or_else(|| "/usr/sbin/mosquitto".into(), PathBuf::from);
    if program.exists() {
        all_goes_over(&Kind::Mosquitto(program));
    } else {
        eprintln!("NOT TESTED: no {}; MOSQUITTO names another", program.display());
    }
}
