use super::*;
use crate::witness::wire::{self, Vote};
use contracts::key::{LocalKey, Signer};
use proptest::prelude::*;

const CHAIN: u64 = 7;
const CONTRACT: Address = Address::repeat_byte(0xcc);

fn key(i: usize) -> LocalKey {
    LocalKey::from_hex(&format!("{:064x}", i + 1)).unwrap()
}

fn members(n: usize) -> Vec<Address> {
    (0..n).map(|i| key(i).address()).collect()
}

fn digest() -> B256 {
    contracts::keccak256("a batch")
}

fn cast(ballot: &mut Ballot, by: usize, draw: u64, digest: B256, yes: bool) {
    let found = if yes { digest } else { witness::refusal(digest) };
    let finding = witness::sign(witness::finding(CHAIN, CONTRACT, draw, found), &key(by)).unwrap();
    let vote = Vote { draw, opener: Address::ZERO, digest, yes, finding: wire::hex(&finding), reasons: Vec::new() };
    assert!(ballot.cast(key(by).address(), &vote, CHAIN, CONTRACT));
}

/// Three members, of which the first has draw 5 open.
struct Street {
    members: Vec<Address>,
    open: Vec<Open>,
    findings: BTreeMap<u64, Finding>,
    dissents: BTreeSet<(u64, Address)>,
}

impl Street {
    fn new() -> Self {
        let set = Some(members(3));
        let open = vec![Open { opener: key(0).address(), draw: 5, made: 100, digest: digest(), set }];
        Self { members: members(3), open, findings: BTreeMap::new(), dissents: BTreeSet::new() }
    }

    fn view(&self, me: usize) -> View<'_> {
        View {
            me: key(me).address(),
            contract: CONTRACT,
            head: 101,
            needed: &[1, 2, 2],
            ours: None,
            mine: Mine::Never,
            again: true,
            open: &self.open,
            findings: &self.findings,
            dissents: &self.dissents,
            members: &self.members,
        }
    }
}

fn said(view: &View<'_>, ballot: &Ballot) -> Vec<Call> {
    view.acts(ballot, &mut BTreeMap::new()).into_iter().map(|act| act.call).collect()
}

#[test]
fn a_batch_is_asked_about_once_and_again_when_nobody_answered_or_it_is_time() {
    let street = Street::new();
    let asked = [witness::open(CONTRACT, digest())];
    for (mine, again, asks) in [
        (Mine::Never, true, true),
        (Mine::Open(digest()), true, false),
        (Mine::Open(B256::ZERO), true, false),
        (Mine::Lapsed, true, true),
        (Mine::Accepted(digest()), true, false),
        (Mine::Accepted(B256::ZERO), true, true),
        (Mine::Refused(digest(), 4), false, false),
        (Mine::Refused(digest(), 4), true, true),
        (Mine::Refused(B256::ZERO, 4), false, true),
    ] {
        let view = View { mine, again, ours: Some(digest()), ..street.view(1) };
        let said = said(&view, &Ballot::default());
        assert_eq!(said == asked, asks, "{mine:?} {again}: {said:?}");
    }
    assert!(said(&View { mine: Mine::Never, ..street.view(1) }, &Ballot::default()).is_empty(), "nothing to settle");
    let outside = View { ours: Some(digest()), ..street.view(7) };
    assert!(said(&outside, &Ballot::default()).is_empty(), "no member is heard by nobody");
}

#[test]
fn a_missing_answer_is_not_a_yes() {
    let street = Street::new();
    let mine = View { ours: Some(digest()), mine: Mine::Open(digest()), ..street.view(0) };
    let mut ballot = Ballot::default();
    cast(&mut ballot, 0, 5, digest(), true);
    assert!(said(&mine, &ballot).is_empty());
    // Nor is a vote on another draw, or on another digest.
    cast(&mut ballot, 1, 4, digest(), true);
    cast(&mut ballot, 1, 5, contracts::keccak256("another"), true);
    assert!(said(&mine, &ballot).is_empty());
    cast(&mut ballot, 2, 5, digest(), true);
    let votes = ballot.for_finding(5, &members(3), digest());
    assert_eq!(votes.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(said(&mine, &ballot), [witness::confirm(CONTRACT, key(0).address(), &votes)]);
    // Others do not settle it for us.
    assert!(said(&street.view(1), &ballot).is_empty());
}

#[test]
fn a_batch_is_refused_by_one_after_the_other_and_never_by_its_opener() {
    let street = Street::new();
    let mut ballot = Ballot::default();
    (1..=2).for_each(|i| cast(&mut ballot, i, 5, digest(), false));
    let votes = ballot.for_finding(5, &members(3), witness::refusal(digest()));
    let refuse = vec![witness::refuse(CONTRACT, key(0).address(), &votes)];
    let mut since = BTreeMap::new();
    let mut at = |me: usize, head: u64| -> Vec<Call> {
        let view = View { head, ..street.view(me) };
        view.acts(&ballot, &mut since).into_iter().map(|act| act.call).collect()
    };
    assert!(at(0, 101).is_empty() && at(1, 101).is_empty(), "the second gives the first its turn");
    assert!(at(1, 102).is_empty());
    assert_eq!(at(1, 103), refuse);
    assert!(at(2, 104).is_empty());
    assert_eq!(at(2, 105), refuse);
    assert!(at(0, 500).is_empty());
}

#[test]
fn who_stood_behind_something_else_is_reported_once() {
    let mut street = Street::new();
    let refused = contracts::witness::Confirmed {
        batch: 9,
        digest: witness::refusal(digest()),
        draw: 5,
        set: members(3),
        agreed: 2,
    };
    street.open.clear();
    street.findings.insert(9, Finding { found: refused.clone(), refused: true, block: 101 });
    let mut ballot = Ballot::default();
    (0..2).for_each(|i| cast(&mut ballot, i, 5, digest(), false));
    cast(&mut ballot, 2, 5, digest(), true);
    let (_, other, signature) = ballot.dissents(5, &members(3), refused.digest)[0];
    let report = witness::report(CONTRACT, &refused, 2, other, &signature);
    assert_eq!(said(&street.view(0), &ballot), std::slice::from_ref(&report));
    assert!(said(&street.view(1), &ballot).is_empty(), "it is not its turn");
    assert_eq!(said(&View { head: 103, ..street.view(1) }, &ballot), [report]);
    assert!(said(&View { head: 999, ..street.view(2) }, &ballot).is_empty(), "nobody reports itself");
    street.dissents.insert((9, key(2).address()));
    assert!(said(&street.view(0), &ballot).is_empty(), "once");
    street.dissents.clear();
    street.members.pop();
    assert!(said(&street.view(0), &ballot).is_empty(), "who is out already cannot be counted");
}

#[test]
fn who_votes_both_ways_is_reported_whatever_was_found() {
    let mut ballot = Ballot::default();
    cast(&mut ballot, 1, 5, digest(), true);
    cast(&mut ballot, 1, 5, digest(), false);
    for found in [digest(), witness::refusal(digest())] {
        assert_eq!(ballot.dissents(5, &members(3), found).len(), 1);
    }
}

#[test]
fn a_vote_counts_for_whoever_signed_it_alone() {
    let finding = witness::sign(witness::finding(CHAIN, CONTRACT, 5, digest()), &key(1)).unwrap();
    let vote = Vote {
        draw: 5,
        opener: Address::ZERO,
        digest: digest(),
        yes: true,
        finding: wire::hex(&finding),
        reasons: Vec::new(),
    };
    let mut ballot = Ballot::default();
    for (by, changed, chain) in [
        (2, vote.clone(), CHAIN),
        (1, Vote { yes: false, ..vote.clone() }, CHAIN),
        (1, Vote { draw: 6, ..vote.clone() }, CHAIN),
        (1, vote.clone(), CHAIN + 1),
    ] {
        assert!(!ballot.cast(key(by).address(), &changed, chain, CONTRACT), "{by} {changed:?}");
    }
    assert!(ballot.for_finding(5, &members(3), digest()).is_empty());
    assert!(ballot.cast(key(1).address(), &vote, CHAIN, CONTRACT));
    assert_eq!(ballot.for_finding(5, &members(3), digest()).len(), 1);
}

proptest! {
    /// Whatever is voted, nothing is confirmed and refused at once, and each only with enough of the set.
    #[test]
    fn no_draw_is_both_confirmed_and_refused(votes in proptest::collection::vec((0_usize..3, any::<bool>()), 0..6)) {
        let street = Street::new();
        let mut ballot = Ballot::default();
        let mut first: BTreeMap<usize, bool> = BTreeMap::new();
        for (by, yes) in votes {
            // The honest say one thing; here all are.
            let yes = *first.entry(by).or_insert(yes);
            cast(&mut ballot, by, 5, digest(), yes);
        }
        let mine = View { ours: Some(digest()), mine: Mine::Open(digest()), ..street.view(0) };
        let confirmed = !said(&mine, &ballot).is_empty();
        let refused = (1..3).any(|me| {
            let mut since = BTreeMap::from([(5, 0)]);
            !View { head: 101, ..street.view(me) }.acts(&ballot, &mut since).is_empty()
        });
        let count = |wanted: bool| first.values().filter(|yes| **yes == wanted).count();
        prop_assert_eq!((confirmed, refused), (count(true) >= 2, count(false) >= 2));
    }
}
