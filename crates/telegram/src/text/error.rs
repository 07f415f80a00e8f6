//! What can be wrong with a text.

/// Why a text cannot be sent. The message says what to change and holds nothing of the text but tag names and
/// characters of markup.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The markup cannot be parsed.
    #[error("can't parse entities: {problem} at byte offset {offset}")]
    Markup {
        /// Offset of the place in the source, in bytes of UTF-8.
        offset: usize,
        /// What is wrong there.
        problem: String,
    },
    /// An entity that the caller gave is wrong.
    #[error("entities[{index}] {problem}")]
    Entity {
        /// Index in the caller's list.
        index: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// More entities than Telegram takes.
    #[error("the text has {count} entities, but Telegram takes at most {max} in a message: use fewer", max = super::MAX_ENTITIES)]
    TooManyEntities {
        /// How many there are.
        count: usize,
    },
    /// The text holds the character U+0000.
    #[error("the text has a NUL character at byte offset {offset}: remove it")]
    Nul {
        /// Offset of the first one, in bytes of UTF-8.
        offset: usize,
    },
    /// Nothing that can be seen is left after parsing and trimming.
    #[error("the text is empty, or only white space and invisible characters are left of it")]
    Empty,
    /// The parsed text is too long.
    #[error("the text has {length} characters after parsing, but at most {max} fit: shorten it or send it in parts")]
    TooLong {
        /// Code points that the parsed text has.
        length: usize,
        /// Code points that it may have.
        max: usize,
    },
}

impl TextError {
    /// Stable code of the error: part of the public API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Markup { .. } | Self::Entity { .. } | Self::TooManyEntities { .. } => "bad_entities",
            Self::Nul { .. } => "bad_text",
            Self::Empty => "text_empty",
            Self::TooLong { .. } => "text_too_long",
        }
    }

    pub(super) fn markup(offset: usize, problem: impl Into<String>) -> Self {
        Self::Markup { offset, problem: problem.into() }
    }

    pub(super) fn entity(index: usize, problem: impl Into<String>) -> Self {
        Self::Entity { index, problem: problem.into() }
    }
}

/// The database cannot hold U+0000 and no client shows it, so it is refused rather than replaced.
pub(super) fn refuse_nul(text: &str) -> Result<(), TextError> {
    match text.find('\0') {
        Some(offset) => Err(TextError::Nul { offset }),
        None => Ok(()),
    }
}
