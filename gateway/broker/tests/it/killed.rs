//! What is left of a broker that was killed.

use crate::client::{Client, called, message};
use broker::Settings;
use rmqtt_codec::types::{Publish, QoS};
use rmqtt_codec::v5::Packet;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const FOLDER: &str = "BROKER_FOLDER";
const AT: &str = "BROKER_AT";

/// The broker that is killed, in a process of its own.
pub fn serve() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let mut settings = Settings::new(std::env::var(AT).unwrap().parse().unwrap());
    settings.folder = Some(folder.into());
    let broker = broker::start(settings).unwrap();
    println!("\nlistens on {}", broker.address);
    // Until it is killed, or whoever started it is gone.
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
}

/// A broker in a process of its own.
pub struct Victim {
    child: Child,
    pub at: SocketAddr,
}

impl Victim {
    pub fn start(folder: &Path) -> Self {
        Self::start_at(folder, "127.0.0.1:0".parse().unwrap())
    }

    /// Where another one was.
    pub fn start_at(folder: &Path, at: SocketAddr) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_broker_to_be_killed", "--ignored", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder)
            .env(AT, at.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let at = lines.map_while(Result::ok).find_map(|l| l.strip_prefix("listens on ")?.parse().ok());
        Self { child, at: at.expect("it listens") }
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(publish: &Publish) -> String {
    String::from_utf8(publish.payload.to_vec()).unwrap()
}

#[test]
fn a_kill_loses_no_retained_message_and_none_that_waits_for_somebody() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Victim::start(folder.path());
    Client::connect(broker.at, called("away", true)).subscribe("queue/#", QoS::AtLeastOnce);
    let mut speaker = Client::connect(broker.at, called("speaker", false));
    for n in 0..50 {
        speaker.publish(Publish {
            retain: true,
            ..message(&format!("state/{n}"), &format!("s{n}"), QoS::AtLeastOnce, 1 + n)
        });
    }
    for n in 0..100 {
        speaker.publish(message("queue/x", &format!("q{n}"), QoS::AtLeastOnce, 100 + n));
    }
    let acknowledged = (0..150).filter(|_| matches!(speaker.next(), Some(Packet::PublishAck(_)))).count();
    assert_eq!(acknowledged, 150);
    broker.kill();

    let broker = Victim::start(folder.path());
    let mut away = Client::connect(broker.at, called("away", true));
    assert!(away.session_present);
    let mut ids = Vec::new();
    for n in 0..100 {
        let m = away.message();
        assert_eq!((text(&m), m.dup), (format!("q{n}"), false));
        // All but the last forty are acknowledged.
        if n < 60 {
            away.acknowledge(m.packet_id.unwrap());
            ids.push(m.packet_id.unwrap());
        }
    }
    // Its answer says that it is safe, and all that was said before it.
    away.subscribe("other", QoS::AtLeastOnce);
    broker.kill();

    let broker = Victim::start(folder.path());
    let mut away = Client::connect(broker.at, called("away", true));
    for n in 60..100 {
        let m = away.message();
        assert_eq!((text(&m), m.dup), (format!("q{n}"), true), "what may have arrived is said to be repeated");
        away.acknowledge(m.packet_id.unwrap());
    }
    // Nothing else comes: not what was acknowledged.
    Client::connect(broker.at, called("speaker", false)).publish(message("queue/x", "last", QoS::AtMostOnce, 0));
    assert_eq!(text(&away.message()), "last");
    let mut reader = Client::connect(broker.at, called("reader", false));
    reader.subscribe("state/+", QoS::AtLeastOnce);
    let states: BTreeMap<String, String> = (0..50)
        .map(|_| {
            let m = reader.message();
            assert!(m.retain);
            (m.topic.to_string(), text(&m))
        })
        .collect();
    assert_eq!(states, (0..50).map(|n| (format!("state/{n}"), format!("s{n}"))).collect());
}

/// Publishers send without pause while the broker is killed at moments that nobody chose. Each remembers what was
/// acknowledged; a reader with a session collects. In the end it has all of that, in order.
#[test]
fn kills_at_any_moment_lose_nothing_that_was_acknowledged() {
    let seed = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    let mut heard: Vec<(u32, bool)> = Vec::new();
    let mut next = 0_u32;
    for round in 0..12 {
        let broker = Victim::start(folder.path());
        let mut reader = Client::connect(broker.at, called("reader", true));
        assert_eq!(reader.session_present, round > 0);
        if round == 0 {
            reader.subscribe("n", QoS::AtLeastOnce);
        }
        let mut speaker = Client::connect(broker.at, called("speaker", false));
        let (messages, read) = (random.u32(1..200), random.usize(0..150));
        let first = next;
        for _ in 0..messages {
            let id = u16::try_from(next - first + 1).unwrap();
            speaker.publish(message("n", &next.to_string(), QoS::AtLeastOnce, id));
            next += 1;
        }
        // Somebody else's kill -9 comes while both still talk.
        let answers = random.u32(0..=messages);
        for _ in 0..answers {
            if let Some(Packet::PublishAck(ack)) = speaker.next() {
                acknowledged.push(first + u32::from(ack.packet_id.get()) - 1);
            }
        }
        let waiting = acknowledged
            .len()
            .saturating_sub(heard.iter().map(|(n, _)| n).collect::<std::collections::BTreeSet<_>>().len());
        for _ in 0..read.min(waiting) {
            let m = reader.message();
            heard.push((text(&m).parse().unwrap(), m.dup));
            if random.u8(..) < 200 {
                reader.acknowledge(m.packet_id.unwrap());
            }
        }
        broker.kill();
    }
    let broker = Victim::start(folder.path());
    let mut reader = Client::connect(broker.at, called("reader", true));
    Client::connect(broker.at, called("speaker", false)).publish(message("n", &next.to_string(), QoS::AtLeastOnce, 1));
    loop {
        let m = reader.message();
        let n: u32 = text(&m).parse().unwrap();
        heard.push((n, m.dup));
        reader.acknowledge(m.packet_id.unwrap());
        if n == next {
            break;
        }
    }
    for n in &acknowledged {
        assert!(heard.iter().any(|(h, _)| h == n), "{n} was acknowledged and never delivered");
    }
    // Whoever leaves out what is said to be repeated hears everything once at most, and in order.
    let fresh: Vec<u32> = heard.iter().filter(|(_, dup)| !dup).map(|(n, _)| *n).collect();
    assert!(fresh.is_sorted_by(|a, b| a < b), "{fresh:?}");
    println!(
        "{} acknowledged of {next}, {} heard, {} of them repeats",
        acknowledged.len(),
        heard.len(),
        heard.len() - fresh.len()
    );
}
