//! Telegram accounts over MTProto.
//!
//! - [`session_data`], [`session`]: what a logged-in client must remember, and how it is exported to be stored;
//! - [`import`]: sessions that other programs logged in;
//! - [`login`]: logging in, by QR code, phone and password;
//! - [`account`]: a logged-in account that sends and receives;
//! - [`options`]: how a client presents itself and where it connects to;
//! - [`peer`]: who a message can be sent to;
//! - [`problem`]: what can go wrong, as stable codes;
//! - `connect`, `lines`, `line`: the connections of a session, from the owner down to the socket; `incoming`: what Telegram tells on them.
//!
//! The types of the client library stay inside this module: everything public here is our own.

pub mod account;
pub mod auth_key;
mod call;
mod connect;
pub mod import;
mod incoming;
mod line;
mod lines;
pub mod login;
pub mod options;
pub mod peer;
pub mod problem;
pub mod session;
pub mod session_data;
mod test_server;
pub mod user;

pub use account::Account;
pub use auth_key::AuthKey;
pub use login::{CodeChannel, Login, LoginState, LoginStep};
pub use options::{ClientOptions, MayWrite, Server, Socks5, Timeouts};
pub use peer::PeerId;
pub use problem::{Kind, PROXY_REFUSED, Problem};
pub use session::{Revision, Session};
pub use session_data::{SelfUser, SessionData, SessionDataError, StreamPosition, UpdateState};
pub use user::{AccountUser, mask_phone};
