//! Checks of entities that the caller made himself.

use platform::{Entity, EntityKind, Text};

use super::error::refuse_nul;
use super::kinds::{Class, class, name};
use super::link::{self, Target};
use super::output::utf16_len;
use super::{TextError, max_entities};

/// Checks every entity and brings addresses into Telegram's form.
pub(super) fn check(text: Text, max: usize) -> Result<Text, TextError> {
    refuse_nul(&text.text)?;
    if text.entities.len() > max_entities(max) {
        return Err(TextError::TooManyEntities { count: text.entities.len() });
    }
    let boundaries = Boundaries::of(&text.text);
    let mut entities = Vec::with_capacity(text.entities.len());
    for (index, entity) in text.entities.into_iter().enumerate() {
        let checked = boundaries.check(&entity).and_then(|()| attributes(entity));
        entities.push(checked.map_err(|problem| TextError::entity(index, problem))?);
    }
    check_nesting(&entities)?;
    Ok(Text { text: text.text, entities })
}

/// Where characters begin and end, in UTF-16 code units.
struct Boundaries {
    length: u32,
    /// Offsets in the middle of a surrogate pair.
    inner: Vec<u32>,
}

impl Boundaries {
    fn of(text: &str) -> Self {
        let mut length = 0;
        let mut inner = Vec::new();
        for c in text.chars() {
            length += utf16_len(c);
            if utf16_len(c) == 2 {
                inner.push(length - 1);
            }
        }
        Self { length, inner }
    }

    fn check(&self, entity: &Entity) -> Result<(), String> {
        let (offset, length) = (entity.offset, entity.length);
        if length == 0 {
            return Err("has length 0: it must cover at least 1 UTF-16 code unit".to_owned());
        }
        let Some(end) = offset.checked_add(length).filter(|&end| end <= self.length) else {
            let all = self.length;
            return Err(format!("covers offset {offset}, length {length}, but the text has {all} UTF-16 code units"));
        };
        match [offset, end].into_iter().find(|at| self.inner.binary_search(at).is_ok()) {
            Some(at) => Err(format!("cuts the character at UTF-16 offset {} in two", at - 1)),
            None => Ok(()),
        }
    }
}

/// Checks that an entity has what its type needs and nothing else.
fn attributes(entity: Entity) -> Result<Entity, String> {
    use EntityKind as K;
    let kind = entity.kind;
    for (attribute, of, present) in [
        ("url", K::TextLink, entity.url.is_some()),
        ("user", K::TextMention, entity.user.is_some()),
        ("language", K::Pre, entity.language.is_some()),
        ("custom_emoji_id", K::CustomEmoji, entity.custom_emoji_id.is_some()),
    ] {
        if present && kind != of {
            return Err(format!("is of type {} and must not have \"{attribute}\"", name(kind)));
        }
        if !present && kind == of && of != K::Pre {
            return Err(format!("is of type {} and needs \"{attribute}\"", name(kind)));
        }
    }
    match kind {
        K::TextLink => text_link(entity),
        K::TextMention if !entity.user.as_ref().is_some_and(|user| link::is_user_id(user.id)) => {
            Err("has a \"user\" whose id is not one of a user".to_owned())
        }
        K::Pre if entity.language.as_ref().is_some_and(|language| language.contains('\0')) => {
            Err("has a \"language\" with a NUL character: remove it".to_owned())
        }
        K::CustomEmoji if entity.custom_emoji_id.as_deref().and_then(link::custom_emoji_id).is_none() => {
            Err("has a \"custom_emoji_id\" that is not a number".to_owned())
        }
        _ => Ok(entity),
    }
}

/// A link to a user is a mention, as in markup.
fn text_link(entity: Entity) -> Result<Entity, String> {
    match entity.url.as_deref().filter(|url| !url.contains('\0')).and_then(link::target) {
        Some(Target::Url(url)) => Ok(Entity { url: Some(url), ..entity }),
        Some(Target::User(id)) => {
            let user = Some(platform::text::MentionedUser { id });
            Ok(Entity { kind: EntityKind::TextMention, url: None, user, ..entity })
        }
        None => Err("has a \"url\" that Telegram does not take: use an http, https or tg address".to_owned()),
    }
}

/// Checks each pair; there are at most a hundred entities.
fn check_nesting(entities: &[Entity]) -> Result<(), TextError> {
    for (index, entity) in entities.iter().enumerate() {
        if let Some(other) = entities[..index].iter().position(|other| conflict(entity, other)) {
            let (kind, other_kind) = (name(entity.kind), name(entities[other].kind));
            let problem =
                format!("({kind}) overlaps entities[{other}] ({other_kind}): they cannot share characters so");
            return Err(TextError::entity(index, problem));
        }
    }
    Ok(())
}

fn conflict(a: &Entity, b: &Entity) -> bool {
    let overlap = a.offset < b.offset + b.length && b.offset < a.offset + a.length;
    overlap
        && match (class(a.kind), class(b.kind)) {
            (Class::Style, Class::Code) | (Class::Code, Class::Style) | (Class::Quote, Class::Quote) => true,
            (Class::Style, _) | (_, Class::Style) => false,
            (Class::Quote, _) => !holds(a, b),
            (_, Class::Quote) => !holds(b, a),
            _ => true,
        }
}

fn holds(outer: &Entity, inner: &Entity) -> bool {
    outer.offset <= inner.offset && inner.offset + inner.length <= outer.offset + outer.length
}

#[cfg(test)]
mod tests {
    use platform::{Entity, EntityKind as K, Text, text::MentionedUser};

    use super::super::output::testing::describe;
    use super::super::{TextError, validate};

    fn entity(kind: K, offset: u32, length: u32) -> Entity {
        Entity::new(kind, offset, length)
    }

    fn problem(entities: Vec<Entity>) -> String {
        match validate(Text { text: "a🏟bcdefghij".to_owned(), entities }, 4096) {
            Err(TextError::Entity { index, problem }) => format!("{index} {problem}"),
            other => panic!("expected an error about an entity: {other:?}"),
        }
    }

    #[test]
    fn good_entities_are_taken() {
        let entities = vec![
            entity(K::Italic, 3, 2),
            entity(K::Blockquote, 0, 12),
            Entity { url: Some("A.b".to_owned()), ..entity(K::TextLink, 1, 2) },
            Entity { url: Some("tg://user?id=7".to_owned()), ..entity(K::TextLink, 3, 1) },
            Entity { user: Some(MentionedUser { id: 8 }), ..entity(K::TextMention, 4, 1) },
            Entity { custom_emoji_id: Some("9".to_owned()), ..entity(K::CustomEmoji, 5, 1) },
            Entity { language: Some("rust".to_owned()), ..entity(K::Pre, 6, 1) },
            entity(K::Hashtag, 7, 2),
        ];
        let text = Text { text: "a🏟bcdefghi".to_owned(), entities };
        let expected = "a🏟bcdefghi|blockquote 0+11|text_link 1+2 http://a.b/|text_mention 3+1 7|italic 3+1\
                        |text_mention 4+1 8|italic 4+1|custom_emoji 5+1 9|pre 6+1 rust|hashtag 7+2";
        let longer = Text { text: format!("{} ", text.text), ..text };
        assert_eq!(describe(validate(longer, 4096)), expected);
    }

    #[test]
    fn ranges_must_fit_the_text() {
        for (offset, length, words) in [
            (0, 0, "0 has length 0"),
            (0, 13, "0 covers offset 0, length 13, but the text has 12"),
            (12, 1, "but the text has 12"),
            (u32::MAX, u32::MAX, "but the text has 12"),
            (2, 3, "cuts the character at UTF-16 offset 1"),
            (0, 2, "cuts the character at UTF-16 offset 1"),
        ] {
            let problem = problem(vec![entity(K::Bold, offset, length)]);
            assert!(problem.contains(words), "{offset}+{length}: {problem}");
        }
    }

    #[test]
    fn attributes_must_fit_the_type() {
        let url = |kind, url: &str| Entity { url: Some(url.to_owned()), ..entity(kind, 0, 1) };
        let emoji = |id: &str| Entity { custom_emoji_id: Some(id.to_owned()), ..entity(K::CustomEmoji, 0, 1) };
        for (wrong, words) in [
            (entity(K::TextLink, 0, 1), "needs \"url\""),
            (entity(K::TextMention, 0, 1), "needs \"user\""),
            (entity(K::CustomEmoji, 0, 1), "needs \"custom_emoji_id\""),
            (url(K::Bold, "a.b"), "must not have \"url\""),
            (Entity { language: Some("x".to_owned()), ..entity(K::Code, 0, 1) }, "must not have \"language\""),
            (url(K::TextLink, "nowhere"), "does not take"),
            (url(K::TextLink, "http://\0@a.b"), "does not take"),
            (Entity { user: Some(MentionedUser { id: 0 }), ..entity(K::TextMention, 0, 1) }, "not one of a user"),
            (Entity { language: Some("\0".to_owned()), ..entity(K::Pre, 0, 1) }, "NUL"),
            (emoji("0"), "not a number"),
            (emoji("1x"), "not a number"),
        ] {
            let problem = problem(vec![entity(K::Bold, 3, 1), wrong.clone()]);
            assert!(problem.starts_with("1 ") && problem.contains(words), "{wrong:?}: {problem}");
        }
    }

    #[test]
    fn entities_must_nest() {
        for (a, b) in [
            ((K::Code, 3, 3), (K::Bold, 4, 1)),
            ((K::Code, 3, 3), (K::Bold, 0, 4)),
            ((K::Code, 3, 3), (K::Pre, 3, 3)),
            ((K::Hashtag, 3, 3), (K::Mention, 4, 3)),
            ((K::Hashtag, 3, 3), (K::Blockquote, 4, 1)),
            ((K::Blockquote, 3, 3), (K::Hashtag, 4, 3)),
            ((K::Blockquote, 3, 3), (K::ExpandableBlockquote, 4, 1)),
        ] {
            let problem = problem(vec![entity(a.0, a.1, a.2), entity(b.0, b.1, b.2)]);
            assert!(problem.contains("overlaps entities[0]"), "{a:?} {b:?}: {problem}");
        }
    }

    #[test]
    fn too_many_entities_are_refused() {
        let entities = vec![entity(K::Bold, 0, 1); 101];
        let text = Text { text: "a".to_owned(), entities };
        assert_eq!(validate(text, 4096), Err(TextError::TooManyEntities { count: 101 }));
    }
}
