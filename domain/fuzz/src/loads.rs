//! A load history is a table in order of time whose own text says the same, or problems that each stand in the text.

use domain::LoadTable;

/// What is read has a name for every column and a value or a gap for every cell, and is read from what it writes as it
/// was: to the last digit but one, for a kilo was multiplied out. What is refused has lines within the text.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.matches('\n').count() + 1;
    match LoadTable::parse(&text) {
        Ok(table) => {
            let n = table.columns.len();
            assert!(n > 0 && !table.rows.is_empty() && table.columns.iter().all(|c| !c.name.is_empty()));
            assert!(table.rows.windows(2).all(|w| w[0].at < w[1].at));
            assert!(table.rows.iter().all(|r| r.loads.len() == n && r.loads.iter().flatten().all(|v| v.is_finite())));
            let written = table.to_string();
            let again = LoadTable::parse(&written).unwrap_or_else(|p| panic!("{:?} of {written:?}", p[0]));
            assert_eq!((&again.columns, again.rows.len()), (&table.columns, table.rows.len()));
            for (a, b) in again.rows.iter().zip(&table.rows) {
                assert_eq!((a.at, a.offset), (b.at, b.offset));
                for (x, y) in a.loads.iter().zip(&b.loads) {
                    let near = |x: f64, y: f64| (x - y).abs() <= 1e-12 * y.abs();
                    assert!(x.is_some() == y.is_some() && x.zip(*y).is_none_or(|(x, y)| near(x, y)), "{x:?} {y:?}");
                }
            }
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            assert!(problems.iter().all(|p| p.line >= 1 && p.line <= lines), "{problems:?}");
        }
    }
}
