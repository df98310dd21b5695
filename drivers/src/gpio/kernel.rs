//! The kernel's character device, by its second interface (Linux 5.10 and newer).

use super::CONSUMER;
use super::count::Edge;
use super::group;
use super::lines::{Edges, Filter, Held, Lines, Sense};
use super::spec::{Bias, Level, PulseLine};
use crate::capability::DeviceError;
use gpiocdev::line::{EdgeDetection, EdgeKind, Value};
use gpiocdev::request::{Builder, Config};
use gpiocdev::{Error, Request};
use nix::errno::Errno;
use nix::time::{ClockId, clock_gettime};
use std::fmt::Display;
use std::io::ErrorKind;
use std::path::PathBuf;

/// As many edges as the kernel will keep for us; more than that are counted by their numbers.
const QUEUE: u32 = 1024;

/// A chip by its device file.
pub(crate) struct Chip {
    path: PathBuf,
}

impl Chip {
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    fn open(&self) -> Result<gpiocdev::Chip, DeviceError> {
        // The library says less about it than the system does.
        if let Err(error) = std::fs::File::open(&self.path) {
            return Err(DeviceError::wire(self.unopened(&error)));
        }
        let no_chip = |error: Error| DeviceError::wire(format!("{} is no GPIO chip: {error}", self.path.display()));
        gpiocdev::Chip::from_path(&self.path).map_err(no_chip)
    }

    fn unopened(&self, error: &std::io::Error) -> String {
        let path = self.path.display();
        match error.kind() {
            ErrorKind::NotFound => format!("there is no {path}; {}", present()),
            ErrorKind::PermissionDenied => {
                let group = group::of(&self.path).unwrap_or_else(|| "its group".to_owned());
                format!(
                    "{path} may not be opened: whoever runs the gateway must be in group {group} \
                     (usermod -aG {group} USER, or SupplementaryGroups={group} in the unit)"
                )
            }
            _ => format!("{path} cannot be opened: {error}"),
        }
    }

    /// Why a line was not given to us.
    fn refused(&self, line: u32, error: &Error) -> DeviceError {
        let path = self.path.display();
        let Ok(chip) = self.open() else { return DeviceError::wire(format!("line {line} of {path}: {error}")) };
        if let Ok(info) = chip.info()
            && line >= info.num_lines
        {
            let (label, last) = (info.label, info.num_lines.saturating_sub(1));
            return DeviceError::NotSetUp {
                what: format!("{path} ({label}) has the lines 0 to {last}, and no {line}"),
            };
        }
        match (errno(error), chip.line_info(line)) {
            (Some(Errno::EBUSY), Ok(info)) => {
                let name = if info.name.is_empty() { String::new() } else { format!(" ({})", info.name) };
                let holder = match info.consumer.as_str() {
                    "" => "by the kernel, which does not say for what".to_owned(),
                    ours if ours.starts_with(CONSUMER) => {
                        format!("by {ours:?}: another gateway, check or probe runs")
                    }
                    other => format!("by {other:?}: free it, or use another line"),
                };
                DeviceError::wire(format!("line {line}{name} of {path} is held {holder}"))
            }
            _ => DeviceError::wire(format!("line {line} of {path}: {error}")),
        }
    }

    fn request(&self, line: u32, builder: &mut Builder) -> Result<Request, DeviceError> {
        builder.request().map_err(|error| self.refused(line, &error))
    }

    fn builder(&self, line: u32, active: Level, consumer: &str) -> Builder {
        let mut builder = Request::builder();
        builder.on_chip(&self.path).with_consumer(consumer).with_line(line);
        if active == Level::Low {
            builder.as_active_low();
        }
        builder
    }
}

impl Lines for Chip {
    fn look(&self) -> Result<(), DeviceError> {
        self.open()?.info().map(drop).map_err(|error| {
            DeviceError::wire(format!("{} is no GPIO chip that this program can use: {error}", self.path.display()))
        })
    }

    fn listen(&self, line: &PulseLine, consumer: &str) -> Result<(Box<dyn Edges>, Filter), DeviceError> {
        self.open()?;
        let input = || {
            let mut builder = self.builder(line.line, line.active, consumer);
            builder.as_input().with_bias(bias(line.bias)).with_kernel_event_buffer_size(QUEUE);
            builder
        };
        let mut debounced = input();
        debounced.with_edge_detection(EdgeDetection::RisingEdge).with_debounce_period(line.debounce);
        let (request, filter) = match debounced.request() {
            Ok(request) => (request, Filter::Kernel),
            // Hardware that debounces, but not for so long: then it hands on every edge, and we do it. What is wrong
            // beside that is wrong without debouncing too, and is said then.
            Err(error) if matches!(errno(&error), Some(Errno::EINVAL | Errno::ERANGE | Errno::EOPNOTSUPP)) => {
                let mut raw = input();
                raw.with_edge_detection(EdgeDetection::BothEdges);
                (self.request(line.line, &mut raw)?, Filter::Ours(line.debounce))
            }
            Err(error) => return Err(self.refused(line.line, &error)),
        };
        Ok((Box::new(Line { request, line: line.line, active: line.active, output: false }), filter))
    }

    fn hold(&self, sense: Sense, consumer: &str) -> Result<Box<dyn Held>, DeviceError> {
        self.open()?;
        let mut builder = self.builder(sense.line, sense.active, consumer);
        match sense.input {
            Some(pull) => builder.as_input().with_bias(bias(pull)),
            None => builder.as_is(),
        };
        let request = self.request(sense.line, &mut builder)?;
        Ok(Box::new(Line { request, line: sense.line, active: sense.active, output: false }))
    }
}

fn bias(bias: Bias) -> Option<gpiocdev::line::Bias> {
    match bias {
        Bias::AsIs => None,
        Bias::PullUp => Some(gpiocdev::line::Bias::PullUp),
        Bias::PullDown => Some(gpiocdev::line::Bias::PullDown),
        Bias::Disabled => Some(gpiocdev::line::Bias::Disabled),
    }
}

fn errno(error: &Error) -> Option<Errno> {
    match error {
        Error::Os(code) | Error::Uapi(_, gpiocdev_uapi::Error::Os(code)) => Some(Errno::from_raw(code.0)),
        _ => None,
    }
}

/// The chips of this machine, for whoever named another.
fn present() -> String {
    let entries = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut chips: Vec<String> = named.filter(|name| name.starts_with("gpiochip")).collect();
    chips.sort();
    match chips.as_slice() {
        [] => "this machine has no /dev/gpiochip at all".to_owned(),
        chips => format!("this machine has /dev/{}", chips.join(", /dev/")),
    }
}

/// A line that is ours.
struct Line {
    request: Request,
    line: u32,
    active: Level,
    /// We have made it an output.
    output: bool,
}

impl Line {
    fn broken(&self, error: impl Display) -> DeviceError {
        DeviceError::wire(format!("line {} of {}: {error}", self.line, self.request.chip_path().display()))
    }

    fn level(&self) -> Result<bool, DeviceError> {
        Ok(self.request.lone_value().map_err(|error| self.broken(error))? == Value::Active)
    }
}

impl Edges for Line {
    fn take(&mut self) -> Result<Vec<Edge>, DeviceError> {
        let mut edges = Vec::new();
        // By a buffer of the library's own: its `read_edge_event` (0.8.0) takes up to eight edges from the kernel and
        // hands on the first.
        let mut buffer = self.request.new_edge_event_buffer(64);
        // The bound is for a line that oscillates faster than it is read. What is left in the buffer would be lost.
        while edges.len() < 64 * 1024 || !buffer.is_empty() {
            let next = match buffer.has_event() {
                Ok(false) => break,
                Ok(true) => buffer.read_event(),
                Err(error) => Err(error),
            };
            match next {
                Ok(event) => {
                    let active = event.kind == EdgeKind::Rising;
                    edges.push(Edge { at: event.timestamp_ns, active, number: event.line_seqno });
                }
                // What was taken is told first; what is wrong shows again.
                Err(_) if !edges.is_empty() => break,
                Err(error) => return Err(self.broken(error)),
            }
        }
        Ok(edges)
    }

    fn active(&self) -> Result<bool, DeviceError> {
        self.level()
    }

    fn now(&self) -> u64 {
        // The clock of the kernel's edges. It is always there; without it no power would be told.
        let Ok(now) = clock_gettime(ClockId::CLOCK_MONOTONIC) else { return u64::MAX };
        let (seconds, rest) = (u64::try_from(now.tv_sec()), u64::try_from(now.tv_nsec()));
        seconds.unwrap_or(0).saturating_mul(1_000_000_000).saturating_add(rest.unwrap_or(0))
    }
}

impl Held for Line {
    fn active(&self) -> Result<bool, DeviceError> {
        self.level()
    }

    fn drive(&mut self, active: bool) -> Result<(), DeviceError> {
        let value = if active { Value::Active } else { Value::Inactive };
        if self.output {
            return self.request.set_lone_value(value).map_err(|error| self.broken(error));
        }
        // Direction and level in one step, so that the line never shows a level that nobody ordered.
        let mut config = Config::default();
        config.with_line(self.line).as_output(value);
        if self.active == Level::Low {
            config.as_active_low();
        }
        self.request.reconfigure(&config).map_err(|error| self.broken(error))?;
        self.output = true;
        Ok(())
    }
}
