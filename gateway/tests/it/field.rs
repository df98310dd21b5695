//! What an installer meets: what is wrong on a machine, what becomes of switches without a gateway, what a package holds.

use crate::house::{self, Room, Running};
use serde_json::Value;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// Two homes; the simulator that serves their devices is another process.
fn street(port: u16, simulated: bool, state: &str) -> String {
    let mut text = house::SOUND.replace("state = \"state\"", &format!("state = \"{state}\""));
    text += &format!(
        "\n[simulator]\nseed = 7\n\n[[bus]]\nid = \"lan\"\nkind = \"modbus-tcp\"\naddress = \"127.0.0.1:{port}\"\nsimulate = {simulated}\n"
    );
    for (home, unit, on_silence, protected) in
        [("hall", 2, "open", false), ("barn", 3, "closed", true), ("attic", 4, "hold", false)]
    {
        text += &format!(
            "\n[[account]]\nid = \"{home}\"\nprotected = {protected}\n\n\
             [[meter]]\nid = \"{home}\"\naccount = \"{home}\"\nbus = \"lan\"\nunit = {unit}\nmodel = \"sim-home\"\n\n\
             [[switch]]\nid = \"{home}\"\naccount = \"{home}\"\nbus = \"lan\"\nunit = {unit}\nmodel = \"sim-home\"\n\
             on_silence = \"{on_silence}\"\n"
        );
    }
    text
}

#[test]
fn switches_go_where_silence_wants_them_once_no_gateway_runs_though_its_configuration_was_broken() {
    let room = Room::new();
    let port = house::free_port();
    let served = room.write("served.toml", street(port, true, "simulator"));
    let simulator = Running::start("the simulator", house::gateway(["simulate", "-c"]).arg(&served));
    simulator.line("that it serves", |line| line.contains("Ctrl-C").then_some(()));

    let config = room.config(&street(port, false, "state"));
    house::verb(&["silence"], &config).well();
    let gateway = Running::gateway(&config);
    gateway.line("where the hall's switch is", |line| line.contains("hall").then_some(()));
    house::verb(&["silence"], &config).complains(69, &["another gateway runs"]);
    assert_eq!(gateway.stop(), 0);
    let position = |home: &str| house::verb(&["probe", home], &config).well().out.lines().last().unwrap().to_owned();
    for home in ["hall", "barn", "attic"] {
        assert_eq!(position(home), format!("{home} is closed"));
    }

    // Somebody edits the file, and the gateway starts no more.
    let sound = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{sound}\n[[switch]]\nid = \"hall\"\n")).unwrap();
    house::verb(&["run"], &config).complains(78, &["gateway.toml"]);
    house::verb(&["silence"], &config).complains(78, &["--state"]);
    let mut silence = house::gateway(["silence"]);
    let silent = house::run(silence.env("STATE_DIRECTORY", room.path("state")).arg("-c").arg(&config));
    silent.complains(0, &["gateway.toml", "that ran last"]);
    assert!(silent.out.contains("switch hall: open"), "{}", silent.out);
    for other in ["switch barn: closed", "switch attic: stays"] {
        assert!(silent.out.contains(other), "{}", silent.out);
    }
    std::fs::write(&config, sound).unwrap();
    assert_eq!((position("hall"), position("barn")), ("hall is open".into(), "barn is closed".into()));
    let told = house::verb(&["journal", "tail"], &config).well().out.clone();
    assert!(told.contains("hall") && told.contains("open"), "{told}");
    assert_eq!(simulator.stop(), 0);
}

#[test]
fn a_doctor_finds_everything_that_is_wrong_and_says_what_to_do() {
    let room = Room::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let [meters, node] = std::array::from_fn(|_| house::free_port());
    let text = street(meters, false, "state")
        .replace("kind = \"embedded\"", "kind = \"rpc\"")
        .replace("rpc_listen = \"127.0.0.1:0\"", &format!("url = \"http://127.0.0.1:{node}\"\nkey_file = \"k.key\""))
        .replace("listen = \"127.0.0.1:0\"", &format!("listen = \"{}\"", taken.local_addr().unwrap()))
        + "\n[[bus]]\nid = \"rtu\"\nkind = \"modbus-rtu\"\nport = \"/dev/serial/by-id/nobody\"\nbaud = 9600\n";
    let config = room.config(&text);
    house::run(house::gateway(["key", "new"]).arg(room.path("k.key"))).well();
    std::fs::set_permissions(room.path("k.key"), std::fs::Permissions::from_mode(0o644)).unwrap();

    let found = house::verb(&["doctor", "--json"], &config);
    found.complains(1, &["keep the gateway from working"]);
    let all: Vec<Value> = serde_json::from_str(&found.out).unwrap();
    let of = |about: &str| all.iter().find(|f| f["about"] == about).unwrap_or_else(|| panic!("{about} in {all:#?}"));
    for (about, what, fix) in [
        ("page", "in use", "another port"),
        ("bus rtu", "/dev/serial/by-id/nobody", ""),
        ("bus lan", &format!("127.0.0.1:{meters}"), "cable"),
        ("key", "can be read by others", "chmod 600"),
        ("chain", "127.0.0.1", "settlement waits"),
    ] {
        let finding = of(about);
        assert_eq!(finding["grade"], "bad", "{finding}");
        assert!(finding["what"].as_str().unwrap().contains(what), "{finding}");
        assert!(finding["fix"].as_str().unwrap().contains(fix), "{finding}");
    }
    assert_eq!(of("configuration")["grade"], "good");
    assert_ne!(of("disk")["grade"], "bad");
    let spoken = house::verb(&["doctor"], &config);
    assert!(spoken.out.contains("bad       key") && spoken.out.contains("→ chmod 600"), "{}", spoken.out);
    assert!(!room.path("state").exists(), "a doctor only looks");

    std::fs::write(&config, text.replace("unit = 2", "unit = 900")).unwrap();
    let broken = house::verb(&["doctor"], &config);
    broken.complains(1, &[]);
    assert!(broken.out.contains("bad       configuration") && broken.out.contains("meter[1].unit"), "{}", broken.out);
}

#[test]
fn a_doctor_has_nothing_against_a_street_that_runs() {
    let room = Room::new();
    let config = room.config(&street(house::free_port(), true, "state"));
    house::verb(&["doctor"], &config).well();
    let gateway = Running::gateway(&config);
    let found = house::verb(&["doctor"], &config);
    found.well();
    for part in ["it runs", "the gateway listens on", "newest record", "the settler is 0x", "simulated"] {
        assert!(found.out.contains(part), "{part:?} in {}", found.out);
    }
    assert_eq!(gateway.stop(), 0);
}

#[test]
fn every_verb_has_a_manual_page_and_shells_read_the_completions() {
    let room = Room::new();
    let (pages, completions) = (room.path("man"), room.path("completions"));
    house::run(house::gateway(["papers", "man"]).arg(&pages)).well();
    house::run(house::gateway(["papers", "completions"]).arg(&completions)).well();
    let help = house::run(&mut house::gateway(["--help"]));
    let verbs =
        help.out.lines().skip_while(|line| *line != "Commands:").skip(1).map_while(|line| {
            line.strip_prefix("  ").and_then(|line| line.split_whitespace().next()).map(str::to_owned)
        });
    let verbs: Vec<String> = verbs.filter(|verb| verb != "help").collect();
    assert!(verbs.len() > 20, "{verbs:?}");
    for verb in verbs {
        assert!(pages.join(format!("microgrid-gateway-{verb}.1")).exists(), "{verb}");
    }
    let bash = completions.join("microgrid-gateway.bash");
    assert!(Command::new("bash").arg("-n").arg(bash).status().unwrap().success());
}

#[test]
fn the_unit_that_moves_switches_is_fenced_in_like_the_gateway() {
    let unit = |name: &str| std::fs::read_to_string(house::workspace().join("systemd").join(name)).unwrap();
    let (gateway, silence) = (unit("microgrid-gateway.service"), unit("microgrid-gateway-silence.service"));
    let fence = gateway.find("LimitCORE=").map(|at| gateway[at..].split("\n\n[Install]").next().unwrap()).unwrap();
    assert!(fence.lines().count() > 30);
    assert_eq!(silence[silence.find("LimitCORE=").unwrap()..].trim_end(), fence);
    assert!(gateway.contains("OnFailure=microgrid-gateway-silence.service\n"));
}

#[test]
fn a_program_that_is_older_than_its_ledger_ends_with_65_and_leaves_it_as_it_is() {
    let room = Room::new();
    let config = room.config(&street(house::free_port(), true, "state"));
    assert_eq!(Running::gateway(&config).stop(), 0);
    house::verb(&["check"], &config).well();

    let ledger = room.path("state").join("ledger.db");
    let mut bytes = std::fs::read(&ledger).unwrap();
    // The number of the schema, where SQLite's header has it.
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    std::fs::write(&ledger, &bytes).unwrap();
    for verb in [&["run"][..], &["check"], &["journal", "verify"]] {
        house::verb(verb, &config)
            .complains(65, &["ledger.db", "newer version", "Nothing was changed", "journal restore"]);
    }
    assert!(std::fs::read(&ledger).unwrap() == bytes, "it was touched");
    // The switches move all the same.
    house::verb(&["silence"], &config).complains(0, &["not recorded", "newer version"]);
    assert!(std::fs::read(&ledger).unwrap() == bytes, "it was touched");
}

#[test]
fn a_ledger_of_an_earlier_version_is_brought_up_by_the_gateway_alone() {
    let room = Room::new();
    let config = room.config(&street(house::free_port(), true, "state"));
    assert_eq!(Running::gateway(&config).stop(), 0);
    let (ledger, kept) = (room.path("state/ledger.db"), room.path("state/ledger.db.schema-4"));
    let mut bytes = std::fs::read(&ledger).unwrap();
    bytes[60..64].copy_from_slice(&4_u32.to_be_bytes());
    std::fs::write(&ledger, &bytes).unwrap();
    house::verb(&["check"], &config).well();
    for verb in [&["journal", "verify"][..], &["balance"]] {
        house::verb(verb, &config).complains(69, &["ledger.db", "earlier version", "when it starts"]);
    }
    house::verb(&["silence"], &config).complains(0, &["not recorded", "earlier version"]);
    assert!(std::fs::read(&ledger).unwrap() == bytes && !kept.exists(), "it was touched");
    assert_eq!(Running::gateway(&config).stop(), 0);
    assert!(kept.exists());
    house::verb(&["journal", "verify"], &config).well();
}

#[test]
fn a_whole_demonstration_tells_no_key() {
    let room = Room::new();
    let mut command = house::gateway(["demo", "--for", "20s", "--speed", "60", "--http", "127.0.0.1:0", "--seed", "7"]);
    let mut demo = Running::start("the demonstration", command.env("TMPDIR", room.path("")));
    let key = house::eventually("the settler's key", || {
        let own = std::fs::read_dir(room.path("")).unwrap().next()?.ok()?.path();
        std::fs::read_to_string(own.join("keys/settler.key")).ok().filter(|key| key.trim().len() == 64)
    });
    assert_eq!(demo.ended(), 0);
    let said = demo.lines().join("\n").to_lowercase();
    assert!(said.contains("settled"), "it signed something: {said}");
    for part in [&key[..16], &key[24..40], &key[48..64]] {
        assert!(!said.contains(part), "a part of the key was said");
    }
}
