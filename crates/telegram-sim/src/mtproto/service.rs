//! The protocol's own messages: <https://core.telegram.org/mtproto/service_messages>.

use std::time::Duration;

use grammers_tl_types::{Deserializable, Identifiable, Serializable, enums, functions, types};

use super::core::Shared;
use super::session::{Known, Outgoing, Session};
use super::wire::envelope::{Message, constructor, rpc_result};
use super::wire::msg_id::{Kind, unix_time};

/// The most salts that are given at once.
const MAX_SALTS: i32 = 64;

/// What the messages are about.
pub struct Context<'a> {
    /// What all connections share.
    pub core: &'a Shared,
    /// The key of this connection.
    pub key_id: i64,
    /// The session of this connection.
    pub session: &'a mut Session,
}

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Handled {
    /// It was one of these, and is dealt with.
    Done,
    /// As before, and the connection has to be cut after this time unless the client asks again.
    DisconnectAfter(Duration),
    /// It is none of these.
    NotMine,
}

/// Whether a message has to be acknowledged by the receiver, as far as that is certain.
pub fn needs_acknowledgement(body: &[u8]) -> Option<bool> {
    let id = constructor(body)?;
    if id == types::MsgsAck::CONSTRUCTOR_ID {
        return Some(false);
    }
    let name = grammers_tl_types::name_for_id(id);
    let is_request = name.contains('.') || name.starts_with("invoke");
    is_request.then_some(true)
}

/// Deals with a message of the protocol itself; answers go to `out`.
pub fn handle(context: &mut Context<'_>, message: &Message, out: &mut Vec<Outgoing>) -> Handled {
    let body = &message.body;
    match constructor(body).unwrap_or_default() {
        functions::Ping::CONSTRUCTOR_ID => {
            if let Ok(ping) = functions::Ping::from_bytes(&body[4..]) {
                out.push(pong(message.msg_id, ping.ping_id));
            }
        }
        functions::PingDelayDisconnect::CONSTRUCTOR_ID => {
            if let Ok(ping) = functions::PingDelayDisconnect::from_bytes(&body[4..]) {
                out.push(pong(message.msg_id, ping.ping_id));
                let delay = u64::try_from(ping.disconnect_delay).unwrap_or(0);
                return Handled::DisconnectAfter(Duration::from_secs(delay));
            }
        }
        types::MsgsAck::CONSTRUCTOR_ID => {
            if let Ok(ack) = types::MsgsAck::from_bytes(&body[4..]) {
                context.session.acknowledge(&ack.msg_ids);
            }
        }
        types::MsgsStateReq::CONSTRUCTOR_ID => states(context, message, out),
        types::MsgResendReq::CONSTRUCTOR_ID | types::MsgResendAnsReq::CONSTRUCTOR_ID => resend(context, message, out),
        functions::GetFutureSalts::CONSTRUCTOR_ID => future_salts(context, message, out),
        functions::RpcDropAnswer::CONSTRUCTOR_ID => drop_answer(context, message, out),
        functions::DestroySession::CONSTRUCTOR_ID => destroy_session(context, message, out),
        functions::DestroyAuthKey::CONSTRUCTOR_ID => {
            let mut cloud = context.core.cloud();
            cloud.sign_out(context.key_id);
            cloud.keys.remove(&context.key_id);
            out.push(result(message.msg_id, &enums::DestroyAuthKeyRes::DestroyAuthKeyOk));
        }
        // Statements of the client that need no answer.
        types::MsgsStateInfo::CONSTRUCTOR_ID
        | types::MsgsAllInfo::CONSTRUCTOR_ID
        | types::MsgDetailedInfo::CONSTRUCTOR_ID
        | types::MsgNewDetailedInfo::CONSTRUCTOR_ID
        | types::HttpWait::CONSTRUCTOR_ID => {}
        _ => return Handled::NotMine,
    }
    Handled::Done
}

fn pong(msg_id: i64, ping_id: i64) -> Outgoing {
    Outgoing::service(&enums::Pong::Pong(types::Pong { msg_id, ping_id }))
}

fn result(request: i64, object: &impl Serializable) -> Outgoing {
    let body = rpc_result(request, &object.to_bytes());
    Outgoing { kind: Kind::Answer, content: true, answers: Some(request), body }
}

fn states(context: &Context<'_>, message: &Message, out: &mut Vec<Outgoing>) {
    let Ok(request) = types::MsgsStateReq::from_bytes(&message.body[4..]) else { return };
    let state = |id: &i64| match context.session.known(*id) {
        Known::Forgotten => 1,
        Known::NotReceived => 2,
        Known::NotYet => 3,
        Known::Received => 4,
    };
    let info = request.msg_ids.iter().map(state).collect();
    let info = types::MsgsStateInfo { req_msg_id: message.msg_id, info };
    out.push(Outgoing::service(&enums::MsgsStateInfo::Info(info)));
}

fn resend(context: &Context<'_>, message: &Message, out: &mut Vec<Outgoing>) {
    let Ok(request) = types::MsgResendReq::from_bytes(&message.body[4..]) else { return };
    let by_answer = constructor(&message.body) == Some(types::MsgResendAnsReq::CONSTRUCTOR_ID);
    for id in request.msg_ids {
        let sent = if by_answer { context.session.answer_to(id) } else { context.session.sent(id) };
        if let Some(sent) = sent {
            let (answers, body) = (sent.answers, sent.message.body.clone());
            let kind = if answers.is_some() { Kind::Answer } else { Kind::Notice };
            out.push(Outgoing { kind, content: true, answers, body });
        }
    }
}

fn future_salts(context: &Context<'_>, message: &Message, out: &mut Vec<Outgoing>) {
    let Ok(request) = functions::GetFutureSalts::from_bytes(&message.body[4..]) else { return };
    let cloud = context.core.cloud();
    let Some(key) = cloud.keys.get(&context.key_id) else { return };
    let salts = key.future_salts(request.num.clamp(2, MAX_SALTS), cloud.salt_epoch);
    let salt = |(valid_since, valid_until, salt)| types::FutureSalt { valid_since, valid_until, salt };
    let salts = types::FutureSalts {
        req_msg_id: message.msg_id,
        now: unix_time(),
        salts: grammers_tl_types::RawVec(salts.into_iter().map(salt).collect()),
    };
    out.push(Outgoing::service(&enums::FutureSalts::Salts(salts)));
}

fn drop_answer(context: &mut Context<'_>, message: &Message, out: &mut Vec<Outgoing>) {
    let Ok(request) = functions::RpcDropAnswer::from_bytes(&message.body[4..]) else { return };
    let answer = match context.session.drop_answer(request.req_msg_id) {
        Some(sent) => types::RpcAnswerDropped {
            msg_id: sent.message.msg_id,
            seq_no: sent.message.seq_no,
            bytes: i32::try_from(sent.message.body.len()).unwrap_or(i32::MAX),
        }
        .into(),
        None => enums::RpcDropAnswer::RpcAnswerUnknown,
    };
    out.push(result(message.msg_id, &answer));
}

fn destroy_session(context: &Context<'_>, message: &Message, out: &mut Vec<Outgoing>) {
    let Ok(request) = functions::DestroySession::from_bytes(&message.body[4..]) else { return };
    let session_id = request.session_id;
    let mut cloud = context.core.cloud();
    let is_other = session_id != context.session.id
        && cloud.live.get(&context.key_id).is_some_and(|live| live.session_id == session_id);
    let answer = if is_other {
        cloud.close(context.key_id);
        enums::DestroySessionRes::DestroySessionOk(types::DestroySessionOk { session_id })
    } else {
        enums::DestroySessionRes::DestroySessionNone(types::DestroySessionNone { session_id })
    };
    out.push(Outgoing::service(&answer));
}
