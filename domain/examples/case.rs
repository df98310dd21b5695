//! Reads case files and says what is in them, what is wrong with them, and how long that took:
//! `cargo run --release -p domain --example case FILE…`
#![allow(clippy::print_stdout, reason = "an example talks")]

use domain::network::matpower;
use std::time::Instant;

fn main() -> Result<(), std::io::Error> {
    for file in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&file)?;
        let begin = Instant::now();
        let read = matpower::read(&text);
        let took = begin.elapsed().as_secs_f64() * 1e3;
        match read {
            Ok((network, notes)) => {
                let (buses, branches) = (network.buses.len(), network.branches.len());
                println!(
                    "{file}: {buses} buses, {branches} branches, {} generators, {took:.1} ms",
                    network.generators.len()
                );
                notes.iter().for_each(|note| println!("  {file}:{note}"));
            }
            Err(problems) => problems.iter().for_each(|problem| println!("WRONG {file}:{problem}")),
        }
    }
    Ok(())
}
