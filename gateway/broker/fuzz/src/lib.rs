//! What must hold for whatever a client sends. A target is a property: a function that panics when some bytes break it.
//! cargo-fuzz looks for such bytes with a program of two lines in `src/bin/`; the crate's own tests run the same
//! functions over the kept corpus, and short.
//!
//! A new target is a module here with a `check`, its line in [`TARGETS`], its program, and a seed in `corpus/`.

pub mod packets;

/// A property of all bytes.
pub type Check = fn(&[u8]);

/// Every target by the name of its program and its corpus.
pub const TARGETS: &[(&str, Check)] = &[("packets", packets::check)];
