//! An installer describes a street by answering questions, and signs off what was looked at.

use crate::house::{self, Room, Running};
use ledger::Ledger;
use std::os::unix::fs::PermissionsExt;
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
    assert!(!config.exists() && !room.path("street.toml.new").exists());
    // A place that cannot be written is said before the first question.
    let nowhere = setup(&room.path("no/such/street.toml"), &all);
    nowhere.complains(69, &["no/such/street.toml.new"]);
    assert_eq!(nowhere.out, "");

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
    assert_eq!(std::fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(house::verb(&["check"], &config).well().out.contains("1 buses, 2 accounts, 2 meters, 2 switches"));
    setup(&config, &all).complains(64, &["describes a street already"]);

    // The gateway's own folder is the package's; here it is beside the file.
    std::fs::write(&config, text.replace("/var/lib/microgrid-gateway", "state")).unwrap();
    let commission = |name: &str| {
        let mut command = house::gateway(["commission", "--by", "ada", "-c"]);
        command.arg(&config).arg("--report").arg(room.path(name));
        command
    };
    let answered = |name: &str, answers: &str| house::run_with_input(&mut commission(name), answers);
    let report = |name: &str| std::fs::read_to_string(room.path(name)).unwrap();
    // Both displays agree; the hall's switch moves, its power goes and comes back.
    let ended = answered("report.md", "yes\nyes\nyes\nyes\nyes\n");
    ended.well();
    assert!(ended.out.contains("switch barn is closed, and stays"), "{}", ended.out);
    let text = report("report.md");
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
    // What is signed stays, and nobody is asked in vain.
    let again = answered("report.md", "yes\nyes\nyes\nyes\nyes\n");
    again.complains(64, &["is there already", "--report"]);
    assert_eq!((again.out.as_str(), report("report.md")), ("", text));

    // Whoever sees something else says so, and it is in the report.
    answered("other.md", "no\nyes\nyes\nno\nyes\n").complains(1, &["2 of 4 devices are not in order"]);
    let text = report("other.md");
    assert!(
        text.contains("its display shows something else") && text.contains("open, and the power is not gone"),
        "{text}"
    );
    // Whoever goes away with the switch open leaves it closed, and what was seen is kept.
    answered("half.md", "yes\nyes\nyes\n").complains(64, &["switch hall: it is closed again", "half.md"]);
    assert_eq!(position("hall"), "hall is closed");
    let text = report("half.md");
    for part in
        ["**Broken off", "closed, open, closed | nobody looked | broken off", "| barn | lan0 unit 3", "not reached"]
    {
        assert!(text.contains(part), "{part:?} in {text}");
    }

    // So does whoever loses the terminal, or is ended.
    for signal in ["HUP", "INT", "TERM"] {
        let name = format!("{signal}.md");
        let mut asked = Running::start("the commissioning", &mut commission(&name));
        for _ in 0..3 {
            asked.tell("yes");
        }
        house::eventually("the switch is open", || (position("hall") == "hall is open").then_some(()));
        let told = std::process::Command::new("kill").args([format!("-{signal}"), asked.id().to_string()]).status();
        assert!(told.unwrap().success());
        assert_eq!(asked.ended(), 64);
        asked.line("that it is put back", |line| {
            line.contains(&format!("SIG{signal}")).then(|| assert!(line.contains("it is closed again"), "{line}"))
        });
        assert_eq!(position("hall"), "hall is closed");
        assert!(report(&name).contains("**Broken off"));
    }

    // A bus that is gone is said loudly, after it was tried again and again.
    let mut asked = Running::start("the commissioning", &mut commission("dark.md"));
    for _ in 0..3 {
        asked.tell("yes");
    }
    house::eventually("the switch is open", || (position("hall") == "hall is open").then_some(()));
    assert_eq!(simulator.stop(), 0);
    asked.tell("yes");
    assert_eq!(asked.ended(), 1);
    house::eventually("five tries", || {
        (asked.lines().iter().filter(|line| line.contains("not closed yet")).count() == 5).then_some(())
    });
    assert!(report("dark.md").contains("switch hall IS STILL OPEN"), "{}", report("dark.md"));
}

#[test]
fn a_switch_is_not_moved_beside_a_gateway_that_runs() {
    let room = Room::new();
    let config = room.config(&served(house::free_port()));
    let gateway = Running::gateway(&config);
    house::verb(&["commission", "--by", "ada"], &config).complains(69, &["systemctl stop"]);
    assert_eq!(gateway.stop(), 0);
}

#[test]
fn a_gateway_without_customers_settles_on_no_chain_yet() {
    let room = Room::new();
    let config = room.config(house::SOUND);
    let chain = || Ledger::open_copy(&room.path("state/ledger.db")).unwrap().meta(actors::CHAIN_ID).unwrap();
    let gateway = Running::gateway(&config);
    let page = gateway.listening("http");
    house::eventually("the settler has looked", || (house::state(page)["chain"]["chain_id"] == 31337).then_some(()));
    assert_eq!(gateway.stop(), 0);
    assert_eq!(chain(), None);

    // So another chain can still be named, and is the one it keeps.
    let node = room.write("node.toml", house::SOUND.replace("31337", "4711").replace("\"state\"", "\"node\""));
    let node = Running::start("the node", house::gateway(["chain", "serve", "-c"]).arg(node));
    let url = node.line("where it answers", |line| Some(line.split_once("answers on ")?.1.to_owned()));
    let rpc = format!("kind = \"rpc\"\nurl = \"{url}\"\nchain_id = 4711\n");
    let embedded = "kind = \"embedded\"\nchain_id = 31337\nrpc_listen = \"127.0.0.1:0\"\n";
    let street = house::SOUND.replace(embedded, &rpc) + "\n[[account]]\nid = \"hall\"\n";
    let config = room.config(&street);
    let gateway = Running::gateway(&config);
    house::eventually("the ledger knows its chain", || (chain()? == "4711").then_some(()));
    assert_eq!(gateway.stop(), 0);
    let config = room.config(&(house::SOUND.to_owned() + "\n[[account]]\nid = \"hall\"\n"));
    let found = house::verb(&["doctor"], &config);
    assert_eq!(found.code, 1, "{}", found.out);
    for part in ["settles on chain 4711", "another chain needs another state folder"] {
        assert!(found.out.contains(part), "{part:?} in {}", found.out);
    }
}

#[test]
fn whose_chain_it_is_has_no_usual_answer_and_the_key_has_a_command() {
    let room = Room::new();
    let config = room.path("street.toml");
    let ended = setup(&config, &("\n".repeat(9) + "http://127.0.0.1:1\n\n5\n\n"));
    ended.well();
    for part in ["there is no usual answer", "sudo -u microgrid-gateway microgrid-gateway key new", "needs coin"] {
        assert!(ended.out.contains(part), "{part:?} in {}", ended.out);
    }
    assert!(std::fs::read_to_string(&config).unwrap().contains("chain_id = 5"));
    // The folder of a key is made, and is nobody else's.
    let key = room.path("keys/settler.key");
    house::run(house::gateway(["key", "new"]).arg(&key)).well();
    assert_eq!(std::fs::metadata(room.path("keys")).unwrap().permissions().mode() & 0o777, 0o700);
}
