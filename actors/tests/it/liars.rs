//! A gateway that lies, among five, nine and fifteen: how soon it is flagged, and whether an honest one ever is. Batches are
//! judged by the agents' own judge, sets are drawn as the contract draws them, and findings, dissents and windows are
//! counted as the contract counts them.

use actors::witness::heard::Heard;
use actors::witness::judge::{Judgement, Known, judge};
use actors::witness::wire::{Proposal, Readings, Sample, Span, hex};
use contracts::provider::{AccountOnChain, Item, pack};
use contracts::witness::draw;
use contracts::{Address, B256, keccak256};
use domain::{MeterId, Money, Timestamp, WattHours};
use solvers::witness::{Bound, bound, mistaken, threshold};
use std::collections::BTreeMap;

/// The share of batches that an honest gateway overhears wrongly.
const MISHEARD: f64 = 0.01;
const RUNS: u64 = 10_000;

struct Street {
    members: Vec<Address>,
    set: u8,
    needed: usize,
    bound: Bound,
}

fn street(members: u32, set: u8) -> Street {
    let needed = threshold(members, 1, set.into(), 0.001).unwrap().signatures;
    let drawn = f64::from(set) / f64::from(members);
    let honest = drawn * MISHEARD + mistaken(members, 1, set.into(), needed, MISHEARD);
    let bound = bound(honest, drawn, 1e-9, 0.999).unwrap();
    let members = (1..=members).map(|i| Address::from_word(keccak256(i.to_be_bytes()))).collect();
    Street { members, set, needed: needed as usize, bound }
}

/// What everybody could overhear of the one home behind a gateway.
fn heard(import: i64) -> Heard {
    let mut heard = Heard::default();
    for (at, import) in [(10, 7_000), (20, 7_000 + import)] {
        let sample = Sample { meter: meter(), at: Timestamp(at), import: WattHours(import), export: None };
        heard.listen(&Readings { meters: vec![sample] });
    }
    heard
}

fn meter() -> MeterId {
    "home".parse().unwrap()
}

/// A batch that bills so much.
fn batch(import: i64) -> Proposal {
    let zero = WattHours(0);
    let item = Item { number: 1, off_peak: zero, peak: WattHours(import), feed_in: zero, charge: Money(0) };
    let ends = (WattHours(7_000), WattHours(7_000 + import));
    let span =
        Span { account: 1, meter: meter(), at: (Timestamp(10), Timestamp(20)), import: ends, export: (zero, zero) };
    Proposal {
        provider: Address::ZERO,
        sequence: 1,
        tariff_version: 1,
        lines_root: B256::ZERO,
        items: hex(&pack(&[item]).unwrap()),
        spans: vec![span],
    }
}

/// How a run ended: after how many findings the liar was flagged, and how many of the honest were until then.
struct Ended {
    after: u32,
    honest: u32,
}

impl Street {
    fn run(&self, seed: u64) -> Ended {
        let mut rng = fastrand::Rng::with_seed(seed);
        let liar = self.members[rng.usize(..self.members.len())];
        let account = AccountOnChain { flags: AccountOnChain::OPEN, ..AccountOnChain::default() };
        let there: BTreeMap<u32, AccountOnChain> = [(1, account)].into();
        let (none, nobody) = (BTreeMap::new(), BTreeMap::new());
        let mut dissents: BTreeMap<Address, u32> = BTreeMap::new();
        let (mut findings, mut honest, mut number) = (0, 0, 0);
        loop {
            number += 1;
            let opener = self.members[rng.usize(..self.members.len())];
            let used = rng.i64(1..500);
            let told = if opener == liar { used + rng.i64(5..200) } else { used };
            let proposal = batch(told);
            let block = keccak256(rng.u64(..).to_be_bytes());
            let set = draw(block, number, Address::ZERO, &self.members, self.set);
            let (rightly, wrongly) = (heard(used), heard(used - 5));
            let votes: Vec<(Address, bool)> = set
                .iter()
                .map(|member| {
                    if *member == opener || *member == liar {
                        // For itself, or, of the honest, always the contrary.
                        return (*member, *member == opener);
                    }
                    let heard = if rng.f64() < MISHEARD { &wrongly } else { &rightly };
                    let known = Known { there: &there, heard, billed: &none, doubted: &nobody };
                    let judged = judge(&proposal, &known);
                    (*member, judged == Judgement::Sound)
                })
                .collect();
            let yes = votes.iter().filter(|(_, yes)| *yes).count();
            let found = match (yes >= self.needed, votes.len() - yes >= self.needed) {
                (true, _) => true,
                (_, true) => false,
                // It lapses: nothing is found.
                _ => continue,
            };
            if findings % self.bound.batches == 0 {
                dissents.clear();
            }
            findings += 1;
            let mut against: Vec<Address> = votes.iter().filter(|(_, v)| *v != found).map(|(m, _)| *m).collect();
            if !found && !against.contains(&opener) {
                against.push(opener);
            }
            for member in against {
                let count = dissents.entry(member).or_default();
                *count += 1;
                if *count == self.bound.dissents && member != liar {
                    honest += 1;
                }
            }
            if dissents.get(&liar).is_some_and(|n| *n >= self.bound.dissents) {
                return Ended { after: findings, honest };
            }
        }
    }
}

#[test]
fn a_lying_gateway_is_flagged_in_time_and_no_honest_one_is() {
    for (members, set) in [(5, 3), (9, 5), (15, 7)] {
        let street = street(members, set);
        let mut after: Vec<u32> = Vec::new();
        let mut honest = 0;
        for seed in 0..RUNS {
            let ended = street.run(seed);
            after.push(ended.after);
            honest += ended.honest;
        }
        after.sort_unstable();
        let (median, last) = (after[after.len() / 2], after[after.len() - 1]);
        let in_window = after.iter().filter(|n| **n <= street.bound.batches).count();
        println!(
            "{members} gateways, sets of {set}, {} have to sign, {} dissents of {} findings flag: the liar after {median} on \
             the median, {last} at most, {in_window} of {RUNS} within the window; honest flagged: {honest}",
            street.needed, street.bound.dissents, street.bound.batches
        );
        assert_eq!(honest, 0, "seeds 0..{RUNS}");
        assert!(in_window * 1000 >= after.len() * 999, "promised: 999 of 1000 within a window, seeds 0..{RUNS}");
    }
}
