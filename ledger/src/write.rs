//! What can be written, and what comes back.

use crate::codes::TokenUse;
use crate::on_chain::{Adopted, Happened};
use crate::outbox::{Attempt, Batch, Deposit, Purpose};
use crate::reorg::Anchor;
use crate::rounds::Round;
use domain::dispatch::Injected;
use domain::{
    AccountId, Biller, Fact, Kind, Line, MeterBook, MeterId, Money, NotReplaced, Part, Permille, Reading,
    RegisterPrices, Replacement, Seq, Source, Step, Timestamp, Usage,
};
use std::collections::BTreeMap;

/// One write. A group of them is one transaction; a write that is refused is left out of it alone.
#[derive(Clone, Debug)]
pub enum Write {
    /// What meters said.
    Readings(Vec<Reading>),
    /// Something happened; the tables of present state follow it.
    Fact(Fact),
    /// What the Pricer made of the readings after its cursor.
    Priced(Priced),
    /// Deposits seen on the chain up to and including a block; those already booked are skipped.
    Deposits {
        /// The block up to which logs were read.
        upto_block: u64,
        /// What was found.
        deposits: Vec<Deposit>,
    },
    /// The chain took back a deposit for good. Should it come again, it counts again.
    DepositGone {
        /// The transaction, as hex with 0x.
        transaction: String,
        /// Which of that transaction's deposits it was.
        ordinal: u32,
    },
    /// Something happened to an account on the chain without this gateway; what is recorded already is not recorded
    /// again.
    Happened(Happened),
    /// The chain took such an event back. Should it come again, it counts again.
    HappenedNot {
        /// The transaction, as hex with 0x.
        transaction: String,
        /// Which of that transaction's events it was.
        ordinal: u32,
    },
    /// What the chain has of accounts that were in doubt: the next batch begins there.
    Adopt(Vec<Adopted>),
    /// Deposits are read again from the block after this one on.
    DepositsAgain {
        /// The last block that counts as read.
        upto_block: u64,
    },
    /// A customer paid in otherwise than by a deposit. The number of the cash, voucher or token counts once.
    TopUp {
        /// Whose account.
        account: AccountId,
        /// How much; more than nothing.
        amount: Money,
        /// Where it came from.
        source: Source,
    },
    /// A token that a customer typed, and what it is worth. It counts once.
    Token(TokenUse),
    /// A voucher or token that is none: no other is looked at for a while.
    WrongCode {
        /// For which account.
        account: AccountId,
        /// Who tried.
        by: String,
    },
    /// Money paid back to a customer.
    Refund {
        /// Whose account.
        account: AccountId,
        /// How much; more than nothing.
        amount: Money,
        /// The operator's own number for it; never used twice.
        reference: String,
        /// Who paid it out.
        who: String,
        /// Whether it may be more than the balance.
        force: bool,
    },
    /// Something is to happen on the chain.
    Queue(Purpose),
    /// Snapshot the registers that moved since the last batch into a new one, unless one is still open.
    MakeBatch {
        /// The sequence number that the contract takes next.
        sequence: u64,
        /// At most this many accounts.
        most: u32,
        /// The contract's version of its prices.
        tariff_version: u32,
        /// The contract's prices.
        prices: RegisterPrices,
    },
    /// A signed transaction, recorded before it is sent.
    Attempt(Attempt),
    /// An intent is done with: final on the chain, or refused for good.
    Conclude {
        /// Which intent.
        intent: i64,
        /// Transaction hash and block, if it is on the chain.
        mined: Option<(String, u64)>,
        /// What was wrong, if it will never be.
        problem: Option<String>,
        /// Facts that follow from it, recorded with it.
        facts: Vec<Fact>,
    },
    /// The block of an intent that is concluded next in the same group: if the chain takes it back, the intent can be
    /// opened again.
    Anchor(Anchor),
    /// The chain took back the block of this intent: it is open again, and with it all that were concluded after it.
    Reopen {
        /// The oldest of them.
        from: i64,
    },
    /// Accounts with these numbers, thought to be open on the chain, are not: they are opened again.
    NotOpen(Vec<u32>),
    /// The chain has settled batches up to and including `upto` that this ledger, put back from a copy, never saw: what it
    /// says of the accounts counts from here on.
    CatchUp {
        /// The newest of those batches.
        upto: u64,
        /// What the chain says.
        accounts: Vec<Adopted>,
    },
    /// A plan that is to be judged on the chain; one for an interval that has one already is left out.
    Round(Box<Round>),
    /// A small setting of the gateway itself, such as the address of its contract.
    Meta(String, String),
}

/// The Pricer's result for all readings in (`after`, `upto`].
#[derive(Clone, Debug)]
pub struct Priced {
    /// Where the cursor must stand now; otherwise somebody has billed these readings already.
    pub after: Seq,
    /// Where it stands afterwards.
    pub upto: Seq,
    /// Where billing of a meter, or of its export register, began, for those whose first reading is among these.
    pub started: Vec<MeterBook>,
    /// How far each meter has come.
    pub books: Vec<MeterBook>,
    /// What is billed.
    pub lines: Vec<(AccountId, Line)>,
    /// What each account has used.
    pub usages: Vec<(AccountId, Usage)>,
    /// What accounts did in intervals that the pool has not shared out yet, where that changed.
    pub pool: Vec<(Timestamp, AccountId, Part)>,
    /// What meters under a dispatch have fed in of intervals that are not over.
    pub injected: BTreeMap<MeterId, Injected>,
    /// Facts that follow, such as a meter that is held.
    pub facts: Vec<Fact>,
}

impl Priced {
    /// Another device in the place of a meter, when everything up to `after` is billed.
    ///
    /// # Errors
    /// Says why it cannot be.
    pub fn replaced(mut biller: Biller, after: Seq, change: Replacement, by: &str) -> Result<Self, NotReplaced> {
        biller.reached(after);
        let done = biller.replace(&change)?;
        let account = biller.account_of(&change.meter).cloned();
        let lines = done.lines.into_iter().filter_map(|line| Some((account.clone()?, line))).collect();
        let mut priced = Self::of(&biller, after, after);
        // The old device's book is closed before the new one's is opened.
        (priced.started, priced.lines) = (vec![done.closed], lines);
        priced.facts = vec![Fact::MeterReplaced { change, upto: after, by: by.to_owned() }];
        Ok(priced)
    }

    /// What a biller has come to, without lines and facts.
    fn of(biller: &Biller, after: Seq, upto: Seq) -> Self {
        let pool = biller.pool().touched().map(|(interval, account, part)| (*interval, account.clone(), part));
        Self {
            after,
            upto,
            pool: pool.collect(),
            started: Vec::new(),
            books: biller.books().cloned().collect(),
            lines: Vec::new(),
            injected: biller.injected().clone(),
            usages: biller.usages().map(|(account, usage)| (account.clone(), usage)).collect(),
            facts: Vec::new(),
        }
    }

    /// Bills these readings, which follow `after` in the journal. `seen` is told what each came to.
    pub fn by(
        mut biller: Biller,
        after: Seq,
        readings: &[(Seq, Reading)],
        mut seen: impl FnMut(Seq, &Reading, &Step),
    ) -> Self {
        let (mut started, mut lines, mut facts) = (Vec::new(), Vec::new(), Vec::new());
        for (seq, reading) in readings {
            let exports = |biller: &Biller| biller.book_of(&reading.meter).is_some_and(|b| b.export.is_some());
            let exported = exports(&biller);
            biller.reached(*seq);
            let step = biller.bill(reading);
            seen(*seq, reading, &step);
            match step {
                Step::Advanced(billed) => {
                    // A register that appears begins to count here, however far it comes among these readings.
                    if !exported && exports(&biller) {
                        started.extend(biller.book_of(&reading.meter).cloned());
                    }
                    if let Some(account) = biller.account_of(&reading.meter) {
                        facts.extend(billed.iter().filter_map(|line| withheld(account, line)));
                        lines.extend(billed.into_iter().map(|line| (account.clone(), line)));
                    }
                }
                Step::Held(doubt) => facts.push(Fact::MeterHeld { meter: reading.meter.clone(), doubt, upto: None }),
                Step::Started => started.extend(biller.book_of(&reading.meter).cloned()),
                Step::Nothing | Step::Doubted(..) => {}
            }
        }
        let upto = readings.last().map_or(after, |(seq, _)| *seq);
        if let Some(until) = biller.pool_due() {
            let shares = biller.close_pool(until);
            let amount = Money(shares.iter().map(|(_, line)| line.credit.0).sum());
            facts.push(Fact::PoolShared { until, upto, amount });
            lines.extend(shares);
        }
        Self { started, lines, facts, ..Self::of(&biller, after, upto) }
    }
}

/// What a line that withholds pay tells the customer.
fn withheld(account: &AccountId, line: &Line) -> Option<Fact> {
    let meter = line.meter.clone().filter(|_| line.kind == Kind::Withheld)?;
    let (interval, amount) = (line.interval, Money(line.credit.0.checked_neg()?));
    let (dispatched, metered) = (line.import_from, line.export_from);
    Some(Fact::PayWithheld { account: account.clone(), meter, interval, dispatched, metered, amount })
}

/// What a write came to.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Recorded; the last sequence number it was given (unchanged if it had nothing to record).
    Recorded(Seq),
    /// The intent that was queued.
    Queued(i64),
    /// The batch that was made, if any register had moved.
    Batch(Option<Batch>),
}

/// Who is there: enrolled once at start, before anything is recorded about them.
#[derive(Clone, Debug, Default)]
pub struct Enrolment {
    /// All accounts.
    pub accounts: Vec<Enrolled>,
    /// All meters, with the account that pays for each; a feeder meter has none.
    pub meters: Vec<(MeterId, Option<AccountId>)>,
}

/// An account that is there.
#[derive(Clone, Debug)]
pub struct Enrolled {
    /// Its name.
    pub id: AccountId,
    /// The share of what is paid in that goes to debt, while there is debt.
    pub debt_share: Permille,
}
