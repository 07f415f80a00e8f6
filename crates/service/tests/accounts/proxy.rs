//! An account gets to Telegram through a SOCKS5 proxy.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::common::app::TestApp;
use crate::people::{Connected, Person, account_of, begin, friends_of, login_step, start};

const USER: &str = "customer-7";
const PASSWORD: &str = "sesame-open-for-7";

/// A proxy that takes nothing but what RFC 1928 and RFC 1929 say, and leads to one place only.
struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    leads_to: SocketAddr,
    lets_in: AtomicBool,
    /// How many connections it has made, and how many it has refused.
    made: AtomicUsize,
    refused: AtomicUsize,
    /// What somebody did against the rules.
    offences: Mutex<Vec<String>>,
}

impl Proxy {
    async fn start(leads_to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            leads_to,
            lets_in: AtomicBool::new(true),
            made: AtomicUsize::default(),
            refused: AtomicUsize::default(),
            offences: Mutex::default(),
        });
        let proxy = Self { port, shared: shared.clone() };
        tokio::spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let shared = shared.clone();
                open.spawn(async move { shared.serve(client).await });
            }
        });
        proxy
    }

    fn made(&self) -> usize {
        self.shared.made.load(Ordering::SeqCst)
    }

    fn refused(&self) -> usize {
        self.shared.refused.load(Ordering::SeqCst)
    }

    fn lets_in(&self, lets_in: bool) {
        self.shared.lets_in.store(lets_in, Ordering::SeqCst);
    }

    fn offences(&self) -> Vec<String> {
        self.shared.offences.lock().unwrap().clone()
    }

    /// The way through it, for `client`.
    fn way(&self, password: &str) -> Value {
        json!({ "proxy": { "host": "localhost", "port": self.port, "username": USER, "password": password } })
    }
}

impl Shared {
    /// One connection. Whoever goes away in the middle does no wrong.
    async fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        let [version, count] = read(&mut client).await?;
        let methods = bytes(&mut client, count).await?;
        if version != 5 || !methods.contains(&2) {
            self.offend(format!("greeting: version {version}, methods {methods:?}"));
            return client.write_all(&[5, 0xff]).await;
        }
        client.write_all(&[5, 2]).await?;
        let [version, length] = read(&mut client).await?;
        let user = bytes(&mut client, length).await?;
        let [length] = read(&mut client).await?;
        let password = bytes(&mut client, length).await?;
        if version != 1 {
            self.offend(format!("user and password: version {version}"));
        }
        let knows = user == USER.as_bytes() && password == PASSWORD.as_bytes();
        if !knows || !self.lets_in.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return client.write_all(&[1, 1]).await;
        }
        client.write_all(&[1, 0]).await?;
        let [version, command, reserved, kind, a, b, c, d, high, low] = read(&mut client).await?;
        let target = SocketAddr::from(([a, b, c, d], u16::from_be_bytes([high, low])));
        if (version, command, reserved, kind) != (5, 1, 0, 1) || target != self.leads_to {
            self.offend(format!("request: {version} {command} {reserved} {kind} {target}"));
            return client.write_all(&[5, 2, 0, 1, 0, 0, 0, 0, 0, 0]).await;
        }
        let mut server = TcpStream::connect(target).await?;
        self.made.fetch_add(1, Ordering::SeqCst);
        client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
        tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
    }

    fn offend(&self, what: String) {
        self.offences.lock().unwrap().push(what);
    }
}

async fn read<const N: usize>(stream: &mut TcpStream) -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn bytes(stream: &mut TcpStream, length: u8) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; length.into()];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// The service, and a proxy that leads to its Telegram.
async fn stage() -> (TestApp, Proxy) {
    let app = start().await;
    app.secrets.borrow_mut().push(PASSWORD.to_owned());
    let proxy = Proxy::start(app.sim.mtproto.unwrap()).await;
    (app, proxy)
}

/// How many connections came to Telegram, by whatever way.
fn came(app: &TestApp) -> u64 {
    app.sim.accounts().counters().connections_accepted
}

/// Nothing came by another way. Both sides count a connection, at about the same time.
async fn until_all_came_through(app: &TestApp, proxy: &Proxy) {
    crate::common::eventually("as many came as the proxy made", async || came(app) == proxy.made() as u64).await;
}

async fn connect_through(app: &TestApp, proxy: &Proxy, person: &Person) -> Connected {
    let login = begin(&app.user, &json!({ "method": "qr", "client": proxy.way(PASSWORD) })).await;
    person.scan(app, &login);
    let done = login_step(&app.user, &login, "done").await;
    Connected { id: account_of(&done), person: person.clone() }
}

#[tokio::test]
async fn it_is_connected_and_sends_through_the_proxy_and_no_other_way() {
    let (mut app, proxy) = stage().await;
    // Its data centre is another one than logins begin at: that way leads through the proxy too.
    let person = Person::far_away(&app.sim);
    let friend = friends_of(&app, &person, 1)[0];
    let account = connect_through(&app, &proxy, &person).await;
    app.until(account.send(&app, friend, "round about").await, "sent").await;
    assert!(proxy.made() >= 2, "{}", proxy.made());
    until_all_came_through(&app, &proxy).await;

    // It goes the same way after a restart and after a cut.
    let before = proxy.made();
    app.stop_service().await;
    app.start_service().await;
    app.until(account.send(&app, friend, "after the restart").await, "sent").await;
    assert!(proxy.made() > before);
    app.sim.accounts().cut(Some(person.id)).unwrap();
    app.until(account.send(&app, friend, "after the cut").await, "sent").await;
    until_all_came_through(&app, &proxy).await;
    assert_eq!((proxy.refused(), proxy.offences()), (0, Vec::new()));
}

#[tokio::test]
async fn a_login_whose_password_the_proxy_refuses_fails_and_says_why() {
    let (app, proxy) = stage().await;
    let person = Person::new(&app.sim);
    for body in [
        json!({ "method": "qr", "client": proxy.way("something-else") }),
        json!({ "method": "phone", "phone": person.phone, "client": proxy.way("something-else") }),
    ] {
        let login = begin(&app.user, &body).await;
        let failed = login_step(&app.user, &login, "failed").await;
        assert_eq!(failed["step"]["code"], "proxy_refused", "{failed}");
        assert!(failed["step"]["detail"].as_str().unwrap().contains("the proxy refused"), "{failed}");
    }
    assert_eq!((proxy.refused(), proxy.made(), came(&app)), (2, 0, 0));
}

#[tokio::test]
async fn what_waits_for_a_proxy_that_refuses_later_is_not_lost() {
    let (mut app, proxy) = stage().await;
    let person = Person::new(&app.sim);
    let friend = friends_of(&app, &person, 1)[0];
    let account = connect_through(&app, &proxy, &person).await;
    app.stop_service().await;
    proxy.lets_in(false);
    app.start_service().await;
    let waiting = account.until(&app, "connecting").await;
    assert_eq!(waiting["status_reason"], "proxy_refused", "{waiting}");
    let message = account.send(&app, friend, "patient").await;
    let refused = proxy.refused();
    crate::common::eventually("it is tried again", async || proxy.refused() > refused).await;
    assert_eq!(app.message(message).await["status"], "queued");
    proxy.lets_in(true);
    app.until(message, "sent").await;
    let now = account.until(&app, "active").await;
    assert_eq!((&now["status_reason"], proxy.offences()), (&Value::Null, Vec::new()));
}
