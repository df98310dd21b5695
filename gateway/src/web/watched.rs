//! What is watched for `/metrics` alone: the broker within, and the settler's money for gas.

use ::broker::{Broker, Figures};
use contracts::chain::Chain;
use contracts::{Address, U256};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// How often a node is asked what the settler has.
const ASK_EVERY: Duration = Duration::from_secs(60);
/// How long its answer is passed on. An older one would look as if all were well.
const GOOD_FOR: Duration = Duration::from_secs(300);

/// The broker, which ends when the house lets it go, and what is left for gas. Cheap to clone.
#[derive(Clone)]
pub struct Watched {
    broker: Weak<Broker>,
    purse: Arc<Purse>,
}

#[derive(Default)]
struct Purse(Mutex<Option<(U256, Instant)>>);

impl Watched {
    /// Begins to ask what `settler` has, until nobody watches any more.
    pub fn new(broker: Option<&Arc<Broker>>, chain: Arc<dyn Chain>, settler: Address) -> Self {
        let purse = Arc::<Purse>::default();
        let kept = Arc::downgrade(&purse);
        actix_web::rt::spawn(async move {
            while kept.strong_count() > 0 {
                let chain = Arc::clone(&chain);
                let asked = tokio::task::spawn_blocking(move || chain.balance(settler)).await;
                // A node that is out of reach is the Settler's to tell.
                if let (Ok(Ok(wei)), Some(purse)) = (asked, kept.upgrade()) {
                    purse.put(wei, Instant::now());
                }
                tokio::time::sleep(ASK_EVERY).await;
            }
        });
        Self { broker: broker.map(Arc::downgrade).unwrap_or_default(), purse }
    }

    /// How the broker is doing; `None` without one.
    pub fn broker(&self) -> Option<Figures> {
        Some(self.broker.upgrade()?.figures())
    }

    /// What the settler has for gas, in wei; `None` while no node has said so of late.
    pub fn wei(&self) -> Option<U256> {
        self.purse.look(Instant::now())
    }
}

impl Purse {
    fn put(&self, wei: U256, now: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((wei, now));
    }

    fn look(&self, now: Instant) -> Option<U256> {
        let (wei, at) = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        (now.saturating_duration_since(at) <= GOOD_FOR).then_some(wei)
    }
}

/// Wei as coins of 10^18 wei, exactly.
pub fn coins(wei: U256) -> String {
    let (whole, rest) = wei.div_rem(U256::from(10).pow(U256::from(18)));
    format!("{whole}.{rest:0>18}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_answer_about_money_is_no_answer() {
        let (purse, now) = (Purse::default(), Instant::now());
        assert_eq!(purse.look(now), None);
        purse.put(U256::from(7), now);
        assert_eq!(purse.look(now + GOOD_FOR), Some(U256::from(7)));
        assert_eq!(purse.look(now + GOOD_FOR + Duration::from_millis(1)), None);
    }

    #[test]
    fn wei_are_told_as_coins_to_the_last_digit() {
        for (wei, told) in [
            ("0", "0.000000000000000000"),
            ("1", "0.000000000000000001"),
            ("1500000000000000000", "1.500000000000000000"),
            ("1000000000000000000000000001", "1000000000.000000000000000001"),
        ] {
            assert_eq!(coins(wei.parse().unwrap()), told);
        }
    }
}
