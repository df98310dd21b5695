//! What can be written, and what comes back.

use crate::outbox::{Attempt, Batch, Deposit, Purpose};
use domain::{AccountId, Fact, MeterBook, MeterId, Piece, Reading, Seq};

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
    /// Something is to happen on the chain.
    Queue(Purpose),
    /// Snapshot the registers that moved since the last batch into a new one, unless one is still open.
    MakeBatch {
        /// The sequence number that the contract takes next.
        sequence: u64,
        /// At most this many accounts.
        most: u32,
        /// Tariff version that priced them.
        tariff_version: u32,
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
    /// Where billing of a meter began, for those whose first reading is among these.
    pub started: Vec<MeterBook>,
    /// How far each meter has come.
    pub books: Vec<MeterBook>,
    /// What is billed.
    pub pieces: Vec<(MeterId, Piece)>,
    /// Length of a billing interval in milliseconds: pieces of one interval share a row.
    pub interval_ms: i64,
    /// Facts that follow, such as a meter that is held.
    pub facts: Vec<Fact>,
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
    pub accounts: Vec<AccountId>,
    /// All meters, with the account that pays for each; a feeder meter has none.
    pub meters: Vec<(MeterId, Option<AccountId>)>,
}
