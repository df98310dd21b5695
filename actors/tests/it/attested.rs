//! The grid operator's register learns where switches are, and nobody is asked to believe more than their contacts.

use crate::day::keys;
use crate::refused::{hours, in_virtual_time};
use crate::restored::clock_at;
use crate::street::*;
use actors::Agreed;
use contracts::chain::{Chain, LogFilter};
use contracts::embedded::{EmbeddedChain, Genesis};
use contracts::key::{LocalKey, Signer};
use contracts::operator::{self, Roles};
use contracts::rpc::JsonRpc;
use contracts::{Address, U256};
use domain::*;
use ledger::Ledger;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const ROLES: Roles = Roles { gateway: true, prover: false };

async fn begin(dir: &Path, clock: Clock) -> (House, Arc<EmbeddedChain>, Address) {
    begin_with(dir, clock, &keys().1).await
}

/// A street whose register is somebody's.
async fn begin_with(dir: &Path, clock: Clock, registrar: &LocalKey) -> (House, Arc<EmbeddedChain>, Address) {
    let (settler, dso) = keys();
    let coins = U256::from(10_000) * U256::from(10).pow(U256::from(18));
    let alloc = vec![(settler.address(), coins), (dso.address(), coins)];
    let chain =
        Arc::new(EmbeddedChain::open(&dir.join("chain"), Genesis { chain_id: 31337, alloc }, clock.clone()).unwrap());
    let registry = registrar.address().create(0);
    crate::leaving::send(&*chain, registrar, operator::deploy_call());
    let agreed = Agreed { registry: Some(registry), ..Agreed::default() };
    let house = House::build_under(dir, clock, Arc::clone(&chain) as _, settler, None, agreed, &[]);
    tokio::time::sleep(Duration::from_secs(900)).await;
    for home in 1..=HOMES {
        let money = if home == 5 { 1_000_000_000 } else { 90_000_000_000 };
        house.pay(&dso, home, Money(money)).await;
    }
    (house, chain, registry)
}

/// How many positions were attested so far.
fn attested(chain: &EmbeddedChain, registry: Address) -> usize {
    let to_block = chain.head().unwrap().number;
    let filter = LogFilter { address: registry, topic0: None, from_block: 0, to_block };
    chain.logs(&filter).unwrap().iter().filter_map(operator::attested).count()
}

/// Whether the register knows a home to be supplied.
fn at_register(chain: &EmbeddedChain, registry: Address, home: usize) -> Option<bool> {
    let there = operator::point_of(chain, registry, point(home)).unwrap();
    (there.attested_at > 0).then_some(there.closed)
}

#[test]
fn switches_are_attested_where_the_register_gave_them_to_the_gateway_and_only_when_they_move() {
    let dir = tempfile::tempdir().unwrap();
    in_virtual_time(async {
        let (house, chain, registry) = begin(dir.path(), paused_clock()).await;
        let (settler, dso) = keys();
        hours(3).await;
        let problem = house.board.look().chain.problem.clone().unwrap_or_default();
        assert!(problem.contains("has not given its connection point"), "{problem}");
        assert!(house.scribe.read(Ledger::newest_settled).await.unwrap() >= 2, "settlement does not wait for it");
        assert_eq!(house.scribe.read(Ledger::intents_refused).await.unwrap(), 0);

        let at = house.provider().await;
        house.send(&dso, operator::set_roles(registry, settler.address(), ROLES)).await;
        for home in 1..=HOMES {
            let number = u32::try_from(home).unwrap();
            house.send(&dso, operator::route(registry, point(home), at, number, settler.address())).await;
        }
        hours(2).await;
        assert_eq!(house.board.look().chain.problem, None);
        assert!((1..=HOMES).all(|home| at_register(&chain, registry, home) == Some(true)), "all have light");
        hours(2).await;
        assert_eq!(attested(&chain, registry), HOMES, "once, as long as nothing moves");

        // Home 5 has used up what it paid.
        let mut waited = 0;
        while at_register(&chain, registry, 5) == Some(true) {
            waited += 1;
            assert!(waited < 48, "home 5 still has light");
            hours(1).await;
        }
        assert_eq!(attested(&chain, registry), HOMES + 1);
        assert!((1..=HOMES).all(|home| home == 5 || at_register(&chain, registry, home) == Some(true)));
        house.pay(&dso, 5, Money(30_000_000_000)).await;
        hours(2).await;
        assert_eq!(at_register(&chain, registry, 5), Some(true), "it has light again");
        assert_eq!(attested(&chain, registry), HOMES + 2);
    });
}

fn contact(house: &House, home: usize) -> Option<Position> {
    house.board.look().switches.get(&format!("home-{home}").parse().unwrap()).and_then(|switch| switch.position)
}

/// Waits until the account of home 5 may have nothing.
async fn used_up(house: &House) {
    for _ in 0..48 {
        hours(1).await;
        if house.board.look().accounts.get(&account(5)).is_some_and(|live| live.supply == Supply::Off) {
            return;
        }
    }
    panic!("home 5 still has credit");
}

async fn routed(house: &House) -> Vec<(String, bool)> {
    let facts = house.scribe.read(|l| l.facts_after(Seq(0), 10_000)).await.unwrap();
    let routed = facts.into_iter().filter_map(|(_, _, fact)| match fact {
        Fact::SwitchRouted { switch, may_disconnect, .. } => Some((switch.to_string(), may_disconnect)),
        _ => None,
    });
    routed.collect()
}

#[test]
fn nobody_is_disconnected_for_the_credit_of_a_provider_that_does_not_feed_them_also_while_the_chain_is_away() {
    let dir = tempfile::tempdir().unwrap();
    let rival = Address::repeat_byte(0x77);
    in_virtual_time(async {
        let (house, _, registry) = begin(dir.path(), paused_clock()).await;
        let (settler, dso) = keys();
        let at = house.provider().await;
        house.send(&dso, operator::set_roles(registry, settler.address(), ROLES)).await;
        for home in 1..=HOMES {
            let feeds = if home == 5 { rival } else { at };
            let number = u32::try_from(home).unwrap();
            house.send(&dso, operator::route(registry, point(home), feeds, number, settler.address())).await;
        }
        used_up(&house).await;
        hours(2).await;
        assert_eq!(contact(&house, 5), Some(Position::Closed), "another's customer was cut off");
        assert_eq!(routed(&house).await, [("home-5".to_owned(), false)]);
    });
    in_virtual_time(async {
        let nobody = Arc::new(JsonRpc::new("http://127.0.0.1:1", Duration::from_secs(1)).unwrap());
        let agreed = Agreed { registry: Some(keys().1.address().create(0)), ..Agreed::default() };
        let house = House::build_under(dir.path(), clock_at(72), nobody, keys().0, None, agreed, &[]);
        hours(5).await;
        assert!(house.board.look().chain.problem.is_some(), "the chain answers");
        assert_eq!(contact(&house, 5), Some(Position::Closed), "what the register said last was forgotten");
    });
    in_virtual_time(async {
        let clock = clock_at(96);
        let chain = crate::day::embedded(dir.path(), &clock);
        let registry = keys().1.address().create(0);
        let agreed = Agreed { registry: Some(registry), ..Agreed::default() };
        let house = House::build_under(dir.path(), clock, chain, keys().0, None, agreed, &[]);
        let at = house.provider().await;
        house.send(&keys().1, operator::route(registry, point(5), at, 5, keys().0.address())).await;
        hours(3).await;
        assert_eq!(contact(&house, 5), Some(Position::Open), "it is ours again, and has no credit");
        assert_eq!(routed(&house).await.last(), Some(&("home-5".to_owned(), true)));
    });
}

#[test]
fn who_owns_the_register_still_disconnects_nobody_for_the_credit_of_another_provider() {
    let dir = tempfile::tempdir().unwrap();
    in_virtual_time(async {
        let (owner, _) = keys();
        let (house, chain, registry) = begin_with(dir.path(), paused_clock(), &owner).await;
        let rival = Address::repeat_byte(0x77);
        house.send(&owner, operator::set_roles(registry, owner.address(), ROLES)).await;
        house.send(&owner, operator::route(registry, point(5), rival, 5, owner.address())).await;
        assert_eq!(operator::may_order(&*chain, registry, owner.address(), point(5)), Ok(true));
        used_up(&house).await;
        hours(2).await;
        assert_eq!(contact(&house, 5), Some(Position::Closed), "another's customer was cut off");
        assert_eq!(routed(&house).await, [("home-5".to_owned(), false)]);
    });
}
