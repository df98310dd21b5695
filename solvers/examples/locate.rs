//! How well a lane's places are told apart by loudness, and which deposits keep provers truthful: the figures in
//! `solvers/README.md`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "an example with numbers of its own"
)]

#[path = "../tests/it/lane.rs"]
mod lane;

use fastrand::Rng;
use lane::{Lane, Sender};
use solvers::locate::payoff::{Game, Player, Reply};
use solvers::locate::{Limits, Sight, Verdict, spare, trilaterate};
use solvers::witness::interval;

fn main() {
    let n: u32 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(4000);
    let mut rng = Rng::with_seed(1);
    let lane = Lane::new(45.0, &mut rng);
    let model = lane.model;
    println!(
        "itinerary: Pl_0 {:.1} dB, γ {:.2}, δ {:.2} dB: a distance is off by {:.0} %",
        model.first_metre,
        model.exponent,
        model.spread,
        model.relative() * 100.0
    );
    let limits = Limits::by_covariance(model.relative(), 0.01, 18.0);
    println!("limits by covariance {limits:?}");
    println!("limits by simulation {:?}", Limits::by_simulation(model.relative(), 0.01, 18.0, 1, 20_000));
    let kinds = [
        ("honest", Sender::Honest),
        ("10 to 20 m away", Sender::Elsewhere(10.0, 20.0, 0.0)),
        ("20 to 30 m away", Sender::Elsewhere(20.0, 30.0, 0.0)),
        ("30 to 80 m away", Sender::Elsewhere(30.0, 80.0, 0.0)),
        ("  10 dB quieter", Sender::Elsewhere(30.0, 80.0, -10.0)),
        ("  5 dB louder", Sender::Elsewhere(30.0, 80.0, 5.0)),
        ("  10 dB louder", Sender::Elsewhere(30.0, 80.0, 10.0)),
        // An accomplice at the claimed place repeats what the device sends from wherever it is.
        ("relayed", Sender::Honest),
    ];
    for provers in [3, 5, 7, 9] {
        println!("\n{provers} provers, {n} claims each: accepted, with the interval of 95 %");
        for (name, sender) in kinds {
            let (held, all) = lane.accepted(n, provers, sender, &limits, &mut rng);
            let (low, high) = interval(held, all, 0.95);
            let share = f64::from(held) / f64::from(all) * 100.0;
            println!("  {name:<18} {share:>6.2} %  ({:.2} to {:.2} %)", low * 100.0, high * 100.0);
        }
        verdicts(&lane, n, provers, &limits, &mut rng);
        errors(&lane, n, provers, &limits, &mut rng);
        if spare(provers) > 0 {
            liar(&lane, n, provers, &limits, &mut rng);
        }
    }
    deposits();
}

/// What is said of devices that are not where they say, all provers being truthful.
fn verdicts(lane: &Lane, n: u32, provers: usize, limits: &Limits, rng: &mut Rng) {
    let (mut all, mut elsewhere, mut unclear, mut dropped) = (0, 0, 0, 0);
    while all < n {
        let Some((judged, ..)) = lane.proof(provers, Sender::Elsewhere(20.0, 80.0, 0.0), limits, rng) else { continue };
        all += 1;
        elsewhere += u32::from(judged.verdict == Verdict::Elsewhere);
        unclear += u32::from(judged.verdict == Verdict::Unclear);
        dropped += u32::from(judged.dropped != 0);
    }
    let of = |n: u32| f64::from(n) / f64::from(all) * 100.0;
    println!(
        "  20 to 80 m away: elsewhere {:.1} %, unclear {:.1} %, a truthful prover dropped {:.1} %",
        of(elsewhere),
        of(unclear),
        of(dropped)
    );
}

/// What becomes of one prover that says what the wrong verdict asks for.
fn liar(lane: &Lane, n: u32, provers: usize, limits: &Limits, rng: &mut Rng) {
    let kinds = [
        ("true claim, one prover lies", Sender::Honest, Verdict::Here),
        ("claim 40 to 80 m off, one lies", Sender::Elsewhere(40.0, 80.0, 0.0), Verdict::Elsewhere),
    ];
    for (name, sender, right) in kinds {
        let (mut all, mut told, mut dropped, mut wrongly, mut unclear) = (0, 0, 0, 0, 0);
        while all < n {
            let Some(judged) = lane.proof_with_a_liar(provers, sender, limits, rng) else { continue };
            all += 1;
            told += u32::from(judged.verdict == right);
            unclear += u32::from(judged.verdict == Verdict::Unclear);
            dropped += u32::from(judged.verdict == right && judged.dropped == 1);
            wrongly += u32::from(judged.dropped > 1);
        }
        let of = |n: u32| f64::from(n) / f64::from(all) * 100.0;
        println!(
            "  {name}: right {:.1} %, unclear {:.1} %, liar dropped {:.1} %, a truthful one dropped {:.1} %",
            of(told),
            of(unclear),
            of(dropped),
            of(wrongly)
        );
    }
}

/// How far the places of honest devices are from where they are: all that trilateration finds alone.
fn errors(lane: &Lane, n: u32, provers: usize, limits: &Limits, rng: &mut Rng) {
    let (mut errors, mut ambiguous) = (Vec::new(), 0);
    while errors.len() < n as usize {
        let Some((.., at, ranges)) = lane.proof(provers, Sender::Honest, limits, rng) else { continue };
        let sight = |((x, y), range): &((f64, f64), solvers::locate::Range)| Sight {
            x: *x,
            y: *y,
            metres: range.metres,
            sigma: range.sigma,
        };
        match trilaterate(&ranges.iter().map(sight).collect::<Vec<_>>()) {
            Ok(fix) => errors.push((fix.x - at.0).hypot(fix.y - at.1)),
            Err(_) => ambiguous += 1,
        }
    }
    errors.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| errors[(errors.len() as f64 * share) as usize];
    let shares = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99];
    let cdf: Vec<String> = shares.iter().map(|s| format!("{:.0} % {:.1} m", s * 100.0, at(*s))).collect();
    println!("  position error: {}; ambiguous: {ambiguous}", cdf.join(", "));
}

fn deposits() {
    println!(
        "\nrewards of 1; dropped are 2 % of the truthful and 12 % of lone liars: deposits for which the truth is the only best reply"
    );
    let players = [
        ("operator who saves 50", Player::Operator { tokens: 50.0 }),
        ("neighbour bribed with 50", Player::Neighbour { bribe: 50.0, rivalry: 0.0 }),
        ("rival who gains 50", Player::Neighbour { bribe: 0.0, rivalry: 50.0 }),
    ];
    for provers in [3_u32, 5, 7, 9] {
        for suspicion in [0.05, 0.1, 0.2] {
            let spare = spare(provers as usize) as u32;
            let game = Game { provers, spare, reward: 1.0, mistaken: 0.02, caught: 0.12, suspicion };
            for (name, player) in players {
                let range = game.deposits(player);
                let range = range.map_or("none".into(), |d| format!("{:.2} to {:.0}", d.least, d.most));
                println!("  {provers} provers, each of the others lies with {suspicion}: {name}: {range}");
            }
        }
    }
    let game = Game { provers: 7, spare: 1, reward: 1.0, mistaken: 0.02, caught: 0.12, suspicion: 0.1 };
    println!("\n7 provers, deposit 10; what each reply brings when so many of the others lie:");
    println!("  claim  player                     reply     0      1      2      5      6");
    for claim in [true, false] {
        for (name, player) in players {
            for reply in [Reply::Truth, Reply::Lie, Reply::Silence] {
                let cells: Vec<String> = [0, 1, 2, 5, 6]
                    .iter()
                    .map(|j| format!("{:>6.1}", game.payoff(player, claim, reply, *j, 10.0)))
                    .collect();
                println!("  {:<5}  {name:<25}  {:<7}{}", claim, format!("{reply:?}"), cells.join(" "));
            }
        }
    }
}
