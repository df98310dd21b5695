//! Plans before the contract that judges them: what is kept of them.

use super::*;
use domain::dispatch::RoundEvent;
use ledger::{Purpose, Round, RoundAct, Tries};

fn round(at: i64) -> Round {
    Round {
        from: Timestamp(at),
        until: Timestamp(at + 1),
        network: "0x".into(),
        conditions: "0x".into(),
        solution: "0x".into(),
        quanta: 1,
        scale: 1,
        stake_gwei: 1,
        contract: None,
    }
}

#[test]
fn a_round_that_was_opened_is_kept_until_it_is_over_however_long_the_chain_is_away() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let told =
        |at, number, event| Write::Fact(Fact::DispatchRound { from: at, round: number, event, transaction: None });
    for at in 0..100 {
        write(&ledger, Write::Round(Box::new(round(at))));
        let at = Timestamp(at);
        if at.0 < 3 {
            write(&ledger, told(at, 7, RoundEvent::Opened));
        }
        if at.0 == 1 {
            write(&ledger, told(at, 7, RoundEvent::Committed));
        }
        if at.0 == 2 {
            write(&ledger, told(at, 7, RoundEvent::StakeBack));
        }
    }
    let kept: Vec<i64> = ledger.open_rounds().unwrap().iter().map(|(round, _)| round.from.0).collect();
    assert_eq!(kept, [0, 1].into_iter().chain(68..100).collect::<Vec<_>>());
}

#[test]
fn tries_are_counted_until_one_of_them_is_in_a_block() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let reveal = Purpose::Dispatch { act: RoundAct::Reveal, round: 1, from: Timestamp(0) };
    assert_eq!(ledger.tries(&reveal).unwrap(), None);
    for (times, mined) in [(1, None), (2, Some(("0x1".to_owned(), 3)))] {
        ledger.commit(Timestamp(times), &[Write::Queue(reveal.clone())]).unwrap();
        let (intent, in_a_block) = (ledger.open_intents().unwrap().remove(0).id, mined.is_some());
        write(&ledger, Write::Conclude { intent, mined, problem: Some("no".into()), facts: vec![] });
        let tries = Tries { times: u32::try_from(times).unwrap(), newest: Timestamp(times), mined: in_a_block };
        assert_eq!(ledger.tries(&reveal).unwrap(), Some(tries));
    }
}

#[test]
fn what_is_said_of_plans_hides_no_refusal_of_a_batch_or_a_set_up() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let conclude = |problem: Option<&str>| {
        let intent = ledger.open_intents().unwrap().remove(0).id;
        let problem = problem.map(str::to_owned);
        write(&ledger, Write::Conclude { intent, mined: Some(("0x1".into(), 3)), problem, facts: vec![] });
    };
    let say = |purpose: Purpose, problem: Option<&str>| {
        write(&ledger, Write::Queue(purpose));
        conclude(problem);
    };
    let reveal = || Purpose::Dispatch { act: RoundAct::Reveal, round: 1, from: Timestamp(0) };
    let open = || Purpose::OpenAccounts { numbers: vec![1] };
    assert_eq!((ledger.batch_refused().unwrap(), ledger.set_up_refused().unwrap()), (None, false));
    say(Purpose::Deploy, None);
    say(open(), Some("no"));
    say(reveal(), None);
    assert!(ledger.set_up_refused().unwrap());
    say(open(), None);
    assert!(!ledger.set_up_refused().unwrap());

    write(&ledger, Write::Fact(Fact::AccountOpened { account: "home-0".parse().unwrap(), number: 1 }));
    write(&ledger, Write::Readings(vec![reading(0, 0, 0), reading(0, 60_000, 10)]));
    write(&ledger, price(&ledger));
    write(&ledger, batch(1));
    conclude(Some("NotOpen(0)"));
    say(reveal(), None);
    assert_eq!(ledger.batch_refused().unwrap(), Some(1));
    write(&ledger, batch(1));
    conclude(None);
    say(reveal(), Some("no"));
    assert_eq!((ledger.batch_refused().unwrap(), ledger.set_up_refused().unwrap()), (None, false));
}
