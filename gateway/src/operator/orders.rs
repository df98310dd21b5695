//! Money that an operator moves, once for each reference.

use super::{NotDone, Prepared, Then};
use domain::{AccountId, Currency, Fact, Money, Source};
use ledger::{NumberKind, Write};

/// The longest reference and reason.
const LONGEST: usize = 200;

/// How money moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Cash taken from the customer.
    Cash,
    /// Paid back to the customer.
    Refund {
        /// Also more than the balance.
        force: bool,
    },
    /// Given without payment, or taken back.
    Adjust {
        /// Why.
        why: String,
    },
    /// Owed from now on.
    Lend {
        /// What for.
        why: String,
        /// Given as credit.
        as_credit: bool,
    },
}

/// Money to move.
#[derive(Clone, Debug)]
pub struct Order {
    /// Whose account.
    pub account: AccountId,
    /// How much.
    pub amount: Money,
    /// The operator's number for it.
    pub reference: String,
    /// Who does it.
    pub who: String,
    /// How.
    pub act: Act,
}

impl Order {
    /// An order from what was typed; all that is wrong with it is said at once.
    pub fn new(
        account: &str,
        amount: &str,
        reference: &str,
        who: &str,
        act: Act,
        currency: &Currency,
    ) -> Result<Self, NotDone> {
        let mut wrong = Vec::new();
        let id: Option<AccountId> = account.parse().map_err(|e: domain::BadId| wrong.push(e.to_string())).ok();
        let signed =
            if matches!(act, Act::Adjust { .. }) { amount.strip_prefix('+').unwrap_or(amount) } else { amount };
        let money = currency.parse(signed).map_err(|e| wrong.push(e)).ok();
        match (money, &act) {
            (Some(Money::ZERO), _) => wrong.push("an amount of nothing moves nothing".into()),
            (Some(money), Act::Cash | Act::Refund { .. } | Act::Lend { .. }) if money < Money::ZERO => {
                wrong.push(format!("{amount:?} is less than nothing"));
            }
            _ => {}
        }
        let why = match &act {
            Act::Adjust { why } | Act::Lend { why, .. } => Some(("the reason", why.as_str())),
            Act::Cash | Act::Refund { .. } => None,
        };
        for (name, text) in [("the reference", reference)].into_iter().chain(why) {
            if text.trim().is_empty() {
                wrong.push(format!("{name} is empty"));
            } else if text.len() > LONGEST || text.chars().any(char::is_control) {
                wrong.push(format!("{name} must be one line of at most {LONGEST} bytes"));
            }
        }
        match (id, money) {
            (Some(account), Some(amount)) if wrong.is_empty() => {
                Ok(Self { account, amount, reference: reference.trim().to_owned(), who: who.to_owned(), act })
            }
            _ => Err(NotDone::Wrong(wrong.join("; "))),
        }
    }

    fn kind(&self) -> NumberKind {
        match self.act {
            Act::Cash => NumberKind::Cash,
            Act::Refund { .. } => NumberKind::Refund,
            Act::Adjust { .. } => NumberKind::Adjustment,
            Act::Lend { .. } => NumberKind::Loan,
        }
    }

    pub(super) fn prepare(&self) -> Prepared {
        let (account, amount) = (self.account.clone(), self.amount);
        let (reference, who) = (self.reference.clone(), self.who.clone());
        let write = match self.act.clone() {
            Act::Cash => Write::TopUp { account, amount, source: Source::Cash { reference, who } },
            Act::Refund { force } => Write::Refund { account, amount, reference, who, force },
            Act::Adjust { why } => Write::Fact(Fact::Adjusted { account, amount, why, reference, who }),
            Act::Lend { why, as_credit } => Write::Fact(Fact::Lent { account, amount, as_credit, why, reference, who }),
        };
        Prepared { write, then: Then::Booked(self.kind(), self.reference.clone()) }
    }

    /// Whether a fact is this order. Who did it, and in which words, is not part of what it is.
    pub(super) fn is(&self, fact: &Fact) -> bool {
        match (&self.act, fact) {
            (Act::Cash, Fact::ToppedUp { account, amount, .. })
            | (Act::Refund { .. }, Fact::Refunded { account, amount, .. })
            | (Act::Adjust { .. }, Fact::Adjusted { account, amount, .. }) => {
                (account, *amount) == (&self.account, self.amount)
            }
            (Act::Lend { as_credit, .. }, Fact::Lent { account, amount, as_credit: given, .. }) => {
                (account, *amount, given) == (&self.account, self.amount, as_credit)
            }
            _ => false,
        }
    }
}
