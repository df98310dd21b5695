//! Ranges of the day on the chain: the same as everywhere else, and none that a single gateway can bend.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "labels and lengths of a day are small")]

use crate::street::{Street, genesis, owner, why};
use contracts::chain::{ChainError, Log};
use contracts::embedded::EmbeddedChain;
use contracts::key::{LocalKey, Signer};
use contracts::provider;
use contracts::tou::{self, Day, Post, Ranges};
use contracts::{Address, B256, U256};
use domain::{Clock, Timestamp};
use proptest::prelude::*;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

const VECTORS: &str = include_str!("../../../vectors/tou.json");
const AT: Address = Address::repeat_byte(0x42);

fn vectors() -> Value {
    serde_json::from_str(VECTORS).unwrap()
}

fn list(v: &Value) -> &[Value] {
    v.as_array().unwrap()
}

fn text(v: &Value) -> &str {
    v.as_str().unwrap()
}

fn parse<T: std::str::FromStr>(v: &Value) -> T {
    text(v).parse().unwrap_or_else(|_| panic!("{v} does not parse"))
}

fn bytes(v: &Value) -> Vec<u8> {
    hex::decode(text(v).trim_start_matches("0x")).unwrap()
}

fn numbers<T: TryFrom<i64>>(v: &Value) -> Vec<T> {
    list(v).iter().map(|n| T::try_from(n.as_i64().unwrap()).ok().unwrap()).collect()
}

#[test]
fn the_bytecode_finds_the_ranges_of_every_day_of_the_vectors() {
    let v = vectors();
    for case in list(&v["kmeans"]) {
        let k = u8::try_from(case["k"].as_u64().unwrap()).unwrap();
        let ran = tou::kmeans_here(&numbers(&case["values"]), k).unwrap();
        let wanted = Ranges { labels: numbers(&case["labels"]), centroids: numbers(&case["centroids"]) };
        assert_eq!(ran.ranges, wanted, "{case}");
    }
}

/// The best labels by trying all borders of the sorted values; sums of squares over counts as fractions.
fn tried(values: &[i32], k: usize) -> Vec<u8> {
    let mut sorted: Vec<i128> = values.iter().map(|v| i128::from(*v)).collect();
    sorted.sort_unstable();
    let n = sorted.len();
    let distinct = 1 + sorted.windows(2).filter(|w| w[0] != w[1]).count();
    let k = k.min(distinct);
    let mut best: Option<((i128, i128), Vec<usize>)> = None;
    let thirds: Vec<usize> = if k == 3 { (2..n).collect() } else { vec![n] };
    for third in thirds {
        let seconds: Vec<usize> = if k == 1 { vec![n] } else { (1..third).collect() };
        for second in seconds {
            let mut cuts = vec![0, second, third, n];
            cuts.dedup();
            let (mut top, mut bottom) = (0, 1);
            for w in cuts.windows(2) {
                let (sum, count) = (sorted[w[0]..w[1]].iter().sum::<i128>(), (w[1] - w[0]) as i128);
                (top, bottom) = (top * count + sum * sum * bottom, bottom * count);
            }
            if best.as_ref().is_none_or(|((t, b), _)| top * b > t * bottom) {
                best = Some(((top, bottom), cuts));
            }
        }
    }
    let cuts = best.unwrap().1;
    let borders: Vec<i128> = cuts[1..cuts.len() - 1].iter().map(|c| sorted[*c]).collect();
    values.iter().map(|v| borders.iter().filter(|b| i128::from(*v) >= **b).count() as u8).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn the_bytecode_finds_what_trying_all_borders_finds(
        values in prop_oneof![
            prop::collection::vec(-20..20_i32, 3..60),
            prop::collection::vec(-100_000..100_000_i32, 3..97),
        ],
        k in 1..4_usize,
    ) {
        let ran = tou::kmeans_here(&values, k as u8).unwrap();
        prop_assert_eq!(ran.ranges.labels, tried(&values, k));
    }
}

#[test]
fn exact_ranges_stay_below_their_gas() {
    // Days of a street. The limits are those that the README states.
    for (n, k, limit) in [(24, 2, 60_000), (24, 3, 80_000), (48, 3, 150_000), (96, 2, 150_000), (96, 3, 300_000)] {
        let v = vectors();
        let days = list(&v["kmeans"]).iter().filter(|c| text(&c["name"]) == format!("a day of {n}") && c["k"] == k);
        for day in days {
            let gas = tou::kmeans_here(&numbers(&day["values"]), k as u8).unwrap().gas;
            assert!(gas <= limit, "n = {n}, k = {k}: {gas}");
        }
    }
}

#[test]
fn what_is_no_day_is_refused_in_words() {
    let refused = |values: &[i32], k| why(tou::kmeans_here(values, k));
    assert_eq!(refused(&[], 1), "BadValues(0)");
    assert_eq!(refused(&[1; 97], 1), "BadValues(388)");
    assert_eq!(refused(&[1; 24], 0), "BadClusters(0)");
    assert_eq!(refused(&[1; 24], 4), "BadClusters(4)");
    assert_eq!(refused(&[1; 2], 3), "BadClusters(3)");
}

fn post_of(a: &[Value], v: &Value) -> Post {
    Post {
        round: parse(&a[0]),
        starts_at: parse(&a[1]),
        slot_minutes: parse(&a[2]),
        data: (parse(&a[3]), parse(&a[4])),
        clusters: parse(&a[5]),
        model: parse(&a[6]),
        labels: numbers(&v["labels"]),
        values: numbers(&v["values"]),
    }
}

#[test]
fn every_call_is_encoded_as_ethers_encodes_it() {
    let v = vectors();
    for c in list(&v["calls"]) {
        let a = list(&c["args"]);
        let made = match text(&c["name"]) {
            "transferOwnership" => provider::transfer_ownership(AT, parse(&a[0])),
            "acceptOwnership" => provider::accept_ownership(AT),
            "setGateway" => tou::set_gateway(AT, parse(&a[0]), a[1].as_bool().unwrap()),
            "post" => tou::post(AT, &post_of(a, &v)),
            "attest" => tou::attest(AT, parse(&a[0]), parse(&a[1]), parse(&a[2])),
            other => panic!("no encoder for {other}"),
        };
        assert_eq!(hex::encode(&made.data), hex::encode(bytes(&c["data"])), "{}", c["name"]);
    }
    assert_eq!(tou::deploy_call(60).data, bytes(&v["deploy"]["data"]));
    for e in list(&v["errors"]) {
        assert_eq!(contracts::provider::reason(&bytes(&e["data"])), text(&e["reason"]));
    }
}

#[test]
fn every_event_is_read_as_ethers_wrote_it_and_by_no_other_reader() {
    let v = vectors();
    for e in list(&v["events"]) {
        let (block, transaction, log_index) = (1, B256::ZERO, 0);
        let topics = list(&e["topics"]).iter().map(parse).collect();
        let log = Log { address: AT, topics, data: bytes(&e["data"]), block, transaction, log_index };
        let (a, name) = (list(&e["args"]), text(&e["name"]));
        let posted = tou::posted(&log);
        assert_eq!(posted.is_some(), name == "Posted");
        if let Some(p) = posted {
            assert_eq!((p.round, p.by, p.starts_at), (parse(&a[0]), parse(&a[1]), parse(&a[2])));
            assert_eq!(tou::label_word(&p.ranges.labels), parse::<U256>(&a[3]));
            assert_eq!(p.ranges.centroids[..2], numbers::<i32>(&v["centroids"]));
            assert_eq!((p.data, p.forecast, p.model), ((parse(&a[5]), parse(&a[6])), parse(&a[7]), parse(&a[8])));
        }
        let agreed = tou::agreed(&log).map(|e| (e.round, e.by));
        assert_eq!(agreed, (name == "Agreed").then(|| (parse(&a[0]), parse(&a[1]))));
        let disputed = tou::disputed(&log).map(|e| (e.round, e.by, e.forecast, e.model));
        assert_eq!(disputed, (name == "Disputed").then(|| (parse(&a[0]), parse(&a[1]), parse(&a[2]), parse(&a[3]))));
        let torn = Log { data: [&log.data[..], &[0]].concat(), ..log };
        assert!(tou::posted(&torn).is_none() && tou::agreed(&torn).is_none() && tou::disputed(&torn).is_none());
    }
}

/// 2027-01-15, in minutes since 1970.
const NOON: u32 = 30_000_000;
const NOTICE: u32 = 60;
const MODEL: B256 = B256::repeat_byte(7);

/// A street of gateways, each with a key, on a chain whose clock the test owns.
struct Gateways {
    chain: EmbeddedChain,
    keys: Vec<LocalKey>,
    at: Address,
    now: Arc<AtomicI64>,
}

impl Gateways {
    fn new(dir: &Path, count: u8) -> Self {
        let now = Arc::new(AtomicI64::new(i64::from(NOON)));
        let keys: Vec<LocalKey> = (1..=count).map(|i| LocalKey::from_hex(&hex::encode([i; 32])).unwrap()).collect();
        let mut genesis = genesis();
        genesis.alloc.extend(keys.iter().map(|k| (k.address(), U256::from(10).pow(U256::from(20)))));
        let shown = Arc::clone(&now);
        let clock = Clock::new(1, move || Timestamp(shown.load(Ordering::Relaxed) * 60_000));
        let chain = EmbeddedChain::open(dir, genesis, clock).unwrap();
        let mut street = Self { chain, keys, at: Address::ZERO, now };
        let deployed = street.send(&owner(), tou::deploy_call(NOTICE)).unwrap();
        street.at = deployed.contract.unwrap();
        for key in &street.keys {
            street.send(&owner(), tou::set_gateway(street.at, key.address(), true)).unwrap();
        }
        street
    }

    fn send(&self, key: &LocalKey, call: contracts::tx::Call) -> Result<contracts::chain::Receipt, ChainError> {
        let street = Street { chain: &self.chain, key: owner(), provider: self.at };
        street.send_as(key, call)
    }

    fn post(&self, who: usize, post: &Post) -> Result<contracts::chain::Receipt, ChainError> {
        self.send(&self.keys[who], tou::post(self.at, post))
    }

    fn attest(&self, who: usize, round: u32, forecast: B256) -> Result<contracts::chain::Receipt, ChainError> {
        self.send(&self.keys[who], tou::attest(self.at, round, forecast, MODEL))
    }

    fn wait_until(&self, minute: u32) {
        self.now.store(i64::from(minute), Ordering::Relaxed);
    }

    fn day(&self, round: u32) -> Day {
        tou::day(&self.chain, self.at, round).unwrap()
    }
}

fn day_of(round: u32, starts_at: u32, peak: usize) -> Post {
    let mut values = vec![300; 24];
    values[peak..peak + 4].fill(900);
    let labels = tou::kmeans_here(&values, 2).unwrap().ranges.labels;
    Post {
        round,
        starts_at,
        slot_minutes: 60,
        data: (NOON - 9_000, NOON - 10),
        clusters: 2,
        model: MODEL,
        labels,
        values,
    }
}

#[test]
fn ranges_hold_from_their_start_once_more_than_half_of_the_gateways_forecast_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let street = Gateways::new(dir.path(), 3);
    let post = day_of(1, NOON + 100, 17);
    street.post(0, &post).unwrap();
    assert_eq!(why(tou::range_at(&street.chain, street.at, NOON + 100)), format!("NothingInForce({})", NOON + 100));
    street.attest(1, 1, tou::forecast_hash(&post.values)).unwrap();
    let day = street.day(1);
    assert!(day.agreed && !day.failed);
    assert_eq!((day.ranges.labels, day.data, day.model), (post.labels.clone(), post.data, MODEL));
    assert_eq!(day.forecast, tou::forecast_hash(&post.values));
    for (slot, label) in post.labels.iter().enumerate() {
        let minute = NOON + 100 + 60 * slot as u32;
        assert_eq!(tou::range_at(&street.chain, street.at, minute + 59).unwrap(), (*label, 1));
    }
    assert!(tou::range_at(&street.chain, street.at, NOON + 99).is_err());
    assert!(tou::range_at(&street.chain, street.at, NOON + 100 + 1440).is_err());
}

#[test]
fn a_tampered_forecast_is_disputed_and_never_comes_into_force() {
    let dir = tempfile::tempdir().unwrap();
    let street = Gateways::new(dir.path(), 3);
    let (honest, tampered) = (day_of(1, NOON + 100, 17), day_of(1, NOON + 100, 3));
    street.post(0, &tampered).unwrap();
    let receipt = street.attest(1, 1, tou::forecast_hash(&honest.values)).unwrap();
    let disputed = receipt.logs.iter().find_map(tou::disputed).unwrap();
    assert_eq!((disputed.by, disputed.forecast), (street.keys[1].address(), tou::forecast_hash(&honest.values)));
    assert_eq!(why(street.post(1, &honest)), "AlreadyPosted(1)");
    street.attest(2, 1, tou::forecast_hash(&honest.values)).unwrap();
    assert!(street.day(1).failed && !street.day(1).agreed);
    assert_eq!(why(street.attest(0, 1, B256::ZERO)), "Spoken(1)");
    // Its place is free at once for the honest one.
    street.post(1, &honest).unwrap();
    street.attest(2, 1, tou::forecast_hash(&honest.values)).unwrap();
    assert_eq!(street.day(1).forecast, tou::forecast_hash(&honest.values));
    assert_eq!(tou::range_at(&street.chain, street.at, NOON + 100 + 17 * 60).unwrap(), (1, 1));
}

#[test]
fn the_contract_is_handed_over_only_to_somebody_who_takes_it() {
    let dir = tempfile::tempdir().unwrap();
    let street = Gateways::new(dir.path(), 2);
    let (mistyped, next) = (Address::repeat_byte(9), &street.keys[0]);
    let offer = |to| street.send(&owner(), provider::transfer_ownership(street.at, to));
    let seat = |by: &LocalKey| street.send(by, tou::set_gateway(street.at, AT, true));
    offer(mistyped).unwrap();
    seat(&owner()).expect("an offer changes nothing");
    offer(next.address()).unwrap();
    assert_eq!(why(street.send(&street.keys[1], provider::accept_ownership(street.at))), "NotPendingOwner()");
    assert_eq!(why(seat(next)), "NotOwner()");
    street.send(next, provider::accept_ownership(street.at)).unwrap();
    seat(next).unwrap();
    assert_eq!(why(seat(&owner())), "NotOwner()");
}

#[test]
fn a_wrong_range_is_refused_by_the_chain_itself() {
    let dir = tempfile::tempdir().unwrap();
    let street = Gateways::new(dir.path(), 2);
    let mut post = day_of(1, NOON + 100, 17);
    let right = tou::label_word(&post.labels);
    post.labels[3] = 1;
    let wrong = tou::label_word(&post.labels);
    assert_eq!(why(street.post(0, &post)), format!("WrongRanges({right}, {wrong})"));
}

#[test]
fn nobody_else_speaks_and_nothing_comes_late_twice_or_over_a_day_that_holds() {
    let dir = tempfile::tempdir().unwrap();
    let street = Gateways::new(dir.path(), 2);
    let post = day_of(1, NOON + 60, 17);
    let hash = tou::forecast_hash(&post.values);
    assert_eq!(why(street.send(&owner(), tou::post(street.at, &post))), "NotGateway()");
    assert_eq!(why(street.send(&street.keys[0], tou::set_gateway(street.at, AT, true))), "NotOwner()");
    let late = Post { starts_at: NOON + 59, ..post.clone() };
    assert_eq!(why(street.post(0, &late)), format!("TooLate({}, {})", NOON + 59, NOON + 60));
    assert_eq!(why(street.post(0, &Post { round: 3, ..post.clone() })), "WrongRound(1, 3)");
    assert_eq!(why(street.post(0, &Post { slot_minutes: 0, ..post.clone() })), "BadSlot(0)");
    let future = Post { data: (NOON, NOON + 1), ..post.clone() };
    assert_eq!(why(street.post(0, &future)), format!("BadData({NOON}, {})", NOON + 1));
    street.post(0, &post).unwrap();
    assert_eq!(why(street.attest(1, 2, hash)), "WrongRound(0, 2)");
    street.attest(1, 1, hash).unwrap();
    assert_eq!(why(street.post(0, &post)), "AlreadyPosted(1)");
    let next = day_of(2, NOON + 60 + 1440, 8);
    assert_eq!(why(street.post(0, &next)), "PreviousPending(1)");
    street.wait_until(NOON + 61);
    let over = Post { starts_at: next.starts_at - 1, ..next.clone() };
    assert_eq!(why(street.post(0, &over)), format!("Overlaps({}, {})", over.starts_at, next.starts_at));
    street.post(0, &next).unwrap();
    // The day in force goes on while the next waits, and after it failed.
    assert_eq!(tou::range_at(&street.chain, street.at, NOON + 61).unwrap(), (0, 1));
    street.wait_until(next.starts_at);
    assert!(street.day(2).failed);
    assert_eq!(why(street.attest(1, 2, hash)), format!("TooLate({0}, {0})", next.starts_at));
    street.post(1, &Post { starts_at: next.starts_at + 60, ..next }).unwrap();
    // A gateway that lost its seat counts no more: the other alone is more than half.
    street.send(&owner(), tou::set_gateway(street.at, street.keys[0].address(), false)).unwrap();
    assert!(street.day(2).agreed);
    assert_eq!(why(street.attest(0, 2, hash)), "NotGateway()");
}
