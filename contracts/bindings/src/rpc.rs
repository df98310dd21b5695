//! A chain somewhere else: JSON-RPC 2.0 over HTTP or a WebSocket, one request at a time.

use crate::chain::{Chain, ChainError, Head, Log, LogFilter, Receipt, Refusal, quoted};
use crate::json::{big_quantity, data, quantity, read_address, read_data, read_hash, read_u64, read_u128, read_u256};
use crate::trust::Trust;
use crate::tx::{Call, Fees};
use crate::ws::{self, Line};
use crate::{Address, B256, U256};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// No answer that the gateway asks for comes near this; a larger one would only fill the memory of a small computer.
pub(crate) const MAX_ANSWER: u64 = 32 * 1024 * 1024;

/// Sends a body and comes back with status and body of the answer.
type Post = dyn Fn(&[u8]) -> Result<(u16, Vec<u8>), Unanswered> + Send + Sync;

/// Why a body has no answer.
pub(crate) enum Unanswered {
    TooLong,
    Broken(String),
}

/// An Ethereum node behind a URL.
pub struct JsonRpc {
    post: Box<Post>,
    /// The URL without user, password, path and query, any of which may hold a provider's secret.
    shown: String,
    next_id: AtomicU64,
}

impl JsonRpc {
    /// A client for `url`; nothing is sent yet. Every request ends within `timeout`.
    ///
    /// # Errors
    /// [`ChainError::Nonsense`] if this is no `http`, `https`, `ws` or `wss` URL.
    pub fn new(url: &str, timeout: Duration) -> Result<Self, ChainError> {
        Self::trusting(url, timeout, &Trust::default())
    }

    /// [`JsonRpc::new`], where others than the public authorities vouch for the node.
    ///
    /// # Errors
    /// Those of [`JsonRpc::new`].
    pub fn trusting(url: &str, timeout: Duration, trust: &Trust) -> Result<Self, ChainError> {
        let shown = shown(url)
            .ok_or_else(|| ChainError::nonsense("configuration", "the URL is not http(s)://host or ws(s)://host"))?;
        if ws::is_ws(url) {
            let line = Line::new(url, shown.clone(), timeout, trust)?;
            return Ok(Self::over(shown, move |body| line.post(body).map(|text| (200, text))));
        }
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .tls_config(trust.http())
            .user_agent(concat!("microgrid-gateway/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        let (url, instead) = (url.to_owned(), shown.clone());
        let post = move |body: &[u8]| {
            let broken = |e: ureq::Error| Unanswered::Broken(without_secrets(&e.to_string(), &url, &instead));
            let request = agent.post(&url).header("content-type", "application/json");
            let mut response = request.send(body).map_err(broken)?;
            let status = response.status().as_u16();
            if busy(status) {
                // Whatever it says to that is of no interest.
                return Ok((status, Vec::new()));
            }
            let text = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
            let text = text.map_err(|e| match e {
                ureq::Error::BodyExceedsLimit(_) => Unanswered::TooLong,
                e => broken(e),
            })?;
            Ok((status, text))
        };
        Ok(Self::over(shown, post))
    }

    /// A client that sends by `post`; `shown` says to whom.
    pub(crate) fn over(
        shown: String,
        post: impl Fn(&[u8]) -> Result<(u16, Vec<u8>), Unanswered> + Send + Sync + 'static,
    ) -> Self {
        Self { post: Box::new(post), shown, next_id: AtomicU64::new(1) }
    }

    /// Whom it asks, without credentials.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    fn unreachable(&self, what: String) -> ChainError {
        ChainError::Unreachable { url: self.shown.clone(), what }
    }

    fn ask(&self, method: &'static str, params: Value) -> Result<Value, ChainError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string();
        let (status, text) = (self.post)(body.as_bytes()).map_err(|e| match e {
            Unanswered::TooLong => ChainError::nonsense(method, "an answer of more than 32 MiB"),
            Unanswered::Broken(what) => self.unreachable(what),
        })?;
        if busy(status) {
            return Err(self.unreachable(format!("HTTP status {status}")));
        }
        let answer: Value = serde_json::from_slice(&text)
            .map_err(|_| ChainError::nonsense(method, format!("HTTP status {status} and no JSON")))?;
        if let Some(error) = answer.get("error").filter(|e| !e.is_null()) {
            return Err(classify(error, &self.shown));
        }
        if answer.get("id").and_then(Value::as_u64) != Some(id) {
            return Err(ChainError::nonsense(method, "the answer to another request"));
        }
        answer.get("result").cloned().ok_or_else(|| ChainError::nonsense(method, "neither result nor error"))
    }

    fn get<T>(
        &self,
        method: &'static str,
        params: Value,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<T, ChainError> {
        let result = self.ask(method, params)?;
        read(&result).ok_or_else(|| ChainError::nonsense(method, brief(&result)))
    }
}

impl std::fmt::Debug for JsonRpc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JsonRpc").field("url", &self.shown).finish_non_exhaustive()
    }
}

impl Chain for JsonRpc {
    fn chain_id(&self) -> Result<u64, ChainError> {
        self.get("eth_chainId", json!([]), read_u64)
    }

    fn head(&self) -> Result<Head, ChainError> {
        self.get("eth_getBlockByNumber", json!(["latest", false]), |b| {
            Some(Head {
                number: read_u64(&b["number"])?,
                hash: read_hash(&b["hash"])?,
                timestamp: read_u64(&b["timestamp"])?,
                base_fee: match b.get("baseFeePerGas").filter(|fee| !fee.is_null()) {
                    Some(fee) => Some(read_u128(fee)?),
                    None => None,
                },
            })
        })
    }

    fn nonce(&self, of: Address) -> Result<u64, ChainError> {
        self.get("eth_getTransactionCount", json!([data(of.as_slice()), "latest"]), read_u64)
    }

    fn balance(&self, of: Address) -> Result<U256, ChainError> {
        self.get("eth_getBalance", json!([data(of.as_slice()), "latest"]), read_u256)
    }

    fn fees(&self) -> Result<Fees, ChainError> {
        let price = || self.get("eth_gasPrice", json!([]), read_u128);
        let Some(base_fee) = self.head()?.base_fee else {
            let price = price()?;
            return Ok(Fees { max_fee: price, max_priority: price });
        };
        let max_priority = match self.get("eth_maxPriorityFeePerGas", json!([]), read_u128) {
            Err(ChainError::Refused { kind: Refusal::Unsupported, .. }) => price()?.saturating_sub(base_fee),
            answered => answered?,
        };
        Ok(Fees { max_fee: base_fee.saturating_mul(2).saturating_add(max_priority), max_priority })
    }

    fn call(&self, from: Address, call: &Call) -> Result<Vec<u8>, ChainError> {
        self.get("eth_call", json!([call_object(from, call), "latest"]), read_data)
    }

    fn estimate_gas(&self, from: Address, call: &Call) -> Result<u64, ChainError> {
        self.get("eth_estimateGas", json!([call_object(from, call), "latest"]), read_u64)
    }

    fn send(&self, raw: &[u8]) -> Result<B256, ChainError> {
        self.get("eth_sendRawTransaction", json!([data(raw)]), read_hash)
    }

    fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, ChainError> {
        self.get("eth_getTransactionReceipt", json!([data(transaction.as_slice())]), |r| {
            // Some nodes answer with a receipt without block while the transaction waits.
            if r.is_null() || r["blockNumber"].is_null() { Some(None) } else { receipt(r).map(Some) }
        })
    }

    fn block_hash(&self, number: u64) -> Result<Option<B256>, ChainError> {
        self.get("eth_getBlockByNumber", json!([quantity(number), false]), |b| {
            if b.is_null() { Some(None) } else { read_hash(&b["hash"]).map(Some) }
        })
    }

    fn code(&self, at: Address) -> Result<Vec<u8>, ChainError> {
        self.get("eth_getCode", json!([data(at.as_slice()), "latest"]), read_data)
    }

    fn logs(&self, filter: &LogFilter) -> Result<Vec<Log>, ChainError> {
        let mut wanted = json!({
            "address": data(filter.address.as_slice()),
            "fromBlock": quantity(filter.from_block),
            "toBlock": quantity(filter.to_block),
        });
        if let Some(topic) = filter.topic0 {
            wanted["topics"] = json!([data(topic.as_slice())]);
        }
        self.get("eth_getLogs", json!([wanted]), |list| list.as_array()?.iter().map(log).collect())
    }
}

fn call_object(from: Address, call: &Call) -> Value {
    let mut object = json!({ "from": data(from.as_slice()), "data": data(&call.data) });
    if let Some(to) = call.to {
        object["to"] = data(to.as_slice());
    }
    if !call.value.is_zero() {
        object["value"] = big_quantity(call.value);
    }
    object
}

fn receipt(r: &Value) -> Option<Receipt> {
    let ok = read_u64(&r["status"])? == 1;
    // Some nodes state the address also when nothing came to be there.
    let contract = if r["contractAddress"].is_null() { None } else { Some(read_address(&r["contractAddress"])?) };
    Some(Receipt {
        transaction: read_hash(&r["transactionHash"])?,
        block: read_u64(&r["blockNumber"])?,
        block_hash: read_hash(&r["blockHash"])?,
        ok,
        gas_used: read_u64(&r["gasUsed"])?,
        contract: contract.filter(|_| ok),
        logs: r["logs"].as_array()?.iter().map(log).collect::<Option<_>>()?,
    })
}

fn log(l: &Value) -> Option<Log> {
    Some(Log {
        address: read_address(&l["address"])?,
        topics: l["topics"].as_array()?.iter().map(read_hash).collect::<Option<_>>()?,
        data: read_data(&l["data"])?,
        block: read_u64(&l["blockNumber"])?,
        transaction: read_hash(&l["transactionHash"])?,
        log_index: u32::try_from(read_u64(&l["logIndex"])?).ok()?,
    })
}

/// What an error object means. Nodes agree on few codes, so the words decide; these are geth's, anvil's and our own.
fn classify(error: &Value, url: &str) -> ChainError {
    let said = error["message"].as_str().unwrap_or("an error without a message");
    let message = quoted(said, 200);
    let code = error["code"].as_i64().unwrap_or(0);
    let words = said.to_lowercase();
    let says = |any: &[&str]| any.iter().any(|w| words.contains(w));
    let revert_data = revert_data(&error["data"]);
    if code == 3 || says(&["execution reverted", "reverted"]) {
        return match revert_data {
            Some(data) => ChainError::reverted(&data),
            None => ChainError::Reverted { reason: message, data: Vec::new() },
        };
    }
    // -32005 is "limit exceeded" by EIP-1474; hosted nodes use it for rates.
    if code == -32005 || says(&["too many requests", "rate limit", "try again", "timed out", "timeout"]) {
        return ChainError::Unreachable { url: url.to_owned(), what: message };
    }
    let kind = if code == -32601 {
        Refusal::Unsupported
    } else if says(&["already known", "already imported", "known transaction", "already in pool"]) {
        Refusal::AlreadyKnown
    } else if says(&["nonce too low", "nonce is too low", "invalid nonce: too low"]) {
        Refusal::NonceTooLow
    } else if says(&["nonce too high", "nonce gap", "nonce is too high"]) {
        Refusal::NonceTooHigh
    } else if says(&["insufficient funds", "insufficient balance"]) {
        Refusal::InsufficientFunds
    } else if says(&["underpriced", "less than block base fee", "below base fee", "less than basefee", "fee too low"]) {
        Refusal::Underpriced
    } else if code == -32603 {
        // An internal error says nothing about the request, so nothing may be given up for it.
        return ChainError::Unreachable { url: url.to_owned(), what: message };
    } else {
        Refusal::Other
    };
    ChainError::Refused { kind, message }
}

/// Revert bytes, which some nodes state as `data` and some inside an object there.
fn revert_data(value: &Value) -> Option<Vec<u8>> {
    read_data(value).or_else(|| read_data(&value["data"])).or_else(|| read_data(&value["result"]))
}

/// Whether an HTTP status says to come back later.
fn busy(status: u16) -> bool {
    status == 429 || (500..600).contains(&status)
}

/// An error of the HTTP library may repeat the URL; what stands in a log must not hold its secrets.
pub(crate) fn without_secrets(what: &str, url: &str, shown: &str) -> String {
    what.replace(url, shown)
}

/// Scheme and host of a URL.
pub(crate) fn shown(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let known = matches!(scheme, "http" | "https" | "ws" | "wss");
    (known && !host.is_empty() && !url.contains(char::is_whitespace)).then(|| format!("{scheme}://{host}"))
}

fn brief(value: &Value) -> String {
    quoted(&value.to_string(), 120)
}

#[cfg(test)]
mod tests;
