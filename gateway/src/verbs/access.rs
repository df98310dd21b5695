//! `access`: who may come in.

use super::office::pretty;
use super::{open_ledger, print};
use crate::access::{Hash, Password, Store, Term, Token, fact};
use crate::cli::{Access, AccessToken, Desk, Look, Office, PasswordFrom, User};
use crate::clock;
use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::secrets::{private, read_line};
use domain::Access as Change;
use drivers::document::did_you_mean;
use ledger::Write;
use serde_json::json;

fn usage(what: impl std::fmt::Display) -> Failure {
    Failure::new(Code::Usage, what)
}

fn broken(what: impl std::fmt::Display) -> Failure {
    Failure::new(Code::Data, what)
}

/// `access`
pub fn access(verb: &Access) -> Result<(), Failure> {
    match verb {
        Access::User(User::Add { name, role, password, desk }) => {
            let (config, store) = open(desk)?;
            store.book().map_err(broken)?.free(name).map_err(usage)?;
            let hash = hashed(password, name)?;
            written(desk, &config, name, Change::UserAdded { role: role.name().into() })?;
            store.change(|book| book.add_user(name, *role, hash)).map_err(broken)?;
            said(desk, json!({ "user": name, "role": role }), &format!("{name} may come in as {}", role.name()))
        }
        Access::User(User::List(look)) => list_users(look),
        Access::User(User::Remove { name, desk }) => {
            let (config, store) = open(desk)?;
            known(&store, name)?;
            written(desk, &config, name, Change::UserRemoved)?;
            store
                .change(|book| {
                    book.users.retain(|u| u.name != *name);
                    Ok(())
                })
                .map_err(broken)?;
            said(desk, json!({ "user": name, "removed": true }), &format!("{name} may not come in any more"))
        }
        Access::User(User::Password { name, password, desk }) => {
            let (config, store) = open(desk)?;
            known(&store, name)?;
            let hash = hashed(password, name)?;
            written(desk, &config, name, Change::PasswordSet)?;
            let set = store.change(|book| match book.users.iter_mut().find(|u| u.name == *name) {
                Some(user) => {
                    user.password = hash;
                    Ok(())
                }
                None => Err(format!("{name} was removed meanwhile")),
            });
            set.map_err(usage)?;
            said(desk, json!({ "user": name, "password": "set" }), &format!("{name} has a new password"))
        }
        Access::Token(AccessToken::Create { name, scope, lasts, desk }) => {
            let (config, store) = open(desk)?;
            store.book().map_err(broken)?.free(name).map_err(usage)?;
            let term = lasts.map(|span| Term::starting(clock::wall(), span)).transpose().map_err(broken)?;
            let scopes = scope.iter().map(|s| s.name().to_owned()).collect();
            written(desk, &config, name, Change::TokenMade { scopes })?;
            let token = store.change(|book| book.add_token(name, scope.iter().copied().collect(), term));
            let token = token.map_err(broken)?;
            said(desk, json!({ "token": token, "name": name, "scopes": scope, "until": until(term) }), &token)
        }
        Access::Token(AccessToken::List(look)) => list_tokens(look),
        Access::Token(AccessToken::Revoke { name, desk }) => {
            let (config, store) = open(desk)?;
            let book = store.book().map_err(broken)?;
            if !book.tokens.iter().any(|t| t.name == *name) {
                let hint = did_you_mean(name, book.tokens.iter().map(|t| t.name.as_str()));
                return Err(usage(format!("{name:?} is no token{hint}")));
            }
            written(desk, &config, name, Change::TokenRevoked)?;
            store
                .change(|book| {
                    book.tokens.retain(|t| t.name != *name);
                    Ok(())
                })
                .map_err(broken)?;
            said(desk, json!({ "name": name, "revoked": true }), &format!("{name} is no token any more"))
        }
    }
}

/// `account link`
pub fn link(account: &str, revoke: bool, office: &Office) -> Result<(), Failure> {
    let config = Config::load(&office.config.path)?;
    let Some(account) = config.accounts.iter().find(|a| a.id.as_str() == account).map(|a| a.id.clone()) else {
        let hint = did_you_mean(account, config.accounts.iter().map(|a| a.id.as_str()));
        return Err(usage(format!("{account:?} is no account of the configuration{hint}")));
    };
    let Some(web) = &config.web else {
        return Err(Failure::new(Code::Config, "there is no [web] section, so there is no page to link to"));
    };
    let desk = Desk { config: office.config.clone(), by: office.by.clone(), json: office.json };
    let change = if revoke { Change::LinkRevoked } else { Change::LinkShown };
    written(&desk, &config, account.as_str(), change)?;
    let made = Store::new(&config.state).change(|book| {
        if revoke {
            book.links.revoke(&account);
        }
        book.links.make(&account)
    });
    let url = format!("{}/c/{}", web.url(&web.listen.to_string()), made.map_err(broken)?);
    said(&desk, json!({ "account": account, "link": url }), &url)
}

fn open(desk: &Desk) -> Result<(Config, Store), Failure> {
    let config = Config::load(&desk.config.path)?;
    let store = Store::new(&config.state);
    Ok((config, store))
}

fn known(store: &Store, name: &str) -> Result<(), Failure> {
    let book = store.book().map_err(broken)?;
    match book.user(name) {
        Some(_) => Ok(()),
        None => {
            let hint = did_you_mean(name, book.users.iter().map(|u| u.name.as_str()));
            Err(usage(format!("{name:?} is no user{hint}")))
        }
    }
}

/// Into the journal first: what was done and is not written down would be worse than what is written down and not done.
fn written(desk: &Desk, config: &Config, subject: &str, change: Change) -> Result<(), Failure> {
    let by = desk.by.name()?;
    let (_, ledger) = open_ledger(&desk.config)?;
    let now = clock::open(config)?.now();
    match ledger.commit(now, &[Write::Fact(fact(subject, change, &by))])?.pop() {
        Some(Err(error)) => Err(error.into()),
        Some(Ok(_)) | None => Ok(()),
    }
}

fn said(desk: &Desk, json: serde_json::Value, text: &str) -> Result<(), Failure> {
    if desk.json { pretty(&json) } else { print(&format!("{text}\n")) }
}

fn hashed(from: &PasswordFrom, name: &str) -> Result<Hash, Failure> {
    let text = match &from.password_file {
        Some(path) => {
            private(path).map_err(|what| Failure::new(Code::Config, format!("--password-file {what}")))?;
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|e| Failure::new(Code::Config, format!("{}: {e}", path.display())))?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
        None => {
            let first = read_line(&format!("password for {name}: ")).map_err(usage)?;
            if first.1 && read_line("the same again: ").map_err(usage)?.0 != first.0 {
                return Err(usage("these are two passwords"));
            }
            first.0
        }
    };
    Password::new(text, name).and_then(|password| Hash::of(&password)).map_err(usage)
}

fn list_users(look: &Look) -> Result<(), Failure> {
    let config = Config::load(&look.config.path)?;
    let book = Store::new(&config.state).book().map_err(broken)?;
    if look.json {
        return pretty(&book.users.iter().map(|u| json!({ "user": u.name, "role": u.role })).collect::<Vec<_>>());
    }
    print(&book.users.iter().map(|u| format!("{:<32} {}\n", u.name, u.role.name())).collect::<String>())
}

fn list_tokens(look: &Look) -> Result<(), Failure> {
    let config = Config::load(&look.config.path)?;
    let book = Store::new(&config.state).book().map_err(broken)?;
    let now = clock::wall();
    if look.json {
        let told = |t: &Token| {
            let over = t.term.and_then(|term| term.over(now));
            json!({ "name": t.name, "scopes": t.scopes, "until": until(t.term), "over": over })
        };
        return pretty(&book.tokens.iter().map(told).collect::<Vec<_>>());
    }
    let scopes = |t: &Token| t.scopes.iter().map(|s| s.name()).collect::<Vec<_>>().join(",");
    let term = |t: &Token| match t.term {
        Some(term) => term.over(now).unwrap_or_else(|| format!("until {}", term.until)),
        None => "until it is revoked".into(),
    };
    print(&book.tokens.iter().map(|t| format!("{:<32} {:<34} {}\n", t.name, scopes(t), term(t))).collect::<String>())
}

fn until(term: Option<Term>) -> Option<String> {
    term.map(|term| term.until.to_string())
}
