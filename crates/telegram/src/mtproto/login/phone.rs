//! Logging in by a code that Telegram sends to a phone number, <https://core.telegram.org/api/auth>.

use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use grammers_tl_types as tl;
use platform::Hold;
use secrecy::{ExposeSecret as _, SecretString};
use tl::enums::auth::{CodeType, SentCode as Answer, SentCodeType};

use super::state::{SentCode, Stage};
use super::{CodeChannel, Login, LoginStep, sign_up_required};
use crate::mtproto::call::CallError;
use crate::mtproto::options::ClientOptions;
use crate::mtproto::problem::{Kind, Problem};

impl Login {
    /// Begins a login by phone number, given in the international form. Telegram sends the code.
    pub async fn phone(options: Arc<ClientOptions>, phone: &str) -> Result<Self, Problem> {
        let phone = normalize(phone)?;
        let mut login = Self::begin(options, Stage::Phone { phone }).await?;
        login.send_first_code().await?;
        Ok(login)
    }

    /// Takes the code that the person entered. A wrong or expired one can be followed by another, see
    /// [`Login::resend`].
    pub async fn submit_code(&mut self, code: &SecretString) -> Result<LoginStep, Problem> {
        let Stage::Code(sent) = &self.stage else { return Err(wrong_step("no code is asked for")) };
        let sent = sent.clone();
        let code = clean(code.expose_secret(), sent.sent_via);
        if code.is_empty() {
            return Err(Problem::refused("phone_code_invalid", "the code is empty"));
        }
        let by_email = (sent.sent_via == CodeChannel::Email)
            .then(|| tl::types::EmailVerificationCode { code: code.clone() }.into());
        let request = tl::functions::auth::SignIn {
            phone_number: sent.phone.clone(),
            phone_code_hash: sent.phone_code_hash,
            phone_code: by_email.is_none().then_some(code),
            email_verification: by_email,
        };
        match self.connection.call(&request).await {
            Ok(authorization) => Ok(self.enter(authorization).await),
            Err(error) if error.is("SESSION_PASSWORD_NEEDED") => self.ask_password().await,
            Err(error) if error.is("PHONE_NUMBER_UNOCCUPIED") => Ok(self.fail(&sign_up_required())),
            Err(error) if error.is("AUTH_RESTART") => self.send_code(&sent.phone).await,
            Err(error) if is_wrong_code(&error) => Err(error.into()),
            Err(error) => match error.migrate_to() {
                Some(dc_id) => {
                    self.connection.migrate(dc_id);
                    self.send_code(&sent.phone).await
                }
                None => self.settle(error),
            },
        }
    }

    /// Asks Telegram to send the code again, by the next channel.
    pub async fn resend(&mut self) -> Result<LoginStep, Problem> {
        let Stage::Code(sent) = &self.stage else { return Err(wrong_step("no code was sent")) };
        let sent = sent.clone();
        if let Some(wait) = sent.resend_at.and_then(|at| (at - Utc::now()).to_std().ok()).filter(|wait| !wait.is_zero())
        {
            return Err(too_early(wait));
        }
        let request = tl::functions::auth::ResendCode {
            phone_number: sent.phone.clone(),
            phone_code_hash: sent.phone_code_hash,
            reason: None,
        };
        match self.connection.call(&request).await {
            Ok(answer) => Ok(self.code_sent(sent.phone, answer).await),
            Err(error) if error.is("PHONE_CODE_EXPIRED") => self.send_code(&sent.phone).await,
            Err(error) if error.is("SEND_CODE_UNAVAILABLE") => Err(error.into()),
            Err(error) => self.settle(error),
        }
    }

    pub(super) async fn send_first_code(&mut self) -> Result<LoginStep, Problem> {
        let Stage::Phone { phone } = &self.stage else { return Ok(self.step()) };
        let phone = phone.clone();
        match self.send_code(&phone).await {
            // No code went out, so there is nothing to wait with: the wait is the end of this login.
            Err(problem) if problem.retry_after().is_some() => Ok(self.fail(&problem)),
            result => result,
        }
    }

    async fn send_code(&mut self, phone: &str) -> Result<LoginStep, Problem> {
        let request = tl::functions::auth::SendCode {
            phone_number: phone.to_owned(),
            api_id: self.options.api_id,
            api_hash: self.options.api_hash.expose_secret().to_owned(),
            settings: tl::types::CodeSettings {
                allow_flashcall: false,
                current_number: false,
                allow_app_hash: false,
                allow_missed_call: false,
                allow_firebase: false,
                unknown_number: false,
                logout_tokens: None,
                token: None,
                app_sandbox: None,
            }
            .into(),
        };
        let mut answer = self.connection.call(&request).await;
        if let Some(dc_id) = answer.as_ref().err().and_then(CallError::migrate_to) {
            self.connection.migrate(dc_id);
            answer = self.connection.call(&request).await;
        } else if answer.as_ref().is_err_and(|error| error.is("AUTH_RESTART")) {
            answer = self.connection.call(&request).await;
        }
        match answer {
            Ok(answer) => Ok(self.code_sent(phone.to_owned(), answer).await),
            Err(error) if error.is("PHONE_NUMBER_UNOCCUPIED") => Ok(self.fail(&sign_up_required())),
            Err(error) => self.settle(error),
        }
    }

    async fn code_sent(&mut self, phone: String, answer: Answer) -> LoginStep {
        let code = match answer {
            Answer::Code(code) => code,
            Answer::Success(success) => return self.enter(success.authorization).await,
            Answer::PaymentRequired(_) => {
                let why = "Telegram asks to pay for sending a code to this number: log in by QR code";
                return self.fail(&Problem::refused("payment_required", why));
            }
        };
        let Some((sent_via, length)) = channel(&code.r#type) else {
            let why = "Telegram asks to set up an e-mail address first: log in once in a Telegram app";
            return self.fail(&Problem::refused("email_setup_required", why));
        };
        let resend_at = code.timeout.map(|seconds| Utc::now() + TimeDelta::seconds(seconds.max(0).into()));
        self.go(Stage::Code(SentCode {
            phone,
            phone_code_hash: code.phone_code_hash,
            sent_via,
            length,
            resend_at,
            next: code.next_type.as_ref().map(next_channel),
        }))
    }
}

/// A phone number in the form that Telegram takes: digits with a leading `+`.
fn normalize(phone: &str) -> Result<String, Problem> {
    let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
    let only_digits = phone.chars().all(|c| c.is_ascii_digit() || "+-. ()".contains(c));
    if !only_digits || !(7..=15).contains(&digits.len()) {
        let why =
            "a phone number has 7 to 15 digits, starts with the country's code, and may hold + - . ( ) and spaces";
        return Err(Problem::refused("phone_number_invalid", why));
    }
    Ok(format!("+{digits}"))
}

/// Codes are often copied with spaces or dashes; a word or phrase keeps its spaces.
fn clean(code: &str, sent_via: CodeChannel) -> String {
    match sent_via {
        CodeChannel::SmsWord => code.trim().to_owned(),
        _ => code.chars().filter(|c| !c.is_whitespace() && *c != '-').collect(),
    }
}

fn is_wrong_code(error: &CallError) -> bool {
    let problem = Problem::from(error.clone());
    matches!(problem.code, "phone_code_invalid" | "phone_code_expired")
}

fn wrong_step(why: &str) -> Problem {
    Problem::refused("wrong_step", why)
}

fn too_early(wait: Duration) -> Problem {
    // Whole seconds, rounded up: a caller that waits as told is not too early again.
    let wait = Duration::from_secs(wait.as_secs() + 1);
    let detail = format!("the code can be sent again in {} s", wait.as_secs());
    Problem { code: "resend_too_early", detail, kind: Kind::Wait(wait, Hold::Chat) }
}

/// Where the code went and its length; `None` when Telegram wants an e-mail address to be set up first.
fn channel(code: &SentCodeType) -> Option<(CodeChannel, Option<u32>)> {
    let (channel, length) = match code {
        SentCodeType::App(code) => (CodeChannel::App, Some(code.length)),
        SentCodeType::Sms(code) => (CodeChannel::Sms, Some(code.length)),
        SentCodeType::FirebaseSms(code) => (CodeChannel::Sms, Some(code.length)),
        SentCodeType::Call(code) => (CodeChannel::Call, Some(code.length)),
        SentCodeType::FlashCall(_) => (CodeChannel::FlashCall, None),
        SentCodeType::MissedCall(code) => (CodeChannel::MissedCall, Some(code.length)),
        SentCodeType::EmailCode(code) => (CodeChannel::Email, Some(code.length)),
        SentCodeType::FragmentSms(code) => (CodeChannel::Fragment, Some(code.length)),
        SentCodeType::SmsWord(_) | SentCodeType::SmsPhrase(_) => (CodeChannel::SmsWord, None),
        SentCodeType::SetUpEmailRequired(_) => return None,
    };
    Some((channel, length.and_then(|length| u32::try_from(length).ok())))
}

fn next_channel(next: &CodeType) -> CodeChannel {
    match next {
        CodeType::Sms => CodeChannel::Sms,
        CodeType::Call => CodeChannel::Call,
        CodeType::FlashCall => CodeChannel::FlashCall,
        CodeType::MissedCall => CodeChannel::MissedCall,
        CodeType::FragmentSms => CodeChannel::Fragment,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phone_numbers_are_normalized_or_refused() {
        assert_eq!(normalize("+7 (916) 123-45-67").unwrap(), "+79161234567");
        assert_eq!(normalize("15550001122").unwrap(), "+15550001122");
        for wrong in ["", "12345", "+1234567890123456", "+7916abc4567", "+7916123456\u{663}"] {
            assert_eq!(normalize(wrong).unwrap_err().code, "phone_number_invalid", "{wrong}");
        }
    }

    #[test]
    fn codes_are_taken_as_people_copy_them() {
        assert_eq!(clean(" 12 3-45\n", CodeChannel::App), "12345");
        assert_eq!(clean(" two words ", CodeChannel::SmsWord), "two words");
    }

    #[test]
    fn an_early_resend_tells_how_long_to_wait() {
        let problem = too_early(Duration::from_millis(1_500));
        assert_eq!(problem.retry_after(), Some(Duration::from_secs(2)));
    }
}
