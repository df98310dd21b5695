//! What an operator does, with the real binary beside a running gateway: every act once, and named well when it cannot be.

use crate::house::{self, Ended, Room, Running, eventually};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

const STREET: &str = r#"
[[bus]]
id = "lan"
kind = "modbus-tcp"
address = "127.0.0.1:METERS"
simulate = true

[[account]]
id = "hall"
debt_share = "10%"

[[account]]
id = "barn"

[[meter]]
id = "hall"
account = "hall"
bus = "lan"
unit = 2
model = "sim-home"
period = "500ms"
"#;

fn street() -> String {
    format!("{}{}", house::SOUND, STREET.replace("METERS", &house::free_port().to_string()))
}

/// A verb as ada does it.
fn does(config: &Path, verb: &[&str]) -> Ended {
    let mut command = house::gateway(verb);
    house::run(command.args(["--by", "ada", "-c"]).arg(config))
}

fn look(config: &Path, verb: &[&str]) -> Value {
    let mut command = house::gateway(verb);
    let ended = house::run(command.args(["--json", "-c"]).arg(config));
    serde_json::from_str(&ended.well().out).unwrap_or_else(|e| panic!("{e} in {}", ended.out))
}

fn act(page: SocketAddr, path: &str, body: &Value) -> house::Answer {
    house::post(page, &format!("/api/v1/accounts/{path}"), &body.to_string())
}

#[track_caller]
fn says(ended: &Ended, parts: &[&str]) {
    ended.well();
    for part in parts {
        assert!(ended.out.contains(part), "{part:?} is not in {:?}", ended.out);
    }
}

#[test]
fn cash_refunds_adjustments_and_loans_are_booked_once_for_each_reference_beside_a_running_gateway() {
    let room = Room::new();
    let config = room.config(&street());
    does(&config, &["account", "cash", "hall", "5.00", "--reference", "r-1"])
        .complains(69, &["there is no ledger yet"]);
    let gateway = Running::gateway(&config);
    let page = gateway.listening("http");
    let cash =
        |amount: &str, reference: &str| does(&config, &["account", "cash", "hall", amount, "--reference", reference]);
    says(&cash("5.00", "r-1"), &["hall topped up 5.00 EUR (cash r-1 taken by ada)", "by ada"]);
    says(&cash("5.00", "r-1"), &["done already", "nothing was done twice"]);
    cash("6.00", "r-1").complains(1, &["cash r-1 was used at", "for something else"]);
    cash("five", " ").complains(64, &["\"five\" is no amount", "the reference is empty"]);
    cash("-1", "r-2").complains(64, &["less than nothing"]);
    let unknown = does(&config, &["account", "cash", "hal", "1", "--reference", "x"]);
    unknown.complains(64, &["\"hal\" is no account", "did you mean \"hall\"?"]);

    let refund = |amount: &str, more: &[&str]| {
        let verb = ["account", "refund", "hall", amount, "--reference", "b-1"];
        does(&config, &[&verb[..], more].concat())
    };
    refund("100.00", &[]).complains(1, &["more than hall has left"]);
    says(&refund("1.00", &[]), &["ada paid 1.00 EUR back to hall"]);
    says(&refund("1.00", &[]), &["done already"]);
    says(
        &does(&config, &["account", "adjust", "hall", "-0.50", "--why", "a mistake", "--reference", "a-1"]),
        &["ada took 0.50 EUR back from hall: a mistake"],
    );
    let lend = ["account", "lend", "hall", "2.00", "--why", "a lamp", "--reference", "l-1"];
    says(&does(&config, &lend), &["hall owes 2.00 EUR more: a lamp"]);
    says(&cash("1.00", "r-3"), &["of which 0.10 EUR paid back debt"]);

    // The same from a script or the page.
    let path = "hall/cash";
    let five = json!({ "amount": "5.00", "reference": "w-1" });
    let nameless = house::post_as(page, &format!("/api/v1/accounts/{path}"), &[], &five.to_string());
    assert_eq!(nameless.status, 401, "{nameless:?}");
    for repeated in [false, true] {
        let answer = act(page, path, &five);
        assert_eq!((answer.status, &answer.json()["repeated"]), (200, &json!(repeated)), "{answer:?}");
    }
    for (path, body, status, part) in [
        ("hall/cash", json!({ "amount": "5.00" }), 400, "missing field `reference`"),
        ("hall/cash", json!({ "amount": "5.00", "reference": "x", "forced": true }), 400, "unknown field"),
        ("hall/cash", json!({ "amount": "6.00", "reference": "w-1" }), 409, "for something else"),
        ("nobody/cash", five.clone(), 404, "no account of this ledger"),
        ("hall/steal", five.clone(), 404, "there is cash"),
        ("hall/refund", json!({ "amount": "99.00", "reference": "w-2" }), 409, "more than hall has left"),
        ("hall/voucher", json!({ "code": "x" }), 409, "[[operator]]"),
        ("hall/token", json!({ "digits": "123456789" }), 409, "takes no tokens"),
    ] {
        let answer = act(page, path, &body);
        assert!(answer.status == status && answer.body.contains(part), "{path} {body}: {answer:?}");
    }

    let books = look(&config, &["account", "show", "hall"]);
    let book = |name: &str| books["books"][name].as_str().unwrap().to_owned();
    assert_eq!((book("cash"), book("refunds"), book("adjustments")), ("-11.00".into(), "1.00".into(), "0.50".into()));
    assert_eq!((book("debt"), book("lent")), ("-1.40".into(), "2.00".into()));
    assert_eq!(books["meters"], json!(["hall"]));
    says(&house::verb(&["account", "list"], &config), &["hall", "barn", "owes 1.40 EUR"]);
    assert_eq!(house::state(page)["homes"][0]["topped_up"], "11.00 EUR");
    assert_eq!(gateway.stop(), 0);
    house::verb(&["journal", "verify"], &config).well();
}

#[test]
fn cash_is_taken_once_however_often_it_is_entered_at_once_and_whenever_the_verb_is_killed() {
    const ROUNDS: usize = 12;
    let room = Room::new();
    let config = room.config(&street());
    let gateway = Running::gateway(&config);
    let page = gateway.listening("http");
    let cash = |reference: &str| {
        let mut command =
            house::gateway(["account", "cash", "hall", "1.00", "--by", "ada", "--reference", reference, "-c"]);
        command.arg(&config);
        command
    };
    let first = std::thread::scope(|scope| {
        let all: Vec<_> = (0..6).map(|_| scope.spawn(|| house::run(&mut cash("r-0")))).collect();
        all.into_iter().map(|one| one.join().unwrap()).filter(|e| !e.well().out.contains("done already")).count()
    });
    assert_eq!(first, 1);
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut repeated = 0;
    for round in 1..=ROUNDS {
        let reference = format!("r-{round}");
        let mut killed = cash(&reference).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::park_timeout(Duration::from_millis(dice.u64(0..60)));
        killed.kill().unwrap();
        killed.wait().unwrap();
        repeated += usize::from(house::run(&mut cash(&reference)).well().out.contains("done already"));
    }
    println!("{repeated} of {ROUNDS} were done before the kill");
    assert_eq!(look(&config, &["account", "show", "hall"])["books"]["cash"], format!("-{}.00", ROUNDS + 1));
    eventually("the page shows it", || {
        (house::state(page)["homes"][0]["topped_up"] == format!("{}.00 EUR", ROUNDS + 1)).then_some(())
    });
    assert_eq!(gateway.stop(), 0);
    house::verb(&["journal", "verify"], &config).well();
}

/// A street where ada signs vouchers and barn takes tokens.
fn with_codes(room: &Room) -> String {
    let key = room.path("ada.key");
    let made = house::run(house::gateway(["key", "new"]).arg(&key));
    let address = made.well().out.trim().to_owned();
    let token_key = room.write("barn.token", "a29ab82edc5fbbc41ec9530f6dac86b1\n");
    std::fs::set_permissions(token_key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let operator = format!("\n[[operator]]\nname = \"ada\"\naddress = \"{address}\"\nvoucher_limit = \"20.00\"\n");
    let tokens = "id = \"barn\"\ntoken_key_file = \"barn.token\"\ntoken_unit = \"0.50\"\n";
    street().replace("id = \"barn\"\n", tokens) + &operator
}

fn voucher(room: &Room, config: &Path, more: &[&str]) -> Vec<String> {
    let key = room.path("ada.key").display().to_string();
    let verb = [&["voucher", "make", "10.00", "--key", &key], more].concat();
    let made = house::verb(&verb, config);
    made.well().out.lines().map(str::to_owned).collect()
}

#[test]
fn a_voucher_is_good_once_at_its_site_for_its_account_and_wrong_codes_close_the_door() {
    let room = Room::new();
    let text = with_codes(&room);
    let config = room.config(&text);
    let gateway = Running::gateway(&config);
    let page = gateway.listening("http");
    let redeem = |code: &str, account: &str| does(&config, &["voucher", "redeem", code, account]);
    let codes = voucher(&room, &config, &["-n", "2", "--expires", "90d"]);
    assert_eq!(codes.len(), 2);
    assert_ne!(codes[0], codes[1]);
    says(
        &redeem(&codes[0].to_lowercase().replace('-', " "), "hall"),
        &["hall topped up 10.00 EUR (voucher", "of ada)"],
    );
    says(&redeem(&codes[0], "hall"), &["done already", "nothing was done twice"]);
    redeem(&codes[0], "barn").complains(1, &["was used at", "for something else"]);

    // A slip of the pen is no guess.
    let mut slip = codes[1].clone();
    slip.replace_range(3..4, if slip.as_bytes()[3] == b'7' { "8" } else { "7" });
    for _ in 0..3 {
        redeem(&slip, "hall").complains(64, &["checksum"]);
    }
    let answer = act(page, "hall/voucher", &json!({ "code": codes[1] }));
    assert_eq!(answer.status, 200, "{answer:?}");

    // Made for barn, or at another site under the same key: nothing here for hall, and that counts.
    let bound = voucher(&room, &config, &["--account", "barn"]).remove(0);
    redeem(&bound, "hall").complains(1, &["another site, contract or account", "wrong code 1 in a row"]);
    redeem(&bound, "hall").complains(69, &["no other is taken before"]);
    let locked = act(page, "hall/voucher", &json!({ "code": codes[1] }));
    assert!(locked.status == 429 && locked.head.contains("retry-after:"), "{locked:?}");
    says(&redeem(&bound, "barn"), &["barn topped up 10.00 EUR"]);
    let elsewhere =
        room.write("other.toml", text.replace("name = \"lane\"", "name = \"road\"").replace("\"state\"", "\"other\""));
    let foreign = voucher(&room, &elsewhere, &[]).remove(0);
    redeem(&foreign, "barn").complains(1, &["wrong code 1 in a row"]);

    let key = room.path("ada.key").display().to_string();
    let over = house::verb(&["voucher", "make", "20.01", "--key", &key], &config);
    over.complains(64, &["ada may sign for 20.00 EUR at most"]);
    let stranger = room.path("stranger.key").display().to_string();
    house::run(&mut house::gateway(["key", "new", &stranger])).well();
    let unsigned = house::verb(&["voucher", "make", "1", "--key", &stranger], &config);
    unsigned.complains(78, &["is no [[operator]]'s"]);

    // Killed, not stopped: what was closed stays closed, what was used stays used.
    drop(gateway);
    redeem(&codes[1], "hall").complains(69, &["no other is taken before"]);
    assert_eq!(look(&config, &["account", "show", "hall"])["books"]["cash"], "-20.00");
    house::verb(&["journal", "verify"], &config).well();
}

#[test]
fn a_token_counts_once_and_again_not_after_the_gateway_was_killed() {
    let room = Room::new();
    let config = room.config(&with_codes(&room));
    let gateway = Running::gateway(&config);
    let page = gateway.listening("http");
    let make = |more: &[&str]| {
        let made = house::verb(&[&["token", "make", "barn"], more].concat(), &config);
        made.well().out.trim().to_owned()
    };
    let enter = |digits: &str| does(&config, &["token", "enter", "barn", digits]);
    let (two, four) = (make(&["10"]), make(&["7"]));
    assert_eq!(two.len(), 11, "{two}");
    let answer = act(page, "barn/token", &json!({ "digits": four }));
    assert_eq!(answer.status, 200, "{answer:?}");
    drop(gateway);
    says(&enter(&four), &["done already", "barn topped up 3.50 EUR (token 4)"]);
    says(&enter(&two), &["barn topped up 5.00 EUR (token 2)", "the balance of barn is 8.50 EUR"]);
    let gateway = Running::gateway(&config);
    says(&enter(&make(&["6", "--does", "set"])), &["token 5 set the balance of barn, by -5.50 EUR", "is 3.00 EUR"]);
    says(&enter(&make(&["100000", "--extended"])), &["barn topped up 50000.00 EUR"]);
    says(&enter(&make(&["--does", "disable"])), &["token 7 ended prepayment for barn"]);
    enter("12345").complains(64, &["9 or 12 digits"]);
    enter("000000000").complains(1, &["no token of this account", "wrong code 1 in a row"]);
    enter(&two).complains(69, &["no other is taken before"]);
    house::verb(&["token", "make", "barn", "996"], &config).complains(64, &["at most 995"]);
    house::verb(&["token", "make", "hall", "1"], &config).complains(78, &["hall has no token_key_file"]);
    assert_eq!(gateway.stop(), 0);
    house::verb(&["journal", "verify"], &config).well();
}

#[test]
fn announced_prices_are_billed_from_their_border_on_without_a_restart() {
    let room = Room::new();
    let quick = street().replace("peak_hours", "interval = \"1m\"\npeak_hours") + "\n[simulator]\nspeed = 60\n";
    let config = room.config(&quick);
    let dearer = room.write(
        "dearer.toml",
        quick.replace("off_peak = \"0.18\"\npeak = \"0.32\"", "off_peak = \"0.5\"\npeak = \"0.5\""),
    );
    let gateway = Running::gateway(&config);
    let page = gateway.listening("http");
    eventually("something is billed", || {
        let lines = house::get(page, "/api/v1/accounts/hall/intervals").json();
        (!lines.as_array()?.is_empty()).then_some(())
    });
    let past = does(&dearer, &["tariff", "announce", "--from", "2020-01-01"]);
    past.complains(1, &["prices cannot change backwards"]);
    says(&does(&dearer, &["tariff", "announce"]), &["version 2 holds from", "0.50 EUR a kWh", "by ada"]);
    says(&does(&dearer, &["tariff", "announce"]), &["version 2 says so already"]);
    eventually("the new prices are billed", || {
        let lines = house::get(page, "/api/v1/accounts/hall/intervals").json();
        lines.as_array()?.iter().any(|line| line["tariff"] == 2).then_some(())
    });
    eventually("the page shows them", || (house::state(page)["tariff"]["price"] == "0.50 EUR/kWh").then_some(()));
    let versions = look(&config, &["tariff", "show"]);
    assert_eq!((&versions[0]["state"], &versions[1]["state"]), (&json!("past"), &json!("holds")));
    says(&house::verb(&["tariff", "show"], &config), &["version 1 past", "from the beginning"]);
    assert_eq!(gateway.stop(), 0);
    house::verb(&["journal", "verify"], &config).well();
}

#[test]
fn a_meter_gets_another_device_and_another_customer_while_the_gateway_reads_it() {
    let room = Room::new();
    let text = street();
    let config = room.config(&text);
    let gateway = Running::gateway(&config);
    let page = gateway.listening("http");
    let meter = || look(&config, &["meter", "list"])[0].clone();
    let import = eventually("the meter is read", || meter()["book"]["import"].as_i64());
    let wh = |energy: i64| format!("{energy}Wh");
    let replace = |last: i64| {
        does(&config, &["meter", "replace", "hall", "--final-import", &wh(last), "--start-import", &wh(import)])
    };
    replace(import - 1).complains(1, &["meter hall: its last registers cannot be believed", "the register fell"]);
    replace(import + 90_000_000).complains(1, &["the register rose"]);
    says(&replace(import + 500), &["ada replaced the device of hall"]);
    let again = replace(import + 500);
    says(&again, &["ada replaced the device of hall"]);
    assert!(again.out.contains("done already") && meter()["metered"].as_i64().unwrap() < 1000, "{}", again.out);
    let seen = house::state(page)["ledger"]["priced_seq"].as_i64().unwrap();
    eventually("billing goes on", || (house::state(page)["ledger"]["priced_seq"].as_i64()? > seen).then_some(()));
    assert_eq!(meter()["book"]["held"], Value::Null);
    assert!(meter()["metered"].as_i64().unwrap() >= 500, "{}", meter());

    does(&config, &["meter", "release", "hall"]).complains(1, &["hall is not held"]);
    does(&config, &["meter", "move", "hal", "barn"]).complains(64, &["did you mean \"hall\"?"]);
    does(&config, &["meter", "move", "hall", "burn"]).complains(64, &["did you mean \"barn\"?"]);
    let moved = does(&config, &["meter", "move", "hall", "barn"]);
    says(&moved, &["ada moved hall from hall to barn at"]);
    assert!(moved.err.contains("write account = \"barn\""), "{}", moved.err);
    says(&does(&config, &["meter", "move", "hall", "barn"]), &["done already at", "moved hall from hall to barn"]);
    eventually("the page says that the configuration is behind", || {
        let state = house::state(page);
        (state["behind"]["meters"] == json!([{ "meter": "hall", "account": "barn" }])
            && state["homes"][1]["meters"][0]["id"] == "hall")
            .then_some(())
    });
    assert_eq!(gateway.stop(), 0);
    // A power cut that night: what was done counts, though the configuration does not say it yet.
    let gateway = Running::gateway(&config);
    gateway.line("that the configuration is behind", |line| line.contains("the meter was moved on").then_some(()));
    let page = gateway.listening("http");
    eventually("the new customer is billed", || {
        (house::state(page)["homes"][1]["used_kwh"].as_f64()? > 0.0).then_some(())
    });
    assert_eq!(gateway.stop(), 0);
    let third = text.replace("account = \"hall\"", "account = \"shed\"") + "[[account]]\nid = \"shed\"\n";
    let third = room.write("third.toml", third);
    house::verb(&["run"], &third).complains(78, &["belongs to account barn", "meter move hall shed"]);
    let config = room.config(&text.replace("account = \"hall\"", "account = \"barn\""));
    let gateway = Running::gateway(&config);
    let page = gateway.listening("http");
    eventually("the new customer is billed", || {
        (house::state(page)["homes"][1]["used_kwh"].as_f64()? > 0.0).then_some(())
    });
    assert_eq!(gateway.stop(), 0);
    house::verb(&["journal", "verify"], &config).well();
}

#[test]
fn prices_are_announced_on_the_page_and_stay_after_a_restart() {
    let room = Room::new();
    let text = street();
    let config = room.config(&text);
    let gateway = Running::gateway(&config);
    let page = gateway.listening("http");
    let post = |what: &str, body: &Value| house::post(page, &format!("/api/v1/tariff/{what}"), &body.to_string());
    let shown = house::get(page, "/api/v1/tariff").json();
    assert_eq!(shown["terms"]["off_peak"], "0.18");
    assert_eq!(shown["versions"][0]["state"], "holds");
    let nameless = house::post_as(page, "/api/v1/tariff/announce", &[], "{}");
    assert_eq!(nameless.status, 401, "{nameless:?}");

    let wrong = json!({ "off_peak": "cheap", "tax": "19", "pesk": "1", "from": "soon", "interval": 900 });
    let answer = post("announce", &wrong);
    assert_eq!(answer.status, 400, "{answer:?}");
    for field in ["off_peak", "tax", "pesk", "from", "interval"] {
        assert!(answer.body.contains(field), "{field} is not named in {answer:?}");
    }
    let past = post("announce", &json!({ "off_peak": "0.20", "from": "2020-01-01" }));
    assert!(past.status == 409 && past.body.contains("backwards"), "{past:?}");

    let new = json!({ "off_peak": "0.20", "tax": "7.5%", "version": 1,
        "class": [{ "id": "business", "feed_in": "0.10" }] });
    let preview = post("preview", &new).json();
    let change = |key: &str, was: Value, becomes: &str| json!({ "key": key, "was": was, "becomes": becomes });
    let changes = preview["changes"].as_array().unwrap();
    for wanted in [
        change("off_peak", json!("0.18"), "0.20"),
        change("tax", Value::Null, "7.5%"),
        change("class.business.off_peak", Value::Null, "0.20"),
        change("class.business.feed_in", Value::Null, "0.10"),
    ] {
        assert!(changes.contains(&wanted), "{wanted} is not in {preview:#}");
    }
    assert_eq!(house::get(page, "/api/v1/tariff").json()["newest"], 1, "a preview changed something");
    for repeated in [false, true] {
        let answer = post("announce", &new);
        let said = answer.json();
        assert_eq!(
            (answer.status, &said["repeated"], &said["version"]),
            (200, &json!(repeated), &json!(2)),
            "{said:#}"
        );
        assert!(said["configuration"].as_str().unwrap().contains("tax = \"7.5%\""), "{said:#}");
        assert_eq!(said["changes"], preview["changes"]);
    }
    let stale = post("announce", &json!({ "off_peak": "0.21", "version": 1 }));
    assert!(stale.status == 409 && stale.body.contains("version 2 was announced after version 1"), "{stale:?}");
    let told = house::verb(&["journal", "tail"], &config);
    assert!(told.well().out.contains("bo changed the tariff: version 2"), "{}", told.out);
    let behind = house::verb(&["tariff", "show"], &config);
    assert!(behind.well().out.contains("the configuration's off_peak says 0.18, not 0.20"), "{}", behind.out);
    assert_eq!(house::state(page)["behind"]["tariff"], 2);
    assert_eq!(gateway.stop(), 0);

    // Nobody touched the configuration: the announcement was the last word.
    let gateway = Running::gateway(&config);
    gateway.line("that other prices hold", |line| line.contains("they hold, not it").then_some(()));
    let page = gateway.listening("http");
    assert_eq!(house::get(page, "/api/v1/tariff").json()["newest"], 2);
    assert_eq!(gateway.stop(), 0);
    // Somebody did.
    let config = room.config(&text.replace("off_peak = \"0.18\"", "off_peak = \"0.25\""));
    let gateway = Running::gateway(&config);
    let shown = house::get(gateway.listening("http"), "/api/v1/tariff").json();
    assert_eq!((&shown["newest"], &shown["terms"]["off_peak"]), (&json!(3), &json!("0.25")));
    assert_eq!(gateway.stop(), 0);
    house::verb(&["journal", "verify"], &config).well();
}

#[test]
fn meters_are_replaced_and_moved_from_the_page_while_they_are_read() {
    let room = Room::new();
    let config = room.config(&street());
    let gateway = Running::gateway(&config);
    let page = gateway.listening("http");
    let post = |path: &str, body: &Value| house::post(page, &format!("/api/v1/meters/{path}"), &body.to_string());
    let meter = || look(&config, &["meter", "list"])[0].clone();
    let import = eventually("the meter is read", || meter()["book"]["import"].as_i64());
    let wh = |energy: i64| format!("{energy}Wh");
    let nameless = house::post_as(page, "/api/v1/meters/hall/release", &[], "");
    assert_eq!(nameless.status, 401, "{nameless:?}");

    let wrong = json!({ "final_import": "much", "final_export": 7, "at": "noon", "by": "me" });
    let answer = post("hall/replace", &wrong);
    assert_eq!(answer.status, 400, "{answer:?}");
    for field in ["final_import", "final_export", "start_import is missing", "at:", "by is no field"] {
        assert!(answer.body.contains(field), "{field} is not named in {answer:?}");
    }
    for (path, body, status, part) in [
        ("hall/replace", json!({ "final_import": wh(import - 1), "start_import": "0Wh" }), 409, "the register fell"),
        (
            "hall/replace",
            json!({ "final_import": wh(import), "start_import": "0Wh", "at": "2990-01-01" }),
            400,
            "not come",
        ),
        ("hal/move", json!({ "account": "barn" }), 404, "did you mean \"hall\"?"),
        ("hall/move", json!({ "account": "burn" }), 404, "did you mean \"barn\"?"),
        ("hall/move", json!({}), 400, "account is missing"),
        ("hall/move", json!({ "account": "b b" }), 400, "account"),
        ("hall/release", json!({}), 409, "hall is not held"),
        ("hall/paint", json!({}), 404, "there is release"),
    ] {
        let answer = post(path, &body);
        assert!(answer.status == status && answer.body.contains(part), "{path} {body}: {answer:?}");
    }

    // A new device that begins elsewhere: what was entered wrongly holds the meter, and a release lets it go on.
    let change =
        json!({ "final_import": wh(import + 500), "start_import": wh(import + 60_000_000), "start_export": "" });
    for repeated in [false, true] {
        let answer = post("hall/replace", &change);
        let said = answer.json();
        assert_eq!((answer.status, &said["repeated"]), (200, &json!(repeated)), "{said:#}");
        assert!(said["said"].as_str().unwrap().starts_with("bo replaced the device of hall"), "{said:#}");
    }
    eventually("the meter is held", || (!meter()["book"]["held"].is_null()).then_some(()));
    let held = post("hall/move", &json!({ "account": "barn" }));
    assert!(held.status == 409 && held.body.contains("is held"), "{held:?}");
    for repeated in [false, true] {
        let answer = house::post(page, "/api/v1/meters/hall/release", "");
        assert_eq!((answer.status, &answer.json()["repeated"]), (200, &json!(repeated)), "{answer:?}");
    }
    says(&does(&config, &["meter", "release", "hall"]), &["done already at", "bo released hall"]);
    assert_eq!(meter()["book"]["held"], Value::Null);

    for repeated in [false, true] {
        let answer = post("hall/move", &json!({ "account": "barn" }));
        let said = answer.json();
        assert_eq!((answer.status, &said["repeated"]), (200, &json!(repeated)), "{said:#}");
        assert!(said["todo"].as_str().unwrap().contains("write account = \"barn\""), "{said:#}");
    }
    eventually("the new customer is billed", || {
        (house::state(page)["homes"][1]["used_kwh"].as_f64()? > 0.0).then_some(())
    });
    assert_eq!(gateway.stop(), 0);
    house::verb(&["journal", "verify"], &config).well();
}
