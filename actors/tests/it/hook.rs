//! A web hook on a real socket, through refusals and restarts.

use actix::Actor;
use actors::{Board, Notifier, NotifierPlan, Recorder, Scribe};
use domain::{AccountId, Clock, Credit, Currency, Fact, Money, Permille, Timestamp};
use drivers::Webhook;
use ledger::{Enrolled, Enrolment, Ledger};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// Takes posts, and says yes or no to them.
struct Listener {
    at: SocketAddr,
    taken: mpsc::Receiver<(bool, Value)>,
    willing: Arc<AtomicBool>,
}

fn listen(willing: bool) -> Listener {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = socket.local_addr().unwrap();
    let (send, taken) = mpsc::channel();
    let willing = Arc::new(AtomicBool::new(willing));
    let answer = Arc::clone(&willing);
    std::thread::spawn(move || {
        for stream in socket.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let line = line.trim().to_ascii_lowercase();
                if let Some(n) = line.strip_prefix("content-length:") {
                    length = n.trim().parse().unwrap();
                }
                if line.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let yes = answer.load(Ordering::SeqCst);
            let status = if yes { "200 OK" } else { "503 Not Now" };
            write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
            if send.send((yes, serde_json::from_slice(&body).unwrap())).is_err() {
                return;
            }
        }
    });
    Listener { at, taken, willing }
}

fn home() -> AccountId {
    "home".parse().unwrap()
}

fn start(dir: &Path, at: SocketAddr) -> Scribe {
    let clock = Clock::new(1, || Timestamp(1_780_000_000_000));
    let ledger = Arc::new(Ledger::open(&dir.join("ledger.db")).unwrap());
    ledger
        .enrol(&Enrolment { accounts: vec![Enrolled { id: home(), debt_share: Permille::NONE }], meters: Vec::new() })
        .unwrap();
    let scribe = Recorder::launch(ledger, clock).unwrap();
    let plan = NotifierPlan {
        hook: Webhook::new(&format!("http://{at}/credit"), Duration::from_secs(5)),
        site: "lane".into(),
        currency: Currency { code: "EUR".into(), decimals: 9 },
        retry: Duration::from_millis(10),
    };
    Notifier::new(plan, scribe.clone(), Board::default()).start();
    scribe
}

/// The next post, without stopping the actors meanwhile.
async fn next(listener: Listener) -> (Listener, bool, Value) {
    let wait = tokio::task::spawn_blocking(move || {
        let (yes, body) = listener.taken.recv_timeout(Duration::from_secs(60)).expect("nobody posts");
        (listener, yes, body)
    });
    wait.await.unwrap()
}

fn changed(credit: Credit, balance: i64) -> Fact {
    Fact::CreditChanged { account: home(), credit, balance: Money(balance) }
}

#[test]
fn a_change_of_credit_reaches_the_hook_although_it_refused_and_the_gateway_died_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let listener = listen(false);
    let (at, path) = (listener.at, dir.path().to_owned());
    // The gateway ends here while the hook refuses: the runtime is dropped with the notifier in the middle of its work.
    let (mut listener, first) = actix::System::new().block_on(async move {
        let scribe = start(&path, at);
        // Once it has begun, what is recorded is news.
        while scribe.read(|l| l.meta("webhook")).await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        scribe.fact(changed(Credit::Low, 1_500_000_000)).await.unwrap();
        scribe.fact(changed(Credit::Exhausted, -1)).await.unwrap();
        let (listener, yes, refused) = next(listener).await;
        assert!(!yes);
        (listener, refused)
    });
    listener.willing.store(true, Ordering::SeqCst);
    let path = dir.path().to_owned();
    let taken = actix::System::new().block_on(async move {
        let _scribe = start(&path, at);
        let mut taken: Vec<Value> = Vec::new();
        // Posts that were refused may still be in the queue.
        while taken.len() < 2 {
            let (back, yes, body) = next(listener).await;
            listener = back;
            if yes {
                taken.push(body);
            }
        }
        taken
    });
    assert_eq!(taken[0], first, "the same news, under the same id");
    assert_eq!((&taken[0]["stage"], &taken[0]["balance"]), (&"low".into(), &"1.50".into()));
    assert_eq!((&taken[0]["event"], &taken[0]["account"]), (&"credit_changed".into(), &"home".into()));
    assert_eq!((&taken[1]["stage"], &taken[1]["balance"]), (&"exhausted".into(), &"-0.000000001".into()));
    assert!(taken[0]["id"].as_i64() < taken[1]["id"].as_i64());
}
