//! `setup`: from a wired cabinet to a configuration, by questions. What was there stays until the last answer.

mod devices;
mod draft;
pub mod talk;

use crate::cli::Setup;
use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::house::settler_key;
use contracts::key::Signer;
use draft::{Draft, quoted};
use std::fs::{File, OpenOptions, Permissions};
use std::io::{BufRead, IsTerminal, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use talk::Talk;

/// `setup`
pub fn run(options: &Setup) -> Result<(), Failure> {
    let path = std::path::absolute(&options.config.path).map_err(|e| Failure::new(Code::Usage, e))?;
    untouched(&path)?;
    // An hour of answers must have a place to go.
    let fresh = Fresh::open(&path)?;
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
    fresh.keep(&text).map_err(|e| Failure::file(Code::Unavailable, &path, &e))?;
    talk.say(format!("{NEXT} -c {}\n", path.display()))
}

const NEXT: &str = "
What else there is to say (fees, classes, lifeline, limits, dispatch) stands in the file, explained, as comments.
Next, with the service stopped: read every meter and move every switch with somebody looking, for the report to sign:

  sudo systemctl stop microgrid-gateway
  sudo microgrid-gateway commission --by NAME";

/// Set-up begins a street; it does not change one.
fn untouched(path: &Path) -> Result<(), Failure> {
    let unread = |e: std::io::Error| Failure::file(Code::Unavailable, path, &e);
    if !path.try_exists().map_err(unread)? {
        return Ok(());
    }
    File::open(path).map_err(unread)?;
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
        let node = ["http://", "https://", "ws://", "wss://"].iter().any(|scheme| answer.starts_with(scheme));
        if node || answer == "embedded" {
            Ok(answer.to_owned())
        } else {
            Err("embedded, or http(s)://… or ws(s)://…")
        }
    })?;
    if node == "embedded" {
        return Ok(());
    }
    // The wrong one would be money on the wrong chain: nothing is usual here.
    talk.ask("id of that chain", None, |id| {
        id.parse::<u64>().map_err(|e| e.to_string())?;
        let kind = format!("\"rpc\"\nurl = {}", quoted(&node));
        let keys = [("kind", Some(kind.as_str())), ("chain_id", Some(id)), ("rpc_listen", None)];
        draft.set_all("chain", &keys)
    })?;
    let it = draft.read();
    let key = it.chain.key_file.display();
    if it.chain.key_file.try_exists().map_err(|e| Failure::file(Code::Unavailable, &it.chain.key_file, &e))? {
        let whose = settler_key(it).map_or_else(|_| "its address".to_owned(), |key| key.address().to_string());
        return talk.say(format!("the settler's key is there, {key}: {whose} needs coin of that chain, for gas"));
    }
    talk.say(format!(
        "the settler's key is made by what follows; the address that it prints needs coin of that chain, for gas\n\n  \
         sudo -u microgrid-gateway microgrid-gateway key new {key}\n"
    ))
}

/// The file in the making: it is there before the first question, and gone if the last is never answered.
struct Fresh<'p> {
    path: &'p Path,
    new: PathBuf,
    file: File,
    whole: bool,
}

impl<'p> Fresh<'p> {
    /// With owner and rights of the one before; a first one is read by whom its folder is for.
    fn open(path: &'p Path) -> Result<Self, Failure> {
        let new = beside(path, ".new");
        let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&new);
        let failed = |e: std::io::Error| Failure::file(Code::Unavailable, &new, &e);
        let fresh = Self { path, file: opened.map_err(failed)?, new: new.clone(), whole: false };
        let own = fresh.file.metadata().map_err(failed)?;
        let mode = match std::fs::metadata(path) {
            Ok(before) => {
                if (before.uid(), before.gid()) != (own.uid(), own.gid()) {
                    fchown(&fresh.file, Some(before.uid()), Some(before.gid())).map_err(failed)?;
                }
                before.mode() & 0o777
            }
            Err(_) => {
                let folder = std::fs::metadata(path.parent().unwrap_or(Path::new("/"))).map_err(failed)?;
                // Who may not give it to that group keeps it.
                let _ = fchown(&fresh.file, None, Some(folder.gid()));
                0o640
            }
        };
        fresh.file.set_permissions(Permissions::from_mode(mode)).map_err(failed)?;
        Ok(fresh)
    }

    /// After a power cut there is the old file or the new one. What was there before stays beside it.
    fn keep(mut self, text: &str) -> std::io::Result<()> {
        self.file.write_all(text.as_bytes())?;
        self.file.sync_all()?;
        if self.path.try_exists()? {
            std::fs::copy(self.path, beside(self.path, ".before-setup"))?;
        }
        std::fs::rename(&self.new, self.path)?;
        self.whole = true;
        File::open(self.path.parent().unwrap_or(Path::new("/")))?.sync_all()
    }
}

impl Drop for Fresh<'_> {
    fn drop(&mut self) {
        if !self.whole {
            let _ = std::fs::remove_file(&self.new);
        }
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
