//! The same values through ethers and through this crate: the same bytes. The files are written by `vectors.mjs`.

use contracts::chain::{Chain, ChainError, Head, Log, LogFilter, Receipt};
use contracts::key::{LocalKey, Signer};
use contracts::merkle;
use contracts::operator::{self, Position, Reading, Roles};
use contracts::provider::{self, Credit, Item, Prices, Steps, Terms};
use contracts::tx::{Call, Fees, Transaction, decode};
use contracts::{Address, B256, U256};
use domain::{Money, Price, WattHours};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Mutex;

const TRANSACTIONS: &str = include_str!("../../../vectors/transactions.json");
const PROVIDER: &str = include_str!("../../../vectors/provider.json");
const OPERATOR: &str = include_str!("../../../vectors/operator.json");
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

fn reading(v: &Value) -> Reading {
    let a = list(v);
    Reading { time: parse(&a[0]), imported: parse(&a[1]), exported: parse(&a[2]) }
}

fn seal(v: &Value) -> [u8; 65] {
    bytes(v).try_into().expect("65 bytes")
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
        "depositToken" => provider::deposit_token(at, parse(&a[0]), Money(parse(&a[1]))).unwrap(),
        "pauseDeposits" => provider::pause_deposits(at, a[0].as_bool().unwrap()),
        "record" => {
            let steps = Steps::unpack(&bytes(&a[3])).expect("steps");
            assert_eq!(steps.0.len().to_string(), text(&a[1]));
            provider::record(at, parse(&a[0]), parse(&a[2]), &steps)
        }
        "setMember" => {
            let account = Some(parse(&a[2])).filter(|n| *n != 0);
            provider::set_member(at, parse(&a[0]), parse(&a[1]), account)
        }
        "offerSupply" => provider::offer_supply(at, parse(&a[0])),
        "shareOut" => provider::share_out(at),
        "claim" => provider::claim(at, parse(&a[0])),
        "setHolder" => provider::set_holder(at, parse(&a[0]), parse(&a[1])),
        "setHolders" => {
            let pairs = list(&a[0]).iter().zip(list(&a[1]));
            provider::set_holders(at, &pairs.map(|(n, w)| (parse(n), parse(w))).collect::<Vec<_>>())
        }
        "close" => provider::close(at, parse(&a[0])),
        "reopen" => provider::reopen(at, parse(&a[0])),
        "refund" => provider::refund(at, parse(&a[0])),
        "contest" => provider::contest(at, parse(&a[0])),
        "overturn" => provider::overturn(at, parse(&a[0]), &reading(&a[1]), &seal(&a[2])),
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
    let terms = Terms {
        token: parse(&a[5]),
        registry: parse(&a[6]),
        window: parse(&a[7]),
        exit_delay: parse(&a[8]),
        offer_time: parse(&a[9]),
        supply_time: parse(&a[10]),
        settlement_time: parse(&a[11]),
        max_network_fee: Price(parse(&a[12])),
    };
    let made = provider::deploy_under(parse(&a[0]), prices(&a[1..4]), Money(parse(&a[4])), &terms).unwrap();
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
            let sums = [t.paid_in, t.withdrawn, t.earned, t.owed, t.refunded, t.allotted, t.waiting];
            sums.map(|m| m.0.to_string()).to_vec()
        }
        "available" => one(provider::available(chain, at).unwrap().0.to_string()),
        "lowAt" => one(provider::low_at(chain, at).unwrap().0.to_string()),
        "weiPerUnit" => one(provider::wei_per_unit(chain, at).unwrap().to_string()),
        "owner" => one(format!("{:#x}", provider::owner(chain, at).unwrap())),
        "nameOf" => one(provider::name_of(chain, at, parse(&a[0])).unwrap().to_string()),
        "numberOf" => one(provider::number_of(chain, at, parse(&a[0])).unwrap().unwrap().to_string()),
        "nextRecord" => one(provider::next_record(chain, at, parse(&a[0])).unwrap().to_string()),
        "terms" => {
            let t = provider::terms(chain, at).unwrap();
            let who = [t.token, t.registry].map(|a| format!("{a:#x}"));
            let phases = [t.window, t.exit_delay, t.offer_time, t.supply_time, t.settlement_time, t.max_network_fee.0];
            who.into_iter().chain(phases.map(|n| n.to_string())).collect()
        }
        "phaseNow" => {
            let now = provider::phase_now(chain, at).unwrap();
            assert_eq!(now.phase, provider::Phase::Supply);
            vec![now.round.to_string(), "2".into(), now.ends_at.to_string()]
        }
        "members" => provider::members(chain, at).unwrap().iter().map(|m| format!("{m:#x}")).collect(),
        "memberOf" => {
            let m = provider::member_of(chain, at, parse(&a[0])).unwrap().unwrap();
            vec![m.share.to_string(), m.account.unwrap_or(0).to_string(), m.seen.0.to_string(), "1".into()]
        }
        "claimable" => one(provider::claimable(chain, at, parse(&a[0])).unwrap().0.to_string()),
        "holderOf" => {
            let (who, due) = provider::holder_of(chain, at, parse(&a[0])).unwrap().unwrap();
            vec![format!("{who:#x}"), due.to_string()]
        }
        "contestOf" => {
            let c = provider::contest_of(chain, at, parse(&a[0])).unwrap().unwrap();
            vec![c.imported.0.to_string(), c.since.to_string()]
        }
        "pendingOwner" | "OPEN" | "LOW" | "EXHAUSTED" | "CLOSED" | "MAX_EXIT_DELAY" | "MAX_MEMBERS"
        | "CLOCK_TOLERANCE" | "depositsPaused" => return None,
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
        "Recorded" => provider::recorded(log).map(|e| {
            let mut out = vec![format!("{:#x}", e.settler), e.sequence.to_string(), e.count.to_string()];
            out.extend([e.steps_hash, e.root].map(|w| w.to_string()));
            out
        }),
        "Claimed" => {
            provider::claimed(log).map(|e| vec![format!("{:#x}", e.who), format!("{:#x}", e.to), e.units.0.to_string()])
        }
        "Refunded" => {
            provider::refunded(log).map(|e| vec![e.number.to_string(), format!("{:#x}", e.to), e.units.0.to_string()])
        }
        "Contested" => provider::contested(log).map(|(number, wh)| vec![number.to_string(), wh.0.to_string()]),
        "Overturned" => {
            provider::overturned(log).map(|e| vec![e.number.to_string(), e.excess.0.to_string(), e.units.0.to_string()])
        }
        "HolderSet" => provider::holder_set(log).map(|(number, who)| vec![number.to_string(), format!("{who:#x}")]),
        "AccountClosing" => {
            provider::account_closing(log).map(|(number, due)| vec![number.to_string(), due.to_string()])
        }
        "Reopened" => provider::reopened(log).map(|number| vec![number.to_string()]),
        "CreditLow" => credit(Credit::Low),
        "CreditExhausted" => credit(Credit::Exhausted),
        "CreditRestored" => credit(Credit::Restored),
        _ => None,
    }
}

#[test]
fn every_event_is_read_as_ethers_wrote_it_and_by_no_other_reader() {
    let v: Value = serde_json::from_str(PROVIDER).unwrap();
    let read = [
        "Opened",
        "Deposited",
        "Settled",
        "TariffSet",
        "Withdrawn",
        "CreditLow",
        "CreditExhausted",
        "CreditRestored",
        "Recorded",
        "Claimed",
        "Refunded",
        "Contested",
        "Overturned",
        "HolderSet",
        "AccountClosing",
        "Reopened",
    ];
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
    for file in [PROVIDER, OPERATOR] {
        let v: Value = serde_json::from_str(file).unwrap();
        for e in list(&v["errors"]) {
            assert_eq!(provider::reason(&bytes(&e["data"])), text(&e["reason"]));
        }
    }
}

fn ask_operator(chain: &Canned, name: &str, a: &[Value]) -> Option<Vec<String>> {
    let at = PROVIDER_AT;
    let word = |who: Address| format!("{who:#x}");
    Some(match name {
        "rolesOf" => {
            let roles = operator::roles_of(chain, at, parse(&a[0])).unwrap();
            assert_eq!(roles, Roles { gateway: true, prover: false });
            vec!["1".into()]
        }
        "isGateway" => vec![operator::is_gateway(chain, at, parse(&a[0])).unwrap().to_string()],
        "isProver" => vec![operator::is_prover(chain, at, parse(&a[0])).unwrap().to_string()],
        "pointOf" => {
            let p = operator::point_of(chain, at, parse(&a[0])).unwrap();
            let rest = [p.account.to_string(), p.attested_at.to_string(), p.closed.to_string(), p.cut_off.to_string()];
            std::iter::once(word(p.gateway)).chain(rest).collect()
        }
        "providerOf" => vec![word(operator::provider_of(chain, at, parse(&a[0])).unwrap())],
        "meterKeyOf" => vec![word(operator::meter_key_of(chain, at, parse(&a[0])).unwrap())],
        "meterOf" => vec![word(operator::meter_of(chain, at, parse(&a[0]), parse(&a[1])).unwrap())],
        "meterAt" => {
            let m = operator::meter_at(chain, at, parse(&a[0])).unwrap().unwrap();
            let mm = [m.position.east, m.position.north, m.position.up].map(|n| n.to_string());
            ["true".into(), m.point.to_string()].into_iter().chain(mm).collect()
        }
        "importedBy" => {
            let seal = seal(&a[3]);
            let said = operator::imported_by(chain, at, parse(&a[0]), parse(&a[1]), &reading(&a[2]), &seal);
            vec![said.unwrap().0.to_string()]
        }
        "networkFee" => {
            let (fee, treasury) = operator::network_fee(chain, at).unwrap();
            vec![fee.0.to_string(), word(treasury)]
        }
        "mayOrder" => vec![operator::may_order(chain, at, parse(&a[0]), parse(&a[1])).unwrap().to_string()],
        "owner" => vec![word(operator::owner(chain, at).unwrap())],
        "readingHash" | "pendingOwner" | "GATEWAY" | "PROVER" => return None,
        other => panic!("no view for {other}"),
    })
}

fn tell_operator(name: &str, a: &[Value]) -> Call {
    let at = PROVIDER_AT;
    match name {
        "setRoles" => {
            let bits: u8 = parse(&a[1]);
            operator::set_roles(at, parse(&a[0]), Roles { gateway: bits & 1 != 0, prover: bits & 2 != 0 })
        }
        "route" => operator::route(at, parse(&a[0]), parse(&a[1]), parse(&a[2]), parse(&a[3])),
        "putMeter" => {
            let position = Position { east: parse(&a[2]), north: parse(&a[3]), up: parse(&a[4]) };
            operator::put_meter(at, parse(&a[0]), parse(&a[1]), position, parse(&a[5]))
        }
        "setNetworkFee" => operator::set_network_fee(at, Price(parse(&a[0])), parse(&a[1])),
        "order" => operator::order(at, parse(&a[0]), a[1].as_bool().unwrap()),
        "attest" => operator::attest(at, parse(&a[0]), a[1].as_bool().unwrap()),
        "attestMany" => {
            let bits: u64 = parse(&a[1]);
            let points: Vec<_> = list(&a[0]).iter().enumerate().map(|(i, p)| (parse(p), bits >> i & 1 == 1)).collect();
            operator::attest_many(at, &points)
        }
        "transferOwnership" => provider::transfer_ownership(at, parse(&a[0])),
        "acceptOwnership" => provider::accept_ownership(at),
        other => panic!("no encoder for {other}"),
    }
}

#[test]
fn the_operators_calls_views_and_events_are_what_ethers_makes_of_them() {
    let v: Value = serde_json::from_str(OPERATOR).unwrap();
    for c in list(&v["calls"]) {
        let made = tell_operator(text(&c["name"]), list(&c["args"]));
        assert_eq!(hex::encode(&made.data), hex::encode(bytes(&c["data"])), "{}", c["name"]);
        assert_eq!((made.to, made.value), (Some(PROVIDER_AT), U256::ZERO));
    }
    for c in list(&v["views"]) {
        let chain = Canned { answer: bytes(&c["result"]), asked: Mutex::default() };
        let Some(said) = ask_operator(&chain, text(&c["name"]), list(&c["args"])) else { continue };
        assert_eq!(said, flat(&c["values"]), "{}", c["name"]);
        assert_eq!(hex::encode(&*chain.asked.lock().unwrap()), hex::encode(bytes(&c["data"])), "{}", c["name"]);
    }
    let mut seen = 0;
    for e in list(&v["events"]) {
        let topics = list(&e["topics"]).iter().map(parse).collect();
        let (data, transaction) = (bytes(&e["data"]), B256::ZERO);
        let log = Log { address: PROVIDER_AT, topics, data, block: 1, transaction, log_index: 0 };
        let ordered = operator::ordered(&log).map(|o| {
            vec![o.point.to_string(), format!("{:#x}", o.gateway), format!("{:#x}", o.by), o.cut_off.to_string()]
        });
        let attested = operator::attested(&log)
            .map(|(point, who, closed)| vec![point.to_string(), format!("{who:#x}"), closed.to_string()]);
        for (name, read) in [("Ordered", ordered), ("Attested", attested)] {
            let wanted = (name == text(&e["name"])).then(|| flat(&e["args"]));
            seen += usize::from(wanted.is_some());
            assert_eq!(read, wanted, "{name} on {}", e["name"]);
        }
    }
    assert_eq!(seen, 2);
}

#[test]
fn a_reading_is_signed_as_ethers_signs_typed_data() {
    let v: Value = serde_json::from_str(OPERATOR).unwrap();
    let r = &v["reading"];
    let (key, said) = (LocalKey::from_hex(text(&r["key"])).unwrap(), reading(&r["args"]));
    let (chain_id, registry) = (parse(&r["chainId"]), parse(&r["registry"]));
    assert_eq!(said.digest(chain_id, registry), parse::<B256>(&r["digest"]));
    assert_eq!(said.sign(chain_id, registry, &key).unwrap().to_vec(), bytes(&r["signature"]));
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
