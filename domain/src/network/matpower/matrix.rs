//! Numbers in rows, `[ 1 2; 3 4 ]`, each row with its line.

use super::formula::{self, Value};
use super::program::Case;
use super::scan::Scan;
use crate::network::Problem;

/// A matrix. Rows may be of different lengths: whoever uses it says which are wrong.
#[derive(Clone, Debug, Default)]
pub struct Matrix {
    pub values: Vec<f64>,
    /// Where each row begins in `values`, and its line.
    pub rows: Vec<(usize, usize)>,
    /// Where it begins.
    pub line: usize,
}

impl Matrix {
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn row(&self, k: usize) -> &[f64] {
        let end = self.rows.get(k + 1).map_or(self.values.len(), |r| r.0);
        &self.values[self.rows[k].0..end]
    }

    pub fn row_mut(&mut self, k: usize) -> &mut [f64] {
        let end = self.rows.get(k + 1).map_or(self.values.len(), |r| r.0);
        &mut self.values[self.rows[k].0..end]
    }
}

/// Reads a matrix, `[` being next.
pub fn read(scan: &mut Scan<'_>, name: &str, case: &Case, problems: &mut Vec<Problem>) -> Matrix {
    let begin = scan.line;
    let mut matrix = Matrix { line: begin, ..Matrix::default() };
    let mut open = false;
    scan.step();
    loop {
        scan.blanks();
        let Some(byte) = scan.peek() else {
            let what = "is not closed: add ] where it ends";
            problems.push(Problem::new(begin, name, what));
            return matrix;
        };
        match byte {
            b']' => {
                scan.step();
                return matrix;
            }
            b'\n' | b';' => {
                open = false;
                scan.step();
            }
            b',' => scan.step(),
            _ => {
                if !open {
                    open = true;
                    matrix.rows.push((matrix.values.len(), scan.line));
                }
                let value = element(scan).or_else(|| worked_out(scan, case)).unwrap_or_else(|| {
                    let what = format!("has {:?}, which is no number: write its value", text(scan));
                    problems.push(Problem::new(scan.line, name, what));
                    f64::NAN
                });
                matrix.values.push(value);
            }
        }
    }
}

/// One number with its sign, up to a blank or a mark that ends it.
fn element(scan: &mut Scan<'_>) -> Option<f64> {
    let from = scan.clone();
    let mut negative = false;
    while let Some(sign @ (b'+' | b'-')) = scan.peek() {
        negative ^= sign == b'-';
        scan.step();
    }
    let value = scan.number().or_else(|| match scan.word() {
        Some("Inf" | "inf") => Some(f64::INFINITY),
        Some("NaN" | "nan") => Some(f64::NAN),
        _ => None,
    });
    // `1-2` is one number that is to be worked out, `1 -2` are two.
    let mark = matches!(scan.peek(), None | Some(b' ' | b'\t' | b'\r' | b'\n' | b',' | b';' | b']' | b'%' | b'#'));
    let ends = mark || scan.bytes[scan.at..].starts_with(b"...");
    match value {
        Some(value) if ends => Some(if negative { -value } else { value }),
        _ => {
            *scan = from;
            None
        }
    }
}

/// A formula without blanks, such as `12/sqrt(3)`.
fn worked_out(scan: &mut Scan<'_>, case: &Case) -> Option<f64> {
    let length = width(scan);
    let mut part = Scan { bytes: &scan.bytes[..scan.at + length], ..scan.clone() };
    match formula::value(&mut part, case) {
        Ok(Value::One(value)) if part.at == scan.at + length => {
            scan.at = part.at;
            Some(value)
        }
        _ => None,
    }
}

/// Bytes up to the next blank or mark.
fn width(scan: &Scan<'_>) -> usize {
    let rest = &scan.bytes[scan.at..];
    let ends = |b: &u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n' | b',' | b';' | b']' | b'%');
    rest.iter().position(ends).unwrap_or(rest.len()).max(1)
}

/// The text up to the next blank or mark, which is passed.
fn text(scan: &mut Scan<'_>) -> String {
    let from = scan.at;
    scan.at += width(scan);
    String::from_utf8_lossy(&scan.bytes[from..scan.at]).chars().take(40).collect()
}
