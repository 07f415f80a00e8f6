//! Settling entities that overlap, the way Telegram does: the result is sorted and properly nested.

use std::cmp::Reverse;
use std::ops::Range;

use platform::{Entity, EntityKind};

use super::kinds::{Class, STYLES, class, depth};

/// Sorts entities; the outer one of two that begin together goes first.
pub(super) fn sort(entities: &mut [Entity]) {
    entities.sort_by_key(|entity| (entity.offset, Reverse(entity.length), depth(entity.kind)));
}

/// End of an entity, in UTF-16 code units.
pub(super) fn end(entity: &Entity) -> u32 {
    entity.offset + entity.length
}

/// Makes any entities nest: of two that cannot, the later one goes away; styles are merged and split instead.
pub(super) fn settle(mut entities: Vec<Entity>) -> Vec<Entity> {
    entities.retain(|entity| entity.length > 0);
    sort(&mut entities);
    let (styles, others): (Vec<_>, Vec<_>) = entities.into_iter().partition(|e| class(e.kind) == Class::Style);
    let (quotes, wholes): (Vec<_>, Vec<_>) = others.into_iter().partition(|e| class(e.kind) == Class::Quote);
    let quotes = disjoint(quotes);
    let mut wholes = disjoint(wholes);
    wholes.retain(|entity| !crosses(entity, &quotes));

    let mut settled = split(&styles, &quotes, &wholes);
    settled.extend(quotes);
    settled.extend(wholes);
    sort(&mut settled);
    settled
}

/// Keeps the first of entities that overlap; they are sorted.
fn disjoint(mut entities: Vec<Entity>) -> Vec<Entity> {
    let mut last_end = 0;
    entities.retain(|entity| {
        let keep = entity.offset >= last_end;
        if keep {
            last_end = end(entity);
        }
        keep
    });
    entities
}

/// Whether an entity overlaps a quotation without lying inside of it. The quotations are sorted and disjoint.
fn crosses(entity: &Entity, quotes: &[Entity]) -> bool {
    let next = quotes.partition_point(|quote| end(quote) <= entity.offset);
    quotes.get(next).is_some_and(|quote| {
        let overlaps = quote.offset < end(entity);
        let holds = quote.offset <= entity.offset && end(entity) <= end(quote);
        overlaps && !holds
    })
}

/// Merges styles of one kind that touch, then cuts them wherever something else begins or another entity ends, so that
/// the parts nest. Code takes no style.
fn split(styles: &[Entity], quotes: &[Entity], wholes: &[Entity]) -> Vec<Entity> {
    let merged: Vec<(EntityKind, Range<u32>)> = STYLES.iter().flat_map(|&kind| merge(styles, kind)).collect();
    let others = quotes.iter().chain(wholes).flat_map(|other| [other.offset, end(other)]);
    let mut cuts: Vec<u32> = merged.iter().map(|(_, range)| range.start).chain(others).collect();
    cuts.sort_unstable();
    cuts.dedup();

    let code: Vec<&Entity> = wholes.iter().filter(|e| class(e.kind) == Class::Code).collect();
    let is_code = |start: u32| {
        let next = code.partition_point(|entity| end(entity) <= start);
        code.get(next).is_some_and(|entity| entity.offset <= start)
    };
    let mut parts = Vec::new();
    for (kind, range) in merged {
        let first = cuts.partition_point(|&cut| cut <= range.start);
        let inner = cuts[first..].iter().copied().take_while(|&cut| cut < range.end);
        let mut start = range.start;
        for stop in inner.chain([range.end]) {
            if !is_code(start) {
                parts.push(Entity::new(kind, start, stop - start));
            }
            start = stop;
        }
    }
    parts
}

/// Ranges that one style covers; the entities are sorted.
fn merge(styles: &[Entity], kind: EntityKind) -> Vec<(EntityKind, Range<u32>)> {
    let mut merged: Vec<(EntityKind, Range<u32>)> = Vec::new();
    for entity in styles.iter().filter(|entity| entity.kind == kind) {
        match merged.last_mut() {
            Some((_, range)) if entity.offset <= range.end => range.end = range.end.max(end(entity)),
            _ => merged.push((kind, entity.offset..end(entity))),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use platform::{Entity, EntityKind as K};

    use super::settle;

    fn settled(entities: &[(K, u32, u32)]) -> Vec<(K, u32, u32)> {
        let entities = entities.iter().map(|&(kind, offset, length)| Entity::new(kind, offset, length)).collect();
        settle(entities).into_iter().map(|entity| (entity.kind, entity.offset, entity.length)).collect()
    }

    #[test]
    fn what_nests_stays() {
        for entities in [
            vec![(K::Blockquote, 0, 9), (K::TextLink, 1, 5), (K::Bold, 2, 2)],
            vec![(K::Blockquote, 0, 5), (K::Pre, 0, 5)],
            vec![(K::TextLink, 0, 5), (K::Bold, 0, 5), (K::Italic, 0, 5)],
        ] {
            assert_eq!(settled(&entities), entities);
        }
    }

    #[test]
    fn entities_are_sorted_with_the_outer_one_first() {
        let mixed = [(K::Bold, 4, 2), (K::CustomEmoji, 0, 2), (K::Bold, 0, 2), (K::TextLink, 4, 3)];
        let sorted = vec![(K::Bold, 0, 2), (K::CustomEmoji, 0, 2), (K::TextLink, 4, 3), (K::Bold, 4, 2)];
        assert_eq!(settled(&mixed), sorted);
    }

    #[test]
    fn empty_ones_go() {
        assert_eq!(settled(&[(K::Bold, 3, 0)]), []);
    }

    #[test]
    fn styles_merge_and_split() {
        for (entities, expected) in [
            (vec![(K::Bold, 0, 2), (K::Bold, 2, 3), (K::Bold, 1, 1)], vec![(K::Bold, 0, 5)]),
            (vec![(K::Bold, 0, 6), (K::Italic, 3, 6)], vec![(K::Bold, 0, 3), (K::Italic, 3, 6), (K::Bold, 3, 3)]),
            (vec![(K::Bold, 0, 6), (K::TextLink, 3, 6)], vec![(K::Bold, 0, 3), (K::TextLink, 3, 6), (K::Bold, 3, 3)]),
            (vec![(K::Bold, 0, 9), (K::Code, 3, 2)], vec![(K::Bold, 0, 3), (K::Code, 3, 2), (K::Bold, 5, 4)]),
            (vec![(K::Code, 0, 5), (K::Italic, 1, 2)], vec![(K::Code, 0, 5)]),
        ] {
            assert_eq!(settled(&entities), expected, "{entities:?}");
        }
    }

    #[test]
    fn the_later_of_two_that_cannot_nest_goes() {
        for (entities, expected) in [
            (vec![(K::TextLink, 0, 5), (K::TextLink, 3, 5)], vec![(K::TextLink, 0, 5)]),
            (vec![(K::TextLink, 0, 5), (K::Code, 1, 2)], vec![(K::TextLink, 0, 5)]),
            (vec![(K::Blockquote, 0, 5), (K::ExpandableBlockquote, 1, 2)], vec![(K::Blockquote, 0, 5)]),
            (vec![(K::TextLink, 0, 9), (K::Blockquote, 2, 3)], vec![(K::Blockquote, 2, 3)]),
            (vec![(K::Blockquote, 0, 5), (K::TextLink, 3, 5)], vec![(K::Blockquote, 0, 5)]),
        ] {
            assert_eq!(settled(&entities), expected, "{entities:?}");
        }
    }
}
