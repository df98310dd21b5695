//! Questions and answers while devices are waited for: the runtime goes on between them, and a signal ends them.

use crate::failure::{Code, Failure};
use crate::setup::talk::{LONGEST, yes_or_no};
use std::fmt::Display;
use std::io::{BufRead, IsTerminal, Read, Write};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

/// A conversation with whoever stands in front of the cabinet.
pub struct Answers {
    lines: mpsc::Receiver<String>,
    stop: watch::Receiver<Option<&'static str>>,
    echoed: bool,
}

impl Answers {
    /// From standard input. From here on SIGHUP (a terminal that is lost), SIGINT, SIGQUIT and SIGTERM do not end the
    /// process but the conversation, so that whatever it was about can be put right first.
    pub fn open() -> Result<Self, Failure> {
        let (say, stop) = watch::channel(None);
        for (kind, name) in [
            (SignalKind::hangup(), "SIGHUP"),
            (SignalKind::interrupt(), "SIGINT"),
            (SignalKind::quit(), "SIGQUIT"),
            (SignalKind::terminate(), "SIGTERM"),
        ] {
            let mut signal = signal(kind).map_err(|e| Failure::new(Code::Internal, format!("signals: {e}")))?;
            let say = say.clone();
            tokio::spawn(async move {
                while signal.recv().await.is_some() {
                    say.send_replace(Some(name));
                }
            });
        }
        let (told, lines) = mpsc::channel(1);
        // A read cannot be broken off: the thread ends with its input, or with the process.
        std::thread::spawn(move || {
            let mut from = std::io::stdin().lock();
            loop {
                let mut line = Vec::new();
                let read = Read::take(&mut from, LONGEST).read_until(b'\n', &mut line);
                if !read.is_ok_and(|n| n > 0) || told.blocking_send(String::from_utf8_lossy(&line).into()).is_err() {
                    return;
                }
            }
        });
        Ok(Self { lines, stop, echoed: std::io::stdin().is_terminal() })
    }

    /// Says something. A terminal that is lost is noticed by who asks it something, not by who speaks to it.
    pub fn say(&self, text: impl Display) {
        let mut to = std::io::stdout().lock();
        let _ = writeln!(to, "{text}").and_then(|()| to.flush());
    }

    /// Waits for a device, until a signal comes.
    pub async fn unless_stopped<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            name = stopped(&mut self.stop) => Err(broken(name, "waiting for a device")),
            done = work => Ok(done),
        }
    }

    /// Asks for yes or no.
    pub async fn yes(&mut self, question: &str) -> Result<bool, Failure> {
        loop {
            let mut to = std::io::stdout().lock();
            let asked = write!(to, "{question}: ").and_then(|()| to.flush());
            drop(to);
            asked.map_err(|e| Failure::new(Code::Usage, format!("nobody hears \"{question}\": {e}")))?;
            let line = tokio::select! {
                biased;
                name = stopped(&mut self.stop) => return Err(broken(name, question)),
                line = self.lines.recv() => line,
            };
            let ended = || Failure::new(Code::Usage, format!("the answers ended at \"{question}\""));
            let line = line.ok_or_else(ended)?;
            let typed = line.trim();
            if !self.echoed {
                self.say(typed);
            }
            match yes_or_no(typed) {
                Ok(answer) => return Ok(answer),
                Err(why) => self.say(format!("  {why}")),
            }
        }
    }
}

fn broken(signal: &str, at: &str) -> Failure {
    Failure::new(Code::Usage, format!("{signal} at \"{at}\""))
}

async fn stopped(stop: &mut watch::Receiver<Option<&'static str>>) -> &'static str {
    match stop.wait_for(Option::is_some).await {
        Ok(name) => name.unwrap_or("a signal"),
        // Nobody is left who could say so.
        Err(_) => std::future::pending().await,
    }
}
