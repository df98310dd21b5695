//! A device of the tests' own, on a real socket: registers that keep what is written, but for those that do not, and
//! a log of every order.

use crate::bench::Asked;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What the device is like now; a test may change it at any time.
#[derive(Default)]
pub struct Nature {
    /// Holding registers; what is not here is refused.
    pub words: BTreeMap<u16, u16>,
    /// Registers that confirm a write and keep their value.
    pub stubborn: BTreeSet<u16>,
    /// Registers that refuse a write.
    pub fixed: BTreeSet<u16>,
    /// The functions and addresses of all orders.
    pub orders: Vec<(u8, u16)>,
    /// Questions of any kind.
    pub asked: usize,
    /// It hears everything and says nothing.
    pub silent: bool,
}

pub struct Board {
    pub address: String,
    nature: Arc<Mutex<Nature>>,
    cut: Arc<tokio::sync::Notify>,
    _server: JoinSet<()>,
}

impl Board {
    pub async fn new(words: impl IntoIterator<Item = (u16, u16)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let nature = Arc::new(Mutex::new(Nature { words: words.into_iter().collect(), ..Nature::default() }));
        let (cut, mut server) = (Arc::new(tokio::sync::Notify::new()), JoinSet::new());
        let (inside, cutter) = (Arc::clone(&nature), Arc::clone(&cut));
        server.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::select! {
                    () = converse(stream, &inside) => {}
                    () = cutter.notified() => {}
                }
            }
        });
        Self { address, nature, cut, _server: server }
    }

    pub fn nature(&self) -> MutexGuard<'_, Nature> {
        self.nature.lock().unwrap()
    }

    /// The orders since the last call.
    pub fn orders(&self) -> Vec<(u8, u16)> {
        std::mem::take(&mut self.nature().orders)
    }

    /// Cuts the connection that is open now.
    pub fn cut(&self) {
        self.cut.notify_one();
    }
}

async fn converse(mut stream: TcpStream, nature: &Mutex<Nature>) {
    while let Ok(Asked { header, pdu }) = Asked::from(&mut stream).await {
        let answer = answer(&mut nature.lock().unwrap(), &pdu);
        let Some(answer) = answer else { continue };
        let len = u8::try_from(answer.len() + 1).unwrap();
        let head = [header[0], header[1], 0, 0, 0, len, header[6]];
        if stream.write_all(&[&head[..], &answer].concat()).await.is_err() {
            return;
        }
    }
}

fn answer(nature: &mut Nature, pdu: &[u8]) -> Option<Vec<u8>> {
    nature.asked += 1;
    if nature.silent {
        return None;
    }
    let word = |at: usize| u16::from_be_bytes([pdu[at], pdu[at + 1]]);
    let (function, first) = (pdu[0], word(1));
    let written = match function {
        3 => {
            let words: Option<Vec<u16>> =
                (first..).take(word(3).into()).map(|at| nature.words.get(&at).copied()).collect();
            let bytes = |words: Vec<u16>| words.into_iter().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
            return Some(match words.map(bytes) {
                Some(bytes) => [vec![3, u8::try_from(bytes.len()).unwrap()], bytes].concat(),
                None => vec![0x83, 2],
            });
        }
        6 => vec![word(3)],
        16 => pdu[6..].chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect(),
        _ => return Some(vec![function | 0x80, 1]),
    };
    nature.orders.push((function, first));
    let places: Vec<u16> = (first..).take(written.len()).collect();
    if places.iter().any(|at| nature.fixed.contains(at) || !nature.words.contains_key(at)) {
        return Some(vec![function | 0x80, 3]);
    }
    for (at, word) in places.into_iter().zip(written) {
        if !nature.stubborn.contains(&at) {
            nature.words.insert(at, word);
        }
    }
    Some(pdu[..5].to_vec())
}
