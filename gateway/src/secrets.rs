//! Files that hold secrets: read only if nobody else can.

use drivers::Credentials;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Whether a file is there and nobody else can read it.
pub fn private(path: &Path) -> Result<(), String> {
    let meta = std::fs::metadata(path).map_err(|e| format!("names {}, which cannot be read: {e}", path.display()))?;
    if meta.permissions().mode() & 0o077 != 0 {
        return Err(format!("names {}, which others can read: chmod 600 it", path.display()));
    }
    Ok(())
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
