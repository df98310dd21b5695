//! Who is there, who is late, who differs.

use super::said::Said;
use contracts::Address;
use domain::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How a gateway stands among its neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Heard of lately, and nothing is wrong.
    Well,
    /// Something keeps it from its work, it differs, or it is nobody whom the contract knows.
    Ailing,
    /// Not heard of for too long.
    Late,
}

/// One gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// How it stands.
    pub standing: Standing,
    /// Seconds since it spoke, by our clock; negative if its clock is ahead.
    pub age_s: i64,
    /// In what it is unlike most: `version`, `tariff`, `chain_id`, `provider`, `witness`.
    pub differs: Vec<&'static str>,
    /// All that is wrong, in words.
    pub problems: Vec<String>,
    /// What it said.
    #[serde(flatten)]
    pub said: Said,
}

/// Clocks are apart by so much before anybody speaks of it: messages take their time.
const APART: i64 = 5_000;

/// The rows, by site: the newest that each signer says of a site, wherever it was heard. `late` is how long a gateway may be silent; `settles` says of a signer whether the contract that it
/// names takes its batches, where that is known.
pub fn rows(said: Vec<Said>, now: Timestamp, late: Duration, settles: impl Fn(&Said) -> Option<bool>) -> Vec<Row> {
    let mut newest: BTreeMap<(String, Address), Said> = BTreeMap::new();
    for said in said {
        let key = (said.state.site.clone(), said.address);
        if newest.get(&key).is_none_or(|known| known.state.at < said.state.at) {
            newest.insert(key, said);
        }
    }
    let said: Vec<Said> = newest.into_values().collect();
    let common: BTreeMap<&'static str, Option<String>> =
        FIELDS.iter().map(|(name, _, field)| (*name, most(said.iter().map(|s| (field(s), s.address))))).collect();
    let sites = said.iter().fold(BTreeMap::<_, Vec<Address>>::new(), |mut sites, s| {
        sites.entry(s.state.site.clone()).or_default().push(s.address);
        sites
    });
    let late = i64::try_from(late.as_millis()).unwrap_or(i64::MAX);
    said.into_iter()
        .map(|said| {
            let age = now.0.saturating_sub(said.state.at.0);
            let unlike: Vec<_> = FIELDS.iter().filter(|(name, _, field)| common[name] != field(&said)).collect();
            let differs = unlike.iter().map(|(name, ..)| *name).collect();
            let state = &said.state;
            let mut problems = Vec::new();
            let mut wrong = |is: bool, what: String| problems.extend(is.then_some(what));
            wrong(age < -APART, format!("its clock is {} s ahead of ours", -age / 1000));
            wrong(!state.clock_trusted, "it does not trust its clock".into());
            wrong(!state.ledger_ok, "its ledger cannot be written".into());
            wrong(!state.chain_ok, "it cannot settle".into());
            wrong(state.devices_ailing > 0, format!("{} devices do not answer or follow", state.devices_ailing));
            wrong(settles(&said) == Some(false), format!("its contract takes no batches of {}", said.address));
            wrong(sites[&state.site].len() > 1, "others say that they are this site".into());
            for (_, words, _) in unlike {
                wrong(true, format!("its {words} is not that of most"));
            }
            let standing = match () {
                () if age > late => Standing::Late,
                () if problems.is_empty() => Standing::Well,
                () => Standing::Ailing,
            };
            Row { standing, age_s: age / 1000, differs, problems, said }
        })
        .collect()
}

type Field = fn(&Said) -> Option<String>;

/// What gateways of one neighbourhood have in common: its key, what it is called, and where it stands.
const FIELDS: &[(&str, &str, Field)] = &[
    ("version", "version", |s| Some(s.state.version.clone())),
    // An operator may have announced another since, which only its ledger knows.
    ("tariff", "configured tariff", |s| Some(s.state.tariff.clone())),
    ("chain_id", "chain id", |s| Some(s.state.chain_id.to_string())),
    ("provider", "provider", |s| s.state.provider.clone()),
    ("witness", "witness", |s| s.state.witness.clone()),
];

/// The value of most signers, each of whom counts once however often it speaks; of several the greatest, so that the answer does not depend on who was heard first.
fn most(values: impl Iterator<Item = (Option<String>, Address)>) -> Option<String> {
    let mut signers: BTreeMap<Option<String>, BTreeSet<Address>> = BTreeMap::new();
    for (value, signer) in values {
        signers.entry(value).or_default().insert(signer);
    }
    signers.into_iter().max_by_key(|(_, who)| who.len()).and_then(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::super::said::tests::state;
    use super::*;

    const LATE: Duration = Duration::from_secs(300);

    fn said(site: &str, address: u8) -> Said {
        Said { address: Address::repeat_byte(address), state: state(site) }
    }

    fn judged(said: Vec<Said>) -> Vec<Row> {
        let now = Timestamp(said[0].state.at.0 + 10_000);
        rows(said, now, LATE, |_| None)
    }

    #[test]
    fn neighbours_that_are_alike_are_well() {
        let rows = judged(vec![said("mill", 2), said("lane", 1)]);
        assert!(rows.iter().all(|r| r.standing == Standing::Well && r.problems.is_empty() && r.age_s == 10));
        assert_eq!(rows.iter().map(|r| r.said.state.site.as_str()).collect::<Vec<_>>(), ["lane", "mill"]);
    }

    #[test]
    fn who_is_unlike_most_differs() {
        let mut odd = said("mill", 2);
        (odd.state.version, odd.state.tariff) = ("0.0.9".into(), "ff".into());
        let rows = judged(vec![odd, said("lane", 1), said("yard", 3)]);
        assert_eq!(rows[1].differs, ["version", "tariff"]);
        assert_eq!((rows[0].standing, rows[1].standing), (Standing::Well, Standing::Ailing));
    }

    #[test]
    fn whoever_speaks_often_counts_once_and_by_its_newest_word() {
        let odd = |site: &str, at: i64| {
            let mut odd = said(site, 9);
            odd.state.version = "6.6.6".into();
            odd.state.at = Timestamp(odd.state.at.0 + at);
            odd
        };
        let rows =
            judged(vec![said("lane", 1), said("mill", 2), odd("a", 0), odd("a", 7_000), odd("b", 0), odd("c", 0)]);
        let shown: Vec<_> = rows.iter().map(|r| (r.said.state.site.as_str(), r.differs.len(), r.age_s)).collect();
        assert_eq!(shown, [("a", 1, 3), ("b", 1, 10), ("c", 1, 10), ("lane", 0, 10), ("mill", 0, 10)]);
    }

    #[test]
    fn who_was_silent_for_too_long_is_late_whatever_it_said() {
        let mut gone = said("mill", 2);
        gone.state.at = Timestamp(gone.state.at.0 - 400_000);
        assert_eq!(judged(vec![said("lane", 1), gone])[1].standing, Standing::Late);
    }

    #[test]
    fn a_clock_that_is_ahead_shows_and_is_not_late() {
        let mut ahead = said("mill", 2);
        ahead.state.at = Timestamp(ahead.state.at.0 + 70_000);
        let row = &judged(vec![said("lane", 1), ahead])[1];
        assert_eq!(
            (row.standing, row.problems.as_slice()),
            (Standing::Ailing, &["its clock is 60 s ahead of ours".to_owned()][..])
        );
    }

    #[test]
    fn two_that_say_they_are_one_site_are_both_shown_and_neither_is_well() {
        let rows = judged(vec![said("lane", 1), said("lane", 2)]);
        assert!(rows.len() == 2 && rows.iter().all(|r| r.standing == Standing::Ailing));
    }

    #[test]
    fn a_signer_that_the_contract_does_not_know_is_not_well() {
        let one = vec![said("lane", 1)];
        let now = one[0].state.at;
        assert_eq!(rows(one.clone(), now, LATE, |_| Some(false))[0].standing, Standing::Ailing);
        assert_eq!(rows(one, now, LATE, |_| Some(true))[0].standing, Standing::Well);
    }
}
