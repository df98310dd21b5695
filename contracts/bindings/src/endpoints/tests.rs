use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A node that says what it is told to say.
#[derive(Default)]
struct Fake {
    down: AtomicBool,
    id: AtomicU64,
    branch: AtomicU64,
    asked: AtomicU64,
    sent: AtomicU64,
}

impl Fake {
    fn of(branch: u64) -> Arc<Self> {
        let fake = Self::default();
        fake.id.store(7, Ordering::SeqCst);
        fake.branch.store(branch, Ordering::SeqCst);
        Arc::new(fake)
    }

    fn up(&self) -> Result<(), ChainError> {
        match self.down.load(Ordering::SeqCst) {
            true => Err(ChainError::Unreachable { url: "fake".into(), what: "down".into() }),
            false => Ok(()),
        }
    }
}

fn hash(branch: u64, number: u64) -> B256 {
    B256::from(U256::from(branch * 1_000 + number))
}

impl Chain for Arc<Fake> {
    fn chain_id(&self) -> Result<u64, ChainError> {
        self.up().map(|()| self.id.load(Ordering::SeqCst))
    }
    fn head(&self) -> Result<Head, ChainError> {
        self.up()?;
        self.asked.fetch_add(1, Ordering::SeqCst);
        let branch = self.branch.load(Ordering::SeqCst);
        Ok(Head { number: 9, hash: hash(branch, 9), timestamp: 0, base_fee: None })
    }
    fn nonce(&self, _: Address) -> Result<u64, ChainError> {
        Err(ChainError::refused(Refusal::Other, "no"))
    }
    fn balance(&self, _: Address) -> Result<U256, ChainError> {
        unreachable!("not asked here")
    }
    fn fees(&self) -> Result<Fees, ChainError> {
        unreachable!("not asked here")
    }
    fn call(&self, _: Address, _: &Call) -> Result<Vec<u8>, ChainError> {
        unreachable!("not asked here")
    }
    fn estimate_gas(&self, _: Address, _: &Call) -> Result<u64, ChainError> {
        unreachable!("not asked here")
    }
    fn send(&self, _: &[u8]) -> Result<B256, ChainError> {
        self.up()?;
        match self.sent.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(B256::ZERO),
            _ => Err(ChainError::refused(Refusal::AlreadyKnown, "already known")),
        }
    }
    fn receipt(&self, _: B256) -> Result<Option<Receipt>, ChainError> {
        unreachable!("not asked here")
    }
    fn block_hash(&self, number: u64) -> Result<Option<B256>, ChainError> {
        self.up().map(|()| (number <= 9).then(|| hash(self.branch.load(Ordering::SeqCst), number)))
    }
    fn code(&self, _: Address) -> Result<Vec<u8>, ChainError> {
        unreachable!("not asked here")
    }
    fn logs(&self, _: &LogFilter) -> Result<Vec<Log>, ChainError> {
        unreachable!("not asked here")
    }
}

fn both(a: &Arc<Fake>, b: &Arc<Fake>) -> Endpoints {
    let node = |name: &str, fake: &Arc<Fake>| (name.to_owned(), Box::new(Arc::clone(fake)) as Box<dyn Chain>);
    Endpoints::new(vec![node("first", a), node("second", b)], 7)
}

fn asked(a: &Fake, b: &Fake) -> (u64, u64) {
    (a.asked.load(Ordering::SeqCst), b.asked.load(Ordering::SeqCst))
}

#[test]
fn the_second_node_answers_while_the_first_is_down_and_the_first_again_when_it_is_back() {
    let (a, b) = (Fake::of(1), Fake::of(1));
    let nodes = both(&a, &b).with_pauses(Duration::ZERO, Duration::ZERO);
    nodes.head().unwrap();
    assert_eq!(asked(&a, &b), (1, 0));
    a.down.store(true, Ordering::SeqCst);
    nodes.head().unwrap();
    assert_eq!(asked(&a, &b), (1, 1));
    assert_eq!(nodes.problems().len(), 1);
    b.down.store(true, Ordering::SeqCst);
    assert!(nodes.head().unwrap_err().is_transient());
    a.down.store(false, Ordering::SeqCst);
    nodes.head().unwrap();
    assert_eq!(asked(&a, &b), (2, 1));
}

#[test]
fn a_silent_node_is_left_in_peace_as_long_as_another_answers() {
    let (a, b) = (Fake::of(1), Fake::of(1));
    let nodes = both(&a, &b).with_pauses(Duration::from_secs(3600), Duration::ZERO);
    a.down.store(true, Ordering::SeqCst);
    nodes.head().unwrap();
    a.down.store(false, Ordering::SeqCst);
    nodes.head().unwrap();
    assert_eq!(asked(&a, &b), (0, 2));
    b.down.store(true, Ordering::SeqCst);
    nodes.head().unwrap();
    assert_eq!(asked(&a, &b), (1, 2));
}

#[test]
fn a_node_of_another_chain_is_never_asked() {
    let (a, b) = (Fake::of(1), Fake::of(1));
    a.id.store(8, Ordering::SeqCst);
    let nodes = both(&a, &b);
    assert_eq!((nodes.chain_id(), nodes.head().is_ok()), (Ok(7), true));
    assert_eq!(asked(&a, &b), (0, 1));
    assert_eq!(nodes.problems(), ["the node at first is left aside: it answers as chain 8, not 7"]);
    b.id.store(8, Ordering::SeqCst);
    let nodes = both(&a, &b);
    for _ in 0..2 {
        assert!(nodes.head().unwrap_err().to_string().contains("left aside"));
    }
}

#[test]
fn a_node_on_another_branch_is_left_aside_until_it_agrees() {
    let (a, b) = (Fake::of(2), Fake::of(1));
    let nodes = both(&a, &b);
    nodes.rely_on(5, hash(1, 5));
    assert_eq!(nodes.block_hash(5), Ok(Some(hash(1, 5))));
    assert_eq!(
        nodes.problems(),
        ["the node at first is left aside: its block 5 is another than that of the other nodes"]
    );
    let nodes = both(&a, &b).with_pauses(Duration::ZERO, Duration::ZERO);
    nodes.rely_on(5, hash(1, 5));
    assert_eq!(nodes.head().unwrap().hash, hash(1, 9), "it was asked again and still disagreed");
    a.branch.store(1, Ordering::SeqCst);
    let before = asked(&a, &b).0;
    nodes.head().unwrap();
    assert_eq!(asked(&a, &b).0, before + 1);
    assert_eq!(nodes.problems(), Vec::<String>::new());
}

#[test]
fn when_all_nodes_have_another_block_the_chain_took_it_back_and_nobody_is_to_blame() {
    let (a, b) = (Fake::of(2), Fake::of(2));
    let nodes = both(&a, &b);
    nodes.rely_on(5, hash(1, 5));
    assert_eq!((nodes.block_hash(5), nodes.problems()), (Ok(Some(hash(2, 5))), vec![]));
}

#[test]
fn what_is_sent_goes_to_all_and_one_that_takes_it_is_enough() {
    let (a, b) = (Fake::of(1), Fake::of(1));
    let nodes = both(&a, &b);
    assert_eq!(nodes.send(&[1]), Ok(B256::ZERO));
    assert_eq!((a.sent.load(Ordering::SeqCst), b.sent.load(Ordering::SeqCst)), (1, 1));
    assert!(matches!(nodes.send(&[1]), Err(ChainError::Refused { kind: Refusal::AlreadyKnown, .. })));
    a.down.store(true, Ordering::SeqCst);
    b.sent.store(0, Ordering::SeqCst);
    assert_eq!(nodes.send(&[1]), Ok(B256::ZERO));
    // A refusal is an answer: the other is not asked for a better one.
    assert!(matches!(nodes.nonce(Address::ZERO), Err(ChainError::Refused { .. })));
}
