//! How long it takes from a movement of an account to its being settled, by send rate, customers and chain:
//! `cargo run -p actors --example latency`. Takes some minutes; anvil comes from npm (`npm ci` in contracts/). Words after
//! `--` pick rows: `-- "anvil, 5 s" "| 100 |"` those that have all of them.

use actix::Actor;
use actors::{Board, FeePolicy, HeadCame, Recorder, Settler, SettlerPlan};
use contracts::U256;
use contracts::chain::Chain;
use contracts::embedded::{EmbeddedChain, Genesis};
use contracts::heads::Heads;
use contracts::key::{LocalKey, Signer};
use contracts::rpc::JsonRpc;
use contracts::trust::Trust;
use domain::{AccountId, Clock, Fact, Money, Permille, Price, Rates, Seq, Source, Tariff, TimeZone, Timestamp};
use ledger::{Enrolled, Enrolment, Ledger, Write};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

type Failed = Box<dyn Error>;

const RATES: [u32; 3] = [10, 50, 100];
const CUSTOMERS: [usize; 3] = [10, 50, 100];
/// How long movements are sent at each rate.
const SENDING: Duration = Duration::from_secs(12);
/// The first of anvil's well-known development keys.
const RICH: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

struct Anvil(Child);

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The last two as a gateway talks to a node that is not its own.
const KINDS: [&str; 5] = [
    "embedded",
    "anvil, 1 s blocks",
    "anvil, 5 s blocks",
    "anvil, 1 s blocks, asked every 3 s",
    "anvil, 1 s blocks, told over a WebSocket",
];

fn anvil(block_time: &str, scheme: &str) -> Result<(Anvil, String, Arc<dyn Chain>), Failed> {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts/node_modules/@foundry-rs");
    let binary = modules.join("anvil-linux-amd64/bin/anvil");
    let mut child = Command::new(binary)
        .args(["--port", "0", "--block-time", block_time, "--chain-id", "31337"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let out = child.stdout.take().ok_or("anvil has no output")?;
    let anvil = Anvil(child);
    let mut lines = BufReader::new(out).lines().map_while(Result::ok);
    let at = lines.find_map(|l| l.strip_prefix("Listening on ").map(|at| at.trim().to_owned()));
    let url = format!("{scheme}://{}", at.ok_or("anvil does not say where it listens")?);
    std::thread::spawn(move || lines.for_each(drop));
    let chain = Arc::new(JsonRpc::new(&url, Duration::from_secs(10))?);
    Ok((anvil, url, chain))
}

fn embedded(dir: &Path, key: &LocalKey, clock: &Clock) -> Result<Arc<dyn Chain>, Failed> {
    let alloc = vec![(key.address(), U256::from(10).pow(U256::from(21)))];
    let genesis = Genesis { chain_id: 31337, alloc };
    Ok(Arc::new(EmbeddedChain::open(&dir.join("chain"), genesis, clock.clone())?))
}

fn main() -> Result<(), Failed> {
    println!("| chain | customers | movements/s | batches | median s | 95 % s |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    for kind in KINDS {
        for customers in CUSTOMERS {
            for rate in RATES {
                let row = format!("| {kind} | {customers} | {rate} |");
                if !wanted.iter().all(|word| row.contains(word)) {
                    continue;
                }
                let (batches, mut latencies) = actix::System::new().block_on(trial(kind, customers, rate))?;
                latencies.sort_unstable();
                let at =
                    |permille: usize| latencies.get(latencies.len() * permille / 1000).copied().unwrap_or_default();
                let (median, most) = (at(500).as_secs_f64(), at(950).as_secs_f64());
                println!("{row} {batches} | {median:.2} | {most:.2} |");
            }
        }
    }
    Ok(())
}

/// Answers how many batches there were, and for every movement how long it took to be settled.
async fn trial(kind: &str, customers: usize, rate: u32) -> Result<(u64, Vec<Duration>), Failed> {
    let dir = tempfile::tempdir()?;
    let clock = Clock::new(1, || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
    });
    let key = LocalKey::from_hex(RICH)?;
    let (told, remote) = (kind.contains("told"), kind.contains("told") || kind.contains("asked"));
    let (_anvil, url, chain) = match kind.split_once(", ") {
        Some((_, blocks)) => {
            let scheme = if told { "ws" } else { "http" };
            let (anvil, url, chain) = anvil(blocks.split(' ').next().unwrap_or("1"), scheme)?;
            (Some(anvil), url, chain)
        }
        None => (None, String::new(), embedded(dir.path(), &key, &clock)?),
    };
    let names = (0..customers).map(|n| format!("home-{n}").parse()).collect::<Result<Vec<AccountId>, _>>()?;
    let ledger = Arc::new(Ledger::open(&dir.path().join("ledger.db"))?);
    let accounts = names.iter().map(|id| Enrolled { id: id.clone(), debt_share: Permille::FULL }).collect();
    ledger.enrol(&Enrolment { accounts, meters: Vec::new() })?;
    let rates = Rates { off_peak: Price(1), peak: Price(2), ..Rates::default() };
    let tariff = Tariff {
        version: 1,
        since: Timestamp(0),
        interval_s: 900,
        peak_hours: Vec::new(),
        zone: TimeZone::utc(),
        pool_share: Permille::NONE,
        rates,
        classes: BTreeMap::default(),
    };
    ledger.adopt_tariff(clock.now(), &tariff, None, "the example")?;
    let scribe = Recorder::launch(Arc::clone(&ledger), clock.clone())?;
    let plan = SettlerPlan {
        kind: kind.to_owned(),
        chain,
        chain_id: 31337,
        signer: Arc::new(key),
        provider: None,
        time_of_use: None,
        dispatch: None,
        witness: None,
        wei_per_unit: U256::from(1_000_000_000),
        agreed: actors::Agreed::default(),
        holders: BTreeMap::new(),
        points: BTreeMap::new(),
        low_at: Money(0),
        confirmations: 1,
        // As often as it can: what is left is the way to the chain.
        every: Duration::from_millis(200),
        poll: Duration::from_millis(if remote { 3_000 } else { 100 }),
        most: 250,
        fees: FeePolicy { ceiling: 500_000_000_000, patience: Duration::from_secs(60) },
    };
    let settler = Settler::new(plan, clock, scribe.clone(), Board::default()).start();
    let _heads =
        if told { Heads::follow(&url, &Trust::default(), move || _ = settler.try_send(HeadCame))? } else { None };
    // The contract and the accounts first.
    while !ledger.accounts()?.iter().all(|a| a.opened) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    // For each account what was sent when, as the sum of everything up to then.
    let mut sent: Vec<Vec<(i64, Instant)>> = vec![Vec::new(); customers];
    let mut latencies = Vec::new();
    let (mut cursor, mut settled, mut count) = (Seq(0), vec![0_usize; customers], 0_u32);
    let (start, mut dice) = (Instant::now(), fastrand::Rng::with_seed(1));
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let mut batches = 0;
    while start.elapsed() < SENDING + Duration::from_secs(60) {
        tick.tick().await;
        let due = rate.saturating_mul(u32::try_from(start.elapsed().min(SENDING).as_millis())?) / 1000;
        let mut writes = Vec::new();
        while count < due {
            count += 1;
            let home = dice.usize(..customers);
            let sum = sent[home].last().map_or(0, |(sum, _)| *sum) + 1;
            sent[home].push((sum, Instant::now()));
            let source = Source::Cash { reference: count.to_string(), who: "the example".into() };
            writes.push(Write::TopUp { account: names[home].clone(), amount: Money(1), source });
        }
        if !writes.is_empty() {
            scribe.write_all(writes).await?;
        }
        for (seq, _, fact) in ledger.facts_after(cursor, 10_000)? {
            cursor = seq;
            let Fact::Settled { batch, .. } = fact else { continue };
            batches += 1;
            for item in ledger.batch(batch)?.into_iter().flat_map(|b| b.items) {
                let home = usize::try_from(item.number)? - 1;
                while let Some((_, at)) = sent[home].get(settled[home]).filter(|(sum, _)| *sum <= item.net.0) {
                    latencies.push(at.elapsed());
                    settled[home] += 1;
                }
            }
        }
        if start.elapsed() > SENDING && latencies.len() == usize::try_from(count)? {
            return Ok((batches, latencies));
        }
    }
    Err("a minute after the last movement not all of them are settled".into())
}
