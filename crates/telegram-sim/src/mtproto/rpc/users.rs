//! `users.*`.

use grammers_tl_types::{Identifiable, enums, functions::users as f, types};

use super::{Answer, Call, Reply, RpcError, run};
use crate::mtproto::render::View;

pub fn call(call: &Call<'_>, id: u32, body: &[u8]) -> Answer {
    match id {
        f::GetUsers::CONSTRUCTOR_ID => run(body, |request| get_users(call, &request)),
        f::GetFullUser::CONSTRUCTOR_ID => run(body, |request| get_full_user(call, &request)),
        _ => Err(RpcError::METHOD_INVALID),
    }
}

fn get_users(call: &Call<'_>, request: &f::GetUsers) -> Reply<Vec<enums::User>> {
    let me = call.me()?;
    let cloud = call.cloud();
    let world = call.core.world.lock();
    let view = View::new(&world, &cloud, me);
    // Users that the client has not met are left out, as Telegram does.
    let known = request.id.iter().filter_map(|named| call.user(&world, named).ok());
    Ok(known.filter_map(|id| view.user(id)).collect())
}

fn get_full_user(call: &Call<'_>, request: &f::GetFullUser) -> Reply<enums::users::UserFull> {
    let me = call.me()?;
    let cloud = call.cloud();
    let world = call.core.world.lock();
    let id = call.user(&world, &request.id)?;
    let mut view = View::new(&world, &cloud, me);
    let full_user = view.full_user(id).ok_or(RpcError::bad("USER_ID_INVALID"))?.into();
    let (users, chats) = view.mentioned();
    Ok(types::users::UserFull { full_user, chats, users }.into())
}
