//! `[broker]` and `[bridge]`: who may do what, and what is refused.

use super::*;
use std::os::unix::fs::PermissionsExt;

const USERS: &str = "own:a\nbarn:b\nhass:c\nzigbee:d\n";
const MORE: &str = "\n[[broker.user]]\nname = \"hass\"\nrole = \"home-assistant\"\n\
    \n[[broker.user]]\nname = \"zigbee\"\npublish = [\"z/#\"]\nsubscribe = [\"z/+/set\"]\ndevices = [\"barn\"]\n\
    \n[bridge]\nurl = \"mqtt://localhost:1884\"\nprefix = \"lane/\"\npublish = [\"microgrid/#\"]\nsubscribe = [\"asks/#\"]\n";

/// A street whose broker has users, and the folder that their file is in.
fn street() -> (tempfile::TempDir, String) {
    let room = tempfile::tempdir().unwrap();
    let file = room.path().join("users");
    std::fs::write(&file, USERS).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let listen = "listen = \"127.0.0.1:1883\"";
    let secure = "tls_listen = \"0.0.0.0:8883\"\ntls = \"self-signed\"\ntls_names = [\"lane.example.org\"]";
    let text = FULL.replacen(listen, &format!("{listen}\nusers_file = {file:?}\n{secure}{MORE}"), 1);
    (room, text)
}

#[test]
fn a_user_called_like_a_meter_may_do_what_that_meter_must_and_nothing_else() {
    let (_room, text) = street();
    let broker = sound(&text).broker.unwrap();
    let rights = |name: &str| &broker.users.iter().find(|user| user.name == name).unwrap().rights;
    assert_eq!(*rights("own"), ::broker::Rights::all());
    assert_eq!(
        *rights("barn"),
        ::broker::Rights { publish: vec!["barn/plug/#".into()], subscribe: vec!["barn/plug/#".into()] }
    );
    let hass = rights("hass");
    assert!(hass.subscribes("microgrid/lane/switch/hall/state") && hass.subscribes("ha/#"));
    assert!(hass.publishes("ha/status") && hass.publishes("microgrid/lane/account/hall/reconnect"));
    for forged in ["microgrid/lane/meter/hall/state", "barn/plug/command", "ha/device/x/config"] {
        assert!(!hass.publishes(forged), "{forged}");
    }
    assert!(!hass.subscribes("#") && !hass.subscribes("barn/plug/#"));
    let zigbee = rights("zigbee");
    assert!(zigbee.publishes("z/pump") && zigbee.publishes("barn/plug/x") && !zigbee.subscribes("z/pump"));
    assert_eq!(broker.own().unwrap().user, "own");
    let tls = broker.tls.unwrap();
    assert_eq!((tls.listen.port(), tls.names), (8883, vec!["lane.example.org".to_owned()]));
    let bridge = broker.bridge.unwrap();
    assert_eq!((bridge.host.as_str(), bridge.port, bridge.prefix.as_str()), ("localhost", 1884, "lane/"));
    assert_eq!(bridge.client_id, "microgrid-gateway-lane-bridge");
}

#[test]
fn a_tasmota_has_a_tree_for_each_of_its_prefixes() {
    let (_room, text) = street();
    let text = text.replacen("model = \"shelly-plus-1pm\"", "model = \"tasmota-energy\"", 1);
    let broker = sound(&text).broker.unwrap();
    let barn = &broker.users[1].rights;
    assert_eq!(barn.publish, ["cmnd/barn/plug/#", "stat/barn/plug/#", "tele/barn/plug/#"]);
}

#[test]
fn a_mistake_about_the_broker_is_named_with_its_key() {
    let mistakes = [
        ("\"127.0.0.1:1883\"", "\"0.0.0.0:1883\"", "broker.listen", "tls_listen"),
        ("tls = \"self-signed\"\n", "", "broker.tls_listen", "certificate"),
        ("tls_listen = \"0.0.0.0:8883\"\n", "", "broker.tls", "tls_listen"),
        ("name = \"hass\"", "name = \"hasss\"", "broker.user[1].name", "no line in users_file"),
        ("name = \"hass\"", "name = \"hasss\"", "broker.users_file", "hass, who may do nothing"),
        ("name = \"hass\"", "name = \"own\"", "broker.user[1].name", "gateway's own"),
        ("name = \"hass\"", "name = \"zigbee\"", "broker.user[2].name", "another user"),
        ("role = \"home-assistant\"", "role = \"home\"", "broker.user[1].role", "home-assistant"),
        ("role = \"home-assistant\"\n", "", "broker.user[1].name", "given nothing"),
        ("[\"barn\"]", "[\"hall\"]", "broker.user[2].devices", "no meter or switch on an MQTT bus"),
        ("[\"z/#\"]", "[\"z/#/x\"]", "broker.user[2].publish", "topic filter"),
        ("mqtt://localhost:1884", "http://localhost:1884", "bridge.url", "mqtt://host:port"),
        ("mqtt://localhost:1884", "mqtts://localhost:1884", "bridge.ca_file", "missing"),
        ("prefix = \"lane/\"", "prefix = \"+/\"", "bridge.prefix", "begin a topic"),
        ("[\"asks/#\"]", "[\"+/lane/x\"]", "bridge.subscribe", "circle"),
        ("publish = [\"microgrid/#\"]\nsubscribe = [\"asks/#\"]\n", "", "bridge.publish", "what goes over"),
    ];
    for (old, new, field, part) in mistakes {
        let (_room, sound) = street();
        let text = sound.replacen(old, new, 1);
        assert_ne!(text, sound, "{old:?} is not there");
        let Err(Problems(found)) = parse(&text) else { panic!("{new:?} was taken") };
        let problem = found.iter().find(|p| p.field == field && p.what.contains(part));
        assert!(problem.is_some(), "{old:?} → {new:?}: nothing about {field} with {part:?}:\n{found:#?}");
    }
}

#[test]
fn no_password_of_the_broker_is_printed() {
    let (room, text) = street();
    std::fs::write(room.path().join("users"), "own:sesame1\nbarn:sesame2\nhass:sesame3\nzigbee:sesame4\n").unwrap();
    assert!(!format!("{:?}", sound(&text)).contains("sesame"));
}

#[test]
fn a_name_of_the_brokers_own_is_nobody_elses() {
    let (room, text) = street();
    std::fs::write(room.path().join("users"), format!("{USERS}$bridge:sesame\n")).unwrap();
    let Err(Problems(found)) = parse(&text) else { panic!("it was taken") };
    let problem = found.iter().find(|p| p.field == "broker.users_file" && p.what.contains("\"$bridge\""));
    assert!(problem.is_some_and(|p| !p.what.contains("sesame")), "{found:#?}");
}
