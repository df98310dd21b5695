//! The verbs that are short: each reads like what it prints.

mod access;
mod balance;
mod chain;
mod commission;
mod consensus;
mod doctor;
mod fleet;
mod flow;
mod forecast;
mod inverter;
mod journal;
pub mod key;
mod load;
mod locate;
mod meter;
mod office;
mod opf;
mod papers;
mod receipt;
pub mod register;
mod silence;
mod switch;
mod tariff;
mod tou;
mod witness;

pub use access::access;
pub use balance::balance;
pub use chain::{chain_deploy, chain_deploy_dispatch, chain_deploy_ranges, chain_serve};
pub use commission::run as commission;
pub use consensus::run as consensus;
pub use doctor::run as doctor;
pub use fleet::run as fleet;
pub use flow::flow;
pub use forecast::forecast;
pub use journal::{backup, restore, verify};
pub use load::load;
pub use locate::locate;
pub use meter::run as meter;
pub use office::{account, token, voucher};
pub use opf::opf;
pub use papers::run as papers;
pub use receipt::run as receipt;
pub use silence::run as silence;
pub use switch::{emergency, switch};
pub use tariff::run as tariff;
pub use tou::tou;
pub use witness::run as witness;

use crate::cli::{ConfigFile, Limit};
use crate::config::{Config, Inverter, Meter};
use crate::failure::{Code, Failure};
use crate::house::{self, House};
use crate::narrate::Level;
use crate::{clock, narrate, simulate as sim};
use domain::{Position, Seq};
use drivers::traffic::{Traffic, Watcher, meanings};
use drivers::{Bus, DeviceError, Library};
use ledger::Ledger;
use std::future::Future;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

/// Runs async work on actix's runtime.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    actix::System::new().block_on(work)
}

/// Prints, and ends quietly when nobody reads on.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::new(Code::Unavailable, e)),
        _ => Ok(()),
    }
}

/// Resolves on SIGTERM or Ctrl-C. Both are listened for from this call on, so that what comes during a start is not lost.
pub fn asked_to_stop() -> Result<impl Future<Output = ()>, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |e: std::io::Error| Failure::new(Code::Internal, format!("signals: {e}"));
    let mut term = signal(SignalKind::terminate()).map_err(failed)?;
    let mut int = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    })
}

/// `run`
pub fn run(file: &ConfigFile) -> Result<(), Failure> {
    let config = Config::load(&file.path)?;
    std::fs::create_dir_all(&config.state)
        .map_err(|e| Failure::new(Code::Unavailable, format!("cannot create {}: {e}", config.state.display())))?;
    let clock = clock::open(&config)?;
    block_on(async move {
        let asked = asked_to_stop()?;
        let house = House::build(config, clock).await?;
        // Only what has worked once is worth going back to.
        silence::keep(&file.path, &house.config.state);
        for (name, at) in &house.listening {
            tracing::info!(%at, "listening for {name}");
        }
        first_user(&house);
        if house.config.is_simulated() || house.config.has_simulated_radio() {
            tracing::warn!("this street is simulated in part or in whole");
        }
        // What happens, in the words of the page: the journal tells the street's story.
        let (scribe, config) = (house.scribe.clone(), std::sync::Arc::clone(&house.config));
        let now = *scribe.recorded().borrow();
        tokio::spawn(narrate::follow(scribe, config, now, |_, level, text| match level {
            Level::Info => tracing::info!("{text}"),
            Level::Warn => tracing::warn!("{text}"),
            Level::Alarm => tracing::error!("{text}"),
        }));
        // Without systemd there is nobody to tell, which is no error.
        let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Ready]);
        asked.await;
        let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Stopping]);
        house.drain().await;
        Ok(())
    })
}

/// While there are no users, says how the first comes in. There is no password that everybody knows.
fn first_user(house: &House) {
    let Some(at) = house.page() else { return };
    match house.access.first_code() {
        Ok(None) => {}
        Ok(Some(code)) => {
            tracing::warn!("nobody can sign in yet: make the first operator at {at}/#setup={code}");
        }
        Err(what) => tracing::error!("nobody can come in: {what}"),
    }
}

/// `check`
pub fn check(file: &ConfigFile, devices: bool) -> Result<(), Failure> {
    let config = Config::load(&file.path)?.beside_the_service();
    // Asked before a package restarts the service with another version of the program.
    Ledger::fits(&config.state.join("ledger.db"))?;
    let sound = format!(
        "{}: sound: {} buses, {} accounts, {} meters, {} switches\n",
        file.path.display(),
        config.buses.len(),
        config.accounts.len(),
        config.meters.len(),
        config.switches.len()
    );
    print(&sound)?;
    if config.accounts.is_empty() && config.meters.is_empty() {
        print("nothing to read yet: add [[bus]], [[account]] and [[meter]] tables\n")?;
    }
    if !devices {
        return Ok(());
    }
    let clock = clock::open(&config)?;
    block_on(async move {
        let _simulated = sim::serve_unless_running(&config, &clock).await?;
        let mut failed = 0;
        let alone = !house::runs(&config);
        for bus in &config.buses {
            if alone && config.broker.as_ref().is_some_and(|broker| bus.uses(broker)) {
                print(&format!(
                    "bus {}: not asked: its broker is the gateway's own, which does not run now\n",
                    bus.spec.id
                ))?;
                continue;
            }
            if !alone && bus.is_held() {
                print(&format!("bus {}: not asked: the running gateway holds its lines\n", bus.spec.id))?;
                continue;
            }
            let opened = Bus::open(bus.spec.clone(), clock.clone()).map_err(|e| Failure::new(Code::Config, e))?;
            if let Err(error) = opened.try_connect().await {
                failed += 1;
                print(&format!("bus {}: {error}\n", bus.spec.id))?;
                continue;
            }
            print(&format!("bus {}: open\n", bus.spec.id))?;
            let own: Vec<Meter> = config.inverters.iter().filter_map(Inverter::as_meter).collect();
            for m in config.meters.iter().chain(&own).filter(|m| m.bus == bus.spec.id) {
                let meter = opened.meter(m.id.clone(), Arc::clone(&m.template), m.address.clone());
                let meter = meter.map_err(|e| Failure::new(Code::Config, e))?;
                match patient(m.period * 3, meter.read()).await {
                    Ok(reading) => print(&format!("meter {}: {}\n", m.id, compact(&reading)))?,
                    Err(error) => {
                        failed += 1;
                        print(&format!("meter {}: {error}\n", m.id))?;
                    }
                }
            }
            for s in config.switches.iter().filter(|s| s.bus == bus.spec.id) {
                let switch = opened.switch(s.id.clone(), Arc::clone(&s.template), s.address.clone());
                let switch = switch.map_err(|e| Failure::new(Code::Config, e))?;
                match patient(Duration::from_secs(10), switch.position()).await {
                    Ok(position) => print(&format!("switch {}: {position}\n", s.id))?,
                    Err(error) => {
                        failed += 1;
                        print(&format!("switch {}: {error}\n", s.id))?;
                    }
                }
            }
        }
        match failed {
            0 => Ok(()),
            n => Err(Failure::new(Code::Unavailable, format!("{n} of the buses and devices did not answer"))),
        }
    })
}

async fn patient<T>(patience: Duration, work: impl Future<Output = Result<T, DeviceError>>) -> Result<T, DeviceError> {
    let patience = patience.clamp(Duration::from_secs(2), Duration::from_secs(60));
    tokio::time::timeout(patience, work).await.unwrap_or(Err(DeviceError::Silent { waited: patience }))
}

fn compact(reading: &domain::Reading) -> String {
    serde_json::to_string(reading).unwrap_or_else(|e| e.to_string())
}

/// `models`
pub fn models(model: Option<&str>) -> Result<(), Failure> {
    let library = Library::builtin();
    if let Some(model) = model {
        let hint = library.nearest(model).map_or_else(String::new, |n| format!("; did you mean {n:?}?"));
        let unknown = || Failure::new(Code::Usage, format!("{model:?} is no model that comes with the program{hint}"));
        return print(Library::text(model).ok_or_else(unknown)?);
    }
    let mut text = String::new();
    for model in library.models().filter_map(|m| library.get(m)) {
        text += &format!("{:<22} {:<9} {} {}\n", model.model, model.speaks(), model.vendor, model.name);
    }
    print(&text)
}

/// Shows what goes over a bus and what it means to a model, beside what the verb itself prints.
fn watcher(template: &Arc<drivers::Template>) -> Watcher {
    let template = Arc::clone(template);
    Arc::new(move |traffic| {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!(" {byte:02X}")).collect::<String>();
        match traffic {
            Traffic::Sent(bytes) => eprintln!("→{}", hex(bytes)),
            Traffic::Answer(bytes) => eprintln!("←{}", hex(bytes)),
            Traffic::Ignored(bytes) => eprintln!("ignored:{}", hex(bytes)),
            Traffic::Message { topic, payload } => eprintln!("← {topic} {}", String::from_utf8_lossy(payload)),
            Traffic::Entry { code, value, exponent: 0, unit } => eprintln!("← {code:<16} {value} {unit}"),
            Traffic::Entry { code, value, exponent, unit } => eprintln!("← {code:<16} {value}e{exponent} {unit}"),
            Traffic::Registers { .. } => {}
        }
        for meaning in meanings(&template, traffic) {
            eprintln!("    {meaning}");
        }
    })
}

/// `probe`
pub fn probe(
    file: &ConfigFile,
    device: &str,
    set: Option<Position>,
    limit: Option<Limit>,
    hold: Option<Duration>,
) -> Result<(), Failure> {
    let config = Config::load(&file.path)?.beside_the_service();
    let clock = clock::open(&config)?;
    let own: Vec<Meter> = config.inverters.iter().filter_map(Inverter::as_meter).collect();
    let meter = config.meters.iter().chain(&own).find(|m| m.id.as_str() == device);
    let switch = config.switches.iter().find(|s| s.id.as_str() == device);
    if meter.is_none() && switch.is_none() {
        let known = config.meters.iter().map(|m| m.id.as_str()).chain(config.switches.iter().map(|s| s.id.as_str()));
        let hint = drivers::document::did_you_mean(device, known);
        return Err(Failure::new(
            Code::Usage,
            format!("{device:?} is no meter or switch of {}{hint}", file.path.display()),
        ));
    }
    if set.is_some() && switch.is_none() {
        return Err(Failure::new(Code::Usage, format!("{device} is a meter, it has no contact to set")));
    }
    if limit.is_some() && !meter.is_some_and(|m| m.template.is_inverter()) {
        return Err(Failure::new(Code::Usage, format!("{device} is no inverter: its model has no limit")));
    }
    let open = |bus: &domain::BusId| {
        let bus = config.buses.iter().find(|b| b.spec.id == *bus);
        let bus = bus.ok_or_else(|| Failure::new(Code::Internal, "a device without its bus"))?;
        if bus.is_held() && house::runs(&config) {
            let held =
                format!("{device}: the running gateway holds its line: look at the page, or stop the gateway first");
            return Err(Failure::new(Code::Unavailable, held));
        }
        Bus::open(bus.spec.clone(), clock.clone()).map_err(|e| Failure::new(Code::Config, e))
    };
    let gone = |e: DeviceError| Failure::new(Code::Unavailable, format!("{device}: {e}"));
    block_on(async {
        let _simulated = sim::serve_unless_running(&config, &clock).await?;
        if let Some(m) = meter {
            let bus = open(&m.bus)?;
            bus.watch(watcher(&m.template));
            if let Some(who) = bus.identify(&m.template, &m.address) {
                let who = patient(Duration::from_secs(10), who.identify()).await;
                // A device need not have a name.
                print(&who.map_or_else(|e| format!("{device}: {e}\n"), |who| format!("{device} is {who}\n")))?;
            }
            if m.template.is_inverter() {
                inverter::probe(&bus, m, limit, hold).await?;
            }
            let meter = bus.meter(m.id.clone(), Arc::clone(&m.template), m.address.clone());
            let meter = meter.map_err(|e| Failure::new(Code::Config, e))?;
            let reading = patient(m.period * 3, meter.read()).await.map_err(gone)?;
            print(&format!("{}\n", compact(&reading)))?;
        }
        if let Some(s) = switch {
            let bus = open(&s.bus)?;
            bus.watch(watcher(&s.template));
            let switch = bus.switch(s.id.clone(), Arc::clone(&s.template), s.address.clone());
            let switch = switch.map_err(|e| Failure::new(Code::Config, e))?;
            let patience = Duration::from_secs(10);
            if let Some(position) = set {
                patient(patience, switch.set(position)).await.map_err(gone)?;
            }
            let found = patient(patience, switch.position()).await.map_err(gone)?;
            print(&format!("{device} is {found}\n"))?;
            if set.is_some() && house::runs(&config) {
                print("the running gateway will move it back if the account says otherwise\n")?;
            }
            if set.is_some_and(|wanted| wanted != found) {
                return Err(Failure::new(Code::Found, format!("{device} did not follow the order")));
            }
        }
        Ok(())
    })
}

/// `simulate`
pub fn simulate(file: &ConfigFile) -> Result<(), Failure> {
    let config = Config::load(&file.path)?;
    if !config.is_simulated() {
        return Err(Failure::new(Code::Config, "no [[bus]] of this configuration has simulate = true"));
    }
    std::fs::create_dir_all(&config.state).map_err(|e| Failure::new(Code::Unavailable, e))?;
    let clock = clock::open(&config)?;
    block_on(async move {
        let asked = asked_to_stop()?;
        // MQTT devices need somebody to talk to.
        let wanted = config.broker.as_ref().filter(|broker| config.buses.iter().any(|b| b.simulate && b.uses(broker)));
        let _broker = wanted.map(crate::broker::for_devices).transpose()?;
        let _simulated = sim::serve(&config, &clock).await?;
        for line in sim::describe(&config) {
            print(&format!("{line}\n"))?;
        }
        print("these devices are simulated; Ctrl-C ends them\n")?;
        asked.await;
        Ok(())
    })
}

pub fn open_ledger(file: &ConfigFile) -> Result<(Config, Ledger), Failure> {
    let config = Config::load(&file.path)?;
    let path = config.state.join("ledger.db");
    if !path.exists() {
        return Err(Failure::new(Code::Unavailable, format!("{}: there is no ledger yet", path.display())));
    }
    let ledger = Ledger::open_present(&path)?;
    Ok((config, ledger))
}

/// `journal tail`
pub fn tail(file: &ConfigFile, n: u32) -> Result<(), Failure> {
    let (config, ledger) = open_ledger(file)?;
    let mut newest = std::collections::VecDeque::new();
    let mut cursor = Seq(0);
    loop {
        let more = ledger.facts_after(cursor, 1_000)?;
        let Some((last, _, _)) = more.last() else { break };
        cursor = *last;
        newest.extend(more);
        let extra = newest.len().saturating_sub(usize::try_from(n).unwrap_or(usize::MAX));
        newest.drain(..extra);
    }
    for (seq, at, fact) in newest {
        let (_, text) = narrate::sentence(&fact, &config.currency);
        print(&format!("{seq} {at} {text}\n"))?;
    }
    Ok(())
}

/// `journal export`
pub fn export(file: &ConfigFile) -> Result<(), Failure> {
    let (_, ledger) = open_ledger(file)?;
    let (mut cursor, last) = (Seq(0), ledger.last_seq()?);
    while cursor < last {
        let readings = ledger.readings_after(cursor, 1_000)?;
        let facts = ledger.facts_after(cursor, 1_000)?;
        // Up to where both lists are complete.
        let full = |len: usize, end: Option<Seq>| if len < 1_000 { last } else { end.unwrap_or(last) };
        let upto = full(readings.len(), readings.last().map(|r| r.0)).min(full(facts.len(), facts.last().map(|f| f.0)));
        let mut lines: Vec<(Seq, serde_json::Value)> = Vec::new();
        lines.extend(readings.into_iter().map(|(s, r)| (s, serde_json::json!({ "seq": s, "reading": r }))));
        lines.extend(
            facts.into_iter().map(|(s, at, f)| (s, serde_json::json!({ "seq": s, "at": at.to_string(), "fact": f }))),
        );
        lines.retain(|(seq, _)| *seq <= upto);
        lines.sort_by_key(|(seq, _)| *seq);
        for (_, line) in lines {
            print(&format!("{line}\n"))?;
        }
        cursor = upto;
    }
    Ok(())
}
