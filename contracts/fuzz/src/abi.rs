//! Whatever a contract or a node answers is a value in its range, or none.

use contracts::chain::{Chain, ChainError, Head, Log, LogFilter, Receipt};
use contracts::operator;
use contracts::provider::{self, reason};
use contracts::tx::{Call, Fees};
use contracts::{Address, B256, U256};
use domain::{Money, OnChain, WattHours};
use std::ops::Not;

/// The words for a revert are short and on one line. A log is read as an event only if it is that event, whole, and each
/// log is one event at most; money paid in and energy are never negative there. The answer to a view is taken only if its registers
/// are registers that can be, and as many accounts are taken as were asked for.
pub fn check(bytes: &[u8]) {
    let words = reason(bytes);
    assert!(!words.trim().is_empty() && words.chars().count() <= 300 && !words.contains(char::is_control), "{words:?}");
    let Some((first, rest)) = bytes.split_first() else { return };
    event(*first, rest);
    views(&Answers(rest.to_vec()));
}

const TOPICS: [fn() -> B256; 14] = [
    provider::topic::opened,
    provider::topic::deposited,
    provider::topic::settled,
    provider::topic::credit_low,
    provider::topic::credit_exhausted,
    provider::topic::credit_restored,
    provider::topic::tariff_set,
    provider::topic::withdrawn,
    provider::topic::holder_set,
    provider::topic::account_closing,
    provider::topic::reopened,
    provider::topic::refunded,
    provider::topic::contested,
    provider::topic::overturned,
];

fn event(which: u8, bytes: &[u8]) {
    let name = TOPICS[usize::from(which % 14)]();
    let (indexed, data) = bytes.split_at(bytes.len().min(usize::from(which / 14 % 4) * 32));
    let indexed = indexed.chunks_exact(32).map(B256::from_slice);
    let topics: Vec<B256> = std::iter::once(name).chain(indexed).collect();
    let log =
        Log { address: Address::ZERO, topics, data: data.to_vec(), block: 1, transaction: B256::ZERO, log_index: 0 };
    let (deposited, settled) = (provider::deposited(&log), provider::settled(&log));
    let taken = [
        provider::opened(&log).is_some(),
        deposited.is_some(),
        settled.is_some(),
        provider::credit_changed(&log).is_some(),
        provider::tariff_set(&log).is_some(),
        provider::withdrawn(&log).is_some(),
        provider::happened(&log).is_some(),
    ];
    assert!(taken.iter().filter(|taken| **taken).count() <= 1);
    assert!(taken.iter().all(|taken| !taken) || data.len() % 32 == 0);
    assert!(deposited.is_none_or(|d| d.units >= Money::ZERO), "{deposited:?}");
    assert!(provider::withdrawn(&log).is_none_or(|w| w.units >= Money::ZERO));
    match provider::happened(&log).map(|(_, event)| event) {
        Some(OnChain::PaidOut { amount, .. }) => assert!(amount >= Money::ZERO),
        Some(OnChain::Overturned { excess, amount, .. }) => assert!(amount >= Money::ZERO && excess >= WattHours(0)),
        Some(OnChain::Contested { imported }) => assert!(imported >= WattHours(0)),
        Some(OnChain::Closing { due }) => assert!(due.0 >= 0),
        Some(OnChain::HolderNamed { .. } | OnChain::Reopened) | None => {}
    }
    let sums = settled.map(|s| [s.off_peak, s.peak, s.feed_in]);
    assert!(sums.is_none_or(|sums| sums.iter().all(|sum| *sum >= WattHours(0))), "{settled:?}");
}

fn views(chain: &Answers) {
    let at = Address::repeat_byte(1);
    let one = provider::account(chain, at, 1).map(|account| vec![account]);
    for (asked, accounts) in
        [(1, one), (3, provider::accounts(chain, at, &[1, 2, 3])), (0, provider::accounts(chain, at, &[]))]
    {
        let Ok(accounts) = accounts else { continue };
        assert_eq!(accounts.len(), asked);
        for account in accounts {
            for register in [account.off_peak, account.peak, account.feed_in] {
                assert!(register.as_register().is_some(), "{account:?}");
            }
        }
    }
    if let Ok(totals) = provider::totals(chain, at) {
        assert!([totals.paid_in, totals.withdrawn, totals.owed].iter().all(|sum| *sum >= Money::ZERO), "{totals:?}");
    }
    let _ = (provider::next_sequence(chain, at, at), provider::is_settler(chain, at, at), provider::tariff(chain, at));
    let _ = (provider::available(chain, at), provider::low_at(chain, at));
    let _ = (provider::wei_per_unit(chain, at), provider::owner(chain, at), provider::name_of(chain, at, 1));
    assert_ne!(provider::number_of(chain, at, B256::ZERO), Ok(Some(0)));
    let _ = (provider::terms(chain, at), provider::phase_now(chain, at), provider::next_record(chain, at, at));
    assert!(provider::claimable(chain, at, at).is_ok_and(|units| units < Money::ZERO).not());
    assert!(provider::members(chain, at).is_ok_and(|members| members.len() > usize::from(u8::MAX)).not());
    if let Ok(Some(member)) = provider::member_of(chain, at, at) {
        assert!(member.seen.as_register().is_some() && member.account != Some(0), "{member:?}");
    }
    assert!(provider::holder_of(chain, at, 1).is_ok_and(|h| h.is_some_and(|(who, _)| who == Address::ZERO)).not());
    assert!(provider::contest_of(chain, at, 1).is_ok_and(|c| c.is_some_and(|c| c.imported < WattHours(0))).not());
    let _ = (
        operator::roles_of(chain, at, at),
        operator::point_of(chain, at, B256::ZERO),
        operator::meter_at(chain, at, at),
    );
    let (reading, seal) = (operator::Reading::default(), [0; 65]);
    let imported = operator::imported_by(chain, at, at, 1, &reading, &seal);
    assert!(imported.is_ok_and(|wh| wh < WattHours(0)).not());
    if let Some(steps) = provider::Steps::unpack(&chain.0) {
        assert_eq!(steps.pack(), chain.0, "another spelling of the same steps");
    }
}

/// A chain that answers every call with these bytes, and nothing else.
struct Answers(Vec<u8>);

impl Chain for Answers {
    fn call(&self, _: Address, _: &Call) -> Result<Vec<u8>, ChainError> {
        Ok(self.0.clone())
    }

    fn chain_id(&self) -> Result<u64, ChainError> {
        unreachable!("views call")
    }

    fn head(&self) -> Result<Head, ChainError> {
        unreachable!("views call")
    }

    fn nonce(&self, _: Address) -> Result<u64, ChainError> {
        unreachable!("views call")
    }

    fn balance(&self, _: Address) -> Result<U256, ChainError> {
        unreachable!("views call")
    }

    fn fees(&self) -> Result<Fees, ChainError> {
        unreachable!("views call")
    }

    fn estimate_gas(&self, _: Address, _: &Call) -> Result<u64, ChainError> {
        unreachable!("views call")
    }

    fn send(&self, _: &[u8]) -> Result<B256, ChainError> {
        unreachable!("views call")
    }

    fn receipt(&self, _: B256) -> Result<Option<Receipt>, ChainError> {
        unreachable!("views call")
    }

    fn block_hash(&self, _: u64) -> Result<Option<B256>, ChainError> {
        unreachable!("views call")
    }

    fn code(&self, _: Address) -> Result<Vec<u8>, ChainError> {
        unreachable!("views call")
    }

    fn logs(&self, _: &LogFilter) -> Result<Vec<Log>, ChainError> {
        unreachable!("views call")
    }
}
