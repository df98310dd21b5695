use super::password::Hash;
use super::sessions::{IDLE, LASTS, Sessions};
use super::store::Book;
use super::throttle::Throttle;
use super::*;
use domain::Timestamp;
use proptest::prelude::*;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

const GOOD: &str = "seven green kettles";
const NOW: Timestamp = Timestamp(Timestamp::TRUSTED.0 + 1_000_000);

fn hash(text: &str) -> Hash {
    Hash::of(&Password::typed(text.to_owned())).unwrap()
}

fn place(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn argon2id_is_what_others_make_of_it() {
    // The reference: `argon2-cffi` 25.1, hash_secret_raw(b"seven green kettles", bytes(range(16)), 2, 19456, 1, 32, Type.ID).
    let kept = serde_json::json!({
        "m_kib": 19456, "t": 2, "p": 1, "salt": "000102030405060708090a0b0c0d0e0f", "argon2id": REFERENCE,
    });
    let hash: Hash = serde_json::from_value(kept).unwrap();
    assert!(hash.is(&Password::typed(GOOD.into())));
    assert!(!hash.is(&Password::typed("seven green kettle".into())));
}
const REFERENCE: &str = "5877f4737127cbdc6f18a63f189ecb1710dbacb2a17791b1f71945e2b2dcc172";

#[test]
fn a_password_is_found_right_and_every_other_wrong() {
    let kept = hash(GOOD);
    assert!(kept.is(&Password::typed(GOOD.into())));
    for wrong in ["", "seven green kettle", "Seven green kettles", &"x".repeat(1 << 20)] {
        assert!(!kept.is(&Password::typed(wrong.into())));
        assert!(!Hash::nobody().is(&Password::typed(wrong.into())));
    }
    assert_ne!(hash(GOOD).mark(), kept.mark(), "the same password is salted anew");
}

#[test]
fn bad_passwords_and_names_are_not_taken() {
    for bad in ["", "short", "aaaaaaaaaaaaaaa", "bo", "bo12345678", &"long".repeat(100)] {
        assert!(Password::new(bad.to_owned(), "bo").is_err(), "{bad:?}");
    }
    assert!(Password::new(GOOD.into(), "bo").is_ok());
    for bad in ["", "Bo", "1bo", "b o", "bo\n", "ü", "a/b", &"a".repeat(33)] {
        assert!(name_of(bad).is_err(), "{bad:?}");
    }
    for good in ["bo", "till-2", "a.b_c", &"a".repeat(32)] {
        assert!(name_of(good).is_ok(), "{good:?}");
    }
}

#[test]
fn nothing_of_a_password_or_a_hash_is_ever_shown() {
    let shown = format!("{:?} {:?}", Password::typed(GOOD.into()), hash(GOOD));
    assert_eq!(shown, "Password(hidden) Hash(hidden)");
}

#[test]
fn a_person_may_mistype_and_a_guesser_waits_twice_as_long_each_time() {
    let (mut throttle, mut now) = (Throttle::default(), Instant::now());
    let here = place("192.0.2.7");
    for _ in 0..3 {
        assert_eq!(throttle.wrong("bo", here, now), None);
        assert_eq!(throttle.closed("bo", here, now), None);
    }
    for (nth, seconds) in [10, 20, 40, 80, 160, 320, 640, 1280, 1280].into_iter().enumerate() {
        let wait = Duration::from_secs(seconds);
        assert_eq!(throttle.wrong("bo", here, now), Some((u32::try_from(nth).unwrap() + 4, wait)));
        assert_eq!(throttle.closed("bo", here, now), Some(wait));
        // Others come in meanwhile, and so does bo from elsewhere.
        assert_eq!(throttle.closed("ada", here, now), None);
        assert_eq!(throttle.closed("bo", place("192.0.2.8"), now), None);
        now += wait;
        assert_eq!(throttle.closed("bo", here, now), None);
    }
    throttle.right("bo", here);
    assert_eq!(throttle.wrong("bo", here, now), None, "the right one did not make up for the wrong ones");
}

#[test]
fn many_places_that_guess_for_one_user_close_the_door_for_ten_seconds_at_a_time() {
    let (mut throttle, now) = (Throttle::default(), Instant::now());
    for n in 0..200_u32 {
        throttle.wrong("bo", IpAddr::V4((0xc000_0200 + n).into()), now);
    }
    assert_eq!(throttle.closed("bo", place("198.51.100.1"), now), Some(Duration::from_secs(10)));
    assert_eq!(throttle.closed("ada", place("198.51.100.1"), now), None);
}

#[test]
fn one_place_that_guesses_many_names_is_kept_out_and_one_ipv6_network_is_one_place() {
    let (mut throttle, now) = (Throttle::default(), Instant::now());
    for n in 0..30 {
        throttle.wrong(&format!("user{n}"), place(&format!("2001:db8:1:2::{n}")), now);
    }
    assert!(throttle.closed("somebody", place("2001:db8:1:2:ffff::1"), now).is_some());
    assert_eq!(throttle.closed("somebody", place("2001:db8:1:3::1"), now), None);
    // On this machine everybody has one address.
    for n in 0..30 {
        throttle.wrong(&format!("user{n}"), place("127.0.0.1"), now);
    }
    assert_eq!(throttle.closed("somebody", place("127.0.0.1"), now), None);
}

#[test]
fn a_session_ends_when_nobody_asks_by_it_and_at_the_latest_after_twelve_hours() {
    let (mut sessions, begin) = (Sessions::default(), Instant::now());
    let (idle, _) = sessions.begin("bo", Role::Viewer, None, begin).unwrap();
    let (busy, csrf) = sessions.begin("bo", Role::Operator, None, begin).unwrap();
    assert!(idle != busy && csrf != busy);
    let (idle, busy) = (secret::digest(&idle), secret::digest(&busy));
    let mut now = begin;
    while now + IDLE / 2 < begin + LASTS {
        now += IDLE / 2;
        assert_eq!(sessions.find(&busy, now).unwrap().csrf, csrf);
    }
    assert!(sessions.find(&idle, now).is_none());
    assert!(sessions.find(&busy, begin + LASTS).is_none());
    assert!(sessions.find(&secret::digest("made up"), begin).is_none());
}

#[test]
fn a_user_who_signs_in_again_and_again_leaves_no_end_of_sessions() {
    let (mut sessions, now) = (Sessions::default(), Instant::now());
    let other = secret::digest(&sessions.begin("ada", Role::Viewer, None, now).unwrap().0);
    let ids: Vec<_> = (0..20)
        .map(|n| sessions.begin("bo", Role::Viewer, None, now + Duration::from_secs(n)).unwrap().0)
        .map(|id| secret::digest(&id))
        .collect();
    let now = now + Duration::from_secs(60);
    let alive: Vec<bool> = ids.iter().map(|id| sessions.find(id, now).is_some()).collect();
    assert_eq!(alive.iter().filter(|a| **a).count(), 16);
    assert!(alive[4..].iter().all(|a| *a) && sessions.find(&other, now).is_some());
}

#[test]
fn the_file_is_for_nobody_else_and_nobody_comes_in_by_one_that_is_not_sound() {
    let room = tempfile::tempdir().unwrap();
    let store = Store::new(room.path());
    assert!(store.book().unwrap().users.is_empty());
    store.change(|book| book.add_user("bo", Role::Installer, hash(GOOD))).unwrap();
    let token = store.change(|book| book.add_token("meter-app", Role::Viewer.scopes(), None)).unwrap();
    let path = room.path().join("access.json");
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!text.contains(&token) && !text.contains(GOOD));
    let worth = |token: &str| store.book().unwrap().token(token, NOW);
    assert!(matches!(worth(&token), Worth::Good(who) if who.name == "meter-app"));
    for other in ["", "mgw_", &token[1..], &format!("{token}0")] {
        assert!(matches!(worth(other), Worth::Nothing), "{other}");
    }
    for taken in ["bo", "meter-app"] {
        assert!(store.change(|book| book.add_user(taken, Role::Viewer, hash(GOOD))).is_err());
        assert!(store.change(|book| book.add_token(taken, Scopes::new(), None)).is_err());
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "a change that was refused changed something");

    // Another process writes it, and this one sees it.
    let other = Store::new(room.path());
    let clear = |book: &mut Book| {
        book.users.clear();
        Ok(())
    };
    other.change(clear).unwrap();
    assert!(store.book().unwrap().users.is_empty());

    std::fs::write(&path, &text[..text.len() / 2]).unwrap();
    let problem = store.book().unwrap_err();
    assert!(problem.contains("access.json: damaged at line"), "{problem}");
    assert!(store.change(|_| Ok(())).is_err(), "a damaged file was written over");
    std::fs::write(&path, &text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(Store::new(room.path()).book().unwrap_err().contains("chmod 600"));
}

#[test]
fn two_that_change_the_file_at_once_both_succeed() {
    let room = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for n in 0..4 {
            let path = room.path();
            scope.spawn(move || {
                for i in 0..10 {
                    let add = |book: &mut Book| book.add_token(&format!("t{n}-{i}"), Scopes::new(), None);
                    Store::new(path).change(add).unwrap();
                }
            });
        }
    });
    assert_eq!(Store::new(room.path()).book().unwrap().tokens.len(), 40);
}

#[tokio::test]
async fn the_first_operator_is_made_once_and_a_session_ends_with_the_password_it_began_by() {
    let room = tempfile::tempdir().unwrap();
    let (access, here) = (Access::new(room.path()), place("127.0.0.1"));
    assert!(!access.is_new().unwrap(), "nobody was told a code");
    let code = access.first_code().unwrap().unwrap();
    assert!(access.is_new().unwrap());
    let set_up = |code: &str, password: &str| {
        let (access, code, password) = (access.clone(), code.to_owned(), password.to_owned());
        async move { access.set_up(&code, "bo", password, here).await }
    };
    assert_eq!(set_up("guess", GOOD).await.unwrap_err(), NotIn::Wrong(None));
    assert!(matches!(set_up(&code, "short").await.unwrap_err(), NotIn::Bad(_)));
    let first = set_up(&code, GOOD).await.unwrap();
    assert_eq!((first.name.as_str(), first.role), ("bo", Role::Operator));
    assert_eq!(set_up(&code, GOOD).await.unwrap_err(), NotIn::Wrong(None), "the code was good twice");
    assert_eq!(access.first_code().unwrap(), None);

    let wrong = access.sign_in("bo", Password::typed("something else".into()), here).await;
    assert_eq!(wrong.unwrap_err(), NotIn::Wrong(None));
    let again = access.sign_in("bo", Password::typed(GOOD.into()), here).await.unwrap();
    let who = access.by_session(&again.id).unwrap().unwrap();
    assert_eq!((who.name.as_str(), who.scopes.clone()), ("bo", Role::Operator.scopes()));
    assert!(access.by_session(&again.csrf).unwrap().is_none());

    // A role is what the file says now; a new password ends what the old one began.
    let demote = |book: &mut Book| {
        book.users[0].role = Role::Viewer;
        Ok(())
    };
    access.store().change(demote).unwrap();
    assert_eq!(access.by_session(&again.id).unwrap().unwrap().scopes, Role::Viewer.scopes());
    assert!(access.still(&who));
    let change = |book: &mut Book| {
        book.users[0].password = hash("another one now");
        Ok(())
    };
    access.store().change(change).unwrap();
    assert!(!access.still(&who));
    assert!(access.by_session(&again.id).unwrap().is_none() && access.by_session(&first.id).unwrap().is_none());
}

#[tokio::test]
async fn guesses_that_come_together_are_counted_one_by_one() {
    let room = tempfile::tempdir().unwrap();
    let (access, here) = (Access::new(room.path()), place("192.0.2.1"));
    access.store().change(|book| book.add_user("bo", Role::Viewer, hash(GOOD))).unwrap();
    let guesses: Vec<_> = (0..8)
        .map(|n| {
            let access = access.clone();
            tokio::spawn(async move { access.sign_in("bo", Password::typed(format!("guess {n}")), here).await })
        })
        .collect();
    let mut looked_at = 0;
    for guess in guesses {
        match guess.await.unwrap().unwrap_err() {
            NotIn::Wrong(_) => looked_at += 1,
            NotIn::Closed(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(looked_at, 4);
    let right = access.sign_in("bo", Password::typed(GOOD.into()), here).await;
    assert!(matches!(right.unwrap_err(), NotIn::Closed(_)), "a guesser came in by trying often");
}

#[tokio::test]
async fn a_guest_code_lets_one_in() {
    let room = tempfile::tempdir().unwrap();
    let (access, here) = (Access::new(room.path()), place("127.0.0.1"));
    let code = access.guest_code("guest", Role::Operator).unwrap();
    assert!(access.enter("other", here).await.is_err());
    let guest = access.enter(&code, here).await.unwrap();
    assert_eq!(access.by_session(&guest.id).unwrap().unwrap().name, "guest");
    assert!(access.enter(&code, here).await.is_err());
}

proptest! {
    #[test]
    fn comparing_in_constant_time_compares(a: Vec<u8>, b: Vec<u8>) {
        prop_assert_eq!(secret::same(&a, &b), a == b);
        prop_assert!(secret::same(&a, &a));
    }

    #[test]
    fn no_bytes_in_the_file_make_it_panic(bytes: Vec<u8>) {
        let room = tempfile::tempdir().unwrap();
        crate::secrets::write_private(&room.path().join("access.json"), &bytes).unwrap();
        let _ = Store::new(room.path()).book();
    }
}

#[test]
fn a_token_with_an_end_is_good_until_then_and_a_clock_that_cannot_be_right_does_not_prolong_it() {
    let term = Term::starting(NOW, Duration::from_secs(90 * 86_400)).unwrap();
    let mut book = Book::default();
    let token = book.add_token("app", Role::Viewer.scopes(), Some(term)).unwrap();
    let over = |now| match book.token(&token, now) {
        Worth::Good(who) => {
            assert_eq!(who.name, "app");
            None
        }
        Worth::Over(why) => Some(why),
        Worth::Nothing => panic!("it is a token"),
    };
    let moment = Duration::from_millis(1);
    for good in [NOW, NOW + Duration::from_secs(86_400), term.until - moment] {
        assert_eq!(over(good), None, "{good}");
    }
    for late in [term.until, term.until + moment, Timestamp(i64::MAX)] {
        assert!(
            over(late).is_some_and(|why| why.starts_with("the token app expired at 2026-04-01T00:16:40Z")),
            "{late}"
        );
    }
    for early in [Timestamp(i64::MIN), Timestamp(0), NOW - moment] {
        assert!(over(early).is_some_and(|why| why.contains("it has to be set first")), "{early}");
    }
    // Whoever looks on is shown no more once it is over.
    let room = tempfile::tempdir().unwrap();
    let door = Access::new(room.path());
    let (now, hour) = (crate::clock::wall(), Duration::from_secs(3600));
    for (made, good) in [(now - hour, true), (now - hour * 3, false), (now + hour, false)] {
        let term = Some(Term::starting(made, hour * 2).unwrap());
        let name = format!("t{}", made.0);
        let token = door.store().change(|book| book.add_token(&name, Role::Viewer.scopes(), term)).unwrap();
        assert_eq!(matches!(door.by_token(&token).unwrap(), Worth::Good(_)), good, "{made}");
        assert_eq!(door.still(&Who { name, scopes: Role::Viewer.scopes(), session: None }), good, "{made}");
    }
    assert!(Term::starting(Timestamp::TRUSTED - moment, moment).unwrap_err().contains("was not set"));
    let endless = Term::starting(NOW, Duration::MAX).unwrap();
    assert_eq!(endless.until, Timestamp(i64::MAX));
}

#[test]
fn a_file_of_tokens_from_before_they_had_ends_is_read_and_written_as_it_was() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("access.json");
    let digest = hex::encode(secret::digest("mgw_old"));
    let text = format!(r#"{{"users": [], "tokens": [{{"name": "old", "scopes": ["read"], "digest": "{digest}"}}]}}"#);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let store = Store::new(room.path());
    assert!(matches!(store.book().unwrap().token("mgw_old", Timestamp(0)), Worth::Good(_)));
    store.change(|_| Ok(())).unwrap();
    assert!(!std::fs::read_to_string(&path).unwrap().contains("term"), "an older version could not read it any more");
}
