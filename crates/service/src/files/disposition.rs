//! The header `Content-Disposition` (RFC 6266): the name of a file on its way.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What may stand in `filename*` as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The name in a header, which whoever wrote it may have chosen freely.
pub fn file_name(header: &str) -> Option<String> {
    let mut plain = None;
    for (name, value) in parameters(header) {
        if name.eq_ignore_ascii_case("filename*") {
            // It says the same with all letters, and so wins.
            let (charset, rest) = value.split_once('\'')?;
            let (_, encoded) = rest.split_once('\'')?;
            if charset.eq_ignore_ascii_case("utf-8") {
                return percent_decode_str(encoded).decode_utf8().ok().map(Into::into);
            }
        } else if name.eq_ignore_ascii_case("filename") {
            plain = Some(value);
        }
    }
    plain.filter(|name| !name.is_empty())
}

/// The parameters behind the first part, without quotes.
fn parameters(header: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    let mut rest = header.split_once(';').map_or("", |(_, rest)| rest);
    while let Some((name, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let (value, next) = if let Some(quoted) = after.strip_prefix('"') {
            unquote(quoted)
        } else {
            let (value, next) = after.split_once(';').unwrap_or((after, ""));
            (value.trim().to_owned(), next)
        };
        found.push((name.trim().trim_start_matches(';').trim(), value));
        rest = next;
    }
    found
}

/// The text up to the closing quote, and what follows it.
fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(letters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

/// The header with which a file is offered for saving and not shown.
pub fn attachment(name: &str) -> String {
    let ascii: String =
        name.chars().map(|c| if c.is_ascii_graphic() && !"\"\\%".contains(c) || c == ' ' { c } else { '_' }).collect();
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{}", utf8_percent_encode(name, PLAIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_servers_write_them() {
        for (header, name) in [
            ("attachment; filename=a.txt", Some("a.txt")),
            ("attachment; filename=\"a b.txt\"", Some("a b.txt")),
            ("attachment;filename=\"a;b\\\"c.txt\" ; x=1", Some("a;b\"c.txt")),
            ("inline; FileName=\"отчёт.pdf\"", Some("отчёт.pdf")),
            ("attachment; filename=\"x.txt\"; filename*=UTF-8''%D1%8F.txt", Some("я.txt")),
            ("attachment; filename*=utf-8'ru'%D1%8F.txt; filename=x.txt", Some("я.txt")),
            ("attachment; filename=\"open.txt", Some("open.txt")),
            ("attachment; filename=\"\"", None),
            ("attachment", None),
            ("attachment; filename*=broken", None),
            ("", None),
            (";=;=", None),
        ] {
            assert_eq!(file_name(header).as_deref(), name, "{header}");
        }
    }

    #[test]
    fn a_name_comes_back_as_it_went() {
        for name in ["a.txt", "отчёт 1.pdf", "a\"b\\c%41.txt", "x;y=z'.bin"] {
            let header = attachment(name);
            assert!(header.is_ascii(), "{header}");
            assert_eq!(file_name(&header).as_deref(), Some(name), "{header}");
        }
    }
}
