//! What the register answers, and what it says happened.

use super::{Position, Reading, Roles};
use crate::abi::{as_address, ask, function, parts};
use crate::chain::{Chain, ChainError, Log};
use crate::{Address, B256, U256};
use domain::{Price, WattHours};

/// A connection point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Who switches and attests; zero for nobody.
    pub gateway: Address,
    /// The number of the account at the provider that feeds it.
    pub account: u32,
    /// Seconds since 1970 of the last attestation; zero if there is none.
    pub attested_at: u64,
    /// Whether the customer is supplied, by that.
    pub closed: bool,
    /// Whether the customer is to be cut off, by the last order.
    pub cut_off: bool,
}

/// A meter and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeterAt {
    /// The connection point that it measures.
    pub point: B256,
    /// Where.
    pub position: Position,
}

/// A connection point is to be cut off, or supplied again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// The connection point.
    pub point: B256,
    /// Who is to do it.
    pub gateway: Address,
    /// Who orders.
    pub by: Address,
    /// Whether to cut it off.
    pub cut_off: bool,
}

/// What an address may do.
///
/// # Errors
/// Those of the chain.
pub fn roles_of(chain: &dyn Chain, operator: Address, who: Address) -> Result<Roles, ChainError> {
    ask(chain, operator, function("rolesOf(address)", 1).address(who), |w| w.number(0).map(Roles::of))
}

/// Whether an address is a gateway.
///
/// # Errors
/// Those of the chain.
pub fn is_gateway(chain: &dyn Chain, operator: Address, who: Address) -> Result<bool, ChainError> {
    ask(chain, operator, function("isGateway(address)", 1).address(who), |w| w.bool(0))
}

/// Whether an address is a prover.
///
/// # Errors
/// Those of the chain.
pub fn is_prover(chain: &dyn Chain, operator: Address, who: Address) -> Result<bool, ChainError> {
    ask(chain, operator, function("isProver(address)", 1).address(who), |w| w.bool(0))
}

/// A connection point.
///
/// # Errors
/// Those of the chain.
pub fn point_of(chain: &dyn Chain, operator: Address, point: B256) -> Result<Point, ChainError> {
    ask(chain, operator, function("pointOf(bytes32)", 1).word(point), |w| {
        Some(Point {
            gateway: w.address(0)?,
            account: w.number(1)?,
            attested_at: w.number(2)?,
            closed: w.bool(3)?,
            cut_off: w.bool(4)?,
        })
    })
}

/// The provider that feeds a connection point; zero for nobody.
///
/// # Errors
/// Those of the chain.
pub fn provider_of(chain: &dyn Chain, operator: Address, point: B256) -> Result<Address, ChainError> {
    ask(chain, operator, function("providerOf(bytes32)", 1).word(point), |w| w.address(0))
}

/// The key of the meter of a connection point; zero if there is none.
///
/// # Errors
/// Those of the chain.
pub fn meter_key_of(chain: &dyn Chain, operator: Address, point: B256) -> Result<Address, ChainError> {
    ask(chain, operator, function("meterKeyOf(bytes32)", 1).word(point), |w| w.address(0))
}

/// The key of the meter behind a provider's account; zero if there is none.
///
/// # Errors
/// Those of the chain.
pub fn meter_of(chain: &dyn Chain, operator: Address, provider: Address, account: u32) -> Result<Address, ChainError> {
    let question = function("meterOf(address,uint32)", 2).address(provider).uint(U256::from(account));
    ask(chain, operator, question, |w| w.address(0))
}

/// Where the meter with this key stands; `None` if the key is no meter's now.
///
/// # Errors
/// Those of the chain.
pub fn meter_at(chain: &dyn Chain, operator: Address, key: Address) -> Result<Option<MeterAt>, ChainError> {
    ask(chain, operator, function("meterAt(address)", 1).address(key), |w| {
        let mm = |at| i32::try_from(w.int(at)?).ok();
        let position = Position { east: mm(2)?, north: mm(3)?, up: mm(4)? };
        Some(w.bool(0)?.then_some(MeterAt { point: w.word(1)?, position }))
    })
}

/// What an account had imported by a reading that its meter signed.
///
/// # Errors
/// Those of the chain, also if the meter did not sign it.
pub fn imported_by(
    chain: &dyn Chain,
    operator: Address,
    provider: Address,
    account: u32,
    reading: &Reading,
    signature: &[u8; 65],
) -> Result<WattHours, ChainError> {
    let question = function("importedBy(address,uint32,(uint64,uint64,uint64),bytes)", 6).address(provider);
    let question = reading.words(question.uint(U256::from(account))).bytes(signature);
    ask(chain, operator, question, |w| w.number(0).map(WattHours))
}

/// What the grid takes for each Wh, and who may claim it.
///
/// # Errors
/// Those of the chain.
pub fn network_fee(chain: &dyn Chain, operator: Address) -> Result<(Price, Address), ChainError> {
    ask(chain, operator, function("networkFee()", 0), |w| Some((w.number(0).map(Price)?, w.address(1)?)))
}

/// Whether an address may order a connection point cut off.
///
/// # Errors
/// Those of the chain.
pub fn may_order(chain: &dyn Chain, operator: Address, who: Address, point: B256) -> Result<bool, ChainError> {
    ask(chain, operator, function("mayOrder(address,bytes32)", 2).address(who).word(point), |w| w.bool(0))
}

/// The operator.
///
/// # Errors
/// Those of the chain.
pub fn owner(chain: &dyn Chain, operator: Address) -> Result<Address, ChainError> {
    ask(chain, operator, function("owner()", 0), |w| w.address(0))
}

/// Reads an `Ordered` event; `None` if the log is another.
#[must_use]
pub fn ordered(log: &Log) -> Option<Ordered> {
    let (topics, data) = parts(log, "Ordered(bytes32,address,address,bool)", 3, 1)?;
    let (gateway, by) = (as_address(topics[1])?, as_address(topics[2])?);
    Some(Ordered { point: topics[0], gateway, by, cut_off: data.bool(0)? })
}

/// Reads an `Attested` event: the connection point, the gateway, and whether the customer is supplied; `None` if the log
/// is another.
#[must_use]
pub fn attested(log: &Log) -> Option<(B256, Address, bool)> {
    let (topics, data) = parts(log, "Attested(bytes32,address,bool)", 2, 1)?;
    Some((topics[0], as_address(topics[1])?, data.bool(0)?))
}
