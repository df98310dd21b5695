//! What the grid operator's register is asked: whether the provider that we settle for feeds the customers whose switches
//! are here. Whoever does not feed a customer disconnects nobody for want of its credit.

use super::{Notes, Scene, Step, Trouble};
use crate::rights::{Right, Rights, denied, known, remember};
use contracts::chain::ChainError;
use contracts::{Address, operator};
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
            Some(registry) => match self.asked(registry) {
                Ok(now) => now,
                // What was said last holds; settlement and switching go on.
                Err(error) => {
                    notes.rights = Some(format!(
                        "the register {registry} of [chain] operator does not say who may disconnect whom: {error}"
                    ));
                    return Ok(None);
                }
            },
            None => Rights::new(),
        };
        (notes.rights, notes.rights_asked) = (None, Some(self.head.hash));
        if now == before {
            return Ok(None);
        }
        let mut writes = news(&before, &now);
        writes.push(remember(&now).map_err(|e| Trouble::Other(format!("what the register said: {e}")))?);
        Ok(Some(Step::Write(writes)))
    }

    fn asked(&self, registry: Address) -> Result<Rights, ChainError> {
        let chain = &*self.plan.chain;
        let mut rights = Rights::new();
        for (switch, point) in &self.plan.points {
            let may_disconnect = operator::may_order(chain, registry, self.me(), *point)?;
            let provider = operator::provider_of(chain, registry, *point)?;
            // A point that nobody feeds by the register was not routed yet: that denies nothing.
            if provider != Address::ZERO {
                rights.insert(switch.clone(), Right { provider: provider.to_string(), may_disconnect });
            }
        }
        Ok(rights)
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
