//! A settler and its ledger without meters: what is to be settled is cash.

use crate::street::{WEI_PER_UNIT, tariff};
use actix::Actor;
use actors::*;
use contracts::chain::{Chain, LogFilter};
use contracts::key::{LocalKey, Signer};
use contracts::{Address, U256, provider};
use domain::*;
use ledger::{Enrolled, Enrolment, Ledger, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub fn account(home: usize) -> AccountId {
    format!("home-{home}").parse().unwrap()
}

/// What a settler is begun with.
#[derive(Clone)]
pub struct Terms {
    pub chain: Arc<dyn Chain>,
    pub key: Arc<LocalKey>,
    pub provider: Option<Address>,
    pub homes: std::ops::RangeInclusive<usize>,
    pub confirmations: u64,
    pub fees: FeePolicy,
    pub most: u32,
    pub first_account: u32,
    pub agreed: Agreed,
    pub holders: Vec<(usize, Address)>,
}

impl Terms {
    pub fn new(chain: Arc<dyn Chain>, key: Arc<LocalKey>) -> Self {
        let fees = FeePolicy { ceiling: 300_000_000_000, patience: Duration::from_secs(20) };
        Self {
            chain,
            key,
            provider: None,
            homes: 1..=3,
            confirmations: 2,
            fees,
            most: 2,
            first_account: 1,
            agreed: Agreed::default(),
            holders: Vec::new(),
        }
    }
}

/// One life of a settler, from its start to its end.
pub struct Life {
    pub clock: Clock,
    pub scribe: Scribe,
    pub settler: actix::Addr<Settler>,
    pub board: Board,
}

impl Life {
    pub fn begin(dir: &Path, born: Timestamp, terms: &Terms) -> Self {
        let start = tokio::time::Instant::now();
        Self::with_clock(dir, Clock::new(1, move || born + start.elapsed()), Duration::from_secs(6), terms)
    }

    pub fn with_clock(dir: &Path, clock: Clock, poll: Duration, terms: &Terms) -> Self {
        let ledger = Arc::new(Ledger::open(&dir.join("ledger.db")).unwrap());
        ledger.number_accounts_from(terms.first_account).unwrap();
        let accounts = terms.homes.clone().map(|i| Enrolled { id: account(i), debt_share: Permille::FULL }).collect();
        ledger.enrol(&Enrolment { accounts, meters: Vec::new() }).unwrap();
        ledger.adopt_tariff(clock.now(), &tariff(), None, "test").unwrap();
        let scribe = Recorder::launch(ledger, clock.clone()).unwrap();
        let plan = SettlerPlan {
            kind: "test".into(),
            chain: Arc::clone(&terms.chain),
            chain_id: 31337,
            signer: Arc::clone(&terms.key) as Arc<dyn Signer>,
            provider: terms.provider,
            time_of_use: None,
            dispatch: None,
            witness: None,
            wei_per_unit: U256::from(WEI_PER_UNIT),
            agreed: terms.agreed,
            holders: terms.holders.iter().map(|(home, who)| (account(*home), *who)).collect(),
            points: Default::default(),
            low_at: Money(0),
            confirmations: terms.confirmations,
            every: Duration::from_secs(3600),
            poll,
            most: terms.most,
            fees: terms.fees,
        };
        let board = Board::default();
        let settler = Settler::new(plan, clock.clone(), scribe.clone(), board.clone()).start();
        Self { clock, scribe, settler, board }
    }

    /// Cash for a home, and a word to the settler.
    pub async fn pay(&self, home: usize, reference: i64, amount: i64) {
        let source = Source::Cash { reference: reference.to_string(), who: "kiosk".into() };
        self.scribe.write(Write::TopUp { account: account(home), amount: Money(amount), source }).await.unwrap();
        self.settler.send(SettleNow).await.unwrap();
    }

    /// Waits until nothing is left to settle; `each` is done every ten seconds.
    pub async fn settle_all(&self, who: &str, mut each: impl FnMut()) {
        let settled = |ledger: &Ledger| {
            let rows = ledger.accounts()?;
            Ok(ledger.open_intents()?.is_empty() && rows.iter().all(|a| a.opened && !a.unsettled()))
        };
        let mut quiet = 0;
        for turn in 0.. {
            assert!(turn < 2_000, "{who}: never settled: {:?}", self.board.look().chain);
            tokio::time::sleep(Duration::from_secs(10)).await;
            each();
            quiet = if self.scribe.read(settled).await.unwrap() { quiet + 1 } else { 0 };
            if quiet > 2 {
                return;
            }
            self.settler.send(SettleNow).await.unwrap();
        }
    }
}

/// The chain and the ledger tell the same story, batch by batch and to the last unit. Says how many batches there are,
/// and how often one was final, taken back, and final again.
pub fn agree(ledger: &Ledger, chain: &dyn Chain, settler: Address, first: u64, who: &str) -> (u64, u64) {
    let at: Address = ledger.meta("provider").unwrap().unwrap().parse().unwrap();
    let to_block = chain.head().unwrap().number;
    let filter = LogFilter { address: at, topic0: Some(provider::topic::settled()), from_block: first, to_block };
    let logs = chain.logs(&filter).unwrap();
    let ours = logs.iter().filter_map(provider::settled).filter(|s| s.settler == settler);
    let found: Vec<u64> = ours.map(|s| s.sequence).collect();
    let batches = ledger.newest_settled().unwrap();
    assert!(batches > 0, "{who}: nothing was settled");
    assert_eq!(found, (1..=batches).collect::<Vec<_>>(), "{who}: each batch once, in order");
    assert_eq!(provider::next_sequence(chain, at, settler).unwrap(), batches + 1, "{who}");
    let here = ledger.accounts().unwrap();
    let numbers: Vec<u32> = here.iter().map(|a| a.number).collect();
    for (here, there) in here.iter().zip(provider::accounts(chain, at, &numbers).unwrap()) {
        assert_eq!(here.balance, there.balance, "{who}: {}", here.name);
    }
    assert_eq!(ledger.verify(|_| Guard::new(Watts(i64::MAX))).unwrap().findings, [], "{who}");
    let facts = ledger.facts_after(Seq(0), 100_000).unwrap();
    let settled = facts.iter().filter(|(_, _, f)| matches!(f, Fact::Settled { .. })).count();
    (batches, u64::try_from(settled).unwrap() - batches)
}
