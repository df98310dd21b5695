//! What must hold for every decoder that bytes from outside reach first. A target is a property: a function that panics
//! when some bytes break it. cargo-fuzz looks for such bytes with a program of two lines in `src/bin/`; the crate's own
//! tests run the same functions over the kept corpus, and short.
//!
//! A new target is a module here with a `check`, its line in [`TARGETS`], its program, and a seed in `corpus/`.

pub mod line;
pub mod models;
pub mod mqtt;
pub mod plan;
pub mod radio;
pub mod registers;
pub mod simulator;
pub mod stream;
pub mod sunspec;
pub mod telegram;
pub mod template;

/// A property of all bytes.
pub type Check = fn(&[u8]);

/// Every target by the name of its program and its corpus.
pub const TARGETS: &[(&str, Check)] = &[
    ("line", line::check),
    ("mqtt", mqtt::check),
    ("plan", plan::check),
    ("radio", radio::check),
    ("registers", registers::check),
    ("simulator", simulator::check),
    ("stream", stream::check),
    ("sunspec", sunspec::check),
    ("telegram", telegram::check),
    ("template", template::check),
];
