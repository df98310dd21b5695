//! A contactor behind an output. The line is taken as it is, so that neither a start nor a restart moves a contact.

use super::lines::{Held, Sense};
use super::spec::SwitchLine;
use super::{GpioBus, consumer, off_the_runtime};
use crate::capability::{DeviceError, Switch};
use async_trait::async_trait;
use domain::{Position, SwitchId};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a contactor has to move before its feedback is believed to contradict.
const MOVES_WITHIN: Duration = Duration::from_millis(500);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A switch.
pub(crate) struct LineSwitch {
    inner: Arc<Inner>,
}

struct Inner {
    id: SwitchId,
    bus: Arc<GpioBus>,
    line: SwitchLine,
    taken: Mutex<Taken>,
}

/// Lines that are ours. An output is never let go while its chip is there: what its level does then is not ours to say.
#[derive(Default)]
struct Taken {
    output: Option<Box<dyn Held>>,
    feedback: Option<Box<dyn Held>>,
}

/// The same, complete.
struct Pair<'a> {
    output: &'a mut dyn Held,
    feedback: Option<&'a dyn Held>,
}

impl LineSwitch {
    pub fn new(id: SwitchId, bus: Arc<GpioBus>, line: SwitchLine) -> Self {
        Self { inner: Arc::new(Inner { id, bus, line, taken: Mutex::default() }) }
    }

    async fn with_lines<T: Send + 'static>(
        &self,
        work: impl FnOnce(Pair<'_>) -> Result<T, DeviceError> + Send + 'static,
    ) -> Result<T, DeviceError> {
        let inner = Arc::clone(&self.inner);
        off_the_runtime(move || {
            let mut taken = inner.taken.lock().unwrap_or_else(PoisonError::into_inner);
            let done = inner.complete(&mut taken).and_then(work);
            if done.is_err() {
                // A chip that was unplugged and is back gives its lines anew.
                let gone = |held: &mut Box<dyn Held>| held.active().is_err();
                taken.output.take_if(gone);
                taken.feedback.take_if(gone);
            }
            done
        })
        .await
    }
}

impl Inner {
    /// Takes what is missing, the output last: it stays untouched while the feedback cannot be had.
    fn complete<'a>(&self, taken: &'a mut Taken) -> Result<Pair<'a>, DeviceError> {
        let name = consumer(self.id.as_str());
        let feedback = match (self.line.feedback, &mut taken.feedback) {
            (None, _) => None,
            (Some(_), Some(held)) => Some(held),
            (Some(line), none) => {
                let sense = Sense { line: line.line, active: line.active, input: Some(line.bias) };
                Some(none.insert(self.bus.lines.hold(sense, &name)?))
            }
        };
        let output = match &mut taken.output {
            Some(held) => held,
            none => {
                let sense = Sense { line: self.line.line, active: self.line.active, input: None };
                none.insert(self.bus.lines.hold(sense, &name)?)
            }
        };
        Ok(Pair { output: &mut **output, feedback: feedback.map(|held| &**held) })
    }
}

impl Pair<'_> {
    fn closed(&self) -> Result<bool, DeviceError> {
        match self.feedback {
            Some(feedback) => feedback.active(),
            None => self.output.active(),
        }
    }
}

#[async_trait]
impl Switch for LineSwitch {
    async fn set(&self, position: Position) -> Result<(), DeviceError> {
        let wanted = position == Position::Closed;
        self.with_lines(move |pair| pair.output.drive(wanted)).await?;
        // Whoever asks for the position next wants to hear of the contact after it has moved.
        let ordered = Instant::now();
        while self.with_lines(|pair| pair.closed()).await? != wanted && ordered.elapsed() < MOVES_WITHIN {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    async fn position(&self) -> Result<Position, DeviceError> {
        let closed = self.with_lines(|pair| pair.closed()).await?;
        Ok(if closed { Position::Closed } else { Position::Open })
    }
}
