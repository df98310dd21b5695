//! What a contract does with an account when somebody other than its gateway asks it to.

use crate::{Book, Entry, Money, TariffRegisters, Timestamp, WattHours};
use serde::{Deserialize, Serialize};

/// An event of a contract that concerns one account and that no gateway caused, apart from deposits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum OnChain {
    /// The account has a holder, to whom refunds go, or another one.
    HolderNamed {
        /// The holder's address, as hex.
        holder: String,
    },
    /// The account was closed: nothing more can be paid in.
    Closing {
        /// From when what is left can be paid out.
        due: Timestamp,
    },
    /// An account that was closed goes on.
    Reopened,
    /// What was left was paid out to the holder.
    PaidOut {
        /// The holder's address, as hex.
        to: String,
        /// How much.
        amount: Money,
    },
    /// The holder says that too much was billed.
    Contested {
        /// Imported energy billed until then.
        imported: WattHours,
    },
    /// A reading that the meter signed has shown that it was.
    Overturned {
        /// By how much at least.
        excess: WattHours,
        /// How much of it was taken off the peak register; the ledger fills it in.
        from_peak: WattHours,
        /// What was given back for it.
        amount: Money,
    },
}

impl OnChain {
    /// Whether it means anything for money.
    #[must_use]
    pub fn moves_money(&self) -> bool {
        matches!(self, Self::PaidOut { .. } | Self::Overturned { .. })
    }

    /// What it means for money; `None` if it means nothing, or what is no amount.
    #[must_use]
    pub fn entry(&self) -> Option<Entry> {
        match self {
            Self::PaidOut { amount, .. } => Entry::of(Book::Balance, Book::PaidOut, *amount),
            Self::Overturned { amount, .. } => Entry::of(Book::Overturned, Book::Balance, *amount),
            _ => None,
        }
    }

    /// The entry that undoes it.
    #[must_use]
    pub fn undone(&self) -> Option<Entry> {
        match self {
            Self::PaidOut { amount, .. } => Entry::of(Book::PaidOut, Book::Balance, *amount),
            Self::Overturned { amount, .. } => Entry::of(Book::Balance, Book::Overturned, *amount),
            _ => None,
        }
    }

    /// By how much it set the contract's registers back.
    #[must_use]
    pub fn set_back(&self) -> TariffRegisters {
        match self {
            Self::Overturned { excess, from_peak, .. } => TariffRegisters {
                off_peak: WattHours(excess.0.saturating_sub(from_peak.0)),
                peak: *from_peak,
                feed_in: WattHours::ZERO,
            },
            _ => TariffRegisters::default(),
        }
    }

    /// Whether the contract says the same with both: where the ledger took the energy from does not count.
    #[must_use]
    pub fn is_same_event(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Overturned { excess, amount, .. }, Self::Overturned { excess: e, amount: a, .. }) => {
                (excess, amount) == (e, a)
            }
            _ => self == other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Books;
    use proptest::prelude::*;

    fn events() -> impl Strategy<Value = OnChain> {
        let amounts = || (0..1_i64 << 60).prop_map(Money);
        prop_oneof![
            amounts().prop_map(|amount| OnChain::PaidOut { to: "0x1".into(), amount }),
            (amounts(), 0..1_i64 << 40, 0..1_i64 << 40).prop_map(|(amount, a, b)| OnChain::Overturned {
                excess: WattHours(a.max(b)),
                from_peak: WattHours(a.min(b)),
                amount
            }),
            Just(OnChain::Reopened),
        ]
    }

    proptest! {
        #[test]
        fn what_is_undone_leaves_the_books_as_they_were_and_settlement_is_told_nothing(event in events()) {
            let books = Books::default();
            let after = event.entry().map_or(Some(books), |e| books.enter(&e)).unwrap();
            prop_assert_eq!(after.off_chain(), Some(Money::ZERO));
            let back = event.undone().map_or(Some(after), |e| after.enter(&e)).unwrap();
            prop_assert_eq!(back, books);
            let registers = event.set_back();
            prop_assert!(registers.off_peak >= WattHours::ZERO && registers.peak >= WattHours::ZERO);
        }
    }
}
