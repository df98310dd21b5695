//! What a ledger's rows hold as JSON is a record that reads back as itself, or an error.

use domain::{AccountId, Credit, Fact, Reading, Reason, Tariff};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Any bytes are a record or none of its kind, and a record that was read is written as one that reads the same.
pub fn check(bytes: &[u8]) {
    same::<Fact>(bytes);
    same::<Credit>(bytes);
    same::<Reason>(bytes);
    same::<AccountId>(bytes);
    same::<Tariff>(bytes);
    if let Ok(reading) = serde_json::from_slice::<Reading>(bytes) {
        // The last bit of a float may be read in another way.
        let text = serde_json::to_string(&reading).expect("it was read from JSON");
        let again: Reading = serde_json::from_str(&text).expect("it was written here");
        assert_eq!((&again.meter, again.at, again.import), (&reading.meter, reading.at, reading.import));
        assert_eq!((again.export, again.power), (reading.export, reading.power));
        assert_eq!(again.voltage.is_some(), reading.voltage.is_some());
    }
}

fn same<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let Ok(record) = serde_json::from_slice::<T>(bytes) else { return };
    let text = serde_json::to_string(&record).expect("it was read from JSON");
    assert_eq!(serde_json::from_str::<T>(&text).expect("it was written here"), record, "{text}");
}
