//! Accounts that are connected from the start.

use serde_json::json;
use service::platforms::telegram_accounts::session_purpose;
use service::secrets::Sealer;
use sqlx::PgPool;
use telegram::accounts::table::{self, Proven};
use telegram::mtproto::{AuthKey, SelfUser, SessionData, UpdateState};
use telegram_sim::Sim;
use telegram_sim::mtproto::NewAccount;
use telegram_sim::world::NewUser;
use uuid::Uuid;

/// An account, as the service and as Telegram know it.
#[derive(Debug, Clone)]
pub struct Person {
    /// At the service.
    pub account: Uuid,
    /// At Telegram.
    pub user: i64,
    /// Who write to it.
    pub friends: Vec<i64>,
}

/// An account that is signed in already, as after its login: two hundred logins would take longer than the tests.
pub async fn signed_in(sim: &Sim, pool: &PgPool, sealer: &Sealer, owner: i32, number: usize, friends: usize) -> Person {
    let phone = format!("+1997{number:07}");
    let user = sim.accounts().create_account(NewAccount { phone: phone.clone(), ..NewAccount::default() }).unwrap();
    let friends = (0..friends).map(|_| sim.world().lock().add_user(NewUser::default())).collect();
    let (home, keys) = sim.accounts().sign_in(user).unwrap();
    let mut data = SessionData::logged_in(home, AuthKey::from(keys[&home])).unwrap();
    for (dc, key) in keys {
        data.data_centers.get_mut(&dc).unwrap().auth_key = Some(AuthKey::from(key));
    }
    data.user = Some(SelfUser { id: user, access_hash: None });
    // Where the updates of a new account begin.
    data.updates = UpdateState { pts: 1, seq: 1, date: 1_700_000_000, ..UpdateState::default() };
    let account = Uuid::now_v7();
    let session = json!(sealer.seal(&session_purpose(account), &data.to_bytes()).await.unwrap());
    let proven = Proven {
        id: account,
        user_id: owner,
        phone: &phone,
        telegram_user_id: user,
        name: "Somebody",
        username: None,
        session_data: &session,
        fingerprint: &data.fingerprint().unwrap(),
        client: &json!({}),
    };
    table::insert(&mut pool.acquire().await.unwrap(), &proven).await.unwrap();
    Person { account, user, friends }
}
