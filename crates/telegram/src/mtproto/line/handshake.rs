//! Agreeing on a key with a data centre, <https://core.telegram.org/mtproto/auth_key>.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;

use grammers_mtproto::authentication::{self, Finished};
use grammers_mtproto::mtp::{Deserialization, Mtp as _, Plain};
use grammers_tl_types::{self as tl, Deserializable as _, RemoteCall};

use super::broken::Broken;
use super::dial::dial;
use super::fuse::Fuse;
use super::pipe::{self, Pipe};
use crate::mtproto::call::CallError;

/// Makes a key. The arithmetic takes a processor for a while, so it is done apart from the connections of others.
pub(super) async fn exchange_keys(pipe: &mut Pipe) -> Result<Finished, CallError> {
    let (request, data) = authentication::step1().map_err(|error| failed(&error))?;
    let answer = ask(pipe, &request).await.map_err(|broken| failed(&broken))?;
    let (request, data) = apart(move || authentication::step2(data, answer)).await?;
    let answer = ask(pipe, &request).await.map_err(|broken| failed(&broken))?;
    let (request, data) = apart(move || authentication::step3(data, answer)).await?;
    let answer = ask(pipe, &request).await.map_err(|broken| failed(&broken))?;
    apart(move || authentication::create_key(data, answer)).await
}

/// Whether a data centre answers the first question of an exchange of keys, which goes no further.
pub(in crate::mtproto) async fn answers(address: SocketAddr) -> bool {
    let Ok(stream) = dial(address, None).await else { return false };
    let Ok(mut pipe) = Pipe::new(stream, &Arc::new(Fuse::default())) else { return false };
    ask(&mut pipe, &tl::functions::ReqPqMulti { nonce: rand::random() }).await.is_ok()
}

async fn apart<T: Send + 'static>(
    step: impl FnOnce() -> Result<T, authentication::Error> + Send + 'static,
) -> Result<T, CallError> {
    match tokio::task::spawn_blocking(step).await {
        Ok(result) => result.map_err(|error| failed(&error)),
        Err(_) => Err(CallError::Unreachable(FAILED.to_owned())),
    }
}

/// Asks without encryption: there is no key yet.
async fn ask<R: RemoteCall>(pipe: &mut Pipe, request: &R) -> Result<R::Return, Broken> {
    let mut plain = Plain::new();
    let body = request.to_bytes();
    let mut message = pipe::message(body.len());
    plain.push(&mut message, &body);
    plain.finalize(&mut message);
    pipe.send(message)?;
    loop {
        pipe.step().await?;
        while let Some(frame) = pipe.frame()? {
            for item in plain.deserialize(frame)? {
                if let Deserialization::RpcResult(result) = item {
                    return R::Return::from_bytes(&result.body).map_err(|error| Broken::Unreadable(error.into()));
                }
            }
        }
    }
}

const FAILED: &str = "the exchange of keys with the data centre failed";

fn failed(why: &impl Display) -> CallError {
    CallError::Unreachable(format!("{FAILED}: {why}"))
}
