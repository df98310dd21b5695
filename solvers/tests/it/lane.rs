//! A lane whose air is simulated: devices that are where they say, and others.

use fastrand::Rng;
use solvers::locate::air::{Air, Place};
use solvers::locate::{Heard, Judged, Limits, PathLoss, Range, Sighting, Verdict, calibrate, filter, judge, sharp};

/// Samples of a filtered RSSI.
pub const SAMPLES: usize = 25;
/// Transmit power, in dBm.
pub const SENT: f64 = 0.0;

pub struct Lane {
    pub air: Air,
    pub houses: Vec<Place>,
    pub model: PathLoss,
    /// Provers are at most so far from the claimed place, in metres.
    pub hearing: f64,
}

/// What a device does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sender {
    /// It is where it says.
    Honest,
    /// It is somewhere from so far to so far away, in metres, and sends with so much more power, in dB.
    Elsewhere(f64, f64, f64),
}

/// What was judged, where the device is, and each prover's range.
pub type Proof = (Judged, Place, Vec<(Place, Range)>);

/// Metres as the judge counts them.
pub fn mm(metres: f64) -> i64 {
    (metres * 1000.0).round() as i64
}

fn sightings<'a>(ranges: impl Iterator<Item = (&'a Place, &'a Range)>) -> Vec<Sighting> {
    let one =
        |((x, y), r): (&Place, &Range)| Sighting { x: mm(*x), y: mm(*y), distance: mm(r.metres).clamp(1, 1 << 20) };
    ranges.map(one).collect()
}

fn far(a: Place, b: Place) -> f64 {
    (a.0 - b.0).hypot(a.1 - b.1)
}

impl Lane {
    /// Thirty houses, and the model that an itinerary of 300 places in them gives of a device.
    pub fn new(hearing: f64, rng: &mut Rng) -> Self {
        let (air, houses) = Air::street(30);
        let mut heard = Vec::new();
        while heard.len() < 300 {
            let anchor = houses[rng.usize(..houses.len())];
            let house = houses[rng.usize(..houses.len())];
            let at = (house.0 - 4.0 + 8.0 * rng.f64(), house.1 - 4.0 + 8.0 * rng.f64());
            if house != anchor && (2.0..hearing).contains(&far(at, anchor)) {
                let samples = air.link(SENT, at, anchor, rng).samples(SAMPLES, rng);
                heard.push(Heard { metres: far(at, anchor), dbm: filter(&samples).unwrap() });
            }
        }
        let model = calibrate(&heard, SENT).unwrap();
        Self { air, houses, model, hearing }
    }

    /// A house that is claimed, and who could tell, if there are so many.
    pub fn scene(&self, provers: usize, limits: &Limits, rng: &mut Rng) -> Option<(Place, Vec<Place>)> {
        let claim = self.houses[rng.usize(..self.houses.len())];
        Some((claim, self.provers(claim, provers, limits, rng)?))
    }

    /// So many provers near a claim that could tell, if there are.
    fn provers(&self, claim: Place, provers: usize, limits: &Limits, rng: &mut Rng) -> Option<Vec<Place>> {
        let near = |h: &Place| *h != claim && far(*h, claim) < self.hearing;
        let mut near: Vec<Place> = self.houses.iter().copied().filter(near).collect();
        rng.shuffle(&mut near);
        near.truncate(provers);
        let whole: Vec<(i64, i64)> = near.iter().map(|(x, y)| (mm(*x), mm(*y))).collect();
        (near.len() == provers && sharp(mm(claim.0), mm(claim.1), &whole, limits) == Ok(true)).then_some(near)
    }

    /// Where the device is.
    pub fn place(&self, claim: Place, sender: Sender, rng: &mut Rng) -> Place {
        match sender {
            Sender::Honest => claim,
            Sender::Elsewhere(least, most, _) => {
                let (range, angle) = (least + (most - least) * rng.f64(), std::f64::consts::TAU * rng.f64());
                (claim.0 + range * angle.cos(), claim.1 + range * angle.sin())
            }
        }
    }

    fn heard(&self, at: Place, sent: f64, prover: Place, rng: &mut Rng) -> Range {
        let samples = self.air.link(sent, at, prover, rng).samples(SAMPLES, rng);
        self.model.range(filter(&samples).unwrap())
    }

    /// A proof: a house is claimed, provers are drawn, and what they hear is judged. `None` if there are too few of
    /// them in reach, or they stand so that they could not tell. With it, where the device is, and each prover's range.
    pub fn proof(&self, provers: usize, sender: Sender, limits: &Limits, rng: &mut Rng) -> Option<Proof> {
        let (claim, near) = self.scene(provers, limits, rng)?;
        let at = self.place(claim, sender, rng);
        let louder = if let Sender::Elsewhere(.., louder) = sender { louder } else { 0.0 };
        let ranges: Vec<(Place, Range)> =
            near.iter().map(|prover| (*prover, self.heard(at, SENT + louder, *prover, rng))).collect();
        let sightings = sightings(ranges.iter().map(|(p, r)| (p, r)));
        let judged = judge(mm(claim.0), mm(claim.1), &sightings, limits).ok()?;
        Some((judged, at, ranges))
    }

    /// As a proof, but the first prover says what the wrong verdict asks for.
    pub fn proof_with_a_liar(&self, provers: usize, sender: Sender, limits: &Limits, rng: &mut Rng) -> Option<Judged> {
        let lie = match sender {
            Sender::Honest => Sender::Elsewhere(60.0, 60.0, 0.0),
            Sender::Elsewhere(..) => Sender::Honest,
        };
        let (claim, near) = self.scene(provers, limits, rng)?;
        let at = self.place(claim, sender, rng);
        let pretended = self.place(claim, lie, rng);
        let heard = |(i, prover): (usize, &Place)| self.heard(if i == 0 { pretended } else { at }, SENT, *prover, rng);
        let ranges: Vec<Range> = near.iter().enumerate().map(heard).collect();
        judge(mm(claim.0), mm(claim.1), &sightings(near.iter().zip(&ranges)), limits).ok()
    }

    /// How many of so many claims are accepted.
    pub fn accepted(&self, n: u32, provers: usize, sender: Sender, limits: &Limits, rng: &mut Rng) -> (u32, u32) {
        let (mut held, mut all) = (0, 0);
        while all < n {
            if let Some((judged, ..)) = self.proof(provers, sender, limits, rng) {
                held += u32::from(judged.verdict == Verdict::Here);
                all += 1;
            }
        }
        (held, all)
    }
}
