//! The gateway is killed, again and again, at moments it does not choose.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const KILLS: u32 = 50;
const BINARY: &str = env!("CARGO_BIN_EXE_microgrid-gateway");

struct Demo {
    process: Child,
    page: String,
    guest: String,
}

impl Demo {
    fn start(state: &Path) -> Self {
        let mut process = Command::new(BINARY)
            .args(["demo", "--speed", "60", "--seed", "7", "--http", "127.0.0.1:0", "--state"])
            .arg(state)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let link = lines.by_ref().find_map(|l| l.trim().strip_prefix("page").map(|at| at.trim().to_owned()));
        let link = link.expect("the demo ended before it said where its page is");
        let (page, code) = link.split_once("#code=").unwrap();
        let body = serde_json::json!({ "code": code.split(' ').next() }).to_string();
        let entered = ureq::post(format!("{page}api/v1/session")).content_type("application/json").send(body).unwrap();
        let cookie = entered.headers()["set-cookie"].to_str().unwrap();
        let guest = cookie.split(';').next().unwrap().to_owned();
        // Nobody may block on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, page: page.to_owned(), guest }
    }

    /// How many readings the gateway says are recorded.
    fn recorded(&self) -> Option<i64> {
        let mut answer = ureq::get(format!("{}api/v1/state", self.page)).header("cookie", &self.guest).call().ok()?;
        let state: Value = serde_json::from_str(&answer.body_mut().read_to_string().ok()?).ok()?;
        state["ledger"]["readings"].as_i64()
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// `SplitMix64`: small, and printed with its seed.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[test]
fn fifty_kills_lose_no_acknowledged_reading_and_bill_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let mut seed = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_123);
    println!("seed {seed} (set SEED to repeat another)");
    let mut acknowledged = 0;
    for kill in 1..=KILLS {
        let demo = Demo::start(&state);
        // The first seconds are set-up: deployment, opening of accounts, first deposits. Some kills fall there, most
        // fall into the traffic behind it.
        let patience = Duration::from_millis(random(&mut seed) % if kill % 5 == 0 { 3000 } else { 700 });
        let started = Instant::now();
        while started.elapsed() < patience {
            if let Some(count) = demo.recorded() {
                assert!(
                    count >= acknowledged,
                    "kill {kill}: {acknowledged} readings were acknowledged, {count} are left"
                );
                acknowledged = count;
            }
        }
        demo.kill();
        if kill == 1 {
            settle_often(&state.join("demo.toml"));
        }
    }
    let verified =
        Command::new(BINARY).args(["journal", "verify", "-c"]).arg(state.join("demo.toml")).output().unwrap();
    assert!(verified.status.success(), "{}{}", text(&verified.stdout), text(&verified.stderr));

    let json = folder.path().join("report.json");
    let last = Command::new(BINARY)
        .args(["demo", "--speed", "60", "--http", "127.0.0.1:0", "--for", "5s", "--state"])
        .arg(&state)
        .arg("--json")
        .arg(&json)
        .output()
        .unwrap();
    assert!(last.status.success(), "{}{}", text(&last.stdout), text(&last.stderr));
    let report: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert!(report["recorded_in_all"].as_i64().unwrap() >= acknowledged, "{report}");
    let wh = |key: &str| report[key].as_i64().unwrap();
    assert_eq!(wh("energy_wh_metered"), wh("energy_wh_settled") + wh("energy_wh_pending"), "{report}");
    assert_eq!(wh("energy_wh_pending"), 0, "{report}");
    assert!(report["settled_batches"].as_i64().unwrap() >= 5, "hardly a settlement was interrupted: {report}");
    assert!(wh("energy_wh_metered") > 0 && acknowledged > 0, "nothing was tried: {report}");
    println!("{KILLS} kills, {acknowledged} readings acknowledged before the last, {report}");
}

/// Settles every third of a second, so that kills fall into settlements too.
fn settle_often(config: &Path) {
    let text = std::fs::read_to_string(config).unwrap();
    let often = text.replace("settle_every = \"480s\"", "settle_every = \"20s\"");
    assert_ne!(text, often, "the demo's configuration has changed");
    std::fs::write(config, often).unwrap();
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
