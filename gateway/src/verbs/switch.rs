//! `switch` and `emergency`: what a person orders, whatever the account says.

use super::{open_ledger, print};
use crate::cli::{ConfigFile, SwitchAction, SwitchOrder};
use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::{clock, house};
use domain::{Emergency, Fact, Position};
use ledger::{Ledger, LedgerError, Write};

/// Longest name and reason that are written down.
const NAME: usize = 64;
const WHY: usize = 200;

/// `switch`
pub fn switch(order: &SwitchOrder) -> Result<(), Failure> {
    let (config, ledger) = open_ledger(&order.config)?;
    let Some(switch) = config.switches.iter().find(|s| s.id.as_str() == order.switch) else {
        let known = config.switches.iter().map(|s| s.id.as_str());
        let hint = drivers::document::did_you_mean(&order.switch, known);
        let file = order.config.path.display();
        return Err(Failure::new(Code::Usage, format!("{:?} is no switch of {file}{hint}", order.switch)));
    };
    let problems = problems(order, switch.rule.protected);
    if !problems.is_empty() {
        return Err(Failure::new(Code::Usage, problems.join("\n")));
    }
    let now = clock::open(&config)?.now();
    let by = order.by.trim().to_owned();
    let id = switch.id.clone();
    let (fact, said) = match order.action {
        SwitchAction::Reconnect => {
            let said = format!("{by} asks that {id} be closed; it is, if it is ready for reconnection");
            (Fact::ReconnectAsked { account: switch.account.clone(), by }, said)
        }
        SwitchAction::Auto => {
            let said = format!("{id} follows its account again");
            let why = order.why.clone().unwrap_or_else(|| "given back".into());
            (Fact::SwitchOverridden { switch: id, order: None, until: None, safety: false, by, why }, said)
        }
        SwitchAction::Open | SwitchAction::Closed => {
            let position = if order.action == SwitchAction::Open { Position::Open } else { Position::Closed };
            let until = order.lasts.map(|lasts| now + lasts);
            let end = until.map_or_else(|| "somebody says auto".to_owned(), |until| until.to_string());
            let said = format!("{id} is to be {position} until {end}");
            let why = order.why.clone().unwrap_or_default();
            let order = Some(position);
            (Fact::SwitchOverridden { switch: id, order, until, safety: until.is_none(), by, why }, said)
        }
    };
    record(&ledger, now, fact)?;
    tell(&config, &said)
}

/// `emergency`
pub fn emergency(file: &ConfigFile, account: &str, by: &str) -> Result<(), Failure> {
    let (config, ledger) = open_ledger(file)?;
    let Some(found) = config.accounts.iter().find(|a| a.id.as_str() == account) else {
        let hint = drivers::document::did_you_mean(account, config.accounts.iter().map(|a| a.id.as_str()));
        return Err(Failure::new(Code::Usage, format!("{account:?} is no account of {}{hint}", file.path.display())));
    };
    if let Some(problem) = text_problem("--by", by, NAME) {
        return Err(Failure::new(Code::Usage, problem));
    }
    let taken =
        Fact::EmergencyChanged { account: found.id.clone(), emergency: Emergency::Accepted, by: by.trim().to_owned() };
    record(&ledger, clock::open(&config)?.now(), taken)?;
    tell(&config, &format!("{account} has taken its emergency credit"))
}

/// All that is wrong with an order.
fn problems(order: &SwitchOrder, protected: bool) -> Vec<String> {
    let id = &order.switch;
    let moves = matches!(order.action, SwitchAction::Open | SwitchAction::Closed);
    let mut found: Vec<String> = text_problem("--by", &order.by, NAME).into_iter().collect();
    match &order.why {
        Some(why) => found.extend(text_problem("--why", why, WHY)),
        None if moves => found.push("--why is missing: say for what reason, it is written down".into()),
        None => {}
    }
    if order.safety && order.action != SwitchAction::Open {
        found
            .push("--safety goes with open only: a switch that is kept open for safety is given back with auto".into());
    }
    if order.safety && order.lasts.is_some() {
        found.push("--safety has no --for: what is open for safety stays open until somebody says auto".into());
    }
    if !moves && order.lasts.is_some() {
        found.push("--for goes with open and closed only".into());
    }
    if moves && !order.safety && order.lasts.is_none() {
        found.push("--for is missing: an order runs out by itself, so say when, such as --for 2h".into());
    }
    if order.action == SwitchAction::Open && protected && !order.safety {
        found.push(format!(
            "{id} is a protected customer's and is never opened; where somebody's safety asks for it, say --safety"
        ));
    }
    found
}

fn text_problem(what: &str, text: &str, most: usize) -> Option<String> {
    let text = text.trim();
    let bad = text.is_empty() || text.chars().count() > most || text.contains(char::is_control);
    bad.then(|| format!("{what} must be 1 to {most} characters on one line"))
}

/// Orders are written where the gateway looks for them, whether it runs or not.
fn record(ledger: &Ledger, now: domain::Timestamp, fact: Fact) -> Result<(), Failure> {
    let outcome = ledger.commit(now, &[Write::Fact(fact)])?.pop();
    match outcome {
        Some(Err(LedgerError::Refused(why))) => Err(Failure::new(Code::Found, why)),
        Some(Err(error)) => Err(error.into()),
        _ => Ok(()),
    }
}

fn tell(config: &Config, said: &str) -> Result<(), Failure> {
    let when = if house::runs(config) { "within half a minute" } else { "when it starts" };
    print(&format!("{said}\nwritten down; the gateway follows {when}\n"))
}
