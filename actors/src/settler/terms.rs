//! What the operator wants agreed with customers in the contract. It is fixed when the contract is deployed.

use contracts::Address;
use contracts::provider::Terms;
use domain::Price;

/// What the configuration says of the contract's terms. What it does not say is left plain in a contract that is deployed,
/// and as it is in one that exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreed {
    /// The grid operator's registry.
    pub registry: Option<Address>,
    /// Seconds for which earnings can be challenged before they can be taken.
    pub window: Option<u32>,
    /// Seconds from a customer's wish to leave to the refund.
    pub exit_delay: Option<u32>,
    /// The most that the grid's fee can be, per Wh.
    pub max_network_fee: Option<Price>,
}

impl Agreed {
    /// The terms of a contract that is deployed now. Native coin and no rounds: a gateway takes deposits in coin, settles
    /// at any time, and sets prices when the tariff says so.
    #[must_use]
    pub fn terms(&self) -> Terms {
        Terms {
            registry: self.registry.unwrap_or_default(),
            window: self.window.unwrap_or_default(),
            exit_delay: self.exit_delay.unwrap_or_default(),
            max_network_fee: self.max_network_fee.unwrap_or_default(),
            ..Terms::default()
        }
    }

    /// Where a contract says otherwise than the configuration; for people.
    pub(super) fn broken_by(&self, there: &Terms) -> Vec<String> {
        let said = |wanted: Option<String>, there: String, key: &str| {
            let wanted = wanted.filter(|wanted| *wanted != there)?;
            Some(format!("{key}: {there} there, {wanted} here"))
        };
        let seconds = |s: u32| format!("{s} s");
        let price = |p: Price| format!("{} minor units per Wh", p.0);
        [
            said(self.registry.map(|a| a.to_string()), there.registry.to_string(), "operator"),
            said(self.window.map(seconds), seconds(there.window), "challenge_window"),
            said(self.exit_delay.map(seconds), seconds(there.exit_delay), "exit_delay"),
            said(self.max_network_fee.map(price), price(there.max_network_fee), "max_network_fee"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_agrees_with_any_contract_and_what_is_said_with_its_like_alone() {
        let there = Terms { window: 60, exit_delay: 90, offer_time: 5, ..Terms::default() };
        assert_eq!(Agreed::default().broken_by(&there), Vec::<String>::new());
        let said = Agreed { window: Some(60), exit_delay: Some(80), ..Agreed::default() };
        assert_eq!(said.broken_by(&there), ["exit_delay: 90 s there, 80 s here"]);
        assert_eq!(said.broken_by(&said.terms()), Vec::<String>::new());
    }
}
