//! Blocks, transactions, receipts and logs as JSON-RPC shows them.

use super::block::{Block, GAS_LIMIT, NO_OMMERS, bloom};
use super::store::{deployed, logs_of};
use super::thin::Thin;
use crate::chain::Log;
use crate::json::{big_quantity, data, quantity};
use crate::tx::{signature_of, type_of};
use crate::{Address, B256, U256};
use serde_json::{Value, json};

pub(super) fn block(block: &Block, hash: B256, full: bool) -> Value {
    let h = &block.header;
    let transactions: Vec<Value> = match block.transaction_hash() {
        None => Vec::new(),
        Some(_) if full => vec![transaction(block, hash)],
        Some(tx) => vec![data(tx.as_slice())],
    };
    json!({
        "number": quantity(h.number),
        "hash": data(hash.as_slice()),
        "parentHash": data(h.parent.as_slice()),
        "sha3Uncles": data(NO_OMMERS.as_slice()),
        "miner": data(Address::ZERO.as_slice()),
        "stateRoot": data(B256::ZERO.as_slice()),
        "transactionsRoot": data(h.transactions_root.as_slice()),
        "receiptsRoot": data(h.receipts_root.as_slice()),
        "logsBloom": data(&h.bloom),
        "difficulty": "0x0",
        "totalDifficulty": "0x0",
        "gasLimit": quantity(GAS_LIMIT),
        "gasUsed": quantity(h.gas_used),
        "timestamp": quantity(h.timestamp),
        "extraData": data(&h.extra),
        "mixHash": data(B256::ZERO.as_slice()),
        "nonce": "0x0000000000000000",
        "baseFeePerGas": quantity(h.base_fee),
        "size": quantity(block.header.encode().len() as u128 + block.raw.len() as u128),
        "uncles": [],
        "transactions": transactions,
    })
}

pub(super) fn transaction(block: &Block, hash: B256) -> Value {
    let (Some(tx), Ok(signature)) = (block.transaction(), signature_of(&block.raw)) else { return Value::Null };
    let kind = type_of(&block.raw);
    let mut out = json!({
        "type": quantity(kind),
        "hash": block.transaction_hash().map(|h| data(h.as_slice())),
        "blockHash": data(hash.as_slice()),
        "blockNumber": quantity(block.header.number),
        "transactionIndex": "0x0",
        "from": data(block.sender.as_slice()),
        "to": tx.call.to.map(|to| data(to.as_slice())),
        "nonce": quantity(tx.nonce),
        "gas": quantity(tx.gas_limit),
        "gasPrice": quantity(price_paid(block)),
        "value": big_quantity(tx.call.value),
        "input": data(&tx.call.data),
        "chainId": quantity(tx.chain_id),
        "r": big_quantity(signature.r),
        "s": big_quantity(signature.s),
    });
    let parity = u8::from(signature.y_odd);
    if kind == 0 {
        out["v"] = big_quantity(U256::from(tx.chain_id) * U256::from(2) + U256::from(35 + parity));
    } else {
        out["v"] = quantity(parity);
        out["yParity"] = quantity(parity);
        out["accessList"] = json!([]);
    }
    if kind == 2 {
        out["maxFeePerGas"] = quantity(tx.fees.max_fee);
        out["maxPriorityFeePerGas"] = quantity(tx.fees.max_priority);
    }
    out
}

pub(super) fn receipt(block: &Block, hash: B256) -> Value {
    let (kind, to) = match (Thin::of(block), block.transaction()) {
        (Some(thin), _) => (thin.kind, thin.to),
        (None, Some(tx)) => (type_of(&block.raw), tx.call.to),
        (None, None) => return Value::Null,
    };
    let gas = quantity(block.outcome.gas_used);
    json!({
        "type": quantity(kind),
        "transactionHash": block.transaction_hash().map(|h| data(h.as_slice())),
        "transactionIndex": "0x0",
        "blockHash": data(hash.as_slice()),
        "blockNumber": quantity(block.header.number),
        "from": data(block.sender.as_slice()),
        "to": to.map(|to| data(to.as_slice())),
        "contractAddress": deployed(block).map(|at| data(at.as_slice())),
        "status": quantity(u8::from(block.outcome.ok)),
        "gasUsed": gas,
        "cumulativeGasUsed": gas,
        "effectiveGasPrice": quantity(price_paid(block)),
        "logsBloom": data(&bloom(&block.outcome.logs)),
        "logs": logs_of(block).map(|l| log(&l, hash)).collect::<Vec<_>>(),
    })
}

pub(super) fn log(log: &Log, block_hash: B256) -> Value {
    json!({
        "address": data(log.address.as_slice()),
        "topics": log.topics.iter().map(|t| data(t.as_slice())).collect::<Vec<_>>(),
        "data": data(&log.data),
        "blockNumber": quantity(log.block),
        "blockHash": data(block_hash.as_slice()),
        "transactionHash": data(log.transaction.as_slice()),
        "transactionIndex": "0x0",
        "logIndex": quantity(log.log_index),
        "removed": false,
    })
}

/// Wei per gas that the block's transaction paid.
fn price_paid(block: &Block) -> u128 {
    u128::from(block.header.base_fee) + tip_paid(block)
}

/// Wei per gas that the block's transaction paid above the base fee.
pub(super) fn tip_paid(block: &Block) -> u128 {
    if let Some(thin) = Thin::of(block) {
        return thin.tip;
    }
    let base_fee = u128::from(block.header.base_fee);
    block.transaction().map_or(0, |tx| tx.fees.max_priority.min(tx.fees.max_fee.saturating_sub(base_fee)))
}

/// Gas used of the gas that the block may hold, 0 to 1.
pub(super) fn fullness(block: &Block) -> f64 {
    // Both are below 2^32, which a float holds exactly.
    let exact = |gas: u64| f64::from(u32::try_from(gas).unwrap_or(u32::MAX));
    exact(block.header.gas_used) / exact(GAS_LIMIT)
}
