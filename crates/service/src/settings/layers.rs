//! The layers under the settings: the compiled-in defaults, then a file, then the environment.
//!
//! The default file is also the schema: it names every key, and its value gives the type that a key must have.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::{Table, Value};

use super::error::{Origin, Problem};

/// The prefix of all environment variables of the service.
const PREFIX: &str = "INTEGRATIONS_";

/// Variables with these prefixes are injected by Kubernetes for a service that is named `integrations`.
const INJECTED: [&str; 2] = ["INTEGRATIONS_SERVICE_", "INTEGRATIONS_PORT"];

/// Keys whose value is never shown.
pub(super) const SECRETS: [&str; 8] = [
    "broker.url",
    "database.url",
    "redis.url",
    "files.secret_access_key",
    "telegram.api_hash",
    "auth.jwt_secret",
    "vault.token",
    "vault.secret_id",
];

/// Every key with its value and origin, and what was wrong with the layers so far.
#[derive(Debug)]
pub(super) struct Layers {
    defaults: BTreeMap<String, Value>,
    changed: BTreeMap<String, (Value, Origin)>,
    /// Keys that no section has read yet: at the end there must be none, or the default file promises too much.
    pub(super) unread: BTreeSet<String>,
    pub(super) problems: Vec<Problem>,
}

impl Layers {
    /// The compiled-in defaults.
    pub(super) fn new() -> Self {
        let table = include_str!("default.toml").parse().expect("the compiled-in file is TOML");
        let mut defaults = BTreeMap::new();
        flatten("", table, &mut |key, value| {
            defaults.insert(key, value);
        });
        let unread = defaults.keys().cloned().collect();
        Self { defaults, unread, changed: BTreeMap::new(), problems: Vec::new() }
    }

    /// Lays a file over what is there.
    pub(super) fn add_file(&mut self, path: &Path) -> Result<(), Problem> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Problem::Unreadable { path: path.to_owned(), reason: error.to_string() })?;
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            let start = error.span().map_or(0, |span| span.start.min(text.len()));
            let line = text.bytes().take(start).filter(|&byte| byte == b'\n').count() + 1;
            Problem::Syntax { path: path.to_owned(), line, reason: error.message().to_owned() }
        })?;
        let origin = Origin::file(path);
        flatten("", table, &mut |key, value| self.set(key, value, origin.clone()));
        Ok(())
    }

    /// Lays the environment over what is there.
    pub(super) fn add_environment(&mut self, variables: impl Iterator<Item = (String, String)>) {
        for (name, text) in variables {
            let Some(rest) = name.strip_prefix(PREFIX) else { continue };
            if INJECTED.iter().any(|prefix| name.starts_with(prefix)) {
                continue;
            }
            let key = rest.to_lowercase().replace("__", ".");
            let value = self.defaults.get(&key).map_or(Value::String(text.clone()), |like| from_text(&text, like));
            self.set(key, value, Origin::Environment(name));
        }
    }

    /// The value of a key that is known to exist.
    pub(super) fn get(&mut self, key: &str) -> &Value {
        self.unread.remove(key);
        self.value(key)
    }

    /// The default of a key that is known to exist.
    pub(super) fn default(&self, key: &str) -> &Value {
        self.defaults.get(key).expect("every key stands in the default file")
    }

    fn value(&self, key: &str) -> &Value {
        self.changed.get(key).map_or_else(|| self.default(key), |(value, _)| value)
    }

    /// Notes that the value of a key is not what it should be.
    pub(super) fn reject(&mut self, key: &str, expected: impl Into<String>) {
        let origin = self.changed.get(key).map_or(Origin::Default, |(_, origin)| origin.clone());
        let problem = bad_value(key, self.value(key), origin, expected.into());
        self.problems.push(problem);
    }

    fn set(&mut self, key: String, value: Value, origin: Origin) {
        let Some(like) = self.defaults.get(&key) else {
            let nearest = self.nearest(&key).map(|known| match origin {
                Origin::Environment(_) => format!("{PREFIX}{}", known.to_uppercase().replace('.', "__")),
                Origin::Default | Origin::File(_) => known.to_owned(),
            });
            self.problems.push(Problem::Unknown { key, origin, nearest });
            return;
        };
        if same_type(&value, like) {
            self.changed.insert(key, (value, origin));
        } else {
            self.problems.push(bad_value(&key, &value, origin, type_name(like).to_owned()));
        }
    }

    fn nearest(&self, key: &str) -> Option<&str> {
        let similarity = |known: &str| strsim::normalized_damerau_levenshtein(known, key);
        let best = self.defaults.keys().max_by(|a, b| similarity(a).total_cmp(&similarity(b)))?;
        // Below this, the two are merely both words.
        (similarity(best) >= 0.5).then_some(best.as_str())
    }
}

/// Calls `leaf` with the dotted key and the value of everything that is not a table.
fn flatten(prefix: &str, table: Table, leaf: &mut impl FnMut(String, Value)) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match value {
            Value::Table(inner) => flatten(&key, inner, leaf),
            value => leaf(key, value),
        }
    }
}

/// Reads the text of an environment variable as the type of `like`; what does not fit stays text.
fn from_text(text: &str, like: &Value) -> Value {
    let trimmed = text.trim();
    let parsed = match like {
        Value::Integer(_) => trimmed.parse().ok().map(Value::Integer),
        Value::Boolean(_) => trimmed.parse().ok().map(Value::Boolean),
        Value::Array(_) => {
            let items = trimmed.split(',').map(str::trim).filter(|item| !item.is_empty());
            Some(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
        }
        _ => None,
    };
    parsed.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn same_type(value: &Value, like: &Value) -> bool {
    match value {
        Value::Array(items) => like.is_array() && items.iter().all(Value::is_str),
        _ => value.same_type(like),
    }
}

fn type_name(like: &Value) -> &'static str {
    match like {
        Value::Integer(_) => "a whole number",
        Value::Boolean(_) => "true or false",
        Value::Array(_) => "a list of strings",
        _ => "a string",
    }
}

fn bad_value(key: &str, value: &Value, origin: Origin, expected: String) -> Problem {
    let given = (!SECRETS.contains(&key)).then(|| value.to_string());
    Problem::Value { key: key.to_owned(), origin, given, expected }
}
