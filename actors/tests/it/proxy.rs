//! A proxy between the settler and a node, which breaks and falsifies what passes through, by dice.

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Sends one JSON-RPC body to an address, and answers the body of what came back.
pub fn post(to: SocketAddr, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let head = "POST / HTTP/1.1\r\nhost: node\r\ncontent-type: application/json\r\nconnection: close\r\n";
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len())?;
    Ok(message(&mut stream)?.1)
}

/// The result of a method that must not fail.
pub fn rpc(to: SocketAddr, method: &str, params: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let answer: Value = serde_json::from_str(&post(to, &body).unwrap()).unwrap();
    assert!(answer["error"].is_null(), "{method}: {answer}");
    answer["result"].clone()
}

/// Head and body of one HTTP message whose length is stated.
fn message(stream: &mut TcpStream) -> std::io::Result<(String, String)> {
    let (mut bytes, mut part) = (Vec::new(), [0; 16 * 1024]);
    loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..at]).to_lowercase();
            let length = head.lines().find_map(|l| l.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
            let (start, length) = (at + 4, length.unwrap_or(0));
            if bytes.len() >= start + length {
                return Ok((head, String::from_utf8_lossy(&bytes[start..start + length]).into_owned()));
            }
        }
        match stream.read(&mut part)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            n => bytes.extend_from_slice(&part[..n]),
        }
    }
}

struct Mood {
    dice: fastrand::Rng,
    /// Of a thousand requests so many meet a fault.
    faults: u32,
    /// Requests until the process that asks is as good as dead.
    left: u32,
    /// The answer before, to be given again.
    before: String,
    passed: u64,
    faulty: u64,
}

/// The proxy. It ends with the test's process.
pub struct Proxy {
    pub url: String,
    mood: Arc<Mutex<Mood>>,
}

impl Proxy {
    pub fn start(node: SocketAddr, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let dice = fastrand::Rng::with_seed(seed);
        let mood = Mood { dice, faults: 0, left: u32::MAX, before: String::new(), passed: 0, faulty: 0 };
        let mood = Arc::new(Mutex::new(mood));
        let shared = Arc::clone(&mood);
        std::thread::spawn(move || {
            // One after the other: the settler asks one thing at a time, and the dice fall in the order of its questions.
            for stream in listener.incoming().map_while(Result::ok) {
                let mut stream = stream;
                let _ = serve(&mut stream, node, &shared);
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
        Self { url, mood }
    }

    /// From now on so many of a thousand requests meet a fault, and after `left` more nothing is answered.
    pub fn set(&self, faults: u32, left: u32) {
        let mut mood = self.mood.lock().unwrap();
        (mood.faults, mood.left) = (faults, left);
    }

    /// Requests that passed, and how many of them met a fault.
    pub fn counted(&self) -> (u64, u64) {
        let mood = self.mood.lock().unwrap();
        (mood.passed, mood.faulty)
    }
}

fn reply(stream: &mut TcpStream, status: &str, body: &str) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n");
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len())
}

#[allow(clippy::disallowed_methods, reason = "a slow wire is slow; nothing waits for it to be")]
fn serve(stream: &mut TcpStream, node: SocketAddr, mood: &Mutex<Mood>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let (_, body) = message(stream)?;
    let mut mood = mood.lock().unwrap();
    if mood.left == 0 {
        return Ok(());
    }
    mood.left = mood.left.saturating_sub(1);
    mood.passed += 1;
    let mut request: Value = serde_json::from_str(&body).unwrap();
    let refuse = |code: i64, message: &str| {
        json!({ "jsonrpc": "2.0", "id": request["id"], "error": { "code": code, "message": message } }).to_string()
    };
    if mood.dice.u32(..1000) >= mood.faults {
        let answer = post(node, &body)?;
        mood.before.clone_from(&answer);
        return reply(stream, "200 OK", &answer);
    }
    mood.faulty += 1;
    let method = request["method"].as_str().unwrap_or_default().to_owned();
    // Half of the faults are of the wire, half of what the node says to this very question.
    let answer = match (mood.dice.u32(..12), method.as_str()) {
        (0, _) => return Ok(()),
        (1, _) => return post(node, &body).map(|_| ()),
        (2, _) => return reply(stream, "429 Too Many Requests", "slow down"),
        (3, _) => return reply(stream, "503 Service Unavailable", "{}"),
        (4, _) => mood.before.clone(),
        (5, _) => {
            post(node, &body)?;
            post(node, &body)?
        }
        (6, _) => refuse(-32603, "internal error"),
        (7, _) => {
            std::thread::sleep(Duration::from_millis(mood.dice.u64(..5)));
            post(node, &body)?
        }
        (_, "eth_getTransactionCount") => {
            let mut answer: Value = serde_json::from_str(&post(node, &body)?).unwrap();
            let true_count = u64::from_str_radix(&answer["result"].as_str().unwrap()[2..], 16).unwrap();
            let lie = true_count.saturating_add_signed(mood.dice.i64(-3..4));
            answer["result"] = format!("{lie:#x}").into();
            answer.to_string()
        }
        (_, "eth_getTransactionReceipt") => {
            json!({ "jsonrpc": "2.0", "id": request["id"], "result": null }).to_string()
        }
        (n, "eth_getBlockByNumber") if request["params"][0] == "latest" => {
            let mut answer: Value = serde_json::from_str(&post(node, &body)?).unwrap();
            if n < 10 {
                let head = u64::from_str_radix(&answer["result"]["number"].as_str().unwrap()[2..], 16).unwrap();
                request["params"][0] = format!("{:#x}", head.saturating_sub(mood.dice.u64(1..6))).into();
                post(node, &request.to_string())?
            } else {
                // A base fee of 10 to 1,000 gwei.
                let spike = mood.dice.u64(10_000_000_000..1_000_000_000_000);
                answer["result"]["baseFeePerGas"] = format!("{spike:#x}").into();
                answer.to_string()
            }
        }
        (8, "eth_sendRawTransaction") => refuse(-32000, "already known"),
        (9, "eth_sendRawTransaction") => refuse(-32000, "replacement transaction underpriced"),
        (10, "eth_sendRawTransaction") => refuse(-32000, "nonce too low"),
        (_, "eth_sendRawTransaction") => refuse(-32000, "insufficient funds for gas * price + value"),
        _ => "<html>bad gateway</html>".to_owned(),
    };
    reply(stream, "200 OK", &answer)
}
