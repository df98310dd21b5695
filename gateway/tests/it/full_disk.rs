//! The disk is full, or cannot be written: the lights stay as they are, nothing is lost, and it goes on by itself.

use crate::house::{self, Room, Running, eventually};
use std::path::{Path, PathBuf};
use std::process::Command;

const HALL: &str = r#"
[enforce]
lease = "3s"
stale_after = "2s"

[simulator]
seed = 7

[[bus]]
id = "lan"
kind = "modbus-tcp"
address = "127.0.0.1:METERS"
simulate = true

[[account]]
id = "hall"

[[meter]]
id = "hall"
account = "hall"
bus = "lan"
unit = 2
model = "sim-home"
period = "500ms"
simulated_scale = 90000

[[switch]]
id = "hall"
account = "hall"
bus = "lan"
unit = 2
model = "sim-home"
on_silence = "open"
"#;

/// Lives through it: `fill` is told the gateway's process id and leaves no room, `free` makes room again.
fn live_through(room: &Room, start: impl FnOnce(&Path) -> Running, fill: impl Fn(u32), free: impl Fn(u32)) {
    let text = format!("{}{}", house::SOUND, HALL.replace("METERS", &house::free_port().to_string()));
    let config = room.config(&text);
    let gateway = start(&config);
    let page = gateway.listening("http");
    let picture = || house::state(page);
    let readings = || picture()["ledger"]["readings"].as_i64().unwrap();
    let switch = || picture()["homes"][0]["switches"][0].clone();
    eventually("the hall has light, and is read", || {
        (switch()["position"] == "closed" && readings() > 3).then_some(())
    });

    fill(gateway.id());
    eventually("the page says so", || picture()["ledger"]["problem"].as_str().map(str::to_owned));
    let recorded = readings();
    // Nobody hears of the hall any more, and without news its switch is to open. But nothing can be recorded, so nothing
    // is moved.
    let problem = eventually("the switch was to be moved", || switch()["problem"].as_str().map(str::to_owned));
    assert!(problem.contains("could not be recorded, so it was not given"), "{problem}");
    assert_eq!((switch()["position"].as_str(), readings()), (Some("closed"), recorded));
    assert_eq!(house::get(page, "/health").status, 503);

    free(gateway.id());
    eventually("it is well again", || picture()["ledger"]["problem"].is_null().then_some(()));
    eventually("readings are recorded", || (readings() > recorded + 3).then_some(()));
    assert_eq!(switch()["position"], "closed");
    let said = |words: &str| gateway.lines().iter().filter(|line| line.contains(words)).count();
    assert_eq!((said("nothing can be recorded"), said("recording goes on")), (1, 1), "once, and not every round");
    assert_eq!(gateway.stop(), 0);
    house::verb(&["journal", "verify"], &config).well();
    let totals = house::verb(&["journal", "export"], &config);
    let moved =
        totals.well().out.lines().filter(|line| line.contains("switch_ordered") && line.contains("open")).count();
    assert_eq!(moved, 0, "the light went out");
}

/// A small disk of its own, gone when the test ends.
struct Mounted(PathBuf);

impl Mounted {
    /// `None` where nobody may mount.
    fn at(place: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(place).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "microgrid-test"]).arg(place);
        mount.output().ok().filter(|done| done.status.success()).map(|_| Self(place.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_is_full_moves_no_switch_and_loses_no_energy() {
    let room = Room::new();
    let place = room.path("state");
    let Some(disk) = Mounted::at(&place, "6m") else {
        return println!("not tried: nobody may mount here; the next test tries the same without");
    };
    let filler = place.join("filler");
    let fill = |_| {
        let mut size = 1 << 16;
        let mut all = Vec::new();
        // Down to the last page.
        while size >= 4096 {
            all.resize(all.len() + size, 7);
            if std::fs::write(&filler, &all).is_err() {
                all.truncate(all.len() - size);
                size /= 2;
            }
        }
    };
    live_through(&room, Running::gateway, fill, |_| std::fs::remove_file(&filler).unwrap());
    drop(disk);
}

#[test]
fn files_that_may_not_grow_move_no_switch_and_lose_no_energy() {
    let limit = |process: u32, bytes: &str| {
        let mut command = Command::new("prlimit");
        house::run(command.args(["--pid", &process.to_string(), &format!("--fsize={bytes}:unlimited")])).well();
    };
    let start = |config: &Path| {
        // The signal that comes with the limit would end it: a full disk sends none.
        let mut shell = Command::new("sh");
        let started = shell.args(["-c", "trap '' XFSZ; exec \"$0\" run -c \"$1\"", house::GATEWAY]).arg(config);
        let running = Running::start("the gateway", started);
        house::bo_comes_in(running.listening("http"), config);
        running
    };
    live_through(&Room::new(), start, |process| limit(process, "1"), |process| limit(process, "unlimited"));
}
