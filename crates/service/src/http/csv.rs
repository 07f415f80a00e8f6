//! Lists as CSV (RFC 4180), for spreadsheets.

use std::borrow::Cow;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use csv::{Terminator, WriterBuilder};
use futures::TryStream;
use http::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

use crate::error::Error;
use crate::files::disposition;

/// The type of the answer.
pub const MEDIA_TYPE: &str = "text/csv";

/// Whether a caller that takes both would rather have CSV than JSON. Who does not name CSV gets JSON.
pub fn is_preferred(headers: &HeaderMap) -> bool {
    let (mut csv, mut json) = (0.0, 0.0);
    let lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    for range in lines.flat_map(|line| line.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let wanted = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
            MEDIA_TYPE => &mut csv,
            "application/json" => &mut json,
            _ => continue,
        };
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        *wanted = quality.map_or(1.0, |quality| quality.parse::<f32>().unwrap_or(0.0));
    }
    csv > 0.0 && csv >= json
}

/// Rows as text. Each cell is quoted where that is needed, and none is taken for a formula.
pub fn write<'a, R>(rows: impl IntoIterator<Item = R>) -> Result<Bytes, Error>
where
    R: IntoIterator<Item = Cow<'a, str>>,
{
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    for row in rows {
        let cells = row.into_iter().map(harmless).collect::<Vec<_>>();
        writer.write_record(cells.iter().map(|cell| cell.as_bytes())).map_err(Error::internal)?;
    }
    Ok(writer.into_inner().map_err(|error| Error::internal(error.into_error()))?.into())
}

/// Spreadsheets run what begins like a formula, also behind spaces, and whoever wrote the text may be a stranger. An apostrophe
/// makes it text.
fn harmless(cell: Cow<'_, str>) -> Cow<'_, str> {
    const BEGINNINGS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
    let is_space = |c: char| c.is_whitespace() || c.is_control();
    let is_formula = cell.trim_start_matches(is_space).starts_with(BEGINNINGS);
    if is_formula || cell.starts_with(['\t', '\r', '\n']) { format!("'{cell}").into() } else { cell }
}

/// The answer: pages as they come. One that fails breaks the answer off, so that nobody takes it for whole.
pub fn answer<S>(file_name: &str, pages: S) -> Response
where
    S: TryStream<Ok = Bytes, Error = Error> + Send + 'static,
{
    let mut answer = Response::new(Body::from_stream(pages));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present"));
    if let Ok(value) = HeaderValue::from_str(&disposition::attachment(file_name)) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_is_for_those_who_ask_for_it() {
        for (accept, expected) in [
            (&[][..], false),
            (&["*/*"], false),
            (&["application/json"], false),
            (&["text/csv"], true),
            (&["Text/CSV; charset=utf-8"], true),
            (&["application/json, text/csv"], true),
            (&["application/json", "text/csv;q=0.9"], false),
            (&["application/json;q=0.5, text/csv; q=0.9, */*;q=0.1"], true),
            (&["text/csv;q=0"], false),
            (&["text/csv;q=x"], false),
            (&["text/*"], false),
        ] {
            let mut map = HeaderMap::new();
            for value in accept {
                map.append(ACCEPT, HeaderValue::from_static(value));
            }
            assert_eq!(is_preferred(&map), expected, "{accept:?}");
        }
    }

    #[test]
    fn cells_are_quoted_and_none_is_a_formula() {
        let row =
            ["plain", "a,b", "say \"hi\"", "two\nlines", "", "=1+1", " @x", "\u{a0}+7", "-1", "＝1", "\tx", "a=b"];
        let text = write([row.map(Cow::from)]).unwrap();
        let expected = "plain,\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\",,'=1+1,' @x,'\u{a0}+7,'-1,'＝1,'\tx,a=b\r\n";
        assert_eq!(std::str::from_utf8(&text).unwrap(), expected);
        assert_eq!(write([["=1\",=2"].map(Cow::from)]).unwrap(), "\"'=1\"\",=2\"\r\n");
    }
}
