//! `/api/integrations/files`.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use store::{Slice, files::FileRow};
use tokio_util::io::ReaderStream;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::openapi::Problem;
use crate::{
    Error, Result,
    app::App,
    files::Incoming,
    http::{Cursor, Json, Limit, Page, Path, Query, download, upload::Upload},
    usecases::{Caller, files},
};

/// The fewest letters that are searched for: the index knows groups of three.
const SHORTEST_SEARCH: usize = 3;
/// How much of a download is read at once.
const PIECE: usize = 64 << 10;

/// A file.
#[derive(Debug, Serialize, ToSchema)]
pub struct FileView {
    /// Id of the file.
    id: Uuid,
    /// Whose it is.
    user_id: i32,
    /// The name that it is shown with.
    #[schema(example = "report.pdf")]
    name: String,
    /// What it is.
    #[schema(example = "application/pdf")]
    media_type: String,
    /// Its length in bytes.
    size_bytes: i64,
    /// The SHA-256 of its content, as hexadecimal digits.
    sha256: String,
    /// When it was stored for the first time.
    created_at: DateTime<Utc>,
    /// When it was stored last. It is removed some days after its last use, if no message needs it.
    used_at: DateTime<Utc>,
}

impl From<FileRow> for FileView {
    fn from(row: FileRow) -> Self {
        Self {
            id: row.id,
            user_id: row.user_id,
            name: row.name,
            media_type: row.media_type,
            size_bytes: row.size_bytes,
            sha256: hex::encode(row.sha256),
            created_at: row.created_at,
            used_at: row.used_at,
        }
    }
}

/// A page of files.
#[derive(Debug, Serialize, ToSchema)]
pub struct FilePage {
    /// The files, newest first.
    items: Vec<FileView>,
    /// Pass it as `cursor` to get the next page.
    next_cursor: Option<String>,
}

/// How a file is stored.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UploadFile {
    /// Its name, instead of the one in the form or in `Content-Disposition`.
    name: Option<String>,
}

/// Where a file is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FetchFile {
    /// Its address: http or https, in the public Internet.
    #[schema(example = "https://example.com/picture.jpg")]
    url: String,
    /// Its name, instead of the one that it has there.
    name: Option<String>,
}

/// Which files to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListFiles {
    /// How many at most, 1 to 200; by default 50.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200)]
    limit: Limit,
    /// The `next_cursor` of the previous page.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// Whose name contains this text of at least three letters, in whatever case.
    q: Option<String>,
}

/// Stores a file.
///
/// The body is the file itself, with its `Content-Type`, or a form with the file as its one part. It is taken as it comes; the
/// largest size is a setting. The same content is stored once for each user: sent again, it gets the new name and type.
#[utoipa::path(
    post, path = "/api/integrations/files", tag = "files", operation_id = "uploadFile", params(UploadFile),
    request_body(
        description = "The file.",
        content(
            (Vec<u8> = "application/octet-stream"),
            (FileForm = "multipart/form-data"),
        )
    ),
    responses(
        (status = 201, description = "The file is stored.", body = FileView),
        (status = 200, description = "Its content was stored already: this is the file.", body = FileView),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn upload(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<UploadFile>,
    request: Request,
) -> Result<Response> {
    let upload = Upload::from_request(request).await?;
    let name = query.name.or(upload.name).unwrap_or_default();
    let incoming = Incoming {
        size: upload.size,
        ..Incoming::uploaded(caller.identity.user_id, &name, upload.media_type.as_deref())
    };
    Ok(stored(files::upload(&app, &caller, incoming, upload.content).await?))
}

/// A form with a file.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its description is used: forms are read part by part")]
pub struct FileForm {
    /// The file. The part has a file name.
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    file: String,
}

/// Fetches a file from an address and stores it.
#[utoipa::path(
    post, path = "/api/integrations/files/fetch", tag = "files", operation_id = "fetchFile", request_body = FetchFile,
    responses(
        (status = 201, description = "The file is stored.", body = FileView),
        (status = 200, description = "Its content was stored already: this is the file.", body = FileView),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn fetch(State(app): State<Arc<App>>, caller: Caller, Json(body): Json<FetchFile>) -> Result<Response> {
    Ok(stored(files::fetch(&app, &caller, &body.url, body.name.as_deref()).await?))
}

fn stored((row, is_new): (FileRow, bool)) -> Response {
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    (status, Json(FileView::from(row))).into_response()
}

/// Lists files.
#[utoipa::path(
    get, path = "/api/integrations/files", tag = "files", operation_id = "listFiles", params(ListFiles),
    responses(
        (status = 200, description = "A page of files, newest first.", body = FilePage),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<ListFiles>,
) -> Result<Json<Page<FileView>>> {
    if query.q.as_ref().is_some_and(|text| text.chars().count() < SHORTEST_SEARCH) {
        return Err(Error::invalid_parameter("q", "must have at least three letters"));
    }
    let slice = Slice { rows: query.limit.rows(), before: query.cursor.map(|c| c.0) };
    let rows = files::list(&app, &caller, query.q, slice).await?;
    Ok(Json(Page::new(rows, query.limit, |row| row.id).map(FileView::from)))
}

/// Gets a file: what is known of it.
#[utoipa::path(
    get, path = "/api/integrations/files/{id}", tag = "files", operation_id = "getFile",
    params(("id" = Uuid, Path, description = "Id of the file.")),
    responses(
        (status = 200, description = "The file.", body = FileView),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<Uuid>) -> Result<Json<FileView>> {
    Ok(Json(files::get(&app, &caller, id).await?.into()))
}

/// Downloads a file: its content, or the part that `Range` asks for.
#[utoipa::path(
    get, path = "/api/integrations/files/{id}/content", tag = "files", operation_id = "downloadFile",
    params(
        ("id" = Uuid, Path, description = "Id of the file."),
        ("Range" = Option<String>, Header, description = "One part, such as `bytes=0-1023`."),
    ),
    responses(
        (status = 200, description = "The content.", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 206, description = "The part.", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 304, description = "The content is the one that `If-None-Match` names."),
        (status = 416, description = "The file has no such part.", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn content(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    request: Request,
) -> Result<Response> {
    let row = files::get(&app, &caller, id).await?;
    let head =
        download::Head::new(&row.name, &row.media_type, &hex::encode(&row.sha256), row.size_bytes.unsigned_abs());
    let answer = match head.answer(request.headers()) {
        download::Answer::Part(answer, range) => {
            let reader = files::read(&app, &row, range).await?;
            answer.map(|()| Body::from_stream(ReaderStream::with_capacity(reader, PIECE)))
        }
        download::Answer::NotModified(answer) => answer.map(|()| Body::empty()),
        download::Answer::NoSuchPart(error, content_range) => {
            let mut answer = error.into_response();
            answer.headers_mut().insert(http::header::CONTENT_RANGE, content_range);
            answer
        }
    };
    Ok(answer)
}

/// Deletes a file.
///
/// Refused with `file_in_use` while a message that waits needs it.
#[utoipa::path(
    delete, path = "/api/integrations/files/{id}", tag = "files", operation_id = "deleteFile",
    params(("id" = Uuid, Path, description = "Id of the file.")),
    responses(
        (status = 204, description = "Deleted."),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn delete(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<Uuid>) -> Result<StatusCode> {
    files::delete(&app, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
