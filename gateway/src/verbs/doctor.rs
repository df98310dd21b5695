//! `doctor`: what keeps a gateway from working here, and what to do about it. It only looks: no device is asked and no
//! switch moved (that is `check --devices`), no file made.

mod chain;
mod machine;
mod wires;

use super::print;
use crate::cli::Doctor;
use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::house;
use serde::Serialize;
use std::io::IsTerminal;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Grade {
    /// As it should be.
    Good,
    /// It works, and will not always.
    Doubtful,
    /// It does not work.
    Bad,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
struct Finding {
    about: String,
    grade: Grade,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Finding {
    fn good(about: impl Into<String>, what: impl Into<String>) -> Self {
        Self { about: about.into(), grade: Grade::Good, what: what.into(), fix: None }
    }

    fn doubtful(about: impl Into<String>, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { about: about.into(), grade: Grade::Doubtful, what: what.into(), fix: Some(fix.into()) }
    }

    fn bad(about: impl Into<String>, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { about: about.into(), grade: Grade::Bad, what: what.into(), fix: Some(fix.into()) }
    }

    fn words(&self, colours: bool) -> String {
        let (word, colour) = match self.grade {
            Grade::Good => ("good", "32"),
            Grade::Doubtful => ("doubtful", "33"),
            Grade::Bad => ("bad", "31"),
        };
        let word = format!("{word:<8}");
        let word = if colours { format!("\x1b[{colour}m{word}\x1b[0m") } else { word };
        let mut text = format!("{word}  {:<16} {}\n", self.about, self.what.replace('\n', &format!("\n{:27}", "")));
        if let Some(fix) = &self.fix {
            text += &format!("{:27}→ {fix}\n", "");
        }
        text
    }
}

/// Looks at everything, and shows each finding as soon as it is there.
pub fn run(options: &Doctor) -> Result<(), Failure> {
    let colours = std::io::stdout().is_terminal();
    let mut all = Vec::new();
    let mut say = |found: Vec<Finding>| {
        if !options.json {
            for finding in &found {
                print(&finding.words(colours))?;
            }
        }
        all.extend(found);
        Ok::<_, Failure>(())
    };
    let path = &options.config.path;
    say(vec![machine::clock()])?;
    match Config::load(path) {
        Err(problems) => {
            let fix = format!("mend {}; `microgrid-gateway config` prints every key", path.display());
            say(vec![Finding::bad("configuration", problems.to_string(), fix)])?;
        }
        Ok(config) => {
            let runs = house::runs(&config);
            let n = (config.meters.len(), config.switches.len());
            say(vec![
                Finding::good("configuration", format!("{}: {} meters, {} switches", path.display(), n.0, n.1)),
                Finding::good("gateway", if runs { "it runs" } else { "it does not run now" }),
            ])?;
            say(machine::state(&config))?;
            say(wires::listeners(&config, runs))?;
            say(wires::buses(&config))?;
            say(chain::key(&config))?;
            say(chain::ledger(&config))?;
            say(chain::nodes(&config))?;
        }
    }
    if options.json {
        let text = serde_json::to_string_pretty(&all).map_err(|e| Failure::new(Code::Internal, e))?;
        print(&(text + "\n"))?;
    }
    match all.iter().filter(|f| f.grade == Grade::Bad).count() {
        0 => Ok(()),
        n => Err(Failure::new(Code::Found, format!("{n} of {} findings keep the gateway from working", all.len()))),
    }
}
