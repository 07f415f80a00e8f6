//! Takes a file from an address that a user gave.

use percent_encoding::percent_decode_str;
use platform::FileRef;
use store::files::FileRow;
use url::Url;

use super::{Files, Incoming, disposition};
use crate::egress::get::{Found, GetError};
use crate::usecases::Caller;
use crate::{Code, Error, Result};

impl Files {
    /// Fetches an address and stores what is there, under this name or the one that it has there.
    pub async fn fetch(&self, user_id: i32, url: &str, name: Option<&str>) -> Result<FileRef> {
        Ok(self.accept_from(user_id, url, name, None).await?.0.to_ref())
    }

    /// The same, with an entry in the audit; tells whether the file is new.
    pub async fn accept_from(
        &self,
        user_id: i32,
        url: &str,
        name: Option<&str>,
        caller: Option<&Caller>,
    ) -> Result<(FileRow, bool)> {
        let slot = self.0.slots.take(user_id)?;
        let found = self.0.egress.get(url, self.0.settings.stall).await?;
        let name = name.map_or_else(|| name_of(&found), str::to_owned);
        let media_type = found.content_type.clone();
        let incoming = Incoming {
            caller,
            user_id,
            name: &name,
            media_type: media_type.as_deref(),
            size: found.length,
            way: "url",
            late: Code::FetchTimedOut,
            broken: Code::UrlUnreachable,
        };
        self.accept_in(slot, incoming, found.into_reader()).await
    }
}

fn name_of(found: &Found) -> String {
    let told = found.content_disposition.as_deref().and_then(disposition::file_name);
    told.unwrap_or_else(|| last_part(&found.url))
}

fn last_part(url: &Url) -> String {
    let last = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default();
    percent_decode_str(last).decode_utf8_lossy().into_owned()
}

impl From<GetError> for Error {
    fn from(error: GetError) -> Self {
        let code = match &error {
            GetError::Refused(_) => Code::UrlRefused,
            GetError::Unusable(_) => Code::UrlUnreachable,
            GetError::TimedOut => Code::FetchTimedOut,
        };
        Self::new(code, error.to_string())
    }
}
