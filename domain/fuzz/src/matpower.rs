//! A case file is a network that holds together, or problems that each stand in the text.

use domain::network::{DARK, matpower};

/// What is read has ends that exist and limits in order, and every island is fed and has a reference of its own. What is
/// refused has lines within the text, in their order, and no endless list of them.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.matches('\n').count() + 1;
    match matpower::read(&text) {
        Ok((network, notes)) => {
            let n = network.buses.len();
            assert!(n > 0 && network.base_mva > 0.0);
            assert!(network.branches.iter().all(|b| b.from < n && b.to < n && b.from != b.to && b.tap > 0.0));
            assert!(network.branches.iter().all(|b| b.rate_mva.is_none_or(|rate| rate > 0.0 && rate.is_finite())));
            let running = network.generators.iter().filter(|g| g.in_service);
            assert!(running.clone().all(|g| g.bus < n && g.p_min_mw <= g.p_max_mw && g.q_min_mvar <= g.q_max_mvar));
            assert!(network.buses.iter().all(|b| b.demand_mw.is_finite() && b.vmin_pu <= b.vmax_pu));
            let islands = network.islands();
            assert!(islands.fed.iter().all(|fed| *fed));
            assert!(islands.reference.iter().enumerate().all(|(island, bus)| islands.of[*bus] == island));
            assert!(islands.of.iter().all(|of| *of == DARK || *of < islands.reference.len()));
            assert!(notes.iter().all(|note| note.line <= lines && note.to_string().len() < 1000));
        }
        Err(problems) => {
            assert!(!problems.is_empty() && problems.len() <= 201);
            assert!(problems.iter().all(|p| p.line <= lines && p.to_string().chars().count() < 1000), "{problems:?}");
        }
    }
}
