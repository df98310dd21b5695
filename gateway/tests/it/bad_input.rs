//! Whatever is wrong with what a person wrote, the person learns what and where, and the machine whose fault it is.

use crate::house::{self, Room, Running, SOUND};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The configuration is wrong.
pub const CONFIG: i32 = 78;
/// A file of ours is damaged.
pub const DATA: i32 = 65;
/// Something outside is not there now.
pub const UNAVAILABLE: i32 = 69;
/// Used wrongly.
const USAGE: i32 = 64;

/// Two customers on one bus of their own.
const STREET: &str = r#"
[[bus]]
id = "lan"
kind = "modbus-tcp"
address = "127.0.0.1:5020"

[[account]]
id = "hall"

[[meter]]
id = "hall"
account = "hall"
bus = "lan"
unit = 1
model = "eastron-sdm230"

[[account]]
id = "barn"
protected = true

[[meter]]
id = "barn"
account = "barn"
bus = "lan"
unit = 2
model = "eastron-sdm230"

[[switch]]
id = "barn"
account = "barn"
bus = "lan"
unit = 9
model = "modbus-relay-coil"
on_silence = "hold"
"#;

fn street() -> String {
    format!("{SOUND}{STREET}")
}

/// Replaces what must be there once.
#[track_caller]
pub fn change(text: &str, old: &str, new: &str) -> String {
    assert_eq!(text.matches(old).count(), 1, "{old:?} in:\n{text}");
    text.replace(old, new)
}

/// `FILE:LINE:COLUMN: ` of something in the text, as an editor would jump to it.
#[track_caller]
fn place(file: &Path, text: &str, of: &str) -> String {
    let at = text.find(of).unwrap_or_else(|| panic!("no {of:?} in:\n{text}"));
    let line_start = text[..at].rfind('\n').map_or(0, |n| n + 1);
    let line = text[..at].matches('\n').count() + 1;
    format!("{}:{line}:{}: ", file.display(), text[line_start..at].chars().count() + 1)
}

/// A configuration that was changed in one place is refused by `check` and `run` alike, at that place.
#[track_caller]
fn refused(old: &str, new: &str, at: &str, parts: &[&str]) {
    refused_text(&change(&street(), old, new), at, parts);
}

#[track_caller]
fn refused_text(text: &str, at: &str, parts: &[&str]) {
    let room = Room::new();
    let file = room.config(text);
    let place = place(&file, text, at);
    for verb in ["check", "run"] {
        let ended = house::verb(&[verb], &file);
        ended.complains(CONFIG, &[&place, "1 problem found"]).complains(CONFIG, parts);
        let line = ended.err.lines().find(|line| line.contains(&place)).unwrap();
        for part in parts {
            assert!(line.contains(part), "{part:?} is not in {line:?}");
        }
        assert!(!room.path("state").exists(), "{verb} left something behind");
    }
}

#[test]
fn the_street_of_these_tests_is_sound_before_it_is_spoilt() {
    let room = Room::new();
    let ended = house::verb(&["check"], &room.config(&street()));
    assert!(ended.well().out.contains("1 buses, 2 accounts, 2 meters, 1 switches"), "{}", ended.out);
}

#[test]
fn an_unknown_model_is_answered_with_the_nearest_one() {
    let text = street().replacen("eastron-sdm230", "eastron-sdm23", 1);
    refused_text(
        &text,
        "\"eastron-sdm23\"\n",
        &["meter[1].model", "eastron-sdm23", "did you mean \"eastron-sdm230\"?"],
    );
}

#[test]
fn two_meters_at_one_address_are_both_named() {
    refused("unit = 2\n", "unit = 1 # again\n", "1 # again", &["unit 1", "bus lan", "hall", "meter[2]"]);
}

#[test]
fn two_buses_cannot_own_one_serial_port() {
    let bus = |id: &str| format!("\n[[bus]]\nid = \"{id}\"\nkind = \"modbus-rtu\"\nport = \"/dev/ttyUSB7\"\n");
    refused_text(&format!("{SOUND}{}{}", bus("one"), bus("two")), "\"two\"", &["bus[2]", "/dev/ttyUSB7", "one owner"]);
}

#[test]
fn a_misspelt_key_is_not_silently_ignored() {
    refused("feed_in = ", "feedin = 1\nfeed_in = ", "feedin", &["tariff.feedin", "did you mean \"feed_in\"?"]);
}

#[test]
fn a_street_without_a_chain_settles_nowhere() {
    let text = street();
    let (start, end) = (text.find("[chain]").unwrap(), text.find("\n[[bus]]").unwrap());
    refused_text(&format!("{}{}", &text[..start], &text[end..]), "[site]", &["chain", "missing"]);
}

#[test]
fn where_a_switch_goes_on_silence_must_be_said() {
    refused("on_silence = \"hold\"\n", "", "[[switch]]", &["switch[1].on_silence", "missing"]);
}

#[test]
fn a_misspelt_position_is_answered_with_the_three_there_are() {
    refused(
        "\"hold\"",
        "\"hodl\"",
        "\"hodl\"",
        &["switch[1].on_silence", "\"hodl\"", "open, closed, hold", "did you mean \"hold\"?"],
    );
}

#[test]
fn a_protected_customer_cannot_be_cut_off_by_silence() {
    refused("\"hold\"", "\"open\"", "\"open\"", &["switch[1].on_silence", "protected"]);
}

#[test]
fn a_broker_for_everybody_needs_to_know_who_may_connect() {
    let text = format!("{}\n[broker]\nlisten = \"0.0.0.0:1883\"\n", street());
    refused_text(&text, "\"0.0.0.0:1883\"", &["broker.listen", "loopback", "users_file"]);
}

#[test]
fn json_rpc_never_leaves_this_machine_and_the_page_not_in_the_clear() {
    let spoilt = |line: &str| change(&street(), line, &line.replace("127.0.0.1", "192.0.2.1"));
    let page = spoilt("listen = \"127.0.0.1:0\"\n\n[chain]");
    refused_text(&page, "\"192.0.2.1:0\"", &["web.listen", "loopback", "tls_certificate", "behind_proxy"]);
    refused_text(&spoilt("rpc_listen = \"127.0.0.1:0\""), "\"192.0.2.1:0\"", &["chain.rpc_listen", "loopback"]);
    for (more, word, parts) in [
        ("names = [\"Gateway\"]", "[\"Gateway\"]", ["web.names", "small letters"]),
        ("tls_key = \"web.key\"", "\"web.key\"", ["web.tls_certificate", "whose key is it?"]),
        ("tls = \"own\"", "\"own\"", ["web.tls", "self-signed"]),
    ] {
        let text = change(&street(), "[web]\n", &format!("[web]\n{more}\n"));
        // What is missing has no line of its own.
        let word = if parts[1].contains("whose") { "[web]" } else { word };
        refused_text(&text, word, &parts);
    }
}

#[test]
fn several_mistakes_are_reported_at_once_each_with_its_line() {
    let mut text = street();
    for (old, new) in [
        ("off_peak = \"0.18\"", "off_peak = \"cheap\""),
        ("interval", "interval"),
        ("unit = 9", "unit = 900"),
        ("kind = \"embedded\"", "kind = \"imbedded\""),
        ("id = \"lan\"", "id = \"the lan\""),
        ("protected = true", "protected = \"yes\""),
    ] {
        text = text.replacen(old, new, 1);
    }
    let room = Room::new();
    let file = room.config(&text);
    let ended = house::verb(&["check"], &file);
    let places: Vec<String> = ["\"cheap\"", "900", "\"imbedded\"", "\"the lan\"", "\"yes\""]
        .iter()
        .map(|spoilt| place(&file, &text, spoilt))
        .collect();
    ended.complains(CONFIG, &places.iter().map(String::as_str).collect::<Vec<_>>());
    let lines: Vec<usize> = ended
        .err
        .lines()
        .filter_map(|line| line.split_once("gateway.toml:")?.1.split(':').next()?.parse().ok())
        .collect();
    assert!(lines.is_sorted(), "not in the order of the file:\n{}", ended.err);
    let told = ended.err.lines().filter(|line| line.contains("gateway.toml:")).count();
    assert!(ended.err.contains(&format!("{told} problems found")), "{}", ended.err);
}

#[test]
fn a_text_that_is_no_toml_is_refused_where_it_stops_to_be_one() {
    let text = change(&street(), "[web]", "[web");
    let room = Room::new();
    let file = room.config(&text);
    let line = text.lines().position(|line| line == "[web").unwrap() + 1;
    house::verb(&["check"], &file).complains(CONFIG, &[&format!("{}:{line}:", file.display()), "no TOML"]);
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    let room = Room::new();
    for verb in [&["run"][..], &["check"], &["simulate"], &["journal", "verify"], &["chain", "serve"]] {
        let nowhere = room.path("nowhere.toml");
        house::verb(verb, &nowhere).complains(CONFIG, &[&nowhere.display().to_string(), "cannot be read"]);
    }
    house::verb(&["run"], &room.path("")).complains(CONFIG, &["cannot be read"]);
    let binary = room.write("binary.toml", [0xff, 0xfe, 0x00]);
    house::verb(&["run"], &binary).complains(CONFIG, &[&binary.display().to_string()]);
}

#[test]
fn a_template_of_ones_own_with_overlapping_registers_names_file_line_and_both_fields() {
    let room = Room::new();
    let template = "model = \"own\"\nvendor = \"me\"\nname = \"mine\"\nsource = \"my bench\"\nprotocol = \"modbus\"\n\n\
                    [import]\ntable = \"input\"\naddress = 10\ntype = \"u64\"\nunit = \"Wh\"\n\n\
                    [power]\ntable = \"input\"\naddress = 13\ntype = \"i16\"\nunit = \"W\"\n";
    let own = room.write("models/own.toml", template);
    let file = room.config(&format!("templates = \"models\"\n{}", street()));
    let ended = house::verb(&["check"], &file);
    let line = template.lines().position(|line| line == "[power]").unwrap() + 1;
    ended.complains(CONFIG, &[&format!("{}:{line}:", own.display()), "power overlaps with import"]);

    room.write("models/own.toml", change(template, "address = 13", "address = 14"));
    house::verb(&["check"], &file).well();
}

#[test]
fn a_serial_port_that_is_not_there_is_named() {
    let room = Room::new();
    let port = room.path("ttyUSB7").display().to_string();
    let text = change(
        &street(),
        "kind = \"modbus-tcp\"\naddress = \"127.0.0.1:5020\"",
        &format!("kind = \"modbus-rtu\"\nport = {port:?}"),
    );
    let file = room.config(&text);
    house::verb(&["check"], &file).well();
    let ended = house::verb(&["check", "--devices"], &file);
    ended.complains(UNAVAILABLE, &["did not answer"]);
    assert!(ended.out.contains("bus lan") && ended.out.contains(&port), "{}", ended.out);
    let mut probe = house::gateway(["probe", "hall", "-c"]);
    house::run(probe.arg(&file)).complains(UNAVAILABLE, &["hall", &port]);
}

#[test]
fn a_port_that_somebody_else_has_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let free = SOUND.replace("127.0.0.1:0", "FREE");
    for (name, text) in [
        ("page", free.replacen("FREE", &at, 1).replace("FREE", "127.0.0.1:0")),
        ("JSON-RPC", free.replacen("FREE", "127.0.0.1:0", 1).replace("FREE", &at)),
        ("MQTT", format!("{SOUND}\n[broker]\nlisten = \"{at}\"\n")),
    ] {
        let room = Room::new();
        let file = room.config(&text);
        house::verb(&["check"], &file).well();
        house::verb(&["run"], &file).complains(UNAVAILABLE, &[name, &at, "is another one running?"]);
    }
}

#[test]
fn a_simulated_bus_whose_port_somebody_else_has_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let text = change(&street(), "address = \"127.0.0.1:5020\"", &format!("address = \"{at}\"\nsimulate = true"));
    let room = Room::new();
    let file = room.config(&text);
    for verb in ["run", "simulate"] {
        house::verb(&[verb], &file).complains(UNAVAILABLE, &["bus lan", &at]);
    }
}

#[test]
fn two_gateways_do_not_share_one_state_folder() {
    // On a chain of their own, and on a node, which would let them both in.
    let chain = "kind = \"embedded\"\nchain_id = 31337\nrpc_listen = \"127.0.0.1:0\"";
    let node = "kind = \"rpc\"\nchain_id = 31337\nkey_file = \"key\"\nurl = \"http://127.0.0.1:1\"";
    for text in [SOUND.to_owned(), change(SOUND, chain, node)] {
        let room = Room::new();
        let file = room.config(&text);
        house::run(house::gateway(["key", "new"]).arg(room.path("key"))).well();
        let first = Running::gateway(&file);
        house::verb(&["run"], &file)
            .complains(UNAVAILABLE, &["another gateway runs", &room.path("state").display().to_string()]);
        assert_eq!(house::get(first.listening("http"), "/api/v1/state").status, 200);
        // The folder is free again when the first is gone, however it went.
        drop(first);
        assert_eq!(Running::gateway(&file).stop(), 0);
    }
}

#[test]
fn the_default_configuration_is_sound() {
    let room = Room::new();
    let printed = house::run(&mut house::gateway(["config"]));
    let file = room.config(&printed.well().out);
    let ended = house::verb(&["check"], &file);
    assert!(ended.well().out.contains("nothing to read yet"), "{}", ended.out);
    // What is only a comment there must be right as well: every table can be switched on.
    let tables = printed.out.find("# One table per field bus").unwrap();
    let (settings, tables) = printed.out.split_at(tables);
    let uncommented: String = tables
        .lines()
        .map(|line| line.strip_prefix("# ").or(line.strip_prefix('#')).unwrap_or(line))
        .filter(|line| line.starts_with("[[") || line.contains(" = "))
        .map(|line| format!("{line}\n"))
        .collect();
    let file = room.config(&format!("{settings}{uncommented}"));
    let key = room.write("home-1.token", "a29ab82edc5fbbc41ec9530f6dac86b1");
    std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let ended = house::verb(&["check"], &file);
    assert!(ended.well().out.contains("5 buses, 1 accounts, 3 meters, 2 switches"), "{}", ended.out);
}

#[test]
fn every_verb_explains_itself() {
    for verb in [
        &["run"][..],
        &["demo"],
        &["check"],
        &["config"],
        &["models"],
        &["probe"],
        &["simulate"],
        &["balance"],
        &["account"],
        &["account", "list"],
        &["account", "show"],
        &["account", "cash"],
        &["account", "refund"],
        &["account", "adjust"],
        &["account", "lend"],
        &["tariff"],
        &["tariff", "show"],
        &["tariff", "announce"],
        &["meter"],
        &["meter", "list"],
        &["meter", "release"],
        &["meter", "replace"],
        &["meter", "move"],
        &["voucher"],
        &["voucher", "make"],
        &["voucher", "redeem"],
        &["token"],
        &["token", "enter"],
        &["token", "make"],
        &["journal"],
        &["journal", "verify"],
        &["journal", "tail"],
        &["journal", "export"],
        &["key"],
        &["key", "new"],
        &["key", "import"],
        &["key", "export"],
        &["key", "address"],
        &["chain"],
        &["chain", "serve"],
        &["chain", "deploy"],
        &["bench"],
        &[],
    ] {
        let ended = house::run(house::gateway(verb).arg("--help"));
        assert!(ended.well().out.contains("Usage: microgrid-gateway"), "{verb:?}: {}", ended.out);
        assert!(ended.err.is_empty(), "{verb:?}: {}", ended.err);
    }
    let version = house::run(&mut house::gateway(["--version"]));
    assert_eq!(version.well().out, format!("microgrid-gateway {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_is_no_verb_or_no_option_is_a_usage_error() {
    for (args, part) in [
        (&["rnu"][..], "rnu"),
        (&["demo", "--speed", "0"], "--speed"),
        (&["demo", "--for", "soon"], "soon"),
        (&["run", "--confg", "x"], "--confg"),
        (&["key", "new"], "FILE"),
        (&["journal", "burn"], "burn"),
    ] {
        let ended = house::run(&mut house::gateway(args));
        ended.complains(USAGE, &[part]);
        assert!(ended.out.is_empty(), "{}", ended.out);
    }
    let nothing = house::run(&mut house::gateway([""; 0]));
    nothing.complains(USAGE, &["Usage: microgrid-gateway"]);
}

#[test]
fn a_question_about_what_is_not_there_is_answered_as_such() {
    let room = Room::new();
    let file = room.config(&street());
    let probe = |args: &[&str]| house::run(house::gateway(["probe", "-c"]).arg(&file).args(args));
    probe(&["hal"]).complains(USAGE, &["\"hal\"", "did you mean \"hall\"?"]);
    probe(&["hall", "--set", "open"]).complains(USAGE, &["hall", "is a meter"]);
    house::verb(&["simulate"], &file).complains(CONFIG, &["simulate = true"]);
    for verb in [&["journal", "verify"][..], &["journal", "tail"], &["journal", "export"]] {
        house::verb(verb, &file).complains(UNAVAILABLE, &["there is no ledger yet"]);
    }
}
