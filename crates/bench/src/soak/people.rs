//! People who connect their accounts, change their minds, end sessions and leave.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use http::Method;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use serde_json::{Value, json};
use telegram_sim::mtproto::cloud::tokens::TokenError;
use telegram_sim::mtproto::{ControlError, Revocation};

use super::stage::{AWAY, Caller, Person, Stage};
use crate::Result;
use crate::logins::{CONNECT, PASSWORD};

const ACCOUNTS: &str = "/api/integrations/telegram/accounts";
/// How long a login may take, restarts included.
const PATIENCE: Duration = Duration::from_mins(2);

/// Picks people at random and does something with their accounts, until the turmoil is over.
pub async fn come_and_go(stage: &Stage, mut rng: StdRng) -> Result<()> {
    let mut caller = Caller::default();
    while !stage.is_over() {
        if let Some(person) = stage.people.choose(&mut rng)
            && let Ok(mut account) = person.account.try_lock()
        {
            if let Some(id) = account.clone() {
                if move_on(stage, &mut caller, &mut rng, person, &id).await? {
                    *account = None;
                }
            } else {
                *account = come(stage, &mut caller, &mut rng, person).await?;
            }
            (*person.known.lock().unwrap_or_else(PoisonError::into_inner)).clone_from(&account);
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(50..500))).await;
    }
    Ok(())
}

/// Logs somebody in whose session has ended, or who never was.
pub async fn log_in(stage: &Stage, person: &Person) -> Result<()> {
    let mut account = person.account.lock().await;
    let mut caller = Caller::default();
    for _ in 0..20 {
        let login = begin(stage, &mut caller, rand::random()).await?;
        *account = follow(stage, &mut caller, person, &login, false).await?;
        if account.is_some() {
            break;
        }
        tokio::time::sleep(AWAY).await;
    }
    (*person.known.lock().unwrap_or_else(PoisonError::into_inner)).clone_from(&account);
    account.as_ref().map(drop).ok_or_else(|| "somebody could not be logged in during the calm".into())
}

async fn begin(stage: &Stage, caller: &mut Caller, key: u64) -> Result<Value> {
    let body = json!({ "method": "qr" });
    let (status, login) =
        caller.insist(stage, Method::POST, CONNECT, Some(&body), Some(&format!("login-{key}"))).await?;
    if status == 202 { Ok(login) } else { Err(format!("a login was refused: {status} {login}").into()) }
}

/// A login with some end. Returns the account that it led to.
async fn come(stage: &Stage, caller: &mut Caller, rng: &mut StdRng, person: &Person) -> Result<Option<String>> {
    let login = begin(stage, caller, rng.next_u64()).await?;
    match rng.random_range(0..100) {
        0..12 => {
            cancel(stage, caller, &login).await?;
            stage.count("logins cancelled");
            Ok(None)
        }
        12..15 if stage.may_abandon.fetch_update(Relaxed, Relaxed, |left: u32| left.checked_sub(1)).is_ok() => {
            stage.count("logins left to expire");
            Ok(None)
        }
        15..22 => follow(stage, caller, person, &login, true).await,
        _ => follow(stage, caller, person, &login, false).await,
    }
}

async fn cancel(stage: &Stage, caller: &mut Caller, login: &Value) -> Result<()> {
    caller.insist(stage, Method::DELETE, &path_of(login), None, None).await.map(drop)
}

fn path_of(login: &Value) -> String {
    format!("{CONNECT}/{}", login["id"].as_str().unwrap_or_default())
}

/// Scans and enters what is asked for, until the login is over. With `fickle`, it is cancelled right after the scan; it may be
/// done already then.
async fn follow(
    stage: &Stage,
    caller: &mut Caller,
    person: &Person,
    login: &Value,
    fickle: bool,
) -> Result<Option<String>> {
    let path = path_of(login);
    let begun = Instant::now();
    let mut cancelled = false;
    let mut current = login.clone();
    while begun.elapsed() < PATIENCE {
        match (current["status"].as_str(), current["step"]["type"].as_str()) {
            (Some("done"), _) => {
                stage.count("logins done");
                // The account hears from somebody, so that it may write back.
                for friend in &stage.friends {
                    stage.sim.accounts().deliver(*friend, person.user, "hello")?;
                }
                return Ok(current["account_id"].as_str().map(str::to_owned));
            }
            (Some("cancelled"), _) => {
                stage.count("logins cancelled after the scan");
                return Ok(None);
            }
            (Some("failed"), _) => {
                stage.count("logins failed");
                eprintln!("a login failed: {}", current["step"]);
                return Ok(None);
            }
            (_, Some("qr")) => {
                let url = current["step"]["url"].as_str().unwrap_or_default();
                // A code that was scanned, or that is too old, is refused: the next one is shown soon.
                let scanned = stage.sim.accounts().scan(person.user, url);
                if matches!(scanned, Err(ControlError::Token(TokenError::Excepted))) {
                    // The end of the former session is not known yet: until then the service wants no second one.
                    cancel(stage, caller, login).await?;
                    stage.count("logins of people who seemed to be connected");
                    return Ok(None);
                }
                if scanned.is_ok() && fickle && !cancelled {
                    cancelled = true;
                    cancel(stage, caller, login).await?;
                }
            }
            (_, Some("password")) => {
                let body = json!({ "password": PASSWORD });
                // Whatever it answers, the login says how it stands.
                let _ = caller.call(stage, Method::POST, &format!("{path}/password"), Some(&body), None).await;
            }
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        current = caller.insist(stage, Method::GET, &path, None, None).await?.1;
    }
    let (id, kind, problem) = (&current["id"], &current["step"]["type"], &current["problem"]);
    stage.wrong(format!("the login {id} is at {kind} after {PATIENCE:?}, with the problem {problem}"));
    cancel(stage, caller, login).await?;
    Ok(None)
}

/// Something happens to a connected account. True when it was logged out.
async fn move_on(stage: &Stage, caller: &mut Caller, rng: &mut StdRng, person: &Person, id: &str) -> Result<bool> {
    let path = format!("{ACCOUNTS}/{id}");
    match rng.random_range(0..100) {
        0..35 => {
            let (status, answer) = caller.insist(stage, Method::DELETE, &path, None, None).await?;
            // 404: the first of two tries was cut off, and had done it.
            if status != 204 && status != 404 {
                stage.wrong(format!("a log-out was answered with {status}: {answer}"));
            }
            // Its session ends at Telegram before somebody connects the same account anew.
            while caller.insist(stage, Method::GET, &path, None, None).await?.0 != 404 {
                tokio::time::sleep(AWAY).await;
            }
            stage.count("log-outs");
            Ok(true)
        }
        35..50 => {
            let how = [Revocation::Revoked, Revocation::Unregistered, Revocation::Expired];
            stage.sim.accounts().revoke(person.user, None, *how.choose(rng).unwrap_or(&Revocation::Revoked))?;
            stage.count("sessions revoked");
            // As likely as not somebody logs it in again at once.
            if rng.random_bool(0.5) {
                let login = begin(stage, caller, rng.next_u64()).await?;
                follow(stage, caller, person, &login, false).await?;
            }
            Ok(false)
        }
        50..75 => {
            let path = format!("{path}/reconnect");
            let (status, answer) = caller.insist(stage, Method::POST, &path, Some(&json!({})), None).await?;
            stage.count("reconnects");
            // The session is dead: a login for the same account begins.
            if status == 202 {
                follow(stage, caller, person, &answer, false).await?;
            }
            Ok(false)
        }
        _ => {
            // Answered by the owner; it may be connecting just now, so that any answer will do.
            let _ = caller.call(stage, Method::GET, &format!("{path}/dialogs"), None, None).await;
            stage.count("dialogs");
            Ok(false)
        }
    }
}
