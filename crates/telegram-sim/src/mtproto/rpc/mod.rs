//! Methods of the API, one file per namespace. A handler takes a request and returns its result or an [`RpcError`].

mod account;
mod attaching;
mod auth;
mod channels;
mod contacts;
mod editing;
mod error;
mod forwarding;
mod help;
mod history;
mod invites;
mod messages;
mod peers;
mod qr;
mod sending;
mod updates;
mod upload;
mod users;
mod wrappers;

use std::net::IpAddr;
use std::sync::MutexGuard;

use grammers_tl_types::{Deserializable, RemoteCall, Serializable};

pub use self::error::RpcError;
pub use self::wrappers::{Request, unwrap};
use super::cloud::Cloud;
use super::cloud::keys::Standing;
use super::core::Shared;
use super::wire::msg_id::unix_time;
use crate::world::UserId;

/// From which connection and key a request comes.
#[derive(Debug, Clone)]
pub struct Link {
    /// Number of the connection.
    pub connection: u64,
    /// Key that encrypted the request.
    pub key_id: i64,
    /// Data centre of the key.
    pub dc: i32,
    /// Where the client is.
    pub ip: IpAddr,
}

/// One call of a method.
pub struct Call<'a> {
    core: &'a Shared,
    link: &'a Link,
    user: Option<UserId>,
}

/// What a handler says.
type Reply<T> = Result<T, RpcError>;

/// What a namespace makes of a call: the serialized result.
type Answer = Reply<Vec<u8>>;

impl Call<'_> {
    fn cloud(&self) -> MutexGuard<'_, Cloud> {
        self.core.cloud()
    }

    /// Who calls.
    fn me(&self) -> Reply<UserId> {
        self.user.ok_or(RpcError::UNREGISTERED)
    }
}

/// Methods that anybody may call; every other needs a signed-in key.
const FOR_ANYBODY: &[&str] = &[
    "account.getPassword",
    "auth.cancelCode",
    "auth.checkPassword",
    "auth.exportLoginToken",
    "auth.importAuthorization",
    "auth.importLoginToken",
    "auth.logOut",
    "auth.resendCode",
    "auth.sendCode",
    "auth.signIn",
    "auth.signUp",
    "help.getAppConfig",
    "help.getConfig",
    "help.getNearestDc",
];

/// What an authorization that was imported from the home data centre may do elsewhere.
const ABROAD: &[&str] = &["auth.", "help.", "updates.getState", "upload."];

/// Whether a method takes so much CPU that it must leave the event loop.
pub fn is_heavy(method: &str) -> bool {
    matches!(
        method,
        "account.getPassword" | "account.getPasswordSettings" | "account.updatePasswordSettings" | "auth.checkPassword"
    )
}

/// Carries out a request; the result is the serialized answer or `rpc_error`.
pub fn execute(core: &Shared, link: &Link, request: &Request) -> Vec<u8> {
    admit(core, link, request.method)
        .and_then(|user| dispatch(&Call { core, link, user }, request))
        .unwrap_or_else(|error| error.to_bytes())
}

/// Whether the key may call the method; who calls.
fn admit(core: &Shared, link: &Link, method: &str) -> Reply<Option<UserId>> {
    let mut cloud = core.cloud();
    let key = cloud.keys.get_mut(&link.key_id).ok_or(RpcError::UNREGISTERED)?;
    if let Standing::Dead(code, message) = &key.standing {
        return Err(RpcError::new(*code, message.clone()));
    }
    if key.client.is_none() {
        return Err(RpcError::bad("CONNECTION_NOT_INITED"));
    }
    let for_anybody = FOR_ANYBODY.contains(&method);
    let (pending, dc) = (key.pending, key.dc);
    let Some(authorization) = &mut key.authorization else {
        return match pending {
            _ if for_anybody => Ok(None),
            Some(_) => Err(RpcError::PASSWORD_NEEDED),
            None => Err(RpcError::UNREGISTERED),
        };
    };
    authorization.active = unix_time();
    authorization.ip = link.ip.to_string();
    let user = authorization.user;
    if core.world.lock().user(user).is_none_or(|user| user.deactivated) {
        return Err(RpcError::new(401, "USER_DEACTIVATED"));
    }
    let home = cloud.accounts.get(&user).map_or(dc, |account| account.dc);
    if home != dc && !ABROAD.iter().any(|allowed| method.starts_with(allowed)) {
        return Err(RpcError::migrate("USER", home));
    }
    Ok(Some(user))
}

fn dispatch(call: &Call<'_>, request: &Request) -> Answer {
    let body = &request.body[4..];
    let namespace = request.method.split('.').next().unwrap_or_default();
    match namespace {
        "account" => account::call(call, request.id, body),
        "auth" => auth::call(call, request.id, body),
        "channels" => channels::call(call, request.id, body),
        "contacts" => contacts::call(call, request.id, body),
        "help" => help::call(call, request.id, body),
        "messages" => messages::call(call, request.id, body),
        "updates" => updates::call(call, request.id, body),
        "upload" => upload::call(call, request.id, body),
        "users" => users::call(call, request.id, body),
        _ => Err(RpcError::METHOD_INVALID),
    }
}

/// Reads a request, calls its handler and writes the result, whose type is the one that the API declares.
fn run<R>(body: &[u8], handler: impl FnOnce(R) -> Reply<R::Return>) -> Answer
where
    R: RemoteCall + Deserializable,
    R::Return: Serializable,
{
    let request = R::from_bytes(body).map_err(|_| RpcError::bad("INPUT_FETCH_ERROR"))?;
    handler(request).map(|result| result.to_bytes())
}
