//! `journal backup`, `restore` and `verify`.

use super::{open_ledger, print};
use crate::cli::{By, ConfigFile};
use crate::config::{ChainKind, Config};
use crate::failure::{Code, Failure};
use crate::secrets::hand_over;
use crate::{clock, house, narrate};
use contracts::embedded::{Copied, EmbeddedError, PutBack};
use domain::{Guard, Seq, Watts};
use ledger::{Ledger, LedgerError, Report, Restoration};
use std::fs::File;
use std::path::{Path, PathBuf};

/// `journal verify`: of the ledger, or of a copy.
pub fn verify(file: &ConfigFile, copy: Option<&Path>) -> Result<(), Failure> {
    let (config, ledger) = match copy {
        None => open_ledger(file)?,
        Some(copy) => (Config::load(&file.path)?, Ledger::open_copy(copy)?),
    };
    let report = audit(&config, &ledger)?;
    let json = serde_json::to_string(&report).map_err(|e| Failure::new(Code::Internal, e))?;
    print(&format!("{json}\n"))?;
    match report.findings.len() {
        0 => Ok(()),
        n => Err(Failure::new(Code::Found, format!("{n} things do not add up"))),
    }
}

fn audit(config: &Config, ledger: &Ledger) -> Result<Report, LedgerError> {
    let guards = config.guards();
    ledger.verify(|meter| guards.get(meter).copied().unwrap_or(Guard::new(Watts(i64::MAX))))
}

/// `journal backup`: beside a running gateway or without one.
pub fn backup(file: &ConfigFile, to: &Path) -> Result<(), Failure> {
    let (config, ledger) = open_ledger(file)?;
    let beside = beside(to);
    if beside.exists() {
        let what = format!("{} is there already; name another file", beside.display());
        return Err(Failure::new(Code::Usage, what));
    }
    // The chain after the ledger: one that knows more than its ledger is caught up with, the other way round is a loss.
    let copied = ledger.back_up_with(to, || match embedded(&config) {
        Some(chain) => Ok(contracts::embedded::back_up(&chain, &beside)?),
        None => Ok::<_, NotCopied>(None),
    });
    let (size, chain) = copied.map_err(|NotCopied(failure)| failure)?;
    let last = Ledger::open_copy(to)?.last_seq()?;
    print(&format!("{}: {size} bytes, everything up to record {last}\n", to.display()))?;
    if let Some(Copied { bytes, blocks }) = chain {
        print(&format!(
            "{}: {bytes} bytes, the embedded chain up to block {blocks}; keep both together\n",
            beside.display()
        ))?;
    }
    eprint!("{}", apart(&config, file));
    Ok(())
}

/// Why there is no backup.
struct NotCopied(Failure);

impl From<LedgerError> for NotCopied {
    fn from(error: LedgerError) -> Self {
        Self(misused(error))
    }
}

impl From<EmbeddedError> for NotCopied {
    fn from(error: EmbeddedError) -> Self {
        Self(error.into())
    }
}

/// The embedded chain's folder, if that is the chain.
fn embedded(config: &Config) -> Option<PathBuf> {
    matches!(config.chain.kind, ChainKind::Embedded { .. }).then(|| config.state.join("chain"))
}

/// Where the copy of the embedded chain stands.
fn beside(copy: &Path) -> PathBuf {
    let mut name = copy.as_os_str().to_owned();
    name.push(".chain");
    name.into()
}

/// What a backup does not hold.
fn apart(config: &Config, file: &ConfigFile) -> String {
    format!(
        "No key is in it. Keep apart from it, encrypted or under lock: {} and the files that it names\n         (users_file, token_key_file, keys of TLS), who may come in {}, and the settler's key {}.\n         Without that key nothing can be settled in the contract again, and an embedded chain cannot be opened.\n",
        file.path.display(),
        config.state.join("access.json").display(),
        config.chain.key_file.display()
    )
}

/// `journal restore`
pub fn restore(file: &ConfigFile, from: &Path, force: bool, by: &By) -> Result<(), Failure> {
    let by = by.name()?;
    let config = Config::load(&file.path)?;
    std::fs::create_dir_all(&config.state)
        .map_err(|e| Failure::new(Code::Unavailable, format!("cannot create {}: {e}", config.state.display())))?;
    // Held to the end: a gateway that starts meanwhile would begin a new ledger.
    let _lock = house::lock(&config.state)?;
    let place = config.state.join("ledger.db");
    if place.exists() && !force {
        let what = format!(
            "{} is there; with --force it is kept under another name, and the copy is put in its place",
            place.display()
        );
        return Err(Failure::new(Code::Usage, what));
    }
    let now = clock::open(&config)?.now();
    let restoration = Restoration::prepare(from, &place, now, &by).map_err(misused)?;
    let ledger = restoration.ledger()?;
    let report = audit(&config, &ledger)?;
    if let Some(first) = report.findings.first() {
        let n = report.findings.len();
        let what = format!(
            "{}: {n} things do not add up, so it was not put in place; the first: {}: {}",
            from.display(),
            first.check,
            first.found
        );
        return Err(Failure::new(Code::Found, what));
    }
    let newest = newest(&Ledger::open_copy(from)?, &config)?;
    drop(ledger);
    // The chain first: if this is cut off now, the next try finds it there.
    let chain = put_chain_back(&config, &beside(from), force);
    if let Some(folder) = embedded(&config).filter(|folder| folder.exists()) {
        give(&folder).map_err(|e| Failure::new(Code::Unavailable, format!("{}: {e}", folder.display())))?;
    }
    let chain = chain?;
    let aside = restoration.put_in_place(force, now).map_err(misused)?;
    print(&format!(
        "{} is in place; {} readings and {} facts add up\n",
        place.display(),
        report.readings,
        report.facts
    ))?;
    if let Some(aside) = aside {
        print(&format!("the ledger that was there is now {}\n", aside.display()))?;
    }
    print(&format!(
        "{chain}its newest fact: {newest}\n\
         What happened after that is not in it. Meters count on by themselves: the energy since is billed with their next\n\
         readings, at the prices of the times it is spread over. Deposits are read again from the chain. Batches that the\n\
         chain has settled since are taken over from it and not billed again. Payments in cash, vouchers, refunds and\n\
         corrections since then must be entered again.\n"
    ))
}

/// What root just made for the chain, its folder included, is the service's.
fn give(folder: &Path) -> std::io::Result<()> {
    hand_over(&File::open(folder)?, folder)?;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        hand_over(&File::open(&path)?, &path)?;
    }
    Ok(())
}

/// Puts the copy of the embedded chain in place, where there is one and it is needed; what came of it, in words.
fn put_chain_back(config: &Config, copy: &Path, force: bool) -> Result<String, Failure> {
    let Some(chain) = embedded(config) else { return Ok(String::new()) };
    if !copy.exists() {
        let what = format!("{} is not there, and neither is the embedded chain", copy.display());
        return match (chain.join("chain.log").exists(), force) {
            (true, _) => Ok(String::new()),
            (false, true) => {
                Ok(format!("{what}: the next start begins another one, in which nothing of this is settled\n"))
            }
            (false, false) => Err(Failure::new(
                Code::Usage,
                format!(
                    "{what}: put the copy of the chain beside that of the ledger; with --force the ledger is put back \
                     alone, and the next start begins another chain"
                ),
            )),
        };
    }
    let mut said = match contracts::embedded::put_back(copy, &chain)? {
        PutBack::Placed(blocks) => format!("the embedded chain is in place, up to block {blocks}\n"),
        PutBack::Kept(0) => "the embedded chain that is there is the copy's, and stays\n".into(),
        PutBack::Kept(more) => {
            format!("the embedded chain that is there has {more} blocks more than the copy, and stays\n")
        }
    };
    let key = &config.chain.key_file;
    if !key.exists() && std::env::var_os("CREDENTIALS_DIRECTORY").is_none() {
        said +=
            &format!("it does not open without its settler's key: put {} back before the next start\n", key.display());
    }
    Ok(said)
}

/// The newest fact, in words.
fn newest(ledger: &Ledger, config: &Config) -> Result<String, Failure> {
    let last = ledger.last_seq()?;
    // Facts are sparse among readings: back in growing strides.
    let mut back = 1_000;
    loop {
        let from = Seq(last.0.saturating_sub(back).max(0));
        let mut newest = None;
        let mut cursor = from;
        loop {
            let more = ledger.facts_after(cursor, 1_000)?;
            let Some(fact) = more.into_iter().next_back() else { break };
            cursor = fact.0;
            newest = Some(fact);
        }
        match newest {
            Some((seq, at, fact)) => return Ok(format!("{seq} {at} {}", narrate::sentence(&fact, &config.currency).1)),
            None if from.0 == 0 => return Ok("none".into()),
            None => back = back.saturating_mul(10),
        }
    }
}

/// What is refused here is refused to the person at the command line.
fn misused(error: LedgerError) -> Failure {
    match error {
        LedgerError::Refused(what) => Failure::new(Code::Usage, what),
        other => other.into(),
    }
}
