//! The reference of all error codes, generated from the table: `docs/ERRORS.md` and the page `/docs/errors`.

use std::fmt::Write as _;
use std::future::{Ready, ready};

use axum::response::Html;

use super::Code;

const INTRODUCTION: &str = "Every error is answered as `application/problem+json` (RFC 9457). The member `code` is stable: \
    programs decide by it, people read `detail`. `errors` lists what is wrong with the input, each with a `pointer` (a JSON \
    pointer into the body, or the name of a parameter or header) and a `message`. `request_id` leads to the log.";

/// The text of `docs/ERRORS.md`.
pub fn markdown() -> String {
    let mut text = format!("# Error codes\n\n{INTRODUCTION}\n\n| code | status | meaning |\n| --- | --- | --- |\n");
    for code in Code::ALL {
        let (name, status, title) = (code.name(), code.status_number(), code.title());
        let _ = writeln!(text, "| `{name}` | {status} | **{title}.** {} |", code.explanation());
    }
    text
}

/// The handler of `/docs/errors`: the target of the `type` of every problem.
pub fn page() -> Ready<Html<String>> {
    ready(Html(html()))
}

fn html() -> String {
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Error codes</title>\n\
         <h1>Error codes</h1>\n<p>{}</p>\n<dl>\n",
        inline(INTRODUCTION)
    );
    for code in Code::ALL {
        let (name, status, title) = (code.name(), code.status_number(), code.title());
        let _ = writeln!(text, "<dt id=\"{name}\"><code>{name}</code> ({status}) {title}</dt>");
        let _ = writeln!(text, "<dd>{}</dd>", inline(code.explanation()));
    }
    text.push_str("</dl>\n</html>\n");
    text
}

/// Escapes text for HTML and turns each `` `piece` `` into a code element.
fn inline(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut html = String::with_capacity(escaped.len());
    for (index, piece) in escaped.split('`').enumerate() {
        if index % 2 == 1 {
            let _ = write!(html, "<code>{piece}</code>");
        } else {
            html.push_str(piece);
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `UPDATE=1` writes the file instead of comparing it.
    #[test]
    fn the_document_lists_exactly_the_codes_of_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/ERRORS.md");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, markdown()).unwrap();
        }
        let stored = std::fs::read_to_string(path).unwrap_or_default();
        assert!(stored == markdown(), "docs/ERRORS.md differs from the table: run this test with UPDATE=1");
    }

    #[test]
    fn the_page_has_an_anchor_for_every_code_and_escapes_its_text() {
        let html = html();
        for code in Code::ALL {
            assert!(html.contains(&format!("id=\"{}\"", code.name())), "{}", code.name());
        }
        assert!(html.contains("<code>Authorization: Bearer &lt;token&gt;</code>"));
    }
}
