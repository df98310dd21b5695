//! `commission`: every meter read and every switch moved, with somebody looking, and a report to sign.

use super::{block_on, compact, patient};
use crate::cli::Commission;
use crate::config::{Config, Inverter, Meter, Switch};
use crate::failure::{Code, Failure};
use crate::setup::talk::Talk;
use crate::{clock, house, simulate};
use domain::{OnSilence, Position, WattHours};
use drivers::Bus;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::{BufRead, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

/// What came of one device.
struct Row {
    device: String,
    where_: String,
    said: String,
    /// What the person who looked said; `None` where nobody could.
    seen: Option<bool>,
    /// Why it is not in order.
    problem: Option<String>,
}

/// Asks, moves, writes.
pub fn run(options: &Commission) -> Result<(), Failure> {
    let file = std::fs::read(&options.config.path)
        .map_err(|e| Failure::new(Code::Config, format!("{}: {e}", options.config.path.display())))?;
    let config = Config::load(&options.config.path)?.beside_the_service();
    std::fs::create_dir_all(&config.state)
        .map_err(|e| Failure::new(Code::Unavailable, format!("cannot create {}: {e}", config.state.display())))?;
    // Held until the end: a gateway that runs would move the switches back.
    let lock = house::lock(&config.state).map_err(|e| Failure::new(e.code, format!("{e}: systemctl stop it")))?;
    let clock = clock::open(&config)?;
    let began = clock.now();
    let stdin = std::io::stdin();
    let echoed = stdin.is_terminal();
    let mut talk = Talk::new(stdin.lock(), std::io::stdout().lock(), echoed);
    let (mut meters, mut switches) = (Vec::new(), Vec::new());
    block_on(async {
        // The lock is ours, so the simulator is not another's.
        let _simulated = simulate::serve(&config, &clock).await?;
        for bus in &config.buses {
            if config.broker.as_ref().is_some_and(|broker| bus.uses(broker)) && !bus.simulate {
                let why = "its broker is the gateway's own, which does not run now: look at the page afterwards";
                talk.say(format!("bus {}: {why}", bus.spec.id))?;
                for m in config.meters.iter().filter(|m| m.bus == bus.spec.id) {
                    meters.push(unread(m, why));
                }
                for s in config.switches.iter().filter(|s| s.bus == bus.spec.id) {
                    switches.push(unmoved(s, why));
                }
                continue;
            }
            let opened = Bus::open(bus.spec.clone(), clock.clone()).map_err(|e| Failure::new(Code::Config, e))?;
            let own: Vec<Meter> = config.inverters.iter().filter_map(Inverter::as_meter).collect();
            for m in config.meters.iter().chain(&own).filter(|m| m.bus == bus.spec.id) {
                meters.push(read(&mut talk, &opened, m).await?);
            }
            for s in config.switches.iter().filter(|s| s.bus == bus.spec.id) {
                switches.push(moved(&mut talk, &opened, s).await?);
            }
        }
        Ok::<_, Failure>(())
    })?;
    drop(lock);
    let digest = hex::encode(Sha256::digest(&file));
    let zone = &config.tariff.zone;
    let (from, to) = (zone.day_and_time(began), zone.day_and_time(clock.now()));
    let text = report(&config, options, &digest, (&from, &to), &meters, &switches);
    std::fs::write(&options.report, &text)
        .map_err(|e| Failure::new(Code::Unavailable, format!("{}: {e}", options.report.display())))?;
    let wrong = meters.iter().chain(&switches).filter(|row| row.problem.is_some()).count();
    talk.say(format!("\n{} is to be signed", options.report.display()))?;
    match wrong {
        0 => Ok(()),
        n => {
            Err(Failure::new(Code::Found, format!("{n} of {} devices are not in order", meters.len() + switches.len())))
        }
    }
}

fn unread(m: &Meter, why: &str) -> Row {
    Row {
        device: m.id.to_string(),
        where_: format!("{} {}, {}", m.bus, m.address, m.template.model),
        said: String::new(),
        seen: None,
        problem: Some(why.to_owned()),
    }
}

fn unmoved(s: &Switch, why: &str) -> Row {
    Row {
        device: s.id.to_string(),
        where_: format!("{} {}, {}", s.bus, s.address, s.template.model),
        said: String::new(),
        seen: None,
        problem: Some(why.to_owned()),
    }
}

async fn read<R: BufRead, W: Write>(talk: &mut Talk<R, W>, bus: &Bus, m: &Meter) -> Result<Row, Failure> {
    let meter = bus.meter(m.id.clone(), Arc::clone(&m.template), m.address.clone());
    let meter = meter.map_err(|e| Failure::new(Code::Config, e))?;
    let reading = match patient(m.period * 3, meter.read()).await {
        Ok(reading) => reading,
        Err(why) => {
            talk.say(format!("meter {}: {why}", m.id))?;
            return Ok(unread(m, &why.to_string()));
        }
    };
    let mut row = unread(m, "");
    if let Some(who) = bus.identify(&m.template, &m.address)
        && let Ok(who) = patient(PATIENCE, who.identify()).await
    {
        let _ = write!(row.where_, ", {who}");
    }
    let shown =
        |register: Option<WattHours>| register.map(|WattHours(wh)| format!("{}.{:03} kWh", wh / 1000, wh % 1000));
    row.said = match (shown(reading.import), shown(reading.export)) {
        (Some(import), Some(export)) => format!("import {import}, export {export}"),
        (Some(import), None) => format!("import {import}"),
        (None, Some(export)) => format!("export {export}"),
        (None, None) => compact(&reading),
    };
    talk.say(format!("meter {} ({}): {}", m.id, row.where_, row.said))?;
    let seen = talk.yes("  does its display show that", None)?;
    row.seen = Some(seen);
    row.problem = (!seen).then(|| "its display shows something else".to_owned());
    Ok(row)
}

/// There and back. Whatever happens, the last order puts it where it was.
async fn moved<R: BufRead, W: Write>(talk: &mut Talk<R, W>, bus: &Bus, s: &Switch) -> Result<Row, Failure> {
    let switch = bus.switch(s.id.clone(), Arc::clone(&s.template), s.address.clone());
    let switch = switch.map_err(|e| Failure::new(Code::Config, e))?;
    let was = match patient(PATIENCE, switch.position()).await {
        Ok(was) => was,
        Err(why) => {
            talk.say(format!("switch {}: {why}", s.id))?;
            return Ok(unmoved(s, &why.to_string()));
        }
    };
    let mut row = unmoved(s, "");
    row.said = format!("{was}");
    row.problem = None;
    if s.rule.protected {
        talk.say(format!("switch {} is {was}, and stays: its customer is protected", s.id))?;
        row.said += "; not moved, its customer is protected";
        if was == Position::Open {
            row.problem = Some("a protected customer is disconnected".into());
        }
        return Ok(row);
    }
    if !talk.yes(&format!("switch {} is {was}: shall it move now, and is its customer told", s.id), None)? {
        row.said += "; not moved";
        row.problem = Some("not moved".into());
        return Ok(row);
    }
    let other = if was == Position::Open { Position::Closed } else { Position::Open };
    let order = async |wanted: Position| -> Result<(), String> {
        patient(PATIENCE, switch.set(wanted)).await.map_err(|e| e.to_string())?;
        match patient(PATIENCE, switch.position()).await.map_err(|e| e.to_string())? {
            found if found == wanted => Ok(()),
            found => Err(format!("ordered {wanted}, it is {found}")),
        }
    };
    let mut seen = true;
    let mut wrong = Vec::new();
    for wanted in [other, was] {
        match order(wanted).await {
            Ok(()) => {
                let word = if wanted == Position::Open { "gone" } else { "there" };
                // An answer that never comes must not leave a customer in the dark.
                let answer = talk.yes(&format!("  it is {wanted}: is the power {word}"), None);
                let answer = match answer {
                    Err(gone) if wanted != was => {
                        let back = order(was).await;
                        let then = back
                            .map_or_else(|e| format!("it is not {was} again: {e}"), |()| format!("it is {was} again"));
                        return Err(Failure::new(gone.code, format!("{gone}; switch {}: {then}", s.id)));
                    }
                    other => other?,
                };
                if !answer {
                    wrong.push(format!("{wanted}, and the power is not {word}"));
                }
                seen &= answer;
            }
            Err(why) => {
                talk.say(format!("  {why}"))?;
                wrong.push(why);
            }
        }
    }
    row.said = format!("{was}, {other}, {was}");
    row.seen = Some(seen);
    row.problem = (!wrong.is_empty()).then(|| wrong.join("; "));
    Ok(row)
}

fn report(
    config: &Config,
    options: &Commission,
    digest: &str,
    (from, to): (&str, &str),
    meters: &[Row],
    switches: &[Row],
) -> String {
    let mut text = format!(
        "# Commissioning report: {}\n\n- {from} to {to}, {}\n- microgrid-gateway {}\n- {}, SHA-256 {digest}\n",
        config.site,
        cell(&options.by),
        env!("CARGO_PKG_VERSION"),
        options.config.path.display(),
    );
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
