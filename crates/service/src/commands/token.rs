//! `integrations token`: makes a token for development and first use, and prints it and nothing else.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use secrecy::SecretString;

use crate::auth::{Scope, ScopeSet, mint};
use crate::data_dir::DataDir;
use crate::secrets::Keyring;
use crate::settings::Settings;

use super::{keyring_path, token_options};

/// Arguments of `token`.
#[derive(Debug, Args)]
pub struct Token {
    /// The user that the token speaks for
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
    user: i32,
    /// What it permits (default: everything on the user's own rows)
    #[arg(long, num_args = 1.., value_delimiter = ',', value_parser = scope)]
    scope: Vec<Scope>,
    /// How long it is valid, such as 90s, 15m, 1h or 30d
    #[arg(long, default_value = "1h", value_parser = duration)]
    ttl: Duration,
}

impl Token {
    /// Prints the token.
    pub fn run(self, settings: &Settings) -> Result<ExitCode, Box<dyn Error>> {
        let auth = &settings.auth;
        if let Some(issuer) = &auth.jwks_url {
            return Err(format!(
                "tokens come from the issuer of auth.jwks_url ({issuer}): this service only checks them"
            )
            .into());
        }
        let options = token_options(auth, own_secret(settings)?)?;
        println!("{}", mint(&options, self.user, self.scopes(), self.ttl)?);
        Ok(ExitCode::SUCCESS)
    }

    fn scopes(&self) -> ScopeSet {
        if self.scope.is_empty() {
            Scope::ALL.into_iter().filter(|&scope| scope != Scope::Admin).collect()
        } else {
            self.scope.iter().copied().collect()
        }
    }
}

/// The secret that the installation made for itself, made now if there is none; `None` when another one is configured.
fn own_secret(settings: &Settings) -> Result<Option<SecretString>, Box<dyn Error>> {
    if settings.auth.jwt_secret.is_some() {
        return Ok(None);
    }
    // Not locked: the service may be running.
    DataDir::make(&settings.data_dir)?;
    Ok(Some(Keyring::open_or_create(&keyring_path(settings))?.jwt_secret()))
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).ok_or_else(|| format!("the scopes are {}", Scope::ALL.map(Scope::name).join(", ")))
}

fn duration(text: &str) -> Result<Duration, String> {
    let expected = "expected a number of seconds, minutes, hours or days, such as 90s, 15m, 1h or 30d";
    let split = text.len().saturating_sub(1);
    let (number, unit) = text.split_at_checked(split).ok_or(expected)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => return Err(expected.to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| expected)?;
    let total = number.checked_mul(seconds).filter(|&total| total > 0).ok_or(expected)?;
    Ok(Duration::from_secs(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let seconds = |text| duration(text).map(|duration| duration.as_secs());
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("15m"), Ok(900));
        assert_eq!(seconds("1h"), Ok(3600));
        assert_eq!(seconds("30d"), Ok(2_592_000));
        for bad in ["", "1", "h", "-1h", "0s", "1.5h", "1w", "1ч", "99999999999999999999d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn without_scopes_it_permits_all_but_what_is_others() {
        let token = Token { user: 7, scope: Vec::new(), ttl: Duration::from_secs(1) };
        assert!(token.scopes().allows(Scope::UsersDelete));
        assert!(!token.scopes().iter().any(|scope| scope == Scope::Admin));
        let token = Token { scope: vec![Scope::MessagesSend], ..token };
        assert!(!token.scopes().allows(Scope::IntegrationsRead));
    }
}
