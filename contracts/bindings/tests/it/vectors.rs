//! The same values through ethers and through this crate: the same bytes. The files are written by `vectors.mjs`.

use contracts::chain::{Chain, ChainError, Head, Log, LogFilter, Receipt};
use contracts::key::{LocalKey, Signer};
use contracts::merkle;
use contracts::provider::{self, Credit, Item, Prices};
use contracts::tx::{Call, Fees, Transaction, decode};
use contracts::{Address, B256, U256};
use domain::{Money, Price, WattHours};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Mutex;

const TRANSACTIONS: &str = include_str!("../../../vectors/transactions.json");
const PROVIDER: &str = include_str!("../../../vectors/provider.json");
const MERKLE: &str = include_str!("../../../vectors/merkle.json");

pub fn text(v: &Value) -> &str {
    v.as_str().expect("a text")
}

pub fn parse<T: std::str::FromStr>(v: &Value) -> T {
    text(v).parse().unwrap_or_else(|_| panic!("{v} does not parse"))
}

pub fn bytes(v: &Value) -> Vec<u8> {
    hex::decode(text(v).trim_start_matches("0x")).expect("hex")
}

pub fn list(v: &Value) -> &[Value] {
    v.as_array().expect("a list")
}

fn wh(v: &Value) -> WattHours {
    WattHours(parse(v))
}

fn prices(v: &[Value]) -> Prices {
    Prices { off_peak: Price(parse(&v[0])), peak: Price(parse(&v[1])), feed_in: Price(parse(&v[2])) }
}

#[test]
fn every_transaction_is_signed_byte_for_byte_as_ethers_signs_it() {
    let cases: Vec<Value> = serde_json::from_str(TRANSACTIONS).unwrap();
    let mut parities = BTreeSet::new();
    for c in &cases {
        let name = text(&c["name"]);
        let key = LocalKey::from_hex(text(&c["key"])).unwrap();
        assert_eq!(key.address(), parse::<Address>(&c["address"]), "{name}");
        let tx = Transaction {
            chain_id: parse(&c["chainId"]),
            nonce: parse(&c["nonce"]),
            fees: Fees { max_fee: parse(&c["maxFee"]), max_priority: parse(&c["maxPriority"]) },
            gas_limit: parse(&c["gasLimit"]),
            call: Call {
                to: c["to"].as_str().map(|t| t.parse().unwrap()),
                value: parse(&c["value"]),
                data: bytes(&c["data"]),
            },
        };
        assert_eq!(tx.digest(), parse::<B256>(&c["digest"]), "{name}");
        let signed = tx.sign(&key).unwrap();
        assert_eq!(hex::encode(&signed.raw), hex::encode(bytes(&c["raw"])), "{name}");
        assert_eq!(signed.hash, parse::<B256>(&c["hash"]), "{name}");
        assert_eq!(decode(&signed.raw).unwrap(), (tx, key.address()), "{name}");
        parities.insert(c["yParity"].as_u64());
    }
    assert_eq!(parities.len(), 2, "both parities have to occur");
}

const PROVIDER_AT: Address = Address::repeat_byte(0x42);

/// What this crate makes of a call in the vectors.
fn call(name: &str, a: &[Value], items: &[Item]) -> Call {
    let at = PROVIDER_AT;
    match name {
        "open" => provider::open(at, parse(&a[0]), parse(&a[1])),
        "openMany" => {
            let pairs = list(&a[0]).iter().zip(list(&a[1]));
            provider::open_many(at, &pairs.map(|(n, w)| (parse(n), parse(w))).collect::<Vec<_>>())
        }
        "deposit" => provider::deposit(at, parse(&a[0]), Money(3), U256::from(1000)).unwrap(),
        "settle" => provider::settle(at, parse(&a[0]), parse(&a[1]), parse(&a[2]), items).unwrap(),
        "setTariff" => provider::set_tariff(at, prices(a)),
        "setLowAt" => provider::set_low_at(at, Money(parse(&a[0]))).unwrap(),
        "setSettler" => provider::set_settler(at, parse(&a[0]), a[1].as_bool().unwrap()),
        "withdraw" => provider::withdraw(at, parse(&a[0]), Money(parse(&a[1]))).unwrap(),
        "transferOwnership" => provider::transfer_ownership(at, parse(&a[0])),
        "acceptOwnership" => provider::accept_ownership(at),
        other => panic!("no encoder for {other}"),
    }
}

#[test]
fn every_call_and_every_item_is_encoded_as_ethers_encodes_it() {
    let v: Value = serde_json::from_str(PROVIDER).unwrap();
    let items: Vec<Item> = list(&v["items"])
        .iter()
        .map(|i| Item {
            number: u32::try_from(i["number"].as_u64().unwrap()).unwrap(),
            off_peak: wh(&i["offPeak"]),
            peak: wh(&i["peak"]),
            feed_in: wh(&i["feedIn"]),
            charge: Money(parse(&i["charge"])),
        })
        .collect();
    for (item, vector) in items.iter().zip(list(&v["items"])) {
        let packed = item.pack().unwrap();
        assert_eq!(packed.to_vec(), bytes(&vector["packed"]));
        assert_eq!(Item::unpack(&packed), *item);
    }
    assert_eq!(provider::pack(&items).unwrap(), bytes(&v["packed"]));
    let mut settles = 0;
    for c in list(&v["calls"]) {
        let batch = if settles == 0 { &items[1..2] } else { &items[..] };
        let made = call(text(&c["name"]), list(&c["args"]), batch);
        settles += usize::from(text(&c["name"]) == "settle");
        assert_eq!(hex::encode(&made.data), hex::encode(bytes(&c["data"])), "{}", c["name"]);
        assert_eq!(made.to, Some(PROVIDER_AT));
        assert_eq!(made.value, U256::from(if text(&c["name"]) == "deposit" { 3000 } else { 0 }));
    }
    let a = list(&v["deploy"]["args"]);
    let made = provider::deploy_call(parse(&a[0]), prices(&a[1..4]), Money(parse(&a[4]))).unwrap();
    assert_eq!((made.to, hex::encode(&made.data)), (None, hex::encode(bytes(&v["deploy"]["data"]))));
}

/// A chain that gives one prepared answer and keeps the question.
pub struct Canned {
    answer: Vec<u8>,
    asked: Mutex<Vec<u8>>,
}

impl Canned {
    pub fn new(answer: Vec<u8>) -> Self {
        Self { answer, asked: Mutex::default() }
    }

    pub fn asked(&self) -> Vec<u8> {
        self.asked.lock().unwrap().clone()
    }
}

#[rustfmt::skip]
impl Chain for Canned {
    fn call(&self, _: Address, call: &Call) -> Result<Vec<u8>, ChainError> {
        *self.asked.lock().unwrap() = call.data.clone();
        Ok(self.answer.clone())
    }
    fn chain_id(&self) -> Result<u64, ChainError> { unreachable!() }
    fn head(&self) -> Result<Head, ChainError> { unreachable!() }
    fn nonce(&self, _: Address) -> Result<u64, ChainError> { unreachable!() }
    fn balance(&self, _: Address) -> Result<U256, ChainError> { unreachable!() }
    fn fees(&self) -> Result<Fees, ChainError> { unreachable!() }
    fn estimate_gas(&self, _: Address, _: &Call) -> Result<u64, ChainError> { unreachable!() }
    fn send(&self, _: &[u8]) -> Result<B256, ChainError> { unreachable!() }
    fn receipt(&self, _: B256) -> Result<Option<Receipt>, ChainError> { unreachable!() }
    fn block_hash(&self, _: u64) -> Result<Option<B256>, ChainError> { unreachable!() }
    fn code(&self, _: Address) -> Result<Vec<u8>, ChainError> { unreachable!() }
    fn logs(&self, _: &LogFilter) -> Result<Vec<Log>, ChainError> { unreachable!() }
}

/// Asks through this crate and spells the answer as the vectors do; `None` for views that the crate does not offer.
fn view(chain: &Canned, name: &str, a: &[Value]) -> Option<Vec<String>> {
    let at = PROVIDER_AT;
    let account = |x: provider::AccountOnChain| {
        [x.balance.0, x.off_peak.0, x.peak.0, x.feed_in.0, i64::from(x.flags)].map(|n| n.to_string()).to_vec()
    };
    let one = |x: String| vec![x];
    Some(match name {
        "account" => account(provider::account(chain, at, parse(&a[0])).unwrap()),
        "accounts" => {
            let numbers: Vec<u32> = list(&a[0]).iter().map(parse).collect();
            provider::accounts(chain, at, &numbers).unwrap().into_iter().flat_map(account).collect()
        }
        "nextSequence" => one(provider::next_sequence(chain, at, parse(&a[0])).unwrap().to_string()),
        "isSettler" => one(provider::is_settler(chain, at, parse(&a[0])).unwrap().to_string()),
        "tariff" => {
            let t = provider::tariff(chain, at).unwrap();
            [t.prices.off_peak.0, t.prices.peak.0, t.prices.feed_in.0, t.version].map(|n| n.to_string()).to_vec()
        }
        "totals" => {
            let t = provider::totals(chain, at).unwrap();
            [t.paid_in, t.withdrawn, t.earned, t.owed].map(|m| m.0.to_string()).to_vec()
        }
        "available" => one(provider::available(chain, at).unwrap().0.to_string()),
        "lowAt" => one(provider::low_at(chain, at).unwrap().0.to_string()),
        "weiPerUnit" => one(provider::wei_per_unit(chain, at).unwrap().to_string()),
        "owner" => one(format!("{:#x}", provider::owner(chain, at).unwrap())),
        "nameOf" => one(provider::name_of(chain, at, parse(&a[0])).unwrap().to_string()),
        "numberOf" => one(provider::number_of(chain, at, parse(&a[0])).unwrap().unwrap().to_string()),
        "pendingOwner" | "OPEN" | "LOW" | "EXHAUSTED" => return None,
        other => panic!("no view for {other}"),
    })
}

/// All scalars of a nested list, as text.
pub fn flat(v: &Value) -> Vec<String> {
    match v {
        Value::Array(list) => list.iter().flat_map(flat).collect(),
        Value::Bool(b) => vec![b.to_string()],
        other => vec![text(other).to_owned()],
    }
}

#[test]
fn every_view_is_asked_and_understood_as_ethers_does() {
    let v: Value = serde_json::from_str(PROVIDER).unwrap();
    for c in list(&v["views"]) {
        let chain = Canned { answer: bytes(&c["result"]), asked: Mutex::default() };
        let Some(said) = view(&chain, text(&c["name"]), list(&c["args"])) else { continue };
        assert_eq!(said, flat(&c["values"]), "{}", c["name"]);
        assert_eq!(hex::encode(&*chain.asked.lock().unwrap()), hex::encode(bytes(&c["data"])), "{}", c["name"]);
        let short = Canned { answer: chain.answer[1..].to_vec(), asked: Mutex::default() };
        let torn = provider::account(&short, PROVIDER_AT, 7);
        assert!(matches!(torn, Err(ChainError::Nonsense { .. })), "{}: a torn answer was believed", c["name"]);
    }
}

/// Reads a log with the reader of its event, and spells it as the vectors do.
fn event(log: &Log, name: &str) -> Option<Vec<String>> {
    let credit = |wanted| {
        provider::credit_changed(log)
            .filter(|c| c.credit == wanted)
            .map(|c| vec![c.number.to_string(), c.balance.0.to_string()])
    };
    match name {
        "Opened" => provider::opened(log).map(|e| vec![e.number.to_string(), e.name.to_string()]),
        "Deposited" => provider::deposited(log)
            .map(|e| vec![e.number.to_string(), format!("{:#x}", e.from), e.units.0.to_string()]),
        "Settled" => provider::settled(log).map(|e| {
            let mut out = vec![format!("{:#x}", e.settler), e.sequence.to_string(), e.count.to_string()];
            out.extend([e.off_peak, e.peak, e.feed_in].map(|w| w.0.to_string()));
            out.extend([e.debited, e.credited].map(|u| u.to_string()));
            out.push(e.charged.0.to_string());
            out.extend([e.items_hash, e.lines_root].map(|w| w.to_string()));
            out
        }),
        "TariffSet" => provider::tariff_set(log).map(|e| {
            [e.version, e.prices.off_peak.0, e.prices.peak.0, e.prices.feed_in.0].map(|n| n.to_string()).to_vec()
        }),
        "Withdrawn" => provider::withdrawn(log).map(|e| vec![format!("{:#x}", e.to), e.units.0.to_string()]),
        "CreditLow" => credit(Credit::Low),
        "CreditExhausted" => credit(Credit::Exhausted),
        "CreditRestored" => credit(Credit::Restored),
        _ => None,
    }
}

#[test]
fn every_event_is_read_as_ethers_wrote_it_and_by_no_other_reader() {
    let v: Value = serde_json::from_str(PROVIDER).unwrap();
    let read =
        ["Opened", "Deposited", "Settled", "TariffSet", "Withdrawn", "CreditLow", "CreditExhausted", "CreditRestored"];
    let mut seen = BTreeSet::new();
    for e in list(&v["events"]) {
        let log = Log {
            address: PROVIDER_AT,
            topics: list(&e["topics"]).iter().map(parse).collect(),
            data: bytes(&e["data"]),
            block: 1,
            transaction: B256::ZERO,
            log_index: 0,
        };
        for name in read {
            let wanted = (name == text(&e["name"])).then(|| flat(&e["args"]));
            seen.extend(wanted.is_some().then_some(name));
            assert_eq!(event(&log, name), wanted, "{name} on {}", e["name"]);
        }
        let torn = Log { data: [&log.data[..], &[0]].concat(), ..log };
        assert!(read.iter().all(|name| event(&torn, name).is_none()), "a torn {} was believed", e["name"]);
    }
    assert_eq!(seen.len(), read.len());
}

#[test]
fn every_revert_is_put_into_words() {
    let v: Value = serde_json::from_str(PROVIDER).unwrap();
    for e in list(&v["errors"]) {
        assert_eq!(provider::reason(&bytes(&e["data"])), text(&e["reason"]));
    }
}

#[test]
fn every_tree_and_every_proof_is_what_ethers_hashing_from_the_top_makes() {
    let cases: Vec<Value> = serde_json::from_str(MERKLE).unwrap();
    for c in &cases {
        let leaves: Vec<B256> = list(&c["lines"]).iter().map(|l| merkle::leaf(&bytes(l))).collect();
        assert_eq!(leaves, list(&c["leaves"]).iter().map(parse::<B256>).collect::<Vec<_>>());
        let root: B256 = parse(&c["root"]);
        assert_eq!(merkle::root(&leaves), root, "{} leaves", leaves.len());
        for (index, leaf) in leaves.iter().enumerate() {
            let theirs = &c["proofs"][index];
            assert_eq!(serde_json::to_value(merkle::prove(&leaves, index)).unwrap(), *theirs);
            assert!(serde_json::from_value::<merkle::Proof>(theirs.clone()).unwrap().leads(*leaf, root));
        }
    }
    assert!(cases.len() > 10 && cases.iter().any(|c| list(&c["lines"]).len() > 32));
}
