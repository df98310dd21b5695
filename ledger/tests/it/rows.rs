//! What a damaged disk or a foreign hand leaves in the rows is an error in words, or is read as what it is.

use crate::{batch, open, price, reading, write};
use domain::{Emergency, Fact, Position, Reason, Seq, SwitchId, Timestamp, Watts};
use ledger::{Ledger, LedgerError, Write};
use rusqlite::Connection;
use rusqlite::types::Value;
use std::cell::Cell;
use std::path::Path;

#[path = "../../../domain/fuzz/replay.rs"]
mod replay;

/// Tables and columns that somebody reads.
const COLUMNS: [(&str, &str); 29] = [
    ("facts", "body"),
    ("facts", "at"),
    ("accounts", "name"),
    ("accounts", "credit"),
    ("accounts", "balance"),
    ("accounts", "off_peak"),
    ("accounts", "settled_peak"),
    ("meters", "name"),
    ("meters", "held"),
    ("meters", "import"),
    ("meters", "first_import"),
    ("meters", "unbilled"),
    ("readings", "at"),
    ("readings", "import"),
    ("readings", "voltage"),
    ("lines", "import"),
    ("lines", "kind"),
    ("lines", "batch"),
    ("classes", "class"),
    ("accounts", "usage"),
    ("tariffs", "body"),
    ("switches", "position"),
    ("switches", "reason"),
    ("intents", "purpose"),
    ("batches", "items"),
    ("emergencies", "state"),
    ("overrides", "position"),
    ("overrides", "until"),
    ("reconnects", "switch"),
];

/// Asks for everything that there is; says how much of it was refused.
fn ask_all(ledger: &Ledger) -> usize {
    let home = "home-0".parse().unwrap();
    let answers: [Result<(), LedgerError>; 17] = [
        ledger.readings_after(Seq(0), 100).map(drop),
        ledger.facts_after(Seq(0), 100).map(drop),
        ledger.accounts().map(drop),
        ledger.meters().map(drop),
        ledger.switches().map(drop),
        ledger.newest_lines(&home, 100).map(drop),
        ledger.biller(&std::collections::BTreeMap::new()).map(drop),
        ledger.used_since(&home, Timestamp(0)).map(drop),
        ledger.emergencies().map(drop),
        ledger.overrides().map(drop),
        ledger.reconnects().map(drop),
        ledger.totals().map(drop),
        ledger.open_intents().map(drop),
        ledger.last_refusal().map(drop),
        ledger.batch(1).map(drop),
        ledger.verify(|_| domain::Guard::new(Watts(50_000))).map(drop),
        crate::load::ask(ledger),
    ];
    let words = answers.iter().filter_map(|answer| answer.as_ref().err()).map(LedgerError::to_string);
    words.inspect(|words| assert!(!words.is_empty())).count()
}

/// The first byte says which column, the second how the rest is meant.
fn value(bytes: &[u8]) -> (usize, Value) {
    let (which, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let (kind, rest) = rest.split_first().unwrap_or((&0, &[]));
    let number = || i64::from_be_bytes(std::array::from_fn(|at| rest.get(at).copied().unwrap_or(0)));
    let value = match kind % 4 {
        0 => Value::Text(String::from_utf8_lossy(rest).into_owned()),
        1 => Value::Integer(number()),
        2 => Value::Blob(rest.to_vec()),
        _ => Value::Real(f64::from_bits(number().cast_unsigned())),
    };
    (usize::from(*which) % COLUMNS.len(), value)
}

#[test]
fn whatever_stands_in_a_column_no_reader_panics() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    for at in 1..=3 {
        write(&ledger, Write::Readings(vec![reading(0, at * 900_000, at * 100)]));
    }
    write(&ledger, price(&ledger));
    let switch = "home-0".parse().unwrap();
    let moved = Fact::SwitchConfirmed { switch, position: Position::Open, reason: Reason::Operator };
    write(&ledger, Write::Fact(moved));
    write(&ledger, batch(1));
    let (switch, by): (SwitchId, String) = ("home-0".parse().unwrap(), "Ana".into());
    let (order, until) = (Some(Position::Open), Some(Timestamp(1)));
    let offered = Emergency::Offered;
    for fact in [
        Fact::SwitchConfirmed { switch: switch.clone(), position: Position::Open, reason: Reason::Operator },
        Fact::ReconnectGranted { switch: switch.clone(), by: by.clone() },
        Fact::EmergencyChanged { account: "home-0".parse().unwrap(), emergency: offered, by: by.clone() },
        Fact::SwitchOverridden { switch, order, until, safety: false, by, why: String::new() },
    ] {
        write(&ledger, Write::Fact(fact));
    }
    write(&ledger, batch(1));
    assert_eq!(ask_all(&ledger), 0);

    let other = Connection::open(folder.path().join("ledger.db")).unwrap();
    other.execute_batch("PRAGMA synchronous=OFF; PRAGMA foreign_keys=OFF").unwrap();
    for (table, _) in COLUMNS {
        other.execute_batch(&format!("CREATE TABLE IF NOT EXISTS kept_{table} AS SELECT * FROM {table}")).unwrap();
    }
    let refused = Cell::new(0);
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    replay::replay(&corpus, "rows", |bytes| {
        let (which, value) = value(bytes);
        let (table, column) = COLUMNS[which];
        // What the table itself refuses, such as a name that is there twice, changes nothing.
        let _ = other.execute(&format!("UPDATE {table} SET {column} = ?"), [value]);
        refused.set(refused.get() + ask_all(&ledger));
        let back = format!("BEGIN; DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept_{table}; COMMIT");
        other.execute_batch(&back).unwrap();
    });
    assert!(refused.get() > 0, "nothing was refused");
    assert_eq!(ask_all(&ledger), 0);
}
