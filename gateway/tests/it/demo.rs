//! The demonstration: a street with nothing to set up, and a page that answers this machine only.

use crate::house::{self, PATIENCE, Room, Running};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

const SEED: u64 = 7;

#[test]
fn a_street_lives_a_day_part_and_everything_adds_up() {
    let room = Room::new();
    let report = room.path("report.json");
    println!("seed {SEED}");
    let mut command = house::gateway(["demo", "--for", "25s", "--speed", "60", "--http", "127.0.0.1:0", "--seed"]);
    // The demonstration keeps its own files in the folder for temporary files.
    command.arg(SEED.to_string()).arg("--json").arg(&report).env("TMPDIR", room.path(""));
    let mut demo = Running::start("the demonstration", &mut command);
    let (at, code) = demo.line("where its page is", |line| {
        let (at, rest) = line.split_once("http://")?.1.split_once("/#code=")?;
        let code = rest.split(' ').next()?.to_owned();
        Some((at.parse::<SocketAddr>().ok()?, code)).filter(|_| line.contains("page"))
    });
    let guest = the_link_lets_one_browser_in(at, &code);
    house::comes_in(at, "Cookie", &guest);

    the_page_is_whole(at);
    strangers_are_turned_away(at);
    the_first_event_is_the_whole_street(at, &guest);

    assert_eq!(demo.ended(), 0);
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&report).unwrap()).unwrap();
    let number = |key: &str| report[key].as_i64().unwrap_or_else(|| panic!("no {key} in {report:#}"));
    assert!(number("readings") > 100, "{report:#}");
    assert_eq!(number("recorded"), number("readings"));
    assert!(number("settled_batches") >= 1, "{report:#}");
    assert!((1..=number("recorded")).contains(&number("settled_readings")), "{report:#}");
    assert!(number("disconnections") >= 1, "{report:#}");
    assert!(number("reconnections") >= 1, "{report:#}");
    assert!(number("energy_wh_metered") > 0, "{report:#}");
    assert_eq!(number("energy_wh_metered"), number("energy_wh_settled") + number("energy_wh_pending"));
    assert!(number("money_debited") > 0, "{report:#}");
    assert_eq!(number("money_credited"), number("money_topped_up") + number("money_feed_in"));
    let invariants = report["invariants"].as_object().unwrap();
    assert!(invariants.len() >= 6 && invariants.values().all(|holds| holds == true), "{report:#}");
    for name in ["http", "mqtt", "json_rpc"] {
        let place = report["listening"][name].as_str().unwrap();
        assert!(place.parse::<SocketAddr>().is_ok_and(|a| a.ip().is_loopback()), "{name} listens on {place}");
    }
    let left: Vec<_> = std::fs::read_dir(room.path("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["report.json"], "it cleans up behind itself");
}

fn the_link_lets_one_browser_in(at: SocketAddr, code: &str) -> String {
    assert_eq!(house::get(at, "/api/v1/state").status, 401, "a street is shown to nobody");
    let body = format!("{{\"code\": {code:?}}}");
    let entered = house::post_as(at, "/api/v1/session", &[], &body);
    assert_eq!((entered.status, &entered.json()["name"]), (200, &"guest".into()), "{entered:?}");
    let cookie = entered.header("set-cookie").unwrap();
    assert!(cookie.contains("; HttpOnly; SameSite=Strict"), "{cookie}");
    assert_eq!(house::post_as(at, "/api/v1/session", &[], &body).status, 401, "the code was good twice");
    cookie.split(';').next().unwrap().to_owned()
}

fn the_page_is_whole(at: SocketAddr) {
    for (path, kind, part) in [
        ("/", "text/html", "<html"),
        ("/app.js", "text/javascript", "EventSource"),
        ("/access.js", "text/javascript", "export"),
        ("/words.js", "text/javascript", "export"),
        ("/rounds.js", "text/javascript", "d-rounds"),
        ("/prices.js", "text/javascript", "p-tonight"),
        ("/prices.css", "text/css", "#p-prices"),
        ("/witness.js", "text/javascript", "w-members"),
        ("/phrases.js", "text/javascript", "export"),
        ("/feeder.js", "text/javascript", "one-line"),
        ("/places.js", "text/javascript", "to scale"),
        ("/places.css", "text/css", "#p-places"),
        ("/style.css", "text/css", "{"),
        ("/favicon.svg", "image/svg+xml", "<svg"),
    ] {
        let answer = house::get(at, path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert!(answer.head.contains(&format!("content-type: {kind}")), "{path}: {}", answer.head);
        assert!(answer.head.contains("content-security-policy: default-src 'self'"), "{path}: {}", answer.head);
        assert!(answer.body.contains(part), "{path} has no {part:?}");
        // A page without internet must not need any.
        assert!(!answer.body.contains("https://"), "{path} points elsewhere");
    }
    assert_eq!(house::get(at, "/no-such-thing").status, 404);
    house::eventually("everything is well", || (house::get(at, "/health").status == 200).then_some(()));
    assert_eq!(house::get(at, "/health").json()["ok"], true);
    let street = house::eventually("every home is read", || {
        let street = house::state(at);
        let homes = street["homes"].as_array()?;
        let read = |home: &Value| home["meters"][0]["import_kwh"].is_number();
        (homes.len() == 12 && homes.iter().all(read)).then_some(street)
    });
    assert_eq!(street["site"], "demo-street");
    assert_eq!(street["simulated"], true);
    // Less than a day is not judged, and says so.
    house::eventually("the feeder was looked at", || {
        (house::state(at)["balance"]["verdict"] == "not_enough").then_some(())
    });
    assert_eq!(street["speed"], 60);
}

fn strangers_are_turned_away(at: SocketAddr) {
    let own = at.to_string();
    for path in ["/", "/app.js", "/health", "/api/v1/state", "/api/v1/events"] {
        for headers in [
            vec![("Host", "street.example")],
            vec![("Host", "127.0.0.1.street.example")],
            vec![],
            vec![("Host", own.as_str()), ("Origin", "https://street.example")],
            vec![("Host", own.as_str()), ("Origin", "http://127.0.0.1.street.example:80")],
        ] {
            let answer = house::ask(at, path, &headers);
            // HTTP itself wants a Host; who sends none may be refused before the page is asked.
            let refused = answer.status == 403 || (headers.is_empty() && answer.status == 400);
            assert!(refused, "{path} with {headers:?} was answered {}", answer.status);
            assert!(!answer.body.contains("home-1"), "{path} with {headers:?} told about the street");
        }
    }
    let from_here = house::ask(at, "/health", &[("Host", &own), ("Origin", &format!("http://{own}"))]);
    assert!([200, 503].contains(&from_here.status), "the page itself was refused: {from_here:?}");
}

fn the_first_event_is_the_whole_street(at: SocketAddr, guest: &str) {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET /api/v1/events HTTP/1.1\r\nHost: {at}\r\nCookie: {guest}\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    assert!(head[0].contains(" 200 "), "{head:?}");
    assert!(head.iter().any(|h| h.to_lowercase() == "content-type: text/event-stream"), "{head:?}");
    let mut pictures =
        lines.filter_map(|line| Some(serde_json::from_str::<Value>(line.strip_prefix("data: ")?).unwrap()));
    let first = pictures.next().unwrap();
    assert_eq!(first["homes"].as_array().unwrap().len(), 12);
    let next = pictures.next().unwrap();
    let seq = |picture: &Value| picture["ledger"]["last_seq"].as_i64().unwrap();
    assert!(seq(&next) >= seq(&first), "the second picture is older than the first");
}
