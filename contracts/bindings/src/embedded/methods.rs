//! The methods that the embedded chain serves.

use super::execute::TX_GAS_CAP;
use super::render;
use super::server::Failure;
use super::store::{LogQuery, Store};
use super::thin::Thin;
use super::{EmbeddedChain, TIP, faults};
use crate::chain::{Chain, ChainError};
use crate::json::{big_quantity, data, quantity, read_address, read_data, read_hash, read_u64, read_u256};
use crate::tx::Call;
use crate::{Address, B256, keccak256};
use serde_json::{Value, json};

/// The most logs in one answer.
const MAX_LOGS: usize = 10_000;
/// The most blocks in one fee history, as other clients have it.
const MAX_HISTORY: u64 = 1024;

type Answer = Result<Value, Failure>;

pub(super) fn call(chain: &EmbeddedChain, method: &str, params: &[Value]) -> Answer {
    let p = Params(params);
    match method {
        "eth_chainId" => Ok(quantity(chain.chain_id)),
        "net_version" => Ok(chain.chain_id.to_string().into()),
        "net_listening" => Ok(true.into()),
        "net_peerCount" => Ok("0x0".into()),
        "web3_sha3" => Ok(data(keccak256(p.read(0, "data", read_data)?).as_slice())),
        "web3_clientVersion" => Ok(concat!("microgrid-gateway/", env!("CARGO_PKG_VERSION"), "/embedded").into()),
        "eth_syncing" => Ok(false.into()),
        "eth_accounts" => Ok(json!([])),
        "eth_blockNumber" => Ok(quantity(chain.shown_head(chain.read().head().number))),
        "eth_gasPrice" => Ok(quantity(u128::from(chain.read().next_base_fee()) + TIP)),
        "eth_maxPriorityFeePerGas" => Ok(quantity(TIP)),
        "eth_feeHistory" => fee_history(chain, &p),
        "eth_getBalance" => at_head(chain, &p, 1, |store| Ok(big_quantity(store.state().balance(p.address(0)?)))),
        "eth_getTransactionCount" => at_head(chain, &p, 1, |store| Ok(quantity(store.state().nonce(p.address(0)?)))),
        "eth_getCode" => at_head(chain, &p, 1, |store| Ok(data(&store.state().code(p.address(0)?)))),
        "eth_getStorageAt" => at_head(chain, &p, 2, |store| {
            let slot = p.read(1, "a slot", read_u256)?;
            Ok(data(&store.state().storage(p.address(0)?, slot).to_be_bytes::<32>()))
        }),
        "eth_call" => {
            at_head(chain, &p, 1, |_| Ok(Value::Null))?;
            let (from, call, gas) = p.call(0)?;
            Ok(data(&chain.run(from, &call, gas)?.output))
        }
        "eth_estimateGas" => {
            at_head(chain, &p, 1, |_| Ok(Value::Null))?;
            let (from, call, gas) = p.call(0)?;
            Ok(quantity(chain.estimate(from, &call, gas)?))
        }
        "eth_sendRawTransaction" => Ok(data(chain.send(&p.read(0, "a transaction", read_data)?)?.as_slice())),
        "eth_getTransactionByHash" => of_transaction(chain, &p, transaction),
        "eth_getTransactionReceipt" => {
            let hash = p.read(0, "a transaction hash", read_hash)?;
            let hidden = {
                let store = chain.read();
                store.block_of(hash).is_some_and(|n| chain.hides(n, store.head().number))
            };
            if hidden {
                Ok(Value::Null)
            } else {
                of_transaction(chain, &p, |block, hash| Ok(render::receipt(block, hash)))
            }
        }
        "eth_getBlockByHash" => {
            let store = chain.read();
            let number = store.number_of(p.read(0, "a block hash", read_hash)?);
            number.map_or(Ok(Value::Null), |n| block(&store, n, p.flag(1)?))
        }
        "eth_getBlockByNumber" => {
            let store = chain.read();
            let number = p.height(&store, 0)?;
            block(&store, number, p.flag(1)?)
        }
        "eth_getBlockReceipts" => {
            let store = chain.read();
            let found = p.height(&store, 0).map(|n| store.block(n))??;
            Ok(found.map_or(Value::Null, |(block, hash)| match block.transaction_hash() {
                Some(_) => json!([render::receipt(&block, hash)]),
                None => json!([]),
            }))
        }
        "eth_getBlockTransactionCountByHash" | "eth_getBlockTransactionCountByNumber" => {
            Ok(named_block(chain, &p)?.map_or(Value::Null, |(block, _)| quantity(u8::from(!block.raw.is_empty()))))
        }
        "eth_getUncleCountByBlockHash" | "eth_getUncleCountByBlockNumber" => {
            Ok(named_block(chain, &p)?.map_or(Value::Null, |_| "0x0".into()))
        }
        "eth_getTransactionByBlockHashAndIndex" | "eth_getTransactionByBlockNumberAndIndex" => {
            let first = p.read(1, "an index", read_u64)? == 0;
            let found = named_block(chain, &p)?.filter(|(block, _)| first && !block.raw.is_empty());
            found.map_or(Ok(Value::Null), |(block, hash)| transaction(&block, hash))
        }
        "eth_getLogs" => logs(chain, &p),
        other => faults::call(chain, other, &p).unwrap_or_else(|| {
            Err(Failure::new(-32601, format!("the method {other:.60} does not exist or is not available")))
        }),
    }
}

/// Positional parameters.
pub(super) struct Params<'a>(&'a [Value]);

impl<'a> Params<'a> {
    fn get(&self, index: usize) -> &'a Value {
        self.0.get(index).unwrap_or(&Value::Null)
    }

    pub(super) fn read<T>(
        &self,
        index: usize,
        what: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<T, Failure> {
        read(self.get(index)).ok_or_else(|| Failure::params(format!("parameter {index} is not {what}")))
    }

    fn address(&self, index: usize) -> Result<Address, Failure> {
        self.read(index, "an address", read_address)
    }

    pub(super) fn flag(&self, index: usize) -> Result<bool, Failure> {
        self.read(index, "true or false", |v| if v.is_null() { Some(false) } else { v.as_bool() })
    }

    /// The height that a block tag or number means.
    fn height(&self, store: &Store, index: usize) -> Result<u64, Failure> {
        self.read(index, "a block", |v| height(store, v))
    }

    /// A call object: sender, call and gas limit. Fees in it are ignored: a call costs nothing.
    fn call(&self, index: usize) -> Result<(Address, Call, u64), Failure> {
        let object = self.read(index, "a call object", Value::as_object)?;
        let field = |name: &str| object.get(name).filter(|v| !v.is_null());
        let bad = |name: &str| Failure::params(format!("{name} of the call is malformed"));
        let from = field("from").map_or(Some(Address::ZERO), read_address).ok_or_else(|| bad("from"))?;
        let to = field("to").map(|v| read_address(v).ok_or_else(|| bad("to"))).transpose()?;
        let value = field("value").map_or(Some(Default::default()), read_u256).ok_or_else(|| bad("value"))?;
        let input = field("input").or(field("data"));
        let data = input.map_or(Some(Vec::new()), read_data).ok_or_else(|| bad("data"))?;
        let gas = field("gas").map_or(Some(TX_GAS_CAP), read_u64).ok_or_else(|| bad("gas"))?;
        Ok((from, Call { to, value, data }, gas.min(TX_GAS_CAP)))
    }
}

fn height(store: &Store, value: &Value) -> Option<u64> {
    match value {
        Value::Null => Some(store.head().number),
        Value::String(tag) => match tag.as_str() {
            "latest" | "pending" | "safe" | "finalized" => Some(store.head().number),
            "earliest" => Some(0),
            _ => read_u64(value),
        },
        Value::Object(object) => match object.get("blockHash") {
            Some(hash) => store.number_of(read_hash(hash)?),
            None => read_u64(object.get("blockNumber")?),
        },
        _ => None,
    }
}

/// Answers from the state, of which there is only the newest: older heights are refused, not answered wrongly.
fn at_head(chain: &EmbeddedChain, p: &Params<'_>, tag: usize, answer: impl Fn(&Store) -> Answer) -> Answer {
    let store = chain.read();
    let (wanted, head) = (p.height(&store, tag)?, store.head().number);
    if wanted != head {
        let message = format!("this chain keeps the state of its newest block only ({head}), not of block {wanted}");
        return Err(Failure::new(-32000, message));
    }
    answer(&store)
}

fn block(store: &Store, number: u64, full: bool) -> Answer {
    let Some((block, hash)) = store.block(number)? else { return Ok(Value::Null) };
    if full && Thin::of(&block).is_some() {
        return Err(pruned(number));
    }
    Ok(render::block(&block, hash, full))
}

/// The transaction of a block.
fn transaction(block: &super::block::Block, hash: B256) -> Answer {
    match Thin::of(block) {
        Some(_) => Err(pruned(block.header.number)),
        None => Ok(render::transaction(block, hash)),
    }
}

/// In the number and words of other clients (EIP-4444).
fn pruned(number: u64) -> Failure {
    Failure::new(4444, format!("pruned history unavailable: of block {number} header, logs and receipt are kept"))
}

/// The block that the first parameter names by hash, height or tag.
fn named_block(chain: &EmbeddedChain, p: &Params<'_>) -> Result<Option<(super::block::Block, B256)>, Failure> {
    let store = chain.read();
    let by_hash = p.get(0).as_str().is_some_and(|text| text.len() == 66);
    let number = match by_hash {
        true => store.number_of(p.read(0, "a block hash", read_hash)?),
        false => Some(p.height(&store, 0)?),
    };
    Ok(number.map(|n| store.block(n)).transpose()?.flatten())
}

fn of_transaction(chain: &EmbeddedChain, p: &Params<'_>, show: fn(&super::block::Block, B256) -> Answer) -> Answer {
    let store = chain.read();
    let number = store.block_of(p.read(0, "a transaction hash", read_hash)?);
    let found = number.map(|n| store.block(n)).transpose()?.flatten();
    found.map_or(Ok(Value::Null), |(block, hash)| show(&block, hash))
}

fn logs(chain: &EmbeddedChain, p: &Params<'_>) -> Answer {
    let filter = p.read(0, "a filter object", Value::as_object)?;
    let field = |name: &str| filter.get(name).unwrap_or(&Value::Null);
    let store = chain.read();
    let bad = |name: &str| Failure::params(format!("{name} of the filter is malformed"));
    let blocks = match filter.get("blockHash").filter(|v| !v.is_null()) {
        Some(hash) => {
            let number = read_hash(hash).and_then(|h| store.number_of(h));
            let number = number.ok_or_else(|| Failure::new(-32000, "unknown block"))?;
            number..=number
        }
        None => {
            let from = height(&store, field("fromBlock")).ok_or_else(|| bad("fromBlock"))?;
            let to = height(&store, field("toBlock")).ok_or_else(|| bad("toBlock"))?;
            from..=to
        }
    };
    if blocks.is_empty() {
        return Err(Failure::params("fromBlock is above toBlock"));
    }
    let addresses = one_or_many(field("address"), read_address).ok_or_else(|| bad("address"))?;
    let topics = match field("topics") {
        Value::Null => Some(Vec::new()),
        Value::Array(list) if list.len() <= 4 => list.iter().map(|t| one_or_many(t, read_hash)).collect(),
        _ => None,
    };
    let topics = topics.ok_or_else(|| bad("topics"))?;
    let found = store.logs(&LogQuery { addresses, topics, blocks }, MAX_LOGS)?;
    Ok(found.iter().map(|(log, hash)| render::log(log, *hash)).collect())
}

/// Nothing, one value, or a list of them.
fn one_or_many<T>(value: &Value, read: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::Array(list) => list.iter().map(read).collect(),
        one => read(one).map(|v| vec![v]),
    }
}

fn fee_history(chain: &EmbeddedChain, p: &Params<'_>) -> Answer {
    let store = chain.read();
    let count = p.read(0, "a number of blocks", |v| read_u64(v).or_else(|| v.as_u64()))?.min(MAX_HISTORY);
    let newest = p.height(&store, 1)?;
    if newest > store.head().number {
        return Err(Failure::new(-32000, "the newest block asked for is above the head"));
    }
    let percentiles = match p.get(2) {
        Value::Null => 0,
        Value::Array(list) if list.len() <= 100 => list.len(),
        _ => return Err(Failure::params("parameter 2 is not a list of at most 100 percentiles")),
    };
    let oldest = newest.saturating_add(1).saturating_sub(count);
    let (mut fees, mut ratios, mut rewards) = (Vec::new(), Vec::new(), Vec::new());
    for number in oldest..newest.saturating_add(1) {
        let (block, _) = store.block(number)?.ok_or_else(|| ChainError::nonsense("eth_feeHistory", "no such block"))?;
        if fees.is_empty() {
            fees.push(quantity(block.header.base_fee));
        }
        fees.push(quantity(block.header.next_base_fee()));
        ratios.push(json!(render::fullness(&block)));
        // There is one transaction in a block, so every percentile is what it paid.
        rewards.push(Value::from(vec![quantity(render::tip_paid(&block)); percentiles]));
    }
    let mut answer = json!({ "oldestBlock": quantity(oldest), "baseFeePerGas": fees, "gasUsedRatio": ratios });
    if percentiles > 0 {
        answer["reward"] = rewards.into();
    }
    Ok(answer)
}
