//! Running transactions and calls: revm under the rules of Osaka.

use super::block::{GAS_LIMIT, Outcome, RawLog};
use super::state::{Diff, View};
use crate::chain::{ChainError, Refusal};
use crate::tx::{Call, Transaction};
use crate::{Address, B256, U256};
use revm::context::result::{EVMError, ExecutionResult, InvalidTransaction, ResultAndState};
use revm::context::{BlockEnv, CfgEnv, Context, TxEnv};
use revm::primitives::hardfork::SpecId;
use revm::primitives::{Bytes, TxKind};
use revm::{ExecuteEvm, MainBuilder, MainContext};
use std::convert::Infallible;

/// The most gas one transaction may have (EIP-7825).
pub(super) const TX_GAS_CAP: u64 = 1 << 24;

/// The block in which something runs.
#[derive(Clone, Copy)]
pub(super) struct Env {
    pub chain_id: u64,
    pub number: u64,
    pub timestamp: u64,
    pub base_fee: u64,
}

impl Env {
    fn run(
        self,
        view: View<'_>,
        free: bool,
        tx: TxEnv,
    ) -> Result<ResultAndState, EVMError<Infallible, InvalidTransaction>> {
        let mut cfg = CfgEnv::new_with_spec(SpecId::OSAKA);
        cfg.chain_id = self.chain_id;
        cfg.disable_nonce_check = free;
        let block = BlockEnv {
            number: U256::from(self.number),
            beneficiary: Address::ZERO,
            timestamp: U256::from(self.timestamp),
            gas_limit: GAS_LIMIT,
            // A call pays nothing, so it must not be measured against a base fee.
            basefee: if free { 0 } else { self.base_fee },
            difficulty: U256::ZERO,
            prevrandao: Some(B256::ZERO),
            ..BlockEnv::default()
        };
        Context::mainnet().with_db(view).with_cfg(cfg).with_block(block).build_mainnet().transact(tx)
    }
}

fn kind(call: &Call) -> TxKind {
    call.to.map_or(TxKind::Create, TxKind::Call)
}

/// Runs a transaction that belongs into the chain.
pub(super) fn execute(
    env: Env,
    view: View<'_>,
    tx: &Transaction,
    sender: Address,
) -> Result<(Outcome, Diff), ChainError> {
    let state = view.state;
    let built = TxEnv::builder()
        .caller(sender)
        .chain_id(Some(tx.chain_id))
        .nonce(tx.nonce)
        .gas_limit(tx.gas_limit)
        .max_fee_per_gas(tx.fees.max_fee)
        .gas_priority_fee(Some(tx.fees.max_priority))
        .kind(kind(&tx.call))
        .value(tx.call.value)
        .data(Bytes::copy_from_slice(&tx.call.data))
        .build();
    let built = built.map_err(|e| ChainError::refused(Refusal::Other, format!("{e:?}")))?;
    let ran = env.run(view, false, built).map_err(refusal)?;
    let logs = ran.result.logs().iter().map(|l| RawLog {
        address: l.address,
        topics: l.data.topics().to_vec(),
        data: l.data.data.to_vec(),
    });
    let outcome = Outcome { ok: ran.result.is_success(), gas_used: ran.result.tx_gas_used(), logs: logs.collect() };
    Ok((outcome, state.diff(&ran.state)))
}

/// What a call came to.
pub(super) struct Called {
    pub output: Vec<u8>,
    pub gas_used: u64,
}

/// Runs a call that leaves no trace and costs nothing.
pub(super) fn call(env: Env, view: View<'_>, from: Address, call: &Call, gas: u64) -> Result<Called, ChainError> {
    let built = TxEnv::builder()
        .caller(from)
        .chain_id(Some(env.chain_id))
        .gas_limit(gas.min(TX_GAS_CAP))
        .gas_price(0)
        .kind(kind(call))
        .value(call.value)
        .data(Bytes::copy_from_slice(&call.data))
        .build();
    let built = built.map_err(|e| ChainError::refused(Refusal::Other, format!("{e:?}")))?;
    let ran = env.run(view, true, built).map_err(refusal)?;
    let gas_used = ran.result.tx_gas_used();
    match ran.result {
        ExecutionResult::Success { output, .. } => Ok(Called { output: output.into_data().to_vec(), gas_used }),
        ExecutionResult::Revert { output, .. } => Err(ChainError::reverted(&output)),
        ExecutionResult::Halt { reason, .. } => Err(halted(&reason.to_string())),
    }
}

/// The least gas limit with which the call succeeds.
pub(super) fn estimate(run: impl Fn(u64) -> Result<Called, ChainError>, cap: u64) -> Result<u64, ChainError> {
    let first = run(cap)?;
    // Below what was used in the end nothing can work; refunds and the 1/64 that a caller keeps back add to it.
    let (mut low, mut high) = (first.gas_used.saturating_sub(1), cap);
    let guess = first.gas_used.saturating_mul(64) / 63 + 2_300;
    if guess < high {
        if run(guess).is_ok() { high = guess } else { low = guess }
    }
    if first.gas_used < high && run(first.gas_used).is_ok() {
        return Ok(first.gas_used);
    }
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        if run(middle).is_ok() { high = middle } else { low = middle }
    }
    Ok(high)
}

fn halted(reason: &str) -> ChainError {
    ChainError::refused(Refusal::Other, format!("out of bounds of the machine: {reason}"))
}

/// A transaction that cannot run at all, in the words that clients know.
fn refusal(e: EVMError<Infallible, InvalidTransaction>) -> ChainError {
    match e {
        EVMError::Transaction(InvalidTransaction::LackOfFundForMaxFee { fee, balance }) => ChainError::refused(
            Refusal::InsufficientFunds,
            format!("insufficient funds for gas * price + value: balance {balance}, needed {fee}"),
        ),
        EVMError::Transaction(
            InvalidTransaction::CallGasCostMoreThanGasLimit { initial_gas: needed, gas_limit }
            | InvalidTransaction::GasFloorMoreThanGasLimit { gas_floor: needed, gas_limit },
        ) => ChainError::refused(Refusal::Other, format!("intrinsic gas too low: gas {gas_limit}, minimum {needed}")),
        other => ChainError::refused(Refusal::Other, other),
    }
}
