//! The machine: its clock, and the folder that the gateway lives in.

use super::Finding;
use crate::clock;
use crate::config::Config;
use domain::Timestamp;
use ledger::Ledger;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{AccessFlags, access};
use std::path::Path;
use std::process::Command;

/// Below this the card is full within days.
const SCARCE: u64 = 200 << 20;
/// Below this the database cannot work.
const TOO_LITTLE: u64 = 20 << 20;

/// Whether billing by the hour can trust the clock.
pub fn clock() -> Finding {
    let now = clock::wall();
    let said = format!("it is {now}");
    // 2026-01-01: no gateway ran before.
    if now < Timestamp(1_767_225_600_000) {
        let fix = "bring network for NTP, or fit a real-time clock; until then nothing is billed by the hour";
        return Finding::bad("clock", format!("{said}: it was never set"), fix);
    }
    let rtc = Path::new("/dev/rtc0").exists();
    let spare = "fit a real-time clock: after a power cut without network the time is wrong";
    match (synchronised(), rtc) {
        (Some(true), true) => Finding::good("clock", format!("{said}, kept by NTP and a real-time clock")),
        (Some(true), false) => Finding::doubtful("clock", format!("{said}, kept by NTP alone"), spare),
        (Some(false), _) => {
            Finding::doubtful("clock", format!("{said}, and NTP does not keep it"), "timedatectl set-ntp true")
        }
        (None, _) => Finding::good("clock", format!("{said}; there is no timedatectl here to ask who keeps it")),
    }
}

/// What systemd says of NTP; `None` without it.
fn synchronised() -> Option<bool> {
    let asked = Command::new("timedatectl").args(["show", "-p", "NTPSynchronized", "--value"]).output().ok()?;
    match String::from_utf8_lossy(&asked.stdout).trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// The state folder: whether it can be written, for how long, and whether the ledger in it opens.
pub fn state(config: &Config) -> Vec<Finding> {
    let state = &config.state;
    let shown = state.display();
    // Where it will be made.
    let Some(there) = state.ancestors().find(|folder| folder.exists()) else {
        return vec![Finding::bad("state", format!("{shown}: no part of it exists"), "name another [site] state")];
    };
    let mut found = Vec::new();
    if access(there, AccessFlags::W_OK | AccessFlags::X_OK).is_err() {
        let who = format!("{}: this user may not write there", there.display());
        found.push(Finding::bad(
            "state",
            who,
            "run it as the service's user: sudo -u microgrid-gateway …, or chown it",
        ));
    }
    match statvfs(there) {
        Err(e) => found.push(Finding::bad("state", format!("{shown}: {e}"), "look at the file system")),
        Ok(disk) => {
            let free = disk.blocks_available().saturating_mul(disk.fragment_size());
            let said = format!("{shown}: {} MiB free", free >> 20);
            let room = "make room, or shorten keep_readings in [ledger]; metering keeps the newest registers meanwhile";
            found.push(if disk.flags().contains(FsFlags::ST_RDONLY) {
                Finding::bad("disk", format!("{shown}: read-only"), "a card that fails is mounted so: look at dmesg")
            } else if free < TOO_LITTLE {
                Finding::bad("disk", said, room)
            } else if free < SCARCE {
                Finding::doubtful("disk", said, room)
            } else {
                Finding::good("disk", said)
            });
        }
    }
    let path = state.join("ledger.db");
    if path.exists() {
        found.push(match Ledger::open_copy(&path).and_then(|ledger| ledger.last_seq()) {
            Ok(last) => Finding::good("ledger", format!("it opens; its newest record is {}", last.0)),
            Err(e) => {
                Finding::bad("ledger", e.to_string(), "microgrid-gateway journal restore, from the newest backup")
            }
        });
    }
    found
}
