//! What the demonstration came to, and whether everything that must hold does hold.

use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::house::House;
use contracts::Address;
use contracts::chain::Chain;
use contracts::provider::{self, AccountOnChain};
use domain::{Fact, Guard, Position, Seq, WattHours, Watts};
use ledger::{AccountRow, Totals};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How things stood when this process took over.
pub struct Before {
    /// Where the journal says that this process started.
    pub seq: Seq,
    readings: i64,
}

impl Before {
    /// Takes note.
    pub async fn take(house: &House) -> Result<Self, Failure> {
        // Meters may have been read already, so it is counted up to the start of this process. Every number that was given
        // out until then is a fact's or a reading's.
        let started = |ledger: &ledger::Ledger| {
            let (mut cursor, mut facts, mut started) = (Seq(0), 0_i64, (Seq(0), 0));
            loop {
                let more = ledger.facts_after(cursor, 1_000)?;
                let Some((last, _, _)) = more.last() else { break };
                cursor = *last;
                for (seq, _, fact) in more {
                    facts += 1;
                    if matches!(fact, Fact::Started { .. }) {
                        started = (seq, facts);
                    }
                }
            }
            Ok(started)
        };
        let (seq, facts) = house.scribe.read(started).await?;
        Ok(Self { seq, readings: seq.0 - facts })
    }
}

/// Waits until everything recorded is priced, and everything priced is settled.
pub async fn all_settled(house: &House) -> Result<(), Failure> {
    let mut recorded = house.scribe.recorded();
    loop {
        let totals = house.scribe.read(ledger::Ledger::totals).await?;
        let last = house.scribe.read(|l| Ok(l.readings_after(l.priced_seq()?, 1)?.is_empty())).await?;
        let open = house.scribe.read(|l| Ok(l.open_intents()?.len())).await?;
        if last && open == 0 && totals.settled == totals.billed {
            return Ok(());
        }
        if last && open == 0 {
            house.settle_now();
        }
        let _ = tokio::time::timeout(Duration::from_millis(300), recorded.changed()).await;
    }
}

/// The report.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Readings that the Recorder acknowledged to this process.
    readings: u64,
    /// Readings that this process added to the ledger.
    recorded: i64,
    /// Readings in the ledger, earlier starts included.
    recorded_in_all: i64,
    settled_batches: i64,
    settled_readings: i64,
    disconnections: u64,
    reconnections: u64,
    /// By the customers' meters' own registers, import and export, since their first reading.
    energy_wh_metered: WattHours,
    /// By the contract.
    energy_wh_settled: WattHours,
    /// Billed and not yet final on the chain.
    energy_wh_pending: WattHours,
    /// For imported energy, in minor units.
    money_debited: i64,
    /// Top-ups and feed-in, in minor units.
    money_credited: i64,
    money_topped_up: i64,
    money_feed_in: i64,
    currency: String,
    currency_decimals: u8,
    invariants: BTreeMap<&'static str, bool>,
    listening: BTreeMap<String, String>,
}

impl Report {
    /// Asks ledger, chain and board, and compares.
    pub async fn make(house: &House, before: &Before) -> Result<Self, Failure> {
        let guards = house.config.guards();
        let (totals, accounts, audit, facts, provider) = house
            .scribe
            .read(move |ledger| {
                let mut facts = Vec::new();
                let mut cursor = Seq(0);
                loop {
                    let more = ledger.facts_after(cursor, 1_000)?;
                    let Some((last, _, _)) = more.last() else { break };
                    cursor = *last;
                    facts.extend(more.into_iter().map(|(_, _, f)| f));
                }
                let audit = ledger.verify(|m| guards.get(m).copied().unwrap_or(Guard::new(Watts(i64::MAX))))?;
                Ok((ledger.totals()?, ledger.accounts()?, audit, facts, ledger.meta("provider")?))
            })
            .await?;
        for finding in &audit.findings {
            tracing::error!("{}: {}", finding.check, finding.found);
        }
        let provider = house.config.chain.provider.or(provider.and_then(|p| p.parse::<Address>().ok()));
        let on_chain = match provider {
            Some(provider) => {
                let (chain, accounts) = (Arc::clone(&house.chain), accounts.clone());
                let asked = tokio::task::spawn_blocking(move || ask_chain(&*chain, provider, &accounts)).await;
                Some(asked.map_err(|e| Failure::new(Code::Internal, e))??)
            }
            None => None,
        };
        let (readings, supply_ok) = {
            let live = house.board.look();
            let readings: u64 = live.meters.values().map(|m| m.count).sum();
            (readings, live.switches.values().all(|s| s.wanted.is_none() || s.wanted == s.position))
        };
        let settled_there = on_chain.as_ref().map_or(WattHours::ZERO, |c| c.energy());
        let pending = totals.billed - totals.settled;
        let moved = |to: Position| {
            let confirmed = |f: &&Fact| matches!(f, Fact::SwitchConfirmed { position, .. } if *position == to);
            u64::try_from(facts.iter().filter(confirmed).count()).unwrap_or(u64::MAX)
        };
        let recorded = totals.readings - before.readings;
        let mut invariants = BTreeMap::new();
        invariants.insert("no_acknowledged_reading_lost", i64::try_from(readings).is_ok_and(|r| r <= recorded));
        invariants.insert("nothing_billed_twice", audit.findings.is_empty());
        invariants.insert("energy_metered_is_settled_plus_pending", totals.metered == settled_there + pending);
        invariants.insert("money_conserved", money_conserved(&totals, on_chain.as_ref()));
        invariants.insert("chain_agrees_with_ledger", on_chain.is_none_or(|c| c.agrees(&accounts)));
        invariants.insert("supply_follows_credit", supply_ok);
        Ok(Self {
            readings,
            recorded,
            recorded_in_all: totals.readings,
            settled_batches: totals.settled_batches,
            settled_readings: totals.settled_readings,
            disconnections: moved(Position::Open),
            reconnections: moved(Position::Closed),
            energy_wh_metered: totals.metered,
            energy_wh_settled: settled_there,
            energy_wh_pending: pending,
            money_debited: totals.debited.0,
            money_credited: totals.topped_up.0 + totals.paid_for_feed_in.0,
            money_topped_up: totals.topped_up.0,
            money_feed_in: totals.paid_for_feed_in.0,
            currency: house.config.currency.code.clone(),
            currency_decimals: house.config.currency.decimals,
            invariants,
            listening: house.listening.clone(),
        })
    }

    /// The names of the invariants that do not hold.
    #[must_use]
    pub fn broken(&self) -> Vec<&'static str> {
        self.invariants.iter().filter(|(_, holds)| !**holds).map(|(name, _)| *name).collect()
    }

    /// The report in words.
    #[must_use]
    pub fn sentences(&self, config: &Config) -> String {
        let money = |units| config.currency.show(domain::Money(units));
        let mut text = format!(
            "\n{} readings, {} recorded. {} batches brought {} of them to the chain.\n\
             {} metered = {} on the chain + {} pending.\n\
             {} paid in, {} used, {} paid for feed-in. {} disconnections, {} reconnections.\n",
            self.readings,
            self.recorded,
            self.settled_batches,
            self.settled_readings,
            self.energy_wh_metered,
            self.energy_wh_settled,
            self.energy_wh_pending,
            money(self.money_topped_up),
            money(self.money_debited),
            money(self.money_feed_in),
            self.disconnections,
            self.reconnections
        );
        for (name, holds) in &self.invariants {
            text += &format!("  {} {}\n", if *holds { "holds " } else { "BROKEN" }, name.replace('_', " "));
        }
        text
    }
}

struct OnChain {
    accounts: Vec<AccountOnChain>,
    totals: provider::Totals,
}

fn ask_chain(chain: &dyn Chain, at: Address, accounts: &[AccountRow]) -> Result<OnChain, Failure> {
    let numbers: Vec<u32> = accounts.iter().map(|a| a.number).collect();
    Ok(OnChain { accounts: provider::accounts(chain, at, &numbers)?, totals: provider::totals(chain, at)? })
}

impl OnChain {
    fn energy(&self) -> WattHours {
        self.accounts.iter().map(|a| a.off_peak + a.peak + a.feed_in).sum()
    }

    /// The contract's registers are the ledger's settled ones; where everything is settled, so is the balance.
    fn agrees(&self, accounts: &[AccountRow]) -> bool {
        self.accounts.iter().zip(accounts).all(|(there, here)| {
            let s = here.settled;
            (there.off_peak, there.peak, there.feed_in) == (s.off_peak, s.peak, s.feed_in)
                && (here.registers != s || there.balance == here.balance)
        })
    }
}

fn money_conserved(totals: &Totals, on_chain: Option<&OnChain>) -> bool {
    let due = i128::from(totals.topped_up.0) + i128::from(totals.paid_for_feed_in.0) + i128::from(totals.given.0)
        - i128::from(totals.debited.0)
        - i128::from(totals.refunded.0);
    let here = due == i128::from(totals.balances.0);
    let there = on_chain.is_none_or(|c| {
        let balances: i128 = c.accounts.iter().map(|a| i128::from(a.balance.0)).sum();
        let t = &c.totals;
        i128::from(t.paid_in.0)
            == balances + i128::from(t.earned.0) + i128::from(t.withdrawn.0) + i128::from(t.refunded.0)
    });
    here && there
}
