//! What the tests of a crate do with all of its fuzz targets.

use std::collections::BTreeSet;
use std::path::Path;

#[path = "replay.rs"]
mod replay;

type Target = (&'static str, fn(&[u8]));

/// Every target over the corpus in `folder`.
pub fn replay(folder: &str, targets: &[Target]) {
    for (target, check) in targets {
        replay::replay(&Path::new(folder).join("corpus"), target, check);
    }
}

/// Every target has a program for cargo-fuzz in `folder`, and every program is a target.
pub fn have_programs(folder: &str, targets: &[Target]) {
    let files = std::fs::read_dir(Path::new(folder).join("src/bin")).unwrap();
    let programs: BTreeSet<String> =
        files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(programs, targets.iter().map(|(name, _)| (*name).to_owned()).collect());
}
