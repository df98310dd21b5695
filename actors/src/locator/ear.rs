//! What an epoch's beacons say of each meter. It decides, and touches nothing.

use super::LocatorPlan;
use contracts::B256;
use domain::Timestamp;
use domain::place::{Place, Proof, Verdict};
use drivers::{Heard, radio};
use solvers::locate::{self, LARGEST, Limits, MOST, PathLoss, Range, Sight, Sighting};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// An anchor counts a meter's beacon once in this part of an epoch: whoever floods the air gains nothing by it, and what
/// is kept is bounded.
const PARTS: i64 = 240;
/// Anchors that a place needs.
const FEWEST: usize = 3;

/// What one anchor heard of one meter.
#[derive(Clone, Debug, Default)]
struct Samples {
    dbm: Vec<f64>,
    /// The part of the epoch of the last one.
    part: Option<i64>,
}

/// Listens through one epoch.
#[derive(Clone, Debug)]
pub(super) struct Ear {
    plan: Arc<LocatorPlan>,
    epoch: i64,
    /// Whose a code is, and whether it is this epoch's.
    codes: BTreeMap<String, (usize, bool)>,
    heard: BTreeMap<(usize, usize), Samples>,
    /// Beacons of this epoch by anchor.
    by_anchor: Vec<u64>,
    /// Beacons with a code that is over, by meter.
    stale: Vec<u64>,
    strangers: u64,
}

/// What came of one meter.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outcome {
    /// Its place in the plan.
    pub meter: usize,
    /// The proof, or why there is none.
    pub proof: Result<Proof, String>,
}

struct Seen {
    anchor: usize,
    times: u32,
    range: Range,
}

fn metres(place: Place) -> (f64, f64) {
    #[allow(clippy::cast_precision_loss, reason = "a place")]
    let metres = |mm: i64| mm as f64 / 1000.0;
    (metres(place.x), metres(place.y))
}

fn whole(value: f64) -> i64 {
    #[allow(clippy::cast_possible_truncation, reason = "a cast of a float saturates, and what is too far is refused")]
    let whole = value.round() as i64;
    whole
}

impl Ear {
    /// An ear for an epoch whose codes follow from `challenge`, and those of the one before, where it is known.
    pub fn new(plan: Arc<LocatorPlan>, epoch: i64, challenge: B256, before: Option<B256>) -> Self {
        let mut codes = BTreeMap::new();
        for (i, meter) in plan.meters.iter().enumerate() {
            if let Some(before) = before {
                codes.insert(meter.beacon.code(before), (i, false));
            }
            codes.insert(meter.beacon.code(challenge), (i, true));
        }
        let (by_anchor, stale) = (vec![0; plan.anchors.len()], vec![0; plan.meters.len()]);
        Self { plan, epoch, codes, heard: BTreeMap::new(), by_anchor, stale, strangers: 0 }
    }

    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Beacons of this epoch that each anchor heard.
    pub fn by_anchor(&self) -> &[u64] {
        &self.by_anchor
    }

    /// Beacons of this epoch that this anchor heard.
    pub fn at(&self, anchor: usize) -> u64 {
        self.by_anchor.get(anchor).copied().unwrap_or(0)
    }

    /// Beacons of each meter whose code is over: a replay, or a beacon that did not hear of the new challenge.
    pub fn stale(&self) -> &[u64] {
        &self.stale
    }

    /// Senders that are nobody's here.
    pub fn strangers(&self) -> u64 {
        self.strangers
    }

    /// A beacon was heard.
    pub fn hear(&mut self, anchor: usize, heard: &Heard, at: Timestamp) {
        match self.codes.get(&radio::code(&heard.sender)) {
            None => self.strangers += 1,
            Some((meter, false)) => {
                if let Some(stale) = self.stale.get_mut(*meter) {
                    *stale += 1;
                }
            }
            Some((meter, true)) => {
                if let Some(n) = self.by_anchor.get_mut(anchor) {
                    *n += 1;
                }
                let part = at.0.div_euclid((self.plan.epoch_ms() / PARTS).max(1));
                let samples = self.heard.entry((*meter, anchor)).or_default();
                if samples.part != Some(part) {
                    samples.part = Some(part);
                    // A clock that is set back and forth cannot make it grow.
                    if i64::try_from(samples.dbm.len()).is_ok_and(|n| n <= PARTS) {
                        samples.dbm.push(heard.rssi.get());
                    }
                }
            }
        }
    }

    /// What it all says, where these meters are held for their place already.
    pub fn judge(&self, held: &BTreeSet<usize>) -> Vec<Outcome> {
        let all = 0..self.plan.meters.len();
        let mut outcomes: Vec<Outcome> = all.map(|meter| Outcome { meter, proof: self.proof(meter) }).collect();
        // Of a held meter it is known that it fails: it says nothing of the anchors.
        let free = outcomes.iter().filter(|o| !held.contains(&o.meter));
        let proofs: Vec<&Proof> = free.filter_map(|o| o.proof.as_ref().ok()).collect();
        let (judged, failed) = (proofs.len(), proofs.iter().filter(|p| p.failed()).count());
        // One meter that was carried off is a meter; most of a street is an anchor that was. Whoever is found at its place
        // all the same is there.
        if judged > 1 && failed * 2 > judged {
            let proofs = outcomes.iter_mut().filter_map(|o| o.proof.as_mut().ok());
            proofs.filter(|p| p.failed()).for_each(|p| p.counts = false);
        }
        outcomes
    }

    fn proof(&self, meter: usize) -> Result<Proof, String> {
        let (seen, claim, limits) = self.seen(meter).ok_or("it is not configured")?;
        if seen.len() < FEWEST {
            let (n, samples) = (seen.len(), self.plan.samples);
            return Err(format!("heard {samples} times or more by {n} anchors, and {FEWEST} are needed"));
        }
        let at = |s: &Seen| self.plan.anchors.get(s.anchor).map_or(Place::default(), |a| a.place);
        let stand: Vec<(i64, i64)> = seen.iter().map(|s| (at(s).x, at(s).y)).collect();
        let sharp = locate::sharp(claim.x, claim.y, &stand, &limits).map_err(|e| e.to_string())?;
        if !sharp {
            return Err("the anchors that hear it stand so that they cannot tell its place from others".into());
        }
        let sightings: Vec<Sighting> = seen
            .iter()
            .map(|s| Sighting { x: at(s).x, y: at(s).y, distance: whole(s.range.metres * 1000.0).max(1) })
            .collect();
        let judged = locate::judge(claim.x, claim.y, &sightings, &limits).map_err(|e| e.to_string())?;
        let dropped = |i: usize| u32::try_from(i).is_ok_and(|i| judged.dropped.checked_shr(i).unwrap_or(0) & 1 == 1);
        let name = |s: &Seen| self.plan.anchors.get(s.anchor).map_or_else(String::new, |a| a.id.clone());
        let kept = seen.iter().enumerate().filter(|(i, _)| !dropped(*i)).map(|(_, s)| {
            let (x, y) = metres(at(s));
            Sight { x, y, metres: s.range.metres, sigma: s.range.sigma }
        });
        let fix = locate::trilaterate(&kept.collect::<Vec<_>>()).ok();
        let verdict = match judged.verdict {
            locate::Verdict::Here => Verdict::Here,
            locate::Verdict::Elsewhere => Verdict::Elsewhere,
            locate::Verdict::Unclear => Verdict::Unclear,
        };
        Ok(Proof {
            epoch: self.epoch,
            verdict,
            claim,
            found: (verdict != Verdict::Unclear).then_some(Place { x: judged.x, y: judged.y }),
            covariance: fix.map(|fix| {
                let [[xx, xy], [_, yy]] = fix.covariance;
                [xx, xy, yy].map(|square| whole(square * 1e6))
            }),
            reach: limits.reach,
            anchors: seen.iter().map(|s| (name(s), s.times)).collect(),
            dropped: seen.iter().enumerate().filter(|(i, _)| dropped(*i)).map(|(_, s)| name(s)).collect(),
            counts: true,
        })
    }

    /// Who heard a meter often enough, the nearest first.
    fn seen(&self, meter: usize) -> Option<(Vec<Seen>, Place, Limits)> {
        let m = self.plan.meters.get(meter)?;
        let model = model(&m.model);
        let limits = Limits::by_covariance(model.relative(), self.plan.false_rejections, self.plan.reach);
        let of_it = self.heard.range((meter, 0)..=(meter, usize::MAX));
        let mut seen: Vec<Seen> = of_it
            .filter(|(_, samples)| samples.dbm.len() >= self.plan.samples)
            .filter_map(|((_, anchor), samples)| {
                let range = model.range(locate::filter(&samples.dbm)?);
                let stands = self.plan.anchors.get(*anchor)?.place;
                // What is farther than can be judged is no witness, and spoils nobody else's word.
                let near = |a: i64, b: i64| a.abs_diff(b) <= LARGEST.unsigned_abs();
                let judged = near(stands.x, m.place.x) && near(stands.y, m.place.y);
                if !judged || !(0..=LARGEST).contains(&whole(range.metres * 1000.0)) {
                    return None;
                }
                Some(Seen { anchor: *anchor, times: u32::try_from(samples.dbm.len()).unwrap_or(u32::MAX), range })
            })
            .collect();
        // Of more than can be judged the nearest are the sharpest.
        seen.sort_by(|a, b| a.range.metres.total_cmp(&b.range.metres));
        seen.truncate(MOST);
        Some((seen, m.place, limits))
    }
}

/// Only the difference of what is sent and what the first metre takes is known, and needed.
fn model(m: &domain::place::RadioModel) -> PathLoss {
    PathLoss {
        sent: 0.0,
        first_metre: -f64::from(m.at_one_metre) / 100.0,
        exponent: f64::from(m.exponent) / 1000.0,
        spread: f64::from(m.spread) / 100.0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AnchorPlan, Beacon, MeterPlace};
    use super::*;
    use domain::Dbm;
    use domain::place::{HoldRule, RadioModel};
    use drivers::{DeviceError, Radio};
    use std::time::Duration;

    struct Deaf;

    #[async_trait::async_trait]
    impl Radio for Deaf {
        async fn heard(&self) -> Result<Heard, DeviceError> {
            std::future::pending().await
        }
    }

    const MODEL: RadioModel = RadioModel { at_one_metre: -5_900, exponent: 2_500, spread: 250 };

    fn at(x: i64, y: i64) -> Place {
        Place { x: x * 1000, y: y * 1000 }
    }

    /// Meters of these places, and anchors in a ring of ten metres.
    fn plan(meters: &[Place]) -> Arc<LocatorPlan> {
        let ring = [(10, 0), (6, 8), (-6, 8), (-10, 0), (-6, -8), (6, -8), (0, 10)];
        let anchor = |(i, (x, y)): (usize, &(i64, i64))| AnchorPlan {
            id: format!("a{i}"),
            place: at(*x, *y),
            radio: Arc::new(Deaf),
        };
        let meter = |(i, place): (usize, &Place)| MeterPlace {
            id: format!("m{i}").parse().unwrap(),
            place: *place,
            beacon: Beacon::Secret(contracts::location::Secret::new([u8::try_from(i).unwrap(); 32])),
            model: MODEL,
        };
        Arc::new(LocatorPlan {
            epoch: Duration::from_secs(3600),
            samples: 5,
            false_rejections: 0.01,
            reach: 18.0,
            rule: HoldRule { failures: 4, window: 8 },
            hold: true,
            anchors: ring.iter().enumerate().map(anchor).collect(),
            meters: meters.iter().enumerate().map(meter).collect(),
            guards: BTreeMap::new(),
            chain: None,
        })
    }

    fn seed(n: u8) -> B256 {
        B256::from([n; 32])
    }

    /// All anchors hear a sender with this code, who really is there, so many times.
    fn sends(ear: &mut Ear, code: &str, truth: Place, times: i64) {
        let plan = Arc::clone(&ear.plan);
        for (i, anchor) in plan.anchors.iter().enumerate() {
            #[allow(clippy::cast_precision_loss, reason = "metres of a street")]
            let far = (anchor.place.apart(truth) as f64 / 1000.0).max(1.0);
            let rssi = Dbm::finite(model(&MODEL).rssi(far)).unwrap();
            for n in 0..times {
                ear.hear(i, &Heard { sender: code.into(), rssi }, Timestamp(n * 15_000));
            }
        }
    }

    fn code(ear: &Ear, meter: usize, challenge: B256) -> String {
        ear.plan.meters[meter].beacon.code(challenge)
    }

    fn verdicts(ear: &Ear) -> Vec<Result<Verdict, String>> {
        ear.judge(&BTreeSet::new()).into_iter().map(|o| o.proof.map(|p| p.verdict)).collect()
    }

    #[test]
    fn who_is_at_its_place_is_found_there_and_who_was_carried_off_is_not() {
        let mut ear = Ear::new(plan(&[at(0, 0), at(1, 2), at(2, -1)]), 1, seed(1), None);
        for (meter, truth) in [(0, at(0, 0)), (1, at(1, 2)), (2, at(60, 0))] {
            let code = code(&ear, meter, seed(1));
            sends(&mut ear, &code, truth, 25);
        }
        let outcomes = ear.judge(&BTreeSet::new());
        let proofs: Vec<&Proof> = outcomes.iter().map(|o| o.proof.as_ref().unwrap()).collect();
        assert_eq!(proofs[0].verdict, Verdict::Here);
        assert!(proofs[0].found.unwrap().apart(at(0, 0)) < 500, "{:?}", proofs[0]);
        assert!(proofs[0].covariance.is_some() && proofs[0].anchors.len() == 7, "{:?}", proofs[0]);
        assert_eq!(proofs[1].verdict, Verdict::Here);
        assert!(proofs[2].failed() && proofs.iter().all(|p| p.counts), "{:?}", proofs[2]);
    }

    #[test]
    fn yesterdays_code_proves_nothing_and_is_counted() {
        let mut ear = Ear::new(plan(&[at(0, 0)]), 2, seed(2), Some(seed(1)));
        let old = code(&ear, 0, seed(1));
        sends(&mut ear, &old, at(0, 0), 25);
        sends(&mut ear, "somebody", at(0, 0), 3);
        assert_eq!((ear.stale(), ear.strangers(), ear.by_anchor()), (&[175][..], 21, &[0; 7][..]));
        assert!(verdicts(&ear)[0].as_ref().is_err_and(|why| why.contains("0 anchors")), "{:?}", verdicts(&ear));
    }

    #[test]
    fn a_flood_of_beacons_counts_once_in_each_part_of_the_epoch() {
        let mut ear = Ear::new(plan(&[at(0, 0)]), 1, seed(1), None);
        let code = code(&ear, 0, seed(1));
        let rssi = Dbm::finite(-40.0).unwrap();
        for ms in 0..14_999 {
            ear.hear(0, &Heard { sender: code.clone(), rssi }, Timestamp(ms));
        }
        assert_eq!(ear.heard[&(0, 0)].dbm.len(), 1);
        // Nor does a clock that leaps make it grow without end.
        for n in 0..10_000 {
            ear.hear(0, &Heard { sender: code.clone(), rssi }, Timestamp(n % 2 * 3_600_000));
        }
        assert_eq!(ear.heard[&(0, 0)].dbm.len(), 241);
    }

    #[test]
    fn when_most_of_a_street_seems_to_have_moved_it_was_an_anchor_and_counts_against_nobody() {
        let mut ear = Ear::new(plan(&[at(0, 0), at(1, 2), at(2, -1)]), 1, seed(1), None);
        for (meter, truth) in [(0, at(0, 0)), (1, at(50, 40)), (2, at(60, 0))] {
            let code = code(&ear, meter, seed(1));
            sends(&mut ear, &code, truth, 25);
        }
        let counts = |held: &[usize]| -> Vec<bool> {
            let outcomes = ear.judge(&held.iter().copied().collect());
            outcomes.iter().map(|o| o.proof.as_ref().unwrap().counts).collect()
        };
        // Who is at its place all the same is there.
        assert_eq!(counts(&[]), [true, false, false]);
        // Who is held already is no sign of an anchor that was moved.
        assert_eq!(counts(&[2]), [true; 3]);
    }

    #[test]
    fn an_anchor_that_hears_from_beyond_the_horizon_spoils_no_proof() {
        let mut ear = Ear::new(plan(&[at(0, 0)]), 1, seed(1), None);
        let code = code(&ear, 0, seed(1));
        sends(&mut ear, &code, at(0, 0), 25);
        let faint = Dbm::finite(-250.0).unwrap();
        ear.heard.remove(&(0, 3));
        for part in 0..25 {
            ear.hear(3, &Heard { sender: code.clone(), rssi: faint }, Timestamp(part * 15_000));
        }
        let proof = ear.judge(&BTreeSet::new()).remove(0).proof.unwrap();
        assert_eq!((proof.verdict, proof.anchors.len()), (Verdict::Here, 6), "{proof:?}");
    }

    #[test]
    fn anchors_that_cannot_tell_say_nothing() {
        let mut ear = Ear::new(plan(&[at(90, 0)]), 1, seed(1), None);
        let code = code(&ear, 0, seed(1));
        sends(&mut ear, &code, at(90, 0), 25);
        assert!(verdicts(&ear)[0].as_ref().is_err_and(|why| why.contains("cannot tell")), "{:?}", verdicts(&ear));
    }
}
