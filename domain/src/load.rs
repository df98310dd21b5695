//! Load histories as text: one line an interval, with its beginning and one or more loads.
//!
//! ```text
//! timestamp,hall_wh,barn_wh
//! 2026-03-02T00:00:00+01:00,120,85
//! 2026-03-02T00:30:00+01:00,118,
//! ```
//!
//! The first column is called `timestamp` and holds RFC 3339 instants in ascending order; their offset says what the
//! local day is. A column whose name ends in `w`, `wh`, `kw` or `kwh` behind a separator has that unit. An empty cell,
//! `NA` or `NaN` says that nothing was recorded.

use crate::Timestamp;
use std::fmt;

/// What a column counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Mean power of the interval; also where the name says nothing.
    Watts,
    /// Energy of the interval.
    WattHours,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// As the first line names it.
    pub name: String,
    /// What it counts in, after kilo is multiplied out.
    pub unit: Unit,
}

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadRow {
    /// When the interval begins.
    pub at: Timestamp,
    /// Local time minus UTC, in minutes.
    pub offset: i32,
    /// One for each column.
    pub loads: Vec<Option<f64>>,
}

/// A load history.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadTable {
    /// Its columns, without the first.
    pub columns: Vec<Column>,
    /// In order of time.
    pub rows: Vec<LoadRow>,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadProblem {
    /// From 1.
    pub line: usize,
    /// The column's name, if one cell is meant.
    pub field: Option<String>,
    /// What it is and what to do.
    pub what: String,
}

impl fmt::Display for LoadProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "line {}, {field}: {}", self.line, self.what),
            None => write!(f, "line {}: {}", self.line, self.what),
        }
    }
}

/// Loads beyond that are no neighbourhood's.
const MOST: f64 = 1e12;

impl LoadTable {
    /// Reads a load history.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the lines.
    pub fn parse(text: &str) -> Result<Self, Vec<LoadProblem>> {
        let mut problems = Vec::new();
        let mut say = |line, field: Option<&str>, what: String| {
            problems.push(LoadProblem { line, field: field.map(str::to_owned), what });
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut lines = text.lines().enumerate().map(|(i, l)| (i + 1, l)).filter(|(_, l)| !l.trim().is_empty());
        let Some((at, head)) = lines.next() else {
            say(1, None, "the file is empty: it begins with a line such as \"timestamp,load_w\"".into());
            return Err(problems);
        };
        let names: Vec<&str> = cells(head).collect();
        if !names[0].eq_ignore_ascii_case("timestamp") {
            say(at, None, format!("the first column is called {:?}: it has to be \"timestamp\"", names[0]));
        }
        if names.len() < 2 {
            say(at, None, "there is no column of loads: add one, such as \"load_w\"".into());
        }
        for (i, name) in names.iter().enumerate().skip(1) {
            if name.is_empty() || names[..i].contains(name) {
                say(at, None, format!("column {} is called {name:?}: names are not empty and differ", i + 1));
            }
        }
        let scales: Vec<(Unit, f64)> = names[1..].iter().map(|name| unit(name)).collect();
        let mut rows: Vec<LoadRow> = Vec::new();
        let mut last: Option<(Timestamp, usize)> = None;
        for (line, content) in lines {
            let found: Vec<&str> = cells(content).collect();
            if found.len() != names.len() {
                say(line, None, format!("{} cells, but {} columns", found.len(), names.len()));
                continue;
            }
            let at = match instant(found[0]) {
                Ok(at) => Some(at),
                Err(what) => {
                    say(line, Some("timestamp"), what);
                    None
                }
            };
            let mut loads = Vec::with_capacity(scales.len());
            for ((cell, name), (_, scale)) in found[1..].iter().zip(&names[1..]).zip(&scales) {
                match load(cell) {
                    Ok(value) => loads.push(value.map(|v| v * scale)),
                    Err(what) => say(line, Some(name), what),
                }
            }
            let Some((at, offset)) = at else { continue };
            if let Some((before, line_before)) = last.filter(|(before, _)| *before >= at) {
                let what =
                    format!("{} is not after {before} of line {line_before}: lines are in order of time", found[0]);
                say(line, Some("timestamp"), what);
            }
            last = Some((at, line));
            if loads.len() == scales.len() {
                rows.push(LoadRow { at, offset, loads });
            }
        }
        if problems.is_empty() && rows.is_empty() {
            problems.push(LoadProblem { line: at, field: None, what: "there is no line of loads below".into() });
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let column = |(name, (unit, _)): (&&str, &(Unit, f64))| Column { name: (*name).to_owned(), unit: *unit };
        Ok(Self { columns: names[1..].iter().zip(&scales).map(column).collect(), rows })
    }
}

impl fmt::Display for LoadTable {
    /// As [`Self::parse`] reads it, in the units that the columns' names say.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "timestamp")?;
        for column in &self.columns {
            let name = &column.name;
            // A name that reading would strip something from stands in quotes.
            match cells(name).next() {
                Some(plain) if plain == name => write!(f, ",{name}")?,
                _ => write!(f, ",\"{name}\"")?,
            }
        }
        writeln!(f)?;
        let scales: Vec<f64> = self.columns.iter().map(|c| unit(&c.name).1).collect();
        for row in &self.rows {
            write!(f, "{}", written(row.at, row.offset))?;
            for (load, scale) in row.loads.iter().zip(&scales) {
                match load {
                    Some(load) => write!(f, ",{}", load / scale)?,
                    None => write!(f, ",")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// An instant with its offset from UTC, in RFC 3339.
fn written(at: Timestamp, offset: i32) -> String {
    let instant = jiff::Timestamp::from_millisecond(at.0).ok();
    let offset = offset.checked_mul(60).and_then(|s| jiff::tz::Offset::from_seconds(s).ok());
    match (instant, offset) {
        (Some(instant), Some(offset)) => instant.display_with_offset(offset).to_string(),
        _ => at.to_string(),
    }
}

fn cells(line: &str) -> impl Iterator<Item = &str> {
    line.split(',').map(|cell| {
        let cell = cell.trim();
        cell.strip_prefix('"').and_then(|c| c.strip_suffix('"')).unwrap_or(cell)
    })
}

/// An instant and its offset from UTC in minutes.
fn instant(text: &str) -> Result<(Timestamp, i32), String> {
    let at = text.parse::<Timestamp>()?;
    let zulu = text.ends_with(['Z', 'z']);
    let offset = text.len().checked_sub(6).and_then(|from| text.get(from..)).and_then(|tail| {
        let (hours, minutes) = tail.get(1..)?.split_once(':')?;
        let minutes = hours.parse::<i32>().ok()? * 60 + minutes.parse::<i32>().ok()?;
        match tail.get(..1)? {
            "+" => Some(minutes),
            "-" => Some(-minutes),
            _ => None,
        }
    });
    match offset {
        Some(offset) if !zulu => Ok((at, offset)),
        _ if zulu => Ok((at, 0)),
        _ => Err(format!("{text:?} has no offset: end it in Z or in one such as +01:00")),
    }
}

fn load(cell: &str) -> Result<Option<f64>, String> {
    if cell.is_empty() || ["na", "nan", "null"].iter().any(|n| cell.eq_ignore_ascii_case(n)) {
        return Ok(None);
    }
    match cell.parse::<f64>() {
        Ok(value) if value.abs() <= MOST => Ok(Some(value)),
        Ok(_) => Err(format!("{cell:?} is no load of a neighbourhood")),
        Err(_) => Err(format!("{cell:?} is no number: write 1234 or 1234.5, or leave it empty for a gap")),
    }
}

/// What the last word of a column's name says.
fn unit(name: &str) -> (Unit, f64) {
    let name = name.trim_end_matches([')', ']', ' ']);
    let word = name.rsplit(['_', '(', '[', ' ', '-', '.', '/']).next().unwrap_or(name);
    match word.to_ascii_lowercase().as_str() {
        "wh" => (Unit::WattHours, 1.0),
        "kwh" => (Unit::WattHours, 1000.0),
        "kw" => (Unit::Watts, 1000.0),
        _ => (Unit::Watts, 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_read_with_its_units_gaps_and_local_time() {
        let text = "\u{feff}Timestamp,hall_wh,\"barn [kW]\",load\r\n2026-03-02T00:00:00+01:00,120,0.5,-3\r\n\r\n\
                    2026-03-02T00:30:00+01:00,,NaN,4.25\r\n2026-03-01T23:59:00Z,1,1,1\r\n";
        let read = LoadTable::parse(text).unwrap();
        let unit = |name: &str, unit| Column { name: name.into(), unit };
        let columns = [unit("hall_wh", Unit::WattHours), unit("barn [kW]", Unit::Watts), unit("load", Unit::Watts)];
        assert_eq!(read.columns, columns);
        assert_eq!(read.rows[0].at, "2026-03-01T23:00:00Z".parse().unwrap());
        assert_eq!((read.rows[0].offset, read.rows[2].offset), (60, 0));
        assert_eq!(read.rows[0].loads, [Some(120.0), Some(500.0), Some(-3.0)]);
        assert_eq!(read.rows[1].loads, [None, None, Some(4.25)]);
    }

    #[test]
    fn a_history_is_written_as_it_was_read() {
        let text = "timestamp,hall_wh,\" odd \",barn kW\n2026-03-02T00:00:00+01:00,120,-3,0.5\n\
                    2026-03-02T00:30:00+01:00,,4.25,\n2026-03-02T01:00:00+00:00,1,1,1\n";
        let read = LoadTable::parse(text).unwrap();
        assert_eq!(read.to_string(), text);
        assert_eq!(LoadTable::parse(&read.to_string()).unwrap(), read);
    }

    #[test]
    fn everything_that_is_wrong_is_named_with_its_line() {
        let text = "time,a,a\n2026-03-02T00:00:00Z,1,x\n2026-03-02T00:00:00,1,2\n2026-03-01T00:00:00Z,1,1e99\n\
                    2026-03-01T00:00:00Z,1\n2026-03-01T00:00:00Z,1,2\n";
        let problems: Vec<String> = LoadTable::parse(text).unwrap_err().iter().map(ToString::to_string).collect();
        let wanted = [
            "line 1: the first column is called \"time\": it has to be \"timestamp\"",
            "line 1: column 3 is called \"a\": names are not empty and differ",
            "line 2, a: \"x\" is no number: write 1234 or 1234.5, or leave it empty for a gap",
            "line 3, timestamp: \"2026-03-02T00:00:00\" is no instant: write it as 2026-03-02T00:00:00Z",
            "line 4, a: \"1e99\" is no load of a neighbourhood",
            "line 4, timestamp: 2026-03-01T00:00:00Z is not after 2026-03-02T00:00:00Z of line 2: lines are in order of time",
            "line 5: 2 cells, but 3 columns",
            "line 6, timestamp: 2026-03-01T00:00:00Z is not after 2026-03-01T00:00:00Z of line 4: lines are in order of time",
        ];
        assert_eq!(problems, wanted);
        for empty in ["", "\n\n", "timestamp\n", "timestamp,a\n"] {
            assert_eq!(LoadTable::parse(empty).unwrap_err().len(), 1, "{empty:?}");
        }
    }
}
