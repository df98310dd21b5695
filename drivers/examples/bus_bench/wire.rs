//! What simulated devices need: exact waits, checksums, pseudo-terminals.

use nix::fcntl::OFlag;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Waits more exactly than a runtime's timer does.
pub fn wait_until(at: Instant) {
    while let Some(left) = at.checked_duration_since(Instant::now()) {
        if left > Duration::from_micros(300) {
            std::thread::park_timeout(left - Duration::from_micros(200));
        } else {
            std::hint::spin_loop();
        }
    }
}

/// A pseudo-terminal that passes bytes as they are: the devices' side, the path that a master opens, and that path's
/// own handle, which must be kept lest the line hang up.
pub fn pty() -> (File, PathBuf, File) {
    let master = nix::pty::posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY).expect("a pseudo-terminal");
    nix::pty::grantpt(&master).expect("a right to it");
    nix::pty::unlockpt(&master).expect("its other end");
    let port = PathBuf::from(nix::pty::ptsname_r(&master).expect("its name"));
    let far = File::options().read(true).write(true).open(&port).expect("its other end");
    let mut settings = tcgetattr(&far).expect("its settings");
    cfmakeraw(&mut settings);
    tcsetattr(&far, SetArg::TCSANOW, &settings).expect("new settings");
    (File::from(OwnedFd::from(master)), port, far)
}

/// 3.5 characters, or what the standard sets instead above 19200 baud.
pub fn silence(baud: u32) -> Duration {
    if baud > 19_200 { Duration::from_micros(1750) } else { Duration::from_secs(77) / 2 / baud }
}

/// The checksum of RTU.
pub fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 })
    })
}
