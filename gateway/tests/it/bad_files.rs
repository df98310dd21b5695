//! Files of the gateway's own that are damaged, foreign, or of another time: named, and left as they are. Secrets among
//! them are never printed.

use crate::bad_input::{CONFIG, DATA, change};
use crate::house::{self, Ended, Room, Running, SOUND};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Every file below a folder, with what is in it.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(contents(&entry.path()));
        } else {
            found.insert(entry.path().display().to_string(), std::fs::read(entry.path()).unwrap());
        }
    }
    found
}

/// A state folder that a gateway has worked in.
fn lived_in() -> (Room, PathBuf) {
    let room = Room::new();
    let file = room.config(&format!("{SOUND}\n[[account]]\nid = \"hall\"\n\n[[account]]\nid = \"barn\"\n"));
    let gateway = Running::gateway(&file);
    let page = gateway.listening("http");
    house::eventually("the accounts are open on the chain", || {
        let street = house::state(page);
        let events = street["events"].as_array()?;
        let opened = |event: &&serde_json::Value| event["text"].as_str().is_some_and(|t| t.contains("was opened on"));
        (events.iter().filter(opened).count() == 2).then_some(())
    });
    assert_eq!(gateway.stop(), 0);
    // Whoever closes a ledger last folds its write-ahead log into it: from here on all of it is one file.
    house::verb(&["journal", "verify"], &file).well();
    assert!(!room.path("state/ledger.db-wal").exists());
    (room, file)
}

#[test]
fn a_damaged_ledger_is_left_as_it_is() {
    let (room, file) = lived_in();
    let ledger = room.path("state/ledger.db");
    let whole = std::fs::read(&ledger).unwrap();
    let mut scribbled = whole.clone();
    for byte in scribbled.iter_mut().skip(4096).take(8192) {
        *byte ^= 0xa5;
    }
    let cut = whole[..whole.len() / 2 + 100].to_vec();
    for (what, bytes) in
        [("no database", b"these are not the pages of a ledger\n".repeat(400)), ("scribbled", scribbled), ("cut", cut)]
    {
        std::fs::write(&ledger, &bytes).unwrap();
        let before = contents(&room.path("state"));
        for verb in [&["run"][..], &["journal", "verify"], &["journal", "export"]] {
            let ended = house::verb(verb, &file);
            println!("{what}: {verb:?}");
            ended.complains(DATA, &[&ledger.display().to_string(), "damaged", "Nothing was changed"]);
            assert!(contents(&room.path("state")) == before, "{verb:?} changed something on the disk ({what})");
        }
    }
    std::fs::write(&ledger, &whole).unwrap();
    house::verb(&["journal", "verify"], &file).well();
}

#[test]
fn another_programs_database_is_left_as_it_is() {
    let (room, file) = lived_in();
    let ledger = room.path("state/ledger.db");
    // What makes it ours is the application id at byte 68; at 18 and 19 it says how it is journalled.
    let mut foreign = std::fs::read(&ledger).unwrap();
    foreign[68..72].copy_from_slice(&[0; 4]);
    foreign[18..20].copy_from_slice(&[1, 1]);
    std::fs::write(&ledger, &foreign).unwrap();
    let before = contents(&room.path("state"));
    house::verb(&["run"], &file).complains(CONFIG, &[&ledger.display().to_string(), "another program's"]);
    assert!(contents(&room.path("state")) == before, "it was changed on the disk");
}

#[test]
fn a_damaged_chain_is_not_built_upon() {
    let (room, file) = lived_in();
    let chain = room.path("state/chain/chain.log");
    let mut bytes = std::fs::read(&chain).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    std::fs::write(&chain, &bytes).unwrap();
    for verb in [&["run"][..], &["chain", "serve"]] {
        house::verb(verb, &file).complains(DATA, &[&chain.display().to_string(), "damaged at byte"]);
        assert!(std::fs::read(&chain).unwrap() == bytes, "{verb:?} changed it");
    }
    std::fs::write(&chain, "no chain at all, but long enough to be looked at as if it were one: a header has 68 bytes")
        .unwrap();
    house::verb(&["run"], &file).complains(DATA, &[&chain.display().to_string()]);
}

#[test]
fn a_chain_that_began_otherwise_is_another_chain() {
    let (room, file) = lived_in();
    let text = std::fs::read_to_string(&file).unwrap();
    let chain = room.path("state/chain/chain.log");
    let before = std::fs::read(&chain).unwrap();
    let other = room.config(&change(&text, "chain_id = 31337", "chain_id = 4711"));
    house::verb(&["run"], &other).complains(CONFIG, &["31337", "4711", &chain.display().to_string()]);
    let rich = format!("chain_id = 31337\nfund = [\"0x{}\"]", "11".repeat(20));
    let other = room.config(&change(&text, "chain_id = 31337", &rich));
    house::verb(&["run"], &other).complains(CONFIG, &["began with other balances", &chain.display().to_string()]);
    assert!(std::fs::read(&chain).unwrap() == before);
}

#[test]
fn a_node_of_another_chain_is_refused_naming_both_ids() {
    let (there, here) = (Room::new(), Room::new());
    let served = there.config(SOUND);
    let node = Running::start("the node", house::gateway(["chain", "serve", "-c"]).arg(&served));
    let url = node.line("where it answers", |line| Some(line.split_once("answers on ")?.1.to_owned()));
    let text = change(SOUND, "kind = \"embedded\"\nchain_id = 31337\nrpc_listen = \"127.0.0.1:0\"", "CHAIN");
    let text = text.replace("CHAIN", &format!("kind = \"rpc\"\nchain_id = 4711\nurl = \"{url}\"\nkey_file = \"key\""));
    let file = here.config(&text);
    house::run(house::gateway(["key", "new"]).arg(here.path("key"))).well();
    for verb in [&["run"][..], &["chain", "deploy"]] {
        house::verb(verb, &file).complains(CONFIG, &["31337", "4711"]);
    }
}

#[test]
fn prices_that_change_are_another_version_that_holds_from_a_border_on() {
    let (room, file) = lived_in();
    let text = std::fs::read_to_string(&file).unwrap();
    for (version, old, new) in [(2, "\"0.32\"", "\"0.33\""), (3, "17:00-22:00", "17:00-21:00")] {
        let changed = room.config(&change(&text, old, new));
        assert_eq!(Running::gateway(&changed).stop(), 0);
        let told = house::verb(&["journal", "export"], &changed);
        let facts: Vec<serde_json::Value> =
            told.well().out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let newest = facts.iter().map(|line| &line["fact"]).rfind(|fact| fact["fact"] == "tariff_changed").unwrap();
        assert_eq!(newest["version"], version, "{newest}");
        assert_eq!(newest["since"].as_i64().unwrap() % 900_000, 0, "{newest}");
    }
}

/// A key that is no key, and must not be seen anywhere all the same.
const SECRET: &str = "c0ffee0000000000000000000000000000000000000000000000000000decade";

fn keeps_the_secret(ended: &Ended) {
    for part in [SECRET, &SECRET[..16], &SECRET[48..]] {
        assert!(!ended.out.contains(part) && !ended.err.contains(part), "the key was printed: {}", ended.err);
    }
}

#[test]
fn a_key_file_that_is_no_key_is_refused_and_never_printed() {
    let room = Room::new();
    let file = room.config(&change(SOUND, "chain_id = 31337", "chain_id = 31337\nkey_file = \"settler.key\""));
    let key = room.path("settler.key");
    let name = key.display().to_string();
    for (what, content, mode, complaint) in [
        ("empty", String::new(), 0o600, "empty"),
        ("blank", "\n \n".to_owned(), 0o600, "empty"),
        ("for others to read", SECRET.to_owned(), 0o644, "chmod 600"),
        ("for the group to read", SECRET.to_owned(), 0o640, "chmod 600"),
        ("too short", SECRET[..62].to_owned(), 0o600, "64 hex digits"),
        ("too long", format!("{SECRET}00"), 0o600, "64 hex digits"),
        ("no hex", format!("{}zz", &SECRET[..62]), 0o600, "64 hex digits"),
        ("nobody's", "0".repeat(64), 0o600, "no key"),
    ] {
        room.write("settler.key", content);
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        println!("{what}");
        let address = house::run(house::gateway(["key", "address"]).arg(&key));
        for ended in [&house::verb(&["run"], &file), &address] {
            ended.complains(CONFIG, &[&name, complaint]);
            keeps_the_secret(ended);
        }
    }
    let imported = house::run_with_input(house::gateway(["key", "import"]).arg(room.path("other")), &SECRET[..62]);
    imported.complains(CONFIG, &["64 hex digits"]);
    keeps_the_secret(&imported);
    assert!(!room.path("other").exists());
}

#[test]
fn a_key_is_stored_for_its_owner_only_and_never_overwritten() {
    let room = Room::new();
    let key = room.path("key");
    let imported = house::run_with_input(house::gateway(["key", "import"]).arg(&key), SECRET);
    keeps_the_secret(&imported);
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let address = house::run(house::gateway(["key", "address"]).arg(&key));
    assert_eq!(address.well().out, imported.well().out);
    let before = std::fs::read(&key).unwrap();
    let again = house::run(house::gateway(["key", "new"]).arg(&key));
    again.complains(CONFIG, &[&key.display().to_string(), "exists"]);
    keeps_the_secret(&again);
    assert_eq!(std::fs::read(&key).unwrap(), before);
}

#[test]
fn a_keystore_opens_with_its_password_file_or_its_credential_and_with_nothing_else() {
    let room = Room::new();
    let secret_file = |name: &str, text: &str| {
        room.write(name, text);
        std::fs::set_permissions(room.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
        room.path(name)
    };
    let (word, wrong) = (secret_file("word", "tiger\n"), secret_file("wrong", "lion\n"));
    let (stored, bare) = (room.path("stored"), room.path("bare"));
    let key = |args: &[&str]| {
        let mut command = house::gateway(["key"]);
        command.args(args).env_remove("CREDENTIALS_DIRECTORY");
        command
    };
    let path = |p: &std::path::Path| p.display().to_string();
    let (word, wrong, stored, bare) = (path(&word), path(&wrong), path(&stored), path(&bare));
    let imported =
        house::run_with_input(&mut key(&["import", &stored, "--keystore", "--password-file", &word]), SECRET);
    let address = imported.well().out.clone();
    keeps_the_secret(&imported);
    assert!(!std::fs::read_to_string(&stored).unwrap().contains(&SECRET[..16]));
    assert_eq!(house::run(&mut key(&["address", &stored, "--password-file", &word])).well().out, address);

    let without = house::run(&mut key(&["address", &stored]));
    without.complains(CONFIG, &["--password-file", "settler.password"]);
    let other = house::run(&mut key(&["address", &stored, "--password-file", &wrong]));
    other.complains(CONFIG, &["password is not that of the keystore"]);
    let credentials = room.path("credentials");
    std::fs::create_dir(&credentials).unwrap();
    std::fs::copy(&word, credentials.join("settler.password")).unwrap();
    let handed = house::run(key(&["address", &stored]).env("CREDENTIALS_DIRECTORY", &credentials));
    assert_eq!(handed.well().out, address);

    let exported = house::run(&mut key(&["export", &stored, &bare, "--from-password-file", &word]));
    keeps_the_secret(&exported);
    assert_eq!(exported.well().out, address);
    assert_eq!(house::run(&mut key(&["address", &bare])).well().out, address);
}

#[test]
fn a_users_file_that_others_can_read_is_refused_and_its_passwords_are_never_printed() {
    let room = Room::new();
    let file = room.config(&format!("{SOUND}\n[broker]\nlisten = \"127.0.0.1:1883\"\nusers_file = \"users\"\n"));
    let users = room.write("users", format!("meters:{SECRET}\n"));
    let mode = |mode| std::fs::set_permissions(&users, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    let exposed = house::verb(&["check"], &file);
    exposed.complains(CONFIG, &["broker.users_file", &users.display().to_string(), "chmod 600"]);
    mode(0o600);
    house::verb(&["check"], &file).well();
    std::fs::write(&users, format!("# who may connect\n{SECRET}\n")).unwrap();
    let colonless = house::verb(&["check"], &file);
    colonless.complains(CONFIG, &["line 2", "user:password"]);
    keeps_the_secret(&exposed);
    keeps_the_secret(&colonless);
}

#[test]
fn a_token_key_that_others_can_read_is_refused_and_is_never_printed() {
    const KEY: &str = "a29ab82edc5fbbc41ec9530f6dac86b1";
    let room = Room::new();
    let account = "[[account]]\nid = \"hall\"\ntoken_key_file = \"hall.token\"\n";
    let file = room.config(&format!("{SOUND}\n{account}token_unit = \"0.50\"\n"));
    let key = room.write("hall.token", format!("{KEY}\n"));
    let mode = |mode| std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o640);
    let exposed = house::verb(&["check"], &file);
    exposed.complains(CONFIG, &["account[1].token_key_file", &key.display().to_string(), "chmod 600"]);
    mode(0o600);
    house::verb(&["check"], &file).well();
    std::fs::write(&key, format!("{KEY}0\n")).unwrap();
    let long = house::verb(&["check"], &file);
    long.complains(CONFIG, &["account[1].token_key_file", "32 hex digits"]);
    std::fs::write(&key, KEY).unwrap();
    let worthless = house::verb(&["check"], &room.config(&format!("{SOUND}\n{account}")));
    worthless.complains(CONFIG, &["account[1].token_unit", "what is a token's value of one worth?"]);
    for ended in [&exposed, &long, &worthless] {
        assert!(!ended.err.contains(&KEY[..16]) && !ended.out.contains(&KEY[..16]), "{}", ended.err);
    }
}
