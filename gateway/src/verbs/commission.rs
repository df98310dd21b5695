//! `commission`: every meter read and every switch moved, with somebody looking, and a report to sign.

mod answers;
mod report;

use super::{block_on, compact, patient};
use crate::cli::Commission;
use crate::config::{Config, Inverter, Meter, Switch};
use crate::failure::{Code, Failure};
use crate::{clock, house, simulate};
use answers::Answers;
use domain::{Clock, Position, SwitchId, WattHours};
use drivers::Bus;
use ledger::{Ledger, OverrideRow};
use report::{Head, Row, report};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const PATIENCE: Duration = Duration::from_secs(10);
/// How often, after which pauses, and for how long a switch is ordered back to where it was.
const PAUSES: [u64; 5] = [0, 1, 4, 10, 20];
const BACK_WITHIN: Duration = Duration::from_secs(60);
const BACK_PATIENCE: Duration = Duration::from_secs(4);

/// What came of the devices so far.
#[derive(Default)]
struct Rows {
    meters: Vec<Row>,
    switches: Vec<Row>,
}

/// Asks, moves, writes.
pub fn run(options: &Commission) -> Result<(), Failure> {
    File::open(&options.config.path).map_err(|e| Failure::file(Code::Config, &options.config.path, &e))?;
    let config = Config::load(&options.config.path)?.beside_the_service();
    std::fs::create_dir_all(&config.state).map_err(|e| Failure::file(Code::Unavailable, &config.state, &e))?;
    // Held until the end: a gateway that runs would move the switches back.
    let lock = house::try_lock(&config.state).map_err(|e| match e {
        TryLockError::WouldBlock => {
            let what = format!("a gateway runs on {}: sudo systemctl stop microgrid-gateway", config.state.display());
            Failure::new(Code::Unavailable, what)
        }
        TryLockError::Error(e) => Failure::file(Code::Unavailable, &config.state.join("lock"), &e),
    })?;
    let clock = clock::open(&config)?;
    let path = config.state.join("ledger.db");
    let orders = if path.exists() { Ledger::open_copy(&path)?.overrides()? } else { BTreeMap::new() };
    // Before anything is asked or moved: what was seen must have a place to go. One that is signed stays.
    let shown = options.report.display();
    let mut kept =
        OpenOptions::new().write(true).create_new(true).open(&options.report).map_err(|e| match e.kind() {
            ErrorKind::AlreadyExists => Failure::new(
                Code::Usage,
                format!("{shown} is there already and is not overwritten: name another, --report"),
            ),
            _ => Failure::file(Code::Unavailable, &options.report, &e),
        })?;
    let began = clock.now();
    let mut rows = Rows::default();
    let looked = block_on(look(&config, &clock, &orders, &mut rows));
    drop(lock);
    rows.fill(&config);
    let zone = &config.tariff.zone;
    let broken_off = looked.as_ref().err().map(|failure| failure.message.as_str());
    let head = Head {
        path: &options.config.path,
        by: &options.by,
        from: &zone.day_and_time(began),
        to: &zone.day_and_time(clock.now()),
        broken_off,
    };
    let text = report(&config, &head, &rows.meters, &rows.switches);
    let written = kept.write_all(text.as_bytes()).and_then(|()| kept.sync_all());
    match (looked, written) {
        (Ok(()), Ok(())) => {}
        (Ok(()), Err(e)) => return Err(Failure::file(Code::Unavailable, &options.report, &e)),
        (Err(why), Ok(())) => return Err(Failure::new(why.code, format!("{why}; {shown} has what there is"))),
        (Err(why), Err(e)) => return Err(Failure::new(why.code, format!("{why}; and {shown} is not written: {e}"))),
    }
    // Who reads it is not the measure of whether it was done.
    let _ = super::print(&format!("\n{shown} is to be signed\n"));
    let (all, wrong) = rows.count();
    match wrong {
        0 => Ok(()),
        n => Err(Failure::new(Code::Found, format!("{n} of {all} devices are not in order"))),
    }
}

/// All of it, until somebody breaks it off.
async fn look(
    config: &Config,
    clock: &Clock,
    orders: &BTreeMap<SwitchId, OverrideRow>,
    rows: &mut Rows,
) -> Result<(), Failure> {
    let mut talk = Answers::open()?;
    // The lock is ours, so the simulator is not another's.
    let _simulated = simulate::serve(config, clock).await?;
    for bus in &config.buses {
        if config.broker.as_ref().is_some_and(|broker| bus.uses(broker)) && !bus.simulate {
            let why = "its broker is the gateway's own, which does not run now: look at the page afterwards";
            talk.say(format!("bus {}: {why}", bus.spec.id));
            rows.meters.extend(config.meters.iter().filter(|m| m.bus == bus.spec.id).map(|m| Row::meter(m, why)));
            rows.switches.extend(config.switches.iter().filter(|s| s.bus == bus.spec.id).map(|s| Row::switch(s, why)));
            continue;
        }
        let opened = Bus::open(bus.spec.clone(), clock.clone()).map_err(|e| Failure::new(Code::Config, e))?;
        for m in all_meters(config).iter().filter(|m| m.bus == bus.spec.id) {
            let mut row = Row::meter(m, "broken off");
            let looked = read(&mut talk, &opened, m, &mut row).await;
            rows.meters.push(row);
            looked?;
        }
        for s in config.switches.iter().filter(|s| s.bus == bus.spec.id) {
            let mut row = Row::switch(s, "broken off");
            let now = clock.now();
            let order = orders.get(&s.id).filter(|order| order.until.is_none_or(|until| until > now));
            let looked = moved(&mut talk, &opened, s, order, &mut row).await;
            rows.switches.push(row);
            looked?;
        }
    }
    Ok(())
}

fn all_meters(config: &Config) -> Vec<Meter> {
    config.meters.iter().cloned().chain(config.inverters.iter().filter_map(Inverter::as_meter)).collect()
}

impl Rows {
    /// Whoever was not reached stands in the report too.
    fn fill(&mut self, config: &Config) {
        let why = "not reached";
        for m in all_meters(config) {
            if !self.meters.iter().any(|row| row.device == m.id.as_str()) {
                self.meters.push(Row::meter(&m, why));
            }
        }
        for s in &config.switches {
            if !self.switches.iter().any(|row| row.device == s.id.as_str()) {
                self.switches.push(Row::switch(s, why));
            }
        }
    }

    /// Of how many devices how many are not in order.
    fn count(&self) -> (usize, usize) {
        let all = || self.meters.iter().chain(&self.switches);
        (all().count(), all().filter(|row| row.problem.is_some()).count())
    }
}

async fn read(talk: &mut Answers, bus: &Bus, m: &Meter, row: &mut Row) -> Result<(), Failure> {
    let meter = bus.meter(m.id.clone(), Arc::clone(&m.template), m.address.clone());
    let meter = meter.map_err(|e| Failure::new(Code::Config, e))?;
    let reading = match talk.unless_stopped(patient(m.period * 3, meter.read())).await? {
        Ok(reading) => reading,
        Err(why) => {
            talk.say(format!("meter {}: {why}", m.id));
            row.problem = Some(why.to_string());
            return Ok(());
        }
    };
    if let Some(who) = bus.identify(&m.template, &m.address)
        && let Ok(who) = talk.unless_stopped(patient(PATIENCE, who.identify())).await?
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
    talk.say(format!("meter {} ({}): {}", m.id, row.where_, row.said));
    let seen = talk.yes("  does its display show that").await?;
    row.seen = Some(seen);
    row.problem = (!seen).then(|| "its display shows something else".to_owned());
    Ok(())
}

/// There and back. Whatever happens, the last order puts it where it was.
async fn moved(
    talk: &mut Answers,
    bus: &Bus,
    s: &Switch,
    order: Option<&OverrideRow>,
    row: &mut Row,
) -> Result<(), Failure> {
    let switch = bus.switch(s.id.clone(), Arc::clone(&s.template), s.address.clone());
    let switch = switch.map_err(|e| Failure::new(Code::Config, e))?;
    let was = match talk.unless_stopped(patient(PATIENCE, switch.position())).await? {
        Ok(was) => was,
        Err(why) => {
            talk.say(format!("switch {}: {why}", s.id));
            row.problem = Some(why.to_string());
            return Ok(());
        }
    };
    row.was_read(was);
    if s.rule.protected {
        talk.say(format!("switch {} is {was}, and stays: its customer is protected", s.id));
        row.said += "; not moved, its customer is protected";
        row.problem = (was == Position::Open).then(|| "a protected customer is disconnected".into());
        return Ok(());
    }
    if let Some(OverrideRow { position, by, why, .. }) = order {
        talk.say(format!("switch {} is {was}, and stays: {by} ordered {position} ({why})", s.id));
        let _ = write!(row.said, "; not moved, {by} ordered {position}");
        row.problem = Some("not moved: what was ordered is to be ended first".into());
        return Ok(());
    }
    let question = match was {
        Position::Open => format!(
            "switch {} is open, perhaps because somebody works behind it: may it be live now, and is its customer told",
            s.id
        ),
        Position::Closed => format!("switch {} is closed: shall it move now, and is its customer told", s.id),
    };
    if !talk.yes(&question).await? {
        row.said += "; not moved";
        row.problem = Some("not moved".into());
        return Ok(());
    }
    let other = if was == Position::Open { Position::Closed } else { Position::Open };
    let (mut seen, mut wrong) = (Vec::new(), Vec::new());
    let mut ended = Ok(());
    // From here on there is one way only, and it leads past the order back.
    match ordered(&*switch, other, PATIENCE, row).await {
        Ok(()) => match powered(talk, other, &mut wrong).await {
            Ok(answer) => seen.push(answer),
            // An answer that never comes must not leave a customer in the dark.
            Err(gone) => ended = Err(gone),
        },
        Err(why) => {
            talk.say(format!("  {why}"));
            wrong.push(why);
        }
    }
    match ordered_back(talk, bus, &*switch, was, row).await {
        Ok(()) => match ended {
            Ok(()) => match powered(talk, was, &mut wrong).await {
                Ok(answer) => seen.push(answer),
                Err(gone) => ended = Err(gone),
            },
            Err(gone) => ended = Err(Failure::new(gone.code, format!("{gone}; switch {}: it is {was} again", s.id))),
        },
        Err(why) => {
            let loud = format!("switch {} IS STILL {}: {why}", s.id, other.to_string().to_uppercase());
            talk.say(format!("\n  {loud}\n"));
            wrong.push(loud.clone());
            ended = Err(match ended {
                Ok(()) => Failure::new(Code::Found, loud),
                Err(gone) => Failure::new(gone.code, format!("{gone}; {loud}")),
            });
        }
    }
    row.seen = match seen.as_slice() {
        all if all.contains(&false) => Some(false),
        [_, _] => Some(true),
        // Half of it was not looked at.
        _ => None,
    };
    if let Err(gone) = &ended
        && wrong.is_empty()
    {
        wrong.push(format!("broken off: {gone}"));
    }
    row.problem = (!wrong.is_empty()).then(|| wrong.join("; "));
    ended
}

/// Whether the power went with the contact.
async fn powered(talk: &mut Answers, now: Position, wrong: &mut Vec<String>) -> Result<bool, Failure> {
    let word = if now == Position::Open { "gone" } else { "there" };
    let answer = talk.yes(&format!("  it is {now}: is the power {word}")).await?;
    if !answer {
        wrong.push(format!("{now}, and the power is not {word}"));
    }
    Ok(answer)
}

/// Orders it, and reads back.
async fn ordered(
    switch: &dyn drivers::Switch,
    wanted: Position,
    patience: Duration,
    row: &mut Row,
) -> Result<(), String> {
    patient(patience, switch.set(wanted)).await.map_err(|e| e.to_string())?;
    let found = patient(patience, switch.position()).await.map_err(|e| e.to_string())?;
    row.was_read(found);
    if found == wanted { Ok(()) } else { Err(format!("ordered {wanted}, it is {found}")) }
}

/// Once more and again: somebody sits in the dark. A line that was lost meanwhile is opened anew.
async fn ordered_back(
    talk: &Answers,
    bus: &Bus,
    switch: &dyn drivers::Switch,
    was: Position,
    row: &mut Row,
) -> Result<(), String> {
    let until = Instant::now() + BACK_WITHIN;
    let mut why = String::new();
    for pause in PAUSES.map(Duration::from_secs) {
        if Instant::now() + pause >= until {
            break;
        }
        tokio::time::sleep(pause).await;
        // The order says by itself why it does not arrive.
        let _ = patient(BACK_PATIENCE, bus.try_connect()).await;
        match ordered(switch, was, BACK_PATIENCE, row).await {
            Ok(()) => return Ok(()),
            Err(failed) => {
                talk.say(format!("  not {was} yet: {failed}"));
                why = failed;
            }
        }
    }
    Err(why)
}
