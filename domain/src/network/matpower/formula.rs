//! Arithmetic on constants and whole columns: as much as case files use to convert ohms and kilowatts.

use super::program::Case;
use super::scan::Scan;

/// What a formula gives.
#[derive(Clone, Debug)]
pub enum Value {
    One(f64),
    /// Rows of equal length.
    Many(Vec<Vec<f64>>),
}

/// The part of a matrix that is meant: a row, from 0, or all; and columns, from 0.
pub struct Place {
    row: Option<usize>,
    columns: Vec<usize>,
}

/// Columns by the names of the format (`idx_bus`, `idx_gen`, `idx_brch`), from 1.
const COLUMNS: &[(&str, usize)] = &[
    ("BUS_I", 1),
    ("BUS_TYPE", 2),
    ("PD", 3),
    ("QD", 4),
    ("GS", 5),
    ("BS", 6),
    ("BUS_AREA", 7),
    ("VM", 8),
    ("VA", 9),
    ("BASE_KV", 10),
    ("ZONE", 11),
    ("VMAX", 12),
    ("VMIN", 13),
    ("GEN_BUS", 1),
    ("PG", 2),
    ("QG", 3),
    ("QMAX", 4),
    ("QMIN", 5),
    ("VG", 6),
    ("MBASE", 7),
    ("GEN_STATUS", 8),
    ("PMAX", 9),
    ("PMIN", 10),
    ("F_BUS", 1),
    ("T_BUS", 2),
    ("BR_R", 3),
    ("BR_X", 4),
    ("BR_B", 5),
    ("RATE_A", 6),
    ("RATE_B", 7),
    ("RATE_C", 8),
    ("TAP", 9),
    ("SHIFT", 10),
    ("BR_STATUS", 11),
    ("ANGMIN", 12),
    ("ANGMAX", 13),
];

/// Deepest nesting of brackets.
const DEEPEST: usize = 32;
const NOT_FOLLOWED: &str = "is worked out in a way that is not followed: write the data itself, or numbers and columns \
                            with + - * / ^";

/// Reads and works out a formula.
pub fn value(scan: &mut Scan<'_>, case: &Case) -> Result<Value, String> {
    sum(scan, case, 0)
}

/// Reads `(row, columns)`, `(` being next.
pub fn place(scan: &mut Scan<'_>, case: &Case) -> Result<Place, String> {
    let not = || NOT_FOLLOWED.to_owned();
    scan.step();
    scan.blanks();
    let row = if scan.eat(b':') { None } else { Some(index(scan, case)?) };
    scan.blanks();
    if !scan.eat(b',') {
        return Err(not());
    }
    scan.blanks();
    let mut columns = Vec::new();
    if scan.eat(b'[') {
        loop {
            scan.blanks();
            if scan.eat(b']') {
                break;
            }
            if !scan.eat(b',') {
                columns.push(index(scan, case)?);
            }
        }
    } else {
        columns.push(index(scan, case)?);
    }
    scan.blanks();
    if scan.eat(b')') { Ok(Place { row, columns }) } else { Err(not()) }
}

/// A row or column from 1, as a place from 0.
fn index(scan: &mut Scan<'_>, case: &Case) -> Result<usize, String> {
    let number = match scan.word() {
        Some(word) => match COLUMNS.iter().find(|(name, _)| *name == word) {
            Some((_, column)) => return Ok(column - 1),
            None => case.variables.get(word).copied(),
        },
        None => scan.number(),
    };
    number
        .and_then(super::table::whole)
        .and_then(|n| usize::try_from(n).ok()?.checked_sub(1))
        .ok_or_else(|| NOT_FOLLOWED.to_owned())
}

/// Puts a value into a part of a matrix.
pub fn store(case: &mut Case, field: &str, place: &Place, value: &Value) -> Result<(), String> {
    let Some(matrix) = case.matrices.get_mut(field) else {
        return Err("is changed before it is written: write the matrix first".into());
    };
    let rows = match place.row {
        None => 0..matrix.len(),
        Some(row) if row < matrix.len() => row..row + 1,
        Some(row) => return Err(format!("has no row {}", row + 1)),
    };
    if let Value::Many(many) = value
        && (many.len() != rows.len() || many.iter().any(|row| row.len() != place.columns.len()))
    {
        return Err("is assigned a matrix of another size".into());
    }
    let first = rows.start;
    for k in rows {
        let row = matrix.row_mut(k);
        for (j, column) in place.columns.iter().enumerate() {
            let Some(cell) = row.get_mut(*column) else { return Err(format!("has no column {}", column + 1)) };
            *cell = match value {
                Value::One(value) => *value,
                Value::Many(many) => many[k - first][j],
            };
        }
    }
    Ok(())
}

fn sum(scan: &mut Scan<'_>, case: &Case, depth: usize) -> Result<Value, String> {
    let mut left = product(scan, case, depth)?;
    loop {
        scan.blanks();
        let sign = match scan.peek() {
            Some(sign @ (b'+' | b'-')) => sign,
            _ => return Ok(left),
        };
        scan.step();
        let right = product(scan, case, depth)?;
        left = each(left, right, |a, b| if sign == b'+' { a + b } else { a - b })?;
    }
}

fn product(scan: &mut Scan<'_>, case: &Case, depth: usize) -> Result<Value, String> {
    let mut left = power(scan, case, depth)?;
    loop {
        scan.blanks();
        let by_element = scan.peek() == Some(b'.') && matches!(scan.peek_at(1), Some(b'*' | b'/'));
        if by_element {
            scan.step();
        }
        let sign = match scan.peek() {
            Some(sign @ (b'*' | b'/')) => sign,
            _ => return Ok(left),
        };
        scan.step();
        let right = power(scan, case, depth)?;
        // A product of two matrices is another thing.
        let matrices = match sign {
            b'*' => matches!((&left, &right), (Value::Many(_), Value::Many(_))),
            _ => matches!(right, Value::Many(_)),
        };
        if matrices && !by_element {
            return Err(NOT_FOLLOWED.into());
        }
        left = each(left, right, |a, b| if sign == b'*' { a * b } else { a / b })?;
    }
}

fn power(scan: &mut Scan<'_>, case: &Case, depth: usize) -> Result<Value, String> {
    scan.blanks();
    if depth > DEEPEST {
        return Err("is nested too deeply".into());
    }
    if scan.eat(b'-') {
        return each(power(scan, case, depth + 1)?, Value::One(-1.0), |a, b| a * b);
    }
    if scan.eat(b'+') {
        return power(scan, case, depth + 1);
    }
    let base = atom(scan, case, depth)?;
    scan.blanks();
    if scan.peek() != Some(b'^') {
        return Ok(base);
    }
    scan.step();
    match (base, power(scan, case, depth + 1)?) {
        (Value::One(a), Value::One(b)) => Ok(Value::One(a.powf(b))),
        _ => Err(NOT_FOLLOWED.into()),
    }
}

fn atom(scan: &mut Scan<'_>, case: &Case, depth: usize) -> Result<Value, String> {
    if let Some(number) = scan.number() {
        return Ok(Value::One(number));
    }
    if scan.eat(b'(') {
        let inner = sum(scan, case, depth + 1)?;
        scan.blanks();
        return if scan.eat(b')') { Ok(inner) } else { Err("lacks a closing bracket".into()) };
    }
    let word = scan.word().ok_or_else(|| NOT_FOLLOWED.to_owned())?;
    if word == case.structure && scan.eat(b'.') {
        return match scan.word() {
            Some("baseMVA") => {
                case.base.map(|(base, _)| Value::One(base)).ok_or_else(|| "needs baseMVA: write it first".into())
            }
            Some(field) => part(scan, case, field),
            None => Err(NOT_FOLLOWED.into()),
        };
    }
    if let Some(value) = case.variables.get(word) {
        return Ok(Value::One(*value));
    }
    let function: fn(f64) -> f64 = match word {
        "pi" => return Ok(Value::One(std::f64::consts::PI)),
        "Inf" | "inf" => return Ok(Value::One(f64::INFINITY)),
        "sqrt" => f64::sqrt,
        "sin" => f64::sin,
        "cos" => f64::cos,
        "tan" => f64::tan,
        "acos" => f64::acos,
        "asin" => f64::asin,
        "atan" => f64::atan,
        "abs" => f64::abs,
        _ => return Err(NOT_FOLLOWED.into()),
    };
    if !scan.eat(b'(') {
        return Err(NOT_FOLLOWED.into());
    }
    let inner = sum(scan, case, depth + 1)?;
    scan.blanks();
    if !scan.eat(b')') {
        return Err("lacks a closing bracket".into());
    }
    each(inner, Value::One(0.0), |a, _| function(a))
}

/// `mpc.bus(1, BASE_KV)`, `mpc.bus(:, [PD, QD])`
fn part(scan: &mut Scan<'_>, case: &Case, field: &str) -> Result<Value, String> {
    let Some(matrix) = case.matrices.get(field).filter(|_| scan.peek() == Some(b'(')) else {
        return Err(NOT_FOLLOWED.into());
    };
    let place = place(scan, case)?;
    let cell = |row: usize, column: usize| -> Result<f64, String> {
        let cells = if row < matrix.len() { matrix.row(row) } else { &[] };
        cells
            .get(column)
            .copied()
            .ok_or_else(|| format!("uses row {}, column {} of {field}, which is not there", row + 1, column + 1))
    };
    match (place.row, place.columns.as_slice()) {
        (Some(row), [column]) => Ok(Value::One(cell(row, *column)?)),
        (Some(row), columns) => Ok(Value::Many(vec![columns.iter().map(|c| cell(row, *c)).collect::<Result<_, _>>()?])),
        (None, columns) => {
            let rows = (0..matrix.len()).map(|row| columns.iter().map(|c| cell(row, *c)).collect());
            Ok(Value::Many(rows.collect::<Result<_, _>>()?))
        }
    }
}

/// Element by element; a number goes with every element.
fn each(left: Value, right: Value, f: impl Fn(f64, f64) -> f64) -> Result<Value, String> {
    let all = |many: Vec<Vec<f64>>, f: &dyn Fn(f64) -> f64| {
        Value::Many(many.into_iter().map(|row| row.into_iter().map(f).collect()).collect())
    };
    match (left, right) {
        (Value::One(a), Value::One(b)) => Ok(Value::One(f(a, b))),
        (Value::Many(a), Value::One(b)) => Ok(all(a, &|a| f(a, b))),
        (Value::One(a), Value::Many(b)) => Ok(all(b, &|b| f(a, b))),
        (Value::Many(a), Value::Many(b)) => {
            if a.len() != b.len() || a.iter().zip(&b).any(|(a, b)| a.len() != b.len()) {
                return Err("joins matrices of different sizes".into());
            }
            let rows = a.into_iter().zip(b).map(|(a, b)| a.into_iter().zip(b).map(|(a, b)| f(a, b)).collect());
            Ok(Value::Many(rows.collect()))
        }
    }
}
