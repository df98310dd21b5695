//! What the Witness knows, and one turn of its thinking: hear, look, judge, decide. It blocks, for it asks the chain.

use super::ballot::Ballot;
use super::chain::Seen;
use super::duty::{Mine, Open, View};
use super::feeder::Feeder;
use super::heard::Heard;
use super::judge::{Judgement, Known, judge};
use super::wire::{self, Kind, Proposal, Readings, Said, Sample, Span, Vote, Votes};
use super::{MemberLive, WitnessLive, WitnessPlan};
use crate::settler::step::{Batched, PROVIDER, Trouble, proposed};
use contracts::chain::ChainError;
use contracts::{Address, B256, provider, witness};
use domain::{MeterId, Reading, Timestamp, WattHours};
use drivers::mqtt::Message;
use ledger::{Ledger, Purpose, Write};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// The setting that keeps what we voted, and the one that keeps when a batch of ours was refused.
const VOTED: &str = "witness_voted";
const REFUSED: &str = "witness_refused";
/// A member is heard so often in a second, and so often at once.
const RATE: f64 = 4.0;
const BURST: f64 = 24.0;
/// What could not be said to the contract is said again after this, in real time.
const PAUSE: Duration = Duration::from_secs(10);

/// What came since the last turn.
pub(super) struct Turn {
    pub now: Timestamp,
    pub heard: Vec<(Address, Message)>,
    pub connected: bool,
    pub meters: Vec<Reading>,
}

/// What follows from a turn.
#[derive(Default)]
pub(super) struct Out {
    /// To be recorded first.
    pub writes: Vec<Write>,
    /// Then said.
    pub publish: Vec<(String, Vec<u8>)>,
    /// Whom to listen to.
    pub members: BTreeSet<Address>,
    pub live: WitnessLive,
}

/// A batch of ours that waits for its witnesses.
struct Ours {
    batch: Batched,
    provider: Address,
    digest: B256,
}

/// Of one member.
#[derive(Default)]
struct Peer {
    heard: Heard,
    at: Option<Timestamp>,
    proposal: Option<Proposal>,
    /// Up to when its meters were billed in settled batches.
    billed: BTreeMap<MeterId, Timestamp>,
    /// What was found sound here last, and what was accepted last and may still be settled.
    sound: Option<Sound>,
    accepted: Option<Sound>,
    /// Messages that it may send, and when that was reckoned.
    tokens: Option<(f64, Instant)>,
    complained: bool,
}

/// A batch, and up to when its meters are billed once it is settled.
struct Sound {
    provider: Address,
    sequence: u64,
    digest: B256,
    ends: BTreeMap<MeterId, Timestamp>,
}

impl Sound {
    fn of(proposal: &Proposal, digest: B256) -> Self {
        let mut ends = BTreeMap::new();
        for span in &proposal.spans {
            let end = ends.entry(span.meter.clone()).or_insert(span.at.1);
            *end = span.at.1.max(*end);
        }
        Self { provider: proposal.provider, sequence: proposal.sequence, digest, ends }
    }
}

impl Peer {
    /// Counts its accepted batch as billed once its book has gone past its number, which `next` asks. A batch that is
    /// accepted is settled later, or never: whoever opens another draw before has given it up.
    fn settled(
        &mut self,
        opens: bool,
        next: impl FnOnce(Address) -> Result<u64, ChainError>,
    ) -> Result<(), ChainError> {
        let Some(sound) = &self.accepted else { return Ok(()) };
        match next(sound.provider) {
            Ok(next) if next > sound.sequence => {
                self.billed.extend(self.accepted.take().into_iter().flat_map(|s| s.ends));
            }
            Ok(_) if opens => self.accepted = None,
            Ok(_) => {}
            Err(error) if error.is_transient() => return Err(error),
            // A book that does not say so counts nothing.
            Err(_) => self.accepted = None,
        }
        Ok(())
    }

    fn may_speak(&mut self, now: Instant) -> bool {
        let (left, since) = self.tokens.unwrap_or((BURST, now));
        let left = (left + RATE * now.duration_since(since).as_secs_f64()).min(BURST);
        let may = left >= 1.0;
        self.tokens = Some((if may { left - 1.0 } else { left }, now));
        may
    }
}

/// What is known. Votes and when we were refused are durable; all else is said again by others.
#[derive(Default)]
pub(super) struct Mind {
    peers: BTreeMap<Address, Peer>,
    seen: Seen,
    ballot: Ballot,
    quorum: BTreeMap<u64, u64>,
    /// What we voted, by draw; `None` until the ledger was asked.
    voted: Option<BTreeMap<u64, Vote>>,
    /// Whether there is a vote among them that was not handed over to be recorded.
    unwritten: bool,
    refused: Option<(u64, Timestamp)>,
    /// Batches that were judged since the start: sound, and wrong.
    judged: (u64, u64),
    /// What was said to the contract, and when.
    said: BTreeMap<String, Instant>,
    /// Reports that the contract does not take any more.
    too_late: BTreeSet<String>,
    published: Option<Instant>,
    /// What our own meters said, and what the feeder says of all.
    own: Heard,
    feeder: Feeder,
    ours: Option<(i64, B256)>,
    /// The account book of ours that is known to ask these witnesses.
    book: Option<Address>,
    /// What was said last of each kind: signing takes a while, and may take another turn every time.
    spoken: BTreeMap<Kind, Said>,
}

impl Mind {
    /// Forgets what could not be recorded, and was not said either.
    pub fn forget(&mut self) {
        (self.voted, self.unwritten, self.refused) = (None, false, None);
        self.said.clear();
        self.spoken.clear();
    }

    pub fn turn(&mut self, plan: &WitnessPlan, ledger: &Ledger, turn: Turn) -> Out {
        let mut out = Out::default();
        let me = plan.signer.address();
        out.live.contract = plan.contract.to_string();
        out.live.address = me.to_string();
        let problem = self.think(plan, ledger, turn, me, &mut out).err();
        out.members = self.seen.members.iter().copied().filter(|member| *member != me).collect();
        out.live.problem = problem.or_else(|| out.live.problem.take()).or_else(|| self.problem(me));
        (out.live.agreed, out.live.refused) = self.judged;
        out.live.members = self.members();
        out
    }

    /// One turn. An error ends it; what goes wrong with one thing alone is noted in `out`, and the others go on.
    fn think(
        &mut self,
        plan: &WitnessPlan,
        ledger: &Ledger,
        turn: Turn,
        me: Address,
        out: &mut Out,
    ) -> Result<(), String> {
        let wrong = |e: &dyn std::fmt::Display| e.to_string();
        if self.voted.is_none() {
            self.recall(ledger)?;
        }
        for (by, message) in turn.heard {
            self.hear(plan, by, &message, turn.now);
        }
        let samples = samples(&turn.meters);
        if let Some(feeder) = &plan.feeder {
            self.own.listen(&Readings { meters: samples.clone() });
            let mut heard: BTreeMap<Address, &Heard> =
                self.peers.iter().map(|(who, peer)| (*who, &peer.heard)).collect();
            heard.insert(me, &self.own);
            self.feeder.look(feeder, turn.now, me, &heard);
        }
        let published = self.publish_readings(plan, samples, out);
        noted(published, out);
        if self.seen.look(&*plan.chain, plan.contract, me).map_err(|e| wrong(&e))? {
            let members: BTreeSet<Address> = self.seen.members.iter().copied().collect();
            self.peers.retain(|peer, _| members.contains(peer));
            let accepted: BTreeSet<B256> =
                self.seen.findings.values().filter(|f| !f.refused).map(|f| f.found.digest).collect();
            for (who, peer) in &mut self.peers {
                // Before a newer one takes its place.
                let opens = self.seen.open.iter().any(|open| open.opener == *who);
                let next = |provider| provider::next_sequence(&*plan.chain, provider, *who);
                noted(peer.settled(opens, next).map_err(|e| wrong(&e)), out);
                if let Some(sound) = peer.sound.take_if(|sound| accepted.contains(&sound.digest)) {
                    peer.accepted = Some(sound);
                }
            }
            self.ballot.keep(&members);
        }
        let asked = self.ask(plan, ledger, me, out);
        let ours = noted(asked, out).flatten();
        self.note_refusal(turn.now, out);
        self.vote(plan, ours, me, turn.connected, out);
        self.record_votes(plan, me, out)?;
        let again = self.refused.is_none_or(|(_, at)| at > turn.now || turn.now.since(at) >= plan.again);
        let needed = self.seen.rules.as_ref().map(|r| r.needed.clone()).unwrap_or_default();
        let view = View {
            me,
            contract: plan.contract,
            head: self.seen.height,
            needed: &needed,
            ours,
            mine: self.seen.mine.unwrap_or(Mine::Never),
            again,
            open: &self.seen.open,
            findings: &self.seen.findings,
            dissents: &self.seen.dissents,
            members: &self.seen.members,
        };
        let acts = view.acts(&self.ballot, &mut self.quorum);
        if let Some((Purpose::Witness { data, .. }, why)) = ledger.last_refusal().map_err(|e| wrong(&e))?
            && why.contains("TooLate")
        {
            self.too_late.insert(data);
        }
        self.too_late.retain(|data| acts.iter().any(|act| wire::hex(&act.call.data) == *data));
        self.said.retain(|_, at| at.elapsed() < PAUSE);
        let open = ledger.open_intents().map_err(|e| wrong(&e))?;
        for act in acts {
            let (what, data) = (act.what, wire::hex(&act.call.data));
            let purpose = Purpose::Witness { what, data: data.clone() };
            // One thing at a time, and nothing twice while it is under way.
            let under_way = open.iter().any(|intent| matches!(intent.purpose, Purpose::Witness { .. }));
            let free = !under_way && out.writes.iter().all(|w| !matches!(w, Write::Queue(_)));
            if free && !self.said.contains_key(&data) && !self.too_late.contains(&data) {
                self.said.insert(data, Instant::now());
                out.writes.push(Write::Queue(purpose));
            }
        }
        Ok(())
    }

    fn recall(&mut self, ledger: &Ledger) -> Result<(), String> {
        let read = |key| ledger.meta(key).map_err(|e| e.to_string());
        let votes: Votes = match read(VOTED)? {
            Some(text) => serde_json::from_str(&text).map_err(|e| format!("what we voted cannot be read: {e}"))?,
            None => Votes::default(),
        };
        self.voted = Some(votes.votes.into_iter().map(|vote| (vote.draw, vote)).collect());
        self.refused = read(REFUSED)?.as_deref().and_then(|text| {
            let (draw, at) = text.split_once(' ')?;
            Some((draw.parse().ok()?, Timestamp(at.parse().ok()?)))
        });
        Ok(())
    }

    /// Takes a member's word.
    fn hear(&mut self, plan: &WitnessPlan, by: Address, message: &Message, now: Timestamp) {
        let Some(kind) = Kind::ALL.into_iter().find(|k| message.topic.rsplit('/').next() == Some(k.as_str())) else {
            return;
        };
        let peer = self.peers.entry(by).or_default();
        let said = wire::open(kind, &message.payload, plan.chain_id, plan.contract, by);
        // What others say on its topic is not held against a member.
        if said.is_ok() && !peer.may_speak(Instant::now()) {
            return;
        }
        match said {
            Ok(Said::Readings(readings)) => {
                peer.heard.listen(&readings);
                peer.at = Some(now);
            }
            Ok(Said::Batch(proposal)) => peer.proposal = Some(proposal),
            Ok(Said::Votes(Votes { votes })) => {
                for vote in &votes {
                    if !self.ballot.cast(by, vote, plan.chain_id, plan.contract) {
                        tracing::debug!(%by, draw = vote.draw, "a vote that its member did not sign");
                    }
                }
            }
            // Once for each member: whoever sends nonsense sends much of it.
            Err(error) => {
                if !std::mem::replace(&mut peer.complained, true) {
                    tracing::warn!(%by, topic = %message.topic, %error, "a member of the neighbourhood is not understood");
                }
            }
        }
    }

    fn publish_readings(&mut self, plan: &WitnessPlan, meters: Vec<Sample>, out: &mut Out) -> Result<(), String> {
        if self.published.is_some_and(|at| at.elapsed() < plan.every) {
            return Ok(());
        }
        let readings = Readings { meters };
        if !readings.meters.is_empty() && self.say(plan, Said::Readings(readings), out)? {
            self.published = Some(Instant::now());
        }
        Ok(())
    }

    /// Signs and publishes what was not said before; says whether it was.
    fn say(&mut self, plan: &WitnessPlan, said: Said, out: &mut Out) -> Result<bool, String> {
        let (me, kind) = (plan.signer.address(), said.kind());
        if self.spoken.get(&kind) == Some(&said) {
            return Ok(false);
        }
        let payload = wire::seal(&said, plan.chain_id, plan.contract, &*plan.signer).map_err(|e| e.to_string())?;
        out.publish.push((format!("microgrid/{}/witness/{me:#x}/{}", plan.site, kind.as_str()), payload));
        self.spoken.insert(kind, said);
        Ok(true)
    }

    /// Publishes the batch that waits for its witnesses, if its book asks them; its digest. Others would refuse a batch of
    /// another book, and each refusal counts.
    fn ask(&mut self, plan: &WitnessPlan, ledger: &Ledger, me: Address, out: &mut Out) -> Result<Option<B256>, String> {
        let Some(Ours { batch, provider, digest }) = self.ours(ledger, me).map_err(|e| e.to_string())? else {
            return Ok(None);
        };
        if self.book != Some(provider) {
            let asks = provider::witness_of(&*plan.chain, provider).map_err(|e| e.to_string())?;
            if asks != Some(plan.contract) {
                return Err(format!("account book {provider} does not ask the witnesses of {}", plan.contract));
            }
            self.book = Some(provider);
        }
        let said = Said::Batch(propose(&batch, provider).map_err(|e| e.to_string())?);
        self.say(plan, said, out)?;
        out.live.asking = Some(digest.to_string());
        Ok(Some(digest))
    }

    /// The batch that waits for its witnesses, its account book, and its digest.
    fn ours(&mut self, ledger: &Ledger, me: Address) -> Result<Option<Ours>, Trouble> {
        let Some(provider) = ledger.meta(PROVIDER)?.and_then(|text| text.parse::<Address>().ok()) else {
            return Ok(None);
        };
        for intent in ledger.open_intents()? {
            if let Purpose::Settle { sequence } = intent.purpose
                && intent.attempts.is_empty()
            {
                let batch = proposed(ledger, sequence)?;
                let digest = batch.digest(provider, me)?;
                if self.ours.replace((intent.id, digest)).is_none_or(|(id, _)| id != intent.id) {
                    tracing::info!(sequence, %digest, "asking the witnesses about a batch");
                }
                return Ok(Some(Ours { batch, provider, digest }));
            }
        }
        self.ours = None;
        Ok(None)
    }

    /// Remembers when our batch was refused, so that a restart does not ask again at once.
    fn note_refusal(&mut self, now: Timestamp, out: &mut Out) {
        if let Some(Mine::Refused(_, draw)) = self.seen.mine
            && self.refused.is_none_or(|(known, _)| known != draw)
        {
            self.refused = Some((draw, now));
            out.writes.push(Write::Meta(REFUSED.into(), format!("{draw} {}", now.0)));
        }
    }

    /// Votes on every open draw that we are drawn for and have not voted on. One that cannot be judged holds up no other.
    fn vote(&mut self, plan: &WitnessPlan, ours: Option<B256>, me: Address, connected: bool, out: &mut Out) {
        let patience = self.seen.rules.as_ref().map_or(2, |r| u64::from(r.patience));
        for open in self.seen.open.clone() {
            let drawn = open.set.as_ref().is_some_and(|set| set.contains(&me));
            if !drawn || self.voted.as_ref().is_none_or(|voted| voted.contains_key(&open.draw)) {
                continue;
            }
            let late = self.seen.height >= open.made.saturating_add(patience / 2);
            let judged = match open.opener == me {
                // Of our own batch: only the one that waits in the outbox.
                true => (ours == Some(open.digest)).then_some(Judgement::Sound),
                false => match self.judge(plan, &open) {
                    Ok(judged) => judged,
                    // Its book is its opener's doing. But a node of ours that talks nonsense may mend meanwhile.
                    Err(error) if late && !error.is_transient() => {
                        Some(Judgement::Wrong(vec![format!("its account book does not answer: {error}")]))
                    }
                    Err(error) => noted(Err(error.to_string()), out),
                },
            };
            let reasons = match judged {
                Some(Judgement::Sound) => Vec::new(),
                Some(Judgement::Wrong(reasons)) => reasons,
                // Silence of the broker is not the other's fault.
                Some(Judgement::Unheard(meters)) if late && connected => {
                    let names: Vec<&str> = meters.iter().map(MeterId::as_str).collect();
                    vec![format!("nothing was overheard of {} since", names.join(", "))]
                }
                _ => continue,
            };
            let yes = reasons.is_empty();
            let found = if yes { open.digest } else { witness::refusal(open.digest) };
            let hash = witness::finding(plan.chain_id, plan.contract, open.draw, found);
            let signed = witness::sign(hash, &*plan.signer).map_err(|e| e.to_string());
            let Some(finding) = noted(signed, out).map(|signature| wire::hex(&signature)) else { continue };
            if yes && let Some(peer) = self.peers.get_mut(&open.opener) {
                peer.sound = peer.proposal.as_ref().map(|proposal| Sound::of(proposal, open.digest));
            }
            if open.opener != me {
                *(if yes { &mut self.judged.0 } else { &mut self.judged.1 }) += 1;
                tracing::info!(draw = open.draw, opener = %open.opener, yes, why = reasons.join("; "), "a batch was judged");
            }
            let reasons = reasons.iter().take(wire::MOST_REASONS).map(|r| wire::short(r)).collect();
            let vote = Vote { draw: open.draw, opener: open.opener, digest: open.digest, yes, finding, reasons };
            self.voted.get_or_insert_default().insert(open.draw, vote);
            self.unwritten = true;
        }
    }

    /// Has new votes recorded, and says all.
    fn record_votes(&mut self, plan: &WitnessPlan, me: Address, out: &mut Out) -> Result<(), String> {
        let Some(voted) = &mut self.voted else { return Ok(()) };
        while voted.len() > wire::MOST_VOTES {
            voted.pop_first();
        }
        let votes = Votes { votes: voted.values().cloned().collect() };
        for vote in &votes.votes {
            self.ballot.cast(me, vote, plan.chain_id, plan.contract);
        }
        if self.unwritten {
            let text = serde_json::to_string(&votes).map_err(|e| e.to_string())?;
            out.writes.push(Write::Meta(VOTED.into(), text));
            self.unwritten = false;
        }
        if !votes.votes.is_empty() {
            let said = self.say(plan, Said::Votes(votes), out);
            noted(said, out);
        }
        Ok(())
    }

    /// Compares the batch of another with what was overheard; `None` while it was not published, and of what is settled
    /// already.
    fn judge(&self, plan: &WitnessPlan, open: &Open) -> Result<Option<Judgement>, ChainError> {
        let Some(peer) = self.peers.get(&open.opener) else { return Ok(None) };
        let Some(proposal) = peer.proposal.as_ref().filter(|p| p.digest(open.opener) == Some(open.digest)) else {
            return Ok(None);
        };
        let chain = &*plan.chain;
        let wrong = |what: String| Ok(Some(Judgement::Wrong(vec![what])));
        match provider::witness_of(chain, proposal.provider)? {
            Some(asks) if asks == plan.contract => {}
            _ => return wrong(format!("{} is no account book that asks us", proposal.provider)),
        }
        let next = provider::next_sequence(chain, proposal.provider, open.opener)?;
        if next > proposal.sequence {
            return Ok(None);
        }
        if next != proposal.sequence {
            return wrong(format!("batch {} where {next} is next", proposal.sequence));
        }
        let Some(items) = proposal.items() else { return wrong("its items cannot be read".into()) };
        let mut numbers: Vec<u32> = items.iter().map(|item| item.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let mut there = BTreeMap::new();
        for part in numbers.chunks(200) {
            there.extend(part.iter().copied().zip(provider::accounts(chain, proposal.provider, part)?));
        }
        let doubted = self.feeder.doubted(open.opener);
        let known = Known { there: &there, heard: &peer.heard, billed: &peer.billed, doubted: &doubted };
        Ok(Some(judge(proposal, &known)))
    }

    fn problem(&self, me: Address) -> Option<String> {
        if !self.seen.members.contains(&me) && self.seen.rules.is_some() {
            let flagged = self.seen.standing.get(&me).is_some_and(|s| s.flagged);
            return Some(match flagged {
                true => {
                    "this gateway was flagged by its witnesses: nothing is settled until their owner clears it".into()
                }
                false => {
                    format!("this gateway, {me}, is no member of the neighbourhood's witnesses: nothing is settled")
                }
            });
        }
        let (Some(Mine::Refused(digest, draw)), Some((_, ours))) = (self.seen.mine, self.ours) else { return None };
        if digest != ours {
            return None;
        }
        let reasons: Vec<String> = self.ballot.reasons(draw).iter().map(|(by, why)| format!("{by}: {why}")).collect();
        Some(format!(
            "our batch was refused by its witnesses; the next settlement makes another. {}",
            reasons.join("; ")
        ))
    }

    fn members(&self) -> Vec<MemberLive> {
        let known: BTreeSet<Address> = self.seen.members.iter().chain(self.seen.standing.keys()).copied().collect();
        let live = |who: Address| {
            let standing = self.seen.standing.get(&who);
            MemberLive {
                address: who.to_string(),
                member: self.seen.members.contains(&who),
                flagged: standing.is_some_and(|s| s.flagged),
                dissents: standing.map_or(0, |s| s.dissents),
                heard: self.peers.get(&who).and_then(|peer| peer.at),
            }
        };
        known.into_iter().map(live).collect()
    }
}

/// What came of it; what went wrong is noted, unless something was before.
fn noted<T>(done: Result<T, String>, out: &mut Out) -> Option<T> {
    match done {
        Ok(done) => Some(done),
        Err(problem) => {
            out.live.problem.get_or_insert(problem);
            None
        }
    }
}

/// What meters said last, as others are told of it.
fn samples(meters: &[Reading]) -> Vec<Sample> {
    let sample = |r: &Reading| {
        let import = r.import?.as_register()?;
        Some(Sample { meter: r.meter.clone(), at: r.at, import, export: r.export.and_then(WattHours::as_register) })
    };
    meters.iter().filter_map(sample).take(wire::MOST_METERS).collect()
}

/// A batch as others are told of it: lines of bills joined to stretches of registers.
fn propose(batch: &Batched, provider: Address) -> Result<Proposal, provider::BadValue> {
    let mut lines: Vec<_> = batch.lines.iter().filter_map(|(n, line)| Some((*n, line.meter.clone()?, line))).collect();
    lines.retain(|(_, _, line)| line.kind != domain::Kind::Withheld);
    lines.sort_by_key(|(_, meter, line)| (meter.clone(), line.from, line.to));
    let mut spans: Vec<Span> = Vec::new();
    for (account, meter, line) in lines {
        let span = Span {
            account,
            meter,
            at: (line.from, line.to),
            import: (line.import_from, line.import_from + line.import),
            export: (line.export_from, line.export_from + line.export),
        };
        match spans.last_mut() {
            Some(last)
                if last.meter == span.meter
                    && last.account == span.account
                    // Where the registers stood still, nothing is left out.
                    && last.at.1 <= span.at.0
                    && last.import.1 == span.import.0
                    && last.export.1 == span.export.0 =>
            {
                (last.at.1, last.import.1, last.export.1) = (span.at.1, span.import.1, span.export.1);
            }
            _ => spans.push(span),
        }
    }
    Ok(Proposal {
        provider,
        sequence: batch.sequence,
        tariff_version: batch.tariff_version,
        lines_root: batch.lines_root,
        items: wire::hex(&provider::pack(&batch.items)?),
        spans,
    })
}

#[cfg(test)]
mod tests;
