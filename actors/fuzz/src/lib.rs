//! What must hold for whatever other gateways say on the broker. `contracts/fuzz/src/lib.rs` says how targets are made.

pub mod message;

/// A property of all bytes.
pub type Check = fn(&[u8]);

/// Every target by the name of its program and its corpus.
pub const TARGETS: &[(&str, Check)] = &[("message", message::check)];
