//! The report to sign.

use crate::config::{Config, Meter, Switch};
use domain::{OnSilence, Position};
use std::fmt::Write as _;
use std::path::Path;

/// What came of one device.
pub struct Row {
    pub device: String,
    pub where_: String,
    pub said: String,
    /// What the person who looked said; `None` where nobody could.
    pub seen: Option<bool>,
    /// Why it is not in order.
    pub problem: Option<String>,
}

impl Row {
    pub fn meter(m: &Meter, why: &str) -> Self {
        Self {
            device: m.id.to_string(),
            where_: format!("{} {}, {}", m.bus, m.address, m.template.model),
            said: String::new(),
            seen: None,
            problem: Some(why.to_owned()),
        }
    }

    pub fn switch(s: &Switch, why: &str) -> Self {
        Self {
            device: s.id.to_string(),
            where_: format!("{} {}, {}", s.bus, s.address, s.template.model),
            said: String::new(),
            seen: None,
            problem: Some(why.to_owned()),
        }
    }

    /// Positions that were read back, one after the other.
    pub fn was_read(&mut self, position: Position) {
        let before = if self.said.is_empty() { "" } else { ", " };
        let _ = write!(self.said, "{before}{position}");
    }
}

/// What a report says before its tables.
pub struct Head<'a> {
    pub path: &'a Path,
    pub by: &'a str,
    pub from: &'a str,
    pub to: &'a str,
    /// Why it is not whole.
    pub broken_off: Option<&'a str>,
}

/// As Markdown.
pub fn report(config: &Config, head: &Head<'_>, meters: &[Row], switches: &[Row]) -> String {
    let mut text = format!(
        "# Commissioning report: {}\n\n- {} to {}, {}\n- microgrid-gateway {}\n- {}, SHA-256 {}\n",
        config.site,
        head.from,
        head.to,
        cell(head.by),
        crate::house::VERSION,
        head.path.display(),
        config.digest,
    );
    if let Some(why) = head.broken_off {
        let _ = writeln!(text, "- **Broken off, and not whole: {}**", cell(why));
    }
    if config.is_simulated() {
        text += "- **Buses of this street are simulated: this is a rehearsal.**\n";
    }
    for (title, rows, look) in [("Meters", meters, "display agrees"), ("Switches", switches, "power followed")] {
        let _ = write!(text, "\n## {title}\n\n| | where | it said | {look} | not in order |\n|---|---|---|---|---|\n");
        for row in rows {
            let seen = match row.seen {
                Some(true) => "yes",
                Some(false) => "**no**",
                None => "nobody looked",
            };
            let problem = row.problem.as_deref().map_or_else(String::new, cell);
            let _ =
                writeln!(text, "| {} | {} | {} | {seen} | {problem} |", row.device, cell(&row.where_), cell(&row.said));
        }
    }
    let _ = write!(text, "\n## On silence of the gateway\n\n");
    for s in &config.switches {
        let protected = if s.rule.protected { ", protected" } else { "" };
        let silence = match s.rule.on_silence {
            OnSilence::Open => "open",
            OnSilence::Closed => "closed",
            OnSilence::Hold => "stays as it is",
        };
        let _ = writeln!(text, "- {}: {silence}{protected}", s.id);
    }
    text += "\n| | date | name | signature |\n|---|---|---|---|\n| installer | | | |\n| operator | | | |\n";
    text
}

/// What a device or a person says, in a table.
fn cell(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().replace('|', "/")
}
