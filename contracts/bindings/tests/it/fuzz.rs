//! The properties of the fuzz targets, over their kept corpus and a few thousand mutations of it.

use std::collections::BTreeSet;
use std::path::Path;

#[path = "../../../../domain/fuzz/replay.rs"]
mod replay;
#[path = "../../../fuzz/src/lib.rs"]
mod targets;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz");

#[test]
fn no_bytes_from_outside_make_a_decoder_panic_or_lie() {
    for (target, check) in targets::TARGETS {
        replay::replay(&Path::new(FOLDER).join("corpus"), target, check);
    }
}

#[test]
fn every_target_has_its_program() {
    let files = std::fs::read_dir(Path::new(FOLDER).join("src/bin")).unwrap();
    let programs: BTreeSet<String> =
        files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(programs, targets::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect());
}
