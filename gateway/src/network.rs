//! Files that describe a network: MATPOWER cases, and streets in words of their own.

mod street;

use crate::config::Problems;
use crate::failure::{Code, Failure};
use domain::network::{Network, Problem, matpower};
use drivers::document;
use std::path::Path;

/// Reads a network; with it, what is worth knowing about the file.
pub fn read(path: &Path) -> Result<(Network, Vec<String>), Failure> {
    let file = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|e| Failure::new(Code::Data, format!("{file}: {e}")))?;
    // Names in old cases are in old encodings; numbers are not.
    let text = String::from_utf8_lossy(&bytes);
    let is_street = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("toml"));
    let read = if is_street { street::read(&file, &text) } else { matpower::read(&text).map_err(|p| named(&file, p)) };
    let (mut network, notes) = read.map_err(|problems| Failure::new(Code::Data, Problems(problems)))?;
    if network.name.is_empty() {
        network.name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    }
    Ok((network, notes.iter().map(|note| format!("{file}:{note}")).collect()))
}

/// Problems with the name of their file.
fn named(file: &str, problems: Vec<Problem>) -> Vec<document::Problem> {
    problems
        .into_iter()
        .map(|p| document::Problem {
            file: file.to_owned(),
            line: p.line,
            column: usize::from(p.line > 0),
            what: if p.line == 0 && !p.field.is_empty() { format!("{} {}", p.field, p.what) } else { p.what },
            field: p.field,
        })
        .collect()
}
