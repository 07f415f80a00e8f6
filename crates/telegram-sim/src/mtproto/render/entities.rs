//! Formatted ranges, there and back.

use grammers_tl_types::{enums, types};

use crate::world::{Entity, EntityKind, UserId};

fn number(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// The world's ranges as the API has them.
pub fn to_api(entities: &[Entity]) -> Option<Vec<enums::MessageEntity>> {
    (!entities.is_empty()).then(|| entities.iter().map(one_to_api).collect())
}

macro_rules! range {
    ($kind:ident, $entity:expr) => {
        types::$kind { offset: number($entity.offset), length: number($entity.length) }.into()
    };
}

fn one_to_api(entity: &Entity) -> enums::MessageEntity {
    let (offset, length) = (number(entity.offset), number(entity.length));
    match &entity.kind {
        EntityKind::Mention => range!(MessageEntityMention, entity),
        EntityKind::Hashtag => range!(MessageEntityHashtag, entity),
        EntityKind::Cashtag => range!(MessageEntityCashtag, entity),
        EntityKind::BotCommand => range!(MessageEntityBotCommand, entity),
        EntityKind::Url => range!(MessageEntityUrl, entity),
        EntityKind::Email => range!(MessageEntityEmail, entity),
        EntityKind::PhoneNumber => range!(MessageEntityPhone, entity),
        EntityKind::Bold => range!(MessageEntityBold, entity),
        EntityKind::Italic => range!(MessageEntityItalic, entity),
        EntityKind::Underline => range!(MessageEntityUnderline, entity),
        EntityKind::Strikethrough => range!(MessageEntityStrike, entity),
        EntityKind::Spoiler => range!(MessageEntitySpoiler, entity),
        EntityKind::Code => range!(MessageEntityCode, entity),
        EntityKind::Blockquote => types::MessageEntityBlockquote { collapsed: false, offset, length }.into(),
        EntityKind::ExpandableBlockquote => types::MessageEntityBlockquote { collapsed: true, offset, length }.into(),
        EntityKind::Pre { language } => {
            let language = language.clone().unwrap_or_default();
            types::MessageEntityPre { offset, length, language }.into()
        }
        EntityKind::TextLink { url } => types::MessageEntityTextUrl { offset, length, url: url.clone() }.into(),
        EntityKind::TextMention { user_id } => {
            types::MessageEntityMentionName { offset, length, user_id: *user_id }.into()
        }
        EntityKind::CustomEmoji { custom_emoji_id } => {
            let document_id = custom_emoji_id.parse().unwrap_or_default();
            types::MessageEntityCustomEmoji { offset, length, document_id }.into()
        }
    }
}

/// A client's ranges as the world has them; those of kinds that the world does not know are left out. `None` if one
/// lies outside a text of `units` UTF-16 units.
pub fn from_api(entities: &[enums::MessageEntity], units: u32, me: UserId) -> Option<Vec<Entity>> {
    let mut out = Vec::new();
    for entity in entities {
        let Some((offset, length, kind)) = one_from_api(entity, me) else { continue };
        let (offset, length) = (u32::try_from(offset).ok()?, u32::try_from(length).ok()?);
        if offset.checked_add(length)? > units {
            return None;
        }
        if length > 0 {
            out.push(Entity { offset, length, kind });
        }
    }
    out.sort_by_key(|entity| (entity.offset, std::cmp::Reverse(entity.length)));
    Some(out)
}

fn one_from_api(entity: &enums::MessageEntity, me: UserId) -> Option<(i32, i32, EntityKind)> {
    use enums::MessageEntity as E;
    Some(match entity {
        E::Mention(x) => (x.offset, x.length, EntityKind::Mention),
        E::Hashtag(x) => (x.offset, x.length, EntityKind::Hashtag),
        E::Cashtag(x) => (x.offset, x.length, EntityKind::Cashtag),
        E::BotCommand(x) => (x.offset, x.length, EntityKind::BotCommand),
        E::Url(x) => (x.offset, x.length, EntityKind::Url),
        E::Email(x) => (x.offset, x.length, EntityKind::Email),
        E::Phone(x) => (x.offset, x.length, EntityKind::PhoneNumber),
        E::Bold(x) => (x.offset, x.length, EntityKind::Bold),
        E::Italic(x) => (x.offset, x.length, EntityKind::Italic),
        E::Underline(x) => (x.offset, x.length, EntityKind::Underline),
        E::Strike(x) => (x.offset, x.length, EntityKind::Strikethrough),
        E::Spoiler(x) => (x.offset, x.length, EntityKind::Spoiler),
        E::Code(x) => (x.offset, x.length, EntityKind::Code),
        E::Blockquote(x) if x.collapsed => (x.offset, x.length, EntityKind::ExpandableBlockquote),
        E::Blockquote(x) => (x.offset, x.length, EntityKind::Blockquote),
        E::Pre(x) => {
            let language = Some(x.language.clone()).filter(|language| !language.is_empty());
            (x.offset, x.length, EntityKind::Pre { language })
        }
        E::TextUrl(x) => (x.offset, x.length, EntityKind::TextLink { url: x.url.clone() }),
        E::MentionName(x) => (x.offset, x.length, EntityKind::TextMention { user_id: x.user_id }),
        E::InputMessageEntityMentionName(x) => {
            let user_id = match &x.user_id {
                enums::InputUser::User(user) => user.user_id,
                enums::InputUser::FromMessage(user) => user.user_id,
                enums::InputUser::UserSelf => me,
                enums::InputUser::Empty => return None,
            };
            (x.offset, x.length, EntityKind::TextMention { user_id })
        }
        E::CustomEmoji(x) => {
            (x.offset, x.length, EntityKind::CustomEmoji { custom_emoji_id: x.document_id.to_string() })
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_survive_the_way_there_and_back() {
        let kinds = [
            EntityKind::Bold,
            EntityKind::Pre { language: Some("rust".to_owned()) },
            EntityKind::Pre { language: None },
            EntityKind::TextLink { url: "https://example.org".to_owned() },
            EntityKind::TextMention { user_id: 7 },
            EntityKind::CustomEmoji { custom_emoji_id: "99".to_owned() },
            EntityKind::Blockquote,
            EntityKind::ExpandableBlockquote,
        ];
        let entities: Vec<Entity> =
            kinds.into_iter().zip(0..).map(|(kind, offset)| Entity { offset, length: 2, kind }).collect();
        let api = to_api(&entities).unwrap();
        assert_eq!(from_api(&api, 20, 1), Some(entities));
        assert_eq!(from_api(&api, 8, 1), None);
        assert_eq!(to_api(&[]), None);
    }
}
