use super::*;
use crate::witness::wire::{Readings, Sample, hex};
use contracts::{Address, B256, provider};
use domain::{Money, Timestamp};
use proptest::prelude::*;

fn meter() -> MeterId {
    "home".parse().unwrap()
}

fn heard(samples: &[(i64, i64)]) -> Heard {
    let mut heard = Heard::default();
    for (at, import) in samples {
        let (at, import) = (Timestamp(*at), WattHours(*import));
        heard.listen(&Readings { meters: vec![Sample { meter: meter(), at, import, export: Some(WattHours(0)) }] });
    }
    heard
}

fn span(at: (i64, i64), import: (i64, i64)) -> Span {
    let (at, import) = ((Timestamp(at.0), Timestamp(at.1)), (WattHours(import.0), WattHours(import.1)));
    Span { account: 1, meter: meter(), at, import, export: (WattHours(0), WattHours(0)) }
}

fn batch(peak: i64, spans: Vec<Span>) -> Proposal {
    let item =
        Item { number: 1, off_peak: WattHours(500), peak: WattHours(peak), feed_in: WattHours(0), charge: Money(0) };
    let items = hex(&provider::pack(&[item]).unwrap());
    let (provider, lines_root) = (Address::ZERO, B256::ZERO);
    Proposal { provider, sequence: 1, tariff_version: 1, lines_root, items, spans }
}

/// The account has 500 and 100 Wh there.
fn there() -> BTreeMap<u32, AccountOnChain> {
    let (off_peak, peak) = (WattHours(500), WattHours(100));
    [(1, AccountOnChain { off_peak, peak, flags: AccountOnChain::OPEN, ..AccountOnChain::default() })].into()
}

fn judged(proposal: &Proposal, heard: &Heard) -> Judgement {
    judge(proposal, &Known { there: &there(), heard, billed: &BTreeMap::new(), doubted: &BTreeMap::new() })
}

fn wrong(proposal: &Proposal, heard: &Heard) -> String {
    match judged(proposal, heard) {
        Judgement::Wrong(reasons) => reasons.join("; "),
        other => panic!("{other:?}"),
    }
}

const HEARD: &[(i64, i64)] = &[(10, 7_000), (20, 7_030), (30, 7_050), (40, 7_080)];

#[test]
fn a_batch_that_bills_what_was_overheard_is_sound() {
    assert_eq!(judged(&batch(150, vec![span((10, 30), (7_000, 7_050))]), &heard(HEARD)), Judgement::Sound);
    // An exact reading is enough, and so is one since.
    assert_eq!(judged(&batch(180, vec![span((10, 40), (7_000, 7_080))]), &heard(HEARD)), Judgement::Sound);
    // Cut at a border, in two accounts' worth of lines.
    let cut = vec![span((10, 25), (7_000, 7_041)), span((25, 35), (7_041, 7_066))];
    assert_eq!(judged(&batch(166, cut), &heard(HEARD)), Judgement::Sound);
}

#[test]
fn a_register_that_nobody_heard_is_wrong_above_and_below() {
    let high = wrong(&batch(170, vec![span((10, 30), (7_000, 7_070))]), &heard(HEARD));
    assert_eq!(high, "meter home: import register of 7070 Wh, and 7050 Wh was overheard after");
    let low = wrong(&batch(130, vec![span((10, 30), (7_000, 7_030))]), &heard(HEARD));
    assert_eq!(low, "meter home: import register of 7030 Wh, and 7050 Wh was overheard before");
    let early = wrong(&batch(190, vec![span((10, 30), (6_960, 7_050))]), &heard(HEARD));
    assert_eq!(early, "meter home: import register of 6960 Wh, and 7000 Wh was overheard before");
}

#[test]
fn energy_that_no_meter_counted_is_wrong_and_so_is_energy_that_is_left_out() {
    let more = wrong(&batch(151, vec![span((10, 30), (7_000, 7_050))]), &heard(HEARD));
    assert_eq!(more, "account 1: 51 Wh of import billed, 50 Wh metered");
    let less = wrong(&batch(149, vec![span((10, 30), (7_000, 7_050))]), &heard(HEARD));
    assert_eq!(less, "account 1: 49 Wh of import billed, 50 Wh metered");
    assert_eq!(wrong(&batch(99, vec![]), &heard(HEARD)), "account 1: a register falls");
    let mut other = span((10, 30), (7_000, 7_050));
    other.account = 2;
    assert_eq!(wrong(&batch(100, vec![other]), &heard(HEARD)), "account 2: metered, and not in the batch");
    assert_eq!(judged(&batch(100, vec![]), &heard(HEARD)), Judgement::Sound, "money alone may move");
}

#[test]
fn no_energy_is_billed_twice() {
    let twice = vec![span((10, 30), (7_000, 7_050)), span((20, 40), (7_030, 7_080))];
    assert_eq!(wrong(&batch(200, twice), &heard(HEARD)), "meter home: billed twice for the same time");
}

#[test]
fn a_meter_that_moves_to_another_account_is_billed_to_each_for_its_time() {
    let mut moved = span((20, 30), (7_030, 7_050));
    moved.account = 2;
    let item = |number, off_peak, peak| {
        let (off_peak, peak) = (WattHours(off_peak), WattHours(peak));
        Item { number, off_peak, peak, feed_in: WattHours(0), charge: Money(0) }
    };
    let items = hex(&provider::pack(&[item(1, 500, 130), item(2, 20, 0)]).unwrap());
    let proposal = Proposal { items, ..batch(0, vec![span((10, 20), (7_000, 7_030)), moved]) };
    let mut there = there();
    there.insert(2, AccountOnChain { flags: AccountOnChain::OPEN, ..AccountOnChain::default() });
    let known = Known { there: &there, heard: &heard(HEARD), billed: &BTreeMap::new(), doubted: &BTreeMap::new() };
    assert_eq!(judge(&proposal, &known), Judgement::Sound);
}

#[test]
fn what_a_settled_batch_billed_is_not_billed_again() {
    let proposal = batch(150, vec![span((20, 40), (7_030, 7_080))]);
    let judged = |until: i64| {
        let billed = [(meter(), Timestamp(until))].into();
        judge(&proposal, &Known { there: &there(), heard: &heard(HEARD), billed: &billed, doubted: &BTreeMap::new() })
    };
    assert_eq!(judged(20), Judgement::Sound);
    assert_eq!(judged(21), Judgement::Wrong(vec!["meter home: billed twice for the same time".into()]));
}

#[test]
fn what_was_not_heard_yet_may_still_come() {
    let proposal = batch(190, vec![span((10, 50), (7_000, 7_090))]);
    assert_eq!(judged(&proposal, &heard(HEARD)), Judgement::Unheard(vec![meter()]));
    assert_eq!(judged(&proposal, &Heard::default()), Judgement::Unheard(vec![meter()]));
    let later: Vec<_> = HEARD.iter().copied().chain([(55, 7_090)]).collect();
    assert_eq!(judged(&proposal, &heard(&later)), Judgement::Sound);
}

#[test]
fn a_meter_that_was_exchanged_is_judged_by_both_runs_of_its_register() {
    let samples = [(10, 7_000), (20, 7_030), (30, 5), (40, 25)];
    let spans = vec![span((10, 22), (7_000, 7_034)), span((25, 40), (2, 25))];
    assert_eq!(judged(&batch(157, spans), &heard(&samples)), Judgement::Sound);
}

#[test]
fn a_meter_that_the_feeder_speaks_against_is_wrong() {
    let proposal = batch(150, vec![span((10, 30), (7_000, 7_050))]);
    let doubted = [(meter(), "counts less than the feeder brings".to_owned())].into();
    let billed = BTreeMap::new();
    let judged = judge(&proposal, &Known { there: &there(), heard: &heard(HEARD), billed: &billed, doubted: &doubted });
    assert_eq!(judged, Judgement::Wrong(vec!["meter home: counts less than the feeder brings".into()]));
}

proptest! {
    #[test]
    fn whatever_is_metered_is_sound_and_any_other_sum_is_not(
        steps in proptest::collection::vec((2_i64..60, 0_i64..200), 2..40), lie in 3_i64..500, sign in any::<bool>(),
    ) {
        let (mut at, mut import, mut samples) = (0, 5_000, Vec::new());
        for (later, more) in steps {
            (at, import) = (at + later, import + more);
            samples.push((at, import));
        }
        let (first, last) = (samples[0], samples[samples.len() - 1]);
        let heard = heard(&samples);
        let honest = batch(100 + last.1 - first.1, vec![span((first.0, last.0), (first.1, last.1))]);
        prop_assert_eq!(judged(&honest, &heard), Judgement::Sound);
        // The energy alone, and the registers with it.
        let lie = if sign { lie } else { -lie };
        let told = (last.1 - first.1 + lie).max(0);
        prop_assume!(told != last.1 - first.1);
        let alone = batch(100 + told, honest.spans.clone());
        prop_assert!(matches!(judged(&alone, &heard), Judgement::Wrong(_)));
        let register = first.1 + told;
        prop_assume!((register - last.1).abs() > ROUNDING);
        let both = batch(100 + told, vec![span((first.0, last.0), (first.1, register))]);
        prop_assert!(matches!(judged(&both, &heard), Judgement::Wrong(_)));
    }
}
