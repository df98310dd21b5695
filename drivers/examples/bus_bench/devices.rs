//! The far ends: a server with 50 units on one port, and a serial line that keeps the time of its wire.

use crate::log::{Event, Log};
use crate::wire::{crc, pty, silence, wait_until};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// 20 registers: ten floats of 1.5.
fn registers() -> Vec<u8> {
    let floats = (0..10).flat_map(|_| 1.5_f32.to_be_bytes());
    [4, 40].into_iter().chain(floats).collect()
}

/// How a gateway works through its questions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// One after the other; a silent unit costs it nothing.
    InTurn,
    /// One after the other; it waits so long for a silent unit.
    Stuck(Duration),
    /// On all at a time.
    Abreast,
}

/// Modbus TCP; units in `silent` never answer, all others after `delay`.
pub struct Server {
    pub address: String,
    requests: Arc<AtomicU32>,
}

impl Server {
    pub fn start(silent: Vec<u8>, delay: Duration, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let requests = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&requests);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let (silent, counter) = (silent.clone(), Arc::clone(&counter));
                std::thread::spawn(move || serve(stream, &silent, delay, manner, &counter));
            }
        });
        Self { address, requests }
    }

    pub fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }
}

fn serve(mut stream: TcpStream, silent: &[u8], delay: Duration, manner: Manner, counter: &AtomicU32) {
    let _ = stream.set_nodelay(true);
    let mut request = [0; 12];
    while stream.read_exact(&mut request).is_ok() {
        counter.fetch_add(1, Ordering::Relaxed);
        let unit = request[6];
        if silent.contains(&unit) {
            if let Manner::Stuck(time) = manner {
                wait_until(Instant::now() + time);
            }
            continue;
        }
        let at = Instant::now() + delay;
        let answer = [&[request[0], request[1], 0, 0, 0, 43, unit], registers().as_slice()].concat();
        if manner == Manner::Abreast {
            let mut mouth = stream.try_clone().expect("a handle");
            std::thread::spawn(move || {
                wait_until(at);
                mouth.write_all(&answer)
            });
            continue;
        }
        wait_until(at);
        if stream.write_all(&answer).is_err() {
            break;
        }
    }
}

/// A pseudo-terminal on which an answer ends when it would end on a wire at `baud`: the question takes its time, 3.5
/// characters of silence follow, then the answer takes its own. The question is on the wire from when it was handed to the
/// port, as the [`Log`] has it, and not from when the pseudo-terminal has brought it here: a UART has no such way.
pub struct Line {
    pub port: PathBuf,
    _far: File,
}

impl Line {
    pub fn start(baud: u32, dead: Vec<u8>, log: Log) -> Self {
        let (mut master, port, far) = pty();
        let silence = silence(baud);
        std::thread::spawn(move || {
            let mut request = [0; 8];
            while master.read_exact(&mut request).is_ok() {
                let now = Instant::now();
                log.note(Event::Heard, now);
                if dead.contains(&request[0]) {
                    continue;
                }
                let mut answer = [&request[..1], registers().as_slice()].concat();
                answer.extend(crc(&answer).to_le_bytes());
                let on_the_wire = Duration::from_secs(1) * (crate::QUESTION + crate::ANSWER) * 11 / baud + silence;
                let due = log.sent().unwrap_or(now) + on_the_wire;
                wait_until(due);
                log.note(Event::Due, due);
                if master.write_all(&answer).is_err() {
                    break;
                }
            }
        });
        Self { port, _far: far }
    }
}

/// Readings a second of a loop that does nothing else, blocks, and burns its core to wait exactly: what this machine's
/// pseudo-terminals can, since they are no wire and take their own time to hand bytes over.
pub fn bare(baud: u32, silence: Duration, time: Duration) -> f64 {
    let log = Log::default();
    let line = Line::start(baud, Vec::new(), log.clone());
    let mut port = File::options().read(true).write(true).open(&line.port).expect("the line");
    let mut question = vec![1, 4, 0, 0, 0, 20];
    question.extend(crc(&question).to_le_bytes());
    let (began, mut count) = (Instant::now(), 0_u32);
    let mut answer = [0; crate::ANSWER as usize];
    while began.elapsed() < time {
        log.note(Event::Sent, Instant::now());
        port.write_all(&question).expect("the line");
        port.read_exact(&mut answer).expect("an answer");
        count += 1;
        wait_until(Instant::now() + silence);
    }
    f64::from(count) / began.elapsed().as_secs_f64()
}
