//! `probe` of an inverter: its limit.

use super::{asked_to_stop, patient, print};
use crate::cli::Limit;
use crate::config::Meter;
use crate::failure::{Code, Failure};
use domain::Permille;
use drivers::{Bus, DeviceError, Inverter, Limited};
use std::time::Duration;
use tokio::time::Instant;

/// Several registers are written and read, and the device may need some seconds to follow.
const PATIENCE: Duration = Duration::from_secs(20);

/// Limits it if that was asked for, and says what the device says.
pub(super) async fn probe(
    bus: &Bus,
    meter: &Meter,
    limit: Option<Limit>,
    hold: Option<Duration>,
) -> Result<(), Failure> {
    let device = &meter.id;
    let gone = |e: DeviceError| {
        let code = if matches!(e, DeviceError::Ignored { .. }) { Code::Found } else { Code::Unavailable };
        Failure::new(code, format!("{device}: {e}"))
    };
    let inverter = bus.inverter(&meter.template, &meter.address).map_err(|e| Failure::new(Code::Config, e))?;
    let Some(Limit(to)) = limit else {
        // A device that describes itself may have no limit, and be read all the same.
        let said = patient(PATIENCE, inverter.limited()).await;
        return print(&said.map_or_else(|e| format!("{device}: {e}\n"), |said| describe(device.as_str(), said)));
    };
    let said = patient(PATIENCE, inverter.limit(to)).await.map_err(gone)?;
    print(&describe(device.as_str(), said))?;
    let (Some(to), Some(hold)) = (to, hold) else { return Ok(()) };
    held(inverter.as_ref(), to, hold).await.map_err(gone)?;
    let said = patient(PATIENCE, inverter.limited()).await.map_err(gone)?;
    print(&describe(device.as_str(), said))
}

/// Until the time is over or somebody stops it; the limit is lifted either way.
async fn held(inverter: &dyn Inverter, to: Permille, hold: Duration) -> Result<(), DeviceError> {
    let Ok(stop) = asked_to_stop() else { return inverter.hold(to, Instant::now() + hold).await };
    tokio::select! {
        held = inverter.hold(to, Instant::now() + hold) => held,
        () = stop => inverter.limit(None).await.map(|_| ()),
    }
}

fn describe(device: &str, Limited { to, lapses }: Limited) -> String {
    let after = match (to, lapses) {
        (None, _) => String::new(),
        (_, Some(after)) => format!(", and lets go {} s after the last order", after.as_secs()),
        (_, None) => ", and does not let go by itself: lift it with --limit off".to_owned(),
    };
    let limit = to.map_or_else(|| "not limited".to_owned(), |to| format!("limited to {to}"));
    format!("{device} is {limit}{after}\n")
}
