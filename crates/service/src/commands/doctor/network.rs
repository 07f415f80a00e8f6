//! What is reached over the network, and whether its clock agrees with ours.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::report::{Finding, Report};
use crate::queue::broker::Broker;
use crate::settings::Settings;
use crate::telemetry::with_causes;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// Tokens are accepted this long before and after their time, so that clocks may differ a little.
const LEEWAY_SECONDS: u64 = 30;

/// A difference that is worth a look.
const NOTABLE_SECONDS: u64 = 3;

/// Checks every address in the settings; returns the clock of the Bot API server.
pub async fn check(settings: &Settings, report: &mut Report) -> Option<DateTime<Utc>> {
    let clock =
        check_http("bot api", &settings.telegram.bot_api_url, "INTEGRATIONS_TELEGRAM__BOT_API_URL", report).await;
    if let Some(url) = &settings.auth.jwks_url {
        check_http("jwks", url, "INTEGRATIONS_AUTH__JWKS_URL", report).await;
    }
    if let Some(broker) = Broker::configured(&settings.broker) {
        report.add(check_broker(&broker).await);
    }
    if let Some(server) = &settings.telegram.test_server {
        let key = "INTEGRATIONS_TELEGRAM__TEST_SERVER__KEYS_URL";
        check_http("test server keys", &server.keys_url, key, report).await;
        report.add(check_tcp("test server", &server.address).await);
    }
    clock
}

/// Logs in and asks for a channel, as the service does.
async fn check_broker(broker: &Broker) -> Finding {
    let name = "broker";
    match broker.connect("integrations: doctor").await {
        Ok(_) => Finding::ok(name, "RabbitMQ lets us in"),
        // The library's texts name no user and no password.
        Err(error) => {
            Finding::fail(name, error, "check INTEGRATIONS_BROKER__URL: address, user, password and virtual host")
        }
    }
}

/// Compares our clock with another one.
pub fn clock(other: Option<DateTime<Utc>>) -> Finding {
    let name = "clock";
    let Some(other) = other else {
        return Finding::warn(name, "nothing answered that it could be compared with", "check it by hand");
    };
    let seconds = (Utc::now() - other).num_seconds().unsigned_abs();
    let found = format!("{seconds} s apart from the other side's");
    let advice = "set this machine's clock by a time service (chrony, systemd-timesyncd)";
    if seconds > LEEWAY_SECONDS {
        Finding::fail(name, found, advice)
    } else if seconds > NOTABLE_SECONDS {
        Finding::warn(name, found, advice)
    } else {
        Finding::ok(name, found)
    }
}

async fn check_http(name: &'static str, url: &str, key: &str, report: &mut Report) -> Option<DateTime<Utc>> {
    let advice = format!("check {key}, and that this machine may reach that address");
    match timeout(ANSWER, get(url)).await {
        Ok(Ok((status, clock))) => {
            let found = format!("{url} answers {}", status.as_u16());
            report.add(if status.is_server_error() {
                Finding::fail(name, found, advice)
            } else {
                Finding::ok(name, found)
            });
            clock
        }
        Ok(Err(error)) => {
            report.add(Finding::fail(name, format!("{url}: {}", with_causes(error.as_ref())), advice));
            None
        }
        Err(_) => {
            report.add(Finding::fail(name, format!("{url}: no answer within {} s", ANSWER.as_secs()), advice));
            None
        }
    }
}

/// The status and the clock of an HTTP server.
async fn get(url: &str) -> Result<(StatusCode, Option<DateTime<Utc>>), Box<dyn Error + Send + Sync>> {
    let connector =
        hyper_rustls::HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1().build();
    let client = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(connector);
    let answer = client.request(Request::get(url).body(Empty::new())?).await?;
    let date = answer.headers().get(header::DATE).and_then(|date| date.to_str().ok());
    let clock = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()).map(|date| date.to_utc());
    Ok((answer.status(), clock))
}

async fn check_tcp(name: &'static str, address: &str) -> Finding {
    let advice = "check INTEGRATIONS_TELEGRAM__TEST_SERVER__ADDRESS, and that the server runs";
    match timeout(ANSWER, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Finding::ok(name, format!("{address} takes connections")),
        Ok(Err(error)) => Finding::fail(name, format!("{address}: {error}"), advice),
        Err(_) => Finding::fail(name, format!("{address}: no answer within {} s", ANSWER.as_secs()), advice),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_agree_are_fine_and_others_are_not() {
        let apart = |seconds| format!("{:?}", clock(Some(Utc::now() - chrono::TimeDelta::seconds(seconds))));
        assert!(apart(0).contains("Ok"));
        assert!(apart(-20).contains("Warn"));
        assert!(apart(3600).contains("Fail"));
        assert!(format!("{:?}", clock(None)).contains("Warn"));
    }
}
