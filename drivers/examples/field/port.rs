//! Where the meters are: behind one TCP port, each on an address of its own, or on a serial line.

use crate::meter::answer;
use crate::tally::Tallies;
use crate::wire::{crc, pty, silence, wait_until};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

/// How the units of a port behave; clones share it.
#[derive(Clone, Default)]
pub struct Manners {
    silent: Arc<Mutex<Vec<u8>>>,
    /// Held while an answer is under way.
    pace: Arc<Mutex<Duration>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Manners {
    pub fn hush(&self, units: Vec<u8>) {
        *lock(&self.silent) = units;
    }

    pub fn pace(&self, millis: u32) {
        *lock(&self.pace) = Duration::from_millis(millis.into());
    }

    fn is_silent(&self, unit: u8) -> bool {
        lock(&self.silent).contains(&unit)
    }

    fn take_time(&self) {
        let pace = lock(&self.pace);
        wait_until(Instant::now() + *pace);
    }
}

/// Whoever serves one device or connection needs little room, and there are thousands.
fn start(work: impl FnOnce() + Send + 'static) {
    let _unattended = Builder::new().stack_size(128 * 1024).spawn(work).expect("a thread");
}

/// All units, behind one TCP port, as many connections as come.
pub struct Port {
    pub address: String,
    pub manners: Manners,
}

impl Port {
    pub fn open(tallies: &Tallies) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (manners, tallies) = (Manners::default(), tallies.clone());
        let theirs = manners.clone();
        start(move || {
            while let Ok((stream, _)) = listener.accept() {
                let (manners, tallies) = (theirs.clone(), tallies.clone());
                start(move || serve(stream, &"port".into(), &manners, &tallies));
            }
        });
        Self { address, manners }
    }
}

/// A device on an address of its own, which talks to one master at a time as small devices do.
pub fn alone(n: u32, tallies: &Tallies) -> String {
    let host = format!("127.1.{}.{}", n / 250, n % 250 + 1);
    let listener = TcpListener::bind((host.as_str(), 0)).expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let (place, tallies) = (Arc::from(address.as_str()), tallies.clone());
    start(move || {
        while let Ok((stream, _)) = listener.accept() {
            serve(stream, &place, &Manners::default(), &tallies);
        }
    });
    address
}

fn serve(mut stream: TcpStream, place: &Arc<str>, manners: &Manners, tallies: &Tallies) {
    let _ = stream.set_nodelay(true);
    let (mut question, mut reply) = ([0; 260], Vec::new());
    // Questions of five bytes from the function code on are all that a meter is asked.
    while stream.read_exact(&mut question[..12]).is_ok() {
        let [t0, t1, 0, 0, 0, 6, unit, ..] = question else { break };
        tallies.asked(place, unit);
        if manners.is_silent(unit) {
            continue;
        }
        manners.take_time();
        reply.clear();
        reply.extend([t0, t1, 0, 0, 0, 0, unit]);
        let told = answer(&question[7..12], &mut reply);
        let len = u8::try_from(reply.len() - 6).expect("a short frame");
        reply[5] = len;
        if stream.write_all(&reply).is_err() {
            break;
        }
        tallies.told(place, unit, told);
    }
}

/// A pseudo-terminal on which an answer ends when it would end on a wire at `baud`: the question takes its time, 3.5
/// characters of silence follow, then the answer takes its own.
pub fn line(baud: u32, tallies: &Tallies) -> PathBuf {
    let (mut master, path, far) = pty();
    let (place, tallies) = (Arc::from("line"), tallies.clone());
    start(move || {
        let _kept = far;
        let mut question = [0; 8];
        while master.read_exact(&mut question).is_ok() {
            let heard = Instant::now();
            let (said, check) = question.split_at(6);
            let unit = said[0];
            if check != crc(said).to_le_bytes() {
                continue;
            }
            tallies.asked(&place, unit);
            let mut reply = vec![unit];
            let told = answer(&said[1..], &mut reply);
            reply.extend(crc(&reply).to_le_bytes());
            let bytes = u32::try_from(question.len() + reply.len()).expect("short frames");
            wait_until(heard + Duration::from_secs(1) * bytes * 11 / baud + silence(baud));
            if master.write_all(&reply).is_err() {
                break;
            }
            tallies.told(&place, unit, told);
        }
    });
    path
}
