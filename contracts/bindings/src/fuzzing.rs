//! Doors for the fuzz targets in `contracts/fuzz/`, and for nobody else.

use crate::rpc::{JsonRpc, Unanswered};

/// The client of a node that says by `answer`, to each body, which status and body come back; nothing means that the
/// connection broke.
pub fn node(answer: impl Fn(&[u8]) -> Option<(u16, Vec<u8>)> + Send + Sync + 'static) -> JsonRpc {
    JsonRpc::over("http://node".into(), move |body| answer(body).ok_or_else(|| Unanswered::Broken("gone".into())))
}

/// The payload of an embedded chain's record, read as a block and written again; nothing if it is no block.
#[must_use]
pub fn respelled(payload: &[u8]) -> Option<Vec<u8>> {
    crate::embedded::respelled(payload)
}
