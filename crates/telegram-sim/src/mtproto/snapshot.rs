//! Keys and accounts in a file, so that clients of the binary stay signed in when it is started again.
//!
//! Messages are not kept: their numbers go on, so that clients take what comes after for new.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::cloud::Cloud;
use super::cloud::accounts::Account;
use super::cloud::keys::{Authorization, Client, Key};
use super::server::Mtproto;
use super::srp::VerifierParts;
use super::wire::cipher::AuthKey;
use crate::world::{ChatId, NewUser, State, UserId};

#[derive(Serialize, Deserialize)]
struct Snapshot {
    last_message_id: i32,
    users: Vec<(UserId, i64)>,
    chats: Vec<ChatRecord>,
    accounts: Vec<AccountRecord>,
    keys: Vec<KeyRecord>,
}

#[derive(Serialize, Deserialize)]
struct ChatRecord {
    id: ChatId,
    access_hash: i64,
    last_message_id: i32,
    pts: i32,
}

#[derive(Serialize, Deserialize)]
struct AccountRecord {
    user_id: UserId,
    phone: String,
    dc: i32,
    first_name: String,
    last_name: Option<String>,
    username: Option<String>,
    password: Option<VerifierParts>,
    contacts: Vec<UserId>,
    pts: i32,
}

#[derive(Serialize, Deserialize)]
struct KeyRecord {
    key: String,
    dc: i32,
    authorization: Option<Authorization>,
    client: Option<Client>,
}

impl Mtproto {
    /// Writes keys and accounts to a file that only its owner can read.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let snapshot = {
            let cloud = self.core.cloud();
            let world = self.core.world.lock();
            take(&cloud, &world)
        };
        let unfinished = path.with_extension("tmp");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(&serde_json::to_vec(&snapshot)?)?;
        fs::rename(unfinished, path)
    }

    /// Takes up what was saved; false if there is no such file.
    pub fn load(&self, path: &Path) -> io::Result<bool> {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            bytes => bytes?,
        };
        let snapshot: Snapshot = serde_json::from_slice(&bytes)?;
        let mut cloud = self.core.cloud();
        let mut world = self.core.world.lock();
        give(&mut cloud, &mut world, snapshot)?;
        Ok(true)
    }
}

fn take(cloud: &Cloud, world: &State) -> Snapshot {
    let account = |(id, account): (&UserId, &Account)| {
        let user = world.user(*id)?;
        Some(AccountRecord {
            user_id: *id,
            phone: account.phone.clone(),
            dc: account.dc,
            first_name: user.first_name.clone(),
            last_name: user.last_name.clone(),
            username: user.username.clone(),
            password: account.password.as_ref().map(VerifierParts::from),
            contacts: account.contacts.iter().copied().collect(),
            pts: account.mailbox.pts,
        })
    };
    let key = |key: &Key| KeyRecord {
        key: hex::encode(key.key.bytes()),
        dc: key.dc,
        authorization: key.authorization.clone(),
        client: key.client.clone(),
    };
    let chats = world.chats().map(|chat| ChatRecord {
        id: chat.id,
        access_hash: chat.access_hash,
        last_message_id: chat.last_message_id,
        pts: cloud.channels.get(&chat.id).map_or(1, |log| log.pts),
    });
    Snapshot {
        last_message_id: world.last_shared_message_id(),
        users: world.users().map(|user| (user.id, user.access_hash)).collect(),
        chats: chats.collect(),
        accounts: cloud.accounts.iter().filter_map(account).collect(),
        // A dead key is as good as an unknown one.
        keys: cloud.keys.values().filter(|key| key.is_good()).map(key).collect(),
    }
}

fn give(cloud: &mut Cloud, world: &mut State, snapshot: Snapshot) -> io::Result<()> {
    let invalid = |what: &'static str| io::Error::new(io::ErrorKind::InvalidData, what);
    world.skip_shared_message_ids(snapshot.last_message_id);
    for record in snapshot.accounts {
        world.add_user(NewUser {
            id: Some(record.user_id),
            first_name: Some(record.first_name),
            last_name: record.last_name,
            username: record.username,
            phone: Some(record.phone.clone()),
        });
        let password = record.password.map(|parts| parts.verifier().ok_or(invalid("bad password"))).transpose()?;
        let account = cloud.accounts.entry(record.user_id).or_default();
        (account.dc, account.password, account.mailbox.pts) = (record.dc, password, record.pts);
        account.phone.clone_from(&record.phone);
        account.contacts = record.contacts.into_iter().collect();
        cloud.phones.insert(record.phone, record.user_id);
    }
    for (id, access_hash) in snapshot.users {
        if let Some(user) = world.user_mut(id) {
            user.access_hash = access_hash;
        }
    }
    for record in snapshot.chats {
        if let Some(chat) = world.chat_mut(record.id) {
            (chat.access_hash, chat.last_message_id) = (record.access_hash, record.last_message_id);
            cloud.channels.entry(record.id).or_default().pts = record.pts;
        }
    }
    for record in snapshot.keys {
        let mut bytes = [0; 256];
        hex::decode_to_slice(&record.key, &mut bytes).map_err(|_| invalid("bad key"))?;
        let key = AuthKey::new(bytes);
        if let Some(authorization) = &record.authorization {
            cloud.accounts.entry(authorization.user).or_default().keys.insert(key.id());
        }
        let (authorization, client) = (record.authorization, record.client);
        cloud.keys.insert(key.id(), Key { authorization, client, ..Key::new(key, record.dc) });
    }
    Ok(())
}
