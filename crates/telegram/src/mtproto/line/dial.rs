//! A socket to a data centre.

use std::net::SocketAddr;

use secrecy::ExposeSecret as _;
use tokio::net::TcpStream;
use tokio_socks::tcp::Socks5Stream;

use crate::mtproto::call::CallError;
use crate::mtproto::options::Socks5;

/// Connects, directly or through a proxy.
pub(super) async fn dial(address: SocketAddr, proxy: Option<&Socks5>) -> Result<TcpStream, CallError> {
    let stream = match proxy {
        None => TcpStream::connect(address)
            .await
            .map_err(|error| CallError::Unreachable(format!("there is no connection: {error}")))?,
        Some(proxy) => through(proxy, address).await?,
    };
    // A request must not wait until the one before it was acknowledged. Without this it is only slower.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

async fn through(proxy: &Socks5, address: SocketAddr) -> Result<TcpStream, CallError> {
    let found = proxy.resolve().await;
    let host = found.map_err(|error| CallError::Unreachable(format!("the proxy cannot be found: {error}")))?;
    let stream = match proxy.credentials() {
        None => Socks5Stream::connect(host, address).await,
        Some((user, password)) => {
            Socks5Stream::connect_with_password(host, address, user, password.expose_secret()).await
        }
    };
    stream.map(Socks5Stream::into_inner).map_err(|error| refusal(&error))
}

/// Why the proxy made no connection.
fn refusal(error: &tokio_socks::Error) -> CallError {
    use tokio_socks::Error;
    match error {
        Error::PasswordAuthFailure(_)
        | Error::NoAcceptableAuthMethods
        | Error::UnknownAuthMethod
        | Error::AuthorizationRequired
        | Error::InvalidAuthValues(_)
        | Error::IdentdAuthFailure
        | Error::InvalidUserIdAuthFailure
        | Error::ConnectionNotAllowedByRuleset => CallError::ProxyRefused(format!("the proxy refused: {error}")),
        other => CallError::Unreachable(format!("there is no connection through the proxy: {other}")),
    }
}
