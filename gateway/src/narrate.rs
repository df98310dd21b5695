//! Facts as sentences, for the page and the terminal.

use crate::config::Config;
use actors::Scribe;
use domain::dispatch::{Basis, Judgement, Plan, Release, RoundEvent};
use domain::place::{Place, Proof, Verdict};
use domain::register::Doubt;
use domain::token::Act;
use domain::{Access, AccountId, Currency, Fact, MeterId, Money, OnChain, Position, Seq, Source, Timestamp};
use serde::Serialize;
use std::sync::Arc;

/// How much a person should care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Good to know.
    Info,
    /// Keep an eye on it.
    Warn,
    /// Do something.
    Alarm,
}

/// Tells every fact after `from`, as it is recorded.
pub async fn follow(scribe: Scribe, config: Arc<Config>, from: Seq, mut tell: impl FnMut(Timestamp, Level, &str)) {
    let mut recorded = scribe.recorded();
    let mut cursor = from;
    loop {
        recorded.borrow_and_update();
        let after = cursor;
        match scribe.read(move |ledger| ledger.facts_after(after, 500)).await {
            Ok(facts) => {
                for (seq, at, fact) in facts {
                    cursor = seq;
                    if is_routine(&fact) {
                        continue;
                    }
                    let (level, text) = sentence(&fact, &config.currency);
                    tell(at, level, &text);
                }
            }
            Err(error) => tracing::error!(%error, "the story is interrupted"),
        }
        if recorded.changed().await.is_err() {
            return;
        }
    }
}

/// Whether it comes so often, and says so little, that it stands in the journal only: that all is as it should be.
#[must_use]
pub fn is_routine(fact: &Fact) -> bool {
    match fact {
        Fact::Located { proof, .. } => !proof.failed(),
        Fact::Challenged { block, .. } => block.is_some(),
        Fact::BeaconCalibrated { .. } => true,
        // The table under the feeder has them.
        Fact::DispatchRound { event, .. } => !matches!(event, RoundEvent::Judged(_) | RoundEvent::GivenUp { .. }),
        _ => false,
    }
}

/// One sentence about one fact.
#[must_use]
pub fn sentence(fact: &Fact, currency: &Currency) -> (Level, String) {
    let info = |text: String| (Level::Info, text);
    match fact {
        Fact::Started { version } => info(format!("the gateway started (version {version})")),
        Fact::AccountOpened { account, number } => {
            info(format!("{account} was opened on the chain as account {number}"))
        }
        Fact::ToppedUp { account, amount, debt, source } => {
            let from = match source {
                Source::Chain { .. } => String::new(),
                other => format!(" ({other})"),
            };
            let debt = match *debt {
                Money::ZERO => String::new(),
                debt => format!(", of which {} paid back debt", currency.show(debt)),
            };
            info(format!("{account} topped up {}{from}{debt}", currency.show(*amount)))
        }
        Fact::Refunded { account, amount, who, .. } => {
            info(format!("{who} paid {} back to {account}", currency.show(*amount)))
        }
        Fact::DepositTakenBack { account, amount, transaction, .. } => {
            let shown = currency.show(*amount);
            (Level::Warn, format!("the chain took back a deposit of {shown} to {account}: {transaction}"))
        }
        Fact::HappenedOnChain { account, event, .. } => on_chain(account, event, currency),
        Fact::OnChainTakenBack { account, event, transaction, .. } => {
            let (_, what) = on_chain(account, event, currency);
            (Level::Warn, format!("the chain took back {transaction}, so it is not so: {what}"))
        }
        Fact::Adjusted { account, amount, why, who, .. } if amount.0 < 0 => {
            info(format!("{who} took {} back from {account}: {why}", currency.show(Money(amount.0.saturating_neg()))))
        }
        Fact::Adjusted { account, amount, why, who, .. } => {
            info(format!("{who} gave {account} {}: {why}", currency.show(*amount)))
        }
        Fact::Lent { account, amount, why, who, .. } => {
            info(format!("{account} owes {} more: {why} ({who})", currency.show(*amount)))
        }
        Fact::PoolShared { amount, .. } => info(format!("the pool shared {} among its roofs", currency.show(*amount))),
        Fact::Restored { from, upto, until, by } => (
            Level::Warn,
            format!(
                "{by} put the ledger back from {from}: it goes to record {upto}, of {until}; what came after is not in it"
            ),
        ),
        Fact::TariffChanged { version, since, who } => {
            (Level::Warn, format!("{who} changed the tariff: version {version} holds from {since}"))
        }
        Fact::RangesAnnounced { from, version, peak_hours, chosen, .. } => {
            let hours: Vec<String> = peak_hours.iter().map(ToString::to_string).collect();
            let hours = if hours.is_empty() { "no hour".to_owned() } else { hours.join(" and ") };
            info(format!("the dearer hours of the day from {from} are {hours}, by {chosen} (tariff version {version})"))
        }
        Fact::RangesPosted { round, from, .. } => {
            info(format!("the forecast of the day from {from} is on the chain as round {round}"))
        }
        Fact::RangesAttested { round, agreed: true, .. } => {
            info(format!("round {round} on the chain is what we forecast as well"))
        }
        Fact::RangesAttested { round, agreed: false, .. } => (
            Level::Alarm,
            format!(
                "round {round} on the chain is not what follows from our readings: we said so there. Somebody tampers, or \
                 one of two ledgers lacks readings"
            ),
        ),
        Fact::ClassChanged { account, class, since, who } => {
            let class = class.as_ref().map_or_else(|| "no class".to_owned(), |c| format!("class {c}"));
            info(format!("{who} put {account} into {class} from {since}"))
        }
        Fact::CreditChanged { account, credit, balance } => {
            let level = if *credit == domain::Credit::Good { Level::Info } else { Level::Warn };
            (level, format!("{account}: credit is {credit}, balance {}", currency.show(*balance)))
        }
        Fact::EmergencyChanged { account, emergency, by } => {
            let by = if by.is_empty() { String::new() } else { format!(" by {by}") };
            (Level::Warn, format!("{account}: the emergency credit is {emergency}{by}"))
        }
        Fact::ReconnectAsked { account, by } => info(format!("{by} asked that {account} be connected again")),
        Fact::ReconnectGranted { switch, by } => info(format!("switch {switch} may close: {by} asked for it")),
        Fact::SwitchOverridden { switch, order: None, by, why, .. } => {
            info(format!("switch {switch} follows its account again ({by}: {why})"))
        }
        Fact::SwitchOverridden { switch, order: Some(position), until, safety, by, why } => {
            let until = until.map_or_else(|| " until it is taken back".into(), |until| format!(" until {until}"));
            let safety = if *safety { "for safety " } else { "" };
            (Level::Warn, format!("{by} keeps switch {switch} {position} {safety}{}: {why}", until.trim_start()))
        }
        Fact::SwitchSuspected { switch, suspicion: Some(suspicion) } => {
            (Level::Alarm, format!("switch {switch} is not to be trusted: {suspicion}"))
        }
        Fact::SwitchSuspected { switch, suspicion: None } => {
            info(format!("switch {switch}: what flows agrees with the contact again"))
        }
        Fact::SwitchRouted { switch, provider, may_disconnect: false } => (
            Level::Warn,
            format!(
                "the register has {provider} feed the customer behind {switch}: not ours to disconnect for want of credit"
            ),
        ),
        Fact::SwitchRouted { switch, provider, may_disconnect: true } => info(format!(
            "the register has {provider} feed the customer behind {switch}: want of credit disconnects again"
        )),
        Fact::SwitchOrdered { switch, position, reason } => {
            info(format!("switch {switch} was ordered to {position}: {reason}"))
        }
        Fact::SwitchConfirmed { switch, position: Position::Open, reason } => {
            (Level::Warn, format!("{switch} was disconnected: {reason}"))
        }
        Fact::SwitchConfirmed { switch, position: Position::Closed, reason } => {
            info(format!("{switch} is connected: {reason}"))
        }
        Fact::SwitchFailed { switch, wanted, problem } => {
            (Level::Alarm, format!("switch {switch} should be {wanted} and is not: {problem}"))
        }
        Fact::DeviceDegraded { device, problem } => (Level::Warn, format!("{device} has a problem: {problem}")),
        Fact::DeviceRecovered { device } => info(format!("{device} is well again")),
        Fact::MeterHeld { meter, doubt: doubt @ Doubt::Elsewhere { .. }, .. } => (
            Level::Alarm,
            format!(
                "{meter} is held and not billed: {doubt}. Look where it is, and at the anchors; it is billed again when its \
                 proofs hold, or released"
            ),
        ),
        Fact::MeterFound { meter, .. } => info(format!(
            "{meter} is at its place again: what it imported meanwhile is billed, what it exported is not paid for"
        )),
        Fact::Challenged { epoch, block: Some(block), .. } => {
            info(format!("the beacons of epoch {epoch} bear codes that follow from block {block}"))
        }
        Fact::Challenged { epoch, block: None, .. } => (
            Level::Warn,
            format!(
                "the beacons of epoch {epoch} bear codes that follow from our own random number: no chain was reached"
            ),
        ),
        Fact::BeaconCalibrated { meter, model } => info(format!("the beacon of {meter} is calibrated: {model}")),
        Fact::Located { meter, proof } => located(meter, proof),
        Fact::MeterHeld { meter, doubt, .. } => {
            (Level::Alarm, format!("{meter} is held and not billed: {doubt}. Look at the meter, then release it"))
        }
        Fact::ImbalanceFound { found } => (Level::Alarm, format!("{found}. Now {}", found.cause.advice())),
        Fact::ImbalanceCleared { cause, meter } => {
            let about = meter.as_ref().map_or("the feeder", |m| m.as_str());
            info(format!("{about} adds up again: no longer seen that {cause}"))
        }
        Fact::Planned { plan } => planned(plan, currency),
        Fact::DispatchRound { from, round, event, .. } => judged(*from, *round, event, currency),
        Fact::InverterLimited { inverter, to, follows: true, cap } => {
            let most = cap.most.unwrap_or(cap.rated);
            info(format!("{inverter} is limited to {to}, {most}, until {}", cap.until))
        }
        Fact::InverterLimited { inverter, to, follows: false, .. } => (
            Level::Alarm,
            format!("{inverter} was limited to {to} and says that it does not follow: more than that is not paid for"),
        ),
        Fact::InverterReleased { inverter, why: Release::Planned, .. } => {
            info(format!("{inverter} may make what it can"))
        }
        Fact::InverterReleased { inverter, why: Release::RanOut, .. } => {
            (Level::Warn, format!("{inverter}: the plan ran out and no other came; it lets go of its limit by itself"))
        }
        Fact::InverterReleased { inverter, why: Release::Restarted, .. } => {
            info(format!("{inverter}: the limit from before the restart counts no more"))
        }
        Fact::InverterReleased { inverter, why: Release::Unreachable { problem }, .. } => {
            (Level::Warn, format!("{inverter} cannot be reached and is bound by no limit: {problem}"))
        }
        Fact::PayWithheld { account, dispatched, metered, amount, .. } => (
            Level::Warn,
            format!(
                "{account} fed in {metered} where {dispatched} were dispatched: {} are not paid",
                currency.show(*amount)
            ),
        ),
        Fact::MeterReleased { meter, by, .. } => info(format!("{by} released {meter}; it is billed again")),
        Fact::MeterReplaced { change, by, .. } => info(format!(
            "{by} replaced the device of {}: the old one is billed to {}, the new one from {}",
            change.meter, change.last.import, change.first.import
        )),
        Fact::MeterMoved { meter, from, to, registers, by, .. } => {
            let from = from.as_ref().map_or("nobody", |from| from.as_str());
            let at = registers.map_or_else(String::new, |r| format!(" at {}", r.import));
            info(format!("{by} moved {meter} from {from} to {to}{at}"))
        }
        Fact::TokenUsed { account, count, act: Act::Set, amount } => {
            info(format!("token {count} set the balance of {account}, by {}", currency.show(*amount)))
        }
        Fact::TokenUsed { account, count, act: Act::Disable, .. } => {
            (Level::Warn, format!("token {count} ended prepayment for {account}: it is not cut off for lack of credit"))
        }
        Fact::TokenUsed { account, count, .. } => {
            info(format!("token {count} of {account} was used; it moved no money"))
        }
        Fact::CodeRefused { account, failed, until, by } => (
            Level::Warn,
            format!(
                "{by} entered a wrong code for {account}, number {failed} in a row; no other is taken until {until}"
            ),
        ),
        Fact::AccessChanged { subject, change, by } => {
            let level = if matches!(change, Access::KeptOut { .. }) { Level::Warn } else { Level::Info };
            let by = if by == subject { String::new() } else { format!(" (by {by})") };
            (level, format!("{subject} {change}{by}"))
        }
        Fact::Settled { batch, accounts, gas, .. } => info(format!(
            "batch {batch} settled {accounts} account{} on the chain ({gas} gas)",
            if *accounts == 1 { "" } else { "s" }
        )),
        Fact::SettlementRefused { batch, problem } => {
            (Level::Alarm, format!("the chain refused batch {batch}: {problem}"))
        }
    }
}

/// What an epoch's beacons said of a meter.
fn located(meter: &MeterId, proof: &Proof) -> (Level, String) {
    let by = format!("by {} anchors", proof.anchors.len());
    let off = |found: &Place| {
        format!("{}.{} m from its place", found.apart(proof.claim) / 1000, found.apart(proof.claim) % 1000 / 100)
    };
    let aside = if proof.counts { "" } else { "; most meters failed at once, so it counts for nothing" };
    match (proof.verdict, &proof.found) {
        (Verdict::Here, found) => {
            let off = found.as_ref().map_or_else(String::new, |f| format!(", {}", off(f)));
            (Level::Info, format!("{meter} is where it should be, {by}{off}"))
        }
        (Verdict::Elsewhere, Some(found)) => {
            (Level::Warn, format!("{meter} was found at {found}, {}, {by}{aside}", off(found)))
        }
        (verdict, _) => (Level::Warn, format!("{meter} was found {verdict}, {by}{aside}")),
    }
}

/// What somebody did to an account on the chain.
fn on_chain(account: &AccountId, event: &OnChain, currency: &Currency) -> (Level, String) {
    match event {
        OnChain::HolderNamed { holder } => {
            (Level::Info, format!("{holder} holds {account} on the chain and gets its refund"))
        }
        OnChain::Closing { due } => {
            (Level::Warn, format!("{account} was closed on the chain; what is left is paid out from {due} on"))
        }
        OnChain::Reopened => (Level::Info, format!("{account} goes on: it was opened again on the chain")),
        OnChain::PaidOut { to, amount } => {
            (Level::Info, format!("the contract paid {} out of {account} to {to}", currency.show(*amount)))
        }
        OnChain::Contested { imported } => {
            (Level::Warn, format!("the holder of {account} contests the {imported} billed so far: check its meter"))
        }
        OnChain::Overturned { excess, amount, .. } => {
            let amount = currency.show(*amount);
            let text = format!(
                "the meter of {account} has signed {excess} less than was billed, and the contract gave {amount} back: \
                 check how it is read"
            );
            (Level::Alarm, text)
        }
    }
}

/// A plan in one sentence: what it is worth, what stands in the way, and who may make how much.
fn planned(plan: &Plan, currency: &Currency) -> (Level, String) {
    let held = plan.setpoints.iter().filter_map(|s| Some(format!("{} {}", s.inverter, s.limit?)));
    let held: Vec<String> = held.collect();
    let shares = if held.is_empty() { "nobody is held back".to_owned() } else { held.join(", ") };
    match &plan.basis {
        Basis::Free => (Level::Info, format!("planned until {}: the network carries every roof", plan.until)),
        Basis::Safe { why } => {
            (Level::Warn, format!("no optimum until {}: {why}. Safe limits hold: {shares}", plan.until))
        }
        Basis::Optimal { cost, .. } => {
            let bound: Vec<String> = plan.binding.iter().map(ToString::to_string).collect();
            let because = if bound.is_empty() { String::new() } else { format!(", bound by {}", bound.join(" and ")) };
            let gap = plan.basis.gap().map_or_else(
                || ", unproved".to_owned(),
                |gap| format!(", at most {} above the best", short(gap, currency)),
            );
            let cost = short(*cost, currency);
            (Level::Info, format!("planned until {}: {shares}{because}; {cost} an hour{gap}", plan.until))
        }
    }
}

/// What came of a plan on the chain.
fn judged(from: Timestamp, round: u32, event: &RoundEvent, currency: &Currency) -> (Level, String) {
    let show = |money: &Money| short(*money, currency);
    match event {
        RoundEvent::Opened => (Level::Info, format!("round {round} on the chain is for the plan from {from} on")),
        RoundEvent::Committed => (Level::Info, format!("the plan from {from} on is committed to in round {round}")),
        RoundEvent::Revealed { cost, bound } => (
            Level::Info,
            format!("round {round}: our plan was shown, {} an hour; none costs less than {}", show(cost), show(bound)),
        ),
        RoundEvent::Judged(Judgement { cost: None, .. }) => {
            (Level::Warn, format!("round {round} is over, and nobody showed a plan"))
        }
        RoundEvent::Judged(how @ Judgement { won: true, .. }) => {
            (Level::Info, format!("round {round} is won by our plan: {}", gap(how)))
        }
        RoundEvent::Judged(how) => (
            Level::Warn,
            format!(
                "round {round} is won by another plan, which costs {} an hour: {}",
                show(&how.cost.unwrap_or_default()),
                gap(how)
            ),
        ),
        RoundEvent::StakeBack => (Level::Info, format!("round {round}: the stake came back")),
        RoundEvent::GivenUp { why } => {
            (Level::Warn, format!("the plan from {from} on is dispatched, and not judged on the chain: {why}"))
        }
    }
}

/// How far from the best a plan is proved to be.
#[must_use]
pub fn gap(how: &Judgement) -> String {
    let word = if how.proven { "proved" } else { "not within the tolerance" };
    match how.gap_ppm {
        Some(ppm) if ppm < 1_000_000 => {
            format!("{word}, at most {}.{:04} % above the best", ppm / 10_000, ppm % 10_000)
        }
        _ => "how far it is from the best is not proved".to_owned(),
    }
}

/// What nobody pays and people read: to the ten-thousandth, away from nothing.
#[must_use]
pub fn short(amount: Money, currency: &Currency) -> String {
    let step = (currency.scale() / 10_000).max(1);
    let steps = amount.0.unsigned_abs().div_ceil(step.unsigned_abs());
    let rounded = i64::try_from(steps).unwrap_or(i64::MAX).saturating_mul(step);
    currency.show(Money(if amount.0 < 0 { -rounded } else { rounded }))
}
