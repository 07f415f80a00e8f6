//! What is around a request: the layer, the client's description, and other `invoke…` methods.

use grammers_tl_types::{Cursor, Deserializable, Identifiable, deserialize, functions, name_for_id};

use super::{Link, RpcError};
use crate::mtproto::cloud::keys::Client;
use crate::mtproto::core::Shared;
use crate::mtproto::wire::envelope::{constructor, unpacked};

/// How deep requests may be wrapped.
const MAX_DEPTH: usize = 8;

/// A request without its wrappers.
#[derive(Debug)]
pub struct Request {
    /// Such as `messages.sendMessage`.
    pub method: &'static str,
    /// Constructor.
    pub id: u32,
    /// The serialized request, constructor included.
    pub body: Vec<u8>,
    /// Whether the connection wants updates from now on.
    pub subscribes: bool,
}

/// The rest of the bytes: the wrapped query.
struct Query(Vec<u8>);

impl Deserializable for Query {
    fn deserialize(cursor: &mut Cursor<'_>) -> deserialize::Result<Self> {
        let mut rest = Vec::new();
        cursor.read_to_end(&mut rest)?;
        Ok(Self(rest))
    }
}

/// Takes the wrappers off a request and notes what they say about the client.
pub fn unwrap(core: &Shared, link: &Link, body: &[u8]) -> Result<Request, RpcError> {
    let mut body = body.to_vec();
    let mut subscribes = true;
    let mut layer = None;
    for _ in 0..MAX_DEPTH {
        let id = constructor(&body).ok_or(RpcError::bad("INPUT_FETCH_ERROR"))?;
        let inner = &body[4..];
        body = match id {
            functions::InvokeWithLayer::<Query>::CONSTRUCTOR_ID => {
                let wrapper = parse::<functions::InvokeWithLayer<Query>>(inner)?;
                layer = Some(wrapper.layer);
                wrapper.query.0
            }
            functions::InitConnection::<Query>::CONSTRUCTOR_ID => {
                let wrapper = parse::<functions::InitConnection<Query>>(inner)?;
                introduce(core, link, &wrapper, layer)?;
                wrapper.query.0
            }
            functions::InvokeWithoutUpdates::<Query>::CONSTRUCTOR_ID => {
                subscribes = false;
                parse::<functions::InvokeWithoutUpdates<Query>>(inner)?.query.0
            }
            functions::InvokeAfterMsg::<Query>::CONSTRUCTOR_ID => {
                parse::<functions::InvokeAfterMsg<Query>>(inner)?.query.0
            }
            functions::InvokeAfterMsgs::<Query>::CONSTRUCTOR_ID => {
                parse::<functions::InvokeAfterMsgs<Query>>(inner)?.query.0
            }
            _ => return named(id, body, subscribes),
        };
        body = unpacked(body).ok_or(RpcError::bad("INPUT_FETCH_ERROR"))?;
    }
    Err(RpcError::bad("INPUT_FETCH_ERROR"))
}

fn parse<T: Deserializable>(bytes: &[u8]) -> Result<T, RpcError> {
    T::from_bytes(bytes).map_err(|_| RpcError::bad("INPUT_FETCH_ERROR"))
}

fn named(id: u32, body: Vec<u8>, subscribes: bool) -> Result<Request, RpcError> {
    let method = name_for_id(id);
    if method.contains('.') {
        return Ok(Request { method, id, body, subscribes });
    }
    // No method of this layer has this constructor.
    Err(RpcError::new(400, format!("INPUT_METHOD_INVALID_{id}")))
}

fn introduce(
    core: &Shared,
    link: &Link,
    wrapper: &functions::InitConnection<Query>,
    layer: Option<i32>,
) -> Result<(), RpcError> {
    if wrapper.api_id <= 0 {
        return Err(RpcError::bad("CONNECTION_API_ID_INVALID"));
    }
    let layer = layer.ok_or(RpcError::bad("CONNECTION_LAYER_INVALID"))?;
    if let Some(key) = core.cloud().keys.get_mut(&link.key_id) {
        key.client = Some(Client {
            layer,
            api_id: wrapper.api_id,
            device_model: wrapper.device_model.clone(),
            system_version: wrapper.system_version.clone(),
            app_version: wrapper.app_version.clone(),
            system_lang_code: wrapper.system_lang_code.clone(),
            lang_code: wrapper.lang_code.clone(),
        });
    }
    Ok(())
}
