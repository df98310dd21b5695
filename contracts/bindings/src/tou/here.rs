//! The contract's own bytecode, run in this process on an empty state.

use super::{ARTIFACT, Ranges, kmeans_call, ranges};
use crate::Address;
use crate::abi::code;
use crate::chain::{ChainError, Refusal};
use revm::bytecode::Bytecode;
use revm::context::result::ExecutionResult;
use revm::context::{CfgEnv, TxEnv};
use revm::database::{CacheDB, EmptyDB};
use revm::primitives::hardfork::SpecId;
use revm::primitives::{Bytes, TxKind};
use revm::state::AccountInfo;
use revm::{Context, ExecuteEvm, MainBuilder, MainContext};

const AT: Address = Address::repeat_byte(0x70);

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The answer.
    pub ranges: Ranges,
    /// Gas of a transaction that asks nothing else, its 21,000 included, under the rules of Osaka.
    pub gas: u64,
}

/// The best ranges of some values, as the bytecode of `TimeOfUse` finds them.
///
/// # Errors
/// [`ChainError::Reverted`] for values or clusters that the contract refuses.
pub fn kmeans_here(values: &[i32], clusters: u8) -> Result<Ran, ChainError> {
    let failed = |what: String| ChainError::refused(Refusal::Other, what);
    let mut db = CacheDB::new(EmptyDB::default());
    let code = Bytecode::new_raw(Bytes::from(code(ARTIFACT, "deployedBytecode")));
    db.insert_account_info(AT, AccountInfo { code_hash: code.hash_slow(), code: Some(code), ..AccountInfo::default() });
    let data = Bytes::from(kmeans_call(AT, values, clusters).data);
    let tx = TxEnv::builder().gas_limit(1 << 24).gas_price(0).kind(TxKind::Call(AT)).data(data);
    let tx = tx.build().map_err(|e| failed(format!("{e:?}")))?;
    let evm = Context::mainnet().with_db(db).with_cfg(CfgEnv::new_with_spec(SpecId::OSAKA));
    let ran = evm.build_mainnet().transact(tx).map_err(|e| failed(e.to_string()))?;
    let gas = ran.result.tx_gas_used();
    match ran.result {
        ExecutionResult::Success { output, .. } => {
            let read = ranges(&output.into_data(), values.len());
            read.map(|ranges| Ran { ranges, gas }).ok_or_else(|| failed("no ranges came back".into()))
        }
        ExecutionResult::Revert { output, .. } => Err(ChainError::reverted(&output)),
        ExecutionResult::Halt { reason, .. } => Err(failed(format!("out of bounds of the machine: {reason}"))),
    }
}
