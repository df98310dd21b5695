use super::*;
use crate::settler::fees;
use contracts::tx::Fees;
use proptest::prelude::*;

const POLICY: FeePolicy = FeePolicy { ceiling: 1 << 40, patience: Duration::from_secs(60) };

fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1_000)
}

fn offered(nonce: u64, seconds: i64) -> Offered {
    Offered { nonce, signed_at: at(seconds) }
}

fn seen(attempts: &[Offered], next_nonce: u64, head: u64, seconds: i64) -> Seen<'_> {
    Seen { attempts, next_nonce, head, now: at(seconds) }
}

#[test]
fn it_is_sent_again_on_a_timer_whatever_the_node_says_of_it() {
    for said in [None, Some(Refusal::AlreadyKnown), Some(Refusal::Other), Some(Refusal::InsufficientFunds)] {
        let (mut memory, attempts) = (Memory::default(), [offered(5, 0)]);
        assert_eq!(memory.decide(&seen(&attempts, 5, 9, 0), &POLICY), Move::Send(0));
        memory.sent(0, at(0), said);
        assert!(matches!(memory.decide(&seen(&attempts, 5, 9, 14), &POLICY), Move::Wait(_)), "{said:?}");
        assert_eq!(memory.decide(&seen(&attempts, 5, 9, 15), &POLICY), Move::Send(0), "{said:?}");
    }
}

#[test]
fn more_is_offered_when_blocks_leave_it_out_and_not_while_the_chain_stands_still() {
    let (mut memory, attempts) = (Memory::default(), [offered(5, 0)]);
    memory.decide(&seen(&attempts, 5, 9, 0), &POLICY);
    memory.sent(0, at(590), None);
    assert!(matches!(memory.decide(&seen(&attempts, 5, 9, 600), &POLICY), Move::Wait(_)));
    assert_eq!(memory.decide(&seen(&attempts, 5, 10, 600), &POLICY), Move::Replace(0));
}

#[test]
fn an_underpriced_one_is_replaced_at_once_then_ever_more_slowly_and_not_for_ever() {
    let (mut memory, mut attempts) = (Memory::default(), vec![offered(5, 0)]);
    let mut waits = Vec::new();
    for second in 0..100_000 {
        let newest = attempts.len() - 1;
        memory.sent(newest, at(second), Some(Refusal::Underpriced));
        if let Move::Replace(of) = memory.decide(&seen(&attempts, 5, 9, second), &POLICY) {
            assert_eq!(of, newest);
            waits.push(second - attempts[newest].signed_at.0 / 1_000);
            attempts.push(offered(5, second));
        }
    }
    assert_eq!(waits.len(), MOST_REPLACEMENTS);
    assert_eq!(waits[0], 0);
    assert!(waits.windows(2).all(|w| w[0] <= w[1]) && waits[19] >= 60, "{waits:?}");
}

#[test]
fn a_used_nonce_is_given_up_only_when_no_receipt_came_for_a_while() {
    let (mut memory, attempts) = (Memory::default(), [offered(5, 0)]);
    assert!(matches!(memory.decide(&seen(&attempts, 6, 9, 100), &POLICY), Move::Wait(_)));
    // A node that is behind says otherwise in between.
    memory.sent(0, at(101), None);
    assert!(matches!(memory.decide(&seen(&attempts, 5, 9, 101), &POLICY), Move::Wait(_)));
    assert!(matches!(memory.decide(&seen(&attempts, 6, 9, 161), &POLICY), Move::Wait(_)));
    assert_eq!(memory.decide(&seen(&attempts, 6, 9, 221), &POLICY), Move::Anew);
}

#[test]
fn a_gap_before_it_is_filled() {
    let (mut memory, attempts) = (Memory::default(), vec![offered(8, 0)]);
    assert_eq!(memory.decide(&seen(&attempts, 5, 9, 0), &POLICY), Move::Send(0));
    memory.sent(0, at(0), None);
    assert!(matches!(memory.decide(&seen(&attempts, 5, 9, 1), &POLICY), Move::Wait(_)));
    assert_eq!(memory.decide(&seen(&attempts, 5, 9, 60), &POLICY), Move::Anew);
    let attempts = [attempts[0], offered(5, 60)];
    assert_eq!(memory.decide(&seen(&attempts, 5, 9, 60), &POLICY), Move::Send(1));
}

/// A chain as far as this sender sees it, with a pool that forgets, and a contract that counts a batch once.
#[derive(Debug, Default)]
struct World {
    height: u64,
    nonce: u64,
    /// Waiting in the pool: nonce, fees, hash.
    pool: Vec<(u64, Fees, usize)>,
    mined: Vec<usize>,
    /// How often the batch took effect.
    effects: u32,
}

impl World {
    fn send(&mut self, nonce: u64, fees: Fees, hash: usize) -> Option<Refusal> {
        if self.mined.contains(&hash) || nonce < self.nonce {
            return Some(Refusal::NonceTooLow);
        }
        if self.pool.iter().any(|(_, _, known)| *known == hash) {
            return Some(Refusal::AlreadyKnown);
        }
        if let Some(old) = self.pool.iter_mut().find(|(same, ..)| *same == nonce) {
            let outbid = |new: u128, old: u128| new * 10 >= old * 11;
            if !(outbid(fees.max_fee, old.1.max_fee) && outbid(fees.max_priority, old.1.max_priority)) {
                return Some(Refusal::Underpriced);
            }
            *old = (nonce, fees, hash);
            return None;
        }
        self.pool.push((nonce, fees, hash));
        None
    }

    fn mine(&mut self, least: u128) {
        self.height += 1;
        while let Some(at) = self.pool.iter().position(|(n, f, _)| *n == self.nonce && f.max_fee >= least) {
            let (_, _, hash) = self.pool.remove(at);
            self.nonce += 1;
            self.mined.push(hash);
            // Whichever comes first counts; the contract refuses the others by their sequence number.
            self.effects = self.effects.max(1);
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Quiet,
    Mine {
        least: u128,
    },
    Drop,
    Restart,
    /// The node says another nonce than it has.
    Lie(i64),
    /// The answer to what is sent now is lost.
    Lost,
    /// Somebody else uses the key.
    Other,
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Quiet),
        (1..2_000_u128).prop_map(|least| Event::Mine { least }),
        Just(Event::Drop),
        Just(Event::Restart),
        (-2..4_i64).prop_map(Event::Lie),
        Just(Event::Lost),
        Just(Event::Other),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_a_batch_gets_onto_the_chain_when_it_works_again(
        schedule in prop::collection::vec((events(), 1..120_i64), 0..60),
    ) {
        let suggested = Fees { max_fee: 1_000, max_priority: 10 };
        let (mut world, mut memory, mut now) = (World::default(), Memory::default(), 0);
        let mut attempts: Vec<(Offered, Fees)> = Vec::new();
        let calm = std::iter::repeat_n((Event::Mine { least: 1 }, 20), 200);
        let faulty = schedule.len();
        for (turn, (event, pause)) in schedule.into_iter().chain(calm).enumerate() {
            now += pause;
            match event {
                Event::Mine { least } => world.mine(least),
                Event::Drop => world.pool.clear(),
                Event::Restart => memory = Memory::default(),
                Event::Other => {
                    // A transaction of somebody else replaces ours, in the next block.
                    world.pool.retain(|(nonce, ..)| *nonce != world.nonce);
                    (world.nonce, world.height) = (world.nonce + 1, world.height + 1);
                }
                Event::Quiet | Event::Lie(_) | Event::Lost => {}
            }
            if world.mined.iter().any(|hash| *hash < attempts.len()) && turn >= faulty {
                break;
            }
            let next_nonce = match event {
                Event::Lie(by) => world.nonce.saturating_add_signed(by),
                _ => world.nonce,
            };
            if attempts.is_empty() {
                attempts.push((offered(next_nonce, now), suggested));
            }
            for _ in 0..3 {
                let known: Vec<Offered> = attempts.iter().map(|(o, _)| *o).collect();
                match memory.decide(&seen(&known, next_nonce, world.height, now), &POLICY) {
                    Move::Send(at) => {
                        let (offer, fees) = attempts[at];
                        let said = world.send(offer.nonce, fees, at);
                        if matches!(event, Event::Lost) {
                            break;
                        }
                        memory.sent(at, Timestamp(now * 1_000), said);
                    }
                    Move::Replace(of) => {
                        let (old, fees) = attempts[of];
                        prop_assert_eq!(old.nonce, next_nonce);
                        match fees::raised(suggested, fees, POLICY.ceiling) {
                            Ok(more) => attempts.push((offered(old.nonce, now), more)),
                            Err(_) => break,
                        }
                    }
                    Move::Anew => attempts.push((offered(next_nonce, now), suggested)),
                    Move::Wait(_) => break,
                }
            }
        }
        prop_assert_eq!(world.effects, 1, "{:?}\n{:?}", attempts, world);
    }
}
