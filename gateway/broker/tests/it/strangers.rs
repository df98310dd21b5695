//! Clients that share no code with the broker: paho, MQTT.js and mosquitto's. What is not installed is not tried, unless
//! `MICROGRID_REQUIRE_FOREIGN=1` says that it must be.

use crate::killed::Victim;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign").join(name)
}

/// Whether this command ends well; if not, it is missing.
fn is_there(command: &mut Command) -> bool {
    let there = command.output().is_ok_and(|ended| ended.status.success());
    let required = std::env::var("MICROGRID_REQUIRE_FOREIGN").as_deref() == Ok("1");
    assert!(there || !required, "{command:?} fails, and MICROGRID_REQUIRE_FOREIGN=1");
    if !there {
        eprintln!("NOT TESTED: {command:?} fails; `make test` installs what is missing");
    }
    there
}

/// What it says, line by line, to its end, which must be a good one.
fn follow(mut command: Command, mut line: impl FnMut(&str)) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    for said in BufReader::new(child.stdout.take().unwrap()).lines() {
        let said = said.unwrap();
        println!("{said}");
        line(&said);
    }
    assert!(child.wait().unwrap().success(), "{command:?}");
}

fn paho(python: &Path, at: SocketAddr, version: &str, when: &str) {
    let mut command = Command::new(python);
    command.arg(script("paho_client.py")).args([&at.port().to_string(), version, when]);
    let mut last = String::new();
    follow(command, |line| line.clone_into(&mut last));
    assert_eq!(last, "well");
}

#[test]
fn paho_finds_all_that_both_versions_promise_and_its_session_after_a_kill() {
    let python = std::env::var_os("MICROGRID_PYTHON").map(PathBuf::from);
    let python = python.unwrap_or_else(|| script("../../../../.venv/bin/python"));
    if !is_there(Command::new(&python).args(["-c", "import paho.mqtt.client"])) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let broker = Victim::start(folder.path());
    for version in ["3", "5"] {
        paho(&python, broker.at, version, "before");
    }
    broker.kill();
    let broker = Victim::start(folder.path());
    for version in ["3", "5"] {
        paho(&python, broker.at, version, "after");
    }
    broker.kill();
}

#[test]
fn mqtt_js_gets_every_number_once_though_its_broker_is_killed() {
    if !is_there(Command::new("node").arg(script("node_modules/mqtt/build/bin/mqtt.js")).arg("version")) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for version in ["4", "5"] {
        let mut broker = Some(Victim::start(folder.path()));
        let at = broker.as_ref().unwrap().at;
        let mut command = Command::new("node");
        command.arg(script("mqttjs_client.mjs")).args([&at.port().to_string(), version]);
        let (mut kills, mut last) = (0, String::new());
        follow(command, |line| {
            if line == "kill me" {
                kills += 1;
                broker.take().unwrap().kill();
                broker = Some(Victim::start_at(folder.path(), at));
            }
            line.clone_into(&mut last);
        });
        assert_eq!((kills, &*last), (3, "all of it"));
    }
}

/// A program of mosquitto's and what it printed.
fn mosquitto(program: &str, at: SocketAddr, args: &[&str]) -> String {
    let mut command = Command::new(program);
    let ended = command.args(["-h", "127.0.0.1", "-p", &at.port().to_string()]).args(args).output().unwrap();
    String::from_utf8(ended.stdout).unwrap() + &String::from_utf8(ended.stderr).unwrap()
}

#[test]
fn mosquitto_s_clients_ask_and_are_answered_and_are_told_how_the_broker_is() {
    if !(is_there(Command::new("sh").args(["-c", "command -v mosquitto_sub mosquitto_pub mosquitto_rr"]))) {
        return;
    }
    let broker = broker::start(broker::Settings::new("127.0.0.1:0".parse().unwrap())).unwrap();
    let at = broker.address;
    for version in ["311", "5"] {
        let with = |args: &[&'static str]| [&["-V", version, "-W", "10"], args].concat();
        // What is asked is retained, so that it does not matter who comes first.
        let ask = ["-V", version, "-r", "-q", "2", "-t", "ask", "-m", "how much?"];
        mosquitto("mosquitto_pub", at, &ask);
        assert_eq!(
            mosquitto("mosquitto_sub", at, &with(&["-q", "2", "-t", "+", "-C", "1", "-F", "%q %r %t %p"])),
            "2 1 ask how much?\n"
        );
        let told = mosquitto("mosquitto_sub", at, &with(&["-t", "$SYS/broker/#", "-C", "16", "-v"]));
        for line in ["version microgrid-gateway 0.", "uptime ", "clients/connected ", "publish/messages/received "] {
            assert!(told.contains(&format!("$SYS/broker/{line}")), "{told}");
        }
    }
    let refused = mosquitto("mosquitto_sub", at, &["-V", "5", "-t", "$share/group/ask", "-C", "1", "-W", "10"]);
    assert!(refused.contains("All subscription requests were denied"), "{refused}");
    // By 5 an answer goes where the question says. Who answers has a session, so that it does not matter who comes first.
    let session = ["-V", "5", "-c", "-x", "600", "-i", "answers", "-q", "1", "-t", "question", "-W", "10"];
    mosquitto("mosquitto_sub", at, &[&session[..], &["-E"]].concat());
    let asks = std::thread::spawn(move || {
        let args = ["-V", "5", "-t", "question", "-e", "answer", "-m", "price?", "-W", "20", "-q", "1"];
        mosquitto("mosquitto_rr", at, &args)
    });
    let question = mosquitto("mosquitto_sub", at, &[&session[..], &["-C", "1", "-F", "%R %p"]].concat());
    assert_eq!(question, "answer price?\n");
    mosquitto("mosquitto_pub", at, &["-V", "5", "-q", "1", "-t", "answer", "-m", "0.32"]);
    assert_eq!(asks.join().unwrap(), "0.32\n");
    let figures = broker.figures();
    assert!(figures.received == 4 && figures.sent >= 36 && figures.refused == 0, "{figures:?}");
}
