//! Twelve homes, two of them with a roof, and a feeder meter, all in process; everything else as in the field.

use actix::{Actor, Addr};
use actors::*;
use contracts::chain::{Chain, Receipt};
use contracts::key::{LocalKey, Signer};
use contracts::provider;
use contracts::tx::{Call, Transaction};
use contracts::{Address, B256, U256};
use domain::*;
use drivers::simulator::{HomeSpec, Street, StreetSpec};
use ledger::{Enrolled, Enrolment, Ledger};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub const HOMES: usize = 12;
/// 2026-03-02T00:00:00Z
pub const MIDNIGHT: Timestamp = Timestamp(1_772_409_600_000);
pub const PERIOD: Duration = Duration::from_secs(15 * 60);

pub fn account(home: usize) -> AccountId {
    format!("home-{home}").parse().unwrap()
}

pub fn tariff() -> Tariff {
    Tariff {
        version: 1,
        since: Timestamp(0),
        interval_s: 900,
        peak_hours: vec!["17:00-22:00".parse().unwrap()],
        zone: TimeZone::utc(),
        pool_share: Permille::NONE,
        rates: Rates { off_peak: Price(180_000), peak: Price(320_000), feed_in: Price(80_000), ..Rates::default() },
        classes: Default::default(),
    }
}

/// The connection point of a home.
pub fn point(home: usize) -> B256 {
    provider::name_word(&format!("point-{home}")).unwrap()
}

/// The clock of the test's own runtime: it stands still while anybody works, and leaps when all wait.
pub fn paused_clock() -> Clock {
    let start = tokio::time::Instant::now();
    Clock::new(1, move || MIDNIGHT + start.elapsed())
}

pub struct House {
    pub clock: Clock,
    pub scribe: Scribe,
    pub board: Board,
    pub chain: Arc<dyn Chain>,
    pub pollers: Vec<Addr<Poller>>,
    pub settler: Addr<Settler>,
}

pub const WEI_PER_UNIT: u64 = 1_000_000_000;

impl House {
    pub fn build(dir: &Path, clock: Clock, chain: Arc<dyn Chain>, key: Arc<LocalKey>) -> Self {
        Self::build_on(dir, clock, chain, key, None)
    }

    /// On a contract that exists already.
    pub fn build_on(
        dir: &Path,
        clock: Clock,
        chain: Arc<dyn Chain>,
        key: Arc<LocalKey>,
        provider: Option<Address>,
    ) -> Self {
        Self::build_under(dir, clock, chain, key, provider, Agreed::default(), &[])
    }

    /// Under these terms, with holders for some homes.
    pub fn build_under(
        dir: &Path,
        clock: Clock,
        chain: Arc<dyn Chain>,
        key: Arc<LocalKey>,
        provider: Option<Address>,
        agreed: Agreed,
        holders: &[(usize, Address)],
    ) -> Self {
        let meter = |i: usize| -> MeterId { format!("home-{i}").parse().unwrap() };
        let feeder: MeterId = "feeder".parse().unwrap();
        let ledger = Arc::new(Ledger::open(&dir.join("ledger.db")).unwrap());
        let mut meters: Vec<_> = (1..=HOMES).map(|i| (meter(i), Some(account(i)))).collect();
        meters.push((feeder.clone(), None));
        let accounts = (1..=HOMES).map(|i| Enrolled { id: account(i), debt_share: Permille::FULL }).collect();
        ledger.enrol(&Enrolment { accounts, meters }).unwrap();
        ledger.adopt_tariff(clock.now(), &tariff(), None, "test").unwrap();
        let street = Street::open(
            StreetSpec {
                seed: 7,
                anchor: MIDNIGHT,
                state: dir.join("street.json"),
                homes: (1..=HOMES)
                    .map(|i| HomeSpec {
                        meter: meter(i),
                        pv_peak: Watts(if i % 6 == 2 { 6000 } else { 0 }),
                        scale_permille: 1000,
                    })
                    .collect(),
                feeder: Some(feeder.clone()),
                loss_permille: 25,
            },
            clock.clone(),
        )
        .unwrap();
        let scribe = Recorder::launch(ledger, clock.clone()).unwrap();
        let board = Board::default();
        let lease = PERIOD * 3;
        let switches = (1..=HOMES)
            .map(|i| SwitchPlan {
                id: format!("home-{i}").parse().unwrap(),
                account: account(i),
                meters: vec![meter(i)],
                switch: street.switch(&meter(i)).unwrap(),
                rule: Rule::new(OnSilence::Hold, i == 3),
            })
            .collect();
        let enforcer = Enforcer::new(switches, lease, clock.clone(), scribe.clone(), board.clone()).start();
        let rule = CreditRule { low_at: Money(2_000_000_000), restore_at: Money(500_000_000) };
        let terms = |i| Terms { protected: i == 3, ..Terms::prepaid(rule) };
        let plan = PricerPlan {
            zone: tariff().zone,
            accounts: (1..=HOMES)
                .map(|i| AccountPlan { id: account(i), meters: vec![meter(i)], terms: terms(i) })
                .collect(),
            guards: Default::default(),
            lease,
            stale_after: PERIOD * 2,
            pause: Duration::from_millis(200),
        };
        Pricer::new(plan, clock.clone(), scribe.clone(), board.clone(), Some(enforcer)).start();
        let settler = SettlerPlan {
            kind: "test".into(),
            chain: Arc::clone(&chain),
            chain_id: 31337,
            signer: Arc::clone(&key) as Arc<dyn Signer>,
            provider,
            time_of_use: None,
            dispatch: None,
            witness: None,
            wei_per_unit: U256::from(WEI_PER_UNIT),
            agreed,
            holders: holders.iter().map(|(home, who)| (account(*home), *who)).collect(),
            points: (1..=HOMES).map(|i| (format!("home-{i}").parse().unwrap(), point(i))).collect(),
            low_at: Money(2_000_000_000),
            confirmations: 1,
            every: Duration::from_secs(3600),
            poll: Duration::from_secs(300),
            most: 100,
            fees: FeePolicy { ceiling: 500_000_000_000, patience: Duration::from_secs(60) },
        };
        let settler = Settler::new(settler, clock.clone(), scribe.clone(), board.clone()).start();
        let mut plans: Vec<_> = (1..=HOMES)
            .map(|i| MeterPlan {
                id: meter(i),
                meter: street.meter(&meter(i)).unwrap(),
                period: PERIOD,
                patience: PERIOD,
                billed: true,
            })
            .collect();
        plans.push(MeterPlan {
            id: feeder.clone(),
            meter: street.meter(&feeder).unwrap(),
            period: PERIOD,
            patience: PERIOD,
            billed: false,
        });
        let bus = "street".parse().unwrap();
        let poller = Poller::new(bus, plans, clock.clone(), scribe.clone(), board.clone()).start();
        Self { clock, scribe, board, chain, pollers: vec![poller], settler }
    }

    pub async fn provider(&self) -> Address {
        self.scribe.read(|l| l.meta("provider")).await.unwrap().expect("no contract yet").parse().unwrap()
    }

    /// Sends a call, as somebody else would.
    pub async fn send(&self, from: &Arc<LocalKey>, call: Call) -> Receipt {
        let (chain, from) = (Arc::clone(&self.chain), Arc::clone(from));
        let sent = tokio::task::spawn_blocking(move || {
            let transaction = Transaction {
                chain_id: chain.chain_id().unwrap(),
                nonce: chain.nonce(from.address()).unwrap(),
                fees: chain.fees().unwrap(),
                gas_limit: 5_000_000,
                call,
            };
            let hash = chain.send(&transaction.sign(&*from).unwrap().raw).unwrap();
            // A node mines when it pleases; this is a blocking thread, and the street's clock stands still meanwhile.
            (0..10_000).find_map(|_| chain.receipt(hash).unwrap()).expect("never mined")
        });
        let receipt = sent.await.unwrap();
        assert!(receipt.ok, "it reverted");
        receipt
    }

    /// Pays in, as a customer with a key of their own would.
    pub async fn pay(&self, payer: &Arc<LocalKey>, home: usize, amount: Money) {
        let name = account(home);
        let rows = self.scribe.read(Ledger::accounts).await.unwrap();
        let number = rows.iter().find(|a| a.name == name).unwrap().number;
        let at = self.provider().await;
        self.send(payer, provider::deposit(at, number, amount, U256::from(WEI_PER_UNIT)).unwrap()).await;
    }
}
