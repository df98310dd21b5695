//! From the matrices of a case to a draft: which column means what.

use super::matrix::Matrix;
use super::program::Case;
use crate::network::{Branch, Bus, BusKind, Cost, Draft, Generator, Placed, Problem};

/// A number that is whole, not negative, and not too great for a bus.
pub fn whole(value: f64) -> Option<u32> {
    let fits = value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&value);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole and fits")]
    fits.then_some(value as u32)
}

/// The case as a draft, or nothing when a whole matrix is missing.
pub fn draft(case: &Case, problems: &mut Vec<Problem>, notes: &mut Vec<Problem>) -> Option<Draft> {
    match &case.version {
        Some((version, _)) if version == "2" => {}
        Some((version, line)) => {
            let what = format!("is {version:?}, must be '2': convert the file with MATPOWER's loadcase and savecase");
            problems.push(Problem::new(*line, "version", what));
        }
        None => notes.push(Problem::new(0, "version", "is missing: taken as '2'")),
    }
    let mut table = Table { case, problems };
    let base = case.base;
    if base.is_none() {
        table.missing("baseMVA", "mpc.baseMVA = 100;");
    }
    let bus = table.matrix("bus", 13, true);
    let gens = table.matrix("gen", 10, true);
    let branch = table.matrix("branch", 11, case.matrices.get("bus").is_some_and(|bus| bus.len() > 1));
    let costs = table.matrix("gencost", 4, false);
    let bus = bus?;
    let (base_mva, base_line) = base?;
    let mut draft = Draft { name: case.name.clone(), base_mva, base_line, ..Draft::default() };
    let names = &case.bus_names;
    let named = names.len() == bus.len();
    if !names.is_empty() && !named {
        let what = format!("has {} names for {} buses: left out", names.len(), bus.len());
        notes.push(Problem::new(bus.line, "bus_name", what));
    }
    for k in table.rows("bus", bus, 13) {
        if let Some(mut placed) = table.bus(bus, k) {
            placed.what.name = names.get(k).filter(|_| named).cloned();
            draft.buses.push(placed);
        }
    }
    for k in branch.map(|m| table.rows("branch", m, 11)).unwrap_or_default() {
        draft.branches.extend(branch.and_then(|m| table.branch(m, k)));
    }
    let count = gens.map_or(0, Matrix::len);
    if costs.is_none() && count > 0 {
        notes.push(Problem::new(0, "gencost", "is missing: every generator costs nothing"));
    }
    let costs = costs.filter(|costs| {
        let fits = costs.len() == count || costs.len() == 2 * count;
        if !fits {
            let what = format!(
                "has {} rows for {count} generators: write one row for each, or two sets for active and reactive power",
                costs.len()
            );
            table.problems.push(Problem::new(costs.line, "gencost", what));
        }
        fits
    });
    let mut parsed: Vec<Option<Cost>> = Vec::new();
    if let Some(costs) = costs {
        parsed = (0..costs.len()).map(|k| table.cost(costs, k)).collect();
    }
    for k in gens.map(|m| table.rows("gen", m, 10)).unwrap_or_default() {
        let cost = parsed.get(k).cloned().flatten().unwrap_or_else(|| Cost::Polynomial(Vec::new()));
        let reactive = parsed.get(count + k).cloned().flatten();
        draft.generators.extend(gens.and_then(|m| table.generator(m, k, cost, reactive)));
    }
    Some(draft)
}

struct Table<'a> {
    case: &'a Case,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Table<'a> {
    fn missing(&mut self, field: &str, example: &str) {
        // Where it was there but could not be read, that has been said.
        if !self.problems.iter().any(|p| p.field == field) {
            self.problems.push(Problem::new(0, field, format!("is missing: write {example}")));
        }
    }

    fn matrix(&mut self, name: &str, columns: usize, needed: bool) -> Option<&'a Matrix> {
        let found = self.case.matrices.get(name);
        if found.is_none() && needed {
            self.missing(name, &format!("{}.{name} = [ … ]; with {columns} columns", self.case.structure));
        }
        found
    }

    /// The rows that have enough columns.
    fn rows(&mut self, name: &str, matrix: &Matrix, columns: usize) -> Vec<usize> {
        let width = if matrix.len() > 0 { matrix.row(0).len() } else { 0 };
        let mut good = Vec::with_capacity(matrix.len());
        for k in 0..matrix.len() {
            let found = matrix.row(k).len();
            if found < columns {
                let what = format!("has {found} columns in this row, needs {columns}");
                self.problems.push(Problem::new(matrix.rows[k].1, name, what));
            } else if found != width && width >= columns {
                let what = format!("has {found} columns in this row and {width} in the first: make them equal");
                self.problems.push(Problem::new(matrix.rows[k].1, name, what));
            } else {
                good.push(k);
            }
        }
        good
    }

    fn number(&mut self, line: usize, field: &str, name: &str, value: f64) -> Option<u32> {
        let number = whole(value);
        if number.is_none() {
            let what = format!("{name} is {value}: write a whole number that is not negative");
            self.problems.push(Problem::new(line, field, what));
        }
        number
    }

    fn bus(&mut self, matrix: &Matrix, k: usize) -> Option<Placed<Bus>> {
        let (row, line) = (matrix.row(k), matrix.rows[k].1);
        let number = self.number(line, "bus", "bus_i", row[0])?;
        let kind = match whole(row[1]) {
            Some(1) => BusKind::Load,
            Some(2) => BusKind::Generator,
            Some(3) => BusKind::Reference,
            Some(4) => BusKind::Isolated,
            _ => {
                let what = format!("type is {}: write 1 (PQ), 2 (PV), 3 (reference) or 4 (isolated)", row[1]);
                self.problems.push(Problem::new(line, format!("bus {number}"), what));
                return None;
            }
        };
        let what = Bus {
            number,
            name: None,
            kind,
            demand_mw: row[2],
            demand_mvar: row[3],
            shunt_mw: row[4],
            shunt_mvar: row[5],
            area: row[6],
            vm_pu: row[7],
            va_deg: row[8],
            base_kv: row[9],
            vmax_pu: row[11],
            vmin_pu: row[12],
        };
        Some(Placed { line, what })
    }

    fn branch(&mut self, matrix: &Matrix, k: usize) -> Option<Placed<Branch<u32>>> {
        let (row, line) = (matrix.row(k), matrix.rows[k].1);
        let from = self.number(line, "branch", "fbus", row[0]);
        let to = self.number(line, "branch", "tbus", row[1]);
        let (from, to) = (from?, to?);
        let in_service = self.status(line, &format!("branch {from}-{to}"), row[10]);
        let (low, high) = (row.get(11).copied().unwrap_or(0.0), row.get(12).copied().unwrap_or(0.0));
        // As MATPOWER's makeAang: a limit counts when one of the two is neither 0 nor a whole turn away.
        let limits = (low != 0.0 && low > -360.0) || (high != 0.0 && high < 360.0) || low.is_nan() || high.is_nan();
        let what = Branch {
            from,
            to,
            r_pu: row[2],
            x_pu: row[3],
            b_pu: row[4],
            // Below 0 is caught later; MATPOWER, too, takes 1e10 for unlimited.
            rate_mva: Some(row[5]).filter(|rate| *rate != 0.0 && (*rate < 1e10 || rate.is_nan())),
            tap: if row[8] == 0.0 { 1.0 } else { row[8] },
            shift_deg: row[9],
            in_service,
            angle_min_deg: Some(low).filter(|low| limits && (*low > -360.0 || low.is_nan())),
            angle_max_deg: Some(high).filter(|high| limits && (*high < 360.0 || high.is_nan())),
        };
        Some(Placed { line, what })
    }

    fn status(&mut self, line: usize, field: &str, status: f64) -> bool {
        if status.is_nan() {
            self.problems.push(Problem::new(line, field, "status is NaN: write 1 in service or 0 out of service"));
        }
        status > 0.0
    }

    fn generator(
        &mut self,
        matrix: &Matrix,
        k: usize,
        cost: Cost,
        reactive_cost: Option<Cost>,
    ) -> Option<Placed<Generator<u32>>> {
        let (row, line) = (matrix.row(k), matrix.rows[k].1);
        let bus = self.number(line, "gen", "bus", row[0])?;
        let in_service = self.status(line, &format!("generator at bus {bus}"), row[7]);
        let what = Generator {
            bus,
            p_mw: row[1],
            q_mvar: row[2],
            q_max_mvar: row[3],
            q_min_mvar: row[4],
            v_pu: row[5],
            in_service,
            p_max_mw: row[8],
            p_min_mw: row[9],
            cost,
            reactive_cost,
        };
        Some(Placed { line, what })
    }

    /// `model startup shutdown n …`: points of a piecewise linear cost (1), or coefficients from the highest down (2).
    fn cost(&mut self, matrix: &Matrix, k: usize) -> Option<Cost> {
        let (row, line) = (matrix.row(k), matrix.rows[k].1);
        if row.len() < 4 {
            let what = format!("has {} columns in this row, needs at least 4", row.len());
            self.problems.push(Problem::new(line, "gencost", what));
            return None;
        }
        let n = self.number(line, "gencost", "n", row[3])?;
        let (model, n) = (whole(row[0]), usize::try_from(n).unwrap_or(usize::MAX));
        let needed = if model == Some(1) { n.saturating_mul(2) } else { n };
        let data = &row[4..];
        let what = match model {
            Some(1 | 2) if data.len() < needed => {
                format!("says n = {n} and has {} of {needed} numbers after it: mend n or add them", data.len())
            }
            Some(1) => return Some(Cost::Piecewise(data[..needed].chunks_exact(2).map(|p| (p[0], p[1])).collect())),
            Some(2) => {
                let mut coefficients: Vec<f64> = data[..needed].iter().rev().copied().collect();
                while coefficients.last() == Some(&0.0) {
                    coefficients.pop();
                }
                return Some(Cost::Polynomial(coefficients));
            }
            _ => format!("model is {}: write 1 (piecewise linear) or 2 (polynomial)", row[0]),
        };
        self.problems.push(Problem::new(line, "gencost", what));
        None
    }
}
