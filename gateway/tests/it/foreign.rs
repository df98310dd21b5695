//! The gateway among programs that share no code with it: pymodbus, socat, mosquitto's clients, and ethers.

use crate::house::{self, Room, Running, eventually};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program that a test cannot do without. If it is missing the test says so and passes, unless
/// `MICROGRID_REQUIRE_FOREIGN=1` says that it must not.
pub fn find(program: impl AsRef<Path>, version: &str) -> Option<PathBuf> {
    let program = program.as_ref();
    let answers = Command::new(program).arg(version).output().is_ok();
    answers.then(|| program.to_owned()).or_else(|| missing(&program.display().to_string()))
}

fn missing<T>(what: &str) -> Option<T> {
    assert_ne!(
        std::env::var("MICROGRID_REQUIRE_FOREIGN").as_deref(),
        Ok("1"),
        "{what} is missing, and MICROGRID_REQUIRE_FOREIGN=1"
    );
    eprintln!("NOT TESTED: {what} is missing; see gateway/tests/foreign/requirements.txt and contracts/package.json");
    None
}

/// A Python that has pymodbus.
pub fn python() -> Option<PathBuf> {
    python_with("pymodbus, serial")
}

/// A Python that has these modules.
pub fn python_with(modules: &str) -> Option<PathBuf> {
    let python = std::env::var_os("MICROGRID_PYTHON").map(PathBuf::from);
    let python = find(python.unwrap_or_else(|| house::workspace().join(".venv/bin/python")), "--version")?;
    let has_them = house::run(Command::new(&python).args(["-c", &format!("import {modules}")])).code == 0;
    if has_them { Some(python) } else { missing(modules) }
}

/// A script of the foreign side.
pub fn script(name: &str) -> PathBuf {
    house::workspace().join("gateway/tests/foreign").join(name)
}

/// A serial cable: two pseudo-terminals, joined by socat.
fn cable(socat: &Path, room: &Room) -> (PathBuf, PathBuf, Running) {
    let (here, there) = (room.path("ttyGateway"), room.path("ttyGarden"));
    let end = |link: &Path| format!("pty,raw,echo=0,link={}", link.display());
    let mut command = Command::new(socat);
    let cable = Running::start("socat", command.args(["-d", "-d"]).arg(end(&here)).arg(end(&there)));
    cable.line("that it transfers", |line| line.contains("starting data transfer").then_some(()));
    (here, there, cable)
}

/// An account as the contract states it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct OnChain {
    balance: i128,
    off_peak: i128,
    peak: i128,
    feed_in: i128,
    open: bool,
}

/// Asks the contract, byte by byte: `account(uint32)` answers balance, three registers and flags, 32 bytes each.
fn on_chain(rpc: SocketAddr, provider: &str, number: i64) -> OnChain {
    let call = json!([{ "to": provider, "data": format!("0x9f3280f5{number:064x}") }, "latest"]);
    let answer = house::rpc(rpc, "eth_call", &call);
    let digits = answer.as_str().unwrap().trim_start_matches("0x");
    // Nothing here needs more than the lower half of a word, in two's complement.
    let word = |i: usize| u128::from_str_radix(&digits[64 * i + 32..64 * (i + 1)], 16).unwrap().cast_signed();
    OnChain { balance: word(0), off_peak: word(1), peak: word(2), feed_in: word(3), open: word(4) & 1 == 1 }
}

/// A street of three homes, of which each is somebody else's hardware.
struct Lane {
    room: Room,
    config: PathBuf,
    gateway: Running,
    garden: Running,
    listener: Running,
    attic: Running,
    page: SocketAddr,
    rpc: SocketAddr,
    mqtt: String,
    _cable: Running,
}

const HOMES: [&str; 3] = ["hall", "barn", "attic"];

impl Lane {
    fn open(python: &Path, socat: &Path, wallet: &str, room: Room) -> Self {
        let (here, there, cable) = cable(socat, &room);
        let mut command = Command::new(python);
        let garden = Running::start("garden.py", command.arg(script("garden.py")).arg(there));
        let modbus: u16 = garden.line("its TCP port", |line| line.strip_prefix("tcp ")?.parse().ok());
        let mqtt = house::free_port().to_string();
        let config = room.config(&config(modbus, &here, &mqtt, wallet));
        let gateway = Running::gateway(&config);
        let (page, rpc) = (gateway.listening("http"), gateway.listening("json_rpc"));
        let client = |name: &str, args: &[&str]| {
            Running::start(name, Command::new(name).args(["-h", "127.0.0.1", "-p", &mqtt]).args(args))
        };
        let listener = client("mosquitto_sub", &["-v", "-t", "microgrid/#", "-t", "homeassistant/#"]);
        let attic = client("mosquitto_pub", &["-l", "-q", "1", "-t", "lane/attic/reading"]);
        Self { room, config, gateway, garden, listener, attic, page, rpc, mqtt, _cable: cable }
    }

    fn home(&self, account: &str) -> Value {
        let street = house::state(self.page);
        let mut homes = street["homes"].as_array().unwrap().iter();
        homes.find(|home| home["account"] == account).unwrap_or_else(|| panic!("no {account} in {street:#}")).clone()
    }

    fn import_wh(&self, account: &str) -> Option<i64> {
        #[allow(clippy::cast_possible_truncation, reason = "a few hundred thousand")]
        self.home(account)["meters"][0]["import_kwh"].as_f64().map(|kwh| (kwh * 1000.0).round() as i64)
    }

    /// Waits until pymodbus says that the coil did this; says how many lines it had said by then.
    fn coil_moves_after(&self, seen: usize, what: &str) -> usize {
        self.garden.line_after(seen, what, |line| (line == what).then_some(())).0
    }

    fn position(&self, account: &str) -> Value {
        self.home(account)["switches"][0]["position"].clone()
    }

    /// Publishes a reading of the attic's meter, and waits until the gateway has recorded it.
    fn attic_says(&mut self, wh: i64) {
        self.attic.tell(&json!({ "import_wh": wh, "power_w": 1200, "voltage_v": 229.5 }).to_string());
        eventually(&format!("the attic's {wh} Wh"), || (self.import_wh("attic") == Some(wh)).then_some(()));
    }

    /// The newest retained or live message on a topic.
    fn heard(&self, topic: &str) -> Option<Value> {
        let lines = self.listener.lines();
        let newest = lines.iter().rev().find_map(|line| line.strip_prefix(topic)?.strip_prefix(' '))?;
        Some(serde_json::from_str(newest).unwrap_or_else(|_| Value::from(newest)))
    }

    fn export(&self) -> Vec<Value> {
        let ended = house::verb(&["journal", "export"], &self.config);
        ended.well();
        ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn config(modbus: u16, serial: &Path, mqtt: &str, wallet: &str) -> String {
    let mut text = house::SOUND.replace(
        "rpc_listen",
        &format!("settle_every = \"2s\"\nfund = [\"{wallet}\"] # the neighbours' own wallet\nrpc_listen"),
    );
    text += &format!(
        r#"
[broker]
listen = "127.0.0.1:{mqtt}"

[[bus]]
id = "lan"
kind = "modbus-tcp"
address = "127.0.0.1:{modbus}"

[[bus]]
id = "rtu"
kind = "modbus-rtu"
port = {serial:?}

[[bus]]
id = "air"
kind = "mqtt"
broker = "embedded"
"#
    );
    for (home, place) in HOMES.iter().zip([
        "bus = \"lan\"\nunit = 1\nmodel = \"eastron-sdm230\"\nperiod = \"500ms\"",
        "bus = \"rtu\"\nunit = 5\nmodel = \"eastron-sdm120\"\nperiod = \"500ms\"",
        "bus = \"air\"\ntopic = \"lane/attic\"\nmodel = \"generic-json\"\nperiod = \"60s\"",
    ]) {
        text += &format!(
            "\n[[account]]\nid = \"{home}\"\nlow_at = \"0.02\"\nrestore_at = \"0.01\"\n\n\
             [[meter]]\nid = \"{home}\"\naccount = \"{home}\"\n{place}\n"
        );
    }
    text + "\n[[switch]]\nid = \"barn\"\naccount = \"barn\"\nbus = \"rtu\"\nunit = 9\nmodel = \"modbus-relay-coil\"\n\
            on_silence = \"hold\"\n"
}

#[test]
fn meters_switches_brokers_and_wallets_by_others_make_one_street() {
    let Some(python) = python() else { return };
    let Some(socat) = find("socat", "-V") else { return };
    let Some(node) = find("node", "--version") else { return };
    let (Some(_), Some(_)) = (find("mosquitto_pub", "--help"), find("mosquitto_sub", "--help")) else { return };
    let ethers = house::workspace().join("contracts/node_modules/ethers");
    if !ethers.exists() {
        return missing("ethers").unwrap_or_default();
    }

    let room = Room::new();
    let key = room.path("wallet.key");
    let made = house::run(house::gateway(["key", "new"]).arg(&key));
    let wallet = made.well().out.trim().to_owned();
    let mut lane = Lane::open(&python, &socat, &wallet, room);

    // Everybody is read, whatever they speak.
    lane.attic_says(40_000);
    for home in HOMES {
        eventually(&format!("{home} is read"), || lane.import_wh(home));
    }
    assert_eq!(lane.home("hall")["meters"][0]["voltage_v"], 230.5);
    assert_eq!(lane.home("attic")["meters"][0]["power_w"], 1200);
    assert_eq!(lane.home("hall")["meters"][0]["wanted_period_ms"], 500);
    // The first answer of a device may be late, so that the second follows it sooner.
    eventually("the hall is shown to be read no oftener than it should be", || {
        lane.home("hall")["meters"][0]["period_ms"].as_u64().filter(|ms| *ms >= 450)
    });

    // Nobody has paid yet, so nobody is cut off: the relay board that came up open is closed.
    let seen = lane.coil_moves_after(0, "coil closed");
    lane.attic_says(40_100);

    // The contract is deployed and every account is open on it.
    let provider =
        eventually("the contract", || house::state(lane.page)["chain"]["provider"].as_str().map(str::to_owned));
    let numbers: BTreeMap<&str, i64> = HOMES.map(|home| (home, lane.home(home)["number"].as_i64().unwrap())).into();
    let barn = numbers["barn"];
    eventually("the barn's account is open", || on_chain(lane.rpc, &provider, barn).open.then_some(()));

    // Somebody pays a little into the barn's account, with a wallet that never heard of us: seconds of energy.
    let pay = |units: i128| {
        let mut command = Command::new(&node);
        command.arg(house::workspace().join("contracts/test/foreign.mjs")).arg(format!("http://{}", lane.rpc));
        command.arg(&provider).arg(&key).arg(barn.to_string()).arg(units.to_string());
        let ended = house::run(&mut command);
        let receipt: Value = serde_json::from_str(&ended.well().out).unwrap();
        assert_eq!(receipt["deposited"], units.to_string(), "{receipt}");
        assert_eq!(receipt["payer"].as_str().unwrap().to_lowercase(), wallet.to_lowercase());
        receipt["transaction"].as_str().unwrap().to_owned()
    };
    let owed = eventually("the barn has used energy", || {
        let balance = lane.home("barn")["balance_units"].as_i64()?;
        (balance < 0).then_some(-i128::from(balance))
    });
    let little = owed + 20_000_000;
    let first = pay(little);

    // It is used up, and the relay opens: the coil in pymodbus, not our opinion of it.
    let seen = lane.coil_moves_after(seen, "coil open");
    eventually("the page shows it", || (lane.position("barn") == "open").then_some(()));
    eventually("the broker was told", || {
        (lane.heard("microgrid/lane/switch/barn/state")?["position"] == "open").then_some(())
    });
    let dark = lane.home("barn");
    assert_eq!(dark["credit"], "exhausted");
    assert!(dark["balance_units"].as_i64().unwrap() <= 0, "{dark:#}");

    // A larger payment brings it back, and the meter counts again.
    let much = 1_000_000_000_000;
    let second = pay(much);
    let stood_at = lane.import_wh("barn").unwrap();
    lane.coil_moves_after(seen, "coil closed");
    eventually("the page shows it", || (lane.position("barn") == "closed").then_some(()));
    eventually("the barn uses energy again", || (lane.import_wh("barn")? > stood_at).then_some(()));
    lane.attic_says(40_163);

    // From here on nothing counts any more, and everything must come to rest at exactly these registers.
    lane.garden.tell("freeze");
    let last: BTreeMap<&str, i64> = lane.garden.line("frozen", |line| {
        let mut numbers = line.strip_prefix("frozen ")?.split(' ').map(|n| n.parse().unwrap());
        Some([("hall", numbers.next()?), ("barn", numbers.next()?), ("attic", 40_163)].into())
    });
    for home in HOMES {
        eventually(&format!("{home} at rest"), || (lane.import_wh(home)? == last[home]).then_some(()));
    }
    // "Nothing pending" alone would also hold before the last reading is priced.
    let exported = lane.export();
    let began_at = |home: &str| {
        let mut readings = exported.iter().map(|line| &line["reading"]).filter(|r| r["meter"] == home);
        readings.find_map(|r| r["import"].as_i64()).unwrap()
    };
    let used: BTreeMap<&str, i128> = HOMES.map(|home| (home, i128::from(last[home] - began_at(home)))).into();
    for home in HOMES {
        eventually(&format!("all that {home} used is settled"), || {
            let there = on_chain(lane.rpc, &provider, numbers[home]);
            (there.off_peak + there.peak == used[home]).then_some(())
        });
    }
    eventually("the ledger knows it", || {
        let ledger = &house::state(lane.page)["ledger"];
        (ledger["pending_wh"] == 0 && ledger["metered_wh"] == ledger["settled_wh"]).then_some(())
    });
    let registers: BTreeMap<&str, OnChain> =
        numbers.iter().map(|(home, number)| (*home, on_chain(lane.rpc, &provider, *number))).collect();
    let balances: BTreeMap<&str, i64> = HOMES.map(|h| (h, lane.home(h)["balance_units"].as_i64().unwrap())).into();

    the_broker_tells_home_assistant(&lane, &last);

    let exported = lane.export();
    the_books_agree(&exported, &registers, &balances, &last);
    the_payments_are_recorded(&exported, &[(&first, little), (&second, much)]);

    let Lane { gateway, config, room: _room, .. } = lane;
    assert_eq!(gateway.stop(), 0);
    let audit = house::verb(&["journal", "verify"], &config);
    assert_eq!(serde_json::from_str::<Value>(&audit.well().out).unwrap()["findings"], json!([]));
}

/// What the meters said, what was billed and what the contract holds are one number, and the money follows from it.
fn the_books_agree(
    exported: &[Value],
    registers: &BTreeMap<&str, OnChain>,
    balances: &BTreeMap<&str, i64>,
    last: &BTreeMap<&str, i64>,
) {
    for home in HOMES {
        let readings = exported.iter().map(|line| &line["reading"]).filter(|reading| reading["meter"] == home);
        let imports: Vec<i64> = readings.map(|reading| reading["import"].as_i64().unwrap()).collect();
        assert!(imports.len() >= 3, "{home}: {imports:?}");
        assert!(imports.is_sorted(), "{home} counted backwards: {imports:?}");
        assert_eq!(imports.last(), Some(&last[home]), "{home}");
        let there = registers[home];
        assert_eq!(there.off_peak + there.peak, i128::from(last[home] - imports[0]), "{home}: {there:?}");
        assert_eq!(there.feed_in, 0);
        assert_eq!(there.balance, i128::from(balances[home]), "{home}");
        // 0.18 and 0.32 per kWh, in billionths per Wh.
        let used = there.off_peak * 180_000 + there.peak * 320_000;
        let paid: i128 = of_kind(exported, "topped_up")
            .filter(|fact| fact["account"] == home)
            .map(|fact| i128::from(fact["amount"].as_i64().unwrap()))
            .sum();
        assert_eq!(there.balance, paid - used, "{home}");
    }
    assert!(of_kind(exported, "settled").count() >= 1);
    let moves: Vec<&Value> = of_kind(exported, "switch_confirmed").collect();
    let positions: Vec<&str> = moves.iter().map(|fact| fact["position"].as_str().unwrap()).collect();
    assert_eq!(positions, ["closed", "open", "closed"]);
    assert_eq!((&moves[1]["reason"], &moves[2]["reason"]), (&json!("credit_exhausted"), &json!("credit_restored")));
    assert_eq!(of_kind(exported, "meter_held").count() + of_kind(exported, "settlement_refused").count(), 0);
}

fn the_payments_are_recorded(exported: &[Value], payments: &[(&str, i128)]) {
    let recorded: Vec<(&str, i128)> = of_kind(exported, "topped_up")
        .map(|fact| (fact["source"]["transaction"].as_str().unwrap(), i128::from(fact["amount"].as_i64().unwrap())))
        .collect();
    assert_eq!(recorded, payments);
}

fn of_kind<'a>(exported: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    exported.iter().map(|line| &line["fact"]).filter(move |fact| fact["fact"] == kind)
}

fn the_broker_tells_home_assistant(lane: &Lane, last: &BTreeMap<&str, i64>) {
    for home in HOMES {
        let state = format!("microgrid/lane/meter/{home}/state");
        #[allow(clippy::cast_precision_loss, reason = "a few hundred thousand")]
        let kwh = last[home] as f64 / 1000.0;
        eventually(&format!("the last word of {home} on {state}"), || {
            (lane.heard(&state)?["import_kwh"].as_f64()? == kwh).then_some(())
        });
        let device = lane.heard(&format!("homeassistant/device/microgrid_lane_{home}/config")).unwrap();
        for (component, class, state_class, unit) in [
            ("import_kwh", "energy", "total_increasing", "kWh"),
            ("export_kwh", "energy", "total_increasing", "kWh"),
            ("power_w", "power", "measurement", "W"),
            ("voltage_v", "voltage", "measurement", "V"),
            ("current_a", "current", "measurement", "A"),
            ("frequency_hz", "frequency", "measurement", "Hz"),
        ] {
            let component = &device["components"][component];
            assert_eq!(component["platform"], "sensor");
            assert_eq!(component["device_class"], class);
            assert_eq!(component["state_class"], state_class);
            assert_eq!(component["unit_of_measurement"], unit);
            assert_eq!(component["state_topic"], state);
            assert!(component["unique_id"].as_str().is_some_and(|id| id.contains(home)), "{component}");
        }
        assert_eq!(device["components"]["balance"]["device_class"], "monetary");
        assert_eq!(lane.heard(&format!("microgrid/lane/meter/{home}/availability")).unwrap(), "online");
    }
    assert_eq!(lane.heard("microgrid/lane/status").unwrap(), "online");
    // Who subscribes late is told the same, because it is retained.
    let topic = "homeassistant/device/microgrid_lane_barn/config";
    let mut late = Command::new("mosquitto_sub");
    let late = house::run(late.args(["-h", "127.0.0.1", "-p", &lane.mqtt, "-t", topic, "-C", "1", "-W", "60"]));
    let barn: Value = serde_json::from_str(&late.well().out).unwrap();
    assert_eq!(Some(&barn), lane.heard(topic).as_ref());
    let supply = &barn["components"]["switch_barn"];
    assert_eq!(supply["state_topic"], "microgrid/lane/switch/barn/state");
    assert_eq!(supply["platform"], "binary_sensor");
    assert_eq!(supply["device_class"], "power");
}
