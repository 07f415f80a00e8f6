//! Logging an account in. A login is a chain of steps that Telegram decides on and a person takes:
//!
//! - [`step`]: what the person has to do next;
//! - [`state`]: what of it is stored, so that it goes on after a crash;
//! - `qr`, `phone`, `password`: the flows, one file each; `srp`: the arithmetic of the password.
//!
//! [`Login`] has one driver at a time. Each call either moves it to another step and gives that, or gives a
//! [`Problem`] and leaves it where it was: the person can try again, with another code or password, or later. Store
//! [`Login::state`] after each step.

mod password;
mod phone;
mod qr;
mod srp;
pub mod state;
pub mod step;

use std::sync::Arc;

use grammers_tl_types as tl;

pub use state::LoginState;
pub use step::{CodeChannel, LoginStep};

use super::account::Account;
use super::call::CallError;
use super::connect::Connection;
use super::incoming::Incoming;
use super::options::ClientOptions;
use super::problem::{Kind, Problem};
use super::session_data::SessionData;
use super::user::AccountUser;
use srp::Question;
use state::Stage;

/// A login under way.
pub struct Login {
    options: Arc<ClientOptions>,
    connection: Connection,
    updates: Incoming,
    stage: Stage,
    /// The password question that comes next, when it was asked already.
    question: Option<Question>,
}

impl Login {
    /// Takes up a stored login. One by QR code gets a new code; the others stand where they stood.
    pub async fn resume(options: Arc<ClientOptions>, state: LoginState) -> Result<Self, Problem> {
        let mut login = Self::open(options, state).await?;
        match login.stage {
            Stage::Qr { .. } => login.show_qr().await?,
            Stage::Phone { .. } => login.send_first_code().await?,
            _ => login.step(),
        };
        Ok(login)
    }

    async fn open(options: Arc<ClientOptions>, state: LoginState) -> Result<Self, Problem> {
        let session = options.open_session(state.session).await?;
        let mut connection = Connection::open(Arc::clone(&options), session);
        let updates = connection.take_updates().expect("a new connection has its updates");
        Ok(Self { options, connection, updates, stage: state.stage, question: None })
    }

    async fn begin(options: Arc<ClientOptions>, stage: Stage) -> Result<Self, Problem> {
        Self::open(options, LoginState { session: SessionData::default(), stage }).await
    }

    /// What the person has to do.
    pub fn step(&self) -> LoginStep {
        self.stage.step().expect("a login is handed out once its first step is known")
    }

    /// What is to be stored now.
    pub fn state(&self) -> LoginState {
        LoginState { session: self.connection.session().export().0, stage: self.stage.clone() }
    }

    /// The logged-in account, on the connection that the login used; `None` unless the step is [`LoginStep::Done`].
    pub fn into_account(self) -> Option<Account> {
        match self.stage {
            Stage::Done { user } => Some(Account::new(self.connection, self.updates, user)),
            _ => None,
        }
    }

    /// Gives the login up: a code that was sent becomes void, a finished login is logged out. What Telegram says to
    /// that does not matter.
    pub async fn cancel(self) {
        match &self.stage {
            Stage::Code(sent) => {
                let request = tl::functions::auth::CancelCode {
                    phone_number: sent.phone.clone(),
                    phone_code_hash: sent.phone_code_hash.clone(),
                };
                let _ = self.connection.call(&request).await;
            }
            Stage::Done { .. } => drop(self.connection.call(&tl::functions::auth::LogOut {}).await),
            Stage::Qr { .. } | Stage::Phone { .. } | Stage::Password { .. } | Stage::Failed { .. } => {}
        }
        self.connection.close().await;
    }

    /// Ends the connection and leaves the login as it is stored.
    pub async fn close(self) {
        self.connection.close().await;
    }

    fn go(&mut self, stage: Stage) -> LoginStep {
        self.stage = stage;
        self.step()
    }

    /// A problem that can pass leaves the login where it is; any other ends it.
    fn settle(&mut self, error: CallError) -> Result<LoginStep, Problem> {
        let problem = Problem::from(error);
        match problem.kind {
            Kind::Wait(..) | Kind::Unreachable | Kind::NoAnswer => Err(problem),
            Kind::Refused | Kind::SessionDead | Kind::AccountClosed => Ok(self.fail(&problem)),
        }
    }

    fn fail(&mut self, problem: &Problem) -> LoginStep {
        self.go(Stage::failed(problem))
    }

    /// Telegram let us in.
    async fn enter(&mut self, authorization: tl::enums::auth::Authorization) -> LoginStep {
        use tl::enums::auth::Authorization;
        let user = match authorization {
            Authorization::Authorization(tl::types::auth::Authorization {
                user: tl::enums::User::User(user), ..
            }) => AccountUser::from_tl(&user),
            Authorization::Authorization(_) => {
                return self.fail(&Problem::refused("telegram_refused", "Telegram did not say who logged in"));
            }
            Authorization::SignUpRequired(_) => return self.fail(&sign_up_required()),
        };
        self.connection.session().set_user(user.for_session());
        // Without an answer the position is asked for again when the updates are.
        let _ = self.connection.mark_position().await;
        self.go(Stage::Done { user })
    }
}

fn sign_up_required() -> Problem {
    Problem::refused("sign_up_required", "this number has no Telegram account: create one in a Telegram app first")
}
