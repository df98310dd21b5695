//! The street's memory on disk: replaced as a whole, so that a kill or a power cut leaves either the old or the new.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Everything that cannot be computed from seed and time, at one instant. Energies are in watt-milliseconds
/// (millijoules), so that sums are exact whatever the sampling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// Milliseconds since 1970.
    pub at: i64,
    pub homes: BTreeMap<String, HomeState>,
    pub feeder: FeederState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HomeState {
    pub import: u64,
    pub export: u64,
    pub closed: bool,
    /// What its roof made.
    #[serde(default)]
    pub made: u64,
}

impl Default for HomeState {
    fn default() -> Self {
        Self { import: 0, export: 0, closed: true, made: 0 }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FeederState {
    pub import: u64,
    pub export: u64,
    pub loss: u64,
}

/// The state on disk, if there is any. A file that does not parse is an error: to start anew would let registers
/// step back.
pub(super) fn load(path: &Path) -> io::Result<Option<State>> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged: {error}", path.display()))
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces the state on disk; on return it is durable.
pub(super) fn save(path: &Path, state: &State) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec(state)?)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    // The name is as durable as the folder it stands in.
    File::open(folder)?.sync_all()
}
