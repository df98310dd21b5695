//! Plans before the contract that judges them: committed, revealed and judged, on our chain and on anvil, through a death in
//! between, and against others who do worse.

use crate::anvil::{Anvil, RICH};
use crate::proxy::rpc;
use crate::refused::in_virtual_time;
use crate::street::{MIDNIGHT, WEI_PER_UNIT, tariff};
use crate::sunny::{QUARTER, Sunny};
use actix::Actor;
use actors::*;
use contracts::chain::{Chain, Receipt};
use contracts::dispatch::{self, State};
use contracts::embedded::{EmbeddedChain, Genesis};
use contracts::key::{LocalKey, Signer};
use contracts::tx::{Call, Transaction};
use contracts::{Address, B256, U256};
use domain::dispatch::{Judgement, RoundEvent};
use domain::network::{Cost, Network, matpower};
use domain::*;
use ledger::{Ledger, Purpose, Round, RoundAct, Write};
use serde_json::json;
use solvers::opf::{ac, socp};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

const STAKE_GWEI: u64 = 1_000_000;

fn stake() -> U256 {
    U256::from(STAKE_GWEI) * U256::from(1_000_000_000_u64)
}

fn key(byte: u8) -> LocalKey {
    LocalKey::from_hex(&format!("{byte:02x}").repeat(32)).unwrap()
}

/// A chain whose time is told, and the contract on it. The first key owns it, the others have coin.
struct Table {
    chain: Arc<dyn Chain>,
    now: Arc<AtomicI64>,
    anvil: Option<Anvil>,
    owner: LocalKey,
    at: Address,
}

impl Table {
    fn embedded(dir: &Path) -> Self {
        let now = Arc::new(AtomicI64::new(MIDNIGHT.0));
        let clock = told(&now);
        Self::embedded_by(dir, now, clock)
    }

    /// The same by a clock that goes by itself, so that its time cannot be told.
    fn embedded_by(dir: &Path, now: Arc<AtomicI64>, clock: Clock) -> Self {
        let owner = key(9);
        let coins = U256::from(10_000) * U256::from(10).pow(U256::from(18));
        let genesis = Genesis { chain_id: 31337, alloc: vec![(owner.address(), coins)] };
        let chain = Arc::new(EmbeddedChain::open(&dir.join("chain"), genesis, clock).unwrap());
        Self::with(chain, now, None, owner)
    }

    fn anvil() -> Option<Self> {
        let anvil = Anvil::start()?;
        let chain = Arc::new(anvil.chain());
        let now = Arc::new(AtomicI64::new(i64::try_from(chain.head().unwrap().timestamp).unwrap() * 1000));
        Some(Self::with(chain, now, Some(anvil), LocalKey::from_hex(RICH).unwrap()))
    }

    fn with(chain: Arc<dyn Chain>, now: Arc<AtomicI64>, anvil: Option<Anvil>, owner: LocalKey) -> Self {
        let mut table = Self { chain, now, anvil, owner, at: Address::ZERO };
        table.at = table.send(&table.owner, dispatch::deploy_call()).contract.unwrap();
        for player in [key(2), key(3)] {
            let value = U256::from(10).pow(U256::from(18));
            table.send(&table.owner, Call { to: Some(player.address()), value, data: Vec::new() });
        }
        table
    }

    fn send(&self, who: &LocalKey, call: Call) -> Receipt {
        let (nonce, fees) = (self.chain.nonce(who.address()).unwrap(), self.chain.fees().unwrap());
        let gas_limit = 2 * self.chain.estimate_gas(who.address(), &call).unwrap();
        let hash = Transaction { chain_id: 31337, nonce, fees, gas_limit, call }.sign(who).unwrap();
        let hash = self.chain.send(&hash.raw).unwrap();
        (0..10_000).find_map(|_| self.chain.receipt(hash).unwrap()).expect("never mined")
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }

    fn later(&self, seconds: i64) {
        self.now.fetch_add(seconds * 1000, Ordering::SeqCst);
        if let Some(anvil) = &self.anvil {
            let node = anvil.url.trim_start_matches("http://").parse().unwrap();
            rpc(node, "evm_increaseTime", json!([seconds]));
            rpc(node, "anvil_mine", json!(["0x1"]));
        }
    }

    fn plan(&self) -> SettlerPlan {
        SettlerPlan {
            kind: "test".into(),
            chain: Arc::clone(&self.chain),
            chain_id: 31337,
            signer: Arc::new(self.owner.clone()),
            provider: None,
            time_of_use: None,
            dispatch: Some(self.at),
            witness: None,
            wei_per_unit: U256::from(WEI_PER_UNIT),
            low_at: Money(0),
            agreed: Agreed::default(),
            holders: Default::default(),
            points: Default::default(),
            confirmations: 1,
            every: QUARTER,
            poll: Duration::from_secs(1),
            most: 100,
            fees: FeePolicy { ceiling: 500_000_000_000, patience: Duration::from_secs(60) },
        }
    }
}

fn told(now: &Arc<AtomicI64>) -> Clock {
    let now = Arc::clone(now);
    Clock::new(1, move || Timestamp(now.load(Ordering::SeqCst)))
}

/// A gateway that settles, on a ledger that may have a past.
struct Gateway {
    scribe: Scribe,
    board: Board,
}

impl Gateway {
    fn start(dir: &Path, clock: &Clock, plan: SettlerPlan) -> Self {
        let ledger = Ledger::open(&dir.join("ledger.db")).unwrap();
        ledger.adopt_tariff(clock.now(), &tariff(), None, "test").unwrap();
        let scribe = Recorder::launch(Arc::new(ledger), clock.clone()).unwrap();
        let board = Board::default();
        Settler::new(plan, clock.clone(), scribe.clone(), board.clone()).start();
        Self { scribe, board }
    }

    async fn events(&self) -> Vec<(Timestamp, u32, RoundEvent)> {
        events(&self.scribe).await
    }

    async fn until(&self, what: &str, is_it: impl Fn(&RoundEvent) -> bool) {
        for _ in 0..300 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if self.events().await.iter().any(|(_, _, event)| is_it(event)) {
                return;
            }
        }
        panic!("never {what}: {:?}, {:?}", self.events().await, self.board.look().chain);
    }
}

async fn events(scribe: &Scribe) -> Vec<(Timestamp, u32, RoundEvent)> {
    let facts = scribe.read(|l| l.facts_after(Seq(0), 100_000)).await.unwrap();
    let round = |(_, at, fact)| match fact {
        Fact::DispatchRound { round, event, .. } => Some((at, round, event)),
        _ => None,
    };
    facts.into_iter().filter_map(round).collect()
}

const CASE9: &str = include_str!("../../../solvers/tests/cases/case9.m");

/// A plan for nine buses; `at_least` makes the first generator give more than is best.
fn packed(at_least: Option<f64>) -> (Frame, Network, Vec<u8>) {
    let (network, _) = matpower::read(CASE9).unwrap();
    let left = || Duration::from_secs(60);
    let frame = Frame::new(&network, Model::Ac, 10_000_000).unwrap();
    let mut other = network.clone();
    other.generators[0].p_min_mw = at_least.unwrap_or(other.generators[0].p_min_mw);
    let answer = ac::solve(&other, &left);
    let duals = socp::solve(&network, &left).duals;
    let solution = frame.solution(&network, &answer, &duals).unwrap().pack().unwrap();
    (frame, network, solution)
}

fn round(from: Timestamp) -> Round {
    let (frame, network, solution) = packed(None);
    let hex = |bytes: Vec<u8>| format!("0x{}", hex::encode(bytes));
    Round {
        from,
        until: from + QUARTER,
        network: hex(frame.packed.pack().unwrap()),
        conditions: hex(frame.conditions(&network).pack().unwrap()),
        solution: hex(solution),
        quanta: frame.quanta,
        scale: 1_000_000_000,
        stake_gwei: STAKE_GWEI,
        contract: None,
    }
}

/// One plan, from its commitment to its judgement, against one who does worse and one who never shows a plan; the gateway
/// dies after it has committed.
fn a_round_is_won(table: &Table) {
    let (dir, clock) = (tempfile::tempdir().unwrap(), told(&table.now));
    let from = Timestamp(table.now().0 / 1000 * 1000) + Duration::from_secs(600);
    in_virtual_time(async {
        let gateway = Gateway::start(dir.path(), &clock, table.plan());
        gateway.scribe.write(Write::Round(Box::new(round(from)))).await.unwrap();
        gateway.until("committed", |e| *e == RoundEvent::Committed).await;
    });
    let (_, network, worse) = packed(Some(120.0));
    let conditions = packed(None).0.conditions(&network).pack().unwrap();
    for (player, solution) in [(key(2), &worse), (key(3), &worse)] {
        let hash = dispatch::commitment(1, player.address(), B256::ZERO, solution);
        assert!(table.send(&player, dispatch::commit(table.at, 1, hash, stake())).ok);
    }
    table.later(605);
    assert!(table.send(&key(2), dispatch::reveal(table.at, 1, B256::ZERO, &conditions, &worse)).ok);
    in_virtual_time(async {
        // Another plan for the same interval changes nothing of what was committed to.
        let gateway = Gateway::start(dir.path(), &clock, table.plan());
        let other = Round { solution: "0x00".into(), ..round(from) };
        gateway.scribe.write(Write::Round(Box::new(other))).await.unwrap();
        gateway.until("revealed", |e| matches!(e, RoundEvent::Revealed { .. })).await;
        table.later(900);
        gateway.until("paid", |e| *e == RoundEvent::StakeBack).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        let events = gateway.events().await;
        let [
            (_, _, RoundEvent::Opened),
            (committed, _, RoundEvent::Committed),
            (revealed, _, RoundEvent::Revealed { cost, bound }),
            (judged, _, RoundEvent::Judged(how)),
            (_, _, RoundEvent::StakeBack),
        ] = events.as_slice()
        else {
            panic!("{events:?}")
        };
        assert!(*committed < from && *revealed > from && *judged > from + QUARTER, "{events:?}");
        // PYPOWER's optimum of case9 is 5296.69 an hour.
        assert!((cost.0 - 5_296_690_000_000).abs() < 100_000_000, "{cost}");
        let expected = Judgement {
            won: true,
            cost: Some(*cost),
            bound: Some(*bound),
            gap_ppm: how.gap_ppm,
            proven: true,
            commits: 3,
            stake_due: true,
        };
        assert!(*how == expected && how.gap_ppm.is_some_and(|gap| gap < 100), "{how:?}");
        assert_eq!(gateway.board.look().chain.problem, None);
    });
    let there = dispatch::round_of(&*table.chain, table.at, 1).unwrap().unwrap();
    assert!(there.state == State::Closed && there.winner == table.owner.address() && there.reveals == 2, "{there:?}");
    // Our stake, and that of the one who never showed a plan, were paid out; the other who did may take theirs.
    let held = table.chain.balance(table.at).unwrap();
    assert_eq!((held, dispatch::owing(&*table.chain, table.at, table.owner.address()).unwrap()), (stake(), U256::ZERO));
    let ledger = Ledger::open(&dir.path().join("ledger.db")).unwrap();
    assert_eq!(ledger.intents_refused().unwrap(), 0);
}

#[test]
fn what_the_contract_has_no_room_for_is_named() {
    let (sound, _) = matpower::read(CASE9).unwrap();
    let refused = |change: fn(&mut Network)| {
        let mut network = sound.clone();
        change(&mut network);
        Frame::new(&network, Model::Ac, 0).unwrap_err()
    };
    let cubic = refused(|n| n.generators[0].cost = Cost::Polynomial(vec![0.0, 1.0, 1.0, 1.0]));
    assert!(matches!(cubic, Unfit::Cost(_)), "{cubic}");
    let hollow = refused(|n| n.generators[0].cost = Cost::Polynomial(vec![0.0, 1.0, -1.0]));
    assert!(matches!(hollow, Unfit::Cost(_)), "{hollow}");
    let base = refused(|n| n.base_mva = 100.000_5);
    assert!(matches!(base, Unfit::Base(_)), "{base}");
    let large = refused(|n| n.branches = n.branches.iter().cycle().take(400).cloned().collect());
    assert!(matches!(large, Unfit::TooLarge(bytes) if bytes > 24_000), "{large}");
}

#[test]
fn a_plan_wins_its_round_on_our_own_chain_although_the_gateway_died_after_it_committed() {
    let dir = tempfile::tempdir().unwrap();
    a_round_is_won(&Table::embedded(dir.path()));
}

#[test]
fn a_plan_wins_its_round_on_anvil_although_the_gateway_died_after_it_committed() {
    if let Some(table) = Table::anvil() {
        a_round_is_won(&table);
    }
}

#[test]
fn a_stake_that_cannot_be_paid_holds_nothing_up() {
    let dir = tempfile::tempdir().unwrap();
    let table = Table::embedded(dir.path());
    in_virtual_time(async {
        let from = Timestamp(table.now().0 / 1000 * 1000) + Duration::from_secs(600);
        let gateway = Gateway::start(dir.path(), &told(&table.now), table.plan());
        // More than the account has: 20,000 coin.
        let dear = Round { stake_gwei: 20_000_000_000_000, ..round(from) };
        gateway.scribe.write(Write::Round(Box::new(dear))).await.unwrap();
        // As if it had been paid out after the intent was made.
        let commit = Purpose::Dispatch { act: RoundAct::Commit, round: 1, from };
        gateway.scribe.write(Write::Queue(commit.clone())).await.unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
        let became = gateway.scribe.read(move |l| l.became_of(&commit)).await.unwrap();
        let open = gateway.scribe.read(Ledger::open_intents).await.unwrap();
        assert_eq!((became, open), (Some(false), vec![]));
        assert_eq!(dispatch::networks(&*table.chain, table.at).unwrap(), 0, "nothing was paid for it");
        table.later(605);
        gateway.until("given up", |e| matches!(e, RoundEvent::GivenUp { .. })).await;
    });
}

#[test]
fn a_round_goes_on_before_the_contract_that_it_began_at_whatever_is_configured_later() {
    let dir = tempfile::tempdir().unwrap();
    let table = Table::embedded(dir.path());
    in_virtual_time(async {
        let from = Timestamp(table.now().0 / 1000 * 1000) + Duration::from_secs(600);
        let gateway = Gateway::start(dir.path(), &told(&table.now), table.plan());
        let begun = Round { contract: Some(table.at.to_string()), ..round(from) };
        gateway.scribe.write(Write::Round(Box::new(begun))).await.unwrap();
        gateway.until("committed", |e| *e == RoundEvent::Committed).await;
    });
    let other = table.send(&table.owner, dispatch::deploy_call()).contract;
    table.later(605);
    in_virtual_time(async {
        let plan = SettlerPlan { dispatch: other, ..table.plan() };
        let gateway = Gateway::start(dir.path(), &told(&table.now), plan);
        gateway.until("revealed", |e| matches!(e, RoundEvent::Revealed { .. })).await;
        // The other contract has no networks yet: what was to be opened there is let go.
        let from = table.now() + Duration::from_secs(600);
        let open = Purpose::Dispatch { act: RoundAct::Open, round: 0, from };
        let writes = vec![Write::Round(Box::new(round(from))), Write::Queue(open)];
        gateway.scribe.write_all(writes).await.unwrap();
        gateway.until("given up", |e| matches!(e, RoundEvent::GivenUp { .. })).await;
        assert_eq!(gateway.scribe.read(Ledger::open_intents).await.unwrap(), []);
    });
    table.later(900);
    in_virtual_time(async {
        let plan = SettlerPlan { dispatch: None, ..table.plan() };
        let gateway = Gateway::start(dir.path(), &told(&table.now), plan);
        // No round of this plan was opened, and the contract that is configured is another.
        let from = table.now() + Duration::from_secs(600);
        let late = Round { contract: Some(table.at.to_string()), ..round(from) };
        gateway.scribe.write(Write::Round(Box::new(late))).await.unwrap();
        gateway.until("paid", |e| *e == RoundEvent::StakeBack).await;
        let given_up = |e: &RoundEvent| matches!(e, RoundEvent::GivenUp { why } if why.contains("[chain] dispatch"));
        gateway.until("given up", given_up).await;
    });
}

#[test]
fn what_was_refused_before_it_was_in_a_block_is_said_again() {
    let dir = tempfile::tempdir().unwrap();
    let table = Table::embedded(dir.path());
    in_virtual_time(async {
        let from = Timestamp(table.now().0 / 1000 * 1000) + Duration::from_secs(600);
        let gateway = Gateway::start(dir.path(), &told(&table.now), table.plan());
        gateway.scribe.write(Write::Round(Box::new(round(from)))).await.unwrap();
        gateway.until("committed", |e| *e == RoundEvent::Committed).await;
        // Too early for any of them.
        for act in [RoundAct::Reveal, RoundAct::Close, RoundAct::Reclaim] {
            gateway.scribe.write(Write::Queue(Purpose::Dispatch { act, round: 1, from })).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(gateway.scribe.read(Ledger::intents_refused).await.unwrap(), 3);
        table.later(605);
        gateway.until("revealed", |e| matches!(e, RoundEvent::Revealed { .. })).await;
        table.later(900);
        gateway.until("paid", |e| *e == RoundEvent::StakeBack).await;
        assert_eq!(gateway.scribe.read(Ledger::intents_refused).await.unwrap(), 3);
    });
}

#[test]
fn a_plan_that_is_too_late_for_its_round_is_given_up_and_said_so_once() {
    let dir = tempfile::tempdir().unwrap();
    let table = Table::embedded(dir.path());
    in_virtual_time(async {
        let gateway = Gateway::start(dir.path(), &told(&table.now), table.plan());
        gateway.scribe.write(Write::Round(Box::new(round(table.now() - Duration::from_secs(1))))).await.unwrap();
        gateway.until("given up", |e| matches!(e, RoundEvent::GivenUp { .. })).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        let events = gateway.events().await;
        let [(_, 0, RoundEvent::GivenUp { why })] = events.as_slice() else { panic!("{events:?}") };
        assert!(why.contains("[dispatch] lead"), "{why}");
        assert_eq!(dispatch::networks(&*table.chain, table.at).unwrap(), 0, "nothing was paid for it");
    });
}

#[test]
fn whoever_does_not_own_the_contract_says_so_and_sends_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let table = Table::embedded(dir.path());
    in_virtual_time(async {
        let plan = SettlerPlan { signer: Arc::new(key(2)), ..table.plan() };
        let gateway = Gateway::start(dir.path(), &told(&table.now), plan);
        let from = table.now() + Duration::from_secs(600);
        gateway.scribe.write(Write::Round(Box::new(round(from)))).await.unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
        let problem = gateway.board.look().chain.problem.clone().unwrap_or_default();
        assert!(problem.contains("chain deploy-dispatch"), "{problem}");
        assert_eq!(gateway.events().await, []);
    });
}

#[test]
fn a_sunny_noon_is_dispatched_and_its_plans_are_judged_on_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    in_virtual_time(async {
        let start = tokio::time::Instant::now();
        let clock = Clock::new(1, move || MIDNIGHT + Duration::from_secs(11 * 3600 + 1800) + start.elapsed());
        let table = Table::embedded_by(dir.path(), Arc::default(), clock.clone());
        let street = Sunny::build_with(dir.path(), clock.clone(), true, Some(STAKE_GWEI));
        let plan = SettlerPlan { poll: Duration::from_secs(10), ..table.plan() };
        Settler::new(plan, clock.clone(), street.scribe.clone(), street.board.clone()).start();
        tokio::time::sleep(Duration::from_secs(75 * 60)).await;
        let events = events(&street.scribe).await;
        let judged = events.iter().filter_map(|(_, n, e)| match e {
            RoundEvent::Judged(how) => Some((n, how)),
            _ => None,
        });
        let judged = judged.collect::<Vec<_>>();
        assert!(judged.len() >= 2, "{events:?}");
        assert!(judged.iter().all(|(_, how)| how.won && how.cost >= how.bound), "{judged:?}");
        let back = events.iter().filter(|(_, _, e)| *e == RoundEvent::StakeBack).count();
        assert!(back + 1 >= judged.len(), "{events:?}");
        assert!(!events.iter().any(|(_, _, e)| matches!(e, RoundEvent::GivenUp { .. })), "{events:?}");
        assert_eq!(street.board.look().plan.as_ref().and_then(|plan| plan.unproved.clone()), None);
    });
}
