//! The protocol's own messages, and what the server refuses.

use grammers_tl_types::{Deserializable, Identifiable, Serializable, enums, functions, types};
use telegram_sim::mtproto::wire::envelope::{Message, constructor};
use telegram_sim::mtproto::wire::msg_id::unix_time;
use telegram_sim::mtproto::wire::transport::Transport;

use crate::device::simulator;
use crate::wire::Raw;

const PING: functions::Ping = functions::Ping { ping_id: 77 };
const GZIP: u32 = 0x3072_cfa1;

/// `help.getNearestDc` as the first request of a client.
fn first_request() -> Vec<u8> {
    let query = functions::InitConnection {
        api_id: 1,
        device_model: "raw".to_owned(),
        system_version: String::new(),
        app_version: String::new(),
        system_lang_code: String::new(),
        lang_pack: String::new(),
        lang_code: String::new(),
        proxy: None,
        params: None,
        query: functions::help::GetNearestDc {},
    };
    functions::InvokeWithLayer { layer: grammers_tl_types::LAYER, query }.to_bytes()
}

async fn pong(raw: &mut Raw) -> types::Pong {
    let message = raw.expect(types::Pong::CONSTRUCTOR_ID).await;
    assert_eq!((message.msg_id & 3, message.seq_no & 1), (1, 0), "an answer that needs no acknowledgement");
    types::Pong::from_bytes(&message.body[4..]).unwrap()
}

async fn refused(raw: &mut Raw, msg_id: i64, seq_no: i32, body: Vec<u8>) -> i32 {
    raw.send(msg_id, seq_no, body).await;
    let message = raw.expect(types::BadMsgNotification::CONSTRUCTOR_ID).await;
    let refusal = types::BadMsgNotification::from_bytes(&message.body[4..]).unwrap();
    assert_eq!((refusal.bad_msg_id, refusal.bad_msg_seqno), (msg_id, seq_no));
    refusal.error_code
}

fn container(messages: &[Message]) -> Vec<u8> {
    let mut body = 0x73f1_f8dc_u32.to_bytes();
    i32::try_from(messages.len()).unwrap().serialize(&mut body);
    for message in messages {
        message.msg_id.serialize(&mut body);
        message.seq_no.serialize(&mut body);
        i32::try_from(message.body.len()).unwrap().serialize(&mut body);
        body.extend(&message.body);
    }
    body
}

#[tokio::test]
async fn each_transport_carries_messages() {
    let sim = simulator().await;
    let full = Transport::Full { sent: 0, received: 0 };
    for transport in [Transport::Abridged, Transport::Intermediate, full] {
        let mut raw = Raw::with(&sim, sim.accounts().new_key(2).unwrap(), transport).await;
        raw.find_salt().await;
        let msg_id = raw.say(0, &PING).await;
        let pong = pong(&mut raw).await;
        assert_eq!((pong.msg_id, pong.ping_id), (msg_id, 77));
    }
}

#[tokio::test]
async fn a_session_begins_with_a_notice_and_the_right_salt() {
    let sim = simulator().await;
    let mut raw = Raw::connect(&sim).await;
    raw.say(0, &PING).await;
    let [refusal] = &raw.receive().await.unwrap()[..] else { panic!("nothing but the salt") };
    assert_eq!(constructor(&refusal.body), Some(types::BadServerSalt::CONSTRUCTOR_ID));
    raw.salt = types::BadServerSalt::from_bytes(&refusal.body[4..]).unwrap().new_server_salt;
    let msg_id = raw.say(0, &PING).await;
    let notice = raw.expect(types::NewSessionCreated::CONSTRUCTOR_ID).await;
    let notice = types::NewSessionCreated::from_bytes(&notice.body[4..]).unwrap();
    assert_eq!((notice.first_msg_id, notice.server_salt), (msg_id, raw.salt));
    raw.session += 1;
    raw.say(0, &PING).await;
    raw.expect(types::NewSessionCreated::CONSTRUCTOR_ID).await;
}

#[tokio::test]
async fn numbers_out_of_order_are_refused() {
    let sim = simulator().await;
    let mut raw = Raw::ready(&sim).await;
    let now = i64::from(unix_time());
    let ping = PING.to_bytes();
    assert_eq!(refused(&mut raw, (now - 400) << 32, 0, ping.clone()).await, 16);
    assert_eq!(refused(&mut raw, (now + 100) << 32, 0, ping.clone()).await, 17);
    assert_eq!(refused(&mut raw, (now << 32) | 1, 0, ping.clone()).await, 18);
    let msg_id = raw.msg_id();
    assert_eq!(refused(&mut raw, msg_id, 0, first_request()).await, 35);
    let msg_id = raw.msg_id();
    assert_eq!(
        refused(&mut raw, msg_id, 1, enums::MsgsAck::Ack(types::MsgsAck { msg_ids: vec![] }).to_bytes()).await,
        34
    );
    let msg_id = raw.msg_id();
    raw.send(msg_id, 11, first_request()).await;
    raw.result(msg_id).await;
    let msg_id = raw.msg_id();
    assert_eq!(refused(&mut raw, msg_id, 1, first_request()).await, 32);
    let inner = Message { msg_id: raw.msg_id(), seq_no: 12, body: container(&[]) };
    let msg_id = raw.msg_id();
    assert_eq!(refused(&mut raw, msg_id, 12, container(&[inner])[..12].to_vec()).await, 64);
}

#[tokio::test]
async fn a_container_is_answered_together() {
    let sim = simulator().await;
    let mut raw = Raw::ready(&sim).await;
    let parts: Vec<_> = (0..2).map(|_| Message { msg_id: raw.msg_id(), seq_no: 0, body: PING.to_bytes() }).collect();
    let msg_id = raw.msg_id();
    raw.send(msg_id, 0, container(&parts)).await;
    let answers = raw.receive().await.unwrap();
    let pongs: Vec<i64> = answers
        .iter()
        .filter(|message| constructor(&message.body) == Some(types::Pong::CONSTRUCTOR_ID))
        .map(|message| types::Pong::from_bytes(&message.body[4..]).unwrap().msg_id)
        .collect();
    assert_eq!(pongs, parts.iter().map(|part| part.msg_id).collect::<Vec<_>>());
    assert_eq!(answers.len(), 3, "with the notice of the new session");
}

#[tokio::test]
async fn a_packed_request_is_unpacked() {
    use std::io::Write;
    let sim = simulator().await;
    let mut raw = Raw::ready(&sim).await;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&first_request()).unwrap();
    let body = [GZIP.to_bytes(), encoder.finish().unwrap().to_bytes()].concat();
    let msg_id = raw.msg_id();
    raw.send(msg_id, 1, body).await;
    let answer = enums::NearestDc::from_bytes(&raw.result(msg_id).await).unwrap();
    assert!(matches!(answer, enums::NearestDc::Dc(dc) if dc.this_dc == 2));
}

#[tokio::test]
async fn a_repeated_request_gets_its_answer_again_until_it_is_acknowledged() {
    let sim = simulator().await;
    let mut raw = Raw::ready(&sim).await;
    let msg_id = raw.msg_id();
    raw.send(msg_id, 1, first_request()).await;
    let first = raw.result(msg_id).await;
    raw.send(msg_id, 1, first_request()).await;
    assert_eq!(raw.result(msg_id).await, first);
    assert_eq!(sim.accounts().counters().methods["help.getNearestDc"], 1);

    let ask = raw.say(2, &enums::MsgResendReq::MsgResendAnsReq(types::MsgResendAnsReq { msg_ids: vec![msg_id] })).await;
    assert_eq!(raw.result(msg_id).await, first);
    let unknown = raw.msg_id() + 400;
    let states = types::MsgsStateReq { msg_ids: vec![msg_id, ask, unknown] };
    raw.say(2, &enums::MsgsStateReq::Req(states)).await;
    let info = raw.expect(types::MsgsStateInfo::CONSTRUCTOR_ID).await;
    assert_eq!(types::MsgsStateInfo::from_bytes(&info.body[4..]).unwrap().info, [4, 4, 3]);

    let drop_answer = functions::RpcDropAnswer { req_msg_id: msg_id };
    let request = raw.say(3, &drop_answer).await;
    let dropped = enums::RpcDropAnswer::from_bytes(&raw.result(request).await).unwrap();
    assert!(matches!(dropped, enums::RpcDropAnswer::RpcAnswerDropped(_)));
    let request = raw.say(5, &drop_answer).await;
    let dropped = enums::RpcDropAnswer::from_bytes(&raw.result(request).await).unwrap();
    assert_eq!(dropped, enums::RpcDropAnswer::RpcAnswerUnknown);
}

#[tokio::test]
async fn salts_are_given_ahead() {
    let sim = simulator().await;
    let mut raw = Raw::ready(&sim).await;
    let msg_id = raw.say(1, &functions::GetFutureSalts { num: 1 }).await;
    let answer = raw.expect(types::FutureSalts::CONSTRUCTOR_ID).await;
    let salts = types::FutureSalts::from_bytes(&answer.body[4..]).unwrap();
    assert_eq!(salts.req_msg_id, msg_id);
    let [now, next] = &salts.salts.0[..] else { panic!("clients loop if there is only one") };
    assert_eq!(now.salt, raw.salt);
    assert!(now.valid_since <= salts.now && salts.now < now.valid_until && now.valid_since < next.valid_since);
    assert_ne!(now.salt, next.salt);
}

#[tokio::test]
async fn sessions_and_keys_are_destroyed() {
    let sim = simulator().await;
    let mut raw = Raw::ready(&sim).await;
    raw.say(1, &functions::DestroySession { session_id: 5 }).await;
    raw.expect(types::DestroySessionNone::CONSTRUCTOR_ID).await;
    let request = raw.say(3, &functions::DestroyAuthKey {}).await;
    let answer = enums::DestroyAuthKeyRes::from_bytes(&raw.result(request).await).unwrap();
    assert_eq!(answer, enums::DestroyAuthKeyRes::DestroyAuthKeyOk);
    raw.say(5, &PING).await;
    assert_eq!(raw.rest().await[..4], (-404i32).to_le_bytes());
}

#[tokio::test]
async fn a_forged_message_ends_the_connection() {
    let sim = simulator().await;
    let mut raw = Raw::ready(&sim).await;
    let mut forged = vec![0; 72];
    forged[..8].copy_from_slice(&7i64.to_le_bytes());
    raw.send_frame(&forged).await;
    assert_eq!(raw.rest().await[..4], (-404i32).to_le_bytes());
}

#[tokio::test]
async fn a_client_that_stops_pinging_is_disconnected() {
    let sim = simulator().await;
    let mut raw = Raw::ready(&sim).await;
    raw.say(0, &functions::PingDelayDisconnect { ping_id: 1, disconnect_delay: 1 }).await;
    pong(&mut raw).await;
    assert!(raw.rest().await.is_empty());
}

#[tokio::test]
async fn requests_need_an_introduction_and_a_known_method() {
    let sim = simulator().await;
    let mut raw = Raw::ready(&sim).await;
    let error = |bytes: Vec<u8>| {
        let enums::RpcError::Error(error) = enums::RpcError::from_bytes(&bytes).unwrap();
        error.error_message
    };
    let request = raw.say(1, &functions::help::GetConfig {}).await;
    assert_eq!(error(raw.result(request).await), "CONNECTION_NOT_INITED");
    let msg_id = raw.msg_id();
    raw.send(msg_id, 3, vec![1, 2, 3, 4]).await;
    assert_eq!(error(raw.result(msg_id).await), format!("INPUT_METHOD_INVALID_{}", 0x0403_0201));
    let msg_id = raw.msg_id();
    raw.send(msg_id, 5, first_request()).await;
    raw.result(msg_id).await;
    let mut truncated =
        functions::auth::CancelCode { phone_number: "1".to_owned(), phone_code_hash: "x".to_owned() }.to_bytes();
    truncated.truncate(8);
    let msg_id = raw.msg_id();
    raw.send(msg_id, 7, truncated).await;
    assert_eq!(error(raw.result(msg_id).await), "INPUT_FETCH_ERROR");
}
