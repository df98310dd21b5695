//! The statements of a case file, one after the other.

use super::formula::{self, Value};
use super::matrix::{self, Matrix};
use super::scan::Scan;
use crate::network::Problem;
use std::collections::BTreeMap;

/// What the statements left in the structure.
#[derive(Debug, Default)]
pub struct Case {
    pub name: String,
    /// The name of the structure.
    pub structure: String,
    /// The format version and its line.
    pub version: Option<(String, usize)>,
    pub base: Option<(f64, usize)>,
    pub matrices: BTreeMap<String, Matrix>,
    pub bus_names: Vec<String>,
    pub variables: BTreeMap<String, f64>,
}

/// The fields that make a network. What program text does to others does not matter.
const FIELDS: &[&str] = &["version", "baseMVA", "bus", "gen", "branch", "gencost", "bus_name"];

/// Deepest nesting of `if`.
const DEEPEST: usize = 64;

pub fn run(text: &str) -> (Case, Vec<Problem>, Vec<Problem>) {
    let mut run = Run {
        scan: Scan::new(text),
        case: Case { structure: "mpc".into(), ..Case::default() },
        problems: Vec::new(),
        notes: Vec::new(),
        open: 0,
    };
    while run.statement() {}
    (run.case, run.problems, run.notes)
}

struct Run<'a> {
    scan: Scan<'a>,
    case: Case,
    problems: Vec<Problem>,
    notes: Vec<Problem>,
    /// `if` blocks that are being followed.
    open: usize,
}

impl Run<'_> {
    fn problem(&mut self, line: usize, field: &str, what: impl Into<String>) {
        self.problems.push(Problem::new(line, field, what));
    }

    /// One statement; false at the end.
    fn statement(&mut self) -> bool {
        loop {
            self.scan.blanks();
            match self.scan.peek() {
                None => return false,
                Some(b'\n' | b';' | b',') => self.scan.step(),
                Some(_) => break,
            }
        }
        let line = self.scan.line;
        if self.scan.peek() == Some(b'[') {
            self.column_names(line);
            return true;
        }
        let Some(word) = self.scan.word() else {
            let what = format!(
                "{:?} is not understood here: a case file holds assignments such as mpc.bus = [ … ];",
                self.scan.here()
            );
            self.problem(line, "", what);
            self.pass_statement();
            return true;
        };
        match word {
            "function" => self.function(),
            "define_constants" | "clear" | "clc" | "format" => self.pass_statement(),
            "return" => return false,
            "if" => self.condition(line),
            "end" | "endif" | "endfunction" => self.open = self.open.saturating_sub(1),
            "else" | "elseif" if self.open > 0 => {
                self.open -= 1;
                self.skip_block();
            }
            "for" | "while" | "switch" | "try" | "else" | "elseif" => {
                let what = "is a program, which is not followed: run it in MATPOWER and write the result with savecase";
                self.problem(line, word, what);
                return false;
            }
            _ => self.assignment(word, line),
        }
        true
    }

    /// `function mpc = case9`
    fn function(&mut self) {
        self.scan.blanks();
        if self.scan.peek() == Some(b'[') {
            let what = "returns a list of matrices, which is format version 1: convert it with MATPOWER's loadcase and savecase";
            self.problem(self.scan.line, "function", what);
            return self.pass_statement();
        }
        let first = self.scan.word().unwrap_or_default().to_owned();
        self.scan.blanks();
        if self.scan.eat(b'=') {
            self.scan.blanks();
            self.case.structure = first;
            self.case.name = self.scan.word().unwrap_or_default().to_owned();
        } else {
            self.case.name = first;
        }
        self.pass_statement();
    }

    /// `[PQ, PV, …] = idx_bus;`: the columns have these names in this format, whatever the file calls them.
    fn column_names(&mut self, line: usize) {
        self.pass_brackets();
        self.scan.blanks();
        let known = self.scan.eat(b'=') && {
            self.scan.blanks();
            matches!(self.scan.word(), Some("idx_bus" | "idx_gen" | "idx_brch" | "idx_cost"))
        };
        if !known {
            self.problem(line, "", "a list is assigned by a program, which is not followed: write the data itself");
        }
        self.pass_statement();
    }

    fn condition(&mut self, line: usize) {
        match formula::value(&mut self.scan, &self.case) {
            Ok(Value::One(value)) if self.ends() => {
                if value == 0.0 {
                    self.skip_block();
                } else if self.open < DEEPEST {
                    self.open += 1;
                }
            }
            _ => {
                self.problem(line, "if", "depends on what is not known here: write the data as it is to be read");
                self.skip_block();
            }
        }
    }

    /// Passes statements up to the `end` of this block, or its `else`.
    fn skip_block(&mut self) {
        let begin = self.scan.line;
        let mut depth = 0_usize;
        loop {
            self.scan.blanks();
            match self.scan.peek() {
                None => return self.problem(begin, "if", "has no end: add it"),
                Some(b'\n' | b';' | b',') => {
                    self.scan.step();
                    continue;
                }
                Some(_) => {}
            }
            match self.scan.word() {
                Some("if" | "for" | "while" | "switch" | "try") => depth += 1,
                Some("end" | "endif" | "endfor" | "endwhile") if depth == 0 => return,
                Some("end" | "endif" | "endfor" | "endwhile") => depth -= 1,
                Some("else") if depth == 0 => {
                    self.open += 1;
                    return;
                }
                _ => {}
            }
            self.pass_statement();
        }
    }

    /// `name = …`, `mpc.field = …`, `mpc.field(:, COLUMNS) = …`
    fn assignment(&mut self, word: &str, line: usize) {
        let mut path = word.to_owned();
        while self.scan.peek() == Some(b'.') {
            self.scan.step();
            match self.scan.word() {
                Some(part) => path = format!("{path}.{part}"),
                None => break,
            }
        }
        let field = path.strip_prefix(&format!("{}.", self.case.structure)).map(str::to_owned);
        let matters = field.as_deref().is_some_and(|f| FIELDS.contains(&f));
        let named = field.as_deref().unwrap_or(&path).to_owned();
        self.scan.blanks();
        let place = match self.scan.peek() {
            Some(b'(') => Some(formula::place(&mut self.scan, &self.case)),
            _ => None,
        };
        if let (Some(Err(why)), true) = (&place, matters) {
            self.problem(line, &named, why);
            return self.pass_statement();
        }
        self.scan.blanks();
        if !self.scan.eat(b'=') || self.scan.peek() == Some(b'=') {
            if matters || field.is_none() {
                let what = "is not assigned a value: a case file holds assignments such as mpc.bus = [ … ];";
                self.problem(line, &named, what);
            }
            return self.pass_statement();
        }
        self.scan.blanks();
        match (place, field) {
            // What is done to a field that nobody reads is of no consequence.
            (_, Some(field)) if !matters => {
                if field.contains("dcline") {
                    self.notes.push(Problem::new(line, field, "is left out: lines of direct current are not modelled"));
                }
                self.pass_statement();
                return;
            }
            (Some(Ok(place)), Some(field)) => {
                let value = formula::value(&mut self.scan, &self.case);
                if let Err(why) = value.and_then(|value| formula::store(&mut self.case, &field, &place, &value)) {
                    self.problem(line, &named, why);
                    return self.pass_statement();
                }
            }
            (None, Some(field)) => self.field(&field, line),
            (None, None) => match formula::value(&mut self.scan, &self.case) {
                Ok(Value::One(value)) => drop(self.case.variables.insert(path, value)),
                // It counts only where somebody uses it.
                _ => {
                    self.case.variables.remove(&path);
                    return self.pass_statement();
                }
            },
            (Some(_), _) => return self.pass_statement(),
        }
        if !self.ends() {
            let what =
                format!("is followed by {:?}, which is not understood: end the statement with ;", self.scan.here());
            self.problem(self.scan.line, &named, what);
            self.pass_statement();
        }
    }

    /// The value of a whole field.
    fn field(&mut self, field: &str, line: usize) {
        match (field, self.scan.peek()) {
            ("bus" | "gen" | "branch" | "gencost", Some(b'[')) => {
                let matrix = matrix::read(&mut self.scan, field, &self.case, &mut self.problems);
                self.case.matrices.insert(field.to_owned(), matrix);
            }
            ("bus_name", Some(b'{')) => {
                let from = self.scan.clone();
                self.pass_brackets();
                self.case.bus_names = texts(from, self.scan.at);
            }
            ("version", Some(b'\'' | b'"')) => match self.scan.quoted() {
                Some(version) => self.case.version = Some((version, line)),
                None => self.problem(line, field, "has a quote that is not closed"),
            },
            ("version" | "baseMVA", _) => match formula::value(&mut self.scan, &self.case) {
                Ok(Value::One(value)) if field == "version" => self.case.version = Some((value.to_string(), line)),
                Ok(Value::One(value)) => self.case.base = Some((value, line)),
                Ok(Value::Many(_)) => self.problem(line, field, "is a matrix: write one number"),
                Err(why) => {
                    self.problem(line, field, why);
                    self.pass_statement();
                }
            },
            _ => {
                let what = format!("is {:?}, which is not understood: write a matrix, [ … ]", self.scan.here());
                self.problem(line, field, what);
                self.pass_statement();
            }
        }
    }

    /// Whether the statement ends here.
    fn ends(&mut self) -> bool {
        self.scan.blanks();
        matches!(self.scan.peek(), None | Some(b'\n' | b';' | b','))
    }

    /// Passes the rest of a statement, brackets and texts within it whole.
    fn pass_statement(&mut self) {
        loop {
            self.scan.blanks();
            match self.scan.peek() {
                None | Some(b'\n' | b';') => return,
                Some(b'[' | b'{' | b'(') => self.pass_brackets(),
                _ => self.pass_one(),
            }
        }
    }

    /// Passes what is in brackets, an opening one being next.
    fn pass_brackets(&mut self) {
        let begin = self.scan.line;
        let mut depth = 0_usize;
        loop {
            self.scan.blanks();
            match self.scan.peek() {
                None => return self.problem(begin, "", "a bracket is opened here and not closed: add the closing one"),
                Some(b'[' | b'{' | b'(') => depth += 1,
                Some(b']' | b'}' | b')') => depth = depth.saturating_sub(1),
                _ => {
                    self.pass_one();
                    continue;
                }
            }
            self.scan.step();
            if depth == 0 {
                return;
            }
        }
    }

    /// Passes a text in quotes, or a byte. A quote after a word or bracket transposes and opens no text.
    fn pass_one(&mut self) {
        let before = self.scan.at.checked_sub(1).map(|at| self.scan.bytes[at]);
        let transposes =
            before.is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b')' | b']' | b'}' | b'.' | b'_'));
        match self.scan.peek() {
            Some(b'"') => {
                let _ = self.scan.quoted();
            }
            Some(b'\'') if !transposes => {
                let _ = self.scan.quoted();
            }
            _ => self.scan.step(),
        }
    }
}

/// The texts in a list, up to a place.
fn texts(mut scan: Scan<'_>, end: usize) -> Vec<String> {
    let mut found = Vec::new();
    while scan.at < end {
        scan.blanks();
        match scan.peek() {
            None => break,
            Some(b'\'' | b'"') => found.extend(scan.quoted()),
            _ => scan.step(),
        }
    }
    found
}
