//! The public cases beside the tests: `tests/cases/README.md` says where each comes from.

use domain::network::{Network, matpower};
use std::path::Path;

/// A case by the name of its file.
pub fn case(name: &str) -> Network {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/cases/{name}.m"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    matpower::read(&text).unwrap_or_else(|problems| panic!("{name}: {problems:?}")).0
}
