//! TOML written by people, read so that every mistake is found at once and named by file, line and key. Templates and
//! the gateway's configuration are read this way.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One mistake in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 when the file could not be read at all.
    pub line: usize,
    /// The column, from 1; 0 when the file could not be read at all.
    pub column: usize,
    /// The key, with dots; empty when the text is no TOML.
    pub field: String,
    /// What is wrong, as a sentence that begins with the key.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.field.is_empty() {
            write!(f, "{} ", self.field)?;
        }
        f.write_str(&self.what)
    }
}

/// The file that is being read, and what was found wrong with it so far.
pub struct Notes<'a> {
    file: &'a str,
    text: &'a str,
    problems: RefCell<Vec<Problem>>,
}

impl<'a> Notes<'a> {
    /// Nothing noted yet.
    pub fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, problems: RefCell::new(Vec::new()) }
    }

    /// Notes a problem at a place in the text.
    pub fn add(&self, at: &Range<usize>, field: &str, what: impl Into<String>) {
        let before = self.text.get(..at.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        let (file, field, what) = (self.file.to_owned(), field.to_owned(), what.into());
        self.problems.borrow_mut().push(Problem { file, line, column, field, what });
    }

    /// How many were noted.
    pub fn count(&self) -> usize {
        self.problems.borrow().len()
    }

    /// All of them, in the order of the file.
    pub fn finish(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|p| (p.line, p.column));
        problems
    }
}

/// One table of the file. Keys that nobody asked for are problems too: a misspelt key must not be silently ignored.
pub struct Section<'a, 't> {
    /// Where problems go.
    pub notes: &'a Notes<'a>,
    /// Where the table stands in the text.
    pub span: Range<usize>,
    path: String,
    table: &'a DeTable<'t>,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'a, 't> Section<'a, 't> {
    /// The file's top level.
    pub fn root(notes: &'a Notes<'a>, table: &'a DeTable<'t>, span: Range<usize>) -> Self {
        Self { notes, span, path: String::new(), table, asked: RefCell::default() }
    }

    /// The key with the tables around it.
    pub fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The value of a key, which is from now on a known one.
    pub fn get(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'t>>> {
        self.asked.borrow_mut().insert(key);
        self.table.get(key)
    }

    /// Notes a problem with this key, or with the table if it lacks the key.
    pub fn problem(&self, key: &'static str, what: impl Into<String>) {
        let span = self.table.get(key).map_or(self.span.clone(), Spanned::span);
        self.notes.add(&span, &self.path(key), what);
    }

    /// A table within this one.
    pub fn section(&self, key: &'static str) -> Option<Section<'a, 't>> {
        let value = self.get(key)?;
        let DeValue::Table(table) = value.get_ref() else {
            self.problem(key, format!("is of type {}, must be a table", value.get_ref().type_str()));
            return None;
        };
        let (notes, span, path) = (self.notes, value.span(), self.path(key));
        Some(Section { notes, span, path, table, asked: RefCell::default() })
    }

    /// The tables of an array of tables, `[[key]]`; none if there is no such key.
    pub fn sections(&self, key: &'static str) -> Vec<Section<'a, 't>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let Some(list) = value.get_ref().as_array() else {
            self.problem(
                key,
                format!("is of type {}, must be one or more [[{key}]] tables", value.get_ref().type_str()),
            );
            return Vec::new();
        };
        let mut found = Vec::with_capacity(list.len());
        for (index, item) in list.iter().enumerate() {
            let path = format!("{}[{}]", self.path(key), index + 1);
            match item.get_ref() {
                DeValue::Table(table) => {
                    let span = item.span();
                    found.push(Section { notes: self.notes, span, path, table, asked: RefCell::default() });
                }
                other => {
                    self.notes.add(&item.span(), &path, format!("is of type {}, must be a table", other.type_str()))
                }
            }
        }
        found
    }

    /// A list of texts; none if there is no such key.
    pub fn texts(&self, key: &'static str) -> Option<Vec<String>> {
        let value = self.get(key)?;
        let list = value.get_ref().as_array();
        let texts = list.and_then(|l| l.iter().map(|v| v.get_ref().as_str().map(str::to_owned)).collect());
        if texts.is_none() {
            self.problem(key, "must be a list of texts");
        }
        texts
    }

    /// One text, or a list of them.
    pub fn text_or_texts(&self, key: &'static str) -> Option<Vec<String>> {
        match self.get(key)?.get_ref().as_array() {
            Some(_) => self.texts(key),
            None => self.text(key).map(|text| vec![text]),
        }
    }

    fn required<T>(&self, key: &'static str, found: Option<T>) -> Option<T> {
        if found.is_none() && self.table.get(key).is_none() {
            self.problem(key, "is missing");
        }
        found
    }

    /// A text.
    pub fn text(&self, key: &'static str) -> Option<String> {
        let value = self.get(key)?;
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.problem(key, format!("is of type {}, must be a text", value.get_ref().type_str()));
        }
        text.map(str::to_owned)
    }

    /// A text that must be there and not be blank.
    pub fn required_text(&self, key: &'static str) -> Option<String> {
        let text = self.required(key, self.text(key))?;
        if text.trim().is_empty() {
            self.problem(key, "is empty");
        }
        Some(text)
    }

    /// `true` or `false`.
    pub fn flag(&self, key: &'static str) -> Option<bool> {
        let value = self.get(key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.problem(key, "must be true or false");
        }
        flag
    }

    /// An integer within `bounds`.
    pub fn number<T: TryFrom<i128>>(&self, key: &'static str, bounds: Range<i128>) -> Option<T> {
        let value = self.get(key)?;
        let number = integer(value.get_ref()).filter(|n| bounds.contains(n)).and_then(|n| T::try_from(n).ok());
        if number.is_none() {
            self.problem(key, format!("must be a whole number from {} to {}", bounds.start, bounds.end - 1));
        }
        number
    }

    /// An integer that must be there.
    pub fn required_number<T: TryFrom<i128>>(&self, key: &'static str, bounds: Range<i128>) -> Option<T> {
        self.required(key, self.number(key, bounds))
    }

    /// A finite number.
    pub fn float(&self, key: &'static str) -> Option<f64> {
        let value = self.get(key)?;
        let number = decimal(value.get_ref()).and_then(|d| d.parse::<f64>().ok()).filter(|n| n.is_finite());
        if number.is_none() {
            self.problem(key, "must be a number");
        }
        number
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            let hint = did_you_mean(&text, names.iter().copied());
            self.problem(key, format!("is {text:?}, must be one of {}{hint}", names.join(", ")));
        }
        found
    }

    /// One of a few words, and it must be there.
    pub fn required_choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        self.required(key, self.choice(key, choices))
    }

    /// One of a few numbers.
    pub fn choice_of_numbers(&self, key: &'static str, choices: &[u8]) -> Option<u8> {
        let value = self.get(key)?;
        let found = integer(value.get_ref()).and_then(|n| choices.iter().copied().find(|c| i128::from(*c) == n));
        if found.is_none() {
            let names: Vec<_> = choices.iter().map(u8::to_string).collect();
            self.problem(key, format!("must be {}", names.join(" or ")));
        }
        found
    }

    /// Notes the keys that nobody asked for.
    pub fn close(&self) {
        let asked = self.asked.borrow();
        for (key, _) in self.table {
            let name: &str = key.get_ref();
            if !asked.contains(name) {
                let known: Vec<_> = asked.iter().copied().collect();
                let hint = did_you_mean(name, known.iter().copied());
                let what = format!("is no key that is known here; known are {}{hint}", known.join(", "));
                self.notes.add(&key.span(), &self.path(name), what);
            }
        }
    }
}

/// `; did you mean …?` if one of the words is near enough, else nothing.
pub fn did_you_mean<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> String {
    let nearest = known.map(|k| (distance(word, k), k)).min().filter(|(d, k)| *d <= 1 + k.len() / 3);
    nearest.map_or_else(String::new, |(_, k)| format!("; did you mean {k:?}?"))
}

/// Levenshtein's edit distance.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// The value of an integer literal, in any radix and beyond 64 bits.
pub fn integer(value: &DeValue<'_>) -> Option<i128> {
    let literal = value.as_integer()?;
    i128::from_str_radix(literal.as_str(), literal.radix()).ok()
}

/// A number literal as decimal text.
pub fn decimal(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::Float(f) => Some(f.as_str().to_owned()),
        other => integer(other).map(|n| n.to_string()),
    }
}
