//! Files that hold secrets: read only if nobody else can.

use domain::token::TokenKey;
use drivers::Credentials;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
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
