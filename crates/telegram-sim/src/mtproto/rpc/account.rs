//! `account.*`: passwords, sign-ins, status, profile.

use grammers_tl_types::{Identifiable, enums, functions::account as f, types};

use super::{Answer, Call, Reply, RpcError, run};
use crate::mtproto::cloud::keys::{Client, Revocation};
use crate::mtproto::render::View;
use crate::mtproto::srp::{Verifier, new_algo};
use crate::world::UserId;

pub fn call(call: &Call<'_>, id: u32, body: &[u8]) -> Answer {
    match id {
        f::GetPassword::CONSTRUCTOR_ID => run(body, |_: f::GetPassword| get_password(call)),
        f::GetPasswordSettings::CONSTRUCTOR_ID => run(body, |request| password_settings(call, &request)),
        f::UpdatePasswordSettings::CONSTRUCTOR_ID => run(body, |request| update_password(call, request)),
        f::GetAuthorizations::CONSTRUCTOR_ID => run(body, |_: f::GetAuthorizations| authorizations(call)),
        f::ResetAuthorization::CONSTRUCTOR_ID => run(body, |request| reset_authorization(call, &request)),
        f::UpdateStatus::CONSTRUCTOR_ID => run(body, |_: f::UpdateStatus| call.me().map(|_| true)),
        f::UpdateProfile::CONSTRUCTOR_ID => run(body, |request| update_profile(call, request)),
        _ => Err(RpcError::METHOD_INVALID),
    }
}

/// Whose password it is about: who is signed in, or who owes the password.
fn subject(call: &Call<'_>) -> Reply<UserId> {
    let pending = call.cloud().keys.get(&call.link.key_id).and_then(|key| key.pending);
    call.user.or(pending).ok_or(RpcError::UNREGISTERED)
}

fn verifier(call: &Call<'_>, user: UserId) -> Option<Verifier> {
    call.cloud().accounts.get(&user).and_then(|account| account.password.clone())
}

fn get_password(call: &Call<'_>) -> Reply<enums::account::Password> {
    let verifier = verifier(call, subject(call)?);
    let challenge = verifier.as_ref().map(Verifier::challenge);
    if let Some(key) = call.cloud().keys.get_mut(&call.link.key_id) {
        key.challenge.clone_from(&challenge);
    }
    let mut secure_random = [0; 256];
    rand::fill(&mut secure_random);
    Ok(types::account::Password {
        has_recovery: false,
        has_secure_values: false,
        has_password: verifier.is_some(),
        current_algo: verifier.as_ref().map(Verifier::algo),
        srp_b: challenge.as_ref().map(|challenge| challenge.g_b.to_vec()),
        srp_id: challenge.as_ref().map(|challenge| challenge.id),
        hint: verifier.map(|verifier| verifier.hint).filter(|hint| !hint.is_empty()),
        email_unconfirmed_pattern: None,
        new_algo: new_algo(),
        new_secure_algo: enums::SecurePasswordKdfAlgo::Unknown,
        secure_random: secure_random.to_vec(),
        pending_reset_date: None,
        login_email_pattern: None,
    }
    .into())
}

/// Checks the present password before something about it is shown or changed.
fn confirm(call: &Call<'_>, user: UserId, answer: &enums::InputCheckPasswordSrp) -> Reply<()> {
    let Some(verifier) = verifier(call, user) else { return Ok(()) };
    let enums::InputCheckPasswordSrp::Srp(answer) = answer else {
        return Err(RpcError::bad("PASSWORD_HASH_INVALID"));
    };
    let challenge = call.cloud().keys.get_mut(&call.link.key_id).and_then(|key| key.challenge.take());
    let challenge = challenge.filter(|challenge| challenge.id == answer.srp_id);
    let challenge = challenge.ok_or(RpcError::bad("SRP_ID_INVALID"))?;
    if verifier.accepts(&challenge, answer) { Ok(()) } else { Err(RpcError::bad("PASSWORD_HASH_INVALID")) }
}

fn password_settings(call: &Call<'_>, request: &f::GetPasswordSettings) -> Reply<enums::account::PasswordSettings> {
    confirm(call, call.me()?, &request.password)?;
    Ok(types::account::PasswordSettings { email: None, secure_settings: None }.into())
}

fn update_password(call: &Call<'_>, request: f::UpdatePasswordSettings) -> Reply<bool> {
    let me = call.me()?;
    confirm(call, me, &request.password)?;
    let enums::account::PasswordInputSettings::Settings(settings) = request.new_settings;
    let (Some(algo), Some(hash)) = (settings.new_algo, settings.new_password_hash) else {
        // Only the recovery e-mail changes, which nobody reads here.
        return Ok(true);
    };
    let password = if hash.is_empty() {
        None
    } else {
        let hint = settings.hint.unwrap_or_default();
        let verifier = Verifier::from_client(&algo, &hash, &hint);
        Some(verifier.ok_or(RpcError::bad("NEW_SETTINGS_INVALID"))?)
    };
    if let Some(account) = call.cloud().accounts.get_mut(&me) {
        account.password = password;
    }
    Ok(true)
}

/// A device that is signed in; `dates` are those of the sign-in and of the last request.
pub fn device(hash: i64, current: bool, client: &Client, dates: (i32, i32), ip: String) -> enums::Authorization {
    types::Authorization {
        current,
        official_app: false,
        password_pending: false,
        encrypted_requests_disabled: false,
        call_requests_disabled: false,
        unconfirmed: false,
        hash: if current { 0 } else { hash },
        device_model: client.device_model.clone(),
        platform: String::new(),
        system_version: client.system_version.clone(),
        api_id: client.api_id,
        app_name: "Client".to_owned(),
        app_version: client.app_version.clone(),
        date_created: dates.0,
        date_active: dates.1,
        ip,
        country: "XX".to_owned(),
        region: String::new(),
    }
    .into()
}

fn authorizations(call: &Call<'_>) -> Reply<enums::account::Authorizations> {
    let me = call.me()?;
    let cloud = call.cloud();
    let own = cloud.keys.get(&call.link.key_id).and_then(|key| Some(key.authorization.as_ref()?.hash));
    let device = |known: crate::mtproto::cloud::keys::AuthorizationInfo| {
        let current = Some(known.hash) == own;
        device(known.hash, current, &known.client, (known.created, known.active), known.ip)
    };
    let authorizations = cloud.authorizations(me).into_iter().map(device).collect();
    Ok(types::account::Authorizations { authorization_ttl_days: 180, authorizations }.into())
}

fn reset_authorization(call: &Call<'_>, request: &f::ResetAuthorization) -> Reply<bool> {
    let me = call.me()?;
    let mut cloud = call.cloud();
    let key = cloud.key_by_hash(me, request.hash).ok_or(RpcError::bad("HASH_INVALID"))?;
    cloud.revoke(key, Revocation::Revoked);
    Ok(true)
}

fn update_profile(call: &Call<'_>, request: f::UpdateProfile) -> Reply<enums::User> {
    let me = call.me()?;
    let cloud = call.cloud();
    let mut world = call.core.world.lock();
    let user = world.user_mut(me).ok_or(RpcError::UNREGISTERED)?;
    if let Some(name) = request.first_name {
        if name.trim().is_empty() {
            return Err(RpcError::bad("FIRSTNAME_INVALID"));
        }
        user.first_name = name;
    }
    if let Some(name) = request.last_name {
        user.last_name = Some(name).filter(|name| !name.is_empty());
    }
    View::new(&world, &cloud, me).user(me).ok_or(RpcError::UNREGISTERED)
}
