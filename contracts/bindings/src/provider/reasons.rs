//! Why a call reverted, in words: the custom errors of the contracts, and the two that the language itself has.

use crate::abi::{Reader, selector};
use crate::chain::quoted;
use crate::witness;

/// All custom errors of both contracts; what they call through comes back as it is. A test compares the list with the
/// ABIs.
pub(super) const ERRORS: &[&str] = &[
    "AccountClosed(uint32)",
    "AccountFed(address,uint32)",
    "BadHolder()",
    "BadLength(uint256)",
    "BadName()",
    "BadNumber()",
    "BadPayee()",
    "BadPoint()",
    "BadRoles()",
    "BadSignature()",
    "BadTerms()",
    "BadWeiPerUnit()",
    "BalanceOutOfRange(uint256)",
    "ContestOver(uint64)",
    "KeyTaken(address)",
    "LengthsDiffer()",
    "MayNotOrder(bytes32)",
    "NameTaken(bytes32)",
    "NoChallenges()",
    "NoContradiction(uint256,uint256)",
    "NoMeter()",
    "NoSuchAccount(uint32)",
    "NotAllReceived(uint256,uint256)",
    "NotAvailable(uint256,uint256)",
    "NotClosed(uint32)",
    "NotContested(uint32)",
    "NotDue(uint64)",
    "NotGateway()",
    "NotHolder()",
    "NotItsGateway(bytes32)",
    "NotMember()",
    "NotOpen(uint256)",
    "NotOwner()",
    "NotPendingOwner()",
    "NotSettler()",
    "NotTheCoin()",
    "NotWholeUnits(uint256,uint256)",
    "NothingLeft(uint32)",
    "NothingToShare()",
    "NumberTaken(uint32)",
    "Paused()",
    "PaymentFailed()",
    "PoolShares()",
    "ReadingBeforeMeter(uint64)",
    "ReadingInFuture(uint64)",
    "ReadingTooEarly(uint64)",
    "Reentered()",
    "RegisterStepsBack(uint256)",
    "TooLate(uint32)",
    "TooManyMembers()",
    "TooMuchPaidIn(uint256)",
    "WrongPhase(uint8)",
    "WrongSequence(uint64,uint64)",
    "WrongTariff(uint32,uint32)",
];

/// The reasons that the compiler itself puts into a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandardPanic(pub u64);

impl std::fmt::Display for StandardPanic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.0 {
            0x01 => "a failed assertion",
            0x11 => "arithmetic overflow",
            0x12 => "division by zero",
            0x21 => "a number that is no such enum value",
            0x32 => "an index out of bounds",
            0x41 => "too much memory asked for",
            _ => "a bug in the contract",
        };
        write!(f, "Panic({:#04x}): {what}", self.0)
    }
}

const NOTHING: &str = "no reason given";

/// The reason in revert data: `Name(arguments)` for the errors of our contracts, the text of `Error(string)`, the meaning
/// of `Panic(uint256)`, and plain hex for anything else.
#[must_use]
pub fn reason(data: &[u8]) -> String {
    let Some((id, body)) = data.split_first_chunk::<4>() else {
        return if data.is_empty() { NOTHING.into() } else { unknown(data) };
    };
    let words = Reader(body);
    if *id == selector("Error(string)") {
        return match words.bytes(0).map(|b| quoted(&String::from_utf8_lossy(b), 200)) {
            Some(text) if text.trim().is_empty() => NOTHING.into(),
            Some(text) => text,
            None => unknown(data),
        };
    }
    if *id == selector("Panic(uint256)") {
        return words.number(0).map_or_else(|| unknown(data), |code| StandardPanic(code).to_string());
    }
    let all = ERRORS.iter().chain(crate::dispatch::ERRORS).chain(crate::tou::ERRORS).chain(witness::ERRORS);
    let custom = { all }.find(|signature| *id == selector(signature));
    custom.and_then(|signature| spell(signature, &words)).unwrap_or_else(|| unknown(data))
}

fn spell(signature: &str, words: &Reader<'_>) -> Option<String> {
    let (name, types) = signature.trim_end_matches(')').split_once('(')?;
    let types = types.split(',').filter(|t| !t.is_empty());
    let arguments = types.enumerate().map(|(i, kind)| match kind {
        "bytes32" => words.word(i).map(|w| w.to_string()),
        "address" => words.address(i).map(|a| a.to_string()),
        _ => words.uint(i).map(|n| n.to_string()),
    });
    Some(format!("{name}({})", arguments.collect::<Option<Vec<_>>>()?.join(", ")))
}

fn unknown(data: &[u8]) -> String {
    let shown = data.get(..68).unwrap_or(data);
    format!("0x{}{}", hex::encode(shown), if shown.len() < data.len() { "…" } else { "" })
}
