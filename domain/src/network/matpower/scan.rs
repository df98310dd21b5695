//! Bytes with their line: blanks, comments, words, numbers.

/// A place in the text.
#[derive(Clone, Debug)]
pub struct Scan<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
    /// From 1.
    pub line: usize,
}

impl<'a> Scan<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { bytes: text.strip_prefix('\u{feff}').unwrap_or(text).as_bytes(), at: 0, line: 1 }
    }

    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub fn peek_at(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    /// Goes one byte on.
    pub fn step(&mut self) {
        if self.peek() == Some(b'\n') {
            self.line += 1;
        }
        self.at += 1;
    }

    /// Takes this byte if it is next.
    pub fn eat(&mut self, byte: u8) -> bool {
        let is = self.peek() == Some(byte);
        if is {
            self.step();
        }
        is
    }

    /// Passes blanks, comments and continued line ends; not the end of the line.
    pub fn blanks(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'%' | b'#' if self.opens_block() => self.block(),
                b'%' | b'#' => self.rest_of_line(),
                b'.' if self.bytes[self.at..].starts_with(b"...") => {
                    self.rest_of_line();
                    if self.peek().is_some() {
                        self.step();
                    }
                }
                _ => break,
            }
        }
    }

    /// Goes to the end of the line, and does not pass it.
    pub fn rest_of_line(&mut self) {
        let rest = &self.bytes[self.at..];
        self.at += rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
    }

    /// `%{` alone on its line.
    fn opens_block(&self) -> bool {
        self.peek_at(1) == Some(b'{') && self.alone_on_line(2)
    }

    /// Whether nothing but so many bytes from here stands on this line.
    fn alone_on_line(&self, length: usize) -> bool {
        let blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\r');
        let before = self.bytes[..self.at].iter().rev().take_while(|b| **b != b'\n').all(blank);
        let after = self.bytes.get(self.at + length..).unwrap_or(&[]);
        before && after.iter().take_while(|b| **b != b'\n').all(blank)
    }

    /// Passes a block comment, with those inside it.
    fn block(&mut self) {
        let mut depth = 0_usize;
        while self.peek().is_some() {
            if matches!(self.peek(), Some(b'%' | b'#')) {
                match self.peek_at(1) {
                    Some(b'{') if self.alone_on_line(2) => depth += 1,
                    Some(b'}') if self.alone_on_line(2) => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    return self.rest_of_line();
                }
            }
            self.rest_of_line();
            if self.peek().is_some() {
                self.step();
            }
            while matches!(self.peek(), Some(b' ' | b'\t')) {
                self.at += 1;
            }
        }
    }

    /// A name.
    pub fn word(&mut self) -> Option<&'a str> {
        let rest = &self.bytes[self.at..];
        let length = match rest.first() {
            Some(b) if b.is_ascii_alphabetic() || *b == b'_' => {
                rest.iter().position(|b| !(b.is_ascii_alphanumeric() || *b == b'_')).unwrap_or(rest.len())
            }
            _ => return None,
        };
        self.at += length;
        std::str::from_utf8(&rest[..length]).ok()
    }

    /// A number without a sign.
    pub fn number(&mut self) -> Option<f64> {
        let rest = &self.bytes[self.at..];
        let digits = |from: usize| rest[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        let whole = digits(0);
        let mut end = whole;
        if rest.get(end) == Some(&b'.') && rest.get(end + 1) != Some(&b'.') {
            let fraction = digits(end + 1);
            // `2./x` divides element by element.
            if whole + fraction == 0 || (fraction == 0 && matches!(rest.get(end + 1), Some(b'*' | b'/' | b'^'))) {
                if whole == 0 {
                    return None;
                }
            } else {
                end += 1 + fraction;
            }
        }
        if end == 0 {
            return None;
        }
        let mantissa = end;
        if matches!(rest.get(end), Some(b'e' | b'E' | b'd' | b'D')) {
            let sign = usize::from(matches!(rest.get(end + 1), Some(b'+' | b'-')));
            let exponent = digits(end + 1 + sign);
            if exponent > 0 {
                end += 1 + sign + exponent;
            }
        }
        let text = std::str::from_utf8(&rest[..end]).ok()?;
        let value = if matches!(rest.get(mantissa), Some(b'd' | b'D')) && end > mantissa {
            text.replace(['d', 'D'], "e").parse().ok()?
        } else {
            text.parse().ok()?
        };
        self.at += end;
        Some(value)
    }

    /// A text in quotes, the opening one being next; it ends with its line at the latest.
    pub fn quoted(&mut self) -> Option<String> {
        let quote = self.peek()?;
        self.at += 1;
        let from = self.at;
        let mut found = Vec::new();
        loop {
            match self.peek() {
                None | Some(b'\n') => {
                    self.at = from;
                    return None;
                }
                Some(b) if b == quote => {
                    self.at += 1;
                    if self.peek() != Some(quote) {
                        return Some(String::from_utf8_lossy(&found).into_owned());
                    }
                    found.push(quote);
                }
                Some(b) => found.push(b),
            }
            self.at += 1;
        }
    }

    /// What stands here, for a message.
    pub fn here(&self) -> String {
        let rest = &self.bytes[self.at.min(self.bytes.len())..];
        let line = rest.split(|b| *b == b'\n').next().unwrap_or(&[]);
        let text = String::from_utf8_lossy(line);
        let text = text.trim();
        let short: String = text.chars().take(40).collect();
        if short.len() < text.len() { format!("{short}…") } else { short }
    }
}
