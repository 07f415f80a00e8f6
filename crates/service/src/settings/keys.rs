//! Section `keys`: what credentials are sealed by.

use std::path::PathBuf;

use super::reader::Reader;

/// The keys.
#[derive(Debug, Clone)]
pub struct KeysSettings {
    /// The keyring; `None` is the one in the data folder.
    pub file: Option<PathBuf>,
}

impl KeysSettings {
    pub(super) fn read(mut from: Reader<'_>) -> Self {
        Self { file: from.optional("file", "a file", |path| !path.ends_with('/')).map(PathBuf::from) }
    }
}
