//! Simulated devices on a serial line: a pseudo-terminal whose far end the driver opens like any port.

use super::slave::Slave;
use super::{Running, SimDevice, impossible};
use crate::modbus::{crc, crc_fits};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::time::Instant;

/// Serves `devices` on a new pseudo-terminal and makes `link` point at it. Bytes come as slowly as on a wire at
/// `baud`. A `link` that exists is replaced only if it is a symbolic link that points nowhere or at a
/// pseudo-terminal, such as the one that an earlier run left behind.
pub fn serve_rtu(link: &Path, baud: u32, devices: Vec<SimDevice>) -> io::Result<Running> {
    if baud == 0 {
        return Err(impossible("0 baud"));
    }
    let slave = Slave::new(devices)?;
    let (mut line, name) = Line::open(link, baud)?;
    let task = tokio::spawn(async move {
        if let Err(error) = line.serve(&slave).await {
            tracing::warn!(%error, "a simulated serial line broke");
        }
    });
    Ok(Running::new(task.abort_handle()).with_link(link, name))
}

fn open_pty() -> io::Result<(File, File, PathBuf)> {
    let master: PtyMaster = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = PathBuf::from(ptsname_r(&master)?);
    let far = File::options().read(true).write(true).open(&name)?;
    let mut settings = tcgetattr(&far)?;
    cfmakeraw(&mut settings);
    tcsetattr(&far, SetArg::TCSANOW, &settings)?;
    let master = File::from(OwnedFd::from(master));
    fcntl(&master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((master, far, name))
}

/// Makes `link` point at `target`, in one step.
fn point(link: &Path, target: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(link) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        Ok(found) => {
            let old = if found.is_symlink() { std::fs::read_link(link)? } else { PathBuf::new() };
            let ours = found.is_symlink() && (old.starts_with("/dev/pts") || !link.exists());
            if !ours {
                let what = format!("{} exists and is not the simulator's", link.display());
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
            }
        }
    }
    let mut new = link.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let _ = std::fs::remove_file(&new);
    std::os::unix::fs::symlink(target, &new)?;
    std::fs::rename(&new, link)
}

/// The meter's end of a line.
pub(super) struct Line {
    listener: Receiver,
    speaker: Sender,
    /// Bits per second that it is paced by.
    pub baud: u32,
    /// Kept open so that the line survives its users: with nobody on the far end, reading would fail.
    _far: File,
}

impl Line {
    /// A new pseudo-terminal with `link` pointing at it, and where that is.
    pub fn open(link: &Path, baud: u32) -> io::Result<(Self, PathBuf)> {
        let (master, far, name) = open_pty()?;
        point(link, &name)?;
        // Not a pipe, but all that the runtime needs from one: a descriptor that says when it can be read or written.
        let speaker = Sender::from_file_unchecked(master.try_clone()?)?;
        let line = Self { listener: Receiver::from_file_unchecked(master)?, speaker, baud, _far: far };
        Ok((line, name))
    }

    /// How long so many bytes take, at 11 bits each.
    pub fn wire(&self, bytes: usize) -> Duration {
        Duration::from_secs(1) * u32::try_from(bytes * 11).unwrap_or(u32::MAX) / self.baud
    }

    async fn serve(&mut self, slave: &Slave) -> io::Result<()> {
        let mut heard: Vec<u8> = Vec::new();
        loop {
            // Between two parts of one frame the line is never silent for long; what follows a silence is a new frame.
            let gap = self.wire(4).max(Duration::from_millis(20));
            let more = match heard.is_empty() {
                true => self.read().await?,
                false => tokio::time::timeout(gap, self.read()).await.unwrap_or(Ok(Vec::new()))?,
            };
            let silent = more.is_empty();
            heard.extend(more);
            if silent || heard.len() > 512 || whole(&heard) {
                let began = Instant::now();
                let frame = std::mem::take(&mut heard);
                let Some((body, _)) = frame.split_last_chunk::<2>().filter(|_| crc_fits(&frame)) else { continue };
                let Some((unit, pdu)) = body.split_first() else { continue };
                if let Some(answer) = slave.answer(*unit, pdu).await {
                    let mut answer = [&[*unit], answer.as_slice()].concat();
                    answer.extend(crc(&answer).to_le_bytes());
                    // The request's own time on the wire and the silence after it come first.
                    let from = began + self.wire(frame.len()) + self.wire(7) / 2;
                    self.speak(&answer, from).await?;
                }
            }
        }
    }

    pub async fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut heard = Vec::with_capacity(256);
        self.listener.read_buf(&mut heard).await?;
        Ok(heard)
    }

    /// Writes what the wire would have carried by now, again and again until all is out.
    pub async fn speak(&mut self, bytes: &[u8], from: Instant) -> io::Result<()> {
        // A timer ticks every millisecond: smaller portions would not be any truer.
        let portion = usize::try_from(self.baud / 11 / 500).unwrap_or(1).max(1);
        let mut sent = 0;
        while sent < bytes.len() {
            let end = (sent + portion).min(bytes.len());
            tokio::time::sleep_until(from + self.wire(end)).await;
            self.speaker.write_all(&bytes[sent..end]).await?;
            sent = end;
        }
        Ok(())
    }
}

/// Whether `heard` is one whole request of a known function, so that nobody need wait for the silence after it.
fn whole(heard: &[u8]) -> bool {
    let len = match heard.get(1) {
        Some(1..=6) => Some(8),
        Some(15 | 16) => heard.get(6).map(|count| usize::from(*count) + 9),
        _ => None,
    };
    len == Some(heard.len()) && crc_fits(heard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_replaces_nothing_that_is_not_the_simulators() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("port");
        point(&link, Path::new("/dev/pts/7")).unwrap();
        point(&link, Path::new("/dev/pts/8")).unwrap();
        assert_eq!(std::fs::read_link(&link).unwrap(), Path::new("/dev/pts/8"));
        let file = folder.path().join("precious");
        std::fs::write(&file, "data").unwrap();
        assert_eq!(point(&file, Path::new("/dev/pts/7")).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        let other = folder.path().join("link-to-precious");
        std::os::unix::fs::symlink(&file, &other).unwrap();
        assert!(point(&other, Path::new("/dev/pts/7")).is_err());
        std::fs::remove_file(&file).unwrap();
        point(&other, Path::new("/dev/pts/7")).unwrap();
    }
}
