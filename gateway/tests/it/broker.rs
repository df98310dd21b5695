//! The gateway's broker and clients that share no code with it: mosquitto's. Rights, TLS, and what a kill leaves.

use crate::foreign::find;
use crate::house::{self, Ended, Room, Running};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Everybody's password.
const WORD: &str = "open-sesame";

/// A street with a broker for several users, and a meter and a switch that speak through it.
struct Street {
    room: Room,
    config: PathBuf,
    secure: u16,
}

impl Street {
    fn new() -> Option<Self> {
        find("mosquitto_pub", "--help")?;
        find("mosquitto_sub", "--help")?;
        let room = Room::new();
        let users = room.write("users", format!("gateway:{WORD}\nhome-1:{WORD}\nhass:{WORD}\n"));
        std::fs::set_permissions(&users, std::fs::Permissions::from_mode(0o600)).unwrap();
        let [page, plain, secure] = [(); 3].map(|()| house::free_port());
        let config = room.config(&format!(
            "[site]\nname = \"lane\"\nstate = \"state\"\n\
             [tariff]\noff_peak = \"0.18\"\npeak = \"0.32\"\nfeed_in = \"0.08\"\npeak_hours = [\"17:00-22:00\"]\n\
             [broker]\nlisten = \"127.0.0.1:{plain}\"\nusers_file = \"users\"\n\
             tls_listen = \"127.0.0.1:{secure}\"\ntls = \"self-signed\"\n\
             [[broker.user]]\nname = \"hass\"\nrole = \"home-assistant\"\n\
             [web]\nlisten = \"127.0.0.1:{page}\"\n[chain]\nkind = \"embedded\"\nchain_id = 31337\n\
             [[bus]]\nid = \"air\"\nkind = \"mqtt\"\nbroker = \"embedded\"\n\
             [[account]]\nid = \"home-1\"\n\
             [[meter]]\nid = \"home-1\"\nbus = \"air\"\ntopic = \"street/1\"\nmodel = \"generic-json\"\naccount = \"home-1\"\n\
             max_power = 10000\n"
        ));
        Some(Self { room, config, secure })
    }

    fn start(&self) -> (Running, SocketAddr) {
        let gateway = Running::gateway(&self.config);
        let at = gateway.listening("mqtt");
        (gateway, at)
    }
}

fn client(program: &str, at: SocketAddr, user: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(["-h", "127.0.0.1", "-p", &at.port().to_string(), "-u", user, "-P", WORD]).args(args);
    command
}

fn publish(at: SocketAddr, user: &str, args: &[&str]) -> Ended {
    house::run(&mut client("mosquitto_pub", at, user, args))
}

/// What a client hears that waits for so many messages, five seconds at most.
fn hear(at: SocketAddr, user: &str, messages: usize, args: &[&str]) -> Vec<String> {
    let messages = messages.to_string();
    let mut listener = client("mosquitto_sub", at, user, &["-v", "-C", &messages, "-W", "5"]);
    house::run(listener.args(args)).out.lines().map(str::to_owned).collect()
}

#[test]
fn each_user_speaks_only_as_itself_and_reads_only_its_own() {
    let Some(street) = Street::new() else { return };
    let (gateway, at) = street.start();
    for version in ["311", "5"] {
        let with = |args: &[&'static str]| [&["-V", version], args].concat();
        // Nobody without a password, or with a wrong one.
        let mut stranger = Command::new("mosquitto_pub");
        stranger.args(["-h", "127.0.0.1", "-p", &at.port().to_string(), "-t", "street/1/x", "-m", "x", "-V", version]);
        assert_ne!(house::run(&mut stranger).code, 0);
        // A meter cannot forge what the gateway says, nor what another meter does; nothing of that is kept.
        for topic in ["microgrid/lane/meter/home-1/state", "street/2/reading", "homeassistant/device/x/config"] {
            publish(at, "home-1", &with(&["-t", topic, "-m", "forged", "-r", "-q", "1"]));
        }
        publish(at, "home-1", &with(&["-t", "street/1/note", "-m", "own", "-r", "-q", "1"])).well();
        assert_eq!(hear(at, "home-1", 1, &with(&["-t", "street/1/#"])), ["street/1/note own"]);
        let mut curious = client("mosquitto_sub", at, "home-1", &["-t", "#", "-C", "1", "-W", "2"]);
        let refused = house::run(curious.args(["-V", version]));
        assert!(refused.out.is_empty() && refused.err.contains("denied"), "{}", refused.err);
        // The gateway's own user reads everything.
        let heard = hear(at, "gateway", 40, &with(&["-t", "#", "-W", "2"]));
        assert!(!heard.is_empty() && !heard.iter().any(|line| line.contains("forged")), "{heard:#?}");
        // Home Assistant reads all states, and none of the devices' own topics.
        let status = hear(at, "hass", 1, &with(&["-t", "microgrid/lane/status"]));
        assert_eq!(status, ["microgrid/lane/status online"]);
        publish(at, "hass", &with(&["-t", "microgrid/lane/status", "-m", "forged", "-r", "-q", "1"]));
        assert_eq!(hear(at, "hass", 1, &with(&["-t", "microgrid/lane/status"])), ["microgrid/lane/status online"]);
    }
    let figures = house::get(gateway.listening("http"), "/metrics").body;
    let figure = |name: &str| -> u64 {
        let line = figures.lines().find_map(|line| line.strip_prefix(&format!("microgrid_broker_{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {figures}")).parse().unwrap()
    };
    // By each of two versions: a stranger, three forgeries of a meter and one of Home Assistant, one message of its own.
    assert!(figure("connections_refused_total") >= 2 && figure("messages_refused_total") >= 8, "{figures}");
    assert!(figure("messages_received_total") >= 2 && figure("messages_sent_total") > 2, "{figures}");
    assert!(figure("clients_connected") >= 1 && figure("retained_messages") > 1, "{figures}");
    drop(gateway);
}

#[test]
fn others_come_by_tls_and_see_the_certificate_that_was_made() {
    let Some(street) = Street::new() else { return };
    let (gateway, _) = street.start();
    let secure = gateway.listening("mqtts");
    assert_eq!(secure.port(), street.secure);
    let certificate = street.room.path("state/keys/mqtt.crt");
    let hear = |authority: &Path| {
        let mut listener = Command::new("mosquitto_sub");
        listener.args(["-h", "localhost", "-p", &secure.port().to_string(), "-u", "hass", "-P", WORD, "--cafile"]);
        house::run(listener.arg(authority).args(["-t", "microgrid/lane/status", "-C", "1", "-W", "5"]))
    };
    assert_eq!(hear(&certificate).well().out.trim(), "online");
    // Who trusts the certificate of another street only does not connect.
    let Some(other) = Street::new() else { return };
    drop(other.start());
    assert_ne!(hear(&other.room.path("state/keys/mqtt.crt")).code, 0);
    // Nothing is said there in the clear.
    let plain = client("mosquitto_sub", secure, "hass", &["-t", "#", "-C", "1", "-W", "2"]).output().unwrap();
    assert!(!plain.status.success());
    drop(gateway);
}

#[test]
fn a_kill_of_the_gateway_loses_nothing_that_its_broker_acknowledged() {
    let Some(street) = Street::new() else { return };
    let (gateway, at) = street.start();
    // A program of the meter's user goes away, and what it waits for is published meanwhile.
    let session = ["-c", "-i", "archive", "-q", "1", "-t", "street/1/log"];
    house::run(client("mosquitto_sub", at, "home-1", &[]).args(session).arg("-E")).well();
    for n in 0..20 {
        publish(at, "home-1", &["-q", "1", "-t", "street/1/log", "-m", &n.to_string()]).well();
    }
    publish(at, "home-1", &["-q", "1", "-r", "-t", "street/1/kept", "-m", "yes"]).well();
    let id = gateway.id().to_string();
    house::run(Command::new("kill").args(["-9", &id])).well();
    drop(gateway);

    let (gateway, at) = street.start();
    let heard = hear(at, "home-1", 20, &session);
    assert_eq!(heard, (0..20).map(|n| format!("street/1/log {n}")).collect::<Vec<_>>());
    assert_eq!(hear(at, "home-1", 1, &["-t", "street/1/kept"]), ["street/1/kept yes"]);
    drop(gateway);
}
