//! Asks witnesses before a batch is settled, and is one for others: a batch counts when enough of a set of gateways, drawn
//! for it on the chain, have compared it with what they overheard, and signed.
//!
//! What members say to each other stands in [`wire`]; on which topics, in the README of this crate. What was overheard is
//! kept by [`heard`], a batch is judged by [`judge`], votes are counted by [`ballot`], and [`duty`] says what is to be said
//! to the contract; the Settler sends it.

mod ballot;
mod chain;
pub mod duty;
pub mod feeder;
pub mod heard;
pub mod judge;
mod mind;
pub mod wire;

pub use ballot::Ballot;

use crate::{Board, Scribe};
use actix::prelude::*;
use contracts::Address;
use contracts::chain::Chain;
use contracts::key::Signer;
use domain::{Clock, Timestamp};
use drivers::MqttSpec;
use drivers::mqtt::{Link, Message, Subscription};
use mind::{Mind, Turn};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What the Witness needs to know.
#[derive(Clone)]
pub struct WitnessPlan {
    /// The neighbourhood's broker.
    pub broker: MqttSpec,
    /// The site's name: the second level of its topics.
    pub site: String,
    /// The chain.
    pub chain: Arc<dyn Chain>,
    /// Its id.
    pub chain_id: u64,
    /// The contract.
    pub contract: Address,
    /// Who signs: the settler's key.
    pub signer: Arc<dyn Signer>,
    /// Our feeder meter against the whole neighbourhood, if it stands before all homes.
    pub feeder: Option<feeder::FeederPlan>,
    /// How often meters' registers are published, in real time.
    pub every: Duration,
    /// How long a batch that was refused waits until it is asked about again, on the gateway's clock.
    pub again: Duration,
    /// How often it looks, in real time.
    pub poll: Duration,
}

/// A member of the neighbourhood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemberLive {
    /// Its address.
    pub address: String,
    /// Whether it may witness and settle.
    pub member: bool,
    /// Whether it dissented too often, and has not been cleared.
    pub flagged: bool,
    /// How often it dissented in its last window.
    pub dissents: u16,
    /// When its meters were last heard.
    pub heard: Option<Timestamp>,
}

/// The witnesses, as this gateway sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WitnessLive {
    /// The contract.
    pub contract: String,
    /// Who we are there.
    pub address: String,
    /// The digest of the batch that is asked about, while one is.
    pub asking: Option<String>,
    /// Batches of others that were found sound here since the start.
    pub agreed: u64,
    /// Batches of others that were found wrong here since the start.
    pub refused: u64,
    /// What keeps our own batches from being settled, or us from witnessing.
    pub problem: Option<String>,
    /// Members, and who was one.
    pub members: Vec<MemberLive>,
}

/// Witnesses.
pub struct Witness {
    plan: Arc<WitnessPlan>,
    clock: Clock,
    scribe: Scribe,
    board: Board,
}

impl Witness {
    /// A witness.
    #[must_use]
    pub fn new(plan: WitnessPlan, clock: Clock, scribe: Scribe, board: Board) -> Self {
        Self { plan: Arc::new(plan), clock, scribe, board }
    }
}

impl Actor for Witness {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let work = attend(Arc::clone(&self.plan), self.clock.clone(), self.scribe.clone(), self.board.clone());
        ctx.spawn(work.into_actor(self));
    }
}

async fn attend(plan: Arc<WitnessPlan>, clock: Clock, scribe: Scribe, board: Board) {
    let link = Link::connect(plan.broker.clone(), None);
    let mut connected = link.connected();
    // A topic for each member, so that none can drown another's words.
    let mut ears: BTreeMap<Address, Subscription> = BTreeMap::new();
    let mut mind = Mind::default();
    // What the broker keeps, and may have forgotten while it was away.
    let mut kept: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    loop {
        board.pulse("witness");
        if connected.has_changed().unwrap_or(false) {
            for (topic, payload) in &kept {
                let _ = link.try_publish(topic, payload.clone(), true);
            }
        }
        let mut heard: Vec<(Address, Message)> = Vec::new();
        for (member, ear) in &mut ears {
            heard.extend(std::iter::from_fn(|| ear.try_recv()).map(|message| (*member, message)));
        }
        let turn = Turn {
            now: clock.now(),
            heard,
            connected: *connected.borrow_and_update(),
            meters: board.look().meters.values().map(|m| m.reading.clone()).collect(),
        };
        let (p, ledger) = (Arc::clone(&plan), scribe.ledger());
        let taken = tokio::task::spawn_blocking(move || {
            let out = mind.turn(&p, &ledger, turn);
            (mind, out)
        });
        // A join error is a panic, on which the process aborts in release.
        let Ok((back, out)) = taken.await else { return };
        mind = back;
        // Written down first: who votes twice dissents.
        let written = if out.writes.is_empty() { Ok(()) } else { record(&scribe, out.writes).await };
        match written {
            Ok(()) => {
                for (topic, payload) in out.publish {
                    // A queue that is full is tried again when the connection is back.
                    let _ = link.try_publish(&topic, payload.clone(), true);
                    kept.insert(topic, payload);
                }
            }
            Err(error) => {
                tracing::debug!(%error, "what witnesses are told waits");
                mind.forget();
            }
        }
        ears.retain(|member, _| out.members.contains(member));
        for member in out.members {
            ears.entry(member).or_insert_with(|| link.subscribe(&format!("microgrid/+/witness/{member:#x}/+")));
        }
        let known = board.look().witness.clone();
        if known.as_ref() != Some(&out.live) {
            let (old, new) = (known.and_then(|k| k.problem), out.live.problem.clone());
            board.update(|live| live.witness = Some(out.live));
            if let Some(problem) = new.filter(|new| old.as_ref() != Some(new)) {
                tracing::warn!(%problem, "witnesses");
            }
        }
        tokio::time::sleep(plan.poll).await;
    }
}

async fn record(scribe: &Scribe, writes: Vec<ledger::Write>) -> Result<(), crate::RecordFailed> {
    for outcome in scribe.write_all(writes).await? {
        outcome?;
    }
    Ok(())
}
