//! `locate`: what was heard, held against what is claimed.

mod places;

use super::print;
use crate::cli::Locate;
use crate::failure::{Code, Failure};
use drivers::Heard;
use drivers::radio::{self, Line};
use places::{Device, Places};
use serde_json::json;
use solvers::locate::{Judged, Limits, MOST, Range, Sighting, Unfit, Verdict, filter, judge};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};

/// A line is not longer than a topic and a payload of a node can be.
const LONGEST: u64 = 8192;

/// What an anchor has of a device.
struct Sight<'a> {
    node: &'a str,
    samples: usize,
    dbm: f64,
    range: Range,
    at: (f64, f64),
}

/// What came of a device.
struct Found<'a> {
    device: &'a Device,
    sights: Vec<Sight<'a>>,
    judged: Result<Judged, Unfit>,
}

/// What was heard: loudness by node and code of the sender, and what could not be used.
#[derive(Default)]
struct Ear {
    heard: BTreeMap<(String, String), Vec<f64>>,
    lines: usize,
    unread: usize,
    first: Option<String>,
}

/// `locate`
pub fn locate(options: &Locate) -> Result<(), Failure> {
    let places = places::read(&options.places, options.seed)?;
    let name = options.heard.display().to_string();
    let ear = if name == "-" {
        Ear::listen("standard input", std::io::stdin().lock())?
    } else {
        let file = std::fs::File::open(&options.heard).map_err(|e| Failure::new(Code::Data, format!("{name}: {e}")))?;
        Ear::listen(&name, BufReader::new(file))?
    };
    if let (Some(first), true) = (&ear.first, ear.unread == ear.lines) {
        return Err(Failure::new(Code::Data, format!("{first}; and no other line can be read either")));
    }
    let found: Vec<Found<'_>> = places.devices.iter().map(|device| hold(&places, device, &ear)).collect();
    let text = if options.json { format!("{}\n", object(&places, &found, &ear)) } else { told(&found, &ear) };
    print(&text)?;
    let elsewhere = found.iter().filter(|f| matches!(f.judged, Ok(Judged { verdict: Verdict::Elsewhere, .. }))).count();
    match elsewhere {
        0 => Ok(()),
        1 => Err(Failure::new(Code::Found, "a device is not where it claims to be")),
        n => Err(Failure::new(Code::Found, format!("{n} devices are not where they claim to be"))),
    }
}

impl Ear {
    fn listen(name: &str, mut from: impl BufRead) -> Result<Self, Failure> {
        let mut ear = Self::default();
        for number in 1.. {
            let mut line = Vec::new();
            let read = from.by_ref().take(LONGEST).read_until(b'\n', &mut line);
            match read.map_err(|e| Failure::new(Code::Data, format!("{name}: {e}")))? {
                0 => break,
                _ => ear.take(name, number, line.trim_ascii()),
            }
        }
        Ok(ear)
    }

    fn take(&mut self, name: &str, number: usize, line: &[u8]) {
        if line.is_empty() {
            return;
        }
        self.lines += 1;
        match read(line) {
            Ok((node, heard)) => {
                self.heard.entry((node, radio::code(&heard.sender))).or_default().push(heard.rssi.get());
            }
            Err(what) => {
                self.unread += 1;
                self.first.get_or_insert_with(|| format!("{name}:{number}: {what}"));
            }
        }
    }
}

/// One line: a topic and a payload, or a bridge's name and what it said.
fn read(line: &[u8]) -> Result<(String, Heard), String> {
    let space = line.iter().position(|b| *b == b' ').ok_or("is neither `topic payload` nor `bridge H …`")?;
    let (first, rest) = (&line[..space], &line[space + 1..]);
    let first = std::str::from_utf8(first).map_err(|_| "begins with what is no text")?;
    if first.contains('/') {
        let (node, heard) = radio::heard(first, rest).map_err(|e| e.to_string())?;
        Ok((node.to_owned(), heard))
    } else {
        Line::read(rest).map(|line| (first.to_owned(), line.heard)).map_err(|e| e.to_string())
    }
}

fn mm(metres: f64) -> i64 {
    #[allow(clippy::cast_possible_truncation, reason = "a cast of a float saturates, and what is too far is refused")]
    let whole = (metres * 1000.0).round() as i64;
    whole
}

fn hold<'a>(places: &'a Places, device: &'a Device, ear: &Ear) -> Found<'a> {
    let mut sights: Vec<Sight<'a>> = Vec::new();
    for anchor in &places.anchors {
        let Some(samples) = ear.heard.get(&(anchor.node.clone(), device.code.clone())) else { continue };
        let Some(dbm) = filter(samples).filter(|_| samples.len() >= places.samples) else { continue };
        let (range, at) = (device.model.range(dbm), (anchor.x, anchor.y));
        sights.push(Sight { node: &anchor.node, samples: samples.len(), dbm, range, at });
    }
    // Of more than can be judged the loudest are the nearest.
    sights.sort_by(|a, b| b.dbm.total_cmp(&a.dbm));
    sights.truncate(MOST);
    let sightings: Vec<Sighting> =
        sights.iter().map(|s| Sighting { x: mm(s.at.0), y: mm(s.at.1), distance: mm(s.range.metres).max(1) }).collect();
    let limits = Limits::by_covariance(device.model.relative(), places.false_rejections, places.reach);
    Found { device, judged: judge(mm(device.x), mm(device.y), &sightings, &limits), sights }
}

fn metres(mm: i64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a place")]
    let metres = mm as f64 / 1000.0;
    metres
}

impl Found<'_> {
    fn word(&self) -> &'static str {
        match self.judged {
            Ok(Judged { verdict: Verdict::Here, .. }) => "here",
            Ok(Judged { verdict: Verdict::Elsewhere, .. }) => "elsewhere",
            Ok(Judged { verdict: Verdict::Unclear, .. }) | Err(_) => "unclear",
        }
    }

    /// The place that the distances speak for, if they speak for one.
    fn place(&self) -> Option<(f64, f64)> {
        let judged = self.judged.ok().filter(|j| j.verdict != Verdict::Unclear)?;
        Some((metres(judged.x), metres(judged.y)))
    }

    fn off(&self) -> Option<f64> {
        self.place().map(|(x, y)| (x - self.device.x).hypot(y - self.device.y))
    }

    fn dropped(&self, index: usize) -> bool {
        self.judged.is_ok_and(|j| u32::try_from(index).is_ok_and(|i| j.dropped.checked_shr(i).unwrap_or(0) & 1 == 1))
    }

    fn why(&self) -> Option<String> {
        match &self.judged {
            Err(unfit) => Some(unfit.to_string()),
            Ok(Judged { verdict: Verdict::Unclear, .. }) => {
                Some("the anchors do not agree, or stand so that they cannot tell".into())
            }
            Ok(_) => None,
        }
    }
}

fn told(found: &[Found<'_>], ear: &Ear) -> String {
    let mut text = String::new();
    for f in found {
        text += &format!("{}: {}", f.device.name, f.word());
        if let (Some((x, y)), Some(off)) = (f.place(), f.off()) {
            text += &format!(", at {x:.1}, {y:.1}: {off:.1} m from its claim");
        }
        if let Some(why) = f.why() {
            text += &format!(": {why}");
        }
        text += "\n";
        for (i, s) in f.sights.iter().enumerate() {
            let (metres, sigma) = (s.range.metres, s.range.sigma);
            let note = if f.dropped(i) { ", dropped" } else { "" };
            text += &format!(
                "  {:<16} {metres:6.1} m ± {sigma:.1}, {:.1} dBm, heard {} times{note}\n",
                s.node, s.dbm, s.samples
            );
        }
    }
    if let Some(first) = &ear.first {
        text += &format!("{} of {} lines could not be read, the first: {first}\n", ear.unread, ear.lines);
    }
    text
}

fn object(places: &Places, found: &[Found<'_>], ear: &Ear) -> serde_json::Value {
    let device = |f: &Found<'_>| {
        let anchors = f.sights.iter().enumerate().map(|(i, s)| {
            json!({
                "node": s.node, "samples": s.samples, "dbm": s.dbm, "metres": s.range.metres,
                "sigma_metres": s.range.sigma, "dropped": f.dropped(i),
            })
        });
        json!({
            "name": f.device.name,
            "verdict": f.word(),
            "claim": { "x": f.device.x, "y": f.device.y },
            "place": f.place().map(|(x, y)| json!({ "x": x, "y": y })),
            "metres_off": f.off(),
            "why": f.why(),
            "anchors": anchors.collect::<Vec<_>>(),
        })
    };
    json!({
        "false_rejections": places.false_rejections,
        "reach_metres": places.reach,
        "devices": found.iter().map(device).collect::<Vec<_>>(),
        "lines": ear.lines,
        "lines_not_read": ear.unread,
    })
}
