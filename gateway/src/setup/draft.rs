//! The configuration as it grows: after every answer it is one that could be run, or the answer is refused.

use crate::config::{Config, DEFAULT, Problems};
use std::fmt::Write;
use std::path::Path;

/// A configuration in the making.
#[derive(Clone, Debug)]
pub struct Draft<'p> {
    path: &'p Path,
    text: String,
    read: Config,
}

/// A table to add, such as `[[meter]]`.
pub struct Entry(String);

impl Entry {
    /// One of this kind.
    pub fn new(kind: &str) -> Self {
        Self(format!("\n[[{kind}]]\n"))
    }

    /// With a text.
    pub fn text(mut self, key: &str, value: &str) -> Self {
        let _ = writeln!(self.0, "{key} = {}", quoted(value));
        self
    }

    /// With lines that are in the notation already.
    pub fn lines(mut self, lines: &str) -> Self {
        self.0 += lines;
        self
    }

    /// With a number, or a truth.
    pub fn plain(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        let _ = writeln!(self.0, "{key} = {value}");
        self
    }
}

/// A text in TOML.
pub fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

impl<'p> Draft<'p> {
    /// The default, to be written there.
    pub fn new(path: &'p Path) -> Result<Self, Problems> {
        Ok(Self { path, text: DEFAULT.to_owned(), read: parse(path, DEFAULT)? })
    }

    /// As it would be written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// As it would be read.
    pub fn read(&self) -> &Config {
        &self.read
    }

    /// Gives a key another value, in the notation of TOML, and keeps its comment.
    pub fn set(&mut self, section: &str, key: &str, value: &str) -> Result<(), String> {
        let text = edited(&self.text, section, key, |line| {
            let comment = line.find(" #").map_or("", |at| &line[at..]);
            format!("{key} = {value}{}{comment}", if comment.is_empty() { "" } else { "  " })
        })?;
        self.accept(text)
    }

    /// Several keys at once, where one makes no sense without the other; a key without a value becomes a comment.
    pub fn set_all(&mut self, section: &str, keys: &[(&str, Option<&str>)]) -> Result<(), String> {
        let mut text = self.text.clone();
        for (key, value) in keys {
            text = edited(&text, section, key, |line| match value {
                Some(value) => format!("{key} = {value}"),
                None => format!("# {line}"),
            })?;
        }
        self.accept(text)
    }

    /// Adds tables at the end.
    pub fn add(&mut self, entries: &[Entry]) -> Result<(), String> {
        let mut text = self.text.clone();
        for Entry(entry) in entries {
            text += entry;
        }
        self.accept(text)
    }

    fn accept(&mut self, text: String) -> Result<(), String> {
        match parse(self.path, &text) {
            Ok(read) => {
                self.text = text;
                self.read = read;
                Ok(())
            }
            Err(Problems(all)) => {
                // Whoever answers has no file yet to look at lines of.
                let said = |p: &drivers::document::Problem| format!("{} {}", p.field, p.what).trim().to_owned();
                Err(all.iter().map(said).collect::<Vec<_>>().join("\n"))
            }
        }
    }
}

fn parse(path: &Path, text: &str) -> Result<Config, Problems> {
    Config::parse(&path.display().to_string(), text, path.parent().unwrap_or(Path::new("")))
}

/// The text with one line changed: that of the key in its section, there or as a comment. Our own default has each at
/// most once, at the beginning of a line.
fn edited(text: &str, section: &str, key: &str, change: impl Fn(&str) -> String) -> Result<String, String> {
    let header = format!("[{section}]");
    let (mut inside, mut done) = (false, false);
    let mut out = String::with_capacity(text.len() + 64);
    for line in text.lines() {
        if line.starts_with('[') {
            inside = line.starts_with(&header);
        }
        let bare = line.strip_prefix("# ").unwrap_or(line);
        let is_it = bare.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='));
        if inside && is_it && !done {
            done = true;
            out += &change(bare);
        } else {
            out += line;
        }
        out.push('\n');
    }
    if done { Ok(out) } else { Err(format!("the default has no {section}.{key}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_set_where_it_stands_and_what_is_wrong_changes_nothing() {
        let path = Path::new("/nowhere/gateway.toml");
        let mut draft = Draft::new(path).unwrap();
        draft.set("site", "name", &quoted("hill")).unwrap();
        draft.set("tariff", "peak", &quoted("0.5")).unwrap();
        assert_eq!(draft.read().site, "hill");
        assert!(draft.text().contains("peak = \"0.5\"") && draft.text().contains("name = \"hill\"   # a level"));
        let before = draft.text().to_owned();
        let why = draft.set("site", "timezone", &quoted("Mars/Olympus")).unwrap_err();
        assert!(why.contains("site.timezone"), "{why}");
        assert_eq!(draft.text(), before);
    }

    #[test]
    fn keys_that_need_each_other_are_set_together() {
        let mut draft = Draft::new(Path::new("gateway.toml")).unwrap();
        assert!(draft.set("web", "listen", "\"0.0.0.0:8080\"").unwrap_err().contains("tls"));
        draft.set_all("web", &[("listen", Some("\"0.0.0.0:8080\"")), ("tls", Some("\"self-signed\""))]).unwrap();
        let node = "\"rpc\"\nurl = \"http://127.0.0.1:8545\"";
        draft.set_all("chain", &[("kind", Some(node)), ("chain_id", Some("5")), ("rpc_listen", None)]).unwrap();
        assert_eq!(draft.read().chain.chain_id, 5);
        assert!(draft.set("chain", "no_such_key", "1").unwrap_err().contains("chain.no_such_key"));
    }

    #[test]
    fn no_answer_breaks_out_of_its_quotes() {
        let mut draft = Draft::new(Path::new("gateway.toml")).unwrap();
        for answer in ["a\"\n[web]\nlisten = \"0.0.0.0:1\"", "\\", "'''", "\u{0}"] {
            assert!(draft.set("site", "name", &quoted(answer)).is_err(), "{answer:?}");
            let account = Entry::new("account").text("id", answer);
            assert!(draft.add(&[account]).is_err(), "{answer:?}");
        }
        assert_eq!(draft.text(), DEFAULT);
    }
}
