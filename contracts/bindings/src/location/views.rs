//! What the contract answers.

use super::{Terms, Verdict, of};
use crate::abi::{Reader, ask, function};
use crate::chain::{Chain, ChainError};
use crate::{Address, B256, U256};

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Provers apply, and reveal their numbers.
    Open,
    /// They are drawn, and measure.
    Drawn,
    /// There is a verdict.
    Done,
    /// There were too few provers.
    Void,
}

/// A proof of location in the making. Times in seconds since 1970; sets of applicants are bit by bit, by place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who pays.
    pub requester: Address,
    /// Whose place is to be proven.
    pub meter: Address,
    /// How far it is.
    pub state: State,
    /// Until when provers apply.
    pub apply_until: u64,
    /// Until when numbers are revealed.
    pub reveal_until: u64,
    /// Until when distances are committed; zero before the draw.
    pub measure_until: u64,
    /// How many applied.
    pub applicants: u8,
    /// How many of the drawn have committed a distance.
    pub measured: u8,
    /// How many have revealed it.
    pub opened: u8,
    /// How many of those heard anything.
    pub heard: u8,
    /// Where the meter is said to stand, in millimetres from the site's origin.
    pub claim: (i32, i32),
    /// The block whose hash draws; zero before.
    pub pinned: u64,
    /// Who revealed its number.
    pub revealed: u64,
    /// Who was drawn.
    pub chosen: u64,
    /// Whose distance was dropped.
    pub dropped: u64,
    /// What came out.
    pub verdict: Verdict,
    /// From the draw on what beacons follow from.
    pub seed: B256,
    /// Whether the operator committed a number and has not revealed it.
    pub pledged: bool,
}

/// How far an applicant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It applied.
    Applied,
    /// It revealed its number.
    Revealed,
    /// It committed a distance.
    Measured,
    /// It revealed it.
    Opened,
    /// It had credited what it had coming.
    Paid,
}

/// Who applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applicant {
    /// The prover.
    pub who: Address,
    /// Its place relative to the claim, in millimetres.
    pub x: i32,
    /// Its place relative to the claim, in millimetres.
    pub y: i32,
    /// What it measured, in millimetres; zero if nothing.
    pub distance: u32,
    /// How far it is.
    pub step: Step,
    /// What it committed to last.
    pub hash: B256,
}

/// Where a prover stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Millimetres from the site's origin, east and north; `None` if it may not apply.
    pub place: Option<(i32, i32)>,
    /// The last request for which it applied.
    pub last: u64,
}

/// The last clear verdict on a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What it said; unclear if there was none.
    pub verdict: Verdict,
    /// When.
    pub time: u64,
    /// Of which request.
    pub id: u64,
}

/// An `int32` or narrower.
fn int(words: &Reader<'_>, index: usize) -> Option<i32> {
    i32::try_from(words.int(index)?).ok()
}

/// A request; `None` if there is none of this number.
///
/// # Errors
/// Those of the chain.
pub fn request_of(chain: &dyn Chain, verifier: Address, id: u64) -> Result<Option<Request>, ChainError> {
    ask(chain, verifier, function("requestOf(uint64)", 1).uint(of(id)), |w| {
        let state = match w.number::<u8>(2)? {
            0 => return Some(None),
            1 => State::Open,
            2 => State::Drawn,
            3 => State::Done,
            4 => State::Void,
            _ => return None,
        };
        Some(Some(Request {
            requester: w.address(0)?,
            apply_until: w.number(1)?,
            state,
            applicants: w.number(3)?,
            measured: w.number(4)?,
            opened: w.number(5)?,
            heard: w.number(6)?,
            meter: w.address(7)?,
            reveal_until: w.number(8)?,
            measure_until: w.number(9)?,
            claim: (int(w, 10)?, int(w, 11)?),
            pinned: w.number(12)?,
            revealed: w.number(13)?,
            chosen: w.number(14)?,
            dropped: w.number(15)?,
            verdict: Verdict::of(w.number(16)?)?,
            seed: w.word(17)?,
            pledged: w.word(18)? != B256::ZERO,
        }))
    })
}

/// An applicant, by place; `None` if nobody has it.
///
/// # Errors
/// Those of the chain.
pub fn applicant_of(chain: &dyn Chain, verifier: Address, id: u64, place: u8) -> Result<Option<Applicant>, ChainError> {
    let data = function("applicantOf(uint64,uint8)", 2).uint(of(id)).uint(U256::from(place));
    ask(chain, verifier, data, |w| {
        let step = match w.number::<u8>(4)? {
            0 => return Some(None),
            1 => Step::Applied,
            2 => Step::Revealed,
            3 => Step::Measured,
            4 => Step::Opened,
            5 => Step::Paid,
            _ => return None,
        };
        let (x, y, distance) = (int(w, 1)?, int(w, 2)?, w.number(3)?);
        Some(Some(Applicant { who: w.address(0)?, x, y, distance, step, hash: w.word(5)? }))
    })
}

/// Where a prover stands.
///
/// # Errors
/// Those of the chain.
pub fn anchor_of(chain: &dyn Chain, verifier: Address, prover: Address) -> Result<Anchor, ChainError> {
    ask(chain, verifier, function("anchorOf(address)", 1).address(prover), |w| {
        let place = (int(w, 0)?, int(w, 1)?);
        Some(Anchor { place: w.bool(2)?.then_some(place), last: w.number(3)? })
    })
}

/// The last clear verdict on a meter.
///
/// # Errors
/// Those of the chain.
pub fn standing_of(chain: &dyn Chain, verifier: Address, meter: Address) -> Result<Standing, ChainError> {
    ask(chain, verifier, function("standingOf(address)", 1).address(meter), |w| {
        Some(Standing { verdict: Verdict::of(w.number(0)?)?, time: w.number(1)?, id: w.number(2)? })
    })
}

/// How many requests there were.
///
/// # Errors
/// Those of the chain.
pub fn requests(chain: &dyn Chain, verifier: Address) -> Result<u64, ChainError> {
    ask(chain, verifier, function("requests()", 0), |w| w.number(0))
}

/// How many requests of a meter were used: the number to sign next.
///
/// # Errors
/// Those of the chain.
pub fn asked(chain: &dyn Chain, verifier: Address, meter: Address) -> Result<u64, ChainError> {
    ask(chain, verifier, function("asked(address)", 1).address(meter), |w| w.number(0))
}

/// What somebody may collect, in wei.
///
/// # Errors
/// Those of the chain.
pub fn owing(chain: &dyn Chain, verifier: Address, who: Address) -> Result<U256, ChainError> {
    ask(chain, verifier, function("owing(address)", 1).address(who), |w| w.uint(0))
}

/// What was agreed when the contract was made.
///
/// # Errors
/// Those of the chain.
pub fn terms(chain: &dyn Chain, verifier: Address) -> Result<Terms, ChainError> {
    ask(chain, verifier, function("terms()", 0), |w| {
        let wei = |i| w.uint(i).and_then(|v| u128::try_from(v).ok());
        let mut left = [0; 13];
        for (i, limit) in left.iter_mut().enumerate() {
            *limit = w.number(12 + i)?;
        }
        Some(Terms {
            registry: w.address(0)?,
            sink: w.address(1)?,
            provers: w.number(2)?,
            deposit: wei(3)?,
            reward: wei(4)?,
            range: w.number(5)?,
            apply: w.number(6)?,
            reveal: w.number(7)?,
            measure: w.number(8)?,
            open: w.number(9)?,
            off: w.number(10)?,
            reach: w.number(11)?,
            left,
        })
    })
}
