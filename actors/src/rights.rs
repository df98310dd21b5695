//! Who may disconnect whom for want of credit, by the grid operator's register. The Settler asks, the ledger remembers,
//! the Enforcer holds to it: with the chain away, what was said last counts, and of what was never said nothing changes.

use domain::SwitchId;
use ledger::{Ledger, LedgerError, Write};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The setting that remembers what the register said.
const RIGHTS: &str = "rights";

/// What the register said of a switch's connection point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Right {
    /// The contract of the provider that feeds it.
    pub provider: String,
    /// Whether this gateway's key may have it cut off for that provider.
    pub may_disconnect: bool,
}

/// What is known of each switch; of others the register said nothing yet.
pub(crate) type Rights = BTreeMap<SwitchId, Right>;

/// What the ledger remembers.
pub(crate) fn known(ledger: &Ledger) -> Result<Rights, LedgerError> {
    let Some(text) = ledger.meta(RIGHTS)? else { return Ok(Rights::new()) };
    Ok(serde_json::from_str(&text).unwrap_or_else(|error| {
        tracing::error!(%error, "what the register said of switches cannot be read: it is asked again");
        Rights::new()
    }))
}

/// Whether the register says that this switch's customer is another's to disconnect.
pub(crate) fn denied(rights: &Rights, switch: &SwitchId) -> bool {
    rights.get(switch).is_some_and(|right| !right.may_disconnect)
}

/// What the ledger is to remember from now on.
pub(crate) fn remember(rights: &Rights) -> Result<Write, serde_json::Error> {
    Ok(Write::Meta(RIGHTS.into(), serde_json::to_string(rights)?))
}
