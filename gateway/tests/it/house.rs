//! What the tests share: a room with files of its own, programs that end with the test, and waiting that has an end.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long anything may take before the test gives up on it: far above what it takes, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// How often a condition that nobody announces is looked at.
const LOOK: Duration = Duration::from_millis(25);

/// The gateway under test.
pub const GATEWAY: &str = env!("CARGO_BIN_EXE_microgrid-gateway");

/// The top of the repository.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The sections that every configuration needs, for a street that has nothing on it yet.
pub const SOUND: &str = r#"[site]
name = "lane"
state = "state"

[tariff]
off_peak = "0.18"
peak = "0.32"
feed_in = "0.08"
peak_hours = ["17:00-22:00"]

[web]
listen = "127.0.0.1:0"

[chain]
kind = "embedded"
chain_id = 31337
rpc_listen = "127.0.0.1:0"
"#;

/// A folder that is gone when the test ends.
pub struct Room(tempfile::TempDir);

impl Room {
    /// An empty one.
    pub fn new() -> Self {
        Self(tempfile::Builder::new().prefix("microgrid-it-").tempdir().unwrap())
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Writes the configuration.
    pub fn config(&self, text: &str) -> PathBuf {
        self.write("gateway.toml", text)
    }
}

/// A port that was free just now, for a server that must be told its number.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Looks again and again until there is an answer.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "waited {PATIENCE:?} in vain: {what}");
        std::thread::park_timeout(LOOK);
    }
}

/// How a program ended.
pub struct Ended {
    /// Its exit code; -1 if a signal ended it.
    pub code: i32,
    /// What it printed.
    pub out: String,
    /// What it complained.
    pub err: String,
}

impl Ended {
    /// It ended with this code, and said all of this on standard error.
    #[track_caller]
    pub fn complains(&self, code: i32, parts: &[&str]) -> &Self {
        assert_eq!(self.code, code, "exit code; it printed {:?} and said:\n{}", self.out, self.err);
        for part in parts {
            assert!(self.err.contains(part), "{part:?} is not in what it said:\n{}", self.err);
        }
        self
    }

    /// It ended well.
    #[track_caller]
    pub fn well(&self) -> &Self {
        self.complains(0, &[])
    }
}

/// The gateway's command line.
pub fn gateway<I: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = I>) -> Command {
    let mut command = Command::new(GATEWAY);
    // The environment of whoever runs the tests must not change what they find.
    command.args(args).env_remove("CREDENTIALS_DIRECTORY").env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC");
    command
}

/// A verb of the gateway with a configuration, run to its end.
pub fn verb(verb: &[&str], config: &Path) -> Ended {
    let mut command = gateway(verb);
    run(command.arg("-c").arg(config))
}

/// Runs a program to its end.
pub fn run(command: &mut Command) -> Ended {
    run_with_input(command, "")
}

/// Runs a program to its end, with something to read.
pub fn run_with_input(command: &mut Command, input: &str) -> Ended {
    let what = format!("{command:?}");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it cannot start");
    // A program that does not read its input closes it early, which is no failure.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let (out, err) = (collect(child.stdout.take().unwrap()), collect(child.stderr.take().unwrap()));
    let until = Instant::now() + PATIENCE;
    let mut ended = child.try_wait().unwrap();
    while ended.is_none() && Instant::now() < until {
        std::thread::park_timeout(LOOK);
        ended = child.try_wait().unwrap();
    }
    if ended.is_none() {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let (out, err) = (out.join().unwrap(), err.join().unwrap());
    let Some(status) = ended else { panic!("{what} did not end; it printed:\n{out}\nand said:\n{err}") };
    Ended { code: status.code().unwrap_or(-1), out, err }
}

fn collect(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = Vec::new();
        from.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    })
}

#[derive(Default)]
struct Said {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

/// A program that runs beside the test and ends with it. What it says on both outputs is kept.
pub struct Running {
    name: String,
    child: Child,
    said: Arc<Said>,
}

impl Running {
    /// Starts it.
    pub fn start(name: &str, command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{name} cannot start: {e}"));
        let said = Arc::new(Said::default());
        let outputs: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for output in outputs {
            let said = Arc::clone(&said);
            std::thread::spawn(move || {
                for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                    said.lines.lock().unwrap().push(String::from_utf8_lossy(&line).into_owned());
                    said.more.notify_all();
                }
            });
        }
        Self { name: name.to_owned(), child, said }
    }

    /// Starts `run -c CONFIG` and waits until the page answers, which then lets `get`, `post` and `state` in as bo.
    pub fn gateway(config: &Path) -> Self {
        let running = Self::start("the gateway", gateway(["run", "-c"]).arg(config));
        bo_comes_in(running.listening("http"), config);
        running
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it said so far.
    pub fn lines(&self) -> Vec<String> {
        self.said.lines.lock().unwrap().clone()
    }

    /// Waits for a line, from the first on.
    #[track_caller]
    pub fn line<T>(&self, what: &str, wanted: impl FnMut(&str) -> Option<T>) -> T {
        self.line_after(0, what, wanted).1
    }

    /// Waits for a line after the first `seen`; says how many there are with it.
    #[track_caller]
    pub fn line_after<T>(&self, seen: usize, what: &str, mut wanted: impl FnMut(&str) -> Option<T>) -> (usize, T) {
        let until = Instant::now() + PATIENCE;
        let mut next = seen;
        let mut lines = self.said.lines.lock().unwrap();
        loop {
            while let Some(line) = lines.get(next) {
                next += 1;
                if let Some(found) = wanted(line) {
                    return (next, found);
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let said = lines.join("\n");
                drop(lines);
                panic!("{} never said {what}; it said:\n{said}", self.name);
            }
            lines = self.said.more.wait_timeout(lines, left.min(Duration::from_secs(1))).unwrap().0;
        }
    }

    /// Where the gateway said that it listens.
    #[track_caller]
    pub fn listening(&self, name: &str) -> SocketAddr {
        let wanted = format!("listening for {name} at=");
        self.line(&wanted, |line| line.split_once(&wanted)?.1.trim().parse().ok())
    }

    /// Says something to it.
    pub fn tell(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{line}").and_then(|()| stdin.flush()).unwrap_or_else(|e| panic!("{}: {e}", self.name));
    }

    /// Asks it to stop as systemd does, and waits until it did.
    #[track_caller]
    pub fn stop(mut self) -> i32 {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(asked.success(), "{} was gone already", self.name);
        self.ended()
    }

    /// Waits until it ends by itself.
    #[track_caller]
    pub fn ended(&mut self) -> i32 {
        let what = format!("the end of {}", self.name);
        eventually(&what, || self.child.try_wait().unwrap()).code().unwrap_or(-1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let mut text = format!("--- {} said:\n", self.name);
            for line in self.said.lines.lock().unwrap().iter() {
                let _ = writeln!(text, "  {line}");
            }
            eprint!("{text}");
        }
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Status line and headers, in lower case.
    pub head: String,
    /// Status line and headers.
    raw: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// What a header says.
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.raw.lines().filter_map(|line| line.split_once(": "));
        headers.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e} in {self:?}"))
    }
}

type Keys = BTreeMap<SocketAddr, (&'static str, String)>;

/// The header by which the tests come in, by where the page is.
static KEYS: Mutex<Keys> = Mutex::new(Keys::new());

fn key(at: SocketAddr) -> Option<(&'static str, String)> {
    KEYS.lock().unwrap_or_else(PoisonError::into_inner).get(&at).cloned()
}

/// Lets `get`, `post` and `state` in by a header from now on.
pub fn comes_in(at: SocketAddr, header: &'static str, value: &str) {
    KEYS.lock().unwrap_or_else(PoisonError::into_inner).insert(at, (header, value.to_owned()));
}

/// Bo has a token for everything, made beside the first gateway of a room and good for those after it.
pub fn bo_comes_in(at: SocketAddr, config: &Path) {
    let kept = config.with_file_name("bo.token");
    let token = std::fs::read_to_string(&kept).unwrap_or_else(|_| {
        let token = token(config, "bo", "read,metrics,money,meters,prices");
        std::fs::write(&kept, &token).unwrap();
        token
    });
    comes_in(at, "Authorization", &format!("Bearer {token}"));
}

/// Makes a token.
#[track_caller]
pub fn token(config: &Path, name: &str, scopes: &str) -> String {
    let made = verb(&["access", "token", "create", name, "--scope", scopes, "--by", "ada"], config);
    made.well().out.trim().to_owned()
}

/// Asks for a path with exactly these headers.
pub fn ask(at: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(at, "GET", path, headers, "")
}

/// Posts a body as bo's program does.
pub fn post(at: SocketAddr, path: &str, body: &str) -> Answer {
    let bo = key(at);
    let headers: Vec<_> = bo.iter().map(|(name, value)| (*name, value.as_str())).collect();
    post_as(at, path, &headers, body)
}

/// Posts a body with these headers.
pub fn post_as(at: SocketAddr, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    send_as(at, "POST", path, headers, body)
}

/// Asks for something in any way, with these headers.
pub fn send_as(at: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let (host, length) = (at.to_string(), body.len().to_string());
    let mut all = vec![("Host", host.as_str()), ("Content-Length", length.as_str())];
    if !headers.iter().any(|(name, _)| *name == "Content-Type") {
        all.push(("Content-Type", "application/json"));
    }
    all.extend(headers);
    send(at, method, path, &all, body)
}

fn send(at: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("{text}\r\n{body}").as_bytes()).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let all = String::from_utf8(all).unwrap();
    let (head, body) = all.split_once("\r\n\r\n").unwrap_or((&all, ""));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_lowercase(), raw: head.to_owned(), body: body.to_owned() }
}

/// Asks for a path as a browser on this machine would, as bo if that is somebody there.
pub fn get(at: SocketAddr, path: &str) -> Answer {
    let (host, bo) = (at.to_string(), key(at));
    let mut headers = vec![("Host", host.as_str())];
    headers.extend(bo.iter().map(|(name, value)| (*name, value.as_str())));
    ask(at, path, &headers)
}

/// The picture of the whole street.
#[track_caller]
pub fn state(at: SocketAddr) -> Value {
    let answer = get(at, "/api/v1/state");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// Calls a method of a chain, as any other client would.
#[track_caller]
pub fn rpc(at: SocketAddr, method: &str, params: &Value) -> Value {
    let request = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let mut answer = ureq::post(format!("http://{at}/"))
        .header("content-type", "application/json")
        .send(request)
        .unwrap_or_else(|e| panic!("{method}: {e}"));
    let answer: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
    assert!(answer.get("error").is_none(), "{method}{params}: {answer}");
    answer["result"].clone()
}
