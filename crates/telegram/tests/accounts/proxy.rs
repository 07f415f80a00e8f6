//! Connecting through a SOCKS5 proxy.

use std::net::SocketAddr;
use std::sync::Arc;

use telegram::mtproto::{ClientOptions, Kind, Login, LoginStep, Socks5};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::Telegram;

const USER: &str = "customer-7";
const PASSWORD: &str = "p4ss!word";

/// A proxy that lets in who knows the password. Gives its port.
async fn start_proxy() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("the port is bound").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    port
}

/// One connection, as RFC 1928 and RFC 1929 say.
async fn serve(mut client: TcpStream) -> std::io::Result<()> {
    let [_, methods] = read(&mut client).await?;
    skip(&mut client, methods).await?;
    client.write_all(&[5, 2]).await?;
    let [_, length] = read(&mut client).await?;
    let user = text(&mut client, length).await?;
    let [length] = read(&mut client).await?;
    let password = text(&mut client, length).await?;
    let allowed = user == USER && password == PASSWORD;
    client.write_all(&[1, u8::from(!allowed)]).await?;
    if !allowed {
        return Ok(());
    }
    let [_, _, _, _, a, b, c, d, high, low] = read(&mut client).await?;
    let mut server = TcpStream::connect(SocketAddr::from(([a, b, c, d], u16::from_be_bytes([high, low])))).await?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

async fn read<const N: usize>(stream: &mut TcpStream) -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn text(stream: &mut TcpStream, length: u8) -> std::io::Result<String> {
    let mut bytes = vec![0; length.into()];
    stream.read_exact(&mut bytes).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn skip(stream: &mut TcpStream, length: u8) -> std::io::Result<()> {
    text(stream, length).await.map(drop)
}

fn through(telegram: &Telegram, port: u16, password: &str) -> Arc<ClientOptions> {
    let proxy = Socks5::new("localhost", port, Some((USER.to_owned(), password.into()))).expect("a usable proxy");
    Arc::new(ClientOptions { proxy: Some(proxy), ..(*telegram.options).clone() })
}

#[tokio::test]
async fn a_login_goes_through_the_proxy() {
    let telegram = Telegram::start().await;
    let phone = "+15550007000";
    telegram.person(phone, 4);
    let options = through(&telegram, start_proxy().await, PASSWORD);
    let mut login = Login::phone(options, phone).await.unwrap();
    let step = login.submit_code(&telegram.code(phone).into()).await.unwrap();
    assert!(matches!(step, LoginStep::Done { .. }));
    login.into_account().unwrap().probe().await.unwrap();
}

#[tokio::test]
async fn a_proxy_that_refuses_is_a_problem_of_reaching_telegram() {
    let telegram = Telegram::start().await;
    let options = through(&telegram, start_proxy().await, "wrong");
    let problem = Login::phone(options, "+15550007001").await.err().unwrap();
    assert_eq!((problem.code, problem.kind), ("proxy_refused", Kind::Unreachable), "{problem}");
}
