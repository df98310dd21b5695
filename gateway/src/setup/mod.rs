//! `setup`: from a wired cabinet to a configuration, by questions. Nothing is written before the last answer.

mod devices;
mod draft;
pub mod talk;

use crate::cli::Setup;
use crate::config::Config;
use crate::failure::{Code, Failure};
use draft::{Draft, quoted};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, IsTerminal, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use talk::Talk;

/// `setup`
pub fn run(options: &Setup) -> Result<(), Failure> {
    let path = std::path::absolute(&options.config.path).map_err(|e| Failure::new(Code::Usage, e))?;
    untouched(&path)?;
    let stdin = std::io::stdin();
    let echoed = stdin.is_terminal();
    let mut talk = Talk::new(stdin.lock(), std::io::stdout().lock(), echoed);
    let text = {
        let mut draft = Draft::new(&path)?;
        site(&mut talk, &mut draft)?;
        devices::buses(&mut talk, &mut draft)?;
        devices::switches(&mut talk, &mut draft)?;
        house(&mut talk, &mut draft)?;
        let it = draft.read();
        talk.say(format!(
            "\n{}: {} buses, {} customers, {} meters, {} switches",
            it.site,
            it.buses.len(),
            it.accounts.len(),
            it.meters.len(),
            it.switches.len()
        ))?;
        draft.text().to_owned()
    };
    if !talk.yes(&format!("write {}", path.display()), Some(true))? {
        return talk.say("nothing was written");
    }
    write(&path, &text).map_err(|e| Failure::new(Code::Unavailable, format!("{}: {e}", path.display())))?;
    talk.say(format!("{NEXT} -c {}\n", path.display()))
}

const NEXT: &str = "
What else there is to say (fees, classes, lifeline, limits, dispatch) stands in the file, explained, as comments.
Next, with the service stopped: read every meter and move every switch with somebody looking, for the report to sign:

  microgrid-gateway commission";

/// Set-up begins a street; it does not change one.
fn untouched(path: &Path) -> Result<(), Failure> {
    if !path.exists() {
        return Ok(());
    }
    let there = Config::load(path)?;
    if there.accounts.is_empty() && there.meters.is_empty() && there.buses.is_empty() {
        return Ok(());
    }
    let what = format!("{} describes a street already: edit it, or name another file with -c", path.display());
    Err(Failure::new(Code::Usage, what))
}

fn site<R: BufRead, W: Write>(talk: &mut Talk<R, W>, draft: &mut Draft<'_>) -> Result<(), Failure> {
    talk.say("The site. An empty answer takes what stands in brackets.\n")?;
    let zone = std::fs::read_to_string("/etc/timezone").unwrap_or_default();
    let zone = Some(zone.trim()).filter(|zone| !zone.is_empty() && *zone != "Etc/UTC").unwrap_or("UTC");
    for (section, key, question, usual) in [
        ("site", "name", "name, a level of every MQTT topic", "my-street"),
        ("site", "timezone", "time zone", zone),
        ("site", "currency", "currency", "EUR"),
        ("tariff", "off_peak", "price of a kWh off peak", "0.18"),
        ("tariff", "peak", "price of a kWh at peak", "0.32"),
        ("tariff", "feed_in", "paid for a kWh fed in", "0.08"),
    ] {
        talk.ask(question, Some(usual), |answer| draft.set(section, key, &quoted(answer)))?;
    }
    talk.ask("peak hours, local time", Some("17:00-22:00"), |answer| {
        let ranges: Vec<String> = answer.split(',').map(|range| quoted(range.trim())).collect();
        draft.set("tariff", "peak_hours", &format!("[{}]", ranges.join(", ")))
    })
}

fn house<R: BufRead, W: Write>(talk: &mut Talk<R, W>, draft: &mut Draft<'_>) -> Result<(), Failure> {
    talk.say("\nThe page, and the chain.\n")?;
    if talk.yes("shall other machines reach the page (by TLS, with a certificate of its own)", Some(false))? {
        let keys = [("listen", Some("\"0.0.0.0:8080\"")), ("tls", Some("\"self-signed\""))];
        draft.set_all("web", &keys).map_err(|e| Failure::new(Code::Internal, e))?;
    }
    let node = talk.ask("chain: embedded, or the URL of a node", Some("embedded"), |answer| {
        if answer == "embedded" || answer.starts_with("http://") || answer.starts_with("https://") {
            Ok(answer.to_owned())
        } else {
            Err("embedded, or http://… or https://…")
        }
    })?;
    if node == "embedded" {
        return Ok(());
    }
    talk.ask("id of that chain", Some("1"), |id| {
        id.parse::<u64>().map_err(|e| e.to_string())?;
        let kind = format!("\"rpc\"\nurl = {}", quoted(&node));
        let keys = [("kind", Some(kind.as_str())), ("chain_id", Some(id)), ("rpc_listen", None)];
        draft.set_all("chain", &keys)
    })?;
    let key = draft.read().chain.key_file.display().to_string();
    talk.say(format!("the settler's key is made by: microgrid-gateway key new {key}"))
}

/// After a power cut there is the old file or the new one. What was there before stays beside it.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let named = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let before = std::fs::metadata(path).ok();
    let new = named(".new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&new)?;
    file.write_all(text.as_bytes())?;
    if let Some(before) = &before {
        file.set_permissions(std::fs::Permissions::from_mode(before.mode() & 0o777))?;
        std::fs::copy(path, named(".before-setup"))?;
    }
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}
