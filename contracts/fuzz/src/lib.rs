//! What must hold for whatever a node, a wallet or a disk hands to this crate. A target is a property: a function that
//! panics when some bytes break it. cargo-fuzz looks for such bytes with a program of two lines in `src/bin/`; the
//! crate's own tests run the same functions over the kept corpus, and short.
//!
//! A new target is a module here with a `check`, its line in [`TARGETS`], its program, and a seed in `corpus/`.

pub mod abi;
pub mod answer;
pub mod flow;
pub mod item;
pub mod journal;
pub mod key;
pub mod proof;
pub mod request;
pub mod transaction;

/// A property of all bytes.
pub type Check = fn(&[u8]);

/// Every target by the name of its program and its corpus.
pub const TARGETS: &[(&str, Check)] = &[
    ("abi", abi::check),
    ("answer", answer::check),
    ("flow", flow::check),
    ("item", item::check),
    ("journal", journal::check),
    ("key", key::check),
    ("proof", proof::check),
    ("request", request::check),
    ("transaction", transaction::check),
];
