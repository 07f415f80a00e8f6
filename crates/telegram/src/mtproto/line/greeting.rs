//! The beginning of a connection: a socket, a key, and who we are.

use std::net::SocketAddr;
use std::sync::Arc;

use grammers_mtproto::mtp::Encrypted;
use grammers_tl_types::{self as tl, Deserializable as _, Serializable as _};

use super::dial::dial;
use super::fuse::Fuse;
use super::handshake::exchange_keys;
use super::pipe::Pipe;
use super::talk::{Failed, Talk};
use super::{CallError, Route};
use crate::mtproto::auth_key::AuthKey;
use crate::mtproto::options::{ClientOptions, Server};

/// Connects, and proves that the data centre takes our requests. Where it does not know our key, another one is agreed on.
pub(super) async fn begin(route: &Route, fuse: &Arc<Fuse>) -> Result<Talk, CallError> {
    let center = route.session.data_center(route.dc_id);
    let Some(center) = center else { return Err(CallError::Unreachable("there is no such data centre".to_owned())) };
    let uses_ipv6 = matches!(route.options.server, Server::Test { address, .. } if address.is_ipv6());
    let address = if uses_ipv6 { center.ipv6.into() } else { center.ipv4.into() };
    if let Some(key) = center.auth_key {
        let pipe = connect(route, address, fuse).await?;
        let mtp = Encrypted::build().compression_threshold(None).finish(*key.expose());
        let mut talk = Talk::new(pipe, mtp, &route.inbox);
        match greet(route, &mut talk).await {
            Err(Failed::Broken(broken)) if broken.is_unknown_key() => {}
            result => return result.map(|()| talk).map_err(CallError::from),
        }
    }
    let mut pipe = connect(route, address, fuse).await?;
    let made = exchange_keys(&mut pipe).await?;
    let mtp = Encrypted::build().compression_threshold(None).time_offset(made.time_offset).first_salt(made.first_salt);
    let mut talk = Talk::new(pipe, mtp.finish(made.auth_key), &route.inbox);
    greet(route, &mut talk).await?;
    route.session.set_key(route.dc_id, AuthKey::from(made.auth_key));
    Ok(talk)
}

async fn connect(route: &Route, address: SocketAddr, fuse: &Arc<Fuse>) -> Result<Pipe, CallError> {
    let stream = dial(address, route.options.proxy.as_ref()).await?;
    Pipe::new(stream, fuse).map_err(|error| CallError::Unreachable(format!("the connection broke: {error}")))
}

/// Says who we are, and learns where the data centres are.
async fn greet(route: &Route, talk: &mut Talk) -> Result<(), Failed> {
    let answer = talk.ask(introduction(&route.options)).await?;
    let Ok(tl::enums::Config::Config(config)) = tl::enums::Config::from_bytes(&answer) else {
        return Err(Failed::Refused(CallError::Unreachable(
            "the greeting of the data centre cannot be read".to_owned(),
        )));
    };
    let options = config.dc_options.iter().map(|tl::enums::DcOption::Option(option)| option);
    let usable = options.filter(|option| !option.media_only && !option.tcpo_only && option.r#static);
    for option in usable {
        // What is no address of theirs cannot be used; there are others.
        if let (Ok(ip), Ok(port)) = (option.ip_address.parse(), u16::try_from(option.port)) {
            route.session.learn_address(option.id, SocketAddr::new(ip, port));
        }
    }
    Ok(())
}

fn introduction(options: &ClientOptions) -> Vec<u8> {
    let hello = tl::functions::InvokeWithLayer {
        layer: tl::LAYER,
        query: tl::functions::InitConnection {
            api_id: options.api_id,
            device_model: options.device_model.clone(),
            system_version: options.system_version.clone(),
            app_version: options.app_version.clone(),
            system_lang_code: options.lang_code.clone(),
            lang_pack: String::new(),
            lang_code: options.lang_code.clone(),
            proxy: None,
            params: None,
            query: tl::functions::help::GetConfig {},
        },
    };
    hello.to_bytes()
}
