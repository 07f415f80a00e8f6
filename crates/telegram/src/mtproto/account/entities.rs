//! Formatting of text, to and from Telegram's form. Both count UTF-16 code units.

use grammers_tl_types as tl;
use platform::text::MentionedUser;
use platform::{Entity, EntityKind};
use tl::enums::MessageEntity as Tl;

/// In Telegram's form. Leaves out what cannot be said there: a mention of a user whom the account does not know (see
/// `mention`), an attribute that is missing.
pub(super) fn to_tl(entities: &[Entity], mention: impl Fn(i64) -> Option<tl::enums::InputUser>) -> Vec<Tl> {
    entities.iter().filter_map(|entity| entity_to_tl(entity, &mention)).collect()
}

fn entity_to_tl(entity: &Entity, mention: impl Fn(i64) -> Option<tl::enums::InputUser>) -> Option<Tl> {
    let offset = i32::try_from(entity.offset).ok()?;
    let length = i32::try_from(entity.length).ok()?;
    Some(match entity.kind {
        EntityKind::Mention => tl::types::MessageEntityMention { offset, length }.into(),
        EntityKind::Hashtag => tl::types::MessageEntityHashtag { offset, length }.into(),
        EntityKind::Cashtag => tl::types::MessageEntityCashtag { offset, length }.into(),
        EntityKind::BotCommand => tl::types::MessageEntityBotCommand { offset, length }.into(),
        EntityKind::Url => tl::types::MessageEntityUrl { offset, length }.into(),
        EntityKind::Email => tl::types::MessageEntityEmail { offset, length }.into(),
        EntityKind::PhoneNumber => tl::types::MessageEntityPhone { offset, length }.into(),
        EntityKind::Bold => tl::types::MessageEntityBold { offset, length }.into(),
        EntityKind::Italic => tl::types::MessageEntityItalic { offset, length }.into(),
        EntityKind::Underline => tl::types::MessageEntityUnderline { offset, length }.into(),
        EntityKind::Strikethrough => tl::types::MessageEntityStrike { offset, length }.into(),
        EntityKind::Spoiler => tl::types::MessageEntitySpoiler { offset, length }.into(),
        EntityKind::Blockquote => tl::types::MessageEntityBlockquote { collapsed: false, offset, length }.into(),
        EntityKind::ExpandableBlockquote => {
            tl::types::MessageEntityBlockquote { collapsed: true, offset, length }.into()
        }
        EntityKind::Code => tl::types::MessageEntityCode { offset, length }.into(),
        EntityKind::Pre => {
            let language = entity.language.clone().unwrap_or_default();
            tl::types::MessageEntityPre { offset, length, language }.into()
        }
        EntityKind::TextLink => tl::types::MessageEntityTextUrl { offset, length, url: entity.url.clone()? }.into(),
        EntityKind::TextMention => {
            let user_id = mention(entity.user.as_ref()?.id)?;
            tl::types::InputMessageEntityMentionName { offset, length, user_id }.into()
        }
        EntityKind::CustomEmoji => {
            let document_id = entity.custom_emoji_id.as_ref()?.parse().ok()?;
            tl::types::MessageEntityCustomEmoji { offset, length, document_id }.into()
        }
    })
}

/// In our form. Leaves out kinds that a sender cannot set.
pub(super) fn from_tl(entities: &[Tl]) -> Vec<Entity> {
    entities.iter().filter_map(entity_from_tl).collect()
}

fn entity_from_tl(entity: &Tl) -> Option<Entity> {
    let kind = match entity {
        Tl::Mention(_) => EntityKind::Mention,
        Tl::Hashtag(_) => EntityKind::Hashtag,
        Tl::Cashtag(_) => EntityKind::Cashtag,
        Tl::BotCommand(_) => EntityKind::BotCommand,
        Tl::Url(_) => EntityKind::Url,
        Tl::Email(_) => EntityKind::Email,
        Tl::Phone(_) => EntityKind::PhoneNumber,
        Tl::Bold(_) => EntityKind::Bold,
        Tl::Italic(_) => EntityKind::Italic,
        Tl::Underline(_) => EntityKind::Underline,
        Tl::Strike(_) => EntityKind::Strikethrough,
        Tl::Spoiler(_) => EntityKind::Spoiler,
        Tl::Blockquote(quote) if quote.collapsed => EntityKind::ExpandableBlockquote,
        Tl::Blockquote(_) => EntityKind::Blockquote,
        Tl::Code(_) => EntityKind::Code,
        Tl::Pre(_) => EntityKind::Pre,
        Tl::TextUrl(_) => EntityKind::TextLink,
        Tl::MentionName(_) => EntityKind::TextMention,
        Tl::CustomEmoji(_) => EntityKind::CustomEmoji,
        _ => return None,
    };
    let offset = u32::try_from(entity.offset()).ok()?;
    let length = u32::try_from(entity.length()).ok().filter(|length| *length > 0)?;
    let mut ours = Entity::new(kind, offset, length);
    match entity {
        Tl::Pre(pre) => ours.language = Some(pre.language.clone()).filter(|language| !language.is_empty()),
        Tl::TextUrl(link) => ours.url = Some(link.url.clone()),
        Tl::MentionName(mention) => ours.user = Some(MentionedUser { id: mention.user_id }),
        Tl::CustomEmoji(emoji) => ours.custom_emoji_id = Some(emoji.document_id.to_string()),
        _ => {}
    }
    Some(ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: [EntityKind; 15] = [
        EntityKind::Mention,
        EntityKind::Hashtag,
        EntityKind::Cashtag,
        EntityKind::BotCommand,
        EntityKind::Url,
        EntityKind::Email,
        EntityKind::PhoneNumber,
        EntityKind::Bold,
        EntityKind::Italic,
        EntityKind::Underline,
        EntityKind::Strikethrough,
        EntityKind::Spoiler,
        EntityKind::Blockquote,
        EntityKind::ExpandableBlockquote,
        EntityKind::Code,
    ];

    #[test]
    fn entities_pass_through_telegrams_form() {
        let mut entities: Vec<Entity> = PLAIN.into_iter().map(|kind| Entity::new(kind, 3, 5)).collect();
        entities.push(Entity { language: Some("rust".to_owned()), ..Entity::new(EntityKind::Pre, 0, 2) });
        entities.push(Entity { url: Some("https://a.b/".to_owned()), ..Entity::new(EntityKind::TextLink, 1, 2) });
        entities.push(Entity { custom_emoji_id: Some("77".to_owned()), ..Entity::new(EntityKind::CustomEmoji, 1, 2) });
        assert_eq!(from_tl(&to_tl(&entities, |_| None)), entities);
    }

    #[test]
    fn a_known_user_is_mentioned_and_an_unknown_one_is_not() {
        let mention = Entity { user: Some(MentionedUser { id: 7 }), ..Entity::new(EntityKind::TextMention, 0, 4) };
        let user = tl::enums::InputUser::from(tl::types::InputUser { user_id: 7, access_hash: 1 });
        let sent = to_tl(std::slice::from_ref(&mention), |id| (id == 7).then(|| user.clone()));
        assert!(matches!(&sent[..], [Tl::InputMessageEntityMentionName(name)] if name.user_id == user));
        assert!(to_tl(&[mention], |_| None).is_empty());
    }

    #[test]
    fn what_lacks_its_attribute_is_left_out() {
        let bare = [EntityKind::TextLink, EntityKind::TextMention, EntityKind::CustomEmoji];
        assert!(to_tl(&bare.map(|kind| Entity::new(kind, 0, 1)), |_| None).is_empty());
    }
}
