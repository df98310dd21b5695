use super::*;
use domain::{Kind as LineKind, Line};

const BOOK: Address = Address::repeat_byte(0xbb);

fn meter() -> MeterId {
    "home".parse().unwrap()
}

fn until(at: i64) -> BTreeMap<MeterId, Timestamp> {
    [(meter(), Timestamp(at))].into()
}

/// Batch 7 was accepted, and bills the meter until 30.
fn accepted() -> Peer {
    let sound = Sound { provider: BOOK, sequence: 7, digest: B256::repeat_byte(7), ends: until(30) };
    Peer { accepted: Some(sound), billed: until(20), ..Peer::default() }
}

#[test]
fn what_was_accepted_is_billed_once_it_is_settled_and_not_before() {
    let mut peer = accepted();
    assert_eq!(peer.settled(false, |_| Ok(7)), Ok(()));
    assert_eq!(peer.billed, until(20), "it waits in its outbox");
    let away = ChainError::Unreachable { url: "x".into(), what: "gone".into() };
    assert_eq!(peer.settled(true, |_| Err(away.clone())), Err(away));
    let next = |book| {
        assert_eq!(book, BOOK);
        Ok(8)
    };
    assert_eq!(peer.settled(true, next), Ok(()));
    assert_eq!(peer.billed, until(30));
}

#[test]
fn an_accepted_batch_that_its_settler_gave_up_bills_nothing() {
    let mut peer = accepted();
    assert_eq!(peer.settled(true, |_| Ok(7)), Ok(()));
    assert_eq!(peer.settled(false, |_| Ok(8)), Ok(()), "another took its number");
    assert_eq!(peer.billed, until(20));
}

#[test]
fn stretches_are_joined_where_the_registers_stood_still_and_nowhere_else() {
    let line = |from: i64, to: i64, import_from: i64, import: i64| Line {
        kind: LineKind::Peak,
        meter: Some(meter()),
        interval: Timestamp(from),
        tariff: 1,
        from: Timestamp(from),
        to: Timestamp(to),
        import_from: WattHours(import_from),
        export_from: WattHours(0),
        import: WattHours(import),
        free: WattHours(0),
        export: WattHours(0),
        debit: Default::default(),
        credit: Default::default(),
        carry: 0,
    };
    let lines = [line(10, 20, 100, 5), line(60, 70, 105, 5), line(80, 90, 112, 3)].map(|line| (1, line)).to_vec();
    let (off_peak, peak, feed_in) = (WattHours(0), WattHours(13), WattHours(0));
    let items = vec![provider::Item { number: 1, off_peak, peak, feed_in, charge: Default::default() }];
    let batch = Batched { sequence: 1, tariff_version: 1, lines_root: B256::ZERO, items, lines };
    let spans = propose(&batch, BOOK).unwrap().spans;
    let ends: Vec<_> = spans.iter().map(|s| (s.at.0.0, s.at.1.0, s.import.0.0, s.import.1.0)).collect();
    assert_eq!(ends, [(10, 70, 100, 110), (80, 90, 112, 115)]);
}
