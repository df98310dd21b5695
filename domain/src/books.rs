//! Double entry: every movement of money takes from one book what it gives to others, and the books of an account add up
//! to nothing at any time.

use crate::{Debit, Line, Money};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The books of one account. Positive is what stands to the book's credit: in [`Book::Balance`], what the customer may
/// still use; in a book of charges, what was earned; in a book of sources, negative, what came from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Book {
    /// The customer's credit; negative is use beyond it.
    Balance,
    /// What the customer owes and pays back by and by, as a negative number.
    Debt,
    /// Source: coin paid into the contract.
    Deposits,
    /// Source: cash, vouchers and tokens taken by the operator.
    Cash,
    /// Charged for energy.
    Energy,
    /// Charged for the network operator.
    Network,
    /// Charged for demand.
    Demand,
    /// Charged by the day.
    Daily,
    /// Charged as tax.
    Tax,
    /// Paid for exported energy, as a negative number.
    FeedIn,
    /// Paid out of what the pool earned, as a negative number.
    Pool,
    /// Paid back to the customer.
    Refunds,
    /// Given (negative) or taken back (positive) by the operator without payment.
    Adjustments,
    /// Lent to the customer otherwise than as credit, such as a device.
    Lent,
    /// Paid out by the contract to the account's holder, who left.
    PaidOut,
    /// Given back by the contract, as a negative number: the meter's own signed word was less than what was billed.
    Overturned,
}

/// How many there are.
pub const BOOKS: usize = 16;

impl Book {
    /// All of them, in the order in which they are kept.
    pub const ALL: [Self; BOOKS] = [
        Self::Balance,
        Self::Debt,
        Self::Deposits,
        Self::Cash,
        Self::Energy,
        Self::Network,
        Self::Demand,
        Self::Daily,
        Self::Tax,
        Self::FeedIn,
        Self::Pool,
        Self::Refunds,
        Self::Adjustments,
        Self::Lent,
        Self::PaidOut,
        Self::Overturned,
    ];
}

/// A movement between the books of one account, which adds up to nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry([Money; BOOKS]);

impl Entry {
    /// Moves `amount` from one book to another. `None` if the entry would hold what is no amount.
    #[must_use]
    pub fn and(mut self, from: Book, to: Book, amount: Money) -> Option<Self> {
        self.0[from as usize] = self.0[from as usize].checked_sub(amount)?;
        self.0[to as usize] = self.0[to as usize].checked_add(amount)?;
        Some(self)
    }

    /// One movement.
    #[must_use]
    pub fn of(from: Book, to: Book, amount: Money) -> Option<Self> {
        Self::default().and(from, to, amount)
    }

    /// A line of a bill.
    #[must_use]
    pub fn line(line: &Line) -> Option<Self> {
        let Debit { energy, network, demand, daily, tax } = line.debit;
        let source = if line.kind == crate::Kind::PoolShare { Book::Pool } else { Book::FeedIn };
        Self::of(Book::Balance, Book::Energy, energy)?
            .and(Book::Balance, Book::Network, network)?
            .and(Book::Balance, Book::Demand, demand)?
            .and(Book::Balance, Book::Daily, daily)?
            .and(Book::Balance, Book::Tax, tax)?
            .and(source, Book::Balance, line.credit)
    }

    /// Money that came in, of which `debt` pays back debt.
    #[must_use]
    pub fn paid_in(source: Book, amount: Money, debt: Money) -> Option<Self> {
        Self::of(source, Book::Balance, amount)?.and(Book::Balance, Book::Debt, debt)
    }

    /// What it does to a book.
    #[must_use]
    pub fn to(&self, book: Book) -> Money {
        self.0[book as usize]
    }

    /// Both together.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Option<Self> {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine = mine.checked_add(theirs)?;
        }
        Some(self)
    }
}

/// The books of one account as they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Books(Entry);

impl Books {
    /// The books with these contents, in the order of [`Book::ALL`]; `None` unless they add up to nothing.
    #[must_use]
    pub fn new(contents: [Money; BOOKS]) -> Option<Self> {
        let sum: i128 = contents.iter().map(|m| i128::from(m.0)).sum();
        (sum == 0).then_some(Self(Entry(contents)))
    }

    /// Enters a movement; `None`, and nothing entered, if a book would overflow.
    #[must_use]
    pub fn enter(self, entry: &Entry) -> Option<Self> {
        self.0.plus(entry).map(Self)
    }

    /// What stands in a book.
    #[must_use]
    pub fn get(&self, book: Book) -> Money {
        self.0.to(book)
    }

    /// Everything that was charged.
    #[must_use]
    pub fn debited(&self) -> Money {
        let charged = [Book::Energy, Book::Network, Book::Demand, Book::Daily, Book::Tax];
        Money(charged.iter().map(|b| self.get(*b).0).sum())
    }

    /// Everything that was paid in.
    #[must_use]
    pub fn paid_in(&self) -> Money {
        Money(-(self.get(Book::Deposits).0 + self.get(Book::Cash).0))
    }

    /// What moved on the chain without our doing: deposits less what was paid out, and what was given back there.
    #[must_use]
    pub fn on_chain(&self) -> Option<Money> {
        let moved = [Book::Deposits, Book::PaidOut, Book::Overturned];
        let sum = moved.iter().try_fold(Money::ZERO, |sum, book| sum.checked_add(self.get(*book)))?;
        Money::ZERO.checked_sub(sum)
    }

    /// The part of the balance that did not come about on the chain itself: what settlement has to tell it.
    #[must_use]
    pub fn off_chain(&self) -> Option<Money> {
        self.get(Book::Balance).checked_sub(self.on_chain()?)
    }
}

/// Where money that was paid in came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Source {
    /// A deposit to the contract.
    Chain {
        /// The transaction that carried it, as hex.
        transaction: String,
        /// Which of that transaction's deposits, from 0.
        ordinal: u32,
    },
    /// Cash that the operator took.
    Cash {
        /// The operator's own number for it; never used twice.
        reference: String,
        /// Who took it.
        who: String,
    },
    /// A voucher; its number is never used twice.
    Voucher {
        /// Its number.
        number: String,
        /// Who had signed it.
        who: String,
    },
    /// A token typed by the customer.
    Token {
        /// Which of the account's tokens.
        count: u64,
    },
}

impl Source {
    /// The book that it came from.
    #[must_use]
    pub fn book(&self) -> Book {
        match self {
            Self::Chain { .. } => Book::Deposits,
            Self::Cash { .. } | Self::Voucher { .. } | Self::Token { .. } => Book::Cash,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain { transaction, .. } => write!(f, "a deposit in {transaction}"),
            Self::Cash { reference, who } => write!(f, "cash {reference} taken by {who}"),
            Self::Voucher { number, who } => write!(f, "voucher {number} of {who}"),
            Self::Token { count } => write!(f, "token {count}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_top_up_pays_debt_back_and_the_rest_is_credit() {
        let lent = Entry::of(Book::Debt, Book::Lent, Money(500)).unwrap();
        let paid = Entry::paid_in(Book::Cash, Money(100), Money(30)).unwrap();
        let books = Books::default().enter(&lent).and_then(|b| b.enter(&paid)).unwrap();
        assert_eq!((books.get(Book::Debt), books.get(Book::Balance)), (Money(-470), Money(70)));
        assert_eq!(books.paid_in(), Money(100));
    }

    #[test]
    fn books_that_do_not_add_up_are_no_books() {
        let mut contents = [Money::ZERO; BOOKS];
        contents[0] = Money(1);
        assert_eq!(Books::new(contents), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]
        /// A million and more random movements: paid in = balance + charged + paid back, and so on, always.
        #[test]
        fn whatever_is_entered_the_books_add_up_to_nothing(
            moves in prop::collection::vec((0..BOOKS, 0..BOOKS, -1_000_000_000_000_i64..1_000_000_000_000), 1..1_000),
        ) {
            let mut books = Books::default();
            for (from, to, amount) in moves {
                let entry = Entry::of(Book::ALL[from], Book::ALL[to], Money(amount)).unwrap();
                books = books.enter(&entry).unwrap();
                prop_assert_eq!(Book::ALL.iter().map(|b| books.get(*b).0).sum::<i64>(), 0);
            }
            let due = books.get(Book::Balance).0 + books.debited().0 + books.get(Book::Refunds).0
                + books.get(Book::Debt).0 + books.get(Book::FeedIn).0 + books.get(Book::Pool).0
                + books.get(Book::Adjustments).0 + books.get(Book::Lent).0 + books.get(Book::PaidOut).0
                + books.get(Book::Overturned).0;
            prop_assert_eq!(books.off_chain().unwrap().0 + books.on_chain().unwrap().0, books.get(Book::Balance).0);
            prop_assert_eq!(books.paid_in().0, due);
        }

        #[test]
        fn an_amount_that_cannot_be_represented_enters_nothing(a in any::<i64>(), b in any::<i64>()) {
            let books = Entry::of(Book::Deposits, Book::Balance, Money(a)).and_then(|e| Books::default().enter(&e));
            if let Some(books) = books
                && let Some(next) = Entry::of(Book::Deposits, Book::Balance, Money(b)).and_then(|e| books.enter(&e))
            {
                prop_assert_eq!(i128::from(next.get(Book::Balance).0), i128::from(a) + i128::from(b));
            }
        }
    }
}
