//! Meters for other programs to read, and a witness of how they read them: `cargo run --release -p drivers --example field`.
//!
//! Every meter has ten 32-bit floats in 20 registers from address 0, input and holding alike. All units of one TCP port
//! are there from the start. Each line on standard input is an order, and each is answered by one line of JSON:
//!
//! | order | what it does |
//! |---|---|
//! | `port` | nothing; says the address of the port |
//! | `silent 7 14` | these units of the port never answer, all others do |
//! | `pace 60` | the port takes 60 ms for each answer, one after the other, whatever connection it came on |
//! | `crowd 1000` | makes so many devices, each on an address of its own, and says the addresses |
//! | `line 19200` | makes a serial line with the pace of its wire, and says its path |
//! | `reset` | forgets what was counted |
//! | `count` | questions to all units since then |
//! | `report` | since then, by place and unit: questions, registers told, and the seconds when each reading was complete |
//!
//! A reading is complete when all 20 registers have gone over the wire since the last one was, in however many answers.
//! The program ends with its standard input.

#![allow(clippy::expect_used, reason = "a measurement that cannot go on should stop and say where")]

mod meter;
mod port;
mod tally;
#[path = "../bus_bench/wire.rs"]
mod wire;

use port::Port;
use serde_json::{Value, json};
use tally::Tallies;

/// The far end of everything.
struct Field {
    tallies: Tallies,
    port: Port,
}

impl Field {
    fn obey(&self, order: &str) -> Value {
        let mut words = order.split_whitespace();
        let verb = words.next().unwrap_or_default();
        let numbers: Vec<u32> = words.map(|w| w.parse().expect("a number")).collect();
        let first = numbers.first().copied().unwrap_or_default();
        match verb {
            "port" => json!(self.port.address),
            "silent" => {
                let units = numbers.iter().map(|n| u8::try_from(*n).expect("a unit")).collect();
                self.port.manners.hush(units);
                json!(numbers)
            }
            "pace" => {
                self.port.manners.pace(first);
                json!(first)
            }
            "crowd" => json!((0..first).map(|n| port::alone(n, &self.tallies)).collect::<Vec<_>>()),
            "line" => json!(port::line(first, &self.tallies)),
            "reset" => {
                self.tallies.reset();
                Value::Null
            }
            "count" => json!(self.tallies.questions()),
            "report" => self.tallies.report(),
            _ => json!({ "error": format!("no such order: {verb}") }),
        }
    }
}

fn main() {
    let tallies = Tallies::default();
    let field = Field { port: Port::open(&tallies), tallies };
    for order in std::io::stdin().lines() {
        println!("{}", field.obey(&order.expect("an order")));
    }
}
