//! How a fact changes the tables of present state. Runs inside the transaction that records the fact.

use crate::LedgerError;
use crate::codes::{took_code, took_token};
use crate::commit::{POOL, set_cursor};
use crate::meters::reassign;
use crate::outbox::load_batch;
use crate::supply::{self, OverrideRow};
use crate::{on_chain, places, rounds};
use domain::token::Act;
use domain::{Attempts, Fact, Position, Reason, Source, Timestamp};
use rusqlite::{Connection, params};

pub(crate) fn project(db: &Connection, now: Timestamp, fact: &Fact) -> Result<(), LedgerError> {
    match fact {
        Fact::AccountOpened { account, .. } => {
            db.execute("UPDATE accounts SET opened = 1 WHERE name = ?", [account.as_str()])?;
        }
        Fact::CreditChanged { account, credit, .. } => {
            let credit = serde_json::to_string(credit).map_err(|e| LedgerError::unreadable("a credit state", e))?;
            db.execute("UPDATE accounts SET credit = ? WHERE name = ?", params![credit, account.as_str()])?;
        }
        Fact::SwitchOrdered { switch, position, reason } => {
            db.execute(
                "INSERT INTO switches (name, ordered, reason, at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET ordered = ?2, reason = ?3, at = ?4",
                params![switch.as_str(), text(*position), word(*reason)?, now.0],
            )?;
            if *position == Position::Open {
                db.execute("DELETE FROM reconnects WHERE switch = ?", [switch.as_str()])?;
            }
        }
        Fact::SwitchConfirmed { switch, position, reason } => {
            db.execute(
                "INSERT INTO switches (name, position, reason, at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET position = ?2, reason = ?3, at = ?4, problem = NULL",
                params![switch.as_str(), text(*position), word(*reason)?, now.0],
            )?;
        }
        Fact::SwitchFailed { switch, problem, .. } => {
            db.execute(
                "INSERT INTO switches (name, at, problem) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET at = ?2, problem = ?3",
                params![switch.as_str(), now.0, problem],
            )?;
        }
        Fact::PoolShared { until, .. } => {
            db.execute("DELETE FROM pool WHERE interval < ?", [until.0])?;
            set_cursor(db, POOL, until.0)?;
        }
        Fact::EmergencyChanged { account, emergency, by } => supply::emergency(db, account, *emergency, by)?,
        Fact::ReconnectGranted { switch, by } => {
            db.execute("INSERT OR REPLACE INTO reconnects VALUES (?, ?)", params![switch.as_str(), by])?;
        }
        Fact::SwitchOverridden { switch, order, until, safety, by, why } => {
            let row = order.map(|position| OverrideRow {
                position,
                made_at: now,
                until: *until,
                safety: *safety,
                by: by.clone(),
                why: why.clone(),
            });
            supply::override_switch(db, switch, row.as_ref())?;
        }
        Fact::MeterReleased { meter, upto, .. } => {
            release(db, meter.as_str(), upto.0)?;
            places::begin_again(db, meter)?;
        }
        Fact::MeterReplaced { change, .. } => places::begin_again(db, &change.meter)?,
        Fact::MeterHeld { meter, doubt, upto: Some(_) } => places::hold(db, meter, *doubt)?,
        Fact::MeterFound { meter, .. } => places::found(db, meter)?,
        Fact::Located { meter, proof } => places::located(db, meter, proof)?,
        Fact::BeaconCalibrated { meter, model } => places::calibrated(db, meter, model)?,
        Fact::Challenged { .. } => places::challenged(db, fact)?,
        Fact::DispatchRound { from, round, event, .. } => rounds::follow(db, *from, *round, event)?,
        Fact::Settled { batch, .. } => {
            let settled = load_batch(db, *batch)?;
            for item in settled.iter().flat_map(|b| &b.items) {
                let r = item.registers;
                db.prepare_cached(
                    "UPDATE accounts SET settled_off_peak = ?, settled_peak = ?, settled_feed_in = ?, settled_net = ?
                     WHERE number = ?",
                )?
                .execute(params![r.off_peak.0, r.peak.0, r.feed_in.0, item.net.0, item.number])?;
            }
        }
        Fact::ToppedUp { account, source: Source::Token { count }, .. } => {
            let count = u32::try_from(*count).map_err(|e| LedgerError::unreadable("a token's count", e))?;
            took_token(db, account, count, Act::Add)?;
            took_code(db, account, Attempts::default())?;
        }
        Fact::ToppedUp { account, source: Source::Voucher { .. }, .. } => took_code(db, account, Attempts::default())?,
        Fact::TokenUsed { account, count, act, .. } => {
            took_token(db, account, *count, *act)?;
            took_code(db, account, Attempts::default())?;
        }
        Fact::CodeRefused { account, failed, .. } => took_code(db, account, Attempts::new(*failed, now))?,
        Fact::HappenedOnChain { account, event, .. } => on_chain::project(db, account, event, false)?,
        Fact::OnChainTakenBack { account, event, .. } => on_chain::project(db, account, event, true)?,
        Fact::MeterMoved { meter, from, to, .. } => {
            reassign(db, meter, from.as_ref(), to)?;
            // What was fed in before was another customer's.
            db.execute("DELETE FROM injected WHERE meter = ?", [meter.as_str()])?;
        }
        // Their money is booked with the record, and what they change has tables that are written with it.
        Fact::ToppedUp { .. }
        | Fact::DepositTakenBack { .. }
        | Fact::Refunded { .. }
        | Fact::Adjusted { .. }
        | Fact::Lent { .. }
        | Fact::TariffChanged { .. }
        | Fact::ClassChanged { .. }
        // Kept with the record, under its number.
        | Fact::InverterLimited { .. }
        | Fact::InverterReleased { .. } => {}
        Fact::Started { .. }
        | Fact::RangesAnnounced { .. }
        | Fact::RangesPosted { .. }
        | Fact::RangesAttested { .. }
        | Fact::AccessChanged { .. }
        | Fact::ReconnectAsked { .. }
        | Fact::SwitchSuspected { .. }
        | Fact::SwitchRouted { .. }
        | Fact::DeviceDegraded { .. }
        | Fact::DeviceRecovered { .. }
        | Fact::MeterHeld { upto: None, .. }
        | Fact::Planned { .. }
        | Fact::PayWithheld { .. }
        | Fact::ImbalanceFound { .. }
        | Fact::ImbalanceCleared { .. }
        | Fact::SettlementRefused { .. }
        | Fact::Restored { .. } => {}
    }
    Ok(())
}

/// Restarts a held meter's book at its newest reading. What lies between is written down as unbilled, not billed: the
/// registers before and after belong, as far as anyone knows, to two meters. Only readings that the Pricer has passed
/// count: the later ones it will still bill.
fn release(db: &Connection, meter: &str, upto: i64) -> Result<(), LedgerError> {
    let changed = db.execute(
        "UPDATE meters SET held = NULL, doubted_since = NULL, unbilled = unbilled + (r.import - meters.import)
           + coalesce(r.export - meters.export, 0),
         at = r.at, boot = r.boot, up = r.up, import = r.import, export = coalesce(r.export, meters.export),
         export_at = CASE WHEN r.export IS NULL THEN meters.export_at ELSE r.at END,
         first_export = coalesce(first_export, r.export)
         FROM (SELECT meter, at, boot, up, import, export, seq FROM readings
               WHERE import IS NOT NULL AND meter = (SELECT id FROM meters WHERE name = ?1)
                 AND seq <= ?2
               UNION ALL SELECT meter, at, boot, up, import, export, 0 FROM last_readings
               WHERE meter = (SELECT id FROM meters WHERE name = ?1)
               ORDER BY seq DESC LIMIT 1) r
         WHERE meters.id = r.meter AND meters.name = ?1 AND meters.held IS NOT NULL",
        params![meter, upto],
    )?;
    if changed == 1 { Ok(()) } else { Err(LedgerError::Refused(format!("meter {meter} is not held"))) }
}

fn text(position: Position) -> &'static str {
    match position {
        Position::Open => "open",
        Position::Closed => "closed",
    }
}

fn word(reason: Reason) -> Result<String, LedgerError> {
    serde_json::to_string(&reason).map_err(|e| LedgerError::unreadable("a reason", e))
}
