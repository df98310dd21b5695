//! The properties of the fuzz targets, over their kept corpus and a few thousand mutations of it.

#[path = "../../../../domain/fuzz/all.rs"]
mod all;
#[path = "../../fuzz/src/lib.rs"]
mod targets;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz");

#[test]
fn no_bytes_from_a_client_make_the_broker_panic_or_lie() {
    all::replay(FOLDER, targets::TARGETS);
}

#[test]
fn every_target_has_its_program() {
    all::have_programs(FOLDER, targets::TARGETS);
}
