//! What is of the moment about places, for the page and the broker.

use domain::place::{HoldRule, Place, Proof};
use domain::{MeterId, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;

/// Places as they stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LocationLive {
    /// The epoch that is listened to: whole epochs since 1970.
    pub epoch: i64,
    /// Until when.
    pub until: Timestamp,
    /// What the beacons' codes follow from, as hex.
    pub challenge: String,
    /// The block that it came from; none if no chain was reached, and it is the gateway's own random number.
    pub block: Option<u64>,
    /// When a meter is held.
    pub rule: HoldRule,
    /// Whether meters are held at all.
    pub hold: bool,
    /// What is wrong with the whole, while something is.
    pub problem: Option<String>,
    /// Who listens.
    pub anchors: Vec<AnchorLive>,
    /// Whose place is looked at.
    pub meters: BTreeMap<MeterId, PlaceLive>,
    /// Beacons of this epoch that are nobody's here.
    pub strangers: u64,
    /// Beacons that were not looked at because there were too many, since the start.
    pub passed_over: u64,
}

/// An anchor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AnchorLive {
    /// Its name.
    pub id: String,
    /// Where it stands.
    pub place: Place,
    /// Beacons of this epoch that it heard.
    pub heard: u64,
    /// What is wrong with it, while something is.
    pub problem: Option<String>,
}

/// A meter's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlaceLive {
    /// Where it should be.
    pub claim: Place,
    /// The newest proof.
    pub proof: Option<Proof>,
    /// How many of the last proofs failed.
    pub failed: u32,
    /// Of how many: the window, or as many as there are.
    pub of: u32,
    /// Whether it is held for that.
    pub held: bool,
    /// Why the last epoch gave no proof, if it gave none.
    pub unproved: Option<String>,
    /// Beacons of this epoch whose code is over.
    pub stale: u64,
}

impl PlaceLive {
    /// What is wrong, in words; a meter that nobody hears is no problem of its own.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        if self.held {
            return Some(format!("held: {} of the last {} proofs of its place failed", self.failed, self.of));
        }
        if self.unproved.is_some() {
            return None;
        }
        let failed = self.proof.as_ref().filter(|p| p.failed() && p.counts)?;
        Some(match failed.found {
            Some(found) => format!("it was found at {found} and should be at {}", failed.claim),
            None => format!("it was found {}", failed.verdict),
        })
    }

    /// In a word.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match &self.proof {
            _ if self.held => "held",
            _ if self.unproved.is_some() => "unproved",
            None => "waiting",
            Some(proof) if !proof.counts => "unproved",
            Some(proof) if proof.failed() => "failed",
            Some(_) => "proved",
        }
    }
}
