//! Who comes in and who does not: by password, by token, by nothing; and what each may do.

use crate::house::{self, Answer, Room, Running, ask, eventually, get, post_as, send_as};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const PASSWORD: &str = "seven green kettles";

fn lane() -> String {
    format!("{}\n[[account]]\nid = \"hall\"\n", house::SOUND)
}

fn access(config: &Path, words: &[&str]) -> house::Ended {
    let mut command = house::gateway(["access"]);
    house::run_with_input(command.args(words).args(["--by", "ada", "-c"]).arg(config), &format!("{PASSWORD}\n"))
}

/// The cookie and the token of a session.
struct Session {
    cookie: String,
    csrf: String,
}

impl Session {
    fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{answer:?}");
        let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        Self { cookie, csrf: answer.json()["csrf"].as_str().unwrap().to_owned() }
    }

    fn post(&self, at: SocketAddr, path: &str, body: &Value) -> Answer {
        post_as(at, path, &[("Cookie", &self.cookie), ("X-CSRF-Token", &self.csrf)], &body.to_string())
    }

    fn get(&self, at: SocketAddr, path: &str) -> Answer {
        ask(at, path, &[("Host", &at.to_string()), ("Cookie", &self.cookie)])
    }
}

fn sign_in(at: SocketAddr, name: &str, password: &str) -> Answer {
    post_as(at, "/api/v1/session", &[], &json!({ "name": name, "password": password }).to_string())
}

#[test]
fn the_first_operator_is_made_with_the_code_that_the_console_shows_and_there_is_no_password_before() {
    let room = Room::new();
    let config = room.config(&lane());
    let gateway = Running::start("the gateway", house::gateway(["run", "-c"]).arg(&config));
    let code = gateway.line("a code", |line| Some(line.split_once("/#setup=")?.1.trim().to_owned()));
    let at = gateway.listening("http");
    let before = get(at, "/api/v1/session");
    assert_eq!((before.status, &before.json()["new"]), (401, &json!(true)));
    for (name, password) in [("admin", "admin"), ("operator", ""), ("root", "password"), ("", "")] {
        assert_eq!(sign_in(at, name, password).status, 401, "{name}");
    }
    let set_up = |code: &str, name: &str, password: &str| {
        let body = json!({ "code": code, "name": name, "password": password }).to_string();
        post_as(at, "/api/v1/setup", &[], &body)
    };
    assert_eq!(set_up("aaaaa-aaaaa-aaaaa-aaaaa", "bo", PASSWORD).status, 401);
    assert_eq!(set_up(&code, "bo", "short").status, 400);
    assert_eq!(set_up(&code, "Bo!", PASSWORD).status, 400);
    let session = Session::of(&set_up(&code, "bo", PASSWORD));
    assert_eq!(session.get(at, "/api/v1/session").json()["name"], "bo");
    assert_eq!(set_up(&code, "eve", PASSWORD).status, 401, "the code was good twice");
    assert_eq!(get(at, "/api/v1/session").json()["new"], false);

    // What bo does is written down as bo's.
    let cash = json!({ "amount": "5.00", "reference": "r-1" });
    let done = session.post(at, "/api/v1/accounts/hall/cash", &cash);
    assert_eq!(done.status, 200, "{done:?}");
    let told = house::verb(&["journal", "tail"], &config);
    for part in ["bo may come in as operator", "cash r-1 taken by bo"] {
        assert!(told.well().out.contains(part), "{part:?} is not in {}", told.out);
    }
    assert!(!gateway.lines().iter().any(|line| line.contains(PASSWORD)));
    assert_eq!(gateway.stop(), 0);

    let gateway = Running::start("the gateway", house::gateway(["run", "-c"]).arg(&config));
    let at = gateway.listening("http");
    assert_eq!(sign_in(at, "bo", PASSWORD).status, 200);
    assert_eq!(session.get(at, "/api/v1/state").status, 401, "a session outlived its process");
    assert!(!gateway.lines().iter().any(|line| line.contains("#setup=")));
}

#[test]
fn each_role_and_each_token_may_do_its_own_and_nothing_else() {
    let room = Room::new();
    let config = room.config(&lane());
    let gateway = Running::gateway(&config);
    let at = gateway.listening("http");
    for (name, role) in [("vi", "viewer"), ("ina", "installer"), ("opa", "operator")] {
        access(&config, &["user", "add", name, "--role", role]).well();
    }
    let bodies = json!({ "amount": "5.00", "reference": "r-1" });
    let money = ("/api/v1/accounts/hall/cash", bodies);
    let meters = ("/api/v1/meters/hall/release", json!({}));
    let prices = ("/api/v1/tariff/preview", json!({ "off_peak": "0.20" }));
    for (name, may) in [("vi", [false, false, false]), ("ina", [false, true, false]), ("opa", [true, true, true])] {
        let session = Session::of(&sign_in(at, name, PASSWORD));
        assert_eq!(session.get(at, "/api/v1/state").status, 200, "{name}");
        for ((path, body), may) in [&money, &meters, &prices].into_iter().zip(may) {
            let status = session.post(at, path, body).status;
            assert_eq!(status != 403, may, "{name} posts to {path}: {status}");
        }
    }
    for scope in ["read", "metrics", "money", "meters", "prices"] {
        let bearer = format!("Bearer {}", house::token(&config, &format!("t-{scope}"), scope));
        let key = [("Authorization", bearer.as_str())];
        let reads = send_as(at, "GET", "/api/v1/state", &key, "").status;
        assert_eq!(reads, if scope == "read" { 200 } else { 403 }, "{scope}");
        for (of, (path, body)) in [("money", &money), ("meters", &meters), ("prices", &prices)] {
            let status = post_as(at, path, &key, &body.to_string()).status;
            assert_eq!(status != 403, scope == of, "a token for {scope} posts to {path}: {status}");
        }
    }
    for bearer in ["Bearer mgw_0", "Bearer ", "Basic dmk6", "mgw_"] {
        assert_eq!(send_as(at, "GET", "/api/v1/state", &[("Authorization", bearer)], "").status, 401, "{bearer:?}");
    }
    let told = house::verb(&["journal", "tail", "-n", "100"], &config);
    for part in ["vi may come in as viewer (by ada)", "t-money is a token for money (by ada)", "ina signed in"] {
        assert!(told.well().out.contains(part), "{part:?} is not in {}", told.out);
    }
}

#[test]
fn who_is_removed_revoked_or_has_a_new_password_is_out_at_once_beside_a_running_gateway() {
    let room = Room::new();
    let config = room.config(&lane());
    let gateway = Running::gateway(&config);
    let at = gateway.listening("http");
    access(&config, &["user", "add", "vi", "--role", "viewer"]).well();
    let looks = |session: &Session| session.get(at, "/api/v1/state").status;
    let session = Session::of(&sign_in(at, "vi", PASSWORD));
    assert_eq!(looks(&session), 200);
    access(&config, &["user", "password", "vi"]).well();
    assert_eq!(looks(&session), 401);
    let session = Session::of(&sign_in(at, "vi", PASSWORD));
    access(&config, &["user", "remove", "vi"]).well();
    assert_eq!(looks(&session), 401);
    assert_eq!(sign_in(at, "vi", PASSWORD).status, 401);
    assert_eq!(get(at, "/api/v1/state").status, 200);
    access(&config, &["token", "revoke", "bo"]).well();
    assert_eq!(get(at, "/api/v1/state").status, 401);

    access(&config, &["user", "add", "bo", "--role", "viewer"]).well();
    access(&config, &["user", "add", "bo", "--role", "viewer"]).complains(64, &["there is a user bo already"]);
    access(&config, &["user", "remove", "boo"]).complains(64, &["\"boo\" is no user", "did you mean \"bo\"?"]);
    access(&config, &["user", "add", "Bo", "--role", "viewer"]).complains(64, &["is no name"]);
    access(&config, &["user", "add", "cy", "--role", "king"]).complains(64, &["viewer, installer, operator"]);
    access(&config, &["token", "create", "x", "--scope", "all"]).complains(64, &["money"]);
    let listed = house::verb(&["access", "user", "list", "--json"], &config);
    assert_eq!(listed.well().out.parse::<Value>().unwrap(), json!([{ "user": "bo", "role": "viewer" }]));

    // A session that ends by itself: signing out.
    let session = Session::of(&sign_in(at, "bo", PASSWORD));
    let headers = [("Cookie", session.cookie.as_str()), ("X-CSRF-Token", session.csrf.as_str())];
    let out = send_as(at, "DELETE", "/api/v1/session", &headers, "");
    assert!(out.status == 204 && out.header("set-cookie").unwrap().contains("Max-Age=0"), "{out:?}");
    assert_eq!(looks(&session), 401);
}

#[test]
fn wrong_passwords_close_the_door_and_it_is_written_down() {
    let room = Room::new();
    let config = room.config(&lane());
    let gateway = Running::gateway(&config);
    let at = gateway.listening("http");
    access(&config, &["user", "add", "vi", "--role", "viewer"]).well();
    for _ in 0..4 {
        let wrong = sign_in(at, "vi", "not the password");
        assert_eq!((wrong.status, wrong.body.as_str()), (401, "that is not right"));
    }
    let closed = sign_in(at, "vi", PASSWORD);
    assert_eq!(closed.status, 429, "{closed:?}");
    let wait: u64 = closed.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=11).contains(&wait), "{closed:?}");
    // A name that nobody has is answered alike.
    for _ in 0..4 {
        let wrong = sign_in(at, "nobody", "not the password");
        assert_eq!((wrong.status, wrong.body.as_str()), (401, "that is not right"));
    }
    assert_eq!(sign_in(at, "nobody", PASSWORD).status, 429);
    eventually("it is in the journal", || {
        let told = house::verb(&["journal", "tail"], &config);
        told.well().out.contains("vi is kept out for 10 s after 4 wrong passwords").then_some(())
    });
}

#[test]
fn a_damaged_file_of_users_lets_nobody_in_and_the_lights_stay_on() {
    let room = Room::new();
    let config = room.config(&lane());
    let gateway = Running::gateway(&config);
    let at = gateway.listening("http");
    let file = room.path("state/access.json");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let sound = std::fs::read(&file).unwrap();
    std::fs::write(&file, "{").unwrap();
    let answer = get(at, "/api/v1/state");
    assert!(answer.status == 503 && !answer.body.contains("hall") && !answer.body.contains("state/"), "{answer:?}");
    access(&config, &["user", "list"]).complains(64, &["--by"]);
    house::verb(&["access", "user", "list"], &config).complains(65, &["access.json", "damaged at line 1"]);
    gateway.line("why", |line| line.contains("access.json: damaged at line 1").then_some(()));
    std::fs::write(&file, &sound).unwrap();
    assert_eq!(get(at, "/api/v1/state").status, 200);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(get(at, "/api/v1/state").status, 503);
    gateway.line("what to do", |line| line.contains("chmod 600").then_some(()));
    assert_eq!(gateway.stop(), 0);
}

#[test]
fn a_customers_link_shows_their_home_and_nothing_of_their_neighbours_until_it_is_revoked() {
    let room = Room::new();
    let config = room.config(&format!("{}\n[[account]]\nid = \"barn\"\n", lane()));
    let gateway = Running::gateway(&config);
    let at = gateway.listening("http");
    let cash = json!({ "amount": "7.50", "reference": "r-1" });
    assert_eq!(house::post(at, "/api/v1/accounts/hall/cash", &cash.to_string()).status, 200);
    let link = |more: &[&str]| {
        let mut command = house::gateway(["account", "link", "hall", "--by", "ada"]);
        let url = house::run(command.args(more).arg("-c").arg(&config)).well().out.trim().to_owned();
        format!("/c/{}", url.split_once("/c/").unwrap().1)
    };
    let own = link(&[]);
    assert_eq!(link(&[]), own, "the link changes while nobody revokes it");
    let nobody = |path: &str| ask(at, path, &[("Host", &at.to_string())]);
    let state = nobody(&format!("{own}/state"));
    assert_eq!((state.status, &state.json()["home"]["balance"]), (200, &json!("7.50 EUR")), "{state:?}");
    for word in ["barn", "homes", "events", "settler", "0x"] {
        assert!(!state.body.contains(word), "{word:?} is nothing of this customer's: {}", state.body);
    }
    assert_eq!(nobody(&own).status, 200);
    assert!(nobody(&format!("{own}/receipt?as=html")).body.contains("Receipt for hall"));
    let csv = nobody(&format!("{own}/intervals.csv"));
    assert!(csv.status == 200 && csv.body.starts_with("from,to,kind,meter,"), "{csv:?}");

    // Of one link nobody makes another, and it is good for nothing else.
    let (_, mac) = own.split_once('.').unwrap();
    let flipped = if own.ends_with('0') { "1" } else { "0" };
    for forged in
        [format!("/c/barn.{mac}"), format!("{}{flipped}", &own[..own.len() - 1]), "/c/hall.".into(), "/c/.".into()]
    {
        assert_eq!(nobody(&format!("{forged}/state")).status, 404, "{forged}");
    }
    for path in ["/api/v1/state", "/api/v1/accounts/hall/receipt", "/metrics"] {
        assert_eq!(nobody(path).status, 401, "{path}");
    }
    let newer = link(&["--revoke"]);
    assert_eq!(nobody(&format!("{own}/state")).status, 404);
    assert_eq!(nobody(&format!("{newer}/state")).status, 200);
    let told = house::verb(&["journal", "tail"], &config);
    assert!(told.well().out.contains("hall has no page by the links that were handed out (by ada)"), "{}", told.out);
}

#[test]
fn a_token_with_an_end_comes_in_until_then_and_is_told_why_afterwards() {
    let room = Room::new();
    let config = room.config(&lane());
    let gateway = Running::gateway(&config);
    let at = gateway.listening("http");
    let make = ["token", "create", "app", "--scope", "read", "--for", "90d", "--json"];
    let made: Value = serde_json::from_str(&access(&config, &make).well().out).unwrap();
    let bearer = format!("Bearer {}", made["token"].as_str().unwrap());
    let look = || send_as(at, "GET", "/api/v1/state", &[("Authorization", &bearer)], "");
    assert_eq!(look().status, 200);
    let list = || house::verb(&["access", "token", "list"], &config).well().out.clone();
    let until = made["until"].as_str().unwrap();
    assert!(list().contains(&format!("until {until}")) && list().contains("until it is revoked"), "{}", list());

    // The same file, had the token been made so much earlier or later.
    let path = room.path("state/access.json");
    let moved = |by: i64| {
        let mut book: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let token = book["tokens"].as_array_mut().unwrap().iter_mut().find(|t| t["name"] == "app").unwrap();
        for end in ["made", "until"] {
            token["term"][end] = json!(token["term"][end].as_i64().unwrap() + by);
        }
        std::fs::write(&path, book.to_string()).unwrap();
    };
    let day = 86_400_000;
    moved(-91 * day);
    let late = look();
    assert_eq!((late.status, late.header("www-authenticate")), (401, Some("Bearer error=\"invalid_token\"")));
    assert!(late.body.starts_with("the token app expired at 20") && late.body.contains("make another"), "{late:?}");
    assert!(list().contains(" expired at 20"), "{}", list());
    assert_eq!(get(at, "/api/v1/state").status, 200, "a token without an end is good until it is revoked");
    moved(92 * day);
    let early = look();
    assert_eq!(early.status, 401);
    assert!(early.body.contains("it has to be set first"), "{early:?}");
    moved(-day);
    assert_eq!(look().status, 200);
    access(&config, &["token", "create", "x", "--scope", "read", "--for", "0d"]).complains(64, &["write 90d or 12h"]);
}

#[test]
fn figures_for_monitoring_hold_no_account_and_probes_need_no_key() {
    let room = Room::new();
    let config = room.config(&lane());
    let gateway = Running::gateway(&config);
    let at = gateway.listening("http");
    let cash = json!({ "amount": "7.50", "reference": "r-1" });
    assert_eq!(house::post(at, "/api/v1/accounts/hall/cash", &cash.to_string()).status, 200);
    let bearer = format!("Bearer {}", house::token(&config, "prometheus", "metrics"));
    let figures = send_as(at, "GET", "/metrics", &[("Authorization", &bearer)], "");
    assert!(figures.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"), "{figures:?}");
    for part in [
        "microgrid_ledger_last_seq ",
        "microgrid_chain_problem 0",
        "microgrid_chain_outbox_intents ",
        "microgrid_chain_intents_refused_total 0",
        "microgrid_accounts{credit=\"good\"} 1",
    ] {
        assert!(figures.body.contains(part), "{part:?} is not in {}", figures.body);
    }
    // Where there is no broker there is nothing to tell of one.
    assert!(!figures.body.contains("microgrid_broker"), "{}", figures.body);
    let purse = || get(at, "/metrics").body.contains("\nmicrogrid_chain_settler_balance_coins 1000000000.0");
    eventually("what the settler has for gas", || purse().then_some(()));
    assert!(!figures.body.contains("hall"), "{}", figures.body);
    let all = get(at, "/metrics").body;
    assert!(all.contains("microgrid_account_balance{account=\"hall\",currency=\"EUR\"} 7.50"), "{all}");
    let mut families = std::collections::BTreeSet::new();
    for line in all.lines() {
        match line.strip_prefix("# TYPE ") {
            Some(family) => assert!(families.insert(family.split(' ').next().unwrap()), "{family} twice"),
            None if line.starts_with('#') => {}
            None => {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert!(families.contains(name.split('{').next().unwrap()), "{line} belongs to no family");
                value.parse::<f64>().unwrap_or_else(|e| panic!("{e}: {line}"));
            }
        }
    }
    let nobody = |path: &str| ask(at, path, &[("Host", &at.to_string())]);
    for probe in ["/health/live", "/health/ready"] {
        assert_eq!((nobody(probe).status, nobody(probe).body.as_str()), (200, "{\"ok\":true}"), "{probe}");
    }
    assert_eq!(nobody("/health").json()["problems"], Value::Null);
    assert_eq!(get(at, "/health").json()["problems"], json!([]));
}

#[test]
fn beyond_this_machine_the_page_speaks_tls_and_knows_its_names() {
    let room = Room::new();
    let text = lane().replace(
        "[web]\nlisten = \"127.0.0.1:0\"",
        "[web]\nlisten = \"0.0.0.0:0\"\ntls = \"self-signed\"\nnames = [\"gateway.lane.example\"]",
    );
    let config = room.config(&text);
    let gateway = Running::start("the gateway", house::gateway(["run", "-c"]).arg(&config));
    let print =
        gateway.line("a fingerprint", |line| Some(line.split_once("SHA-256 fingerprint ")?.1.trim().to_owned()));
    gateway.line("where to begin", |line| line.contains("https://gateway.lane.example:").then_some(()));
    let port = gateway.listening("http").port();
    let curl = |host: &str, more: &[&str]| {
        let mut command = std::process::Command::new("curl");
        command.args([
            "--silent",
            "--show-error",
            "--max-time",
            "20",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code}",
        ]);
        command
            .args(["--resolve", &format!("{host}:{port}:127.0.0.1"), "--cacert"])
            .arg(room.path("state/keys/web.crt"));
        house::run(command.args(more).arg(format!("https://{host}:{port}/api/v1/session")))
    };
    for (host, status) in [("gateway.lane.example", "401"), ("localhost", "401"), ("127.0.0.1", "401")] {
        assert_eq!(curl(host, &[]).well().out, status, "{host}");
    }
    // A name of somebody else's that points here is none of ours, whatever the certificate.
    assert_eq!(curl("street.example", &["--insecure"]).well().out, "403");
    let clear =
        curl("localhost", &["--proto", "=https", "--tlsv1.0", "--tls-max", "1.1", "--ciphers", "ALL:@SECLEVEL=0"]);
    assert_ne!(clear.code, 0, "TLS 1.1 was spoken");

    let key = std::fs::metadata(room.path("state/keys/web.key")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    let mut openssl = std::process::Command::new("openssl");
    openssl.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(room.path("state/keys/web.crt"));
    assert!(house::run(&mut openssl).well().out.contains(&print), "{print}");

    // Cookies of a page by TLS go nowhere else.
    access(&config, &["user", "add", "vi", "--role", "viewer"]).well();
    let body = json!({ "name": "vi", "password": PASSWORD }).to_string();
    let mut command = std::process::Command::new("curl");
    command
        .args(["--silent", "--show-error", "--include", "--max-time", "20", "--cacert"])
        .arg(room.path("state/keys/web.crt"));
    command.args(["--header", "content-type: application/json", "--data", &body]);
    let entered = house::run(command.arg(format!("https://localhost:{port}/api/v1/session")));
    let head = entered.well().out.to_lowercase();
    assert!(head.contains("set-cookie: __host-session-lane=") && head.contains("; secure"), "{head}");
    assert_eq!(gateway.stop(), 0);

    // The next start shows the same certificate.
    let gateway = Running::start("the gateway", house::gateway(["run", "-c"]).arg(&config));
    gateway.line("the same fingerprint", |line| line.contains(&print).then_some(()));
    assert_eq!(gateway.stop(), 0);
    std::fs::set_permissions(room.path("state/keys/web.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    house::verb(&["run"], &config).complains(78, &["web.key", "chmod 600"]);
}
