use super::*;

fn ended(session: u32) -> Record {
    Record::Ended { session }
}

fn records(folder: &Path) -> Vec<Record> {
    let mut records = Vec::new();
    Journal::open(folder, |record| records.push(record)).unwrap().close();
    records
}

#[test]
fn a_log_that_cannot_be_written_anew_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(folder.path(), |_| {}).unwrap();
    journal.note(&ended(1));
    // Where the new file would be there is what cannot be overwritten.
    std::fs::create_dir(folder.path().join("log.new")).unwrap();
    journal.rewrite(&mut [ended(7)].into_iter());
    journal.note(&ended(2));
    journal.close();
    assert_eq!(records(folder.path()), [ended(1), ended(2)]);
    std::fs::remove_dir(folder.path().join("log.new")).unwrap();
    let mut journal = Journal::open(folder.path(), |_| {}).unwrap();
    journal.note(&ended(3));
    journal.rewrite(&mut [ended(7)].into_iter());
    journal.note(&ended(8));
    journal.close();
    assert_eq!(records(folder.path()), [ended(7), ended(8)]);
}

#[test]
fn a_new_log_that_was_not_finished_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("log.new"), MAGIC).unwrap();
    assert_eq!(records(folder.path()), []);
    assert!(!folder.path().join("log.new").exists());
}

#[test]
fn a_damaged_log_is_read_up_to_the_damage_though_no_copy_can_be_made() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("log.damaged")).unwrap();
    let mut bytes = MAGIC.to_vec();
    ended(1).write(&mut bytes);
    let damage = bytes.len() + 8;
    ended(2).write(&mut bytes);
    ended(3).write(&mut bytes);
    bytes[damage] ^= 1;
    std::fs::write(folder.path().join("log"), bytes).unwrap();
    assert_eq!(records(folder.path()), [ended(1)]);
}

#[test]
fn what_a_write_that_was_cut_short_left_is_overwritten_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let open = |write| OpenOptions::new().read(true).write(write).open(&path).unwrap();
    let mut bytes = MAGIC.to_vec();
    ended(1).write(&mut bytes);
    let good = bytes.len() as u64;
    bytes.extend_from_slice(&[9; 100]);
    std::fs::write(&path, &bytes).unwrap();
    let mut next = Vec::new();
    ended(2).write(&mut next);
    // A file that takes nothing stands for a disk that is full.
    let mut writer = Writer::new(path.clone(), open(false), good);
    writer.append(&next).unwrap_err();
    writer.append(&next).unwrap_err();
    writer.file = open(true);
    writer.append(&next).unwrap();
    writer.append(&next).unwrap();
    writer.sync().unwrap();
    assert_eq!(records(folder.path()), [ended(1), ended(2), ended(2)]);
}
