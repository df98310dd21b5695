//! Proofs of location on a chain: who is drawn, what they say, what follows from it, and who cheats.

use crate::machine::CHAIN_ID;
use crate::provers::{
    CLAIM, DEPOSIT, OPERATOR, REQUESTER, REWARD, Ring, SINK, Says, far, limits, number, places, salt,
};
use crate::sightings::{drawn_sightings, vectors, words};
use crate::vectors::{Canned, bytes, flat, list, parse, text};
use contracts::chain::{Chain, Log};
use contracts::key::{LocalKey, Signer};
use contracts::location::{self, State, Terms, Verdict};
use contracts::operator::{self, Position};
use contracts::provider;
use contracts::tx::Call;
use contracts::{Address, B256, U256};
use fastrand::Rng;
use serde_json::Value;
use solvers::locate::{self, Sighting};
use std::collections::BTreeSet;

const VECTORS: &str = include_str!("../../../vectors/location.json");
const JUDGE: &str = include_str!("../../../vectors/judge.json");

/// Has everybody credited and paid; nothing may be left.
fn settle_up(ring: &Ring, id: u64) -> Vec<u128> {
    let dues = (0..).zip(&ring.provers).map(|(place, _)| ring.due(id, place)).collect();
    let people = ring.provers.iter().map(|p| p.0).chain([OPERATOR, REQUESTER, SINK]);
    for who in people.filter(|who| ring.owing(*who) > 0) {
        ring.send(who, location::collect(ring.at)).unwrap();
        assert_eq!(ring.send(who, location::collect(ring.at)).unwrap_err(), "NothingOwing()");
    }
    assert_eq!(ring.held(), 0, "what was put in is all paid out");
    dues
}

#[test]
fn a_meter_that_is_where_it_says_is_believed_and_its_provers_are_paid() {
    let ring = Ring::new(9, 5);
    let (id, _) = ring.ready();
    let (drawn, _) = ring.draw(id);
    assert_eq!(places(drawn.chosen).len(), 5);
    let (located, _) = ring.judge(id, &drawn, |p| Says::Distance(ring.range(p, CLAIM)));
    assert_eq!((located.verdict, located.dropped), (Verdict::Here, 0));
    assert!(far((located.east, located.north), CLAIM) < 100, "{located:?}");
    let standing = location::standing_of(&ring.machine, ring.at, ring.meter.address()).unwrap();
    assert_eq!((standing.verdict, standing.id, standing.time), (Verdict::Here, id, ring.machine.now()));
    assert_eq!((ring.owing(REQUESTER), ring.owing(SINK)), (DEPOSIT, 0));
    for (place, due) in (0..).zip(settle_up(&ring, id)) {
        assert_eq!(due, DEPOSIT + if drawn.chosen >> place & 1 == 1 { REWARD } else { 0 });
    }
}

#[test]
fn a_meter_that_is_elsewhere_is_found_there() {
    let ring = Ring::new(9, 7);
    let (id, _) = ring.ready();
    let (drawn, _) = ring.draw(id);
    let truth = (CLAIM.0 + 45_000, CLAIM.1 + 20_000);
    let (located, _) = ring.judge(id, &drawn, |p| Says::Distance(ring.range(p, truth)));
    assert_eq!(located.verdict, Verdict::Elsewhere);
    assert!(far((located.east, located.north), truth) < 1_000, "{located:?}");
    assert!(settle_up(&ring, id).iter().filter(|due| **due == DEPOSIT + REWARD).count() == 7);
}

#[test]
fn a_prover_that_lies_alone_is_dropped_and_pays() {
    let ring = Ring::new(9, 7);
    let (id, _) = ring.ready();
    let (drawn, _) = ring.draw(id);
    let liar = places(drawn.chosen)[3];
    let said = |p| Says::Distance(if p == liar { 9 * ring.range(p, CLAIM) } else { ring.range(p, CLAIM) });
    let (located, _) = ring.judge(id, &drawn, said);
    assert_eq!((located.verdict, located.dropped), (Verdict::Here, 1 << liar));
    assert_eq!((ring.owing(SINK), ring.owing(REQUESTER)), (DEPOSIT, DEPOSIT + REWARD));
    assert_eq!(settle_up(&ring, id)[usize::from(liar)], 0);
}

/// Two of nine say what a meter at the claimed place would be heard like; it is 50 m away.
#[test]
fn two_provers_that_lie_together_do_not_make_a_false_claim_true() {
    let ring = Ring::new(12, 9);
    let truth = (CLAIM.0 - 40_000, CLAIM.1 + 30_000);
    let mut here = 0;
    for (first, second) in [(0, 1), (2, 5), (3, 7), (4, 8), (1, 6)] {
        let (id, _) = ring.ready();
        let (drawn, _) = ring.draw(id);
        let chosen = places(drawn.chosen);
        let bought = [chosen[first], chosen[second]];
        let said = |p| Says::Distance(ring.range(p, if bought.contains(&p) { CLAIM } else { truth }));
        here += u32::from(ring.judge(id, &drawn, said).0.verdict == Verdict::Here);
        settle_up(&ring, id);
    }
    assert_eq!(here, 0);
    // A majority has its way: nobody else measures.
    let (id, _) = ring.ready();
    let (drawn, _) = ring.draw(id);
    let honest = places(drawn.chosen)[0];
    let said = |p| Says::Distance(ring.range(p, if p == honest { truth } else { CLAIM }));
    assert_eq!(ring.judge(id, &drawn, said).0.verdict, Verdict::Here);
}

#[test]
fn a_request_that_a_meter_has_signed_is_worth_nothing_to_an_accomplice() {
    let ring = Ring::new(3, 3);
    let meter = ring.meter.address();
    let ask = |from, signature: &[u8; 65]| {
        let call = location::request(ring.at, meter, signature, ring.terms.price());
        ring.send(from, call).map(|_| ())
    };
    let signed = ring.signed(0, REQUESTER);
    assert_eq!(ask(ring.provers[0].0, &signed), Err("BadSignature()".into()));
    assert_eq!(ask(REQUESTER, &ring.signed(1, REQUESTER)), Err("BadSignature()".into()));
    let elsewhere = location::sign(location::ask_hash(CHAIN_ID, SINK, 0, REQUESTER), &ring.meter).unwrap();
    assert_eq!(ask(REQUESTER, &elsewhere), Err("BadSignature()".into()));
    assert_eq!(ask(REQUESTER, &signed), Ok(()));
    // Yesterday's is used up.
    assert_eq!(ask(REQUESTER, &signed), Err("BadSignature()".into()));
    let other = LocalKey::from_hex(&"6e".repeat(32)).unwrap();
    let hash = location::ask_hash(CHAIN_ID, ring.at, 0, REQUESTER);
    let call = |price| location::request(ring.at, other.address(), &location::sign(hash, &other).unwrap(), price);
    assert_eq!(ring.send(REQUESTER, call(ring.terms.price())).unwrap_err(), "NoMeter()");
    assert_eq!(ring.send(REQUESTER, call(U256::from(43_000_u32 - 1))).unwrap_err(), "WrongStake(43000, 42999)");
}

#[test]
fn every_draw_has_a_seed_of_its_own_that_is_not_the_one_before_it() {
    let ring = Ring::new(4, 3);
    let mut seeds = BTreeSet::new();
    for _ in 0..5 {
        let (id, _) = ring.ready();
        let before = location::request_of(&ring.machine, ring.at, id).unwrap().unwrap().seed;
        let (drawn, _) = ring.draw(id);
        seeds.extend([before, drawn.seed]);
        let after = location::request_of(&ring.machine, ring.at, id).unwrap().unwrap();
        assert_eq!((after.state, after.seed, after.chosen), (State::Drawn, drawn.seed, drawn.chosen));
        ring.judge(id, &drawn, |p| Says::Distance(ring.range(p, CLAIM)));
    }
    assert_eq!(seeds.len(), 10);
}

#[test]
fn a_copied_commitment_cannot_be_revealed() {
    let ring = Ring::new(5, 3);
    let (id, _) = ring.request();
    let (author, thief) = (ring.provers[0].0, ring.provers[1].0);
    let hash = ring.commitment(id, author, number(id, author), B256::ZERO);
    ring.apply(id, author).unwrap();
    ring.send(thief, location::apply_for(ring.at, id, hash, DEPOSIT)).unwrap();
    (2..5).for_each(|i| _ = ring.apply(id, ring.provers[i].0).unwrap());
    ring.machine.wait(601);
    for place in [0, 2, 3, 4] {
        ring.reveal(id, place, ring.provers[usize::from(place)].0).unwrap();
    }
    let stolen = location::reveal(ring.at, id, 1, number(id, author));
    assert_eq!(ring.send(thief, stolen).unwrap_err(), "NotCommitted()");
    let (drawn, _) = ring.draw(id);
    assert_eq!(drawn.chosen >> 1 & 1, 0, "who has not revealed is not drawn");
    let chosen = places(drawn.chosen);
    let distance = ring.range(chosen[0], CLAIM);
    let (author, thief) = (ring.provers[usize::from(chosen[0])].0, ring.provers[usize::from(chosen[1])].0);
    ring.measure(id, chosen[0], distance).unwrap();
    let hash = ring.commitment(id, author, U256::from(distance), salt(id, author));
    ring.send(thief, location::measure(ring.at, id, chosen[1], hash)).unwrap();
    ring.measure(id, chosen[2], 1).unwrap();
    ring.open(id, chosen[0], distance).unwrap();
    let stolen = location::open(ring.at, id, chosen[1], distance, salt(id, author));
    assert_eq!(ring.send(thief, stolen).unwrap_err(), "NotCommitted()");
    // Nor can another open what is somebody's own, nor the author something else.
    assert_eq!(ring.open(id, chosen[0], distance).unwrap_err(), "NotCommitted()");
    assert_eq!(ring.open(id, chosen[2], 2).unwrap_err(), "NotCommitted()");
}

#[test]
fn a_withheld_number_costs_the_deposit_and_the_draw_goes_on() {
    let ring = Ring::new(7, 3);
    let (id, _) = ring.request();
    ring.pledge(id).unwrap();
    ring.provers.iter().for_each(|(who, _)| _ = ring.apply(id, *who).unwrap());
    ring.machine.wait(601);
    (0..6).for_each(|p| _ = ring.reveal(id, p, ring.provers[usize::from(p)].0).unwrap());
    let (drawn, _) = ring.draw(id);
    assert_eq!((places(drawn.chosen).len(), drawn.chosen >> 6), (3, 0));
    assert_eq!((ring.owing(SINK), ring.owing(OPERATOR)), (2 * DEPOSIT, 0), "the operator's and a prover's");
    assert_eq!(ring.disclose(id).unwrap_err(), format!("NotOpen({id})"));
    ring.judge(id, &drawn, |p| Says::Distance(ring.range(p, CLAIM)));
    assert_eq!(settle_up(&ring, id)[6], 0);
}

/// Whoever reveals last knows all numbers, but not the hash of a block that there is not yet: with the number or without,
/// it may still draw anybody. So keeping one back chooses nothing.
#[test]
fn who_is_drawn_is_not_known_while_numbers_can_be_withheld() {
    let drawn = |withheld: bool, blocks: u32| {
        let ring = Ring::new(5, 3);
        let (id, _) = ring.request();
        ring.pledge(id).unwrap();
        ring.provers.iter().for_each(|(who, _)| _ = ring.apply(id, *who).unwrap());
        ring.machine.wait(601);
        (0..5).for_each(|p| _ = ring.reveal(id, p, ring.provers[usize::from(p)].0).unwrap());
        if !withheld {
            ring.disclose(id).unwrap();
        }
        (0..blocks).for_each(|_| ring.machine.mine());
        ring.draw(id).0.chosen
    };
    for withheld in [false, true] {
        let sets: BTreeSet<u64> = (0..50).map(|blocks| drawn(withheld, blocks)).collect();
        // Ten there are, and what is drawn here is always the same.
        assert!(sets.len() >= 9, "{sets:?}");
    }
}

#[test]
fn a_block_whose_hash_is_gone_is_pinned_again_and_not_before() {
    let ring = Ring::new(3, 3);
    let (id, _) = ring.ready();
    ring.machine.wait(301);
    let pin = || ring.send(SINK, location::pin(ring.at, id)).map(|_| ());
    let draw = || ring.send(SINK, location::draw(ring.at, id)).map(|_| ());
    assert_eq!(draw(), Err(format!("NotOpen({id})")));
    pin().unwrap();
    assert_eq!(draw(), Err("TooSoon()".into()));
    for _ in 0..256 {
        assert_eq!(pin(), Err("AlreadyCommitted()".into()));
        ring.machine.mine();
    }
    ring.machine.mine();
    assert_eq!(draw(), Err(format!("Lapsed({id})")));
    pin().unwrap();
    ring.machine.mine();
    draw().unwrap();
    assert_eq!(draw(), Err(format!("NotOpen({id})")));
    assert_eq!(pin(), Err(format!("NotOpen({id})")));
}

/// A liar among seven has committed. Once it has seen the others it would rather say nothing: the others decide.
#[test]
fn a_withheld_distance_leaves_the_verdict_to_the_others_and_costs_the_deposit() {
    let ring = Ring::new(9, 7);
    for truth in [CLAIM, (CLAIM.0 + 45_000, CLAIM.1 + 20_000)] {
        let (id, _) = ring.ready();
        let (drawn, _) = ring.draw(id);
        let liar = places(drawn.chosen)[2];
        let said = |p| match ring.range(p, truth) {
            _ if p == liar => Says::Withheld(70_000),
            far => Says::Distance(far),
        };
        let (located, _) = ring.judge(id, &drawn, said);
        let others: Vec<u8> = places(drawn.chosen).into_iter().filter(|p| *p != liar).collect();
        let seen: Vec<Sighting> = others.iter().map(|p| ring.sighting(*p, truth)).collect();
        let judged = locate::judge(0, 0, &seen, &limits()).unwrap();
        let expected = if truth == CLAIM { locate::Verdict::Here } else { locate::Verdict::Elsewhere };
        assert_eq!((judged.verdict, format!("{:?}", located.verdict)), (expected, format!("{expected:?}")));
        assert_eq!(located.dropped.count_ones(), judged.dropped.count_ones());
        assert_eq!(ring.owing(SINK), DEPOSIT * u128::from(1 + located.dropped.count_ones()));
        assert_eq!(settle_up(&ring, id)[usize::from(liar)], 0);
    }
}

#[test]
fn with_fewer_than_three_distances_nothing_is_said_and_only_the_silent_pay() {
    let ring = Ring::new(5, 4);
    let (id, _) = ring.ready();
    let (drawn, _) = ring.draw(id);
    let chosen = places(drawn.chosen);
    let said = |p| if chosen[..2].contains(&p) { Says::Distance(ring.range(p, CLAIM)) } else { Says::Silence };
    let (located, _) = ring.judge(id, &drawn, said);
    assert_eq!((located.verdict, located.dropped), (Verdict::Unclear, 0));
    let standing = location::standing_of(&ring.machine, ring.at, ring.meter.address()).unwrap();
    assert_eq!((standing.verdict, standing.id), (Verdict::Unclear, 0), "it stands as it stood");
    assert_eq!((ring.owing(SINK), ring.owing(REQUESTER)), (2 * DEPOSIT, 4 * REWARD + DEPOSIT));
    let dues = settle_up(&ring, id);
    assert!((0..).zip(dues).all(|(p, due)| due == if chosen[2..].contains(&p) { 0 } else { DEPOSIT }));
}

#[test]
fn a_meter_that_sends_nothing_costs_whoever_asked_and_no_prover() {
    let ring = Ring::new(5, 5);
    let (id, _) = ring.ready();
    let (drawn, _) = ring.draw(id);
    let said = |p| Says::Distance(if p < 2 { ring.range(p, CLAIM) } else { 0 });
    let (located, _) = ring.judge(id, &drawn, said);
    assert_eq!(located.verdict, Verdict::Unclear);
    assert_eq!((ring.owing(SINK), ring.owing(REQUESTER)), (DEPOSIT, 5 * REWARD));
    assert_eq!(settle_up(&ring, id), [DEPOSIT; 5]);
}

#[test]
fn too_few_provers_void_a_request_and_who_kept_to_the_rules_has_all_back() {
    let ring = Ring::new(5, 3);
    // Two apply: nobody has to reveal.
    let (id, _) = ring.request();
    ring.pledge(id).unwrap();
    (0..2).for_each(|i| _ = ring.apply(id, ring.provers[i].0).unwrap());
    ring.machine.wait(901);
    ring.send(SINK, location::pin(ring.at, id)).unwrap();
    assert_eq!(location::request_of(&ring.machine, ring.at, id).unwrap().unwrap().state, State::Void);
    assert_eq!((ring.owing(SINK), ring.owing(OPERATOR)), (0, DEPOSIT));
    assert_eq!(ring.due(id, 0) + ring.due(id, 1), 2 * DEPOSIT);
    (0..2).for_each(|i| _ = ring.send(ring.provers[i].0, location::collect(ring.at)).unwrap());
    [OPERATOR, REQUESTER].iter().for_each(|who| _ = ring.send(*who, location::collect(ring.at)).unwrap());
    assert_eq!(ring.held(), 0);
    // Four apply, two reveal: the others pay.
    let (id, _) = ring.request();
    (0..4).for_each(|i| _ = ring.apply(id, ring.provers[i].0).unwrap());
    ring.machine.wait(601);
    (0..2).for_each(|p| _ = ring.reveal(id, p, ring.provers[usize::from(p)].0).unwrap());
    ring.machine.wait(301);
    ring.send(SINK, location::pin(ring.at, id)).unwrap();
    let dues: Vec<u128> = (0..4).map(|p| ring.due(id, p)).collect();
    assert_eq!((dues, ring.owing(SINK)), (vec![DEPOSIT, DEPOSIT, 0, 0], 2 * DEPOSIT));
}

#[test]
fn nobody_is_drawn_twice_and_everybody_is_at_times() {
    let ring = Ring::new(8, 3);
    let mut times = [0; 8];
    for _ in 0..60 {
        let (id, _) = ring.request();
        ring.provers.iter().for_each(|(who, _)| _ = ring.apply(id, *who).unwrap());
        let twice = ring.apply(id, ring.provers[0].0);
        assert_eq!(twice.unwrap_err(), "AlreadyCommitted()");
        ring.machine.wait(601);
        (0..).zip(&ring.provers).for_each(|(place, (who, _))| _ = ring.reveal(id, place, *who).unwrap());
        assert_eq!(ring.reveal(id, 0, ring.provers[0].0).unwrap_err(), "NotCommitted()");
        let chosen = places(ring.draw(id).0.chosen);
        assert_eq!(chosen.len(), 3);
        chosen.iter().for_each(|p| times[usize::from(*p)] += 1);
    }
    // 22.5 each on the mean, 3.75 the deviation.
    assert!(times.iter().all(|n| (8..=38).contains(n)), "{times:?}");
}

#[test]
fn an_operator_that_lies_gets_nowhere() {
    let ring = Ring::new(5, 5);
    let (id, _) = ring.request();
    // Only the operator commits for the operator, once, with its deposit, and while provers can apply.
    let hash = ring.commitment(id, OPERATOR, number(id, OPERATOR), B256::ZERO);
    let pledge = |from, hash, deposit| ring.send(from, location::pledge(ring.at, id, hash, deposit)).map(|_| ());
    assert_eq!(pledge(REQUESTER, hash, DEPOSIT), Err("NotOwner()".into()));
    assert_eq!(pledge(OPERATOR, hash, 1), Err("WrongStake(40000, 1)".into()));
    assert_eq!(pledge(OPERATOR, B256::ZERO, DEPOSIT), Err("NothingCommitted()".into()));
    pledge(OPERATOR, hash, DEPOSIT).unwrap();
    assert_eq!(pledge(OPERATOR, hash, DEPOSIT), Err("AlreadyCommitted()".into()));
    ring.provers.iter().for_each(|(who, _)| _ = ring.apply(id, *who).unwrap());
    // Where meter and provers stand was written down when they asked and applied.
    let moved = Position { east: CLAIM.0 + 90_000, north: CLAIM.1, up: 0 };
    let point = B256::repeat_byte(7);
    ring.send(OPERATOR, operator::put_meter(ring.registry, point, ring.meter.address(), moved, 0)).unwrap();
    for (who, _) in &ring.provers[..3] {
        ring.send(OPERATOR, location::set_anchor(ring.at, *who, Some((5, 5)))).unwrap();
    }
    ring.machine.wait(601);
    assert_eq!(pledge(OPERATOR, hash, DEPOSIT), Err("TooLate()".into()));
    // No other number than the one that it committed to.
    let other = location::disclose(ring.at, id, number(id, SINK));
    assert_eq!(ring.send(OPERATOR, other).unwrap_err(), "NotCommitted()");
    ring.disclose(id).unwrap();
    assert_eq!(ring.disclose(id).unwrap_err(), "NotCommitted()");
    (0..).zip(&ring.provers).for_each(|(place, (who, _))| _ = ring.reveal(id, place, *who).unwrap());
    let (drawn, _) = ring.draw(id);
    let (located, _) = ring.judge(id, &drawn, |p| Says::Distance(ring.range(p, CLAIM)));
    assert_eq!(located.verdict, Verdict::Here);
    // And an operator that commits to nothing stops nothing.
    let (id, _) = ring.request();
    let (who, _) = ring.provers[4];
    assert_eq!(ring.apply(id, who).unwrap_err(), "OutOfRange()", "the meter is far now");
}

#[test]
fn every_step_has_its_time_and_its_people() {
    let ring = Ring::new(6, 3);
    let (id, _) = ring.request();
    let at = |i: usize| ring.provers[i].0;
    let no = |result: Result<crate::machine::Ran, String>| result.unwrap_err();
    assert_eq!(no(ring.apply(99, at(0))), "NotOpen(99)");
    assert_eq!(no(ring.apply(id, REQUESTER)), format!("NotProver({REQUESTER})"));
    ring.send(OPERATOR, location::set_anchor(ring.at, at(5), None)).unwrap();
    assert_eq!(no(ring.apply(id, at(5))), format!("NotProver({})", at(5)));
    assert_eq!(location::anchor_of(&ring.machine, ring.at, at(5)).unwrap().place, None);
    ring.apply(id, at(0)).unwrap();
    assert_eq!(location::anchor_of(&ring.machine, ring.at, at(0)).unwrap().last, id);
    (1..5).for_each(|i| _ = ring.apply(id, at(i)).unwrap());
    assert_eq!(no(ring.reveal(id, 0, at(0))), "TooEarly()");
    assert_eq!(no(ring.send(SINK, location::pin(ring.at, id))), "TooEarly()");
    ring.machine.wait(601);
    assert_eq!(no(ring.apply(id, at(5))), "TooLate()");
    assert_eq!(no(ring.reveal(id, 1, at(0))), "NotCommitted()");
    (0..5).for_each(|p| _ = ring.reveal(id, p, at(usize::from(p))).unwrap());
    assert_eq!(no(ring.measure(id, 0, 1)), format!("NotOpen({id})"));
    let (drawn, _) = ring.draw(id);
    assert_eq!(no(ring.reveal(id, 0, at(0))), format!("NotOpen({id})"));
    let outside = (0..5).find(|p| drawn.chosen >> p & 1 == 0).unwrap();
    assert_eq!(no(ring.measure(id, outside, 1)), "NotChosen()");
    let chosen = places(drawn.chosen);
    ring.measure(id, chosen[0], (1 << 20) + 1).unwrap();
    assert_eq!(no(ring.measure(id, chosen[0], 2)), "AlreadyCommitted()");
    assert_eq!(no(ring.open(id, chosen[0], 1)), "TooEarly()");
    ring.measure(id, chosen[1], 5_000).unwrap();
    ring.machine.wait(121);
    assert_eq!(no(ring.measure(id, chosen[2], 1)), "TooLate()");
    assert_eq!(no(ring.open(id, chosen[0], (1 << 20) + 1)), "BadDistance(1048577)");
    assert_eq!(no(ring.send(SINK, location::conclude(ring.at, id))), "TooEarly()");
    assert_eq!(no(ring.send(at(0), location::reclaim(ring.at, id, 0))), "TooEarly()");
    ring.machine.wait(180);
    assert_eq!(no(ring.open(id, chosen[1], 5_000)), "TooLate()");
    ring.send(SINK, location::conclude(ring.at, id)).unwrap();
    assert_eq!(no(ring.send(SINK, location::conclude(ring.at, id))), format!("NotOpen({id})"));
    assert_eq!(no(ring.send(SINK, location::reclaim(ring.at, id, outside))), "NotCommitted()");
    settle_up(&ring, id);
    let who = at(usize::from(outside));
    assert_eq!(no(ring.send(who, location::reclaim(ring.at, id, outside))), "NothingOwing()", "once");
}

#[test]
fn terms_that_cannot_be_kept_are_refused() {
    let ring = Ring::new(3, 3);
    assert_eq!(location::terms(&ring.machine, ring.at).unwrap(), ring.terms);
    let wrong = [
        Terms { registry: Address::ZERO, ..ring.terms },
        Terms { provers: 2, ..ring.terms },
        Terms { provers: 16, ..ring.terms },
        Terms { range: (1 << 20) + 1, ..ring.terms },
        Terms { apply: 0, ..ring.terms },
        Terms { open: 0, ..ring.terms },
        Terms { off: 0, ..ring.terms },
        Terms { reach: 0, ..ring.terms },
    ];
    for terms in wrong {
        assert_eq!(ring.send(OPERATOR, location::deploy_call(&terms)).unwrap_err(), "BadTerms()");
    }
}

/// What the contract and what Rust say, in the same words.
fn both(ring: &Ring, sightings: &[(i32, i32, i32)]) -> [String; 2] {
    let answer = ring.machine.call(SINK, &location::judge_call(ring.at, sightings)).unwrap();
    let chain = location::judged(&answer).unwrap();
    let said = format!("{:?} {} {} {} {} {}", chain.verdict, chain.x, chain.y, chain.dropped, chain.off, chain.left);
    [said, words(sightings)]
}

#[test]
fn the_contract_judges_as_rust_does_in_every_digit() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let ring = Ring::new(3, 3);
    let mut verdicts = BTreeSet::new();
    for _ in 0..300 {
        let sightings = drawn_sightings(&mut rng);
        let [said, ours] = both(&ring, &sightings);
        assert_eq!(said, ours, "{sightings:?}");
        verdicts.insert(said.split(' ').next().unwrap().to_owned());
    }
    assert_eq!(verdicts.len(), 3);
}

/// `cargo run -p contracts --example location -- --write` writes them, from Rust; `solvers` reads the same file.
#[test]
fn the_contract_judges_the_vectors_as_they_say() {
    let ring = Ring::new(3, 3);
    assert_eq!(JUDGE, vectors(), "if this is meant: cargo run -p contracts --example location -- --write");
    let cases: Vec<Value> = serde_json::from_str(JUDGE).unwrap();
    for case in &cases {
        let number = |v: &Value| i32::try_from(v.as_i64().unwrap()).unwrap();
        let sightings: Vec<(i32, i32, i32)> =
            list(&case["sightings"]).iter().map(|s| (number(&s[0]), number(&s[1]), number(&s[2]))).collect();
        let [said, _] = both(&ring, &sightings);
        assert_eq!(said, text(&case["judged"]), "{sightings:?}");
    }
    assert!(cases.len() >= 40);
}

#[test]
fn what_cannot_be_judged_is_refused() {
    let ring = Ring::new(3, 3);
    let ask = |s: &[(i32, i32, i32)]| crate::street::why(ring.machine.call(SINK, &location::judge_call(ring.at, s)));
    assert_eq!(ask(&[(1, 1, 1); 16]), "TooMany()");
    assert_eq!(ask(&[((1 << 20) + 1, 1, 1); 3]), "OutOfRange()");
    assert_eq!(ask(&[(1, -(1 << 20) - 1, 1); 3]), "OutOfRange()");
    assert_eq!(ask(&[(1, 1, 0); 3]), "BadDistance(0)");
}

const AT: Address = Address::repeat_byte(0x42);

fn said_terms(a: &[Value]) -> Terms {
    let left = list(&a[12]).iter().map(parse::<u32>).collect::<Vec<_>>().try_into().unwrap();
    let n = |i: usize| parse::<u32>(&a[i]);
    Terms {
        registry: parse(&a[0]),
        sink: parse(&a[1]),
        provers: parse(&a[2]),
        deposit: parse(&a[3]),
        reward: parse(&a[4]),
        range: n(5),
        apply: n(6),
        reveal: n(7),
        measure: n(8),
        open: n(9),
        off: n(10),
        reach: n(11),
        left,
    }
}

fn call(name: &str, a: &[Value]) -> Option<Call> {
    let id = || parse(&a[0]);
    Some(match name {
        "setAnchor" => {
            let place = a[1].as_bool().unwrap().then(|| (parse(&a[2]), parse(&a[3])));
            location::set_anchor(AT, parse(&a[0]), place)
        }
        "request" => location::request(AT, parse(&a[0]), &bytes(&a[1]).try_into().unwrap(), U256::ZERO),
        "pledge" => location::pledge(AT, id(), parse(&a[1]), 0),
        "applyFor" => location::apply_for(AT, id(), parse(&a[1]), 0),
        "disclose" => location::disclose(AT, id(), parse(&a[1])),
        "reveal" => location::reveal(AT, id(), parse(&a[1]), parse(&a[2])),
        "pin" => location::pin(AT, id()),
        "draw" => location::draw(AT, id()),
        "measure" => location::measure(AT, id(), parse(&a[1]), parse(&a[2])),
        "open" => location::open(AT, id(), parse(&a[1]), parse(&a[2]), parse(&a[3])),
        "conclude" => location::conclude(AT, id()),
        "reclaim" => location::reclaim(AT, id(), parse(&a[1])),
        "collect" => location::collect(AT),
        // Of ownership; `provider` has the same.
        "transferOwnership" | "acceptOwnership" => return None,
        other => panic!("no encoder for {other}"),
    })
}

#[test]
fn every_call_answer_and_signature_is_as_ethers_makes_it() {
    let v: Value = serde_json::from_str(VECTORS).unwrap();
    let ask = &v["ask"];
    let hash = location::ask_hash(
        parse(&ask["chainId"]),
        parse(&ask["contract"]),
        parse(&ask["number"]),
        parse(&ask["requester"]),
    );
    assert_eq!(hash, parse::<B256>(&ask["hash"]));
    let key = LocalKey::from_hex(text(&ask["key"])).unwrap();
    assert_eq!(location::sign(hash, &key).unwrap().to_vec(), bytes(&ask["signature"]));
    let c = &v["commitment"];
    let a = list(&c["args"]);
    let made = location::commitment(parse(&a[0]), parse(&a[1]), parse(&a[2]), parse(&a[3]), parse(&a[4]), parse(&a[5]));
    assert_eq!(made, parse::<B256>(&c["hash"]));
    let b = &v["beacon"];
    let code = location::beacon(&parse::<B256>(&b["secret"]).0, parse(&b["seed"]));
    assert_eq!(code.to_vec(), bytes(&b["code"]));
    let terms = said_terms(list(&v["deploy"]["args"]));
    assert_eq!(hex::encode(location::deploy_call(&terms).data), hex::encode(bytes(&v["deploy"]["data"])));
    for c in list(&v["calls"]) {
        if let Some(made) = call(text(&c["name"]), list(&c["args"])) {
            assert_eq!(hex::encode(&made.data), hex::encode(bytes(&c["data"])), "{}", c["name"]);
        }
    }
    for c in list(&v["views"]) {
        let (a, values) = (list(&c["args"]), flat(&c["values"]));
        let chain = Canned::new(bytes(&c["result"]));
        let id = || parse(&a[0]);
        let said: Vec<String> = match text(&c["name"]) {
            "requestOf" => {
                let r = location::request_of(&chain, AT, id()).unwrap().unwrap();
                assert_eq!((r.state, r.verdict, r.pledged), (State::Drawn, Verdict::Elsewhere, true));
                let mut words = vec![format!("{:#x}", r.requester)];
                let n = [r.apply_until, 2, r.applicants.into(), r.measured.into(), r.opened.into(), r.heard.into()];
                words.extend(n.map(|n| n.to_string()));
                words.push(format!("{:#x}", r.meter));
                words.extend([r.reveal_until, r.measure_until].map(|n| n.to_string()));
                words.extend([r.claim.0, r.claim.1].map(|n| n.to_string()));
                words.extend([r.pinned, r.revealed, r.chosen, r.dropped, 2].map(|n| n.to_string()));
                words.extend([r.seed.to_string(), values[18].clone()]);
                words
            }
            "applicantOf" => {
                let a = location::applicant_of(&chain, AT, id(), parse(&a[1])).unwrap().unwrap();
                assert_eq!(a.step, location::Step::Measured);
                let n = [i64::from(a.x), i64::from(a.y), i64::from(a.distance), 3].map(|n| n.to_string());
                [vec![format!("{:#x}", a.who)], n.to_vec(), vec![a.hash.to_string()]].concat()
            }
            "anchorOf" => {
                let a = location::anchor_of(&chain, AT, parse(&a[0])).unwrap();
                let (east, north) = a.place.unwrap();
                vec![east.to_string(), north.to_string(), "true".into(), a.last.to_string()]
            }
            "standingOf" => {
                let s = location::standing_of(&chain, AT, parse(&a[0])).unwrap();
                assert_eq!(s.verdict, Verdict::Here);
                vec!["1".into(), s.time.to_string(), s.id.to_string()]
            }
            "requests" => vec![location::requests(&chain, AT).unwrap().to_string()],
            "asked" => vec![location::asked(&chain, AT, parse(&a[0])).unwrap().to_string()],
            "owing" => vec![location::owing(&chain, AT, parse(&a[0])).unwrap().to_string()],
            "terms" => {
                assert_eq!(location::terms(&chain, AT).unwrap(), terms);
                values.clone()
            }
            "judge" => {
                let sightings: Vec<i32> = list(&a[0]).iter().map(parse).collect();
                let sightings: Vec<_> = sightings.chunks(3).map(|s| (s[0], s[1], s[2])).collect();
                let j = location::judged(&chain.call(AT, &location::judge_call(AT, &sightings)).unwrap()).unwrap();
                assert_eq!(j.verdict, Verdict::Elsewhere);
                let n = [2, j.x, j.y, i64::from(j.dropped)].map(|n| n.to_string());
                [n.to_vec(), vec![j.off.to_string(), j.left.to_string()]].concat()
            }
            // Of the head of the file, or not asked.
            "owner" | "pendingOwner" | "OPEN" | "DRAWN" | "DONE" | "VOID" | "askHash" | "commitment" => continue,
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
    let mut seen = BTreeSet::new();
    for e in list(&v["events"]) {
        let name = text(&e["name"]);
        let topics = list(&e["topics"]).iter().map(parse).collect();
        let log = Log { address: AT, topics, data: bytes(&e["data"]), block: 1, transaction: B256::ZERO, log_index: 0 };
        let verdict =
            |v: Verdict| ["Unclear", "Here", "Elsewhere"].iter().position(|n| *n == format!("{v:?}")).unwrap();
        let read = |log: &Log| -> Vec<(&str, Vec<String>)> {
            let address = |a: Address| format!("{a:#x}");
            let requested = location::requested(log)
                .map(|r| vec![r.id.to_string(), address(r.meter), address(r.requester), r.apply_until.to_string()]);
            let applied =
                location::applied(log).map(|a| vec![a.id.to_string(), address(a.prover), a.place.to_string()]);
            let drawn = location::drawn(log)
                .map(|d| vec![d.id.to_string(), d.seed.to_string(), d.chosen.to_string(), d.measure_until.to_string()]);
            let opened =
                location::opened(log).map(|o| vec![o.id.to_string(), address(o.prover), o.distance.to_string()]);
            let located = location::located(log).map(|l| {
                let n = [l.dropped, l.off, l.left].map(|n| n.to_string());
                let place = [verdict(l.verdict).to_string(), l.east.to_string(), l.north.to_string()];
                [vec![l.id.to_string(), address(l.meter)], place.to_vec(), n.to_vec()].concat()
            });
            let all = [
                ("Requested", requested),
                ("Applied", applied),
                ("Drawn", drawn),
                ("Opened", opened),
                ("Located", located),
            ];
            all.into_iter().filter_map(|(name, said)| Some((name, said?))).collect()
        };
        let readable = ["Requested", "Applied", "Drawn", "Opened", "Located"].contains(&name);
        let expected = if readable { vec![(name, flat(&e["args"]))] } else { vec![] };
        assert_eq!(read(&log), expected);
        let torn = Log { data: [&log.data[..], &[0]].concat(), ..log };
        assert_eq!(read(&torn), vec![]);
        seen.insert(name);
    }
    assert!(seen.len() >= 10, "{seen:?}");
}
