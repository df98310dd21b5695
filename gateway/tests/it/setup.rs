//! An installer describes a street by answering questions, and signs off what was looked at.

use crate::house::{self, Room, Running};
use std::path::Path;

fn served(port: u16) -> String {
    let mut text = format!(
        "{}\n[simulator]\nseed = 7\n\n[[bus]]\nid = \"lan\"\nkind = \"modbus-tcp\"\naddress = \"127.0.0.1:{port}\"\nsimulate = true\n",
        house::SOUND
    );
    for (home, unit) in [("hall", 2), ("barn", 3)] {
        text += &format!(
            "\n[[account]]\nid = \"{home}\"\n\n[[meter]]\nid = \"{home}\"\naccount = \"{home}\"\nbus = \"lan\"\nunit = {unit}\n\
             model = \"sim-home\"\nsimulated_scale = 50000\n\n[[switch]]\nid = \"{home}\"\naccount = \"{home}\"\n\
             bus = \"lan\"\nunit = {unit}\nmodel = \"sim-home\"\non_silence = \"hold\"\n"
        );
    }
    text
}

fn answers(port: u16) -> String {
    [
        // The site: one name is wrong, and is asked for again.
        "Hill Road",
        "hill-road",
        "Europe/Madrid",
        "",
        "0.21",
        "",
        "",
        "08:00-10:00, 18:00-22:00",
        // One bus, two units.
        "nonsense",
        &format!("127.0.0.1:{port}"),
        "1-4",
        "hall",
        "",
        "",
        "no",
        "hall",
        "barn",
        "",
        "barn",
        "yes",
        "none",
        // Their contacts; the protected customer's stays closed.
        "",
        "perhaps",
        "open",
        "lan0 3 sim-home",
        "open",
        "lan0 3 sim-home",
        "hold",
        // The page, the chain.
        "no",
        "",
        "",
    ]
    .map(|line| line.to_owned() + "\n")
    .concat()
}

fn setup(config: &Path, answers: &str) -> house::Ended {
    house::run_with_input(house::gateway(["setup", "-c"]).arg(config), answers)
}

#[test]
fn a_street_is_described_by_answers_and_commissioned_with_somebody_looking() {
    let room = Room::new();
    let port = house::free_port();
    let simulated = room.write("served.toml", served(port));
    let simulator = Running::start("the simulator", house::gateway(["simulate", "-c"]).arg(&simulated));
    simulator.line("that it serves", |line| line.contains("Ctrl-C").then_some(()));

    let config = room.path("street.toml");
    let all = answers(port);
    // Answers that end early write nothing.
    let half: String = all.lines().take(14).map(|line| format!("{line}\n")).collect();
    setup(&config, &half).complains(64, &["the answers ended at"]);
    assert!(!config.exists());

    let ended = setup(&config, &all);
    ended.well();
    for part in
        ["site.name", "neither a path", "unit 2: sim-home", "there is a meter hall already", "there is no safe answer"]
    {
        assert!(ended.out.contains(part), "{part:?} in {}", ended.out);
    }
    let text = std::fs::read_to_string(&config).unwrap();
    for part in ["name = \"hill-road\"", "timezone = \"Europe/Madrid\"", "off_peak = \"0.21\"", "protected = true"] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    assert!(text.contains("# network_fee"), "what can be set stays explained");
    assert!(house::verb(&["check"], &config).well().out.contains("1 buses, 2 accounts, 2 meters, 2 switches"));
    setup(&config, &all).complains(64, &["describes a street already"]);

    // The gateway's own folder is the package's; here it is beside the file.
    std::fs::write(&config, text.replace("/var/lib/microgrid-gateway", "state")).unwrap();
    let report = room.path("report.md");
    let commission = |answers: &str| {
        let mut command = house::gateway(["commission", "--by", "ada", "-c"]);
        house::run_with_input(command.arg(&config).arg("--report").arg(&report), answers)
    };
    // Both displays agree; the hall's switch moves, its power goes and comes back.
    let ended = commission("yes\nyes\nyes\nyes\nyes\n");
    ended.well();
    assert!(ended.out.contains("switch barn is closed, and stays"), "{}", ended.out);
    let text = std::fs::read_to_string(&report).unwrap();
    for part in [
        "| hall | lan0 unit 2, sim-home",
        "closed, open, closed | yes",
        "barn: stays as it is, protected",
        "| installer |",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    let position = |home: &str| house::verb(&["probe", home], &config).well().out.lines().last().unwrap().to_owned();
    assert_eq!(position("hall"), "hall is closed");

    // Whoever sees something else says so, and it is in the report.
    commission("no\nyes\nyes\nno\nyes\n").complains(1, &["2 of 4 devices are not in order"]);
    let text = std::fs::read_to_string(&report).unwrap();
    assert!(
        text.contains("its display shows something else") && text.contains("open, and the power is not gone"),
        "{text}"
    );
    // Whoever goes away with the switch open leaves it closed.
    commission("yes\nyes\nyes\n").complains(64, &["switch hall: it is closed again"]);
    assert_eq!(position("hall"), "hall is closed");
    assert_eq!(simulator.stop(), 0);
}

#[test]
fn a_switch_is_not_moved_beside_a_gateway_that_runs() {
    let room = Room::new();
    let config = room.config(&served(house::free_port()));
    let gateway = Running::gateway(&config);
    house::verb(&["commission", "--by", "ada"], &config).complains(69, &["stop it"]);
    assert_eq!(gateway.stop(), 0);
}
