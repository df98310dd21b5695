//! Witnesses on a chain: enough of those who were drawn make a batch count, nobody else does, and who dissents too often
//! is out.

use crate::bench::{Bench, digest, rules};
use crate::street::{CHAIN_ID, open as open_chain, owner, why};
use crate::vectors::{Canned, bytes, flat, list, parse, text};
use contracts::chain::{Chain, Log};
use contracts::key::{LocalKey, Signer};
use contracts::provider;
use contracts::tx::Call;
use contracts::witness::{self, Confirmed, Rules};
use contracts::{Address, B256};
use domain::{Price, WattHours};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const VECTORS: &str = include_str!("../../../vectors/witness.json");

#[test]
fn a_batch_counts_when_enough_of_its_set_have_signed_it() {
    let dir = tempfile::tempdir().unwrap();
    let chain = open_chain(dir.path());
    let bench = Bench::new(&chain, 6, &rules(&[1, 2, 2, 3, 4]));
    assert_eq!(witness::rules(&chain, bench.at).unwrap(), rules(&[1, 2, 2, 3, 4]));
    assert_eq!(witness::members(&chain, bench.at).unwrap().len(), 6);
    let set = bench.open(digest("batch 1"));
    assert_eq!(set.len(), 5);
    assert_eq!(why(bench.confirm(&set, 3, digest("batch 1"))), "TooFew(4, 3)");
    assert_eq!(witness::record_of(&chain, bench.at, 1).unwrap(), None);
    let receipt = bench.confirm(&set, 4, digest("batch 1")).unwrap();
    let confirmed = witness::confirmed(&receipt.logs[0]).unwrap();
    assert_eq!(confirmed, Confirmed { batch: 1, digest: digest("batch 1"), draw: 1, set, agreed: 4 });
    assert_eq!(witness::record_of(&chain, bench.at, 1).unwrap(), Some(witness::record(&confirmed)));
    // Once: the draw is done, and the next batch has another number.
    assert_eq!(why(bench.send(witness::confirm(bench.at, owner().address(), &[]))), "NothingOpen()");
    let state = witness::state(&chain, bench.at, owner().address()).unwrap();
    assert_eq!((state.made, state.accepted, state.digest), (0, true, digest("batch 1")));
    assert_eq!(witness::accepted(&chain, bench.at, owner().address()).unwrap(), Some(digest("batch 1")));
    // While another is asked about, none is accepted.
    bench.open(digest("batch 2"));
    assert_eq!(witness::accepted(&chain, bench.at, owner().address()).unwrap(), None);
}

#[test]
fn no_signature_counts_twice_or_for_another_draw_contract_or_member() {
    let dir = tempfile::tempdir().unwrap();
    let chain = open_chain(dir.path());
    let bench = Bench::new(&chain, 5, &rules(&[1, 2, 2]));
    let truth = digest("truth");
    let set = bench.open(truth);
    let vote = |place: usize| bench.vote(set[place], truth);
    let tried = |votes: &[(u8, [u8; 65])]| why(bench.send(witness::confirm(bench.at, owner().address(), votes)));
    assert_eq!(tried(&[(0, vote(0)), (0, vote(0))]), "BadOrder(1)");
    assert_eq!(tried(&[(1, vote(1)), (0, vote(0))]), "BadOrder(1)");
    assert_eq!(tried(&[(1, vote(1)), (3, vote(0))]), "BadOrder(1)");
    assert_eq!(tried(&[(0, vote(0)), (1, vote(0))]), "BadSignature(1)");
    assert_eq!(tried(&[(0, bench.vote(set[0], digest("lie"))), (1, vote(1))]), "BadSignature(0)");
    // The other of the two values of s that a curve allows.
    let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    let order = contracts::U256::from_str_radix(order, 16).unwrap();
    let mut high = vote(0);
    let s = order - contracts::U256::from_be_slice(&high[32..64]);
    high[32..64].copy_from_slice(&s.to_be_bytes::<32>());
    high[64] = 55 - high[64];
    assert_eq!(tried(&[(0, high), (1, vote(1))]), "BadSignature(0)");
    // Who was not drawn.
    let outside = bench.keys.iter().find(|k| !set.contains(&k.address())).unwrap();
    assert_eq!(tried(&[(0, bench.vote(outside.address(), truth)), (1, vote(1))]), "BadSignature(0)");
    // What was signed for another contract, and for an earlier draw of the same batch.
    let elsewhere = witness::sign(witness::finding(CHAIN_ID, Address::ZERO, 1, truth), bench.key(set[0])).unwrap();
    assert_eq!(tried(&[(0, elsewhere), (1, vote(1))]), "BadSignature(0)");
    let early: BTreeMap<Address, [u8; 65]> =
        bench.keys.iter().map(|k| (k.address(), bench.vote(k.address(), truth))).collect();
    bench.send(witness::set_rules(bench.at, &rules(&[1, 2, 2]))).unwrap();
    let set = bench.open(truth);
    assert_eq!(tried(&[(0, early[&set[0]]), (1, early[&set[1]])]), "BadSignature(0)");
    bench.confirm(&set, 2, truth).unwrap();
}

#[test]
fn everybody_is_drawn_and_nobody_twice() {
    let dir = tempfile::tempdir().unwrap();
    let chain = open_chain(dir.path());
    let bench = Bench::new(&chain, 7, &rules(&[1, 2, 2]));
    let mut times: BTreeMap<Address, u32> = BTreeMap::new();
    for i in 0..40 {
        let confirmed = bench.settle(digest(&i.to_string()));
        assert_eq!(confirmed.set.iter().collect::<BTreeSet<_>>().len(), 3);
        confirmed.set.iter().for_each(|m| *times.entry(*m).or_default() += 1);
    }
    // 17 each on the mean; fewer than 5 or more than 30 would come once in ten thousand.
    assert!(times.len() == 7 && times.values().all(|n| (5..=30).contains(n)), "{times:?}");
}

#[test]
fn who_dissents_too_often_is_flagged_and_out_until_cleared() {
    let dir = tempfile::tempdir().unwrap();
    let chain = open_chain(dir.path());
    let bench = Bench::new(&chain, 4, &rules(&[1, 2, 2, 3]));
    let liar = bench.keys[3].address();
    let standing = || witness::standing(&chain, bench.at, liar).unwrap();
    for batch in 1..=3 {
        let (truth, lie) = (digest(&format!("truth {batch}")), digest(&format!("lie {batch}")));
        let set = bench.open(truth);
        assert_eq!(set.len(), 4);
        let votes: Vec<_> =
            (0..).zip(&set).filter(|(_, m)| **m != liar).map(|(i, m)| (i, bench.vote(*m, truth))).collect();
        let signed = bench.vote(liar, lie);
        let receipt = bench.send(witness::confirm(bench.at, owner().address(), &votes)).unwrap();
        let confirmed = witness::confirmed(&receipt.logs[0]).unwrap();
        let place = u8::try_from(set.iter().position(|m| *m == liar).unwrap()).unwrap();
        let report = |of: &Confirmed, place, other, signature| {
            why(bench.send(witness::report(bench.at, of, place, other, signature)))
        };
        // What is no dissent: the accepted digest, somebody else's signature, a set that was not drawn.
        let agreed = votes[0].1;
        assert_eq!(report(&confirmed, votes[0].0, truth, &agreed), "NoDissent()");
        assert_eq!(report(&confirmed, votes[0].0, lie, &signed), "BadSignature(0)");
        let forged = Confirmed { set: set.iter().rev().copied().collect(), ..confirmed.clone() };
        assert_eq!(report(&forged, place, lie, &signed), format!("NotTheRecord({batch})"));
        assert_eq!(report(&Confirmed { batch: 99, ..confirmed.clone() }, place, lie, &signed), "NotTheRecord(99)");
        let receipt = bench.send(witness::report(bench.at, &confirmed, place, lie, &signed)).unwrap();
        let flagged = receipt.logs.iter().find_map(witness::flagged);
        if batch < 3 {
            assert_eq!((standing().dissents, flagged), (u16::try_from(batch).unwrap(), None));
            assert_eq!(report(&confirmed, place, lie, &signed), format!("Reported({liar})"));
        } else {
            assert_eq!(flagged, Some((liar, 1 << 32, 3)));
        }
    }
    assert!(standing().flagged && !standing().member);
    assert_eq!(witness::members(&chain, bench.at).unwrap().len(), 3);
    assert!(!bench.settle(digest("without it")).set.contains(&liar));
    assert_eq!(why(bench.send(witness::admit(bench.at, liar))), format!("AlreadyMember({liar})"));
    bench.send(witness::clear(bench.at, liar)).unwrap();
    assert_eq!((standing().member, standing().flagged, standing().dissents), (true, false, 0));
    assert!(bench.settle(digest("with it")).set.contains(&liar));
}

#[test]
fn a_batch_that_is_refused_counts_not_and_its_opener_is_out_once_it_has_been_too_often() {
    let dir = tempfile::tempdir().unwrap();
    let chain = open_chain(dir.path());
    let bench = Bench::new(&chain, 4, &rules(&[1, 2, 2, 3]));
    let opener = owner().address();
    for times in 1..=3 {
        let lie = digest("a lie");
        let set = bench.open(lie);
        // The votes for a batch do not refuse it, and those against it do not accept it.
        let against: Vec<_> = (0..).zip(&set).map(|(i, m)| (i, bench.vote(*m, witness::refusal(lie)))).collect();
        assert_eq!(why(bench.send(witness::confirm(bench.at, opener, &against))), "BadSignature(0)");
        assert_eq!(why(bench.refuse(&set, 2, lie)), "TooFew(3, 2)");
        let yes = bench.vote(opener, lie);
        let receipt = bench.refuse(&set, 3, lie).unwrap();
        let refused = receipt.logs.iter().find_map(witness::refused).unwrap();
        assert_eq!((refused.batch, refused.digest, refused.agreed), (times, witness::refusal(lie), 3));
        assert_eq!(receipt.logs.iter().find_map(witness::dissented), Some((times, opener)));
        assert_eq!(witness::accepted(&chain, bench.at, opener).unwrap(), None);
        // Once for a batch, whatever it signed beside.
        let place = u8::try_from(set.iter().position(|m| *m == opener).unwrap()).unwrap();
        let again = why(bench.send(witness::report(bench.at, &refused, place, lie, &yes)));
        assert_eq!(again, format!("Reported({opener})"));
        assert_eq!(receipt.logs.iter().any(|log| witness::flagged(log).is_some()), times == 3);
    }
    assert!(witness::standing(&chain, bench.at, opener).unwrap().flagged);
    assert_eq!(why(bench.send(witness::open(bench.at, digest("honest now")))), format!("NotMember({opener})"));
    bench.send(witness::clear(bench.at, opener)).unwrap();
    bench.settle(digest("honest now"));
}

#[test]
fn who_is_drawn_is_the_same_here_and_on_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    let chain = open_chain(dir.path());
    let bench = Bench::new(&chain, 9, &rules(&[1, 2, 2, 3, 3]));
    let members = witness::members(&chain, bench.at).unwrap();
    for i in 0..10 {
        let set = bench.open(digest(&i.to_string()));
        let state = witness::state(&chain, bench.at, owner().address()).unwrap();
        let block = chain.block_hash(state.made).unwrap().unwrap();
        assert_eq!(witness::draw(block, state.draw, bench.at, &members, 5), set);
        bench.confirm(&set, 5, digest(&i.to_string())).unwrap();
    }
}

#[test]
fn an_account_book_with_witnesses_takes_the_batch_that_they_signed_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let chain = open_chain(dir.path());
    let bench = Bench::new(&chain, 3, &rules(&[1, 2, 2]));
    let (unit, low_at, terms) = (contracts::U256::from(1), domain::Money(0), provider::Terms::default());
    let prices = provider::Prices { off_peak: Price(2), peak: Price(3), feed_in: Price(1) };
    let deployed = provider::deploy_witnessed(unit, prices, low_at, &terms, bench.at).unwrap();
    let book = bench.send(deployed).unwrap().contract.unwrap();
    assert_eq!(provider::witness_of(&chain, book).unwrap(), Some(bench.at));
    let plain = bench.send(provider::deploy_under(unit, prices, low_at, &terms).unwrap()).unwrap().contract.unwrap();
    assert_eq!(provider::witness_of(&chain, plain).unwrap(), None);
    let nowhere = provider::deploy_witnessed(unit, prices, low_at, &terms, Address::repeat_byte(7)).unwrap();
    assert_eq!(why(bench.send(nowhere)), "BadTerms()");
    bench.send(provider::open(book, 1, provider::name_word("home").unwrap())).unwrap();
    let item = |peak: i64| provider::Item {
        number: 1,
        off_peak: WattHours(0),
        peak: WattHours(peak),
        feed_in: WattHours(0),
        charge: domain::Money(0),
    };
    let settle = |sequence, peak| provider::settle(book, sequence, 1, B256::ZERO, &[item(peak)]).unwrap();
    let of = |sequence, peak| {
        let items = contracts::keccak256(provider::pack(&[item(peak)]).unwrap());
        witness::batch_digest(book, owner().address(), sequence, 1, B256::ZERO, items)
    };
    assert_eq!(why(bench.send(settle(1, 100))), format!("NotWitnessed({})", of(1, 100)));
    bench.settle(of(1, 100));
    assert_eq!(why(bench.send(settle(1, 101))), format!("NotWitnessed({})", of(1, 101)));
    bench.send(settle(1, 100)).unwrap();
    // What was accepted is done with: the next batch needs its own.
    assert_eq!(why(bench.send(settle(2, 100))), format!("NotWitnessed({})", of(2, 100)));
    // A batch that was accepted falls when another is asked about.
    bench.settle(of(2, 150));
    bench.open(of(2, 160));
    assert_eq!(why(bench.send(settle(2, 150))), format!("NotWitnessed({})", of(2, 150)));
}

#[test]
fn dissents_of_a_window_do_not_count_in_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let chain = open_chain(dir.path());
    let bench = Bench::new(&chain, 4, &Rules { batches: 2, ..rules(&[1, 2, 2, 3]) });
    let liar = bench.keys[2].address();
    for batch in 1..=9 {
        let truth = digest(&batch.to_string());
        let set = bench.open(truth);
        let votes: Vec<_> =
            (0..).zip(&set).filter(|(_, m)| **m != liar).map(|(i, m)| (i, bench.vote(*m, truth))).collect();
        let signed = bench.vote(liar, digest("lie"));
        let receipt = bench.send(witness::confirm(bench.at, owner().address(), &votes)).unwrap();
        let confirmed = witness::confirmed(&receipt.logs[0]).unwrap();
        let place = u8::try_from(set.iter().position(|m| *m == liar).unwrap()).unwrap();
        bench.send(witness::report(bench.at, &confirmed, place, digest("lie"), &signed)).unwrap();
    }
    let standing = witness::standing(&chain, bench.at, liar).unwrap();
    assert_eq!((standing.member, standing.dissents, standing.window & 0xffff_ffff), (true, 1, 4));
}

#[test]
fn an_open_draw_stands_until_it_lapses_and_falls_with_the_list() {
    let dir = tempfile::tempdir().unwrap();
    let chain = open_chain(dir.path());
    let bench = Bench::new(&chain, 4, &Rules { patience: 3, ..rules(&[1, 2, 2]) });
    bench.open(digest("first"));
    // Another digest would get another set: not while this one stands.
    assert_eq!(why(bench.send(witness::open(bench.at, digest("second")))), "StillOpen(1)");
    let anything = || bench.send(witness::admit(bench.at, owner().address()));
    while witness::drawn(&chain, bench.at, owner().address()).is_ok() {
        let _ = anything();
    }
    assert_eq!(why(bench.send(witness::confirm(bench.at, owner().address(), &[]))), "Lapsed(1)");
    let set = bench.open(digest("second"));
    bench.send(witness::remove(bench.at, bench.keys[3].address())).unwrap();
    assert_eq!(why(bench.confirm(&set, 3, digest("second"))), "Lapsed(2)");
    let set = bench.open(digest("third"));
    bench.confirm(&set, 2, digest("third")).unwrap();
    assert_eq!(witness::state(&chain, bench.at, owner().address()).unwrap().draw, 3);
}

#[test]
fn a_set_for_which_no_number_is_enough_confirms_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let chain = open_chain(dir.path());
    let bench = Bench::new(&chain, 2, &rules(&[0, 0, 2]));
    let set = bench.open(digest("batch"));
    assert_eq!(why(bench.confirm(&set, 2, digest("batch"))), "NoThreshold(2)");
    for bad in [&[][..], &[2], &[1, 1], &[1, 2, 4]] {
        assert_eq!(why(bench.send(witness::set_rules(bench.at, &rules(bad)))), "BadRules()", "{bad:?}");
    }
    let nobody = LocalKey::from_hex(&format!("{:064x}", 99)).unwrap();
    let asked = chain.call(nobody.address(), &witness::open(bench.at, digest("mine")));
    assert_eq!(why(asked), format!("NotMember({})", nobody.address()));
    for call in [witness::admit(bench.at, nobody.address()), witness::set_rules(bench.at, &rules(&[1]))] {
        assert_eq!(why(chain.call(nobody.address(), &call)), "NotOwner()");
    }
    assert_eq!(why(bench.send(witness::admit(bench.at, Address::ZERO))), format!("NotMember({})", Address::ZERO));
}

#[test]
fn who_takes_the_contract_over_admits_and_who_gave_it_away_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let chain = open_chain(dir.path());
    let bench = Bench::new(&chain, 2, &rules(&[1, 2]));
    let next = &bench.keys[1];
    let gas_money = contracts::U256::from(10).pow(contracts::U256::from(18));
    bench.send(Call { to: Some(next.address()), value: gas_money, data: Vec::new() }).unwrap();
    bench.send(provider::transfer_ownership(bench.at, next.address())).unwrap();
    let admits = |by: Address, member: u8| chain.call(by, &witness::admit(bench.at, Address::repeat_byte(member)));
    assert_eq!(why(admits(next.address(), 8)), "NotOwner()");
    bench.send_as(next, provider::accept_ownership(bench.at)).unwrap();
    assert!(admits(next.address(), 8).is_ok());
    assert_eq!(why(admits(owner().address(), 8)), "NotOwner()");
}

fn call(name: &str, a: &[Value], findings: &[Value]) -> Call {
    let at = Address::repeat_byte(0x42);
    let signature = |f: &Value| <[u8; 65]>::try_from(bytes(&f["signature"])).unwrap();
    match name {
        "transferOwnership" => provider::transfer_ownership(at, parse(&a[0])),
        "acceptOwnership" => provider::accept_ownership(at),
        "setRules" => witness::set_rules(at, &said_rules(a)),
        "admit" => witness::admit(at, parse(&a[0])),
        "remove" => witness::remove(at, parse(&a[0])),
        "clear" => witness::clear(at, parse(&a[0])),
        "open" => witness::open(at, parse(&a[0])),
        "confirm" => {
            witness::confirm(at, parse(&a[0]), &[(0, signature(&findings[0])), (254, signature(&findings[1]))])
        }
        "refuse" => witness::refuse(at, parse(&a[0]), &[(0, signature(&findings[0])), (254, signature(&findings[1]))]),
        "report" => {
            let (draw, digest) = (parse(&a[1]), parse(&a[2]));
            let set = list(&a[3]).iter().map(parse).collect();
            let batch = Confirmed { batch: parse(&a[0]), digest, draw, set, agreed: 0 };
            witness::report(at, &batch, parse(&a[4]), parse(&a[5]), &signature(&findings[1]))
        }
        other => panic!("no encoder for {other}"),
    }
}

fn said_rules(a: &[Value]) -> Rules {
    Rules { batches: parse(&a[1]), dissents: parse(&a[2]), patience: parse(&a[3]), needed: bytes(&a[4]) }
}

#[test]
fn every_call_answer_and_signature_is_as_ethers_makes_it() {
    let v: Value = serde_json::from_str(VECTORS).unwrap();
    let findings = list(&v["findings"]);
    for f in findings {
        let hash =
            witness::finding(parse(&f["chainId"]), parse(&f["contract"]), parse(&f["draw"]), parse(&f["digest"]));
        assert_eq!(hash, parse::<B256>(&f["hash"]));
        let key = LocalKey::from_hex(text(&f["key"])).unwrap();
        assert_eq!(witness::sign(hash, &key).unwrap().to_vec(), bytes(&f["signature"]));
    }
    for c in list(&v["calls"]) {
        let made = call(text(&c["name"]), list(&c["args"]), findings);
        assert_eq!(hex::encode(&made.data), hex::encode(bytes(&c["data"])), "{}", c["name"]);
    }
    let made = witness::deploy_call(&said_rules(list(&v["deploy"]["args"])));
    assert_eq!(hex::encode(&made.data), hex::encode(bytes(&v["deploy"]["data"])));
    let (b, said) = (list(&v["batch"]["args"]), &v["batch"]["digest"]);
    let ours =
        witness::batch_digest(parse(&b[0]), parse(&b[1]), parse(&b[2]), parse(&b[3]), parse(&b[4]), parse(&b[5]));
    assert_eq!(ours, parse::<B256>(said));
    let r = &v["record"];
    let set = list(&r["set"]).iter().map(parse).collect();
    let batch = Confirmed { batch: 0, digest: parse(&r["digest"]), draw: parse(&r["draw"]), set, agreed: 0 };
    assert_eq!(witness::record(&batch), parse::<B256>(&r["hash"]));
    for c in list(&v["views"]) {
        let (at, a, values) = (Address::repeat_byte(0x42), list(&c["args"]), flat(&c["values"]));
        let chain = Canned::new(bytes(&c["result"]));
        let spell = |list: Vec<Address>| list.iter().map(|x| format!("{x:#x}")).collect::<Vec<_>>();
        let said = match text(&c["name"]) {
            "drawn" => spell(witness::drawn(&chain, at, parse(&a[0])).unwrap()),
            "members" => spell(witness::members(&chain, at).unwrap()),
            "state" => {
                let s = witness::state(&chain, at, parse(&a[0])).unwrap();
                vec![s.draw.to_string(), s.made.to_string(), s.accepted.to_string(), s.digest.to_string()]
            }
            "standing" => {
                let s = witness::standing(&chain, at, parse(&a[0])).unwrap();
                vec![s.member.to_string(), s.flagged.to_string(), s.dissents.to_string(), s.window.to_string()]
            }
            "rules" => {
                assert_eq!(witness::rules(&chain, at).unwrap(), said_rules(list(&c["values"])));
                values.clone()
            }
            "recordOf" => vec![witness::record_of(&chain, at, parse(&a[0])).unwrap().unwrap().to_string()],
            "accepted" => vec![witness::accepted(&chain, at, parse(&a[0])).unwrap().unwrap().to_string()],
            "findings" => vec![witness::findings(&chain, at).unwrap().to_string()],
            "refusalOf" => {
                assert_eq!(witness::refusal(parse(&a[0])).to_string(), values[0]);
                continue;
            }
            "owner" | "pendingOwner" | "findingHash" => continue,
            other => panic!("no view for {other}"),
        };
        assert_eq!(said, values, "{}", c["name"]);
        assert_eq!(chain.asked(), bytes(&c["data"]), "{}", c["name"]);
    }
    for e in list(&v["errors"]) {
        assert_eq!(provider::reason(&bytes(&e["data"])), text(&e["reason"]));
    }
}

#[test]
fn every_event_is_read_as_ethers_wrote_it() {
    let v: Value = serde_json::from_str(VECTORS).unwrap();
    let mut seen = 0;
    for e in list(&v["events"]) {
        let topics = list(&e["topics"]).iter().map(parse).collect();
        let data = bytes(&e["data"]);
        let log = Log { address: Address::ZERO, topics, data, block: 1, transaction: B256::ZERO, log_index: 0 };
        let torn = Log { data: [&log.data[..], &[0]].concat(), ..log.clone() };
        assert!(witness::confirmed(&torn).is_none() && witness::flagged(&torn).is_none(), "{}", e["name"]);
        assert!(
            witness::refused(&torn).is_none()
                && witness::dissented(&torn).is_none()
                && witness::opened(&torn).is_none(),
            "{}",
            e["name"]
        );
        let opened = witness::opened(&log).map(|(n, by, d)| vec![n.to_string(), format!("{by:#x}"), d.to_string()]);
        let listed = ["Admitted", "Removed", "Cleared", "Flagged", "RulesSet"].contains(&text(&e["name"]));
        assert_eq!(witness::changes_list(&log), listed, "{}", e["name"]);
        let dissented = witness::dissented(&log).map(|(batch, who)| vec![batch.to_string(), format!("{who:#x}")]);
        let spell = |c: Confirmed| {
            let mut out = vec![c.batch.to_string(), c.digest.to_string(), c.draw.to_string()];
            out.extend(c.set.iter().map(|m| format!("{m:#x}")));
            out.push(c.agreed.to_string());
            out
        };
        let (confirmed, refused) = (witness::confirmed(&log).map(spell), witness::refused(&log).map(spell));
        let flagged = witness::flagged(&log).map(|(m, w, n)| vec![format!("{m:#x}"), w.to_string(), n.to_string()]);
        let wanted = |name: &str| (text(&e["name"]) == name).then(|| flat(&e["args"]));
        seen += [&confirmed, &refused, &flagged, &dissented, &opened].iter().filter(|read| read.is_some()).count();
        assert_eq!((confirmed, flagged), (wanted("Confirmed"), wanted("Flagged")), "{}", e["name"]);
        assert_eq!(opened, wanted("Opened"), "{}", e["name"]);
        // The digest that was stood behind is not read.
        let dissent = wanted("Dissented").map(|mut said| said.drain(..2).collect::<Vec<_>>());
        assert_eq!((refused, dissented), (wanted("Refused"), dissent), "{}", e["name"]);
    }
    assert_eq!(seen, 6);
}
