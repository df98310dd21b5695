//! A network as it was read, before anybody knows whether it makes sense.

use super::{Branch, Bus, Generator, Network, check};
use std::fmt;

/// How a problem with a number that is none ends.
pub(super) const FINITE: &str = "write finite numbers";

/// One mistake in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The line, from 1; 0 when it is about the file as a whole.
    pub line: usize,
    /// The part of the file, such as `bus 7` or `gencost`; empty when there is none.
    pub field: String,
    /// What is wrong and what to do, as a sentence that begins with the part.
    pub what: String,
}

impl Problem {
    /// A problem.
    pub fn new(line: usize, field: impl Into<String>, what: impl Into<String>) -> Self {
        Self { line, field: field.into(), what: what.into() }
    }

    /// Whether it only says that a number is unknown.
    pub(super) fn is_unknown(&self) -> bool {
        self.what.ends_with(FINITE)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "{}: ", self.line)?;
        }
        if !self.field.is_empty() {
            write!(f, "{} ", self.field)?;
        }
        f.write_str(&self.what)
    }
}

/// Something with the line on which it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed<T> {
    /// The line, from 1.
    pub line: usize,
    /// What stands there.
    pub what: T,
}

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Draft {
    /// What the network calls itself.
    pub name: String,
    /// Base of the per-unit system in MVA, and its line.
    pub base_mva: f64,
    /// Where the base stands.
    pub base_line: usize,
    /// The buses.
    pub buses: Vec<Placed<Bus>>,
    /// The branches, between numbers of buses.
    pub branches: Vec<Placed<Branch<u32>>>,
    /// The generators, at numbers of buses.
    pub generators: Vec<Placed<Generator<u32>>>,
}

impl Draft {
    /// The network, with what is worth knowing about it.
    ///
    /// # Errors
    /// Everything that contradicts itself, in the order of the lines.
    pub fn check(self) -> Result<(Network, Vec<Problem>), Vec<Problem>> {
        check::check(self)
    }
}
