//! `auth.*`: signing in and out. QR codes have a file of their own.

use grammers_tl_types::{Identifiable, enums, functions::auth as f, types};

use super::{Answer, Call, Reply, RpcError, qr, run};
use crate::mtproto::cloud::accounts::{Account, SERVICE_USER, digits, test_phone};
use crate::mtproto::cloud::codes::{CodeError, Delivery, SentCode};
use crate::mtproto::cloud::keys::{Export, Revocation};
use crate::mtproto::cloud::limits::Subject;
use crate::mtproto::render::View;
use crate::world::{Body, NewUser, UserId, Via};

/// The window of the limits on codes and passwords, in seconds.
const WINDOW: f64 = 600.0;

pub fn call(call: &Call<'_>, id: u32, body: &[u8]) -> Answer {
    match id {
        f::SendCode::CONSTRUCTOR_ID => run(body, |request| send_code(call, &request)),
        f::ResendCode::CONSTRUCTOR_ID => run(body, |request| resend_code(call, &request)),
        f::CancelCode::CONSTRUCTOR_ID => run(body, |request| cancel_code(call, &request)),
        f::SignIn::CONSTRUCTOR_ID => run(body, |request| sign_in(call, &request)),
        f::SignUp::CONSTRUCTOR_ID => run(body, |request| sign_up(call, request)),
        f::CheckPassword::CONSTRUCTOR_ID => run(body, |request| check_password(call, &request)),
        f::LogOut::CONSTRUCTOR_ID => run(body, |_: f::LogOut| log_out(call)),
        f::ResetAuthorizations::CONSTRUCTOR_ID => run(body, |_: f::ResetAuthorizations| reset_others(call)),
        f::ExportAuthorization::CONSTRUCTOR_ID => run(body, |request| export(call, &request)),
        f::ImportAuthorization::CONSTRUCTOR_ID => run(body, |request| import(call, &request)),
        f::ExportLoginToken::CONSTRUCTOR_ID => run(body, |request| qr::export(call, request)),
        f::ImportLoginToken::CONSTRUCTOR_ID => run(body, |request| qr::import(call, &request)),
        f::AcceptLoginToken::CONSTRUCTOR_ID => run(body, |request| qr::accept(call, &request)),
        _ => Err(RpcError::METHOD_INVALID),
    }
}

/// Whether a client's application may sign in.
pub fn check_application(api_id: i32, api_hash: &str) -> Reply<()> {
    if api_id <= 0 || api_hash.is_empty() { Err(RpcError::bad("API_ID_INVALID")) } else { Ok(()) }
}

fn phone_of(number: &str) -> Reply<String> {
    digits(number).ok_or(RpcError::bad("PHONE_NUMBER_INVALID"))
}

fn sent_code(hash: String, sent: &SentCode, timeout: i32) -> enums::auth::SentCode {
    const LENGTH: i32 = 5;
    let r#type = match sent.delivery {
        Delivery::App => types::auth::SentCodeTypeApp { length: LENGTH }.into(),
        Delivery::Sms => types::auth::SentCodeTypeSms { length: LENGTH }.into(),
        Delivery::Call => types::auth::SentCodeTypeCall { length: LENGTH }.into(),
    };
    let next_type = sent.delivery.next().map(|next| match next {
        Delivery::Call => enums::auth::CodeType::Call,
        _ => enums::auth::CodeType::Sms,
    });
    let timeout = next_type.is_some().then_some(timeout);
    types::auth::SentCode { r#type, phone_code_hash: hash, next_type, timeout }.into()
}

fn send_code(call: &Call<'_>, request: &f::SendCode) -> Reply<enums::auth::SentCode> {
    check_application(request.api_id, &request.api_hash)?;
    let phone = phone_of(&request.phone_number)?;
    let mut cloud = call.cloud();
    let account = cloud.account_by_phone(&phone).map(|(_, account)| account);
    if account.is_some_and(|account| account.banned) {
        return Err(RpcError::bad("PHONE_NUMBER_BANNED"));
    }
    let home = account.map(|account| account.dc).or_else(|| test_phone(&phone).map(|(dc, _)| dc));
    if let Some(home) = home.filter(|home| *home != call.link.dc && call.core.has_dc(*home)) {
        return Err(RpcError::migrate("PHONE", home));
    }
    limit(&mut cloud, Subject::Codes(phone.clone()))?;
    let timeout = cloud.settings.code_timeout;
    let (hash, sent) = cloud.send_code(&phone);
    if sent.delivery == Delivery::App
        && let Some(user) = cloud.phones.get(&phone).copied()
    {
        drop(cloud);
        tell_code(call, user, &sent.code);
    }
    Ok(sent_code(hash, &sent, timeout))
}

/// Puts the code into the app on the person's other devices.
fn tell_code(call: &Call<'_>, user: UserId, code: &str) {
    let text = format!("Login code: {code}. Do not give this code to anyone.");
    let mut cloud = call.cloud();
    let mut world = call.core.world.lock();
    if world.user(SERVICE_USER).is_none() {
        let name = Some("Telegram".to_owned());
        world.add_user(NewUser { id: Some(SERVICE_USER), first_name: name, ..NewUser::default() });
    }
    // A person who blocked the service user does not see its messages.
    let _ = world.send(SERVICE_USER, user, Body { text, via: Via::Control, ..Body::default() });
    cloud.sync(&world, None);
}

fn resend_code(call: &Call<'_>, request: &f::ResendCode) -> Reply<enums::auth::SentCode> {
    let phone = phone_of(&request.phone_number)?;
    let mut cloud = call.cloud();
    let timeout = cloud.settings.code_timeout;
    let sent = cloud.codes.get_mut(&request.phone_code_hash, &phone).ok_or(RpcError::bad("PHONE_CODE_EXPIRED"))?;
    sent.delivery = sent.delivery.next().ok_or(RpcError::new(406, "SEND_CODE_UNAVAILABLE"))?;
    Ok(sent_code(request.phone_code_hash.clone(), sent, timeout))
}

fn cancel_code(call: &Call<'_>, request: &f::CancelCode) -> Reply<bool> {
    let phone = phone_of(&request.phone_number)?;
    if call.cloud().codes.cancel(&request.phone_code_hash, &phone) {
        Ok(true)
    } else {
        Err(RpcError::bad("PHONE_CODE_EXPIRED"))
    }
}

fn sign_in(call: &Call<'_>, request: &f::SignIn) -> Reply<enums::auth::Authorization> {
    let phone = phone_of(&request.phone_number)?;
    let code = request.phone_code.as_deref().filter(|code| !code.is_empty());
    let code = code.ok_or(RpcError::bad("PHONE_CODE_EMPTY"))?;
    let mut cloud = call.cloud();
    cloud.codes.check(&request.phone_code_hash, &phone, code).map_err(|error| match error {
        CodeError::Invalid => RpcError::bad("PHONE_CODE_INVALID"),
        CodeError::Expired => RpcError::bad("PHONE_CODE_EXPIRED"),
    })?;
    let Some(user) = cloud.account_by_phone(&phone).map(|(user, _)| user) else {
        return Ok(types::auth::AuthorizationSignUpRequired { terms_of_service: None }.into());
    };
    cloud.codes.cancel(&request.phone_code_hash, &phone);
    drop(cloud);
    proven(call, user)
}

fn sign_up(call: &Call<'_>, request: f::SignUp) -> Reply<enums::auth::Authorization> {
    let phone = phone_of(&request.phone_number)?;
    if request.first_name.trim().is_empty() {
        return Err(RpcError::bad("FIRSTNAME_INVALID"));
    }
    let mut cloud = call.cloud();
    let confirmed = cloud.codes.get_mut(&request.phone_code_hash, &phone).is_some_and(|sent| sent.confirmed);
    if !confirmed {
        return Err(RpcError::bad("PHONE_CODE_EXPIRED"));
    }
    if cloud.phones.contains_key(&phone) {
        return Err(RpcError::bad("PHONE_NUMBER_OCCUPIED"));
    }
    cloud.codes.cancel(&request.phone_code_hash, &phone);
    let user = call.core.world.lock().add_user(NewUser {
        first_name: Some(request.first_name),
        last_name: Some(request.last_name).filter(|name| !name.is_empty()),
        phone: Some(phone.clone()),
        ..NewUser::default()
    });
    let account = Account { phone: phone.clone(), dc: call.link.dc, ..Account::default() };
    cloud.accounts.insert(user, account);
    cloud.phones.insert(phone, user);
    drop(cloud);
    proven(call, user)
}

/// The person proved to be this user, up to the password if there is one.
pub fn proven(call: &Call<'_>, user: UserId) -> Reply<enums::auth::Authorization> {
    let mut cloud = call.cloud();
    let account = cloud.accounts.get(&user).ok_or(RpcError::bad("PHONE_NUMBER_UNOCCUPIED"))?;
    if account.password.is_some() {
        if let Some(key) = cloud.keys.get_mut(&call.link.key_id) {
            key.pending = Some(user);
        }
        return Err(RpcError::PASSWORD_NEEDED);
    }
    drop(cloud);
    authorize(call, user)
}

fn authorize(call: &Call<'_>, user: UserId) -> Reply<enums::auth::Authorization> {
    let mut cloud = call.cloud();
    cloud.authorize(call.link.key_id, user, call.link.ip.to_string(), false);
    cloud.push_new_authorization(user, call.link.key_id);
    authorization(call, &cloud, user)
}

/// The answer that says who is signed in now.
pub fn authorization(
    call: &Call<'_>,
    cloud: &crate::mtproto::cloud::Cloud,
    user: UserId,
) -> Reply<enums::auth::Authorization> {
    let world = call.core.world.lock();
    let user = View::new(&world, cloud, user).user(user).ok_or(RpcError::new(401, "USER_DEACTIVATED"))?;
    let authorization = types::auth::Authorization {
        setup_password_required: false,
        otherwise_relogin_days: None,
        tmp_sessions: None,
        future_auth_token: None,
        user,
    };
    Ok(authorization.into())
}

fn limit(cloud: &mut crate::mtproto::cloud::Cloud, subject: Subject) -> Reply<()> {
    if !cloud.settings.limits {
        return Ok(());
    }
    let burst = match subject {
        Subject::Passwords(_) => cloud.settings.password_attempts,
        _ => cloud.settings.codes_per_phone,
    };
    let now = std::time::Instant::now();
    cloud.limiter.take(subject, burst / WINDOW, burst, now).map_err(RpcError::flood)
}

fn check_password(call: &Call<'_>, request: &f::CheckPassword) -> Reply<enums::auth::Authorization> {
    let enums::InputCheckPasswordSrp::Srp(answer) = &request.password else {
        return Err(RpcError::bad("PASSWORD_HASH_INVALID"));
    };
    let (user, challenge, verifier) = {
        let mut cloud = call.cloud();
        let key = cloud.keys.get_mut(&call.link.key_id).ok_or(RpcError::UNREGISTERED)?;
        let user = key.pending.ok_or(RpcError::UNREGISTERED)?;
        let challenge = key.challenge.take().filter(|challenge| challenge.id == answer.srp_id);
        let challenge = challenge.ok_or(RpcError::bad("SRP_ID_INVALID"))?;
        let verifier = cloud.accounts.get(&user).and_then(|account| account.password.clone());
        (user, challenge, verifier)
    };
    // The password may have been taken away meanwhile: then any will do, as nobody can prove it.
    if verifier.is_some_and(|verifier| !verifier.accepts(&challenge, answer)) {
        limit(&mut call.cloud(), Subject::Passwords(user))?;
        return Err(RpcError::bad("PASSWORD_HASH_INVALID"));
    }
    authorize(call, user)
}

fn log_out(call: &Call<'_>) -> Reply<enums::auth::LoggedOut> {
    call.cloud().sign_out(call.link.key_id).ok_or(RpcError::UNREGISTERED)?;
    Ok(types::auth::LoggedOut { future_auth_token: None }.into())
}

fn reset_others(call: &Call<'_>) -> Reply<bool> {
    let me = call.me()?;
    let mut cloud = call.cloud();
    let keys = cloud.accounts.get(&me).map(|account| account.keys.clone()).unwrap_or_default();
    for key in keys.into_iter().filter(|key| *key != call.link.key_id) {
        cloud.revoke(key, Revocation::Revoked);
    }
    Ok(true)
}

fn export(call: &Call<'_>, request: &f::ExportAuthorization) -> Reply<enums::auth::ExportedAuthorization> {
    let user = call.me()?;
    if !call.core.has_dc(request.dc_id) || request.dc_id == call.link.dc {
        return Err(RpcError::bad("DC_ID_INVALID"));
    }
    let bytes = rand::random::<[u8; 32]>().to_vec();
    call.cloud().exports.insert(bytes.clone(), Export { user, dc: request.dc_id });
    Ok(types::auth::ExportedAuthorization { id: user, bytes }.into())
}

fn import(call: &Call<'_>, request: &f::ImportAuthorization) -> Reply<enums::auth::Authorization> {
    let mut cloud = call.cloud();
    let export = cloud.exports.remove(&request.bytes).ok_or(RpcError::bad("AUTH_BYTES_INVALID"))?;
    if export.user != request.id {
        return Err(RpcError::bad("USER_ID_INVALID"));
    }
    if export.dc != call.link.dc {
        return Err(RpcError::bad("AUTH_BYTES_INVALID"));
    }
    cloud.authorize(call.link.key_id, export.user, call.link.ip.to_string(), true);
    authorization(call, &cloud, export.user)
}
