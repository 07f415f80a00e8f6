//! Sending a message, with the outcome of the attempt.

use std::io;

use futures::future::join_all;
use platform::{Content, Message, Outcome, Refusal, Verdict};
use secrecy::SecretString;

use super::answer::{Answer, Failure};
use super::content::Call;
use super::form::{Attachment, Form};
use super::types::{Sent, SentMessage};
use super::{BAD_TOKEN, BotApi, classify, read};
use crate::media::{self, Library};

/// The code of a refusal that an earlier upload is to blame for.
const STALE: &str = "file_reference_expired";

impl BotApi {
    /// Sends a message to a chat. Files that this bot sent before are named, others are uploaded. When the server does not know a
    /// file any more, it is uploaded anew within the same call: the refusal proves that nothing was sent.
    pub async fn send(&self, token: &SecretString, chat_id: i64, message: &Message, library: &dyn Library) -> Outcome {
        let media = media::media_of(&message.content);
        let mut known = join_all(media.iter().map(|(kind, medium)| media::recall(library, *kind, medium))).await;
        let answer = match self.post(token, &Call::new(chat_id, message, &known), library).await {
            Err(error) => return unreadable(&error),
            Ok(Answer::Refused(failure)) if known.iter().any(Option::is_some) && is_stale(&failure) => {
                for ((kind, medium), _) in media.iter().zip(&known).filter(|(_, known)| known.is_some()) {
                    library.forget(medium.file.id, *kind).await;
                }
                known.fill(None);
                match self.post(token, &Call::new(chat_id, message, &known), library).await {
                    Err(error) => return unreadable(&error),
                    Ok(answer) => answer,
                }
            }
            Ok(answer) => answer,
        };
        match answer {
            Answer::Done(sent) => done(message, sent.messages(), &known, library).await,
            Answer::Refused(failure) => Outcome::Refused(classify::refusal(failure)),
            Answer::NothingSent(reason) => refused("telegram_unreachable", reason, Verdict::Retry),
            Answer::BadToken => refused("token_revoked", BAD_TOKEN.to_owned(), Verdict::SenderDead),
            Answer::Unclear(reason) => Outcome::Unknown { reason },
        }
    }

    async fn post(&self, token: &SecretString, call: &Call<'_>, library: &dyn Library) -> io::Result<Answer<Sent>> {
        if call.files.is_empty() {
            return Ok(self.exchange(token, call.method, &call.fields).await);
        }
        let mut files = Vec::with_capacity(call.files.len());
        for (part, file) in &call.files {
            files.push(Attachment {
                part: part.clone(),
                name: file.name.clone(),
                media_type: file.media_type.clone(),
                size: file.size_bytes,
                reader: library.open(file).await?,
            });
        }
        let form = Form::new(&call.fields, files);
        Ok(read(self.http.post_form(token, call.method, form).await, token))
    }
}

fn is_stale(failure: &Failure) -> bool {
    classify::code(failure.status, &failure.description) == STALE
}

async fn done(message: &Message, sent: Vec<SentMessage>, known: &[Option<String>], library: &dyn Library) -> Outcome {
    let platform_message_ids: Vec<i64> = sent.iter().map(|message| message.message_id).collect();
    if platform_message_ids.is_empty() && matches!(message.content, Content::Forward(_)) {
        // Messages that cannot be forwarded are left out without a word.
        let words = "None of the messages can be forwarded: they are gone, or protected.".to_owned();
        return refused("message_not_found", words, Verdict::Fail);
    }
    for (((kind, medium), sent), known) in media::media_of(&message.content).into_iter().zip(sent).zip(known) {
        if known.is_none()
            && let Some(file_id) = sent.file_id(kind)
        {
            media::remember(library, kind, medium, file_id).await;
        }
    }
    Outcome::Sent { platform_message_ids }
}

fn unreadable(error: &io::Error) -> Outcome {
    let (code, words, may_help) = media::unreadable(error);
    refused(code, words, if may_help { Verdict::Retry } else { Verdict::Fail })
}

fn refused(code: &'static str, description: String, verdict: Verdict) -> Outcome {
    Outcome::Refused(Refusal { code, description, verdict })
}
