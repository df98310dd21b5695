//! Files that hold secrets: read only if nobody else can.

use domain::token::TokenKey;
use drivers::Credentials;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use zeroize::Zeroizing;

/// Whether a file is there and nobody else can read it.
pub fn private(path: &Path) -> Result<(), String> {
    let meta = std::fs::metadata(path).map_err(|e| format!("names {}, which cannot be read: {e}", path.display()))?;
    if meta.permissions().mode() & 0o077 != 0 {
        return Err(format!("names {}, which others can read: chmod 600 it", path.display()));
    }
    Ok(())
}

/// Writes a file that nobody else can read: after a power cut there is the old one or the new one.
pub fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    // One that a power cut left may have any mode.
    match std::fs::remove_file(&beside) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    hand_over(&file, &beside)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// What root makes beside the service belongs to whoever owns the folder: else the service could not read it.
pub fn hand_over(file: &File, path: &Path) -> std::io::Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    let (mine, owner) = (file.metadata()?.uid(), std::fs::metadata(folder)?);
    if mine == 0 && owner.uid() != 0 {
        std::os::unix::fs::fchown(file, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

/// A line of standard input: unseen from a terminal, which is told what is wanted. Answers whether it is one.
pub fn read_line(wanted: &str) -> Result<(String, bool), String> {
    use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
    let stdin = std::io::stdin();
    let terminal = tcgetattr(&stdin).ok();
    if let Some(before) = &terminal {
        eprint!("{wanted}");
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        // Shown to everybody in the room would be worse than not read.
        tcsetattr(&stdin, SetArg::TCSAFLUSH, &silent).map_err(|e| format!("the terminal: {e}"))?;
    }
    let mut line = String::new();
    let read = std::io::BufRead::read_line(&mut stdin.lock().take(4_096), &mut line);
    if let Some(before) = &terminal {
        let _ = tcsetattr(&stdin, SetArg::TCSAFLUSH, before);
        eprintln!();
    }
    read.map_err(|e| format!("standard input: {e}"))?;
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok((line, terminal.is_some()))
}

/// Lines of `user:password`; `#` begins a comment.
pub fn read_users(path: &Path) -> Result<Vec<Credentials>, String> {
    private(path)?;
    let text =
        std::fs::read_to_string(path).map_err(|e| format!("names {}, which cannot be read: {e}", path.display()))?;
    let mut users: Vec<Credentials> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once(':') {
            Some((user, password)) if !user.is_empty() && !password.is_empty() => {
                users.push(Credentials { user: user.to_owned(), password: password.to_owned() });
            }
            // The line is not quoted: it may hold a password.
            _ => return Err(format!("names {}, whose line {} is not user:password", path.display(), index + 1)),
        }
    }
    if users.is_empty() { Err(format!("names {}, which lists nobody", path.display())) } else { Ok(users) }
}

/// The key of an account's tokens. What is in the file is never repeated.
pub fn read_token_key(path: &Path) -> Result<TokenKey, String> {
    private(path)?;
    // More than a key and its line end is something else, and is not read into memory.
    let mut text = Zeroizing::new(String::with_capacity(64));
    let file = std::fs::File::open(path).map_err(|e| format!("names {}, which cannot be read: {e}", path.display()))?;
    let read = file.take(64).read_to_string(&mut text);
    let key = read.ok().and_then(|_| text.trim().parse().ok());
    key.ok_or_else(|| format!("names {}, which holds no token key: 32 hex digits", path.display()))
}
