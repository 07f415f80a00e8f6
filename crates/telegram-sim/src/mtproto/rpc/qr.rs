//! Signing in by QR: <https://core.telegram.org/api/qr-login>.

use grammers_tl_types::{enums, functions::auth as f, types};

use super::auth::{check_application, proven};
use super::{Call, Reply, RpcError};
use crate::mtproto::cloud::tokens::TokenError;
use crate::world::UserId;

impl From<TokenError> for RpcError {
    fn from(error: TokenError) -> Self {
        Self::bad(match error {
            TokenError::Invalid => "AUTH_TOKEN_INVALID",
            TokenError::Expired => "AUTH_TOKEN_EXPIRED",
            TokenError::Accepted => "AUTH_TOKEN_ALREADY_ACCEPTED",
            TokenError::Excepted => "AUTH_TOKEN_EXCEPTION",
        })
    }
}

/// A new token to show, or what came of one that this key showed before.
pub fn export(call: &Call<'_>, request: f::ExportLoginToken) -> Reply<enums::auth::LoginToken> {
    check_application(request.api_id, &request.api_hash)?;
    let mut cloud = call.cloud();
    if let Some((token, user)) = cloud.tokens.accepted_for(call.link.key_id) {
        drop(cloud);
        return redeem(call, token, user);
    }
    if let Some(user) = call.user {
        let authorization = super::auth::authorization(call, &cloud, user)?;
        return Ok(types::auth::LoginTokenSuccess { authorization }.into());
    }
    let (token, expires) = cloud.export_token(call.link.key_id, request.except_ids);
    Ok(types::auth::LoginToken { expires, token }.into())
}

/// Goes on with a token that was issued at another data centre.
pub fn import(call: &Call<'_>, request: &f::ImportLoginToken) -> Reply<enums::auth::LoginToken> {
    let mut cloud = call.cloud();
    let known = cloud.tokens.get(&request.token)?.clone();
    let Some(user) = known.accepted else {
        return Ok(types::auth::LoginToken { expires: known.expires, token: request.token.clone() }.into());
    };
    drop(cloud);
    redeem(call, request.token.clone(), user)
}

fn redeem(call: &Call<'_>, token: Vec<u8>, user: UserId) -> Reply<enums::auth::LoginToken> {
    let home = call.cloud().accounts.get(&user).map(|account| account.dc);
    let home = home.ok_or(RpcError::bad("AUTH_TOKEN_INVALID"))?;
    if home != call.link.dc {
        return Ok(types::auth::LoginTokenMigrateTo { dc_id: home, token }.into());
    }
    call.cloud().tokens.remove(&token);
    let authorization = proven(call, user)?;
    Ok(types::auth::LoginTokenSuccess { authorization }.into())
}

/// Another device of the person scans a token.
pub fn accept(call: &Call<'_>, request: &f::AcceptLoginToken) -> Reply<enums::Authorization> {
    let me = call.me()?;
    let mut cloud = call.cloud();
    let key_id = cloud.accept_token(&request.token, me)?;
    let client = cloud.keys.get(&key_id).and_then(|key| key.client.clone()).unwrap_or_default();
    Ok(super::account::device(0, false, &client, (0, 0), String::new()))
}
