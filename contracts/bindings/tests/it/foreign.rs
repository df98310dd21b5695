//! Programs that share no code with this one: anvil as a second chain, ethers as a second client. Both come from npm
//! (`make test` installs them). Without them these tests say so and pass, unless `MICROGRID_REQUIRE_FOREIGN` is set.

use crate::server::Http;
use crate::street::{CHAIN_ID, Street, charged, item, open, owner, why};
use contracts::chain::{Chain, LogFilter, Receipt};
use contracts::key::{Cost, LocalKey, Password, Signer};
use contracts::provider::{self, AccountOnChain, Prices};
use contracts::rpc::JsonRpc;
use contracts::tx::Call;
use contracts::{Address, B256, U256};
use domain::{Money, Price};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

fn contracts_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file that npm installs, or the decision to go without.
fn installed(path: &str, what: &str) -> Option<PathBuf> {
    let file = contracts_dir().join("node_modules").join(path);
    if file.exists() {
        return Some(file);
    }
    let required = std::env::var_os("MICROGRID_REQUIRE_FOREIGN").is_some_and(|v| v == "1");
    assert!(!required, "{what} is required, but {} is missing: run `npm ci` in contracts", file.display());
    // Past the test harness, which would keep `eprintln!` to itself.
    let mut stderr = std::io::stderr();
    let _ = writeln!(
        stderr,
        "SKIPPED: {what} is not installed (run `npm ci` in contracts), so nothing was compared with it"
    );
    None
}

pub struct Anvil {
    child: Child,
    pub url: String,
}

impl Anvil {
    pub fn start() -> Option<Self> {
        let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let binary = installed(&format!("@foundry-rs/anvil-linux-{arch}/bin/anvil"), "anvil")?;
        let arguments = ["--port", "0", "--chain-id", "31337", "--hardfork", "osaka"];
        let mut child = Command::new(binary).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.find_map(|l| l.unwrap().strip_prefix("Listening on ").map(str::to_owned));
        // Its log goes on; nobody may stop reading, or anvil would stand still when the pipe is full.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { child, url: format!("http://{}", address.expect("anvil says where it listens")) })
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One receipt without what differs: status, gas, contract, crossings and the data of all logs.
type Outcome = (bool, u64, Option<Address>, Vec<provider::CreditChanged>, Vec<Vec<u8>>);

/// What two chains have to agree on: all but hashes, heights and fees.
#[derive(Debug, PartialEq)]
struct Trace {
    receipts: Vec<Outcome>,
    refusals: Vec<String>,
    estimates: Vec<String>,
    accounts: Vec<AccountOnChain>,
    totals: provider::Totals,
    held: U256,
    logs: usize,
}

fn scenario(chain: &dyn Chain) -> Trace {
    assert_eq!(chain.chain_id(), Ok(CHAIN_ID));
    let street = Street::deploy(chain, Money(1_000));
    let (at, me) = (street.provider, owner().address());
    let mut receipts: Vec<Receipt> = Vec::new();
    let mut refusals = Vec::new();
    street.open_accounts(40);
    for n in 1..=40 {
        receipts.push(street.deposit(n, 100_000 + i64::from(n)).unwrap());
    }
    for round in 1..=3_i64 {
        // Charges of both signs, and none.
        let charge = |n: u32| (i64::from(n) - 20) * 1_000 * (round - 1);
        let item = |n: u32| charged(item(n, round * 100, round * i64::from(n), round * 7), charge(n));
        let items: Vec<_> = (1..=40_u32).map(item).collect();
        receipts.push(street.settle(u64::try_from(round).unwrap(), 1, &items).unwrap());
        refusals.push(why(street.settle(u64::try_from(round).unwrap(), 1, &items)));
    }
    let prices = Prices { off_peak: Price(1), peak: Price(2), feed_in: Price(3) };
    receipts.push(street.send(provider::set_tariff(at, prices)).unwrap());
    refusals.push(why(street.settle(4, 1, &[item(1, 999, 999, 999)])));
    refusals.push(why(street.settle(4, 2, &[item(1, 1, 999, 999)])));
    receipts.push(street.send(provider::withdraw(at, Address::repeat_byte(0xaa), Money(1_234)).unwrap()).unwrap());
    refusals.push(why(street.send(provider::withdraw(at, me, Money(1 << 60)).unwrap())));
    let calls = [
        provider::deposit(at, 1, Money(1), U256::from(1000)).unwrap(),
        provider::settle(at, 4, 2, B256::ZERO, &[item(1, 1_000, 1_000, 1_000)]).unwrap(),
        provider::settle(at, 9, 2, B256::ZERO, &[item(1, 1_000, 1_000, 1_000)]).unwrap(),
    ];
    let head = chain.head().unwrap().number;
    Trace {
        refusals,
        estimates: calls
            .iter()
            .map(|c: &Call| chain.estimate_gas(me, c).map_or_else(|e| e.to_string(), |_| "fine".into()))
            .collect(),
        receipts: receipts
            .into_iter()
            .map(|r| {
                let credit = r.logs.iter().filter_map(provider::credit_changed).collect();
                (r.ok, r.gas_used, r.contract, credit, r.logs.into_iter().map(|l| l.data).collect())
            })
            .collect(),
        accounts: provider::accounts(chain, at, &(1..=41).collect::<Vec<_>>()).unwrap(),
        totals: provider::totals(chain, at).unwrap(),
        held: chain.balance(at).unwrap(),
        logs: chain.logs(&LogFilter { address: at, topic0: None, from_block: 0, to_block: head }).unwrap().len(),
    }
}

#[test]
fn anvil_and_the_embedded_chain_agree_on_gas_status_logs_and_balances() {
    let Some(anvil) = Anvil::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let theirs = scenario(&JsonRpc::new(&anvil.url, Duration::from_secs(30)).unwrap());
    let ours = scenario(&open(dir.path()));
    assert_eq!(ours, theirs);
}

#[test]
fn ethers_opens_our_keystore_and_we_open_theirs() {
    if installed("ethers/package.json", "ethers").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs, word) = (dir.path().join("ours"), dir.path().join("theirs"), dir.path().join("word"));
    std::fs::write(&word, "correct horse\n").unwrap();
    let key = LocalKey::generate().unwrap();
    let password = Password::from("correct horse");
    key.save_keystore(&ours, &password, Cost { log_n: 12 }).unwrap();
    let script = contracts_dir().join("test/keystore.mjs");
    let out = Command::new("node").arg(script).args([&ours, &word, &theirs]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(String::from_utf8_lossy(&out.stdout).trim(), key.address().to_string());
    let text = std::fs::read_to_string(&theirs).unwrap();
    assert_eq!(LocalKey::from_keystore(&text, &password).unwrap().address(), key.address());
    assert!(LocalKey::from_keystore(&text, &Password::from("battery staple")).is_err());
}

/// Runs a foreign wallet against the embedded chain with a street on it.
fn wallet_on_the_embedded_chain(script: &str) {
    let dir = tempfile::tempdir().unwrap();
    let chain = Arc::new(open(dir.path()));
    let served = Arc::clone(&chain);
    let http = Http::serve(move |body| (200, served.handle(body)));
    let street = Street::deploy(&*chain, Money(1_000));
    street.open_accounts(1);
    let key = dir.path().join("owner.key");
    owner().save_new(&key).unwrap();
    let script = contracts_dir().join(script);
    let out =
        Command::new("node").arg(script).args([&http.url, &street.provider.to_string()]).arg(&key).output().unwrap();
    assert!(out.status.success(), "{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
}

#[test]
fn ethers_gets_from_the_embedded_chain_all_that_a_wallet_asks_for() {
    if installed("ethers/package.json", "ethers").is_some() {
        wallet_on_the_embedded_chain("test/methods.mjs");
    }
}

#[test]
fn viem_deploys_pays_and_follows_what_happens_on_the_embedded_chain() {
    if installed("viem/package.json", "viem").is_some() {
        wallet_on_the_embedded_chain("test/viem.mjs");
    }
}

fn pay(url: &str, street: &Street<'_>, dir: &std::path::Path) {
    let key = dir.join(format!("{}.key", street.key.address()));
    street.key.save_new(&key).unwrap();
    let before = provider::account(street.chain, street.provider, 1).unwrap();
    let script = contracts_dir().join("test/foreign.mjs");
    let out = Command::new("node")
        .arg(script)
        .args([url, &street.provider.to_string()])
        .arg(&key)
        .args(["1", "4321"])
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let said: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((&said["chainId"], &said["deposited"], &said["status"]), (&"31337".into(), &"4321".into(), &1.into()));
    let after = provider::account(street.chain, street.provider, 1).unwrap();
    assert_eq!(after.balance, Money(before.balance.0 + 4321));
    let hash = said["transaction"].as_str().unwrap().parse().unwrap();
    let receipt = street.chain.receipt(hash).unwrap().unwrap();
    let deposit = receipt.logs.iter().find_map(provider::deposited).unwrap();
    assert_eq!((deposit.number, deposit.units, deposit.from), (1, Money(4321), street.key.address()));
}

#[test]
fn ethers_pays_into_an_account_on_the_embedded_chain_and_on_anvil() {
    if installed("ethers/package.json", "ethers").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let chain = Arc::new(open(dir.path()));
    let served = Arc::clone(&chain);
    let http = Http::serve(move |body| (200, served.handle(body)));
    let street = Street::deploy(&*chain, Money(1_000));
    street.open_accounts(1);
    pay(&http.url, &street, dir.path());
    let Some(anvil) = Anvil::start() else { return };
    let rpc = JsonRpc::new(&anvil.url, Duration::from_secs(30)).unwrap();
    let street = Street::deploy(&rpc, Money(1_000));
    street.open_accounts(1);
    let other = LocalKey::generate().unwrap();
    let gift = Call { to: Some(other.address()), value: U256::from(10).pow(U256::from(19)), data: Vec::new() };
    street.send(gift).unwrap();
    pay(&anvil.url, &Street { key: other, ..street }, dir.path());
}
