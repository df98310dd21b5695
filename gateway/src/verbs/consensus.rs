//! `simulate-consensus`: three rules against the same liars.

use super::print;
use crate::cli::Consensus;
use crate::failure::{Code, Failure};
use solvers::witness::{Assumptions, Bound, Rate, Report, Rule, RuleReport, Settings, simulate};

/// `simulate-consensus`
pub fn run(options: &Consensus) -> Result<(), Failure> {
    let report = simulate(&settings(options)).map_err(|wrong| Failure::new(Code::Usage, wrong.join("\n")))?;
    if options.json {
        let json = serde_json::to_string(&report).map_err(|e| Failure::new(Code::Internal, e))?;
        return print(&format!("{json}\n"));
    }
    print(&told(&report))
}

fn settings(options: &Consensus) -> Settings {
    let assumptions = Assumptions {
        misheard: options.misheard,
        interval: options.interval.as_secs_f64(),
        delay: options.delay.as_secs_f64(),
        watts: options.watts,
        check: options.check.as_secs_f64(),
    };
    Settings {
        miners: options.miners,
        set: options.set,
        fraud: options.fraud,
        rounds: options.rounds,
        seed: options.seed,
        error: options.error,
        false_alarm: options.false_alarm,
        power: options.power,
        assumptions,
    }
}

fn told(report: &Report) -> String {
    let Settings { miners, set, rounds, error, seed, .. } = report.settings;
    let mut text = format!(
        "{miners} gateways of which {} lie, sets of {set}, {rounds} draws, seed {seed}\n\
         \n\
         a set of   needs   lies alone   honest wait   (lies alone in {error} of draws at most)\n",
        report.liars
    );
    for t in &report.thresholds {
        let (set, signatures, captured, stalled) = (t.set, t.signatures, t.captured, t.stalled * 100.0);
        text += &format!("{set:>8}   {signatures:>5}   {captured:>10.1e}   {stalled:>9.1} %\n");
    }
    report.rules.iter().for_each(|rule| text += &one(rule));
    let a = report.settings.assumptions;
    text += &format!(
        "\nassumed: {} of batches misheard, {} s to a block, {} s to everybody, {} W at work, {} s to check a batch\n",
        a.misheard, a.interval, a.delay, a.watts, a.check
    );
    text
}

fn one(rule: &RuleReport) -> String {
    let name = match rule.rule {
        Rule::ProofOfWork => "plain proof of work",
        Rule::MiningSets => "proof of work in mining sets",
        Rule::Witnesses => "witnesses",
    };
    let mut text = format!(
        "\n{name}\n  accepted       {} batches, {} of them lies; {} draws without a decision\n  \
         a batch        {:.1} s, {:.2} J\n  forks          {}; per gateway {:.1} ({} to {}) if honest",
        rule.accepted,
        rule.lies_accepted,
        rule.stalled,
        rule.seconds,
        rule.joules,
        rule.forks,
        rule.honest.mean,
        rule.honest.least,
        rule.honest.most
    );
    if let Some(f) = rule.fraudulent {
        text += &format!(", {:.1} ({} to {}) if not", f.mean, f.least, f.most);
    }
    text += "\n";
    match rule.bound {
        Some(Bound { batches, dissents, .. }) => {
            text += &format!("  flagged        by {dissents} dissents within {batches} draws\n");
            text += &format!("  liars flagged  {}\n", rate(&rule.detection));
            if let Some((median, longest)) = rule.batches_to_flag {
                text += &format!("                 after {median} draws (median), {longest} at most\n");
            }
            text += &format!("  wrongly        {}\n", rate(&rule.false_positives));
        }
        None => text += "  flagged        nobody: no window of up to a million draws tells liars from the honest\n",
    }
    text
}

fn rate(rate: &Rate) -> String {
    let Some(share) = rate.share() else { return "not tried: a window is longer than the simulation".into() };
    let (low, high) = (rate.low * 100.0, rate.high * 100.0);
    format!("{} of {} gateways and windows: {:.2} % ({low:.2} to {high:.2} %)", rate.found, rate.trials, share * 100.0)
}
