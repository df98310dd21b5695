//! What the grid operator's register is asked: whether the provider that we settle for feeds the customers whose switches
//! are here. Whoever does not feed a customer disconnects nobody for want of its credit.

use super::{Notes, Scene, Step, Trouble};
use crate::rights::{Right, Rights, denied, known, remember};
use contracts::chain::ChainError;
use contracts::{Address, B256, operator};
use domain::{Fact, SwitchId};
use ledger::Write;

impl Scene<'_> {
    /// The step that writes down what the register says, if that is news. It is asked once after a start, and then with
    /// every settlement.
    pub(super) fn rights(&self, due: bool, notes: &mut Notes) -> Result<Option<Step>, Trouble> {
        let asked = notes.rights_asked.is_some_and(|at| !due || at == self.head.hash);
        if asked {
            return Ok(None);
        }
        let before = known(self.ledger)?;
        let now = match self.plan.agreed.registry {
            Some(registry) => {
                let (now, error) = self.asked(registry, &before);
                // What was said last holds; settlement and switching go on.
                notes.rights = error.map(|error| {
                    format!("the register {registry} of [chain] operator does not say who may disconnect whom: {error}")
                });
                now
            }
            None => {
                notes.rights = None;
                Rights::new()
            }
        };
        if notes.rights.is_none() {
            notes.rights_asked = Some(self.head.hash);
        }
        if now == before {
            return Ok(None);
        }
        let mut writes = news(&before, &now);
        writes.push(remember(&now).map_err(|e| Trouble::Other(format!("what the register said: {e}")))?);
        Ok(Some(Step::Write(writes)))
    }

    /// What the register says of each switch, and why it does not of some, which stay as they were.
    fn asked(&self, registry: Address, before: &Rights) -> (Rights, Option<ChainError>) {
        let (mut rights, mut wrong) = (Rights::new(), None);
        for (switch, point) in &self.plan.points {
            // Nobody answers: the others would only take as long.
            let away = wrong.as_ref().is_some_and(ChainError::is_transient);
            let right = match away {
                true => before.get(switch).cloned(),
                false => self.right(registry, *point).unwrap_or_else(|error| {
                    wrong = Some(error);
                    before.get(switch).cloned()
                }),
            };
            rights.extend(right.map(|right| (switch.clone(), right)));
        }
        (rights, wrong)
    }

    /// Whether the customer behind a connection point is ours to disconnect. The register's owner may order everything, so
    /// that is asked for customers of our own provider only.
    fn right(&self, registry: Address, point: B256) -> Result<Option<Right>, ChainError> {
        let chain = &*self.plan.chain;
        let provider = operator::provider_of(chain, registry, point)?;
        // A point that nobody feeds by the register was not routed yet: that denies nothing.
        if provider == Address::ZERO {
            return Ok(None);
        }
        let ours = self.provider == Some(provider);
        let may_disconnect = ours && operator::may_order(chain, registry, self.me(), point)?;
        Ok(Some(Right { provider: provider.to_string(), may_disconnect }))
    }
}

/// What changed for the switches.
fn news(before: &Rights, now: &Rights) -> Vec<Write> {
    let changed = |switch: &&SwitchId| denied(before, switch) != denied(now, switch);
    let switches: std::collections::BTreeSet<&SwitchId> = before.keys().chain(now.keys()).collect();
    let fact = |switch: &SwitchId| {
        let provider = now.get(switch).map_or_else(|| Address::ZERO.to_string(), |right| right.provider.clone());
        Write::Fact(Fact::SwitchRouted { switch: switch.clone(), provider, may_disconnect: !denied(now, switch) })
    };
    switches.iter().filter(|s| changed(s)).map(|s| fact(s)).collect()
}
