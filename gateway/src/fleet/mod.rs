//! The gateways of a neighbourhood, as they tell of themselves: each keeps one signed message on its broker, bridges
//! carry it to where the neighbours' are, and whoever wants to know reads them all there. Nobody is elected and nobody asked.

mod said;
mod table;
mod tell;

use contracts::Address;
pub use said::Said;
pub use table::{Row, Standing, rows};
pub use tell::{Teller, start};

use std::time::Duration;

/// How often a gateway tells of itself, in real time. Each time is a write to the card.
pub const EVERY: Duration = Duration::from_secs(120);

/// Where a gateway tells of itself. Two that say they are one site do not overwrite each other.
#[must_use]
pub fn topic(site: &str, signer: Address) -> String {
    format!("microgrid/{site}/gateway/{signer:#x}")
}

/// Where the neighbours of a gateway do, at a broker where its own topics stand behind this prefix: theirs has as many levels.
#[must_use]
pub fn neighbours(prefix: &str) -> String {
    let levels = prefix.matches('/').count();
    format!("{}microgrid/+/gateway/+", "+/".repeat(levels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_looked_for_behind_as_many_levels_as_our_own_prefix_has() {
        assert_eq!(neighbours(""), "microgrid/+/gateway/+");
        assert_eq!(neighbours("street-7/"), "+/microgrid/+/gateway/+");
        assert_eq!(neighbours("town/street-7/"), "+/+/microgrid/+/gateway/+");
    }
}
