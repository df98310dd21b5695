//! News of blocks, told by a node instead of asked for: `eth_subscribe` for `newHeads` over a WebSocket.
//!
//! What is told is only that there is something to look at. Whoever is woken asks as if it had not been told anything, and
//! now and then without being told: a node that is silent, lies or is gone costs time and nothing else.

use crate::chain::ChainError;
use crate::rpc::shown;
use crate::trust::Trust;
use crate::ws::{Place, Socket, is_ws};
use serde_json::{Value, json};
use std::io::ErrorKind;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use tungstenite::{Error, Message};

/// Without a word for so long, the node is asked whether it is there; for twice as long, and it is connected to anew.
const QUIET: Duration = Duration::from_secs(30);
/// The first wait before a connection is tried again; it doubles up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
const SUBSCRIBE: u64 = 1;

/// Listens to one node until it is dropped.
#[derive(Debug)]
pub struct Heads {
    /// The thread ends when this is gone.
    _alive: Sender<()>,
}

impl Heads {
    /// Calls `wake` whenever the node behind `url` has a new block, and whenever it is connected to: blocks may have come
    /// unheard before. `None` if the URL is of no WebSocket, so that nobody tells anything.
    ///
    /// # Errors
    /// [`ChainError::Nonsense`] for a URL that cannot be connected to, whoever listens; and if no thread can be had.
    pub fn follow(url: &str, trust: &Trust, wake: impl Fn() + Send + 'static) -> Result<Option<Self>, ChainError> {
        let Some(shown) = shown(url).filter(|_| is_ws(url)) else { return Ok(None) };
        let place = Place::new(url, shown, trust)?;
        let (alive, ended) = channel();
        let thread = std::thread::Builder::new().name("heads".into());
        thread
            .spawn(move || follow(&place, &wake, &ended))
            .map_err(|e| ChainError::nonsense("a thread for the node's news", e))?;
        Ok(Some(Self { _alive: alive }))
    }
}

fn follow(place: &Place, wake: &dyn Fn(), ended: &Receiver<()>) {
    let mut wait = FIRST;
    let mut told = false;
    loop {
        let mut heard = false;
        let lost = listen(place, ended, || {
            heard = true;
            wake();
        });
        let Some(why) = lost else { return };
        if heard {
            (wait, told) = (FIRST, false);
        }
        if !std::mem::replace(&mut told, true) {
            tracing::info!(node = place.shown(), why, "no news of blocks: the chain is asked now and then");
        }
        if ended.recv_timeout(wait) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
        wait = (wait * 2).min(LONGEST);
    }
}

/// Listens until the connection is lost, and says why; `None` when nobody wants to hear any more.
fn listen(place: &Place, ended: &Receiver<()>, mut wake: impl FnMut()) -> Option<String> {
    let mut socket = match place.connect(Instant::now() + QUIET, QUIET) {
        Ok(socket) => socket,
        Err(why) => return Some(why),
    };
    let subscribe = json!({ "jsonrpc": "2.0", "id": SUBSCRIBE, "method": "eth_subscribe", "params": ["newHeads"] });
    if let Err(error) = socket.send(Message::text(subscribe.to_string())) {
        return Some(place.plain(&error.to_string()));
    }
    let mut asked = false;
    loop {
        if ended.try_recv() == Err(std::sync::mpsc::TryRecvError::Disconnected) {
            return None;
        }
        match heard(&mut socket) {
            Ok(Heard::News) => wake(),
            Ok(Heard::Refused(why)) => return Some(why),
            Ok(Heard::Nothing) => {}
            Err(Error::Io(e)) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if std::mem::replace(&mut asked, true) || socket.send(Message::Ping(Default::default())).is_err() {
                    return Some("it does not answer any more".into());
                }
                continue;
            }
            Err(error) => return Some(place.plain(&error.to_string())),
        }
        asked = false;
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Heard {
    /// A block, or the word that we shall hear of blocks.
    News,
    /// The node tells nobody of blocks.
    Refused(String),
    Nothing,
}

fn heard(socket: &mut Socket) -> Result<Heard, Error> {
    match socket.read()? {
        Message::Text(said) => Ok(meaning(&said)),
        Message::Close(_) => Err(Error::ConnectionClosed),
        _ => Ok(Heard::Nothing),
    }
}

/// What a message means.
fn meaning(said: &str) -> Heard {
    let Ok(said) = serde_json::from_str::<Value>(said) else { return Heard::Nothing };
    if said.get("method").and_then(Value::as_str) == Some("eth_subscription") {
        return Heard::News;
    }
    if said.get("id").and_then(Value::as_u64) != Some(SUBSCRIBE) {
        return Heard::Nothing;
    }
    match said.get("error").filter(|e| !e.is_null()) {
        Some(error) => Heard::Refused(crate::chain::quoted(&error.to_string(), 200)),
        None => Heard::News,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_block_is_news_and_so_is_that_we_shall_hear_of_them() {
        assert_eq!(meaning(r#"{"jsonrpc":"2.0","id":1,"result":"0x9ce59a13059e417087c02d3236a0b1cc"}"#), Heard::News);
        let block = r#"{"jsonrpc":"2.0","method":"eth_subscription","params":{"result":{"number":"0x1"}}}"#;
        assert_eq!(meaning(block), Heard::News);
        assert_eq!(meaning(r#"{"jsonrpc":"2.0","id":7,"result":"0x1"}"#), Heard::Nothing, "of another request");
        let refused = meaning(r#"{"id":1,"error":{"code":-32601,"message":"no\nsuch method"}}"#);
        assert!(matches!(refused, Heard::Refused(why) if why.contains("-32601") && !why.contains('\n')));
    }

    proptest! {
        #[test]
        fn whatever_a_node_says_is_taken_for_something(said in ".{0,200}") {
            prop_assert_ne!(meaning(&said), Heard::News);
        }
    }
}
