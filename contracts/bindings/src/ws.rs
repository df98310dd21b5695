//! A WebSocket to a node, which blocks, and every wait of which ends.

use crate::chain::ChainError;
use crate::rpc::{MAX_ANSWER, Unanswered, without_secrets};
use crate::trust::Trust;
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::Request;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Error, Message, WebSocket};

/// An open connection.
pub(crate) type Socket = WebSocket<MaybeTlsStream<Timed>>;

/// A connection on which nothing takes longer than it may, also where every byte comes in time.
pub(crate) struct Timed {
    stream: TcpStream,
    /// The longest that one read or write waits.
    each: Duration,
    /// Until when all have to be done.
    until: Option<Instant>,
}

impl Timed {
    /// How long the next read or write may wait.
    fn left(&self) -> std::io::Result<Duration> {
        let left = self.until.map_or(self.each, |until| until.saturating_duration_since(Instant::now()).min(self.each));
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Timed {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(into)
    }
}

impl Write for Timed {
    fn write(&mut self, from: &[u8]) -> std::io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(from)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

/// Says until when everything on a connection has to be done.
fn limit(socket: &mut Socket, until: Option<Instant>) {
    match socket.get_mut() {
        MaybeTlsStream::Plain(timed) => timed.until = until,
        MaybeTlsStream::Rustls(tls) => tls.sock.until = until,
        _ => {}
    }
}

/// Whether a URL is of a WebSocket.
pub(crate) fn is_ws(url: &str) -> bool {
    url.starts_with("ws://") || url.starts_with("wss://")
}

/// Where to connect, and how to talk of it.
#[derive(Clone)]
pub(crate) struct Place {
    url: String,
    shown: String,
    request: Request,
    host: String,
    port: u16,
    /// Who vouches for it.
    trust: Trust,
}

impl Place {
    /// A URL, and what may be shown of it.
    ///
    /// # Errors
    /// [`ChainError::Nonsense`] if it cannot be connected to, whoever listens.
    pub fn new(url: &str, shown: String, trust: &Trust) -> Result<Self, ChainError> {
        let nonsense = |what: &str| ChainError::nonsense("configuration", format!("the URL {shown}… {what}"));
        let request = url.into_client_request().map_err(|_| nonsense("cannot be read"))?;
        let uri = request.uri();
        if uri.authority().is_some_and(|a| a.as_str().contains('@')) {
            return Err(nonsense("has a user and a password, which a WebSocket has no place for"));
        }
        let host = uri.host().ok_or_else(|| nonsense("names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let usual = if url.starts_with("wss") { 443 } else { 80 };
        let port = uri.port_u16().unwrap_or(usual);
        Ok(Self { url: url.to_owned(), shown, request, host, port, trust: trust.clone() })
    }

    /// Who is asked, without credentials.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Connects until then, its handshakes among it. Later, a read or write that takes longer than `each` fails. (The names
    /// of hosts are looked up by the system, in its own time.)
    pub fn connect(&self, until: Instant, each: Duration) -> Result<Socket, String> {
        let addresses = (self.host.as_str(), self.port).to_socket_addrs().map_err(|e| e.to_string())?;
        let mut why = "it has no address".to_owned();
        for address in addresses {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err("it took too long".into());
            }
            let stream = match TcpStream::connect_timeout(&address, left) {
                Ok(stream) => stream,
                Err(error) => {
                    why = error.to_string();
                    continue;
                }
            };
            stream.set_nodelay(true).map_err(|e| e.to_string())?;
            let stream = Timed { stream, each, until: Some(until) };
            let most = usize::try_from(MAX_ANSWER).unwrap_or(usize::MAX);
            let config = WebSocketConfig::default().max_message_size(Some(most)).max_frame_size(Some(most));
            let shaken =
                tungstenite::client_tls_with_config(self.request.clone(), stream, Some(config), self.trust.websocket());
            return match shaken {
                Ok((mut socket, _)) => {
                    limit(&mut socket, None);
                    Ok(socket)
                }
                Err(error) => Err(self.plain(&error.to_string())),
            };
        }
        Err(why)
    }

    /// An error in words that may stand in a log.
    pub fn plain(&self, what: &str) -> String {
        without_secrets(what, &self.url, &self.shown)
    }
}

/// Requests over one connection, which is made when it is needed.
pub(crate) struct Line {
    place: Place,
    timeout: Duration,
    open: Mutex<Option<Socket>>,
}

impl Line {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// Those of [`Place::new`].
    pub fn new(url: &str, shown: String, timeout: Duration, trust: &Trust) -> Result<Self, ChainError> {
        Ok(Self { place: Place::new(url, shown, trust)?, timeout, open: Mutex::default() })
    }

    /// Sends a request and waits for its answer. A connection that failed is not used again, so that a late answer is
    /// never taken for the next one; and all ends in the time that a request has.
    pub fn post(&self, body: &[u8]) -> Result<Vec<u8>, Unanswered> {
        let text = String::from_utf8_lossy(body).into_owned();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + self.timeout;
        if let Some(mut socket) = open.take()
            && let Ok(answer) = exchange(&mut socket, &text, until)
        {
            *open = Some(socket);
            return Ok(answer);
        }
        // Nodes close connections on which nothing happens. Whatever we ask can be asked twice.
        let mut socket = self.place.connect(until, self.timeout).map_err(Unanswered::Broken)?;
        match exchange(&mut socket, &text, until) {
            Ok(answer) => {
                *open = Some(socket);
                Ok(answer)
            }
            Err(Error::Capacity(_)) => Err(Unanswered::TooLong),
            Err(error) => Err(Unanswered::Broken(self.place.plain(&error.to_string()))),
        }
    }
}

fn exchange(socket: &mut Socket, text: &str, until: Instant) -> Result<Vec<u8>, Error> {
    limit(socket, Some(until));
    socket.send(Message::text(text))?;
    while Instant::now() < until {
        match socket.read()? {
            // What the node says of its own accord is no answer.
            Message::Text(said) if is_notice(&said) => {}
            Message::Text(said) => return Ok(said.as_bytes().to_vec()),
            Message::Close(_) => return Err(Error::ConnectionClosed),
            _ => {}
        }
    }
    Err(Error::Io(ErrorKind::TimedOut.into()))
}

fn is_notice(said: &str) -> bool {
    serde_json::from_str::<Value>(said).is_ok_and(|v| v.get("method").is_some() && v.get("id").is_none())
}
