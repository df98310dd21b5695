//! A simulated street, end to end, with nothing to set up: real sockets, a real serial line (a pseudo-terminal), a real
//! broker, a real chain. Only the homes are not real.

mod customers;
mod report;
mod street;

pub use street::free_port;

use crate::access::Role;
use crate::cli::Demo;
use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::house::House;
use crate::narrate::{self, Level};
use crate::verbs::{asked_to_stop, block_on, print};
use crate::{clock, demo::customers::Customers};
use actors::Scribe;
use domain::{Seq, TimeZone};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long the end of the demonstration may wait for the last settlement.
const LAST_SETTLEMENT: Duration = Duration::from_secs(20);

/// `demo`
pub fn run(options: &Demo) -> Result<(), Failure> {
    let (state, _temporary) = state_folder(options)?;
    let path = state.join("demo.toml");
    let wallet = customers::wallet(&state)?;
    let text = street::config(options, &state, &path, &wallet)?;
    for (path, text) in [(&state.join("street.toml"), &street::network(options.homes)), (&path, &text)] {
        crate::secrets::write_private(path, text.as_bytes())
            .map_err(|e| Failure::new(Code::Unavailable, format!("{}: {e}", path.display())))?;
    }
    let config = Config::load(&path)?;
    let clock = clock::open(&config)?;
    block_on(async move {
        let asked = asked_to_stop()?;
        let mut house = House::build(config, clock).await?;
        let before = report::Before::take(&house).await?;
        announce(&house, options, &path)?;
        let narrator = tokio::spawn(tell(house.scribe.clone(), Arc::clone(&house.config), before.seq));
        let customers = Customers::new(&house, wallet)?;
        let customers = tokio::spawn(customers.live());
        match options.length {
            Some(length) => tokio::select! {
                () = tokio::time::sleep(length) => {}
                () = asked => {}
            },
            None => asked.await,
        }
        customers.abort();
        print("— the meters are read no more; settling the rest\n")?;
        house.stop_reading();
        let settled = tokio::time::timeout(LAST_SETTLEMENT, report::all_settled(&house)).await;
        if !matches!(settled, Ok(Ok(()))) {
            print("— not everything could be settled in time; it stays in the ledger for the next start\n")?;
        }
        let report = report::Report::make(&house, &before).await?;
        narrator.abort();
        print(&report.sentences(&house.config))?;
        if let Some(file) = &options.json {
            let json = serde_json::to_vec_pretty(&report).map_err(|e| Failure::new(Code::Internal, e))?;
            std::fs::write(file, json)
                .map_err(|e| Failure::new(Code::Unavailable, format!("{}: {e}", file.display())))?;
        }
        house.drain().await;
        match report.broken() {
            broken if broken.is_empty() => Ok(()),
            broken => Err(Failure::new(Code::Found, format!("these do not hold: {}", broken.join(", ")))),
        }
    })
}

/// A folder that goes when the demonstration ends, unless one was named.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, "{} was left behind", self.0.display());
        }
    }
}

fn state_folder(options: &Demo) -> Result<(PathBuf, Option<Temporary>), Failure> {
    let (folder, keep) = match &options.state {
        Some(folder) => (folder.clone(), true),
        None => (std::env::temp_dir().join(format!("microgrid-demo-{}", std::process::id())), false),
    };
    let failed = |e| Failure::new(Code::Unavailable, format!("cannot create {}: {e}", folder.display()));
    std::fs::create_dir_all(&folder).map_err(failed)?;
    // Bus ports are links in this folder, and links want to know where they are.
    let folder = folder.canonicalize().map_err(failed)?;
    let temporary = (!keep).then(|| Temporary(folder.clone()));
    Ok((folder, temporary))
}

fn announce(house: &House, options: &Demo, path: &std::path::Path) -> Result<(), Failure> {
    let at = |name: &str| house.listening.get(name).cloned().unwrap_or_default();
    let code = house.access.guest_code("guest", Role::Operator).map_err(|e| Failure::new(Code::Unavailable, e))?;
    print(&format!(
        "A simulated street of {} homes, {} times faster than life. Everything but the homes is real.\n\n  \
         page      http://{}/#code={code}  (lets one browser in)\n  MQTT      {}\n  JSON-RPC  http://{}\n  config    {}\n\n",
        options.homes,
        options.speed,
        at("http"),
        at("mqtt"),
        at("json_rpc"),
        path.display()
    ))
}

/// One line per event, as it is recorded.
async fn tell(scribe: Scribe, config: Arc<Config>, from: Seq) {
    let (zone, colours) = (config.tariff.zone.clone(), std::io::stdout().is_terminal());
    narrate::follow(scribe, config, from, |at, level, text| {
        let _ = print(&line(&zone, at, level, text, colours));
    })
    .await;
}

fn line(zone: &TimeZone, at: domain::Timestamp, level: Level, text: &str, colours: bool) -> String {
    let time = zone.hh_mm(at);
    match (level, colours) {
        (Level::Info, _) | (_, false) => format!("{time}  {text}\n"),
        (Level::Warn, true) => format!("{time}  \x1b[33m{text}\x1b[0m\n"),
        (Level::Alarm, true) => format!("{time}  \x1b[31m{text}\x1b[0m\n"),
    }
}
