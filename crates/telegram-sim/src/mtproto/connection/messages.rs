//! What a connection does with encrypted messages: checks, the protocol's own messages, and requests of the API.

use std::sync::Arc;
use std::time::Duration;

use grammers_tl_types::{Serializable, enums, types};
use tokio::time::Instant;

use super::{Closed, Command, Connection, Flow, Peer, UNKNOWN_KEY};
use crate::mtproto::cloud::keys::{Revocation, Standing};
use crate::mtproto::cloud::live::Live;
use crate::mtproto::core::count;
use crate::mtproto::faults::Action;
use crate::mtproto::rpc::{self, Request};
use crate::mtproto::service::{self, Context, Handled};
use crate::mtproto::session::{Outgoing, Session, Verdict};
use crate::mtproto::wire::cipher::AuthKey;
use crate::mtproto::wire::envelope::{self, Envelope, Message};
use crate::mtproto::wire::msg_id::{self, Kind, unix_time};

impl Connection {
    pub(super) fn encrypted(&mut self, key_id: i64, frame: &[u8], late: bool) -> Flow {
        let key = self.key(key_id);
        let Some(plain) = key.as_ref().and_then(|key| key.open(frame)) else {
            self.transport_error(UNKNOWN_KEY);
            return Err(Closed);
        };
        let envelope = Envelope::parse(&plain).ok_or(Closed)?;
        let key = key.ok_or(Closed)?;
        if self.peer.as_ref().is_none_or(|peer| peer.key != key || peer.session.id != envelope.session_id) {
            // What is waiting belongs to the session before.
            self.flush();
            self.peer = Some(Peer { key, session: Session::new(envelope.session_id), attached: false });
        }
        if let Err(notification) = self.check(&envelope) {
            self.outgoing.push(Outgoing::service(&notification));
            return Ok(());
        }
        if late {
            self.kill();
        } else {
            self.attach(&envelope);
        }
        self.message(envelope.message, 0)
    }

    /// The key that a message is for, if it is known here.
    fn key(&mut self, key_id: i64) -> Option<AuthKey> {
        let cloud = self.core.cloud();
        let known = cloud.keys.get(&key_id).filter(|known| self.dc.is_none_or(|dc| dc == known.dc))?;
        (self.link.key_id, self.link.dc) = (key_id, known.dc);
        Some(known.key.clone())
    }

    /// Checks time and salt of a message.
    fn check(&self, envelope: &Envelope) -> Result<(), enums::BadMsgNotification> {
        let Message { msg_id, seq_no, .. } = envelope.message;
        msg_id::check(msg_id, unix_time()).map_err(|code| bad_message(&envelope.message, code))?;
        let cloud = self.core.cloud();
        let Some(key) = cloud.keys.get(&self.link.key_id) else { return Ok(()) };
        if key.accepts_salt(envelope.salt, cloud.salt_epoch) {
            return Ok(());
        }
        Err(types::BadServerSalt {
            bad_msg_id: msg_id,
            bad_msg_seqno: seq_no,
            error_code: 48,
            new_server_salt: key.salt(cloud.salt_epoch),
        }
        .into())
    }

    /// Makes this the connection of its key, with the first message of its session.
    fn attach(&mut self, envelope: &Envelope) {
        let Some(peer) = self.peer.as_mut().filter(|peer| !peer.attached) else { return };
        peer.attached = true;
        let mut cloud = self.core.cloud();
        let is_current = |live: &Live| live.connection == self.link.connection;
        if let Some(live) = cloud.live.get_mut(&self.link.key_id).filter(|live| is_current(live)) {
            live.session_id = envelope.session_id;
        } else {
            let live = Live {
                connection: self.link.connection,
                session_id: envelope.session_id,
                wants_updates: false,
                commands: self.sender.clone(),
            };
            cloud.attach(self.link.key_id, live);
        }
        let salt = cloud.keys.get(&self.link.key_id).map_or(0, |key| key.salt(cloud.salt_epoch));
        let created = types::NewSessionCreated {
            first_msg_id: envelope.message.msg_id,
            unique_id: rand::random(),
            server_salt: salt,
        };
        self.outgoing.push(Outgoing::notice(enums::NewSession::Created(created).to_bytes()));
    }

    /// A message came on a connection that a newer one replaced: the session is dead.
    fn kill(&self) {
        let mut cloud = self.core.cloud();
        if cloud.keys.get(&self.link.key_id).is_some_and(|key| key.standing == Standing::Good) {
            cloud.revoke(self.link.key_id, Revocation::Duplicated);
            count(&self.core.stats.duplicated);
            tracing::warn!(dc = self.link.dc, "a session was used from two places");
        }
    }

    fn message(&mut self, message: Message, depth: u8) -> Flow {
        if envelope::is_container(&message.body) {
            return self.container(&message, depth);
        }
        let Some(body) = envelope::unpacked(message.body) else { return Err(Closed) };
        let message = Message { body, ..message };
        let acknowledged = service::needs_acknowledgement(&message.body);
        match self.peer.as_mut().ok_or(Closed)?.session.receive(message.msg_id, message.seq_no, acknowledged) {
            Verdict::Fresh => {}
            Verdict::Repeated => {
                self.repeat(message.msg_id);
                return Ok(());
            }
            Verdict::Bad(code) => {
                self.outgoing.push(Outgoing::service(&bad_message(&message, code)));
                return Ok(());
            }
        }
        let session = &mut self.peer.as_mut().ok_or(Closed)?.session;
        let mut context = Context { core: &self.core, key_id: self.link.key_id, session };
        match service::handle(&mut context, &message, &mut self.outgoing) {
            Handled::Done => Ok(()),
            Handled::DisconnectAfter(delay) => {
                self.disconnect_at = Some(Instant::now() + delay);
                Ok(())
            }
            Handled::NotMine => self.call(&message),
        }
    }

    fn container(&mut self, message: &Message, depth: u8) -> Flow {
        let parts = envelope::contained(&message.body).filter(|_| depth == 0);
        let session = &mut self.peer.as_mut().ok_or(Closed)?.session;
        match (session.receive(message.msg_id, message.seq_no, Some(false)), parts) {
            (Verdict::Fresh, Some(parts)) => parts.into_iter().try_for_each(|part| self.message(part, depth + 1)),
            (Verdict::Fresh, None) => {
                self.outgoing.push(Outgoing::service(&bad_message(message, 64)));
                Ok(())
            }
            (Verdict::Repeated, _) => Ok(()),
            (Verdict::Bad(code), _) => {
                self.outgoing.push(Outgoing::service(&bad_message(message, code)));
                Ok(())
            }
        }
    }

    /// A request came again: its answer, if it is still there, goes again.
    fn repeat(&mut self, msg_id: i64) {
        let Some(peer) = &self.peer else { return };
        if let Some(sent) = peer.session.answer_to(msg_id) {
            let body = sent.message.body.clone();
            self.outgoing.push(Outgoing { kind: Kind::Answer, content: true, answers: Some(msg_id), body });
        }
    }

    pub(super) fn answer(&mut self, request: i64, result: &[u8]) {
        let body = envelope::rpc_result(request, result);
        self.outgoing.push(Outgoing { kind: Kind::Answer, content: true, answers: Some(request), body });
    }

    /// Carries out a request of the API, as far as no fault is in the way.
    fn call(&mut self, message: &Message) -> Flow {
        let request = match rpc::unwrap(&self.core, &self.link, &message.body) {
            Ok(request) => request,
            Err(error) => {
                self.answer(message.msg_id, &error.to_bytes());
                return Ok(());
            }
        };
        self.core.count_method(request.method);
        let user = {
            let mut cloud = self.core.cloud();
            if let Some(live) = cloud.live.get_mut(&self.link.key_id).filter(|_| request.subscribes) {
                live.wants_updates = true;
            }
            cloud.keys.get(&self.link.key_id).and_then(|key| Some(key.authorization.as_ref()?.user).or(key.pending))
        };
        let action = self.core.faults().take(request.method, user);
        match action {
            None => self.carry_out(message.msg_id, request),
            Some(Action::Error { code, message: text }) => {
                self.answer(message.msg_id, &rpc::RpcError::new(code, text).to_bytes());
            }
            Some(Action::Delay { ms }) => {
                let result = rpc::execute(&self.core, &self.link, &request);
                self.answer_later(message.msg_id, async move {
                    tokio::time::sleep(Duration::from_millis(ms)).await;
                    Some(result)
                });
            }
            Some(Action::Silence) => {}
            Some(Action::TakeThenSilence) => drop(rpc::execute(&self.core, &self.link, &request)),
            Some(Action::Cut) => return Err(Closed),
            Some(Action::TakeThenCut) => {
                rpc::execute(&self.core, &self.link, &request);
                return Err(Closed);
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, msg_id: i64, request: Request) {
        if !rpc::is_heavy(request.method) {
            let result = rpc::execute(&self.core, &self.link, &request);
            self.answer(msg_id, &result);
            return;
        }
        let (core, link) = (Arc::clone(&self.core), self.link.clone());
        let task = tokio::task::spawn_blocking(move || rpc::execute(&core, &link, &request));
        self.answer_later(msg_id, async move { task.await.ok() });
    }

    /// Acknowledges a request now and answers it when the result is there.
    fn answer_later(&mut self, request: i64, result: impl Future<Output = Option<Vec<u8>>> + Send + 'static) {
        self.outgoing.push(Outgoing::service(&enums::MsgsAck::Ack(types::MsgsAck { msg_ids: vec![request] })));
        let sender = self.sender.clone();
        tokio::spawn(async move {
            if let Some(result) = result.await {
                // The connection may have ended meanwhile.
                let _ = sender.send(Command::Answer { request, result });
            }
        });
    }
}

fn bad_message(message: &Message, code: i32) -> enums::BadMsgNotification {
    types::BadMsgNotification { bad_msg_id: message.msg_id, bad_msg_seqno: message.seq_no, error_code: code }.into()
}
