//! Three gateways of one neighbourhood, on one chain and one broker. One of them lies.

use crate::anvil::{Anvil, RICH};
use crate::house::{self, Room, Running, eventually};
use contracts::chain::Chain;
use contracts::key::{LocalKey, Signer};
use contracts::provider::{self, Prices, Terms};
use contracts::tx::{Call, Transaction};
use contracts::witness::{self, Rules};
use contracts::{Address, U256};
use domain::{Money, Price, Reading, Timestamp, WattHours};
use ledger::{Ledger, Write};
use serde_json::Value;
use std::path::PathBuf;

/// Dissents that flag: a gateway that lies with every batch is out after so many.
const DISSENTS: u16 = 2;

/// Whoever set the neighbourhood up.
struct Street<'a> {
    chain: &'a dyn Chain,
    owner: LocalKey,
    witness: Address,
    book: Address,
}

impl<'a> Street<'a> {
    fn new(chain: &'a dyn Chain) -> Self {
        let owner = LocalKey::from_hex(RICH).unwrap();
        let mut street = Self { chain, owner, witness: Address::ZERO, book: Address::ZERO };
        let rules = Rules { batches: 100, dissents: DISSENTS, patience: 30, needed: vec![1, 2, 2] };
        street.witness = street.send(witness::deploy_call(&rules)).unwrap();
        // The prices of the tests' usual tariff.
        let prices = Prices { off_peak: Price(180_000), peak: Price(320_000), feed_in: Price(80_000) };
        let terms = Terms::default();
        let unit = U256::from(1_000_000_000);
        let book = provider::deploy_witnessed(unit, prices, Money(0), &terms, street.witness).unwrap();
        street.book = street.send(book).unwrap();
        street
    }

    fn send(&self, call: Call) -> Option<Address> {
        let from = self.owner.address();
        let (nonce, fees) = (self.chain.nonce(from).unwrap(), self.chain.fees().unwrap());
        let transaction = Transaction { chain_id: 31337, nonce, fees, gas_limit: 8_000_000, call };
        let hash = self.chain.send(&transaction.sign(&self.owner).unwrap().raw).unwrap();
        let receipt = eventually("a transaction in a block", || self.chain.receipt(hash).unwrap());
        assert!(receipt.ok, "{receipt:?}");
        receipt.contract
    }

    fn admit(&self, who: Address) {
        self.send(Call { to: Some(who), value: U256::from(10).pow(U256::from(19)), data: Vec::new() });
        self.send(witness::admit(self.witness, who));
        self.send(provider::set_settler(self.book, who, true));
    }

    /// How many batches of a gateway are settled.
    fn settled(&self, who: Address) -> u64 {
        provider::next_sequence(self.chain, self.book, who).unwrap() - 1
    }

    fn standing(&self, who: Address) -> witness::Standing {
        witness::standing(self.chain, self.witness, who).unwrap()
    }
}

/// A gateway with a room of its own.
struct Neighbour {
    room: Room,
    config: PathBuf,
    key: Address,
    name: &'static str,
}

impl Neighbour {
    fn new(name: &'static str, first_account: u32, street: &Street<'_>, node: &str, broker: u16, hosts: bool) -> Self {
        let room = Room::new();
        let key = LocalKey::generate().unwrap();
        key.save_new(&room.path("settler.key")).unwrap();
        let here = match hosts {
            true => format!("[broker]\nlisten = \"127.0.0.1:{broker}\"\n\n[witness]\n"),
            false => format!("[witness]\nbroker = \"127.0.0.1:{broker}\"\n"),
        };
        let (bus, book, witness) = (house::free_port(), street.book, street.witness);
        let config = room.config(&format!(
            r#"
[site]
name = "{name}"
state = "state"

[tariff]
off_peak = "0.18"
peak = "0.32"
feed_in = "0.08"
peak_hours = ["17:00-22:00"]

[web]
listen = "127.0.0.1:0"

[chain]
kind = "rpc"
url = "{node}"
chain_id = 31337
key_file = "settler.key"
provider = "{book}"
witness = "{witness}"
first_account = {first_account}
confirmations = 1
settle_every = "3s"

{here}readings_every = "1s"

[simulator]
seed = {first_account}

[[bus]]
id = "lan"
kind = "modbus-tcp"
address = "127.0.0.1:{bus}"
simulate = true

[[account]]
id = "{name}-home"

[[meter]]
id = "home"
account = "{name}-home"
bus = "lan"
unit = 1
model = "sim-home"
simulated_scale = 50000
"#
        ));
        let neighbour = Self { room, config, key: key.address(), name };
        street.admit(neighbour.key);
        neighbour
    }

    fn run(&self) -> Running {
        Running::gateway(&self.config)
    }

    fn ledger(&self) -> Ledger {
        Ledger::open(&self.room.path("state/ledger.db")).unwrap()
    }
}

fn witnesses(gateway: &Running) -> Value {
    house::state(gateway.listening("http"))["witness"].clone()
}

#[test]
fn of_three_gateways_the_one_that_lies_is_refused_and_flagged_and_the_others_settle() {
    let Some(anvil) = Anvil::start_with(&["--block-time", "1"]) else { return };
    let chain = anvil.chain();
    let street = Street::new(&chain);
    let broker = house::free_port();
    let alder = Neighbour::new("alder", 1, &street, &anvil.url, broker, true);
    let birch = Neighbour::new("birch", 101, &street, &anvil.url, broker, false);
    let cedar = Neighbour::new("cedar", 201, &street, &anvil.url, broker, false);
    let first = alder.run();
    let (mut second, third) = (birch.run(), cedar.run());

    // Honest, all settle, each with the signatures of the others.
    for neighbour in [&alder, &birch, &cedar] {
        eventually(&format!("two batches of {}", neighbour.name), || {
            (street.settled(neighbour.key) >= 2).then_some(())
        });
    }
    // A power cut in the midst of it makes nobody a liar.
    drop(second);
    second = birch.run();
    let before = street.settled(birch.key);
    eventually("birch settles again", || (street.settled(birch.key) > before).then_some(()));

    // Cedar writes energy into its own books that its meter never counted.
    assert_eq!(third.stop(), 0);
    let ledger = cedar.ledger();
    let meter = "home".parse().unwrap();
    let known = ledger.readings_after(domain::Seq(0), 100_000).unwrap().pop().expect("a reading").1;
    let mut lie = Reading::empty(meter, Timestamp(known.at.0 + 1));
    lie.import = Some(WattHours(known.import.unwrap().0 + 2_000));
    lie.export = known.export;
    ledger.commit(lie.at, &[Write::Readings(vec![lie])]).unwrap().remove(0).unwrap();
    drop(ledger);
    let kept = street.settled(cedar.key);
    let third = cedar.run();
    eventually("cedar is flagged", || street.standing(cedar.key).flagged.then_some(()));

    // It was heard as often as the rules say, and nothing of it was settled; the batch is in its outbox, whole.
    assert_eq!(street.standing(cedar.key).dissents, DISSENTS);
    let problem = eventually("cedar knows", || {
        let problem = witnesses(&third)["problem"].as_str()?.to_owned();
        problem.contains("flagged").then_some(problem)
    });
    assert!(problem.contains("until their owner clears it"), "{problem}");
    let settled = [alder.key, birch.key].map(|key| street.settled(key));
    for (neighbour, before) in [&alder, &birch].into_iter().zip(settled) {
        eventually("the honest go on", || (street.settled(neighbour.key) >= before + 2).then_some(()));
        let standing = street.standing(neighbour.key);
        assert!(standing.member && !standing.flagged && standing.dissents == 0, "{}: {standing:?}", neighbour.name);
    }
    assert!(street.settled(cedar.key) <= kept + 1, "one honest batch may have been on its way");
    let seen = witnesses(&first);
    let of_cedar = seen["members"].as_array().unwrap().iter().find(|m| m["address"] == cedar.key.to_string()).unwrap();
    assert!(of_cedar["flagged"] == true && of_cedar["member"] == false, "{seen}");
    assert!(seen["refused"].as_u64().unwrap() >= u64::from(DISSENTS), "{seen}");
    drop(third);
    let waiting = cedar.ledger().open_intents().unwrap();
    let settle = |i: &&ledger::Intent| matches!(i.purpose, ledger::Purpose::Settle { .. });
    let batch = waiting.iter().find(settle).expect("the batch is not lost");
    assert!(batch.attempts.is_empty(), "it was never sent");
    drop(second);
}

#[test]
fn a_neighbourhood_is_founded_and_its_members_come_and_go() {
    // Blocks come when they come: the verb waits for them.
    let Some(anvil) = Anvil::start_with(&["--block-time", "1"]) else { return };
    let room = Room::new();
    LocalKey::from_hex(RICH).unwrap().save_new(&room.path("settler.key")).unwrap();
    let chain =
        format!("[chain]\nkind = \"rpc\"\nurl = \"{}\"\nchain_id = 31337\nkey_file = \"settler.key\"\n", anvil.url);
    let (rest, _) = house::SOUND.split_once("[chain]").unwrap();
    let config = room.config(&format!("{rest}{chain}"));
    let others = [0x11_u8, 0x22, 0x33].map(|n| Address::repeat_byte(n).to_string());
    let deploy = |more: &[&str]| {
        let gateways = ["witness", "deploy", "--gateway", &others[0], "--gateway", &others[1]];
        house::verb(&[&gateways[..], more].concat(), &config)
    };
    deploy(&["--members", "2", "--liars", "0.9"]).complains(64, &["--members: 2", "--liars: 0.9"]);
    house::verb(&["witness", "status"], &config).complains(78, &["[chain] witness is missing", "witness deploy"]);
    let at = deploy(&[]).well().out.trim().to_owned();
    let config = room.config(&format!("{rest}{chain}witness = \"{at}\"\n\n[witness]\nbroker = \"127.0.0.1:1883\"\n"));
    let status = || -> Value {
        serde_json::from_str(&house::verb(&["witness", "status", "--json"], &config).well().out).unwrap()
    };
    assert_eq!(status()["rules"]["needed"], serde_json::json!([0, 2, 2]));
    assert_eq!(status()["members"].as_array().unwrap().len(), 3);
    house::verb(&["witness", "admit", &others[2]], &config).well();
    house::verb(&["witness", "remove", &others[0]], &config).well();
    let members: Vec<String> =
        status()["members"].as_array().unwrap().iter().map(|m| m["address"].as_str().unwrap().to_owned()).collect();
    assert!(members.contains(&others[2]) && !members.contains(&others[0]), "{members:?}");
    house::verb(&["witness", "clear", &others[1]], &config).complains(69, &["NotFlagged"]);
    house::verb(&["witness", "admit", "0x12"], &config).complains(64, &["\"0x12\" is no address"]);
    let shown = house::verb(&["witness", "status"], &config);
    assert!(shown.well().out.contains("of a set of 3, 2 have to sign within 40 blocks"), "{}", shown.out);

    // Half of it is a mistake.
    let alone = room.write("alone.toml", format!("{rest}{chain}\n[witness]\nbroker = \"nowhere\"\n"));
    house::verb(&["check"], &alone).complains(78, &["needs [chain] witness", "must be host:port"]);
    let mute = room.write("mute.toml", format!("{rest}{chain}witness = \"{at}\"\n"));
    house::verb(&["check"], &mute).complains(78, &["at which broker do they speak?"]);
}
