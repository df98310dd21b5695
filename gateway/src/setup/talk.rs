//! Questions and answers, line by line: at a terminal, over a serial console, or from a file.

use crate::failure::{Code, Failure};
use std::fmt::Display;
use std::io::{BufRead, Write};

/// The longest answer that is read.
pub const LONGEST: u64 = 4096;

/// A conversation.
pub struct Talk<R, W> {
    from: R,
    to: W,
    /// Whether answers are shown by the terminal that they are typed at.
    echoed: bool,
}

impl<R: BufRead, W: Write> Talk<R, W> {
    /// With whoever answers `from` there.
    pub fn new(from: R, to: W, echoed: bool) -> Self {
        Self { from, to, echoed }
    }

    /// Says something.
    pub fn say(&mut self, text: impl Display) -> Result<(), Failure> {
        writeln!(self.to, "{text}").and_then(|()| self.to.flush()).map_err(|e| Failure::new(Code::Unavailable, e))
    }

    /// Asks until `take` accepts the answer. An empty one stands for the usual one, if there is one.
    pub fn ask<T, E: Display>(
        &mut self,
        question: &str,
        usual: Option<&str>,
        mut take: impl FnMut(&str) -> Result<T, E>,
    ) -> Result<T, Failure> {
        loop {
            let hint = usual.filter(|u| !u.is_empty()).map_or_else(String::new, |u| format!(" [{u}]"));
            let failed = |e: std::io::Error| Failure::new(Code::Unavailable, e);
            write!(self.to, "{question}{hint}: ").and_then(|()| self.to.flush()).map_err(failed)?;
            let mut line = Vec::new();
            let mut limited = std::io::Read::take(&mut self.from, LONGEST);
            limited.read_until(b'\n', &mut line).map_err(failed)?;
            if line.is_empty() {
                let ended = format!("the answers ended at \"{question}\"");
                return Err(Failure::new(Code::Usage, ended));
            }
            let typed = String::from_utf8_lossy(&line);
            let typed = typed.trim();
            if !self.echoed {
                writeln!(self.to, "{typed}").map_err(failed)?;
            }
            let answer = match (typed, usual) {
                ("", Some(usual)) => usual,
                ("", None) => {
                    self.say("  there is no usual answer to that")?;
                    continue;
                }
                (typed, _) => typed,
            };
            match take(answer) {
                Ok(taken) => return Ok(taken),
                Err(why) => self.say(indented(&why.to_string()))?,
            }
        }
    }

    /// Asks for a text.
    pub fn text(&mut self, question: &str, usual: Option<&str>) -> Result<String, Failure> {
        self.ask(question, usual, |answer| Ok::<_, String>(answer.to_owned()))
    }

    /// Asks for yes or no.
    pub fn yes(&mut self, question: &str, usual: Option<bool>) -> Result<bool, Failure> {
        let usual = usual.map(|yes| if yes { "yes" } else { "no" });
        self.ask(question, usual, yes_or_no)
    }
}

/// What an answer to a question for one of the two means.
pub fn yes_or_no(answer: &str) -> Result<bool, &'static str> {
    match answer.to_lowercase().as_str() {
        "y" | "yes" => Ok(true),
        "n" | "no" => Ok(false),
        _ => Err("yes or no?"),
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talk(answers: &str) -> (Vec<u8>, &[u8]) {
        (Vec::new(), answers.as_bytes())
    }

    #[test]
    fn a_wrong_answer_is_asked_again_and_an_empty_one_is_the_usual_one() {
        let (mut said, answers) = talk("perhaps\n\nY\n\n");
        let mut with = Talk::new(answers, &mut said, true);
        assert!(!with.yes("really", Some(false)).unwrap());
        assert!(with.yes("really", Some(false)).unwrap());
        assert_eq!(with.text("name", Some("lane")).unwrap(), "lane");
        let said = String::from_utf8(said).unwrap();
        assert_eq!(said, "really [no]: \x20 yes or no?\nreally [no]: really [no]: name [lane]: ");
    }

    #[test]
    fn what_has_no_usual_answer_wants_one_and_answers_may_end() {
        let (mut said, answers) = talk("\n");
        let ended = Talk::new(answers, &mut said, false).text("on_silence", None).unwrap_err();
        assert_eq!(ended.code, Code::Usage);
        assert!(ended.message.contains("on_silence"), "{ended}");
    }

    #[test]
    fn any_bytes_are_answers_and_a_line_without_end_ends() {
        let mut said = Vec::new();
        let bytes = vec![0xff; 3 * 4096];
        let mut with = Talk::new(bytes.as_slice(), &mut said, true);
        assert!(with.yes("really", None).is_err());
    }
}
