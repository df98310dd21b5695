//! JSON-RPC 2.0: envelopes, batches and errors. What the methods do stands in `methods`.

use super::{EmbeddedChain, methods};
use crate::chain::{ChainError, Refusal};
use crate::json::data;
use serde_json::{Value, json};

/// The largest body, in bytes: the largest transaction in hex, and room for a batch around it.
const MAX_BODY: usize = 1024 * 1024;
/// The most requests in one batch.
const MAX_BATCH: usize = 100;
/// The most bytes of answers to one batch, after which the rest is refused.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// An error object in the making.
#[derive(Debug, PartialEq)]
pub(super) struct Failure {
    pub code: i64,
    pub message: String,
    pub data: Option<Value>,
}

impl Failure {
    pub(super) fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    pub(super) fn params(message: impl Into<String>) -> Self {
        Self::new(-32602, message)
    }
}

impl From<ChainError> for Failure {
    fn from(e: ChainError) -> Self {
        match e {
            ChainError::Reverted { reason, data: bytes } => {
                let message = if bytes.is_empty() {
                    "execution reverted".into()
                } else {
                    format!("execution reverted: {reason}")
                };
                Self { code: 3, message, data: Some(data(&bytes)) }
            }
            ChainError::Refused { kind: Refusal::Other, message } if message.starts_with("query returned") => {
                Self::new(-32005, message)
            }
            ChainError::Refused { message, .. } => Self::new(-32000, message),
            other => Self::new(-32603, other.to_string()),
        }
    }
}

pub(super) fn handle(chain: &EmbeddedChain, body: &[u8]) -> Vec<u8> {
    let refuse = |code, message: &str| answer(&Value::Null, Err(Failure::new(code, message)));
    if body.len() > MAX_BODY {
        return refuse(-32600, "the request is too large").into_bytes();
    }
    let Ok(request) = serde_json::from_slice::<Value>(body) else {
        return refuse(-32700, "this is no JSON").into_bytes();
    };
    let text = match request {
        Value::Array(list) if list.is_empty() => refuse(-32600, "the batch is empty"),
        Value::Array(list) if list.len() > MAX_BATCH => refuse(-32600, "the batch has more than 100 requests"),
        Value::Array(list) => batch(chain, &list),
        single => one(chain, &single).unwrap_or_default(),
    };
    text.into_bytes()
}

fn batch(chain: &EmbeddedChain, list: &[Value]) -> String {
    let mut text = String::new();
    for request in list {
        let reply = if text.len() > MAX_ANSWER {
            let id = request.get("id").cloned().unwrap_or_default();
            Some(answer(&id, Err(Failure::new(-32005, "the answers to this batch are too large"))))
        } else {
            one(chain, request)
        };
        if let Some(reply) = reply {
            text.push(if text.is_empty() { '[' } else { ',' });
            text.push_str(&reply);
        }
    }
    if !text.is_empty() {
        text.push(']');
    }
    text
}

/// The answer to one request; `None` for a notification.
fn one(chain: &EmbeddedChain, request: &Value) -> Option<String> {
    let id = request.get("id");
    let valid_id = id.is_none_or(|id| id.is_string() || id.is_number() || id.is_null());
    let method = request.get("method").and_then(Value::as_str);
    let (Some(method), true, Some("2.0")) = (method, valid_id, request.get("jsonrpc").and_then(Value::as_str)) else {
        return Some(answer(&Value::Null, Err(Failure::new(-32600, "this is no JSON-RPC 2.0 request"))));
    };
    let result = match request.get("params") {
        None | Some(Value::Null) => methods::call(chain, method, &[]),
        Some(Value::Array(params)) => methods::call(chain, method, params),
        Some(_) => Err(Failure::params("parameters go by position, in an array")),
    };
    id.map(|id| answer(id, result))
}

fn answer(id: &Value, result: Result<Value, Failure>) -> String {
    match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string(),
        Err(failure) => {
            let mut error = json!({ "code": failure.code, "message": failure.message });
            if let Some(data) = failure.data {
                error["data"] = data;
            }
            json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string()
        }
    }
}
