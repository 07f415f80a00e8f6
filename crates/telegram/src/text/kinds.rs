//! How kinds of entities may overlap.

use platform::EntityKind;

/// What an entity is when it meets another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Bold and its like: may overlap anything but code, and can be split into parts.
    Style,
    /// Block quotations: may hold anything but each other.
    Quote,
    /// Code and preformatted text: hold nothing.
    Code,
    /// Links, mentions, custom emoji and what the platform finds by itself: may hold styles only.
    Whole,
}

/// The class of a kind.
pub(super) fn class(kind: EntityKind) -> Class {
    use EntityKind as K;
    match kind {
        K::Bold | K::Italic | K::Underline | K::Strikethrough | K::Spoiler => Class::Style,
        K::Blockquote | K::ExpandableBlockquote => Class::Quote,
        K::Code | K::Pre => Class::Code,
        K::Mention
        | K::Hashtag
        | K::Cashtag
        | K::BotCommand
        | K::Url
        | K::Email
        | K::PhoneNumber
        | K::TextLink
        | K::TextMention
        | K::CustomEmoji => Class::Whole,
    }
}

/// Styles in their order of nesting.
pub(super) const STYLES: [EntityKind; 5] =
    [EntityKind::Bold, EntityKind::Italic, EntityKind::Underline, EntityKind::Strikethrough, EntityKind::Spoiler];

/// Order among entities of the same range: the outer one is smaller.
pub(super) fn depth(kind: EntityKind) -> u8 {
    use EntityKind as K;
    match kind {
        K::Blockquote | K::ExpandableBlockquote => 0,
        K::Pre => 1,
        K::Code => 2,
        K::TextLink | K::TextMention => 3,
        K::Mention | K::Hashtag | K::Cashtag | K::BotCommand | K::Url | K::Email | K::PhoneNumber => 4,
        K::Bold => 5,
        K::Italic => 6,
        K::Underline => 7,
        K::Strikethrough => 8,
        K::Spoiler => 9,
        K::CustomEmoji => 10,
    }
}

/// The name of a kind in the API.
pub(super) fn name(kind: EntityKind) -> &'static str {
    use EntityKind as K;
    match kind {
        K::Mention => "mention",
        K::Hashtag => "hashtag",
        K::Cashtag => "cashtag",
        K::BotCommand => "bot_command",
        K::Url => "url",
        K::Email => "email",
        K::PhoneNumber => "phone_number",
        K::Bold => "bold",
        K::Italic => "italic",
        K::Underline => "underline",
        K::Strikethrough => "strikethrough",
        K::Spoiler => "spoiler",
        K::Blockquote => "blockquote",
        K::ExpandableBlockquote => "expandable_blockquote",
        K::Code => "code",
        K::Pre => "pre",
        K::TextLink => "text_link",
        K::TextMention => "text_mention",
        K::CustomEmoji => "custom_emoji",
    }
}
