//! Any text is a configuration that cannot be wrong, or problems that each stand in the text.

use super::*;
use std::collections::BTreeSet;

#[path = "../../../../domain/fuzz/replay.rs"]
mod replay;

/// A text is taken or its problems are named, with a line that it has. Of what was taken, nobody is named twice, every
/// device is on a bus and every customer of a device is known; nothing without a log-in listens beyond this machine, and
/// no protected customer loses supply for our silence.
fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let config = match parse(&text) {
        Ok(config) => config,
        Err(Problems(problems)) => {
            assert!(!problems.is_empty(), "refused without a reason");
            for problem in problems {
                let lines = 1..=text.split('\n').count();
                assert!(lines.contains(&problem.line) && problem.column > 0, "{problem} is nowhere");
                assert!(problem.file == "gateway.toml" && !problem.what.is_empty());
            }
            return;
        }
    };
    let buses: BTreeSet<_> = config.buses.iter().map(|bus| &bus.spec.id).collect();
    let accounts: BTreeSet<_> = config.accounts.iter().map(|account| &account.id).collect();
    let meters: BTreeSet<_> = config.meters.iter().map(|meter| &meter.id).collect();
    let switches: BTreeSet<_> = config.switches.iter().map(|switch| &switch.id).collect();
    assert_eq!((buses.len(), accounts.len()), (config.buses.len(), config.accounts.len()));
    assert_eq!((meters.len(), switches.len()), (config.meters.len(), config.switches.len()));
    assert!(config.meters.iter().all(|meter| buses.contains(&meter.bus) && meter.template.is_meter()));
    assert!(config.meters.iter().filter_map(|meter| meter.account.as_ref()).all(|account| accounts.contains(account)));
    for switch in &config.switches {
        assert!(buses.contains(&switch.bus) && accounts.contains(&switch.account) && switch.template.is_switch());
        let owner = config.accounts.iter().find(|account| account.id == switch.account).unwrap();
        assert!(!owner.terms.protected || switch.rule.on_silence != OnSilence::Open);
    }
    assert!(config.web.is_none_or(|w| w.listen.ip().is_loopback() || w.tls.is_some() || w.behind_proxy));
    if let ChainKind::Embedded { rpc: Some(rpc), .. } = config.chain.kind {
        assert!(rpc.ip().is_loopback());
    }
    assert!(config.broker.is_none_or(|broker| broker.listen.ip().is_loopback() || !broker.users.is_empty()));
    assert!(!config.lease.is_zero() && config.tariff.problems().is_empty());
}

#[test]
fn no_text_makes_the_configuration_panic_or_lets_a_wrong_one_through() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    replay::replay(&corpus, "config", check);
}
