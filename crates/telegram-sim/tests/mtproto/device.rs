//! A device: a grammers client with keys that the simulator made for it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, SocketAddrV6};
use std::sync::Arc;
use std::time::Duration;

use grammers_client::Client;
use grammers_client::client::PasswordToken;
use grammers_mtsender::{ConnectionParams, InvocationError, NoRetries, SenderPool, SenderPoolFatHandle};
use grammers_session::types::DcOption;
use grammers_session::updates::UpdatesLike;
use grammers_session::{Session, SessionData, storages::MemorySession};
use grammers_tl_types::{RemoteCall, enums, functions, types};
use telegram_sim::mtproto::NewAccount;
use telegram_sim::world::UserId;
use telegram_sim::{Sim, SimOptions};
use tokio::sync::mpsc;

pub const API_ID: i32 = 12345;
pub const API_HASH: &str = "0123456789abcdef0123456789abcdef";

/// Longer than anything here takes, however busy the machine is.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A simulator with the MTProto server only.
pub async fn simulator() -> Sim {
    Sim::start(SimOptions { bot_api: None, control: None, ..SimOptions::default() }).await.unwrap()
}

/// A PNG picture of so many bytes: 32 times 16 points, and what a viewer passes over.
pub fn picture(size: usize) -> Vec<u8> {
    let mut picture = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x20\0\0\0\x10\x08\x06\0\0\0".to_vec();
    picture.extend((picture.len()..size).map(|i| u8::try_from(i % 251).unwrap()));
    picture
}

/// An account without a password.
pub fn account(sim: &Sim, phone: &str, dc: i32) -> UserId {
    let new = NewAccount { phone: phone.to_owned(), dc: Some(dc), ..NewAccount::default() };
    sim.accounts().create_account(new).unwrap()
}

/// An account with a password.
pub fn account_with_password(sim: &Sim, phone: &str, dc: i32, password: &str) -> UserId {
    let new = NewAccount {
        phone: phone.to_owned(),
        dc: Some(dc),
        password: Some(password.to_owned()),
        hint: Some("the usual".to_owned()),
        ..NewAccount::default()
    };
    sim.accounts().create_account(new).unwrap()
}

pub struct Device {
    pub client: Client,
    pub handle: SenderPoolFatHandle,
    pub session: Arc<MemorySession>,
    pub updates: mpsc::Receiver<UpdatesLike>,
    keys: BTreeMap<i32, [u8; 256]>,
}

impl Device {
    /// A new device that begins at data centre 2.
    pub fn new(sim: &Sim) -> Self {
        let keys = (1..=5).map(|dc| (dc, sim.accounts().new_key(dc).unwrap())).collect();
        Self::with(sim, keys, 2)
    }

    /// Another process with the same session.
    pub fn twin(&self, sim: &Sim) -> Self {
        Self::with(sim, self.keys.clone(), self.session.home_dc_id().unwrap())
    }

    fn with(sim: &Sim, keys: BTreeMap<i32, [u8; 256]>, home: i32) -> Self {
        let mut data = SessionData { home_dc: home, ..SessionData::default() };
        data.dc_options.clear();
        for (id, address) in sim.accounts().addresses() {
            let IpAddr::V4(ip) = address.ip() else { panic!("the simulator listens on IPv4") };
            let option = DcOption {
                id,
                ipv4: SocketAddrV4::new(ip, address.port()),
                ipv6: SocketAddrV6::new(Ipv4Addr::LOCALHOST.to_ipv6_mapped(), address.port(), 0, 0),
                auth_key: keys.get(&id).copied(),
            };
            data.dc_options.insert(id, option);
        }
        let session = Arc::new(MemorySession::from(data));
        let params = ConnectionParams {
            device_model: "Test device".to_owned(),
            retry_policy: Box::new(NoRetries),
            ..ConnectionParams::default()
        };
        let SenderPool { runner, handle, updates } = SenderPool::with_configuration(session.clone(), API_ID, params);
        tokio::spawn(runner.run());
        Self { client: Client::new(handle.clone()), handle, session, updates, keys }
    }

    pub async fn invoke<R: RemoteCall>(&self, request: &R) -> Result<R::Return, InvocationError> {
        tokio::time::timeout(PATIENCE, self.client.invoke(request)).await.expect("an answer in time")
    }

    /// The error that a request answers, as Telegram writes it.
    pub async fn error<R: RemoteCall>(&self, request: &R) -> String {
        match self.invoke(request).await {
            Ok(_) => panic!("an error was expected"),
            Err(error) => name(&error),
        }
    }

    /// Goes on at another data centre.
    pub async fn move_to(&self, dc: i32) {
        let old = self.session.home_dc_id().unwrap();
        self.handle.thin.disconnect_from_dc(old);
        self.session.set_home_dc_id(dc).await.unwrap();
    }

    pub async fn send_code(&self, phone: &str) -> Result<types::auth::SentCode, InvocationError> {
        let settings = types::CodeSettings {
            allow_flashcall: false,
            current_number: false,
            allow_app_hash: false,
            allow_missed_call: false,
            allow_firebase: false,
            unknown_number: false,
            logout_tokens: None,
            token: None,
            app_sandbox: None,
        };
        let request = functions::auth::SendCode {
            phone_number: phone.to_owned(),
            api_id: API_ID,
            api_hash: API_HASH.to_owned(),
            settings: settings.into(),
        };
        match self.invoke(&request).await? {
            enums::auth::SentCode::Code(sent) => Ok(sent),
            other => panic!("unexpected {other:?}"),
        }
    }

    pub async fn sign_in(
        &self,
        phone: &str,
        sent: &types::auth::SentCode,
        code: &str,
    ) -> Result<enums::auth::Authorization, InvocationError> {
        self.invoke(&functions::auth::SignIn {
            phone_number: phone.to_owned(),
            phone_code_hash: sent.phone_code_hash.clone(),
            phone_code: Some(code.to_owned()),
            email_verification: None,
        })
        .await
    }

    /// A device that is signed in to an account (without a password) by code.
    pub async fn signed_in(sim: &Sim, phone: &str) -> Self {
        let device = Self::new(sim);
        let sent = match device.send_code(phone).await {
            Err(InvocationError::Rpc(error)) if error.name == "PHONE_MIGRATE" => {
                device.move_to(i32::try_from(error.value.unwrap()).unwrap()).await;
                device.send_code(phone).await.unwrap()
            }
            sent => sent.unwrap(),
        };
        let code = sim.accounts().login_code(phone).unwrap();
        device.sign_in(phone, &sent, &code).await.unwrap();
        device
    }

    pub async fn check_password(&self, password: &str) -> Result<UserId, String> {
        let info = self.invoke(&functions::account::GetPassword {}).await.map_err(|error| name(&error))?;
        let token = PasswordToken::new(info.into());
        let result = self.client.check_password(token, password).await;
        result.map(|user| user.id().bare_id_unchecked()).map_err(|error| error.to_string())
    }

    /// Who is signed in.
    pub async fn me(&self) -> Result<UserId, String> {
        let request = functions::users::GetUsers { id: vec![enums::InputUser::UserSelf] };
        match self.invoke(&request).await.map_err(|error| name(&error))?.pop() {
            Some(enums::User::User(user)) => Ok(user.id),
            other => panic!("unexpected {other:?}"),
        }
    }

    pub async fn send(&self, peer: enums::InputPeer, text: &str, random_id: i64) -> Result<enums::Updates, String> {
        self.invoke(&message(peer, text, random_id)).await.map_err(|error| name(&error))
    }

    /// Uploads a file.
    pub async fn upload(&self, name: &str, content: &[u8]) -> enums::InputFile {
        let mut stream = std::io::Cursor::new(content);
        self.client.upload_stream(&mut stream, content.len(), name.to_owned()).await.unwrap().raw
    }

    /// The bytes of a file.
    pub async fn download(&self, location: enums::InputFileLocation) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        loop {
            let offset = i64::try_from(bytes.len()).unwrap();
            let get = functions::upload::GetFile {
                precise: false,
                cdn_supported: false,
                location: location.clone(),
                offset,
                limit: 1 << 18,
            };
            match self.invoke(&get).await.map_err(|error| name(&error))? {
                enums::upload::File::File(file) => {
                    let is_last = file.bytes.len() < 1 << 18;
                    bytes.extend(file.bytes);
                    if is_last {
                        return Ok(bytes);
                    }
                }
                enums::upload::File::CdnRedirect(_) => panic!("no CDN here"),
            }
        }
    }

    /// The next pushed update that `wanted` picks.
    pub async fn wait_for<T>(&mut self, mut wanted: impl FnMut(enums::Update) -> Option<T>) -> T {
        let search = async {
            loop {
                let updates = match self.updates.recv().await.expect("the device is connected") {
                    UpdatesLike::Updates(enums::Updates::Updates(updates)) => updates.updates,
                    UpdatesLike::Updates(enums::Updates::UpdateShort(update)) => vec![update.update],
                    _ => continue,
                };
                if let Some(found) = updates.into_iter().find_map(&mut wanted) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.expect("an update in time")
    }

    /// The text of the next new message that is pushed.
    pub async fn hear(&mut self) -> String {
        self.wait_for(|update| match update {
            enums::Update::NewMessage(update) => text(update.message),
            enums::Update::NewChannelMessage(update) => text(update.message),
            _ => None,
        })
        .await
    }
}

fn text(message: enums::Message) -> Option<String> {
    match message {
        enums::Message::Message(message) => Some(message.message),
        _ => None,
    }
}

/// An error as Telegram writes it, with its number.
pub fn name(error: &InvocationError) -> String {
    match error {
        InvocationError::Rpc(error) => match error.value {
            Some(value) => format!("{} {}_{value}", error.code, error.name),
            None => format!("{} {}", error.code, error.name),
        },
        other => format!("{other:?}"),
    }
}

/// A text message.
pub fn message(peer: enums::InputPeer, text: &str, random_id: i64) -> functions::messages::SendMessage {
    functions::messages::SendMessage {
        no_webpage: false,
        silent: false,
        background: false,
        clear_draft: false,
        noforwards: false,
        update_stickersets_order: false,
        invert_media: false,
        allow_paid_floodskip: false,
        peer,
        reply_to: None,
        message: text.to_owned(),
        random_id,
        reply_markup: None,
        entities: None,
        schedule_date: None,
        schedule_repeat_period: None,
        send_as: None,
        quick_reply_shortcut: None,
        effect: None,
        allow_paid_stars: None,
        suggested_post: None,
        rich_message: None,
    }
}

/// A message with something attached.
pub fn with_media(
    peer: enums::InputPeer,
    media: impl Into<enums::InputMedia>,
    text: &str,
    random_id: i64,
) -> functions::messages::SendMedia {
    functions::messages::SendMedia {
        silent: false,
        background: false,
        clear_draft: false,
        noforwards: false,
        update_stickersets_order: false,
        invert_media: false,
        allow_paid_floodskip: false,
        peer,
        reply_to: None,
        media: media.into(),
        message: text.to_owned(),
        random_id,
        reply_markup: None,
        entities: None,
        schedule_date: None,
        schedule_repeat_period: None,
        send_as: None,
        quick_reply_shortcut: None,
        effect: None,
        allow_paid_stars: None,
        suggested_post: None,
    }
}

/// A document that was uploaded, with what describes it.
pub fn document(
    file: enums::InputFile,
    mime_type: &str,
    attributes: Vec<enums::DocumentAttribute>,
) -> types::InputMediaUploadedDocument {
    types::InputMediaUploadedDocument {
        nosound_video: false,
        force_file: false,
        spoiler: false,
        file,
        thumb: None,
        mime_type: mime_type.to_owned(),
        attributes,
        stickers: None,
        video_cover: None,
        video_timestamp: None,
        ttl_seconds: None,
    }
}

/// A photo that was uploaded.
pub fn photo(file: enums::InputFile) -> types::InputMediaUploadedPhoto {
    types::InputMediaUploadedPhoto {
        spoiler: false,
        live_photo: false,
        file,
        stickers: None,
        ttl_seconds: None,
        video: None,
    }
}

/// The messages in an answer to a send, or to whatever changed messages.
pub fn messages_in(updates: enums::Updates) -> Vec<types::Message> {
    let enums::Updates::Updates(updates) = updates else { panic!("the long answer expected: {updates:?}") };
    let message = |update| match update {
        enums::Update::NewMessage(update) => Some(update.message),
        enums::Update::NewChannelMessage(update) => Some(update.message),
        enums::Update::EditMessage(update) => Some(update.message),
        enums::Update::EditChannelMessage(update) => Some(update.message),
        _ => None,
    };
    let whole = |message| match message {
        enums::Message::Message(message) => Some(message),
        _ => None,
    };
    updates.updates.into_iter().filter_map(message).filter_map(whole).collect()
}

/// A user or chat (negative id) as a client that has met it names it.
pub fn peer(sim: &Sim, id: i64) -> enums::InputPeer {
    let world = sim.world().lock();
    if let Some(user) = world.user(id) {
        return types::InputPeerUser { user_id: id, access_hash: user.access_hash }.into();
    }
    let chat = world.chat(id).unwrap();
    let bare = telegram_sim::world::bare_chat_id(id);
    if chat.kind == telegram_sim::world::ChatKind::Group {
        types::InputPeerChat { chat_id: bare }.into()
    } else {
        types::InputPeerChannel { channel_id: bare, access_hash: chat.access_hash }.into()
    }
}

/// As [`peer`], for a supergroup or channel.
pub fn channel(sim: &Sim, id: i64) -> enums::InputChannel {
    match peer(sim, id) {
        enums::InputPeer::Channel(channel) => {
            types::InputChannel { channel_id: channel.channel_id, access_hash: channel.access_hash }.into()
        }
        other => panic!("not a channel: {other:?}"),
    }
}
