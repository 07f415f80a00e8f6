use std::io::Write;

use secrecy::ExposeSecret;

use super::*;

fn load(env: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Settings::load(None, env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

fn load_file(text: &str, env: &[(&str, &str)]) -> Result<Settings, String> {
    let mut file = tempfile::Builder::new().prefix("integrations").suffix(".toml").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let shown = file.path().display().to_string();
    Settings::load(Some(file.path()), env).map_err(|error| error.to_string().replace(&shown, "FILE"))
}

fn problem(env: &[(&str, &str)]) -> String {
    load(env).unwrap_err().to_string()
}

#[test]
fn nothing_configured_gives_the_defaults() {
    let settings = load(&[("INTEGRATIONS_DATA_DIR", "/srv/data")]).unwrap();
    assert_eq!(settings.data_dir, Path::new("/srv/data"));
    assert_eq!(settings.http.bind.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.http.body_limit, 1_048_576);
    assert_eq!(settings.telegram.bot_api_url, "https://api.telegram.org");
    assert_eq!((settings.telegram.updates.way, &settings.http.public_url), (UpdatesWay::Off, &None));
    assert_eq!(settings.auth.user_claim, "sub");
    assert_eq!(settings.log.format, LogFormat::Auto);
    assert!(settings.database.url.is_none());
    assert!(settings.telegram.application.is_none() && settings.telegram.test_server.is_none());
    assert!(settings.auth.jwt_secret.is_none() && settings.auth.issuer.is_none());
}

#[test]
fn the_default_file_can_be_used_as_a_file() {
    load_file(DEFAULTS, &[]).unwrap();
}

#[test]
fn the_environment_wins_over_the_file() {
    let file = "[http]\nbind = \"0.0.0.0:1000\"\nbody_limit_bytes = 2048\n[limits]\nuser_rps = 0\n";
    let settings = load_file(file, &[("INTEGRATIONS_HTTP__BIND", "[::1]:2000")]).unwrap();
    assert_eq!(settings.http.bind.to_string(), "[::1]:2000");
    assert_eq!(settings.http.body_limit, 2048);
    assert_eq!(settings.limits.user_rps, 0);
}

#[test]
fn nested_sections_and_lists_come_from_the_environment() {
    let settings = load(&[
        ("INTEGRATIONS_TELEGRAM__TEST_SERVER__ADDRESS", "127.0.0.1:4443"),
        ("INTEGRATIONS_TELEGRAM__TEST_SERVER__KEYS_URL", "http://127.0.0.1:4444/keys"),
        ("INTEGRATIONS_HTTP__TRUSTED_PROXIES", "10.0.0.0/8, ::1,"),
        ("INTEGRATIONS_HTTP__MAX_CONCURRENT_REQUESTS", " 7 "),
    ])
    .unwrap();
    assert_eq!(settings.telegram.test_server.unwrap().address, "127.0.0.1:4443");
    assert_eq!(settings.http.trusted_proxies, ["10.0.0.0/8", "::1"]);
    assert_eq!(settings.http.max_concurrent_requests, 7);
}

#[test]
fn the_data_folder_of_a_user_is_in_the_usual_place() {
    let from = |env: &[(&str, &str)]| load(env).unwrap().data_dir;
    if rustix::process::geteuid().is_root() {
        assert_eq!(from(&[("HOME", "/root")]), Path::new("/var/lib/integrations"));
    } else {
        assert_eq!(from(&[("HOME", "/home/a")]), Path::new("/home/a/.local/share/integrations"));
        assert_eq!(from(&[("HOME", "/home/a"), ("XDG_DATA_HOME", "/x")]), Path::new("/x/integrations"));
        assert_eq!(from(&[]), Path::new("data"));
    }
}

#[test]
fn an_unknown_key_names_its_nearest_neighbour_and_its_origin() {
    assert_eq!(
        problem(&[("INTEGRATIONS_HTTP__BLIND", "x")]),
        "settings: unknown key http.blind (from INTEGRATIONS_HTTP__BLIND); did you mean INTEGRATIONS_HTTP__BIND?"
    );
    assert_eq!(
        problem(&[("INTEGRATIONS_HTTP_BIND", "x")]),
        "settings: unknown key http_bind (from INTEGRATIONS_HTTP_BIND); did you mean INTEGRATIONS_HTTP__BIND?"
    );
    assert_eq!(
        load_file("[telegram]\nbot_api = \"x\"\n", &[]).unwrap_err(),
        "settings: unknown key telegram.bot_api (from FILE); did you mean telegram.bot_api_url?"
    );
    assert_eq!(problem(&[("INTEGRATIONS_QQQ", "x")]), "settings: unknown key qqq (from INTEGRATIONS_QQQ)");
}

#[test]
fn what_kubernetes_injects_is_ignored() {
    load(&[
        ("INTEGRATIONS_SERVICE_HOST", "10.0.0.1"),
        ("INTEGRATIONS_SERVICE_PORT_HTTP", "80"),
        ("INTEGRATIONS_PORT", "tcp://10.0.0.1:80"),
        ("INTEGRATIONS_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("HOME", "/root"),
    ])
    .unwrap();
}

#[test]
fn a_bad_value_says_what_was_given_and_what_is_expected() {
    assert_eq!(
        problem(&[("INTEGRATIONS_HTTP__BIND", "localhost")]),
        "settings: http.bind = \"localhost\" (from INTEGRATIONS_HTTP__BIND): \
         expected an address with a port, such as 127.0.0.1:8080 or [::]:8080"
    );
    assert_eq!(
        problem(&[("INTEGRATIONS_DATABASE__MAX_CONNECTIONS", "1")]),
        "settings: database.max_connections = 1 (from INTEGRATIONS_DATABASE__MAX_CONNECTIONS): \
         expected a whole number from 2 to 1000"
    );
    assert_eq!(
        problem(&[("INTEGRATIONS_LIMITS__USER_RPS", "many")]),
        "settings: limits.user_rps = \"many\" (from INTEGRATIONS_LIMITS__USER_RPS): expected a whole number"
    );
    assert_eq!(
        load_file("[http]\ncors_origins = [1]\n", &[]).unwrap_err(),
        "settings: http.cors_origins = [1] (from FILE): expected a list of strings"
    );
    assert!(problem(&[("INTEGRATIONS_TELEGRAM__BOT_UPDATES", "on")]).contains("expected off, polling or webhook"));
    assert!(problem(&[("INTEGRATIONS_HTTP__PUBLIC_URL", "example.com")]).contains("expected an address such as"));
    assert!(problem(&[("INTEGRATIONS_LOG__LEVEL", "verbose")]).contains("expected error, warn, info"));
    assert!(problem(&[("INTEGRATIONS_HTTP__REQUEST_TIMEOUT_SECONDS", "-1")]).contains("from 1 to 3600"));
    assert!(problem(&[("INTEGRATIONS_HTTP__BODY_LIMIT_BYTES", "99999999999999999999")]).contains("a whole number"));
}

#[test]
fn a_key_where_a_section_belongs_is_an_error() {
    assert!(problem(&[("INTEGRATIONS_HTTP", "x")]).starts_with("settings: unknown key http (from INTEGRATIONS_HTTP)"));
    assert!(load_file("http = 1\n", &[]).unwrap_err().starts_with("settings: unknown key http (from FILE)"));
    let deeper = load_file("[http.bind]\nport = 1\n", &[]).unwrap_err();
    assert_eq!(deeper, "settings: unknown key http.bind.port (from FILE); did you mean http.bind?");
}

#[test]
fn every_problem_is_shown_at_once() {
    let error = load(&[("INTEGRATIONS_HTTP__BIND", "x"), ("INTEGRATIONS_LIMITS__USER_BURST", "-1")]).unwrap_err();
    assert_eq!(error.problems().len(), 2);
    assert!(error.to_string().starts_with("settings: 2 problems\n  - "));
}

#[test]
fn what_is_half_set_is_an_error() {
    let half = |env| match load(&[env]).unwrap_err().problems() {
        [Problem::Together(text)] => text.clone(),
        other => panic!("{other:?}"),
    };
    assert!(half(("INTEGRATIONS_TELEGRAM__API_ID", "7")).contains("telegram.api_hash is not"));
    assert!(
        half(("INTEGRATIONS_TELEGRAM__API_HASH", "0123456789abcdef0123456789abcdef"))
            .contains("telegram.api_id is not")
    );
    assert!(half(("INTEGRATIONS_TELEGRAM__TEST_SERVER__ADDRESS", "h:1")).contains("keys_url is not"));
    assert!(half(("INTEGRATIONS_TELEGRAM__TEST_SERVER__KEYS_URL", "http://h/")).contains("address is not"));
    assert!(half(("INTEGRATIONS_TELEGRAM__BOT_UPDATES", "webhook")).contains("http.public_url is not set"));
    assert!(half(("INTEGRATIONS_VAULT__ADDR", "https://h")).contains("logs in to Vault in one way"));
    assert!(half(("INTEGRATIONS_VAULT__ROLE_ID", "r")).contains("logs in to Vault in one way"));
    let token = ("INTEGRATIONS_VAULT__TOKEN", "t");
    let plain = [("INTEGRATIONS_VAULT__ADDR", "http://h"), token];
    assert!(problem(&plain).contains("vault.allow_http"));
    let twice = [("INTEGRATIONS_VAULT__ADDR", "https://h"), token, ("INTEGRATIONS_VAULT__TOKEN_FILE", "/f")];
    assert!(problem(&twice).contains("set only one"));
    let both = [
        ("INTEGRATIONS_AUTH__JWT_SECRET", "0123456789012345678901234567890123"),
        ("INTEGRATIONS_AUTH__JWKS_URL", "http://h/"),
    ];
    assert!(problem(&both).contains("set only one"));
}

#[test]
fn a_secret_is_never_shown() {
    let secret = "s3cr3t-s3cr3t-s3cr3t-s3cr3t-s3cr3t";
    let settings = load(&[("INTEGRATIONS_AUTH__JWT_SECRET", secret)]).unwrap();
    assert_eq!(settings.auth.jwt_secret.as_ref().unwrap().expose_secret(), secret);
    assert!(!format!("{settings:?}").contains("s3cr3t"));

    for env in [
        ("INTEGRATIONS_AUTH__JWT_SECRET", "s3cr3t"),
        ("INTEGRATIONS_TELEGRAM__API_HASH", "s3cr3t"),
        ("INTEGRATIONS_DATABASE__URL", "mysql://u:s3cr3t@h/d"),
        ("INTEGRATIONS_VAULT__TOKEN", "s3cr3t\nx"),
    ] {
        let error = load(&[env]).unwrap_err();
        assert!(!error.to_string().contains("s3cr3t") && !format!("{error:?}").contains("s3cr3t"), "{error}");
    }
    for file in
        ["[auth]\njwt_secret = [\"s3cr3t\"]\n", "[auth]\njwt_secret = \"s3cr3t\n", "[auth]\njwt_secret = s3cr3t\n"]
    {
        let error = load_file(file, &[]).unwrap_err();
        assert!(!error.contains("s3cr3t"), "{error}");
    }
}

#[test]
fn a_file_that_is_no_toml_names_the_line() {
    assert!(load_file("[http]\nbind = \"\n", &[]).unwrap_err().starts_with("settings: FILE line 2: "));
    let missing = Settings::load(Some(Path::new("/nonexistent/integrations.toml")), std::iter::empty()).unwrap_err();
    assert!(missing.to_string().starts_with("settings: cannot read /nonexistent/integrations.toml: No such file"));
}

#[test]
fn replicas_share_keys_and_workers_tell_of_themselves_where_that_is_set() {
    let settings = load(&[]).unwrap();
    assert_eq!((settings.keys.file, settings.worker.bind), (None, None));
    let set = [("INTEGRATIONS_KEYS__FILE", "/srv/keyring.json"), ("INTEGRATIONS_WORKER__BIND", "[::]:8081")];
    let settings = load(&set).unwrap();
    assert_eq!(settings.keys.file.as_deref(), Some(Path::new("/srv/keyring.json")));
    assert_eq!(settings.worker.bind.unwrap().port(), 8081);
    assert!(problem(&[("INTEGRATIONS_WORKER__BIND", "8081")]).contains("an address with a port"));
    assert!(problem(&[("INTEGRATIONS_KEYS__FILE", "/srv/")]).contains("a file"));
}
