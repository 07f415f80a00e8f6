//! The body of a send: JSON, or a form whose part `message` is that JSON and whose other parts are files.

use std::collections::HashMap;

use axum::extract::{FromRequest as _, Request};
use platform::FileRef;
use utoipa::ToSchema;

use crate::{
    Code, Error, Result,
    app::App,
    files::Incoming,
    http::{
        Json,
        form::{Form, Part},
        json, upload,
    },
    usecases::{Caller, draft::SendMessage, files},
};

/// The name of the part with the message.
const MESSAGE: &str = "message";
/// An album has so many.
const MOST_FILES: usize = 10;

/// A message with its files.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes a body that is read as a stream")]
pub struct MessageForm {
    /// The message: the same as without a form.
    message: SendMessage,
    /// A file that the message names with `attach`. There can be up to ten of such parts, with any names.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// Reads the body of a send. Files are stored as they come.
pub async fn read(app: &App, caller: &Caller, request: Request) -> Result<(SendMessage, HashMap<String, FileRef>)> {
    if !upload::is_form(request.headers()) {
        let Json(message) = Json::from_request(request, &()).await?;
        return Ok((message, HashMap::new()));
    }
    let mut form = Form::of(request)?;
    let mut message: Option<SendMessage> = None;
    let mut attached = HashMap::new();
    while let Some(part) = form.next().await? {
        let twice = if part.name == MESSAGE { message.is_some() } else { attached.contains_key(&part.name) };
        if twice {
            let detail = format!("The form has the part `{}` twice.", part.name.escape_debug());
            return Err(Error::new(Code::InvalidBody, detail));
        }
        if part.name == MESSAGE {
            message = Some(json::parse(&part.bytes().await?)?);
            continue;
        }
        if attached.len() == MOST_FILES {
            let detail = format!("The form has more than {MOST_FILES} files: an album has at most so many.");
            return Err(Error::new(Code::InvalidBody, detail));
        }
        let (name, file) = store(app, caller, part).await?;
        attached.insert(name, file);
    }
    let message = message.ok_or_else(|| {
        Error::new(Code::InvalidBody, format!("The form has no part `{MESSAGE}`: send the message as JSON in it."))
    })?;
    Ok((message, attached))
}

async fn store(app: &App, caller: &Caller, part: Part) -> Result<(String, FileRef)> {
    let (name, media_type) = (part.name.clone(), part.media_type.clone());
    let file_name = part.file_name.clone().unwrap_or_default();
    let incoming = Incoming::uploaded(caller.identity.user_id, &file_name, media_type.as_deref());
    let (row, _) = files::upload(app, caller, incoming, part.into_reader()).await?;
    Ok((name, row.to_ref()))
}
