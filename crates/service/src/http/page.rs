//! Cursor pagination: `?limit&cursor`, answered as `{"items": […], "next_cursor": "…" | null}`, newest first.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserializer, Error as _, Unexpected};
use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

/// The number of items in one page: 1 to 200, by default 50.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(u16);

impl Limit {
    /// The largest page.
    pub const MAX: u16 = 200;

    /// The number of items in the page.
    pub fn get(self) -> usize {
        self.0.into()
    }

    /// The number of rows to ask the database for: one more than the page, which tells whether another page follows.
    pub fn rows(self) -> i64 {
        i64::from(self.0) + 1
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(50)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = i64::deserialize(deserializer)?;
        match u16::try_from(value) {
            Ok(limit @ 1..=Self::MAX) => Ok(Self(limit)),
            _ => Err(D::Error::invalid_value(Unexpected::Signed(value), &"an integer from 1 to 200")),
        }
    }
}

/// A place in a list: the id of the last item seen. Opaque to callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(pub Uuid);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0.as_bytes()))
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(&text).ok();
        bytes
            .and_then(|bytes| Uuid::from_slice(&bytes).ok())
            .map(Self)
            .ok_or_else(|| D::Error::custom("is not a cursor: pass the `next_cursor` of the previous page unchanged"))
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Page<T> {
    /// The items, in order.
    pub items: Vec<T>,
    /// Pass it as `cursor` to get the next page; `null` at the end.
    pub next_cursor: Option<Cursor>,
}

impl<T> Page<T> {
    /// Makes a page of up to [`Limit::rows`] rows; `id` gives the id that the list is ordered by.
    pub fn new(mut rows: Vec<T>, limit: Limit, id: impl Fn(&T) -> Uuid) -> Self {
        let more = rows.len() > limit.get();
        rows.truncate(limit.get());
        let next_cursor = if more { rows.last().map(|row| Cursor(id(row))) } else { None };
        Self { items: rows, next_cursor }
    }

    /// The same page with other items.
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(convert).collect(), next_cursor: self.next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::http::query;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct List {
        #[serde(default)]
        limit: Limit,
        cursor: Option<Cursor>,
    }

    fn message(error: &Error) -> &str {
        &error.fields[0].message
    }

    #[test]
    fn the_limit_has_a_default_and_bounds() {
        assert_eq!(query::parse::<List>("").unwrap().limit.get(), 50);
        assert_eq!(query::parse::<List>("limit=200").unwrap().limit.rows(), 201);
        for bad in ["0", "201", "-1", "99999999999"] {
            let error = query::parse::<List>(&format!("limit={bad}")).unwrap_err();
            assert_eq!(message(&error), "must be an integer from 1 to 200", "{bad}");
        }
    }

    #[test]
    fn a_cursor_survives_the_way_to_the_caller_and_back() {
        let cursor = Cursor(Uuid::now_v7());
        let list = query::parse::<List>(&format!("cursor={cursor}")).unwrap();
        assert_eq!(list.cursor, Some(cursor));
        for bad in ["", "x", "AAAA", "0198c5e0-7c1a-7b6e-9c7f-2f1d3c4b5a69"] {
            let error = query::parse::<List>(&format!("cursor={bad}")).unwrap_err();
            assert!(message(&error).contains("next_cursor"), "{bad}");
        }
    }

    #[test]
    fn a_page_knows_whether_another_follows() {
        let ids: Vec<Uuid> = (0..51).map(|_| Uuid::now_v7()).collect();
        let page = Page::new(ids.clone(), Limit::default(), |id| *id);
        assert_eq!(page.items.len(), 50);
        assert_eq!(page.next_cursor, Some(Cursor(ids[49])));
        assert_eq!(Page::new(ids[..50].to_vec(), Limit::default(), |id| *id).next_cursor, None);
        assert_eq!(
            serde_json::to_string(&Page::<u8> { items: vec![], next_cursor: None }).unwrap(),
            r#"{"items":[],"next_cursor":null}"#
        );
    }
}
