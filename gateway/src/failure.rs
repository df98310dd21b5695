//! How a verb ends when it does not end well: a message for a person and an exit code for a machine.

use std::fmt;

/// Codes from `sysexits.h`. systemd does not restart on the first two: waiting cures neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The configuration is wrong (78).
    Config,
    /// A file of ours is damaged or foreign (65).
    Data,
    /// Something outside is not there now: a port in use, a node that does not answer (69).
    Unavailable,
    /// A device does not answer, or a check found something (1).
    Found,
    /// Used wrongly (64).
    Usage,
    /// Anything else (70).
    Internal,
}

impl Code {
    /// The exit code.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Config => 78,
            Self::Data => 65,
            Self::Unavailable => 69,
            Self::Found => 1,
            Self::Usage => 64,
            Self::Internal => 70,
        }
    }
}

/// Why a verb failed.
#[derive(Debug)]
pub struct Failure {
    /// For the machine.
    pub code: Code,
    /// For the person.
    pub message: String,
}

impl Failure {
    /// A failure.
    pub fn new(code: Code, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string() }
    }

    /// Something cannot be done with a file, which is often only not ours.
    pub fn file(code: Code, path: &std::path::Path, e: &std::io::Error) -> Self {
        let who = if e.kind() == std::io::ErrorKind::PermissionDenied { ": run it with sudo" } else { "" };
        Self::new(code, format!("{}: {e}{who}", path.display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<crate::config::Problems> for Failure {
    fn from(problems: crate::config::Problems) -> Self {
        Self::new(Code::Config, problems)
    }
}

impl From<ledger::LedgerError> for Failure {
    fn from(error: ledger::LedgerError) -> Self {
        let code = match error {
            ledger::LedgerError::Damaged { .. }
            | ledger::LedgerError::Newer { .. }
            | ledger::LedgerError::Unreadable { .. } => Code::Data,
            ledger::LedgerError::Foreign { .. } | ledger::LedgerError::Refused(_) => Code::Config,
            ledger::LedgerError::Earlier { .. }
            | ledger::LedgerError::Open { .. }
            | ledger::LedgerError::Database(_) => Code::Unavailable,
        };
        Self::new(code, error)
    }
}

impl From<contracts::embedded::EmbeddedError> for Failure {
    fn from(error: contracts::embedded::EmbeddedError) -> Self {
        use contracts::embedded::EmbeddedError as E;
        let code = match error {
            E::Damaged { .. } | E::UnknownVersion { .. } => Code::Data,
            E::OtherChainId { .. } | E::OtherGenesis { .. } | E::AllocatedTwice(_) => Code::Config,
            E::OtherChain { .. } => Code::Usage,
            _ => Code::Unavailable,
        };
        Self::new(code, error)
    }
}

impl From<contracts::chain::ChainError> for Failure {
    fn from(error: contracts::chain::ChainError) -> Self {
        Self::new(Code::Unavailable, error)
    }
}

impl From<actors::RecordFailed> for Failure {
    fn from(error: actors::RecordFailed) -> Self {
        Self::new(Code::Internal, error)
    }
}
