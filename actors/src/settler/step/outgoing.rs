//! What goes out: signed, recorded, sent, sent again, and replaced.

use super::{Notes, Scene, Step, Trouble, refuse, waiting};
use crate::settler::Turn;
use crate::settler::fees;
use crate::settler::pending::{Move, Offered, Seen};
use contracts::U256;
use contracts::chain::{ChainError, Refusal};
use contracts::tx::{self, Transaction};
use ledger::{Attempt, Intent, Purpose, Write};

/// The account should have coin for so many transactions like the last batch.
const RESERVE: u64 = 20;

impl Scene<'_> {
    pub(super) fn advance(&self, intent: &Intent, turn: Turn, notes: &mut Notes) -> Result<Step, Trouble> {
        notes.pending.of(intent.id);
        if let Some(receipt) = self.receipt_of(intent)? {
            return self.mined(intent, &receipt);
        }
        if intent.attempts.is_empty() {
            return self.sign(intent, None, turn, notes);
        }
        let attempts: Vec<Offered> =
            intent.attempts.iter().map(|a| Offered { nonce: a.nonce, signed_at: a.signed_at }).collect();
        let next_nonce = self.plan.chain.nonce(self.me())?;
        let seen = Seen { attempts: &attempts, next_nonce, head: self.head.number, now: turn.now };
        let mut wanted = notes.pending.decide(&seen, &self.plan.fees);
        let mut refused = None;
        if let Move::Send(at) = wanted
            && let Some(attempt) = intent.attempts.get(at)
        {
            match self.plan.chain.send(&attempt.raw) {
                Ok(_) => notes.pending.sent(at, turn.now, None),
                Err(ChainError::Refused { kind, message }) => {
                    notes.pending.sent(at, turn.now, Some(kind));
                    let answered = matches!(kind, Refusal::AlreadyKnown | Refusal::NonceTooLow | Refusal::Underpriced);
                    refused = (!answered).then_some(message);
                }
                Err(error) => return Err(error.into()),
            }
            // A chain that mines at once has the receipt already; so has one that says "nonce too low", if it was ours.
            if let Some(receipt) = self.receipt_of(intent)? {
                return self.mined(intent, &receipt);
            }
            wanted = notes.pending.decide(&seen, &self.plan.fees);
        }
        match wanted {
            Move::Replace(at) if !turn.signed => self.sign(intent, intent.attempts.get(at), turn, notes),
            Move::Anew if !turn.signed && !self.deployed(intent)? => self.sign(intent, None, turn, notes),
            Move::Wait(why) => Ok(match (waiting(intent, why), refused) {
                (Step::Rest { waiting, nothing_due, .. }, Some(message)) => {
                    let problem = Some(format!("the node does not take our transaction: {message}"));
                    Step::Rest { waiting, problem, nothing_due }
                }
                (step, _) => step,
            }),
            Move::Send(_) | Move::Replace(_) | Move::Anew => Ok(waiting(intent, "sent, not in a block yet")),
        }
    }

    /// Whether a deployment of ours is on the chain, although its receipt cannot be seen: a second would be another
    /// contract.
    fn deployed(&self, intent: &Intent) -> Result<bool, Trouble> {
        if intent.purpose != Purpose::Deploy {
            return Ok(false);
        }
        for attempt in &intent.attempts {
            if !self.plan.chain.code(self.me().create(attempt.nonce))?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Simulates, signs and records; `instead` is a transaction whose nonce is used again with a better fee.
    fn sign(&self, intent: &Intent, instead: Option<&Attempt>, turn: Turn, notes: &mut Notes) -> Result<Step, Trouble> {
        // Batches do not wait until a plan's stake can be paid.
        let dispensable = matches!(intent.purpose, Purpose::Dispatch { .. }) && intent.attempts.is_empty();
        let call = match self.call(&intent.purpose) {
            // Nothing else waits for it.
            Err(trouble @ Trouble::Gone(_)) => {
                return Ok(match intent.attempts.is_empty() {
                    true => refuse(intent, None, trouble.to_string()),
                    false => waiting(intent, "sent, and too old to be sent anew"),
                });
            }
            call => call?,
        };
        let old = instead.map(|attempt| decoded(&attempt.raw)).transpose()?;
        // A tenth more than estimated: balances move between the estimate and the block.
        let gas_limit = match (self.plan.chain.estimate_gas(self.me(), &call), &old) {
            (Ok(gas), _) => gas.saturating_add(gas / 10),
            (Err(ChainError::Reverted { reason, .. }), old) => match (self.settled_before(intent)?, old) {
                (Some(step), _) => return Ok(step),
                // What was signed with another nonce may still come into a block, and then it counts or fails there.
                (None, None) if intent.attempts.is_empty() => return Ok(refuse(intent, None, reason)),
                (None, None) => return self.reverts_now(intent, reason),
                // The node still holds what was signed before, and may put it into a block when it works again. Charges
                // count every time, so only a block says that they did not: this goes there as it is, and fails there.
                (None, Some(old)) => old.gas_limit,
            },
            (Err(ChainError::Refused { kind: Refusal::InsufficientFunds, message }), _) if dispensable => {
                return Ok(refuse(intent, None, message));
            }
            (Err(error), _) => return Err(error.into()),
        };
        let (suggested, ceiling) = (self.plan.chain.fees()?, self.plan.fees.ceiling);
        let offered = match &old {
            Some(old) => fees::raised(suggested, old.fees, ceiling),
            None => fees::first(suggested, self.head.base_fee, ceiling),
        };
        let fees = match offered {
            Ok(fees) if old.as_ref().is_some_and(|old| old.fees == fees) => {
                return Ok(waiting(intent, "gas costs nothing here, so more cannot be offered"));
            }
            Ok(fees) => fees,
            Err(dear) => {
                let waiting = Some(format!("{}: waiting for gas to cost less", super::name(&intent.purpose)));
                return Ok(Step::Rest { waiting, problem: Some(dear.to_string()), nothing_due: false });
            }
        };
        let nonce = match instead {
            Some(old) => old.nonce,
            None => self.plan.chain.nonce(self.me())?,
        };
        if self.ledger.final_nonce()?.is_some_and(|last| nonce <= last) {
            return Ok(waiting(intent, "the node does not know our newest final transaction yet: it is behind"));
        }
        if let Some(problem) = self.unpayable(gas_limit, fees.max_fee, call.value, &intent.purpose, notes)? {
            if dispensable {
                return Ok(refuse(intent, None, problem));
            }
            let problem = Some(format!("{problem}; nothing is settled until then"));
            return Ok(Step::Rest { waiting: None, problem, nothing_due: false });
        }
        let transaction = Transaction { chain_id: self.chain_id, nonce, fees, gas_limit, call };
        let signed = transaction.sign_for(self.head.base_fee, &*self.plan.signer)?;
        let (hash, raw, signed_at) = (signed.hash.to_string(), signed.raw, turn.now);
        Ok(Step::Write(vec![Write::Attempt(Attempt { intent: intent.id, hash, nonce, raw, signed_at })]))
    }

    /// The chain would refuse it now, and what was signed with a nonce that is used cannot come into a block any more.
    fn reverts_now(&self, intent: &Intent, reason: String) -> Result<Step, Trouble> {
        let next = self.plan.chain.nonce(self.me())?;
        match intent.attempts.iter().any(|a| a.nonce >= next) {
            true => Ok(waiting(intent, "the chain would refuse it now; waiting for what was sent")),
            false => Ok(refuse(intent, None, reason)),
        }
    }

    /// Says what is missing if the account cannot pay for the transaction; notes if little is left for others.
    fn unpayable(
        &self,
        gas_limit: u64,
        max_fee: u128,
        value: U256,
        purpose: &Purpose,
        notes: &mut Notes,
    ) -> Result<Option<String>, Trouble> {
        let cost = U256::from(gas_limit).saturating_mul(U256::from(max_fee)).saturating_add(value);
        if cost.is_zero() {
            return Ok(None);
        }
        let (me, has) = (self.me(), self.plan.chain.balance(self.me())?);
        if has < cost {
            return Ok(Some(format!(
                "the settler {me} has {} coin, and its next transaction may cost {}: send it some",
                coin(has),
                coin(cost)
            )));
        }
        if matches!(purpose, Purpose::Settle { .. }) {
            let left = has / cost;
            notes.low_on_coin = (left < U256::from(RESERVE)).then(|| {
                format!(
                    "the settler {me} has {} coin left, enough for {left} batches at this price: send it some",
                    coin(has)
                )
            });
        }
        Ok(None)
    }
}

pub(super) fn decoded(raw: &[u8]) -> Result<Transaction, Trouble> {
    let (transaction, _) = tx::decode(raw).map_err(|e| Trouble::Other(format!("a recorded transaction: {e}")))?;
    Ok(transaction)
}

/// Wei as coin of 10^18 wei, to six places, rounded down.
pub(super) fn coin(wei: U256) -> String {
    let micro = wei / U256::from(1_000_000_000_000_u64);
    let (whole, rest) = (micro / U256::from(1_000_000), micro % U256::from(1_000_000));
    format!("{whole}.{:06}", u64::try_from(rest).unwrap_or(0))
}
