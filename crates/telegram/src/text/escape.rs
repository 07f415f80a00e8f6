//! Making any text safe to put into markup.

use std::borrow::Cow;

use super::{ParseMode, markdown_v2};

/// Escapes `text` so that [`parse`](super::parse) in the same mode reads it as plain text. It must stand outside of
/// other markup in [`ParseMode::Markdown`], which knows no escapes inside of entities.
pub fn escape(text: &str, mode: ParseMode) -> String {
    let escaped = |c: char| -> Cow<'static, str> {
        match (mode, c) {
            (ParseMode::Html, '<') => "&lt;".into(),
            (ParseMode::Html, '>') => "&gt;".into(),
            (ParseMode::Html, '&') => "&amp;".into(),
            (ParseMode::Html, '"') => "&quot;".into(),
            (ParseMode::MarkdownV2, c) if c == '\\' || markdown_v2::RESERVED.contains(c) => format!("\\{c}").into(),
            (ParseMode::Markdown, '_' | '*' | '`' | '[') => format!("\\{c}").into(),
            _ => c.to_string().into(),
        }
    };
    text.chars().map(escaped).collect()
}
