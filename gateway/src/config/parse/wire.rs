//! What some buses need besides a place: certificates, and a kernel that turns the line around.

use super::Table;
use super::fields::duration;
use crate::secrets;
use drivers::{BusKind, BusSpec, Rs485, Tls, TlsFile, TlsFiles};
use std::path::Path;
use std::time::Duration;

/// Every key that a bus of some kind may have: what belongs where follows from the kind.
pub(super) const BUS_KEYS: &[&str] = &[
    "port",
    "baud",
    "parity",
    "stop_bits",
    "timeout",
    "address",
    "chip",
    "broker",
    "users_file",
    "turnaround",
    "pipeline",
    "rs485",
    "rs485_before",
    "rs485_after",
    "tls_ca",
    "tls_certificate",
    "tls_key",
    "tls_name",
];

/// Certificates for a device that speaks Modbus/TCP Security: `Some(None)` for one that does not, `None` for a mistake.
pub(super) fn tls(table: &Table<'_, '_>, base: &Path, address: &str) -> Option<Option<Tls>> {
    let file = |key| table.text(key).map(|name| base.join(name));
    let (ca, certificate, key) = (file("tls_ca"), file("tls_certificate"), file("tls_key"));
    let name = table.text("tls_name");
    let Some(ca) = ca else {
        for other in ["tls_certificate", "tls_key", "tls_name"] {
            if table.get(other).is_some() {
                table.problem(other, "needs tls_ca beside it: who may vouch for the device?");
                return None;
            }
        }
        return Some(None);
    };
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => {
            if let Err(problem) = secrets::private(&key) {
                table.problem("tls_key", problem);
                return None;
            }
            Some((certificate, key))
        }
        (None, None) => None,
        (Some(_), None) => {
            table.problem("tls_key", "is missing: a certificate is shown with its key");
            return None;
        }
        (None, Some(_)) => {
            table.problem("tls_certificate", "is missing: whose key is it?");
            return None;
        }
    };
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    let found = Tls::load(TlsFiles { ca, identity }, name.as_deref().unwrap_or(host));
    if let Err(problems) = &found {
        for (file, what) in problems {
            let key = match file {
                TlsFile::Ca => "tls_ca",
                TlsFile::Certificate => "tls_certificate",
                TlsFile::Key => "tls_key",
                TlsFile::Name => "tls_name",
            };
            table.problem(key, what);
        }
    }
    found.ok().map(Some)
}

/// What failed beside others is asked again alone, one after the other. If none is answered that may take so long at most:
/// half of what the watchdog waits for a sign of life.
const ALL_IN_VAIN: Duration = Duration::from_secs(60);

/// How many questions may be under way: of others than Modbus TCP the key is unknown. Where something else is wrong with
/// the bus, nobody knows yet whether it belongs there.
pub(super) fn pipeline(table: &Table<'_, '_>, kind: Option<&BusKind>) -> u8 {
    let numbered = |kind: &BusKind| matches!(kind, BusKind::ModbusTcp { .. } | BusKind::ModbusTls { .. });
    let range = 1..i128::from(BusSpec::PIPELINE) + 1;
    let pipeline: u8 = kind.is_none_or(numbered).then(|| table.number("pipeline", range)).flatten().unwrap_or(1);
    if let Some(BusKind::ModbusTcp { timeout, .. } | BusKind::ModbusTls { timeout, .. }) = kind
        && pipeline > 1
        && *timeout * u32::from(pipeline) > ALL_IN_VAIN
    {
        let most = ALL_IN_VAIN.as_secs();
        let why = format!("times timeout is more than {most} s: so long a device that is gone would stop the bus");
        table.problem("pipeline", why);
    }
    pipeline
}

/// Who turns an RS-485 line around.
pub(super) fn rs485(table: &Table<'_, '_>, kind: &BusKind) -> Option<Rs485> {
    if !matches!(kind, BusKind::ModbusRtu { .. }) {
        // What is not asked for here is called unknown.
        return None;
    }
    let delay = |key| duration(table, key, "0ms", Duration::ZERO..=Duration::from_millis(100));
    let (before, after) = (delay("rs485_before"), delay("rs485_after"));
    let invert = table.choice("rs485", &[("rts-high", false), ("rts-low", true)]);
    if table.get("rs485").is_none() {
        for key in ["rs485_before", "rs485_after"] {
            if table.get(key).is_some() {
                table.problem(key, "needs rs485 = \"rts-high\" or \"rts-low\" beside it");
            }
        }
    }
    Some(Rs485 { invert_rts: invert?, delay_before: before?, delay_after: after? })
}
