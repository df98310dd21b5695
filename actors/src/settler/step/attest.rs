//! What the grid operator's register is told: where the switches of our connection points are, by their contacts.

use super::{Notes, Scene, Step, Trouble};
use contracts::operator;
use contracts::{Address, B256};
use domain::Position;
use ledger::{Purpose, Write};
use std::collections::BTreeMap;

/// The setting that remembers which positions are attested: whether each connection point is supplied.
const ATTESTED: &str = "attested";
/// Connection points in one transaction.
const AT_ONCE: usize = 100;

impl Scene<'_> {
    /// The step that attests positions that changed since they were attested last, if there are any. Only points that the
    /// register has given to this gateway are attested: others would revert, and one reverts all.
    pub(super) fn attest(&self, may_queue: bool, notes: &mut Notes) -> Result<Option<Step>, Trouble> {
        notes.points = None;
        let Some(registry) = self.plan.agreed.registry.filter(|_| !self.plan.points.is_empty()) else {
            return Ok(None);
        };
        let known = self.attested()?;
        let (mut due, mut found) = (Vec::new(), BTreeMap::new());
        for (switch, point) in &self.plan.points {
            // Nothing is said of a contact that was not read.
            let Some(position) = notes.contacts.get(switch) else { continue };
            let closed = *position == Position::Closed;
            if known.get(&point.to_string()) == Some(&closed) {
                continue;
            }
            let there = match operator::point_of(&*self.plan.chain, registry, *point) {
                Ok(there) => there,
                Err(error) if error.is_transient() => return Err(error.into()),
                // Settlement does not wait for the grid operator.
                Err(error) => {
                    notes.points =
                        Some(format!("nothing is attested in the register {registry} of [chain] operator: {error}"));
                    return Ok(None);
                }
            };
            if there.gateway != self.me() {
                notes.points = Some(format!(
                    "switch {switch}: the register {registry} has not given its connection point {point} to this gateway {}; its \
                     operator does (route); nothing is attested of it until then",
                    self.me()
                ));
            } else if there.attested_at != 0 && there.closed == closed {
                found.insert(point.to_string(), closed);
            } else if due.len() < AT_ONCE {
                due.push((point.to_string(), closed));
            }
        }
        if !found.is_empty() {
            return Ok(Some(Step::Write(vec![self.remember(known, found)?])));
        }
        let queue = may_queue && !due.is_empty();
        Ok(queue.then(|| Step::Write(vec![Write::Queue(Purpose::Attest { positions: due })])))
    }

    fn attested(&self) -> Result<BTreeMap<String, bool>, Trouble> {
        let Some(text) = self.ledger.meta(ATTESTED)? else { return Ok(BTreeMap::new()) };
        serde_json::from_str(&text).map_err(|e| Trouble::Other(format!("what was attested cannot be read: {e}")))
    }

    fn remember(&self, mut known: BTreeMap<String, bool>, new: BTreeMap<String, bool>) -> Result<Write, Trouble> {
        known.extend(new);
        let text = serde_json::to_string(&known).map_err(|e| Trouble::Other(format!("what was attested: {e}")))?;
        Ok(Write::Meta(ATTESTED.into(), text))
    }

    /// What is to be remembered when these positions are attested for good.
    pub(super) fn noted(&self, positions: &[(String, bool)]) -> Result<Write, Trouble> {
        self.remember(self.attested()?, positions.iter().cloned().collect())
    }

    pub(super) fn attestation(&self, positions: &[(String, bool)]) -> Result<contracts::tx::Call, Trouble> {
        let registry: Address = self.plan.agreed.registry.ok_or_else(|| {
            Trouble::Other("an attestation is under way, and [chain] operator does not say where".into())
        })?;
        let point = |(point, closed): &(String, bool)| {
            let point: B256 =
                point.parse().map_err(|e| Trouble::Other(format!("a recorded connection point {point}: {e}")))?;
            Ok((point, *closed))
        };
        let positions = positions.iter().map(point).collect::<Result<Vec<_>, Trouble>>()?;
        Ok(operator::attest_many(registry, &positions))
    }
}
