//! Foundry's development node, as a chain that is not ours.

use contracts::rpc::JsonRpc;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub struct Anvil {
    process: Child,
    pub url: String,
}

/// The first of anvil's well-known development accounts. It has coin on every anvil chain and must have none elsewhere.
pub const RICH: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

impl Anvil {
    /// Starts one on a port of its own choosing; `None`, with a loud word, where it is not installed.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// The same with more arguments.
    pub fn start_with(more: &[&str]) -> Option<Self> {
        let modules = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../contracts/node_modules/@foundry-rs");
        let found = ["anvil-linux-amd64", "anvil-linux-arm64"].map(|p| modules.join(p).join("bin/anvil"));
        let Some(binary) = found.iter().find(|p| p.exists()) else {
            assert!(
                std::env::var_os("MICROGRID_REQUIRE_FOREIGN").is_none(),
                "anvil is not installed: npm ci in contracts/"
            );
            eprintln!("SKIPPED: anvil is not installed (npm ci in contracts/), nothing was compared with it");
            return None;
        };
        let mut process = Command::new(binary)
            .args(["--port", "0", "--host", "127.0.0.1", "--chain-id", "31337"])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut url = None;
        let mut lines = lines.map_while(Result::ok);
        for line in lines.by_ref() {
            if let Some(at) = line.strip_prefix("Listening on ") {
                url = Some(format!("http://{}", at.trim()));
                break;
            }
        }
        // Anvil must not block on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { process, url: url.expect("anvil did not say where it listens") })
    }

    pub fn chain(&self) -> JsonRpc {
        JsonRpc::new(&self.url, Duration::from_secs(10)).unwrap()
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
