//! Prints power flows for the Dispatch contract, as `contracts/vectors/flows.json` has them: networks as they are published,
//! plans that our own solvers found, and what the contract says of them on our own chain: `cargo run -p actors --example
//! flows`. With `--write FILE` they go into a file.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "an example talks, and vectors that cannot be made should stop"
)]

use actors::{Frame, Model};
use contracts::chain::Chain;
use contracts::dispatch::{self, Verdict};
use contracts::embedded::{EmbeddedChain, Genesis};
use contracts::key::{LocalKey, Signer};
use contracts::tx::{Call, Transaction};
use contracts::{Address, U256};
use domain::network::matpower;
use domain::{Clock, Timestamp};
use serde_json::json;
use solvers::opf::certificate::Duals;
use solvers::opf::{ac, dc, socp};
use std::path::Path;
use std::time::Duration;

/// The file, model, and optimum: MATPOWER's and PGLib's cases as PYPOWER and Ipopt (PowerModels) solve them.
const FLOWS: &[(&str, &str, Model, f64)] = &[
    ("case3_lmbd dc", "pglib_opf_case3_lmbd", Model::Dc, 5_693.803_333_35),
    ("case14 dc", "case14", Model::Dc, 7_642.593_734_91),
    ("case3_lmbd ac", "pglib_opf_case3_lmbd", Model::Ac, 5_812.643_138_45),
    ("case9 ac", "case9", Model::Ac, 5_296.686_207_45),
    ("case14 ac", "case14", Model::Ac, 8_081.526_272_60),
    ("case30 ac", "case30", Model::Ac, 576.892_345_13),
    ("case57_ieee ac", "pglib_opf_case57_ieee", Model::Ac, 37_589.338),
    ("case118 ac", "case118", Model::Ac, 129_660.685_127_65),
];

/// How far a cost may be above its bound to be proven, in 1e-9 of the bound.
const PROVEN: u32 = 10_000_000;

/// The vectors.
fn made() -> String {
    let dir = tempfile::tempdir().unwrap();
    let owner = LocalKey::from_hex(&"09".repeat(32)).unwrap();
    let coins = U256::from(10_000) * U256::from(10).pow(U256::from(18));
    let genesis = Genesis { chain_id: 31337, alloc: vec![(owner.address(), coins)] };
    let chain = EmbeddedChain::open(dir.path(), genesis, Clock::new(1, || Timestamp(0))).unwrap();
    let send = |call: Call| {
        let (nonce, fees) = (chain.nonce(owner.address()).unwrap(), chain.fees().unwrap());
        let transaction = Transaction { chain_id: 31337, nonce, fees, gas_limit: 16_000_000, call };
        let hash = chain.send(&transaction.sign(&owner).unwrap().raw).unwrap();
        (0..10_000).find_map(|_| chain.receipt(hash).unwrap()).expect("never mined")
    };
    let at = send(dispatch::deploy_call()).contract.unwrap();
    let flows = (1..).zip(FLOWS).map(|(number, (name, file, model, optimum))| {
        let [network, conditions, solution, quanta] = packed(file, *model);
        assert!(send(dispatch::publish(at, &network, 0)).ok, "{name}");
        let answer = chain.call(Address::ZERO, &dispatch::check(at, number, &conditions, &solution)).unwrap();
        let Verdict { cost, bound } = dispatch::checked(&answer).unwrap();
        let hex = |bytes: Vec<u8>| format!("0x{}", hex::encode(bytes));
        let quantum = 1.0 / f64::from(u32::from_be_bytes(quanta.try_into().unwrap()));
        json!({
            "name": name, "optimum": optimum, "quantum": quantum, "cost": cost.to_string(), "bound": bound.to_string(),
            "network": hex(network), "conditions": hex(conditions), "solution": hex(solution),
        })
    });
    serde_json::to_string_pretty(&flows.collect::<Vec<_>>()).unwrap() + "\n"
}

/// Network, conditions, solution, and quanta in a unit of currency.
fn packed(file: &str, model: Model) -> [Vec<u8>; 4] {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../solvers/tests/cases/{file}.m"));
    let (network, _) = matpower::read(&std::fs::read_to_string(path).unwrap()).unwrap();
    let left = || Duration::from_secs(60);
    let (answer, duals) = match model {
        Model::Dc => (dc::solve(&network, &left), Duals::default()),
        Model::Ac => (ac::solve(&network, &left), socp::solve(&network, &left).duals),
    };
    let frame = Frame::new(&network, model, PROVEN).unwrap();
    let solution = frame.solution(&network, &answer, &duals).unwrap();
    let quanta = u32::try_from(frame.quanta).unwrap().to_be_bytes().to_vec();
    [frame.packed.pack().unwrap(), frame.conditions(&network).pack().unwrap(), solution.pack().unwrap(), quanta]
}

fn main() {
    let made = made();
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("--write"), Some(file)) => std::fs::write(file, made).unwrap(),
        _ => print!("{made}"),
    }
}
