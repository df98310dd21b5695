//! Buses that carry one meter which speaks telegrams.

use super::fields::{duration, is_host_port};
use super::{Reader, Table};
use drivers::{BusKind, Parity, TelegramPlace, TelegramSpec};
use std::time::Duration;

impl Reader<'_> {
    /// The kind, and the port that nobody else may own.
    pub(super) fn telegram_bus(&self, table: &Table<'_, '_>) -> Option<(BusKind, Option<String>)> {
        let (port, address) = (table.text("port"), table.text("address"));
        let baud = table.number("baud", 300..4_000_001);
        // 7 data bits go with even parity, 8 with none: no such meter does otherwise.
        let parity = table.choice("parity", &[("none", Parity::None), ("even", Parity::Even)]);
        let timeout = duration(table, "timeout", "2s", Duration::from_millis(100)..=Duration::from_secs(60));
        let place = match (port, address) {
            (Some(port), None) if port.trim().is_empty() => {
                table.problem("port", "is empty");
                return None;
            }
            (Some(port), None) => TelegramPlace::Serial(self.base.join(port)),
            (None, Some(address)) => {
                if !is_host_port(&address) {
                    table.problem("address", format!("is {address:?}, must be host:port"));
                    return None;
                }
                for key in ["baud", "parity"] {
                    if table.get(key).is_some() {
                        table.problem(key, "is set at the adapter when the meter is behind an address");
                    }
                }
                TelegramPlace::Tcp(address)
            }
            (Some(_), Some(_)) => {
                table.problem("address", "and port are two ways to one meter: leave one of them out");
                return None;
            }
            (None, None) => {
                // One that is there and no text was complained about already.
                if table.get("port").is_none() && table.get("address").is_none() {
                    table.problem("port", "is missing: a serial port, or address = \"host:port\" of an adapter");
                }
                return None;
            }
        };
        let owner = match &place {
            TelegramPlace::Serial(port) => port.display().to_string(),
            TelegramPlace::Tcp(address) => address.clone(),
        };
        Some((BusKind::Telegram(TelegramSpec { place, baud, parity, timeout: timeout? }), Some(owner)))
    }
}
