//! What Telegram does to a text before it stores it.

use super::{Formatted, MAX_TEXT};
use crate::bot_api::reply::ApiError;
use crate::world::{Entity, EntityKind};

/// Tidies a text that must not be empty, and checks its length.
pub fn clean(formatted: Formatted) -> Result<Formatted, ApiError> {
    let tidied = tidy(formatted);
    if tidied.text.is_empty() {
        return Err(ApiError::bad_request("message text is empty"));
    }
    if tidied.text.chars().count() > MAX_TEXT {
        return Err(ApiError::bad_request("message is too long"));
    }
    Ok(tidied)
}

/// Removes control characters and outer white space, moves entities along, and drops those that are left empty or nest
/// where nothing may.
pub fn tidy(formatted: Formatted) -> Formatted {
    let Formatted { text, entities } = formatted;
    let units: Vec<(char, u32)> = with_offsets(&text);
    let kept: Vec<(char, u32)> = units.iter().filter_map(|(c, at)| Some((replacement(*c)?, *at))).collect();
    let first = kept.iter().position(|(c, _)| !c.is_whitespace());
    let Some(first) = first else { return Formatted::default() };
    let last = kept.iter().rposition(|(c, _)| !c.is_whitespace()).unwrap_or(first);
    let kept = &kept[first..=last];
    let text: String = kept.iter().map(|(c, _)| *c).collect();
    let entities = entities.into_iter().filter_map(|entity| move_entity(entity, kept)).collect();
    Formatted { text, entities: nest(entities) }
}

/// Characters with their UTF-16 offsets.
fn with_offsets(text: &str) -> Vec<(char, u32)> {
    let mut at = 0;
    let with_offset = |c: char| {
        let here = at;
        at += width(c);
        (c, here)
    };
    text.chars().map(with_offset).collect()
}

/// UTF-16 code units of a character.
fn width(c: char) -> u32 {
    if u32::from(c) > 0xFFFF { 2 } else { 1 }
}

fn replacement(c: char) -> Option<char> {
    match c {
        '\n' => Some('\n'),
        // Also marks that only change the direction or joining of neighbours.
        '\r' | '\u{2028}'..='\u{202E}' | '\u{0333}' | '\u{033F}' | '\u{030A}' => None,
        c if c.is_control() && u32::from(c) < 0x20 => Some(' '),
        c => Some(c),
    }
}

/// The entity in terms of the kept characters, without white space at its end; `None` if nothing is left of it.
fn move_entity(entity: Entity, kept: &[(char, u32)]) -> Option<Entity> {
    let end = entity.offset + entity.length;
    let from = kept.partition_point(|(_, at)| *at < entity.offset);
    let to = kept.partition_point(|(_, at)| *at < end);
    let range = kept.get(from..to)?;
    let trimmed = range.iter().rposition(|(c, _)| !c.is_whitespace()).map(|last| &range[..=last])?;
    let units = |part: &[(char, u32)]| part.iter().map(|(c, _)| width(*c)).sum();
    Some(Entity { offset: units(&kept[..from]), length: units(trimmed), kind: entity.kind })
}

/// Orders entities so that they nest: formats are cut around code, equal neighbours become one, and what crosses the
/// end of an outer entity is split there.
fn nest(entities: Vec<Entity>) -> Vec<Entity> {
    let code = code_ranges(&entities);
    let mut formats = Vec::new();
    let mut waiting = Vec::new();
    for entity in entities {
        if is_format(&entity.kind) {
            formats.extend(outside(&entity, &code));
        } else if !is_code(&entity.kind) && (is_block(&entity.kind) || !overlaps(&entity, &code)) {
            waiting.push(entity);
        }
    }
    waiting.extend(code);
    waiting.extend(merge(formats));
    split_crossing(waiting)
}

/// Code may not overlap code: the first wins.
fn code_ranges(entities: &[Entity]) -> Vec<Entity> {
    let mut code: Vec<Entity> = entities.iter().filter(|entity| is_code(&entity.kind)).cloned().collect();
    code.sort_by_key(order);
    let mut end = 0;
    code.retain(|entity| {
        let free = entity.offset >= end;
        end = if free { end_of(entity) } else { end };
        free
    });
    code
}

/// The pieces of a format that lie outside all code.
fn outside(entity: &Entity, code: &[Entity]) -> Vec<Entity> {
    let (mut pieces, mut from) = (Vec::new(), entity.offset);
    let mut piece = |from: u32, to: u32| {
        if to > from {
            pieces.push(Entity { offset: from, length: to - from, kind: entity.kind.clone() });
        }
    };
    for code in code.iter().filter(|code| overlaps(entity, std::slice::from_ref(code))) {
        piece(from, code.offset);
        from = end_of(code);
    }
    piece(from, end_of(entity));
    pieces
}

/// The same format twice, or in two adjoining pieces, is one.
fn merge(mut formats: Vec<Entity>) -> Vec<Entity> {
    formats.sort_by_key(|entity| (rank(&entity.kind), entity.offset));
    let mut merged: Vec<Entity> = Vec::new();
    for entity in formats {
        match merged.last_mut().filter(|last| last.kind == entity.kind && end_of(last) >= entity.offset) {
            Some(last) => last.length = end_of(last).max(end_of(&entity)) - last.offset,
            None => merged.push(entity),
        }
    }
    merged
}

fn split_crossing(mut waiting: Vec<Entity>) -> Vec<Entity> {
    let (mut nested, mut open_ends) = (Vec::new(), Vec::new());
    waiting.sort_by_key(|entity| std::cmp::Reverse(order(entity)));
    while let Some(mut entity) = waiting.pop() {
        while open_ends.last().is_some_and(|end| *end <= entity.offset) {
            open_ends.pop();
        }
        let end = open_ends.last().copied().unwrap_or(u32::MAX);
        if end_of(&entity) > end {
            waiting.push(Entity { offset: end, length: end_of(&entity) - end, kind: entity.kind.clone() });
            waiting.sort_by_key(|entity| std::cmp::Reverse(order(entity)));
            entity.length = end - entity.offset;
        }
        open_ends.push(end_of(&entity));
        nested.push(entity);
    }
    nested
}

fn order(entity: &Entity) -> (u32, std::cmp::Reverse<u32>, u8) {
    (entity.offset, std::cmp::Reverse(entity.length), rank(&entity.kind))
}

fn end_of(entity: &Entity) -> u32 {
    entity.offset + entity.length
}

fn overlaps(entity: &Entity, others: &[Entity]) -> bool {
    others.iter().any(|other| entity.offset < end_of(other) && other.offset < end_of(entity))
}

fn is_format(kind: &EntityKind) -> bool {
    (4..=8).contains(&rank(kind))
}

fn is_code(kind: &EntityKind) -> bool {
    matches!(kind, EntityKind::Code | EntityKind::Pre { .. })
}

fn is_block(kind: &EntityKind) -> bool {
    rank(kind) == 0
}

/// Of entities with the same range, which one is outer.
fn rank(kind: &EntityKind) -> u8 {
    match kind {
        EntityKind::Blockquote | EntityKind::ExpandableBlockquote => 0,
        EntityKind::Pre { .. } => 1,
        EntityKind::Code => 2,
        EntityKind::TextLink { .. } | EntityKind::TextMention { .. } => 3,
        EntityKind::Bold => 4,
        EntityKind::Italic => 5,
        EntityKind::Underline => 6,
        EntityKind::Strikethrough => 7,
        EntityKind::Spoiler => 8,
        _ => 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(offset: u32, length: u32, kind: EntityKind) -> Entity {
        Entity { offset, length, kind }
    }

    fn cleaned(text: &str, entities: Vec<Entity>) -> Formatted {
        clean(Formatted { text: text.to_owned(), entities }).unwrap()
    }

    #[test]
    fn trims_and_moves_entities() {
        let result = cleaned("  😀 hi \r\n ", vec![entity(0, 7, EntityKind::Bold), entity(8, 2, EntityKind::Italic)]);
        assert_eq!(result.text, "😀 hi");
        assert_eq!(result.entities, [entity(0, 5, EntityKind::Bold)]);
    }

    #[test]
    fn replaces_control_characters() {
        assert_eq!(cleaned("a\u{1}b\rc\u{202e}d\ne", Vec::new()).text, "a bcd\ne");
    }

    #[test]
    fn refuses_nothing_and_too_much() {
        for empty in ["", "  \n ", "\r"] {
            let error = clean(Formatted { text: empty.to_owned(), entities: Vec::new() }).unwrap_err();
            assert_eq!(error, ApiError::bad_request("message text is empty"));
        }
        cleaned(&"😀".repeat(MAX_TEXT), Vec::new());
        let long = Formatted { text: "a".repeat(MAX_TEXT + 1), entities: Vec::new() };
        assert_eq!(clean(long).unwrap_err(), ApiError::bad_request("message is too long"));
    }

    #[test]
    fn entities_nest_and_code_stays_plain() {
        let bold = |offset, length| entity(offset, length, EntityKind::Bold);
        let italic = |offset, length| entity(offset, length, EntityKind::Italic);
        let crossing = cleaned("abcdefgh", vec![italic(4, 4), bold(0, 6), bold(6, 1)]);
        assert_eq!(crossing.entities, [bold(0, 7), italic(4, 3), italic(7, 1)]);
        let code = entity(2, 2, EntityKind::Code);
        let around_code = cleaned("abcdefgh", vec![bold(0, 8), code.clone()]);
        assert_eq!(around_code.entities, [bold(0, 2), code, bold(4, 4)]);
        let code = cleaned("abcd", vec![entity(0, 4, EntityKind::Code), entity(1, 1, EntityKind::Bold)]);
        assert_eq!(code.entities, [entity(0, 4, EntityKind::Code)]);
    }
}
