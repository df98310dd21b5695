//! Why a call reverted, in words: the custom errors of the contracts, and the two that the language itself has.

use crate::abi::{Reader, selector};
use crate::chain::quoted;

/// All custom errors of our contracts; what they call through comes back as it is. A test compares the list with the ABIs.
const ERRORS: &[&str] = &[
    "AccountClosed(uint32)",
    "AccountFed(address,uint32)",
    "AlreadyCommitted()",
    "AlreadyMember(address)",
    "AlreadyPosted(uint32)",
    "AngleOutOfRange(uint256)",
    "BadClusters(uint256)",
    "BadData(uint32,uint32)",
    "BadDistance(uint256)",
    "BadHolder()",
    "BadLength(uint256)",
    "BadLength(uint256,uint256)",
    "BadName()",
    "BadNetwork()",
    "BadNumber()",
    "BadOrder(uint256)",
    "BadPayee()",
    "BadPoint()",
    "BadRatio(uint256)",
    "BadRoles()",
    "BadRules()",
    "BadSignature()",
    "BadSignature(uint256)",
    "BadSlot(uint256)",
    "BadTerms()",
    "BadTimes()",
    "BadValues(uint256)",
    "BadWeiPerUnit()",
    "BalanceOutOfRange(uint256)",
    "ContestOver(uint64)",
    "FlowOutOfRange(uint256)",
    "KeyTaken(address)",
    "Lapsed(uint64)",
    "LengthsDiffer()",
    "MayNotOrder(bytes32)",
    "NameTaken(bytes32)",
    "NoChallenges()",
    "NoContradiction(uint256,uint256)",
    "NoDissent()",
    "NoMeter()",
    "NoSeatLeft()",
    "NoSolution()",
    "NoSuchAccount(uint32)",
    "NoSuchNetwork()",
    "NoSuchRound()",
    "NoThreshold(uint256)",
    "NotAllReceived(uint256,uint256)",
    "NotAvailable(uint256,uint256)",
    "NotBalanced(uint256)",
    "NotChosen()",
    "NotClosed(uint32)",
    "NotCommitted()",
    "NotContested(uint32)",
    "NotDue(uint64)",
    "NotFlagged(address)",
    "NotGateway()",
    "NotHolder()",
    "NotItsGateway(bytes32)",
    "NotMember()",
    "NotMember(address)",
    "NotOpen(uint256)",
    "NotOwner()",
    "NotPendingOwner()",
    "NotProver(address)",
    "NotQuadratic(uint256)",
    "NotSettler()",
    "NotThatLong(uint256,uint256)",
    "NotTheCoin()",
    "NotTheRecord(uint64)",
    "NotThreeBuses()",
    "NotWholeUnits(uint256,uint256)",
    "NothingCommitted()",
    "NothingInForce(uint32)",
    "NothingLeft(uint32)",
    "NotWitnessed(bytes32)",
    "NothingOpen()",
    "NothingOwing()",
    "NothingToShare()",
    "NumberTaken(uint32)",
    "OutOfRange()",
    "Overlaps(uint32,uint256)",
    "Paused()",
    "PaymentFailed()",
    "PoolShares()",
    "PowerOutOfRange(uint256)",
    "PreviousPending(uint32)",
    "ReadingBeforeMeter(uint64)",
    "ReadingInFuture(uint64)",
    "ReadingTooEarly(uint64)",
    "Reentered()",
    "RegisterStepsBack(uint256)",
    "Reported(address)",
    "Spoken(uint32)",
    "StillOpen(uint64)",
    "TooEarly()",
    "TooFew(uint256,uint256)",
    "TooLate()",
    "TooLate(uint32)",
    "TooLate(uint32,uint256)",
    "TooLate(uint64)",
    "TooMany()",
    "TooManyMembers()",
    "TooMuchPaidIn(uint256)",
    "TooSoon()",
    "VoltageOutOfRange(uint256)",
    "WrongConditions()",
    "WrongPhase(uint8)",
    "WrongRanges(uint192,uint192)",
    "WrongRound(uint32,uint32)",
    "WrongSequence(uint64,uint64)",
    "WrongSolution()",
    "WrongStake(uint256,uint256)",
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
    let custom = ERRORS.iter().find(|signature| *id == selector(signature));
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_custom_error_of_our_contracts_has_words() {
        let contracts = [
            crate::dispatch::ARTIFACT,
            crate::location::ARTIFACT,
            crate::operator::ARTIFACT,
            crate::provider::ARTIFACT,
            crate::tou::ARTIFACT,
            crate::provider::WITNESSED_ARTIFACT,
            crate::witness::ARTIFACT,
        ];
        let artifacts = contracts.map(|a| serde_json::from_str::<serde_json::Value>(a).unwrap());
        let abi = artifacts.iter().flat_map(|a| a["abi"].as_array().unwrap());
        let spelled = |e: &serde_json::Value| {
            let types: Vec<_> = e["inputs"].as_array().unwrap().iter().map(|i| i["type"].as_str().unwrap()).collect();
            format!("{}({})", e["name"].as_str().unwrap(), types.join(","))
        };
        let named: BTreeSet<String> = abi.filter(|e| e["type"] == "error").map(spelled).collect();
        assert_eq!(named, ERRORS.iter().map(|e| (*e).to_owned()).collect());
    }

    proptest::proptest! {
        #[test]
        fn no_revert_data_and_no_answer_can_make_the_readers_panic(data in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = reason(&data);
            for signature in ERRORS.iter().chain(&["Error(string)", "Panic(uint256)"]) {
                let _ = reason(&[&selector(signature)[..], &data].concat());
            }
            let words = Reader(&data);
            let _ = (words.bytes(0), words.int(1), words.money(0), words.bool(0), words.address(0), words.number::<u32>(5));
        }
    }
}
