//! Text as Telegram understands it: markup becomes plain text with entities, and both are brought into the form that
//! a Bot API server would send.
//!
//! - [`parse`] reads markup: `html`, `markdown_v2`, `markdown` (the old Markdown);
//! - [`validate`] checks text and entities that a caller made himself (`check`);
//! - both end in `normalize`, which cleans and trims the text and lets `nesting` settle overlapping entities;
//! - [`split`] cuts what is too long for one message;
//! - [`escape`] makes any text safe to put into markup;
//! - `link` says which addresses a link may have.
//!
//! Offsets and lengths of entities count UTF-16 code units; the limit of a text counts code points after parsing;
//! offsets in messages about markup count bytes of the UTF-8 source, as Telegram's own messages do.

mod check;
mod error;
mod escape;
mod html;
mod html_reference;
mod kinds;
mod link;
mod markdown;
mod markdown_v2;
mod nesting;
mod normalize;
mod output;
#[cfg(test)]
mod properties;
mod split;

use platform::Text;
use serde::{Deserialize, Serialize};

pub use self::error::TextError;
pub use self::escape::escape;
pub use self::split::split;

/// The most code points of a message, after parsing.
pub const MAX_MESSAGE: usize = 4096;
/// The most code points of a caption, after parsing.
pub const MAX_CAPTION: usize = 1024;
/// The most entities of a text: Telegram ignores the ones beyond, so more are refused here.
pub const MAX_ENTITIES: usize = 100;

/// The most entities of a text of at most so many code points.
fn max_entities(max: usize) -> usize {
    MAX_ENTITIES * max.div_ceil(MAX_MESSAGE).max(1)
}

/// How markup in a text is written; the names are those of the Bot API's
/// [`parse_mode`](https://core.telegram.org/bots/api#formatting-options), also in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub enum ParseMode {
    /// HTML with Telegram's few tags.
    #[serde(rename = "HTML", alias = "html")]
    Html,
    /// Markdown with nesting; every special character must be escaped.
    #[serde(alias = "markdownv2")]
    MarkdownV2,
    /// The older Markdown without nesting, kept for callers that still use it.
    #[serde(alias = "markdown")]
    Markdown,
}

/// Parses markup into plain text and entities, normalised as Telegram does: control characters replaced, white space
/// around the text trimmed, entities sorted, merged and split so that they nest.
///
/// `max` is the most code points that the result may have ([`MAX_MESSAGE`], [`MAX_CAPTION`]; several messages' worth where the result is
/// to be [`split`], and then several times as many entities).
///
/// # Errors
/// [`TextError`] says what is wrong with the markup and at which byte, or that the result is empty or too long.
pub fn parse(text: &str, mode: ParseMode, max: usize) -> Result<Text, TextError> {
    error::refuse_nul(text)?;
    let parsed = match mode {
        ParseMode::Html => html::parse(text)?,
        ParseMode::MarkdownV2 => markdown_v2::parse(text)?,
        ParseMode::Markdown => markdown::parse(text)?,
    };
    normalize::normalize(parsed, max)
}

/// Checks text whose entities the caller made (none is fine too) and normalises it like [`parse`].
///
/// # Errors
/// [`TextError`] names the entity that does not fit the text, lacks what its type needs or overlaps another one that
/// it must not, or says that the text is empty or too long.
pub fn validate(text: Text, max: usize) -> Result<Text, TextError> {
    let text = check::check(text, max)?;
    normalize::normalize(text, max)
}
