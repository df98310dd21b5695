use drivers::document::Problem;
use std::fmt;

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// One problem with the file as a whole.
    #[must_use]
    pub fn one(file: &str, what: impl Into<String>) -> Self {
        Self(vec![Problem { file: file.to_owned(), line: 0, column: 0, field: String::new(), what: what.into() }])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            if problem.line == 0 {
                writeln!(f, "{}: {}", problem.file, problem.what)?;
            } else {
                writeln!(f, "{problem}")?;
            }
        }
        write!(f, "{} problem{} found", self.0.len(), if self.0.len() == 1 { "" } else { "s" })
    }
}

impl std::error::Error for Problems {}
