//! Tokens beside the reference implementation of their format: made there and read here, made here and read there.

use crate::foreign::{python_with, script};
use crate::house;
use domain::Money;
use domain::token::{Act, StartingCode, Token, TokenKey, TokenPlan, TokenState, Verdict, next_count};
use serde_json::{Value, json};
use std::process::Command;

const KEYS: usize = 40;
const TOKENS: usize = 50;

fn word(act: Act) -> &'static str {
    match act {
        Act::Add => "add",
        Act::Set => "set",
        Act::Disable => "disable",
        Act::Sync => "sync",
    }
}

/// Asks all at once, and answers line by line.
fn reference(python: &std::path::Path, asks: &[Value]) -> Vec<Value> {
    let input: String = asks.iter().map(|ask| format!("{ask}\n")).collect();
    let ended = house::run_with_input(Command::new(python).arg(script("tokens.py")), &input);
    let answers: Vec<Value> = ended.well().out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), asks.len(), "{}", ended.err);
    answers
}

struct Account {
    plan: TokenPlan,
    key: String,
    start: u32,
}

fn account(dice: &mut fastrand::Rng) -> Account {
    let key: String = (0..32).map(|_| char::from_digit(dice.u32(0..16), 16).unwrap()).collect();
    let start = dice.u32(1..1_000_000_000);
    let secret: TokenKey = key.parse().unwrap();
    Account { plan: TokenPlan { key: secret, start: StartingCode::new(start).unwrap(), unit: Money(1) }, key, start }
}

fn any_token(dice: &mut fastrand::Rng, count: u32) -> (Token, bool) {
    let (odd, extended) = (count % 2 == 1, dice.u8(0..4) == 0);
    let act = match (odd, extended, dice.u8(0..10)) {
        (false, ..) => Act::Add,
        (true, false, 0) => Act::Disable,
        (true, false, 1..=3) => Act::Sync,
        _ => Act::Set,
    };
    let value = match (act, extended) {
        (Act::Disable | Act::Sync, _) => 0,
        (_, false) => dice.u32(0..=995),
        // The reference mixes these two up with what they mean in nine digits.
        (_, true) => Some(dice.u32(0..=999_999)).filter(|v| ![998, 999].contains(v)).unwrap_or(997),
    };
    (Token { count, act, value }, extended)
}

#[test]
fn thousands_of_tokens_have_the_digits_that_the_reference_gives_them() {
    let Some(python) = python_with("openpaygo") else { return };
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut dice = fastrand::Rng::with_seed(seed);
    let (mut asks, mut mine) = (Vec::new(), Vec::new());
    for _ in 0..KEYS {
        let account = account(&mut dice);
        for _ in 0..TOKENS {
            let last = dice.u32(0..40);
            let kinds = [Act::Add, Act::Set, Act::Disable, Act::Sync];
            let (token, extended) = loop {
                let act = kinds[dice.usize(0..4)];
                let (token, extended) = any_token(&mut dice, next_count(last, act));
                if token.act == act {
                    break (token, extended);
                }
            };
            asks.push(json!({
                "make": word(token.act), "key": account.key, "start": account.start, "count": last,
                "value": token.value, "extended": extended,
            }));
            mine.push(json!({ "count": token.count, "digits": account.plan.digits(&token, extended).unwrap() }));
        }
        // A starting code that nobody has chosen follows from the key.
        let own = TokenPlan { start: StartingCode::of(&account.plan.key), ..account.plan.clone() };
        let token = Token { count: 2, act: Act::Add, value: 1 };
        asks.push(json!({
            "make": "add", "key": account.key, "start": null, "count": 0, "value": 1, "extended": false,
        }));
        mine.push(json!({ "count": 2, "digits": own.digits(&token, false).unwrap() }));
    }
    assert_eq!(reference(&python, &asks), mine);
}

#[test]
fn thousands_of_tokens_are_taken_or_not_as_the_reference_says() {
    let Some(python) = python_with("openpaygo") else { return };
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut dice = fastrand::Rng::with_seed(seed);
    let (mut asks, mut mine) = (Vec::new(), Vec::new());
    for _ in 0..KEYS {
        let account = account(&mut dice);
        let mut state = TokenState::default();
        for _ in 0..TOKENS {
            // Mostly near the newest count; now and then too far ahead, long past, or no token at all.
            let count = (i64::from(state.count()) + dice.i64(-20..12) + if dice.u8(0..8) == 0 { 70 } else { 0 }).max(1);
            let (token, extended) = any_token(&mut dice, u32::try_from(count).unwrap());
            let digits = match dice.u8(0..10) {
                0 if extended => format!("{:012}", dice.u64(0..1_000_000_000_000)),
                0 => format!("{:09}", dice.u32(0..1_000_000_000)),
                _ => account.plan.digits(&token, extended).unwrap(),
            };
            let before = serde_json::to_value(&state).unwrap();
            let used: Vec<u64> = std::iter::once(0).chain(used(&before["used"])).collect();
            asks.push(json!({
                "read": digits, "key": account.key, "start": account.start, "state": [before["count"], used],
            }));
            mine.push(match account.plan.read(&digits, &state).unwrap() {
                Verdict::Good(token) => {
                    state.accept(token.count, token.act);
                    let after = serde_json::to_value(&state).unwrap();
                    let value = match token.act {
                        Act::Disable => 998,
                        Act::Sync => 999,
                        Act::Add | Act::Set => token.value,
                    };
                    (word(token.act), Some((token.count.into(), f64::from(value), self::used(&after["used"]))))
                }
                Verdict::Over(_) => ("over", None),
                Verdict::Invalid => ("invalid", None),
            });
        }
    }
    let mut met = std::collections::BTreeMap::new();
    for ((ask, answer), mine) in asks.iter().zip(reference(&python, &asks)).zip(mine) {
        let act = answer["act"].as_str().unwrap();
        let detail =
            answer["count"].as_u64().map(|count| (count, answer["value"].as_f64().unwrap(), used(&answer["used"])));
        assert_eq!((act, detail), mine, "{ask}");
        *met.entry(act.to_owned()).or_insert(0) += 1;
    }
    println!("{met:?}");
    assert_eq!(met.len(), 6, "{met:?}");
}

/// Counts that a token can have; the reference also writes down what comes before the first.
fn used(list: &Value) -> Vec<u64> {
    list.as_array().unwrap().iter().filter_map(Value::as_u64).filter(|count| *count > 0).collect()
}
