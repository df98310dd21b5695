use super::*;
use proptest::prelude::*;

fn plan() -> TokenPlan {
    let key: TokenKey = "a29ab82edc5fbbc41ec9530f6dac86b1".parse().unwrap();
    TokenPlan { start: StartingCode::of(&key), key, unit: Money(500) }
}

fn good(plan: &TokenPlan, state: &mut TokenState, token: Token, extended: bool) {
    let digits = plan.digits(&token, extended).unwrap();
    assert_eq!(plan.read(&digits, state), Ok(Verdict::Good(token)), "{digits} {state:?}");
    state.accept(token.count, token.act);
}

#[test]
fn a_key_is_32_hex_digits_and_is_never_shown() {
    assert_eq!(format!("{:?}", plan().key), "TokenKey");
    for bad in ["", "a29a", "+29ab82edc5fbbc41ec9530f6dac86b1", "zz9ab82edc5fbbc41ec9530f6dac86b1", "éééééééééééééééé"]
    {
        assert_eq!(bad.parse::<TokenKey>(), Err(BadKey), "{bad}");
    }
}

#[test]
fn even_counts_add_and_odd_ones_do_all_else() {
    for (last, act, next) in [
        (0, Act::Add, 2),
        (1, Act::Add, 2),
        (2, Act::Add, 4),
        (0, Act::Set, 1),
        (1, Act::Sync, 3),
        (2, Act::Disable, 3),
    ] {
        assert_eq!(next_count(last, act), next, "{last} {act:?}");
    }
}

#[test]
fn a_token_that_sets_makes_all_before_it_worthless_and_one_that_adds_does_not() {
    let (plan, mut state) = (plan(), TokenState::default());
    let add = |count| Token { count, act: Act::Add, value: 7 };
    good(&plan, &mut state, add(6), false);
    good(&plan, &mut state, add(2), false);
    good(&plan, &mut state, Token { count: 9, act: Act::Set, value: 3 }, false);
    let late = plan.digits(&add(4), false).unwrap();
    assert_eq!(plan.read(&late, &state), Ok(Verdict::Over(add(4))));
    good(&plan, &mut state, Token { count: 11, act: Act::Disable, value: 0 }, false);
    good(&plan, &mut state, Token { count: 73, act: Act::Sync, value: 0 }, false);
    good(&plan, &mut state, add(130), true);
}

#[test]
fn what_lies_beyond_the_window_is_no_token_and_what_lies_too_far_back_is_over() {
    let (plan, mut state) = (plan(), TokenState::default());
    let add = |count| Token { count, act: Act::Add, value: 1 };
    let far = plan.digits(&add(66), false).unwrap();
    assert_eq!(plan.read(&far, &state), Ok(Verdict::Invalid));
    good(&plan, &mut state, add(64), false);
    good(&plan, &mut state, add(50), false);
    let back = plan.digits(&add(48), false).unwrap();
    assert_eq!(plan.read(&back, &state), Ok(Verdict::Over(add(48))));
}

#[test]
fn what_cannot_be_a_token_is_said_to_be_none_and_nothing_is_looked_up() {
    let state = TokenState::default();
    for bad in ["", "12345678", "1234567890", "12345678x", "-", "１２３４５６７８９"] {
        assert!(matches!(plan().read(bad, &state), Err(BadToken::Digits(_))), "{bad}");
    }
    let spaced = plan().digits(&Token { count: 2, act: Act::Add, value: 5 }, false).unwrap();
    let spaced = format!("{} {}-{}", &spaced[..3], &spaced[3..6], &spaced[6..]);
    assert!(matches!(plan().read(&spaced, &state), Ok(Verdict::Good(Token { value: 5, .. }))));
    assert!(plan().digits(&Token { count: 2, act: Act::Add, value: 996 }, false).is_err());
}

proptest! {
    /// Whoever types whatever tokens of an account in whatever order: each that adds counts at most once.
    #[test]
    fn a_token_that_adds_is_good_at_most_once_unless_the_count_was_set_back(
        typed in prop::collection::vec((1_u32..90, 0_u32..=995, any::<bool>()), 1..60),
    ) {
        let (plan, mut state) = (plan(), TokenState::default());
        let mut counted = std::collections::BTreeSet::new();
        for (count, value, extended) in typed {
            let act = if count % 2 == 0 { Act::Add } else { Act::Set };
            let token = Token { count, act, value };
            if let Verdict::Good(token) = plan.read(&plan.digits(&token, extended).unwrap(), &state).unwrap() {
                state.accept(token.count, token.act);
                prop_assert!(counted.insert(token.count), "{token:?}");
            }
        }
    }
}
