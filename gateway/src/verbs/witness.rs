//! `witness`.

use super::chain::{deployed, open, send};
use super::print;
use crate::cli::{ConfigFile, Founding, Member, Witness};
use crate::config::Config;
use crate::failure::{Code, Failure};
use contracts::Address;
use contracts::chain::Chain;
use contracts::key::Signer;
use contracts::tx::Call;
use contracts::witness::{self, Rules, Standing};
use serde_json::json;
use solvers::witness::{bound, mistaken, threshold};
use std::collections::BTreeSet;

/// The largest set that is drawn unless one is named: beyond it little is gained.
const SET: u8 = 15;

/// `witness`
pub fn run(verb: &Witness) -> Result<(), Failure> {
    match verb {
        Witness::Deploy(founding) => deploy(founding),
        Witness::Admit(member) => change(member, witness::admit, "may witness and settle"),
        Witness::Remove(member) => change(member, witness::remove, "is no member any more"),
        Witness::Clear(member) => change(member, witness::clear, "was cleared and may witness and settle again"),
        Witness::Status { config, json } => status(config, *json),
    }
}

fn address(text: &str) -> Result<Address, Failure> {
    text.parse().map_err(|_| Failure::new(Code::Usage, format!("{text:?} is no address")))
}

/// The contract of the configuration.
fn contract(config: &Config) -> Result<Address, Failure> {
    config.chain.witness.ok_or_else(|| {
        let what = "[chain] witness is missing: `witness deploy` makes the contract and prints what to write there";
        Failure::new(Code::Config, what)
    })
}

fn deploy(founding: &Founding) -> Result<(), Failure> {
    let others = founding.gateways.iter().map(|text| address(text)).collect::<Result<Vec<_>, _>>()?;
    let rules = rules(founding, others.len()).map_err(|wrong| Failure::new(Code::Usage, wrong.join("\n")))?;
    let (_, key, chain) = open(&founding.config)?;
    let at = deployed(&send(&*chain, &key, witness::deploy_call(&rules))?)?;
    for member in BTreeSet::from_iter(others.into_iter().chain([key.address()])) {
        let failed = |code, why: &dyn std::fmt::Display| {
            let what = format!(
                "{at} is deployed, but {member} was not admitted: {why}\nwrite witness = \"{at}\" into [chain], and go on \
                 with `witness status` and `witness admit`"
            );
            Failure::new(code, what)
        };
        let receipt = send(&*chain, &key, witness::admit(at, member)).map_err(|e| failed(e.code, &e.message))?;
        if !receipt.ok {
            return Err(failed(Code::Found, &receipt.transaction));
        }
    }
    print(&format!("{at}\n"))
}

/// The rules that follow from what is reckoned with; or all that is wrong with it.
fn rules(founding: &Founding, others: usize) -> Result<Rules, Vec<String>> {
    let mut wrong = Vec::new();
    let known = u32::try_from(others + 1).unwrap_or(u32::MAX);
    let members = founding.members.unwrap_or(known);
    if members < known || members > 255 {
        wrong.push(format!("--members: {members}, must be from {known}, those that are named, to 255"));
    }
    let set = founding.set.unwrap_or_else(|| u8::try_from(members).unwrap_or(SET).min(SET));
    if set == 0 || u32::from(set) > members {
        wrong.push(format!("--set: {set}, must be from 1 to the {members} members"));
    }
    for (name, value) in [("error", founding.error), ("false-alarm", founding.false_alarm), ("power", founding.power)] {
        if !(value > 0.0 && value < 1.0) {
            wrong.push(format!("--{name}: {value}, must be above 0 and below 1"));
        }
    }
    for (name, value) in [("liars", founding.liars), ("misheard", founding.misheard)] {
        if !(0.0..0.5).contains(&value) {
            wrong.push(format!("--{name}: {value}, must be from 0 to below 0.5"));
        }
    }
    if !(founding.lies > 0.0 && founding.lies <= 1.0) {
        wrong.push(format!("--lies: {}, must be above 0 and at most 1", founding.lies));
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 255 at most")]
    let liars = |of: u32| (f64::from(of) * founding.liars).ceil() as u32;
    // A smaller set is all that are left, and among them may be every liar of so many.
    let needed: Vec<u8> = (1..=set)
        .map(|size| {
            let of = if size == set { members } else { u32::from(size) };
            let found = threshold(of, liars(of), size.into(), founding.error);
            found.and_then(|t| u8::try_from(t.signatures).ok()).unwrap_or(0)
        })
        .collect();
    if needed.last() == Some(&0) {
        wrong.push(format!(
            "--set: with {} liars among {members} no number of {set} is enough: more members, a larger set, or fewer liars",
            liars(members)
        ));
        return Err(wrong);
    }
    let drawn = f64::from(set) / f64::from(members);
    // The honest dissent where they mishear, and where a set comes to a wrong finding.
    let enough = needed.last().copied().unwrap_or(0);
    let wrongly = mistaken(members, liars(members), set.into(), enough.into(), founding.misheard);
    let honest = drawn * founding.misheard + wrongly;
    let found = bound(honest, drawn * founding.lies, founding.false_alarm, founding.power);
    let fits = found.and_then(|b| Some((b.batches, u16::try_from(b.dissents).ok()?)));
    let Some((batches, dissents)) = fits else {
        return Err(vec!["--lies: no window tells liars from those who mishear so often".into()]);
    };
    Ok(Rules { batches, dissents, patience: founding.patience, needed })
}

fn change(member: &Member, call: fn(Address, Address) -> Call, done: &str) -> Result<(), Failure> {
    let who = address(&member.address)?;
    let (config, key, chain) = open(&member.config)?;
    let receipt = send(&*chain, &key, call(contract(&config)?, who))?;
    if !receipt.ok {
        return Err(Failure::new(Code::Found, format!("{} was mined and reverted", receipt.transaction)));
    }
    print(&format!("{who} {done}\n"))
}

fn status(file: &ConfigFile, as_json: bool) -> Result<(), Failure> {
    let (config, _, chain) = open(file)?;
    let at = contract(&config)?;
    let (rules, members) = (witness::rules(&*chain, at)?, witness::members(&*chain, at)?);
    let findings = witness::findings(&*chain, at)?;
    let mut rows = Vec::new();
    for who in members {
        let standing = witness::standing(&*chain, at, who)?;
        rows.push((who, standing));
    }
    for who in flagged(&*chain, at)? {
        let standing = witness::standing(&*chain, at, who)?;
        if standing.flagged && rows.iter().all(|(known, _)| *known != who) {
            rows.push((who, standing));
        }
    }
    rows.sort_by_key(|(who, _)| *who);
    if as_json {
        let row = |(who, s): &(Address, Standing)| json!({ "address": who.to_string(), "member": s.member, "flagged": s.flagged, "dissents": s.dissents });
        let told = json!({
            "contract": at.to_string(),
            "findings": findings,
            "rules": {
                "set": rules.needed.len(), "needed": rules.needed, "window": rules.batches,
                "dissents": rules.dissents, "patience_blocks": rules.patience,
            },
            "members": rows.iter().map(row).collect::<Vec<_>>(),
        });
        return print(&format!("{told}\n"));
    }
    let mut text = format!(
        "witnesses {at}, {findings} findings\nof a set of {}, {} have to sign within {} blocks; {} dissents in {} findings flag\n",
        rules.needed.len(),
        rules.needed.last().copied().unwrap_or(0),
        rules.patience,
        rules.dissents,
        rules.batches
    );
    for (who, s) in rows {
        let is = if s.flagged { "flagged" } else { "member" };
        text += &format!("{who}  {is}  {} dissents in its last window\n", s.dissents);
    }
    print(&text)
}

/// Everybody who was ever flagged.
fn flagged(chain: &dyn Chain, at: Address) -> Result<Vec<Address>, Failure> {
    /// Blocks whose logs are asked for at once: nodes limit this.
    const RANGE: u64 = 1_000;
    /// And at most so many times: the newest.
    const RANGES: usize = 50;
    let mut found = Vec::new();
    let mut to_block = chain.head()?.number;
    for _ in 0..RANGES {
        let from_block = to_block.saturating_sub(RANGE - 1);
        let filter = contracts::chain::LogFilter { address: at, topic0: None, from_block, to_block };
        found.extend(chain.logs(&filter)?.iter().filter_map(|log| witness::flagged(log).map(|(who, _, _)| who)));
        if from_block == 0 {
            break;
        }
        to_block = from_block - 1;
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn founding() -> Founding {
        Founding {
            config: ConfigFile { path: "gateway.toml".into() },
            gateways: Vec::new(),
            members: Some(3),
            liars: 0.2,
            lies: 0.5,
            set: None,
            error: 0.001,
            misheard: 0.01,
            false_alarm: 1e-6,
            power: 0.99,
            patience: 40,
        }
    }

    #[test]
    fn rules_follow_from_how_many_lie() {
        // One of three lies: two honest ones are enough, and a liar alone never is.
        let three = rules(&founding(), 2).unwrap();
        assert_eq!(three.needed[2], 2);
        assert!(three.dissents > 1 && u32::from(three.dissents) <= three.batches);
        // The published threshold: ten of fifty lie, a set of fifteen.
        let fifty = rules(&Founding { members: Some(50), ..founding() }, 0).unwrap();
        assert_eq!((fifty.needed.len(), fifty.needed[14]), (15, 8));
    }

    #[test]
    fn what_makes_no_rules_is_said_at_once() {
        let wild = Founding { members: Some(1), set: Some(9), error: 0.0, liars: 0.7, ..founding() };
        let wrong = rules(&wild, 4).unwrap_err().join("\n");
        for part in ["--members: 1", "--set: 9", "--error: 0", "--liars: 0.7"] {
            assert!(wrong.contains(part), "{part} is not in {wrong}");
        }
        let captured = Founding { members: Some(50), set: Some(3), liars: 0.4, ..founding() };
        assert!(rules(&captured, 0).unwrap_err()[0].contains("no number of 3 is enough"));
    }
}
