//! Measures this machine: what recording costs beside the bare disk, and what a gateway with fifty meters costs.

use crate::failure::{Code, Failure};
use crate::verbs::print;
use domain::{MeterId, Reading, Timestamp, Volts, WattHours, Watts};
use ledger::{Enrolment, Ledger, Write};
use serde::Serialize;
use std::fs::File;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const METERS: u32 = 50;

/// The figures.
#[derive(Debug, Default, Serialize)]
struct Figures {
    /// Readings per second, one commit and sync for each.
    recorded_singly: f64,
    /// Readings per second, one commit and sync for each group of [`METERS`].
    recorded_in_groups: f64,
    /// Groups per second beside groups of the same bytes appended to a plain file with one sync each: 1 is the disk.
    groups_beside_plain_file: f64,
    /// From the start of the process to the first recorded reading.
    cold_start_ms: u128,
    resident_kib: u64,
    resident_peak_kib: u64,
    /// Of one core, with [`METERS`] meters read once a second over Modbus TCP, page, broker, ledger and chain on.
    cpu_percent: f64,
    readings_per_second: f64,
    /// Bytes that the process caused to be written to the disk, per reading.
    written_per_reading: f64,
}

/// `bench`
pub fn run(length: Duration, json: Option<&Path>) -> Result<(), Failure> {
    let folder = Folder::make()?;
    let mut figures = Figures::default();
    recording(&folder.0, length, &mut figures)?;
    print(&format!(
        "recording with full sync, one reading a commit   {:>10.0} readings/s\n\
         recording with full sync, {METERS} readings a commit   {:>10.0} readings/s\n\
         groups beside plain file + fdatasync             {:>10.2} ×\n",
        figures.recorded_singly, figures.recorded_in_groups, figures.groups_beside_plain_file
    ))?;
    gateway(&folder.0, length, &mut figures)?;
    print(&format!(
        "cold start to first recorded reading             {:>10} ms\n\
         {METERS} meters at 1 Hz: resident                      {:>10.1} MiB (peak {:.1})\n\
         {METERS} meters at 1 Hz: CPU                           {:>10.1} % of one core\n\
         {METERS} meters at 1 Hz: recorded                      {:>10.1} readings/s\n\
         {METERS} meters at 1 Hz: written to disk               {:>10.0} bytes a reading\n",
        figures.cold_start_ms,
        mebi(figures.resident_kib),
        mebi(figures.resident_peak_kib),
        figures.cpu_percent,
        figures.readings_per_second,
        figures.written_per_reading
    ))?;
    if let Some(file) = json {
        let json = serde_json::to_vec_pretty(&figures).map_err(|e| Failure::new(Code::Internal, e))?;
        std::fs::write(file, json).map_err(|e| Failure::new(Code::Unavailable, format!("{}: {e}", file.display())))?;
    }
    Ok(())
}

fn mebi(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0
}

/// A folder of this measurement, gone afterwards. In the current folder, because the system's temporary one may not be
/// on a disk at all.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self, Failure> {
        let folder = std::env::current_dir()
            .map(|d| d.join(format!(".microgrid-bench-{}", std::process::id())))
            .and_then(|d| std::fs::create_dir_all(&d).map(|()| d));
        folder.map(Self).map_err(|e| Failure::new(Code::Unavailable, format!("no folder to measure in: {e}")))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn recording(folder: &Path, length: Duration, figures: &mut Figures) -> Result<(), Failure> {
    let io = |e: std::io::Error| Failure::new(Code::Unavailable, e);
    let ids: Vec<MeterId> = (0..METERS).filter_map(|i| format!("meter-{i}").parse().ok()).collect();
    let ledger = Ledger::open(&folder.join("bench.db"))?;
    ledger.enrol(&Enrolment { accounts: Vec::new(), meters: ids.iter().map(|m| (m.clone(), None)).collect() })?;
    let group = |round: u32| -> Vec<Reading> {
        let at = Timestamp(1_772_409_600_000 + i64::from(round) * 1000);
        let reading = |id: &MeterId| Reading {
            import: Some(WattHours(i64::from(round))),
            power: Some(Watts(1234)),
            voltage: Volts::finite(230.1),
            ..Reading::empty(id.clone(), at)
        };
        ids.iter().map(reading).collect()
    };
    let commit = |readings: Vec<Reading>| -> Result<(), Failure> {
        for outcome in ledger.commit(Timestamp(0), &[Write::Readings(readings)])? {
            outcome?;
        }
        Ok(())
    };
    let mut plain = File::create(folder.join("plain")).map_err(io)?;
    // Ledger and plain file by turns, so that both meet the same disk.
    let (mut rounds, mut ours, mut disk, mut singly, mut singles) =
        (0_u32, Duration::ZERO, Duration::ZERO, Duration::ZERO, 0_u32);
    let begun = Instant::now();
    while begun.elapsed() < length {
        let readings = group(rounds);
        let bytes = serde_json::to_vec(&readings).map_err(|e| Failure::new(Code::Internal, e))?;
        let one = readings.iter().take(1).cloned().collect();
        let at = Instant::now();
        commit(readings)?;
        ours += at.elapsed();
        let at = Instant::now();
        plain.write_all(&bytes).and_then(|()| plain.sync_data()).map_err(io)?;
        disk += at.elapsed();
        let at = Instant::now();
        commit(one)?;
        singly += at.elapsed();
        singles += 1;
        rounds += 1;
    }
    let per_second = |n: u32, d: Duration| f64::from(n) / d.as_secs_f64().max(1e-9);
    figures.recorded_in_groups = per_second(rounds.saturating_mul(METERS), ours);
    figures.recorded_singly = per_second(singles, singly);
    figures.groups_beside_plain_file = disk.as_secs_f64() / ours.as_secs_f64().max(1e-9);
    Ok(())
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(verb: &str, config: &Path) -> Result<Process, Failure> {
    let me = std::env::current_exe().map_err(|e| Failure::new(Code::Internal, e))?;
    let child = Command::new(me).args([verb, "-c"]).arg(config).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    child.map(Process).map_err(|e| Failure::new(Code::Internal, e))
}

fn gateway(folder: &Path, length: Duration, figures: &mut Figures) -> Result<(), Failure> {
    let port = || crate::demo::free_port();
    let (meters, page, mqtt) = (port()?, port()?, port()?);
    let config = |state: &str, simulate: bool| {
        let mut text = format!(
            "[site]\nname = \"bench\"\nstate = \"{state}\"\n[tariff]\noff_peak = \"0.18\"\npeak = \"0.32\"\nfeed_in = \"0.08\"\n\
             [broker]\nlisten = \"127.0.0.1:{mqtt}\"\n[web]\nlisten = \"127.0.0.1:{page}\"\n\
             [chain]\nkind = \"embedded\"\nchain_id = 31337\nrpc_listen = \"127.0.0.1:0\"\nsettle_every = \"60s\"\n\
             [[bus]]\nid = \"tcp\"\nkind = \"modbus-tcp\"\naddress = \"127.0.0.1:{meters}\"\nsimulate = {simulate}\n"
        );
        for i in 1..=METERS {
            text += &format!(
                "[[account]]\nid = \"home-{i}\"\n[[meter]]\nid = \"home-{i}\"\nbus = \"tcp\"\nunit = {i}\nmodel = \"sim-home\"\naccount = \"home-{i}\"\nperiod = \"1s\"\n"
            );
        }
        let path = folder.join(format!("{state}.toml"));
        std::fs::write(&path, text).map(|()| path).map_err(|e| Failure::new(Code::Unavailable, e))
    };
    let _street = start("simulate", &config("street", true)?)?;
    wait(Duration::from_secs(20), || TcpStream::connect(("127.0.0.1", meters)).is_ok().then_some(()))?;
    let config = config("gateway", false)?;
    let token = token(&folder.join("gateway"))?;
    let readings = |page| readings(page, &token);
    let begun = Instant::now();
    let gateway = start("run", &config)?;
    wait(Duration::from_secs(30), || readings(page).filter(|n| *n > 0))?;
    figures.cold_start_ms = begun.elapsed().as_millis();
    // Deployment, opening of accounts and the first batch are not the steady state.
    wait(Duration::from_secs(60), || readings(page).filter(|n| *n > u64::from(METERS) * 3))?;
    let proc_folder = PathBuf::from(format!("/proc/{}", gateway.0.id()));
    // From burst to burst, so that no part of one falls out of the window.
    let burst = |patience: Duration| {
        let before = readings(page).unwrap_or(0);
        wait(patience, || readings(page).filter(|n| *n >= before + u64::from(METERS)))
    };
    let n = burst(Duration::from_secs(10))?;
    let (cpu, written, at) = (ticks(&proc_folder), field(&proc_folder, "io", "write_bytes"), Instant::now());
    let until = at + length.max(Duration::from_secs(5)) * 2;
    wait(length * 4 + Duration::from_secs(60), || (Instant::now() >= until).then_some(()))?;
    let counted = burst(Duration::from_secs(10))?.saturating_sub(n);
    let passed = at.elapsed().as_secs_f64();
    let number = |n: u64| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    figures.readings_per_second = number(counted) / passed;
    figures.cpu_percent = number(ticks(&proc_folder).saturating_sub(cpu)) / passed;
    let bytes = field(&proc_folder, "io", "write_bytes").saturating_sub(written);
    figures.written_per_reading = number(bytes) / number(counted).max(1.0);
    figures.resident_kib = field(&proc_folder, "status", "VmRSS");
    figures.resident_peak_kib = field(&proc_folder, "status", "VmHWM");
    Ok(())
}

fn wait<T>(patience: Duration, mut ready: impl FnMut() -> Option<T>) -> Result<T, Failure> {
    let begun = Instant::now();
    loop {
        if let Some(found) = ready() {
            return Ok(found);
        }
        if begun.elapsed() > patience {
            return Err(Failure::new(Code::Unavailable, "the measured gateway did not get going in time"));
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// A token that lets this program look.
fn token(state: &Path) -> Result<String, Failure> {
    std::fs::create_dir_all(state).map_err(|e| Failure::new(Code::Unavailable, e))?;
    let looks = |book: &mut crate::access::Book| book.add_token("bench", [crate::access::Scope::Read].into(), None);
    crate::access::Store::new(state).change(looks).map_err(|e| Failure::new(Code::Unavailable, e))
}

/// Readings recorded, as the page's data says.
fn readings(page: u16, token: &str) -> Option<u64> {
    let mut stream = TcpStream::connect(("127.0.0.1", page)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    let head = format!("GET /api/v1/state HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n");
    stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    let state: serde_json::Value = serde_json::from_str(body).ok()?;
    state["ledger"]["readings"].as_u64()
}

/// User and system time in hundredths of a second, which is what Linux counts in on every machine we know.
fn ticks(process: &Path) -> u64 {
    let stat = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default();
    fields.split(' ').skip(11).take(2).filter_map(|f| f.parse::<u64>().ok()).sum()
}

fn field(process: &Path, file: &str, key: &str) -> u64 {
    let text = std::fs::read_to_string(process.join(file)).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':'));
    line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
