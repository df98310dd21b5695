//! Why a question got no answer of use, and whether it is worth asking again.

use super::stream::Others;
use crate::capability::DeviceError;

/// The exception of a device that has no time.
const BUSY: u8 = 6;

pub(super) struct Failed {
    pub error: DeviceError,
    pub why: Why,
    /// What else was under way.
    pub others: Others,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The connection with this number failed, as opposed to what came over it; it had been used before.
    Broke { on: u32, reused: bool },
    /// Nothing came.
    Silent,
    /// The device said no, or nothing of use, or was not asked.
    Said,
}

impl Failed {
    pub fn said(error: DeviceError) -> Self {
        Self { error, why: Why::Said, others: Others::default() }
    }

    /// It may be the others' doing: then it is worth asking again without them.
    pub fn is_company(&self) -> bool {
        self.others.any
            && match self.why {
                Why::Broke { .. } | Why::Silent => true,
                Why::Said => matches!(self.error, DeviceError::Refused { exception: BUSY, .. }),
            }
    }

    /// The device was there and gave an answer.
    pub fn is_answer(&self) -> bool {
        matches!(self.error, DeviceError::Refused { exception, .. } if exception != BUSY)
    }
}
