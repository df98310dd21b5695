//! A client that means no good, on real sockets: nothing it sends brings a 500, a word about the street, or a stall.

use crate::house::{self, Room, Running, ask, post_as, send_as};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const PASSWORD: &str = "seven green kettles";

struct Lane {
    at: SocketAddr,
    gateway: Running,
    room: Room,
}

fn lane() -> Lane {
    let room = Room::new();
    let config = room.config(&format!("{}\n[[account]]\nid = \"hall\"\n", house::SOUND));
    let gateway = Running::gateway(&config);
    let mut command = house::gateway(["access", "user", "add", "vi", "--role", "operator", "--by", "ada", "-c"]);
    house::run_with_input(command.arg(&config), &format!("{PASSWORD}\n")).well();
    Lane { at: gateway.listening("http"), gateway, room }
}

impl Lane {
    /// Still there, and quick.
    #[track_caller]
    fn ends_well(self) {
        let asked = Instant::now();
        assert_eq!(house::get(self.at, "/api/v1/state").status, 200);
        assert!(asked.elapsed() < Duration::from_secs(10), "it stalls");
        let said = self.gateway.lines();
        assert!(!said.iter().any(|line| line.contains("panicked")), "{said:#?}");
        assert_eq!(self.gateway.stop(), 0);
        house::verb(&["journal", "verify"], &self.room.path("gateway.toml")).well();
    }
}

/// Sends bytes and takes what comes until the other side closes, or for as long as `patience`.
fn raw(at: SocketAddr, bytes: &[u8], patience: Duration) -> String {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(patience)).unwrap();
    // It may close before all is sent, which is an answer too.
    let _ = stream.write_all(bytes);
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    String::from_utf8_lossy(&all).into_owned()
}

#[track_caller]
fn harmless(what: &str, answer: &str) {
    let status: u16 = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    assert!(status < 500, "{what}: {answer}");
    for word in ["hall", "state/", "access.json", "panicked", "/root", "src/"] {
        assert!(!answer.contains(word), "{what} was told {word:?}: {answer}");
    }
}

#[test]
fn requests_that_are_none_oversized_ones_and_paths_out_of_the_house_are_harmless() {
    let lane = lane();
    let at = lane.at;
    let host = format!("Host: {at}\r\nConnection: close\r\n");
    let seconds = Duration::from_secs(30);
    let big = "x".repeat(1 << 20);
    for (what, bytes) in [
        ("nothing", String::new()),
        ("noise", "\u{1}\u{2}\u{3}\r\n\r\n".into()),
        ("another protocol", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into()),
        ("a line without end", format!("GET /{big} HTTP/1.1\r\n{host}\r\n")),
        ("a header without end", format!("GET / HTTP/1.1\r\n{host}X: {big}\r\n\r\n")),
        ("headers without end", format!("GET / HTTP/1.1\r\n{host}{}\r\n", "A: b\r\n".repeat(5_000))),
        (
            "two lengths",
            format!("POST /api/v1/session HTTP/1.1\r\n{host}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}"),
        ),
        (
            "length and chunks",
            format!(
                "POST /api/v1/session HTTP/1.1\r\n{host}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /api/v1/state HTTP/1.1\r\n\r\n"
            ),
        ),
        ("a negative length", format!("POST /api/v1/session HTTP/1.1\r\n{host}Content-Length: -1\r\n\r\n")),
        (
            "an enormous length",
            format!("POST /api/v1/session HTTP/1.1\r\n{host}Content-Length: 99999999999999999999\r\n\r\n"),
        ),
        (
            "a wrong chunk",
            format!(
                "POST /api/v1/session HTTP/1.1\r\n{host}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
            ),
        ),
        ("two hosts", format!("GET /api/v1/session HTTP/1.1\r\nHost: street.example\r\n{host}\r\n")),
        ("an absolute address", format!("GET http://street.example/api/v1/state HTTP/1.1\r\n{host}\r\n")),
    ] {
        harmless(what, &raw(at, bytes.as_bytes(), if bytes.is_empty() { Duration::from_millis(200) } else { seconds }));
    }
    for path in [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "/c/../api/v1/state",
        "/c/%2e%2e/state",
        "/c/hall.0000/state",
        "/c/%00/state",
        "/c/%ff%fe/state",
        "//api/v1/state",
        "/api/v1/state/",
        "/api/v1/%73tate",
        "/api/v1/accounts/%2e%2e/receipt",
        "/api/v1/accounts/a%2Fb/receipt",
        "/api/v1/accounts/+/intervals",
        "/api/v1/accounts/%23/intervals.csv",
        "/API/V1/STATE",
        "/api/v1/state?token=mgw_0",
        "/access.json",
        "/state/access.json",
        "/.git/config",
    ] {
        let answer = ask(at, path, &[("Host", &at.to_string())]);
        assert!([400, 401, 403, 404].contains(&answer.status), "{path}: {answer:?}");
        harmless(path, &format!("{}\n{}", answer.head, answer.body));
    }
    // The same by somebody who may: names that are none are no accounts.
    for path in [
        "accounts/%2e%2e/receipt",
        "accounts/a%2Fb/receipt",
        "accounts/+/intervals",
        "accounts/%23/intervals.csv",
        "accounts/%ff/receipt",
    ] {
        let answer = house::get(at, &format!("/api/v1/{path}"));
        assert!([400, 404].contains(&answer.status), "{path}: {answer:?}");
    }
    let body = json!({ "name": "vi", "password": "x".repeat(100_000) }).to_string();
    assert_eq!(post_as(at, "/api/v1/session", &[], &body).status, 413, "a body of 100 kB was read");
    for body in ["", "{", "[]", "null", "{\"name\": 1}", "{\"name\": \"vi\"}", &"[".repeat(50_000), "\u{0}"] {
        let answer = post_as(at, "/api/v1/session", &[], body);
        assert_eq!(answer.status, 400, "{answer:?}");
        let answer = house::post(at, "/api/v1/accounts/hall/cash", body);
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    lane.ends_well();
}

#[test]
fn a_foreign_page_can_do_nothing_with_the_session_of_somebody_who_visits_it() {
    let lane = lane();
    let at = lane.at;
    let own = at.to_string();
    let sign_in = |headers: &[(&str, &str)]| {
        post_as(at, "/api/v1/session", headers, &json!({ "name": "vi", "password": PASSWORD }).to_string())
    };
    // Session fixation: an id that somebody else chose is never adopted.
    let chosen = format!("session-lane={}", "0".repeat(64));
    let entered = sign_in(&[("Cookie", &chosen)]);
    let cookie = entered.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_ne!(cookie, chosen);
    let csrf = entered.json()["csrf"].as_str().unwrap().to_owned();
    assert_eq!(send_as(at, "GET", "/api/v1/state", &[("Cookie", &chosen)], "").status, 401);
    // A second sign-in ends the session that the browser had.
    let again = sign_in(&[("Cookie", &cookie)]);
    assert_eq!(send_as(at, "GET", "/api/v1/state", &[("Cookie", &cookie)], "").status, 401);
    assert_eq!(again.status, 200);
    let cookie = again.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_ne!(again.json()["csrf"], csrf.as_str(), "the token outlived its session");
    let csrf = again.json()["csrf"].as_str().unwrap().to_owned();

    let cash = json!({ "amount": "5.00", "reference": "w-1" }).to_string();
    let act = |headers: &[(&str, &str)]| {
        let mut all = vec![("Cookie", cookie.as_str())];
        all.extend(headers);
        post_as(at, "/api/v1/accounts/hall/cash", &all, &cash).status
    };
    let other_port = "http://127.0.0.1:1";
    for (what, headers) in [
        ("without the token", vec![]),
        ("with another token", vec![("X-CSRF-Token", "0")]),
        ("from elsewhere", vec![("X-CSRF-Token", csrf.as_str()), ("Origin", "https://street.example")]),
        ("from another port", vec![("X-CSRF-Token", csrf.as_str()), ("Origin", other_port)]),
        ("from nowhere", vec![("X-CSRF-Token", csrf.as_str()), ("Origin", "null")]),
        ("as a form", vec![("Content-Type", "application/x-www-form-urlencoded")]),
    ] {
        assert_eq!(act(&headers), 403, "{what}");
    }
    assert_eq!(act(&[("X-CSRF-Token", &csrf), ("Origin", &format!("http://{own}"))]), 200);
    // Nor can it sign a visitor in as somebody else.
    for (headers, status) in [
        (vec![("Origin", "https://street.example")], 403),
        (vec![("Content-Type", "text/plain")], 415),
        (vec![("Content-Type", "application/x-www-form-urlencoded")], 415),
    ] {
        assert_eq!(sign_in(&headers).status, status, "{headers:?}");
    }
    for host in
        ["street.example", "localhost.street.example", "127.0.0.1.street.example", "192.0.2.1", "0.0.0.0", "[::]"]
    {
        let answer = ask(at, "/api/v1/session", &[("Host", host), ("Cookie", &cookie)]);
        assert_eq!(answer.status, 403, "{host}: {answer:?}");
    }
    lane.ends_well();
}

#[test]
fn many_who_send_slowly_or_not_at_all_keep_nobody_else_waiting() {
    let lane = lane();
    let at = lane.at;
    let mut held: Vec<TcpStream> = Vec::new();
    for n in 0..300 {
        let mut stream = TcpStream::connect(at).unwrap();
        let head = format!("POST /api/v1/session HTTP/1.1\r\nHost: {at}\r\n");
        let begun = match n % 3 {
            0 => String::new(),
            1 => head,
            _ => format!("{head}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{"),
        };
        stream.write_all(begun.as_bytes()).unwrap();
        held.push(stream);
    }
    let asked = Instant::now();
    for _ in 0..20 {
        assert_eq!(house::get(at, "/api/v1/state").status, 200);
    }
    assert!(asked.elapsed() < Duration::from_secs(20), "others waited {:?}", asked.elapsed());
    // And each of them is sent away in the end.
    for (n, mut stream) in held.into_iter().enumerate() {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap_or_else(|e| panic!("connection {n} was held on: {e}"));
        harmless("a slow one", &String::from_utf8_lossy(&answer));
    }
    lane.ends_well();
}
