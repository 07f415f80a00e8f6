//! The second step of a login: the password, when the account has one.

use grammers_tl_types as tl;
use secrecy::{ExposeSecret as _, SecretString};

use super::srp::Question;
use super::state::Stage;
use super::{Login, LoginStep};
use crate::mtproto::call::CallError;
use crate::mtproto::problem::Problem;

impl Login {
    /// The account has a password: gets the hint, and the question for the first try.
    pub(super) async fn ask_password(&mut self) -> Result<LoginStep, Problem> {
        // The scan or the code was accepted already: even without the hint the login has moved on.
        self.stage = Stage::Password { hint: None };
        match self.fetch_question().await {
            Ok(hint) => Ok(self.go(Stage::Password { hint })),
            Err(error) => self.settle(error),
        }
    }

    /// Takes the password that the person entered. A wrong one can be followed by another.
    pub async fn submit_password(&mut self, password: SecretString) -> Result<LoginStep, Problem> {
        let Stage::Password { .. } = &self.stage else {
            return Err(Problem::refused("wrong_step", "no password is asked for"));
        };
        if password.expose_secret().is_empty() {
            return Err(Problem::refused("password_invalid", "the password is empty"));
        }
        match self.check_password(&password).await? {
            // The question is good for a while and for one try: a stale one is asked again, once.
            Err(error) if is_stale(&error) => match self.check_password(&password).await? {
                Err(error) => self.refuse_password(error),
                Ok(authorization) => Ok(self.enter(authorization).await),
            },
            Err(error) => self.refuse_password(error),
            Ok(authorization) => Ok(self.enter(authorization).await),
        }
    }

    async fn check_password(
        &mut self,
        password: &SecretString,
    ) -> Result<Result<tl::enums::auth::Authorization, CallError>, Problem> {
        if self.question.is_none()
            && let Err(error) = self.fetch_question().await
        {
            return Ok(Err(error));
        }
        let Some(question) = self.question.take() else {
            let why = "the account has no password any more, or one of an unknown kind: begin a new login";
            return Err(Problem::refused("password_unavailable", why));
        };
        let password = question.answer(password.clone()).await?;
        Ok(self.connection.call(&tl::functions::auth::CheckPassword { password }).await)
    }

    async fn fetch_question(&mut self) -> Result<Option<String>, CallError> {
        let tl::enums::account::Password::Password(password) =
            self.connection.call(&tl::functions::account::GetPassword {}).await?;
        self.question = Question::new(&password);
        Ok(password.hint)
    }

    fn refuse_password(&mut self, error: CallError) -> Result<LoginStep, Problem> {
        if error.is("PASSWORD_HASH_INVALID") {
            return Err(error.into());
        }
        self.settle(error)
    }
}

fn is_stale(error: &CallError) -> bool {
    error.is("SRP_ID_INVALID") || error.is("SRP_PASSWORD_CHANGED")
}
